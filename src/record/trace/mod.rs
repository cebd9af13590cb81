//! Stack traces as text, read into Sentry's exception chains.
//!
//! One file per language family, each a single reader: given lines that may begin a trace, it says what the trace is
//! and how many lines it takes. [`extent`] asks only for the latter (to join lines that a container runtime split),
//! [`parse`] for both, so the two can never disagree about where a trace ends.
//!
//! A reader is strict. What it does not fully understand is no trace: an event with the plain text is worth more than
//! one with a wrong frame. Work is linear in the text: a reader that gives up has looked at no more than `LOOKAHEAD`
//! lines, and one that goes on has consumed what it looked at.

mod dotnet;
mod find;
mod go;
mod java;
mod node;
mod php;
mod python;
mod ruby;
mod rust;

use find::Find;
use memchr::{memchr, memchr_iter};
use std::borrow::Cow;

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
/// How far a reader looks for the first frame below an exception's header: messages have lines of their own.
const LOOKAHEAD: usize = 64;

/// A whole trace: exceptions, and the text around them.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace<'a> {
    /// Sentry's name of the language family. Rust is `native`, as in Sentry's own Rust client, so that the grouping
    /// rules for Rust symbols apply.
    pub platform: &'static str,
    /// Innermost cause first, outermost last (Sentry's order). Suppressed ones and group members precede their holder.
    pub exceptions: Vec<Exception<'a>>,
    /// Other threads whose stacks were printed alongside (goroutines).
    pub threads: Vec<Thread<'a>>,
    /// The text before and after the trace, trimmed; empty if there is none.
    pub message: Cow<'a, str>,
    /// The program, or a thread of it, ended: panic, uncaught exception.
    pub fatal: bool,
}

/// One exception of the chain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exception<'a> {
    /// Type, without its module where the language has modules.
    pub ty: Cow<'a, str>,
    /// Package or namespace of the type.
    pub module: Option<Cow<'a, str>>,
    /// The message; may have several lines.
    pub value: Cow<'a, str>,
    /// Oldest caller first, crashing frame last. Empty if the text shows none.
    pub frames: Vec<Frame<'a>>,
    /// Name or number of the thread, where the text has it.
    pub thread: Option<Cow<'a, str>>,
    /// Index in [`Trace::exceptions`] of the exception that holds this one; none for the outermost.
    pub parent: Option<usize>,
    /// What this one is to its parent.
    pub relation: Relation,
    /// Lines that belong to this exception and are neither message nor frame: a Node error's properties, a signal.
    pub details: Vec<&'a str>,
}

/// What an exception is to the one that holds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relation {
    /// The outermost exception.
    #[default]
    Outermost,
    /// Its cause.
    Cause,
    /// Was being handled when its parent was raised (Python, Go's second panic).
    Context,
    /// Suppressed while its parent went up (Java).
    Suppressed,
    /// A member of a group or aggregate.
    Member,
}

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame<'a> {
    /// Function or method.
    pub function: Option<Cow<'a, str>>,
    /// Class, package or namespace of the function.
    pub module: Option<Cow<'a, str>>,
    /// File, short where the rest of the path says nothing.
    pub filename: Option<Cow<'a, str>>,
    /// The path as printed, if absolute.
    pub abs_path: Option<Cow<'a, str>>,
    /// Line, from 1.
    pub lineno: Option<u32>,
    /// Column, from 1.
    pub colno: Option<u32>,
    /// Whether it looks like the application's own code; none if nothing tells.
    pub in_app: Option<bool>,
    /// The source line, where the trace shows it.
    pub context_line: Option<Cow<'a, str>>,
}

/// A thread that did not fail, printed with one that did.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread<'a> {
    /// Its number.
    pub id: &'a str,
    /// What it was doing.
    pub state: &'a str,
    /// Oldest caller first.
    pub frames: Vec<Frame<'a>>,
}

/// Reads a text that holds a stack trace. None: there is none, or not fully understood.
///
/// The first trace of the text counts; what stands before and after it is [`Trace::message`].
pub fn parse(text: &str) -> Option<Trace<'_>> {
    // Nearly all messages are one line; only an old Rust panic or a Ruby error can be a trace in one.
    let several = memchr(b'\n', text.as_bytes()).is_some()
        || text.starts_with("thread '")
        || (text.ends_with(')') && text.holds(":in "));
    if text.len() > MAX_TEXT || !several {
        return None;
    }
    let lines = lines(text)?;
    let (at, reading) = (0..lines.len()).find_map(|at| Some((at, read(&lines[at..])?)))?;
    reading.into_trace(text, &lines, at)
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

/// How many of `lines` the trace that begins with the first of them takes; 0 if none begins there.
///
/// For lines of one stream, in order. A log line that announces the trace (`ERROR order failed`) is not part of it:
/// the caller knows its severity and whether to attach it. A trace broken off in the middle takes the lines it has,
/// though [`parse`] will not have it: one event with its text is better than one for each line.
pub fn extent(lines: &[&str]) -> usize {
    let Some(reading) = read(&lines[..lines.len().min(MAX_LINES)]) else { return 0 };
    let mut room = MAX_TEXT;
    let fits = |line: &&&str| {
        let fits = line.len() < room;
        room = room.saturating_sub(line.len() + 1);
        fits
    };
    // What is too long for `parse` is cut here, so that it is a trace with an end missing and not a heap of lines.
    lines[..reading.used].iter().take_while(fits).count()
}

/// What a reader found at the head of its lines.
#[derive(Debug, Default)]
struct Reading<'a> {
    platform: &'static str,
    /// What stands before the head of the trace on its line.
    before: &'a str,
    /// None: more exceptions than can be taken.
    exceptions: Option<Vec<Exception<'a>>>,
    threads: Vec<Thread<'a>>,
    fatal: bool,
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
            false => in_lines([&text[..begin + self.before.len()], after]),
            true => in_lines([&text[..begin], self.before, after]),
        };
        let Reading { platform, threads, fatal, .. } = self;
        Some(Trace { platform, exceptions: self.exceptions?, threads, message, fatal })
    }
}

/// Those parts that say something, each trimmed and on a line of its own.
fn in_lines<const PARTS: usize>(parts: [&str; PARTS]) -> Cow<'_, str> {
    let mut parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or("");
    parts.fold(Cow::Borrowed(first), |above, part| Cow::Owned(format!("{above}\n{part}")))
}

/// Looks for a trace that begins at the first line.
type Reader = for<'l, 'a> fn(&'l [&'a str]) -> Option<Reading<'a>>;

/// In the order they are asked; each is strict enough not to take another's trace.
const READERS: [Reader; 8] =
    [python::read, java::read, rust::read, node::read, dotnet::read, go::read, ruby::read, php::read];

/// The first whole trace any reader finds, else the first broken one.
fn read<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    if may_begin(lines) { ask(lines) } else { None }
}

/// Whether the readers are worth asking. They would refuse ordinary lines as well, each on its own and all of them
/// slowly; this is asked of every line of every log.
fn may_begin(lines: &[&str]) -> bool {
    // Some print a function and its place on two lines.
    let deeper = lines.get(2).is_some_and(|line| line.starts_with([' ', '\t']));
    deeper || lines.get(1).is_some_and(|line| may_follow(line)) || lines.first().is_some_and(|line| may_head(line))
}

/// Whether a line may stand right below the first one of a trace.
fn may_follow(line: &str) -> bool {
    const WORDS: [&str; 7] = ["at ", "Stack trace:", "[stacktrace]", "goroutine ", "Caused by:", "... ", "---> "];
    match line.as_bytes() {
        [] | [b' ' | b'\t' | b'#', ..] | [.., b'\''] => true,
        [b'a' | b'S' | b'[' | b'g' | b'C' | b'.' | b'-', ..] if starts_with_any(line, &WORDS) => true,
        [.., b'0'..=b'9' | b']'] => line.holds_byte(b'@') || line.holds(".rb:"),
        _ => false,
    }
}

/// Whether a line may be the first of a trace, whatever follows.
fn may_head(line: &str) -> bool {
    const WORDS: [&str; 11] = [
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
        }
    }
}

fn ask<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    let mut broken = None;
    for reader in READERS {
        match reader(lines) {
            Some(reading) if !reading.broken => return Some(reading),
            reading => broken = broken.or(reading),
        }
    }
    broken
}

/// Exceptions while they are read: a tree in any order.
#[derive(Debug, Default)]
struct Chain<'a>(Vec<Exception<'a>>);

impl<'a> Chain<'a> {
    /// Adds an exception and answers its index.
    fn add(&mut self, exception: Exception<'a>) -> usize {
        self.0.push(exception);
        self.0.len() - 1
    }

    /// Hangs `child` below `parent`.
    fn link(&mut self, child: usize, parent: usize, relation: Relation) {
        self.0[child].parent = Some(parent);
        self.0[child].relation = relation;
    }

    /// In Sentry's order: from the outermost down, at each one first what is attached to it, then its cause; reversed.
    fn finish(mut self) -> Option<Vec<Exception<'a>>> {
        let count = self.0.len();
        if count > MAX_EXCEPTIONS {
            return None;
        }
        let mut children = vec![Vec::new(); count];
        for (index, exception) in self.0.iter().enumerate() {
            if let Some(parent) = exception.parent {
                children[parent].push(index);
            }
        }
        let attached = |index: usize| matches!(self.0[index].relation, Relation::Suppressed | Relation::Member);
        let mut order = Vec::with_capacity(count);
        let mut open: Vec<usize> = (0..count).filter(|&index| self.0[index].parent.is_none()).collect();
        while let Some(index) = open.pop() {
            order.push(index);
            open.extend(children[index].iter().copied().filter(|&child| !attached(child)));
            open.extend(children[index].iter().rev().copied().filter(|&child| attached(child)));
        }
        order.reverse();
        let place = |index: usize| order.iter().position(|&other| other == index);
        let parents: Vec<_> = self.0.iter().map(|exception| exception.parent.and_then(place)).collect();
        let sorted =
            order.iter().map(|&index| Exception { parent: parents[index], ..std::mem::take(&mut self.0[index]) });
        Some(sorted.collect())
    }
}

/// The frames of one stack, gathered in the order of the text.
///
/// Drops the middle as it goes, so that no text can make it hold more than a few times what stays in the end.
#[derive(Debug)]
struct Stack<'a> {
    frames: Vec<Frame<'a>>,
    /// How many to keep at the head of the text, and at its tail.
    head: usize,
    tail: usize,
}

impl<'a> Stack<'a> {
    /// For texts that print the crashing frame first.
    fn newest_first() -> Self {
        Self { frames: Vec::new(), head: NEWEST_FRAMES, tail: OLDEST_FRAMES }
    }

    /// For texts that print it last.
    fn oldest_first() -> Self {
        Self { frames: Vec::new(), head: OLDEST_FRAMES, tail: NEWEST_FRAMES }
    }

    fn push(&mut self, frame: Frame<'a>) {
        if self.frames.len() == 4 * (self.head + self.tail) {
            self.trim();
        }
        if self.frames.is_empty() {
            self.frames.reserve(USUAL_FRAMES);
        }
        self.frames.push(frame);
    }

    /// The last frame once more, `times`.
    fn repeat(&mut self, times: u32) {
        let Some(last) = self.frames.last().cloned() else { return };
        // More copies than are kept look like just as many as are kept.
        for _ in 0..times.min((self.head + self.tail) as u32) {
            self.push(last.clone());
        }
    }

    fn trim(&mut self) {
        let end = self.frames.len().saturating_sub(self.tail);
        if end > self.head {
            self.frames.drain(self.head..end);
        }
    }

    /// Oldest first.
    fn finish(mut self) -> Vec<Frame<'a>> {
        self.trim();
        if self.head > self.tail {
            self.frames.reverse();
        }
        self.frames
    }
}

impl<'a> Frame<'a> {
    /// A frame in a file; `short` is what of the path to show.
    fn in_file(path: &'a str, short: &'a str, line: Option<u32>, column: Option<u32>) -> Self {
        Self {
            filename: (!short.is_empty()).then_some(Cow::Borrowed(short)),
            abs_path: is_absolute(path).then_some(Cow::Borrowed(path)),
            lineno: line,
            colno: column,
            ..Self::default()
        }
    }
}

/// Whether a line can only be part of a trace.
fn is_remains(line: &str) -> bool {
    let text = &line[indent(line)..];
    text.len() < line.len() && starts_with_any(text, &["at ", "File \"", "from ", "[cause]: "])
}

/// Unix, Windows, or a URL.
fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.get(1..3).is_some_and(|s| matches!(s, ":\\" | ":/")) || path.holds("://")
}

/// `text` after the last of the `markers` in it, else all of it.
fn after_any<'a>(text: &'a str, markers: &[&str]) -> &'a str {
    let end = markers.iter().filter_map(|marker| Some(text.last_place_of(marker)? + marker.len())).max();
    end.map_or(text, |end| &text[end..])
}

fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    // Nearly always the first byte says no.
    let Some(first) = text.as_bytes().first() else { return prefixes.contains(&"") };
    prefixes.iter().any(|prefix| prefix.as_bytes().first() == Some(first) && text.starts_with(prefix))
}

/// Whether one of the prefixes begins the text. They are sorted, and none begins another: then it is the last one that does
/// not come after the text.
fn starts_with_sorted(text: &str, prefixes: &[&str]) -> bool {
    let place = prefixes.partition_point(|prefix| *prefix <= text);
    place.checked_sub(1).is_some_and(|place| text.starts_with(prefixes[place]))
}

fn contains_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.holds(part))
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `path:line` or `path:line:column`.
fn place(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let (rest, last) = text.cut_at_last_byte(b':')?;
    let last = number(last)?;
    match rest.cut_at_last_byte(b':').and_then(|(path, line)| Some((path, number(line)?))) {
        Some((path, line)) if !path.is_empty() => Some((path, line, Some(last))),
        _ if !rest.is_empty() => Some((rest, last, None)),
        _ => None,
    }
}

/// Bytes of blanks at the head of a line.
fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// Lines as one text; borrowed when it is only one.
fn joined<'a>(first: &'a str, rest: &[&'a str]) -> Cow<'a, str> {
    if rest.is_empty() {
        return Cow::Borrowed(first);
    }
    let mut text = first.to_owned();
    for line in rest {
        // A type may stand alone on its line, with the message below.
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(line);
    }
    text.truncate(text.trim_end().len());
    Cow::Owned(text)
}

/// `Type`, `Type:` or `Type: value` at the head of a line, as Java, JavaScript and .NET print it.
#[derive(Debug, Clone, Copy)]
struct Header<'a> {
    ty: &'a str,
    /// What stands in brackets between type and colon: an error code.
    code: &'a str,
    value: &'a str,
}

/// `strange` are the characters a type's name may have besides letters, digits, `.`, `_` and `$`; a code stands between
/// `brackets`.
fn header<'a>(text: &'a str, strange: &[char], brackets: [char; 2]) -> Option<Header<'a>> {
    // Asked of every line, and nearly always the first character says no.
    if !text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$') {
        return None;
    }
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '$') || strange.contains(&c);
    let plain = text.bytes().position(|byte| !(byte.is_ascii() && part(char::from(byte)))).unwrap_or(text.len());
    let end = match text.as_bytes().get(plain) {
        Some(byte) if !byte.is_ascii() => text.find(|c| !part(c)).unwrap_or(text.len()),
        _ => plain,
    };
    let (ty, mut rest) = text.split_at(end);
    if ty.ends_with('.') || ty.holds("..") {
        return None;
    }
    let mut code = "";
    if let Some(bracketed) = rest.strip_prefix(' ').and_then(|rest| rest.strip_prefix(brackets[0])) {
        (code, rest) = bracketed.split_once(brackets[1])?;
        if code.holds_byte(b' ') {
            return None;
        }
    }
    let value = match rest.trim_end().strip_prefix(':') {
        Some("") => "",
        Some(value) => value.strip_prefix(' ')?,
        None if rest.trim_end().is_empty() => "",
        None => return None,
    };
    Some(Header { ty, code, value: value.trim_end() })
}

impl Header<'_> {
    /// Whether the name alone says that this is an exception.
    fn is_telling(&self) -> bool {
        let name = self.ty.rsplit('.').next().unwrap_or(self.ty);
        let outer = name.split(['$', '+', '`']).next().unwrap_or(name);
        [name, outer].iter().any(|n| n.ends_with("Exception") || n.ends_with("Error") || n.ends_with("Throwable"))
    }
}

/// The first telling header that begins at a word of `line`, and what stands before it.
fn header_within<'a>(line: &'a str, header: fn(&'a str) -> Option<Header<'a>>) -> Option<(&'a str, Header<'a>)> {
    if !contains_any(line, &["Exception", "Error", "Throwable"]) {
        return None;
    }
    let starts = line.match_indices(' ').map(|(at, _)| at + 1);
    starts.filter_map(|at| Some((&line[..at], header(&line[at..])?))).find(|(_, header)| header.is_telling())
}

/// Whether a line is the head of another log record: a message does not go on there.
fn is_log_head(line: &str) -> bool {
    const LEVELS: [&str; 10] =
        ["ERROR", "WARN", "INFO", "DEBUG", "TRACE", "FATAL", "CRITICAL", "NOTICE", "SEVERE", "level="];
    let bytes = line.as_bytes();
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let date = digits == 4 && matches!(bytes.get(4), Some(b'-' | b'/')) && bytes.get(5).is_some_and(u8::is_ascii_digit);
    let time = digits == 2 && bytes.get(2) == Some(&b':') && bytes.get(3).is_some_and(u8::is_ascii_digit);
    let klog = matches!(bytes, [b'I' | b'W' | b'E' | b'F', rest @ ..]
        if rest.len() > 4 && rest[..4].iter().all(u8::is_ascii_digit) && rest[4] == b' ');
    let bracket = matches!(bytes, [b'[', next, ..] if next.is_ascii_digit() || next.is_ascii_uppercase());
    date || time || klog || bracket || starts_with_any(line, &["{\"", "ts=", "time="]) || starts_with_any(line, &LEVELS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What a reader takes, the glance before it lets through.
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
                assert!(may_begin(&lines[at..]) || ask(&lines[at..]).is_none(), "{}: {}", path.display(), lines[at]);
            }
        }
    }

    #[test]
    fn prefixes_are_found_in_sorted_lists() {
        assert!(go::STANDARD.is_sorted());
        for list in [&java::LIBRARIES[..], &dotnet::LIBRARIES, &rust::LIBRARIES] {
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
