//! Ends records whose segment was removed or cannot be read.

use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::state::Shared;
use crate::delivery::store::error::SpoolError;
use crate::delivery::store::segment::extent::Extent;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::ledger::{Category, Outcome};
use crate::sync::lock;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The number of times that an extent is read if it cannot be read for another reason than that it is not there.
const READINGS: u64 = 3;

/// Time between two of them, and before one that had no descriptor or memory is read again.
const AGAIN: Duration = Duration::from_secs(5);

/// Defers chunks that could not be read, or ends them as lost if reading again cannot help.
pub(in crate::delivery) fn unreadable(shared: &Shared, chunk_progress: &Arc<ChunkProgress>, error: &SpoolError) {
    let ChunkSource::Spool(extent) = &chunk_progress.source else { return };
    if error.is_temporary() || !is_final(error) && extent.fail() < READINGS {
        let text = format!("cannot read {} of the spool, trying again: {error}", extent.segment().name());
        shared.log(Severity::Error, LogKind::SpoolRead, text);
        return lock(&shared.backlog).add(Arc::clone(chunk_progress), shared.now().steady + AGAIN);
    }
    if matches!(error, SpoolError::Read(error) if error.kind() == io::ErrorKind::NotFound) {
        extent.segment().lose();
    }
    lose(shared, chunk_progress, extent);
}

/// Ends the unfinished records of chunks that cannot be read any more. Items in flight end by themselves.
pub(super) fn lose(shared: &Shared, chunk_progress: &Arc<ChunkProgress>, extent: &Extent) {
    chunk_progress.begin_reading();
    let (records, items) = chunk_progress.end_rest(extent.records(), Outcome::Lost);
    shared.lost.add(extent.segment().name(), u64::from(records));
    // The destination of unread records is known only if there is a single one.
    let only = Some(shared.route_table.destinations()).filter(|all| all.len() == 1);
    if let Some(target) = only.and_then(|all| shared.route_table.get(all[0])).filter(|_| shared.reports.is_on()) {
        for category in Category::ALL {
            let items = u64::from(items[*category]);
            shared.reports.add(target.identity, *category, Outcome::Lost, items, 0);
        }
    }
    let status = chunk_progress.end_reading();
    shared.finish(chunk_progress, status);
}

/// Returns true if another reading would fail, too.
fn is_final(error: &SpoolError) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound, UnexpectedEof};
    match error {
        SpoolError::Read(error) => matches!(error.kind(), NotFound | UnexpectedEof | IsADirectory),
        error => matches!(error, SpoolError::Damaged | SpoolError::Version(_)),
    }
}
