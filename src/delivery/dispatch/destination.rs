//! Holds the state of one destination: its queues, and the times at which their envelopes may be sent. A pure state machine;
//! the caller passes time and randomness in.

use crate::clock::Monotonic;
use crate::delivery::dispatch::queue::CategoryQueue;
use crate::delivery::transport::response::{Limits, Response, ResponseKind};
use crate::envelope::{Batch, BatchKey, Identified};
use crate::ledger::{Category, Outcome};
use crate::options::Compress;
use std::collections::VecDeque;
use std::time::Duration;

/// The settings that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// First backoff.
    pub retry_base: Duration,
    /// Longest backoff.
    pub retry_max: Duration,
    /// Longest wait of each category for a quota or a misconfigured destination.
    pub hold: [Duration; 2],
    /// True if items can wait where they came from instead of in memory.
    pub can_defer: bool,
    /// True if there are other destinations, which this one must not block.
    pub has_multiple_destinations: bool,
    /// First encoding to try.
    pub compress: Compress,
    /// Most envelopes of a spool's backlog on their way at once.
    pub replay: usize,
}

/// The action that is to be taken on a batch now.
#[derive(Debug)]
pub enum Action<T> {
    /// Its records have ended.
    Finish(Batch<T>, Outcome),
    /// Its records wait where they came from.
    Defer(Batch<T>),
    /// It has to leave the memory: its records wait as a chunk where there still is one, and end where not.
    Evict(Batch<T>, Outcome),
}

/// Something worth telling a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The first acceptance, or the first after trouble.
    Answers,
    /// No answer, or a failing server.
    Failing,
    /// The destination refuses everything.
    Misconfigured,
    /// A quota.
    Limited(Category, Duration),
    /// A single item was refused or is too large.
    Refused(Category, Outcome),
    /// The encoding was changed.
    Encoding(Compress),
}

/// Why and until when a category waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Steady time before which nothing is sent.
    pub until: Monotonic,
    /// Steady time since when it has been so.
    pub since: Monotonic,
    /// Outcome of the waiting items if the wait lasts too long.
    pub outcome: Outcome,
}

/// The state of one destination.
#[derive(Debug)]
pub struct Destination<T> {
    policy: Policy,
    category_queues: [CategoryQueue<T>; 2],
    in_flight: usize,
    replaying: usize,
    last: Category,
    failures: u32,
    /// Time of the first failure since the destination last accepted something.
    failing_since: Monotonic,
    retry_at: Monotonic,
    limited: [Option<Block>; 2],
    /// Steady time before which nothing at all is sent.
    all_limited_until: Monotonic,
    wrong_since: Option<Monotonic>,
    encoding: Compress,
    /// The number of times that the encoding was changed: an answer to a request in an earlier encoding says nothing about
    /// the present one.
    encodings: u32,
    /// True if the destination has ever accepted anything in the present encoding.
    has_accepted: bool,
    consecutive_rejections: u32,
    successes: u64,
    accepted_at: Option<Monotonic>,
    /// Time of the last answer, or of the first request since then.
    last_response_at: Monotonic,
    /// Envelopes that failed and then went back to where they came from, and their [`Batch::failed_among`].
    retry_history: VecDeque<(BatchKey, (u32, u64))>,
}

/// Single items refused in a row after which the destination is believed to be wrong, not the items.
const MAX_LONE_REFUSALS: u32 = 10;

/// Times after which an envelope that fails while others pass is believed to be poison.
const MAX_ATTEMPTS: u32 = 20;

/// Envelopes remembered for having failed.
const MAX_RETRY_HISTORY: usize = 64;

/// Shortest backoff, so that chance cannot make a busy loop.
const MIN_BACKOFF: Duration = Duration::from_millis(20);

/// Requests that are not answered for this long say that nothing more should be sent until one is.
const SILENCE: Duration = Duration::from_secs(5);

impl<T: Identified> Destination<T> {
    /// A destination nothing is known about.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            category_queues: Default::default(),
            in_flight: 0,
            replaying: 0,
            last: Category::Log,
            failures: 0,
            failing_since: Monotonic::START,
            retry_at: Monotonic::START,
            limited: [None; 2],
            all_limited_until: Monotonic::START,
            wrong_since: None,
            encoding: policy.compress,
            encodings: 0,
            has_accepted: false,
            consecutive_rejections: 0,
            successes: 0,
            accepted_at: None,
            last_response_at: Monotonic::START,
            retry_history: VecDeque::new(),
        }
    }

    /// The encoding to use.
    #[must_use]
    pub fn encoding(&self) -> Compress {
        self.encoding
    }

    /// Envelopes waiting in memory.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.category_queues.iter().map(CategoryQueue::len).sum()
    }

    /// Bytes of a category waiting in memory.
    #[must_use]
    pub fn bytes(&self, category: Category) -> u64 {
        self.category_queues[category as usize].bytes()
    }

    /// Envelopes of a backlog on their way.
    #[must_use]
    pub fn replaying(&self) -> usize {
        self.replaying
    }

    /// Sets the number of envelopes of a backlog that may be on their way, at most.
    pub fn may_replay(&mut self, most: usize) {
        self.policy.replay = most;
    }

    /// Returns true if the destination is known not to answer, or is not yet known to answer. Such a destination gets one
    /// sender.
    #[must_use]
    pub fn is_unproven(&self, now: Monotonic) -> bool {
        self.is_failing() || self.policy.has_multiple_destinations && !self.has_accepted || self.is_not_answering(now)
    }

    /// Returns true if items that wait for the destination may have to wait for long.
    #[must_use]
    pub fn is_in_trouble(&self, category: Category, now: Monotonic) -> bool {
        let unknown = self.policy.can_defer && !self.has_accepted;
        self.is_failing() || unknown || self.is_not_answering(now) || self.hold(category, now).is_some()
    }

    /// Returns the time since which the queued items have had to wait, if they have.
    #[must_use]
    pub fn in_trouble_since(&self, category: Category, now: Monotonic) -> Option<Monotonic> {
        match () {
            () if self.is_failing() => Some(self.failing_since),
            () if self.is_not_answering(now) => Some(self.last_response_at),
            () => self.hold(category, now).map(|hold| hold.since),
        }
    }

    /// Returns true if the destination has accepted something after `since`, and is in no trouble.
    #[must_use]
    pub fn has_accepted_after(&self, since: Monotonic) -> bool {
        !self.is_failing() && self.accepted_at.is_some_and(|at| at > since)
    }

    fn is_failing(&self) -> bool {
        self.failures > 0 || self.wrong_since.is_some()
    }

    fn is_not_answering(&self, now: Monotonic) -> bool {
        self.policy.has_multiple_destinations && self.in_flight > 0 && now >= self.last_response_at + SILENCE
    }

    /// Until when items had better wait elsewhere, because it cannot be reached and others can.
    #[must_use]
    pub fn deferred_until(&self, now: Monotonic) -> Option<Monotonic> {
        if !self.policy.has_multiple_destinations || !self.policy.can_defer || self.wrong_since.is_some() {
            return None;
        }
        let retry = Some(self.retry_at).filter(|at| self.failures > 0 && *at > now);
        retry.or(Some(now + SILENCE).filter(|_| self.is_not_answering(now)))
    }

    /// Envelopes on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// `ok`, `limited`, `unreachable` or `misconfigured`.
    #[must_use]
    pub fn state(&self, now: Monotonic) -> &'static str {
        match () {
            () if self.wrong_since.is_some() => "misconfigured",
            () if self.failures > 0 => "unreachable",
            () if self.limited.iter().flatten().any(|hold| hold.until > now) => "limited",
            () => "ok",
        }
    }

    /// Why a category waits, if it does.
    #[must_use]
    pub fn hold(&self, category: Category, now: Monotonic) -> Option<Block> {
        let wrong = self.wrong_since.filter(|_| self.retry_at > now).map(|since| Block {
            until: self.retry_at,
            since,
            outcome: Outcome::Rejected,
        });
        wrong.or(self.limited[category as usize].filter(|hold| hold.until > now))
    }

    /// Returns true if a client report may be sent now. None is sent to a server in trouble, nor within a limit on
    /// everything.
    #[must_use]
    pub fn takes_reports(&self, now: Monotonic) -> bool {
        self.failures == 0 && self.wrong_since.is_none() && now >= self.all_limited_until
    }

    /// Takes in the limits that came with the answer to a client report.
    pub fn reported(&mut self, limits: &Limits, now: Monotonic) {
        self.apply_limits(limits, now);
    }

    /// Sets whether items can wait where they came from, once `auto` has chosen.
    pub fn defer(&mut self, can_defer: bool) {
        self.policy.can_defer = can_defer;
    }

    /// Queues a batch; if its category waits, the batch may come straight back.
    pub fn push(&mut self, mut batch: Batch<T>, now: Monotonic) -> Option<Action<T>> {
        if self.policy.can_defer && (self.hold(batch.category, now).is_some() || self.deferred_until(now).is_some()) {
            return Some(Action::Defer(batch));
        }
        if let Some((_, failed_among)) = self.retry_history.iter().find(|(key, _)| batch.key() == Some(*key)) {
            batch.failed_among = *failed_among;
        }
        self.category_queues[batch.category as usize].push_back(batch);
        None
    }

    /// The next batch to send, if one may be sent now.
    pub fn next(&mut self, now: Monotonic) -> Option<Batch<T>> {
        let failing = self.is_failing();
        if failing && now < self.retry_at || self.is_unproven(now) && self.in_flight > 0 {
            return None;
        }
        // In turn, but after an outage events first, unless they are what fails.
        let first_probe = failing && self.failures < 2;
        let order = if self.last == Category::Event && !first_probe {
            [Category::Log, Category::Event]
        } else {
            [Category::Event, Category::Log]
        };
        let category = order.into_iter().find(|category| self.may_send(*category, now))?;
        let mut batch = self.category_queues[category as usize].pop_front()?;
        batch.encoded = self.encodings;
        self.last = category;
        if self.in_flight == 0 {
            self.last_response_at = now;
        }
        self.in_flight += 1;
        self.replaying += usize::from(batch.replay);
        Some(batch)
    }

    fn may_send(&self, category: Category, now: Monotonic) -> bool {
        let limited = self.limited[category as usize].is_some_and(|hold| hold.until > now);
        let front = self.category_queues[category as usize].front();
        !limited && front.is_some_and(|batch| !batch.replay || self.replaying < self.policy.replay)
    }

    /// The earliest time at which [`Destination::next`] could have something that it has not now.
    #[must_use]
    pub fn wake(&self, now: Monotonic) -> Option<Monotonic> {
        let waiting = |category: &&Category| !self.category_queues[**category as usize].is_empty();
        Category::ALL
            .iter()
            .filter(waiting)
            .map(|category| {
                let limit = self.limited[*category as usize].map_or(Monotonic::START, |hold| hold.until);
                limit.max(self.retry_at)
            })
            .filter(|at| *at > now)
            .min()
    }

    /// Processes the result of a batch. `chance` is uniform in 0..1.
    pub fn done(
        &mut self,
        mut batch: Batch<T>,
        response: &Response,
        now: Monotonic,
        chance: f64,
    ) -> (Vec<Action<T>>, Option<Notice>) {
        self.heard(&batch, now);
        batch.limited |= response.kind == ResponseKind::Limited;
        let mut actions = Vec::new();
        let limited = self.apply_limits(&response.limits.with_refused(batch.category), now);
        let mut notice = limited.map(|(category, span)| Notice::Limited(category, span));
        match response.kind {
            ResponseKind::Accepted => {
                self.accepted_at = Some(now);
                self.retry_history.retain(|(key, _)| batch.key() != Some(*key));
                let limit = &mut self.limited[batch.category as usize];
                *limit = limit.filter(|hold| hold.until > now);
                notice = self.accepted().or(notice);
                actions.push(Action::Finish(batch, Outcome::Accepted));
            }
            ResponseKind::Limited => self.put_back(batch, now, &mut actions),
            ResponseKind::Failed => notice = self.failed(batch, now, chance, &mut actions),
            ResponseKind::TooLarge => notice = self.too_large(batch, &mut actions),
            ResponseKind::Malformed | ResponseKind::Encoding if batch.encoded != self.encodings => {
                self.category_queues[batch.category as usize].push_front(batch);
            }
            ResponseKind::Malformed if self.has_accepted && self.consecutive_rejections < MAX_LONE_REFUSALS => {
                notice = self.refused(batch, &mut actions);
            }
            ResponseKind::Malformed | ResponseKind::Encoding if self.fall_back() => {
                notice = Some(Notice::Encoding(self.encoding));
                self.category_queues[batch.category as usize].push_front(batch);
            }
            ResponseKind::Malformed | ResponseKind::Encoding | ResponseKind::Misconfigured => {
                self.wrong(now, chance);
                notice = Some(Notice::Misconfigured);
                self.put_back(batch, now, &mut actions);
            }
        }
        self.release_held(now, &mut actions);
        (actions, notice)
    }

    fn heard(&mut self, batch: &Batch<T>, now: Monotonic) {
        self.in_flight -= 1;
        self.replaying -= usize::from(batch.replay);
        self.last_response_at = now;
    }

    /// Takes back a batch whose answer says nothing about it as it is now.
    pub fn again(&mut self, batch: Batch<T>, now: Monotonic) {
        self.heard(&batch, now);
        self.category_queues[batch.category as usize].push_front(batch);
    }

    /// Takes the newest envelopes of a category out of memory until `bytes` are left, or one.
    pub fn cut(&mut self, category: Category, bytes: u64, now: Monotonic) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        while self.bytes(category) > bytes && self.category_queues[category as usize].len() > 1 {
            actions.extend(self.cut_newest(category, now));
        }
        actions
    }

    /// Takes the newest envelope of a category out of memory, be it the last one; where it can wait nowhere else it ends.
    pub fn cut_newest(&mut self, category: Category, now: Monotonic) -> Option<Action<T>> {
        let outcome = self.hold(category, now).map_or(Outcome::Overflow, |hold| hold.outcome);
        let batch = self.category_queues[category as usize].pop_newest()?;
        Some(match outcome {
            _ if self.policy.can_defer => Action::Defer(batch),
            Outcome::Overflow => Action::Finish(batch, outcome),
            _ => Action::Evict(batch, outcome),
        })
    }

    /// Returns the time at which the newest envelope of a category that waits in memory was begun.
    #[must_use]
    pub fn newest(&self, category: Category) -> Option<Monotonic> {
        self.category_queues[category as usize].iter().map(|batch| batch.opened).max()
    }

    fn apply_limits(&mut self, limits: &Limits, now: Monotonic) -> Option<(Category, Duration)> {
        let mut longest = None;
        self.all_limited_until =
            self.all_limited_until.max(limits.of_everything().map_or(Monotonic::START, |span| now + span));
        for category in Category::ALL {
            let Some(span) = limits.of(*category) else { continue };
            let known = self.limited[*category as usize].filter(|hold| hold.until > now);
            // Without an acceptance in between it is the same quota: what waits for it must not wait for ever.
            let since = self.limited[*category as usize].map_or(now, |hold| hold.since);
            let until = known.map_or(Monotonic::START, |hold| hold.until).max(now + span);
            self.limited[*category as usize] = Some(Block { until, since, outcome: Outcome::RateLimited });
            longest = longest.max(Some((span, *category)).filter(|_| known.is_none()).map(|(s, c)| (s, c as usize)));
        }
        longest.map(|(span, category)| (Category::ALL[category], span))
    }

    fn accepted(&mut self) -> Option<Notice> {
        let news = !self.has_accepted || self.failures > 0 || self.wrong_since.is_some();
        self.has_accepted = true;
        self.failures = 0;
        self.wrong_since = None;
        self.consecutive_rejections = 0;
        self.successes += 1;
        self.retry_at = Monotonic::START;
        news.then_some(Notice::Answers)
    }

    fn failed(
        &mut self,
        mut batch: Batch<T>,
        now: Monotonic,
        chance: f64,
        actions: &mut Vec<Action<T>>,
    ) -> Option<Notice> {
        let (times, successes) = &mut batch.failed_among;
        if std::mem::replace(successes, self.successes) < self.successes {
            *times += 1;
        }
        if *times >= MAX_ATTEMPTS {
            let category = batch.category;
            actions.push(Action::Finish(batch, Outcome::Rejected));
            return Some(Notice::Refused(category, Outcome::Rejected));
        }
        self.back_off(now, chance);
        if self.deferred_until(now).is_some() {
            self.remember(&batch);
        }
        // Behind the others: if it is this envelope that the server stumbles over, they must not wait for it.
        self.category_queues[batch.category as usize].push_back(batch);
        Some(Notice::Failing)
    }

    /// Remembers the failures of an envelope that goes back to where it came from: when it comes again, it is another batch.
    fn remember(&mut self, batch: &Batch<T>) {
        self.retry_history.retain(|(key, _)| batch.key() != Some(*key));
        if self.retry_history.len() == MAX_RETRY_HISTORY {
            self.retry_history.pop_front();
        }
        self.retry_history.extend(batch.key().map(|key| (key, batch.failed_among)));
    }

    fn wrong(&mut self, now: Monotonic, chance: f64) {
        self.wrong_since.get_or_insert(now);
        self.back_off(now, chance);
    }

    /// Exponential, with full jitter: many nodes that lost the same server must not come back together.
    fn back_off(&mut self, now: Monotonic, chance: f64) {
        if self.failures == 0 {
            self.failing_since = now;
        }
        let ceiling = self.policy.retry_base.saturating_mul(1 << self.failures.min(16)).min(self.policy.retry_max);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + ceiling.mul_f64(chance.clamp(0.0, 1.0)).max(MIN_BACKOFF);
    }

    fn too_large(&mut self, mut batch: Batch<T>, actions: &mut Vec<Action<T>>) -> Option<Notice> {
        if batch.len() == 1 && batch.trim() {
            self.category_queues[batch.category as usize].push_front(batch);
            return None;
        }
        self.halve(batch, Outcome::TooLarge, actions)
    }

    fn refused(&mut self, batch: Batch<T>, actions: &mut Vec<Action<T>>) -> Option<Notice> {
        self.consecutive_rejections += u32::from(batch.len() == 1);
        self.halve(batch, Outcome::Rejected, actions)
    }

    fn halve(&mut self, mut batch: Batch<T>, outcome: Outcome, actions: &mut Vec<Action<T>>) -> Option<Notice> {
        let category = batch.category;
        if batch.len() < 2 {
            actions.push(Action::Finish(batch, outcome));
            return Some(Notice::Refused(category, outcome));
        }
        let back = batch.split_off(batch.len() / 2);
        let category_queue = &mut self.category_queues[category as usize];
        category_queue.push_front(back);
        category_queue.push_front(batch);
        None
    }

    /// A server that has never accepted anything may not read our encoding: gzip, then none.
    fn fall_back(&mut self) -> bool {
        let next = match self.encoding {
            Compress::Zstd => Compress::Gzip,
            Compress::Gzip => Compress::None,
            Compress::None => return false,
        };
        self.encoding = next;
        self.encodings += 1;
        self.has_accepted = false;
        true
    }

    fn put_back(&mut self, batch: Batch<T>, now: Monotonic, actions: &mut Vec<Action<T>>) {
        if self.policy.hold[batch.category as usize].is_zero() {
            let outcome = self.hold(batch.category, now).map_or(Outcome::RateLimited, |hold| hold.outcome);
            actions.push(Action::Finish(batch, outcome));
        } else if self.policy.can_defer {
            actions.push(Action::Defer(batch));
        } else {
            self.category_queues[batch.category as usize].push_front(batch);
        }
    }

    /// Empties the queues that are on hold, if their items can wait elsewhere; gives up items that have waited too long.
    pub fn release_held(&mut self, now: Monotonic, actions: &mut Vec<Action<T>>) {
        if self.deferred_until(now).is_some() {
            actions.extend(self.drain().into_iter().map(Action::Defer));
        }
        for category in Category::ALL {
            let Some(hold) = self.hold(*category, now) else { continue };
            let category_queue = &mut self.category_queues[*category as usize];
            let longest = self.policy.hold[*category as usize];
            if self.policy.can_defer {
                actions.extend(category_queue.empty().map(Action::Defer));
            } else {
                let expired = |batch: &Batch<T>| now >= batch.opened.max(hold.since) + longest;
                // What has failed is behind what has not, so any of them may be the oldest.
                actions
                    .extend(category_queue.take(expired).into_iter().map(|batch| Action::Finish(batch, hold.outcome)));
            }
        }
    }

    /// Forgets failures and limits of the old key or project, after a change to a new one.
    pub fn renew(&mut self) {
        self.failures = 0;
        self.retry_at = Monotonic::START;
        self.limited = [None; 2];
        self.all_limited_until = Monotonic::START;
        self.wrong_since = None;
        self.encoding = self.policy.compress;
        self.has_accepted = false;
        self.consecutive_rejections = 0;
    }

    /// Returns the time at which the oldest envelope that waits in memory was begun.
    #[must_use]
    pub fn oldest(&self) -> Option<Monotonic> {
        self.category_queues.iter().flat_map(CategoryQueue::iter).map(|batch| batch.opened).min()
    }

    /// Everything that waits, at exit.
    pub fn drain(&mut self) -> Vec<Batch<T>> {
        self.category_queues.iter_mut().flat_map(CategoryQueue::empty).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::ChunkId;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Monotonic = Monotonic::from_secs(1_000);
    /// The server's date matters only to a `Retry-After` that is a date.
    const WALL: Duration = Duration::ZERO;

    fn policy(can_defer: bool) -> Policy {
        Policy {
            retry_base: SECOND,
            retry_max: SECOND * 60,
            hold: [SECOND * 100, SECOND * 50],
            can_defer,
            has_multiple_destinations: false,
            compress: Compress::Gzip,
            replay: 2,
        }
    }

    fn batch(category: Category, items: u32) -> Batch<ChunkId> {
        let chunk_progress = Arc::new(ChunkId::next());
        let mut batch = Batch::new(category, Vec::new(), NOW, false);
        for record in 0..items {
            batch.open().extend_from_slice(b"{}");
            batch.close(&chunk_progress, record, None);
        }
        batch
    }

    fn response(kind: ResponseKind) -> Response {
        Response { kind, limits: Limits::default() }
    }

    fn limited(header: &str) -> Response {
        Response { kind: ResponseKind::Limited, limits: Limits::read(429, Some(header), None, WALL) }
    }

    fn with(can_defer: bool, batches: impl IntoIterator<Item = Batch<ChunkId>>) -> Destination<ChunkId> {
        let mut destination = Destination::new(policy(can_defer));
        batches.into_iter().for_each(|batch| assert!(destination.push(batch, NOW).is_none()));
        destination
    }

    /// Sends the next batch and answers it.
    fn turn(
        destination: &mut Destination<ChunkId>,
        response: &Response,
        now: Monotonic,
    ) -> (Vec<Action<ChunkId>>, Option<Notice>) {
        let batch = destination.next(now).expect("a batch to send");
        destination.done(batch, response, now, 1.0)
    }

    #[test]
    fn after_a_failure_one_probe_goes_first_and_events_before_logs() {
        let mut destination = with(true, [batch(Category::Log, 1), batch(Category::Log, 1), batch(Category::Event, 1)]);
        let (actions, notice) = turn(&mut destination, &response(ResponseKind::Failed), NOW);
        assert!(actions.is_empty() && notice == Some(Notice::Failing));
        assert_eq!(destination.state(NOW), "unreachable");
        assert!(destination.next(NOW).is_none());
        assert_eq!(destination.wake(NOW), Some(NOW + SECOND));
        let probe = destination.next(NOW + SECOND).unwrap();
        assert_eq!(probe.category, Category::Event);
        assert!(destination.next(NOW + SECOND).is_none(), "one probe, not a stampede");
        let (_, notice) = destination.done(probe, &response(ResponseKind::Accepted), NOW + SECOND, 1.0);
        assert_eq!(notice, Some(Notice::Answers));
        assert!(destination.next(NOW + SECOND).is_some() && destination.next(NOW + SECOND).is_some());
    }

    #[test]
    fn backoff_doubles_up_to_its_ceiling() {
        let mut destination = with(true, [batch(Category::Log, 1)]);
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..9 {
            turn(&mut destination, &response(ResponseKind::Failed), now);
            let at = destination.wake(now).unwrap();
            waits.push(at.since(now).as_secs());
            now = at;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_limit_on_one_category_never_stops_the_other() {
        let mut destination = with(true, [batch(Category::Log, 1), batch(Category::Event, 1)]);
        let event = destination.next(NOW).unwrap();
        assert_eq!(event.category, Category::Event);
        let (actions, notice) = turn(&mut destination, &limited("60:log_item:key"), NOW);
        assert!(matches!(&actions[..], [Action::Defer(_)]));
        assert_eq!(notice, Some(Notice::Limited(Category::Log, SECOND * 60)));
        assert!(matches!(destination.push(batch(Category::Log, 1), NOW), Some(Action::Defer(_))));
        assert!(destination.push(batch(Category::Event, 1), NOW).is_none());
        assert!(destination.next(NOW).is_some());
        let hold = destination.hold(Category::Log, NOW).unwrap();
        assert_eq!((hold.until, hold.outcome), (NOW + SECOND * 60, Outcome::RateLimited));
        assert!(destination.hold(Category::Log, NOW + SECOND * 60).is_none());
    }

    #[test]
    fn what_has_nowhere_else_to_wait_waits_in_memory_once_that_is_known() {
        let mut destination = with(true, [batch(Category::Log, 1)]);
        destination.defer(false);
        let (actions, _) = turn(&mut destination, &limited("1:log_item:key"), NOW);
        assert!(actions.is_empty() && destination.queued() == 1);
        assert!(destination.push(batch(Category::Log, 1), NOW).is_none());
        assert!(destination.next(NOW + SECOND).is_some() && destination.next(NOW + SECOND).is_some());
    }

    #[test]
    fn the_longest_limit_wins_and_one_hold_keeps_its_start() {
        let mut destination = with(false, [batch(Category::Log, 1), batch(Category::Log, 1)]);
        let (first, second) = (destination.next(NOW).unwrap(), destination.next(NOW).unwrap());
        destination.done(first, &limited("60:log_item:key"), NOW, 1.0);
        destination.done(second, &limited("5:log_item:key"), NOW + SECOND, 1.0);
        let hold = destination.hold(Category::Log, NOW + SECOND).unwrap();
        assert_eq!((hold.since, hold.until), (NOW, NOW + SECOND * 60));
    }

    #[test]
    fn in_memory_what_waits_too_long_is_given_up() {
        let mut destination = with(false, [batch(Category::Log, 1)]);
        let (actions, _) = turn(&mut destination, &limited("60:log_item:key"), NOW);
        assert!(actions.is_empty());
        let mut actions = Vec::new();
        destination.release_held(NOW + SECOND * 49, &mut actions);
        assert!(actions.is_empty());
        destination.release_held(NOW + SECOND * 50, &mut actions);
        assert!(matches!(&actions[..], [Action::Finish(_, Outcome::RateLimited)]));
    }

    #[test]
    fn a_poison_item_is_found_by_halving_and_the_others_are_delivered() {
        let mut destination = with(true, [batch(Category::Log, 1), batch(Category::Log, 9)]);
        turn(&mut destination, &response(ResponseKind::Accepted), NOW);
        let (mut accepted, mut rejected) = (0, 0);
        while let Some(batch) = destination.next(NOW) {
            let poisoned = batch.owners().any(|(_, mut records)| records.any(|record| record == 6));
            let answer = if poisoned { ResponseKind::Malformed } else { ResponseKind::Accepted };
            for action in destination.done(batch, &response(answer), NOW, 1.0).0 {
                match action {
                    Action::Finish(batch, Outcome::Accepted) => accepted += batch.len(),
                    Action::Finish(batch, Outcome::Rejected) => rejected += batch.len(),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((accepted, rejected), (8, 1));
    }

    #[test]
    fn a_400_from_a_server_that_never_accepted_anything_is_the_destinations_fault() {
        let mut destination = with(true, [batch(Category::Log, 2)]);
        let (actions, notice) = turn(&mut destination, &response(ResponseKind::Malformed), NOW);
        assert!(actions.is_empty());
        assert_eq!(notice, Some(Notice::Encoding(Compress::None)));
        let (actions, notice) = turn(&mut destination, &response(ResponseKind::Malformed), NOW);
        assert!(matches!(&actions[..], [Action::Defer(_)]));
        assert_eq!((notice, destination.state(NOW)), (Some(Notice::Misconfigured), "misconfigured"));
    }

    #[test]
    fn a_refusal_of_an_earlier_encoding_says_nothing_about_an_item() {
        for answer in [ResponseKind::Malformed, ResponseKind::Encoding] {
            let mut destination = with(true, [batch(Category::Log, 1), batch(Category::Log, 1)]);
            let (first, second) = (destination.next(NOW).unwrap(), destination.next(NOW).unwrap());
            let (actions, notice) = destination.done(first, &response(answer), NOW, 0.5);
            assert!(actions.is_empty() && notice == Some(Notice::Encoding(Compress::None)));
            turn(&mut destination, &response(ResponseKind::Accepted), NOW);
            // It was under way in the old encoding all the while.
            let (actions, _) = destination.done(second, &response(answer), NOW, 0.5);
            assert!(actions.is_empty(), "{actions:?}");
            let (actions, _) = turn(&mut destination, &response(ResponseKind::Accepted), NOW);
            assert!(matches!(&actions[..], [Action::Finish(_, Outcome::Accepted)]), "{answer:?}");
        }
    }

    #[test]
    fn a_misconfigured_destination_is_held_probed_and_forgiven() {
        let mut destination = with(false, [batch(Category::Log, 1), batch(Category::Event, 1)]);
        let (actions, notice) = turn(&mut destination, &response(ResponseKind::Misconfigured), NOW);
        assert!(actions.is_empty() && notice == Some(Notice::Misconfigured));
        assert!(destination.next(NOW).is_none());
        let (_, notice) = turn(&mut destination, &response(ResponseKind::Accepted), NOW + SECOND);
        assert_eq!((notice, destination.state(NOW)), (Some(Notice::Answers), "ok"));
    }

    #[test]
    fn too_large_is_halved_and_alone_given_up() {
        let mut destination = with(true, [batch(Category::Log, 2)]);
        assert!(turn(&mut destination, &response(ResponseKind::TooLarge), NOW).0.is_empty());
        for _ in 0..2 {
            let (actions, _) = turn(&mut destination, &response(ResponseKind::TooLarge), NOW);
            assert!(matches!(&actions[..], [Action::Finish(_, Outcome::TooLarge)]));
        }
        assert!(destination.next(NOW).is_none());
    }

    #[test]
    fn client_reports_respect_a_limit_on_everything_and_a_server_in_trouble() {
        let all = [batch(Category::Log, 1), batch(Category::Log, 1), batch(Category::Log, 1)];
        let mut destination = with(false, all);
        assert!(destination.takes_reports(NOW));
        turn(&mut destination, &limited("9:log_item:key"), NOW);
        assert!(destination.takes_reports(NOW), "a limit of logs is none of reports");
        turn(&mut destination, &limited("5::key"), NOW + SECOND * 9);
        assert!(!destination.takes_reports(NOW + SECOND * 13) && destination.takes_reports(NOW + SECOND * 14));
        turn(&mut destination, &response(ResponseKind::Failed), NOW + SECOND * 14);
        assert!(!destination.takes_reports(NOW + SECOND * 60));
        destination.reported(&Limits::read(429, None, Some("3"), WALL), NOW + SECOND * 60);
        assert!(destination.hold(Category::Event, NOW + SECOND * 62).is_some());
    }

    #[test]
    fn a_lone_item_that_is_too_large_is_made_smaller_once() {
        let mut event = Batch::new(Category::Event, Vec::new(), NOW, false);
        event.open().extend_from_slice(b"{\"event_id\":\"e\",\"extra\":{\"a\":1}}");
        event.close(&Arc::new(ChunkId::next()), 0, None);
        let before = event.bytes();
        let mut destination = with(true, [event]);
        let (actions, notice) = turn(&mut destination, &response(ResponseKind::TooLarge), NOW);
        assert!(actions.is_empty() && notice.is_none());
        let smaller = destination.next(NOW).unwrap();
        assert!(smaller.bytes() < before);
        let (actions, notice) = destination.done(smaller, &response(ResponseKind::TooLarge), NOW, 1.0);
        assert!(matches!(&actions[..], [Action::Finish(_, Outcome::TooLarge)]));
        assert_eq!(notice, Some(Notice::Refused(Category::Event, Outcome::TooLarge)));
    }

    #[test]
    fn an_envelope_that_fails_while_others_pass_is_poison_and_they_do_not_wait_for_it() {
        let poison = |batch: &Batch<ChunkId>| batch.len() == 3;
        let mut destination = with(true, [batch(Category::Log, 3), batch(Category::Log, 1), batch(Category::Event, 1)]);
        let (mut passed, mut failed, mut now) = (0, 0, NOW);
        let mut rejected = false;
        while !rejected {
            now += SECOND * 61;
            let Some(sent) = destination.next(now) else { panic!("nothing to send after {failed} failures") };
            let is_poison = poison(&sent);
            let answer = if is_poison { ResponseKind::Failed } else { ResponseKind::Accepted };
            failed += u32::from(is_poison);
            for action in destination.done(sent, &response(answer), now, 1.0).0 {
                match action {
                    Action::Finish(_, Outcome::Accepted) => {
                        passed += 1;
                        assert!(destination.push(batch(Category::Log, 1), now).is_none());
                    }
                    Action::Finish(batch, Outcome::Rejected) => rejected = poison(&batch),
                    other => panic!("{other:?}"),
                }
            }
        }
        // The first failure follows no success.
        assert!(failed <= MAX_ATTEMPTS + 1, "{failed}");
        assert!(passed >= failed);
    }

    #[test]
    fn in_an_outage_nothing_is_poison_however_long_it_lasts() {
        let mut destination = with(true, [batch(Category::Log, 1), batch(Category::Event, 1)]);
        let mut now = NOW;
        let mut probed = [0; 2];
        for _ in 0..100 {
            now += SECOND * 61;
            let batch = destination.next(now).unwrap();
            probed[batch.category as usize] += 1;
            assert!(destination.done(batch, &response(ResponseKind::Failed), now, 1.0).0.is_empty());
        }
        assert_eq!(destination.queued(), 2);
        assert!(probed.iter().all(|probes| *probes > 30), "each category is tried: {probed:?}");
    }

    #[test]
    fn replay_leaves_senders_for_what_is_live() {
        let replayed = |category| {
            let mut batch = batch(category, 1);
            batch.replay = true;
            batch
        };
        let mut destination = with(true, (0..4).map(|_| replayed(Category::Log)).chain([batch(Category::Event, 1)]));
        let sent: Vec<_> = std::iter::from_fn(|| destination.next(NOW)).map(|batch| batch.category).collect();
        assert_eq!(sent, [Category::Event, Category::Log, Category::Log]);
    }
}
