//! Text functions that the readers share: find numbers and places in a line, the header of an exception, and the head of
//! another record.

use super::find::Find;
use std::borrow::Cow;

/// Returns true if a line can only be part of a trace.
pub(super) fn is_remains(line: &str) -> bool {
    let text = &line[indent(line)..];
    text.len() < line.len() && starts_with_any(text, &["at ", "File \"", "from ", "[cause]: "])
}

/// Unix, Windows, or a URL.
pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.get(1..3).is_some_and(|s| matches!(s, ":\\" | ":/")) || path.holds("://")
}

/// `text` after the last of the `markers` in it, else all of it.
pub(super) fn after_any<'a>(text: &'a str, markers: &[&str]) -> &'a str {
    let end = markers.iter().filter_map(|marker| Some(text.last_place_of(marker)? + marker.len())).max();
    end.map_or(text, |end| &text[end..])
}

pub(super) fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    // Nearly always the first byte says no.
    let Some(first) = text.as_bytes().first() else { return prefixes.contains(&"") };
    prefixes.iter().any(|prefix| prefix.as_bytes().first() == Some(first) && text.starts_with(prefix))
}

/// Returns true if one of the prefixes, which are sorted, begins the text.
pub(super) fn starts_with_sorted(text: &str, prefixes: &[&str]) -> bool {
    let Some(first) = text.as_bytes().first() else { return false };
    let from = prefixes.partition_point(|prefix| prefix.as_bytes().first() < Some(first));
    let same = prefixes[from..].iter().take_while(|prefix| prefix.as_bytes().first() == Some(first));
    // Nearly always the last byte of a prefix says no.
    let ends =
        |prefix: &str| prefix.len() <= text.len() && prefix.bytes().last() == Some(text.as_bytes()[prefix.len() - 1]);
    same.copied().any(|prefix| ends(prefix) && text.starts_with(prefix))
}

pub(super) fn contains_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.holds(part))
}

/// Decimal digits and nothing else.
pub(super) fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `path:line` or `path:line:column`.
pub(super) fn place(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let (rest, last) = numbered(text)?;
    match numbered(rest) {
        Some((path, line)) if !path.is_empty() => Some((path, line, Some(last))),
        _ if !rest.is_empty() => Some((rest, last, None)),
        _ => None,
    }
}

/// Returns the text before the colon of a number at its end, and the number.
fn numbered(text: &str) -> Option<(&str, u32)> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (rest, last) = text.split_at(text.len() - digits);
    Some((rest.strip_suffix(':')?, last.parse().ok()?))
}

/// Bytes of blanks at the head of a line.
pub(super) fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// Lines as one text; borrowed when it is only one.
pub(super) fn joined<'a>(first: &'a str, rest: &[&'a str]) -> Cow<'a, str> {
    if rest.is_empty() {
        return Cow::Borrowed(first);
    }
    let mut text = first.to_owned();
    for line in rest {
        // A type may stand alone on its line, with the message below.
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(line);
    }
    text.truncate(text.bare_end().len());
    Cow::Owned(text)
}

/// `Type`, `Type:` or `Type: value` at the head of a line, as Java, JavaScript and .NET print it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) ty: &'a str,
    /// The text in brackets between type and colon: an error code.
    pub(super) code: &'a str,
    pub(super) value: &'a str,
}

/// `strange` are the characters a type's name may have besides letters, digits, `.`, `_` and `$`; a code stands between
/// `brackets`.
pub(super) fn header<'a>(text: &'a str, strange: &[char], brackets: [char; 2]) -> Option<Header<'a>> {
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
        // Looks no further than the next blank, which no code has: a line may have many such heads.
        let end = bracketed.find([brackets[1], ' '])?;
        (code, rest) = bracketed.split_at(end);
        rest = rest.strip_prefix(brackets[1])?;
    }
    let value = match rest.bare_end().strip_prefix(':') {
        Some("") => "",
        Some(value) => value.strip_prefix(' ')?,
        None if rest.bare_end().is_empty() => "",
        None => return None,
    };
    Some(Header { ty, code, value: value.bare_end() })
}

impl Header<'_> {
    /// Returns true if the name alone says that this is an exception.
    pub(super) fn is_telling(&self) -> bool {
        let name = self.ty.rsplit('.').next().unwrap_or(self.ty);
        let outer = name.split(['$', '+', '`']).next().unwrap_or(name);
        [name, outer].iter().any(|n| n.ends_with("Exception") || n.ends_with("Error") || n.ends_with("Throwable"))
    }
}

/// Returns the first telling header that begins at a word of `line`, and the text before it.
pub(super) fn header_within<'a>(
    line: &'a str,
    header: fn(&'a str) -> Option<Header<'a>>,
) -> Option<(&'a str, Header<'a>)> {
    if !contains_any(line, &["Exception", "Error", "Throwable"]) {
        return None;
    }
    // So that no header has to look for the end of the text.
    let line = line.bare_end();
    let starts = line.match_indices(' ').map(|(at, _)| at + 1);
    starts.filter_map(|at| Some((&line[..at], header(&line[at..])?))).find(|(_, header)| header.is_telling())
}

/// Returns true if a line is the head of another log record: a message does not continue there.
pub(in super::super) fn is_log_head(line: &str) -> bool {
    // Asked of many lines: the first byte leaves little to compare.
    match line.as_bytes() {
        bytes @ [b'0'..=b'9', ..] => begins_with_time(bytes),
        [b'[', next, ..] => next.is_ascii_digit() || next.is_ascii_uppercase(),
        [b'{', next, ..] => *next == b'"',
        [b't', ..] => line.starts_with("ts=") || line.starts_with("time="),
        [b'l', ..] => line.starts_with("level="),
        // klog: `E1130 10:00:00.123456`.
        [b'I' | b'W' | b'E' | b'F', a, b, c, d, b' ', ..] if [a, b, c, d].iter().all(|b| b.is_ascii_digit()) => true,
        [first @ b'A'..=b'Z', ..] => level_of(*first).is_some_and(|level| line.starts_with(level)),
        _ => false,
    }
}

/// Returns true for `2026-11-30`, `2026/11/30` and `10:00`, as far as a digit behind the first sign.
fn begins_with_time(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    let is_followed = || bytes.get(digits + 1).is_some_and(u8::is_ascii_digit);
    match (digits, bytes.get(digits)) {
        (4, Some(b'-' | b'/')) | (2, Some(b':')) => is_followed(),
        _ => false,
    }
}

/// The level in capitals that begins with a letter, as loggers write it at the head of a line.
fn level_of(first: u8) -> Option<&'static str> {
    Some(match first {
        b'C' => "CRITICAL",
        b'D' => "DEBUG",
        b'E' => "ERROR",
        b'F' => "FATAL",
        b'I' => "INFO",
        b'N' => "NOTICE",
        b'S' => "SEVERE",
        b'T' => "TRACE",
        b'W' => "WARN",
        _ => return None,
    })
}
