//! Writes one item of the record sink into its envelope, and passes full envelopes to the dispatcher.

use crate::delivery::costs::OnRefusal;
use crate::delivery::map::sink::RecordSink;
use crate::delivery::shared::inbox::{AwaitedMemory, Message};
use crate::delivery::shared::state::Shared;
use crate::delivery::store::dead_letters::DeadLetter;
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::envelope::{self, Batch};
use crate::ledger::{Category, Outcome};
use crate::mapping::{Bill, DestinationId, Finished, Item, ItemWriter};

/// Passes an envelope to the dispatcher. Waits for its bytes in the memory budget.
pub(in crate::delivery) fn emit(shared: &Shared, mut batch: Batch<ChunkProgress>) {
    let bytes = batch.bytes() as u64;
    let (destination, category) = (batch.destination, batch.category);
    // The dispatcher evicts deferred items only for a destination that it knows.
    let before_wait =
        || drop(shared.to_dispatcher.send(Message::AwaitsMemory(destination, AwaitedMemory { category, bytes })));
    shared.budget.reserve(category, bytes, || shared.blocks.get(destination).is_blocked(category), before_wait);
    batch.reserved = bytes;
    let _ = shared.to_dispatcher.send(Message::Batch(Box::new(batch)));
}

/// The place to which an item is written.
pub(super) enum Place {
    /// Behind the other logs for this destination.
    Log(DestinationId),
    /// In an envelope of its own.
    Event(Box<Batch<ChunkProgress>>),
    /// A scratch buffer: the item becomes a dead letter, of which only the event id is needed.
    DeadLetter(Box<DeadLetter>),
    /// It is written.
    Finished,
}

/// Writes one item of a [`RecordSink`].
pub(in crate::delivery) struct RecordWriter<'w, 'i> {
    pub(super) sink: &'w mut RecordSink<'i>,
    pub(super) item: Item,
    pub(super) place: Place,
}

impl RecordWriter<'_, '_> {
    /// Ends the record of a log that no budget pays for.
    fn discard_unpaid(mut self, destination: DestinationId) {
        self.sink.logs.mend();
        self.place = Place::Finished;
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let status = chunk_progress.finish(Category::Log, std::iter::once(own), Outcome::OverBudget);
        self.sink.shared.finish(&chunk_progress, status);
        self.sink.report(self.item, Outcome::OverBudget, Some(destination));
    }

    fn finish_log(mut self, destination: DestinationId, bill: &Bill) {
        let RecordSink { shared, wall, .. } = *self.sink;
        let costs = &shared.costs;
        if costs.is_capped(bill.payer) && !costs.reserve(bill.payer, bill.level, bill.bytes, wall, OnRefusal::Count) {
            return self.discard_unpaid(destination);
        }
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let bill = envelope::Bill { payer: bill.payer, bytes: u32::try_from(bill.bytes).unwrap_or(u32::MAX) };
        let full = self.sink.logs.close(destination, &chunk_progress, own, bill);
        self.place = Place::Finished;
        self.sink.emit_if_full(full);
    }
}

impl ItemWriter for RecordWriter<'_, '_> {
    fn json(&mut self) -> &mut Vec<u8> {
        match &mut self.place {
            Place::Log(destination) => self.sink.logs.buffer(*destination).unwrap_or(&mut self.sink.scratch),
            Place::Event(batch) => batch.open(),
            Place::DeadLetter(_) | Place::Finished => &mut self.sink.scratch,
        }
    }

    fn finish(mut self, finished: Finished) {
        #[cfg(test)]
        crate::delivery::map::injected_panic::check(self.item.category, self.sink.owner(self.item.record).1);
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
            (Place::DeadLetter(mut dead_letter), finished) => {
                dead_letter.event_id = finished.event_id();
                self.sink.pass.dead_letters.push(*dead_letter);
            }
            // The item was finished as one of the other category: the drop discards it.
            (place, _) => self.place = place,
        }
    }
}

/// Discards an unfinished item, such as after a panic, and opens its record again.
impl Drop for RecordWriter<'_, '_> {
    fn drop(&mut self) {
        match self.place {
            Place::Log(_) => self.sink.logs.mend(),
            Place::Event(_) => {}
            Place::DeadLetter(_) | Place::Finished => return,
        }
        let (chunk_progress, own) = self.sink.owner(self.item.record);
        let _ = chunk_progress.defer(self.item.category, std::iter::once(own));
    }
}
