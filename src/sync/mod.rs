//! What threads meet in: locks, atomics and threads of the standard library, channels of crossbeam.
//!
//! All of delivery takes them from here, so that a test can decide who goes on when (`delivery::model`). Anything but a unit test
//! is built with the originals themselves.

#[cfg(test)]
pub mod scheduled;

#[cfg(not(test))]
mod original {
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
