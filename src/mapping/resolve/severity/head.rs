//! Reads the head of a line column by column (time stamps, numbers, names and brackets) until a column names the level.
//!
//! A column is a word, a bracket or a separator. The tables of `words` and `brackets` say which columns are a level. All
//! other columns are skipped, as long as a logger may have written them. The first column that only prose has ends the
//! search, so a line without a level costs only a check of its first word or two.

use super::Rules;
use super::brackets::BRACKETS;
pub(super) use super::model::{Before, Column, Found, Layout, Seen, Span, Style, found};
use super::names::{is_logger, is_thread_name};
use super::text::{
    BLANK, BRACKET, CAPITALS, CELL, COLON, DIGIT, EQUAL, ERRORS, HIGH, JOINT, LOWER, PIPE, PROSE, SHORT, TIMED, UPPER,
    close_and_kinds, end_of_quoted, kind,
};
use super::words::WORDS;
use super::{starts, timestamp};
use crate::level::Level;

/// Bytes of a line that may hold its level.
const HEAD_BYTES: usize = 512;

/// Columns looked at: of a line of logfmt the level may be one of the last.
const MAX_COLUMNS: usize = 40;

/// Most names of servers, programs, threads and loggers that may stand before a level, after a time.
const MAX_NAMES: u8 = 6;

/// The part of a line that is looked at.
pub(super) fn head(line: &[u8]) -> &[u8] {
    &line[..line.len().min(HEAD_BYTES)]
}

/// Finds the level in the head of a line, and the parts before it.
pub(super) fn find(rules: &Rules, line: &[u8]) -> (Option<Found>, Seen) {
    let mut scan = Scan::new(rules, line, true);
    let found = scan.run();
    (found, scan.seen)
}

/// Finds the level alone, which is quicker.
pub(super) fn level(rules: &Rules, line: &[u8]) -> Option<Level> {
    Scan::new(rules, line, false).run().map(|found| found.level)
}

/// Returns the length of the prefix that PM2 puts before each line of its processes: `0|api      | `, the number and the name of
/// the process. Source: <https://github.com/Unitech/pm2/issues/2792>.
fn process_prefix(line: &[u8]) -> Option<usize> {
    const MAX_DIGITS: usize = 4;
    let digits = timestamp::digits(line);
    let name = line.get(digits..)?.strip_prefix(b"|").filter(|_| (1..=MAX_DIGITS).contains(&digits))?;
    let len = name.iter().position(|byte| *byte == b' ' || *byte == b'|').filter(|len| *len > 0)?;
    let rest = name[len..].trim_ascii_start().strip_prefix(b"|")?;
    rest.starts_with(b" ").then(|| line.len() - rest.len() + 1)
}

struct Scan<'r, 'h> {
    rules: &'r Rules,
    head: &'h [u8],
    at: usize,
    before: Before,
    seen: Seen,
    /// Names of loggers are wanted.
    named: bool,
}

/// The effect of a column on the search.
enum Step {
    Found(Found),
    /// Go on from there.
    To(usize, Before),
    /// This is prose.
    Stop,
}

impl<'r, 'h> Scan<'r, 'h> {
    fn new(rules: &'r Rules, line: &'h [u8], named: bool) -> Self {
        Self { rules, head: head(line), at: 0, before: Before::Start, seen: Seen::default(), named }
    }

    fn run(&mut self) -> Option<Found> {
        self.at = self.head.iter().position(|b| kind(*b) != BLANK)?;
        if self.at > 0 && self.head[self.at - 1] != b'\n' {
            self.before = Before::Indent;
        }
        for _ in 0..MAX_COLUMNS {
            let first = *self.head.get(self.at)?;
            if first.is_ascii_lowercase() && self.is_prose() {
                return None;
            }
            let step = match kind(first) {
                UPPER | LOWER => self.word(),
                DIGIT => self.number(),
                BRACKET if matches!(first, b'[' | b'(' | b'<' | b'{') => self.bracket(first),
                _ => self.separator(first),
            };
            match step {
                Step::Found(found) => return Some(found),
                Step::To(at, before) => (self.at, self.before) = (at, before),
                Step::Stop => return None,
            }
            self.skip_blanks()?;
        }
        None
    }

    /// Returns true for words that no logger writes before a level: behind a time two in lower case with nothing but a blank
    /// between and behind them, and without a time one before another word or number.
    fn is_prose(&self) -> bool {
        let word = |text: &[u8]| text.iter().position(|b| !b.is_ascii_lowercase()).filter(|len| text[*len] == b' ');
        let rest = &self.head[self.at..];
        let Some(first) = word(rest) else { return false };
        let rest = &rest[first + 1..];
        if self.seen.time.is_none() && matches!(self.before, Before::Start | Before::Indent) {
            let digits = timestamp::digits(rest);
            let may_be_date = || matches!(rest.get(digits), Some(b'-' | b'/' | b':' | b'.'));
            return rest.first().is_some_and(u8::is_ascii_alphanumeric) && (digits == 0 || !may_be_date());
        }
        word(rest)
            .is_some_and(|len| len > 0 && rest.get(len + 1).is_some_and(|b| kind(*b) & (UPPER | LOWER | DIGIT) != 0))
    }

    /// A tab is remembered, and a line ends the head, except where the next one has the level of a head of two.
    fn skip_blanks(&mut self) -> Option<()> {
        loop {
            match self.head.get(self.at)? {
                b' ' => {}
                b'\t' => self.before = Before::Tab,
                b'\r' => {}
                b'\n' if self.seen.time.is_some() && self.head[self.at + 1..].first()?.is_ascii_uppercase() => {}
                b'\n' => return None,
                _ => return Some(()),
            }
            self.at += 1;
        }
    }

    fn column(&self) -> Column<'_> {
        let (mut end, mut kinds) = (self.at, 0);
        for byte in &self.head[self.at..] {
            let kind = kind(*byte);
            if kind & (BLANK | PIPE) != 0 {
                break;
            }
            kinds |= kind;
            end += 1;
        }
        let first = &self.head[self.at..end];
        kinds |= of_first(first);
        kinds |= match self.before {
            Before::Time => TIMED,
            Before::Tab | Before::Pipe => CELL,
            _ => 0,
        };
        Column { head: self.head, at: self.at, end, kinds, before: self.before, seen: &self.seen, time: None }
    }

    fn word(&mut self) -> Step {
        if self.seen.time.is_none()
            && self.head[self.at].is_ascii_uppercase()
            && let Some(step) = self.timestamp()
        {
            return step;
        }
        let column = self.column();
        let (at, end, kinds) = (column.at, column.end, column.kinds);
        if kinds & IN_WORDS != 0
            && let Some(found) = in_words(self.rules, &column)
        {
            return Step::Found(found);
        }
        if kinds & EQUAL != 0
            && let Some(step) = self.pair(at, end)
        {
            return step;
        }
        self.name(at, end, kinds)
    }

    /// A time, or another number.
    fn number(&mut self) -> Step {
        if self.seen.time.is_none()
            && let Some(step) = self.timestamp()
        {
            return step;
        }
        if self.before == Before::Start
            && let Some(len) = process_prefix(&self.head[self.at..])
        {
            return Step::To(self.at + len, Before::Start);
        }
        let column = self.column();
        let (at, end, kinds) = (column.at, column.end, column.kinds);
        // Access logs in the common format.
        if self.before == Before::Start && self.head[end..].starts_with(b" - - [") {
            return Step::Stop;
        }
        if kinds & (COLON | UPPER) == COLON | UPPER
            && let Some(found) = in_words(self.rules, &column)
        {
            return Step::Found(found);
        }
        self.seen.numbers += 1;
        self.name(at, end, kinds)
    }

    fn timestamp(&mut self) -> Option<Step> {
        let len = timestamp::len(&self.head[self.at..])?;
        let end = self.at + len;
        self.seen.time = Some((self.at, end));
        Some(Step::To(end, Before::Time))
    }

    /// A name that is no level: of a logger, a host, a program, a thread.
    fn name(&mut self, at: usize, end: usize, kinds: u16) -> Step {
        let text = &self.head[at..end];
        self.seen.other = true;
        if kinds & (PROSE | HIGH) != 0 {
            // Ruby's logger: `E, [2024-03-10T09:00:00.123456 #1] ERROR -- : message`.
            if matches!(text, [b'D' | b'I' | b'W' | b'E' | b'F' | b'A' | b'U', b','])
                && self.head[end..].starts_with(b" [")
            {
                self.seen.ruby = true;
                return Step::To(end, Before::Bracket);
            }
            return Step::Stop;
        }
        let behind = self.head[end..].trim_ascii_start();
        let named = matches!(behind, [b'-' | b':', b' ', ..] | [b'|', ..]) || self.head[end..].first() == Some(&b'\t');
        let timed = self.seen.time.is_some();
        if kinds & OF_BYTES & !(UPPER | LOWER) == 0 {
            if kinds & LOWER == 0 && !named {
                return Step::Stop;
            }
            if !named {
                let is_go = self.seen.time.is_some_and(|(start, end)| {
                    let time = &self.head[start..end];
                    timestamp::digits(time) == 4 && time.get(4) == Some(&b'/')
                });
                let is_date = |text: &[u8]| {
                    let digits = timestamp::digits(text);
                    matches!(digits, 1 | 2 | 4) && matches!(text.get(digits), Some(b'-' | b'/' | b':'))
                };
                let before_time = !timed && is_date(behind.strip_prefix(b"[").unwrap_or(behind));
                if self.seen.plain > 0 || !(timed && !is_go || before_time) {
                    return Step::Stop;
                }
                self.seen.plain += 1;
            }
        } else if text.ends_with(b".") || text.windows(3).any(|part| part == b"://") {
            return Step::Stop;
        }
        self.seen.names += 1;
        if self.seen.names > if timed { MAX_NAMES } else { 1 } {
            return Step::Stop;
        }
        let (body, before) = match text {
            [body @ .., b']', b':'] | [body @ .., b']'] => (body, Before::Program),
            [body @ .., b':'] => (body, Before::Colon),
            body => (body, Before::Blank),
        };
        // `Status: ERROR`
        if before == Before::Colon && !timed && body[0].is_ascii_uppercase() {
            return Step::Stop;
        }
        if before == Before::Program {
            self.seen.logger = None;
        } else if self.named && (before != Before::Colon || timed) {
            let good = is_logger(body) && (timed || matches!(behind, [b'-' | b':', ..]));
            let quality = if kinds & JOINT != 0 || named { 2 } else { 1 };
            if good && self.seen.logger.is_none_or(|(_, known)| known <= quality) {
                self.seen.logger = Some(((at, at + body.len()), quality));
            }
        }
        Step::To(end, before)
    }

    /// `key=value` or `key="value"`: says the level where the line is logfmt from its start.
    fn pair(&mut self, at: usize, end: usize) -> Option<Step> {
        let text = &self.head[at..end];
        let sign = text.iter().position(|b| *b == b'=')?;
        let (key, value) = (&text[..sign], at + sign + 1);
        let is_key = |b: &u8| kind(*b) & (UPPER | LOWER | DIGIT | JOINT) != 0;
        if !key.iter().all(is_key) {
            return None;
        }
        if !self.seen.other && is_level_key(key) {
            let quote = usize::from(self.head.get(value) == Some(&b'"'));
            if let Some((level, len)) = self.rules.of_first_word(&self.head[value + quote..]) {
                let end = value + quote + len;
                let logger = None;
                return Some(Step::Found(Found { level, end, logger, style: Style::Pair, layout: "level=word" }));
            }
        }
        let end = match self.head.get(value) {
            Some(b'"') => end_of_quoted(self.head, value)?,
            _ => end,
        };
        Some(Step::To(end, Before::Blank))
    }

    fn bracket(&mut self, open: u8) -> Step {
        if self.before == Before::Start && self.seen.time.is_none() {
            let found = match open {
                b'<' => starts::syslog(self.head, self.at),
                b'{' => starts::cut_json(self.rules, self.head, self.at),
                _ => None,
            };
            match (found, open) {
                (Some(found), _) => return Step::Found(found),
                (None, b'{') => return Step::Stop,
                (None, _) => {}
            }
        }
        let Some((close, kinds)) = close_and_kinds(self.head, self.at) else { return Step::Stop };
        let (start, end) = (self.at + 1, close + 1);
        let inner = &self.head[start..close];
        let kinds = kinds | of_first(inner);
        let time = if open == b'{' || kinds & DIGIT == 0 { None } else { timestamp::len(inner) };
        let column =
            Column { head: self.head, at: start, end: close, kinds, before: self.before, seen: &self.seen, time };
        // A time alone says nothing more.
        let rows = BRACKETS.iter().filter(|layout| kinds & layout.needs == layout.needs && time != Some(inner.len()));
        let found = rows.into_iter().find_map(|layout| (layout.read)(self.rules, &column, layout.name));
        if let Some(found) = found {
            let found = Found { end, ..found };
            return Step::Found(super::wrapped::by_brackets(self.rules, self.head, end).unwrap_or(found));
        }
        // Behind a time in brackets logfmt begins as behind any other time.
        self.seen.other |= self.seen.time.is_some() || time != Some(inner.len());
        self.seen.brackets = self.seen.brackets.saturating_add(1);
        if self.seen.time.is_none()
            && let Some(len) = time
        {
            self.seen.time = Some((start, start + len));
            return Step::To(end, Before::Time);
        }
        let text = inner.trim_ascii();
        if self.named && open == b'[' && is_logger(text) && !is_thread_name(text) && self.seen.time.is_some() {
            let from = start + inner.iter().position(|b| *b != b' ').unwrap_or(0);
            let quality = if text.contains(&b'.') { 2 } else { 1 };
            if self.seen.logger.is_none_or(|(_, known)| known <= quality) {
                self.seen.logger = Some(((from, from + text.len()), quality));
            }
        }
        Step::To(end, Before::Bracket)
    }

    fn separator(&mut self, first: u8) -> Step {
        let rest = &self.head[self.at..];
        let len = rest.iter().position(|b| *b != first).unwrap_or(rest.len());
        let alone = rest.get(len).is_none_or(|b| kind(*b) == BLANK);
        if alone && let Some(found) = starts::redis(self.head, self.at, &self.seen) {
            return Step::Found(found);
        }
        match first {
            b'|' => Step::To(self.at + len, Before::Pipe),
            b':' | b',' | b';' => Step::To(self.at + len, self.before),
            b'-' | b'>' if alone => Step::To(self.at + len, Before::Dash),
            b'_' | b'.' if !alone => self.word(),
            b'=' => starts::equals(self.head, self.at).map_or(Step::Stop, |step| match step {
                Ok(found) => Step::Found(found),
                Err(end) => Step::To(end, Before::Start),
            }),
            // WebLogic's log file: `####<Mar 10, 2024 9:00:00,123 AM UTC> <Error>`
            b'#' if len == 4 && rest.get(4) == Some(&b'<') => Step::To(self.at + len, self.before),
            // Symbols and emoji, but no letters: those begin with other bytes.
            0xe2 | 0xf0 => {
                let end = rest.iter().take(12).position(|b| kind(*b) != HIGH).unwrap_or(0);
                match rest.get(end) {
                    Some(b' ') if end > 0 => Step::To(self.at + end, self.before),
                    _ => Step::Stop,
                }
            }
            _ => Step::Stop,
        }
    }
}

/// Kinds of bytes, without the properties of a whole column.
const OF_BYTES: u16 = CAPITALS - 1;

/// Kinds without which no word has a layout of the table.
const IN_WORDS: u16 = CAPITALS | COLON | SHORT | TIMED | CELL | ERRORS | DIGIT | BRACKET;

/// Returns the kinds that the first bytes and the length of a column show.
fn of_first(text: &[u8]) -> u16 {
    let capitals = match text {
        [a, b, c, ..] if kind(*a) & kind(*b) & kind(*c) & UPPER != 0 => CAPITALS,
        _ => 0,
    };
    let errors = match text {
        [b'P', b'H' | b'a', ..] | [b'F', b'a', ..] | [b'C', b'a', ..] | [b'R', b'e', ..] => ERRORS,
        _ => 0,
    };
    capitals | errors | if text.len() <= 2 { SHORT } else { 0 }
}

/// The first row of the words' table that the column has.
fn in_words(rules: &Rules, column: &Column<'_>) -> Option<Found> {
    let rows = WORDS.iter().filter(|layout| column.kinds & layout.needs == layout.needs);
    rows.into_iter().find_map(|layout| (layout.read)(rules, column, layout.name))
}

/// Keys whose value is the level in a line of logfmt.
fn is_level_key(key: &[u8]) -> bool {
    matches!(key, b"level" | b"lvl" | b"severity" | b"loglevel" | b"log_level" | b"log.level")
}
