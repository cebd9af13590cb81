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
    /// True if items can wait where they came from instead of in memory.
    pub can_defer: bool,
    /// True if there are other destinations, which this one must not block.
    pub has_multiple_destinations: bool,
    /// First encoding to try.
    pub compress: Compress,
    /// Most envelopes of a spool's backlog in flight at once.
    pub replay: usize,
}
