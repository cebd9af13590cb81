//! The spool's thread: opens the directory, hands chunks to the mapper, syncs the disk, and repairs external damage, so that
//! no flush does any of that.

use super::chunk_file::Chunk;
use super::chunk_file::SUFFIX;
use super::error::SpoolError;
use super::extent::{EXTENT_BYTES, Extent};
use super::former;
use super::lost::lose;
use super::offer::Found;
use super::segment::Segment;
use super::spool::{Appended, Limits, Recovered, Recovery, Spool};
use crate::clock::Monotonic;
use crate::delivery::dispatch::dispatcher::Message;
use crate::delivery::report::host::Severity;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::delivery::{Job, Shared, lock};
use crate::sync::Sender;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Shortest interval between two syncs with `spool_sync normal`: a power failure loses at most the chunks that came since
/// the last one.
const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// Interval at which the directory is maintained, and at which one that could not be opened is tried again.
const CARE_INTERVAL: Duration = Duration::from_secs(1);

/// Interval at which a full mapper queue is tried again.
const HAND_OVER: Duration = Duration::from_millis(100);

/// Segments that are compacted each time the directory is looked after, at most: each of them needs a sync.
const COMPACTED: usize = 16;

/// Bytes of them that are read, about.
const COMPACTED_BYTES: u64 = 32 << 20;

/// Extents of an earlier process that are read before the first live chunk: it may continue a trace that they end with.
const LAST: usize = 4;

/// The backlog of an earlier process waits up to this long, so that a cluster that restarts does not come back at once.
const REPLAY_DELAY: Duration = Duration::from_secs(2);

/// Files with a line of their own in the log when a directory is opened, at most.
const NAMED: usize = 20;

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
    /// Those that are being drained.
    draining: Vec<Spool>,
    /// Chunks that the mapper's queue had no room for.
    waiting: Option<Extent>,
    last_sync: Monotonic,
    last_care: Option<Monotonic>,
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
            last_sync: Monotonic::START,
            last_care: None,
        }
    }

    /// Works until the store is closed, or the instance's time is up.
    /// Returns the former directories, which stay locked as long as they are kept.
    pub(in crate::delivery) fn run(mut self) -> Vec<Spool> {
        self.open();
        loop {
            let found = self.shared.store.next(self.idle());
            let is_over = found.is_closing || self.shared.past_deadline();
            self.step(found, is_over);
            if is_over {
                self.tell_lost();
                return self.draining;
            }
        }
    }

    /// Does the work that is due now; for tests on one thread.
    #[cfg(test)]
    pub(in crate::delivery) fn work(&mut self) {
        let found = self.shared.store.next(Duration::ZERO);
        self.step(found, false);
    }

    fn idle(&self) -> Duration {
        let now = self.shared.now().steady;
        let care = self.last_care.map_or(Monotonic::START, |last| last + CARE_INTERVAL).since(now);
        let sync = match self.shared.store.with(|spool| spool.is_unsynced()) {
            Some(true) => (self.last_sync + SYNC_INTERVAL).since(now),
            _ => CARE_INTERVAL,
        };
        let hand_over = if self.waiting.is_some() { HAND_OVER } else { CARE_INTERVAL };
        // A wait of no time is none at all.
        care.min(sync).min(hand_over).max(Duration::from_millis(1))
    }

    fn step(&mut self, found: Found, is_over: bool) {
        let Found { appended, last, refusal, .. } = found;
        if let Some(error) = refusal {
            self.complain(&error);
        }
        if self.shared.store.is_full_sync() {
            self.sync_and_hand_over(appended, last);
        } else {
            self.hand_over(appended.into_iter().map(|chunk| chunk.extent));
            self.sync(is_over);
        }
        let now = self.shared.now().steady;
        if self.last_care.is_none_or(|last| now >= last + CARE_INTERVAL) {
            self.last_care = Some(now);
            self.care();
        }
    }

    /// Opens the directory, and counts the chunks of an earlier process in this one.
    pub(in crate::delivery) fn open(&mut self) {
        self.last_care = Some(self.shared.now().steady);
        let Some(path) = self.path.clone() else { return };
        if crate::options::is_writable_by_all(&path) {
            let text = format!(
                "spool_path = {}: every user may write there and plant records; expected mode 0700",
                path.display()
            );
            self.shared.say(Severity::Warn, "open spool", text);
        }
        match Spool::open(&path, self.settings, self.limits()) {
            Ok((spool, recovery)) => {
                lock(&self.shared.spool_bytes).push(spool.bytes());
                // Before any log is mapped that a budget may withhold.
                if let Err(error) = self.shared.costs.open(&path, self.shared.now().wall) {
                    let text = format!("cannot read logs-budget.json, the budgets start anew: {error}");
                    self.shared.say(Severity::Warn, "logs budget", text);
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

    /// Opens directories that the output used before a reload, and gives up those that have been drained.
    fn drain_former(&mut self) {
        for path in std::mem::take(&mut self.former) {
            if !holds_segments(&path) {
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
                    self.shared.say(Severity::Warn, "former spool", text);
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

    fn cannot_open(&self, path: &Path, error: &SpoolError) {
        let path = path.display();
        match error {
            SpoolError::Locked => self.shared.say(
                Severity::Warn,
                "spool locked",
                format!(
                    "spool {path} is locked by another instance, perhaps one that is shutting down; Fluent Bit keeps chunks until \
                     it is free (two outputs must not share a spool_path)"
                ),
            ),
            error => self.shared.say(
                Severity::Error,
                "spool unusable",
                format!("spool {path} cannot be used, Fluent Bit keeps chunks: {error}"),
            ),
        }
    }

    fn complain(&self, error: &SpoolError) {
        let (kind, text) = match error {
            SpoolError::Full { used, most } => (
                "spool full",
                format!("spool is full ({used} of {most} bytes): Fluent Bit keeps chunks until Sentry accepts records"),
            ),
            error if error.is_out_of_descriptors() => (
                "descriptors",
                "this process has no file descriptor left: Fluent Bit keeps chunks until there is one; raise the limit of \
                 open files (systemd: LimitNOFILE)"
                    .to_owned(),
            ),
            error => ("spool write", format!("cannot write the spool, Fluent Bit keeps chunks: {error}")),
        };
        self.shared.say(Severity::Warn, kind, text);
    }

    /// Queues the chunks that an earlier process left.
    fn replay(&self, path: &Path, recovery: Recovery) {
        let Recovery { extents, recent, problems } = recovery;
        let more = problems.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("{more} more files are skipped, cut or damaged"));
        for problem in problems.into_iter().take(NAMED).chain(more) {
            let text = format!("spool {}: {problem}", path.display());
            let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Warn, text));
        }
        self.expect_again(&recent);
        if extents.is_empty() {
            return;
        }
        let records: u64 = extents.iter().map(|found| u64::from(found.extent.records())).sum();
        let text = format!("sending {records} records that a previous process left in the spool {}", path.display());
        self.shared.say(Severity::Info, "replay", text);
        let now = self.shared.now();
        let delay = REPLAY_DELAY.mul_f64(f64::from(now.wall.subsec_nanos() % 1_000) / 1_000.0);
        let last = extents.len().saturating_sub(LAST);
        for (at, Recovered { extent, progress }) in extents.into_iter().enumerate() {
            // What is sent again counts here, all of it, so that the books of this process close.
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
            *chunks.entry(self.shared.registry.identity(&chunk.tag, &chunk.data)).or_default() += 1;
        }
        chunks.into_iter().for_each(|(identity, times)| self.shared.registry.expect_at_least(identity, times));
    }

    /// `spool_sync normal`: at most one sync in an interval, for all chunks since the last.
    fn sync(&mut self, is_over: bool) {
        let now = self.shared.now().steady;
        let is_due = is_over || now >= self.last_sync + SYNC_INTERVAL;
        if !is_due || !self.shared.store.with(|spool| spool.is_unsynced()).unwrap_or(false) {
            return;
        }
        let work = self.shared.store.take_unsynced();
        if let Err(error) = work.run() {
            let text = format!("cannot sync the spool, a power failure now may lose records in it: {error}");
            self.shared.say(Severity::Error, "spool sync", text);
        }
        self.last_sync = self.shared.now().steady;
    }

    /// `spool_sync full`: syncs once for all chunks that came meanwhile; only then does the plugin take them.
    fn sync_and_hand_over(&mut self, appended: Vec<Appended>, last: u64) {
        if appended.is_empty() {
            return self.hand_over(std::iter::empty());
        }
        if let Err(error) = self.shared.store.take_unsynced().run() {
            self.complain(&error);
            return self.shared.store.take_back(appended, last);
        }
        let records = appended.iter().map(|chunk| u64::from(chunk.extent.records())).sum();
        self.shared.recorder.take(records);
        self.shared.store.synced(last, &self.shared.registry);
        self.hand_over(appended.into_iter().map(|chunk| chunk.extent));
    }

    /// Hands chunks to the mapper. What it has no room for is put together, and goes to the backlog when it has become
    /// large: it is on the disk.
    fn hand_over(&mut self, extents: impl Iterator<Item = Extent>) {
        for extent in extents {
            let next = match &mut self.waiting {
                Some(waiting) => waiting.extend(extent),
                None => Some(extent),
            };
            if let Some(next) = next
                && let Some(full) = self.waiting.replace(next)
            {
                self.dispatch(full, true);
            }
        }
        if let Some(rest) = self.waiting.take() {
            self.dispatch(rest, false);
        }
    }

    fn dispatch(&mut self, extent: Extent, is_full: bool) {
        let is_full = is_full || extent.length() >= EXTENT_BYTES;
        let has_room = !self.to_mapper.is_full() && !self.shared.past_deadline();
        if !has_room && !is_full {
            self.waiting = Some(extent);
            return;
        }
        let (chunk_progress, now) = (self.chunk_progress(extent), self.shared.now().steady);
        if !has_room {
            return lock(&self.shared.backlog).add(chunk_progress, now);
        }
        lock(&self.shared.backlog).add_live(chunk_progress);
        // There is room, or there is no mapper any more.
        let _ = self.to_mapper.try_send(Job::Spooled);
    }

    fn chunk_progress(&self, extent: Extent) -> Arc<ChunkProgress> {
        let (now, recorder) = (self.shared.now().steady, self.shared.recorder.clone());
        Arc::new(ChunkProgress::new(ChunkSource::Spool(extent), now, recorder, Default::default()))
    }

    /// Runs once a second: detects changes that others have made to the directory, and retries work that failed before.
    fn care(&mut self) {
        let store = &self.shared.store;
        let Some(files) = store.with(|spool| spool.files()) else {
            self.open();
            self.drain_former();
            return self.tell_lost();
        };
        files.retry();
        store.with(Spool::keep_spare);
        if let Some(segment) = store.with(Spool::take_settled).flatten() {
            segment.seal(false);
        }
        self.keep_the_lock();
        self.find_missing();
        self.compact();
        self.drain_former();
        self.tell_lost();
    }

    /// Gives bytes back of segments of which little is needed any more.
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
                return self.shared.say(Severity::Warn, "spool compact", text);
            }
        }
    }

    /// Creates a directory or a lock again that somebody has removed: without it another process could open the spool.
    fn keep_the_lock(&mut self) {
        let store = &self.shared.store;
        if store.with(|spool| spool.has_its_lock()).unwrap_or(true) {
            return;
        }
        let path = self.shown_path();
        match store.with(Spool::lock_again) {
            Some(Ok(())) => {
                // Chunks must not go on going into a file that nobody will find.
                self.find_missing();
                self.shared.say(
                    Severity::Warn,
                    "spool lock",
                    format!("spool {path}: the directory or its lock file was removed; it is created and locked again"),
                );
            }
            Some(Err(SpoolError::Locked)) => {
                let text = format!(
                    "spool {path}: its lock file was removed, and another process has opened the spool since: its \
                     records are left to that process and count here as lost"
                );
                self.shared.say(Severity::Error, "spool lock", text);
                let live = store.unavailable().map(|mut spool| spool.live()).unwrap_or_default();
                live.iter().for_each(|segment| {
                    segment.lose();
                });
                self.end_lost();
            }
            Some(Err(error)) => {
                let text = format!("spool {path} was removed and cannot be created again: {error}");
                self.shared.say(Severity::Error, "spool unusable", text);
            }
            None => {}
        }
    }

    /// Ends the chunks of segments that somebody has removed.
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
            if let ChunkSource::Spool(extent) = &chunk_progress.home {
                lose(self.shared, &chunk_progress, extent);
            }
        }
    }

    fn shown_path(&self) -> String {
        self.path.as_deref().unwrap_or(Path::new("")).display().to_string()
    }

    fn tell_lost(&self) {
        if let Some(text) = self.shared.lost.take() {
            let text = format!("spool {}: {text}", self.shown_path());
            let _ = self.shared.to_dispatcher.send(Message::Log(Severity::Error, text));
        }
    }
}

/// Returns true if a directory holds chunks. What cannot be looked at may.
fn holds_segments(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == SUFFIX)),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
