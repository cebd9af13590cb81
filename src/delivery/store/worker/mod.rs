//! The spool's thread: opens the directory, hands chunks to the mapper, syncs the disk, and repairs external damage, so that
//! no flush does any of that.

pub(in crate::delivery) mod former;
pub(in crate::delivery) mod lost;
mod maintenance;
mod replay;
mod sync_schedule;
#[cfg(test)]
mod tests;

use super::error::SpoolError;
use super::offer::Found;
use super::segment::extent::{EXTENT_BYTES, Extent};
use super::spool::{Appended, Limits, Spool};
use crate::clock::Monotonic;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::state::Shared;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::sync::{Sender, lock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sync_schedule::SyncSchedule;

/// Interval at which the directory is maintained, and at which one that could not be opened is tried again.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Interval at which a full mapper queue is tried again.
const HAND_OVER: Duration = Duration::from_millis(100);

/// Time of the next sync with `spool_sync normal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncTime {
    /// At once: the worker ends.
    Now,
    /// The time that [`SyncSchedule::due`] returns.
    Scheduled,
}

/// Tells if chunks can be added to an extent while the mapper's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// The next chunk may follow it.
    Possible,
    /// The next chunk begins another extent.
    Over,
}

/// The worker.
pub(in crate::delivery) struct Worker<'s> {
    shared: &'s Shared,
    to_mapper: &'s Sender<Job>,
    /// The output's name.
    name: String,
    path: Option<PathBuf>,
    settings: u64,
    /// Directories that this output used before a reload, until they can be opened.
    former: Vec<PathBuf>,
    /// Former directories that are open and being drained.
    draining: Vec<Spool>,
    /// Chunks that did not fit into the mapper's queue.
    waiting: Option<Extent>,
    sync_schedule: SyncSchedule,
    last_maintenance: Option<Monotonic>,
}

impl<'s> Worker<'s> {
    pub(in crate::delivery) fn new(
        shared: &'s Shared,
        to_mapper: &'s Sender<Job>,
        name: &str,
        path: Option<PathBuf>,
        former: Vec<PathBuf>,
        settings: u64,
    ) -> Self {
        Self {
            shared,
            to_mapper,
            name: name.to_owned(),
            path,
            settings,
            former,
            draining: Vec::new(),
            waiting: None,
            sync_schedule: SyncSchedule::new(),
            last_maintenance: None,
        }
    }

    /// Works until the store is closed, or the instance's time is up.
    /// Returns the former directories, which stay locked until the caller drops them.
    pub(in crate::delivery) fn run(mut self) -> Vec<Spool> {
        self.open();
        loop {
            let found = self.shared.store.next(self.idle());
            let is_over = found.is_closing || self.shared.past_deadline();
            self.step(found, if is_over { SyncTime::Now } else { SyncTime::Scheduled });
            if is_over {
                self.log_lost();
                return self.draining;
            }
        }
    }

    /// Does the work that is due now; for tests on one thread.
    #[cfg(test)]
    pub(in crate::delivery) fn work(&mut self) {
        let found = self.shared.store.next(Duration::ZERO);
        self.step(found, SyncTime::Scheduled);
    }

    fn idle(&self) -> Duration {
        let now = self.shared.now().steady;
        let maintenance = self.last_maintenance.map_or(Monotonic::START, |last| last + MAINTENANCE_INTERVAL).since(now);
        let sync = self.sync_schedule.due().map_or(MAINTENANCE_INTERVAL, |due| due.since(now));
        let hand_over = if self.waiting.is_some() { HAND_OVER } else { MAINTENANCE_INTERVAL };
        // At least a millisecond: the thread must not spin.
        maintenance.min(sync).min(hand_over).max(Duration::from_millis(1))
    }

    fn step(&mut self, found: Found, sync_time: SyncTime) {
        let Found { appended, last, refusal, .. } = found;
        if let Some(error) = refusal {
            self.log_refusal(&error);
        }
        if self.shared.store.is_full_sync() {
            self.sync_and_hand_over(appended, last);
        } else {
            if !appended.is_empty() {
                self.sync_schedule.appended(self.shared.now().steady);
            }
            self.hand_over(appended.into_iter().map(|chunk| chunk.extent));
            self.sync(sync_time);
        }
        let now = self.shared.now().steady;
        if self.last_maintenance.is_none_or(|last| now >= last + MAINTENANCE_INTERVAL) {
            self.last_maintenance = Some(now);
            self.maintain();
        }
    }

    /// Opens the directory, and counts the chunks of an earlier process in this one.
    pub(in crate::delivery) fn open(&mut self) {
        self.last_maintenance = Some(self.shared.now().steady);
        let Some(path) = self.path.clone() else { return };
        if crate::options::is_writable_by_all(&path) {
            let text = format!(
                "spool_path = {}: every user may write there and plant records; expected mode 0700",
                path.display()
            );
            self.shared.log(Severity::Warn, LogKind::OpenSpool, text);
        }
        match Spool::open(&path, self.settings, self.limits()) {
            Ok((spool, recovery)) => {
                lock(&self.shared.spool_bytes).push(spool.bytes());
                // Before any log is mapped that a budget may withhold.
                if let Err(error) = self.shared.costs.open(&path, self.shared.now().wall) {
                    let text = format!("cannot read logs-budget.json, the budgets start anew: {error}");
                    self.shared.log(Severity::Warn, LogKind::LogsBudget, text);
                }
                self.replay(&path, recovery);
                self.shared.store.opened(spool);
            }
            Err(error) => {
                self.shared.store.unavailable();
                self.cannot_open(&path, &error);
            }
        }
    }

    fn limits(&self) -> Limits {
        Limits::of(self.shared.settings.spool_max_size)
    }

    fn cannot_open(&self, path: &Path, error: &SpoolError) {
        let path = path.display();
        match error {
            SpoolError::Locked => self.shared.log(
                Severity::Warn,
                LogKind::SpoolLocked,
                format!(
                    "spool {path} is locked by another instance, perhaps one that is shutting down; Fluent Bit keeps chunks until \
                     it is free (two outputs must not share a spool_path)"
                ),
            ),
            error => self.shared.log(
                Severity::Error,
                LogKind::SpoolUnusable,
                format!("spool {path} cannot be used, Fluent Bit keeps chunks: {error}"),
            ),
        }
    }

    fn log_refusal(&self, error: &SpoolError) {
        let (kind, text) = match error {
            SpoolError::Full { used, most } => (
                LogKind::SpoolFull,
                format!("spool is full ({used} of {most} bytes): Fluent Bit keeps chunks until Sentry accepts records"),
            ),
            error if error.is_out_of_descriptors() => (
                LogKind::Descriptors,
                "this process has no file descriptor left: Fluent Bit keeps chunks until there is one; raise the limit of \
                 open files (systemd: LimitNOFILE)"
                    .to_owned(),
            ),
            error => (LogKind::SpoolWrite, format!("cannot write the spool, Fluent Bit keeps chunks: {error}")),
        };
        self.shared.log(Severity::Warn, kind, text);
    }

    /// `spool_sync normal`: syncs all chunks since the last sync, if it is time to.
    fn sync(&mut self, sync_time: SyncTime) {
        let start = self.shared.now().steady;
        let Some(due) = self.sync_schedule.due() else { return };
        if sync_time == SyncTime::Scheduled && start < due {
            return;
        }
        if let Err(error) = self.shared.store.take_unsynced().run() {
            let text = format!("cannot sync the spool, a power failure now may lose records in it: {error}");
            self.shared.log(Severity::Error, LogKind::SpoolSync, text);
        }
        self.sync_schedule.synced(start, self.shared.now().steady);
    }

    /// `spool_sync full`: syncs once for all chunks that came meanwhile; only then does the plugin take them.
    fn sync_and_hand_over(&mut self, appended: Vec<Appended>, last: u64) {
        if appended.is_empty() {
            return self.hand_over(std::iter::empty());
        }
        if let Err(error) = self.shared.store.take_unsynced().run() {
            self.log_refusal(&error);
            return self.shared.store.roll_back(appended, last);
        }
        let records = appended.iter().map(|chunk| u64::from(chunk.extent.records())).sum();
        self.shared.recorder.take(records);
        self.shared.store.synced(last, &self.shared.retry_registry);
        self.hand_over(appended.into_iter().map(|chunk| chunk.extent));
    }

    /// Hands chunks to the mapper. Joins those that do not fit into its queue into one extent, which goes to the backlog when it
    /// has become large.
    fn hand_over(&mut self, extents: impl Iterator<Item = Extent>) {
        for extent in extents {
            let next = match &mut self.waiting {
                Some(waiting) => waiting.extend(extent),
                None => Some(extent),
            };
            if let Some(next) = next
                && let Some(full) = self.waiting.replace(next)
            {
                self.dispatch(full, Growth::Over);
            }
        }
        if let Some(rest) = self.waiting.take() {
            self.dispatch(rest, Growth::Possible);
        }
    }

    fn dispatch(&mut self, extent: Extent, growth: Growth) {
        let is_full = growth == Growth::Over || extent.length() >= EXTENT_BYTES;
        let has_capacity = !self.to_mapper.is_full() && !self.shared.past_deadline();
        if !has_capacity && !is_full {
            self.waiting = Some(extent);
            return;
        }
        let (chunk_progress, now) = (self.chunk_progress(extent), self.shared.now().steady);
        if !has_capacity {
            return lock(&self.shared.backlog).add(chunk_progress, now);
        }
        lock(&self.shared.backlog).add_live(chunk_progress);
        // The queue has a place, or the mapper has ended.
        let _ = self.to_mapper.try_send(Job::Spooled);
    }

    fn chunk_progress(&self, extent: Extent) -> Arc<ChunkProgress> {
        let (now, recorder) = (self.shared.now().steady, self.shared.recorder.clone());
        Arc::new(ChunkProgress::new(ChunkSource::Spool(extent), now, recorder, Default::default()))
    }

    fn shown_path(&self) -> String {
        self.path.as_deref().unwrap_or(Path::new("")).display().to_string()
    }

    fn log_lost(&self) {
        if let Some(text) = self.shared.lost.take() {
            let text = format!("spool {}: {text}", self.shown_path());
            let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Error, text));
        }
    }
}
