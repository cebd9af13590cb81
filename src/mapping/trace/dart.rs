//! Reads Dart's traces: unhandled exceptions of the VM and of Flutter's engine.
//!
//! Frames follow `dart/lib/src/sentry_stack_trace_factory.dart` of Sentry's Dart SDK: the file's name, the URI as
//! `abs_path`, and `in_app` unless the frame belongs to the SDK (`dart:`) or to Flutter. The text has only the message,
//! which tells the type only for the exceptions of the core library.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, Reading, Sought, Stack, is_log_head, joined, number, place, starts_with_any,
};
use std::borrow::Cow;

/// Beginnings of the core library's errors, as `toString` prints them.
const TYPES: [(&str, &str); 9] = [
    ("Bad state: ", "StateError"),
    ("Concurrent modification during iteration", "ConcurrentModificationError"),
    ("Invalid argument", "ArgumentError"),
    ("Null check operator", "TypeError"),
    ("RangeError", "RangeError"),
    ("Stack Overflow", "StackOverflowError"),
    ("Unimplemented", "UnimplementedError"),
    ("Unsupported operation", "UnsupportedError"),
    ("type '", "TypeError"),
];

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    let head =
        ["Unhandled exception:", "Unhandled Exception:"].iter().find_map(|head| Some((line.place_of(head)?, head)));
    let (at, head) = head?;
    let first = line[at + head.len()..].trim();
    // The engine says it in a line of its log, the VM alone.
    if at > 0 && first.is_empty() {
        return None;
    }
    let below = &lines[1..];
    let more = ahead.first(Sought::Dart, below, |line| is_log_head(line) || frame(line, 0).is_some())?;
    (!is_log_head(below[more])).then_some(())?;
    let value = match (first, &lines[1..=more]) {
        ("", []) => return None,
        ("", [first, rest @ ..]) => joined(first.trim(), rest),
        (first, rest) => joined(first, rest),
    };
    let mut stack = Stack::newest_first();
    let (mut at_line, mut index) = (1 + more, 0);
    while let Some(line) = lines.get(at_line) {
        match frame(line, index) {
            Some(frame) => {
                stack.push(frame);
                index += 1;
            }
            None if line.trim() == "<asynchronous suspension>" => {}
            None => break,
        }
        at_line += 1;
    }
    let mut chain = Chain::default();
    chain.add(Exception { ty: Cow::Owned(type_of(&value)), value, frames: stack.finish(), ..Exception::default() });
    let (before, exceptions) = (&line[..at], chain.finish());
    Some(Reading { platform: "other", before, exceptions, fatal: true, used: at_line, shown: 1, ..Reading::default() })
}

/// The type of an exception from its text: `FormatException: ...`, or how the core library says it.
fn type_of(value: &str) -> String {
    if let Some((_, ty)) = TYPES.iter().find(|(begin, _)| value.starts_with(begin)) {
        return (*ty).to_owned();
    }
    let word = value.split([':', ' ', '(', '\n']).next().unwrap_or_default();
    if word.ends_with("Exception") || word.ends_with("Error") { word.to_owned() } else { "Exception".to_owned() }
}

/// `#0      Shelf.take (package:shop/stock/shelf.dart:12:7)`.
fn frame(line: &str, expected: u32) -> Option<Frame<'_>> {
    let (index, rest) = line.strip_prefix('#')?.cut_at_byte(b' ')?;
    if number(index)? != expected {
        return None;
    }
    let (function, inner) = rest.trim_start().strip_suffix(')')?.cut_at_last(" (")?;
    let (path, line, column) =
        place(inner).map_or((inner, None, None), |(path, line, column)| (path, Some(line), column));
    if !path.holds_byte(b':') && !path.ends_with(".dart") {
        return None;
    }
    let file = path.rfind('/').map_or(path, |at| &path[at + 1..]);
    Some(Frame {
        function: Some(Cow::Borrowed(function)),
        filename: Some(Cow::Borrowed(file)),
        abs_path: Some(Cow::Borrowed(path)),
        lineno: line,
        colno: column,
        in_app: Some(!starts_with_any(path, &["dart:", "package:flutter/", "org-dartlang-sdk:"])),
        ..Frame::default()
    })
}
