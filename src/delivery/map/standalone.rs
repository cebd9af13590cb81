//! Sends items that stand for no record: the closing events of storms, and the messages about budgets.

use crate::delivery::costs::Release;
use crate::delivery::map::record_writer::emit;
use crate::delivery::map::worker::Worker;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::{Batch, Bill, Reading, RecordIndex};
use crate::ledger::{Category, Ledger};
use crate::mapping::{self, DestinationId, Route};
use std::sync::Arc;

impl Worker<'_> {
    /// Sends the due messages about budgets as log items. They stand for no record.
    pub(super) fn tell_budgets(&mut self) {
        if !self.shared.costs.is_capping() {
            return;
        }
        let now = self.shared.now();
        for (payer, message) in self.shared.costs.due_messages(now.steady, now.wall) {
            let route_table = &self.shared.route_table;
            let is_its =
                |id: &DestinationId| route_table.get(*id).is_some_and(|target| target.identity == message.destination);
            let Some(destination) = route_table.destinations().into_iter().find(is_its) else {
                self.shared.costs.release(std::iter::once((payer, 0)), Release::Deferred, now.steady);
                continue;
            };
            let mut batch = Batch::new(Category::Log, Vec::new(), now.steady, Reading::Live).toward(destination);
            let (level, text) = (message.level(), message.text());
            let bytes = mapping::own_log::write(batch.open(), now.wall, level, &text, message.namespace());
            self.shared.costs.reserve_message(payer, bytes);
            let chunk_progress =
                ChunkProgress::new(ChunkSource::None, now.steady, Ledger::default().recorder(), Default::default());
            chunk_progress.claim(Category::Log, RecordIndex(0));
            chunk_progress.end_reading();
            batch.close_billed(&Arc::new(chunk_progress), RecordIndex(0), Bill { payer, bytes: bytes as u32 });
            emit(self.shared, batch);
        }
    }

    /// Sends the closing events of storms. They stand for no record, so they are counted in a ledger that is dropped.
    pub(super) fn close_storms(&mut self) {
        let now = self.shared.now();
        let closed = self.records.closed_storms(now.wall).into_iter();
        // The destination may have been removed since.
        for closing in closed {
            let Route::To(destination) = closing.routed.route else { continue };
            if self.shared.route_table.get(destination).is_none() {
                continue;
            }
            let chunk_progress =
                ChunkProgress::new(ChunkSource::None, now.steady, Ledger::default().recorder(), Default::default());
            chunk_progress.claim(Category::Event, RecordIndex(0));
            chunk_progress.end_reading();
            let batch = Batch::new(Category::Event, Vec::new(), now.steady, Reading::Live);
            let mut batch = batch.toward(destination);
            batch.open().extend_from_slice(&closing.payload);
            batch.close(&Arc::new(chunk_progress), RecordIndex(0), Some(closing.event_id));
            emit(self.shared, batch);
        }
    }
}
