//! Applies the scheduler's decisions to the records of a batch: they end, become dead letters, or wait in their chunks. Frees
//! the memory and the budgets that the batch has used.

use super::Dispatcher;
use crate::delivery::costs::Release;
use crate::delivery::dispatch::destination::Action;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::report::log_throttle::LogSubject;
use crate::delivery::shared::blocks::Decision;
use crate::delivery::store::drop_reason::DropReason;
use crate::delivery::track::chunk_progress::{ChunkProgress, ItemEnd};
use crate::envelope::Batch;
use crate::ledger::{Category, Outcome};
use crate::mapping::DestinationId;
use std::sync::Arc;

/// The end of a batch, by which its records end, become dead letters or wait.
enum BatchEnd {
    /// Sentry has accepted its items.
    Accepted,
    /// Its items are given up, and no dead letters are written.
    Dropped(Outcome),
    /// Its items are given up. Their records become dead letters when their chunks are read again.
    Rejected(Arc<DropReason>),
    /// Its records wait in their chunks.
    Deferred,
}

impl Dispatcher {
    /// Applies actions to the records of their batches.
    pub(super) fn actions(&mut self, actions: Vec<Action<ChunkProgress>>) {
        actions.into_iter().for_each(|action| self.action(action));
    }

    pub(super) fn action(&mut self, action: Action<ChunkProgress>) {
        let (batch, end) = self.end_of(action);
        if self.shared.budget.free(batch.category, batch.reserved) {
            // The channel holds one message; the mapper needs no second one.
            let _ = self.shared.capacity_freed.0.try_send(());
        }
        self.bill(&batch, &end);
        self.count_for_client_reports(&batch, &end);
        let now = self.shared.now().steady;
        let waits = self.shared.blocks.get(batch.destination);
        for (chunk_progress, records) in batch.owners() {
            if chunk_progress.has_attached(batch.category) {
                self.end_attached(&batch, &end, chunk_progress);
            }
            let status = match &end {
                BatchEnd::Accepted => chunk_progress.finish(batch.category, records, Outcome::Accepted),
                BatchEnd::Dropped(outcome) => chunk_progress.finish(batch.category, records, *outcome),
                BatchEnd::Rejected(reason) => chunk_progress.mark_rejected(batch.category, records, reason),
                BatchEnd::Deferred => {
                    let longest = self.shared.longest_hold(batch.category);
                    if let Decision::Defer(until) = waits.decide(batch.category, chunk_progress.taken, longest, now) {
                        chunk_progress.waits_until(until);
                    }
                    chunk_progress.defer(batch.category, records)
                }
            };
            self.shared.finish(chunk_progress, status);
        }
        if matches!(end, BatchEnd::Dropped(Outcome::Overflow)) {
            self.overflowed(batch.destination);
        }
        if batch.category == Category::Log {
            let _ = self.shared.buffer_pool.0.try_send(batch.into_buffer());
        }
    }

    /// Returns the batch of an action, and its end.
    fn end_of(&self, action: Action<ChunkProgress>) -> (Batch<ChunkProgress>, BatchEnd) {
        match action {
            Action::Accept(batch) => (batch, BatchEnd::Accepted),
            Action::Defer(batch) => (batch, BatchEnd::Deferred),
            Action::Evict(batch, _) if batch.owners().all(|(chunk_progress, _)| chunk_progress.can_be_read_again()) => {
                (batch, BatchEnd::Deferred)
            }
            Action::GiveUp(batch, reason) | Action::Evict(batch, reason) => {
                let end = match has_records(&batch) && self.shared.writes_dead_letter(reason.outcome) {
                    true => BatchEnd::Rejected(reason),
                    false => BatchEnd::Dropped(reason.outcome),
                };
                (batch, end)
            }
        }
    }

    /// Ends or defers the lines of other chunks that are part of a batch's items of one chunk. They end before the records of the
    /// batch: a crash in between then costs one more request, and no second event.
    fn end_attached(&self, batch: &Batch<ChunkProgress>, end: &BatchEnd, owner: &Arc<ChunkProgress>) {
        let end = match end {
            BatchEnd::Deferred => ItemEnd::Deferred,
            BatchEnd::Accepted | BatchEnd::Dropped(_) | BatchEnd::Rejected(_) => ItemEnd::Finished,
        };
        let owned = batch
            .owners()
            .filter(|(chunk_progress, _)| Arc::ptr_eq(chunk_progress, owner))
            .flat_map(|(_, records)| records);
        for (chunk_progress, record) in owned.flat_map(|record| owner.take_attached(batch.category, record, end)) {
            let record = std::iter::once(record);
            let status = match end {
                ItemEnd::Finished => chunk_progress.finish(batch.category, record, Outcome::Joined),
                ItemEnd::Deferred => chunk_progress.defer(batch.category, record),
            };
            self.shared.finish(&chunk_progress, status);
        }
    }

    /// Counts an accepted batch of logs as spent, or releases the bytes that a batch has reserved.
    fn bill(&self, batch: &Batch<ChunkProgress>, end: &BatchEnd) {
        if batch.category != Category::Log {
            return;
        }
        let now = self.shared.now();
        match end {
            BatchEnd::Accepted => {
                self.shared.recorder.bill(batch.bills().map(|(_, bytes)| bytes).sum());
                self.shared.costs.accept(batch.bills(), now.wall);
            }
            BatchEnd::Dropped(_) | BatchEnd::Rejected(_) => {
                self.shared.costs.release(batch.bills(), Release::Ended, now.steady);
            }
            BatchEnd::Deferred => self.shared.costs.release(batch.bills(), Release::Deferred, now.steady),
        }
    }

    /// Logs that the spent bytes of the budgets could not be written to the file.
    pub(super) fn budget_noted(&mut self, noted: std::io::Result<()>) {
        if let Err(error) = noted {
            let text = format!("cannot write logs-budget.json, a restart may spend the budgets again: {error}");
            self.log_throttled(Severity::Warn, LogKind::LogsBudget, LogSubject::Instance, &text);
        }
    }

    /// Counts dropped items for the next client report. Sentry counts the items that it limits itself; records that end later
    /// remember that.
    fn count_for_client_reports(&self, batch: &Batch<ChunkProgress>, end: &BatchEnd) {
        match end {
            _ if !has_records(batch) => {}
            BatchEnd::Dropped(outcome) if !batch.limited => self.discarded(batch, *outcome),
            BatchEnd::Rejected(_) | BatchEnd::Deferred if batch.limited => {
                batch
                    .owners()
                    .for_each(|(chunk_progress, records)| chunk_progress.mark_counted(batch.category, records));
            }
            BatchEnd::Accepted | BatchEnd::Dropped(_) | BatchEnd::Rejected(_) | BatchEnd::Deferred => {}
        }
    }

    fn discarded(&self, batch: &Batch<ChunkProgress>, outcome: Outcome) {
        if let Some(target) = self.shared.route_table.get(batch.destination) {
            let (items, bytes) = (batch.len() as u64, batch.bytes() as u64);
            self.shared.reports.add(target.identity, batch.category, outcome, items, bytes);
        }
    }

    fn overflowed(&mut self, id: DestinationId) {
        let Some(target) = self.shared.route_table.get(id) else { return };
        let text = format!(
            "{}: its items fill their share of the queue; dropping the newest to keep other destinations going; set \
             spool_path to keep them on disk",
            target.dsn
        );
        self.log_throttled(Severity::Error, LogKind::Overflow, LogSubject::Destination(id), &text);
    }
}

/// Returns false if an item of the batch stands for no record.
fn has_records(batch: &Batch<ChunkProgress>) -> bool {
    batch.owners().all(|(chunk_progress, _)| chunk_progress.has_records())
}
