//! The state of a server and project that a DSN names, and its transition for each response.
//!
//! `transitions.txt` lists the transition for each state and response; a test writes the list and compares it.

use crate::clock::Monotonic;
use crate::delivery::dispatch::health::Health;
use crate::delivery::dispatch::negotiation::Negotiation;
use crate::delivery::dispatch::policy::Policy;
use crate::delivery::dispatch::rate_limits::RateLimits;
use crate::delivery::report::messages::DestinationMessage;
use crate::delivery::shared::blocks::Block;
use crate::delivery::transport::response::{Response, ResponseKind};
use crate::ledger::{Category, Outcome};
use crate::options::Compress;

/// The health, rate limits and encoding of an endpoint. They are replaced as a whole when the DSN changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// It accepts items, fails, or rejects everything.
    pub health: Health,
    /// Limits that it has set.
    pub rate_limits: RateLimits,
    /// The encoding that it can decode.
    pub encoding: Negotiation,
}

/// The properties of a request that its response is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Category of the items.
    pub category: Category,
    /// Number of items.
    pub items: usize,
    /// [`Negotiation::version`] at the time of the request.
    pub encoding_version: u32,
    /// True if the envelope has failed so often while others passed that another failure would be its own.
    pub is_poison: bool,
}

/// The next step for a batch after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Its items are accepted.
    Accept,
    /// It waits for the end of a limit, or until the destination is repaired.
    HoldBack,
    /// It is sent again behind the others: if the server fails because of this envelope, they must not wait for it.
    RetryLast,
    /// It is sent again before the others: the response does not apply to its present state.
    RetryFirst,
    /// It is too large: it is split, or its only item is made smaller.
    Shrink,
    /// One of its items is malformed: it is split until that is found.
    Split,
    /// It is given up as a poison message.
    Reject,
}

/// The effect of a response besides the new state.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The next step for the batch.
    pub next_step: NextStep,
    /// A message for the log.
    pub message: Option<DestinationMessage>,
}

impl EndpointState {
    /// Returns the state of an endpoint of which nothing is known, with the first encoding to try.
    #[must_use]
    pub fn new(encoding: Compress) -> Self {
        Self { health: Health::Unproven, rate_limits: RateLimits::default(), encoding: Negotiation::new(encoding) }
    }

    /// Returns the state after a change to another DSN. Only the number of the encoding goes on, so that a response to a
    /// request to the old DSN does not apply to the new one.
    #[must_use]
    pub fn replaced(&self, encoding: Compress) -> Self {
        Self { encoding: self.encoding.restarted(encoding), ..Self::new(encoding) }
    }

    /// Returns why and until when a category waits, if it does: the endpoint rejects everything, or limits the category.
    #[must_use]
    pub fn block(&self, category: Category, now: Monotonic) -> Option<Block> {
        if let Health::Misconfigured { since, backoff } = self.health
            && backoff.retry_at > now
        {
            return Some(Block { until: backoff.retry_at, since, outcome: Outcome::Rejected });
        }
        let limit = self.rate_limits.active(category, now)?;
        Some(Block { until: limit.until, since: limit.since, outcome: Outcome::RateLimited })
    }

    /// Processes a response. `chance` is uniform in 0..1 and spreads the retries.
    pub fn on_response(
        &mut self,
        request: Request,
        response: &Response,
        policy: &Policy,
        now: Monotonic,
        chance: f64,
    ) -> Transition {
        let limits = response.limits.with_refused(request.category);
        let limited = self.rate_limits.apply(&limits, now);
        let limited = limited.map(|limit| DestinationMessage::Limited(limit.category, limit.length));
        let is_outdated = request.encoding_version != self.encoding.version;
        let (next_step, message) = match response.kind {
            ResponseKind::Accepted => {
                self.rate_limits.accepted(request.category, now);
                (NextStep::Accept, self.accepted(now).or(limited))
            }
            ResponseKind::Limited => (NextStep::HoldBack, limited),
            ResponseKind::Failed if request.is_poison => {
                (NextStep::Reject, Some(DestinationMessage::Refused(request.category, Outcome::Rejected)))
            }
            ResponseKind::Failed => {
                self.health = self.health.after_failure(policy, now, chance);
                (NextStep::RetryLast, Some(DestinationMessage::Failing))
            }
            ResponseKind::TooLarge => (NextStep::Shrink, None),
            ResponseKind::Malformed | ResponseKind::Encoding if is_outdated => (NextStep::RetryFirst, limited),
            ResponseKind::Malformed if self.encoding.is_trusted() => {
                self.encoding.consecutive_rejections += u32::from(request.items == 1);
                (NextStep::Split, None)
            }
            ResponseKind::Malformed | ResponseKind::Encoding if self.fall_back() => {
                (NextStep::RetryFirst, Some(DestinationMessage::Encoding(self.encoding.encoding)))
            }
            ResponseKind::Malformed | ResponseKind::Encoding | ResponseKind::Misconfigured => {
                self.health = self.health.after_rejection(policy, now, chance);
                (NextStep::HoldBack, Some(DestinationMessage::Misconfigured))
            }
        };
        Transition { next_step, message }
    }

    fn accepted(&mut self, now: Monotonic) -> Option<DestinationMessage> {
        let is_news = !self.encoding.is_proven || self.health.is_failing();
        self.encoding.accepted();
        self.health = Health::Healthy { last_accepted: now };
        is_news.then_some(DestinationMessage::Recovered)
    }

    /// Changes to the next encoding, in which nothing has been accepted yet. Returns false if there is none.
    fn fall_back(&mut self) -> bool {
        let has_next = self.encoding.fall_back();
        if has_next && matches!(self.health, Health::Healthy { .. }) {
            self.health = Health::Unproven;
        }
        has_next
    }
}

#[cfg(test)]
mod tests;
