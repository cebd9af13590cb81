//! Keeps the rate limits that a server has set: the times until which it accepts no events, no logs, or nothing at all.

use crate::clock::Monotonic;
use crate::delivery::transport::response::Limits;
use crate::ledger::{Category, PerCategory};
use std::time::Duration;

/// The limits of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    per_category: PerCategory<Option<RateLimit>>,
    /// Time before which the server accepts nothing at all.
    all_limited_until: Monotonic,
}

/// The limit of one category. It stays known after its end until the category is accepted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Time at which it ends.
    pub until: Monotonic,
    /// Time of the first response that limited the category since it was last accepted.
    pub since: Monotonic,
}

/// A limit that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLimit {
    /// The limited category.
    pub category: Category,
    /// Time for which it is limited.
    pub length: Duration,
}

impl RateLimits {
    /// Adds the limits of a response; of two limits the one that ends later counts. Returns the longest of the limits of
    /// categories that were not limited before.
    pub(super) fn apply(&mut self, limits: &Limits, now: Monotonic) -> Option<NewLimit> {
        if let Some(length) = limits.of_everything() {
            self.all_limited_until = self.all_limited_until.max(now + length);
        }
        let mut longest: Option<NewLimit> = None;
        for category in Category::ALL.iter().copied() {
            let Some(length) = limits.of(category) else { continue };
            let active = self.active(category, now);
            // Without an acceptance in between it is the same quota: items that wait for it must not wait for ever.
            let since = self.per_category[category].map_or(now, |limit| limit.since);
            let until = active.map_or(Monotonic::START, |limit| limit.until).max(now + length);
            self.per_category[category] = Some(RateLimit { until, since });
            if active.is_none() && longest.is_none_or(|longest| length >= longest.length) {
                longest = Some(NewLimit { category, length });
            }
        }
        longest
    }

    /// Returns the limit of a category that has not ended yet.
    pub(super) fn active(&self, category: Category, now: Monotonic) -> Option<RateLimit> {
        self.per_category[category].filter(|limit| limit.until > now)
    }

    /// Returns the time at which the last known limit of a category ends or has ended.
    pub(super) fn until(&self, category: Category) -> Monotonic {
        self.per_category[category].map_or(Monotonic::START, |limit| limit.until)
    }

    /// Forgets the limit of a category that was accepted, if the limit has ended.
    pub(super) fn accepted(&mut self, category: Category, now: Monotonic) {
        self.per_category[category] = self.active(category, now);
    }

    /// Returns true if the server accepts nothing at all at this time, not even client reports.
    pub(super) fn is_everything_limited(&self, now: Monotonic) -> bool {
        now < self.all_limited_until
    }
}
