//! Converts stack traces in fields, whatever their form, to the text that the language prints, because the trace readers
//! read that text.
//!
//! A logger may write a trace as text, as a list of lines, as a list of frames, or as an object with type, message, frames
//! and cause. A value that is not a trace in one of these forms gives nothing and stays an ordinary field.

mod render;
#[cfg(test)]
mod tests;

use crate::chunk::msgpack::{Seq, Value};
use memchr::memchr;
use render::{Style, render, style_of_line};
use std::borrow::Cow;

/// Exceptions of one chain; the causes of a longer one are cut.
const MAX_CHAIN: usize = 32;

/// Data that the record has, in fields of their own, about the exception whose stack a field holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    /// Its type.
    pub ty: Option<&'a [u8]>,
    /// Its message.
    pub message: Option<&'a [u8]>,
}

/// The trace that a field holds, as text of at least two lines. None: the field holds none.
pub(crate) fn text<'a>(value: Value<'a>, about: About<'a>) -> Option<Cow<'a, [u8]>> {
    match value {
        Value::Str(text) | Value::Bin(text) => headed(text, about),
        Value::Array(list) => from_list(list, about).map(Cow::Owned),
        Value::Map(map) => render(&chain(map, about)).map(Cow::Owned),
        _ => None,
    }
}

/// Returns true if a field may hold a trace, without reading it.
pub(crate) fn may_hold(value: Value<'_>) -> bool {
    match value {
        Value::Str(text) => memchr(b'\n', text).is_some(),
        Value::Array(list) | Value::Map(list) => !list.is_empty(),
        _ => false,
    }
}

/// A text; frames without a head get the one that the record has in other fields.
fn headed<'a>(text: &'a [u8], about: About<'a>) -> Option<Cow<'a, [u8]>> {
    let first = text.trim_ascii_start();
    let first = &first[..memchr(b'\n', first).unwrap_or(first.len())];
    if about.ty.is_some() && style_of_line(first).is_some() && !first.starts_with(b"Traceback") {
        let error = Error { ty: about.ty, message: about.message, items: lines(text), place: None };
        return render(&[error]).map(Cow::Owned);
    }
    memchr(b'\n', text).is_some().then_some(Cow::Borrowed(text))
}

fn from_list<'a>(list: Seq<'a>, about: About<'a>) -> Option<Vec<u8>> {
    let first = list.values().next()?;
    if first.map().is_some_and(|map| map.get("exc_type").is_some()) {
        // structlog's dictionaries: the outermost exception first.
        let errors: Vec<Error<'a>> =
            list.values().take(MAX_CHAIN).filter_map(|value| Some(Error::of(value.map()?))).collect();
        return render(&errors);
    }
    render(&[Error { ty: about.ty, message: about.message, items: items(Value::Array(list)), place: None }])
}

/// One exception.
#[derive(Debug, Default)]
struct Error<'a> {
    ty: Option<&'a [u8]>,
    message: Option<&'a [u8]>,
    items: Vec<Item<'a>>,
    /// The file and line in which it was raised, if not in the first frame.
    place: Option<(&'a [u8], u64)>,
}

/// A line of a stack, or a frame with its parts in fields.
#[derive(Clone, Copy, Debug)]
enum Item<'a> {
    Line(&'a [u8]),
    Frame(Seq<'a>),
}

/// The exception of an object, and its causes; the outermost first.
fn chain<'a>(map: Seq<'a>, about: About<'a>) -> Vec<Error<'a>> {
    let mut errors = Vec::new();
    let mut next = Some(map);
    while let Some(map) = next.filter(|_| errors.len() < MAX_CHAIN) {
        // JBoss puts an exception below a key of its own.
        let map = map.get("exception").and_then(|value| value.map()).unwrap_or(map);
        errors.push(Error::of(map));
        next = first(map, &["cause", "causedBy", "previous", "Previous", "innerException", "InnerException"])
            .and_then(|value| value.map());
    }
    if let Some(outermost) = errors.first_mut() {
        outermost.ty = outermost.ty.or(about.ty);
        outermost.message = outermost.message.or(about.message);
    }
    errors
}

impl<'a> Error<'a> {
    fn of(map: Seq<'a>) -> Self {
        const TYPES: [&str; 10] = [
            "exceptionType",
            "exception_class",
            "exc_type",
            "className",
            "class",
            "type",
            "name",
            "Exception",
            "kind",
            "errorType",
        ];
        const MESSAGES: [&str; 8] = [
            "message",
            "exception_message",
            "exc_value",
            "localizedMessage",
            "Message",
            "value",
            "errorMessage",
            "msg",
        ];
        const STACKS: [&str; 12] = [
            "extendedStackTrace",
            "stackTrace",
            "stack_trace",
            "stacktrace",
            "StackTrace",
            "stack",
            "frames",
            "stepArray",
            "backtrace",
            "trace",
            "Trace",
            "stackTraceElements",
        ];
        let text = |names: &[&str]| first(map, names).and_then(|value| value.text()).map(<[u8]>::trim_ascii);
        let file = text(&["file", "File"]);
        let place = file.and_then(|file| match first(map, &["line", "Line"]).and_then(number) {
            Some(line) => Some((file, line)),
            None => split_place(file),
        });
        Self {
            ty: text(&TYPES).filter(|ty| !ty.is_empty()),
            message: text(&MESSAGES),
            items: first(map, &STACKS).map(items).unwrap_or_default(),
            place,
        }
    }

    /// Returns true if the lines begin with the head, so that none has to be made.
    fn has_head(&self) -> bool {
        match self.items.first() {
            Some(Item::Line(line)) => line.starts_with(b"Traceback") || style_of_line(line).is_none(),
            _ => false,
        }
    }
}

fn first<'a>(map: Seq<'a>, names: &[&str]) -> Option<Value<'a>> {
    names.iter().find_map(|name| map.get(name).filter(|value| *value != Value::Nil))
}

fn lines(text: &[u8]) -> Vec<Item<'_>> {
    text.trim_ascii_end().split(|byte| *byte == b'\n').map(Item::Line).collect()
}

fn items(value: Value<'_>) -> Vec<Item<'_>> {
    match value {
        Value::Str(text) | Value::Bin(text) => lines(text),
        Value::Array(list) => list
            .values()
            .flat_map(|value| match value {
                // A text may hold several lines, as Python's do.
                Value::Str(text) => lines(text),
                Value::Map(frame) => vec![Item::Frame(frame)],
                _ => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// `path:12`
fn split_place(text: &[u8]) -> Option<(&[u8], u64)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let line = std::str::from_utf8(&text[colon + 1..]).ok()?.parse().ok()?;
    (colon > 0).then_some((&text[..colon], line))
}

fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::UInt(n) => Some(n),
        Value::Str(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// A frame with its parts in fields.
struct Frame<'a> {
    class: Option<&'a [u8]>,
    function: Option<&'a [u8]>,
    /// The separator between class and function in PHP.
    joint: Option<&'a [u8]>,
    file: Option<&'a [u8]>,
    line: Option<u64>,
}

impl<'a> Frame<'a> {
    fn of(map: Seq<'a>) -> Self {
        let text = |names: &[&str]| first(map, names).and_then(|value| value.text()).filter(|text| !text.is_empty());
        Self {
            class: text(&["class", "className", "declaringClass"]),
            function: text(&["method", "methodName", "function", "func", "name"]),
            joint: text(&["type"]).filter(|joint| matches!(*joint, b"->" | b"::")),
            file: text(&["file", "fileName", "filename", "source"]),
            line: first(map, &["line", "lineNumber", "lineno"]).and_then(number),
        }
    }

    fn style(&self) -> Option<Style> {
        self.function?;
        let ends = |end: &[u8]| self.file.is_some_and(|file| file.ends_with(end));
        Some(match self.class {
            _ if self.joint.is_some() || ends(b".php") => Style::Php,
            _ if ends(b".py") => Style::Python,
            Some(_) => Style::At,
            None if ends(b".js") || ends(b".ts") || ends(b".mjs") || ends(b".cjs") => Style::At,
            None => Style::Go,
        })
    }
}
