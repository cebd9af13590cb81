//! Ends the dispatcher: decides when nothing more can be sent, cuts the requests in flight, and accounts for the items that
//! remain.

use super::{CUT_GRACE, Dispatcher};
use crate::delivery::costs::Mark;
use crate::delivery::dispatch::destination::Action;
use crate::delivery::report::client_reports::Quantity;
use crate::delivery::report::host::Severity;
use crate::delivery::shared::backlog::Readable;
use crate::delivery::shared::inbox::Message;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::Batch;
use crate::ledger::{Category, Outcome, Snapshot};
use crate::mapping::DestinationId;
use crate::sync::Receiver;
use std::collections::HashMap;

/// Returns the last log line, with the numbers of items that Sentry has not received; `None` if it has received all.
fn losses(snapshot: &Snapshot) -> Option<String> {
    const LOSSES: [Outcome; 7] = [
        Outcome::Lost,
        Outcome::Overflow,
        Outcome::Abandoned,
        Outcome::RateLimited,
        Outcome::Rejected,
        Outcome::TooLarge,
        Outcome::Invalid,
    ];
    let mut counts = Vec::new();
    for category in Category::ALL {
        for outcome in LOSSES {
            let count = snapshot.outcome(*category, outcome);
            if count > 0 {
                counts.push(format!("{}.{}={count}", category.name(), outcome.name()));
            }
        }
    }
    if counts.is_empty() {
        return None;
    }
    let in_memory = Category::ALL.iter().any(|category| snapshot.outcome(*category, Outcome::Lost) > 0);
    let advice = if in_memory { "; set spool_path to keep items when Fluent Bit stops" } else { "" };
    Some(format!("items that did not reach Sentry: {}{advice}", counts.join(" ")))
}

/// Envelopes of records that are in memory only, by destination and category.
#[derive(Debug, Default)]
struct Queued(HashMap<(DestinationId, Category), Quantity>);

impl Queued {
    fn add(&mut self, batch: &Batch<ChunkProgress>) {
        let ours = batch.owners().filter(|(chunk_progress, _)| matches!(chunk_progress.source, ChunkSource::Memory));
        let items: usize = ours.map(|(_, records)| records.count()).sum();
        let quantity = Quantity { items: items as u64, bytes: batch.bytes() as u64 };
        *self.0.entry((batch.destination, batch.category)).or_default() += quantity;
    }
}

impl Dispatcher {
    pub(super) fn is_over(&self, inbox: &Receiver<Message>) -> bool {
        let Some(deadline) = self.closing else { return false };
        let now = self.shared.now().steady;
        let idle = self.scheduler.in_flight() == 0;
        let nothing_more = self.shared.starts_nothing()
            || self.scheduler.queued() == 0
            || self.scheduler.wake(now).is_some_and(|at| at >= deadline)
            || self.scheduler.waiting().all(|destination| self.is_too_late(destination));
        let [ok, limited, ..] = self.scheduler.states(self.shared.route_table.destinations(), now);
        let may_send = ok + limited > 0 && !self.shared.starts_nothing();
        let readable = if may_send { Readable::All } else { Readable::Rejected };
        // Order matters: check the mapper before the inbox, because a quiet mapper has sent all that it read.
        now >= deadline || idle && nothing_more && self.shared.is_drained(readable) && inbox.is_empty()
    }

    /// Cuts the requests still in flight, leaves the remaining items where they came from, and logs the result.
    pub(super) fn end(mut self, inbox: &Receiver<Message>) {
        self.shared.lifecycle.end_drain();
        self.shared.budget.close();
        let cut = self.scheduler.in_flight() > 0;
        if cut {
            self.is_cutting = true;
            self.client.shutdown();
        }
        while self.scheduler.in_flight() > 0 {
            let Ok(message) = inbox.recv_timeout(CUT_GRACE) else { break };
            self.handle(message);
        }
        // Wait for the mapper: it would end records a second time that the dispatcher counts as lost.
        while !self.is_mapper_done {
            let Ok(message) = inbox.recv() else { break };
            self.handle(message);
        }
        inbox.try_iter().for_each(|message| self.handle(message));
        let mut lost = Queued::default();
        for batch in self.scheduler.drain() {
            lost.add(&batch);
            self.action(Action::Defer(batch));
        }
        if self.is_volatile {
            self.lose(lost);
        }
        if !cut {
            self.send_last_reports(inbox);
        }
        self.publish();
        let noted = self.shared.costs.save(Mark::Exact);
        self.budget_noted(noted);
        let snapshot = self.ledger.snapshot();
        if let Some(text) = losses(&snapshot) {
            self.host.log(Severity::Error, &text);
        }
        self.summarise(snapshot);
    }

    /// Counts the items that were in memory only as lost. The destination of items that were in no envelope is known only if
    /// there is one destination.
    fn lose(&mut self, queued: Queued) {
        let snapshot = self.ledger.snapshot();
        let only = Some(self.shared.route_table.destinations()).filter(|all| all.len() == 1).map(|all| all[0]);
        for category in Category::ALL {
            // Records of chunks that Fluent Bit keeps are not lost.
            let lost = snapshot.pending(*category).saturating_sub(self.shared.retry_registry.pending(*category));
            self.shared.recorder.end(*category, Outcome::Lost, lost);
            let cells = queued.0.iter().filter(|((_, of), _)| of == category);
            let known: u64 = cells.clone().map(|(_, quantity)| quantity.items).sum();
            let rest = only.map(|id| (id, Quantity { items: lost.saturating_sub(known), bytes: 0 }));
            for (id, Quantity { items, bytes }) in cells.map(|((id, _), quantity)| (*id, *quantity)).chain(rest) {
                let Some(target) = self.shared.route_table.get(id) else { continue };
                self.shared.reports.add(target.identity, *category, Outcome::Lost, items, bytes);
            }
        }
    }
}
