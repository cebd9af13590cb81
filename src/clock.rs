//! Reads the clocks. No other code asks for the time, so that tests can cover every wait without waiting;
//! `tests/docs/architecture` checks this.
//!
//! [`Clock`] is for everything that is decided by time, `Stopwatch` for waits that end at a lock or a thread.

mod wall_time;

use crate::sync;
use std::fmt::Debug;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant, SystemTime};
pub use wall_time::WallTime;

/// A point on the steady clock, counted from the moment at which the clock was made. It never jumps, so it serves for waits
/// and deadlines. A length of time is a [`Duration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment at which the clock was made. As a deadline it has always passed.
    pub const START: Self = Self(Duration::ZERO);

    /// The last point of all. As a deadline it never passes.
    pub const MAX: Self = Self(Duration::MAX);

    /// Returns the point this many seconds after the start.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns the point this many milliseconds after the start.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Returns the whole milliseconds since the start, for an atomic number.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the point that much earlier; `None` if it would lie before the start.
    #[must_use]
    pub fn checked_sub(self, length: Duration) -> Option<Self> {
        self.0.checked_sub(length).map(Self)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Returns the point that much later, [`Monotonic::MAX`] at most.
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

impl AddAssign<Duration> for Monotonic {
    fn add_assign(&mut self, length: Duration) {
        *self = *self + length;
    }
}

/// Measures how long something takes. In a model test it runs with the model's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(sync::Instant);

impl Stopwatch {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self(sync::Instant::now())
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the present time for code that has been written for [`Instant`].
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Returns the present wall time.
pub(crate) fn wall_now() -> WallTime {
    SystemTime::now().into()
}

/// Returns the time since `earlier`, the timestamp of a file; `None` if that lies in the future.
pub(crate) fn age(earlier: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(earlier).ok()
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Never jumps, good for waits.
    pub steady: Monotonic,
    /// May jump, good for timestamps.
    pub wall: WallTime,
}

/// A source of [`Moment`]s.
pub trait Clock: Send + Sync + Debug {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose steady time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { steady: Monotonic(self.start.elapsed()), wall: wall_now() }
    }
}
