//! The synchronisation primitives of all threads: locks, atomics and threads of the standard library, channels of crossbeam.
//!
//! All of delivery imports them from here, so that a test can decide which thread runs next (`delivery::model`). Every build
//! except that of the unit tests uses the original primitives.

use crossbeam_channel as channel;
use std::sync::PoisonError;
use std::time::Duration;

#[cfg(test)]
pub mod scheduled;

#[cfg(not(test))]
mod original {
    pub(crate) use super::either as recv_either;
    pub use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
    pub use once_cell::sync::Lazy;
    pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
    pub use std::sync::{Condvar, Mutex, MutexGuard};
    pub use std::thread;
    pub use std::time::Instant;
}

#[cfg(not(test))]
pub(crate) use original::*;
#[cfg(test)]
pub(crate) use scheduled::*;

/// Locks a mutex. A thread that panicked while it held the lock has left its data whole: no lock of the plugin is held over a
/// call that may panic halfway through a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the next message. A word on the other channel that comes first ends the wait as if the time were over.
///
/// # Errors
/// No message came in time, a word came first, or no message can come any more.
pub(crate) fn either<T>(
    messages: &channel::Receiver<T>,
    words: &channel::Receiver<()>,
    longest: Duration,
) -> Result<T, channel::RecvTimeoutError> {
    channel::select! {
        recv(messages) -> message => message.map_err(|_| channel::RecvTimeoutError::Disconnected),
        recv(words) -> _ => Err(channel::RecvTimeoutError::Timeout),
        default(longest) => Err(channel::RecvTimeoutError::Timeout),
    }
}
