//! The mapper thread: reads chunks, maps their records, fills envelopes, and leaves records that have to wait in their
//! chunks.

use crate::clock::Monotonic;
use crate::delivery::accept::chunk_slot::{ChunkSlot, Verdict};
use crate::delivery::accept::compressed_chunk::QueuedChunk;
use crate::delivery::dispatch::dispatcher::Message;
use crate::delivery::map::carried::{self, Carried};
use crate::delivery::map::router::ChunkRouter;
use crate::delivery::map::sink::{Gone, PassOutcome, RecordSink, emit};
use crate::delivery::report::host::Severity;
use crate::delivery::store::dead_letters::{self, DeadLetter, DeadLetters};
use crate::delivery::store::{Chunk, lost};
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::delivery::track::record_set::RecordSet;
use crate::delivery::{Drain, Job, Shared, lock};
use crate::envelope::{Batch, Bill, LogBatcher};
use crate::ledger::{Category, Ledger, Outcome};
use crate::mapping::{self, DestinationId, Mapper, Origin, Route};
use crate::options::Mode;
use crate::sync::{Receiver, recv_either, thread};
use crossbeam_channel::RecvTimeoutError;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Interval at which the backlog is checked when nothing else happens.
const IDLE: Duration = Duration::from_millis(250);

const NO_MEMORY: &str = "not enough memory to unpack chunks: they wait compressed until there is";

const BROKEN: &str = "a compressed chunk in memory cannot be unpacked to its end: the records before that are sent, the rest counts \
                      as one invalid record; unless memory was short at exit, this is a defect of this plugin or of the \
                      machine's memory, please report it";

const PANICKED: &str = "mapping a record panicked, which is a defect of this plugin: the record, or the event of which it is a line, \
                        counts as invalid; the rest of its chunk is sent; please report it";

const GIVEN_UP: &str = "mapping a chunk keeps panicking: the rest of it counts as invalid";

/// The number of times that mapping a segment may panic before all that is left of it is given up.
const MAX_PANICS: usize = 64;

const FULL: &str = "dead letters are full: rejected items are only counted, as overflow; send the letters in dead_letter_path \
                    again with `flb-sentry replay`, remove them, or raise dead_letter_max_size";

/// Wait before a disk that would not take dead letters is tried again.
const DEAD_AGAIN: Duration = Duration::from_secs(30);

/// Interval at which the backlog is checked during the drain at exit.
const DRAIN_POLL: Duration = Duration::from_millis(5);

pub(in crate::delivery) struct Worker<'s> {
    shared: &'s Shared,
    records: Mapper,
    /// Open log envelopes: of live chunks, and of those read again from the spool.
    live: LogBatcher<ChunkProgress>,
    replayed: LogBatcher<ChunkProgress>,
    dead: Option<DeadLetters>,
    /// Records of earlier chunks that wait for lines of later ones.
    carried: Carried,
}

/// Says that nothing will be mapped any more, however it came to that.
struct Done<'s>(&'s Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let _ = self.0.to_dispatcher.send(Message::MapperDone);
    }
}

/// Maps until told to close.
pub(crate) fn run(shared: &Shared, records: Mapper, inbox: &Receiver<Job>) {
    let _done = Done(shared);
    let mut worker = Worker::new(shared, records);
    worker.serve(inbox);
    worker.finish_volatile();
    worker.seal(true);
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
                    let waited_for = matches!(job, Job::Ack(_));
                    self.take(job);
                    // A flush that waits for Sentry must not wait for more logs to come.
                    if waited_for && inbox.is_empty() {
                        self.seal(true);
                    }
                }
                // There may have been no room to be told.
                Err(RecvTimeoutError::Timeout) if self.shared.past_deadline() => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.finish_waiting(self.shared.now().steady);
            self.seal(false);
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

    /// A job; or the time to look at envelopes and backlog.
    fn next(&self, inbox: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        recv_either(inbox, &self.shared.room.1, self.idle())
    }

    /// Runs at exit until the dispatcher is done: writes the pending dead letters, and goes on reading the backlog while
    /// there is time.
    fn drain(&mut self) {
        let _ = self.shared.drain_state(Drain::No, Drain::Quiet);
        while self.shared.draining.load(Relaxed) != Drain::Over as u8 && !self.shared.past_deadline() {
            if self.next_due().is_some_and(|due| due <= self.shared.now().steady) && self.may_replay() {
                let _ = self.shared.drain_state(Drain::Quiet, Drain::Busy);
                self.replay_one();
                self.seal(true);
                let _ = self.shared.drain_state(Drain::Busy, Drain::Quiet);
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
        let closing = self.shared.closing.load(Relaxed) && self.shared.draining.load(Relaxed) == Drain::No as u8;
        !closing && self.shared.targets.is_ready(Mode::Spool)
    }

    /// Returns true if there is room for a backlog beside live chunks, and requests are still started.
    fn has_room(&self) -> bool {
        self.shared.budget.is_light() && !self.shared.starts_nothing()
    }

    /// Returns the time at which the first of the lines that wait in the mapper are to be sent as they are.
    fn next_waiting(&self) -> Option<Monotonic> {
        self.records.next_waiting().map(|next| Monotonic::START + next)
    }

    fn next_due(&self) -> Option<Monotonic> {
        lock(&self.shared.backlog).next_due(self.has_room())
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
                // What an earlier process left may go on in the first chunk of this one.
                last.iter().for_each(|last| self.spooled(last, true));
                if let Some(chunk_progress) = chunk_progress {
                    self.spooled(&chunk_progress, false);
                }
            }
            Job::Close => {}
        }
    }

    fn ack(&mut self, chunk_slot: Arc<ChunkSlot>) {
        let (tag, data) = self.receive(&chunk_slot);
        let joins = !chunk_slot.is_left() && self.shared.targets.is_ready(Mode::Ack);
        if !joins {
            self.shared.retained_in_transit.fetch_sub(1, SeqCst);
            self.shared.slots.answer(&chunk_slot, Verdict::Retry);
            return self.shared.slots.spare(data);
        }
        let chunk_progress = self.shared.registry.join(chunk_slot, &tag, &data, self.shared.now().steady);
        self.shared.retained_in_transit.fetch_sub(1, SeqCst);
        self.map(&chunk_progress, &[Chunk { tag, data, records: 0 }], false);
    }

    fn memory(&mut self, chunk_slot: &Arc<ChunkSlot>) {
        let held = chunk_slot.take_held();
        self.shared.slots.recycle(Arc::clone(chunk_slot));
        let recorder = self.shared.recorder.clone();
        let chunk_progress =
            Arc::new(ChunkProgress::new(ChunkSource::Memory, self.shared.now().steady, recorder, Default::default()));
        // Its bytes count until its items do.
        self.shared.kept.fetch_add(held.bytes(), Relaxed);
        self.shared.waiting.fetch_sub(held.bytes(), Relaxed);
        let kept = chunk_progress.keep(held);
        self.held(&chunk_progress, &kept, false);
        // Nobody else has the bytes that a dead letter would need, or what had to stay behind.
        if self.dead.is_none() {
            self.shared.kept.fetch_sub(chunk_progress.forget(), Relaxed);
            if let Ok(QueuedChunk::Plain(segment)) = Arc::try_unwrap(kept) {
                self.shared.slots.spare(segment.data);
            }
        }
    }

    /// Reads a chunk that is held in memory.
    fn held(&mut self, chunk_progress: &Arc<ChunkProgress>, held: &QueuedChunk, replay: bool) {
        let chunk = self.open(held);
        if !replay {
            self.shared.recorder.take(u64::from(crate::chunk::count(&chunk.data)));
        }
        self.map(chunk_progress, std::slice::from_ref(&*chunk), replay);
        if let Cow::Owned(segment) = chunk {
            self.shared.slots.spare(segment.data);
        }
    }

    /// A chunk that is held in memory, as soon as there is memory to read it in.
    fn open<'h>(&self, held: &'h QueuedChunk) -> Cow<'h, Chunk> {
        let opened = loop {
            match held.open(|| self.shared.slots.buffer()) {
                Some(opened) => break opened,
                None if self.shared.past_deadline() => break held.unreadable(),
                None => self.shared.say(Severity::Warn, "memory", NO_MEMORY.to_owned()),
            }
            thread::park_timeout(IDLE);
        };
        if !opened.is_whole {
            self.shared.say(Severity::Error, "unpack", BROKEN.to_owned());
        }
        opened.chunk
    }

    fn receive(&self, chunk_slot: &ChunkSlot) -> (Vec<u8>, Vec<u8>) {
        let (tag, data) = chunk_slot.take();
        self.shared.waiting.fetch_sub(data.len() as u64, Relaxed);
        (tag, data)
    }

    /// Reads chunks from the spool and maps them.
    fn spooled(&mut self, chunk_progress: &Arc<ChunkProgress>, replay: bool) {
        let ChunkSource::Spool(extent) = &chunk_progress.source else { return };
        let is_over = self.shared.past_deadline() || self.shared.starts_nothing() && !chunk_progress.has_rejected();
        if is_over || !self.shared.targets.is_ready(Mode::Spool) {
            return self.shared.defer(chunk_progress);
        }
        match extent.read() {
            Ok(chunks) => self.map(chunk_progress, &chunks, replay),
            Err(error) => lost::unreadable(self.shared, chunk_progress, &error),
        }
    }

    /// Reads one chunk of the backlog again, if there is room beside live chunks.
    pub(in crate::delivery) fn replay_one(&mut self) {
        if !self.may_replay() {
            return;
        }
        let now = self.shared.now().steady;
        let Some(chunk_progress) = lock(&self.shared.backlog).take(now, self.has_room()) else { return };
        if matches!(chunk_progress.source, ChunkSource::Spool(_)) {
            self.spooled(&chunk_progress, true);
        } else if let Some(kept) = chunk_progress.kept() {
            self.held(&chunk_progress, &kept, true);
        }
    }

    /// Maps a chunk and handles the outcome of its records.
    fn map(&mut self, chunk_progress: &Arc<ChunkProgress>, segments: &[Chunk], replay: bool) {
        chunk_progress.begin();
        let logs = if replay { &mut self.replayed } else { &mut self.live };
        self.shared.buffer_pool.1.try_iter().for_each(|buffer| logs.lend(buffer));
        let router = ChunkRouter::new(&self.shared.targets, self.shared.now().steady);
        let mut record = 0;
        for segment in segments {
            let first = record;
            let mut left = PassOutcome::default();
            record = self.read(chunk_progress, &router, (segment, first), replay, &mut left);
            self.write_dead_letter(chunk_progress, first, segment, &mut left);
            self.tell(first, segment, &left.gone);
        }
        router.report(self.shared);
        let standing = chunk_progress.mapped();
        self.shared.finish(chunk_progress, standing);
        self.let_go();
        for follower in chunk_progress.take_followers() {
            lock(&self.shared.backlog).remove(&follower);
            self.spooled(&follower, true);
        }
    }

    /// Lets go of records of earlier chunks that wait no more.
    fn let_go(&mut self) {
        for chunk_progress in self.carried.retain(self.records.waiting()) {
            let standing = chunk_progress.let_go();
            self.shared.finish(&chunk_progress, standing);
            if matches!(chunk_progress.source, ChunkSource::Memory) && self.dead.is_none() {
                self.shared.kept.fetch_sub(chunk_progress.forget(), Relaxed);
            }
        }
    }

    /// At exit: lines that are in memory alone are sent as they are.
    pub(in crate::delivery) fn finish_volatile(&mut self) {
        if self.carried.is_volatile() {
            self.finish_waiting(Monotonic::MAX);
        }
    }

    /// Sends lines as they are that have waited until `due` for the next ones.
    pub(in crate::delivery) fn finish_waiting(&mut self, due: Monotonic) {
        if self.next_waiting().is_none_or(|next| next > due) {
            return;
        }
        let now = self.shared.now();
        let router = ChunkRouter::new(&self.shared.targets, now.steady);
        let chunk_progress =
            ChunkProgress::new(ChunkSource::None, now.steady, self.shared.recorder.clone(), Default::default());
        let (chunk_progress, broken, mut left) =
            (Arc::new(chunk_progress), RecordSet::default(), PassOutcome::default());
        loop {
            let finished = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &[], router: &router, now: now.wall };
                let carried = &mut self.carried;
                let mut record_sink =
                    RecordSink::new(self.shared, &chunk_progress, &mut self.live, false, &mut left, &broken, carried);
                self.records.finish_waiting(origin, due.since(Monotonic::START), &mut record_sink);
            }));
            if finished.is_ok() {
                break;
            }
            self.panicked(&mut left);
            if !self.give_up_carried() {
                let all: Vec<u32> = self.records.waiting().collect();
                self.end_carried(&all);
            }
        }
        router.report(self.shared);
        for Gone { category, outcome, target, .. } in &left.gone {
            self.shared.reports.add(target.identity, *category, *outcome, 1, 0);
        }
        self.let_go();
    }

    /// After a panic: gives up the lines of earlier chunks of the streams that it was about; returns false if there are none.
    fn give_up_carried(&mut self) -> bool {
        let current_records = self.records.current_records().iter().copied();
        let numbers: Vec<u32> = current_records.filter(|number| *number >= carried::FIRST).collect();
        // The first is what its lines are part of.
        for (chunk_progress, record) in numbers.iter().skip(1).filter_map(|number| self.carried.get(*number)) {
            chunk_progress.end(Category::Event, record, Outcome::Joined);
        }
        self.end_carried(&numbers);
        !numbers.is_empty()
    }

    fn end_carried(&mut self, numbers: &[u32]) {
        let lines: Vec<u32> = numbers.iter().flat_map(|number| self.records.forget_waiting(*number)).collect();
        for (chunk_progress, record) in lines.iter().filter_map(|number| self.carried.get(*number)) {
            for category in Category::ALL {
                chunk_progress.end(*category, record, Outcome::Invalid);
            }
        }
    }

    /// Writes dead letters, and ends their records when they are safe. What the disk will not take is tried again
    /// later, unless only memory holds it.
    fn write_dead_letter(
        &mut self,
        chunk_progress: &ChunkProgress,
        first: u32,
        segment: &Chunk,
        left: &mut PassOutcome,
    ) {
        let dead_letters = std::mem::take(&mut left.dead_letters);
        let now = self.shared.now();
        let written = match &mut self.dead {
            Some(dead) if !dead_letters.is_empty() => {
                dead.write(&dead_letters::encode(segment, first, &dead_letters, now.wall), now.wall, now.steady)
            }
            _ => Ok(vec![true; dead_letters.len()]),
        };
        if let Err(error) = &written {
            let text = format!("cannot write dead letters, rejected items wait: {error}");
            self.shared.say(Severity::Error, "dead letters", text);
            self.shared.dead_again.store((now.steady + DEAD_AGAIN).as_millis(), Relaxed);
        } else if written.as_ref().is_ok_and(|kept| kept.contains(&false)) {
            self.shared.say(Severity::Error, "dead letters full", FULL.to_owned());
        }
        let ending = |(at, dead_letter): (usize, &DeadLetter)| match (&written, &chunk_progress.source) {
            (Ok(kept), _) if kept[at] => Some(dead_letter.reason.outcome),
            (Ok(_), _) | (Err(_), ChunkSource::Memory | ChunkSource::None) => Some(Outcome::Overflow),
            (Err(_), ChunkSource::Host(_) | ChunkSource::Spool(_)) => None,
        };
        let endings: Vec<_> = dead_letters.iter().enumerate().map(ending).collect();
        for (dead_letter, ending) in dead_letters.into_iter().zip(endings) {
            match ending {
                Some(outcome) => {
                    dead_letter.end(chunk_progress, outcome);
                    left.gone.extend(Gone::current_dead_letter(&dead_letter, outcome, chunk_progress));
                }
                None => dead_letter.postpone(chunk_progress),
            }
        }
    }

    /// Notes for the next client report the items of a chunk that will never be sent.
    fn tell(&self, first: u32, segment: &Chunk, gone: &[Gone]) {
        if !self.shared.reports.is_on() || gone.is_empty() {
            return;
        }
        let logs = gone.iter().filter(|gone| gone.category == Category::Log);
        let sizes = dead_letters::sizes(segment, first, &logs.map(|gone| gone.record).collect());
        for Gone { category, record, outcome, target } in gone {
            let size = sizes.get(record).filter(|_| *category == Category::Log);
            self.shared.reports.add(target.identity, *category, *outcome, 1, size.copied().unwrap_or(0));
        }
    }

    /// Reads a segment, whose records are numbered from `first`; returns the number after its last one. A panic costs only
    /// the items of the records that it was about, not Fluent Bit and not the rest of the chunk, and they are counted.
    fn read(
        &mut self,
        chunk_progress: &Arc<ChunkProgress>,
        router: &ChunkRouter<'_>,
        (segment, first): (&Chunk, u32),
        replay: bool,
        left: &mut PassOutcome,
    ) -> u32 {
        if segment.data.is_empty() {
            // They have ended.
            return first + segment.records;
        }
        let mut broken = RecordSet::default();
        // What each panic was about.
        let mut panics: Vec<Vec<u32>> = Vec::new();
        loop {
            let mapped = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &segment.tag, router, now: self.shared.now().wall };
                let logs = if replay { &mut self.replayed } else { &mut self.live };
                let carried = &mut self.carried;
                let mut record_sink =
                    RecordSink::new(self.shared, chunk_progress, logs, replay, left, &broken, carried);
                self.records.map(origin, &segment.data, first, &mut record_sink)
            }));
            if let Ok(end) = mapped {
                panics.iter().for_each(|records| left.give_up(chunk_progress, records));
                return end;
            }
            self.panicked(left);
            let gave_up = self.give_up_carried();
            let end = first + crate::chunk::count(&segment.data);
            let current_records = self.records.current_records().iter().copied();
            let news: Vec<u32> =
                current_records.filter(|record| (first..end).contains(record) && broken.insert(*record)).collect();
            // Work stays in proportion to the chunk, however many of its records are broken.
            if news.is_empty() && !gave_up || panics.len() >= MAX_PANICS {
                self.shared.say(Severity::Error, "panics", GIVEN_UP.to_owned());
                (first..end).for_each(|record| left.give_up(chunk_progress, &[record]));
                return end;
            }
            panics.push(news);
        }
    }

    /// Logs a panic, and forgets the dead letters of a reading that is about to be repeated. The item that was being written has
    /// been taken back by its writer.
    fn panicked(&self, left: &mut PassOutcome) {
        self.shared.say(Severity::Error, "panic", PANICKED.to_owned());
        left.dead_letters.clear();
    }

    /// Sends open envelopes that are old enough, or all of them.
    pub(in crate::delivery) fn seal(&mut self, all: bool) {
        let now = self.shared.now().steady;
        let Some(before) = (if all { Some(now) } else { now.checked_sub(self.shared.settings.batch_timeout) }) else {
            return;
        };
        for gatherer in [&mut self.live, &mut self.replayed] {
            gatherer.seal(before).into_iter().for_each(|batch| emit(self.shared, batch));
        }
    }

    /// Sends the items of replayed chunks once no more of these are due: nothing more will come to fill an envelope.
    fn seal_replayed(&mut self) {
        let now = self.shared.now().steady;
        let more = || lock(&self.shared.backlog).next_due(true).is_some_and(|due| due <= now);
        if self.replayed.opened().is_some() && !more() {
            self.replayed.seal(now).into_iter().for_each(|batch| emit(self.shared, batch));
        }
    }

    /// Sends the log items that say that a budget begins or ends to withhold logs. They stand for no record.
    fn tell_budgets(&mut self) {
        if !self.shared.costs.is_capping() {
            return;
        }
        let now = self.shared.now();
        for (payer, notice) in self.shared.costs.due(now.steady, now.wall) {
            let targets = &self.shared.targets;
            let is_its =
                |number: &u32| targets.get(*number).is_some_and(|target| target.identity == notice.destination);
            let Some(number) = targets.numbers().into_iter().find(is_its) else {
                self.shared.costs.release(std::iter::once((payer, 0)), false, now.steady);
                continue;
            };
            let mut batch = Batch::new(Category::Log, Vec::new(), now.steady, false).toward(number);
            let (level, text) = (notice.level(), notice.text());
            let bytes = mapping::notice::write(batch.open(), now.wall, level, &text, notice.namespace());
            self.shared.costs.reserve_notice(payer, bytes);
            let chunk_progress =
                ChunkProgress::new(ChunkSource::None, now.steady, Ledger::default().recorder(), Default::default());
            chunk_progress.claim(Category::Log, 0);
            chunk_progress.mapped();
            batch.close_billed(&Arc::new(chunk_progress), 0, Bill { payer, bytes: bytes as u32 });
            emit(self.shared, batch);
        }
    }

    /// Sends the last words about storms. They stand for no record, so their fate is in no ledger that anybody reads.
    fn close_storms(&mut self) {
        let now = self.shared.now();
        let closed = self.records.closed_storms(now.wall).into_iter();
        // A destination that is forgotten by now hears no more of it.
        for closing in closed {
            let Route::To(DestinationId(number)) = closing.routed.route else { continue };
            if self.shared.targets.get(number).is_none() {
                continue;
            }
            let chunk_progress =
                ChunkProgress::new(ChunkSource::None, now.steady, Ledger::default().recorder(), Default::default());
            chunk_progress.claim(Category::Event, 0);
            chunk_progress.mapped();
            let batch = Batch::new(Category::Event, Vec::new(), now.steady, false);
            let mut batch = batch.toward(number);
            batch.open().extend_from_slice(&closing.payload);
            batch.close(&Arc::new(chunk_progress), 0, Some(closing.event_id));
            emit(self.shared, batch);
        }
    }

    /// Handles the chunks that came too late to be taken.
    fn refuse(&self, inbox: &Receiver<Job>) {
        // A flush that had seen no end yet may still be about to put its chunk there: soon, since it only copies or packs it and
        // waits for nobody until then. Whoever left earlier would leave a chunk that was answered OK in no book.
        while self.shared.active_flushes.load(SeqCst) > 0 {
            thread::park_timeout(Duration::from_millis(1));
        }
        for job in inbox.try_iter() {
            match job {
                Job::Ack(chunk_slot) => {
                    self.shared.retained_in_transit.fetch_sub(1, SeqCst);
                    self.shared.slots.answer(&chunk_slot, Verdict::Retry);
                }
                Job::Memory(chunk_slot) => {
                    let held = chunk_slot.take_held();
                    self.shared.waiting.fetch_sub(held.bytes(), Relaxed);
                    // Its flush was told OK: what cannot be sent any more is taken, and lost.
                    self.shared.recorder.take(u64::from(crate::chunk::count(&self.open(&held).data)));
                }
                Job::Spooled | Job::Close => {}
            }
        }
    }
}
