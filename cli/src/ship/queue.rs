//! Queues chunks: a bounded queue, the retries that are due later, and counts of how each chunk ended.
//!
//! It plays the part of Fluent Bit's scheduler. A chunk that is to be retried waits on its own while others go ahead.

use super::chunk::Chunk;
use plugin_host::Verdict;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The host's backoff, with its base and cap divided, so that nobody at a terminal waits half an hour.
#[derive(Clone, Copy)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(200), cap: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// Between the base and its double to the power of the attempts, at most the cap. `chance` is from 0 to 1.
    fn delay(self, attempts: u32, chance: f64) -> Duration {
        let most = self.base.saturating_mul(2_u32.saturating_pow(attempts)).min(self.cap);
        self.base + most.saturating_sub(self.base).mul_f64(chance)
    }
}

/// A chunk in a worker's hands.
pub(super) struct Work {
    pub(super) chunk: Chunk,
    attempts: u32,
}

struct Waiting {
    due: Instant,
    work: Work,
}

impl Ord for Waiting {
    /// The heap gives the greatest first; that is the one due first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Waiting {}

/// Counters that show the state of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Chunks handed over by the reader.
    pub(super) chunks: u64,
    /// Records in them.
    pub(super) records: u64,
    /// Chunks that the plugin answered OK.
    pub(super) ok: u64,
    /// Records in those.
    pub(super) records_ok: u64,
    /// Bytes in those.
    pub(super) bytes_ok: u64,
    /// Bytes of the input in those.
    pub(super) source_ok: u64,
    /// Answers RETRY.
    pub(super) retries: u64,
    /// Chunks that were answered RETRY too often.
    pub(super) given_up: u64,
    /// Chunks that the plugin answered ERROR.
    pub(super) refused: u64,
}

impl Tally {
    /// Chunks that were handed over and have no end yet.
    pub(super) fn left(&self) -> u64 {
        self.chunks - self.ok - self.given_up - self.refused
    }
}

#[derive(Default)]
struct State {
    fresh: VecDeque<Chunk>,
    waiting: BinaryHeap<Waiting>,
    in_flight: usize,
    held_bytes: usize,
    fed: bool,
    /// Time at which the reader had read everything.
    fed_at: Option<Instant>,
    stopped: bool,
    tally: Tally,
    /// Chunks of each file that were answered OK.
    ok_of: HashMap<usize, u64>,
}

impl State {
    fn finished(&self) -> bool {
        self.stopped || self.fed && self.in_flight == 0 && self.fresh.is_empty() && self.waiting.is_empty()
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.held_bytes == 0 || self.held_bytes + bytes <= MOST_HELD_BYTES
    }

    fn add(&mut self, chunk: Chunk) {
        self.held_bytes += chunk.bytes.len();
        self.tally.chunks += 1;
        self.tally.records += chunk.records;
        self.fresh.push_back(chunk);
    }

    /// Returns the work that is due now. A retry comes before a chunk that was never tried.
    fn due(&mut self, now: Instant) -> Option<Work> {
        if self.waiting.peek().is_some_and(|first| first.due <= now) {
            return self.waiting.pop().map(|first| first.work);
        }
        self.fresh.pop_front().map(|chunk| Work { chunk, attempts: 0 })
    }
}

/// The reader waits when this much is held, retries included.
const MOST_HELD_BYTES: usize = 32 << 20;

/// Between the reader, the workers and the one who watches.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    backoff: Backoff,
    retry_limit: Option<u32>,
}

impl Queue {
    /// `retry_limit` is the most retries of a chunk; `None` for no limit.
    pub(super) fn new(backoff: Backoff, retry_limit: Option<u32>) -> Self {
        Self { backoff, retry_limit, ..Self::default() }
    }

    /// Hands over a chunk, waiting for room. False if nobody wants it any more.
    pub(crate) fn offer(&self, chunk: Chunk) -> bool {
        let mut state = self.lock();
        while !state.stopped && !state.has_room_for(chunk.bytes.len()) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.stopped {
            state.add(chunk);
            self.changed.notify_all();
        }
        !state.stopped
    }

    /// Waits until then. False if it was stopped before.
    pub(crate) fn pause_until(&self, then: Instant) -> bool {
        let mut state = self.lock();
        while !state.stopped {
            let Some(left) = then.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            state = self.wait(state, left);
        }
        !state.stopped
    }

    /// No more chunks will come.
    pub(crate) fn fed(&self) {
        let mut state = self.lock();
        state.fed = true;
        state.fed_at.get_or_insert_with(Instant::now);
        drop(state);
        self.changed.notify_all();
    }

    /// Returns the time at which the reader had read all; none before.
    pub(super) fn fed_at(&self) -> Option<Instant> {
        self.lock().fed_at
    }

    /// Stops: no more chunks are taken; flushes in flight may still end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The next chunk to flush, as soon as one is due. `None` when all is done or stopped.
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.finished() {
                self.changed.notify_all();
                return None;
            }
            let now = Instant::now();
            if let Some(work) = state.due(now) {
                state.in_flight += 1;
                return Some(work);
            }
            let until_due = state.waiting.peek().map(|first| first.due.saturating_duration_since(now));
            state = self.wait(state, until_due.unwrap_or(Duration::from_secs(3600)));
        }
    }

    /// Takes a chunk back with the plugin's answer.
    pub(super) fn settle(&self, mut work: Work, verdict: Verdict) {
        let mut state = self.lock();
        state.in_flight -= 1;
        let held = work.chunk.bytes.len();
        let again = verdict == Verdict::Retry && self.retry_limit.is_none_or(|limit| work.attempts < limit);
        match verdict {
            Verdict::Ok => {
                state.tally.ok += 1;
                *state.ok_of.entry(work.chunk.file).or_default() += 1;
                state.tally.records_ok += work.chunk.records;
                state.tally.bytes_ok += held as u64;
                state.tally.source_ok += work.chunk.source_bytes;
            }
            Verdict::Retry => {
                state.tally.retries += 1;
                state.tally.given_up += u64::from(!again);
            }
            Verdict::Error => {
                state.tally.refused += 1;
                state.stopped = true;
            }
        }
        if again {
            work.attempts += 1;
            let due = Instant::now() + self.backoff.delay(work.attempts, chance());
            state.waiting.push(Waiting { due, work });
        } else {
            state.held_bytes -= held;
        }
        self.changed.notify_all();
    }

    /// Returns the number of chunks of a file that were answered OK.
    pub(crate) fn ok_of(&self, file: usize) -> u64 {
        self.lock().ok_of.get(&file).copied().unwrap_or(0)
    }

    /// Bytes of the input that are done with, where no chunk tells.
    pub(crate) fn is_done_with(&self, bytes: u64) {
        self.lock().tally.source_ok = bytes;
    }

    /// Returns the state of the queue, and true if all work is finished, after a change or after `at_most`.
    pub(crate) fn watch(&self, at_most: Duration) -> (Tally, bool) {
        let mut state = self.lock();
        if !state.finished() {
            state = self.wait(state, at_most);
        }
        (state.tally, state.finished())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number from 0 to 1, different each time: each `RandomState` has keys of its own.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(2) };

    fn chunk(records: u64) -> Chunk {
        Chunk { tag: "t".into(), bytes: vec![0; 10], records, source_bytes: 7, file: 0 }
    }

    #[test]
    fn delays_grow_to_the_cap_and_no_further() {
        let backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(5) };
        let range = |attempts| (backoff.delay(attempts, 0.0).as_millis(), backoff.delay(attempts, 1.0).as_millis());
        assert_eq!([1, 2, 3, 5, 40].map(range), [(200, 400), (200, 800), (200, 1600), (200, 5000), (200, 5000)]);
        assert!((0..100).map(|_| chance()).all(|chance| (0.0..=1.0).contains(&chance)));
        assert_ne!(chance(), chance());
    }

    #[test]
    fn a_retried_chunk_comes_again_and_others_go_ahead() {
        let queue = Queue::new(Backoff { base: Duration::from_millis(20), ..QUICK }, None);
        assert!(queue.offer(chunk(1)) && queue.offer(chunk(2)));
        queue.fed();
        let (first, before) = (queue.take().unwrap(), Instant::now());
        queue.settle(first, Verdict::Retry);
        let second = queue.take().unwrap();
        assert_eq!(second.chunk.records, 2);
        queue.settle(second, Verdict::Ok);
        let again = queue.take().unwrap();
        assert!(again.chunk.records == 1 && before.elapsed() >= Duration::from_millis(20));
        queue.settle(again, Verdict::Ok);
        assert!(queue.take().is_none());
        let expected = Tally {
            chunks: 2,
            records: 3,
            ok: 2,
            records_ok: 3,
            bytes_ok: 20,
            source_ok: 14,
            retries: 1,
            ..Tally::default()
        };
        assert_eq!(queue.watch(Duration::ZERO), (expected, true));
    }

    #[test]
    fn a_limit_of_retries_gives_up() {
        let queue = Queue::new(QUICK, Some(2));
        queue.offer(chunk(1));
        queue.fed();
        let mut flushes = 0;
        while let Some(work) = queue.take() {
            flushes += 1;
            queue.settle(work, Verdict::Retry);
        }
        let tally = queue.watch(Duration::ZERO).0;
        assert_eq!((flushes, tally.given_up, tally.left(), tally.retries), (3, 1, 0, 3));
    }

    #[test]
    fn an_error_stops_all() {
        let queue = Queue::new(QUICK, None);
        queue.offer(chunk(1));
        queue.offer(chunk(1));
        let work = queue.take().unwrap();
        queue.settle(work, Verdict::Error);
        assert!(queue.take().is_none() && !queue.offer(chunk(1)) && !queue.pause_until(Instant::now()));
        let tally = queue.watch(Duration::ZERO).0;
        assert_eq!((tally.refused, tally.left(), tally.chunks), (1, 1, 2));
    }

    #[test]
    fn a_full_queue_holds_the_reader_until_there_is_room_or_it_is_over() {
        let queue = Queue::new(QUICK, None);
        let large = Chunk { bytes: vec![0; MOST_HELD_BYTES + 1], ..chunk(1) };
        assert!(queue.offer(large), "an empty queue takes one chunk of any size");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| queue.offer(chunk(2)));
            let work = queue.take().unwrap();
            assert!(!reader.is_finished(), "what is in flight is still held");
            queue.settle(work, Verdict::Ok);
            assert!(reader.join().unwrap());
        });
        std::thread::scope(|scope| {
            let large = Chunk { bytes: vec![0; MOST_HELD_BYTES], ..chunk(1) };
            let reader = scope.spawn(|| queue.offer(large));
            queue.stop();
            assert!(!reader.join().unwrap());
        });
    }

    #[test]
    fn workers_share_the_chunks() {
        let queue = Queue::new(QUICK, None);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(work) = queue.take() {
                        let verdict = if work.attempts == 0 { Verdict::Retry } else { Verdict::Ok };
                        queue.settle(work, verdict);
                    }
                });
            }
            (0..200).for_each(|_| assert!(queue.offer(chunk(1))));
            queue.fed();
        });
        let tally = queue.watch(Duration::ZERO).0;
        assert_eq!((tally.ok, tally.retries, tally.left()), (200, 200, 0));
    }
}
