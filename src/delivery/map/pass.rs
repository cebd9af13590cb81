//! Reads a chunk once: maps its records, survives panics of the mapping, writes dead letters and reports drops.

use crate::clock::Monotonic;
use crate::delivery::map::carried;
use crate::delivery::map::pass_outcome::{self, PassOutcome, UnsentItem};
use crate::delivery::map::router::ChunkRouter;
use crate::delivery::map::sink::RecordSink;
use crate::delivery::map::worker::Worker;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::store::Chunk;
use crate::delivery::store::dead_letters::{self, DeadLetter};
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::{Reading, RecordIndex};
use crate::ledger::{Category, Outcome};
use crate::mapping::Origin;
use crate::sync::lock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const PANICKED: &str = "mapping a record panicked, which is a defect of this plugin: the record, or the event of which it is a line, \
                        counts as invalid; the rest of its chunk is sent; please report it";

const TOO_MANY_PANICS: &str = "mapping a chunk keeps panicking, which is a defect of this plugin: the rest of the chunk counts as invalid; please report it";

/// The number of times that mapping a segment may panic before the rest of it is given up.
const MAX_PANICS: usize = 64;

const FULL: &str = "dead letters are full: rejected items are only counted, as overflow; send the letters in dead_letter_path \
                    again with `flb-sentry replay`, remove them, or raise dead_letter_max_size";

/// Wait before dead letters are written again after the disk refused them.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(30);

impl Worker<'_> {
    /// Maps a chunk and handles the outcome of its records.
    pub(super) fn map(&mut self, chunk_progress: &Arc<ChunkProgress>, segments: &[Chunk], reading: Reading) {
        chunk_progress.begin_reading();
        let logs = if reading == Reading::Replayed { &mut self.replayed } else { &mut self.live };
        self.shared.buffer_pool.1.try_iter().for_each(|buffer| logs.add_buffer(buffer));
        let router = ChunkRouter::new(&self.shared.route_table, self.shared.now().steady);
        let mut record = RecordIndex(0);
        for segment in segments {
            let first = record;
            let mut pass = PassOutcome::default();
            record = self.read(chunk_progress, &router, (segment, first), reading, &mut pass);
            self.write_dead_letter(chunk_progress, first, segment, &mut pass);
            self.report_unsent(first, segment, &pass.unsent);
        }
        router.report(self.shared);
        let status = chunk_progress.end_reading();
        self.shared.finish(chunk_progress, status);
        self.end_waits();
        for follower in chunk_progress.take_followers() {
            lock(&self.shared.backlog).remove(&follower);
            self.spooled(&follower, Reading::Replayed);
        }
    }

    /// Releases records of earlier chunks that no longer wait for lines.
    fn end_waits(&mut self) {
        for chunk_progress in self.carried.retain(self.records.waiting()) {
            let status = chunk_progress.end_wait();
            self.shared.finish(&chunk_progress, status);
            if matches!(chunk_progress.source, ChunkSource::Memory) && self.dead.is_none() {
                self.shared.retained_bytes.fetch_sub(chunk_progress.release_chunk(), Relaxed);
            }
        }
    }

    /// Sends waiting lines that are only in memory. Called at exit.
    pub(in crate::delivery) fn finish_volatile(&mut self) {
        if self.carried.is_volatile() {
            self.finish_waiting(Monotonic::MAX);
        }
    }

    /// Sends waiting lines whose time to wait ended at or before `due`.
    pub(in crate::delivery) fn finish_waiting(&mut self, due: Monotonic) {
        if self.next_waiting().is_none_or(|next| next > due) {
            return;
        }
        let now = self.shared.now();
        let router = ChunkRouter::new(&self.shared.route_table, now.steady);
        let chunk_progress =
            ChunkProgress::new(ChunkSource::None, now.steady, self.shared.recorder.clone(), Default::default());
        let (chunk_progress, panicked, mut pass) =
            (Arc::new(chunk_progress), RecordSet::default(), PassOutcome::default());
        loop {
            let finished = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &[], router: &router, now: now.wall };
                let carried = &mut self.carried;
                let mut record_sink = RecordSink::new(
                    self.shared,
                    &chunk_progress,
                    &mut self.live,
                    Reading::Live,
                    &mut pass,
                    &panicked,
                    carried,
                );
                self.records.finish_waiting(origin, due, &mut record_sink);
            }));
            if finished.is_ok() {
                break;
            }
            self.on_panic(&mut pass);
            if !self.give_up_carried() {
                let all: Vec<u32> = self.records.waiting().collect();
                self.end_carried(&all);
            }
        }
        router.report(self.shared);
        for UnsentItem { category, outcome, target, .. } in &pass.unsent {
            self.shared.reports.add(target.identity, *category, *outcome, 1, 0);
        }
        self.end_waits();
    }

    /// Gives up the waiting lines of the streams at which the mapping panicked. Returns false if there are none.
    fn give_up_carried(&mut self) -> bool {
        let current_records = self.records.current_records().iter().copied();
        let numbers: Vec<u32> = current_records.filter(|number| *number >= carried::FIRST).collect();
        // The other lines are part of the first one's event.
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

    /// Writes dead letters and ends their records once the file is synced. If the disk refuses them, the records wait for the
    /// next reading; records that are only in memory end as `overflow`.
    fn write_dead_letter(
        &mut self,
        chunk_progress: &ChunkProgress,
        first: RecordIndex,
        segment: &Chunk,
        pass: &mut PassOutcome,
    ) {
        let dead_letters = std::mem::take(&mut pass.dead_letters);
        let now = self.shared.now();
        let written = match &mut self.dead {
            Some(dead) if !dead_letters.is_empty() => {
                dead.write(&dead_letters::encode(segment, first, &dead_letters, now.wall), now.wall, now.steady)
            }
            _ => Ok(vec![true; dead_letters.len()]),
        };
        if let Err(error) = &written {
            let text = format!("cannot write dead letters, rejected items wait: {error}");
            self.shared.log(Severity::Error, LogKind::DeadLetters, text);
            self.shared.dead_letter_retry_at.store((now.steady + DEAD_LETTER_PAUSE).as_millis(), Relaxed);
        } else if written.as_ref().is_ok_and(|is_written| is_written.contains(&false)) {
            self.shared.log(Severity::Error, LogKind::DeadLettersFull, FULL.to_owned());
        }
        let ending = |(at, dead_letter): (usize, &DeadLetter)| match (&written, &chunk_progress.source) {
            (Ok(is_written), _) if is_written[at] => Some(dead_letter.reason.outcome),
            (Ok(_), _) | (Err(_), ChunkSource::Memory | ChunkSource::None) => Some(Outcome::Overflow),
            (Err(_), ChunkSource::Host(_) | ChunkSource::Spool(_)) => None,
        };
        let endings: Vec<_> = dead_letters.iter().enumerate().map(ending).collect();
        for (dead_letter, ending) in dead_letters.into_iter().zip(endings) {
            match ending {
                Some(outcome) => {
                    pass_outcome::end(&dead_letter, chunk_progress, outcome);
                    pass.unsent.extend(UnsentItem::of_dead_letter(&dead_letter, outcome, chunk_progress));
                }
                None => pass_outcome::postpone(&dead_letter, chunk_progress),
            }
        }
    }

    /// Counts items of a chunk that will never be sent, for the next client report.
    fn report_unsent(&self, first: RecordIndex, segment: &Chunk, unsent: &[UnsentItem]) {
        if !self.shared.reports.is_on() || unsent.is_empty() {
            return;
        }
        let logs = unsent.iter().filter(|drop| drop.category == Category::Log);
        let sizes = dead_letters::sizes(segment, first, &logs.filter_map(|drop| drop.record).collect());
        for UnsentItem { category, record, outcome, target } in unsent {
            let size = record.and_then(|record| sizes.get(&record)).filter(|_| *category == Category::Log);
            self.shared.reports.add(target.identity, *category, *outcome, 1, size.copied().unwrap_or(0));
        }
    }

    /// Reads a segment, whose records are numbered from `first`; returns the number after its last one. A panic costs only
    /// the items of the records at which it occurred, not Fluent Bit and not the rest of the chunk, and they are counted.
    fn read(
        &mut self,
        chunk_progress: &Arc<ChunkProgress>,
        router: &ChunkRouter<'_>,
        (segment, first): (&Chunk, RecordIndex),
        reading: Reading,
        pass: &mut PassOutcome,
    ) -> RecordIndex {
        if segment.data.is_empty() {
            // A compaction has left out its records, because they have ended.
            return first.plus(segment.records);
        }
        let mut panicked = RecordSet::default();
        // The records at which each panic occurred.
        let mut panics: Vec<Vec<RecordIndex>> = Vec::new();
        loop {
            let mapped = catch_unwind(AssertUnwindSafe(|| {
                let origin = Origin { tag: &segment.tag, router, now: self.shared.now().wall };
                let logs = if reading == Reading::Replayed { &mut self.replayed } else { &mut self.live };
                let carried = &mut self.carried;
                let mut record_sink =
                    RecordSink::new(self.shared, chunk_progress, logs, reading, pass, &panicked, carried);
                RecordIndex(self.records.map(origin, &segment.data, first.0, &mut record_sink))
            }));
            if let Ok(end) = mapped {
                panics.iter().for_each(|records| pass.give_up(chunk_progress, records));
                return end;
            }
            self.on_panic(pass);
            let gave_up = self.give_up_carried();
            let count = crate::chunk::count(&segment.data);
            let segment_records = first..first.plus(count);
            let current_records = self.records.current_records().iter().copied().map(RecordIndex);
            let news: Vec<RecordIndex> =
                current_records.filter(|record| segment_records.contains(record) && panicked.insert(*record)).collect();
            // Work stays in proportion to the chunk, however many of its records make the mapping panic.
            if news.is_empty() && !gave_up || panics.len() >= MAX_PANICS {
                self.shared.log(Severity::Error, LogKind::Panics, TOO_MANY_PANICS.to_owned());
                first.run(count).for_each(|record| pass.give_up(chunk_progress, &[record]));
                return segment_records.end;
            }
            panics.push(news);
        }
    }

    /// Logs a panic, and forgets the dead letters of a reading that is about to be repeated. The item that was being written has
    /// been taken back by its writer.
    fn on_panic(&self, pass: &mut PassOutcome) {
        self.shared.log(Severity::Error, LogKind::Panic, PANICKED.to_owned());
        pass.dead_letters.clear();
    }
}
