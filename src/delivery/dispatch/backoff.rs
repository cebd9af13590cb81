//! Computes the pauses after failures: they double up to a ceiling, with full jitter, because many nodes that lost the same
//! server must not come back together.

use crate::clock::Monotonic;
use crate::delivery::dispatch::policy::Policy;
use std::time::Duration;

/// Shortest pause, so that chance cannot make a busy loop.
const MIN_BACKOFF: Duration = Duration::from_millis(20);

/// Failures in a row, and the pause that follows the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Time of the first failure since the destination last accepted something.
    pub since: Monotonic,
    /// Number of failures since then, at least 1.
    pub failures: u32,
    /// Time before which nothing is sent.
    pub retry_at: Monotonic,
}

impl Backoff {
    /// Returns the backoff after one more failure than in `before`. `chance` is uniform in 0..1.
    pub(super) fn after(before: Option<Self>, policy: &Policy, now: Monotonic, chance: f64) -> Self {
        let (since, failures) = before.map_or((now, 0), |backoff| (backoff.since, backoff.failures));
        let ceiling = policy.retry_base.saturating_mul(1 << failures.min(16)).min(policy.retry_max);
        let retry_at = now + ceiling.mul_f64(chance.clamp(0.0, 1.0)).max(MIN_BACKOFF);
        Self { since, failures: failures.saturating_add(1), retry_at }
    }
}
