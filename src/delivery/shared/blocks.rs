//! Tells the mapper which destinations are limited, misconfigured or unreachable. The dispatcher publishes the waits of a
//! destination after each response (`dispatch/dispatcher.rs`); the mapper reads them for each record (`map/disposition.rs`), and
//! leaves records that have to wait in their chunks. A chunk with such records goes to the `backlog`, and its bytes stay in the
//! spool, with Fluent Bit, or in memory.

use crate::clock::Monotonic;
use crate::ledger::{Category, Outcome, PerCategory};
use crate::mapping::DestinationId;
use crate::sync::{Mutex, lock};
use std::collections::HashMap;
use std::time::Duration;

/// The wait of a category for a quota, or for a misconfigured destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Steady time before which nothing is sent.
    pub until: Monotonic,
    /// Steady time at which the block began.
    pub since: Monotonic,
    /// Outcome of the waiting items if the wait lasts too long.
    pub outcome: Outcome,
}

/// The waits of a destination's items.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waits {
    /// By category: a rate limit, or a misconfigured destination. Items are given up when it lasts too long.
    pub(crate) blocks: PerCategory<Option<Block>>,
    /// End of the present backoff if the destination is unreachable and others are not: its items wait in their chunks, not in
    /// memory, without a limit.
    pub(crate) deferred_until: Option<Monotonic>,
    /// By category: true if another destination has accepted items since this one was impaired. Its records are evicted when
    /// the spool is nearly full.
    pub(crate) is_impaired_alone: PerCategory<bool>,
}

/// The present decision on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is sent.
    Send,
    /// It is deferred until this time.
    Defer(Monotonic),
    /// It has waited too long, and ends with this outcome.
    GiveUp(Outcome),
}

impl Waits {
    /// Returns true if nothing waits.
    #[must_use]
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if a category waits for a quota or a misconfigured destination.
    #[must_use]
    pub(crate) fn is_blocked(&self, category: Category) -> bool {
        self.blocks[category].is_some()
    }

    /// Returns the outcome of a record that is evicted for other destinations; `None` if it is not to be evicted.
    #[must_use]
    pub(crate) fn eviction_outcome(&self, category: Category) -> Option<Outcome> {
        let outcome = self.blocks[category].map_or(Outcome::Overflow, |block| block.outcome);
        self.is_impaired_alone[category].then_some(outcome)
    }

    /// Returns the decision on a record that was taken at `taken` and may wait for `longest`.
    #[must_use]
    pub(crate) fn decide(&self, category: Category, taken: Monotonic, longest: Duration, now: Monotonic) -> Decision {
        if let Some(block) = self.blocks[category].filter(|block| block.until > now) {
            let end = taken.max(block.since) + longest;
            return if now >= end { Decision::GiveUp(block.outcome) } else { Decision::Defer(block.until.min(end)) };
        }
        self.deferred_until.filter(|until| *until > now).map_or(Decision::Send, Decision::Defer)
    }
}

/// The blocks of all destinations that have any. Written by the dispatcher; read by the mapper.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<HashMap<DestinationId, Waits>>);

impl Blocks {
    /// Sets the waits of a destination.
    pub(crate) fn set(&self, destination: DestinationId, waits: Waits) {
        let mut all = lock(&self.0);
        if waits.is_none() {
            all.remove(&destination);
        } else {
            all.insert(destination, waits);
        }
    }

    /// Returns the waits of a destination; the default if it has none.
    pub(crate) fn get(&self, destination: DestinationId) -> Waits {
        lock(&self.0).get(&destination).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_secs(seconds)
    }

    #[test]
    fn gives_up_after_a_long_limit_but_not_in_an_outage() {
        let block = Block { until: at(60), since: at(10), outcome: Outcome::RateLimited };
        let blocked = Waits {
            blocks: PerCategory { event: None, log: Some(block) },
            is_impaired_alone: PerCategory { event: false, log: true },
            ..Waits::default()
        };
        let decide = |waits: &Waits, category, now| waits.decide(category, at(5), Duration::from_secs(20), now);
        assert_eq!(decide(&blocked, Category::Event, at(11)), Decision::Send);
        assert_eq!(decide(&blocked, Category::Log, at(11)), Decision::Defer(at(30)));
        assert_eq!(decide(&blocked, Category::Log, at(30)), Decision::GiveUp(Outcome::RateLimited));
        assert_eq!(decide(&blocked, Category::Log, at(60)), Decision::Send);
        assert_eq!(blocked.eviction_outcome(Category::Log), Some(Outcome::RateLimited));
        assert_eq!(blocked.eviction_outcome(Category::Event), None);
        let unreachable = Waits { deferred_until: Some(at(500)), ..Waits::default() };
        assert_eq!(decide(&unreachable, Category::Event, at(400)), Decision::Defer(at(500)));
    }
}
