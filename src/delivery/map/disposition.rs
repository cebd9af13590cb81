//! Decides on each record that could become an item: send, defer in its chunk, give up as a dead letter, or drop for others.

use crate::clock::Monotonic;
use crate::delivery::map::sink::RecordSink;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::route::dsn_sources;
use crate::delivery::shared::blocks::Decision;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource, RecordStatus};
use crate::ledger::{Category, Outcome};
use crate::mapping::{DestinationId, Route};
use std::sync::Arc;
use std::time::Duration;

const SPOOL_NEARLY_FULL: &str = "spool is 75 % full: dropping records of failing destinations to keep the others going; repair \
                         those destinations, or raise spool_max_size";

fn is_in_memory(chunk_progress: &ChunkProgress) -> bool {
    matches!(chunk_progress.source, ChunkSource::Memory)
}

/// The decision on a record that could become an item.
pub(super) enum Disposition {
    /// It becomes an item for this destination.
    Item(DestinationId),
    /// There is nothing to do: it has ended, is in flight, or has been deferred.
    Nothing,
    /// It is deferred until this time.
    Wait(Monotonic),
    /// It is given up for this reason.
    DeadLetter(Arc<DropReason>),
    /// It is dropped, because the spool is nearly full.
    Overflow,
}

fn give_up(outcome: Outcome, trigger: DropTrigger) -> Disposition {
    Disposition::DeadLetter(DropReason::shared(outcome, trigger))
}

impl RecordSink<'_> {
    /// Claims an open record that is to be sent now, which nearly all are. Returns its destination, or `None` if
    /// [`Self::disposition`] has to decide.
    pub(super) fn claim_at_once(&mut self, category: Category, record: u32, route: Route) -> Option<DestinationId> {
        let destination = route.destination().filter(|_| !self.shared.past_deadline())?;
        let (chunk_progress, own) = self.owner(record);
        let is_sent = self.decide(category, destination, &chunk_progress) == Decision::Send;
        (is_sent && chunk_progress.claim_open(category, own)).then_some(destination)
    }

    /// Decides on a record. `record` is the number by which the mapping knows it.
    pub(super) fn disposition(&mut self, category: Category, record: u32, route: Route) -> Disposition {
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
            RecordStatus::Rejected(reason) => Disposition::DeadLetter(reason),
            RecordStatus::Open => match route {
                Route::To(destination) => self.for_destination(category, destination, &chunk_progress),
                Route::Pending => self.until_known(category, &chunk_progress),
                Route::Unrouted => give_up(Outcome::Rejected, DropTrigger::NoDestination),
            },
        }
    }

    /// Decides on a record whose destination's source cannot be read yet.
    fn until_known(&self, category: Category, chunk_progress: &ChunkProgress) -> Disposition {
        let longest = if is_in_memory(chunk_progress) { Duration::ZERO } else { self.shared.longest_hold(category) };
        match self.now >= chunk_progress.taken + longest {
            true => give_up(Outcome::Rejected, DropTrigger::NoDestination),
            false => Disposition::Wait(self.now + dsn_sources::INTERVAL),
        }
    }

    /// Returns the decision of a destination's waits on an open record.
    fn decide(&mut self, category: Category, destination: DestinationId, chunk_progress: &ChunkProgress) -> Decision {
        if self.waits_of != Some(destination) {
            (self.waits_of, self.waits) = (Some(destination), self.shared.blocks.get(destination));
        }
        let longest = self.shared.longest_hold(category);
        self.waits.decide(category, chunk_progress.taken, longest, self.now)
    }

    /// Decides on an open record for a destination by the destination's waits.
    fn for_destination(
        &mut self,
        category: Category,
        destination: DestinationId,
        chunk_progress: &ChunkProgress,
    ) -> Disposition {
        match self.decide(category, destination, chunk_progress) {
            Decision::Send => Disposition::Item(destination),
            Decision::GiveUp(outcome) => give_up(outcome, DropTrigger::HoldExpired),
            // In memory it waits as an item, unless deferred items have filled their share.
            Decision::Defer(_) if is_in_memory(chunk_progress) && !self.shared.budget.is_full(category) => {
                Disposition::Item(destination)
            }
            Decision::Defer(until) => match self.waits.eviction_outcome(category).filter(|_| self.is_spool_nearly_full)
            {
                None => Disposition::Wait(until),
                Some(outcome) => {
                    if !std::mem::replace(&mut self.has_logged_evictions, true) {
                        self.shared.log(Severity::Error, LogKind::SpoolShare, SPOOL_NEARLY_FULL.to_owned());
                    }
                    if outcome == Outcome::Overflow {
                        Disposition::Overflow
                    } else {
                        give_up(outcome, DropTrigger::Evicted)
                    }
                }
            },
        }
    }
}
