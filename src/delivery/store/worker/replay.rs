//! Queues the chunks that an earlier process left in a directory.

use super::Worker;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::inbox::Message;
use crate::delivery::store::chunk_file::Chunk;
use crate::delivery::store::spool::recovery::{Recovered, Recovery};
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::sync::lock;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Extents of an earlier process that are read before the first live chunk: it may continue a trace that they end with.
const LAST: usize = 4;

/// The backlog of an earlier process waits up to this long, so that a cluster that restarts does not come back at once.
const REPLAY_DELAY: Duration = Duration::from_secs(2);

/// Files with a line of their own in the log when a directory is opened, at most.
const NAMED: usize = 20;

impl Worker<'_> {
    /// Queues the chunks that an earlier process left.
    pub(super) fn replay(&self, path: &Path, recovery: Recovery) {
        let Recovery { extents, recent, problems } = recovery;
        let more = problems.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("more files that are skipped, cut or damaged: {more}"));
        for problem in problems.into_iter().take(NAMED).chain(more) {
            let text = format!("spool {}: {problem}", path.display());
            let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Warn, text));
        }
        self.expect_again(&recent);
        if extents.is_empty() {
            return;
        }
        let records: u64 = extents.iter().map(|found| u64::from(found.extent.records())).sum();
        let text =
            format!("sending the records that a previous process left in the spool {}: {records}", path.display());
        self.shared.log(Severity::Info, LogKind::Replay, text);
        let now = self.shared.now();
        let delay = REPLAY_DELAY.mul_f64(f64::from(now.wall.subsec_nanos() % 1_000) / 1_000.0);
        let last = extents.len().saturating_sub(LAST);
        for (at, Recovered { extent, progress }) in extents.into_iter().enumerate() {
            // All records count in this process, those that have ended too, so that its ledger closes.
            let recorder = self.shared.recorder.clone();
            recorder.take(u64::from(extent.records()));
            progress.ended.tell(&recorder);
            let chunk_progress = ChunkProgress::replayed(extent, now.steady, recorder, progress);
            let mut backlog = lock(&self.shared.backlog);
            match at >= last {
                true => backlog.add_last(Arc::new(chunk_progress), now.steady + delay),
                false => backlog.add_delayed(Arc::new(chunk_progress), now.steady + delay),
            }
        }
    }

    fn expect_again(&self, recent: &[Chunk]) {
        let mut chunks = HashMap::<u128, u32>::new();
        for chunk in recent {
            *chunks.entry(self.shared.retry_registry.identity(&chunk.tag, &chunk.data)).or_default() += 1;
        }
        chunks.into_iter().for_each(|(identity, times)| self.shared.retry_registry.expect_at_least(identity, times));
    }
}
