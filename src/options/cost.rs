//! Defines the options for the cost of logs: the attributes that a log has, and the billed bytes that may be sent in a UTC
//! day or hour.

use std::fmt;

/// Origin of a log's attribute. [`LogAttributes`] decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The plugin writes it with `lean` and with `full`.
    Lean,
    /// The plugin writes it with `full` only.
    Full,
    /// The plugin writes it with `lean` only, in place of an attribute that `full` has in another form.
    Short,
    /// A field of the record.
    Field,
}

/// `log_attributes`: which attributes a log has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogAttributes {
    lean: bool,
    full: bool,
    /// Names that are sent with or without the words; `*` stands for any characters.
    names: Vec<String>,
}

impl LogAttributes {
    /// Reads `lean`, `full` or a comma list of names, in which both words may stand too.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "lean, full, or attribute names with commas between them, in which * stands for any characters";
        let mut attributes = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                _ if part.eq_ignore_ascii_case("lean") => attributes.lean = true,
                _ if part.eq_ignore_ascii_case("full") => attributes.full = true,
                _ if part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') => return Err(EXPECTED),
                _ => attributes.names.push(part.to_owned()),
            }
        }
        if attributes == Self::default() { Err(EXPECTED) } else { Ok(attributes) }
    }

    /// Returns true if logs have all attributes of this source, whatever their names.
    #[must_use]
    pub fn sends_all(&self, source: Source) -> bool {
        match source {
            Source::Lean | Source::Field => self.lean || self.full,
            Source::Full => self.full,
            Source::Short => self.lean && !self.full,
        }
    }

    /// Returns true if attributes are named one by one.
    #[must_use]
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Returns true if logs have the attribute.
    #[must_use]
    pub fn sends(&self, name: &str, source: Source) -> bool {
        self.sends_all(source) || self.names.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }
}

impl fmt::Display for LogAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.lean, "lean"), (self.full, "full")].into_iter().filter(|(on, _)| *on).map(|(_, word)| word);
        let all: Vec<&str> = words.chain(self.names.iter().map(String::as_str)).collect();
        f.write_str(&all.join(","))
    }
}

/// Returns true if a name matches a pattern in which each `*` stands for any number of characters. Takes at most the
/// product of both lengths in steps.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and from where in the name it was tried last.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    (p, n) = (at + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The time in which a budget may be spent; it begins and ends in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Period {
    /// Returns its length in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Returns the letter that stands for it in a budget.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }
}

/// Most billed bytes of logs in a UTC day or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes, at least 1.
    pub bytes: u64,
    /// The period to which the bytes apply.
    pub period: Period,
}

impl Budget {
    /// Reads a budget such as `500M/d` or `50M/h`; also used for the pod annotation.
    ///
    /// # Errors
    /// The form that was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a size for each day or hour, such as 500M/d or 50M/h";
        let (size, period) = text.split_once('/').ok_or(EXPECTED)?;
        let period = match period.trim().to_ascii_lowercase().as_str() {
            "d" | "day" => Period::Day,
            "h" | "hour" => Period::Hour,
            _ => return Err(EXPECTED),
        };
        let bytes = super::value::size(size.trim()).ok().filter(|bytes| *bytes > 0).ok_or(EXPECTED)?;
        Ok(Self { bytes, period })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.bytes {
            n if n.is_multiple_of(1_000_000_000) => (n / 1_000_000_000, "G"),
            n if n.is_multiple_of(1_000_000) => (n / 1_000_000, "M"),
            n if n.is_multiple_of(1_000) => (n / 1_000, "K"),
            n => (n, ""),
        };
        write!(f, "{number}{unit}/{}", self.period.letter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_select_attributes() {
        let sends = |text: &str, name, source| LogAttributes::parse(text).unwrap().sends(name, source);
        for (text, name, source, expected) in [
            ("lean", "k8s.pod.name", Source::Lean, true),
            ("lean", "container.image.name", Source::Full, false),
            ("LEAN", "service.name", Source::Short, true),
            ("full", "service.name", Source::Short, false),
            ("full", "container.image.name", Source::Full, true),
            ("lean,container.image.*", "container.image.name", Source::Full, true),
            ("k8s.*.name", "k8s.pod.name", Source::Lean, true),
            ("k8s.*.name", "k8s.pod.uid", Source::Lean, false),
            ("k8s.*.name", "status", Source::Field, false),
            ("status", "status", Source::Field, true),
            ("*", "anything", Source::Full, true),
        ] {
            assert_eq!(sends(text, name, source), expected, "{text} {name}");
        }
        for text in [",", "a b", "\"x\""] {
            assert!(LogAttributes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*b*b*", "abab", true),
            ("*b*b*", "ab", false),
            ("a", "ab", false),
            ("", "a", false),
            ("*.name", "k8s.pod.name", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn budgets_are_read_and_shown() {
        for (text, bytes, period, shown) in [
            ("500M/d", 500_000_000, Period::Day, "500M/d"),
            (" 50m / H", 50_000_000, Period::Hour, "50M/h"),
            ("1500/day", 1_500, Period::Day, "1500/d"),
            ("2G/hour", 2_000_000_000, Period::Hour, "2G/h"),
            ("20KB/d", 20_000, Period::Day, "20K/d"),
        ] {
            let budget = Budget::parse(text).unwrap();
            assert_eq!((budget, budget.to_string().as_str()), (Budget { bytes, period }, shown), "{text}");
        }
        for text in ["500M", "0/d", "/d", "500M/w", "500M/", "-1/d", "1.5M/d", "500M/d/d"] {
            assert!(Budget::parse(text).is_err(), "{text}");
        }
    }
}
