//! Writes a stack trace as Sentry's exceptions and threads.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/exception/>. The innermost cause comes
//! first, and the oldest frame comes first. The ids of chained exceptions follow the SDK of each language, see [`Tree`].

use super::in_app::InApp;
use super::json::{self, List, Object};
use super::limit;
use crate::mapping::trace::{Exception, Frame, Relation, Thread, Trace};
use std::borrow::Cow;

/// Most exceptions and threads of one event; beyond it the outermost of the chain stay.
const MAX_EXCEPTIONS: usize = 40;
const MAX_THREADS: usize = 40;

/// Limits for writing a trace.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Bytes of JSON from which on no more frames are written: an event may have a megabyte in all.
    bytes: usize,
    /// Characters of an exception's message.
    value: usize,
}

/// As much as Relay takes.
pub(crate) const FULL: Room = Room { bytes: 400_000, value: limit::MESSAGE };
/// Limits for a trace that is too large.
pub(crate) const LEAN: Room = Room { bytes: 100_000, value: 500 };

/// Data that is known about a trace besides its text.
#[derive(Clone, Copy)]
pub(crate) struct About<'t> {
    /// `mechanism.handled`; `None` leaves it out.
    pub handled: Option<bool>,
    /// The user's own lists of prefixes.
    pub in_app: InApp<'t>,
}

/// Writes the exceptions and the threads printed with them. Adds to `left_out` the parts that had no room.
pub(crate) fn write(
    event: &mut Object<'_>,
    trace: &Trace<'_>,
    about: About<'_>,
    room: Room,
    left_out: &mut Vec<&'static str>,
) {
    let mut left = room.bytes;
    if trace.exceptions.len() > MAX_EXCEPTIONS {
        left_out.push("inner exceptions");
    }
    let mut exception = Object::begin(event.key("exception"));
    let mut values = List::begin(exception.key("values"));
    let tree = Tree::of(trace);
    // The outermost come last and say most.
    for index in trace.exceptions.len().saturating_sub(MAX_EXCEPTIONS)..trace.exceptions.len() {
        let out = values.element();
        let start = out.len();
        write_exception(out, &tree, index, about, (room.value, left > 0));
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    exception.end();
    if left == 0 {
        left_out.push("frames");
    }
    if !trace.threads.is_empty() {
        write_threads(event, &trace.threads, about.in_app, left, left_out);
    }
}

fn write_threads(
    event: &mut Object<'_>,
    all: &[Thread<'_>],
    in_app: InApp<'_>,
    mut left: usize,
    left_out: &mut Vec<&'static str>,
) {
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
        write_thread(out, thread, in_app);
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    threads.end();
}

/// References between the exceptions of a chain.
///
/// The outermost has `exception_id` 0 and is the last in the list; the others count up towards its beginning and have their
/// holder's id as `parent_id`. Either all exceptions of an event have ids or none has: Sentry's grouping (`newstyle.py`,
/// `filter_exceptions_for_exception_groups`) looks at them only if all are there. The languages that send them, with their
/// `source` and `type`:
///
/// | language | ids | source | SDK |
/// |---|---|---|---|
/// | Python | if the outermost is a group | `__cause__`, `__context__`, `exceptions[0]` | `utils.py` `exceptions_from_error` |
/// | Node | if there is more than one exception | `cause`, `errors[0]` | `core/src/utils/aggregate-errors.ts` |
/// | Java | same | none; type `suppressed` | `SentryExceptionFactory.java` |
/// | .NET | same | `InnerException`, `InnerExceptions[0]` | `MainExceptionProcessor.cs` |
/// | Go | same | `unwrap`, `errors[0]` | `exception.go` |
/// | Ruby, PHP, Rust, others | never | | |
struct Tree<'t, 'a> {
    trace: &'t Trace<'a>,
    /// The exceptions have ids.
    linked: bool,
    /// For each exception, if they have ids, its place among the members of its holder.
    places: Vec<u32>,
    /// For each exception whether it is a group.
    groups: Vec<bool>,
}

impl<'t, 'a> Tree<'t, 'a> {
    fn of(trace: &'t Trace<'a>) -> Self {
        let exceptions = &trace.exceptions;
        let mut members = vec![0_u32; exceptions.len()];
        let mut places = vec![0_u32; exceptions.len()];
        // In the order of their ids.
        for (index, exception) in exceptions.iter().enumerate().rev() {
            if let Some(parent) = exception.parent.filter(|_| exception.relation == Relation::Member) {
                places[index] = members[parent];
                members[parent] += 1;
            }
        }
        let by_name = |exception: &Exception<'_>| match trace.platform {
            "python" => matches!(&*exception.ty, "ExceptionGroup" | "BaseExceptionGroup"),
            "csharp" => exception.ty == "System.AggregateException",
            _ => false,
        };
        let groups: Vec<bool> = exceptions.iter().zip(members).map(|(e, members)| members > 0 || by_name(e)).collect();
        let linked = exceptions.len() > 1
            && match trace.platform {
                "node" | "javascript" | "java" | "csharp" | "go" => true,
                "python" => groups.last() == Some(&true),
                _ => false,
            };
        Self { trace, linked, places, groups }
    }

    fn write_mechanism(&self, mechanism: &mut Object<'_>, index: usize, handled: Option<bool>) {
        let exception = &self.trace.exceptions[index];
        let parent = exception.parent.filter(|_| self.linked);
        let ty = match (parent, exception.relation) {
            (Some(_), Relation::Suppressed) => "suppressed",
            (Some(_), _) => "chained",
            (None, _) => "log",
        };
        mechanism.text("type", ty);
        if let Some(handled) = handled {
            mechanism.key("handled").extend_from_slice(if handled { b"true" } else { b"false" });
        }
        if self.linked {
            let id = |index: usize| (self.trace.exceptions.len() - 1 - index) as u64;
            json::integer(mechanism.key("exception_id"), id(index));
            if let Some(parent) = parent {
                json::integer(mechanism.key("parent_id"), id(self.parent_sent(exception, parent)));
                mechanism.text_if("source", self.source(exception.relation, self.places[index]).as_deref());
            }
        }
        if self.groups[index] {
            mechanism.key("is_exception_group").extend_from_slice(b"true");
        }
    }

    /// Python's SDK hands a group's members their holder's id, but causes always that of the outermost.
    fn parent_sent(&self, exception: &Exception<'_>, parent: usize) -> usize {
        match (self.trace.platform, exception.relation) {
            ("python", Relation::Cause | Relation::Context) => self.trace.exceptions.len() - 1,
            _ => parent,
        }
    }

    fn source(&self, relation: Relation, place: u32) -> Option<Cow<'static, str>> {
        let (cause, context, member) = match self.trace.platform {
            "python" => ("__cause__", "__context__", "exceptions"),
            "node" | "javascript" => ("cause", "cause", "errors"),
            "csharp" => ("InnerException", "InnerException", "InnerExceptions"),
            "go" => ("unwrap", "", "errors"),
            _ => return None,
        };
        let source = match relation {
            Relation::Cause => cause,
            Relation::Context => context,
            Relation::Member => return Some(Cow::Owned(format!("{member}[{place}]"))),
            Relation::Outermost | Relation::Suppressed => "",
        };
        Some(Cow::Borrowed(source)).filter(|source| !source.is_empty())
    }
}

fn write_exception(
    out: &mut Vec<u8>,
    tree: &Tree<'_, '_>,
    index: usize,
    about: About<'_>,
    (most, with_frames): (usize, bool),
) {
    let exception = &tree.trace.exceptions[index];
    let mut value = Object::begin(out);
    value.text("type", &limit::chars(&exception.ty, limit::NAME));
    value.text("value", &limit::chars(&exception.value, most));
    value.text_if("module", exception.module.as_deref().map(|m| limit::chars(m, limit::NAME)).as_deref());
    value.text_if("thread_id", exception.thread.as_deref().map(|t| limit::chars(t, limit::NAME)).as_deref());
    let mut mechanism = Object::begin(value.key("mechanism"));
    tree.write_mechanism(&mut mechanism, index, about.handled);
    mechanism.end();
    if with_frames && !exception.frames.is_empty() {
        write_frames(value.key("stacktrace"), &exception.frames, about.in_app);
    }
    value.end();
}

fn write_thread(out: &mut Vec<u8>, thread: &Thread<'_>, in_app: InApp<'_>) {
    let mut value = Object::begin(out);
    value.text("id", &limit::chars(thread.id, limit::NAME));
    value.text("name", &limit::chars(thread.state, limit::NAME));
    value.key("crashed").extend_from_slice(b"false");
    if !thread.frames.is_empty() {
        write_frames(value.key("stacktrace"), &thread.frames, in_app);
    }
    value.end();
}

fn write_frames(out: &mut Vec<u8>, frames: &[Frame<'_>], in_app: InApp<'_>) {
    let mut stacktrace = Object::begin(out);
    let mut list = List::begin(stacktrace.key("frames"));
    for frame in frames {
        let out = list.element();
        let start = out.len();
        text_member(out, b",\"function\":", frame.function.as_deref(), limit::FUNCTION);
        text_member(out, b",\"module\":", frame.module.as_deref(), limit::NAME);
        text_member(out, b",\"filename\":", frame.filename.as_deref(), limit::NAME);
        text_member(out, b",\"abs_path\":", frame.abs_path.as_deref(), limit::NAME);
        text_member(out, b",\"context_line\":", frame.context_line.as_deref(), limit::NAME);
        number_member(out, b",\"lineno\":", frame.lineno);
        number_member(out, b",\"colno\":", frame.colno);
        match in_app.of(frame) {
            Some(true) => out.extend_from_slice(b",\"in_app\":true"),
            Some(false) => out.extend_from_slice(b",\"in_app\":false"),
            None => {}
        }
        // The first member's comma becomes the brace.
        match out.get_mut(start) {
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }
    list.end();
    stacktrace.end();
}

/// A member of a frame with the comma and the key before it: there are many, so each is one copy.
#[inline]
fn text_member<const N: usize>(out: &mut Vec<u8>, head: &[u8; N], text: Option<&str>, most: usize) {
    if let Some(text) = text {
        out.extend_from_slice(head);
        json::string(out, limit::chars(text, most).as_bytes());
    }
}

#[inline]
fn number_member<const N: usize>(out: &mut Vec<u8>, head: &[u8; N], number: Option<u32>) {
    if let Some(number) = number {
        out.extend_from_slice(head);
        json::integer(out, u64::from(number));
    }
}
