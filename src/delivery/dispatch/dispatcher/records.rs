//! Applies the scheduler's decisions to the records of a batch: they end, become dead letters, or wait in their chunks. Frees
//! the memory and the budgets that the batch has used.

use super::Dispatcher;
use crate::delivery::dispatch::destination::Action;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::report::log_throttle::LogSubject;
use crate::delivery::report::messages::MADE_ROOM;
use crate::delivery::shared::blocks::Decision;
use crate::delivery::track::chunk_progress::{ChunkProgress, ItemEnd};
use crate::delivery::track::drop_reason::DropReason;
use crate::envelope::Batch;
use crate::ledger::{Category, Outcome};
use crate::mapping::DestinationId;
use std::sync::Arc;

impl Dispatcher {
    /// Applies actions to their records. `code` and `detail` are those of the response that caused the actions, if one did.
    pub(super) fn actions(&mut self, actions: Vec<Action<ChunkProgress>>, code: u16, detail: &str) {
        actions.into_iter().for_each(|action| self.action(action, code, detail));
    }

    pub(super) fn action(&mut self, action: Action<ChunkProgress>, code: u16, detail: &str) {
        let (action, code, detail) = match action {
            Action::Evict(batch, _) if batch.owners().all(|(chunk_progress, _)| chunk_progress.can_be_read_again()) => {
                (Action::Defer(batch), 0, MADE_ROOM)
            }
            Action::Evict(batch, outcome) => (Action::Finish(batch, outcome), 0, MADE_ROOM),
            action => (action, code, detail),
        };
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = &action;
        if self.shared.budget.free(batch.category, batch.reserved) {
            // One word is enough.
            let _ = self.shared.capacity_freed.0.try_send(());
        }
        self.bill(&action);
        let drop_reason = self.drop_reason(&action, code, detail);
        let now = self.shared.now().steady;
        let (waits, id) = (self.shared.blocks.get(batch.destination), batch.destination);
        let overflow = matches!(&action, Action::Finish(_, Outcome::Overflow));
        for (chunk_progress, records) in batch.owners() {
            if chunk_progress.has_attached(batch.category) {
                self.end_attached(&action, chunk_progress, drop_reason.is_some());
            }
            let status = match &action {
                Action::Finish(batch, outcome) => match &drop_reason {
                    Some(cause) => chunk_progress.mark_rejected(batch.category, records, cause),
                    None => chunk_progress.finish(batch.category, records, *outcome),
                },
                Action::Defer(batch) | Action::Evict(batch, _) => {
                    let longest = self.shared.longest(batch.category);
                    if let Decision::Defer(until) = waits.decide(batch.category, chunk_progress.taken, longest, now) {
                        chunk_progress.waits_until(until);
                    }
                    chunk_progress.defer(batch.category, records)
                }
            };
            self.shared.finish(chunk_progress, status);
        }
        if overflow {
            self.overflowed(id);
        }
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if batch.category == Category::Log {
            let _ = self.shared.buffer_pool.0.try_send(batch.into_buffer());
        }
    }

    /// Ends or releases the lines of other chunks that are part of a batch's items of one chunk. Before those: a crash in between
    /// then costs one more request, and no second event.
    fn end_attached(&self, action: &Action<ChunkProgress>, owner: &Arc<ChunkProgress>, is_rejected: bool) {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        let end = match action {
            Action::Defer(_) | Action::Evict(..) if !is_rejected => ItemEnd::Deferred,
            _ => ItemEnd::Finished,
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
    fn bill(&self, action: &Action<ChunkProgress>) {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if batch.category != Category::Log {
            return;
        }
        let now = self.shared.now();
        match action {
            Action::Finish(_, Outcome::Accepted) => {
                self.shared.recorder.bill(batch.bills().map(|(_, bytes)| bytes).sum());
                self.shared.costs.accept(batch.bills(), now.wall);
            }
            Action::Finish(..) => self.shared.costs.release(batch.bills(), true, now.steady),
            Action::Defer(_) | Action::Evict(..) => self.shared.costs.release(batch.bills(), false, now.steady),
        }
    }

    /// Logs that the spent bytes of the budgets could not be written to the file.
    pub(super) fn budget_noted(&mut self, noted: std::io::Result<()>) {
        if let Err(error) = noted {
            let text = format!("cannot write logs-budget.json, a restart may spend the budgets again: {error}");
            self.log_throttled(Severity::Warn, LogKind::LogsBudget, LogSubject::Instance, &text);
        }
    }

    /// Returns the cause that goes into the dead letters of a batch's records, if they become dead letters. Records that end
    /// without one are noted for the next client report.
    fn drop_reason(&self, action: &Action<ChunkProgress>, code: u16, detail: &str) -> Option<Arc<DropReason>> {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if !batch.owners().all(|(chunk_progress, _)| chunk_progress.has_records()) {
            return None;
        }
        let drop_reason = match action {
            Action::Finish(_, Outcome::Accepted) | Action::Defer(_) | Action::Evict(..) => None,
            Action::Finish(_, outcome) => self.shared.drop_reason(*outcome, code, detail),
        };
        match action {
            // The server has counted what it limits.
            Action::Finish(_, outcome) if drop_reason.is_none() && !batch.limited => self.discarded(batch, *outcome),
            Action::Finish(..) if drop_reason.is_none() => {}
            _ if batch.limited => {
                batch
                    .owners()
                    .for_each(|(chunk_progress, records)| chunk_progress.counted_elsewhere(batch.category, records));
            }
            _ => {}
        }
        drop_reason
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
