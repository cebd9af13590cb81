//! Reads .NET's traces (C#, F# and Visual Basic), with inner exceptions and aggregates.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, Header, Reading, Relation, Sought, Stack, frames, header_within, indent,
    is_log_head, joined, number, starts_with_any,
};
use std::borrow::Cow;

const INNER: &str = "---> ";
const INNER_END: &str = "--- End of inner exception stack trace ---";
const PREVIOUS: &str = "--- End of stack trace from previous location";
/// Ends a member of an aggregate.
const MEMBER_END: &str = "<---";
const AGGREGATE: &str = "System.AggregateException";
/// The message of an aggregate that was given none.
const USUAL_MESSAGE: &str = "One or more errors occurred.";
pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    if lines.first().is_some_and(|line| crash(line)) {
        return Some(crashed(lines));
    }
    let (before, text, fatal) = opening(lines, ahead)?;
    let mut tree =
        Tree { lines, ahead, at: 0, chain: Chain::default(), stacks: Vec::new(), open: Vec::new(), repeated: None };
    let whole = tree.headers(text, Relation::Outermost).and_then(|()| tree.body());
    let framed = tree.stacks.iter().any(|stack| !stack.frames.is_empty());
    // Inner exceptions without a frame are no trace, but lines that were looked at must be passed.
    (framed || tree.chain.0.len() > 1).then(|| Reading {
        platform: "csharp",
        before,
        fatal,
        used: tree.at,
        broken: !framed || whole.is_none() || tree.open.len() != 1,
        exceptions: tree.finish(),
        ..Reading::default()
    })
}

/// A line by which the runtime says that it ends the process.
pub(super) fn crash(line: &str) -> bool {
    let line = line.bare_end();
    let whole = ["Stack overflow.", "Out of memory.", "Process is terminating due to StackOverflowException."];
    whole.contains(&line) || line.strip_prefix("Fatal error. ").is_some_and(|rest| rest.ends_with(['.', ')']))
}

/// The end of a process with the stack below, of which the runtime prints a part that repeats itself only once.
fn crashed<'a>(lines: &[&'a str]) -> Reading<'a> {
    let mut stack = Stack::newest_first();
    let mut details = Vec::new();
    let mut used = 1;
    for line in &lines[1..] {
        let text = line.bare();
        if let Some(frame) = frame(line) {
            stack.push(frame);
        } else if text.starts_with("Repeat ") && text.ends_with(" times:") {
            details.push(text);
        } else if text.is_empty() || !text.bytes().all(|byte| byte == b'-') {
            break;
        }
        used += 1;
    }
    let mut chain = Chain::default();
    if !stack.frames.is_empty() {
        let text = lines[0].bare_end();
        let (ty, value) = match text.strip_prefix("Fatal error. ") {
            Some(rest) => {
                header(rest).filter(is_type).map_or(("Fatal error", rest), |header| (header.ty, header.value))
            }
            None if text.contains("overflow") => ("System.StackOverflowException", text),
            None => ("System.OutOfMemoryException", text),
        };
        let (ty, value) = (Cow::Borrowed(ty), Cow::Borrowed(value));
        chain.add(Exception { ty, value, frames: stack.finish(), details, ..Exception::default() });
    }
    Reading { platform: "csharp", exceptions: chain.finish(), fatal: true, used, shown: 1, ..Reading::default() }
}

/// Returns the text before the trace on its line, the line from its header on, and true if the process ends.
fn opening<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<(&'a str, &'a str, bool)> {
    let line = *lines.first()?;
    let text = line.bare_start();
    let label = ["Unhandled exception. ", "Unhandled Exception: "].iter().find_map(|label| text.strip_prefix(label));
    let start = label.unwrap_or(text);
    let alone = header(start).filter(|header| is_type(header) && message_lines(&lines[1..], ahead).is_some());
    if label.is_some() || alone.is_some_and(|header| header.is_telling()) {
        return alone.map(|_| (&line[..0], start, label.is_some()));
    }
    let next = lines.get(1).is_some_and(|line| is_structure(line));
    let within = if next { header_within(line, header).map(|(before, _)| before) } else { None };
    match within {
        Some(before) => Some((before, &line[before.len()..], false)),
        None => alone.map(|_| (&line[..0], start, false)),
    }
}

/// `Type`, `Type: message`, `Type (0x80004005): message`.
fn header(text: &str) -> Option<Header<'_>> {
    super::text::header(text, &['+', '`', '[', ']', ','], ['(', ')'])
}

fn is_type(header: &Header) -> bool {
    header.ty.cut_at_last_byte(b'.').is_some_and(|(_, name)| name.starts_with(char::is_uppercase))
        || header.is_telling()
}

/// Returns true if a line is a frame or a separator.
fn is_structure(line: &str) -> bool {
    let text = line.bare_start();
    frame(line).is_some() || starts_with_any(text, &[INNER, INNER_END, PREVIOUS])
}

/// Lines until the next frame or separator; none if there is none, or something else comes first.
fn message_lines(lines: &[&str], ahead: &Ahead) -> Option<usize> {
    let another = |line: &str| indent(line) == 0 && header(line).is_some_and(|header| is_type(&header));
    let ends = |line: &str| is_structure(line) || is_log_head(line) || another(line);
    ahead.first(Sought::Dotnet, lines, ends).filter(|end| is_structure(lines[*end]))
}

struct Tree<'l, 'a> {
    lines: &'l [&'a str],
    ahead: &'l Ahead,
    at: usize,
    chain: Chain<'a>,
    /// As printed; of the exception with the same index.
    stacks: Vec<Stack<'a>>,
    /// Exceptions whose own frames are still to come, the outermost first.
    open: Vec<usize>,
    /// The open exception that was printed before.
    repeated: Option<usize>,
}

impl<'a> Tree<'_, 'a> {
    /// Takes the header in `text`, the rest of the current line, and the message's other lines. Until .NET Core the
    /// inner exceptions stood on the same line.
    fn headers(&mut self, text: &'a str, mut relation: Relation) -> Option<()> {
        let ends = text.ends_with(MEMBER_END);
        let mut text = text.bare_end();
        let inner = |text: &'a str| {
            let (text, inner) = text.cut_at(" ---> ")?;
            header(inner).filter(is_type).map(|_| (text, inner))
        };
        while let Some((outer, inner)) = inner(text) {
            let header = header(outer).filter(is_type)?;
            self.add(header, Cow::Borrowed(header.value), relation);
            (text, relation) = (inner, Relation::Cause);
        }
        let last = if ends { text.strip_suffix(MEMBER_END).unwrap_or(text) } else { text };
        let header = header(last).filter(is_type)?;
        let below = &self.lines[self.at + 1..];
        let more = if ends { 0 } else { message_lines(below, self.ahead)? };
        self.add(header, self.message(header.value, &below[..more]), relation);
        self.at += 1 + more;
        if ends { self.close() } else { Some(()) }
    }

    /// A message without the indentation that a logger gave the whole trace.
    fn message(&self, first: &'a str, rest: &[&'a str]) -> Cow<'a, str> {
        let margin = indent(self.lines[0]);
        let rest: Vec<&str> = rest.iter().map(|line| &line[indent(line).min(margin)..]).collect();
        joined(first, &rest)
    }

    fn add(&mut self, header: Header<'a>, value: Cow<'a, str>, relation: Relation) {
        let details = if header.code.is_empty() { Vec::new() } else { vec![header.code] };
        let index = self.chain.add(Exception { ty: Cow::Borrowed(header.ty), value, details, ..Exception::default() });
        if let Some(&parent) = self.open.last() {
            self.chain.link(index, parent, relation);
        }
        self.stacks.push(Stack::newest_first());
        self.open.push(index);
    }

    /// Ends the innermost open exception; the outermost one has no end.
    fn close(&mut self) -> Option<()> {
        if let Some(again) = self.open.pop().filter(|closed| self.repeated == Some(*closed)) {
            self.chain.0.truncate(again);
            self.stacks.truncate(again);
            self.repeated = None;
        }
        (!self.open.is_empty()).then_some(())
    }

    /// Takes all lines below the first header. None: the trace breaks off.
    fn body(&mut self) -> Option<()> {
        while let Some(line) = self.lines.get(self.at).copied() {
            let text = line.bare();
            if let Some(inner) = text.strip_prefix(INNER) {
                self.inner(inner)?;
                continue;
            }
            let ends = text.ends_with(MEMBER_END);
            if let Some(frame) = frame(line) {
                self.stacks[*self.open.last()?].push(frame);
            } else if text == INNER_END {
                self.close()?;
            } else if !(text == MEMBER_END || text.starts_with(PREVIOUS) || self.blank_between(text)) {
                let more = if self.open.len() > 1 { message_lines(&self.lines[self.at..], self.ahead) } else { None };
                // A separator with something else on its line is no detail, and nothing that is understood.
                let Some(more) = more.filter(|more| *more > 0) else { break };
                let lines = self.lines[self.at..self.at + more].iter().map(|line| line.bare());
                self.chain.0[*self.open.last()?].details.extend(lines);
                self.at += more;
                continue;
            }
            self.at += 1;
            if ends {
                self.close()?;
            }
        }
        Some(())
    }

    /// `(Inner Exception #1) Type: message` of an aggregate, or a plain inner exception.
    fn inner(&mut self, text: &'a str) -> Option<()> {
        match text.strip_prefix("(Inner Exception #") {
            Some(numbered) => {
                let (number, header) = numbered.cut_at(") ")?;
                // The first member is the inner exception, which .NET Framework prints a second time.
                if number == "0" {
                    self.repeated.get_or_insert(self.chain.0.len());
                }
                self.headers(header, Relation::Member)
            }
            None => self.headers(text, Relation::Cause),
        }
    }

    /// Each member of an aggregate ends with a line feed of its own.
    fn blank_between(&self, text: &str) -> bool {
        let next = self.lines.get(self.at + 1).map_or("", |line| line.bare_start());
        text.is_empty() && (is_structure(next) || next == MEMBER_END)
    }

    fn finish(mut self) -> Option<Vec<Exception<'a>>> {
        for (exception, stack) in self.chain.0.iter_mut().zip(std::mem::take(&mut self.stacks)) {
            exception.frames = stack.finish();
        }
        self.aggregates();
        self.chain.finish()
    }

    /// Makes the inner exception of an aggregate its first member, which it is, and takes the members' messages off the
    /// aggregate's own: `AggregateException.Message` appends them, the SDK sends the message without
    /// (`GetRawMessage` in `MainExceptionProcessor.cs`).
    fn aggregates(&mut self) {
        let all = &mut self.chain.0;
        let mut is_aggregate: Vec<bool> = all.iter().map(|exception| exception.ty == AGGREGATE).collect();
        for exception in all.iter() {
            if let Some(parent) = exception.parent.filter(|_| exception.relation == Relation::Member) {
                is_aggregate[parent] = true;
            }
        }
        let mut appended = vec![String::new(); all.len()];
        for exception in all.iter_mut() {
            if let Some(parent) = exception.parent.filter(|&parent| is_aggregate[parent]) {
                exception.relation = Relation::Member;
                appended[parent].extend([" (", &exception.value, ")"]);
            }
        }
        for (exception, appended) in all.iter_mut().zip(appended).filter(|(_, appended)| !appended.is_empty()) {
            let own = exception.value.strip_suffix(&*appended).map(str::len);
            // A message that was cut, or that has lines of its own, is not found again.
            let usual = || exception.value.starts_with(USUAL_MESSAGE).then_some(USUAL_MESSAGE.len());
            if let Some(len) = own.or_else(usual) {
                exception.value = match std::mem::take(&mut exception.value) {
                    Cow::Borrowed(value) => Cow::Borrowed(&value[..len]),
                    Cow::Owned(value) => Cow::Owned(value[..len].to_owned()),
                };
            }
        }
    }
}

/// `at Namespace.Class.Method[T](Type name, ...)[ in path:line 12]`; Mono has a blank before the parenthesis, and
/// ` [0x00110] in path:12` behind it. The last frame of an aggregate's member has the member's end behind it.
fn frame(line: &str) -> Option<Frame<'_>> {
    let text = line.bare();
    let text = text.strip_suffix(MEMBER_END).unwrap_or(text);
    let text = text.strip_prefix("at ").filter(|_| indent(line) > 0)?;
    let known = text.cut_at_last(" in ").and_then(|(text, place)| Some((text, file(place)?)));
    let (signature, place) = match (known, text.cut_at(" [0x")) {
        (Some((signature, place)), _) => (signature, Some(place)),
        (None, Some((signature, place))) if signature.ends_with(')') => (signature, mono_file(place)),
        _ => (text, None),
    };
    let (name, arguments) = signature.strip_suffix(')')?.cut_at_byte(b'(')?;
    let name = if text.len() > signature.len() { name.strip_suffix(' ').unwrap_or(name) } else { name };
    // Java's frames have a file and a line there.
    if name.is_empty() || name.holds_any(b" /@:") || arguments.holds_any(b":/@") {
        return None;
    }
    let (module, function) = match method(name) {
        Some(at) => (Some(Cow::Borrowed(&name[..at])), &name[at + 1..]),
        None => (None, name),
    };
    let (path, line) = place.unzip();
    let path = path.unwrap_or("");
    let in_app = frames::dotnet::in_app(name);
    let frame = Frame::in_file(path, path, line, None);
    Some(Frame { function: Some(Cow::Borrowed(function)), module, in_app: Some(in_app), ..frame })
}

/// `path:line 12`
fn file(text: &str) -> Option<(&str, u32)> {
    let (path, line) = text.cut_at_last(":line ")?;
    Some((path, number(line)?))
}

/// Returns the file and line that follow the offset. Without debug information, a number in angle brackets is there instead.
fn mono_file(text: &str) -> Option<(&str, u32)> {
    let (path, line, _) = super::place(text.cut_at("] in ")?.1)?;
    (!path.starts_with('<')).then_some((path, line))
}

/// Returns the position of the dot before the method's name: the last one outside of brackets, or the first of `..ctor`.
fn method(name: &str) -> Option<usize> {
    let mut depth = 0usize;
    let dot = name.bytes().enumerate().rev().find(|&(_, byte)| {
        match byte {
            b']' | b'>' => depth += 1,
            b'[' | b'<' => depth = depth.saturating_sub(1),
            _ => (),
        }
        byte == b'.' && depth == 0
    })?;
    Some(if name[..dot.0].ends_with('.') { dot.0 - 1 } else { dot.0 })
}
