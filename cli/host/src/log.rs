//! Keeps the log lines of plugins for later queries, and echoes them as Fluent Bit prints them.
#![deny(unsafe_code)]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Levels of Fluent Bit, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Data is lost or somebody has to act.
    Error = 1,
    /// Unexpected, but nothing is lost.
    Warn = 2,
    /// A message that a user wants to see.
    Info = 3,
    /// A message that a developer wants to see.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// Returns the level of this number; a number unknown to Fluent Bit is printed as an error, so that it is seen.
    pub(super) fn from_number(number: i32) -> Self {
        match number {
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            5 => Self::Trace,
            _ => Self::Error,
        }
    }

    /// Reads Fluent Bit's option `Log_Level`; `None` is `off`.
    ///
    /// # Errors
    /// A word that Fluent Bit does not know, with the expected ones.
    pub fn threshold(word: &str) -> Result<Option<Self>, String> {
        match word.to_ascii_lowercase().as_str() {
            "off" => Ok(None),
            "error" => Ok(Some(Self::Error)),
            "warn" | "warning" => Ok(Some(Self::Warn)),
            "info" => Ok(Some(Self::Info)),
            "debug" => Ok(Some(Self::Debug)),
            "trace" => Ok(Some(Self::Trace)),
            _ => Err(format!("log_level: expected off, error, warn, info, debug or trace, found '{word}'")),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// Receives each line as it is logged, on the thread that logs it.
pub type Sink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Returns one line as Fluent Bit prints it: `[2026/11/23 23:00:00] [ info] message` (in UTC).
pub fn format_line(level: Level, message: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("[{}] [{level:>5}] {message}", stamp(seconds))
}

fn stamp(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let clock = seconds % 86_400;
    format!("{year}/{month:02}/{day:02} {:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60)
}

/// Year, month and day of a day counted from 1970-01-01 (years that begin in March make leap days come last).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The host cuts a message here.
const LONGEST_MESSAGE: usize = 4096 - 8;

/// The lines of one instance, in the order they came.
pub(super) struct Journal {
    lines: Mutex<Vec<(Level, String)>>,
    sink: Option<Sink>,
}

impl Journal {
    pub(super) const fn new(sink: Option<Sink>) -> Self {
        Self { lines: Mutex::new(Vec::new()), sink }
    }

    pub(super) fn add(&self, level: Level, message: &[u8]) {
        let message = String::from_utf8_lossy(&message[..message.len().min(LONGEST_MESSAGE)]).into_owned();
        if let Some(sink) = &self.sink {
            sink(level, &message);
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push((level, message));
    }

    pub(super) fn lines(&self) -> Vec<(Level, String)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_hosts() {
        assert_eq!(stamp(0), "1970/01/01 00:00:00");
        assert_eq!(stamp(951_782_400), "2000/02/29 00:00:00");
        assert_eq!(stamp(1_795_474_799), "2026/11/23 22:59:59");
        assert_eq!(stamp(4_102_444_799), "2099/12/31 23:59:59");
        assert!(format_line(Level::Info, "hello").ends_with("] [ info] hello"));
        assert!(format_line(Level::Error, "hello").ends_with("] [error] hello"));
    }

    #[test]
    fn lines_are_kept_cut_and_passed_on() {
        let seen = Arc::new(Mutex::new(0));
        let count = Arc::clone(&seen);
        let journal = Journal::new(Some(Arc::new(move |_, message: &str| *count.lock().unwrap() += message.len())));
        journal.add(Level::Warn, b"one");
        journal.add(Level::Error, &[b'x'; 10_000]);
        assert_eq!(journal.lines()[0], (Level::Warn, "one".to_owned()));
        assert_eq!(journal.lines()[1].1.len(), LONGEST_MESSAGE);
        assert_eq!(*seen.lock().unwrap(), 3 + LONGEST_MESSAGE);
    }
}
