//! Counts items that Sentry will never receive, for client reports, so that Sentry's own statistics are complete too.
//!
//! Every stage that drops an item counts it, per destination; only the dispatcher reads and resets the counts. Items that
//! only wait are not reported, nor items that are filtered on purpose, nor items rejected with status 429, because the
//! server has counted those already.

use crate::envelope::report::Discarded;
use crate::ledger::{Category, Outcome};
use crate::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Arc, PoisonError};

/// Counts of one destination, by reason and category.
type Counts = HashMap<(&'static str, Category), Quantity>;

/// Items and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantity {
    /// Number of items.
    pub items: u64,
    /// Their bytes, about as many as Sentry would have billed; 0 if unknown.
    pub bytes: u64,
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

#[derive(Debug, Default)]
struct Cells(Mutex<HashMap<u128, Counts>>);

/// Adds to the counts, and cannot read them.
#[derive(Clone, Debug)]
pub struct Recorder {
    cells: Arc<Cells>,
    is_on: bool,
}

/// Takes the counts; there is one for an instance.
#[derive(Debug)]
pub struct Reader {
    cells: Arc<Cells>,
}

/// The content of one report, taken out of the counts until it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    destination: u128,
    counts: Counts,
}

/// Returns a recorder, and the reader of its counts.
#[must_use]
pub fn enabled() -> (Recorder, Reader) {
    let cells = Arc::new(Cells::default());
    (Recorder { cells: Arc::clone(&cells), is_on: true }, Reader { cells })
}

/// Returns a recorder that counts nothing, and a reader that never has anything to read.
#[must_use]
pub fn disabled() -> (Recorder, Reader) {
    let (recorder, reader) = enabled();
    (Recorder { is_on: false, ..recorder }, reader)
}

/// Returns Sentry's discard reason for an outcome; `None` for outcomes that are not reported.
#[must_use]
pub fn reason(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Sampled => Some("sample_rate"),
        // Both are limits that the plugin applies on its own.
        Outcome::Suppressed | Outcome::OverBudget => Some("backpressure"),
        Outcome::RateLimited => Some("ratelimit_backoff"),
        Outcome::TooLarge | Outcome::Rejected => Some("send_error"),
        Outcome::Overflow | Outcome::Lost => Some("buffer_overflow"),
        // Accepted, left out on purpose, never an item, or still with Fluent Bit.
        Outcome::Accepted | Outcome::Filtered | Outcome::Joined | Outcome::Invalid | Outcome::Abandoned => None,
    }
}

impl Recorder {
    /// Counts items that ended with this outcome; `bytes` is about the number that Sentry would have billed.
    pub fn add(&self, destination: u128, category: Category, outcome: Outcome, items: u64, bytes: u64) {
        let Some(reason) = reason(outcome).filter(|_| self.is_on && items > 0) else { return };
        let mut cells = self.cells.lock();
        *cells.entry(destination).or_default().entry((reason, category)).or_default() += Quantity { items, bytes };
    }

    /// Returns true if anything is counted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }
}

impl Reader {
    /// Takes the counts of a destination and resets them. Returns `None` if there are none.
    #[must_use]
    pub fn take(&self, destination: u128) -> Option<Report> {
        let counts = self.cells.lock().remove(&destination)?;
        Some(Report { destination, counts })
    }

    /// Puts back the counts of a report that could not be sent; the next report includes them.
    pub fn give_back(&self, report: Report) {
        let mut cells = self.cells.lock();
        let counts = cells.entry(report.destination).or_default();
        for (key, quantity) in report.counts {
            *counts.entry(key).or_default() += quantity;
        }
    }
}

impl Report {
    /// Returns the lines of the report: events as `error`, logs as items and as bytes.
    #[must_use]
    pub fn lines(&self) -> Vec<Discarded> {
        let mut lines = Vec::new();
        for ((reason, category), Quantity { items, bytes }) in &self.counts {
            let mut line = |category, quantity| lines.push(Discarded { reason, category, quantity });
            match category {
                Category::Event => line("error", *items),
                Category::Log => {
                    line("log_item", *items);
                    line("log_byte", (*bytes).max(1));
                }
            }
        }
        lines.sort_by_key(|line| (line.reason, line.category));
        lines
    }
}

impl Cells {
    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_each_outcome_to_a_discard_reason_or_none() {
        let words: Vec<_> = Outcome::ALL.iter().filter_map(|o| Some((o.name(), reason(*o)?))).collect();
        assert_eq!(
            words,
            [
                ("sampled", "sample_rate"),
                ("suppressed", "backpressure"),
                ("rate_limited", "ratelimit_backoff"),
                ("too_large", "send_error"),
                ("rejected", "send_error"),
                ("overflow", "buffer_overflow"),
                ("over_budget", "backpressure"),
                ("lost", "buffer_overflow"),
            ]
        );
    }

    #[test]
    fn failed_report_returns_its_counts() {
        let (recorder, reader) = enabled();
        recorder.add(1, Category::Log, Outcome::Rejected, 1, 10);
        recorder.add(1, Category::Log, Outcome::TooLarge, 2, 30);
        recorder.add(1, Category::Event, Outcome::Suppressed, 3, 0);
        recorder.add(1, Category::Event, Outcome::Filtered, 9, 0);
        recorder.add(2, Category::Event, Outcome::Lost, 4, 0);
        let line = |reason, category, quantity| Discarded { reason, category, quantity };
        let first = reader.take(1).unwrap();
        let expected =
            [line("backpressure", "error", 3), line("send_error", "log_byte", 40), line("send_error", "log_item", 3)];
        assert_eq!(first.lines(), expected);
        assert_eq!(reader.take(1), None);
        recorder.add(1, Category::Event, Outcome::Suppressed, 1, 0);
        reader.give_back(first);
        assert_eq!(reader.take(1).unwrap().lines()[0], line("backpressure", "error", 4));
        assert_eq!(reader.take(2).unwrap().lines(), [line("buffer_overflow", "error", 4)]);
    }

    #[test]
    fn counts_nothing_when_disabled() {
        let (recorder, reader) = disabled();
        recorder.add(1, Category::Event, Outcome::Lost, 1, 0);
        assert_eq!(reader.take(1), None);
    }
}
