//! Gathers logs until an envelope is full.

use super::MAX_LOG_BYTES;
use super::batch::{Batch, Bill, Reading};
use super::chunk_id::RecordIndex;
use crate::clock::Monotonic;
use crate::ledger::Category;
use crate::mapping::DestinationId;
use std::sync::Arc;

/// Gathers logs until an envelope is full.
#[derive(Debug)]
pub struct Collector<T> {
    max_items: usize,
    destination: DestinationId,
    open: Option<Batch<T>>,
}

impl<T> Collector<T> {
    /// A collector of at most `max_items` logs an envelope.
    #[must_use]
    pub fn new(max_items: usize) -> Self {
        Self { max_items, destination: DestinationId(0), open: None }
    }

    /// The same for another destination than 0.
    #[must_use]
    pub fn toward(self, destination: DestinationId) -> Self {
        Self { destination, ..self }
    }

    /// The buffer for the next log. A new envelope is built in a pooled buffer, if there is one.
    pub fn open(&mut self, now: Monotonic, reading: Reading, pooled: &mut Vec<Vec<u8>>) -> &mut Vec<u8> {
        let destination = self.destination;
        let begin = || {
            let buffer = pooled.pop().unwrap_or_default();
            Batch::new(Category::Log, buffer, now, reading).toward(destination)
        };
        self.open.get_or_insert_with(begin).open()
    }

    /// Returns the buffer of the open envelope.
    pub fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.open.as_mut().map(Batch::buffer)
    }

    /// Ends the log opened last; an envelope that is full with it comes back. A log that would make it too large
    /// begins the next one.
    pub fn close(
        &mut self,
        tracker: &Arc<T>,
        record: RecordIndex,
        bill: Bill,
        pooled: &mut Vec<Vec<u8>>,
    ) -> Option<Batch<T>> {
        let batch = self.open.as_mut()?;
        batch.close_billed(tracker, record, bill);
        if batch.bytes() > MAX_LOG_BYTES && batch.len() > 1 {
            let mut last = batch.split_off(batch.len() - 1);
            if let Some(buffer) = pooled.pop() {
                last.move_to(buffer);
            }
            return self.open.replace(last);
        }
        if batch.len() >= self.max_items { self.open.take() } else { None }
    }

    /// The open envelope, if it holds anything.
    pub fn seal(&mut self) -> Option<Batch<T>> {
        self.open.take().filter(|batch| !batch.is_empty())
    }

    /// Bytes of the open envelope.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, Batch::bytes)
    }

    /// Removes the bytes that were appended for a log that was never ended.
    pub fn mend(&mut self) {
        self.open.iter_mut().for_each(Batch::mend);
    }

    /// Returns the time when the open envelope's first log came in.
    #[must_use]
    pub fn opened(&self) -> Option<Monotonic> {
        self.open.as_ref().map(|batch| batch.opened)
    }
}
