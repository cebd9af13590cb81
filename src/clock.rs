//! Reads the clocks. No other code asks for the time, so that tests can cover every wait without waiting.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Steady time since the clock was made: never jumps, good for waits.
    pub steady: Duration,
    /// Wall time since 1970-01-01T00:00:00Z: may jump, good for timestamps.
    pub wall: Duration,
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
        // A wall clock before 1970 is read as 1970: edge nodes without a battery boot there.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { steady: self.start.elapsed(), wall }
    }
}
