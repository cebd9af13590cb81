//! The record sink: decides for each record of a chunk, while the chunk is read, whether it becomes an item in an envelope,
//! is deferred in its chunk, or becomes a dead letter. It also passes full envelopes to the dispatcher.

use crate::clock::{Monotonic, WallTime};
use crate::delivery::costs::{KnownPayer, OnRefusal, PayerQuery};
use crate::delivery::map::carried::{self, Carried};
use crate::delivery::map::disposition::Disposition;
use crate::delivery::map::pass_outcome::{PassOutcome, UnsentItem};
use crate::delivery::map::record_writer::{Place, RecordWriter, emit};
use crate::delivery::shared::blocks::Waits;
use crate::delivery::shared::state::Shared;
use crate::delivery::store::dead_letters::DeadLetter;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::track::chunk_progress::{Attach, ChunkProgress, ChunkSource, RecordStatus};
use crate::envelope::{self, Batch, LogBatcher, Reading, RecordIndex};
use crate::ledger::{Category, Ledger, Outcome};
use crate::mapping::{Bill, DestinationId, Discard, Item, Payer, Reason, RecalledLog, Route, Sink};
use crate::options;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait of lines of an earlier process for the first chunk after a start, unless `trace_timeout` is longer.
const AFTER_START: Duration = Duration::from_secs(5);

/// Takes a chunk's items and puts them into envelopes.
pub(in crate::delivery) struct RecordSink<'i> {
    pub(super) shared: &'i Shared,
    pub(super) chunk_progress: &'i Arc<ChunkProgress>,
    pub(super) logs: &'i mut LogBatcher<ChunkProgress>,
    pub(super) reading: Reading,
    /// True if the chunk has been read before.
    pub(super) is_read_again: bool,
    pub(super) now: Monotonic,
    /// The destination of the previous record.
    pub(super) waits_of: Option<DestinationId>,
    /// The waits of that destination.
    pub(super) waits: Waits,
    /// True if the spool is more than 75 % full: records of failing destinations are then evicted for others.
    pub(super) is_spool_nearly_full: bool,
    /// True if the line about evictions has been logged for this chunk.
    pub(super) has_logged_evictions: bool,
    pub(super) pass: &'i mut PassOutcome,
    /// Records at which the mapping has panicked.
    pub(super) panicked: &'i RecordSet,
    /// Records of earlier chunks that wait for lines.
    pub(super) carried: &'i mut Carried,
    /// Buffer for the JSON of items that become dead letters; only their ids are needed.
    pub(super) scratch: Vec<u8>,
    /// Payer of the previous log.
    payer: LastPayer,
    /// Wall time at which the reading of the chunk began.
    pub(super) wall: WallTime,
}

/// Payer of the previous log: the logs of a chunk mostly come from one container.
#[derive(Default)]
struct LastPayer {
    route: Option<Route>,
    namespace: String,
    workload: String,
    budget: Option<options::Budget>,
    known: KnownPayer,
}

impl LastPayer {
    fn is(&self, route: Route, payer: &Payer<'_>) -> bool {
        self.route == Some(route)
            && self.namespace == payer.namespace
            && self.budget == payer.budget
            && self.workload == payer.workload
    }
}

impl<'i> RecordSink<'i> {
    pub(in crate::delivery) fn new(
        shared: &'i Shared,
        chunk_progress: &'i Arc<ChunkProgress>,
        logs: &'i mut LogBatcher<ChunkProgress>,
        reading: Reading,
        pass: &'i mut PassOutcome,
        panicked: &'i RecordSet,
        carried: &'i mut Carried,
    ) -> Self {
        let now = shared.now();
        let is_spool_nearly_full =
            matches!(chunk_progress.source, ChunkSource::Spool(_)) && shared.is_spool_nearly_full();
        Self {
            shared,
            chunk_progress,
            logs,
            reading,
            is_read_again: chunk_progress.is_read_again(),
            now: now.steady,
            wall: now.wall,
            payer: LastPayer::default(),
            waits_of: None,
            waits: Waits::default(),
            is_spool_nearly_full,
            has_logged_evictions: false,
            pass,
            panicked,
            carried,
            scratch: Vec::new(),
        }
    }

    /// Returns the chunk of a record, and the record's number there. `record` is the number by which the mapping knows it.
    pub(super) fn owner(&self, record: u32) -> (Cow<'i, Arc<ChunkProgress>>, RecordIndex) {
        if let Some(own) = carried::in_chunk(record) {
            return (Cow::Borrowed(self.chunk_progress), own);
        }
        self.carried
            .get(record)
            .map_or((Cow::Borrowed(self.chunk_progress), RecordIndex(record)), |(owner, own)| (Cow::Owned(owner), own))
    }

    /// Defers a record: it stays open in its chunk.
    pub(super) fn defer(&mut self, category: Category, record: u32) {
        if let Some(own) = carried::in_chunk(record) {
            self.pass.waiting[category].insert(own);
        }
        let (chunk_progress, own) = self.owner(record);
        chunk_progress.leave_open(category, own);
    }

    /// Gives up a record of an earlier chunk. If that chunk can be read again, it is, to write the dead letter.
    fn give_up_carried(&mut self, category: Category, record: u32, reason: &Arc<DropReason>) {
        let (chunk_progress, own) = self.owner(record);
        if chunk_progress.can_be_read_again() && self.shared.settings.dead_letter_path.is_some() {
            chunk_progress.mark_rejected(category, std::iter::once(own), reason);
        } else {
            chunk_progress.end(category, own, reason.outcome);
        }
    }

    pub(super) fn emit_if_full(&mut self, full: Option<Batch<ChunkProgress>>) {
        if let Some(batch) = full {
            emit(self.shared, batch);
            self.shared.buffer_pool.1.try_iter().for_each(|buffer| self.logs.add_buffer(buffer));
        }
    }

    /// Returns the place for an item: behind the logs of its destination, or an envelope of its own.
    fn place_for(&mut self, category: Category, destination: DestinationId) -> Place {
        match category {
            Category::Log => {
                self.logs.open(destination, self.now, self.reading);
                Place::Log(destination)
            }
            Category::Event => {
                let batch = Batch::new(Category::Event, Vec::new(), self.now, self.reading);
                Place::Event(Box::new(batch.toward(destination)))
            }
        }
    }

    /// Ends a record that becomes no item, and counts it for the next client report.
    fn ends(&mut self, item: Item, discard: &Discard) {
        let Item { category, record } = item;
        let (chunk_progress, own) = self.owner(record);
        // Another reading may find a destination, so the outcome is noted in the progress file.
        let counted = match discard.reason {
            Some(Reason::NoDestination) => chunk_progress.end_for_good(category, own, discard.outcome),
            _ => chunk_progress.end(category, own, discard.outcome),
        };
        if counted {
            self.report(item, discard.outcome, discard.destination);
        }
    }

    /// Notes a drop for the next client report to a destination.
    pub(super) fn report(
        &mut self,
        Item { category, record }: Item,
        outcome: Outcome,
        destination: Option<DestinationId>,
    ) {
        let destination = destination.filter(|_| self.shared.reports.is_on());
        if let Some(target) = destination.and_then(|destination| self.shared.route_table.get(destination)) {
            let record = carried::in_chunk(record);
            self.pass.unsent.push(UnsentItem { category, record, outcome, target });
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
        let in_chunk = carried::in_chunk(record);
        if let Some(own) = in_chunk.filter(|_| category == Category::Event) {
            self.pass.decided.insert(own);
        }
        if let Some(destination) = self.claim_at_once(category, record, route) {
            let place = self.place_for(category, destination);
            return Some(RecordWriter { sink: self, item, place });
        }
        let place = match self.disposition(category, record, route) {
            Disposition::Item(destination) => {
                let (chunk_progress, own) = self.owner(record);
                if !chunk_progress.claim(category, own) {
                    return None;
                }
                self.place_for(category, destination)
            }
            Disposition::Nothing => return None,
            Disposition::Wait(until) => {
                self.owner(record).0.waits_until(until);
                self.defer(category, record);
                return None;
            }
            Disposition::DeadLetter(reason) if in_chunk.is_none() => {
                self.give_up_carried(category, record, &reason);
                return None;
            }
            Disposition::Overflow => {
                let discard = Discard { outcome: Outcome::Overflow, reason: None, destination: route.destination() };
                self.ends(item, &discard);
                return None;
            }
            Disposition::DeadLetter(reason) => {
                let target = route.destination().and_then(|destination| self.shared.route_table.get(destination));
                let (_, own) = self.owner(record);
                self.scratch.clear();
                Place::DeadLetter(Box::new(DeadLetter::new(Some(category), own, &reason).toward(target)))
            }
        };
        Some(RecordWriter { sink: self, item, place })
    }

    fn discard(&mut self, item: Item, discard: Discard) {
        match (item.category, discard.outcome) {
            // Undecodable bytes are an item of neither category: one dead letter for both.
            (Category::Event, Outcome::Invalid) => {
                let is_open = |record: &RecordIndex| self.chunk_progress.is_open(item.category, *record);
                match carried::in_chunk(item.record).filter(is_open) {
                    Some(record) => {
                        let reason = DropReason::shared(discard.outcome, DropTrigger::Undecodable);
                        self.pass.dead_letters.push(DeadLetter::new(None, record, &reason));
                    }
                    None => self.ends(item, &discard),
                }
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
            let into = carried::in_chunk(into);
            let is_head = |dead_letter: &&mut DeadLetter| {
                Some(dead_letter.record) == into && dead_letter.category == Some(category)
            };
            if let Some(dead_letter) = self.pass.dead_letters.iter_mut().rfind(is_head) {
                dead_letter.members.push(own);
            }
            chunk_progress.end(category, own, Outcome::Joined);
            return;
        }
        // The line must not end before the item that it is part of.
        if !chunk_progress.claim(category, own) {
            return;
        }
        match head.attach(category, first, (&chunk_progress, own)) {
            Attach::Done => {}
            Attach::Ended => drop(chunk_progress.finish(category, std::iter::once(own), Outcome::Joined)),
            Attach::Waits => drop(chunk_progress.defer(category, std::iter::once(own))),
        }
    }

    fn again(&self, record: u32) -> bool {
        let (chunk_progress, own) = self.owner(record);
        let (again, is_decided) = match carried::in_chunk(record) {
            Some(own) => (self.is_read_again, self.pass.decided.has(own)),
            None => (chunk_progress.is_read_again(), false),
        };
        again || is_decided || !chunk_progress.is_open(Category::Event, own)
    }

    fn leaves_alone(&self, record: u32) -> bool {
        carried::in_chunk(record).is_some_and(|own| self.panicked.has(own))
    }

    fn is_settled(&self, item: Item) -> bool {
        self.is_read_again && !self.chunk_progress.is_open(item.category, RecordIndex(item.record))
    }

    fn payer(&mut self, route: Route, payer: &Payer<'_>) -> u32 {
        if !self.payer.is(route, payer) {
            let Payer { namespace, workload, budget } = *payer;
            let target = route.destination().and_then(|destination| self.shared.route_table.get(destination));
            let query = target.map(|target| PayerQuery { destination: target.identity, namespace, workload, budget });
            let known = query.map_or_else(KnownPayer::default, |query| self.shared.costs.payer(query, self.wall));
            self.payer = LastPayer {
                route: Some(route),
                namespace: namespace.to_owned(),
                workload: workload.to_owned(),
                budget,
                known,
            };
        }
        self.payer.known.number
    }

    fn affords(&mut self, record: u32, bill: &Bill) -> bool {
        // A rejected log is not sent, so it costs nothing.
        !self.payer.known.is_capped
            || {
                let (chunk_progress, own) = self.owner(record);
                !matches!(chunk_progress.record_status(Category::Log, own), RecordStatus::Open)
            }
            || self.shared.costs.reserve(bill.payer, bill.level, 0, self.wall, OnRefusal::Count)
    }

    fn recalled(&mut self, logs: Vec<RecalledLog>) {
        let (costs, mut batch, mut sent) = (&self.shared.costs, None::<Batch<ChunkProgress>>, 0);
        let chunk_progress =
            ChunkProgress::new(ChunkSource::None, self.now, Ledger::default().recorder(), Default::default());
        let chunk_progress = Arc::new(chunk_progress);
        for RecalledLog { json, bill } in logs {
            let Route::To(destination) = bill.route else { continue };
            let is_capped = costs.is_capped(bill.payer);
            if is_capped && !costs.reserve(bill.payer, bill.level, bill.bytes, self.wall, OnRefusal::Ignore) {
                continue;
            }
            if let Some(full) = batch.take_if(|batch| batch.bytes() + json.len() > envelope::MAX_LOG_BYTES) {
                emit(self.shared, full);
            }
            let new = || Batch::new(Category::Log, Vec::new(), self.now, self.reading).toward(destination);
            let batch = batch.get_or_insert_with(new);
            batch.open().extend_from_slice(&json);
            chunk_progress.claim(Category::Log, RecordIndex(sent));
            let bill = envelope::Bill { payer: bill.payer, bytes: u32::try_from(bill.bytes).unwrap_or(u32::MAX) };
            batch.close_billed(&chunk_progress, RecordIndex(sent), bill);
            sent += 1;
        }
        chunk_progress.end_reading();
        self.shared.recorder.recall(u64::from(sent));
        if let Some(batch) = batch {
            emit(self.shared, batch);
        }
    }

    fn waits_until(&self) -> Option<Monotonic> {
        let timeout = self.shared.settings.trace_timeout;
        if timeout.is_zero() {
            return None;
        }
        // The next lines of the stream come with the next flush at the earliest.
        let timeout = timeout + self.shared.flush_interval.get();
        let longest = match self.chunk_progress.source {
            // The first flush after a start comes later than the next one of a running process.
            ChunkSource::Spool(_) if self.chunk_progress.is_recovered() => timeout.max(AFTER_START),
            ChunkSource::Spool(_) => timeout,
            ChunkSource::Memory if !self.shared.lifecycle.is_closing() => timeout,
            ChunkSource::Memory | ChunkSource::Host(_) | ChunkSource::None => return None,
        };
        Some(self.now + longest)
    }

    fn wait(&mut self, record: u32) -> Option<u32> {
        let Some(own) = carried::in_chunk(record) else { return Some(record) };
        // A dead letter is written while its chunk is read.
        let is_rejected = |category: &Category| {
            matches!(self.chunk_progress.record_status(*category, own), RecordStatus::Rejected(_))
        };
        if Category::ALL.iter().any(is_rejected) {
            return None;
        }
        Some(self.carried.add(self.chunk_progress, own))
    }
}
