//! The health of a destination, as far as its last responses tell.
//!
//! ```text
//!               accepted                  failed                    rejects everything
//! Unproven ----------------> Healthy ---------------> Unreachable ---------------------> Misconfigured
//!    |  |                       ^  |                    |     ^                            |   |   ^
//!    |  +--- failed, rejects ---|--|--------------------|-----+----------------------------|---|---+
//!    |                          +--|-------- accepted --+----------------------------------+   |
//!    +------- encoding changed ----+                        (a failure keeps it misconfigured) +
//! ```

use crate::clock::Monotonic;
use crate::delivery::dispatch::backoff::Backoff;
use crate::delivery::dispatch::policy::Policy;

/// The health of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has not accepted anything yet in the present encoding, and has not failed either.
    #[default]
    Unproven,
    /// It accepted the last items that it responded to.
    Healthy {
        /// Time of the last acceptance.
        last_accepted: Monotonic,
    },
    /// It does not respond, or its server fails. Retried after each backoff.
    Unreachable {
        /// Beginning of the failures, and time of the next attempt.
        backoff: Backoff,
    },
    /// It rejects everything: its key, its project or its route is wrong. Retried after each backoff, and its items are given
    /// up after `hold_events` and `hold_logs`.
    Misconfigured {
        /// Time since when it has rejected everything.
        since: Monotonic,
        /// Beginning of the failures, which may be earlier, and time of the next attempt.
        backoff: Backoff,
    },
}

impl Health {
    /// Returns the backoff of a destination that is unreachable or misconfigured.
    pub(super) fn backoff(&self) -> Option<Backoff> {
        match self {
            Self::Unproven | Self::Healthy { .. } => None,
            Self::Unreachable { backoff } | Self::Misconfigured { backoff, .. } => Some(*backoff),
        }
    }

    /// Returns true if the destination is unreachable or misconfigured.
    pub(super) fn is_failing(&self) -> bool {
        self.backoff().is_some()
    }

    /// Returns the time before which nothing is sent; the start of the clock if there is none.
    pub(super) fn retry_at(&self) -> Monotonic {
        self.backoff().map_or(Monotonic::START, |backoff| backoff.retry_at)
    }

    /// Returns the health after a request that had no response or that the server failed to process.
    pub(super) fn after_failure(&self, policy: &Policy, now: Monotonic, chance: f64) -> Self {
        let backoff = Backoff::after(self.backoff(), policy, now, chance);
        match *self {
            Self::Misconfigured { since, .. } => Self::Misconfigured { since, backoff },
            _ => Self::Unreachable { backoff },
        }
    }

    /// Returns the health after a response that rejects whatever the destination gets.
    pub(super) fn after_rejection(&self, policy: &Policy, now: Monotonic, chance: f64) -> Self {
        let backoff = Backoff::after(self.backoff(), policy, now, chance);
        match *self {
            Self::Misconfigured { since, .. } => Self::Misconfigured { since, backoff },
            _ => Self::Misconfigured { since: now, backoff },
        }
    }
}
