//! Passes a chunk's bytes from a flush to the plugin's threads, and the verdict back.
//!
//! Slots are allocated once and reused, because the stack of a flush is 24 KiB and has no guard page in many versions of
//! Fluent Bit. The flush copies the bytes in, waits, and does nothing else that could fail or need memory.

use crate::clock::Stopwatch;
use crate::delivery::store::Chunk;
use crate::delivery::store::compressed_chunk::{CompressedChunk, QueuedChunk};
use crate::sync::{Condvar, Mutex, MutexGuard, Receiver, Sender, bounded};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The result of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin has taken the chunk.
    Ok,
    /// The chunk stays with Fluent Bit.
    Retry,
}

/// A place for one chunk, which a flush shares with the mapper.
#[derive(Debug, Default)]
pub struct ChunkSlot {
    state: Mutex<State>,
    completed: Condvar,
}

/// The chunk and its verdict. The flush writes the chunk before it queues the slot; the mapper takes it.
#[derive(Debug, Default)]
struct State {
    /// Written by the flush; taken by the mapper.
    tag: Vec<u8>,
    /// Written by the flush; taken by the mapper.
    data: Vec<u8>,
    /// The chunk, if it is compressed; `data` is empty then. Written by the flush; taken by the mapper.
    compressed: Option<CompressedChunk>,
    /// Written by mapper and dispatcher; read by the flush.
    verdict: Option<Verdict>,
    /// True if the flush has stopped waiting. Written by the flush; read by the thread that gives the verdict, which then recycles
    /// the slot.
    is_abandoned: bool,
}

/// All slots and pooled buffers of an instance.
#[derive(Debug)]
pub struct SlotPool {
    free: (Sender<Arc<ChunkSlot>>, Receiver<Arc<ChunkSlot>>),
    buffers: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

/// Most chunks in transit from a flush to the mapper, or whose flush waits. Further flushes return RETRY.
const SLOTS: usize = 512;

/// Number of pooled buffers, and the capacity above which a buffer is not pooled: bounds the memory of an idle instance. More
/// buffers would be used in turn, and all would grow to the size of the largest chunk.
const BUFFERS: usize = 1;
const MAX_BUFFER_BYTES: usize = 4 << 20;

impl SlotPool {
    /// Makes the slots.
    #[must_use]
    pub fn new() -> Self {
        let slot_pool = Self { free: bounded(SLOTS), buffers: bounded(BUFFERS) };
        (0..SLOTS).for_each(|_| slot_pool.recycle(Arc::default()));
        slot_pool
    }

    /// Fills a slot with a chunk. Returns `None` if all slots are taken or memory is short; never aborts.
    #[must_use]
    pub fn fill(&self, tag: &[u8], data: &[u8]) -> Option<Arc<ChunkSlot>> {
        self.fill_with(tag, |state| {
            if state.data.capacity() == 0 {
                state.data = self.buffer();
            }
            copy(&mut state.data, data)
        })
    }

    /// Like [`SlotPool::fill`], for a compressed chunk.
    #[must_use]
    pub fn fill_compressed(&self, tag: &[u8], compressed: CompressedChunk) -> Option<Arc<ChunkSlot>> {
        self.fill_with(tag, |state| {
            state.compressed = Some(compressed);
            true
        })
    }

    fn fill_with(&self, tag: &[u8], fill: impl FnOnce(&mut State) -> bool) -> Option<Arc<ChunkSlot>> {
        let chunk_slot = self.free.1.try_recv().ok()?;
        let filled = {
            let mut state = chunk_slot.lock();
            state.verdict = None;
            state.is_abandoned = false;
            copy(&mut state.tag, tag) && fill(&mut state)
        };
        if filled {
            return Some(chunk_slot);
        }
        self.recycle(chunk_slot);
        None
    }

    /// Returns the number of slots that are not free.
    #[cfg(test)]
    pub(in crate::delivery) fn taken(&self) -> usize {
        SLOTS - self.free.1.len()
    }

    /// Makes a slot free again.
    pub fn recycle(&self, chunk_slot: Arc<ChunkSlot>) {
        {
            let mut state = chunk_slot.lock();
            state.compressed = None;
            if state.data.capacity() > 0 {
                let data = std::mem::take(&mut state.data);
                self.recycle_buffer(data);
            }
        }
        // The channel has a place for every slot.
        let _ = self.free.0.try_send(chunk_slot);
    }

    /// Returns the buffer of an earlier chunk if one is pooled, else a new one.
    #[must_use]
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.1.try_recv().unwrap_or_default()
    }

    /// Returns a buffer to the pool, unless it is too large or the pool is full.
    pub fn recycle_buffer(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= MAX_BUFFER_BYTES {
            let _ = self.buffers.0.try_send(buffer);
        }
    }

    /// Gives a flush its verdict. Returns false if the flush has stopped waiting; the slot is recycled then.
    pub fn complete(&self, chunk_slot: &Arc<ChunkSlot>, verdict: Verdict) -> bool {
        let is_abandoned = {
            let mut state = chunk_slot.lock();
            state.verdict = Some(verdict);
            state.is_abandoned
        };
        if is_abandoned {
            self.recycle(Arc::clone(chunk_slot));
        } else {
            chunk_slot.completed.notify_one();
        }
        !is_abandoned
    }

    /// Waits for the verdict. Returns RETRY if there is none in time; the slot is abandoned then, and recycled by the thread that
    /// gives the verdict.
    pub fn wait(&self, chunk_slot: Arc<ChunkSlot>, longest: Duration) -> Verdict {
        let start = Stopwatch::start();
        let mut state = chunk_slot.lock();
        let verdict = loop {
            if let Some(verdict) = state.verdict {
                break verdict;
            }
            let remaining = longest.saturating_sub(start.elapsed());
            if remaining.is_zero() {
                state.is_abandoned = true;
                return Verdict::Retry;
            }
            state = chunk_slot.completed.wait_timeout(state, remaining).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        self.recycle(chunk_slot);
        verdict
    }
}

impl Default for SlotPool {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(to: &mut Vec<u8>, from: &[u8]) -> bool {
    to.clear();
    if to.try_reserve_exact(from.len()).is_err() {
        return false;
    }
    to.extend_from_slice(from);
    true
}

impl ChunkSlot {
    /// Takes the chunk: tag and bytes. Empty if it was taken before.
    #[must_use]
    pub fn take(&self) -> (Vec<u8>, Vec<u8>) {
        let mut state = self.lock();
        (std::mem::take(&mut state.tag), std::mem::take(&mut state.data))
    }

    /// Takes the chunk as it is queued in memory.
    #[must_use]
    pub(crate) fn take_queued(&self) -> QueuedChunk {
        let compressed = self.lock().compressed.take();
        let (tag, data) = self.take();
        match compressed {
            Some(compressed) => QueuedChunk::Compressed(tag, compressed),
            None => QueuedChunk::Raw(Chunk { tag, data, records: 0 }),
        }
    }

    /// Returns the bytes that the chunk takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let state = self.lock();
        state.compressed.as_ref().map_or(state.data.len(), CompressedChunk::bytes)
    }

    /// Returns true if the flush has stopped waiting.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.lock().is_abandoned
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycles_the_slot_of_a_flush_that_timed_out() {
        let slot_pool = SlotPool::new();
        let chunk_slot = slot_pool.fill(b"tag", b"data").unwrap();
        let ours = Arc::clone(&chunk_slot);
        assert_eq!(slot_pool.wait(chunk_slot, Duration::ZERO), Verdict::Retry);
        assert!(ours.is_abandoned());
        assert_eq!(slot_pool.free.1.len(), SLOTS - 1);
        slot_pool.complete(&ours, Verdict::Ok);
        assert_eq!(slot_pool.free.1.len(), SLOTS);
    }

    #[test]
    fn verdict_reaches_the_waiting_flush() {
        let slot_pool = Arc::new(SlotPool::new());
        let chunk_slot = slot_pool.fill(b"tag", b"data").unwrap();
        let (ours, other) = (Arc::clone(&chunk_slot), Arc::clone(&slot_pool));
        let answering = std::thread::spawn(move || {
            assert_eq!(ours.take(), (b"tag".to_vec(), b"data".to_vec()));
            other.complete(&ours, Verdict::Ok);
        });
        assert_eq!(slot_pool.wait(chunk_slot, Duration::from_secs(60)), Verdict::Ok);
        answering.join().unwrap();
        assert_eq!(slot_pool.free.1.len(), SLOTS);
    }

    #[test]
    fn returns_none_when_all_slots_are_taken() {
        let slot_pool = SlotPool::new();
        let taken: Vec<_> = (0..SLOTS).map(|_| slot_pool.fill(b"", b"x").unwrap()).collect();
        assert!(slot_pool.fill(b"", b"x").is_none());
        taken.into_iter().for_each(|chunk_slot| slot_pool.recycle(chunk_slot));
        assert!(slot_pool.fill(b"", b"x").is_some());
    }
}
