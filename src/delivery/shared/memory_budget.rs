//! Limits the bytes of items in memory. Events and logs have separate shares, so that neither starves the other.

use crate::delivery::shared::memory_shares::MemoryShares;
use crate::ledger::{Category, PerCategory};
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;

/// The number of destinations whose items share the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One destination, which may fill all of it.
    One,
    /// Several: deferred items of one must leave memory for the items of the others.
    Several,
}

/// Bytes of rendered items in memory.
#[derive(Debug)]
pub struct MemoryBudget {
    /// Never written after the start.
    shares: MemoryShares,
    /// Never written after the start.
    sharing: Sharing,
    state: Mutex<State>,
    /// Wakes the mapper, which waits in [`MemoryBudget::reserve`]: the dispatcher has freed bytes or set the deferred ones, or
    /// the instance closes.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes taken. Added by the mapper, freed by the dispatcher; read by flushes and both.
    used: PerCategory<u64>,
    /// Bytes of deferred items; `None`: no item is deferred. Written by the dispatcher; read by flushes and the mapper.
    deferred: PerCategory<Option<u64>>,
    /// True if the instance closes. Written by `close`; read by the mapper.
    is_closed: bool,
}

impl State {
    fn is_over(&self, category: Category, bytes: u64, share: u64) -> bool {
        let used = self.used[category];
        used > 0 && used + bytes > share
    }
}

impl MemoryBudget {
    /// Returns an empty budget of `total` bytes.
    #[must_use]
    pub fn new(total: u64, sharing: Sharing) -> Self {
        let shares = MemoryShares::of(total);
        Self { shares, sharing, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until `bytes` of the category's share are free, and takes them. Takes them at once if the share is empty, the
    /// budget is closed, or the bytes will not be freed soon because the destination `is_deferred`. Calls `before_wait` once
    /// before it waits, so that the dispatcher can free bytes.
    pub fn reserve(&self, category: Category, bytes: u64, is_deferred: impl Fn() -> bool, before_wait: impl FnOnce()) {
        let mut state = self.lock();
        let mut before_wait = Some(before_wait);
        let deferred = |state: &State| state.deferred[category].is_some() && is_deferred();
        while !state.is_closed && state.is_over(category, bytes, self.shares.per_category) && !deferred(&state) {
            if let Some(before_wait) = before_wait.take() {
                before_wait();
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.used[category] += bytes;
    }

    /// Frees bytes. Returns true if [`MemoryBudget::is_light`] has become true by that.
    pub fn free(&self, category: Category, bytes: u64) -> bool {
        let mut state = self.lock();
        let before = self.is_light_at(&state);
        state.used[category] = state.used[category].saturating_sub(bytes);
        let now = self.is_light_at(&state);
        drop(state);
        self.freed.notify_one();
        now && !before
    }

    /// Sets how many bytes of each category are deferred for a quota or a misconfigured destination; `None`: no item is.
    pub fn set_deferred(&self, deferred: PerCategory<Option<u64>>) {
        self.lock().deferred = deferred;
        self.freed.notify_all();
    }

    /// Returns true if a category's deferred items and `bytes` more would exceed their share.
    #[must_use]
    pub fn is_share_full(&self, bytes: u64) -> bool {
        let state = self.lock();
        Category::ALL.iter().any(|category| {
            let (deferred, share) = self.deferred(&state, *category);
            deferred > 0 && deferred + bytes > share
        })
    }

    /// Returns true if any item is deferred for a quota or a misconfigured destination.
    #[must_use]
    pub fn has_deferred(&self) -> bool {
        self.lock().deferred.values().any(Option::is_some)
    }

    /// Returns true if the deferred items of a category have filled their share.
    #[must_use]
    pub fn is_full(&self, category: Category) -> bool {
        let (deferred, share) = self.deferred(&self.lock(), category);
        deferred >= share
    }

    /// Returns the deferred bytes of a category, and their limit. With one destination all items count as deferred.
    fn deferred(&self, state: &State, category: Category) -> (u64, u64) {
        match state.deferred[category] {
            None => (0, u64::MAX),
            Some(deferred) if self.sharing == Sharing::Several => (deferred, self.shares.deferred_among_others),
            Some(_) => (state.used[category], self.shares.per_category),
        }
    }

    /// Returns the bytes taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used.values().sum()
    }

    /// Returns true if at most half of each share is taken. Then the mapper may read the backlog besides live chunks.
    #[must_use]
    pub fn is_light(&self) -> bool {
        self.is_light_at(&self.lock())
    }

    fn is_light_at(&self, state: &State) -> bool {
        state.used.values().all(|used| *used <= self.shares.light)
    }

    /// Releases the waiting threads: the instance is closing.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn full_share_waits_until_bytes_are_freed() {
        let budget = Arc::new(MemoryBudget::new(200, Sharing::One));
        budget.reserve(Category::Log, 500, || false, || {});
        budget.reserve(Category::Event, 100, || false, || {});
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 60, || false, || {}));
        assert!(!budget.free(Category::Event, 100), "there are still too many logs");
        assert!(!waiting.is_finished());
        assert!(budget.free(Category::Log, 500));
        waiting.join().unwrap();
        assert_eq!(budget.used(), 60);
    }

    #[test]
    fn does_not_wait_for_bytes_that_a_limit_holds() {
        let budget = Arc::new(MemoryBudget::new(200, Sharing::One));
        budget.reserve(Category::Log, 90, || true, || {});
        assert!(!budget.is_share_full(20));
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 60, || true, || {}));
        budget.set_deferred(PerCategory { event: None, log: Some(90) });
        waiting.join().unwrap();
        assert!(budget.is_share_full(1) && budget.is_full(Category::Log) && budget.used() == 150);
        budget.free(Category::Log, 150);
        assert!(!budget.is_share_full(500), "an empty share takes anything");
    }

    #[test]
    fn limited_destination_fills_only_its_part_of_a_share() {
        let budget = Arc::new(MemoryBudget::new(800, Sharing::Several));
        budget.reserve(Category::Log, 390, || false, || {});
        budget.set_deferred(PerCategory { event: None, log: Some(60) });
        assert!(!budget.is_share_full(40) && budget.is_share_full(41) && !budget.is_full(Category::Log));
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 20, || false, || {}));
        budget.set_deferred(PerCategory { event: None, log: Some(100) });
        assert!(budget.is_full(Category::Log) && !budget.is_full(Category::Event) && !waiting.is_finished());
        budget.free(Category::Log, 10);
        waiting.join().unwrap();
        budget.set_deferred(PerCategory::default());
        assert!(!budget.is_share_full(u64::MAX / 2) && !budget.is_full(Category::Log));
    }

    #[test]
    fn close_releases_waiting_threads() {
        let budget = Arc::new(MemoryBudget::new(2, Sharing::One));
        budget.reserve(Category::Log, 1, || false, || {});
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 9, || false, || {}));
        budget.close();
        waiting.join().unwrap();
    }
}
