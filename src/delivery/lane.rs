//! Envelopes that wait for their turn, and how much memory they take.

use crate::envelope::Batch;
use std::collections::VecDeque;

/// A queue of envelopes that knows its bytes.
#[derive(Debug)]
pub(super) struct Lane<T> {
    queue: VecDeque<Batch<T>>,
    bytes: u64,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Lane<T> {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of JSON.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn front(&self) -> Option<&Batch<T>> {
        self.queue.front()
    }

    pub(super) fn push_back(&mut self, batch: Batch<T>) {
        self.bytes += batch.bytes() as u64;
        self.queue.push_back(batch);
    }

    pub(super) fn push_front(&mut self, batch: Batch<T>) {
        self.bytes += batch.bytes() as u64;
        self.queue.push_front(batch);
    }

    pub(super) fn pop_front(&mut self) -> Option<Batch<T>> {
        let batch = self.queue.pop_front()?;
        self.bytes -= batch.bytes() as u64;
        Some(batch)
    }

    pub(super) fn pop_back(&mut self) -> Option<Batch<T>> {
        let batch = self.queue.pop_back()?;
        self.bytes -= batch.bytes() as u64;
        Some(batch)
    }

    /// Everything, the front first.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = Batch<T>> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter()
    }
}
