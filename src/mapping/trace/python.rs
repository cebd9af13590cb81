//! Reads Python's traces: chained tracebacks, exception groups and syntax errors of all versions from 3.6 to 3.14 and most
//! of 2.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, MAX_EXCEPTIONS, Reading, Relation, Stack, frames, indent, is_log_head,
    joined, number, starts_with_any,
};
use std::borrow::Cow;

const TRACEBACK: &str = "Traceback (most recent call last):";
const GROUP: &str = "Exception Group Traceback (most recent call last):";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";
/// Python itself goes no deeper than 10 into groups.
const MAX_DEPTH: usize = 16;
/// Stands around a traceback that another process sent as text.
const QUOTE: &str = "\"\"\"";

pub(super) fn read<'a>(lines: &[&'a str], _: &Ahead) -> Option<Reading<'a>> {
    let thread = lines.first().and_then(|line| ended_thread(line)).filter(|_| lines.len() > 1);
    let future = lines.first().is_some_and(|line| line.starts_with("future: <")) && lines.len() > 1;
    let at = usize::from(thread.is_some() || future);
    let (before, margin) = opening(&lines[at..])?;
    let mut text = Text { lines, at, chain: Chain::default(), heads: Vec::new(), inline: !before.is_empty() };
    let whole = text.chain_of(margin, 0);
    if let Some(outermost) = whole {
        text.chain.0[outermost].thread = thread.map(Cow::Borrowed);
        text.without_foreign_members(outermost);
    }
    let mut exceptions = text.chain.finish();
    frames::python::complete(exceptions.as_deref_mut().unwrap_or_default());
    Some(Reading {
        platform: "python",
        before,
        exceptions,
        used: text.at.max(1),
        // Which task it was is said by the line above the traceback alone.
        shown: usize::from(future),
        broken: whole.is_none(),
        unhandled: thread.is_some(),
        ..Reading::default()
    })
}

/// The name of a thread that an exception ended, from the line that `threading.excepthook` prints above the traceback.
fn ended_thread(line: &str) -> Option<&str> {
    line.bare_start().strip_prefix("Exception in thread ")?.bare_end().strip_suffix(':')
}

/// Returns the text that precedes the trace on its first line, and the margin of its lines.
fn opening<'a>(lines: &[&'a str]) -> Option<(&'a str, Margin)> {
    let line = lines.first()?.bare_end();
    let blanks = indent(line);
    let margin = Margin { width: blanks, bar: false };
    // loguru has an empty line between the frames, and a mark at the one that logs.
    let spaced = usize::from(lines.get(1).is_some_and(|line| line.bare().is_empty()));
    let second = || lines.get(1 + spaced).copied().unwrap_or("").trim_start_matches([' ', '\t', '|', '>']);
    if let Some(before) = line.strip_suffix(TRACEBACK) {
        // Ruby has the same words at its head.
        file_line(second())?;
        return match before.bare_start() {
            "" => Some((&line[..0], margin)),
            "+ Exception Group " => Some((&line[..0], Margin { width: blanks.saturating_sub(2), bar: false })),
            _ if before.holds("Exception Group") => None,
            _ => Some((before, Margin { width: 0, bar: false })),
        };
    }
    let unraised = || {
        let sentence = lines.get(2).is_some_and(|line| separator(line.bare()).is_some());
        sentence && lines[1].bare().is_empty() && typed(&line[blanks..]).is_some()
    };
    let syntax = || {
        file_line(&line[blanks..]).is_some_and(|frame| frame.function.is_none())
            && lines.iter().skip(1).take(4).any(|line| is_syntax_error(line.bare_start()))
    };
    let width = if line.bare_start().starts_with("File \"") { blanks.saturating_sub(2) } else { blanks };
    (unraised() || syntax()).then_some((&line[..0], Margin { width, bar: false }))
}

fn is_syntax_error(line: &str) -> bool {
    starts_with_any(line, &["SyntaxError: ", "IndentationError: ", "TabError: "])
}

fn separator(line: &str) -> Option<Relation> {
    match line {
        CAUSE => Some(Relation::Cause),
        CONTEXT => Some(Relation::Context),
        _ => None,
    }
}

/// The beginning of each line of a traceback: blanks, and inside of groups a bar.
#[derive(Debug, Clone, Copy)]
struct Margin {
    width: usize,
    bar: bool,
}

impl Margin {
    /// A line without its margin.
    fn strip(self, line: &str) -> Option<&str> {
        if !self.bar {
            if line.bare().is_empty() {
                return Some("");
            }
            let (blank, rest) = line.split_at_checked(self.width)?;
            return blank.bare().is_empty().then_some(rest);
        }
        let (blank, rest) = line.split_at_checked(self.width - 2)?;
        let rest = rest.strip_prefix('|').filter(|_| blank.bare().is_empty())?;
        Some(rest.strip_prefix(' ').unwrap_or(rest))
    }

    /// A line that draws a group's border, without blanks and `+`.
    fn border(self, line: &str, first: bool) -> Option<&str> {
        let blanks = if first { self.width - 2 } else { self.width };
        let start = if first { "+-+--------" } else { "+--------" };
        let (blank, rest) = line.split_at_checked(blanks)?;
        let rest = rest.strip_prefix(start).filter(|_| blank.bare().is_empty())?;
        Some(rest.trim_matches(['-', ' ']))
    }

    fn inner(self) -> Self {
        Self { width: self.width + 2, bar: true }
    }
}

struct Text<'l, 'a> {
    lines: &'l [&'a str],
    at: usize,
    chain: Chain<'a>,
    /// For each exception the line with its type and message.
    heads: Vec<&'a str>,
    /// The first line is not the trace's alone.
    inline: bool,
}

impl<'a> Text<'_, 'a> {
    /// A line without its margin.
    fn line(&self, at: usize, margin: Margin) -> Option<&'a str> {
        margin.strip(self.lines.get(at)?)
    }

    /// Exceptions one after the other, each the cause or context of the next; answers the last.
    fn chain_of(&mut self, margin: Margin, depth: usize) -> Option<usize> {
        let mut last = self.exception(margin, depth)?;
        while let Some((relation, used)) = self.chained(self.at, margin) {
            self.at += used;
            let next = self.exception(margin, depth)?;
            self.chain.link(last, next, relation);
            last = next;
        }
        Some(last)
    }

    /// Returns the relation of another exception of the chain if it is announced at a line, and the number of lines of the
    /// announcement: blank, sentence, blank. loguru has two blank lines each.
    fn chained(&self, at: usize, margin: Margin) -> Option<(Relation, usize)> {
        let blank = |at: &usize| self.line(*at, margin).is_some_and(|line| line.bare().is_empty());
        let blanks = |at: usize| (at..at + 2).take_while(blank).count();
        let above = blanks(at);
        let relation = separator(self.line(at + above, margin)?.bare_end()).filter(|_| above > 0)?;
        let below = blanks(at + above + 1);
        (below > 0).then_some((relation, above + 1 + below))
    }

    fn exception(&mut self, margin: Margin, depth: usize) -> Option<usize> {
        let margin = self.traceback(margin)?;
        let mut frames = Stack::oldest_first();
        let spaced = self.passed_blank(margin);
        while self.frame(margin, &mut frames) {
            if spaced {
                self.passed_blank(margin);
            }
        }
        let head = self.line(self.at, margin)?;
        let (ty, first) = typed(head)?;
        let begin = self.at + 1;
        self.at = begin + self.value_lines(begin, margin);
        let rest: Vec<_> = self.lines[begin..self.at].iter().filter_map(|line| margin.strip(line)).collect();
        let is_group = matches!(ty, "ExceptionGroup" | "BaseExceptionGroup") || self.has_members(margin);
        let value = joined(if is_group { without_count(first) } else { first }, &rest);
        self.heads.push(head);
        let index = self.chain.add(Exception { value, frames: frames.finish(), ..named(ty) });
        // The end of a traceback that came from another process as text.
        self.at += usize::from(self.line(self.at, margin) == Some(QUOTE));
        self.members(margin, index, depth)?;
        Some(index)
    }

    /// Passes the line that begins a traceback, if there is one (an exception never raised has none), and returns the margin
    /// of the following lines.
    fn traceback(&mut self, margin: Margin) -> Option<Margin> {
        let line = self.lines.get(self.at)?.bare_end();
        let outer = !margin.bar && line.get(margin.width..).and_then(|line| line.strip_prefix("  + ")) == Some(GROUP);
        let headed = margin.strip(line).is_some_and(|line| line == TRACEBACK || line == GROUP);
        self.at += usize::from(outer || headed || (self.inline && self.at == 0));
        Some(if outer { Margin { width: margin.width + 4, bar: true } } else { margin })
    }

    /// Passes an empty line.
    fn passed_blank(&mut self, margin: Margin) -> bool {
        let blank = self.line(self.at, margin).is_some_and(|line| line.bare().is_empty());
        self.at += usize::from(blank);
        blank
    }

    /// Reads one `File` line with the lines below it.
    fn frame(&mut self, margin: Margin, frames: &mut Stack<'a>) -> bool {
        let Some(line) = self.line(self.at, margin) else { return false };
        if let Some(times) = repeated(line) {
            frames.repeat(times);
            self.at += 1;
            return true;
        }
        let text = line.strip_prefix("  ").or_else(|| line.strip_prefix("> "));
        let Some(mut frame) = text.and_then(file_line) else { return false };
        self.at += 1;
        while let Some(code) = self.line(self.at, margin).and_then(|line| line.strip_prefix("    ")) {
            if frame.context_line.is_none() && !code.bare().is_empty() {
                frame.context_line = Some(Cow::Borrowed(code.bare()));
            }
            self.at += 1;
        }
        frames.push(frame);
        true
    }

    /// Returns the number of lines that the message has after its first. Inside of a group the border shows the end;
    /// outside, only the look of the lines does.
    fn value_lines(&self, begin: usize, margin: Margin) -> usize {
        if margin.bar {
            let ends = |&at: &usize| self.line(at, margin).is_none() || self.chained(at, margin).is_some();
            return (begin..self.lines.len()).find(ends).unwrap_or(self.lines.len()) - begin;
        }
        let foreign = |line: &&str| !(is_log_head(line) || line.ends_with(TRACEBACK) || *line == QUOTE);
        let near = self.lines[begin..].iter().take(LOOKAHEAD).map_while(|line| margin.strip(line)).take_while(foreign);
        let near: Vec<&str> = near.collect();
        let chained = (0..near.len()).find(|&ahead| self.chained(begin + ahead, margin).is_some());
        chained.unwrap_or_else(|| own_lines(&near))
    }

    fn has_members(&self, margin: Margin) -> bool {
        margin.bar && self.lines.get(self.at).is_some_and(|line| margin.border(line, true).is_some())
    }

    /// Leaves out the members of groups unless the outermost exception is a group: only then the SDK walks into groups
    /// (`exceptions_from_error_tuple`), else it sends causes and contexts alone. What the members said stays among the
    /// details of their group.
    fn without_foreign_members(&mut self, outermost: usize) {
        let all = &mut self.chain.0;
        let is_member = |exception: &Exception<'_>| exception.relation == Relation::Member;
        let own = all.iter().any(|exception| is_member(exception) && exception.parent == Some(outermost));
        let is_group = own || all[outermost].ty.ends_with("ExceptionGroup");
        if is_group || all.len() > MAX_EXCEPTIONS || !all.iter().any(is_member) {
            return;
        }
        let mut kept = vec![true; all.len()];
        let mut places = Vec::with_capacity(all.len());
        for index in 0..all.len() {
            let mut holders = std::iter::successors(Some(index), |&at| all[at].parent);
            kept[index] = !holders.any(|at| is_member(&all[at]));
            places.push(kept[..index].iter().filter(|kept| **kept).count());
            if let Some(parent) = all[index].parent.filter(|_| is_member(&all[index])) {
                all[parent].details.push(self.heads[index]);
            }
        }
        let mut kept = kept.into_iter();
        all.retain(|_| kept.next() == Some(true));
        for exception in all {
            exception.parent = exception.parent.map(|parent| places[parent]);
        }
    }

    /// The exceptions in a group, if borders follow.
    fn members(&mut self, margin: Margin, group: usize, depth: usize) -> Option<()> {
        if !self.has_members(margin) {
            return Some(());
        }
        if depth == MAX_DEPTH {
            return None;
        }
        self.at += 1;
        loop {
            self.member(margin.inner(), group, depth)?;
            let Some(label) = self.lines.get(self.at).and_then(|line| margin.border(line, false)) else {
                return self.closed().then_some(());
            };
            self.at += 1;
            if label.is_empty() {
                return Some(());
            }
        }
    }

    /// One member, or the number of those left out.
    fn member(&mut self, margin: Margin, group: usize, depth: usize) -> Option<()> {
        let line = self.line(self.at, margin)?;
        if line.starts_with("and ") && line.holds(" more exception") {
            self.chain.0[group].details.push(line);
            self.at += 1;
            return Some(());
        }
        let member = self.chain_of(margin, depth + 1)?;
        self.chain.link(member, group, Relation::Member);
        Some(())
    }

    /// Returns true if the line before closed a group inside of this one: Python then draws no second border.
    fn closed(&self) -> bool {
        let last = self.at.checked_sub(1).map_or("", |at| self.lines[at]);
        last.bare_start().strip_prefix("+--------").is_some_and(|rest| rest.trim_matches('-').is_empty())
    }
}

/// Returns the number of lines that continue a message by their looks: indented ones, and those that database libraries
/// append.
fn own_lines(lines: &[&str]) -> usize {
    const NOTES: [&str; 5] = ["[SQL:", "[parameters:", "(Background on this error", "DETAIL:", "HINT:"];
    let mut end = 0;
    for (index, line) in lines.iter().enumerate() {
        let next = || lines.get(index + 1).copied().unwrap_or("");
        let indented =
            |line: &str| indent(line) > 0 && !line.bare().is_empty() && file_line(line.bare_start()).is_none();
        // pydantic: the name of a field, and its problem indented below.
        let field =
            !line.holds_byte(b' ') && !line.is_empty() && indented(next()) && !next().bare_start().starts_with("at ");
        let goes_on = indented(line) || starts_with_any(line, &NOTES) || (field && !is_log_head(line));
        match (goes_on, line.is_empty() && starts_with_any(next(), &NOTES)) {
            (true, _) => end = index + 1,
            (false, true) => (),
            _ => break,
        }
    }
    end
}

/// `  [Previous line repeated 12 more times]`
fn repeated(line: &str) -> Option<u32> {
    let (times, rest) = line.strip_prefix("  [Previous line repeated ")?.cut_at_byte(b' ')?;
    rest.starts_with("more time").then_some(number(times)?)
}

/// `File "path", line 12, in function`; without the function in a syntax error. The file's name is the whole path until
/// the trace is complete.
fn file_line(text: &str) -> Option<Frame<'_>> {
    let (path, rest) = text.strip_prefix("File \"")?.cut_at("\", line ")?;
    let (line, function) = match rest.cut_at(", in ") {
        Some((line, function)) => (line, Some(function.bare_end())),
        None => (rest.bare_end(), None),
    };
    Some(Frame { function: function.map(Cow::Borrowed), ..Frame::in_file(path, path, Some(number(line)?), None) })
}

/// The message of a group without ` (2 sub-exceptions)`, which Python's `str` appends and the SDK does not send.
fn without_count(message: &str) -> &str {
    let counted = |text: &str| {
        let (count, what) = text.cut_at_byte(b' ')?;
        (number(count).is_some() && matches!(what, "sub-exception)" | "sub-exceptions)")).then_some(())
    };
    match message.cut_at_last(" (") {
        Some((rest, count)) if counted(count).is_some() => rest,
        _ => message,
    }
}

/// `module.Type: value` or `module.Type`.
pub(super) fn typed(line: &str) -> Option<(&str, &str)> {
    let line = line.bare_end();
    let (ty, value) = match line.cut_at(": ") {
        Some(parts) => parts,
        None => (line.strip_suffix(':').unwrap_or(line), ""),
    };
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '<' | '>');
    let begins = ty.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (begins && ty.chars().all(part) && !ty.ends_with('.')).then_some((ty, value))
}

/// Module and type. A class inside of a function or class keeps their names, as Python's own `__qualname__` does.
pub(super) fn named(path: &str) -> Exception<'_> {
    let class = |(at, _): &(usize, &str)| path[at + 1..].starts_with(char::is_uppercase);
    let local = path.place_of(".<locals>").and_then(|at| path[..at].rfind('.'));
    let at = local.or(path.match_indices('.').find(class).map(|(at, _)| at)).or(path.rfind('.'));
    let at = if path.starts_with(char::is_uppercase) { None } else { at };
    let (module, ty) = at.map_or((None, path), |at| (Some(Cow::Borrowed(&path[..at])), &path[at + 1..]));
    Exception { ty: Cow::Borrowed(ty), module, ..Exception::default() }
}
