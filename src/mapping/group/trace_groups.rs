//! Groups consecutive lines of a stream that belong to one log call: a stack trace, the line that announces it, message
//! lines between the two, and lines on which a logger repeats a prefix.

mod heads;
mod prefix;
#[cfg(test)]
mod tests;

use super::stream_lines::{LevelSource, Line};
use crate::level::Level;
use crate::mapping::trace::{self, Ahead};
pub(crate) use heads::heads;
use heads::{goes_on, is_exception, is_ruby_frame, is_two_line_head, is_type};
pub(crate) use prefix::without_prefix;
use prefix::{PrefixRun, shared_prefix, shares_prefix, without};

/// Longest line, in bytes, that can be part of a group.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Most lines of one group.
pub(crate) const MAX_WINDOW: usize = 2_048;

/// Lines given to the readers at first; only a trace that fills them needs [`MAX_WINDOW`].
const SMALL_WINDOW: usize = 128;

/// Most empty lines between a line and the trace that it announces. Spring Boot's layout has one.
const MAX_GAP: usize = 2;

/// Most message lines between a line and the trace that it announces.
const MAX_BETWEEN: usize = 16;

/// Lines that are one log call. Indexes are places in the lines that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The first line, which determines the level if it has one.
    pub first: usize,
    /// Number of lines, at least two.
    pub len: usize,
    /// The first line of the trace; `first` if no line announces it.
    pub trace: usize,
    /// Bytes at the head of each line of the trace that its logger repeats.
    pub prefix: usize,
    /// The trace says that the program, or a thread of it, ended.
    pub is_fatal: bool,
    /// A reader has understood the trace to its end.
    pub is_whole: bool,
}

impl Group {
    /// Returns the level: that of a field of the first line; else fatal for a crash; else that of the first line's text;
    /// else error for a trace. Other lines have no say.
    pub(crate) fn level(&self, lines: &[Line<'_>]) -> Level {
        let head = &lines[self.first];
        match head.said {
            LevelSource::InField => head.level,
            _ if self.is_fatal => Level::Fatal,
            LevelSource::InText => head.level,
            LevelSource::Nowhere if self.is_whole => Level::Error,
            LevelSource::Nowhere => head.level,
        }
    }

    /// The text of the group as its event shows it: without the prefix that each line repeats.
    pub(crate) fn text(&self, texts: &[&str]) -> String {
        let members = &texts[self.first..self.first + self.len];
        let mut text = String::with_capacity(members.iter().map(|line| line.len() + 1).sum());
        for (at, line) in members.iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            let in_trace = self.first + at >= self.trace;
            text.push_str(if in_trace { line.get(self.prefix..).unwrap_or_default() } else { line });
        }
        text
    }
}

/// Looks for groups in consecutive lines of one stream.
pub(crate) struct Grouping<'l, 'k> {
    lines: &'l [Line<'k>],
    /// The lines' texts; empty where a line can be no part of a group.
    texts: &'l [&'l str],
    /// The traces that begin at the lines, each once it is known.
    found: Vec<Option<trace::Extent>>,
    /// The same of groups whose lines repeat a prefix and that nothing announces.
    found_behind_prefix: Vec<Option<Option<Group>>>,
    ahead: Ahead,
    run: PrefixRun<'l>,
    /// A line, and the next one from it on whose text was not kept.
    barred: (usize, usize),
}

impl<'l, 'k> Grouping<'l, 'k> {
    /// `texts` are the texts of `lines`, as [`text_of`] gives them.
    pub(crate) fn new(lines: &'l [Line<'k>], texts: &'l [&'l str]) -> Self {
        let barred = (usize::MAX, 0);
        let (found, found_behind_prefix) = (vec![None; lines.len()], vec![None; lines.len()]);
        Self { lines, texts, found, found_behind_prefix, ahead: Ahead::default(), run: PrefixRun::default(), barred }
    }

    /// All groups, in order.
    pub(crate) fn all(mut self) -> Vec<Group> {
        let (mut groups, mut at) = (Vec::new(), 0);
        while at < self.lines.len() {
            match self.at(at) {
                Some(group) => {
                    at += group.len;
                    groups.push(group);
                }
                None => at += 1,
            }
        }
        groups
    }

    /// The group that begins at a line.
    fn at(&mut self, at: usize) -> Option<Group> {
        let found = self.trace(at);
        if found.lines > 1 {
            return Some(group(at, at, 0, found));
        }
        self.prefixed(at, at)
            .or_else(|| self.two_line_head(at))
            .or_else(|| self.announced(at))
            .or_else(|| self.frames(at))
    }

    /// A trace below a line that has a severity of its own, perhaps after empty lines and lines of its message.
    fn announced(&mut self, at: usize) -> Option<Group> {
        let head = &self.lines[at];
        if head.said == LevelSource::Nowhere || self.texts[at].is_empty() {
            return None;
        }
        let (mut empty, mut between) = (0, 0);
        for next in at + 1..self.lines.len() {
            let text = self.texts[next];
            if text.trim_ascii().is_empty() {
                empty += 1;
                if empty > MAX_GAP {
                    return None;
                }
                continue;
            }
            empty = 0;
            if is_fresh(&self.lines[next], text) {
                // A logger that repeats its prefix repeats it on the line that announces the trace, too.
                return self.prefixed(next, at);
            }
            if !is_alike(head, &self.lines[next]) {
                return None;
            }
            let found = self.trace(next);
            if found.lines > 1 {
                return Some(group(at, next, 0, found));
            }
            if let Some(found) = self.prefixed(next, next) {
                return Some(Group { first: at, len: found.len + next - at, ..found });
            }
            between += 1;
            if between > MAX_BETWEEN || head.level < Level::Warn || head.said == LevelSource::InField {
                return None;
            }
        }
        None
    }

    /// A trace from `at` on each of whose lines repeats a prefix, announced by the line at `first`, which has it too.
    fn prefixed(&mut self, at: usize, first: usize) -> Option<Group> {
        if at != first {
            return self.look_behind_prefix(at, first);
        }
        if let Some(found) = self.found_behind_prefix[at] {
            return found;
        }
        let found = self.look_behind_prefix(at, first);
        self.found_behind_prefix[at] = Some(found);
        found
    }

    fn look_behind_prefix(&mut self, at: usize, first: usize) -> Option<Group> {
        let (one, two) = (self.texts[at], *self.texts.get(at + 1)?);
        if !self.lines[at].heads() || two.is_empty() {
            return None;
        }
        let prefix = shared_prefix(one, two)?;
        if first != at
            && (self.lines[first].level != self.lines[at].level || without(self.texts[first], prefix).is_none())
        {
            return None;
        }
        for most in [SMALL_WINDOW, MAX_WINDOW] {
            let (window, ahead) = self.run.window(self.texts, at, (prefix, most));
            let found = trace::extent_of(window, ahead);
            if found.lines < window.len() || window.len() < most {
                return (found.lines > 1).then(|| {
                    let found = group(first, at, prefix.len(), found);
                    // The logger's line that ends the trace may be empty.
                    let rest = window[found.len - (at - first)..].iter();
                    let empty = rest.take_while(|line| line.trim().is_empty()).count().min(MAX_GAP);
                    Group { len: found.len + empty, ..found }
                });
            }
        }
        None
    }

    /// .NET's console writes the level and the category on one line, and message and exception on lines below that are
    /// indented by six (`SimpleConsoleFormatter`).
    fn two_line_head(&mut self, at: usize) -> Option<Group> {
        if self.lines[at].said == LevelSource::Nowhere || !is_two_line_head(self.texts[at]) {
            return None;
        }
        let below = self.texts[at + 1..].iter().take(MAX_WINDOW - 1);
        let len = 1 + below.take_while(|line| line.starts_with("      ")).count();
        if len == 1 {
            return None;
        }
        let trace = (at + 1..at + len).take(MAX_BETWEEN).map(|next| (next, self.trace(next)));
        let found = trace.into_iter().find(|(_, found)| found.lines > 1);
        let (trace, found) = found.unwrap_or((at + len, trace::Extent::default()));
        Some(Group { len, ..group(at, trace, 0, found) })
    }

    /// Frames without any head that a reader knows, each behind the logger's prefix or the tag at its end, below a line that
    /// has the prefix as well: Rails logs an exception so.
    fn frames(&mut self, at: usize) -> Option<Group> {
        let (one, two) = (self.texts[at], *self.texts.get(at + 1)?);
        let head = &self.lines[at];
        if head.said == LevelSource::Nowhere || head.level < Level::Warn || two.is_empty() {
            return None;
        }
        let prefix = shared_prefix(one, two)?;
        let tag = prefix.trim_end().rfind(' ').map_or(prefix, |at| &prefix[at + 1..]);
        let rest = |line: &'l str| {
            without(line, prefix).or_else(|| without(line, tag)).or_else(|| is_ruby_frame(line).then_some(line))
        };
        if without(one, prefix).is_some_and(is_ruby_frame) {
            return None;
        }
        let frames = self.run.frames(self.texts, at, (prefix, SMALL_WINDOW), rest);
        let last = frames.iter().rposition(|is_frame| *is_frame)?;
        Some(Group { first: at, len: last + 1, trace: at + last + 1, prefix: 0, is_fatal: false, is_whole: false })
    }

    /// The trace that begins at a line.
    fn trace(&mut self, at: usize) -> trace::Extent {
        if let Some(found) = self.found[at] {
            return found;
        }
        let found = self.look(at);
        self.found[at] = Some(found);
        found
    }

    fn look(&mut self, at: usize) -> trace::Extent {
        let nothing = trace::Extent::default();
        let (one, Some(two)) = (self.texts[at], self.texts.get(at + 1)) else { return nothing };
        if one.is_empty() || !(self.lines[at].heads() || self.lines[at + 1].heads() || goes_on(two)) {
            return nothing;
        }
        // Readers give up soon, so most looks need a small window.
        for most in [SMALL_WINDOW, MAX_WINDOW] {
            let barred = self.barred_from(at);
            let window = &self.texts[at..self.texts.len().min(at + most).min(barred)];
            let found = trace::extent_of(window, &self.ahead);
            if found.lines < window.len() || window.len() < most {
                return found;
            }
        }
        trace::Extent { lines: MAX_WINDOW, ..nothing }
    }

    /// The first line from a place on whose text was not kept.
    fn barred_from(&mut self, at: usize) -> usize {
        if !(self.barred.0..=self.barred.1).contains(&at) {
            let next = self.lines[at..].iter().position(|line| line.text.is_gone());
            self.barred = (at, next.map_or(self.lines.len(), |next| at + next));
        }
        self.barred.1
    }
}

fn group(first: usize, trace: usize, prefix: usize, found: trace::Extent) -> Group {
    Group { first, len: trace - first + found.lines, trace, prefix, is_fatal: found.is_fatal, is_whole: found.is_whole }
}

/// Returns true unless a line begins a log call of its own, so that [`may_begin`] would say no as well. Asked of every line:
/// it reads no more than the line's head.
pub(crate) fn may_be_joined(before: &Line<'_>, line: &Line<'_>, text: &str) -> bool {
    is_alike(before, line) && (may_repeat_level(before, line) || !is_fresh(line, text))
}

/// Returns true if both lines have the same level in their texts, at least a warning, as lines have whose logger repeats a prefix.
fn may_repeat_level(before: &Line<'_>, line: &Line<'_>) -> bool {
    before.said != LevelSource::Nowhere
        && line.said == LevelSource::InText
        && line.level >= Level::Warn
        && line.level == before.level
}

/// Returns true if `line` may belong to the same group as `before`, the line above it in its stream. Both are judged.
pub(crate) fn may_begin(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    if !is_alike(before, line) {
        return false;
    }
    let announces = before.said != LevelSource::Nowhere;
    if may_repeat_level(before, line) {
        return !is_fresh(line, texts[1]) || shares_prefix(before, line, texts);
    }
    if line.said == LevelSource::InText && !line.heads() && !goes_on(texts[1]) {
        // It has a level of its own.
        return false;
    }
    let may = goes_on(texts[1])
        || before.heads()
        || line.heads()
        || announces && (texts[1].is_empty() || before.level >= Level::Warn || is_type(texts[1]));
    may && !is_fresh(line, texts[1])
}

/// Returns true if a line may announce or begin a trace that the lines to come go on with.
pub(crate) fn may_lead(line: &Line<'_>, text: &str) -> bool {
    line.is_plain && (line.heads() || is_type(text) || line.said != LevelSource::Nowhere && line.level >= Level::Warn)
        || line.said == LevelSource::InText && is_two_line_head(text)
}

/// The place of the first line at the end of a run that may belong to a group with the lines to come.
pub(crate) fn unfinished(lines: &[Line<'_>], texts: &[&str]) -> usize {
    let groups = Grouping::new(lines, texts).all();
    let end = groups.last().map_or(0, |group| group.first + group.len);
    let is_empty = |text: &&str| text.trim_ascii().is_empty();
    if let Some(last) = groups.last()
        && texts[end..].iter().all(is_empty)
    {
        return last.first;
    }
    // A head, and what may be lines of its message.
    let from = end.max(lines.len().saturating_sub(MAX_BETWEEN + MAX_GAP));
    let candidates = from..lines.len();
    let leads = |at: &usize| may_lead(&lines[*at], texts[*at]);
    let ends = |at: usize| {
        (at + 1..lines.len()).any(|next| lines[next].said == LevelSource::InText && is_fresh(&lines[next], texts[next]))
    };
    candidates.into_iter().filter(leads).find(|at| !ends(*at)).unwrap_or(lines.len())
}

/// Returns true if both lines have the same severity in a field, or neither has it there: a structured record announces no
/// lines of plain text, and plain text does not go on in one.
fn is_alike(one: &Line<'_>, two: &Line<'_>) -> bool {
    match (one.said, two.said) {
        (LevelSource::InField, LevelSource::InField) => one.level == two.level,
        (one, two) => one != LevelSource::InField && two != LevelSource::InField,
    }
}

/// Returns true if `line` may belong to a group of which `before` is the last line so far.
pub(crate) fn may_continue(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    is_alike(before, line) && (!is_fresh(line, texts[1]) || shares_prefix(before, line, texts))
}

/// Returns true if a line begins a log call of its own: it has a time or a level at its head. The type of an exception is no
/// level (`Error: timed out`).
fn is_fresh(line: &Line<'_>, text: &str) -> bool {
    match text.as_bytes() {
        [] | [b' ' | b'\t', ..] => false,
        _ if line.said == LevelSource::InText => !is_exception(text),
        // `[AggregateError: ...] {` below the source that Node shows.
        [b'[', ..] if is_exception(&text[1..]) => false,
        _ => trace::is_log_head(text),
    }
}

/// The text of a line that may be part of a group: one line, not too long.
pub(crate) fn usable(text: &str) -> Option<&str> {
    (text.len() <= MAX_LINE && memchr::memchr(b'\n', text.as_bytes()).is_none()).then_some(text)
}
