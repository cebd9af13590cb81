//! Defines the six severities, and recognises every spelling of them that logs use.
//!
//! Sentry has different vocabularies for events and logs (`warning` against `warn`, no `trace` for events) and silently
//! stores a name of the other vocabulary as something else, so this module holds both side by side.

/// A severity, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For developers.
    Debug,
    /// Normal operation.
    Info,
    /// Unexpected, but handled.
    Warn,
    /// Something failed.
    Error,
    /// The process or the system cannot go on.
    Fatal,
}

/// Each word in lower case with its severity.
const WORDS: &[(&str, Level)] = &[
    ("info", Level::Info),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("warning", Level::Warn),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
    ("dbg", Level::Debug),
    ("wrn", Level::Warn),
    ("inf", Level::Info),
    ("fatal", Level::Fatal),
    ("notice", Level::Info),
    ("information", Level::Info),
    ("informational", Level::Info),
    ("log", Level::Info),
    ("err", Level::Error),
    ("eror", Level::Error),
    ("severe", Level::Error),
    ("failure", Level::Error),
    ("critical", Level::Fatal),
    ("crit", Level::Fatal),
    ("alert", Level::Fatal),
    ("emerg", Level::Fatal),
    ("emergency", Level::Fatal),
    ("panic", Level::Fatal),
    ("dpanic", Level::Fatal),
    ("verbose", Level::Debug),
    ("fine", Level::Debug),
    ("config", Level::Debug),
    ("finer", Level::Trace),
    ("finest", Level::Trace),
    ("trc", Level::Trace),
    ("ftl", Level::Fatal),
    ("silly", Level::Trace),
    ("vrb", Level::Debug),
    ("pnc", Level::Fatal),
    ("debu", Level::Debug),
    ("erro", Level::Error),
    ("fata", Level::Fatal),
    ("pani", Level::Fatal),
];

/// For each letter a bit for each length of the words that begin with it.
const LENGTHS: [u16; 26] = {
    let (mut lengths, mut at) = ([0; 26], 0);
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        lengths[(word[0] - b'a') as usize] |= 1 << word.len();
        at += 1;
    }
    lengths
};

impl Level {
    /// Reads a word in any case.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Option<Self> {
        let word = word.trim_ascii();
        // Most words are none of them, which their first letters and lengths tell.
        let first = word.first()?.to_ascii_lowercase();
        let lengths = u32::from(*LENGTHS.get(usize::from(first.wrapping_sub(b'a')))?);
        if word.len() >= u16::BITS as usize || lengths >> word.len() & 1 == 0 {
            return None;
        }
        let is_it = |name: &[u8]| name[0] == first && name.eq_ignore_ascii_case(word);
        WORDS.iter().find(|(name, _)| is_it(name.as_bytes())).map(|(_, level)| *level)
    }

    /// Syslog severity, 0 (emergency) to 7 (debug): RFC 5424 section 6.2.1.
    #[must_use]
    pub fn from_syslog(n: u64) -> Option<Self> {
        Some(match n {
            0..=2 => Level::Fatal,
            3 => Level::Error,
            4 => Level::Warn,
            5 | 6 => Level::Info,
            7 => Level::Debug,
            _ => return None,
        })
    }

    /// OpenTelemetry severity number, 1 to 24 in bands of four.
    #[must_use]
    pub fn from_otel(n: u64) -> Option<Self> {
        const BANDS: [Level; 6] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];
        BANDS.get(usize::try_from(n.checked_sub(1)? / 4).ok()?).copied()
    }

    /// The numbers of pino and bunyan: 10 (trace) to 60 (fatal).
    #[must_use]
    pub fn from_bunyan(n: u64) -> Option<Self> {
        Some(match n {
            10 => Level::Trace,
            20 => Level::Debug,
            30 => Level::Info,
            40 => Level::Warn,
            50 => Level::Error,
            60 => Level::Fatal,
            _ => return None,
        })
    }

    /// The name in Sentry's vocabulary for events.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        match self {
            Level::Trace | Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warning",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The name in Sentry's vocabulary for logs.
    #[must_use]
    pub fn log_name(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case() {
        for (word, level) in [("ERROR", Level::Error), (" Warning ", Level::Warn), ("EMERG", Level::Fatal)] {
            assert_eq!(Level::from_word(word.as_bytes()), Some(level), "{word}");
        }
        for (word, level) in WORDS {
            assert_eq!(Level::from_word(word.to_uppercase().as_bytes()), Some(*level), "{word}");
        }
        assert_eq!(Level::from_word(b"loud"), None);
        assert_eq!(Level::from_word(b""), None);
    }

    #[test]
    fn each_numbering_has_its_own_range() {
        assert_eq!((0..9).map_while(Level::from_syslog).count(), 8);
        assert_eq!(Level::from_otel(0), None);
        assert_eq!(Level::from_otel(1), Some(Level::Trace));
        assert_eq!(Level::from_otel(17), Some(Level::Error));
        assert_eq!(Level::from_otel(24), Some(Level::Fatal));
        assert_eq!(Level::from_otel(25), None);
        assert_eq!(Level::from_bunyan(35), None);
        assert_eq!(Level::from_bunyan(50), Some(Level::Error));
    }

    #[test]
    fn the_two_vocabularies_differ_where_sentry_differs() {
        assert_eq!((Level::Warn.event_name(), Level::Warn.log_name()), ("warning", "warn"));
        assert_eq!((Level::Trace.event_name(), Level::Trace.log_name()), ("debug", "trace"));
    }
}
