//! Takes chunks into the spool: shares the spool between flushes and its worker, under one lock.
//!
//! A flush offers its chunk ([`Store::offer`]), which is appended under the lock. With `spool_sync full` the flush then waits for
//! the sync ([`Store::wait_for_sync`]). A flush that has waited too long returns RETRY, and its chunk becomes unacknowledged: when
//! Fluent Bit offers the chunk again before the sync, its flush waits for the same sync; after the sync, the chunk is one that the
//! retry registry expects, and is taken at once without being appended a second time.

use super::error::SpoolError;
use super::spool::{Appended, Spool, SyncWork, WhenFull};
use crate::clock::{Stopwatch, WallTime};
use crate::ledger::Recorder;
use crate::options::SpoolSync;
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// True while Fluent Bit reloads its configuration. It waits until its chunks are taken before it ends the old instances.
/// Written by Fluent Bit's calls of the library; read by flushes.
static IS_RELOADING: AtomicBool = AtomicBool::new(false);

/// Begins a reload of Fluent Bit's configuration. During a reload chunks are taken beyond `spool_max_size`, because a full
/// spool would keep the old configuration running until Sentry is back.
pub(crate) fn begin_reload() {
    IS_RELOADING.store(true, Relaxed);
}

/// Ends a reload, if there is one.
pub(crate) fn end_reload() {
    IS_RELOADING.store(false, Relaxed);
}

/// The chunks that Fluent Bit may offer again although a spool has taken them.
pub(crate) trait ChunkIdentities {
    /// Returns the identity of a chunk.
    fn identity(&self, tag: &[u8], data: &[u8]) -> u128;
    /// Returns true if a chunk that is offered is one of them. It is then expected one time less.
    fn is_spooled(&self, tag: &[u8], data: &[u8]) -> bool;
    /// Adds a chunk.
    fn expect(&self, identity: u128);
}

/// The spool of an instance, if it has one.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    /// Wakes the worker.
    work: Condvar,
    /// Wakes flushes: the spool has been opened, or synced.
    changed: Condvar,
    /// True if flushes wait for the sync. Never written after the start.
    is_full_sync: bool,
}

#[derive(Debug)]
struct State {
    /// Written by the worker and by `close`; read by flushes.
    status: Status,
    /// Chunks that the worker has not handed over. Added by flushes; taken by the worker.
    appended: Vec<Appended>,
    /// Number of the chunk appended last; chunks are numbered from 1. Written by flushes; read by the worker.
    last: u64,
    /// Number of the last chunk that is synced or was rolled back. Written by the worker; read by flushes.
    synced: u64,
    /// Numbers of chunks that were rolled back. Added by the worker; taken by their flushes.
    failed: Vec<u64>,
    /// Chunks whose flush did not wait for the sync. Added by these flushes; taken by the next ones and by the worker.
    unacknowledged: Vec<Unacknowledged>,
    /// The reason why the last chunk was refused. Written by flushes; taken by the worker, which logs it.
    refusal: Option<SpoolError>,
    /// True if the instance closes. Written by `close`; read by the worker.
    is_closing: bool,
}

/// A chunk whose flush did not wait for the sync.
#[derive(Clone, Copy, Debug)]
struct Unacknowledged {
    number: u64,
    /// The chunk's identity in the retry registry.
    identity: u128,
}

#[derive(Debug)]
enum Status {
    /// The worker has not yet tried to open the directory.
    Opening,
    /// The directory is locked or cannot be used; the worker tries again.
    Unavailable,
    /// Chunks can be appended.
    Open(Spool),
}

/// The result of offering a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is in the spool.
    Taken,
    /// It is in the spool when this number is synced.
    Unsynced(u64),
    /// It is not in the spool.
    Refused,
}

/// The state that the worker finds when it wakes.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) appended: Vec<Appended>,
    /// Number of the last of them.
    pub(super) last: u64,
    pub(super) refusal: Option<SpoolError>,
    pub(super) is_closing: bool,
}

impl State {
    /// Returns the number of a chunk that is offered again before it was synced; its flush waits again.
    fn take_unacknowledged(&mut self, identity: impl FnOnce() -> u128) -> Option<u64> {
        if self.unacknowledged.is_empty() {
            return None;
        }
        let identity = identity();
        let at = self.unacknowledged.iter().position(|unacknowledged| unacknowledged.identity == identity)?;
        Some(self.unacknowledged.swap_remove(at).number)
    }
}

impl Store {
    pub(crate) fn new(sync: SpoolSync) -> Self {
        let state = State {
            status: Status::Opening,
            appended: Vec::new(),
            last: 0,
            synced: 0,
            failed: Vec::new(),
            unacknowledged: Vec::new(),
            refusal: None,
            is_closing: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            changed: Condvar::new(),
            is_full_sync: sync == SpoolSync::Full,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns true if flushes wait for the sync.
    pub(crate) fn is_full_sync(&self) -> bool {
        self.is_full_sync
    }

    /// Appends a chunk. Runs on Fluent Bit's stack: it neither formats nor logs. Waits for the worker to open the
    /// directory, `longest` at most.
    pub(crate) fn offer(
        &self,
        tag: &[u8],
        data: &[u8],
        wall: WallTime,
        longest: Duration,
        retry_registry: &impl ChunkIdentities,
        recorder: &Recorder,
    ) -> Offer {
        let records = crate::chunk::count(data);
        if records == 0 {
            return Offer::Taken;
        }
        let Some(mut state) = self.wait(longest, |state| !matches!(state.status, Status::Opening)) else {
            return Offer::Refused;
        };
        if retry_registry.is_spooled(tag, data) {
            return Offer::Taken;
        }
        if let Some(number) = state.take_unacknowledged(|| retry_registry.identity(tag, data)) {
            // It is in the spool already and waits for the same sync.
            return Offer::Unsynced(number);
        }
        let State { status, appended, .. } = &mut *state;
        let Status::Open(spool) = status else { return Offer::Refused };
        if appended.try_reserve(1).is_err() {
            return Offer::Refused;
        }
        let when_full = if IS_RELOADING.load(Relaxed) { WhenFull::Exceed } else { WhenFull::Refuse };
        match spool.append(tag, data, records, wall, when_full) {
            Ok(chunk) => {
                appended.push(chunk);
                state.last += 1;
                let offer = if self.is_full_sync { Offer::Unsynced(state.last) } else { Offer::Taken };
                if offer == Offer::Taken {
                    recorder.take(u64::from(records));
                }
                drop(state);
                self.work.notify_one();
                offer
            }
            Err(error) => {
                state.refusal = Some(error);
                drop(state);
                self.work.notify_one();
                Offer::Refused
            }
        }
    }

    /// Waits until a chunk is safe on the disk; false if it was taken back or is not safe in time. It is then remembered,
    /// by its `identity` in the retry registry, as one that Fluent Bit will offer again.
    pub(crate) fn wait_for_sync(&self, number: u64, longest: Duration, identity: impl FnOnce() -> u128) -> bool {
        if let Some(mut state) = self.wait(longest, |state| state.synced >= number) {
            let failed = state.failed.iter().position(|failed| *failed == number);
            if let Some(at) = failed {
                state.failed.swap_remove(at);
            }
            return failed.is_none();
        }
        let identity = identity();
        let mut state = self.lock();
        if state.synced < number && state.unacknowledged.try_reserve(1).is_ok() {
            state.unacknowledged.push(Unacknowledged { number, identity });
            return false;
        }
        !state.failed.contains(&number)
    }

    fn wait(&self, longest: Duration, is_over: impl Fn(&State) -> bool) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if is_over(&state) {
            return Some(state);
        }
        let start = Stopwatch::start();
        loop {
            let remaining = longest.saturating_sub(start.elapsed());
            if remaining.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, remaining).unwrap_or_else(PoisonError::into_inner).0;
            if is_over(&state) {
                return Some(state);
            }
        }
    }

    /// Waits for work, `longest` at most.
    pub(super) fn next(&self, longest: Duration) -> Found {
        let mut state = self.lock();
        if state.appended.is_empty() && state.refusal.is_none() && !state.is_closing && !longest.is_zero() {
            state = self.work.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0;
        }
        Found {
            appended: std::mem::take(&mut state.appended),
            last: state.last,
            refusal: state.refusal.take(),
            is_closing: state.is_closing,
        }
    }

    /// The directory is open.
    pub(super) fn opened(&self, spool: Spool) {
        self.lock().status = Status::Open(spool);
        self.changed.notify_all();
    }

    /// Marks the directory as unusable. Returns the spool that was open.
    pub(in crate::delivery) fn unavailable(&self) -> Option<Spool> {
        let before = std::mem::replace(&mut self.lock().status, Status::Unavailable);
        self.changed.notify_all();
        match before {
            Status::Open(spool) => Some(spool),
            _ => None,
        }
    }

    /// Uses the spool, if it is open. No chunk is appended meanwhile, so it is for work that does not wait for the disk.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> Option<T> {
        match &mut self.lock().status {
            Status::Open(spool) => Some(work(spool)),
            _ => None,
        }
    }

    /// Takes the segments and the directory that have to be synced.
    pub(super) fn take_unsynced(&self) -> SyncWork {
        self.with(Spool::take_unsynced).unwrap_or_default()
    }

    /// Marks all chunks up to this number as synced and wakes their flushes. Chunks whose flush has stopped waiting are
    /// registered first, before Fluent Bit can offer them again.
    pub(super) fn synced(&self, number: u64, retry_registry: &impl ChunkIdentities) {
        let mut state = self.lock();
        state.synced = number;
        let is_safe = |unacknowledged: &mut Unacknowledged| unacknowledged.number <= number;
        state
            .unacknowledged
            .extract_if(.., is_safe)
            .for_each(|unacknowledged| retry_registry.expect(unacknowledged.identity));
        drop(state);
        self.changed.notify_all();
    }

    /// The sync has failed: takes back these chunks, of which `last` is the number of the last one, and those appended
    /// since.
    pub(super) fn roll_back(&self, mut chunks: Vec<Appended>, last: u64) {
        let mut state = self.lock();
        let first = last + 1 - chunks.len() as u64;
        chunks.append(&mut state.appended);
        let State { status, failed, unacknowledged, last, .. } = &mut *state;
        if let Status::Open(spool) = status {
            spool.roll_back(&chunks);
        }
        failed.extend((first..=*last).filter(|number| !unacknowledged.iter().any(|one| one.number == *number)));
        unacknowledged.clear();
        state.synced = state.last;
        drop(state);
        self.changed.notify_all();
    }

    /// Closes the store: no chunk will be offered any more, and the worker ends after the last one.
    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.work.notify_one();
        self.changed.notify_all();
    }

    /// Closes and unlocks the directory. To be called when no thread uses its files any more.
    pub(crate) fn release(&self) {
        if let Some(mut spool) = self.unavailable() {
            spool.seal();
            spool.files().retry();
        }
    }
}
