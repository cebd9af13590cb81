//! Chooses the times at which a spool with `spool_sync normal` is synced.
//!
//! A write that arrives while the file system commits may wait for that commit, which takes some milliseconds, and it waits on
//! Fluent Bit's engine thread. Fluent Bit flushes in bursts, one per `flush` interval. So a sync starts when a burst is over,
//! not when its first chunk arrives, and the next burst most likely finds no sync running.

use crate::clock::Monotonic;
use std::time::Duration;

/// Shortest interval between the starts of two syncs: a power failure loses at most the chunks that arrived since the last one.
const INTERVAL: Duration = Duration::from_millis(200);

/// A burst of flushes is over if no chunk has arrived for this long.
const PAUSE: Duration = Duration::from_millis(5);

/// Longest time for which a chunk waits for the end of a burst.
const LONGEST_BURST: Duration = Duration::from_millis(150);

/// The times that decide when to sync next.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncSchedule {
    /// Earliest start of the next sync.
    earliest: Monotonic,
    /// Arrival of the first chunk since the last sync.
    first: Option<Monotonic>,
    /// Arrival of the last chunk.
    last: Monotonic,
}

impl SyncSchedule {
    pub(super) fn new() -> Self {
        Self { earliest: Monotonic::START, first: None, last: Monotonic::START }
    }

    /// Records that chunks have been appended.
    pub(super) fn appended(&mut self, now: Monotonic) {
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// Returns the time of the next sync; `None` if nothing was appended since the last one.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let burst_end = (self.last + PAUSE).min(self.first? + LONGEST_BURST);
        Some(burst_end.max(self.earliest))
    }

    /// Records a sync. A disk whose syncs take longer than half the interval has as much time between them as they take.
    pub(super) fn synced(&mut self, start: Monotonic, end: Monotonic) {
        self.earliest = (start + INTERVAL).max(end + end.since(start));
        self.first = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Monotonic {
        Monotonic::START + Duration::from_millis(ms)
    }

    /// Appends chunks at these times and returns the starts of the syncs, each of which takes `duration` ms.
    fn syncs(appends: impl Iterator<Item = u64>, duration: u64) -> Vec<u64> {
        let (mut schedule, mut starts) = (SyncSchedule::new(), Vec::new());
        let mut sync_until = |schedule: &mut SyncSchedule, until: Option<u64>| {
            while let Some(due) = schedule.due().filter(|due| until.is_none_or(|until| *due <= ms(until))) {
                schedule.synced(due, due + Duration::from_millis(duration));
                starts.push(due.since(Monotonic::START).as_millis() as u64);
            }
        };
        for at in appends {
            sync_until(&mut schedule, Some(at));
            schedule.appended(ms(at));
        }
        sync_until(&mut schedule, None);
        starts
    }

    #[test]
    fn syncs_once_after_a_burst() {
        assert_eq!(syncs(1000..1040, 10), [1044]);
        assert_eq!(syncs((1000..1010).chain(2000..2010), 10), [1014, 2014]);
    }

    #[test]
    fn syncs_during_a_burst_that_does_not_end() {
        assert_eq!(syncs(1000..1500, 10), [1150, 1350, 1550]);
    }

    #[test]
    fn keeps_the_interval_between_syncs() {
        assert_eq!(syncs([1000, 1100, 1150].into_iter(), 10), [1005, 1205]);
    }

    #[test]
    fn periodic_flushes_never_meet_a_sync() {
        for period in [101, 150, 200, 1000] {
            let appends: Vec<_> = (10..60).map(|number| number * period).collect();
            let starts = syncs(appends.iter().copied(), 20);
            let meets = |at: &u64| starts.iter().any(|start| (*start..start + 20).contains(at));
            assert!(!appends.iter().any(meets), "period {period} ms: syncs at {starts:?}");
        }
    }

    #[test]
    fn rests_after_a_slow_sync_as_long_as_it_took() {
        assert_eq!(syncs(1000..3000, 500), [1150, 2150, 3150]);
    }
}
