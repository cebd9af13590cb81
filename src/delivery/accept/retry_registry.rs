//! Keeps the progress of chunks that Fluent Bit has and will offer again, such as after a flush that timed out. The progress
//! outlives a flush and an instance.
//!
//! Fluent Bit can only retry whole chunks, and during a hot reload one instance may begin a chunk and the next one finish
//! it. The process therefore keeps the progress under the identity of the chunk: instance, destination settings, tag and
//! bytes. It also keeps the identities of chunks that a spool has taken without Fluent Bit having learned of it.

use crate::clock::{Monotonic, Stopwatch};
use crate::delivery::accept::chunk_slot::{ChunkSlot, SlotPool, Verdict};
use crate::delivery::store::ChunkIdentities;
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource, ChunkStatus};
use crate::ledger::{Category, Outcome, PerCategory, Recorder};
use crate::sync::{AtomicU64, Lazy, Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Time without an offer after which Fluent Bit is taken to have dropped a chunk.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// Chunks that Fluent Bit has, by identity, of all instances. Written by mappers and dispatchers; read by flushes.
static CHUNKS: Lazy<Mutex<HashMap<u128, Vec<Entry>>>> = Lazy::new(Mutex::default);
/// Chunks that a spool has taken although Fluent Bit may offer them again. Added by the spools' workers; taken by flushes.
static UNACKNOWLEDGED: Lazy<Mutex<HashMap<u128, Unacknowledged>>> = Lazy::new(Mutex::default);
/// Number of instances that the process has started.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// A chunk that Fluent Bit has. Written by the mapper (`join`), and by the thread that ends the chunk's last record (`finish`);
/// read by both and by flushes.
#[derive(Debug)]
struct Entry {
    chunk_progress: Arc<ChunkProgress>,
    /// The instance that works on it.
    generation: u64,
    /// Number of records of the chunk.
    records: u32,
    /// The flush that waits for it.
    waiter: Option<Arc<ChunkSlot>>,
    /// Time since Fluent Bit offered the chunk or the chunk was finished.
    last_use: Stopwatch,
}

/// Equal chunks that a spool has taken although Fluent Bit may offer them again: their flush had returned RETRY, or an earlier
/// process ended before the flush returned. Sentry may have accepted them since.
#[derive(Debug)]
struct Unacknowledged {
    chunks: u32,
    since: Stopwatch,
}

/// An instance's view of the chunks that Fluent Bit has.
#[derive(Debug)]
pub struct RetryRegistry {
    /// Hash of the instance's name and destination settings.
    instance: u128,
    generation: u64,
    slot_pool: Arc<SlotPool>,
    recorder: Recorder,
}

impl RetryRegistry {
    /// Returns the view of a new instance. `instance` is the same text before and after a reload.
    #[must_use]
    pub fn new(instance: &str, slot_pool: Arc<SlotPool>, recorder: Recorder) -> Self {
        let instance = xxhash_rust::xxh3::xxh3_128(instance.as_bytes());
        Self { instance, generation: GENERATIONS.fetch_add(1, Relaxed), slot_pool, recorder }
    }

    /// Returns the identity of a chunk: a hash of instance, tag and bytes.
    #[must_use]
    pub fn identity(&self, tag: &[u8], data: &[u8]) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&self.instance.to_le_bytes());
        hash.update(&(tag.len() as u64).to_le_bytes());
        hash.update(tag);
        hash.update(data);
        hash.digest128()
    }

    /// Returns the progress record of a chunk that a flush waits for: the one of an earlier flush that has returned,
    /// else a new one. An equal chunk whose flush still waits is another chunk.
    pub fn join(&self, chunk_slot: Arc<ChunkSlot>, tag: &[u8], data: &[u8], now: Monotonic) -> Arc<ChunkProgress> {
        // Hash outside of the lock, which flushes take: hashing reads the whole chunk.
        let (identity, records) = (self.identity(tag, data), crate::chunk::count(data));
        let mut chunks = lock(&CHUNKS);
        let entries = chunks.entry(identity).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_free()) {
            let old = entry.waiter.replace(chunk_slot);
            entry.last_use = Stopwatch::start();
            if entry.generation != self.generation {
                self.adopt_from_previous_instance(entry, identity, now);
            }
            let chunk_progress = Arc::clone(&entry.chunk_progress);
            drop(chunks);
            if let Some(old) = old {
                self.slot_pool.complete(&old, Verdict::Retry);
            }
            return chunk_progress;
        }
        self.recorder.take(u64::from(records));
        let chunk_progress = self.chunk_progress(identity, now, Default::default());
        let (waiter, last_use) = (Some(chunk_slot), Stopwatch::start());
        entries.push(Entry {
            chunk_progress: Arc::clone(&chunk_progress),
            generation: self.generation,
            records,
            waiter,
            last_use,
        });
        chunk_progress
    }

    /// Takes over a chunk from an earlier instance: its finished records stay finished, the remaining ones belong to this
    /// instance now, and all of them are counted in its ledger.
    fn adopt_from_previous_instance(&self, entry: &mut Entry, identity: u128, now: Monotonic) {
        self.recorder.take(u64::from(entry.records));
        entry.chunk_progress.ended().tell(&self.recorder);
        entry.chunk_progress = self.chunk_progress(identity, now, entry.chunk_progress.finished());
        entry.generation = self.generation;
    }

    fn chunk_progress(&self, identity: u128, now: Monotonic, finished: PerCategory<RecordSet>) -> Arc<ChunkProgress> {
        Arc::new(ChunkProgress::new(ChunkSource::Host(identity), now, self.recorder.clone(), finished))
    }

    /// Notes that a spool has taken a chunk of this identity whose flush did not wait for it.
    pub fn expect(&self, identity: u128) {
        note_unacknowledged(identity, |known| known + 1);
    }

    /// Notes that a spool has this many equal chunks that Fluent Bit may offer again. Those of this process are
    /// known already.
    pub fn expect_at_least(&self, identity: u128, chunks: u32) {
        note_unacknowledged(identity, |known| known.max(chunks));
    }

    /// Returns true if a chunk that is offered is one that a spool has taken before. It is then expected one time less.
    #[must_use]
    pub fn is_spooled(&self, tag: &[u8], data: &[u8]) -> bool {
        if lock(&UNACKNOWLEDGED).is_empty() {
            return false;
        }
        let identity = self.identity(tag, data);
        let mut unacknowledged = lock(&UNACKNOWLEDGED);
        let Some(entry) = unacknowledged.get_mut(&identity) else { return false };
        entry.chunks -= 1;
        if entry.chunks == 0 {
            unacknowledged.remove(&identity);
        }
        true
    }

    /// Returns true if Fluent Bit has a chunk of this instance that it will offer again.
    #[must_use]
    pub fn expects_any(&self) -> bool {
        lock(&CHUNKS).values().flatten().any(|entry| entry.generation == self.generation)
    }

    /// Returns the number of records of these chunks that have not ended.
    #[must_use]
    pub fn pending(&self, category: Category) -> u64 {
        let chunks = lock(&CHUNKS);
        let ours = chunks.values().flatten().filter(|entry| entry.generation == self.generation);
        ours.map(|entry| u64::from(entry.records.saturating_sub(entry.chunk_progress.finished()[category].len()))).sum()
    }

    /// Completes the waiting flush: with OK if the chunk is done, else with RETRY.
    pub fn finish(&self, identity: u128, chunk_progress: &Arc<ChunkProgress>, status: ChunkStatus) {
        let mut chunks = lock(&CHUNKS);
        let Some(entries) = chunks.get_mut(&identity) else { return };
        let Some(at) = entries.iter().position(|entry| Arc::ptr_eq(&entry.chunk_progress, chunk_progress)) else {
            return;
        };
        entries[at].last_use = Stopwatch::start();
        let verdict = if status == ChunkStatus::Done { Verdict::Ok } else { Verdict::Retry };
        let is_received =
            entries[at].waiter.take().is_some_and(|chunk_slot| self.slot_pool.complete(&chunk_slot, verdict));
        // If the flush has already returned RETRY, the entry stays, so that the next flush gets OK at once.
        if status == ChunkStatus::Done && is_received {
            entries.swap_remove(at);
            if entries.is_empty() {
                chunks.remove(&identity);
            }
        }
    }

    /// Forgets chunks that Fluent Bit has not offered again for an hour, and ends their records as abandoned.
    pub fn sweep(&self) {
        lock(&UNACKNOWLEDGED).retain(|_, unacknowledged| unacknowledged.since.elapsed() <= ABANDONED_AFTER);
        let mut chunks = lock(&CHUNKS);
        chunks.retain(|_, entries| {
            entries.retain(|entry| {
                let is_abandoned = entry.generation == self.generation
                    && entry.is_free()
                    && entry.last_use.elapsed() > ABANDONED_AFTER
                    && entry.chunk_progress.status() != ChunkStatus::Busy;
                if is_abandoned {
                    entry.chunk_progress.end_rest(entry.records, Outcome::Abandoned);
                }
                !is_abandoned
            });
            !entries.is_empty()
        });
    }

    /// Completes every waiting flush with RETRY. Called when the instance closes.
    pub fn release_all(&self) {
        let mut waiters = Vec::new();
        for entry in lock(&CHUNKS).values_mut().flatten().filter(|entry| entry.generation == self.generation) {
            waiters.extend(entry.waiter.take());
        }
        for chunk_slot in waiters {
            self.slot_pool.complete(&chunk_slot, Verdict::Retry);
        }
    }
}

impl Entry {
    fn is_free(&self) -> bool {
        self.waiter.as_ref().is_none_or(|chunk_slot| chunk_slot.is_abandoned())
    }
}

fn note_unacknowledged(identity: u128, count: impl FnOnce(u32) -> u32) {
    let mut unacknowledged = lock(&UNACKNOWLEDGED);
    let known = unacknowledged.get(&identity).map_or(0, |entry| entry.chunks);
    unacknowledged.insert(identity, Unacknowledged { chunks: count(known), since: Stopwatch::start() });
}

fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChunkIdentities for RetryRegistry {
    fn identity(&self, tag: &[u8], data: &[u8]) -> u128 {
        Self::identity(self, tag, data)
    }

    fn is_spooled(&self, tag: &[u8], data: &[u8]) -> bool {
        Self::is_spooled(self, tag, data)
    }

    fn expect(&self, identity: u128) {
        Self::expect(self, identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::RecordIndex;
    use crate::ledger::Ledger;

    const CHUNK: &[u8] = &[0x92, 1, 0x80, 0x92, 2, 0x80];

    struct Setup {
        ledger: Ledger,
        slot_pool: Arc<SlotPool>,
        retry_registry: RetryRegistry,
    }

    fn setup(name: &str) -> Setup {
        let (ledger, slot_pool) = (Ledger::default(), Arc::new(SlotPool::new()));
        let retry_registry = RetryRegistry::new(name, Arc::clone(&slot_pool), ledger.recorder());
        Setup { ledger, slot_pool, retry_registry }
    }

    fn join(setup: &Setup, chunk_slot: &Arc<ChunkSlot>) -> Arc<ChunkProgress> {
        setup.retry_registry.join(Arc::clone(chunk_slot), b"tag", CHUNK, Monotonic::START)
    }

    fn chunk_slot(setup: &Setup) -> Arc<ChunkSlot> {
        setup.slot_pool.fill(b"tag", CHUNK).unwrap()
    }

    #[test]
    fn joins_the_progress_of_a_chunk_offered_again() {
        let setup = setup("join");
        let first = chunk_slot(&setup);
        let chunk_progress = join(&setup, &first);
        assert_eq!(setup.slot_pool.wait(first, Duration::ZERO), Verdict::Retry);
        let again = chunk_slot(&setup);
        assert!(Arc::ptr_eq(&join(&setup, &again), &chunk_progress));
        assert_eq!(setup.ledger.snapshot().records, 2);
        setup.retry_registry.finish(setup.retry_registry.identity(b"tag", CHUNK), &chunk_progress, ChunkStatus::Done);
        assert_eq!(setup.slot_pool.wait(again, Duration::ZERO), Verdict::Ok);
        // After the OK the same bytes are a new chunk.
        assert!(!Arc::ptr_eq(&join(&setup, &chunk_slot(&setup)), &chunk_progress));
    }

    #[test]
    fn equal_chunks_flushed_at_once_are_two() {
        let setup = setup("equal");
        let (one, two) = (chunk_slot(&setup), chunk_slot(&setup));
        assert!(!Arc::ptr_eq(&join(&setup, &one), &join(&setup, &two)));
        assert_eq!(setup.ledger.snapshot().records, 4);
    }

    #[test]
    fn chunk_finished_after_a_timeout_is_ok_at_once() {
        let setup = setup("late");
        let first = chunk_slot(&setup);
        let chunk_progress = join(&setup, &first);
        assert_eq!(setup.slot_pool.wait(first, Duration::ZERO), Verdict::Retry);
        let identity = setup.retry_registry.identity(b"tag", CHUNK);
        setup.retry_registry.finish(identity, &chunk_progress, ChunkStatus::Done);
        assert!(Arc::ptr_eq(&join(&setup, &chunk_slot(&setup)), &chunk_progress));
    }

    #[test]
    fn next_instance_adopts_finished_records() {
        let old = setup("reload");
        let first = chunk_slot(&old);
        let chunk_progress = join(&old, &first);
        chunk_progress.end(Category::Event, RecordIndex(0), Outcome::Filtered);
        old.retry_registry.release_all();
        assert_eq!(old.slot_pool.wait(first, Duration::ZERO), Verdict::Retry);
        let new = setup("reload");
        let adopted = join(&new, &chunk_slot(&new));
        assert!(!Arc::ptr_eq(&adopted, &chunk_progress));
        assert!(!adopted.claim(Category::Event, RecordIndex(0)) && adopted.claim(Category::Event, RecordIndex(1)));
        let now = new.ledger.snapshot();
        assert_eq!((now.records, now.pending(Category::Event), now.pending(Category::Log)), (2, 1, 2));
    }

    #[test]
    fn unacknowledged_chunk_is_known_once_to_every_instance() {
        let (old, new) = (setup("spooled"), setup("spooled"));
        old.retry_registry.expect(old.retry_registry.identity(b"tag", CHUNK));
        // It is one and the same that the next one finds on the disk.
        new.retry_registry.expect_at_least(new.retry_registry.identity(b"tag", CHUNK), 1);
        assert!(!setup("another").retry_registry.is_spooled(b"tag", CHUNK));
        assert!(new.retry_registry.is_spooled(b"tag", CHUNK));
        assert!(!new.retry_registry.is_spooled(b"tag", CHUNK));
    }
}
