//! One destination: the queues of its envelopes, the requests in flight, and the state of its endpoint. A pure state machine;
//! the caller passes time and randomness in.
//!
//! [`Destination::push`] queues a batch, [`Destination::next`] takes the one to send now, and [`Destination::done`] processes
//! its response: `EndpointState::on_response` decides, and the destination acts on the batch.

use crate::clock::Monotonic;
use crate::delivery::dispatch::endpoint::{EndpointState, NextStep, Request};
use crate::delivery::dispatch::health::Health;
use crate::delivery::dispatch::policy::{HoldPlace, Policy};
use crate::delivery::dispatch::queue::CategoryQueue;
use crate::delivery::dispatch::retry_history::RetryHistory;
use crate::delivery::report::destination_state::DestinationState;
use crate::delivery::report::messages::DestinationMessage;
use crate::delivery::shared::blocks::Block;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::transport::response::{Limits, Response, ResponseKind};
use crate::envelope::{Batch, Identified, Reading};
use crate::ledger::{Category, Outcome, PerCategory};
use crate::options::Compress;
use std::sync::Arc;
use std::time::Duration;

/// The action that is to be taken on a batch now.
#[derive(Debug)]
pub enum Action<T> {
    /// Sentry has accepted its items.
    Accept(Batch<T>),
    /// Its items are given up for this reason.
    GiveUp(Batch<T>, Arc<DropReason>),
    /// Its records wait in their chunks.
    Defer(Batch<T>),
    /// It has to leave the memory: its records wait in their chunks if these can be read again. Otherwise its items are given up
    /// for this reason.
    Evict(Batch<T>, Arc<DropReason>),
}

/// The state of one destination.
#[derive(Debug)]
pub struct Destination<T> {
    policy: Policy,
    endpoint: EndpointState,
    queues: PerCategory<CategoryQueue<T>>,
    in_flight: InFlight,
    /// Category of the envelope that was sent last: they take turns.
    last: Category,
    retry_history: RetryHistory,
}

/// The requests in flight.
#[derive(Debug, Default)]
struct InFlight {
    envelopes: usize,
    /// Number of those envelopes that carry records of a spool's backlog.
    replaying: usize,
    /// Time of the last response, or of the first request since then.
    last_response_at: Monotonic,
}

/// Time without a response after which nothing more is sent until one comes.
const SILENCE: Duration = Duration::from_secs(5);

impl<T: Identified> Destination<T> {
    /// Returns a destination of which nothing is known.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            endpoint: EndpointState::new(policy.compress),
            queues: PerCategory::default(),
            in_flight: InFlight::default(),
            last: Category::Log,
            retry_history: RetryHistory::default(),
        }
    }

    /// Returns the encoding to use.
    #[must_use]
    pub fn encoding(&self) -> Compress {
        self.endpoint.encoding.encoding
    }

    /// Returns the number of envelopes that wait in memory.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queues.values().map(CategoryQueue::len).sum()
    }

    /// Returns the bytes of a category that wait in memory.
    #[must_use]
    pub fn bytes(&self, category: Category) -> u64 {
        self.queues[category].bytes()
    }

    /// Returns the number of envelopes in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.envelopes
    }

    /// Returns the number of envelopes of a backlog in flight.
    #[must_use]
    pub fn replaying(&self) -> usize {
        self.in_flight.replaying
    }

    /// Sets the number of envelopes of a backlog that may be in flight, at most.
    pub fn limit_replay(&mut self, most: usize) {
        self.policy.replay = most;
    }

    /// Returns true if the destination is failing or has not accepted anything yet. Such a destination gets one sender.
    #[must_use]
    pub fn is_unproven(&self, now: Monotonic) -> bool {
        let is_new = self.policy.has_multiple_destinations && !self.endpoint.encoding.is_proven;
        self.endpoint.health.is_failing() || is_new || self.is_not_responding(now)
    }

    /// Returns true if items that wait for the destination may have to wait for long.
    #[must_use]
    pub fn is_impaired(&self, category: Category, now: Monotonic) -> bool {
        let is_new = self.policy.can_defer() && !self.endpoint.encoding.is_proven;
        is_new || self.impaired_since(category, now).is_some()
    }

    /// Returns the time since which the queued items have had to wait, if they have.
    #[must_use]
    pub fn impaired_since(&self, category: Category, now: Monotonic) -> Option<Monotonic> {
        if let Some(backoff) = self.endpoint.health.backoff() {
            return Some(backoff.since);
        }
        if self.is_not_responding(now) {
            return Some(self.in_flight.last_response_at);
        }
        self.block(category, now).map(|block| block.since)
    }

    /// Returns true if the destination has accepted something after `since`, and is healthy.
    #[must_use]
    pub fn has_accepted_after(&self, since: Monotonic) -> bool {
        matches!(self.endpoint.health, Health::Healthy { last_accepted } if last_accepted > since)
    }

    fn is_not_responding(&self, now: Monotonic) -> bool {
        let InFlight { envelopes, last_response_at, .. } = self.in_flight;
        self.policy.has_multiple_destinations && envelopes > 0 && now >= last_response_at + SILENCE
    }

    /// Returns the time until which items should wait in their chunks, because the destination is unreachable and others are not.
    #[must_use]
    pub fn deferred_until(&self, now: Monotonic) -> Option<Monotonic> {
        if !self.policy.has_multiple_destinations || !self.policy.can_defer() {
            return None;
        }
        match self.endpoint.health {
            Health::Misconfigured { .. } => None,
            Health::Unreachable { backoff } if backoff.retry_at > now => Some(backoff.retry_at),
            _ => self.is_not_responding(now).then(|| now + SILENCE),
        }
    }

    /// Returns the state for metrics.
    #[must_use]
    pub fn state(&self, now: Monotonic) -> DestinationState {
        let is_limited = |category: &Category| self.endpoint.rate_limits.active(*category, now).is_some();
        match self.endpoint.health {
            Health::Misconfigured { .. } => DestinationState::Misconfigured,
            Health::Unreachable { .. } => DestinationState::Unreachable,
            Health::Unproven | Health::Healthy { .. } if Category::ALL.iter().any(is_limited) => {
                DestinationState::Limited
            }
            Health::Unproven | Health::Healthy { .. } => DestinationState::Ok,
        }
    }

    /// Returns why and until when a category waits, if it does.
    #[must_use]
    pub fn block(&self, category: Category, now: Monotonic) -> Option<Block> {
        self.endpoint.block(category, now)
    }

    /// Returns true if a client report may be sent now. None is sent to a failing server, nor within a limit on
    /// everything.
    #[must_use]
    pub fn takes_reports(&self, now: Monotonic) -> bool {
        !self.endpoint.health.is_failing() && !self.endpoint.rate_limits.is_everything_limited(now)
    }

    /// Applies the limits that came with the response to a client report.
    pub fn on_report_response(&mut self, limits: &Limits, now: Monotonic) {
        let _ = self.endpoint.rate_limits.apply(limits, now);
    }

    /// Sets the place where items wait, once `auto` has chosen the delivery mode.
    pub fn set_hold_place(&mut self, hold_place: HoldPlace) {
        self.policy.hold_place = hold_place;
    }

    /// Queues a batch. Returns it to be deferred if its category waits and items can wait in their chunks.
    pub fn push(&mut self, mut batch: Batch<T>, now: Monotonic) -> Option<Action<T>> {
        let waits = self.block(batch.category, now).is_some() || self.deferred_until(now).is_some();
        if self.policy.can_defer() && waits {
            return Some(Action::Defer(batch));
        }
        self.retry_history.restore(&mut batch);
        self.queues[batch.category].push_back(batch);
        None
    }

    /// Returns the next batch to send, if one may be sent now.
    pub fn next(&mut self, now: Monotonic) -> Option<Batch<T>> {
        let is_waiting_for_retry = self.endpoint.health.is_failing() && now < self.endpoint.health.retry_at();
        if is_waiting_for_retry || self.is_unproven(now) && self.in_flight.envelopes > 0 {
            return None;
        }
        let category = self.turns().into_iter().find(|category| self.may_send(*category, now))?;
        let mut batch = self.queues[category].pop_front()?;
        batch.encoded = self.endpoint.encoding.version;
        self.last = category;
        self.in_flight.begin(&batch, now);
        Some(batch)
    }

    /// Returns the order in which the categories are tried. They take turns; after an outage events go first, unless they
    /// are what fails.
    fn turns(&self) -> [Category; 2] {
        let is_first_retry = self.endpoint.health.backoff().is_some_and(|backoff| backoff.failures < 2);
        if self.last == Category::Event && !is_first_retry {
            [Category::Log, Category::Event]
        } else {
            [Category::Event, Category::Log]
        }
    }

    fn may_send(&self, category: Category, now: Monotonic) -> bool {
        let may_replay = self.in_flight.replaying < self.policy.replay;
        self.endpoint.rate_limits.active(category, now).is_none()
            && self.queues[category].front().is_some_and(|batch| batch.reading == Reading::Live || may_replay)
    }

    /// Returns the earliest time at which [`Destination::next`] could return a batch that it does not return now.
    #[must_use]
    pub fn wake(&self, now: Monotonic) -> Option<Monotonic> {
        let retry_at = self.endpoint.health.retry_at();
        let waiting = Category::ALL.iter().filter(|category| !self.queues[**category].is_empty());
        let times = waiting.map(|category| self.endpoint.rate_limits.until(*category).max(retry_at));
        times.filter(|at| *at > now).min()
    }

    /// Processes the response to a batch. `chance` is uniform in 0..1.
    pub fn done(
        &mut self,
        mut batch: Batch<T>,
        response: &Response,
        now: Monotonic,
        chance: f64,
    ) -> (Vec<Action<T>>, Option<DestinationMessage>) {
        self.in_flight.end(&batch, now);
        batch.limited |= response.kind == ResponseKind::Limited;
        let is_failure = response.kind == ResponseKind::Failed;
        let request = Request {
            category: batch.category,
            items: batch.len(),
            encoding_version: batch.encoded,
            is_poison: is_failure && self.retry_history.is_poison_after_failure(&mut batch),
        };
        let transition = self.endpoint.on_response(request, response, &self.policy, now, chance);
        let mut message = transition.message;
        let mut actions = Vec::new();
        match transition.next_step {
            NextStep::Accept => {
                self.retry_history.accepted(&batch);
                actions.push(Action::Accept(batch));
            }
            NextStep::HoldBack => actions.extend(self.hold_back(batch, response, now)),
            NextStep::RetryLast => {
                if self.deferred_until(now).is_some() {
                    self.retry_history.remember(&batch);
                }
                self.queues[batch.category].push_back(batch);
            }
            NextStep::RetryFirst => self.queues[batch.category].push_front(batch),
            NextStep::Reject => actions.push(Action::GiveUp(batch, reason(Outcome::Rejected, response))),
            NextStep::Split | NextStep::Shrink => {
                let given_up = self.make_smaller(batch, transition.next_step);
                message =
                    given_up.as_ref().map(|(batch, outcome)| DestinationMessage::Refused(batch.category, *outcome));
                actions.extend(given_up.map(|(batch, outcome)| Action::GiveUp(batch, reason(outcome, response))));
            }
        }
        self.release_blocked(now, &mut actions);
        (actions, message)
    }

    /// Queues a batch again, before the others, whose response does not apply to its present state.
    pub fn requeue(&mut self, batch: Batch<T>, now: Monotonic) {
        self.in_flight.end(&batch, now);
        self.queues[batch.category].push_front(batch);
    }

    /// Lets a batch wait for its category: in its chunks if possible, else in memory. Gives it up if the longest wait is zero.
    fn hold_back(&mut self, batch: Batch<T>, response: &Response, now: Monotonic) -> Option<Action<T>> {
        if self.policy.hold[batch.category].is_zero() {
            let outcome = self.block(batch.category, now).map_or(Outcome::RateLimited, |block| block.outcome);
            return Some(Action::GiveUp(batch, reason(outcome, response)));
        }
        if self.policy.can_defer() {
            return Some(Action::Defer(batch));
        }
        self.queues[batch.category].push_front(batch);
        None
    }

    /// Queues a batch again in two halves; one that is too large and has a single item, made smaller. Returns the batch and
    /// its outcome if it cannot be made smaller.
    fn make_smaller(&mut self, mut batch: Batch<T>, step: NextStep) -> Option<(Batch<T>, Outcome)> {
        let is_too_large = step == NextStep::Shrink;
        let queue = &mut self.queues[batch.category];
        if batch.len() > 1 {
            queue.push_front(batch.split_off(batch.len() / 2));
            queue.push_front(batch);
            return None;
        }
        if is_too_large && batch.trim() {
            queue.push_front(batch);
            return None;
        }
        Some((batch, if is_too_large { Outcome::TooLarge } else { Outcome::Rejected }))
    }

    /// Takes the newest envelopes of a category out of memory until at most `bytes`, or one envelope, remain.
    pub fn cut(&mut self, category: Category, bytes: u64, now: Monotonic) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        while self.bytes(category) > bytes && self.queues[category].len() > 1 {
            actions.extend(self.cut_newest(category, now));
        }
        actions
    }

    /// Takes the newest envelope of a category out of memory, even the last one. Gives it up if it cannot be deferred.
    pub fn cut_newest(&mut self, category: Category, now: Monotonic) -> Option<Action<T>> {
        let outcome = self.block(category, now).map_or(Outcome::Overflow, |block| block.outcome);
        let batch = self.queues[category].pop_newest()?;
        Some(match outcome {
            _ if self.policy.can_defer() => Action::Defer(batch),
            Outcome::Overflow => Action::GiveUp(batch, DropReason::shared(outcome, DropTrigger::Evicted)),
            _ => Action::Evict(batch, DropReason::shared(outcome, DropTrigger::Evicted)),
        })
    }

    /// Returns the time at which the newest envelope of a category that waits in memory was begun.
    #[must_use]
    pub fn newest(&self, category: Category) -> Option<Monotonic> {
        self.queues[category].iter().map(|batch| batch.opened).max()
    }

    /// Defers the items of blocked queues if they can wait in their chunks; otherwise gives up those that have waited too long.
    pub fn release_blocked(&mut self, now: Monotonic, actions: &mut Vec<Action<T>>) {
        if self.deferred_until(now).is_some() {
            actions.extend(self.drain().into_iter().map(Action::Defer));
        }
        for category in Category::ALL.iter().copied() {
            let Some(block) = self.block(category, now) else { continue };
            let queue = &mut self.queues[category];
            if self.policy.can_defer() {
                actions.extend(queue.empty().map(Action::Defer));
                continue;
            }
            let longest = self.policy.hold[category];
            let has_expired = |batch: &Batch<T>| now >= batch.opened.max(block.since) + longest;
            // Envelopes that have failed are behind others that have not, so any of them may be the oldest.
            let expired = queue.take(has_expired).into_iter();
            let reason = || DropReason::shared(block.outcome, DropTrigger::HoldExpired);
            actions.extend(expired.map(|batch| Action::GiveUp(batch, reason())));
        }
    }

    /// Replaces the state of the endpoint, after a change to another DSN.
    pub fn replace_endpoint(&mut self) {
        self.endpoint = self.endpoint.replaced(self.policy.compress);
    }

    /// Returns the time at which the oldest envelope that waits in memory was begun.
    #[must_use]
    pub fn oldest(&self) -> Option<Monotonic> {
        self.queues.values().flat_map(CategoryQueue::iter).map(|batch| batch.opened).min()
    }

    /// Takes everything that waits.
    pub fn drain(&mut self) -> Vec<Batch<T>> {
        self.queues.values_mut().flat_map(CategoryQueue::empty).collect()
    }
}

/// Returns the reason for giving items up after a response.
fn reason(outcome: Outcome, response: &Response) -> Arc<DropReason> {
    let (status, detail) = (response.status, response.detail.clone());
    DropReason::shared(outcome, DropTrigger::Response { status, detail })
}

impl InFlight {
    fn begin<T>(&mut self, batch: &Batch<T>, now: Monotonic) {
        if self.envelopes == 0 {
            self.last_response_at = now;
        }
        self.envelopes += 1;
        self.replaying += usize::from(batch.reading == Reading::Replayed);
    }

    fn end<T>(&mut self, batch: &Batch<T>, now: Monotonic) {
        self.envelopes -= 1;
        self.replaying -= usize::from(batch.reading == Reading::Replayed);
        self.last_response_at = now;
    }
}

#[cfg(test)]
mod tests;
