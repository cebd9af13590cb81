//! Owns the end of an instance: closing, the deadline, the flushes that may still queue a chunk, and the mapper's drain.
//!
//! [`Delivery::close`] takes these steps, in this order:
//!
//! 1. Set the deadline, then `closing`. From now on [`Lifecycle::enter`] refuses every new flush.
//! 2. Wait for the flushes that entered before. A chunk that such a flush queued after the last message to a thread would never
//!    be processed. The wait is short: an active flush copies or compresses its chunk and waits for no other thread.
//! 3. Tell the dispatcher the deadline, and close the spool. Join the spool's worker, which tells the mapper of its last chunks.
//! 4. Tell the mapper that nothing more comes. It sends its open envelopes, refuses the chunks that came too late, and drains:
//!    it reads chunks of the backlog again while there is time, and writes the pending dead letters.
//! 5. Join the dispatcher. It ends at the deadline, or when nothing is in flight, nothing more can be sent and the mapper is
//!    quiet; then it ends the drain.
//! 6. Shut down the HTTP client and the memory budget, so that no thread waits for either. Join the mapper, release the flushes
//!    that still wait, unlock the spool, and join the senders; a sender that is stuck in name resolution is not waited for.
//!
//! A thread that cannot be told, because its queue is full, ends at the deadline.
//!
//! [`Delivery::close`]: crate::delivery::Delivery::close

use crate::clock::Monotonic;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, thread};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Interval at which the number of active flushes is checked while an instance closes.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// The end of an instance, as its threads see it.
#[derive(Debug)]
pub(in crate::delivery) struct Lifecycle {
    /// True from the first step of the end on. Written by `close`; read by flushes and all threads.
    closing: AtomicBool,
    /// Steady time in milliseconds at which everything ends. Written by `close` before `closing`; read by all threads once
    /// `closing` is true.
    deadline: AtomicU64,
    /// Flushes that may still queue a chunk. Written by flushes; read by `close` and the mapper.
    active_flushes: AtomicU64,
    /// A [`Drain`]. Written by the mapper, and by the dispatcher when it ends; read by both.
    drain: AtomicU8,
}

/// The activity of the mapper at exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// The drain has not begun: chunks may come.
    No,
    /// The mapper reads nothing, no chunk will come, and no chunk is due to be read again.
    Quiet,
    /// The mapper reads a chunk again.
    Busy,
    /// The dispatcher needs no more from the mapper.
    Over,
}

/// A flush that may still queue its chunk.
#[derive(Debug)]
pub(in crate::delivery) struct ActiveFlush<'l>(&'l AtomicU64);

impl Drop for ActiveFlush<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Lifecycle {
    /// The lifecycle of an instance that has just started.
    pub(in crate::delivery) fn new() -> Self {
        Self {
            closing: AtomicBool::new(false),
            deadline: AtomicU64::new(u64::MAX),
            active_flushes: AtomicU64::new(0),
            drain: AtomicU8::new(Drain::No as u8),
        }
    }

    /// Begins a flush. Returns `None` if the instance is closing. The flush may queue its chunk while it holds the result.
    pub(in crate::delivery) fn enter(&self) -> Option<ActiveFlush<'_>> {
        // Counted before `closing` is read: otherwise `close` could miss a flush that has read it.
        self.active_flushes.fetch_add(1, SeqCst);
        let active = ActiveFlush(&self.active_flushes);
        (!self.closing.load(SeqCst)).then_some(active)
    }

    /// Refuses every flush that has not entered yet.
    pub(in crate::delivery) fn begin_closing(&self, deadline: Monotonic) {
        self.deadline.store(deadline.as_millis(), Relaxed);
        self.closing.store(true, SeqCst);
    }

    /// Waits until there is no active flush. To be called after [`Lifecycle::begin_closing`], or by a thread after the
    /// deadline.
    pub(in crate::delivery) fn wait_for_flushes(&self) {
        while self.active_flushes.load(SeqCst) > 0 {
            thread::park_timeout(FLUSH_POLL);
        }
    }

    /// Returns true once the instance closes.
    pub(in crate::delivery) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Returns the time at which everything ends; so late that it never comes while the instance is not closing.
    pub(in crate::delivery) fn deadline(&self) -> Monotonic {
        Monotonic::from_millis(self.deadline.load(Relaxed))
    }

    /// Returns true if the instance is closing and its time is over.
    pub(in crate::delivery) fn is_past_deadline(&self, now: Monotonic) -> bool {
        self.is_closing() && now.as_millis() >= self.deadline.load(Relaxed)
    }

    /// Begins the mapper's drain, unless the dispatcher has ended it already.
    pub(in crate::delivery) fn begin_drain(&self) {
        self.change_drain(Drain::No, Drain::Quiet);
    }

    /// Notes that the mapper reads a chunk again; the dispatcher waits for it then.
    pub(in crate::delivery) fn begin_reading(&self) {
        self.change_drain(Drain::Quiet, Drain::Busy);
    }

    /// Notes that the mapper has passed on everything that it has read.
    pub(in crate::delivery) fn end_reading(&self) {
        self.change_drain(Drain::Busy, Drain::Quiet);
    }

    /// Ends the drain: the dispatcher needs no more from the mapper.
    pub(in crate::delivery) fn end_drain(&self) {
        self.drain.store(Drain::Over as u8, Relaxed);
    }

    /// Returns true if the drain has not begun.
    pub(in crate::delivery) fn is_before_drain(&self) -> bool {
        self.drain.load(Relaxed) == Drain::No as u8
    }

    /// Returns true if the mapper drains and reads nothing.
    pub(in crate::delivery) fn is_quiet(&self) -> bool {
        self.drain.load(SeqCst) == Drain::Quiet as u8
    }

    /// Returns true if the dispatcher has ended the drain.
    pub(in crate::delivery) fn is_drain_over(&self) -> bool {
        self.drain.load(Relaxed) == Drain::Over as u8
    }

    /// Replaces one state by another. Any other state stays: the drain may be over.
    fn change_drain(&self, from: Drain, to: Drain) {
        let _ = self.drain.compare_exchange(from as u8, to as u8, SeqCst, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_flushes_once_it_closes() {
        let lifecycle = Lifecycle::new();
        drop(lifecycle.enter().expect("expected an open instance to take a flush"));
        lifecycle.begin_closing(Monotonic::from_secs(2));
        assert!(lifecycle.enter().is_none());
        // Neither flush counts as active.
        lifecycle.wait_for_flushes();
    }

    #[test]
    fn deadline_counts_only_while_it_closes() {
        let lifecycle = Lifecycle::new();
        assert!(!lifecycle.is_past_deadline(Monotonic::MAX));
        lifecycle.begin_closing(Monotonic::from_secs(2));
        assert!(!lifecycle.is_past_deadline(Monotonic::from_millis(1_999)));
        assert!(lifecycle.is_past_deadline(Monotonic::from_secs(2)));
    }

    #[test]
    fn drain_that_is_over_stays_over() {
        let lifecycle = Lifecycle::new();
        assert!(lifecycle.is_before_drain() && !lifecycle.is_quiet());
        lifecycle.begin_drain();
        assert!(lifecycle.is_quiet());
        lifecycle.begin_reading();
        assert!(!lifecycle.is_quiet() && !lifecycle.is_drain_over());
        lifecycle.end_drain();
        lifecycle.end_reading();
        lifecycle.begin_drain();
        assert!(lifecycle.is_drain_over() && !lifecycle.is_quiet() && !lifecycle.is_before_drain());
    }
}
