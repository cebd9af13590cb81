//! Defines the interface that an instance needs from its host program: writing a line to its log, and publishing counters.
//! Fluent Bit's implementation is `crate::host`.

use crate::delivery::report::destination_state::DestinationState;
use crate::ledger::Snapshot;
use std::fmt::Debug;
use std::time::Duration;

/// Severity of a log line of the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Items were lost, or a person must act.
    Error,
    /// Something unexpected happened, and nothing was lost.
    Warn,
    /// The plugin works as usual.
    Info,
}

/// Operations that an instance may ask of Fluent Bit, from threads of its own.
pub trait Host: Send + Sync + Debug {
    /// Writes a line to Fluent Bit's log.
    fn log(&self, severity: Severity, text: &str);
    /// Publishes the counters.
    fn publish(&self, report: &Report<'_>);
    /// Returns true if each output has a name of its own. Older versions of Fluent Bit do not tell the names.
    fn has_unique_names(&self) -> bool {
        true
    }
    /// Returns the function that each thread of the plugin runs first. It has no reference to Fluent Bit.
    fn thread_start(&self) -> fn() {
        || {}
    }
}

/// The counters at one moment.
#[derive(Debug)]
pub struct Report<'r> {
    /// The ledger.
    pub ledger: &'r Snapshot,
    /// Values that go up and down.
    pub gauges: Gauges,
    /// Durations of the requests since the last report.
    pub durations: &'r [Duration],
}

/// Values that go up and down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes in memory.
    pub pending_bytes: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Age of the oldest item that waits.
    pub oldest_pending: Duration,
    /// Destinations in each state, in the order of [`DestinationState::ALL`].
    pub states: [u64; DestinationState::ALL.len()],
}
