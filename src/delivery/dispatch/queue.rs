//! Queues envelopes that wait to be sent, and counts the memory that they take.

use crate::envelope::Batch;
use std::collections::VecDeque;

/// A queue of envelopes that knows its bytes.
#[derive(Debug)]
pub(in crate::delivery) struct CategoryQueue<T> {
    queue: VecDeque<Batch<T>>,
    bytes: u64,
}

impl<T> Default for CategoryQueue<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), bytes: 0 }
    }
}

impl<T> CategoryQueue<T> {
    pub(in crate::delivery) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(in crate::delivery) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the bytes of JSON.
    pub(in crate::delivery) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(in crate::delivery) fn front(&self) -> Option<&Batch<T>> {
        self.queue.front()
    }

    pub(in crate::delivery) fn push_back(&mut self, batch: Batch<T>) {
        self.bytes += batch.bytes() as u64;
        self.queue.push_back(batch);
    }

    pub(in crate::delivery) fn push_front(&mut self, batch: Batch<T>) {
        self.bytes += batch.bytes() as u64;
        self.queue.push_front(batch);
    }

    pub(in crate::delivery) fn pop_front(&mut self) -> Option<Batch<T>> {
        let batch = self.queue.pop_front()?;
        self.bytes -= batch.bytes() as u64;
        Some(batch)
    }

    /// Takes the envelope that was begun last. A failed envelope is behind younger ones.
    pub(in crate::delivery) fn pop_newest(&mut self) -> Option<Batch<T>> {
        let (at, _) = self.queue.iter().enumerate().max_by_key(|(_, batch)| batch.opened)?;
        let batch = self.queue.remove(at)?;
        self.bytes -= batch.bytes() as u64;
        Some(batch)
    }

    /// Takes the envelopes for which `is_one` returns true, and keeps the order of the others.
    pub(in crate::delivery) fn take(&mut self, is_one: impl Fn(&Batch<T>) -> bool) -> VecDeque<Batch<T>> {
        let (taken, remaining): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(is_one);
        self.bytes = remaining.iter().map(|batch| batch.bytes() as u64).sum();
        self.queue = remaining;
        taken
    }

    pub(in crate::delivery) fn iter(&self) -> impl Iterator<Item = &Batch<T>> {
        self.queue.iter()
    }

    /// Takes all envelopes, the front first.
    pub(in crate::delivery) fn empty(&mut self) -> impl Iterator<Item = Batch<T>> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter()
    }
}
