//! A stack trace as Sentry's exceptions and threads.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/exception/>. Innermost cause first, frames
//! oldest first.

use super::json::{self, List, Object};
use super::limit;
use super::trace::{Exception, Frame, Thread, Trace};
use std::borrow::Cow;

/// Most exceptions and threads of one event; beyond it the outermost of the chain stay.
const MAX_EXCEPTIONS: usize = 40;
const MAX_THREADS: usize = 40;

/// How much of a trace is written.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Bytes of JSON from which on no more frames are written: an event may have a megabyte in all.
    bytes: usize,
    /// Characters of an exception's message.
    value: usize,
}

/// As much as Relay takes.
pub(super) const FULL: Room = Room { bytes: 400_000, value: limit::MESSAGE };
/// What is left of a trace that is too large.
pub(super) const LEAN: Room = Room { bytes: 100_000, value: 500 };

/// Writes the exceptions, and the threads printed with them; says what had no room.
pub(super) fn write(event: &mut Object<'_>, trace: &Trace<'_>, room: Room, left_out: &mut Vec<&'static str>) {
    let mut left = room.bytes;
    if trace.exceptions.len() > MAX_EXCEPTIONS {
        left_out.push("inner exceptions");
    }
    let mut exception = Object::begin(event.key("exception"));
    let mut values = List::begin(exception.key("values"));
    // The outermost come last and say most.
    for value in &trace.exceptions[trace.exceptions.len().saturating_sub(MAX_EXCEPTIONS)..] {
        let out = values.element();
        let start = out.len();
        write_exception(out, value, trace.fatal, room.value, left > 0);
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    exception.end();
    if left == 0 {
        left_out.push("frames");
    }
    if !trace.threads.is_empty() {
        write_threads(event, &trace.threads, left, left_out);
    }
}

fn write_threads(event: &mut Object<'_>, all: &[Thread<'_>], mut left: usize, left_out: &mut Vec<&'static str>) {
    if all.len() > MAX_THREADS || left == 0 {
        left_out.push("threads");
    }
    if left == 0 {
        return;
    }
    let mut threads = Object::begin(event.key("threads"));
    let mut values = List::begin(threads.key("values"));
    for thread in all.iter().take(MAX_THREADS) {
        if left == 0 {
            left_out.push("threads");
            break;
        }
        let out = values.element();
        let start = out.len();
        write_thread(out, thread);
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    threads.end();
}

fn write_exception(out: &mut Vec<u8>, exception: &Exception<'_>, fatal: bool, most: usize, with_frames: bool) {
    let mut value = Object::begin(out);
    value.text("type", &limit::chars(&exception.ty, limit::NAME));
    value.text("value", &limit::chars(&exception.value, most));
    value.text_if("module", exception.module.as_deref().map(|m| limit::chars(m, limit::NAME)).as_deref());
    value.text_if("thread_id", exception.thread.as_deref().map(|t| limit::chars(t, limit::NAME)).as_deref());
    let mut mechanism = Object::begin(value.key("mechanism"));
    mechanism.text("type", "log");
    mechanism.key("handled").extend_from_slice(if fatal { b"false" } else { b"true" });
    mechanism.end();
    if with_frames && !exception.frames.is_empty() {
        write_frames(value.key("stacktrace"), &exception.frames);
    }
    value.end();
}

fn write_thread(out: &mut Vec<u8>, thread: &Thread<'_>) {
    let mut value = Object::begin(out);
    value.text("id", &limit::chars(thread.id, limit::NAME));
    value.text("name", &limit::chars(thread.state, limit::NAME));
    value.key("crashed").extend_from_slice(b"false");
    if !thread.frames.is_empty() {
        write_frames(value.key("stacktrace"), &thread.frames);
    }
    value.end();
}

fn write_frames(out: &mut Vec<u8>, frames: &[Frame<'_>]) {
    let mut stacktrace = Object::begin(out);
    let mut list = List::begin(stacktrace.key("frames"));
    for frame in frames {
        let mut value = Object::begin(list.element());
        let mut text = |key: &str, text: &Option<Cow<'_, str>>, most: usize| {
            value.text_if(key, text.as_deref().map(|text| limit::chars(text, most)).as_deref());
        };
        text("function", &frame.function, limit::FUNCTION);
        text("module", &frame.module, limit::NAME);
        text("filename", &frame.filename, limit::NAME);
        text("abs_path", &frame.abs_path, limit::NAME);
        text("context_line", &frame.context_line, limit::NAME);
        for (key, number) in [("lineno", frame.lineno), ("colno", frame.colno)] {
            if let Some(number) = number {
                json::integer(value.key(key), u64::from(number));
            }
        }
        if let Some(in_app) = frame.in_app {
            value.key("in_app").extend_from_slice(if in_app { b"true" } else { b"false" });
        }
        value.end();
    }
    list.end();
    stacktrace.end();
}
