//! Keeps chunks with open records, ordered by the time at which they are due to be read again. Chunks that wait for one
//! destination therefore do not block chunks that wait for another. Chunks with rejected records, whose dead letters are to be
//! written, precede both.

use crate::clock::Monotonic;
use crate::delivery::track::chunk_progress::ChunkProgress;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Chunks by the time at which they are due, and by the order of their arrival.
type Queue = BTreeMap<(Monotonic, u64), Arc<ChunkProgress>>;

/// The chunks of a backlog that are read in the present state of memory and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readable {
    /// All that are due.
    All,
    /// Only chunks with rejected records: writing their dead letters needs no memory for items and no server.
    Rejected,
}

/// The chunks. Written by mapper, dispatcher and the spool's worker; read by the mapper, and by the dispatcher at exit.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Chunks that wait for a destination or a delay. Added by all three; taken by the mapper.
    waiting: Queue,
    /// Chunks of the spool that were flushed just now. Added by the spool's worker; taken by the mapper.
    live: VecDeque<Arc<ChunkProgress>>,
    /// Chunks with rejected records. Reading one frees memory. Added by mapper and dispatcher; taken by the mapper.
    rejected: Queue,
    /// The last chunks that an earlier process left. Added by the spool's worker at the start; taken by the mapper with the first
    /// live chunk.
    last: Vec<Arc<ChunkProgress>>,
    /// Number of chunks added so far.
    added: u64,
    /// Keys of chunks that wait only for a delay to end, not for a destination. Added by the spool's worker; taken by `close`.
    delayed: Vec<(Monotonic, u64)>,
}

impl Backlog {
    /// Adds a chunk that is to be read at `due`.
    pub(crate) fn add(&mut self, chunk_progress: Arc<ChunkProgress>, due: Monotonic) {
        self.added += 1;
        let queue = if chunk_progress.has_rejected() { &mut self.rejected } else { &mut self.waiting };
        queue.insert((due, self.added), chunk_progress);
    }

    /// Adds a chunk of the spool that was flushed just now.
    pub(crate) fn add_live(&mut self, chunk_progress: Arc<ChunkProgress>) {
        self.live.push_back(chunk_progress);
    }

    /// Takes the chunk of the spool that was flushed first.
    pub(crate) fn take_live(&mut self) -> Option<Arc<ChunkProgress>> {
        self.live.pop_front()
    }

    /// Adds a chunk that is delayed on purpose and waits for no destination.
    pub(crate) fn add_delayed(&mut self, chunk_progress: Arc<ChunkProgress>, due: Monotonic) {
        self.add(chunk_progress, due);
        self.delayed.push((due, self.added));
    }

    /// Adds one of the last chunks that an earlier process left. A live chunk may continue its traces.
    pub(crate) fn add_last(&mut self, chunk_progress: Arc<ChunkProgress>, due: Monotonic) {
        self.last.push(Arc::clone(&chunk_progress));
        self.add_delayed(chunk_progress, due);
    }

    /// Takes those of the last chunks of an earlier process that still wait.
    pub(crate) fn take_last(&mut self) -> Vec<Arc<ChunkProgress>> {
        let last = std::mem::take(&mut self.last);
        last.into_iter().filter(|chunk_progress| self.remove(chunk_progress)).collect()
    }

    /// Takes a chunk out; returns false if it does not wait.
    pub(crate) fn remove(&mut self, chunk_progress: &Arc<ChunkProgress>) -> bool {
        let found = |queue: &Queue| queue.iter().find(|(_, one)| Arc::ptr_eq(one, chunk_progress)).map(|(key, _)| *key);
        match (found(&self.waiting), found(&self.rejected)) {
            (Some(key), _) => self.waiting.remove(&key).is_some(),
            (None, Some(key)) => self.rejected.remove(&key).is_some(),
            (None, None) => false,
        }
    }

    /// Makes the delayed chunks due; chunks that wait for a destination go on waiting.
    pub(crate) fn end_delay(&mut self, now: Monotonic) {
        for key in std::mem::take(&mut self.delayed) {
            if let Some(chunk_progress) = self.waiting.remove(&key) {
                self.waiting.insert((key.0.min(now), key.1), chunk_progress);
            }
        }
    }

    /// Returns the time at which the first of these chunks is due.
    pub(crate) fn next_due(&self, readable: Readable) -> Option<Monotonic> {
        let waiting = first_due(&self.waiting).filter(|_| readable == Readable::All);
        first_due(&self.rejected).into_iter().chain(waiting).min()
    }

    /// Takes the first of these chunks that is due; one with rejected records goes first.
    pub(crate) fn take(&mut self, now: Monotonic, readable: Readable) -> Option<Arc<ChunkProgress>> {
        let is_due = |queue: &&mut Queue| first_due(queue).is_some_and(|due| due <= now);
        let waiting = Some(&mut self.waiting).filter(|_| readable == Readable::All);
        let queue = Some(&mut self.rejected).filter(is_due).or(waiting.filter(is_due))?;
        queue.pop_first().map(|(_, chunk_progress)| chunk_progress)
    }

    /// Returns true if any of these chunks is due before `deadline`.
    pub(crate) fn is_worth_reading(&self, deadline: Monotonic, readable: Readable) -> bool {
        self.next_due(readable).is_some_and(|due| due < deadline)
    }

    /// Makes all chunks that wait for a destination due, because the reason for their wait may have ended.
    pub(crate) fn make_due(&mut self, now: Monotonic) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting
            .into_iter()
            .map(|((due, number), chunk_progress)| ((due.min(now), number), chunk_progress))
            .collect();
    }

    /// Takes the chunks whose segment of the spool is lost.
    pub(crate) fn take_lost(&mut self) -> Vec<Arc<ChunkProgress>> {
        let is_lost = |_: &(Monotonic, u64), chunk_progress: &mut Arc<ChunkProgress>| chunk_progress.is_lost();
        let mut lost: Vec<_> = self.waiting.extract_if(.., is_lost).map(|(_, chunk_progress)| chunk_progress).collect();
        lost.extend(self.rejected.extract_if(.., is_lost).map(|(_, chunk_progress)| chunk_progress));
        let (lost_live, live) =
            std::mem::take(&mut self.live).into_iter().partition::<VecDeque<_>, _>(|one| one.is_lost());
        self.live = live;
        lost.extend(lost_live);
        lost
    }

    /// Returns the time at which the oldest of the chunks was taken.
    pub(crate) fn oldest(&self) -> Option<Monotonic> {
        self.live
            .front()
            .into_iter()
            .chain(self.waiting.values())
            .chain(self.rejected.values())
            .map(|chunk_progress| chunk_progress.taken)
            .min()
    }
}

fn first_due(queue: &Queue) -> Option<Monotonic> {
    queue.first_key_value().map(|((due, _), _)| *due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
    use crate::delivery::track::chunk_progress::ChunkSource;
    use crate::envelope::RecordIndex;
    use crate::ledger::{Category, Ledger, Outcome};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_secs(seconds)
    }

    fn chunk_progress(taken: u64) -> Arc<ChunkProgress> {
        Arc::new(ChunkProgress::new(ChunkSource::Memory, at(taken), Ledger::default().recorder(), Default::default()))
    }

    fn taken(backlog: &mut Backlog, now: Monotonic, readable: Readable) -> Vec<u64> {
        std::iter::from_fn(|| backlog.take(now, readable))
            .map(|chunk_progress| chunk_progress.taken.since(at(0)).as_secs())
            .collect()
    }

    #[test]
    fn long_wait_does_not_block_due_chunks() {
        let mut backlog = Backlog::default();
        for (number, due) in [(1, 60), (2, 1), (3, 1), (4, 2)] {
            backlog.add(chunk_progress(number), at(due));
        }
        assert_eq!((backlog.next_due(Readable::All), backlog.oldest()), (Some(at(1)), Some(at(1))));
        assert_eq!(taken(&mut backlog, at(1), Readable::All), [2, 3]);
        assert_eq!(taken(&mut backlog, at(3), Readable::All), [4]);
        backlog.make_due(at(3));
        assert_eq!(taken(&mut backlog, at(3), Readable::All), [1]);
    }

    #[test]
    fn end_delay_does_not_end_waits_for_destinations() {
        let mut backlog = Backlog::default();
        backlog.add(chunk_progress(1), at(9));
        backlog.add_delayed(chunk_progress(2), at(9));
        backlog.add_delayed(chunk_progress(3), at(1));
        assert_eq!(taken(&mut backlog, at(1), Readable::All), [3]);
        backlog.add(chunk_progress(3), at(9));
        backlog.end_delay(at(2));
        assert_eq!(taken(&mut backlog, at(2), Readable::All), [2]);
        assert_eq!(taken(&mut backlog, at(9), Readable::All), [1, 3]);
    }

    #[test]
    fn rejected_chunks_are_read_without_memory_or_server() {
        let mut backlog = Backlog::default();
        backlog.add(chunk_progress(1), at(1));
        assert_eq!(
            (backlog.next_due(Readable::Rejected), backlog.take(at(1), Readable::Rejected).is_none()),
            (None, true)
        );
        assert!(backlog.is_worth_reading(at(2), Readable::All) && !backlog.is_worth_reading(at(2), Readable::Rejected));
        let rejected = chunk_progress(2);
        let reason = DropReason::shared(Outcome::Rejected, DropTrigger::NoDestination);
        rejected.mark_rejected(Category::Log, std::iter::once(RecordIndex(0)), &reason);
        backlog.add(rejected, at(2));
        assert_eq!((backlog.next_due(Readable::Rejected), backlog.next_due(Readable::All)), (Some(at(2)), Some(at(1))));
        assert!(
            backlog.is_worth_reading(at(3), Readable::Rejected) && !backlog.is_worth_reading(at(2), Readable::Rejected)
        );
        backlog.make_due(at(1));
        assert_eq!(
            taken(&mut backlog, at(1), Readable::Rejected),
            [0_u64; 0],
            "make_due() leaves chunks with rejected records alone"
        );
        assert_eq!(taken(&mut backlog, at(2), Readable::All), [2, 1]);
    }
}
