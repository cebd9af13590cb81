//! Maintains the spool's directory once a second: repairs external changes, compacts, and retries failed work.

use super::lost::lose;
use super::{Worker, former};
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::inbox::Message;
use crate::delivery::store::chunk_file::SUFFIX;
use crate::delivery::store::error::SpoolError;
use crate::delivery::store::segment::{Descriptor, Segment};
use crate::delivery::store::spool::Spool;
use crate::delivery::track::chunk_progress::ChunkSource;
use crate::sync::lock;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Segments that are compacted in one run, at most: each of them needs a sync.
const COMPACTED: usize = 16;

/// Bytes that are read for compaction in one run, about.
const COMPACTED_BYTES: u64 = 32 << 20;

impl Worker<'_> {
    /// Runs once a second: detects changes that others have made to the directory, and retries work that failed before.
    pub(super) fn maintain(&mut self) {
        let store = &self.shared.store;
        let Some(files) = store.with(|spool| spool.files()) else {
            self.open();
            self.drain_former();
            return self.log_lost();
        };
        files.retry();
        store.with(Spool::keep_reserve);
        if let Some(segment) = store.with(Spool::take_finished).flatten() {
            segment.seal(Descriptor::Close);
        }
        self.keep_the_lock();
        self.find_missing();
        self.compact();
        self.drain_former();
        self.log_lost();
    }

    /// Compacts segments of which most has ended.
    fn compact(&self) {
        let wall = self.shared.now().wall;
        let segments = self.shared.store.with(|spool| spool.compactable(wall)).unwrap_or_default();
        let mut bytes = 0;
        for segment in segments.iter().take(COMPACTED) {
            bytes += segment.length();
            if bytes > COMPACTED_BYTES && bytes > segment.length() {
                return;
            }
            if let Err(error) = segment.compact() {
                let text = format!("cannot compact {} of the spool: {error}", segment.name());
                return self.shared.log(Severity::Warn, LogKind::SpoolCompact, text);
            }
        }
    }

    /// Creates a directory or a lock again that was removed from outside: without it another process could open the spool.
    fn keep_the_lock(&mut self) {
        let store = &self.shared.store;
        if store.with(|spool| spool.has_its_lock()).unwrap_or(true) {
            return;
        }
        let path = self.shown_path();
        match store.with(Spool::lock_again) {
            Some(Ok(())) => {
                // Chunks must not be appended to a file that was removed.
                self.find_missing();
                self.shared.log(
                    Severity::Warn,
                    LogKind::SpoolLock,
                    format!("spool {path}: the directory or its lock file was removed; it is created and locked again"),
                );
            }
            Some(Err(SpoolError::Locked)) => {
                let text = format!(
                    "spool {path}: its lock file was removed, and another process has opened the spool since: its \
                     records are left to that process and count here as lost"
                );
                self.shared.log(Severity::Error, LogKind::SpoolLock, text);
                let live = store.unavailable().map(|mut spool| spool.live()).unwrap_or_default();
                live.iter().for_each(|segment| {
                    segment.lose();
                });
                self.end_lost();
            }
            Some(Err(error)) => {
                let text = format!("spool {path} was removed and cannot be created again: {error}");
                self.shared.log(Severity::Error, LogKind::SpoolUnusable, text);
            }
            None => {}
        }
    }

    /// Ends the chunks of segments that were removed from outside.
    fn find_missing(&mut self) {
        let mut live = self.shared.store.with(Spool::live).unwrap_or_default();
        live.extend(self.draining.iter_mut().flat_map(Spool::live));
        let is_missing = |segment: &&Arc<Segment>| {
            let found = fs::symlink_metadata(segment.path());
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let missing = live.iter().filter(is_missing).filter(|segment| segment.lose()).count();
        if missing > 0 {
            self.end_lost();
        }
    }

    fn end_lost(&mut self) {
        let mut lost = lock(&self.shared.backlog).take_lost();
        if let Some(extent) = self.waiting.take_if(|extent| extent.segment().is_gone()) {
            lost.push(self.chunk_progress(extent));
        }
        for chunk_progress in lost {
            if let ChunkSource::Spool(extent) = &chunk_progress.source {
                lose(self.shared, &chunk_progress, extent);
            }
        }
    }

    /// Opens directories that the output used before a reload, and gives up those that have been drained.
    fn drain_former(&mut self) {
        for path in std::mem::take(&mut self.former) {
            if !has_segments(&path) {
                former::end(&self.name, &path);
                continue;
            }
            match Spool::open(&path, self.settings, self.limits()) {
                Ok((spool, recovery)) => {
                    let text =
                        format!("spool_path was {} before the reload: records left there are sent too", path.display());
                    let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Warn, text));
                    lock(&self.shared.spool_bytes).push(spool.bytes());
                    self.replay(&path, recovery);
                    self.draining.push(spool);
                }
                Err(error) => {
                    let text = format!(
                        "spool_path was {} before the reload, and records left there cannot be sent yet: {error}",
                        path.display()
                    );
                    self.shared.log(Severity::Warn, LogKind::FormerSpool, text);
                    self.former.push(path);
                }
            }
        }
        for mut spool in std::mem::take(&mut self.draining) {
            spool.files().retry();
            if spool.live().is_empty() {
                let text = format!("the former spool {} is empty", spool.path().display());
                let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Info, text));
                former::end(&self.name, spool.path());
            } else {
                self.draining.push(spool);
            }
        }
    }
}

/// Returns true if a directory contains segments, or cannot be listed.
fn has_segments(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == SUFFIX)),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
