//! Ends records whose segment was removed or cannot be read.

use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::state::Shared;
use crate::delivery::store::error::SpoolError;
use crate::delivery::store::extent::Extent;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::ledger::{Category, Outcome};
use crate::sync::{Mutex, lock};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The number of times that an extent is read if it cannot be read for another reason than that it is not there.
const READINGS: u64 = 3;

/// Time between two of them, and before one that had no descriptor or memory is read again.
const AGAIN: Duration = Duration::from_secs(5);

/// Names of files in one line of the log, at most.
const NAMED: usize = 5;

/// Lost records by the name of their segment, until the log has told of them.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Lost(Mutex<BTreeMap<String, u64>>);

impl Lost {
    fn add(&self, name: String, records: u64) {
        *lock(&self.0).entry(name).or_default() += records;
    }

    /// Takes all of it as words for the log.
    pub(super) fn take(&self) -> Option<String> {
        let lost = std::mem::take(&mut *lock(&self.0));
        let total: u64 = lost.values().sum();
        if lost.is_empty() {
            return None;
        }
        let mut text =
            format!("{total} records are lost with {} files that were removed or cannot be read: ", lost.len());
        for (at, (name, records)) in lost.iter().take(NAMED).enumerate() {
            let _ = write!(text, "{}{name} ({records} records)", if at > 0 { ", " } else { "" });
        }
        if lost.len() > NAMED {
            let _ = write!(text, " and {} more", lost.len() - NAMED);
        }
        Some(text)
    }
}

/// Sees to chunks that could not be read: they are read again later, or are lost.
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
    chunk_progress.begin();
    let (records, items) = chunk_progress.end_rest(extent.records(), Outcome::Lost);
    shared.lost.add(extent.segment().name(), u64::from(records));
    // Nobody knows where unread records would have gone, unless there is one destination.
    let only = Some(shared.route_table.destinations()).filter(|all| all.len() == 1);
    if let Some(target) = only.and_then(|all| shared.route_table.get(all[0])).filter(|_| shared.reports.is_on()) {
        for category in Category::ALL {
            let items = u64::from(items[*category]);
            shared.reports.add(target.identity, *category, Outcome::Lost, items, 0);
        }
    }
    let status = chunk_progress.mapped();
    shared.finish(chunk_progress, status);
}

/// Returns true if reading once more cannot help.
fn is_final(error: &SpoolError) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound, UnexpectedEof};
    match error {
        SpoolError::Read(error) => matches!(error.kind(), NotFound | UnexpectedEof | IsADirectory),
        error => matches!(error, SpoolError::Damaged | SpoolError::Version(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_few_files_with_their_counts_and_counts_the_rest() {
        let lost = Lost::default();
        assert_eq!(lost.take(), None);
        (0..7).for_each(|file| lost.add(format!("{file}.msgpack"), 10));
        lost.add("0.msgpack".to_owned(), 5);
        let text = lost.take().unwrap();
        assert!(
            text.starts_with("75 records are lost with 7 files") && text.contains("0.msgpack (15 records), 1."),
            "{text}"
        );
        assert!(text.ends_with("4.msgpack (10 records) and 2 more"), "{text}");
        assert_eq!(lost.take(), None, "it is told once");
    }
}
