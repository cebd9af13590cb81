//! Finds the prefix or the tag that a logger repeats on each line of a stack trace.

use super::MAX_WINDOW;
use super::heads::{goes_on, heads, is_ruby_frame};
use crate::mapping::group::stream_lines::Line;
use crate::mapping::trace;

/// Shortest prefix, in bytes, that is compared from line to line.
const MIN_PREFIX: usize = 3;

/// Shortest tag, in bytes, by which lines are known to be of one request.
const MIN_TAG: usize = 8;

/// Longest prefix, in bytes.
const MAX_PREFIX: usize = 256;

/// Lines of one text that are read without a prefix that they share, in all tries.
const MOST_TRIED: usize = 8 * MAX_WINDOW;

/// A text of several lines without the prefix that each line of a trace in it repeats; none if there is no such trace.
pub(crate) fn without_prefix(text: &str) -> Option<String> {
    if !heads(text.as_bytes()) {
        return None;
    }
    let lines: Vec<&str> = text.lines().take(MAX_WINDOW).collect();
    let mut left = MOST_TRIED;
    let found = lines.windows(2).enumerate().filter(|(_, two)| heads(two[0].as_bytes())).find_map(|(at, two)| {
        let prefix = shared_prefix(two[0], two[1])?;
        let window: Vec<&str> = lines[at..].iter().take(left).map_while(|line| without(line, prefix)).collect();
        left -= window.len();
        (trace::extent(&window) > 1).then_some((at, window))
    });
    let (at, window) = found?;
    let rest = lines[at + window.len()..].iter();
    let all: Vec<&str> = lines[..at].iter().chain(&window).chain(rest).copied().collect();
    Some(all.join("\n"))
}

/// Returns true if two lines repeat a prefix and the text after it in the second one looks like a part of a trace.
pub(super) fn shares_prefix(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    if shares_tag(texts) {
        return true;
    }
    let Some(prefix) = shared_prefix(texts[0], texts[1]) else { return false };
    let rest = |text| without(text, prefix).unwrap_or_default();
    let [above, text] = texts.map(rest);
    line.heads()
        || before.heads()
        || above.trim().is_empty()
        || text.trim().is_empty()
        || goes_on(text)
        || is_ruby_frame(text)
}

/// Returns true if both lines have a tag, such as a request's id, with which one of them begins, and the second one goes on like
/// a trace.
pub(super) fn shares_tag([above, text]: [&str; 2]) -> bool {
    let Some(tag) = tag(text).filter(|tag| above.contains(tag)).or_else(|| tag(above)) else { return false };
    let Some(at) = text.find(tag) else { return false };
    let rest = &text[at + tag.len()..];
    rest.trim_ascii().is_empty() || goes_on(rest.strip_prefix(' ').unwrap_or(rest)) || is_ruby_frame(rest)
}

/// `[4b0f2c9e-2b51-4a8c-9a0a-6d2b8d7b2f11]` at the head of a line.
fn tag(text: &str) -> Option<&str> {
    let end = text.starts_with('[').then(|| text.find(']')).flatten().filter(|end| *end > MIN_TAG)?;
    Some(&text[..=end])
}

/// Returns the prefix that two lines share, up to the last blank or bracket; `None` if that is too short. Times may differ.
pub(super) fn shared_prefix<'t>(one: &'t str, two: &str) -> Option<&'t str> {
    let same = alike(one, two).min(MAX_PREFIX);
    let shared = &one.as_bytes()[..same];
    let end = shared.iter().rposition(|byte| matches!(byte, b' ' | b'\t' | b']' | b')' | b'|' | b'>'))? + 1;
    // Of the blanks at its end one separates, the others are what the trace is indented by.
    let bare = shared[..end].trim_ascii_end().len();
    let end = (bare + 1).min(end);
    (bare >= MIN_PREFIX).then(|| one.get(..end)).flatten()
}

/// Bytes at the heads of two texts that are equal or digits of a time.
fn alike(one: &str, two: &str) -> usize {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    let differs = |(at, (a, b)): (usize, (&u8, &u8))| {
        a != b && !(a.is_ascii_digit() && b.is_ascii_digit() && is_in_time(one, at))
    };
    let most = one.len().min(two.len());
    one.iter().zip(two).enumerate().position(|(at, both)| differs((at, both))).unwrap_or(most)
}

/// Returns true if the digits at a place belong to a time (`09:00:03.120`), not to a process or a rank.
pub(super) fn is_in_time(text: &[u8], at: usize) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',' | b'-' | b'/' | b'T');
    let start = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let len = text[start..].iter().position(|byte| !is_part(byte)).unwrap_or(text.len() - start);
    let is_clock = |three: &[u8]| three[0].is_ascii_digit() && three[1] == b':' && three[2].is_ascii_digit();
    text[start..start + len].windows(3).any(is_clock)
}

/// A line without a prefix, if it has it; trailing blanks of the prefix may be missing where nothing follows.
pub(super) fn without<'t>(line: &'t str, prefix: &str) -> Option<&'t str> {
    if alike(prefix, line) == prefix.len() {
        return line.get(prefix.len()..);
    }
    let bare = prefix.trim_end();
    (line.len() == bare.len() && alike(bare, line) == bare.len()).then_some("")
}
