//! The thread that knows records: reads chunks, fills envelopes, and leaves in its place what has to wait.

use super::dead::{self, Burial, DeadLetters, Reason};
use super::pump::{Message, Severity};
use super::slot::{Slot, Verdict};
use super::spool::Segment;
use super::ticket::{Home, Look, Standing, Ticket};
use super::{Drain, Job, Shared, Target, WAITED, lock};
use crate::envelope::{Batch, Collector};
use crate::ledger::{Category, Outcome};
use crate::record::identity::EventId;
use crate::record::{Mapper, Origin, Sink};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const FULL: &str = "dead letters are full: what Sentry refuses is only counted, as overflow; look at dead_letter_path, send \
                    it again with `flb-sentry replay` or remove it, or raise dead_letter_max_size";

/// How soon a disk that would not take dead letters is tried again.
const DEAD_AGAIN: Duration = Duration::from_secs(30);

/// How often the backlog is looked at during the drain at exit.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// How often the backlog is looked at when nothing else happens.
const IDLE: Duration = Duration::from_millis(250);

pub(super) struct Worker<'s> {
    shared: &'s Shared,
    records: Mapper,
    /// Open log envelopes: of live chunks, and of those read again from the spool.
    live: Collector<Ticket>,
    replayed: Collector<Ticket>,
    dead: Option<DeadLetters>,
}

/// Maps until told to close.
pub(crate) fn run(shared: &Shared, records: Mapper, inbox: &Receiver<Job>) {
    let mut worker = Worker::new(shared, records);
    worker.serve(inbox);
    worker.seal(true);
    worker.refuse(inbox);
    worker.drain();
    let _ = shared.to_pump.send(Message::MapperDone);
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared, records: Mapper) -> Self {
        let settings = &shared.settings;
        let [live, replayed] = [(); 2].map(|()| Collector::new(settings.batch_max_items));
        let dead = settings.dead_letter_path.as_deref();
        let dead = dead.map(|path| DeadLetters::new(path, settings.dead_letter_max_size));
        Self { shared, records, live, replayed, dead }
    }

    fn serve(&mut self, inbox: &Receiver<Job>) {
        loop {
            match inbox.recv_timeout(self.idle()) {
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => {
                    let waited_for = matches!(job, Job::Ack(_));
                    self.take(job);
                    // A flush that waits for Sentry must not wait for more logs to come.
                    if waited_for && inbox.is_empty() {
                        self.seal(true);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.seal(false);
            // Live and backlog take turns.
            self.replay_one();
        }
    }

    /// At exit, until the pump has seen enough: what is to become a dead letter does, and the backlog goes on being
    /// read, where there is time.
    fn drain(&mut self) {
        let _ = self.shared.drain_state(Drain::No, Drain::Quiet);
        while self.shared.draining.load(Relaxed) != Drain::Over as u8 && !self.shared.past_deadline() {
            if self.next_due().is_some_and(|due| due <= self.shared.now().steady) && self.may_replay() {
                let _ = self.shared.drain_state(Drain::Quiet, Drain::Busy);
                self.replay_one();
                self.seal(true);
                let _ = self.shared.drain_state(Drain::Busy, Drain::Quiet);
            } else {
                std::thread::park_timeout(DRAIN_POLL);
            }
        }
    }

    fn idle(&self) -> Duration {
        let opened = [self.live.opened(), self.replayed.opened()].into_iter().flatten().min();
        let now = self.shared.now().steady;
        let due = opened.map_or(IDLE, |opened| (opened + self.shared.settings.batch_timeout).saturating_sub(now));
        let replayable = self.may_replay() && self.next_due().is_some_and(|due| due <= now);
        if replayable { Duration::ZERO } else { due.min(IDLE) }
    }

    fn may_replay(&self) -> bool {
        let closing = self.shared.closing.load(Relaxed) && self.shared.draining.load(Relaxed) == Drain::No as u8;
        !closing && self.shared.has_target()
    }

    fn next_due(&self) -> Option<Duration> {
        let light = self.shared.budget.is_light();
        // What is to become a dead letter needs no room, it makes some.
        let backlog = lock(&self.shared.backlog);
        backlog.iter().filter(|(ticket, _)| light || ticket.has_doomed()).map(|(_, due)| *due).min()
    }

    pub(super) fn take(&mut self, job: Job) {
        match job {
            Job::Ack(slot) => self.ack(slot),
            Job::Memory(slot) => self.memory(&slot),
            Job::Spooled(ticket, segments) => self.spooled(&ticket, segments, false),
            Job::Close => {}
        }
    }

    fn ack(&mut self, slot: Arc<Slot>) {
        let (tag, data) = self.receive(&slot);
        if slot.is_left() || self.shared.target().is_none() {
            self.shared.slots.answer(&slot, Verdict::Retry);
        } else {
            let ticket = self.shared.registry.join(slot, &tag, &data, self.shared.now().steady);
            self.map(&ticket, &[Segment { tag, data, records: 0 }], false);
            return;
        }
        self.shared.slots.spare(data);
    }

    fn memory(&mut self, slot: &Arc<Slot>) {
        // Its bytes count until its items do.
        let (tag, data) = slot.take();
        let length = data.len() as u64;
        self.shared.slots.recycle(Arc::clone(slot));
        self.shared.recorder.take(u64::from(crate::chunk::count(&data)));
        let recorder = self.shared.recorder.clone();
        let ticket = Arc::new(Ticket::new(Home::Memory, self.shared.now().steady, recorder, Default::default()));
        let segments = vec![Segment { tag, data, records: 0 }];
        self.shared.kept.fetch_add(length, Relaxed);
        let kept = ticket.keep(segments);
        self.map(&ticket, &kept, false);
        self.shared.waiting.fetch_sub(length, Relaxed);
        // Nobody else has the bytes that a dead letter would need, or what had to stay behind.
        if self.dead.is_none() && ticket.standing() != Standing::Parked {
            self.shared.kept.fetch_sub(ticket.forget(), Relaxed);
            let segments = Arc::try_unwrap(kept).unwrap_or_default();
            segments.into_iter().for_each(|segment| self.shared.slots.spare(segment.data));
        }
    }

    fn receive(&self, slot: &Slot) -> (Vec<u8>, Vec<u8>) {
        let (tag, data) = slot.take();
        self.shared.waiting.fetch_sub(data.len() as u64, Relaxed);
        (tag, data)
    }

    fn spooled(&mut self, ticket: &Arc<Ticket>, segments: Vec<Segment>, replay: bool) {
        if self.shared.target().is_none() || self.shared.past_deadline() {
            self.shared.park(ticket);
        } else {
            self.map(ticket, &segments, replay);
        }
        segments.into_iter().for_each(|segment| self.shared.slots.spare(segment.data));
    }

    /// Reads one chunk of the backlog again, if there is room beside what is live.
    pub(super) fn replay_one(&mut self) {
        if !self.may_replay() {
            return;
        }
        let now = self.shared.now().steady;
        let due = {
            let light = self.shared.budget.is_light();
            let mut backlog = lock(&self.shared.backlog);
            let at = backlog.iter().position(|(ticket, due)| *due <= now && (light || ticket.has_doomed()));
            at.and_then(|at| backlog.remove(at))
        };
        let Some((ticket, _)) = due else { return };
        let Home::Spool(unit) = &ticket.home else {
            if let Some(kept) = ticket.kept() {
                self.map(&ticket, &kept, true);
            }
            return;
        };
        match unit.read() {
            Ok(segments) => self.spooled(&ticket, segments, true),
            Err(error) => {
                self.shared.say(Severity::Error, "spool read", format!("cannot read the spool: {error}"));
                lock(&self.shared.backlog).push_back((Arc::clone(&ticket), now + Duration::from_secs(30)));
            }
        }
    }

    /// Maps a chunk and sees to what has become of it. A panic in the mapping costs that chunk's records their items,
    /// never the host, and they are counted.
    fn map(&mut self, ticket: &Arc<Ticket>, segments: &[Segment], replay: bool) {
        let Some(target) = self.shared.target() else { return };
        ticket.begin();
        let mut record = 0;
        for segment in segments {
            let first = record;
            let mut left = Left::default();
            let mapped = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &segment.tag, destination: target.identity, now: self.shared.now().wall };
                let collector = if replay { &mut self.replayed } else { &mut self.live };
                let mut intake = Intake::new(self.shared, ticket, collector, replay, &mut left);
                self.records.map(origin, &segment.data, first, &mut intake)
            }));
            record = mapped.unwrap_or_else(|_| self.give_up(ticket, first, segment, &mut left));
            let buried = self.bury(ticket, first, segment, &left.burials, &target);
            self.tell(ticket, first, segment, &left, &buried, &target);
        }
        let standing = ticket.mapped();
        self.shared.finish(ticket, standing);
    }

    /// Writes dead letters, and ends their records when they are safe. What the disk will not take is tried again
    /// later, unless only memory holds it. Says how each ended, if it did.
    fn bury(
        &mut self,
        ticket: &Ticket,
        first: u32,
        segment: &Segment,
        burials: &[Burial],
        target: &Target,
    ) -> Vec<Option<Outcome>> {
        let now = self.shared.now();
        let written = match &mut self.dead {
            Some(dead) if !burials.is_empty() => {
                let destination = target.dsn.to_string();
                let origin = dead::Origin { destination: &destination, now: now.wall };
                dead.write(&dead::letters(segment, first, burials, origin), now.wall, now.steady)
            }
            _ => Ok(vec![true; burials.len()]),
        };
        if let Err(error) = &written {
            let text = format!("cannot write dead letters, what should go there waits: {error}");
            self.shared.say(Severity::Error, "dead letters", text);
            self.shared.dead_again.store((now.steady + DEAD_AGAIN).as_millis() as u64, Relaxed);
        } else if written.as_ref().is_ok_and(|kept| kept.contains(&false)) {
            self.shared.say(Severity::Error, "dead letters full", FULL.to_owned());
        }
        let ending = |(at, burial): (usize, &Burial)| match (&written, &ticket.home) {
            (Ok(kept), _) if kept[at] => Some(burial.reason.outcome),
            (Ok(_), _) | (Err(_), Home::Memory) => Some(Outcome::Overflow),
            (Err(_), Home::Host(_) | Home::Spool(_)) => None,
        };
        let endings: Vec<_> = burials.iter().enumerate().map(ending).collect();
        for (burial, ending) in burials.iter().zip(&endings) {
            match ending {
                Some(outcome) => burial.end(ticket, *outcome),
                None => burial.postpone(ticket),
            }
        }
        endings
    }

    /// Notes for the next client report what of a chunk will never be sent.
    fn tell(
        &self,
        ticket: &Ticket,
        first: u32,
        segment: &Segment,
        left: &Left,
        buried: &[Option<Outcome>],
        target: &Target,
    ) {
        if !self.shared.reports.is_on() {
            return;
        }
        let buried = left.burials.iter().zip(buried).filter_map(|(burial, outcome)| {
            let category = burial.category?;
            let told = ticket.is_counted_elsewhere(category, burial.record);
            Some((category, burial.record, (*outcome)?)).filter(|_| !told)
        });
        let gone: Vec<_> = left.out.iter().copied().chain(buried).collect();
        let logs = gone.iter().filter(|(category, ..)| *category == Category::Log);
        let sizes = dead::sizes(segment, first, &logs.map(|(_, record, _)| *record).collect());
        for (category, record, outcome) in gone {
            let bytes = if category == Category::Log { sizes.get(&record).copied().unwrap_or(0) } else { 0 };
            self.shared.reports.add(target.identity, category, outcome, 1, bytes);
        }
    }

    fn give_up(&mut self, ticket: &Ticket, first: u32, segment: &Segment, left: &mut Left) -> u32 {
        self.shared.say(
            Severity::Error,
            "panic",
            "a defect of this plugin: mapping a chunk panicked, its remaining records are counted as invalid; \
             please report it"
                .to_owned(),
        );
        let end = first + crate::chunk::count(&segment.data);
        // The item that was being written is cut off; those before it are whole.
        [&mut self.live, &mut self.replayed].into_iter().for_each(Collector::discard_open);
        if let Some((category, record)) = left.claimed.take() {
            ticket.release(category, std::iter::once(record));
        }
        left.burials.clear();
        let detail = "a defect of this plugin: mapping its chunk panicked".to_owned();
        let reason = Arc::new(Reason { outcome: Outcome::Invalid, status: 0, detail });
        for category in Category::ALL {
            for record in (first..end).filter(|record| ticket.is_open(*category, *record)) {
                left.burials.push(Burial::new(Some(*category), record, &reason));
            }
        }
        end
    }

    /// Sends open envelopes that are old enough, or all of them.
    pub(super) fn seal(&mut self, all: bool) {
        let now = self.shared.now().steady;
        for collector in [&mut self.live, &mut self.replayed] {
            let due =
                collector.opened().is_some_and(|opened| all || now >= opened + self.shared.settings.batch_timeout);
            if due && let Some(batch) = collector.seal() {
                emit(self.shared, batch);
            }
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
    logs: &'i mut Collector<Ticket>,
    event: Option<Batch<Ticket>>,
    replay: bool,
    again: bool,
    now: Duration,
    holds: [Option<super::destination::Hold>; 2],
    left: &'i mut Left,
    /// The item opened last is one of those; its JSON only yields its id.
    burying: bool,
    scratch: Vec<u8>,
}

/// What a reading leaves to do afterwards, even if it panics.
#[derive(Default)]
struct Left {
    /// What is given up.
    burials: Vec<Burial>,
    /// What ended here and Sentry is to be told of.
    out: Vec<(Category, u32, Outcome)>,
    /// The item that is being written.
    claimed: Option<(Category, u32)>,
}

/// What is to be done with a record that could become an item.
enum Fate {
    /// It becomes one.
    Item,
    /// It stays where it is, or has ended.
    None,
    /// It is given up.
    Burial(Arc<Reason>),
}

impl<'i> Intake<'i> {
    fn new(
        shared: &'i Shared,
        ticket: &'i Arc<Ticket>,
        logs: &'i mut Collector<Ticket>,
        replay: bool,
        left: &'i mut Left,
    ) -> Self {
        let holds = [shared.hold(Category::Event), shared.hold(Category::Log)];
        let again = ticket.is_read_again();
        let (event, burying, scratch, now) = (None, false, Vec::new(), shared.now().steady);
        Self { shared, ticket, logs, event, replay, again, now, holds, left, burying, scratch }
    }

    fn fate(&self, category: Category, record: u32) -> Fate {
        let (ticket, in_memory) = (self.ticket, matches!(self.ticket.home, Home::Memory));
        let look = ticket.look(category, record);
        if matches!(look, Look::Closed) {
            return Fate::None;
        }
        if self.shared.past_deadline() {
            ticket.park(category, record);
            return Fate::None;
        }
        if let Look::Doomed(reason) = look {
            return Fate::Burial(reason);
        }
        let Some(hold) = self.holds[category as usize] else { return Fate::Item };
        let longest = match category {
            Category::Event => self.shared.settings.hold_events,
            Category::Log => self.shared.settings.hold_logs,
        };
        if self.now >= ticket.taken.max(hold.since) + longest {
            return Fate::Burial(Arc::new(Reason { outcome: hold.outcome, status: 0, detail: WAITED.to_owned() }));
        }
        // In memory it waits as an item, unless such items have filled their share.
        if in_memory && !self.shared.budget.is_full(category) {
            return Fate::Item;
        }
        ticket.park(category, record);
        Fate::None
    }

    /// The burial of the item opened last, if it is one.
    fn buried(&mut self) -> Option<&mut Burial> {
        self.left.burials.last_mut().filter(|_| self.burying)
    }
}

impl Sink for Intake<'_> {
    fn again(&self) -> bool {
        self.again
    }

    fn open(&mut self, category: Category, record: u32) -> Option<&mut Vec<u8>> {
        self.burying = false;
        match self.fate(category, record) {
            Fate::None => return None,
            Fate::Burial(reason) => {
                self.burying = true;
                self.left.burials.push(Burial::new(Some(category), record, &reason));
                self.scratch.clear();
                return Some(&mut self.scratch);
            }
            Fate::Item if !self.ticket.claim(category, record) => return None,
            Fate::Item => self.left.claimed = Some((category, record)),
        }
        Some(match category {
            Category::Log => self.logs.open(self.now, self.replay),
            Category::Event => {
                let batch = Batch::new(Category::Event, Vec::new(), self.now, self.replay);
                self.event.insert(batch).open()
            }
        })
    }

    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>) {
        if let Some(burial) = self.buried() {
            burial.event_id = event_id;
            return;
        }
        self.left.claimed = None;
        let full = match category {
            Category::Log => self.logs.close(self.ticket, record),
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
        match (category, outcome) {
            (Category::Event, Outcome::Joined) => {
                if let Some(burial) = self.buried() {
                    burial.members.push(record);
                }
            }
            // Undecodable bytes are no item of either category: one letter for both.
            (Category::Event, Outcome::Invalid) if self.ticket.is_open(category, record) => {
                let detail = "expected records in MessagePack".to_owned();
                let reason = Arc::new(Reason { outcome, status: 0, detail });
                self.left.burials.push(Burial::new(None, record, &reason));
                return;
            }
            (Category::Log, Outcome::Invalid) => return,
            (Category::Event, _) => self.burying = false,
            (Category::Log, _) => {}
        }
        let told = matches!(outcome, Outcome::Sampled | Outcome::Suppressed) && self.shared.reports.is_on();
        if self.ticket.end(category, record, outcome) && told {
            self.left.out.push((category, record, outcome));
        }
    }
}
