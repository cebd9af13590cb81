//! Determines the severity of a record from the text and fields that the application wrote.

mod brackets;
mod head;
mod journal;
mod model;
mod names;
mod rest;
mod starts;
mod text;
pub(in crate::mapping) mod timestamp;
mod words;
mod wrapped;

use crate::chunk::msgpack::{Seq, Value};
use crate::level::Level;
use crate::mapping::extract::fields::{Fields, Found, Role};
use crate::mapping::formats::Scale;
use journal::Worth;
pub(in crate::mapping) use rest::Head;

/// Severity words that the user has set, and the level of a record without any.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `level_map`
    pub map: Vec<(String, Level)>,
    /// `default_level`
    pub default: Level,
}

/// The source of a record's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The field with this key, or OTLP metadata.
    Field(&'a [u8]),
    /// The head of the message.
    Text,
    /// This field, but journald only assumed its value, because the line came through stdout: a stack trace knows better.
    Assumed(&'a [u8]),
}

/// Reads the severity and its source: level fields first, then OTLP metadata, then the head of the message, then a level
/// that journald assumed. Taken fields are marked.
pub fn severity<'a>(
    rules: &Rules,
    fields: &mut Fields<'a>,
    otlp: Option<Seq<'_>>,
    message: &[u8],
) -> Option<(Level, Source<'a>)> {
    let of_application = fields.of_application();
    // Only the kernel's own records have syslog's numbers there; an application's are those of jobs, threads and the like.
    let is_kernels = |found: &Found<'_>| {
        let is_word = found.value.text().is_some_and(|text| parse(text).is_none());
        found.key != b"priority" || is_word || !of_application || found.is_chosen()
    };
    let mut keyed =
        fields.take(Role::Level, |found| Some((rules.of_field(&found).filter(|_| is_kernels(&found))?, found.key)));
    let mut assumed = None;
    if let Some((level, key)) = keyed {
        match journal::worth(fields, key, level) {
            Worth::LevelSource => {}
            Worth::Assumed => assumed = keyed.take(),
            Worth::Nothing => keyed = None,
        }
    }
    let keyed = keyed.or_else(|| fields.level_of_format());
    let keyed = keyed.or_else(|| Some((from_otlp(otlp?)?, &b"otlp"[..])));
    let found = keyed.map(|(level, key)| (level, Source::Field(key)));
    let found = found.or_else(|| Some((rules.of_line(message)?, Source::Text)));
    found.or_else(|| assumed.map(|(level, key)| (level, Source::Assumed(key))))
}

impl Rules {
    fn of_field(&self, found: &Found<'_>) -> Option<Level> {
        let number = |n| if found.scale == Scale::Words { from_number(found.key, n) } else { found.scale.number(n) };
        match found.value {
            Value::Str(word) => self.of_format(found.scale, word).or_else(|| number(parse(word)?)),
            Value::UInt(n) => number(n),
            Value::Float(n) if n.fract() == 0.0 && (0.0..1e6).contains(&n) => number(n as u64),
            Value::Array(list) if found.scale == Scale::FirstOfList => {
                list.values().find_map(|value| self.of_word(value.text()?))
            }
            _ => None,
        }
    }

    /// The word in a level field: one letter where the logger writes letters, else a word, perhaps with an offset.
    fn of_format(&self, scale: Scale, word: &[u8]) -> Option<Level> {
        let word_of = |word| self.of_word(word).or_else(|| scale.word(word));
        word_of(word).or_else(|| with_offset(word)).or_else(|| self.of_qualified(word))
    }

    /// A level behind a qualifier, such as OpenDJ's `MILD_WARNING`, `SEVERE_ERROR` and `FATAL_ERROR`: the last word says the
    /// level, except that a fatal error is fatal.
    fn of_qualified(&self, word: &[u8]) -> Option<Level> {
        let word = word.trim_ascii();
        let last = word.iter().rposition(|byte| *byte == b'_')?;
        let (level, qualifier) = (self.of_word(&word[last + 1..])?, self.of_word(&word[..last]));
        let is_fatal = level == Level::Error && qualifier == Some(Level::Fatal);
        Some(if is_fatal { Level::Fatal } else { level })
    }

    /// The level that a text begins with, and the length of its word.
    fn of_first_word(&self, text: &[u8]) -> Option<(Level, usize)> {
        let len = |in_word: fn(&u8) -> bool| text.iter().position(|byte| !in_word(byte)).unwrap_or(text.len());
        let letters = len(u8::is_ascii_alphabetic);
        let whole = len(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let level = |len: usize| Some((self.of_word(&text[..len])?, len));
        let qualified = || level(whole).or_else(|| Some((self.of_qualified(&text[..whole])?, whole)));
        if whole > letters { qualified().or_else(|| level(letters)) } else { level(letters) }
    }

    fn of_word(&self, word: &[u8]) -> Option<Level> {
        let word = word.trim_ascii();
        self.own(word).or_else(|| Level::from_word(word))
    }

    /// `level_map`'s level of a word.
    fn own(&self, word: &[u8]) -> Option<Level> {
        let own = self.map.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        own.map(|(_, level)| *level)
    }

    /// The level that the head of a line says.
    fn of_line(&self, line: &[u8]) -> Option<Level> {
        head::level(self, line)
    }

    /// Returns the information that the head of a line holds besides its message.
    pub fn head(&self, line: &str) -> Head {
        rest::read(self, line.as_bytes())
    }

    /// Returns the level of a word in capitals. `FAIL` is excluded, as test runners print it.
    fn of_capitals(&self, word: &[u8]) -> Option<Level> {
        let word = if word.len() == 6 && word.starts_with(b"DEBUG") { &word[..5] } else { word };
        let is_level = word.iter().all(u8::is_ascii_uppercase) && word != b"FAIL";
        if is_level { self.of_word(word) } else { self.own(word) }
    }

    /// A word in any case, where brackets, pipes, tabs or a colon set it apart. Some are levels in capitals only.
    fn of_mixed(&self, word: &[u8]) -> Option<Level> {
        const PROSE: [&[u8]; 5] = [b"config", b"fine", b"finer", b"finest", b"log"];
        let level = self.of_word(word)?;
        let is_prose = |word: &[u8]| PROSE.iter().any(|prose| prose.eq_ignore_ascii_case(word));
        let in_lower = || word.iter().any(u8::is_ascii_lowercase) && is_prose(word);
        if word.eq_ignore_ascii_case(b"fail") || in_lower() { self.own(word) } else { Some(level) }
    }
}

/// `ERROR+2` and `DEBUG-4` of Go's `log/slog`, `DEBUG1` of PostgreSQL, `Level(-3)` of zap, whose numbers below debug are
/// finer ones.
fn with_offset(word: &[u8]) -> Option<Level> {
    let word = word.trim_ascii();
    if let Some(number) = word.strip_prefix(b"Level(-").and_then(|rest| rest.strip_suffix(b")")) {
        return match parse(number)? {
            1 => Some(Level::Debug),
            _ => Some(Level::Trace),
        };
    }
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = &word[..word.len() - digits];
    let name = name.strip_suffix(b"+").or(name.strip_suffix(b"-")).unwrap_or(name);
    if digits == 0 { None } else { Level::from_word(name) }
}

/// Returns the level that a number means, which depends on the field that holds the number.
fn from_number(key: &[u8], n: u64) -> Option<Level> {
    match key {
        b"severity_number" | b"SeverityNumber" => Level::from_otel(n),
        b"pri" => Level::from_syslog(n % 8),
        b"PRIORITY" | b"priority" => Level::from_syslog(n),
        _ if n >= 10 => Level::from_bunyan(n),
        _ => Level::from_syslog(n),
    }
}

fn from_otlp(otlp: Seq<'_>) -> Option<Level> {
    let number = match otlp.get("severity_number") {
        Some(Value::UInt(n)) => Level::from_otel(n),
        _ => None,
    };
    number.or_else(|| Level::from_word(otlp.get("severity_text")?.text()?))
}

fn parse(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
