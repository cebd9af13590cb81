//! Accepts or refuses the chunk of a flush. Runs on Fluent Bit's coroutine stack: it copies or compresses the chunk, queues it,
//! and waits for no other thread.

use crate::delivery::Delivery;
use crate::delivery::accept::chunk_slot::{ChunkSlot, Verdict};
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::state::Shared;
use crate::delivery::store::Offer;
use crate::delivery::store::compressed_chunk::Effort;
use crate::options::{FlushThread, Mode, ResolvedMode};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Longest wait of a flush for the sync of its chunk. After it the flush returns RETRY, and the chunk is recognized when Fluent
/// Bit offers it again.
const SPOOL_WAIT: Duration = Duration::from_secs(30);

/// Longest wait of a flush whose chunk passes through the memory while Fluent Bit keeps it. It is short because Fluent Bit's
/// engine thread waits.
const PASSING_WAIT: Duration = Duration::from_millis(100);

/// The result of [`Delivery::enter`].
pub(in crate::delivery) enum Entered {
    /// The plugin has taken the chunk.
    Taken,
    /// The flush waits for the verdict, this long at most.
    Waiting(Arc<ChunkSlot>, Duration),
    /// The plugin has taken the chunk when the chunk of this number is synced.
    Unsynced(u64),
    /// The chunk stays with Fluent Bit.
    Refused,
}

impl Delivery {
    /// Takes or refuses a chunk. Runs on Fluent Bit's coroutine stack, so it only copies, queues and waits.
    pub fn flush(&self, tag: &[u8], data: &[u8], thread: FlushThread) -> Verdict {
        match self.enter(tag, data, thread) {
            Entered::Waiting(chunk_slot, longest) => self.shared.slot_pool.wait(chunk_slot, longest),
            Entered::Unsynced(number) => {
                let identity = || self.shared.retry_registry.identity(tag, data);
                let is_safe = self.shared.store.wait_for_sync(number, SPOOL_WAIT, identity);
                if is_safe { Verdict::Ok } else { Verdict::Retry }
            }
            Entered::Taken => Verdict::Ok,
            Entered::Refused => Verdict::Retry,
        }
    }

    /// Puts a chunk into the spool or the mapper's queue, if there is capacity for it.
    pub(in crate::delivery) fn enter(&self, tag: &[u8], data: &[u8], thread: FlushThread) -> Entered {
        let Some(_active) = self.shared.lifecycle.enter() else { return Entered::Refused };
        if thread == FlushThread::Worker && !self.has_told_workers.swap(true, Relaxed) {
            let _ = self.shared.to_dispatcher.send(Message::Workers);
        }
        self.shared.flush_interval.flushed(self.shared.now().steady);
        let mode = self.mode_of_flush(thread);
        if mode == ResolvedMode::Spool {
            return self.shared.offer(tag, data);
        }
        if !self.shared.route_table.is_ready(mode) {
            return Entered::Refused;
        }
        let chunk_slot = if mode == ResolvedMode::Ack {
            return self.queue_retained(self.shared.slot_pool.fill(tag, data), self.shared.settings.ack_timeout);
        } else if self.shared.is_share_full(data.len() as u64) {
            // Items that wait for a quota have filled their share of the memory: Fluent Bit keeps the chunk, and its other
            // items are sent.
            return self.queue_retained(self.shared.fill_passing_slot(tag, data), PASSING_WAIT);
        } else {
            self.shared.fill_slot(tag, data)
        };
        let is_queued = chunk_slot.is_some_and(|slot| self.queue(Job::Memory(Arc::clone(&slot)), slot));
        if is_queued { Entered::Taken } else { Entered::Refused }
    }

    /// Returns the mode of a flush. The dispatcher logs what `auto` has chosen once.
    fn mode_of_flush(&self, thread: FlushThread) -> ResolvedMode {
        let settings = &self.shared.settings;
        let mode = ResolvedMode::of_flush(settings, thread);
        let number = 1 + mode as u64;
        if settings.mode == Mode::Auto && self.chosen.swap(number, Relaxed) != number {
            let _ = self.shared.to_dispatcher.send(Message::Chose(mode));
        }
        mode
    }

    /// Queues a chunk that Fluent Bit keeps until its flush returns. `longest` is the longest wait of the flush.
    fn queue_retained(&self, chunk_slot: Option<Arc<ChunkSlot>>, longest: Duration) -> Entered {
        let Some(chunk_slot) = chunk_slot else { return Entered::Refused };
        self.shared.retained_in_transit.fetch_add(1, SeqCst);
        if self.queue(Job::Ack(Arc::clone(&chunk_slot)), Arc::clone(&chunk_slot)) {
            return Entered::Waiting(chunk_slot, longest);
        }
        self.shared.retained_in_transit.fetch_sub(1, SeqCst);
        Entered::Refused
    }

    /// Puts the job of a slot into the mapper's queue. Returns false if the queue is full; the slot is recycled then.
    fn queue(&self, job: Job, chunk_slot: Arc<ChunkSlot>) -> bool {
        let length = chunk_slot.bytes() as u64;
        self.shared.mapper_queue_bytes.fetch_add(length, Relaxed);
        let is_queued = self.to_mapper.try_send(job).is_ok();
        if !is_queued {
            self.shared.mapper_queue_bytes.fetch_sub(length, Relaxed);
            self.shared.slot_pool.recycle(chunk_slot);
        }
        is_queued
    }
}

impl Shared {
    /// Returns a slot for a chunk that is to wait in memory, if there is capacity for it. The chunk is compressed in a burst and
    /// when memory gets short.
    fn fill_slot(&self, tag: &[u8], data: &[u8]) -> Option<Arc<ChunkSlot>> {
        /// Nearly all chunks shrink by less than this factor. One that would not fit even so is not compressed.
        const MOST_SHRUNK: u64 = 8;
        let (length, used, shares) = (data.len() as u64, self.used(), &self.shares);
        let half_full = used > 0 && used + length > shares.compress_hard;
        let waiting = self.mapper_queue_bytes.load(Relaxed);
        let is_burst = waiting > 0 && waiting + length > shares.burst;
        let effort = if half_full { Effort::Hard } else { Effort::Light };
        if (half_full || is_burst)
            && used + length / MOST_SHRUNK <= shares.total
            && let Some(compressed) = self.chunk_compressor.compress(data, shares.total - used, effort)
        {
            return self.slot_pool.fill_compressed(tag, compressed);
        }
        if self.has_capacity(length) { self.slot_pool.fill(tag, data) } else { None }
    }

    /// Returns a slot for a chunk that does not stay in memory but passes through it, if there is capacity for it.
    fn fill_passing_slot(&self, tag: &[u8], data: &[u8]) -> Option<Arc<ChunkSlot>> {
        let waiting = self.mapper_queue_bytes.load(Relaxed);
        let has_capacity = waiting == 0 || waiting + data.len() as u64 <= self.shares.passing;
        if has_capacity { self.slot_pool.fill(tag, data) } else { None }
    }

    /// Offers a chunk to the spool.
    pub(in crate::delivery) fn offer(&self, tag: &[u8], data: &[u8]) -> Entered {
        let wall = self.now().wall;
        match self.store.offer(tag, data, wall, SPOOL_WAIT, &self.retry_registry, &self.recorder) {
            Offer::Taken => Entered::Taken,
            Offer::Unsynced(number) => Entered::Unsynced(number),
            Offer::Refused => Entered::Refused,
        }
    }

    /// Returns the bytes of the queue that are taken.
    pub(in crate::delivery) fn used(&self) -> u64 {
        self.mapper_queue_bytes.load(Relaxed) + self.retained_bytes.load(Relaxed) + self.budget.used()
    }

    /// Returns true if a chunk of `length` bytes may be queued. An empty queue takes a chunk of any size.
    fn has_capacity(&self, length: u64) -> bool {
        let used = self.used();
        used == 0 || used + length <= self.shares.total
    }

    /// Returns true if a chunk for memory has to stay with Fluent Bit because deferred items fill their share. Also true while
    /// Fluent Bit keeps an earlier chunk, so that the retry registry recognizes that chunk when it is offered again.
    fn is_share_full(&self, length: u64) -> bool {
        // Chunks whose items wait must leave memory for live ones.
        let is_retaining = self.retained_bytes.load(Relaxed) + length > self.shares.deferred_chunks;
        let is_full = self.budget.has_deferred() && (is_retaining || !self.has_capacity(length));
        // Order matters: check chunks in transit before the retry registry, because a chunk moves from the former to the latter.
        is_full
            || self.budget.is_share_full(length)
            || self.retained_in_transit.load(SeqCst) > 0
            || self.retry_registry.expects_any()
    }
}
