//! Reads PHP's traces: uncaught exceptions in the error log, exceptions as strings, and Monolog's (Laravel's) form with line
//! breaks.

use super::find::Find;
use super::frames::php::{frame, unescaped};
use super::{
    Ahead, Chain, Exception, Frame, Reading, Relation, Sought, Stack, is_log_head, number, place, starts_with_any,
};
use std::borrow::Cow;

/// The separators of an exception's parts: PHP's own form, and Monolog's.
struct Form {
    /// Between message and place.
    at: &'static str,
    /// The line above the frames.
    stack: &'static str,
    sought: Sought,
}

const PLAIN: Form = Form { at: " in ", stack: "Stack trace:", sought: Sought::Php };
const MONOLOG: Form = Form { at: " at ", stack: "[stacktrace]", sought: Sought::Monolog };

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    // A log line of Monolog begins with its time.
    let bracket = line.starts_with('[');
    if bracket && let Some(object) = line.place_of("[object] (") {
        let before = line[..object].trim_end_matches("\"exception\":\"").trim_end_matches(['{', ',']);
        return logged((lines, ahead), before, &line[object..]);
    }
    // nginx and Apache put their own line around what PHP says.
    let labelled = bracket || starts_with_any(line, &["PHP ", "Fatal ", "NOTICE: PHP "]) || line.holds("PHP message: ");
    let fatal = if labelled { line.place_of("Fatal error: ") } else { None };
    let fatal = fatal.and_then(|at| Some((at, at + line[at..].place_of("Uncaught ")?)));
    let (before, text) = match fatal {
        Some((at, uncaught)) => (line[..at].trim_end().trim_end_matches("PHP"), &line[uncaught + "Uncaught ".len()..]),
        None => (&line[..0], line),
    };
    plain((lines, ahead), before, text).map(|reading| Reading { fatal: fatal.is_some(), ..reading })
}

/// The previous exception first, each `Next` one around it.
fn plain<'a>(lines: Lines<'_, 'a>, before: &'a str, text: &'a str) -> Option<Reading<'a>> {
    let mut reader = Reader::new(lines, &PLAIN);
    let (index, mut whole) = reader.exception(text)?;
    let mut last = index;
    while whole && let Some(next) = reader.peek(1).and_then(|line| line.strip_prefix("Next ")) {
        reader.at += 1;
        let Some((index, ends)) = reader.exception(next) else {
            whole = false;
            break;
        };
        reader.chain.link(last, index, Relation::Cause);
        (last, whole) = (index, ends);
    }
    reader.at += usize::from(reader.peek(0).is_some_and(|line| line.trim_start().starts_with("thrown in ")));
    Some(reader.reading(before, whole))
}

/// The outermost first, each `[previous exception]` inside of it.
fn logged<'a>(lines: Lines<'_, 'a>, before: &'a str, text: &'a str) -> Option<Reading<'a>> {
    let mut reader = Reader::new(lines, &MONOLOG);
    let object = |text: &'a str| text.strip_prefix("[object] (");
    let (mut last, mut whole) = reader.exception(object(text)?)?;
    while whole && let Some(previous) = reader.peek(1).and_then(|line| line.strip_prefix("[previous exception] ")) {
        reader.at += 1;
        let Some((index, ends)) = object(previous).and_then(|text| reader.exception(text)) else {
            whole = false;
            break;
        };
        reader.chain.link(index, last, Relation::Cause);
        (last, whole) = (index, ends);
    }
    reader.at += usize::from(reader.peek(0).is_some_and(|line| line.starts_with("\"}")));
    Some(reader.reading(before, whole))
}

type Lines<'l, 'a> = (&'l [&'a str], &'l Ahead);

struct Reader<'l, 'a> {
    lines: &'l [&'a str],
    ahead: &'l Ahead,
    at: usize,
    chain: Chain<'a>,
    form: &'static Form,
}

impl<'l, 'a> Reader<'l, 'a> {
    fn new((lines, ahead): Lines<'l, 'a>, form: &'static Form) -> Self {
        Self { lines, ahead, at: 0, chain: Chain::default(), form }
    }

    fn peek(&self, ahead: usize) -> Option<&'a str> {
        self.lines.get(self.at + ahead).copied()
    }

    /// Takes one exception whose header is `text`, the rest of the current line; answers whether its stack is whole.
    fn exception(&mut self, text: &'a str) -> Option<(usize, bool)> {
        let header = self.header(text)?;
        self.at += header.used + 1;
        let (frames, whole) = self.frames(header.place);
        let ty = unescaped(header.ty);
        let index = self.chain.add(Exception { ty, value: header.value, frames, ..Exception::default() });
        Some((index, whole))
    }

    fn header(&self, text: &'a str) -> Option<Header<'a>> {
        let (ty, first) = split_type(text, self.form)?;
        let below = self.lines.get(self.at + 1..)?;
        // Monolog's own stack line looks like the head of a log line.
        let ends = |line: &str| is_stack(line, self.form) || is_log_head(line);
        let more = self.ahead.first(self.form.sought, below, ends).filter(|end| is_stack(below[*end], self.form))?;
        let last = if more == 0 { first } else { self.lines[self.at + more] };
        let end = last.strip_suffix(if self.form.stack == MONOLOG.stack { ")" } else { "" })?;
        let (value, at) = end.cut_at_last(self.form.at)?;
        let (path, line, None) = place(at)? else { return None };
        let value = if more == 0 {
            Cow::Borrowed(value)
        } else {
            let middle = self.lines[self.at + 1..self.at + more].iter().copied();
            Cow::Owned([first].into_iter().chain(middle).chain([value]).collect::<Vec<_>>().join("\n"))
        };
        Some(Header { ty, value, place: (path, line), used: more + 1 })
    }

    /// Takes the frames. PHP says where a function was called; Sentry wants to know where in it the next call is.
    fn frames(&mut self, thrown: (&'a str, u32)) -> (Vec<Frame<'a>>, bool) {
        let mut stack = Stack::newest_first();
        let mut place = Some(thrown);
        for expected in 0.. {
            let Some(call) = self.peek(0).and_then(|line| call(line, expected)) else { return (stack.finish(), false) };
            self.at += 1;
            match call {
                Call::Main => break,
                Call::Function(at, function) => {
                    stack.push(frame(place, function));
                    place = at;
                }
            }
        }
        stack.push(frame(place, None));
        (stack.finish(), true)
    }

    fn reading(self, before: &'a str, whole: bool) -> Reading<'a> {
        let (exceptions, used) = (self.chain.finish(), self.at);
        Reading { platform: "php", before, exceptions, used, broken: !whole, ..Reading::default() }
    }
}

struct Header<'a> {
    ty: &'a str,
    value: Cow<'a, str>,
    place: (&'a str, u32),
    /// Lines of type and message.
    used: usize,
}

/// `Type: rest`, or for Monolog `Type(code: 0): rest`. Without a message the type stands right before the place.
fn split_type<'a>(text: &'a str, form: &Form) -> Option<(&'a str, &'a str)> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '\\' | '@');
    let end = text.find(|c| !part(c))?;
    let (ty, rest) = text.split_at(end);
    if !ty.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '\\')) {
        return None;
    }
    let rest = match rest.strip_prefix("(code: ") {
        Some(coded) if form.stack == MONOLOG.stack => coded.cut_at_byte(b')')?.1,
        _ => rest,
    };
    match rest.strip_prefix(": ") {
        Some(value) => Some((ty, value)),
        None => rest.starts_with(form.at).then_some((ty, rest)),
    }
}

/// Returns true for the line above the frames.
fn is_stack(line: &str, form: &Form) -> bool {
    line.strip_prefix(form.stack).is_some_and(|rest| rest.trim_end().is_empty())
}

enum Call<'a> {
    Main,
    /// The place of the call, unless PHP itself called, and the function that was called.
    Function(Option<(&'a str, u32)>, Option<&'a str>),
}

/// `#0 path(12): function(arguments)`, `#1 [internal function]: function()`, `#2 {main}`, and `#0 path(12)` where a logger
/// gives the places alone.
fn call(line: &str, expected: u32) -> Option<Call<'_>> {
    let (index, text) = line.strip_prefix('#')?.cut_at_byte(b' ')?;
    if number(index)? != expected {
        return None;
    }
    if text.trim_end() == "{main}" {
        return Some(Call::Main);
    }
    if let Some(function) = text.strip_prefix("[internal function]: ") {
        return Some(Call::Function(None, Some(name(function)?)));
    }
    let (at, function) = match text.cut_at("): ") {
        Some((at, function)) => (at, Some(name(function)?)),
        None => (text.strip_suffix(')')?, None),
    };
    let (path, line) = at.cut_at_last_byte(b'(')?;
    Some(Call::Function(Some((path, number(line)?)), function))
}

/// A function without its arguments. A closure's name may have parentheses, in braces.
fn name(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    let open = text.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => (),
        }
        byte == b'(' && depth == 0
    })?;
    (open > 0 && text.trim_end().ends_with(')') && !text[..open].holds_byte(b' ')).then_some(&text[..open])
}
