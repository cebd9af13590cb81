//! Reads layouts that are recognised from the first byte of a line on: syslog, Redis, Erlang's reports, and JSON that was
//! not opened.

use super::head::{Found, Seen, Style, found};
use super::text::{end_of_capitals, end_of_quoted};
use super::{Rules, from_number, timestamp};
use crate::level::Level;

/// The number before a line of syslog: facility and severity (RFC 3164, RFC 5424, `sd-daemon(3)`).
pub(super) fn syslog(head: &[u8], at: usize) -> Option<Found> {
    let digits = timestamp::digits(&head[at + 1..]);
    let end = at + digits + 2;
    let number = head[at + 1..end - 1].iter().fold(0_u64, |n, b| n * 10 + u64::from(b - b'0'));
    if !(1..=3).contains(&digits) || number > 191 || head.get(end - 1) != Some(&b'>') || head.get(end).is_none() {
        return None;
    }
    Some(found(Level::from_syslog(number % 8)?, end, Style::Word, "<34>"))
}

/// The level in JSON that was not opened, because its end is missing.
pub(super) fn cut_json(rules: &Rules, head: &[u8], at: usize) -> Option<Found> {
    let (mut at, mut depth) = (at, 0_u32);
    while let Some(byte) = head.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let end = end_of_quoted(head, at)?;
                let key = &head[at + 1..end - 1];
                let value = head[end..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
                if let Some(value) = value.filter(|_| depth == 1 && matches!(key, b"level" | b"severity" | b"lvl")) {
                    let word = value.strip_prefix(b"\"").unwrap_or(value);
                    let len = word.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(word.len());
                    let number = || from_number(key, super::parse(&word[..len])?);
                    let of_word = rules.of_first_word(word).map(|(level, _)| level);
                    let level = of_word.or_else(number)?;
                    return Some(found(level, end, Style::Pair, "{\"level\":"));
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns the result for a text that begins with `=`: the level of one of Erlang's reports, or the position behind the
/// process id before a sanitizer's words, from which the search continues.
pub(super) fn equals(head: &[u8], at: usize) -> Option<Result<Found, usize>> {
    let rest = &head[at..];
    if let Some(number) = rest.strip_prefix(b"==") {
        let digits = timestamp::digits(number);
        let is_pid = digits > 0 && number[digits..].starts_with(b"==");
        return is_pid.then_some(Err(at + digits + 4));
    }
    let word = end_of_capitals(head, at + 1)?;
    let level = match &head[at + 1..word] {
        b"ERROR" | b"CRASH" | b"SUPERVISOR" => Level::Error,
        b"WARNING" => Level::Warn,
        b"INFO" | b"PROGRESS" | b"NOTICE" => Level::Info,
        _ => return None,
    };
    let end = word + b" REPORT====".len();
    head[word..].starts_with(b" REPORT====").then(|| Ok(found(level, end, Style::Word, "=ERROR REPORT====")))
}

/// Redis: `1:M 20 Sep 2026 09:53:02.641 # message`.
pub(super) fn redis(head: &[u8], at: usize, seen: &Seen) -> Option<Found> {
    let (start, _) = seen.time?;
    let [pid @ .., b':', b'X' | b'C' | b'S' | b'M'] = head[..start].trim_ascii() else { return None };
    let level = match head[at] {
        b'#' => Level::Warn,
        b'*' => Level::Info,
        b'-' | b'.' => Level::Debug,
        _ => return None,
    };
    pid.iter().all(u8::is_ascii_digit).then(|| found(level, at + 1, Style::Word, "1:M time #"))
}
