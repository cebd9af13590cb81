//! The table of layouts in which the level stands in brackets.
//!
//! Each row is read by a function of its own. For each row, the tests hold lines that it reads and lines that it must not
//! read.

use super::head::{Column, Found, Layout, Span, Style, found};
use super::names::is_logger;
use super::text::{CAPITALS, DIGIT, JOINT, LOWER, UPPER, end_of_capitals, of_letter};
use super::{Rules, timestamp};
use crate::level::Level;

/// The table, in the order in which its rows are tried.
pub(super) static BRACKETS: [Layout; 6] = [
    // `[error]`, `[ warn]`, `<Error>`, `(ERROR)`
    Layout { name: "[level]", needs: 0, read: bracketed },
    // `[ERROR CRI]`, Rust's env_logger: `[ERROR my_crate]`
    Layout { name: "[LEVEL text]", needs: CAPITALS, read: bracketed_first },
    // Python's multiprocessing: `[INFO/MainProcess]`, Minecraft: `[Server thread/ERROR]`
    Layout { name: "[LEVEL/name]", needs: UPPER | JOINT, read: bracketed_slash },
    // Apache httpd: `[core:error]`, Twisted: `[my.namespace#critical]`
    Layout { name: "[module:level]", needs: LOWER, read: module },
    // Serilog, Celery, env_logger, Ray: `[09:00:02 INF]`, `[2012-03-23 20:36:27,934: INFO/MainProcess]`
    Layout { name: "[time LEVEL]", needs: DIGIT | UPPER, read: bracketed_time },
    // Gitea's `[E]`, Jupyter's `[E 2024-03-10 09:00:00.059 JupyterHub base:670]`, PyTorch's `[E310 09:00:00`
    Layout { name: "[E]", needs: UPPER, read: bracketed_letter },
];

fn bracketed(rules: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let word = inner.text().trim_ascii();
    let opens = inner.head[inner.at - 1];
    let style = if opens == b'<' { Style::Angle } else { Style::Bracket };
    if inner.seen.time.is_none() {
        // NetworkManager: `<error> [1710061203.1234] message`
        let time = || inner.head[inner.end + 1..].trim_ascii_start().strip_prefix(b"[").and_then(timestamp::len);
        if inner.seen.plain > 0 || opens == b'<' && time().is_none() {
            return None;
        }
    }
    let level = if opens == b'{' { rules.of_capitals(word) } else { rules.of_mixed(word) };
    // MySQL: `[Note]`, `[System]`
    let mysql = || (opens == b'[' && matches!(word, b"Note" | b"System")).then_some(Level::Info);
    Some(found(level.or_else(mysql)?, inner.end, style, layout))
}

fn bracketed_first(rules: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let end = end_of_capitals(inner.head, inner.at)?;
    let is_first = inner.head[inner.at - 1] == b'[' && end < inner.end && inner.head[end] == b' ';
    let level = rules.of_capitals(&inner.head[inner.at..end]).filter(|_| is_first)?;
    let logger = logger_within(inner, end);
    Some(Found { logger, ..found(level, inner.end, Style::Bracket, layout) })
}

/// The one word that fills the bracket from there on, if a logger may have that name.
fn logger_within(inner: &Column<'_>, from: usize) -> Option<Span> {
    let rest = &inner.head[from..inner.end];
    let start = from + rest.iter().position(|b| *b != b' ')?;
    is_logger(inner.head[start..inner.end].trim_ascii_end()).then_some((start, inner.end))
}

fn bracketed_slash(rules: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let text = inner.text();
    let slash = text.iter().rposition(|b| *b == b'/')?;
    let (first, last) = (&text[..slash], &text[slash + 1..]);
    let level = rules.of_capitals(first).or_else(|| rules.of_capitals(last))?;
    Some(found(level, inner.end, Style::Bracket, layout))
}

fn module(rules: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let text = inner.text();
    let colon = text.iter().position(|b| matches!(b, b':' | b'#')).filter(|_| inner.seen.time.is_some())?;
    let (name, word) = (&text[..colon], &text[colon + 1..]);
    let word = word.strip_suffix(b"1").unwrap_or(word).trim_ascii_end();
    let word = if word.len() == 6 && word.starts_with(b"trace") { &word[..5] } else { word };
    let is_name =
        name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') || text[colon] == b'#' && is_logger(name);
    let level = rules.of_mixed(word).filter(|_| is_name)?;
    let logger = Some((inner.at, inner.at + colon)).filter(|_| colon > 0);
    Some(Found { logger, ..found(level, inner.end, Style::Bracket, layout) })
}

fn bracketed_time(rules: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let time = inner.time?;
    let rest = &inner.head[inner.at + time..inner.end];
    let skip = rest.iter().position(|b| !matches!(b, b' ' | b':' | b',' | b'|')).filter(|skip| *skip > 0)?;
    let start = inner.at + time + skip;
    if let Some(end) = end_of_capitals(inner.head, start).filter(|end| *end <= inner.end) {
        let level = rules.of_capitals(&inner.head[start..end])?;
        let logger = logger_within(inner, end).filter(|_| inner.head[end] == b' ');
        return Some(Found { logger, ..found(level, inner.end, Style::Bracket, layout) });
    }
    let ends = matches!(inner.head.get(start + 1), Some(b' ' | b']'));
    let level = of_letter(inner.head[start]).filter(|_| ends)?;
    Some(found(level, inner.end, Style::Bracket, layout))
}

fn bracketed_letter(_: &Rules, inner: &Column<'_>, layout: &'static str) -> Option<Found> {
    let text = inner.text();
    let level = of_letter(*text.first()?)?;
    let rest = &text[1..];
    let digits = timestamp::digits(rest);
    let time = match rest.first() {
        None if inner.seen.time.is_some() => return Some(found(level, inner.end, Style::Bracket, layout)),
        Some(b' ') => &rest[1..],
        Some(_) if (3..=8).contains(&digits) && rest.get(digits) == Some(&b' ') => &rest[digits + 1..],
        _ => return None,
    };
    let len = timestamp::len(time)?;
    let start = inner.end - time.len() + len;
    let name = time[len..].trim_ascii_start();
    let first = name.split(|b| *b == b' ').next()?;
    let at = start + (time.len() - len - name.len());
    let logger = Some((at, at + first.len())).filter(|_| first.len() < name.len() && is_logger(first));
    Some(Found { logger, ..found(level, inner.end, Style::Bracket, layout) })
}
