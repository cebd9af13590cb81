//! How bad a record is, from whatever the application wrote.

use super::fields::{Fields, Found, Role};
use super::formats::Scale;
use crate::chunk::msgpack::{Seq, Value};
use crate::level::Level;
use memchr::memchr2_iter;

/// How much of a line may hold its level; beyond it words are prose.
const HEAD_BYTES: usize = 160;

/// Severity words of the user's own, and what a record without any gets.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `level_map`
    pub map: Vec<(String, Level)>,
    /// `default_level`
    pub default: Level,
}

/// Reads the severity, and the key that gave it if one did: level fields first, then OTLP metadata, then the head of the
/// message. Taken fields are marked.
pub fn severity<'a>(
    rules: &Rules,
    fields: &mut Fields<'a>,
    otlp: Option<Seq<'_>>,
    message: &[u8],
) -> Option<(Level, Option<&'a [u8]>)> {
    let keyed = fields.take(Role::Level, |found| Some((rules.of_field(&found)?, Some(found.key))));
    let keyed = keyed.or_else(|| fields.level_of_format().map(|(level, key)| (level, Some(key))));
    keyed.or_else(|| Some((from_otlp(otlp?)?, Some(&b"otlp"[..])))).or_else(|| Some((rules.of_line(message)?, None)))
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
        self.of_word(word).or_else(|| scale.word(word)).or_else(|| with_offset(word))
    }

    fn of_word(&self, word: &[u8]) -> Option<Level> {
        let word = word.trim_ascii();
        let own = self.map.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        own.map(|(_, level)| *level).or_else(|| Level::from_word(word))
    }

    /// The level that a line begins with: klog's letter, `level=word`, or a word in capitals or brackets after a time.
    fn of_line(&self, line: &[u8]) -> Option<Level> {
        let head = &line[..line.len().min(HEAD_BYTES)];
        from_klog(head).or_else(|| self.of_pair(head)).or_else(|| self.of_head_words(head))
    }

    /// `level=error`, `"level":"error"` where nobody parsed it.
    fn of_pair(&self, head: &[u8]) -> Option<Level> {
        const NAMES: [&[u8]; 5] = [b"level=", b"lvl=", b"severity=", b"\"level\":", b"\"severity\":"];
        let mut ends = [None; NAMES.len()];
        for sign in memchr2_iter(b'=', b':', head) {
            let before = &head[..=sign];
            // The last letters of the names.
            if !matches!(before, [.., b'l' | b'y', b'='] | [.., b'"', b':']) {
                continue;
            }
            for (name, end) in NAMES.iter().zip(&mut ends) {
                if end.is_none() && before.ends_with(name) {
                    *end = Some(sign + 1);
                }
            }
        }
        NAMES.iter().zip(ends).find_map(|(name, end)| {
            let end = end?;
            let at = end - name.len();
            let starts_word = at == 0 || !head[at - 1].is_ascii_alphanumeric();
            let word = head[end..].trim_ascii_start();
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            let end = word.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(word.len());
            starts_word.then(|| self.of_word(&word[..end])).flatten()
        })
    }

    /// `ERROR [svc] ...`, `[warn] ...`, `2026-01-01 10:00:00,123 [main] ERROR ...`: the first word that is a level,
    /// provided that nothing but times, numbers and bracketed names stands before it. In lower case it must be
    /// bracketed or followed by a colon, or else it is prose.
    fn of_head_words(&self, head: &[u8]) -> Option<Level> {
        let mut rest = head.trim_ascii_start();
        for _ in 0..6 {
            let token = Token::first(rest);
            if let Some(level) = self.level_token(token.bytes) {
                return Some(level);
            }
            if !token.is_preamble() {
                return None;
            }
            rest = rest[token.bytes.len()..].trim_ascii_start();
        }
        None
    }

    fn level_token(&self, token: &[u8]) -> Option<Level> {
        let bare = trim_punctuation(token);
        let decorated = bare.len() < token.len();
        let capitals = bare.iter().all(u8::is_ascii_uppercase);
        let capitalised = bare.first().is_some_and(u8::is_ascii_uppercase);
        let believed =
            !bare.is_empty() && (capitals || decorated && (capitalised || token[0] != bare[0] || ends_colon(token)));
        believed.then(|| self.of_word(bare)).flatten()
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

fn ends_colon(token: &[u8]) -> bool {
    token.ends_with(b":")
}

fn trim_punctuation(token: &[u8]) -> &[u8] {
    let is_punctuation = |b: &u8| matches!(b, b'[' | b']' | b'(' | b')' | b'<' | b'>' | b':' | b'|' | b'-' | b',');
    let start = token.iter().position(|b| !is_punctuation(b)).unwrap_or(token.len());
    let end = token.iter().rposition(|b| !is_punctuation(b)).map_or(start, |at| at + 1);
    &token[start..end]
}

/// Times, dates, numbers, and names in brackets: what loggers put before the level.
pub(super) fn is_preamble(token: &[u8]) -> bool {
    Token::all(token).is_preamble()
}

const DIGIT: u8 = 1;
/// Digits, and what stands between them in times and dates.
const TIME: u8 = 2;
const BLANK: u8 = 4;

/// What each byte is.
const KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT | TIME,
            b'-' | b':' | b'.' | b',' | b'/' | b'T' | b'Z' | b'+' | b'[' | b']' | b'#' => TIME,
            byte if byte.is_ascii_whitespace() => BLANK,
            _ => 0,
        };
        byte += 1;
    }
    kinds
}

/// A word at the head of a line, and what its bytes are.
struct Token<'l> {
    bytes: &'l [u8],
    has_digit: bool,
    is_of_time: bool,
}

impl<'l> Token<'l> {
    /// The bytes before the first blank.
    fn first(line: &'l [u8]) -> Self {
        Self::until(line, BLANK)
    }

    fn all(token: &'l [u8]) -> Self {
        Self::until(token, 0)
    }

    fn until(line: &'l [u8], end: u8) -> Self {
        let (mut any, mut all, mut len) = (0, TIME, 0);
        for byte in line {
            let kind = KINDS[usize::from(*byte)];
            if kind & end != 0 {
                break;
            }
            any |= kind;
            all &= kind;
            len += 1;
        }
        Self { bytes: &line[..len], has_digit: any & DIGIT != 0, is_of_time: all & TIME != 0 }
    }

    fn is_preamble(&self) -> bool {
        let token = self.bytes;
        let bracketed =
            token.starts_with(b"[") || token.ends_with(b"]") || token.starts_with(b"(") && token.ends_with(b")");
        let separator = matches!(token, b"-" | b"|" | b"--" | b"---" | b":");
        self.has_digit && self.is_of_time || bracketed || separator
    }
}

/// klog: a letter, month and day, a blank and a time: `E1120 08:00:00.123456`.
fn from_klog(line: &[u8]) -> Option<Level> {
    let (letter, rest) = line.split_first()?;
    let date = rest.get(..4)?.iter().all(u8::is_ascii_digit) && rest.get(4) == Some(&b' ');
    let level = match letter {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        b'D' => Level::Debug,
        _ => return None,
    };
    (date && rest.get(5)?.is_ascii_digit()).then_some(level)
}

/// What a number means depends on the field it stands in.
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
mod tests {
    use super::*;

    fn line(text: &str) -> Option<Level> {
        Rules { map: vec![("audit".into(), Level::Warn)], default: Level::Info }.of_line(text.as_bytes())
    }

    #[test]
    fn heads_of_lines() {
        for (text, level) in [
            ("ERROR [gateway] upstream failed", Level::Error),
            ("[warn] 7#7: slow", Level::Warn),
            ("[2026-11-20 08:00:00] [error] 7#7: *1 open() failed", Level::Error),
            ("2026-11-20 08:00:00,123 [main] ERROR c.s.Pay - declined", Level::Error),
            ("2026-11-20T08:00:00Z WARN slow", Level::Warn),
            ("E1120 08:00:00.123456       1 reflector.go:1] failed", Level::Error),
            ("time=\"x\" level=error msg=\"boom\"", Level::Error),
            ("{\"ts\":1,\"level\":\"fatal\"}", Level::Fatal),
            ("error: cannot open", Level::Error),
            ("Warning: deprecated", Level::Warn),
            ("[AUDIT] login", Level::Warn),
        ] {
            assert_eq!(line(text), Some(level), "{text}");
        }
    }

    #[test]
    fn prose_is_no_severity() {
        for text in [
            "error rate is low",
            "no error",
            "info about things",
            "GET /error 200",
            "retrying after ERROR",
            "Error in prose",
            "sublevel=error",
            "E1120",
            "",
            "\u{e9}",
        ] {
            assert_eq!(line(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_mean_what_their_field_says() {
        assert_eq!(from_number(b"severity_number", 17), Some(Level::Error));
        assert_eq!(from_number(b"level", 17), None);
        assert_eq!(from_number(b"level", 50), Some(Level::Error));
        assert_eq!(from_number(b"pri", 11), Some(Level::Error));
        assert_eq!(from_number(b"PRIORITY", 4), Some(Level::Warn));
    }
}
