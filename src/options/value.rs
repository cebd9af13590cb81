//! Parses values as Fluent Bit users write them: `on`, `2M`, `5s`, `a,b`, `k=v`.

use super::DsnError;
use super::aliases::nearest_value;
use crate::level::Level;
use std::time::Duration;

/// Description of a correct value, for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    text: &'static str,
    /// All values, where there are only a few: one of them may have been meant.
    values: &'static [&'static str],
}

impl Expected {
    pub(super) const fn one_of(text: &'static str, values: &'static [&'static str]) -> Self {
        Self { text, values }
    }

    /// Names the value that was nearly written.
    pub(super) fn instead_of(self, found: &str) -> String {
        let nearest = nearest_value(found, self.values);
        self.text.to_owned() + &nearest.map_or(String::new(), |nearest| format!("; the nearest is {nearest}"))
    }
}

impl From<&'static str> for Expected {
    fn from(text: &'static str) -> Self {
        Self { text, values: &[] }
    }
}

impl From<DsnError> for Expected {
    fn from(error: DsnError) -> Self {
        error.expected().into()
    }
}

/// on/off/true/false/yes/no in any case.
pub(super) fn switch(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => {
            Err(Expected::one_of("on or off (also true, false, yes, no)", &["on", "off", "true", "false", "yes", "no"]))
        }
    }
}

/// Bytes with Fluent Bit's suffixes, which are powers of ten there (`flb_utils_size_to_bytes`): `500`, `64K`, `2M`,
/// `1G`, each also with a `B` behind.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "a size such as 500K, 24M or 1G";
    let text = text.to_ascii_uppercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        _ => return Err(EXPECTED),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or(EXPECTED)
}

/// A time span: `1.5s`, `10m`, `24h`, `2d`, `500ms`; a bare number is seconds, as in Fluent Bit.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a time such as 500ms, 5s, 10m or 24h";
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(EXPECTED),
    };
    let number: f64 = digits.parse().map_err(|_| EXPECTED)?;
    // Beyond a century is a typing error, and would overflow deadlines.
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') || number * seconds > 3.2e9 {
        return Err(EXPECTED);
    }
    Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED)
}

/// A comma list, blanks trimmed, empty elements left out.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `k=v,...` with every key given once.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    const EXPECTED: &str = "key=value pairs with commas between them, each key once";
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in list(text) {
        let (key, value) = part.split_once('=').ok_or(EXPECTED)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() || pairs.iter().any(|(known, _)| known == key) {
            return Err(EXPECTED);
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

/// A level in any spelling.
pub(super) fn level(text: &str) -> Result<Level, Expected> {
    const EXPECTED: &str = "a level: trace, debug, info, warn, error or fatal";
    Level::from_word(text.as_bytes()).ok_or(Expected::one_of(EXPECTED, LEVELS))
}

const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "warning", "error", "fatal"];

/// A level, or `off`.
pub(super) fn threshold(text: &str) -> Result<Option<Level>, Expected> {
    const EXPECTED: &str = "a level (trace, debug, info, warn, error, fatal) or off";
    if text.eq_ignore_ascii_case("off") || text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") {
        return Ok(None);
    }
    // `off` is never one letter from a level.
    level(text).map(Some).map_err(|_| match nearest_value(text, &["off"]) {
        Some(_) => Expected::one_of(EXPECTED, &["off"]),
        None => Expected::one_of(EXPECTED, LEVELS),
    })
}

/// A part of the whole, from 0 to 1.
pub(super) fn part(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|n| (0.0..=1.0).contains(n)).ok_or("a number from 0.0 to 1.0")
}

/// A whole number within bounds.
pub(super) fn whole(text: &str, least: usize, most: usize, expected: &'static str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|n| (least..=most).contains(n)).ok_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches() {
        for (text, on) in [("On", true), ("TRUE", true), ("yes", true), ("off", false), ("False", false), ("NO", false)]
        {
            assert_eq!(switch(text), Ok(on), "{text}");
        }
        assert!(switch("1").is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("500", 500), ("64k", 64_000), ("24M", 24_000_000), ("1gb", 1_000_000_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "2T", "99999999999G", "2 M"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [("0", 0), ("5", 5_000), ("500ms", 500), ("1.5s", 1_500), ("2H", 7_200_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-5s", "1e9d", "inf", "nan", "5 s", "9999999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_and_pairs() {
        assert_eq!(list(" a, b,,c "), ["a", "b", "c"]);
        assert_eq!(pairs("team=pay, tier = 1").unwrap(), [("team".into(), "pay".into()), ("tier".into(), "1".into())]);
        for text in ["team", "=x", "team=", "a=1,a=2"] {
            assert!(pairs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold("OFF"), Ok(None));
        assert_eq!(threshold("Warning"), Ok(Some(Level::Warn)));
        assert!(threshold("loud").is_err());
    }
}
