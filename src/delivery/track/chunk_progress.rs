//! Keeps the state of each record of a chunk: open, in flight, rejected or finished.
//!
//! Fluent Bit can only retry whole chunks. The progress record makes delivery exact nevertheless: when a chunk is offered
//! again, only records that are neither finished nor in flight are sent.

use crate::clock::Monotonic;
use crate::delivery::store::compressed_chunk::QueuedChunk;
use crate::delivery::store::drop_reason::DropReason;
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::store::{Ended, Extent, Progress};
use crate::delivery::track::attachments::Attachments;
pub use crate::delivery::track::attachments::ItemEnd;
use crate::delivery::track::record_state::{RecordChange, RecordState, RecordStates};
use crate::delivery::track::status::Reproducible;
pub use crate::delivery::track::status::{Attach, ChunkSource, ChunkStatus, RecordStatus};
use crate::envelope::{ChunkId, Identified, RecordIndex};
use crate::ledger::{Category, Outcome, PerCategory, Recorder};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The progress of a chunk. Shared by its items: the mapper claims records, the dispatcher ends or takes back their items.
#[derive(Debug)]
pub struct ChunkProgress {
    id: ChunkId,
    /// Source from which its bytes can be read again.
    pub source: ChunkSource,
    /// Time at which the chunk was taken from Fluent Bit, or found in the spool.
    pub taken: Monotonic,
    /// Steady time in milliseconds at which the first of the deferred records may be mapped again; the maximum if none is known.
    due: AtomicU64,
    recorder: Recorder,
    /// True if the chunk was found in the spool at the start.
    is_recovered: bool,
    state: Mutex<State>,
}

/// The mapper writes all of it while it reads the chunk. The dispatcher ends, defers and rejects records in flight.
#[derive(Debug, Default)]
struct State {
    /// The state of each record, by category.
    records: PerCategory<RecordStates>,
    /// The number of records that wait for lines of a later chunk.
    open_waits: u32,
    /// The number of times the chunk has been read.
    readings: u32,
    /// True if all records have been mapped since the last call of [`ChunkProgress::begin_reading`].
    is_mapped: bool,
    /// True if the progress file says that every record has been mapped.
    has_mapped_note: bool,
    /// True if a record has to be mapped again.
    has_deferred: bool,
    /// The number of records that have ended, by outcome.
    ended: Ended,
    /// Outcomes since the last note that another reading of the record may not come to ([`Reproducible::No`]).
    unnoted: PerCategory<Vec<(RecordIndex, Outcome)>>,
    /// Records that Sentry has counted in a 429: client reports leave them out.
    counted: PerCategory<RecordSet>,
    /// The chunk, if it is in memory only and may be read again.
    retained: Option<Arc<QueuedChunk>>,
    /// True if an earlier process has mapped every record.
    was_mapped_before: bool,
    /// Records whose request was cut when an earlier process ended.
    aborted: PerCategory<RecordSet>,
    /// Lines of other chunks that are part of a record's item: they end with it.
    attachments: Attachments<ChunkProgress>,
}

impl Identified for ChunkProgress {
    fn id(&self) -> ChunkId {
        self.id
    }
}

impl ChunkProgress {
    /// Returns a progress record for a chunk whose records are already counted as taken, some of them perhaps already
    /// finished.
    #[must_use]
    pub fn new(source: ChunkSource, taken: Monotonic, recorder: Recorder, finished: PerCategory<RecordSet>) -> Self {
        let records = finished.map(|finished| RecordStates::finished_before(&finished));
        let state = State { records, ..State::default() };
        let due = AtomicU64::new(u64::MAX);
        Self { id: ChunkId::next(), source, taken, due, recorder, is_recovered: false, state: Mutex::new(state) }
    }

    /// Sets the time at which a deferred record may be mapped again. The earliest of several times counts.
    pub fn waits_until(&self, at: Monotonic) {
        self.due.fetch_min(at.as_millis(), Relaxed);
    }

    /// Returns the earliest time given to [`ChunkProgress::waits_until`] since the last call.
    pub fn take_due(&self) -> Option<Monotonic> {
        let due = self.due.swap(u64::MAX, Relaxed);
        (due < u64::MAX).then(|| Monotonic::from_millis(due))
    }

    /// Returns a progress record for chunks that were found in the spool at the start. Their records are counted again as taken and
    /// ended.
    #[must_use]
    pub fn replayed(extent: Extent, taken: Monotonic, recorder: Recorder, progress: Progress) -> Self {
        let mut chunk_progress = Self::new(ChunkSource::Spool(extent), taken, recorder, progress.finished);
        chunk_progress.is_recovered = true;
        if let Ok(state) = chunk_progress.state.get_mut() {
            (state.was_mapped_before, state.has_mapped_note) = (progress.mapped, progress.mapped);
            (state.ended, state.aborted) = (progress.ended, progress.aborted);
        }
        chunk_progress
    }

    /// Returns the number of records that have ended, by outcome, no matter who ended them.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.lock().ended.clone()
    }

    /// Returns true if the chunk was found in the spool at the start.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.is_recovered
    }

    /// Begins the wait of a record for lines of a later chunk. The chunk is not done before [`ChunkProgress::end_wait`].
    pub fn begin_wait(&self) {
        self.lock().open_waits += 1;
    }

    /// Ends a wait that [`ChunkProgress::begin_wait`] has begun.
    pub fn end_wait(&self) -> ChunkStatus {
        let mut state = self.lock();
        state.open_waits -= 1;
        state.status()
    }

    /// Attaches a line of another chunk, whose record is in flight, to a record of this chunk.
    pub fn attach(&self, category: Category, record: RecordIndex, line: (&Arc<Self>, RecordIndex)) -> Attach {
        let mut state = self.lock();
        match state.records[category].get(record) {
            RecordState::InFlight => {
                state.attachments.attach(category, record, (Arc::clone(line.0), line.1));
                Attach::Done
            }
            RecordState::Finished | RecordState::Rejected(_) => Attach::Ended,
            RecordState::Open => {
                state.attachments.follow(line.0);
                Attach::Waits
            }
        }
    }

    /// Returns true if lines of other chunks are part of items of this one.
    #[must_use]
    pub fn has_attached(&self, category: Category) -> bool {
        self.lock().attachments.has_lines(category)
    }

    /// Takes the lines of other chunks that are attached to a record. If its item was deferred, their chunks are read right
    /// after this one.
    #[must_use]
    pub fn take_attached(
        &self,
        category: Category,
        record: RecordIndex,
        end: ItemEnd,
    ) -> Vec<(Arc<Self>, RecordIndex)> {
        self.lock().attachments.take(category, record, end)
    }

    /// Takes the chunks that are to be read right after this one.
    #[must_use]
    pub fn take_followers(&self) -> Vec<Arc<Self>> {
        self.lock().attachments.take_followers()
    }

    /// Begins a reading of the chunk. [`ChunkProgress::end_reading`] ends it.
    pub fn begin_reading(&self) {
        let mut state = self.lock();
        state.readings += 1;
        (state.is_mapped, state.has_deferred) = (false, false);
    }

    /// Returns true if the chunk has been read before.
    #[must_use]
    pub fn is_read_again(&self) -> bool {
        let state = self.lock();
        state.readings > 1 || state.was_mapped_before
    }

    /// Ends a reading of the chunk: every record has been mapped. Writes the notes that the progress file lacks.
    pub fn end_reading(&self) -> ChunkStatus {
        let mut state = self.lock();
        state.is_mapped = true;
        let mut unnoted = std::mem::take(&mut state.unnoted);
        if let ChunkSource::Spool(extent) = &self.source {
            for category in Category::ALL {
                let records = &mut unnoted[*category];
                records.sort_unstable_by_key(|(record, outcome)| (*outcome as usize, *record));
                for same in records.chunk_by(|one, other| one.1 == other.1) {
                    let numbers: Vec<RecordIndex> = same.iter().map(|(record, _)| *record).collect();
                    extent.note_finished(*category, &numbers, same[0].1);
                }
            }
            // Once: a chunk that waits is read many times.
            if !std::mem::replace(&mut state.has_mapped_note, true) {
                extent.note_mapped();
            }
        }
        state.status()
    }

    /// Marks a record as in flight. Returns false if it does not need an item.
    pub fn claim(&self, category: Category, record: RecordIndex) -> bool {
        self.lock().records[category].transition(record, RecordChange::Claim).is_some()
    }

    /// Marks a record as in flight if its status is [`RecordStatus::Open`]. Returns false, and changes nothing, if it is not.
    pub fn claim_open(&self, category: Category, record: RecordIndex) -> bool {
        let mut state = self.lock();
        matches!(state.record_status(category, record), RecordStatus::Open)
            && state.records[category].transition(record, RecordChange::Claim).is_some()
    }

    /// Returns true if a record is open or rejected.
    #[must_use]
    pub fn is_open(&self, category: Category, record: RecordIndex) -> bool {
        !matches!(self.record_status(category, record), RecordStatus::Closed)
    }

    /// Leaves a record in its chunk for another reading, if it is open or rejected.
    pub fn leave_open(&self, category: Category, record: RecordIndex) {
        let mut state = self.lock();
        if matches!(state.records[category].get(record), RecordState::Open | RecordState::Rejected(_)) {
            state.has_deferred = true;
        }
    }

    /// Returns false for items that stand for no record.
    #[must_use]
    pub fn has_records(&self) -> bool {
        !matches!(self.source, ChunkSource::None)
    }

    /// Returns true if the chunk can be read again after its items were deferred. A chunk in memory stays there for that.
    #[must_use]
    pub fn can_be_read_again(&self) -> bool {
        match self.source {
            ChunkSource::Host(_) | ChunkSource::Spool(_) => true,
            ChunkSource::Memory => {
                let mut state = self.lock();
                state.has_deferred |= state.retained.is_some();
                state.retained.is_some()
            }
            ChunkSource::None => false,
        }
    }

    /// Ends an open or rejected record without an item. Returns true if client reports have to count it: false if it had ended
    /// before, here or in an earlier process.
    pub fn end(&self, category: Category, record: RecordIndex, outcome: Outcome) -> bool {
        self.end_as(category, record, outcome, Reproducible::of(outcome))
    }

    /// Like [`ChunkProgress::end`], for an outcome that another reading of the record may not come to.
    pub fn end_for_good(&self, category: Category, record: RecordIndex, outcome: Outcome) -> bool {
        self.end_as(category, record, outcome, Reproducible::No)
    }

    fn end_as(&self, category: Category, record: RecordIndex, outcome: Outcome, reproducible: Reproducible) -> bool {
        let mut state = self.lock();
        if state.records[category].transition(record, RecordChange::End).is_none() {
            return false;
        }
        if reproducible == Reproducible::No {
            state.unnoted[category].push((record, outcome));
        }
        state.ended.add(category, outcome, 1);
        self.recorder.end(category, outcome, 1);
        !(state.was_mapped_before && reproducible == Reproducible::Yes)
    }

    /// Ends records in flight, and notes that in the progress file.
    pub fn finish(
        &self,
        category: Category,
        records: impl Iterator<Item = RecordIndex>,
        outcome: Outcome,
    ) -> ChunkStatus {
        let mut state = self.lock();
        let mut ended = Vec::new();
        for record in records {
            if state.records[category].transition(record, RecordChange::Finish).is_some() {
                ended.push(record);
            }
        }
        if let ChunkSource::Spool(extent) = &self.source {
            extent.note_finished(category, &ended, outcome);
        }
        state.ended.add(category, outcome, ended.len() as u32);
        self.recorder.end(category, outcome, ended.len() as u64);
        state.status()
    }

    /// Rejects records. They become dead letters and end when the chunk is read again.
    pub fn mark_rejected(
        &self,
        category: Category,
        records: impl Iterator<Item = RecordIndex>,
        reason: &Arc<DropReason>,
    ) -> ChunkStatus {
        let mut state = self.lock();
        for record in records {
            if state.records[category].transition(record, RecordChange::Reject(reason)).is_some() {
                state.has_deferred = true;
            }
        }
        state.status()
    }

    /// Notes in the progress file that the request with these items was cut: it may have arrived or not.
    pub fn abort(&self, category: Category, records: impl Iterator<Item = RecordIndex>) {
        let state = self.lock();
        if let ChunkSource::Spool(extent) = &self.source {
            let states = &state.records[category];
            let mut cut: Vec<RecordIndex> = records.filter(|record| states.is_in_flight(*record)).collect();
            cut.sort_unstable();
            extent.note_aborted(category, &cut);
        }
    }

    /// Returns the status of a record.
    #[must_use]
    pub fn record_status(&self, category: Category, record: RecordIndex) -> RecordStatus {
        self.lock().record_status(category, record)
    }

    /// Returns true if any record is rejected.
    #[must_use]
    pub fn has_rejected(&self) -> bool {
        self.lock().records.values().any(RecordStates::has_rejected)
    }

    /// Marks records as counted by Sentry in a 429.
    pub fn mark_counted(&self, category: Category, records: impl Iterator<Item = RecordIndex>) {
        let mut state = self.lock();
        for record in records {
            state.counted[category].insert(record);
        }
    }

    /// Returns true if Sentry has counted a record in a 429.
    #[must_use]
    pub fn is_counted(&self, category: Category, record: RecordIndex) -> bool {
        self.lock().counted[category].has(record)
    }

    /// Retains the chunk for another reading.
    pub(crate) fn retain(&self, chunk: QueuedChunk) -> Arc<QueuedChunk> {
        Arc::clone(self.lock().retained.insert(Arc::new(chunk)))
    }

    /// Returns the chunk, if it was retained.
    #[must_use]
    pub(crate) fn retained(&self) -> Option<Arc<QueuedChunk>> {
        self.lock().retained.clone()
    }

    /// Drops the retained chunk, unless a record has to be mapped again or waits for lines. Returns the number of bytes freed.
    pub fn release_chunk(&self) -> u64 {
        let mut state = self.lock();
        let retained = if state.has_deferred || state.open_waits > 0 { None } else { state.retained.take() };
        drop(state);
        retained.map_or(0, |chunk| chunk.bytes())
    }

    /// Opens records in flight again: they are mapped at a later reading.
    pub fn defer(&self, category: Category, records: impl Iterator<Item = RecordIndex>) -> ChunkStatus {
        let mut state = self.lock();
        for record in records {
            if state.records[category].transition(record, RecordChange::Defer).is_some() {
                state.has_deferred = true;
            }
        }
        state.status()
    }

    /// Returns the status of the chunk.
    #[must_use]
    pub fn status(&self) -> ChunkStatus {
        self.lock().status()
    }

    /// Returns the finished records of each category.
    #[must_use]
    pub fn finished(&self) -> PerCategory<RecordSet> {
        let state = self.lock();
        PerCategory::from_fn(|category| state.records[category].finished())
    }

    /// Ends all unfinished records of the `records` records with one outcome; for chunks that will be neither offered nor read
    /// again. Returns the number of these records, and the number of items of each category.
    pub fn end_rest(&self, records: u32, outcome: Outcome) -> (u32, PerCategory<u32>) {
        let (mut ended, mut items) = (0, PerCategory::default());
        for record in (0..records).map(RecordIndex) {
            let is_new = PerCategory::from_fn(|category| self.end(category, record, outcome));
            ended += u32::from(is_new.event || is_new.log);
            Category::ALL.iter().for_each(|category| items[*category] += u32::from(is_new[*category]));
        }
        (ended, items)
    }

    /// Reports the records that have ended in both categories to the spool, for its compaction.
    pub(in crate::delivery) fn report_ended(&self) {
        if let ChunkSource::Spool(extent) = &self.source {
            let PerCategory { event, log } = self.finished();
            extent.report_ended(&event.and(&log));
        }
    }

    /// Returns true if the chunk is in a segment of the spool that is lost or deleted.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(&self.source, ChunkSource::Spool(extent) if extent.segment().is_gone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn record_status(&self, category: Category, record: RecordIndex) -> RecordStatus {
        match self.records[category].get(record) {
            RecordState::InFlight | RecordState::Finished => RecordStatus::Closed,
            _ if category == Category::Log && self.readings <= 1 && self.aborted[category].has(record) => {
                RecordStatus::Last
            }
            RecordState::Rejected(reason) => RecordStatus::Rejected(reason),
            RecordState::Open => RecordStatus::Open,
        }
    }

    fn status(&self) -> ChunkStatus {
        let is_outstanding = self.open_waits > 0 || self.records.values().any(|records| records.in_flight() > 0);
        match (self.is_mapped && !is_outstanding, self.has_deferred) {
            (false, _) => ChunkStatus::Busy,
            (true, true) => ChunkStatus::Deferred,
            (true, false) => ChunkStatus::Done,
        }
    }
}
