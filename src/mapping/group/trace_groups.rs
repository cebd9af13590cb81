//! Groups consecutive lines of a stream that belong to one log call: a stack trace, the line that announces it, message
//! lines between the two, and lines on which a logger repeats a prefix.

use super::stream_lines::{LevelSource, Line};
use crate::level::Level;
use crate::mapping::trace;
use crate::mapping::trigram_scan::{Block, TrigramScan, vectors};
use wide::u8x16;

/// Longest line, in bytes, that can be part of a group.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Most lines of one group.
pub(crate) const MAX_WINDOW: usize = 2_048;

/// Lines given to the readers at first; only a trace that fills them needs [`MAX_WINDOW`].
const SMALL_WINDOW: usize = 128;

/// Most empty lines between a line and the trace that it announces. Spring Boot's layout has one.
const MAX_GAP: usize = 2;

/// Most message lines between a line and the trace that it announces.
const MAX_BETWEEN: usize = 16;

/// Shortest prefix, in bytes, that is compared from line to line.
const MIN_PREFIX: usize = 3;

/// Shortest tag, in bytes, by which lines are known to be of one request.
const MIN_TAG: usize = 8;

/// Longest prefix, in bytes.
const MAX_PREFIX: usize = 256;

/// Lines of one text that are read without a prefix that they share, in all tries.
const MOST_TRIED: usize = 8 * MAX_WINDOW;

/// Lines that are one log call. Indexes are places in the lines that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The first line, which determines the level if it has one.
    pub first: usize,
    /// Number of lines, at least two.
    pub len: usize,
    /// The first line of the trace; `first` if no line announces it.
    pub trace: usize,
    /// Bytes at the head of each line of the trace that its logger repeats.
    pub prefix: usize,
    /// The trace says that the program, or a thread of it, ended.
    pub is_fatal: bool,
    /// A reader has understood the trace to its end.
    pub is_whole: bool,
}

impl Group {
    /// Returns the level: that of a field of the first line; else fatal for a crash; else that of the first line's text;
    /// else error for a trace. Other lines have no say.
    pub(crate) fn level(&self, lines: &[Line<'_>]) -> Level {
        let head = &lines[self.first];
        match head.said {
            LevelSource::InField => head.level,
            _ if self.is_fatal => Level::Fatal,
            LevelSource::InText => head.level,
            LevelSource::Nowhere if self.is_whole => Level::Error,
            LevelSource::Nowhere => head.level,
        }
    }

    /// The text of the group as its event shows it: without the prefix that each line repeats.
    pub(crate) fn text(&self, texts: &[&str]) -> String {
        let members = &texts[self.first..self.first + self.len];
        let mut text = String::with_capacity(members.iter().map(|line| line.len() + 1).sum());
        for (at, line) in members.iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            let in_trace = self.first + at >= self.trace;
            text.push_str(if in_trace { line.get(self.prefix..).unwrap_or_default() } else { line });
        }
        text
    }
}

/// Looks for groups in consecutive lines of one stream.
pub(crate) struct Grouping<'l, 'k> {
    lines: &'l [Line<'k>],
    /// The lines' texts; empty where a line can be no part of a group.
    texts: &'l [&'l str],
    /// The line looked at last, and the trace that begins there.
    last: Option<(usize, trace::Extent)>,
}

impl<'l, 'k> Grouping<'l, 'k> {
    /// `texts` are the texts of `lines`, as [`text_of`] gives them.
    pub(crate) fn new(lines: &'l [Line<'k>], texts: &'l [&'l str]) -> Self {
        Self { lines, texts, last: None }
    }

    /// All groups, in order.
    pub(crate) fn all(mut self) -> Vec<Group> {
        let (mut groups, mut at) = (Vec::new(), 0);
        while at < self.lines.len() {
            match self.at(at) {
                Some(group) => {
                    at += group.len;
                    groups.push(group);
                }
                None => at += 1,
            }
        }
        groups
    }

    /// The group that begins at a line.
    fn at(&mut self, at: usize) -> Option<Group> {
        let found = self.trace(at);
        if found.lines > 1 {
            return Some(group(at, at, 0, found));
        }
        self.prefixed(at, at)
            .or_else(|| self.two_line_head(at))
            .or_else(|| self.announced(at))
            .or_else(|| self.frames(at))
    }

    /// A trace below a line that has a severity of its own, perhaps after empty lines and lines of its message.
    fn announced(&mut self, at: usize) -> Option<Group> {
        let head = &self.lines[at];
        if head.said == LevelSource::Nowhere || self.texts[at].is_empty() {
            return None;
        }
        let (mut empty, mut between) = (0, 0);
        for next in at + 1..self.lines.len() {
            let text = self.texts[next];
            if text.trim_ascii().is_empty() {
                empty += 1;
                if empty > MAX_GAP {
                    return None;
                }
                continue;
            }
            empty = 0;
            if is_fresh(&self.lines[next], text) {
                // A logger that repeats its prefix repeats it on the line that announces the trace, too.
                return self.prefixed(next, at);
            }
            if !is_alike(head, &self.lines[next]) {
                return None;
            }
            let found = self.trace(next);
            if found.lines > 1 {
                return Some(group(at, next, 0, found));
            }
            if let Some(found) = self.prefixed(next, next) {
                return Some(Group { first: at, len: found.len + next - at, ..found });
            }
            between += 1;
            if between > MAX_BETWEEN || head.level < Level::Warn || head.said == LevelSource::InField {
                return None;
            }
        }
        None
    }

    /// A trace from `at` on each of whose lines repeats a prefix, announced by the line at `first`, which has it too.
    fn prefixed(&mut self, at: usize, first: usize) -> Option<Group> {
        let (one, two) = (self.texts[at], *self.texts.get(at + 1)?);
        if !self.lines[at].heads || two.is_empty() {
            return None;
        }
        let prefix = shared_prefix(one, two)?;
        if first != at
            && (self.lines[first].level != self.lines[at].level || without(self.texts[first], prefix).is_none())
        {
            return None;
        }
        for most in [SMALL_WINDOW, MAX_WINDOW] {
            let lines = self.texts[at..].iter().take(most);
            let window: Vec<&str> = lines.map_while(|line| without(line, prefix)).collect();
            let found = trace::extent_of(&window);
            if found.lines < window.len() || window.len() < most {
                return (found.lines > 1).then(|| {
                    let found = group(first, at, prefix.len(), found);
                    // The logger's line that ends the trace may be empty.
                    let rest = window[found.len - (at - first)..].iter();
                    let empty = rest.take_while(|line| line.trim().is_empty()).count().min(MAX_GAP);
                    Group { len: found.len + empty, ..found }
                });
            }
        }
        None
    }

    /// .NET's console writes the level and the category on one line, and message and exception on lines below that are
    /// indented by six (`SimpleConsoleFormatter`).
    fn two_line_head(&mut self, at: usize) -> Option<Group> {
        if self.lines[at].said == LevelSource::Nowhere || !is_two_line_head(self.texts[at]) {
            return None;
        }
        let below = self.texts[at + 1..].iter().take(MAX_WINDOW - 1);
        let len = 1 + below.take_while(|line| line.starts_with("      ")).count();
        if len == 1 {
            return None;
        }
        let trace = (at + 1..at + len).take(MAX_BETWEEN).map(|next| (next, self.trace(next)));
        let found = trace.into_iter().find(|(_, found)| found.lines > 1);
        let (trace, found) = found.unwrap_or((at + len, trace::Extent::default()));
        Some(Group { len, ..group(at, trace, 0, found) })
    }

    /// Frames without any head that a reader knows, each behind the logger's prefix or the tag at its end, below a line that
    /// has the prefix as well: Rails logs an exception so.
    fn frames(&mut self, at: usize) -> Option<Group> {
        let (one, two) = (self.texts[at], *self.texts.get(at + 1)?);
        let head = &self.lines[at];
        if head.said == LevelSource::Nowhere || head.level < Level::Warn || two.is_empty() {
            return None;
        }
        let prefix = shared_prefix(one, two)?;
        let tag = prefix.trim_end().rfind(' ').map_or(prefix, |at| &prefix[at + 1..]);
        let rest = |line: &'l str| {
            without(line, prefix).or_else(|| without(line, tag)).or_else(|| is_ruby_frame(line).then_some(line))
        };
        if without(one, prefix).is_some_and(is_ruby_frame) {
            return None;
        }
        let lines = self.texts[at..].iter().take(SMALL_WINDOW).map_while(|line| rest(line));
        let frames: Vec<bool> = lines.map(is_ruby_frame).collect();
        let last = frames.iter().rposition(|is_frame| *is_frame)?;
        Some(Group { first: at, len: last + 1, trace: at + last + 1, prefix: 0, is_fatal: false, is_whole: false })
    }

    /// The trace that begins at a line.
    fn trace(&mut self, at: usize) -> trace::Extent {
        match self.last {
            Some((place, found)) if place == at => found,
            _ => {
                let found = self.look(at);
                self.last = Some((at, found));
                found
            }
        }
    }

    fn look(&self, at: usize) -> trace::Extent {
        let nothing = trace::Extent::default();
        let (one, Some(two)) = (self.texts[at], self.texts.get(at + 1)) else { return nothing };
        if one.is_empty() || !(self.lines[at].heads || self.lines[at + 1].heads || goes_on(two)) {
            return nothing;
        }
        // Readers give up soon, so most looks need a small window.
        for most in [SMALL_WINDOW, MAX_WINDOW] {
            let window = &self.texts[at..self.texts.len().min(at + most)];
            let barred = self.lines[at..].iter().take(window.len()).position(|line| line.text.is_gone());
            let window = &window[..barred.unwrap_or(window.len())];
            let found = trace::extent_of(window);
            if found.lines < window.len() || window.len() < most {
                return found;
            }
        }
        trace::Extent { lines: MAX_WINDOW, ..nothing }
    }
}

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

fn group(first: usize, trace: usize, prefix: usize, found: trace::Extent) -> Group {
    Group { first, len: trace - first + found.lines, trace, prefix, is_fatal: found.is_fatal, is_whole: found.is_whole }
}

/// Returns true if `line` may belong to the same group as `before`, the line above it in its stream. Asked of every line: the
/// cheap questions come first.
pub(crate) fn may_begin(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    if !is_alike(before, line) {
        return false;
    }
    let announces = before.said != LevelSource::Nowhere;
    if announces && line.said == LevelSource::InText && line.level >= Level::Warn && line.level == before.level {
        return !is_fresh(line, texts[1]) || shares_prefix(before, line, texts);
    }
    if line.said == LevelSource::InText && !line.heads && !goes_on(texts[1]) {
        // It has a level of its own.
        return false;
    }
    let may = goes_on(texts[1])
        || before.heads
        || line.heads
        || announces && (texts[1].is_empty() || before.level >= Level::Warn || is_type(texts[1]));
    may && !is_fresh(line, texts[1])
}

/// Returns true if a line may announce or begin a trace that the lines to come go on with.
pub(crate) fn may_lead(line: &Line<'_>, text: &str) -> bool {
    line.is_plain && (line.heads || is_type(text) || line.said != LevelSource::Nowhere && line.level >= Level::Warn)
        || line.said == LevelSource::InText && is_two_line_head(text)
}

/// The place of the first line at the end of a run that may belong to a group with the lines to come.
pub(crate) fn unfinished(lines: &[Line<'_>], texts: &[&str]) -> usize {
    let groups = Grouping::new(lines, texts).all();
    let end = groups.last().map_or(0, |group| group.first + group.len);
    let is_empty = |text: &&str| text.trim_ascii().is_empty();
    if let Some(last) = groups.last()
        && texts[end..].iter().all(is_empty)
    {
        return last.first;
    }
    // A head, and what may be lines of its message.
    let from = end.max(lines.len().saturating_sub(MAX_BETWEEN + MAX_GAP));
    let candidates = from..lines.len();
    let leads = |at: &usize| may_lead(&lines[*at], texts[*at]);
    let ends = |at: usize| {
        (at + 1..lines.len()).any(|next| lines[next].said == LevelSource::InText && is_fresh(&lines[next], texts[next]))
    };
    candidates.into_iter().filter(leads).find(|at| !ends(*at)).unwrap_or(lines.len())
}

/// Returns true if both lines have the same severity in a field, or neither has it there: a structured record announces no
/// lines of plain text, and plain text does not go on in one.
fn is_alike(one: &Line<'_>, two: &Line<'_>) -> bool {
    match (one.said, two.said) {
        (LevelSource::InField, LevelSource::InField) => one.level == two.level,
        (one, two) => one != LevelSource::InField && two != LevelSource::InField,
    }
}

/// `com.shop.Declined: card`, `Shop::Declined`: the type of an exception, as its trace begins.
fn is_type(text: &str) -> bool {
    let word = match memchr::memchr(b' ', text.as_bytes()) {
        Some(blank) => text[..blank].strip_suffix(':').unwrap_or_default(),
        None => text,
    };
    word.contains('.') || word.contains("::")
}

/// Returns true if `line` may belong to a group of which `before` is the last line so far.
pub(crate) fn may_continue(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    is_alike(before, line) && (!is_fresh(line, texts[1]) || shares_prefix(before, line, texts))
}

/// Returns true if two lines repeat a prefix and the text after it in the second one looks like a part of a trace.
fn shares_prefix(before: &Line<'_>, line: &Line<'_>, texts: [&str; 2]) -> bool {
    if shares_tag(texts) {
        return true;
    }
    let Some(prefix) = shared_prefix(texts[0], texts[1]) else { return false };
    let rest = |text| without(text, prefix).unwrap_or_default();
    let [above, text] = texts.map(rest);
    line.heads
        || before.heads
        || above.trim().is_empty()
        || text.trim().is_empty()
        || goes_on(text)
        || is_ruby_frame(text)
}

/// Returns true if both lines have a tag, such as a request's id, with which one of them begins, and the second one goes on like
/// a trace.
fn shares_tag([above, text]: [&str; 2]) -> bool {
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

/// Returns true if a line begins a log call of its own: it has a time or a level at its head. The type of an exception is no
/// level (`Error: timed out`).
fn is_fresh(line: &Line<'_>, text: &str) -> bool {
    match text.as_bytes() {
        [] | [b' ' | b'\t', ..] => false,
        _ if line.said == LevelSource::InText => !is_exception(text),
        // `[AggregateError: ...] {` below the source that Node shows.
        [b'[', ..] if is_exception(&text[1..]) => false,
        _ => trace::is_log_head(text),
    }
}

/// `Error: ...`, `com.shop.PayException: ...`, `error: ...` of a program that ends.
fn is_exception(text: &str) -> bool {
    let word = text.split([':', ' ', '(']).next().unwrap_or_default();
    ["Error", "Exception", "error", "panic", "exception"].iter().any(|end| word.ends_with(end))
}

/// The text of a line that may be part of a group: one line, not too long.
pub(crate) fn usable(text: &str) -> Option<&str> {
    (text.len() <= MAX_LINE && memchr::memchr(b'\n', text.as_bytes()).is_none()).then_some(text)
}

/// Returns the prefix that two lines share, up to the last blank or bracket; `None` if that is too short. Times may differ.
fn shared_prefix<'t>(one: &'t str, two: &str) -> Option<&'t str> {
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
fn is_in_time(text: &[u8], at: usize) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',' | b'-' | b'/' | b'T');
    let start = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let len = text[start..].iter().position(|byte| !is_part(byte)).unwrap_or(text.len() - start);
    let is_clock = |three: &[u8]| three[0].is_ascii_digit() && three[1] == b':' && three[2].is_ascii_digit();
    text[start..start + len].windows(3).any(is_clock)
}

/// A line without a prefix, if it has it; trailing blanks of the prefix may be missing where nothing follows.
fn without<'t>(line: &'t str, prefix: &str) -> Option<&'t str> {
    if alike(prefix, line) == prefix.len() {
        return line.get(prefix.len()..);
    }
    let bare = prefix.trim_end();
    (line.len() == bare.len() && alike(bare, line) == bare.len()).then_some("")
}

/// `fail: Shop.Payments.Worker[0]`.
fn is_two_line_head(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["trce", "dbug", "info", "warn", "fail", "crit"];
    let Some((level, category)) = text.split_once(": ") else { return false };
    let (Some(level), true) = (level.get(level.len().saturating_sub(4)..), category.ends_with(']')) else {
        return false;
    };
    let numbered = category.rsplit_once('[').map(|(name, number)| (name, &number[..number.len() - 1]));
    LEVELS.contains(&level)
        && numbered.is_some_and(|(name, number)| {
            !name.contains(' ') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// `app/models/order.rb:10:in 'run'`, with a gem's name before it or not.
fn is_ruby_frame(line: &str) -> bool {
    let Some(at) = line.find(":in ") else { return false };
    let digits = line[..at].bytes().rev().take_while(u8::is_ascii_digit).count();
    let quoted = line[at + 4..].starts_with(['`', '\'']);
    digits > 0 && line[..at - digits].ends_with(':') && quoted
}

/// Returns true if a line holds a word that begins a trace, or begins as one.
pub(crate) fn heads(text: &[u8]) -> bool {
    let is_head = |place: usize| {
        let stands = |(head, at): &(&str, usize)| {
            place
                .checked_sub(*at)
                .and_then(|start| text.get(start..))
                .is_some_and(|rest| rest.starts_with(head.as_bytes()))
        };
        HEADS.iter().any(stands)
    };
    is_beginning(text) || IN_HEADS.places(text, 0, first_look).any(is_head)
}

/// A bit for each byte of a block at which the first two bytes of [`IN_HEADS`] may stand.
fn first_look(block: &Block) -> u32 {
    let (bytes, behind) = vectors(block);
    let one = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let two = |byte: u8| behind.simd_eq(u8x16::splat(byte));
    let (c, o, r) = (two(b'c'), one(b'o'), two(b'r'));
    let pairs = one(b'c') & (two(b'e') | two(b'a'))
        | (one(b'i') | o) & (c | r)
        | (one(b'l') | one(b'd')) & two(b' ')
        | one(b'P') & two(b'H')
        | one(b'x') & (c | two(b'a'))
        | one(b'c') & c
        | one(b'[') & (two(b's') | two(b'R'));
    pairs.to_bitmask()
}

/// Returns true if a line begins a trace by its first or its last characters: a crash that says so, or the file and line
/// that Node prints above the source.
fn is_beginning(text: &[u8]) -> bool {
    let numbered = || {
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && text[..text.len() - digits].ends_with(b":") && !text.contains(&b' ')
    };
    match text {
        [b'*' | b'=' | b'E' | b'S' | b'l' | b't' | b'#', ..] => BEGINNINGS.iter().any(|head| text.starts_with(head)),
        [b'/' | b'n' | b'[' | b'e' | b'C', .., b'0'..=b'9'] => numbered(),
        [b'f', ..] => text.starts_with(b"future: <") || numbered(),
        _ => false,
    }
}

/// Returns true if a line looks like a trace's second one: indented, or a word with which frames begin.
fn goes_on(text: &str) -> bool {
    const NEXT: [&str; 6] = ["at ", "#0 ", "from ", "Stack trace:", "Caused by", "goroutine "];
    match text.as_bytes() {
        [b' ' | b'\t', ..] => true,
        [.., b'\''] if is_ruby_frame(text) => true,
        [b'a' | b'#' | b'f' | b'S' | b'C' | b'g', ..] => NEXT.iter().any(|next| text.starts_with(next)),
        [b's', ..] => text.starts_with("stack backtrace:") || text.starts_with("stack traceback:"),
        _ => false,
    }
}

/// Words in the first line of a trace, and where in each its three bytes of [`IN_HEADS`] stand.
const HEADS: [(&str, usize); 14] = [
    ("Traceback", 3),
    ("panic:", 3),
    ("fatal error:", 4),
    ("thread '", 5),
    ("goroutine ", 1),
    ("PHP ", 0),
    ("Fatal error", 4),
    ("Unhandled exception", 11),
    ("Error:", 3),
    ("Uncaught", 2),
    ("Exception", 1),
    ("[signal", 0),
    ("[Recovery]", 0),
    ("Unhandled Exception", 11),
];

/// Prefixes of lines that begin a trace, for lines in which nothing else shows it.
const BEGINNINGS: [&[u8]; 8] = [
    b"** (",
    b"*** Program crashed: ",
    b"==",
    b"Error in process <",
    b"Stack overflow.",
    b"libc++abi: terminating ",
    b"terminate called ",
    b"#<",
];

/// Three bytes that stand in each of the heads and in few other lines.
static IN_HEADS: TrigramScan = TrigramScan::new(
    &[
        // Traceback
        [b"c", b"e", b"b"],
        // panic:, Error:
        [b"io", b"cr", b":"],
        // fatal error:
        [b"l", b" ", b"e"],
        // thread '
        [b"d", b" ", b"'"],
        // goroutine
        [b"o", b"r", b"o"],
        [b"P", b"H", b"P"],
        // exception, Uncaught
        [b"xc", b"ca", b"eu"],
        // [signal, [Recovery]
        [b"[", b"sR", b"ie"],
    ],
    true,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::group::stream_lines::tests::lines;

    /// Numbers of lines of each group or single line.
    fn spans(texts: &[&'static str]) -> Vec<usize> {
        let lines = lines(texts);
        let groups = Grouping::new(&lines, texts).all();
        let (mut at, mut spans) = (0, Vec::new());
        for group in groups {
            spans.extend(std::iter::repeat_n(1, group.first - at));
            spans.push(group.len);
            at = group.first + group.len;
        }
        spans.extend(std::iter::repeat_n(1, texts.len() - at));
        spans
    }

    /// The text of the first group as its event shows it.
    fn text(texts: &[&'static str]) -> String {
        Grouping::new(&lines(texts), texts).all()[0].text(texts)
    }

    const TRACE: [&str; 2] = ["java.io.IOException: reset", "\tat com.shop.Net.read(Net.java:7)"];

    #[test]
    fn joins_a_trace_with_the_line_that_announces_it() {
        let texts = [
            "request 1",
            "ERROR order failed",
            "java.lang.IllegalStateException: declined",
            "\tat com.shop.Pay.run(Pay.java:10)",
            "\tat com.shop.Main.main(Main.java:3)",
            "Caused by: java.io.IOException: reset",
            "\tat com.shop.Net.read(Net.java:7)",
            "\t... 1 more",
            "request 2",
            "ERROR plain",
            "request 3",
        ];
        assert_eq!(spans(&texts), [1, 7, 1, 1, 1]);
    }

    #[test]
    fn every_head_has_its_three_bytes() {
        for (head, _) in HEADS {
            assert!(heads(head.as_bytes()), "{head}");
            assert!(heads(format!("x {head} y").as_bytes()), "{head}");
            (0..40).for_each(|at| assert!(heads(format!("{:at$}{head}", "").as_bytes()), "{head} at {at}"));
        }
    }

    #[test]
    fn first_look_agrees_with_the_table() {
        let mut state = 5_u64;
        for _ in 0..20_000 {
            let block: Block = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b"ceabiorl d'PHxu[sR:"[(state >> 33) as usize % 19]
            });
            assert_eq!(first_look(&block), IN_HEADS.pairs(&block), "{}", String::from_utf8_lossy(&block));
        }
    }

    #[test]
    fn joins_over_at_most_two_empty_lines() {
        assert_eq!(spans(&["ERROR failed", "", TRACE[0], TRACE[1]]), [4]);
        assert_eq!(spans(&["ERROR failed", "", "", "", TRACE[0], TRACE[1]]), [1, 1, 1, 1, 2]);
        assert_eq!(spans(&["ERROR failed", "", "on"]), [1, 1, 1]);
        assert_eq!(spans(&["ERROR failed", ""]), [1, 1]);
    }

    #[test]
    fn joins_message_lines_only_above_a_trace() {
        assert_eq!(spans(&["ERROR failed", "order: 17", "cart: 3", TRACE[0], TRACE[1], "on"]), [5, 1]);
        assert_eq!(spans(&["ERROR failed", "order: 17", "cart: 3", "on"]), [1, 1, 1, 1]);
        // An event of its own, and a line with a time, are no message lines.
        assert_eq!(spans(&["ERROR failed", "ERROR again", TRACE[0], TRACE[1]]), [1, 3]);
        assert_eq!(spans(&["ERROR failed", "2026-11-30 10:00:00 on", TRACE[0], TRACE[1]]), [1, 1, 2]);
        // A structured record announces no plain text.
        let mut lines = lines(&["ERROR failed", TRACE[0], TRACE[1]]);
        lines[0].said = LevelSource::InField;
        let groups = Grouping::new(&lines, &["ERROR failed", TRACE[0], TRACE[1]]).all();
        assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(1, 2)]);
    }

    #[test]
    fn joins_a_python_trace_by_itself() {
        let texts = [
            "start",
            "Traceback (most recent call last):",
            "  File \"/app/x.py\", line 3, in f",
            "    g()",
            "ValueError: no",
            "on",
        ];
        assert_eq!(spans(&texts), [1, 4, 1]);
    }

    #[test]
    fn takes_off_a_prefix_that_each_line_repeats() {
        let texts = [
            "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] step failed",
            "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] Traceback (most recent call last):",
            "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7]   File \"/app/x.py\", line 3, in f",
            "(Worker pid=12) ERROR 11-30 10:00:02 [core.py:7]     g()",
            "(Worker pid=12) ERROR 11-30 10:00:02 [core.py:7] ValueError: no",
            "(Worker pid=12) INFO 11-30 10:00:02 [core.py:7] on",
        ];
        let mut all = lines(&texts);
        all.iter_mut().take(5).for_each(|line| (line.level, line.said) = (Level::Error, LevelSource::InText));
        let group = Grouping::new(&all, &texts).all()[0];
        assert_eq!((group.first, group.len, group.trace), (0, 5, 1));
        let expected = "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] step failed\nTraceback (most recent call last):\n  \
                        File \"/app/x.py\", line 3, in f\n    g()\nValueError: no";
        assert_eq!(group.text(&texts), expected);
        let ranks =
            ["[rank1]: Traceback (most recent call last):", "[rank1]:   File \"x.py\", line 3, in f", "[rank1]: E: x"];
        assert_eq!(text(&ranks), "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\nE: x");
        // Other ranks write at the same time.
        assert_eq!(spans(&[ranks[0], "[rank2]:   File \"x.py\", line 3, in f"]), [1, 1]);
    }

    #[test]
    fn takes_a_prefix_off_a_whole_text() {
        let text = "ERROR failed\n[rank1]: Traceback (most recent call last):\n[rank1]:   File \"x.py\", line 3, in f\n[rank1]: E: x\non";
        let bare = "ERROR failed\nTraceback (most recent call last):\n  File \"x.py\", line 3, in f\nE: x\non";
        assert_eq!(without_prefix(text).as_deref(), Some(bare));
        assert_eq!(without_prefix(bare), None);
        assert_eq!(without_prefix("[rank1]: Error: a\n[rank1]: Error: b"), None);
        assert_eq!(without_prefix(""), None);
        // Beginnings without a trace are tried so often and no more.
        let behind = |count: usize| format!("{}{text}", "x: Error: a\n".repeat(count));
        assert!(without_prefix(&behind(5)).is_some_and(|found| found.ends_with(bare)));
        assert_eq!(without_prefix(&behind(1_000)), None);
    }

    #[test]
    fn a_tag_is_shared_with_or_without_the_prefix_before_it() {
        let (tagged, bare) = ("F, [10:00:01 #1] FATAL -- : [4b0f2c9e-2b51] Error", "[4b0f2c9e-2b51]     36: x");
        assert!(shares_tag([tagged, bare]) && shares_tag([bare, "F, [10:00:01 #1] FATAL -- : [4b0f2c9e-2b51]"]));
        assert!(
            !shares_tag([tagged, "[4b0f2c9e-2b52]     36: x"])
                && !shares_tag([tagged, "[4b0f2c9e-2b51] Completed 500"])
        );
    }

    #[test]
    fn joins_frames_behind_a_prefix() {
        let texts = [
            "[web] F, [2026-11-30T10:00:01.065165 #29:1a] FATAL -- : Error caught: [Shop::Declined] card",
            "[web] F, [2026-11-30T10:00:01.065254 #29:1a] FATAL -- : pay (5.0.0) lib/pay/gateway.rb:44:in `charge'",
            "[web] F, [2026-11-30T10:00:01.065365 #29:1a] FATAL -- : pay (5.0.0) lib/pay/order.rb:87:in `block in run'",
            "[web] F, [2026-11-30T10:00:02.065365 #29:1a] FATAL -- : on",
        ];
        let mut all = lines(&texts);
        all.iter_mut().for_each(|line| (line.level, line.said) = (Level::Fatal, LevelSource::InText));
        let groups = Grouping::new(&all, &texts).all();
        assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(0, 3)]);
        for (two, texts) in all.windows(2).zip(texts.windows(2)).take(2) {
            assert!(may_begin(&two[0], &two[1], [texts[0], texts[1]]), "{texts:?}");
        }
        assert!(!is_in_time(b"order.rb:44:in", 9) && is_in_time(b"10:00:01.065165", 14) && !is_in_time(b"pid=12", 4));
    }

    #[test]
    fn joins_a_two_line_head_with_what_is_below() {
        let texts = ["fail: Shop.Worker[0]", "      Payment 17 failed", "info: Shop.Worker[0]", "      on", "end"];
        let mut all = lines(&texts);
        (all[0].said, all[0].level, all[2].said) = (LevelSource::InText, Level::Error, LevelSource::InText);
        let groups = Grouping::new(&all, &texts).all();
        assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(0, 2), (2, 2)]);
        assert_eq!(groups.iter().map(|group| group.level(&all)).collect::<Vec<_>>(), [Level::Error, Level::Info]);
    }

    #[test]
    fn first_line_determines_the_level() {
        let level = |texts: &[&'static str], head: Option<Level>| {
            let mut lines = lines(texts);
            if let Some(level) = head {
                (lines[0].level, lines[0].said) = (level, LevelSource::InText);
            }
            lines[1].level = Level::Fatal;
            Grouping::new(&lines, texts).all()[0].level(&lines)
        };
        let texts = ["late, trying again", TRACE[0], TRACE[1]];
        assert_eq!(level(&TRACE, None), Level::Error);
        assert_eq!(level(&texts, Some(Level::Warn)), Level::Warn);
        assert_eq!(level(&texts, Some(Level::Info)), Level::Info);
        let crash = ["Exception in thread \"main\" java.io.IOException: reset", TRACE[1]];
        assert_eq!(level(&crash, None), Level::Fatal);
    }

    #[test]
    fn ordinary_lines_begin_no_run() {
        let all =
            ["INFO a", "GET /x 200", "INFO b", "{\"level\":\"info\"}", "ERROR c", "ERROR d", "2026-11-30 10:00:00 e"];
        let lines = lines(&all);
        for (two, texts) in lines.windows(2).zip(all.windows(2)) {
            assert!(!may_begin(&two[0], &two[1], [texts[0], texts[1]]), "{texts:?}");
        }
    }
}
