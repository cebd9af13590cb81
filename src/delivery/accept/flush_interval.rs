//! Measures the interval between two flushes of Fluent Bit. A plugin cannot read the option `flush`, but the mapper has to wait
//! at least that long for the lines that follow the last ones of a chunk.

use crate::clock::Monotonic;
use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The interval until two have been measured: the default of Fluent Bit's option `flush`.
const DEFAULT: Duration = Duration::from_secs(1);

/// The longest interval that counts. A longer one means that no records were written in between.
const LONGEST: Duration = Duration::from_secs(5);

/// The longest pause between the chunks of one flush.
const WITHIN_A_FLUSH: Duration = Duration::from_millis(50);

/// Number of intervals that are remembered.
const REMEMBERED: usize = 8;

/// The last intervals between flushes. Written by flushes, from several threads if the output has `workers`; read by the
/// mapper.
#[derive(Debug, Default)]
pub(in crate::delivery) struct FlushInterval {
    /// Steady time of the last chunk in milliseconds, plus one; 0 before the first chunk.
    last: AtomicU64,
    /// Intervals in milliseconds, in a ring; 0 for none.
    intervals: [AtomicU64; REMEMBERED],
    /// Number of intervals measured so far.
    measured: AtomicU64,
}

impl FlushInterval {
    /// Notes that Fluent Bit flushes a chunk.
    pub(in crate::delivery) fn flushed(&self, now: Monotonic) {
        let now = now.as_millis();
        let last = self.last.swap(now.saturating_add(1), Relaxed);
        let interval = now.saturating_sub(last.saturating_sub(1));
        if last == 0 || interval < millis(WITHIN_A_FLUSH) {
            return;
        }
        let place = self.measured.fetch_add(1, Relaxed) as usize % REMEMBERED;
        if let Some(place) = self.intervals.get(place) {
            place.store(interval.min(millis(LONGEST)), Relaxed);
        }
    }

    /// Returns the interval between two flushes, 5 seconds at most. Of the intervals remembered it is the second shortest: most
    /// are longer because nothing was written between two flushes, and a single one may be shorter because Fluent Bit retried a
    /// chunk in between.
    pub(in crate::delivery) fn get(&self) -> Duration {
        let mut intervals = [u64::MAX; REMEMBERED];
        for (interval, measured) in intervals.iter_mut().zip(&self.intervals) {
            let measured = measured.load(Relaxed);
            *interval = if measured == 0 { u64::MAX } else { measured };
        }
        intervals.sort_unstable();
        match intervals[1] {
            u64::MAX => DEFAULT,
            interval => Duration::from_millis(interval),
        }
    }
}

fn millis(length: Duration) -> u64 {
    length.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_flushes(at: &[u64]) -> u128 {
        let interval = FlushInterval::default();
        at.iter().for_each(|at| interval.flushed(Monotonic::from_millis(*at)));
        interval.get().as_millis()
    }

    #[test]
    fn is_the_default_of_fluent_bit_before_two_are_measured() {
        assert_eq!(of_flushes(&[]), 1_000);
        assert_eq!(of_flushes(&[0, 200]), 1_000);
        assert_eq!(of_flushes(&[0, 200, 400]), 200);
    }

    #[test]
    fn chunks_of_one_flush_are_no_interval() {
        assert_eq!(of_flushes(&[0, 1, 2, 2_000, 2_001, 2_049, 4_049, 4_050]), 2_000);
    }

    #[test]
    fn flushes_without_chunks_do_not_lengthen_it() {
        assert_eq!(of_flushes(&[0, 1_000, 5_000, 6_000, 9_000]), 1_000);
    }

    #[test]
    fn one_retry_in_between_does_not_shorten_it() {
        assert_eq!(of_flushes(&[0, 2_000, 4_000, 4_300, 8_000, 10_000]), 2_000);
    }

    #[test]
    fn follows_a_reload_with_another_interval() {
        let flushes: Vec<u64> =
            (0..20).map(|n| n * 200).chain((1..=REMEMBERED as u64).map(|n| 4_000 + n * 3_000)).collect();
        assert_eq!(of_flushes(&flushes), 3_000);
    }

    #[test]
    fn is_five_seconds_at_most() {
        assert_eq!(of_flushes(&[0, 60_000, 120_000, 180_000]), 5_000);
    }
}
