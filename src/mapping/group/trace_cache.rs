//! Parses each stack trace in a text once and keeps the result. The trace gives the level of its line when the line is read,
//! and the event of the line at the end of the chunk.

use super::stream_lines::in_chunk;
use super::trace_groups;
use crate::level::Level;
use crate::mapping::trace::{self, Frame, Trace};
use memchr::memchr;
use std::borrow::Cow;

/// Most bytes of frames of one chunk that are kept; beyond it traces are read again. A chunk of Fluent Bit's largest, with
/// nothing but traces, has 5 MB of them.
const MAX_KEPT: usize = 6 << 20;

/// The trace that the message of a record shows.
#[derive(Debug)]
pub(crate) struct DetectedTrace<'c> {
    /// The record's bytes.
    raw: &'c [u8],
    found: Option<(&'c str, Option<Trace<'c>>)>,
}

impl<'c> DetectedTrace<'c> {
    pub(crate) fn new(raw: &'c [u8]) -> Self {
        Self { raw, found: None }
    }

    /// The level of the stack trace in the message, if one is there: without a severity it is an error.
    pub(crate) fn level_of_message(&mut self, message: &[u8]) -> Option<Level> {
        may_show(message).then_some(())?;
        let Some(text) = in_chunk(message, self.raw) else { return level_of(trace::parse(&text(message)).as_ref()) };
        let found = trace::parse(text);
        let bare = found.is_none().then(|| trace_groups::without_prefix(text)).flatten();
        let level = level_of(found.as_ref()).or_else(|| level_of(trace::parse(&bare?).as_ref()));
        self.found = Some((text, found));
        level
    }
}

/// Returns true if a message may show a trace: it has several lines, or its one line tells of a crash.
fn may_show(message: &[u8]) -> bool {
    let is_crash = |message: &[u8]| std::str::from_utf8(message).is_ok_and(trace::is_crash);
    memchr(b'\n', message).is_some() || trace::may_be_crash(message) && is_crash(message)
}

/// The same for a trace in a field of its own.
pub(crate) fn level_of_stack(stack: &[u8]) -> Option<Level> {
    memchr(b'\n', stack)?;
    level_of(trace::parse(&text(stack)).as_ref())
}

fn level_of(trace: Option<&Trace<'_>>) -> Option<Level> {
    trace.map(|trace| if trace.fatal { Level::Fatal } else { Level::Error })
}

/// Returns bytes as text; sequences that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Asked first, since nearly everything is, and knowing that is quicker than looking for what is not.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The traces of a chunk's lines, until their events want them.
#[derive(Debug, Default)]
pub(crate) struct TraceCache<'c> {
    /// By the numbers of their lines, which only rise.
    kept: Vec<(u32, &'c str, Option<Trace<'c>>)>,
    bytes: usize,
}

impl<'c> TraceCache<'c> {
    pub(crate) fn keep(&mut self, line: u32, shown: DetectedTrace<'c>) {
        let Some((text, mut trace)) = shown.found else { return };
        let mut frames = 1;
        if let Some(trace) = &mut trace {
            let of_exceptions = trace.exceptions.iter_mut().map(|exception| &mut exception.frames);
            for stack in of_exceptions.chain(trace.threads.iter_mut().map(|thread| &mut thread.frames)) {
                stack.shrink_to_fit();
                frames += stack.len() + 1;
            }
        }
        let bytes = frames * size_of::<Frame<'_>>();
        if self.bytes + bytes <= MAX_KEPT {
            self.bytes += bytes;
            self.kept.push((line, text, trace));
        }
    }

    /// Returns the result of reading this line, if it was kept and this is the text that it was read from.
    pub(crate) fn take(&mut self, line: u32, text: &str) -> Option<Option<Trace<'c>>> {
        let place = self.kept.binary_search_by_key(&line, |(line, ..)| *line).ok()?;
        let (_, from, trace) = &mut self.kept[place];
        (from.as_ptr() == text.as_ptr() && from.len() == text.len()).then(|| trace.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "thread 'main' panicked at src/main.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1`";

    fn read(raw: &[u8]) -> DetectedTrace<'_> {
        let mut shown = DetectedTrace::new(raw);
        assert_eq!(shown.level_of_message(raw), Some(Level::Fatal));
        shown
    }

    #[test]
    fn returns_a_cached_trace_for_the_same_text_only() {
        let mut traces = TraceCache::default();
        let other = PANIC.to_owned();
        traces.keep(3, read(PANIC.as_bytes()));
        traces.keep(7, read(other.as_bytes()));
        assert_eq!(traces.take(4, PANIC), None);
        assert_eq!(traces.take(7, PANIC), None, "it is equal, but not that text");
        assert_eq!(traces.take(3, PANIC), Some(trace::parse(PANIC)));
        assert_eq!(traces.take(7, &other), Some(trace::parse(PANIC)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut traces = TraceCache::default();
        (0..100_000).for_each(|line| traces.keep(line, read(PANIC.as_bytes())));
        assert!(traces.kept.len() > 1_000 && traces.bytes <= MAX_KEPT);
    }

    #[test]
    fn a_message_that_does_not_stand_in_its_record_is_read_all_the_same() {
        let mut shown = DetectedTrace::new(b"elsewhere");
        assert_eq!(shown.level_of_message(PANIC.as_bytes()), Some(Level::Fatal));
        assert!(shown.found.is_none());
        assert_eq!(level_of_stack(PANIC.as_bytes()), Some(Level::Fatal));
        assert_eq!(text(b"a\xff"), "a\u{fffd}");
    }
}
