//! Skips the text between the level and the message: process, thread, place in the source and logger. These are not part of
//! the title, and the logger has a field of its own.
//!
//! Text that may belong to the message stays: `[Errno 111]`, status codes, SQLSTATE, the type of an exception.

mod logger;

use super::head::{Found, Seen, Span, Style, find};
use super::names::{is_erlang_pid, is_exception, is_id, is_logger, is_thread_name};
use super::text::{close, end_of_quoted, is_place};
use super::{Rules, timestamp};
use crate::level::Level;

/// The head of a line, read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::mapping) struct Head {
    pub level: Option<Level>,
    /// The position of the logger's name.
    pub logger: Option<Span>,
    /// The position at which the message begins.
    pub message: usize,
}

/// Columns skipped at most.
const MAX_COLUMNS: usize = 12;

pub(super) fn read(rules: &Rules, line: &[u8]) -> Head {
    let (found, seen) = find(rules, line);
    let start = blanks(line, 0);
    let mut head = match found {
        Some(found) if found.style == Style::Pair => Head { level: Some(found.level), logger: None, message: start },
        Some(found) => {
            // A name in brackets may be a thread's: one that follows the level is better.
            let named = found.logger.map(|span| (span, 3));
            let named = named.or(seen.logger.map(|(span, quality)| (span, if quality > 1 { 3 } else { 0 })));
            let mut rest = Rest { line, at: found.end, seen, found, logger: named, brackets: 0, named: false };
            let message = rest.run();
            let logger = rest.logger.map(|(span, _)| span);
            Head { level: Some(found.level), logger, message }
        }
        None => Head { message: without_level(line, start, &seen), ..Head::default() },
    };
    head.message = blanks(line, head.message);
    if head.message >= line.len() {
        head.message = start;
    }
    if let Some(own) = of_klog_pairs(line, head.message) {
        head.logger = Some(own);
    }
    head
}

/// Of a line without a level only the time is no message.
fn without_level(line: &[u8], start: usize, seen: &Seen) -> usize {
    match seen.time {
        Some((from, to)) if from <= start + 1 && line[from..to].contains(&b':') => {
            let bracket = usize::from(from > start && line.get(to) == Some(&b']'));
            let rest = blanks(line, to + bracket);
            let dash = line[rest..].starts_with(b"- ") || line[rest..].starts_with(b": ");
            if from > start && bracket == 0 { start } else { rest + if dash { 2 } else { 0 } }
        }
        _ => start,
    }
}

/// `logger="UnhandledError"` of structured klog.
fn of_klog_pairs(line: &[u8], message: usize) -> Option<Span> {
    const KEY: &[u8] = b" logger=\"";
    if line.get(message) != Some(&b'"') {
        return None;
    }
    let start = memchr::memmem::find(&line[message..], KEY)? + message + KEY.len();
    let end = end_of_quoted(line, start - 1)? - 1;
    is_logger(&line[start..end]).then_some((start, end))
}

fn blanks(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Bytes of the shortest id of a request or trace: a span's.
const SHORTEST_ID: usize = 16;

struct Rest<'l> {
    line: &'l [u8],
    at: usize,
    seen: Seen,
    found: Found,
    /// The best name so far, and how good it is.
    logger: Option<(Span, u8)>,
    brackets: u8,
    /// A name was taken that a colon or dash ended: the next word is the message's.
    named: bool,
}

impl Rest<'_> {
    /// Returns where the message begins.
    fn run(&mut self) -> usize {
        if self.found.style == Style::Klog {
            self.klog(self.found.end);
        } else {
            self.glued();
        }
        for _ in 0..MAX_COLUMNS {
            let before = self.at;
            self.separators();
            let Some(first) = self.line.get(self.at) else { return before };
            if let Some(thread) = self.ids() {
                self.at = thread;
                continue;
            }
            let next = match first {
                b'[' | b'(' | b'<' => self.bracket(*first),
                b'0'..=b'9' => self.number(),
                byte if byte.is_ascii_alphabetic() || *byte == b'_' => self.name(),
                // CockroachDB's sign between the place and the tags of the goroutine.
                0xe2 if self.line[self.at..].starts_with("\u{22ee}".as_bytes()) => Some(self.at + 3),
                _ => None,
            };
            match next {
                Some(next) => self.at = next,
                None => break,
            }
        }
        self.at
    }

    /// Returns the position of the thread in brackets that ids of requests or traces stand before:
    /// `ERROR 4b0f2c9e-2b51-4a8c-9a0a-6d2b8d7b2f11 [main] c.e.Pay`.
    fn ids(&self) -> Option<usize> {
        self.seen.time?;
        let mut at = self.at;
        loop {
            let rest = &self.line[at..];
            let len = rest.iter().position(|b| !(b.is_ascii_hexdigit() || *b == b'-')).unwrap_or(rest.len());
            if len < SHORTEST_ID || rest.get(len) != Some(&b' ') || !is_id(&rest[..len]) {
                break;
            }
            at = blanks(self.line, at + len);
        }
        if at == self.at || self.line.get(at) != Some(&b'[') {
            return None;
        }
        let end = close(self.line, at)?;
        is_thread_name(self.line[at + 1..end].trim_ascii()).then_some(at)
    }

    fn rest(&self) -> &[u8] {
        &self.line[self.at..]
    }

    /// Reads the text that follows the level without a blank.
    fn glued(&mut self) {
        let rest = self.rest();
        match rest.first() {
            Some(b':') if rest.get(1).is_some_and(|b| !b.is_ascii_whitespace()) => {
                // `ERROR:root:message`
                self.at += 1;
                let rest = self.rest();
                let len = rest.iter().position(|b| matches!(b, b':' | b' ')).unwrap_or(0);
                let named = len > 0 && rest[len] == b':' && is_logger(&rest[..len]) && rest.get(len + 1) != Some(&b'/');
                if named && !is_exception(&rest[..len]) {
                    self.take(self.at, self.at + len, 3);
                    self.at += len + 1;
                }
            }
            Some(b'/' | b'+' | b'-') if self.found.style == Style::Word => {
                let end = rest.iter().position(|b| matches!(b, b' ' | b']' | b':')).unwrap_or(rest.len());
                self.at += end;
            }
            _ => {}
        }
        while matches!(self.line.get(self.at), Some(b']' | b')' | b'>')) {
            self.at += 1;
        }
    }

    fn separators(&mut self) {
        loop {
            let rest = self.rest();
            let ends = |len: usize| rest.get(len).is_none_or(u8::is_ascii_whitespace);
            let len = match rest {
                [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
                [b'|', ..] => 1,
                [b':', b':', ..] if ends(2) => 2,
                [b':', ..] => 1,
                [b'-', b'-', b'-', ..] if ends(3) => 3,
                [b'-', b'-', b'>', ..] if ends(3) => 3,
                [b'-', b'-', ..] if ends(2) => self.ruby().unwrap_or(2),
                [b'-' | b'>' | b',', ..] if ends(1) => 1,
                [0xe2, 0x80, 0x93 | 0x94, ..] if ends(3) => 3,
                _ => return,
            };
            self.at += len;
        }
    }

    /// Ruby's logger: `-- progname: message`.
    fn ruby(&mut self) -> Option<usize> {
        let rest = &self.line[self.at + 2..];
        let start = rest.iter().position(|b| *b != b' ')?;
        let colon = rest.iter().take(80).position(|b| *b == b':')?;
        let at = self.at + 2;
        if colon > start {
            if !self.seen.ruby || !is_logger(&rest[start..colon]) {
                return None;
            }
            self.take(at + start, at + colon, 3);
        }
        Some(2 + colon + 1)
    }

    fn take(&mut self, from: usize, to: usize, quality: u8) {
        if self.logger.is_none_or(|(_, known)| known < quality) {
            self.logger = Some(((from, to), quality));
        }
    }

    /// klog and glog: all up to `] ` is the place in the source.
    fn klog(&mut self, from: usize) {
        let rest = &self.line[from..];
        let head = &rest[..rest.len().min(160)];
        let end = head.windows(2).position(|pair| pair == b"] ").map(|at| at + 2);
        let end = end.or_else(|| head.ends_with(b"]").then_some(head.len()));
        // CockroachDB: `E240310 09:00:00.123456 1 server/node.go:10 (sign) [-] 1  message`
        let sign = || {
            let at = memchr::memmem::find(head, "\u{22ee} [".as_bytes())?;
            let close = at + 4 + head[at + 4..].iter().position(|b| *b == b']')?;
            let counter = blanks(head, close + 1);
            Some(counter + timestamp::digits(&head[counter..]))
        };
        let time = || {
            let start = blanks(head, 0);
            Some(start + timestamp::len(&head[start..])?)
        };
        self.at = from + sign().or(end).or_else(time).unwrap_or(0);
    }

    fn bracket(&mut self, open: u8) -> Option<usize> {
        let end = close(self.line, self.at)? + 1;
        let inner = &self.line[self.at + 1..end - 1];
        let text = inner.trim_ascii();
        let glued = self.at == self.found.end || matches!(self.line[self.at - 1], b']' | b')');
        let skip = match open {
            b'[' => self.found.style == Style::Angle || self.is_context(text, inner, glued, end),
            // The last one is the message.
            b'<' if self.found.style == Style::Angle => self.line[end..].contains(&b'<'),
            b'<' => is_erlang_pid(text),
            _ => self.is_thread(text, end),
        };
        if !skip {
            return None;
        }
        self.brackets += 1;
        let is_name = is_logger(text) && !is_thread_name(text) && !is_place(text) && open != b'(';
        if is_name {
            let from = self.at + 1 + (inner.len() - inner.trim_ascii_start().len());
            self.take(from, from + text.len(), if text.contains(&b'.') || glued { 2 } else { 1 });
        }
        // ejabberd: `<0.1.0>@module:function:12`
        let behind = &self.line[end..];
        let at_sign = behind.first() == Some(&b'@') && open == b'<';
        Some(if at_sign { end + behind.iter().position(|b| *b == b' ').unwrap_or(0) } else { end })
    }

    /// Returns true if a bracket describes the record, not the event that is logged.
    fn is_context(&self, text: &[u8], inner: &[u8], glued: bool, end: usize) -> bool {
        if text.starts_with(b"\"") || text.starts_with(b"[") {
            return false;
        }
        if text.is_empty() || inner.len() > text.len() && !text.contains(&b' ') {
            return true;
        }
        let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
        if text.contains(&b' ') {
            const FIRST: [&[u8]; 9] =
                [b"pid", b"tid", b"thread", b"client", b"remote", b"shard", b"req", b"task", b"session"];
            let first = text.split(|b| matches!(b, b' ' | b'=' | b':')).next().unwrap_or_default();
            let is_thread = text.windows(6).any(|part| part.eq_ignore_ascii_case(b"thread"));
            let pairs = text.split(|b| *b == b' ').all(|part| part[..part.len().max(1) - 1].contains(&b':'));
            let named =
                self.found.style == Style::Bracket && self.brackets > 1 && memchr::memmem::find(text, b": ").is_some();
            return FIRST.iter().any(|name| name.eq_ignore_ascii_case(first))
                || pairs
                || named
                || text.contains(&b'=')
                || text.ends_with(b" - - -")
                || is_thread
                || timestamp::len(text) == Some(text.len());
        }
        // A status or SQLSTATE, except where the level stands in brackets too.
        let is_code =
            digits == text.len() || text.len() == 5 && digits >= 2 && !text.iter().any(u8::is_ascii_lowercase);
        let before_bracket = self.line[end..].starts_with(b" [");
        let stacked = glued || before_bracket || self.found.style == Style::Bracket && self.brackets == 0;
        !is_code || stacked
    }

    /// Returns true if the text in parentheses is a thread or process.
    fn is_thread(&self, text: &[u8], end: usize) -> bool {
        let behind = &self.line[end..];
        let followed = behind.starts_with(b":") || behind.starts_with(b" :");
        let logger = self.logger.is_some_and(|((_, to), _)| to + 2 >= self.at && self.line[to] == b']');
        followed || logger || is_thread_name(text) || text == b"null"
    }

    fn number(&mut self) -> Option<usize> {
        let rest = self.rest();
        if self.seen.time.is_none()
            && let Some(len) = timestamp::len(rest)
        {
            self.seen.time = Some((self.at, self.at + len));
            return Some(self.at + len);
        }
        let end = self.at + self.token();
        let token = &self.line[self.at..end];
        let digits = timestamp::digits(token);
        let behind = &self.line[end..];
        let whole = digits == token.len();
        // nginx: `78809#78809:`, Spring Boot: `1 --- [`, HAProxy: `071/085241 (29884) :`
        let nginx = token[digits..].starts_with(b"#") && token.ends_with(b":");
        let spring = whole && behind.starts_with(b" --- ");
        let haproxy = timestamp::len(token) == Some(token.len()) && behind.starts_with(b" (");
        // AWS Lambda: a request's id in a column of tabs. CockroachDB: a counter behind the tags.
        let column = behind.starts_with(b"\t") && is_id(token);
        let place = whole && behind.starts_with(b" ") && self.found.style == Style::Klog;
        (nginx || spring || haproxy || column || place).then_some(end)
    }

    /// Bytes until a blank or a pipe.
    fn token(&self) -> usize {
        let rest = self.rest();
        rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'|').unwrap_or(rest.len())
    }
}
