//! How much may wait in memory. Events and logs have shares of their own, so that neither starves the other.

use crate::ledger::Category;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of rendered items in memory.
#[derive(Debug)]
pub struct Budget {
    /// Bytes per category.
    share: u64,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: [u64; 2],
    /// Categories whose items wait here for a quota: nobody may wait for them.
    held: [bool; 2],
    closed: bool,
}

impl State {
    fn is_over(&self, category: Category, bytes: u64, share: u64) -> bool {
        let used = self.used[category as usize];
        used > 0 && used + bytes > share
    }
}

impl Budget {
    /// A budget of `total` bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { share: total / 2, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until there is room for `bytes` and takes it. An empty share takes anything; a closed budget and one whose
    /// room is not coming back soon too.
    pub fn reserve(&self, category: Category, bytes: u64) {
        let mut state = self.lock();
        while !state.closed && !state.held[category as usize] && state.is_over(category, bytes, self.share) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.used[category as usize] += bytes;
    }

    /// Gives room back.
    pub fn free(&self, category: Category, bytes: u64) {
        let mut state = self.lock();
        state.used[category as usize] = state.used[category as usize].saturating_sub(bytes);
        drop(state);
        self.freed.notify_one();
    }

    /// Says which categories wait here for a quota.
    pub fn hold(&self, held: [bool; 2]) {
        self.lock().held = held;
        self.freed.notify_all();
    }

    /// Whether a category waits here for a quota and its share has no room for `bytes` more.
    #[must_use]
    pub fn is_clogged(&self, bytes: u64) -> bool {
        let state = self.lock();
        Category::ALL
            .iter()
            .any(|category| state.held[*category as usize] && state.is_over(*category, bytes, self.share))
    }

    /// Whether a category's share is used up.
    #[must_use]
    pub fn is_full(&self, category: Category) -> bool {
        self.lock().used[category as usize] >= self.share
    }

    /// Bytes taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used.iter().sum()
    }

    /// Whether less than half of each share is taken: then there is room for a backlog beside what is live.
    #[must_use]
    pub fn is_light(&self) -> bool {
        self.lock().used.iter().all(|used| *used <= self.share / 2)
    }

    /// Lets whoever waits go: the instance is closing.
    pub fn close(&self) {
        self.lock().closed = true;
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
    fn a_full_share_waits_for_room_and_the_other_does_not() {
        let budget = Arc::new(Budget::new(200));
        budget.reserve(Category::Log, 500);
        budget.reserve(Category::Event, 100);
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 60));
        budget.free(Category::Event, 100);
        assert!(!waiting.is_finished());
        budget.free(Category::Log, 500);
        waiting.join().unwrap();
        assert_eq!(budget.used(), 60);
    }

    #[test]
    fn nobody_waits_for_room_that_a_quota_holds() {
        let budget = Arc::new(Budget::new(200));
        budget.reserve(Category::Log, 90);
        assert!(!budget.is_clogged(20));
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 60));
        budget.hold([false, true]);
        waiting.join().unwrap();
        assert!(budget.is_clogged(1) && budget.used() == 150);
        budget.free(Category::Log, 150);
        assert!(!budget.is_clogged(500), "an empty share takes anything");
    }

    #[test]
    fn closing_lets_everybody_go() {
        let budget = Arc::new(Budget::new(2));
        budget.reserve(Category::Log, 1);
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || other.reserve(Category::Log, 9));
        budget.close();
        waiting.join().unwrap();
    }
}
