//! Counts the outcome of every record, each in exactly one cell per category, so that losses can be audited.
//!
//! `records = sum(outcomes) + pending` holds for each category at every moment, because pending is never stored: it is the
//! number of records that were taken and have not ended yet. Stages get a [`Recorder`], which can add but not read.

use crate::sync::AtomicU64;
use std::fmt::Write;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in metrics, summaries and documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

vocabulary! {
    /// The two kinds of item, as Sentry limits and bills them.
    Category {
        /// A Sentry event (issue).
        Event = "event",
        /// A Sentry log.
        Log = "log",
    }
}

vocabulary! {
    /// Final outcome of a record in a category.
    Outcome {
        /// Sentry answered 2xx.
        Accepted = "accepted",
        /// Below the level.
        Filtered = "filtered",
        /// A line that became part of another line's event.
        Joined = "joined",
        /// Left out by sampling.
        Sampled = "sampled",
        /// Left out by storm control, rate or loop guard.
        Suppressed = "suppressed",
        /// Given up after waiting for a quota.
        RateLimited = "rate_limited",
        /// Larger than Sentry takes, even alone.
        TooLarge = "too_large",
        /// Undecodable, or beyond retention.
        Invalid = "invalid",
        /// Refused by Sentry.
        Rejected = "rejected",
        /// Refused, and the dead letters were full.
        Overflow = "overflow",
        /// A log beyond `logs_budget`, `logs_budget_namespace` or its pod's own budget.
        OverBudget = "over_budget",
        /// Given back to Fluent Bit by RETRY and not offered again within an hour.
        Abandoned = "abandoned",
        /// In a volatile queue at exit.
        Lost = "lost",
    }
}

vocabulary! {
    /// The closed set of answers that requests are counted under.
    Status {
        /// Accepted.
        Success = "2xx",
        /// Malformed.
        BadRequest = "400",
        /// No or wrong credentials.
        Unauthorized = "401",
        /// Key or project unknown.
        Forbidden = "403",
        /// No such route.
        NotFound = "404",
        /// Took too long.
        Timeout = "408",
        /// Too large.
        PayloadTooLarge = "413",
        /// Encoding not understood.
        UnsupportedMedia = "415",
        /// Quota.
        TooManyRequests = "429",
        /// The server failed.
        ServerError = "5xx",
        /// Any other status.
        Other = "other",
        /// No answer at all.
        Error = "error",
    }
}

impl Status {
    /// The cell of an HTTP status code.
    #[must_use]
    pub fn of(code: u16) -> Self {
        match code {
            200..=299 => Status::Success,
            400 => Status::BadRequest,
            401 => Status::Unauthorized,
            403 => Status::Forbidden,
            404 => Status::NotFound,
            408 => Status::Timeout,
            413 => Status::PayloadTooLarge,
            415 => Status::UnsupportedMedia,
            429 => Status::TooManyRequests,
            500..=599 => Status::ServerError,
            _ => Status::Other,
        }
    }
}

/// One value for each category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerCategory<T> {
    /// The value for events.
    pub event: T,
    /// The value for logs.
    pub log: T,
}

impl<T> PerCategory<T> {
    /// Returns the values that a function gives for each category, that of events first.
    pub fn from_fn(mut value: impl FnMut(Category) -> T) -> Self {
        Self { event: value(Category::Event), log: value(Category::Log) }
    }

    /// Returns the values that a function makes of these, that of events first.
    pub fn map<U>(self, mut value: impl FnMut(T) -> U) -> PerCategory<U> {
        PerCategory { event: value(self.event), log: value(self.log) }
    }

    /// Returns both values, that of events first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        [&self.event, &self.log].into_iter()
    }

    /// Returns both values, that of events first.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.event, &mut self.log].into_iter()
    }
}

impl<T> Index<Category> for PerCategory<T> {
    type Output = T;

    fn index(&self, category: Category) -> &T {
        match category {
            Category::Event => &self.event,
            Category::Log => &self.log,
        }
    }
}

impl<T> IndexMut<Category> for PerCategory<T> {
    fn index_mut(&mut self, category: Category) -> &mut T {
        match category {
            Category::Event => &mut self.event,
            Category::Log => &mut self.log,
        }
    }
}

const CATEGORIES: usize = Category::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();
const STATUSES: usize = Status::ALL.len();

#[derive(Debug, Default)]
struct Cells {
    records: AtomicU64,
    outcomes: [[AtomicU64; OUTCOMES]; CATEGORIES],
    requests: [AtomicU64; STATUSES],
    sent_bytes: AtomicU64,
    billed_bytes: AtomicU64,
    recalled: AtomicU64,
}

/// The only reader of the cells.
#[derive(Debug, Default)]
pub struct Ledger {
    cells: Arc<Cells>,
}

/// Adds to the ledger; cannot read it.
#[derive(Clone, Debug)]
pub struct Recorder {
    cells: Arc<Cells>,
}

/// The ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Records taken.
    pub records: u64,
    outcomes: [[u64; OUTCOMES]; CATEGORIES],
    requests: [u64; STATUSES],
    /// Bytes of request bodies sent, compressed.
    pub sent_bytes: u64,
    /// Bytes of accepted logs as Sentry bills them.
    pub billed_bytes: u64,
    /// Lines below `logs_level` that were sent with an event after all (`logs_on_error`). In `outcomes` they are filtered.
    pub recalled: u64,
}

impl Ledger {
    /// A handle for those who add.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder { cells: Arc::clone(&self.cells) }
    }

    /// The ledger now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        // Outcomes first: a record that ends in between then shows as pending, never as a negative number.
        let cells = &*self.cells;
        let outcomes = std::array::from_fn(|c| std::array::from_fn(|o| cells.outcomes[c][o].load(Relaxed)));
        let requests = std::array::from_fn(|s| cells.requests[s].load(Relaxed));
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let (records, sent_bytes) = (cells.records.load(Relaxed), cells.sent_bytes.load(Relaxed));
        let (billed_bytes, recalled) = (cells.billed_bytes.load(Relaxed), cells.recalled.load(Relaxed));
        Snapshot { records, outcomes, requests, sent_bytes, billed_bytes, recalled }
    }
}

impl Recorder {
    /// Counts records that this instance is responsible for from now on, in both categories: newly taken ones, and those
    /// left by an earlier process or instance, including records that had already ended.
    pub fn take(&self, records: u64) {
        self.cells.records.fetch_add(records, Relaxed);
    }

    /// Ends `records` records in a cell.
    pub fn end(&self, category: Category, outcome: Outcome, records: u64) {
        self.cells.outcomes[category as usize][outcome as usize].fetch_add(records, Relaxed);
    }

    /// Counts the bytes that Sentry bills for accepted logs.
    pub fn bill(&self, bytes: u64) {
        self.cells.billed_bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts lines that are sent with an event although `logs_level` has filtered them.
    pub fn recall(&self, lines: u64) {
        self.cells.recalled.fetch_add(lines, Relaxed);
    }

    /// Counts a request and its compressed body.
    pub fn request(&self, status: Status, bytes: u64) {
        self.cells.requests[status as usize].fetch_add(1, Relaxed);
        self.cells.sent_bytes.fetch_add(bytes, Relaxed);
    }
}

impl Snapshot {
    /// Records that ended this way.
    #[must_use]
    pub fn outcome(&self, category: Category, outcome: Outcome) -> u64 {
        self.outcomes[category as usize][outcome as usize]
    }

    /// Records that have not ended yet.
    #[must_use]
    pub fn pending(&self, category: Category) -> u64 {
        let ended: u64 = self.outcomes[category as usize].iter().sum();
        self.records.saturating_sub(ended)
    }

    /// Requests with this answer.
    #[must_use]
    pub fn requests(&self, status: Status) -> u64 {
        self.requests[status as usize]
    }

    /// The summary line: `key=value` tokens, zero cells left out except `accepted` and `pending`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = format!("summary: records={}", self.records);
        for category in Category::ALL {
            for outcome in Outcome::ALL {
                let n = self.outcome(*category, *outcome);
                if n > 0 || *outcome == Outcome::Accepted {
                    let _ = write!(line, " {}.{}={n}", category.name(), outcome.name());
                }
            }
            let _ = write!(line, " {}.pending={}", category.name(), self.pending(*category));
        }
        if self.recalled > 0 {
            let _ = write!(line, " recalled={}", self.recalled);
        }
        for status in Status::ALL.iter().filter(|status| self.requests(**status) > 0) {
            let _ = write!(line, " requests.{}={}", status.name(), self.requests(*status));
        }
        let _ = write!(line, " sent_bytes={}", self.sent_bytes);
        if self.billed_bytes > 0 {
            let _ = write!(line, " billed_bytes={}", self.billed_bytes);
        }
        line
    }
}

/// Upper bounds in seconds of the request duration histogram, the last bucket being infinite.
pub const DURATION_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_pending_until_they_end() {
        let ledger = Ledger::default();
        let recorder = ledger.recorder();
        recorder.take(5);
        recorder.end(Category::Event, Outcome::Filtered, 4);
        recorder.end(Category::Log, Outcome::Accepted, 5);
        let now = ledger.snapshot();
        assert_eq!((now.records, now.pending(Category::Event), now.pending(Category::Log)), (5, 1, 0));
        assert_eq!(
            now.summary(),
            "summary: records=5 event.accepted=0 event.filtered=4 event.pending=1 log.accepted=5 log.pending=0 sent_bytes=0"
        );
    }

    #[test]
    fn each_category_has_a_value_of_its_own() {
        let mut of = PerCategory::from_fn(|category| format!("{category:?}"));
        of.values_mut().for_each(|value| *value += "!");
        of[Category::Log] += "?";
        let all: Vec<_> = of.values().cloned().collect();
        assert_eq!(all, Category::ALL.iter().map(|category| of[*category].clone()).collect::<Vec<_>>());
        assert_eq!((of[Category::Event].as_str(), of[Category::Log].as_str()), ("Event!", "Log!?"));
    }

    #[test]
    fn statuses_fall_into_the_closed_set() {
        for code in [400, 401, 403, 404, 408, 413, 415, 429] {
            assert_eq!(Status::of(code).name(), code.to_string());
        }
        let classes = [(200, "2xx"), (299, "2xx"), (500, "5xx"), (599, "5xx")];
        for (code, name) in classes.into_iter().chain([199, 300, 418, 499, 600].map(|code| (code, "other"))) {
            assert_eq!(Status::of(code).name(), name, "{code}");
        }
    }

    #[test]
    fn summary_names_requests_recalled_lines_and_bytes_that_are_not_zero() {
        let ledger = Ledger::default();
        let recorder = ledger.recorder();
        recorder.recall(3);
        recorder.bill(70);
        recorder.request(Status::Success, 40);
        recorder.request(Status::Success, 2);
        recorder.request(Status::TooManyRequests, 8);
        let now = ledger.snapshot();
        assert_eq!((now.requests(Status::Success), now.requests(Status::TooManyRequests)), (2, 1));
        assert_eq!(
            now.summary(),
            "summary: records=0 event.accepted=0 event.pending=0 log.accepted=0 log.pending=0 recalled=3 requests.2xx=2 \
             requests.429=1 sent_bytes=50 billed_bytes=70"
        );
    }
}
