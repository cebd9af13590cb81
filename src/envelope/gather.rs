//! Collects logs into open envelopes for many destinations at once. An envelope never mixes destinations, and the bytes of
//! all open envelopes together are limited.

use super::batch::Reading;
use super::chunk_id::RecordIndex;
use super::{Batch, Bill, Collector};
use crate::clock::Monotonic;
use crate::mapping::DestinationId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes in all open envelopes together, however many destinations there are.
const MAX_OPEN_BYTES: usize = 2_000_000;

/// Up to so many destinations, an envelope is expected to become as full as the last one that was.
const FEW: usize = 4;

/// Most buffers that wait for an envelope.
const MAX_POOLED: usize = 1;

/// A collector for each destination that has an open envelope.
#[derive(Debug)]
pub struct LogBatcher<T> {
    max_items: usize,
    /// Envelopes by destination. Each log is looked up three times, and a tree of few destinations takes less than a hash.
    open: BTreeMap<DestinationId, Collector<T>>,
    bytes: usize,
    /// Bytes of the envelope opened last, without those appended since.
    before: usize,
    /// Buffers of envelopes that have been sent.
    pooled: Vec<Vec<u8>>,
    /// Bytes that the next envelope is likely to take: a buffer of them need not grow, which would copy and leave gaps.
    likely: usize,
}

impl<T> LogBatcher<T> {
    /// A batcher of at most `max_items` logs an envelope.
    #[must_use]
    pub fn new(max_items: usize) -> Self {
        Self { max_items, open: BTreeMap::new(), bytes: 0, before: 0, pooled: Vec::new(), likely: 0 }
    }

    /// Takes the buffer of an envelope that has been sent, for the next one, unless there are enough.
    pub fn add_buffer(&mut self, buffer: Vec<u8>) {
        if self.pooled.len() < MAX_POOLED {
            self.pooled.push(buffer);
        }
    }

    /// The buffer for the next log of a destination.
    pub fn open(&mut self, destination: DestinationId, now: Monotonic, reading: Reading) -> &mut Vec<u8> {
        let new = || Collector::new(self.max_items).toward(destination);
        // With many destinations, envelopes are seldom full.
        let few = self.open.len() < FEW;
        let collector = self.open.entry(destination).or_insert_with(new);
        self.before = collector.bytes();
        if few && self.pooled.is_empty() && collector.opened().is_none() {
            self.pooled.push(Vec::with_capacity(self.likely));
        }
        collector.open(now, reading, &mut self.pooled)
    }

    /// Returns the buffer of the log that is open for a destination.
    pub fn buffer(&mut self, destination: DestinationId) -> Option<&mut Vec<u8>> {
        self.open.get_mut(&destination)?.buffer()
    }

    /// Ends the log opened last, which was for this destination. An envelope that is full comes back; where there is too
    /// much in all of them together, the oldest does.
    pub fn close(
        &mut self,
        destination: DestinationId,
        tracker: &Arc<T>,
        record: RecordIndex,
        bill: Bill,
    ) -> Option<Batch<T>> {
        let collector = self.open.get_mut(&destination)?;
        let full = collector.close(tracker, record, bill, &mut self.pooled);
        self.bytes = self.bytes + collector.bytes() - self.before;
        if let Some(full) = &full {
            self.likely = full.bytes() + full.bytes() / 8;
        }
        if collector.opened().is_none() {
            self.open.remove(&destination);
        }
        if full.is_some() || self.bytes <= MAX_OPEN_BYTES {
            return full;
        }
        let oldest = self.open.iter().min_by_key(|(_, collector)| collector.opened()).map(|(id, _)| *id)?;
        self.seal_one(oldest)
    }

    /// The open envelopes whose first log came in at `before` or earlier, in the order of their age.
    pub fn seal(&mut self, before: Monotonic) -> Vec<Batch<T>> {
        let due = |collector: &Collector<T>| collector.opened().is_some_and(|opened| opened <= before);
        let due: Vec<DestinationId> = self.open.iter().filter(|(_, open)| due(open)).map(|(id, _)| *id).collect();
        let mut batches: Vec<_> = due.into_iter().filter_map(|id| self.seal_one(id)).collect();
        batches.sort_by_key(|batch| batch.opened);
        batches
    }

    fn seal_one(&mut self, destination: DestinationId) -> Option<Batch<T>> {
        let mut collector = self.open.remove(&destination)?;
        self.bytes -= collector.bytes();
        collector.seal()
    }

    /// Removes the bytes that were appended for a log that was never ended.
    pub fn mend(&mut self) {
        self.open.values_mut().for_each(Collector::mend);
        self.bytes = self.open.values().map(Collector::bytes).sum();
    }

    /// Returns the time when the oldest of the open envelopes was begun.
    #[must_use]
    pub fn opened(&self) -> Option<Monotonic> {
        self.open.values().filter_map(Collector::opened).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::MAX_LOG_BYTES;

    #[test]
    fn pooled_buffers_are_used_and_never_pile_up() {
        let (mut batcher, tracker) = (LogBatcher::new(1_000), Arc::new(0_u8));
        let log = vec![b'1'; 10_000];
        let mut full: Vec<Batch<u8>> = Vec::new();
        for record in 0..1_000 {
            batcher.add_buffer(Vec::with_capacity(2 * MAX_LOG_BYTES));
            assert!(batcher.pooled.len() <= MAX_POOLED, "{} buffers wait", batcher.pooled.len());
            batcher.open(DestinationId(7), Monotonic::START, Reading::Live).extend_from_slice(&log);
            full.extend(batcher.close(DestinationId(7), &tracker, RecordIndex(record), Bill::default()));
        }
        // Full by their bytes, not their number: each goes on in a pooled buffer.
        assert!(full.len() > 5);
        for batch in full {
            assert_eq!(batch.into_buffer().capacity(), 2 * MAX_LOG_BYTES);
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_secs(seconds)
    }

    fn add(batcher: &mut LogBatcher<u8>, destination: u32, now: Monotonic, json: &[u8]) -> Option<Batch<u8>> {
        let destination = DestinationId(destination);
        batcher.open(destination, now, Reading::Live).extend_from_slice(json);
        batcher.close(destination, &Arc::new(1), RecordIndex(0), Bill::default())
    }

    #[test]
    fn envelopes_never_mix_destinations_and_are_full_each_for_itself() {
        let mut batcher = LogBatcher::new(2);
        assert!(add(&mut batcher, 1, at(1), b"1").is_none());
        assert!(add(&mut batcher, 2, at(1), b"2").is_none());
        let full = add(&mut batcher, 1, at(1), b"1").unwrap();
        assert_eq!((full.destination.0, full.len(), full.bytes()), (1, 2, 3));
        let rest = batcher.seal(at(1));
        assert_eq!(rest.iter().map(|batch| (batch.destination.0, batch.len())).collect::<Vec<_>>(), [(2, 1)]);
        assert_eq!((batcher.bytes, batcher.open.len(), batcher.opened()), (0, 0, None));
    }

    #[test]
    fn age_seals_what_is_old_enough_only() {
        let mut batcher = LogBatcher::new(10);
        for (destination, now) in [(3, 1), (1, 2), (2, 3)] {
            assert!(add(&mut batcher, destination, at(now), b"{}").is_none());
        }
        assert_eq!(batcher.opened(), Some(at(1)));
        let sealed = batcher.seal(at(2));
        assert_eq!(sealed.iter().map(|batch| batch.destination.0).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(batcher.seal(Monotonic::MAX).len(), 1);
    }

    #[test]
    fn two_hundred_destinations_share_one_bound() {
        let mut batcher = LogBatcher::new(1_000);
        let (json, mut most, mut sealed) = (vec![b'1'; 10_000], 0, 0);
        for turn in 0..10_u64 {
            for destination in 0..200 {
                sealed += add(&mut batcher, destination, at(turn), &json).map_or(0, |batch| batch.len());
                most = most.max(batcher.bytes);
            }
        }
        assert!(most <= MAX_OPEN_BYTES + json.len(), "{most}");
        let open: usize = batcher.open.values().map(Collector::bytes).sum();
        assert_eq!(batcher.bytes, open);
        sealed += batcher.seal(Monotonic::MAX).iter().map(Batch::len).sum::<usize>();
        assert_eq!(sealed, 2_000);
    }

    #[test]
    fn a_log_that_was_never_ended_leaves_no_trace() {
        let mut batcher = LogBatcher::new(10);
        assert!(add(&mut batcher, 1, at(1), b"{}").is_none());
        batcher.open(DestinationId(1), at(1), Reading::Live).extend_from_slice(b"{half");
        batcher.mend();
        batcher.open(DestinationId(2), at(1), Reading::Live).extend_from_slice(b"{half");
        batcher.mend();
        assert!(add(&mut batcher, 1, at(1), b"{}").is_none());
        let sizes: Vec<_> = batcher.seal(Monotonic::MAX).iter().map(|batch| (batch.len(), batch.bytes())).collect();
        assert_eq!(sizes, [(2, 5)]);
    }
}
