//! What an instance asks of whatever hosts it: a line in its log, and counters to show. Fluent Bit's side is `crate::host`.

use super::schedule::STATES;
use crate::ledger::Snapshot;
use std::fmt::Debug;
use std::time::Duration;

/// How bad a line of ours is: warn is unexpected but nothing is lost, error needs a person or has lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Lost, or a person must act.
    Error,
    /// Unexpected, nothing lost.
    Warn,
    /// Normal operation.
    Info,
}

/// What an instance may ask of its host, from threads of its own.
pub trait Host: Send + Sync + Debug {
    /// Writes a line to the host's log.
    fn log(&self, severity: Severity, text: &str);
    /// Shows the counters.
    fn publish(&self, report: &Report<'_>);
    /// Returns true if the host tells outputs apart by name.
    fn tells_names(&self) -> bool {
        true
    }
    /// What each thread of ours does first. It holds nothing of the host.
    fn first(&self) -> fn() {
        || {}
    }
}

/// The counters at one moment.
#[derive(Debug)]
pub struct Report<'r> {
    /// The ledger.
    pub ledger: &'r Snapshot,
    /// What goes up and down.
    pub gauges: Gauges,
    /// How long requests took since the last report.
    pub durations: &'r [Duration],
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes in memory.
    pub pending_bytes: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Age of the oldest item that waits.
    pub oldest_pending: Duration,
    /// Destinations in each of [`STATES`].
    pub states: [u64; STATES.len()],
}
