//! The thread that knows records: reads chunks, fills envelopes, and leaves in its place what has to wait.

use super::holds::{Fate, Waits};
use super::pump::{Message, Severity};
use super::router::{ChunkRouter, Complaints};
use super::slot::{Slot, Verdict};
use super::spool::Segment;
use super::targets::LATER;
use super::ticket::{Home, Ticket};
use super::{Job, Shared, lock};
use crate::envelope::{Batch, Gatherer};
use crate::ledger::{Category, Ledger, Outcome};
use crate::options::Mode;
use crate::record::identity::EventId;
use crate::record::{Mapper, Origin, Sink};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How often the backlog is looked at when nothing else happens.
const IDLE: Duration = Duration::from_millis(250);

/// When a record whose destination is not known yet is worth looking at again: sources are read as often.
const SOURCE_INTERVAL: Duration = Duration::from_secs(5);

const GIVES_WAY: &str = "the spool is three quarters full: records that wait for destinations in trouble are given up so \
                         that the others go on; mend those destinations, or raise spool_max_size";

struct Worker<'s> {
    shared: &'s Shared,
    records: Mapper,
    /// Open log envelopes: of live chunks, and of those read again from the spool.
    live: Gatherer<Ticket>,
    replayed: Gatherer<Ticket>,
    complaints: Complaints,
}

/// Maps until told to close.
pub(crate) fn run(shared: &Shared, records: Mapper, inbox: &Receiver<Job>) {
    let items = shared.settings.batch_max_items;
    let (live, replayed) = (Gatherer::new(items), Gatherer::new(items));
    let mut worker = Worker { shared, records, live, replayed, complaints: Complaints::default() };
    loop {
        match inbox.recv_timeout(worker.idle()) {
            Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(job) => {
                let waited_for = matches!(job, Job::Ack(_));
                worker.take(job);
                // A flush that waits for Sentry must not wait for more logs to come.
                if waited_for && inbox.is_empty() {
                    worker.seal(true);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        worker.seal(false);
        worker.close_storms();
        // Live and backlog take turns.
        worker.replay_one();
    }
    worker.seal(true);
    worker.refuse(inbox);
    let _ = shared.to_pump.send(Message::MapperDone);
}

impl Worker<'_> {
    fn idle(&self) -> Duration {
        let opened = [self.live.opened(), self.replayed.opened()].into_iter().flatten().min();
        let now = self.shared.now().steady;
        let due = opened.map_or(IDLE, |opened| (opened + self.shared.settings.batch_timeout).saturating_sub(now));
        let next_due = lock(&self.shared.backlog).next_due();
        let replayable = next_due.is_some_and(|due| due <= now) && self.shared.budget.is_light();
        if replayable { Duration::ZERO } else { due.min(IDLE) }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Ack(slot) => self.ack(slot),
            Job::Memory(slot) => self.memory(&slot),
            Job::Spooled(ticket, segments) => {
                let size: usize = segments.iter().map(|segment| segment.data.len()).sum();
                self.shared.waiting.fetch_sub(size as u64, Relaxed);
                self.spooled(&ticket, segments, false);
            }
            Job::Close => {}
        }
    }

    fn ack(&mut self, slot: Arc<Slot>) {
        let (tag, data) = self.receive(&slot);
        if slot.is_left() || !self.shared.targets.is_ready(Mode::Ack) {
            self.shared.slots.answer(&slot, Verdict::Retry);
        } else {
            let ticket = self.shared.registry.join(slot, &tag, &data, self.shared.now().steady);
            self.map(&ticket, &[Segment { tag, data, records: 0 }], false);
            return;
        }
        self.shared.slots.spare(data);
    }

    fn memory(&mut self, slot: &Arc<Slot>) {
        let (tag, data) = self.receive(slot);
        self.shared.slots.recycle(Arc::clone(slot));
        self.shared.recorder.take(u64::from(crate::chunk::count(&data)));
        let recorder = self.shared.recorder.clone();
        let ticket = Arc::new(Ticket::new(Home::Memory, self.shared.now().steady, recorder, Default::default()));
        let segments = [Segment { tag, data, records: 0 }];
        self.map(&ticket, &segments, false);
        let [segment] = segments;
        self.shared.slots.spare(segment.data);
    }

    fn receive(&self, slot: &Slot) -> (Vec<u8>, Vec<u8>) {
        let (tag, data) = slot.take();
        self.shared.waiting.fetch_sub(data.len() as u64, Relaxed);
        (tag, data)
    }

    fn spooled(&mut self, ticket: &Arc<Ticket>, segments: Vec<Segment>, replay: bool) {
        if !self.shared.targets.is_ready(Mode::Spool) || self.shared.past_deadline() {
            self.shared.park(ticket);
        } else {
            self.map(ticket, &segments, replay);
        }
        segments.into_iter().for_each(|segment| self.shared.slots.spare(segment.data));
    }

    /// Reads one chunk of the backlog again, if there is room beside what is live.
    fn replay_one(&mut self) {
        let ready = self.shared.targets.is_ready(Mode::Spool);
        if self.shared.closing.load(Relaxed) || !self.shared.budget.is_light() || !ready {
            return;
        }
        let now = self.shared.now().steady;
        let Some(ticket) = lock(&self.shared.backlog).take(now) else { return };
        let Home::Spool(unit) = &ticket.home else { return };
        match unit.read() {
            Ok(segments) => self.spooled(&ticket, segments, true),
            Err(error) => {
                self.shared.say(Severity::Error, "spool read", format!("cannot read the spool: {error}"));
                lock(&self.shared.backlog).add(Arc::clone(&ticket), now + Duration::from_secs(30));
            }
        }
    }

    /// Maps a chunk and sees to what has become of it. A panic in the mapping costs that chunk's records their items,
    /// never the host, and they are counted.
    fn map(&mut self, ticket: &Arc<Ticket>, segments: &[Segment], replay: bool) {
        ticket.begin();
        let router = ChunkRouter::new(&self.shared.targets, self.shared.now().steady);
        let mut record = 0;
        for segment in segments {
            let first = record;
            let mapped = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &segment.tag, router: &router, now: self.shared.now().wall };
                let logs = if replay { &mut self.replayed } else { &mut self.live };
                let mut intake = Intake::new(self.shared, ticket, logs, replay);
                self.records.map(origin, &segment.data, first, &mut intake)
            }));
            record = mapped.unwrap_or_else(|_| self.give_up(ticket, first, segment));
        }
        self.complaints.add(router, self.shared);
        let standing = ticket.mapped();
        self.shared.finish(ticket, standing);
    }

    fn give_up(&mut self, ticket: &Ticket, first: u32, segment: &Segment) -> u32 {
        self.shared.say(
            Severity::Error,
            "panic",
            "a defect of this plugin: mapping a chunk panicked, its remaining records are counted as invalid; \
             please report it"
                .to_owned(),
        );
        let end = first + crate::chunk::count(&segment.data);
        for category in Category::ALL {
            (first..end).for_each(|record| ticket.end(*category, record, Outcome::Invalid));
        }
        // An item may have been cut in half.
        self.live.mend();
        self.replayed.mend();
        end
    }

    /// Sends open envelopes that are old enough, or all of them.
    fn seal(&mut self, all: bool) {
        let now = self.shared.now().steady;
        let Some(before) = (if all { Some(now) } else { now.checked_sub(self.shared.settings.batch_timeout) }) else {
            return;
        };
        for gatherer in [&mut self.live, &mut self.replayed] {
            gatherer.seal(before).into_iter().for_each(|batch| emit(self.shared, batch));
        }
    }

    /// Sends the last words about storms. They stand for no record, so their fate is in no ledger that anybody reads.
    fn close_storms(&mut self) {
        let now = self.shared.now();
        let closed = self.records.closed_storms(now.wall).into_iter();
        // A destination that is forgotten by now hears no more of it.
        for closing in closed.filter(|closing| self.shared.targets.get(closing.route.destination).is_some()) {
            let ticket = Ticket::new(Home::Memory, now.steady, Ledger::default().recorder(), Default::default());
            ticket.claim(Category::Event, 0);
            ticket.mapped();
            let batch = Batch::new(Category::Event, Vec::new(), now.steady, false);
            let mut batch = batch.toward(closing.route.destination);
            batch.open().extend_from_slice(&closing.payload);
            batch.close(&Arc::new(ticket), 0, Some(closing.event_id));
            emit(self.shared, batch);
        }
    }

    /// What came too late to be taken.
    fn refuse(&self, inbox: &Receiver<Job>) {
        for job in inbox.try_iter() {
            match job {
                Job::Ack(slot) => {
                    self.shared.slots.answer(&slot, Verdict::Retry);
                }
                Job::Memory(slot) => {
                    let (_, data) = self.receive(&slot);
                    // Its flush was told OK: what cannot be sent any more is taken, and lost.
                    self.shared.recorder.take(u64::from(crate::chunk::count(&data)));
                }
                Job::Spooled(..) | Job::Close => {}
            }
        }
    }
}

fn emit(shared: &Shared, mut batch: Batch<Ticket>) {
    let bytes = batch.bytes() as u64;
    shared.budget.reserve(batch.category, bytes);
    batch.reserved = bytes;
    let _ = shared.to_pump.send(Message::Batch(Box::new(batch)));
}

/// Takes a chunk's items and puts them into envelopes.
struct Intake<'i> {
    shared: &'i Shared,
    ticket: &'i Arc<Ticket>,
    logs: &'i mut Gatherer<Ticket>,
    event: Option<Batch<Ticket>>,
    replay: bool,
    again: bool,
    now: Duration,
    /// The destination asked about last, and how it stood when this chunk was begun.
    destination: u32,
    waits: Waits,
    /// Whether there is so little room on disk that some records have to give way.
    scarce: bool,
    told: bool,
}

impl<'i> Intake<'i> {
    fn new(shared: &'i Shared, ticket: &'i Arc<Ticket>, logs: &'i mut Gatherer<Ticket>, replay: bool) -> Self {
        let (again, now) = (ticket.is_read_again(), shared.now().steady);
        let (destination, waits) = (LATER, Waits::default());
        let scarce = matches!(ticket.home, Home::Spool(_)) && shared.is_spool_scarce();
        Self { shared, ticket, logs, event: None, replay, again, now, destination, waits, scarce, told: false }
    }

    fn fate(&mut self, category: Category, destination: u32) -> Fate {
        let longest = self.shared.longest(category);
        if destination == LATER {
            let end = if self.is_in_memory() { self.now } else { self.ticket.taken + longest };
            return if self.now >= end { Fate::End(Outcome::Rejected) } else { Fate::Wait(self.now + SOURCE_INTERVAL) };
        }
        if destination != self.destination {
            (self.destination, self.waits) = (destination, self.shared.holds.get(destination));
        }
        let fate = self.waits.fate(category, self.ticket.taken, longest, self.now);
        match self.waits.gives_way(category).filter(|_| self.scarce && matches!(fate, Fate::Wait(_))) {
            Some(outcome) => {
                if !std::mem::replace(&mut self.told, true) {
                    self.shared.say(Severity::Error, "spool share", GIVES_WAY.to_owned());
                }
                Fate::End(outcome)
            }
            None => fate,
        }
    }

    fn is_in_memory(&self) -> bool {
        matches!(self.ticket.home, Home::Memory)
    }

    /// Whether a record has to stay where it is; one that has waited too long ends here.
    fn stays(&mut self, category: Category, record: u32, destination: u32) -> bool {
        if self.shared.past_deadline() {
            self.ticket.park(category, record);
            return true;
        }
        match self.fate(category, destination) {
            Fate::Go => false,
            Fate::Wait(_) if self.is_in_memory() => false,
            Fate::Wait(until) => {
                self.ticket.waits_until(until);
                self.ticket.park(category, record);
                true
            }
            Fate::End(outcome) => {
                self.ticket.end(category, record, outcome);
                true
            }
        }
    }
}

impl Sink for Intake<'_> {
    fn again(&self) -> bool {
        self.again
    }

    fn open(&mut self, category: Category, record: u32, destination: u32) -> Option<&mut Vec<u8>> {
        if self.stays(category, record, destination) || !self.ticket.claim(category, record) {
            return None;
        }
        Some(match category {
            Category::Log => self.logs.open(destination, self.now, self.replay),
            Category::Event => {
                let batch = Batch::new(Category::Event, Vec::new(), self.now, self.replay);
                self.event.insert(batch.toward(destination)).open()
            }
        })
    }

    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>) {
        let full = match category {
            Category::Log => self.logs.close(self.destination, self.ticket, record),
            Category::Event => {
                if let Some(event) = &mut self.event {
                    event.close(self.ticket, record, event_id);
                }
                self.event.take()
            }
        };
        if let Some(batch) = full {
            emit(self.shared, batch);
        }
    }

    fn end(&mut self, category: Category, record: u32, outcome: Outcome) {
        self.ticket.end(category, record, outcome);
    }
}
