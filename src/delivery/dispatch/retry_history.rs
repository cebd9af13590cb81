//! Finds poison messages: envelopes that fail again and again while others pass.

use crate::envelope::{Batch, BatchKey, Failures, Identified};
use std::collections::VecDeque;

/// Failures, each followed by another envelope's success, after which an envelope is rejected as a poison message.
pub(super) const MAX_ATTEMPTS: u32 = 20;

/// Most envelopes that are remembered for having failed.
const MAX_ENTRIES: usize = 64;

/// The failures of envelopes whose records went back to their chunks. When these are read again they become new batches.
#[derive(Debug, Default)]
pub(super) struct RetryHistory {
    /// Envelopes that the destination has accepted.
    successes: u64,
    /// Envelopes that failed, the oldest first.
    entries: VecDeque<(BatchKey, Failures)>,
}

impl RetryHistory {
    /// Gives a batch the failures that it had before its records were read again.
    pub(super) fn restore<T: Identified>(&self, batch: &mut Batch<T>) {
        if let Some((_, failures)) = self.entries.iter().find(|(key, _)| batch.key() == Some(*key)) {
            batch.failures = *failures;
        }
    }

    /// Counts a failure of a batch, if others have passed since the one before. Returns true if the batch is poison.
    pub(super) fn is_poison_after_failure<T>(&self, batch: &mut Batch<T>) -> bool {
        let failures = &mut batch.failures;
        if std::mem::replace(&mut failures.successes_before, self.successes) < self.successes {
            failures.count += 1;
        }
        failures.count >= MAX_ATTEMPTS
    }

    /// Remembers the failures of a batch whose records go back to their chunks.
    pub(super) fn remember<T: Identified>(&mut self, batch: &Batch<T>) {
        self.forget(batch);
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.extend(batch.key().map(|key| (key, batch.failures)));
    }

    /// Counts a batch that was accepted, and forgets its failures.
    pub(super) fn accepted<T: Identified>(&mut self, batch: &Batch<T>) {
        self.forget(batch);
        self.successes += 1;
    }

    fn forget<T: Identified>(&mut self, batch: &Batch<T>) {
        self.entries.retain(|(key, _)| batch.key() != Some(*key));
    }
}
