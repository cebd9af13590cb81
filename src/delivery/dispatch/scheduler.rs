//! Schedules all destinations of an instance. A pure state machine; the caller passes time and randomness in.
//!
//! Destinations take turns. A destination that is failing, or of which nothing is known yet, gets one sender. All such
//! destinations together never get the last sender, and no more than half of the memory, so that neither a dead destination
//! nor a quota stops the others.
//!
//! A destination is impaired for a category while it fails, does not respond, limits the category, or rejects everything.

use crate::clock::Monotonic;
use crate::delivery::dispatch::destination::{Action, Destination};
use crate::delivery::dispatch::policy::{HoldPlace, Policy};
use crate::delivery::report::destination_state::DestinationState;
use crate::delivery::report::messages::DestinationMessage;
use crate::delivery::shared::blocks::{Block, Waits};
use crate::delivery::shared::inbox::AwaitedMemory;
use crate::delivery::transport::response::{Limits, Response};
use crate::envelope::{Batch, Identified};
use crate::ledger::{Category, PerCategory};
use crate::mapping::DestinationId;
use crate::options::Compress;
use std::collections::BTreeMap;
use std::time::Duration;

/// A destination that was impaired this long before another accepted something is impaired alone. When a server fails,
/// its projects do not all learn of it at the same moment.
const OUTAGE_SPREAD: Duration = Duration::from_secs(10);

/// Every destination that has had something to send.
#[derive(Debug)]
pub struct Scheduler<T> {
    policy: Policy,
    senders: usize,
    /// Most bytes of each category that wait for impaired destinations, all together.
    failing_share: u64,
    members: BTreeMap<DestinationId, Destination<T>>,
    /// Hash of each destination's host.
    hosts: BTreeMap<DestinationId, u64>,
    /// By destination, the other destination to which its waiting envelopes go instead.
    retired: BTreeMap<DestinationId, DestinationId>,
    /// The destination that had the last turn, if any had one.
    last: Option<DestinationId>,
    /// Memory that the mapper waits for before it goes on.
    awaited: Option<AwaitedMemory>,
    /// The destination to which a client report is in flight, which takes a sender too.
    reporting: Option<DestinationId>,
}

impl<T: Identified> Scheduler<T> {
    /// Returns a scheduler without destinations. `queue` is the number of bytes that may wait in memory for all of them.
    #[must_use]
    pub fn new(policy: Policy, senders: usize, queue: u64) -> Self {
        // Half of a category's share, which is half of the queue.
        let failing_share = queue / 4;
        let (members, hosts, retired) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (last, awaited, reporting) = (None, None, None);
        Self { policy, senders, failing_share, members, hosts, retired, last, awaited, reporting }
    }

    /// Returns true if the host of a destination is known.
    #[must_use]
    pub fn knows(&self, id: DestinationId) -> bool {
        self.hosts.contains_key(&id)
    }

    /// Sets the host of a destination, given as a hash.
    pub fn set_host(&mut self, id: DestinationId, host: u64) {
        self.hosts.insert(id, host);
    }

    fn member(&mut self, id: DestinationId) -> &mut Destination<T> {
        let policy = self.policy;
        self.members.entry(id).or_insert_with(|| Destination::new(policy))
    }

    /// Queues a batch. Returns actions for the batches that may not wait in memory.
    pub fn push(&mut self, mut batch: Batch<T>, now: Monotonic) -> Vec<Action<T>> {
        batch.destination = self.current_destination(batch.destination);
        let (id, category) = (batch.destination, batch.category);
        if let Some(action) = self.member(id).push(batch, now) {
            return vec![action];
        }
        self.trim(id, category, now)
    }

    fn current_destination(&self, id: DestinationId) -> DestinationId {
        self.retired.get(&id).copied().unwrap_or(id)
    }

    /// Returns the next batch to send and the encoding to use, if a sender is idle and a batch may be sent now.
    pub fn next(&mut self, now: Monotonic) -> Option<(Batch<T>, Compress)> {
        let free = self.free();
        if free == 0 {
            return None;
        }
        let is_proven = |member: &&Destination<T>| !member.is_unproven(now);
        let unproven_senders = self.unproven_senders(now);
        let replaying: usize = self.members.values().filter(is_proven).map(Destination::replaying).sum();
        let spare_replays = self.policy.replay.saturating_sub(replaying);
        let shared = self.is_shared();
        for id in self.turns() {
            let Some(member) = self.members.get_mut(&id).filter(|member| member.queued() > 0) else { continue };
            let is_unproven = member.is_unproven(now);
            let waits =
                if is_unproven { unproven_senders + 1 >= self.senders } else { free == 1 && member.in_flight() > 0 };
            if shared && waits {
                continue;
            }
            member.limit_replay(if is_unproven { 1 } else { member.replaying() + spare_replays });
            if let Some(batch) = member.next(now) {
                self.last = Some(id);
                return Some((batch, member.encoding()));
            }
        }
        None
    }

    /// Returns the destinations in the order of their turns: first the one after the last that had one.
    fn turns(&self) -> Vec<DestinationId> {
        let mut turns = self.destinations();
        let first = turns.partition_point(|id| Some(*id) <= self.last);
        turns.rotate_left(first);
        turns
    }

    /// Returns the number of idle senders.
    fn free(&self) -> usize {
        self.senders.saturating_sub(self.in_flight() + usize::from(self.reporting.is_some()))
    }

    /// Returns the number of senders at destinations that are unproven.
    fn unproven_senders(&self, now: Monotonic) -> usize {
        let unproven = |member: &&Destination<T>| member.is_unproven(now);
        let batches: usize = self.members.values().filter(unproven).map(Destination::in_flight).sum();
        batches + usize::from(self.reporting.is_some_and(|id| self.is_unproven(id, now)))
    }

    fn is_unproven(&self, id: DestinationId, now: Monotonic) -> bool {
        self.members.get(&id).map_or(self.policy.has_multiple_destinations, |member| member.is_unproven(now))
    }

    /// Returns true if a sender has to stay free for the other destinations.
    fn is_shared(&self) -> bool {
        self.policy.has_multiple_destinations && self.senders > 1
    }

    /// Returns true if a client report may be sent to a destination now. Only one may be in flight at a time.
    #[must_use]
    pub fn may_report(&self, id: DestinationId, now: Monotonic) -> bool {
        let unproven = self.is_unproven(id, now);
        let has_sender = !self.is_shared() || !unproven || self.unproven_senders(now) + 1 < self.senders;
        let takes = self.members.get(&id).is_none_or(|member| member.takes_reports(now));
        self.reporting.is_none() && self.free() > 0 && has_sender && takes
    }

    /// Notes that a client report is sent to a destination, and returns the encoding to use.
    pub fn report(&mut self, id: DestinationId) -> Compress {
        self.reporting = Some(id);
        self.members.get(&id).map_or(self.policy.compress, Destination::encoding)
    }

    /// Processes the response to the client report.
    pub fn on_report_response(&mut self, id: DestinationId, limits: &Limits, now: Monotonic) {
        self.reporting = None;
        self.member(id).on_report_response(limits, now);
    }

    /// Returns true if a client report is in flight.
    #[must_use]
    pub fn is_reporting(&self) -> bool {
        self.reporting.is_some()
    }

    /// Returns the bytes of each category that wait in memory for a quota or a misconfigured destination; `None` if no destination
    /// blocks the category.
    #[must_use]
    pub fn blocked_bytes(&self, now: Monotonic) -> PerCategory<Option<u64>> {
        PerCategory::from_fn(|category| {
            let blocked = self.members.values().filter(|member| member.block(category, now).is_some());
            blocked.map(|member| member.bytes(category)).reduce(|one, other| one + other)
        })
    }

    /// Processes the result of a batch. `chance` is uniform in 0..1.
    pub fn done(
        &mut self,
        batch: Batch<T>,
        response: &Response,
        now: Monotonic,
        chance: f64,
    ) -> (Vec<Action<T>>, Option<DestinationMessage>) {
        let id = batch.destination;
        let (mut actions, message) = self.member(id).done(batch, response, now, chance);
        for category in Category::ALL {
            actions.extend(self.trim(id, *category, now));
        }
        self.redirect_returned(id, now, &mut actions);
        self.evict_for_waiting(now, &mut actions);
        (actions, message)
    }

    /// Queues a batch again whose response does not apply to the present state of its destination. Returns the actions that
    /// follow.
    pub fn requeue(&mut self, batch: Batch<T>, now: Monotonic) -> Vec<Action<T>> {
        let id = batch.destination;
        self.member(id).requeue(batch, now);
        let mut actions = Vec::new();
        self.redirect_returned(id, now, &mut actions);
        actions
    }

    /// Redirects the envelopes that wait for a destination to another one from now on. Returns the actions that follow.
    pub fn redirect(&mut self, from: DestinationId, to: DestinationId, now: Monotonic) -> Vec<Action<T>> {
        self.retired.values_mut().filter(|end| **end == from).for_each(|end| *end = to);
        self.retired.remove(&to);
        self.retired.insert(from, to);
        let mut actions = Vec::new();
        self.redirect_returned(from, now, &mut actions);
        actions
    }

    /// Moves batches that were queued again for a retired destination to the destination that replaces it.
    fn redirect_returned(&mut self, id: DestinationId, now: Monotonic, actions: &mut Vec<Action<T>>) {
        if !self.retired.contains_key(&id) {
            return;
        }
        self.take(id).into_iter().for_each(|batch| actions.extend(self.push(batch, now)));
    }

    /// Forgets failures and limits of the old key or project, after a change to a new one.
    pub fn replace_endpoint(&mut self, id: DestinationId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.replace_endpoint();
        }
    }

    /// Keeps the items that wait for failing destinations within their share of the memory. Defers the newest items if they can
    /// wait in their chunks; otherwise gives them up, but only while another destination is healthy and needs the memory. One
    /// envelope remains for the next attempt.
    fn trim(&mut self, id: DestinationId, category: Category, now: Monotonic) -> Vec<Action<T>> {
        let failing = |member: &&Destination<T>| member.is_impaired(category, now);
        let Some(member) = self.members.get(&id).filter(failing) else { return Vec::new() };
        let ours = member.bytes(category);
        let all: u64 = self.members.values().filter(failing).map(|member| member.bytes(category)).sum();
        let excess = all.saturating_sub(self.failing_share);
        if !self.policy.has_multiple_destinations
            || excess == 0
            || !self.policy.can_defer() && !self.is_memory_useful_to_others(id, category, now)
        {
            return Vec::new();
        }
        self.member(id).cut(category, ours.saturating_sub(excess), now)
    }

    /// Notes that the mapper waits for memory, or no longer. Returns the actions that free memory for it.
    pub fn expect(&mut self, awaited: Option<AwaitedMemory>, now: Monotonic) -> Vec<Action<T>> {
        self.awaited = awaited;
        let mut actions = Vec::new();
        self.evict_for_waiting(now, &mut actions);
        actions
    }

    /// Evicts the newest envelopes of failing destinations, even the last ones, while the mapper waits for memory that they
    /// take. The conditions are those of [`Scheduler::trim`].
    fn evict_for_waiting(&mut self, now: Monotonic, actions: &mut Vec<Action<T>>) {
        let Some(awaited) = self.awaited.filter(|_| self.policy.has_multiple_destinations) else { return };
        let AwaitedMemory { category, bytes } = awaited;
        let share = 2 * self.failing_share;
        loop {
            let failing = |member: &&Destination<T>| member.impaired_since(category, now).is_some();
            let all: u64 = self.members.values().filter(failing).map(|member| member.bytes(category)).sum();
            if all + bytes <= share {
                return;
            }
            let may_evict =
                |id: DestinationId| self.policy.can_defer() || self.is_memory_useful_to_others(id, category, now);
            let failing = self.members.iter().filter(|(_, member)| failing(member));
            let waiting = failing.filter_map(|(id, member)| Some((member.newest(category)?, *id)));
            let Some((_, id)) = waiting.filter(|(_, id)| may_evict(*id)).max() else { return };
            actions.extend(self.member(id).cut_newest(category, now));
        }
    }

    /// Returns true if another destination has accepted something since this one was impaired.
    fn is_impaired_alone(&self, id: DestinationId, category: Category, now: Monotonic) -> bool {
        let since = self.members.get(&id).and_then(|member| member.impaired_since(category, now));
        let accepted = |since| self.members.values().any(|member| member.has_accepted_after(since + OUTAGE_SPREAD));
        since.is_some_and(accepted)
    }

    /// Returns true if some destination is impaired while others are not.
    #[must_use]
    pub fn is_any_impaired_alone(&self, now: Monotonic) -> bool {
        let alone = |id| Category::ALL.iter().any(|category| self.is_impaired_alone(id, *category, now));
        self.policy.has_multiple_destinations && self.members.keys().any(|id| alone(*id))
    }

    /// Returns true if another destination is, as far as is known, not impaired for the same reason. When a host is unreachable,
    /// all its destinations are: those that have had nothing to send do not know it yet.
    fn is_memory_useful_to_others(&self, id: DestinationId, category: Category, now: Monotonic) -> bool {
        let is_blocked = self.members.get(&id).is_some_and(|member| member.block(category, now).is_some());
        let elsewhere = |other: &DestinationId| self.hosts.get(other) != self.hosts.get(&id);
        let failing =
            |other: &DestinationId| self.members.get(other).is_some_and(|member| member.is_impaired(category, now));
        let mut others = self.hosts.keys().filter(|other| **other != id);
        self.is_impaired_alone(id, category, now)
            || others.any(|other| (is_blocked || elsewhere(other)) && !failing(other))
    }

    /// Defers the items of blocked queues if they can wait in their chunks, and gives up items that have waited too long.
    pub fn release_blocked(&mut self, now: Monotonic) -> Vec<Action<T>> {
        let mut actions = Vec::new();
        self.members.values_mut().for_each(|member| member.release_blocked(now, &mut actions));
        for id in self.destinations() {
            for category in Category::ALL {
                actions.extend(self.trim(id, *category, now));
            }
        }
        self.evict_for_waiting(now, &mut actions);
        actions
    }

    /// Sets the place where items wait, once `auto` has chosen the delivery mode.
    pub fn set_hold_place(&mut self, hold_place: HoldPlace) {
        self.policy.hold_place = hold_place;
        self.members.values_mut().for_each(|member| member.set_hold_place(hold_place));
    }

    /// Returns every destination that has had something to send.
    #[must_use]
    pub fn destinations(&self) -> Vec<DestinationId> {
        self.members.keys().copied().collect()
    }

    /// Returns the part of a destination's state that the mapper reads.
    #[must_use]
    pub(crate) fn waits(&self, id: DestinationId, now: Monotonic) -> Waits {
        let Some(member) = self.members.get(&id) else { return Waits::default() };
        let block = |category| -> Option<Block> { member.block(category, now) };
        let alone = |category| self.policy.has_multiple_destinations && self.is_impaired_alone(id, category, now);
        Waits {
            blocks: PerCategory::from_fn(block),
            deferred_until: member.deferred_until(now),
            is_impaired_alone: PerCategory::from_fn(alone),
        }
    }

    /// Returns the number of these destinations in each state, in the order of [`DestinationState::ALL`]. One that has had
    /// nothing to send is `Ok`.
    #[must_use]
    pub fn states(
        &self,
        destinations: impl IntoIterator<Item = DestinationId>,
        now: Monotonic,
    ) -> [u64; DestinationState::ALL.len()] {
        let mut counts = [0; DestinationState::ALL.len()];
        for id in destinations {
            let state = self.members.get(&id).map_or(DestinationState::Ok, |member| member.state(now));
            counts[state as usize] += 1;
        }
        counts
    }

    /// Returns true if a destination has nothing queued, nothing in flight and no limit, so that forgetting it loses nothing.
    #[must_use]
    pub fn is_idle(&self, id: DestinationId, now: Monotonic) -> bool {
        self.members.get(&id).is_none_or(|member| {
            let is_blocked = Category::ALL.iter().any(|category| member.block(*category, now).is_some());
            member.queued() == 0 && member.in_flight() == 0 && !is_blocked
        })
    }

    /// Forgets a destination.
    pub fn forget(&mut self, id: DestinationId) {
        self.members.remove(&id);
        self.hosts.remove(&id);
        self.retired.retain(|from, to| *from != id && *to != id);
    }

    /// Returns the earliest time at which [`Scheduler::next`] could return a batch that it does not return now.
    #[must_use]
    pub fn wake(&self, now: Monotonic) -> Option<Monotonic> {
        self.members.values().filter_map(|member| member.wake(now)).min()
    }

    /// Returns the number of envelopes that wait in memory.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.members.values().map(Destination::queued).sum()
    }

    /// Returns the destinations for which envelopes wait in memory.
    pub fn waiting(&self) -> impl Iterator<Item = DestinationId> {
        self.members.iter().filter(|(_, member)| member.queued() > 0).map(|(id, _)| *id)
    }

    /// Returns the number of envelopes in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.members.values().map(Destination::in_flight).sum()
    }

    /// Returns the time at which the oldest envelope that waits in memory was begun.
    #[must_use]
    pub fn oldest(&self) -> Option<Monotonic> {
        self.members.values().filter_map(Destination::oldest).min()
    }

    /// Takes all envelopes that wait for a destination.
    pub fn take(&mut self, id: DestinationId) -> Vec<Batch<T>> {
        self.members.get_mut(&id).map(Destination::drain).unwrap_or_default()
    }

    /// Takes all envelopes that wait, at exit.
    pub fn drain(&mut self) -> Vec<Batch<T>> {
        self.members.values_mut().flat_map(Destination::drain).collect()
    }
}

#[cfg(test)]
mod tests;
