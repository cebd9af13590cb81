//! The record sink: decides for each record of a chunk, while the chunk is read, whether it becomes an item in an envelope,
//! is deferred in its chunk, or becomes a dead letter. It also passes full envelopes to the dispatcher.

use crate::clock::Monotonic;
use crate::delivery::costs::Asked;
use crate::delivery::dispatch::dispatcher::Message;
use crate::delivery::map::carried::{self, Carried};
use crate::delivery::report::host::Severity;
use crate::delivery::report::messages::MADE_ROOM;
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::Target;
use crate::delivery::shared::blocks::{Decision, Waits};
use crate::delivery::store::dead_letters::DeadLetter;
use crate::delivery::track::chunk_progress::{Attach, ChunkProgress, ChunkSource, RecordStatus};
use crate::delivery::track::drop_reason::DropReason;
use crate::delivery::track::record_set::RecordSet;
use crate::delivery::{Shared, WAITED};
use crate::envelope::{self, Batch, LogBatcher};
use crate::ledger::{Category, Ledger, Outcome};
use crate::mapping::{
    Bill, DestinationId, Discard, Finished, Item, ItemWriter, Payer, Reason, RecalledLog, Route, Sink,
};
use crate::options;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const NO_SOURCE: &str = "no destination: neither an annotation, dsn_dir nor dsn names one";

const GIVES_WAY: &str = "spool is 75 % full: dropping records of failing destinations to keep the others going; repair \
                         those destinations, or raise spool_max_size";

/// Longest wait of lines that an earlier process left for the first chunk after a start, unless `trace_timeout` is longer.
const AFTER_START: Duration = Duration::from_secs(5);

fn is_in_memory(chunk_progress: &ChunkProgress) -> bool {
    matches!(chunk_progress.source, ChunkSource::Memory)
}

/// Passes an envelope to the dispatcher, as soon as there is room for it in memory.
pub(in crate::delivery) fn emit(shared: &Shared, mut batch: Batch<ChunkProgress>) {
    let bytes = batch.bytes() as u64;
    let (number, category) = (batch.destination, batch.category);
    // What is held for others makes room only for a destination that the dispatcher knows of.
    let waits = || drop(shared.to_dispatcher.send(Message::Expected(number, category, bytes)));
    shared.budget.reserve(category, bytes, || shared.blocks.get(number).is_held(category), waits);
    batch.reserved = bytes;
    let _ = shared.to_dispatcher.send(Message::Batch(Box::new(batch)));
}

/// Takes a chunk's items and puts them into envelopes.
pub(in crate::delivery) struct RecordSink<'i> {
    shared: &'i Shared,
    chunk_progress: &'i Arc<ChunkProgress>,
    logs: &'i mut LogBatcher<ChunkProgress>,
    replay: bool,
    again: bool,
    now: Monotonic,
    /// The destination asked about last, and how it stood when this chunk was begun.
    asked: Option<DestinationId>,
    waits: Waits,
    /// True if there is so little room on disk that some records have to make room for others.
    scarce: bool,
    told: bool,
    left: &'i mut PassOutcome,
    /// Records at which the mapping has panicked.
    broken: &'i RecordSet,
    /// Records of earlier chunks.
    carried: &'i mut Carried,
    /// Buffer for the JSON of items that become dead letters; only their ids are needed.
    scratch: Vec<u8>,
    /// Payer of the previous log.
    payer: LastPayer,
    /// Wall time when this chunk was begun.
    wall: Duration,
}

/// Work that the reading of a chunk leaves for afterwards, even if it panics.
#[derive(Default)]
pub(in crate::delivery) struct PassOutcome {
    /// Records that are given up.
    pub(in crate::delivery) dead_letters: Vec<DeadLetter>,
    /// Records that are to be reported to Sentry.
    pub(in crate::delivery) gone: Vec<Gone>,
    /// Records of which storms have decided that they are to be sent.
    decided: RecordSet,
    /// Records that wait where they are, by category.
    waiting: [RecordSet; 2],
}

impl PassOutcome {
    /// Gives up the unfinished items of records at which the mapping panicked: a record, or the lines of an event in their
    /// order.
    pub(in crate::delivery) fn give_up(&mut self, chunk_progress: &ChunkProgress, records: &[u32]) {
        let detail = "mapping it panicked, which is a defect of this plugin".to_owned();
        let cause = Arc::new(DropReason { outcome: Outcome::Invalid, status: 0, detail });
        let is_left =
            |category, record| chunk_progress.is_open(category, record) && !self.waiting[category as usize].has(record);
        let dead_letter = match records {
            [record] => {
                match Category::ALL.iter().filter(|category| is_left(**category, *record)).collect::<Vec<_>>()[..] {
                    [] => return,
                    [category] => DeadLetter::new(Some(*category), *record, &cause),
                    _ => DeadLetter::new(None, *record, &cause),
                }
            }
            [head, members @ ..] => {
                for member in members {
                    chunk_progress.end(Category::Event, *member, Outcome::Joined);
                }
                if !is_left(Category::Event, *head) {
                    return;
                }
                DeadLetter { members: members.to_vec(), ..DeadLetter::new(Some(Category::Event), *head, &cause) }
            }
            [] => return,
        };
        self.dead_letters.push(dead_letter);
    }
}

/// A record that has ended here and not at the destination where it was to go.
pub(in crate::delivery) struct Gone {
    pub(in crate::delivery) category: Category,
    pub(in crate::delivery) record: u32,
    pub(in crate::delivery) outcome: Outcome,
    pub(in crate::delivery) target: Arc<Target>,
}

impl Gone {
    /// Returns the buried record, unless it was no item, had no destination, or was counted there already.
    pub(in crate::delivery) fn current_dead_letter(
        dead_letter: &DeadLetter,
        outcome: Outcome,
        chunk_progress: &ChunkProgress,
    ) -> Option<Self> {
        let (category, target) = (dead_letter.category?, dead_letter.target.clone()?);
        let told = chunk_progress.is_counted_elsewhere(category, dead_letter.record);
        Some(Self { category, record: dead_letter.record, outcome, target }).filter(|_| !told)
    }
}

/// Payer of the previous log: the logs of a chunk mostly come from one container.
#[derive(Default)]
struct LastPayer {
    route: Option<Route>,
    namespace: String,
    workload: String,
    budget: Option<options::Budget>,
    number: u32,
    /// True if a budget applies to the payer.
    capped: bool,
}

impl LastPayer {
    fn is(&self, route: Route, payer: &Payer<'_>) -> bool {
        self.route == Some(route)
            && self.namespace == payer.namespace
            && self.budget == payer.budget
            && self.workload == payer.workload
    }
}

/// The action that is to be taken on a record that could become an item.
enum Disposition {
    /// It becomes one, for this destination.
    Item(DestinationId),
    /// It has ended, or waits where it is.
    Nothing,
    /// It waits, and is worth looking at again at this time.
    Wait(Monotonic),
    /// It is given up.
    DeadLetter(Arc<DropReason>),
    /// It makes room for others.
    Overflow,
}

fn give_up(outcome: Outcome, why: &str) -> Disposition {
    Disposition::DeadLetter(Arc::new(DropReason { outcome, status: 0, detail: why.to_owned() }))
}

impl<'i> RecordSink<'i> {
    pub(in crate::delivery) fn new(
        shared: &'i Shared,
        chunk_progress: &'i Arc<ChunkProgress>,
        logs: &'i mut LogBatcher<ChunkProgress>,
        replay: bool,
        left: &'i mut PassOutcome,
        broken: &'i RecordSet,
        carried: &'i mut Carried,
    ) -> Self {
        let now = shared.now();
        let scarce = matches!(chunk_progress.source, ChunkSource::Spool(_)) && shared.is_spool_scarce();
        Self {
            shared,
            chunk_progress,
            logs,
            replay,
            again: chunk_progress.is_read_again(),
            now: now.steady,
            wall: now.wall,
            payer: LastPayer::default(),
            asked: None,
            waits: Waits::default(),
            scarce,
            told: false,
            left,
            broken,
            carried,
            scratch: Vec::new(),
        }
    }

    /// The chunk that a record is of, and its number there.
    fn owner(&self, record: u32) -> (Cow<'i, Arc<ChunkProgress>>, u32) {
        if record < carried::FIRST {
            return (Cow::Borrowed(self.chunk_progress), record);
        }
        self.carried
            .get(record)
            .map_or((Cow::Borrowed(self.chunk_progress), record), |(owner, own)| (Cow::Owned(owner), own))
    }

    fn course(&mut self, category: Category, record: u32, route: Route) -> Disposition {
        let (chunk_progress, own) = self.owner(record);
        match chunk_progress.record_status(category, own) {
            RecordStatus::Closed => Disposition::Nothing,
            RecordStatus::Last => {
                self.defer(category, record);
                Disposition::Nothing
            }
            RecordStatus::Open | RecordStatus::Rejected(_) if self.shared.past_deadline() => {
                self.defer(category, record);
                Disposition::Nothing
            }
            RecordStatus::Rejected(cause) => Disposition::DeadLetter(cause),
            RecordStatus::Open => match route {
                Route::To(destination) => self.held(category, destination, &chunk_progress),
                Route::Pending => self.until_known(category, &chunk_progress),
                Route::Unrouted => give_up(Outcome::Rejected, NO_SOURCE),
            },
        }
    }

    /// Returns the action for a record whose destination's source cannot be read yet.
    fn until_known(&self, category: Category, chunk_progress: &ChunkProgress) -> Disposition {
        let longest = if is_in_memory(chunk_progress) { Duration::ZERO } else { self.shared.longest(category) };
        match self.now >= chunk_progress.taken + longest {
            true => give_up(Outcome::Rejected, NO_SOURCE),
            false => Disposition::Wait(self.now + dsn_sources::INTERVAL),
        }
    }

    fn held(&mut self, category: Category, destination: DestinationId, chunk_progress: &ChunkProgress) -> Disposition {
        if self.asked != Some(destination) {
            (self.asked, self.waits) = (Some(destination), self.shared.blocks.get(destination.0));
        }
        let longest = self.shared.longest(category);
        match self.waits.fate(category, chunk_progress.taken, longest, self.now) {
            Decision::Go => Disposition::Item(destination),
            Decision::End(outcome) => give_up(outcome, WAITED),
            // In memory it waits as an item, unless such items have filled their share.
            Decision::Wait(_) if is_in_memory(chunk_progress) && !self.shared.budget.is_full(category) => {
                Disposition::Item(destination)
            }
            Decision::Wait(until) => match self.waits.gives_way(category).filter(|_| self.scarce) {
                None => Disposition::Wait(until),
                Some(outcome) => {
                    if !std::mem::replace(&mut self.told, true) {
                        self.shared.say(Severity::Error, "spool share", GIVES_WAY.to_owned());
                    }
                    if outcome == Outcome::Overflow { Disposition::Overflow } else { give_up(outcome, MADE_ROOM) }
                }
            },
        }
    }

    /// Leaves a record where it is.
    fn defer(&mut self, category: Category, record: u32) {
        if record < carried::FIRST {
            self.left.waiting[category as usize].insert(record);
        }
        let (chunk_progress, own) = self.owner(record);
        chunk_progress.defer(category, own);
    }

    /// Gives up a record of an earlier chunk: that chunk is read again for its dead letter, if it can be.
    fn give_up_carried(&mut self, category: Category, record: u32, cause: &Arc<DropReason>) {
        let (chunk_progress, own) = self.owner(record);
        if chunk_progress.can_be_read_again() && self.shared.settings.dead_letter_path.is_some() {
            chunk_progress.mark_rejected(category, std::iter::once(own), cause);
        } else {
            chunk_progress.end(category, own, cause.outcome);
        }
    }

    fn emit_if_full(&mut self, full: Option<Batch<ChunkProgress>>) {
        if let Some(batch) = full {
            emit(self.shared, batch);
            self.shared.buffer_pool.1.try_iter().for_each(|buffer| self.logs.lend(buffer));
        }
    }

    /// Ends a record without an item.
    fn ends(&mut self, item: Item, discard: &Discard) {
        let Item { category, record } = item;
        let (chunk_progress, own) = self.owner(record);
        // It may have a destination when it is read again.
        let counted = match discard.reason {
            Some(Reason::NoDestination) => chunk_progress.end_for_good(category, own, discard.outcome),
            _ => chunk_progress.end(category, own, discard.outcome),
        };
        if counted {
            self.report(item, discard.outcome, discard.destination);
        }
    }

    /// Notes a drop for the next client report to a destination.
    fn report(&mut self, Item { category, record }: Item, outcome: Outcome, destination: Option<DestinationId>) {
        let destination = destination.filter(|_| self.shared.reports.is_on());
        if let Some(target) = destination.and_then(|destination| self.shared.targets.get(destination.0)) {
            self.left.gone.push(Gone { category, record, outcome, target });
        }
    }
}

impl<'i> Sink for RecordSink<'i> {
    type Writer<'w>
        = RecordWriter<'w, 'i>
    where
        Self: 'w;

    fn begin(&mut self, item: Item, route: Route) -> Option<RecordWriter<'_, 'i>> {
        let Item { category, record } = item;
        let is_carried = record >= carried::FIRST;
        if category == Category::Event && !is_carried {
            self.left.decided.insert(record);
        }
        let place = match self.course(category, record, route) {
            Disposition::Item(destination) => {
                let (chunk_progress, own) = self.owner(record);
                if !chunk_progress.claim(category, own) {
                    return None;
                }
                match category {
                    Category::Log => {
                        self.logs.open(destination.0, self.now, self.replay);
                        Place::Log(destination)
                    }
                    Category::Event => {
                        let batch = Batch::new(Category::Event, Vec::new(), self.now, self.replay);
                        Place::Event(Box::new(batch.toward(destination.0)))
                    }
                }
            }
            Disposition::Nothing => return None,
            Disposition::Wait(until) => {
                self.owner(record).0.waits_until(until);
                self.defer(category, record);
                return None;
            }
            Disposition::DeadLetter(cause) if is_carried => {
                self.give_up_carried(category, record, &cause);
                return None;
            }
            Disposition::Overflow => {
                let discard = Discard { outcome: Outcome::Overflow, reason: None, destination: route.destination() };
                self.ends(item, &discard);
                return None;
            }
            Disposition::DeadLetter(cause) => {
                let target = route.destination().and_then(|destination| self.shared.targets.get(destination.0));
                self.scratch.clear();
                Place::DeadLetter(Box::new(DeadLetter::new(Some(category), record, &cause).toward(target)))
            }
        };
        Some(RecordWriter { sink: self, item, place })
    }

    fn discard(&mut self, item: Item, discard: Discard) {
        match (item.category, discard.outcome) {
            // Undecodable bytes are no item of either category: one letter for both.
            (Category::Event, Outcome::Invalid)
                if item.record < carried::FIRST && self.chunk_progress.is_open(item.category, item.record) =>
            {
                let detail = "expected records in MessagePack".to_owned();
                let cause = Arc::new(DropReason { outcome: discard.outcome, status: 0, detail });
                self.left.dead_letters.push(DeadLetter::new(None, item.record, &cause));
            }
            (Category::Log, Outcome::Invalid) => {}
            _ => self.ends(item, &discard),
        }
    }

    fn join(&mut self, item: Item, into: u32) {
        let Item { category, record } = item;
        let ((head, first), (chunk_progress, own)) = (self.owner(into), self.owner(record));
        let in_spool = |chunk_progress: &ChunkProgress| matches!(chunk_progress.source, ChunkSource::Spool(_));
        if Arc::ptr_eq(&head, &chunk_progress) || !in_spool(&head) || !in_spool(&chunk_progress) {
            let is_head = |letter: &&mut DeadLetter| letter.record == into && letter.category == Some(category);
            if let Some(letter) = self.left.dead_letters.iter_mut().rfind(is_head) {
                letter.members.push(record);
            }
            chunk_progress.end(category, own, Outcome::Joined);
            return;
        }
        // It must not be gone before the item that it is part of.
        if !chunk_progress.claim(category, own) {
            return;
        }
        match head.attach(category, first, (&chunk_progress, own)) {
            Attach::Done => {}
            Attach::Ended => drop(chunk_progress.settle(category, std::iter::once(own), Outcome::Joined)),
            Attach::Waits => drop(chunk_progress.release(category, std::iter::once(own))),
        }
    }

    fn again(&self, record: u32) -> bool {
        let (chunk_progress, own) = self.owner(record);
        let again = if record < carried::FIRST { self.again } else { chunk_progress.is_read_again() };
        again || self.left.decided.has(record) || !chunk_progress.is_open(Category::Event, own)
    }

    fn leaves_alone(&self, record: u32) -> bool {
        self.broken.has(record)
    }

    fn is_settled(&self, item: Item) -> bool {
        self.again && !self.chunk_progress.is_open(item.category, item.record)
    }

    fn payer(&mut self, route: Route, payer: &Payer<'_>) -> u32 {
        if !self.payer.is(route, payer) {
            let Payer { namespace, workload, budget } = *payer;
            let target = route.destination().and_then(|destination| self.shared.targets.get(destination.0));
            let asked = target.map(|target| Asked { destination: target.identity, namespace, workload, budget });
            let (number, capped) = asked.map_or((0, false), |asked| self.shared.costs.payer(asked, self.wall));
            self.payer = LastPayer {
                route: Some(route),
                namespace: namespace.to_owned(),
                workload: workload.to_owned(),
                budget,
                number,
                capped,
            };
        }
        self.payer.number
    }

    fn affords(&mut self, record: u32, bill: &Bill) -> bool {
        // A dead letter that is still to be written is no log that would be sent.
        !self.payer.capped
            || {
                let (chunk_progress, own) = self.owner(record);
                !matches!(chunk_progress.record_status(Category::Log, own), RecordStatus::Open)
            }
            || self.shared.costs.reserve(bill.payer, bill.level, 0, self.wall, true)
    }

    fn recalled(&mut self, logs: Vec<RecalledLog>) {
        let (costs, mut batch, mut sent) = (&self.shared.costs, None::<Batch<ChunkProgress>>, 0);
        let chunk_progress =
            ChunkProgress::new(ChunkSource::None, self.now, Ledger::default().recorder(), Default::default());
        let chunk_progress = Arc::new(chunk_progress);
        for RecalledLog { json, bill } in logs {
            let Route::To(destination) = bill.route else { continue };
            let is_capped = costs.is_capped(bill.payer);
            if is_capped && !costs.reserve(bill.payer, bill.level, bill.bytes, self.wall, false) {
                continue;
            }
            if let Some(full) = batch.take_if(|batch| batch.bytes() + json.len() > envelope::MAX_LOG_BYTES) {
                emit(self.shared, full);
            }
            let new = || Batch::new(Category::Log, Vec::new(), self.now, self.replay).toward(destination.0);
            let batch = batch.get_or_insert_with(new);
            batch.open().extend_from_slice(&json);
            chunk_progress.claim(Category::Log, sent);
            let bill = envelope::Bill { payer: bill.payer, bytes: u32::try_from(bill.bytes).unwrap_or(u32::MAX) };
            batch.close_billed(&chunk_progress, sent, bill);
            sent += 1;
        }
        chunk_progress.mapped();
        self.shared.recorder.recall(u64::from(sent));
        if let Some(batch) = batch {
            emit(self.shared, batch);
        }
    }

    fn waits_until(&self) -> Option<Duration> {
        let timeout = self.shared.settings.trace_timeout;
        let longest = match self.chunk_progress.source {
            // The first flush after a start comes later than the next one of a running process.
            ChunkSource::Spool(_) if self.chunk_progress.is_recovered() => timeout.max(AFTER_START),
            ChunkSource::Spool(_) => timeout,
            ChunkSource::Memory if !self.shared.closing.load(Relaxed) => timeout,
            ChunkSource::Memory | ChunkSource::Host(_) | ChunkSource::None => return None,
        };
        (!timeout.is_zero()).then_some((self.now + longest).since(Monotonic::START))
    }

    fn wait(&mut self, record: u32) -> Option<u32> {
        if record >= carried::FIRST {
            return Some(record);
        }
        // A dead letter is written while its chunk is read.
        let is_rejected = |category: &Category| {
            matches!(self.chunk_progress.record_status(*category, record), RecordStatus::Rejected(_))
        };
        if Category::ALL.iter().any(is_rejected) {
            return None;
        }
        Some(self.carried.add(self.chunk_progress, record))
    }
}

/// Where an item is being written.
enum Place {
    /// Behind the other logs for this destination.
    Log(DestinationId),
    /// In an envelope of its own.
    Event(Box<Batch<ChunkProgress>>),
    /// Nowhere: the item becomes a dead letter, and only its id is needed.
    DeadLetter(Box<DeadLetter>),
    /// It is written.
    Finished,
}

/// Writes one item of a [`RecordSink`].
pub(in crate::delivery) struct RecordWriter<'w, 'i> {
    sink: &'w mut RecordSink<'i>,
    item: Item,
    place: Place,
}

impl RecordWriter<'_, '_> {
    /// Ends the record of a log that no budget pays for.
    fn discard_unpaid(mut self, destination: DestinationId) {
        self.sink.logs.mend();
        self.place = Place::Finished;
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let standing = chunk_progress.settle(Category::Log, std::iter::once(own), Outcome::OverBudget);
        self.sink.shared.finish(&chunk_progress, standing);
        self.sink.report(self.item, Outcome::OverBudget, Some(destination));
    }

    fn finish_log(mut self, destination: DestinationId, bill: &Bill) {
        let RecordSink { shared, wall, .. } = *self.sink;
        let costs = &shared.costs;
        if costs.is_capped(bill.payer) && !costs.reserve(bill.payer, bill.level, bill.bytes, wall, true) {
            return self.discard_unpaid(destination);
        }
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let bill = envelope::Bill { payer: bill.payer, bytes: u32::try_from(bill.bytes).unwrap_or(u32::MAX) };
        let full = self.sink.logs.close(destination.0, &chunk_progress, own, bill);
        self.place = Place::Finished;
        self.sink.emit_if_full(full);
    }
}

impl ItemWriter for RecordWriter<'_, '_> {
    fn json(&mut self) -> &mut Vec<u8> {
        match &mut self.place {
            Place::Log(destination) => self.sink.logs.buffer(destination.0).unwrap_or(&mut self.sink.scratch),
            Place::Event(batch) => batch.open(),
            Place::DeadLetter(_) | Place::Finished => &mut self.sink.scratch,
        }
    }

    fn finish(mut self, finished: Finished) {
        #[cfg(test)]
        poison::take(self.item.category, self.sink.owner(self.item.record).1);
        if let (Place::Log(destination), Finished::Log(bill)) = (&self.place, &finished) {
            let destination = *destination;
            return self.finish_log(destination, bill);
        }
        match (std::mem::replace(&mut self.place, Place::Finished), finished) {
            (Place::Event(mut batch), Finished::Event(id)) => {
                let (chunk_progress, own) = self.sink.owner(self.item.record);
                batch.close(&chunk_progress, own, Some(id));
                emit(self.sink.shared, *batch);
            }
            (Place::DeadLetter(mut letter), finished) => {
                letter.event_id = finished.event_id();
                self.sink.left.dead_letters.push(*letter);
            }
            // It is not what was begun: it is taken back.
            (place, _) => self.place = place,
        }
    }
}

/// Takes an unfinished item back, as after a panic.
impl Drop for RecordWriter<'_, '_> {
    fn drop(&mut self) {
        match self.place {
            Place::Log(_) => self.sink.logs.mend(),
            Place::Event(_) => {}
            Place::DeadLetter(_) | Place::Finished => return,
        }
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let _ = chunk_progress.release(self.item.category, std::iter::once(own));
    }
}

/// Records at which a test has the mapping panic, as a defect would.
#[cfg(test)]
pub(in crate::delivery) mod poison {
    use crate::delivery::Category;
    use std::cell::RefCell;

    thread_local! {
        pub static AT: RefCell<Vec<(Category, u32)>> = const { RefCell::new(Vec::new()) };
    }

    pub fn take(category: Category, record: u32) {
        AT.with_borrow(|at| assert!(!at.contains(&(category, record)), "poison in record {record}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    fn given_up(chunk_progress: &ChunkProgress, records: &[u32]) -> Vec<DeadLetter> {
        let mut left = PassOutcome::default();
        left.give_up(chunk_progress, records);
        left.dead_letters
    }

    fn chunk_progress() -> ChunkProgress {
        ChunkProgress::new(ChunkSource::Host(1), Monotonic::START, Ledger::default().recorder(), Default::default())
    }

    /// A letter that the disk would not take is written at the next reading, and then with all lines of its event, too.
    #[test]
    fn lines_of_a_letter_that_was_postponed_are_not_forgotten() {
        let chunk_progress = chunk_progress();
        for _ in 0..2 {
            let dead_letters = given_up(&chunk_progress, &[3, 4, 5]);
            assert_eq!((dead_letters.len(), dead_letters[0].record, &dead_letters[0].members[..]), (1, 3, &[4, 5][..]));
            dead_letters[0].postpone(&chunk_progress);
        }
        assert!([4, 5].iter().all(|member| !chunk_progress.is_open(Category::Event, *member)));
        assert!(chunk_progress.is_open(Category::Event, 3) && chunk_progress.is_open(Category::Log, 3));
    }

    /// Nothing is left open that nobody looks at again.
    #[test]
    fn lines_of_an_event_that_is_on_its_way_end_with_it() {
        let chunk_progress = chunk_progress();
        assert!(chunk_progress.claim(Category::Event, 3));
        assert!(given_up(&chunk_progress, &[3, 4]).is_empty());
        assert!(!chunk_progress.is_open(Category::Event, 4));
    }

    #[test]
    fn what_waits_is_not_given_up() {
        let (chunk_progress, mut left) = (chunk_progress(), PassOutcome::default());
        left.waiting[Category::Log as usize].insert(3);
        left.give_up(&chunk_progress, &[3]);
        assert!(matches!(left.dead_letters[..], [DeadLetter { category: Some(Category::Event), record: 3, .. }]));
    }

    /// A record that is nothing yet gets one letter for both, one that has become a log one for the event.
    #[test]
    fn a_record_gets_one_letter() {
        let chunk_progress = chunk_progress();
        let categories = |dead_letters: Vec<DeadLetter>| {
            dead_letters.iter().map(|dead_letter| dead_letter.category).collect::<Vec<_>>()
        };
        assert_eq!(categories(given_up(&chunk_progress, &[3])), [None]);
        assert!(chunk_progress.claim(Category::Log, 3));
        assert_eq!(categories(given_up(&chunk_progress, &[3])), [Some(Category::Event)]);
        assert!(chunk_progress.claim(Category::Event, 3));
        assert_eq!(categories(given_up(&chunk_progress, &[3])), []);
    }
}
