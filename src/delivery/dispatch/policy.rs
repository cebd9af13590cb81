//! The settings that decide how envelopes are sent, retried and deferred.

use crate::ledger::PerCategory;
use crate::options::Compress;
use std::time::Duration;

/// The settings that matter to a destination.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// First backoff.
    pub retry_base: Duration,
    /// Longest backoff.
    pub retry_max: Duration,
    /// Longest wait of each category for a quota or a misconfigured destination.
    pub hold: PerCategory<Duration>,
    /// The place where items wait for a quota or a failing destination.
    pub hold_place: HoldPlace,
    /// True if there are other destinations, which this one must not block.
    pub has_multiple_destinations: bool,
    /// First encoding to try.
    pub compress: Compress,
    /// Most envelopes of a spool's backlog in flight at once.
    pub replay: usize,
}

/// The place where items wait for a quota or a failing destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldPlace {
    /// Their chunk, which the spool or Fluent Bit keeps: the items are deferred.
    Chunk,
    /// The memory, because there is nothing to read them from again.
    Memory,
}

impl Policy {
    /// Returns true if items can wait in their chunk instead of in memory.
    #[must_use]
    pub fn can_defer(&self) -> bool {
        self.hold_place == HoldPlace::Chunk
    }
}
