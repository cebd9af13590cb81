//! The mapper thread: reads chunks, maps their records, fills envelopes, and leaves records that have to wait in their
//! chunks.

use crate::clock::Monotonic;
use crate::delivery::accept::chunk_slot::{ChunkSlot, Verdict};
use crate::delivery::map::carried::Carried;
use crate::delivery::map::record_writer::emit;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::backlog::Readable;
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::state::Shared;
use crate::delivery::store::Chunk;
use crate::delivery::store::compressed_chunk::QueuedChunk;
use crate::delivery::store::dead_letters::DeadLetters;
use crate::delivery::store::worker::lost;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::{LogBatcher, Reading};
use crate::mapping::Mapper;
use crate::options::ResolvedMode;
use crate::sync::{Receiver, lock, recv_either, thread};
use crossbeam_channel::RecvTimeoutError;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Interval at which the backlog is checked when nothing else happens.
const IDLE: Duration = Duration::from_millis(250);

const NO_MEMORY: &str = "not enough memory to unpack chunks: they wait compressed until there is";

const BROKEN: &str = "a compressed chunk in memory cannot be unpacked to its end: the records before that are sent, the rest counts \
                      as one invalid record; unless memory was short at exit, this is a defect of this plugin or of the \
                      machine's memory, please report it";

/// Interval at which the backlog is checked during the drain at exit.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// The open envelopes that are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery) enum Seal {
    /// The envelopes that have been open for `batch_timeout`.
    Due,
    /// All of them.
    All,
}

pub(in crate::delivery) struct Worker<'s> {
    pub(super) shared: &'s Shared,
    pub(super) records: Mapper,
    /// Open log envelopes: of live chunks, and of those read again from the spool.
    pub(super) live: LogBatcher<ChunkProgress>,
    pub(super) replayed: LogBatcher<ChunkProgress>,
    pub(super) dead: Option<DeadLetters>,
    /// Records of earlier chunks that wait for lines of later ones.
    pub(super) carried: Carried,
}

/// Tells the dispatcher at its drop, even after a panic, that the mapper has ended.
struct Done<'s>(&'s Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let _ = self.0.to_dispatcher.send(Message::MapperDone);
    }
}

/// Runs the mapper until the instance closes.
pub(crate) fn run(shared: &Shared, records: Mapper, inbox: &Receiver<Job>) {
    let _done = Done(shared);
    let mut worker = Worker::new(shared, records);
    worker.serve(inbox);
    worker.finish_volatile();
    worker.seal(Seal::All);
    worker.tell_budgets();
    worker.refuse(inbox);
    worker.drain();
}

impl<'s> Worker<'s> {
    pub(in crate::delivery) fn new(shared: &'s Shared, records: Mapper) -> Self {
        let settings = &shared.settings;
        let [live, replayed] = [(); 2].map(|()| LogBatcher::new(settings.batch_max_items));
        let dead = settings.dead_letter_path.as_deref();
        let dead = dead.map(|path| DeadLetters::new(path, settings.dead_letter_max_size));
        Self { shared, records, live, replayed, dead, carried: Carried::default() }
    }

    fn serve(&mut self, inbox: &Receiver<Job>) {
        loop {
            match self.next(inbox) {
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => {
                    let flush_waits = matches!(job, Job::Ack(_));
                    self.take(job);
                    // A flush that waits for Sentry must not wait for more logs to come.
                    if flush_waits && inbox.is_empty() {
                        self.seal(Seal::All);
                    }
                }
                // The queue may have been full when `Close` was sent.
                Err(RecvTimeoutError::Timeout) if self.shared.past_deadline() => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.finish_waiting(self.shared.now().steady);
            self.seal(Seal::Due);
            self.close_storms();
            self.records
                .check_ins()
                .for_each(|check_in| drop(self.shared.to_dispatcher.send(Message::CheckIn(check_in))));
            self.tell_budgets();
            // Live and backlog take turns.
            self.replay_one();
            self.seal_replayed();
        }
    }

    /// Returns the next job; a timeout when envelopes or the backlog are due.
    fn next(&self, inbox: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        recv_either(inbox, &self.shared.capacity_freed.1, self.idle())
    }

    /// Runs at exit until the dispatcher is done: writes the pending dead letters, and goes on reading the backlog while
    /// there is time.
    fn drain(&mut self) {
        let lifecycle = &self.shared.lifecycle;
        lifecycle.begin_drain();
        while !lifecycle.is_drain_over() && !self.shared.past_deadline() {
            if self.next_due().is_some_and(|due| due <= self.shared.now().steady) && self.may_replay() {
                lifecycle.begin_reading();
                self.replay_one();
                self.seal(Seal::All);
                lifecycle.end_reading();
            } else {
                thread::park_timeout(DRAIN_POLL);
            }
        }
    }

    fn idle(&self) -> Duration {
        let opened = [self.live.opened(), self.replayed.opened()].into_iter().flatten().min();
        let now = self.shared.now().steady;
        let due = opened.map_or(IDLE, |opened| (opened + self.shared.settings.batch_timeout).since(now));
        let due = self.next_waiting().map_or(due, |next| due.min(next.since(now)));
        let replayable = self.may_replay() && self.next_due().is_some_and(|due| due <= now);
        if replayable { Duration::ZERO } else { due.min(IDLE) }
    }

    fn may_replay(&self) -> bool {
        let lifecycle = &self.shared.lifecycle;
        !(lifecycle.is_closing() && lifecycle.is_before_drain())
            && self.shared.route_table.is_ready(ResolvedMode::Spool)
    }

    /// Returns the chunks of the backlog that may be read: all of them if there is memory for a backlog beside live chunks, and
    /// requests are still started.
    fn readable(&self) -> Readable {
        let has_capacity = self.shared.budget.is_light() && !self.shared.starts_nothing();
        if has_capacity { Readable::All } else { Readable::Rejected }
    }

    /// Returns the time at which the first of the lines that wait in the mapper are to be sent as they are.
    pub(super) fn next_waiting(&self) -> Option<Monotonic> {
        self.records.next_waiting()
    }

    fn next_due(&self) -> Option<Monotonic> {
        lock(&self.shared.backlog).next_due(self.readable())
    }

    pub(in crate::delivery) fn take(&mut self, job: Job) {
        match job {
            Job::Ack(chunk_slot) => self.ack(chunk_slot),
            Job::Memory(chunk_slot) => self.memory(&chunk_slot),
            Job::Spooled => {
                let (last, chunk_progress) = {
                    let mut backlog = lock(&self.shared.backlog);
                    (backlog.take_last(), backlog.take_live())
                };
                // The first chunk of this process may continue a trace that an earlier process left.
                last.iter().for_each(|last| self.spooled(last, Reading::Replayed));
                if let Some(chunk_progress) = chunk_progress {
                    self.spooled(&chunk_progress, Reading::Live);
                }
            }
            Job::Close => {}
        }
    }

    fn ack(&mut self, chunk_slot: Arc<ChunkSlot>) {
        let (tag, data) = self.receive(&chunk_slot);
        let joins = !chunk_slot.is_abandoned() && self.shared.route_table.is_ready(ResolvedMode::Ack);
        if !joins {
            self.shared.retained_in_transit.fetch_sub(1, SeqCst);
            self.shared.slot_pool.complete(&chunk_slot, Verdict::Retry);
            return self.shared.slot_pool.recycle_buffer(data);
        }
        let chunk_progress = self.shared.retry_registry.join(chunk_slot, &tag, &data, self.shared.now().steady);
        self.shared.retained_in_transit.fetch_sub(1, SeqCst);
        self.map(&chunk_progress, &[Chunk { tag, data, records: 0 }], Reading::Live);
    }

    fn memory(&mut self, chunk_slot: &Arc<ChunkSlot>) {
        let queued = chunk_slot.take_queued();
        self.shared.slot_pool.recycle(Arc::clone(chunk_slot));
        let recorder = self.shared.recorder.clone();
        let chunk_progress =
            Arc::new(ChunkProgress::new(ChunkSource::Memory, self.shared.now().steady, recorder, Default::default()));
        // Its bytes count until its items do.
        self.shared.retained_bytes.fetch_add(queued.bytes(), Relaxed);
        self.shared.mapper_queue_bytes.fetch_sub(queued.bytes(), Relaxed);
        let retained = chunk_progress.retain(queued);
        self.map_queued(&chunk_progress, &retained, Reading::Live);
        // The chunk is retained only where a dead letter may need its bytes, or while a record of it is open.
        if self.dead.is_none() {
            self.shared.retained_bytes.fetch_sub(chunk_progress.release_chunk(), Relaxed);
            if let Ok(QueuedChunk::Raw(segment)) = Arc::try_unwrap(retained) {
                self.shared.slot_pool.recycle_buffer(segment.data);
            }
        }
    }

    /// Maps a chunk that was queued in memory.
    fn map_queued(&mut self, chunk_progress: &Arc<ChunkProgress>, queued: &QueuedChunk, reading: Reading) {
        let chunk = self.open(queued);
        if reading == Reading::Live {
            self.shared.recorder.take(u64::from(crate::chunk::count(&chunk.data)));
        }
        self.map(chunk_progress, std::slice::from_ref(&*chunk), reading);
        if let Cow::Owned(segment) = chunk {
            self.shared.slot_pool.recycle_buffer(segment.data);
        }
    }

    /// Returns a queued chunk uncompressed. Waits until there is memory for that, or until the deadline.
    fn open<'q>(&self, queued: &'q QueuedChunk) -> Cow<'q, Chunk> {
        let opened = loop {
            match queued.open(|| self.shared.slot_pool.buffer()) {
                Some(opened) => break opened,
                None if self.shared.past_deadline() => break queued.unreadable(),
                None => self.shared.log(Severity::Warn, LogKind::Memory, NO_MEMORY.to_owned()),
            }
            thread::park_timeout(IDLE);
        };
        if !opened.is_whole {
            self.shared.log(Severity::Error, LogKind::Unpack, BROKEN.to_owned());
        }
        opened.chunk
    }

    fn receive(&self, chunk_slot: &ChunkSlot) -> (Vec<u8>, Vec<u8>) {
        let (tag, data) = chunk_slot.take();
        self.shared.mapper_queue_bytes.fetch_sub(data.len() as u64, Relaxed);
        (tag, data)
    }

    /// Reads chunks from the spool and maps them.
    pub(super) fn spooled(&mut self, chunk_progress: &Arc<ChunkProgress>, reading: Reading) {
        let ChunkSource::Spool(extent) = &chunk_progress.source else { return };
        let is_over = self.shared.past_deadline() || self.shared.starts_nothing() && !chunk_progress.has_rejected();
        if is_over || !self.shared.route_table.is_ready(ResolvedMode::Spool) {
            return self.shared.defer(chunk_progress);
        }
        match extent.read() {
            Ok(chunks) => self.map(chunk_progress, &chunks, reading),
            Err(error) => lost::unreadable(self.shared, chunk_progress, &error),
        }
    }

    /// Reads one chunk of the backlog again, if one is due and may be read.
    pub(in crate::delivery) fn replay_one(&mut self) {
        if !self.may_replay() {
            return;
        }
        let now = self.shared.now().steady;
        let Some(chunk_progress) = lock(&self.shared.backlog).take(now, self.readable()) else { return };
        if matches!(chunk_progress.source, ChunkSource::Spool(_)) {
            self.spooled(&chunk_progress, Reading::Replayed);
        } else if let Some(retained) = chunk_progress.retained() {
            self.map_queued(&chunk_progress, &retained, Reading::Replayed);
        }
    }

    /// Sends open envelopes.
    pub(in crate::delivery) fn seal(&mut self, which: Seal) {
        let now = self.shared.now().steady;
        let before = match which {
            Seal::All => Some(now),
            Seal::Due => now.checked_sub(self.shared.settings.batch_timeout),
        };
        let Some(before) = before else { return };
        for batcher in [&mut self.live, &mut self.replayed] {
            batcher.seal(before).into_iter().for_each(|batch| emit(self.shared, batch));
        }
    }

    /// Sends the items of replayed chunks once no more of these are due: nothing more will come to fill an envelope.
    fn seal_replayed(&mut self) {
        let now = self.shared.now().steady;
        let more = || lock(&self.shared.backlog).next_due(Readable::All).is_some_and(|due| due <= now);
        if self.replayed.opened().is_some() && !more() {
            self.replayed.seal(now).into_iter().for_each(|batch| emit(self.shared, batch));
        }
    }

    /// Refuses the chunks that were queued after the last one that was mapped.
    fn refuse(&self, inbox: &Receiver<Job>) {
        // Wait for flushes already past the `closing` check: a chunk queued after this loop would be in no ledger although
        // its flush returned OK. The wait is short, because a flush only copies or compresses.
        self.shared.lifecycle.wait_for_flushes();
        for job in inbox.try_iter() {
            match job {
                Job::Ack(chunk_slot) => {
                    self.shared.retained_in_transit.fetch_sub(1, SeqCst);
                    self.shared.slot_pool.complete(&chunk_slot, Verdict::Retry);
                }
                Job::Memory(chunk_slot) => {
                    let queued = chunk_slot.take_queued();
                    self.shared.mapper_queue_bytes.fetch_sub(queued.bytes(), Relaxed);
                    // Its flush returned OK, so its records are counted as taken; they end as lost.
                    self.shared.recorder.take(u64::from(crate::chunk::count(&self.open(&queued).data)));
                }
                Job::Spooled | Job::Close => {}
            }
        }
    }
}
