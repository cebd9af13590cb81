//! Finds the prefix or the tag that a logger repeats on each line of a stack trace.

use super::MAX_WINDOW;
use super::heads::{goes_on, heads, is_ruby_frame};
use crate::mapping::group::stream_lines::Line;
use crate::mapping::trace::{self, Ahead};
use std::ops::Range;

/// Shortest prefix, in bytes, that is compared from line to line.
const MIN_PREFIX: usize = 3;

/// Shortest tag, in bytes, by which lines are known to be of one request.
const MIN_TAG: usize = 8;

/// Longest prefix, in bytes.
const MAX_PREFIX: usize = 256;

/// Lines of one text that are read without a prefix that they share, in all tries.
const MOST_TRIED: usize = 8 * MAX_WINDOW;

/// Consecutive lines that repeat a prefix, without it. The lines of a stream are asked for one after the other, and most of
/// them belong to the run of the line before.
#[derive(Default)]
pub(super) struct PrefixRun<'l> {
    /// The place of its first line.
    first: usize,
    prefix: &'l str,
    lines: Vec<&'l str>,
    /// For each line true if it is one of Ruby's frames; reaches as far as [`Self::frames`] was asked.
    frames: Vec<bool>,
    /// True once the line behind the last one is known not to belong to it, of `lines` and of `frames`.
    ends: (bool, bool),
    ahead: Ahead,
}

impl<'l> PrefixRun<'l> {
    /// The lines from a place on that have the prefix, at most so many, without it.
    pub(super) fn window(
        &mut self,
        texts: &'l [&'l str],
        at: usize,
        (prefix, most): (&'l str, usize),
    ) -> (&[&'l str], &Ahead) {
        self.begin(at, prefix, self.lines.len());
        let before = self.lines.as_ptr();
        let end = at.saturating_add(most);
        while !self.ends.0 && self.first + self.lines.len() < end {
            match texts.get(self.first + self.lines.len()).and_then(|line| without(line, self.prefix)) {
                Some(line) => self.lines.push(line),
                None => self.ends.0 = true,
            }
        }
        if self.lines.as_ptr() != before {
            // It knows lines by their addresses.
            self.ahead = Ahead::default();
        }
        let from = at - self.first;
        (&self.lines[from..self.lines.len().min(from + most)], &self.ahead)
    }

    /// For each line from a place on, at most so many, true if it is one of Ruby's frames. `rest` takes the prefix away; the
    /// first line for which it cannot do so ends the run.
    pub(super) fn frames(
        &mut self,
        texts: &'l [&'l str],
        at: usize,
        (prefix, most): (&'l str, usize),
        rest: impl Fn(&'l str) -> Option<&'l str>,
    ) -> &[bool] {
        self.begin(at, prefix, self.frames.len());
        let end = at.saturating_add(most);
        while !self.ends.1 && self.first + self.frames.len() < end {
            match texts.get(self.first + self.frames.len()).and_then(|line| rest(line)) {
                Some(line) => self.frames.push(is_ruby_frame(line)),
                None => self.ends.1 = true,
            }
        }
        let from = at - self.first;
        &self.frames[from..self.frames.len().min(from + most)]
    }

    /// Forgets the run unless it has this prefix and its first `known` lines reach the place. Times may differ.
    fn begin(&mut self, at: usize, prefix: &'l str, known: usize) {
        let is_same = self.prefix.len() == prefix.len() && alike(self.prefix, prefix) == prefix.len();
        if !is_same || !(self.first..=self.first + known).contains(&at) {
            self.lines.clear();
            self.frames.clear();
            *self = Self {
                first: at,
                prefix,
                lines: std::mem::take(&mut self.lines),
                frames: std::mem::take(&mut self.frames),
                ..Self::default()
            };
        }
    }
}

/// A text of several lines without the prefix that each line of a trace in it repeats; none if there is no such trace.
pub(crate) fn without_prefix(text: &str) -> Option<String> {
    if !heads(text.as_bytes()) {
        return None;
    }
    let lines: Vec<&str> = text.lines().take(MAX_WINDOW).collect();
    let (mut left, mut run) = (MOST_TRIED, PrefixRun::default());
    let found = lines.windows(2).enumerate().filter(|(_, two)| heads(two[0].as_bytes())).find_map(|(at, two)| {
        let prefix = shared_prefix(two[0], two[1])?;
        let (window, ahead) = run.window(&lines, at, (prefix, left));
        left -= window.len();
        (trace::extent_of(window, ahead).lines > 1).then(|| (at, window.to_vec()))
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
    // Looked at once for all its digits.
    let mut around = (0..0, false);
    let mut differs = |(at, (a, b)): (usize, (&u8, &u8))| {
        if a == b {
            return false;
        }
        if !(a.is_ascii_digit() && b.is_ascii_digit()) {
            return true;
        }
        if !around.0.contains(&at) {
            around = around_digit(one, at);
        }
        !around.1
    };
    let most = one.len().min(two.len());
    one.iter().zip(two).enumerate().position(|(at, both)| differs((at, both))).unwrap_or(most)
}

/// Returns the digits and separators around a digit, and true if they are a time (`09:00:03.120`), not the number of a process
/// or a rank.
pub(super) fn around_digit(text: &[u8], at: usize) -> (Range<usize>, bool) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',' | b'-' | b'/' | b'T');
    let start = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let len = text[start..].iter().position(|byte| !is_part(byte)).unwrap_or(text.len() - start);
    let is_clock = |three: &[u8]| three[0].is_ascii_digit() && three[1] == b':' && three[2].is_ascii_digit();
    (start..start + len, text[start..start + len].windows(3).any(is_clock))
}

/// A line without a prefix, if it has it; trailing blanks of the prefix may be missing where nothing follows.
pub(super) fn without<'t>(line: &'t str, prefix: &str) -> Option<&'t str> {
    if alike(prefix, line) == prefix.len() {
        return line.get(prefix.len()..);
    }
    let bare = prefix.trim_end();
    (line.len() == bare.len() && alike(bare, line) == bare.len()).then_some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_gives_the_lines_that_a_search_gives() {
        const LINES: [&str; 9] = [
            "09:00:01 [a] Error: x",
            "09:00:02 [a] Error: x",
            "09:00:02 [a]",
            "09:00:02 [b] \tat x",
            "[rank1]: Error: x",
            "[rank2]: Error: x",
            "[rank1]:   a.rb:1:in 'a'",
            "",
            "a.rb:1:in 'a'",
        ];
        let mut state = 7_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let mut compared = 0;
        for _ in 0..2_000 {
            let few = [next(LINES.len()), next(LINES.len()), next(LINES.len())];
            let texts: Vec<&str> = (0..40).map(|_| LINES[few[next(3)]]).collect();
            let mut run = PrefixRun::default();
            for at in 0..texts.len() - 1 {
                let Some(prefix) = shared_prefix(texts[at], texts[at + 1]) else { continue };
                let rest = |line| without(line, prefix).or_else(|| is_ruby_frame(line).then_some(line));
                for most in [5, 30] {
                    let lines = texts[at..].iter().take(most);
                    let expected: Vec<&str> = lines.clone().map_while(|line| without(line, prefix)).collect();
                    assert_eq!(run.window(&texts, at, (prefix, most)).0, expected, "from {at} of {texts:#?}");
                    let expected: Vec<bool> = lines.map_while(|line| rest(line)).map(is_ruby_frame).collect();
                    assert_eq!(run.frames(&texts, at, (prefix, most), rest), expected, "from {at} of {texts:#?}");
                    compared += usize::from(expected.len() > 1);
                }
            }
        }
        assert!(compared > 10_000, "only {compared} runs of several lines");
    }

    #[test]
    fn many_digits_that_differ_are_looked_at_once() {
        let line = |digit: &str| format!("Error: 1:1{}", digit.repeat(1 << 20));
        assert_eq!(alike(&line("5"), &line("6")), "Error: 1:1".len() + (1 << 20));
    }
}
