//! Parses stack traces in text into Sentry's exception chains.
//!
//! There is one file per language family, each with a single reader. Given lines that may begin a trace, the reader returns
//! the trace and the number of lines that it takes. [`extent`] asks only for the number of lines (to join lines that a
//! container runtime split), [`parse`] for both, so the two can never disagree about the end of a trace.
//!
//! A reader is strict: text that it does not fully understand is not a trace, because an event with the plain text is worth
//! more than an event with a wrong frame. Work is linear in the text: a reader that goes on has consumed the lines that it
//! looked at, and one that gives up leaves in `Ahead` how far it has looked, so that it does not look at the same lines again
//! from the next one.

mod ahead;
mod beam;
mod chain;
mod dart;
mod dotnet;
mod find;
mod frames;
mod go;
mod java;
mod model;
mod native;
mod node;
mod perl;
mod php;
mod python;
mod rich;
mod ruby;
mod rust;
mod swift;
mod text;

pub(super) use ahead::Ahead;
use ahead::Sought;
use chain::{Chain, Stack};
use find::Find;
use memchr::{memchr, memchr_iter};
pub use model::{Exception, Frame, Relation, Thread, Trace};
use std::borrow::Cow;
pub(super) use text::is_log_head;
use text::{
    Header, after_any, contains_any, header_within, indent, is_remains, joined, number, place, starts_with_any,
    starts_with_sorted,
};

/// Longest text that [`parse`] looks at.
pub const MAX_TEXT: usize = 1 << 20;
/// Most lines of one trace.
pub const MAX_LINES: usize = 1 << 16;
/// Most exceptions in one trace; a text with more is not a trace that anybody reads.
pub const MAX_EXCEPTIONS: usize = 128;
/// Of more frames than Sentry keeps, these stay: the oldest and the newest.
pub const OLDEST_FRAMES: usize = 50;
/// See [`OLDEST_FRAMES`].
pub const NEWEST_FRAMES: usize = 200;
/// Most stacks have no more.
const USUAL_FRAMES: usize = 24;
/// Most lines in which a reader looks for the first frame below an exception's header: messages have lines of their own.
const LOOKAHEAD: usize = 64;

/// Reads a text that holds a stack trace. None: there is none, or not fully understood.
///
/// The first trace of the text counts; the text before and after it is [`Trace::message`].
pub fn parse(text: &str) -> Option<Trace<'_>> {
    if text.len() > MAX_TEXT || !(memchr(b'\n', text.as_bytes()).is_some() || is_crash(text)) {
        return None;
    }
    let lines = lines(text)?;
    let ahead = Ahead::default();
    let (at, reading) = (0..lines.len()).find_map(|at| Some((at, read(&lines[at..], &ahead)?)))?;
    reading.into_trace(text, &lines, at)
}

/// Returns true if the first and last bytes of a single line allow it to tell of a crash. Called for every message.
#[inline]
pub fn may_be_crash(line: &[u8]) -> bool {
    let by_ends = matches!(line, [b't' | b'l' | b'E' | b'T' | b'A' | b'F' | b'S' | b'P' | b'O', ..] | [.., b')']);
    by_ends || is_swift(line)
}

/// Returns true if a line begins with the place of a Swift file.
fn is_swift(line: &[u8]) -> bool {
    let head = &line[..line.len().min(128)];
    memchr(b':', head).is_some_and(|colon| head[..colon].ends_with(b".swift"))
}

/// Returns true if a single line may tell of a crash. Nearly all messages are one line, and nearly all of those are rejected
/// by their first and last characters.
pub fn is_crash(line: &str) -> bool {
    let bytes = line.as_bytes();
    let by_head = match bytes {
        [b't', ..] => line.starts_with("thread '") || native::is_end(line),
        [b'l', ..] => native::is_end(line),
        [b'E' | b'T' | b'A', ..] => java::crash(line).is_some(),
        [b'F', ..] => swift::fatal_error(line).is_some() || dotnet::crash(line),
        [b'S' | b'P' | b'O', ..] => dotnet::crash(line),
        _ => false,
    };
    // An error that Ruby did not catch.
    let by_tail = || bytes.last() == Some(&b')') && line.holds(":in ");
    by_head || by_tail() || is_swift(bytes) && swift::fatal_error(line).is_some()
}

/// The lines of a text, if they are not too many.
fn lines(text: &str) -> Option<Vec<&str>> {
    let mut lines = Vec::with_capacity(64);
    let mut start = 0;
    for end in memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        let line = &text[start..end];
        lines.push(line.strip_suffix('\r').unwrap_or(line));
        start = end + 1;
        if lines.len() > MAX_LINES {
            return None;
        }
    }
    Some(lines)
}

/// The length of a trace, and the facts that it states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of lines; 0 if no trace begins with the first of them.
    pub lines: usize,
    /// The program, or a thread of it, ended.
    pub is_fatal: bool,
    /// The trace is read to its end.
    pub is_whole: bool,
}

/// Returns the number of `lines` that the trace takes that begins with the first of them; 0 if none begins there.
pub fn extent(lines: &[&str]) -> usize {
    extent_of(lines, &Ahead::default()).lines
}

/// The trace that begins with the first of `lines`, which are lines of one stream, in order.
///
/// A log line that announces the trace (`ERROR order failed`) is not part of it: the caller knows its severity and whether
/// to attach it. A trace broken off in the middle takes the lines it has, though [`parse`] will not have it: one event
/// with its text is better than one for each line.
pub(super) fn extent_of(lines: &[&str], ahead: &Ahead) -> Extent {
    let Some(reading) = read(&lines[..lines.len().min(MAX_LINES)], ahead) else { return Extent::default() };
    let mut room = MAX_TEXT;
    let fits = |line: &&&str| {
        let fits = line.len() < room;
        room = room.saturating_sub(line.len() + 1);
        fits
    };
    // What is too long for `parse` is cut here, so that it is a trace with an end missing and not a heap of lines.
    let count = lines[..reading.used].iter().take_while(fits).count();
    let is_whole = !reading.broken && reading.exceptions.is_some();
    Extent { lines: count, is_fatal: reading.fatal, is_whole }
}

/// The result of a reader at the head of its lines.
#[derive(Debug, Default)]
struct Reading<'a> {
    platform: &'static str,
    /// The text before the head of the trace on its line.
    before: &'a str,
    /// None: more exceptions than can be taken.
    exceptions: Option<Vec<Exception<'a>>>,
    threads: Vec<Thread<'a>>,
    fatal: bool,
    /// The text says that nobody caught the exception, though the program goes on.
    unhandled: bool,
    /// The number of lines, from the head on, that stay in the message, because they hold text that no exception holds.
    shown: usize,
    /// Number of lines.
    used: usize,
    /// The trace began, but did not end as one must.
    broken: bool,
}

impl<'a> Reading<'a> {
    fn into_trace(self, text: &'a str, lines: &[&'a str], at: usize) -> Option<Trace<'a>> {
        // A frame above the trace belongs to another one, or to a head of this one that nobody understood; one right
        // below it belongs to this one, but could not be read.
        let cut = lines[..at].iter().chain(lines.get(at + self.used)).any(|line| is_remains(line));
        if self.broken || cut {
            return None;
        }
        let offset = |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
        let begin = offset(lines[at]);
        let after = lines.get(at + self.used).map_or("", |line| &text[offset(line)..]);
        // Between what is above the trace and what is before its head may be source that Node shows.
        let apart = !self.before.is_empty() && offset(self.before) != begin;
        let message = match apart {
            _ if self.shown > 0 => {
                let last = lines[at + self.shown - 1];
                in_lines([&text[..offset(last) + last.len()], after])
            }
            false => in_lines([&text[..begin + self.before.len()], after]),
            true => in_lines([&text[..begin], self.before, after]),
        };
        let Reading { platform, threads, fatal, unhandled, .. } = self;
        let unhandled = fatal || unhandled;
        Some(Trace { platform, exceptions: self.exceptions?, threads, message, fatal, unhandled })
    }
}

/// Those parts that say something, each trimmed and on a line of its own.
fn in_lines<const PARTS: usize>(parts: [&str; PARTS]) -> Cow<'_, str> {
    let mut parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or("");
    parts.fold(Cow::Borrowed(first), |above, part| Cow::Owned(format!("{above}\n{part}")))
}

/// Looks for a trace that begins at the first line.
type Reader = for<'l, 'm, 'a> fn(&'l [&'a str], &'m Ahead) -> Option<Reading<'a>>;

/// In the order they are asked; each is strict enough not to take another's trace.
const READERS: [Reader; 14] = [
    python::read,
    java::read,
    rust::read,
    node::read,
    dotnet::read,
    go::read,
    ruby::read,
    php::read,
    rich::read,
    native::read,
    beam::read,
    dart::read,
    swift::read,
    perl::read,
];

/// The first whole trace any reader finds, else the first broken one.
fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    if may_begin(lines) { ask(lines, ahead) } else { None }
}

/// Returns true if it is worth calling the readers. They would reject ordinary lines as well, each on its own and all of
/// them slowly; this is called for every line of every log.
fn may_begin(lines: &[&str]) -> bool {
    // Some print a function and its place on two lines.
    let deeper = lines.get(2).is_some_and(|line| line.starts_with([' ', '\t']));
    deeper || lines.get(1).is_some_and(|line| may_follow(line)) || lines.first().is_some_and(|line| may_head(line))
}

/// Returns true if a line may stand right below the first one of a trace.
fn may_follow(line: &str) -> bool {
    const WORDS: [&str; 7] = ["at ", "Stack trace:", "[stacktrace]", "goroutine ", "Caused by:", "... ", "---> "];
    match line.as_bytes() {
        [] | [b' ' | b'\t' | b'#', ..] | [.., b'\''] => true,
        [b'a' | b'S' | b'[' | b'g' | b'C' | b'.' | b'-', ..] if starts_with_any(line, &WORDS) => true,
        [.., b'0'..=b'9' | b']'] => line.holds_byte(b'@') || line.holds(".rb:"),
        _ => false,
    }
}

/// Returns true if a line may be the first of a trace, whatever follows.
fn may_head(line: &str) -> bool {
    const TRACEBACK: &str = "Traceback (most recent call last)";
    const WORDS: [&str; 14] = [
        "Error in process <",
        "future: <",
        "Stack overflow.",
        "Exception in thread",
        "Unhandled ",
        "Uncaught ",
        "Traceback ",
        "Fatal error",
        "PHP ",
        "fatal error",
        "goroutine ",
        "thread '",
        "unexpected fault ",
        "File \"",
    ];
    let text = &line[indent(line)..];
    match text.as_bytes() {
        [b'[', ..] => text.ends_with([')', '{', ':']) || contains_any(text, &["[object] (", "Fatal error: "]),
        [b'+', ..] | [b'/', .., b'0'..=b'9'] | [.., b')'] => true,
        [b'=' | b'*', ..] => starts_with_any(text, &["==", "** (", "*** Program crashed: "]),
        bytes => {
            let word = bytes.iter().position(|byte| matches!(byte, b' ' | b':' | b'=' | b'"')).unwrap_or(bytes.len());
            let next = bytes.get(word..).and_then(|rest| rest.get(..2)).unwrap_or(b": ");
            let named =
                bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$') || !b.is_ascii());
            let headed = next[0] == b':' || matches!(next, b" (" | b" [");
            (named && headed)
                || starts_with_any(text, &WORDS)
                || text.ends_with("last):")
                || text.ends_with("exception")
                || is_crash(text)
                || contains_any(text, &["panic recovered:", TRACEBACK, " crashed: ", ": #<"])
        }
    }
}

fn ask<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let mut broken = None;
    for reader in READERS {
        match reader(lines, ahead) {
            Some(reading) if !reading.broken => return Some(reading),
            reading => broken = broken.or(reading),
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Checks that `may_begin` lets through all lines that a reader takes.
    #[test]
    fn nothing_is_overlooked() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");
        let folders = fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path());
        let files = folders.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
        let texts = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "txt"));
        for path in texts {
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            for at in 0..lines.len() {
                assert!(
                    may_begin(&lines[at..]) || ask(&lines[at..], &Ahead::default()).is_none(),
                    "{}: {}",
                    path.display(),
                    lines[at]
                );
            }
        }
    }

    #[test]
    fn prefixes_are_found_in_sorted_lists() {
        assert!(frames::go::STANDARD.is_sorted());
        for list in [&frames::java::LIBRARIES[..], &rust::LIBRARIES] {
            assert!(list.windows(2).all(|two| two[0] < two[1] && !two[1].starts_with(two[0])), "{list:?}");
            for prefix in list {
                for text in
                    [(*prefix).to_owned(), format!("{prefix}x"), format!("{prefix}\u{10ffff}"), format!("x{prefix}")]
                {
                    assert_eq!(starts_with_sorted(&text, list), starts_with_any(&text, list), "{text}");
                }
                let cut = &prefix[..prefix.len() - 1];
                assert_eq!(starts_with_sorted(cut, list), starts_with_any(cut, list), "{cut}");
            }
        }
    }

    #[test]
    fn places() {
        assert_eq!(place("a.rs:1:2"), Some(("a.rs", 1, Some(2))));
        assert_eq!(place("a.rs:1"), Some(("a.rs", 1, None)));
        assert_eq!(place("http://a:80/b.js:1:2"), Some(("http://a:80/b.js", 1, Some(2))));
        assert_eq!(place(":1"), None);
        assert_eq!(place("a.rs:"), None);
        assert_eq!(place("a.rs:99999999999"), None);
    }

    #[test]
    fn too_many_frames_lose_their_middle() {
        let mut stack = Stack::newest_first();
        (1..=5000).for_each(|line| stack.push(Frame { lineno: Some(line), ..Frame::default() }));
        let lines: Vec<u32> = stack.finish().iter().filter_map(|frame| frame.lineno).collect();
        assert_eq!((lines.len(), lines[0], lines[49], lines[50], lines[249]), (250, 5000, 4951, 200, 1));
        let mut stack = Stack::oldest_first();
        (1..=5000).for_each(|line| stack.push(Frame { lineno: Some(line), ..Frame::default() }));
        let lines: Vec<u32> = stack.finish().iter().filter_map(|frame| frame.lineno).collect();
        assert_eq!((lines.len(), lines[0], lines[49], lines[50], lines[249]), (250, 1, 50, 4801, 5000));
    }
}
