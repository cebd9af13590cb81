//! Storm control: limits bursts, rates and repeats of events, so that one bad roll-out does not use up a quota. It decides
//! by record time, so that a replay decides as the first reading did. Its memory is bounded.

use crate::chunk::Timestamp;
use crate::clock::WallTime;
use crate::mapping::reason::Reason;
use crate::mapping::resolve::identity::{EventId, StreamId};
use crate::mapping::route::Routed;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// Longest pause between events of a storm, in seconds.
const LONGEST: u64 = 3_600;
const FIRST: u64 = 60;
/// Fingerprints, streams and workloads remembered; beyond it the oldest go.
const REMEMBERED: usize = 4_096;
/// New message fingerprints of a workload in an hour before the rest share one issue.
const NEW_PER_HOUR: usize = 20;
/// Seconds that a storm may be ahead of the wall clock: a storm that is further ahead was recorded while the clock was
/// wrong, and the events that it suppresses would be suppressed until that time comes.
const AHEAD: u64 = 60;
/// An exception logged again within this time, on its way up, is the same.
const TWICE_MICROS: u64 = 2_000_000;
/// Exceptions of a stream that may be on their way up at once.
const ON_THEIR_WAY: usize = 8;
/// Minutes and destinations counted at once: streams are not at the same time.
const MINUTES: usize = 1_024;
/// Events kept for the end of their storms, and how large each may be.
const KEPT: usize = 32;
const MAX_KEPT: usize = 64 << 10;

/// The decision about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent, and tells how many before it were held back.
    Send(u64),
    /// It is held back.
    Suppress(Reason),
    /// It is held back, and a copy of it is wanted to tell how many were when the storm is over.
    Keep(Reason),
}

/// The last word about a storm: an event that was held back, and how many others were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StormSummary {
    /// The route that the event would have taken.
    pub routed: Routed,
    /// Its id.
    pub event_id: EventId,
    /// Its JSON.
    pub payload: Vec<u8>,
    /// The number of other events that were held back.
    pub others: u64,
}

/// The memory of storms.
#[derive(Debug)]
pub struct Storms {
    burst: u32,
    rate: u32,
    fingerprints: HashMap<u64, Storm>,
    minutes: VecDeque<(u128, u64, u32)>,
    chains: HashMap<StreamId, VecDeque<(u64, u64)>>,
    workloads: HashMap<u64, Hour>,
    kept: usize,
}

#[derive(Debug, Default)]
struct Storm {
    sent: u32,
    pause: u64,
    next: u64,
    last: u64,
    held_back: u64,
    /// Wall time when it was last decided about.
    seen: WallTime,
    kept: Option<StormSummary>,
}

#[derive(Debug, Default)]
struct Hour {
    hour: u64,
    fingerprints: Vec<u64>,
}

impl Storms {
    /// `storm_burst` and `event_rate`; zero is off.
    #[must_use]
    pub fn new(burst: u32, rate: u32) -> Self {
        let (minutes, chains) = (VecDeque::new(), HashMap::new());
        Self { burst, rate, fingerprints: HashMap::new(), minutes, chains, workloads: HashMap::new(), kept: 0 }
    }

    /// Decides about an event with this fingerprint, of a time that is not after `now`. That is wall time, for the storm's end,
    /// and to know a storm of a clock that was wrong.
    pub fn decide(&mut self, fingerprint: u64, destination: u128, time: Timestamp, now: WallTime) -> Decision {
        let decision = match self.burst(fingerprint, time.secs, now.as_secs()) {
            Decision::Send(before) if self.exceeds_rate(destination, time.secs) => {
                self.not_told(fingerprint, before);
                Decision::Suppress(Reason::Rate)
            }
            decision => decision,
        };
        let Some(storm) = self.fingerprints.get_mut(&fingerprint) else { return decision };
        storm.seen = now;
        match (decision, &storm.kept) {
            (Decision::Suppress(reason), None) if self.kept < KEPT => Decision::Keep(reason),
            (Decision::Send(_), Some(_)) => {
                storm.kept = None;
                self.kept -= 1;
                decision
            }
            _ => decision,
        }
    }

    /// Restores the number that was to be reported, so that the next event reports it.
    fn not_told(&mut self, fingerprint: u64, before: u64) {
        if let Some(storm) = self.fingerprints.get_mut(&fingerprint) {
            storm.held_back += before + 1;
        }
    }

    fn burst(&mut self, fingerprint: u64, now: u64, wall: u64) -> Decision {
        if self.burst == 0 {
            return Decision::Send(0);
        }
        if bound(&mut self.fingerprints, |storm| storm.last) {
            self.kept = self.fingerprints.values().filter(|storm| storm.kept.is_some()).count();
        }
        let new = || Storm { pause: FIRST, last: now, ..Storm::default() };
        let storm = self.fingerprints.entry(fingerprint).or_insert_with(new);
        if storm.last > wall.saturating_add(AHEAD) {
            (storm.sent, storm.pause, storm.last) = (0, FIRST, now);
        }
        // Quiet for twice the pause: that storm is over.
        if now > storm.last.saturating_add(storm.pause.saturating_mul(2)) {
            (storm.sent, storm.pause) = (0, FIRST);
        }
        storm.last = storm.last.max(now);
        if storm.sent < self.burst {
            storm.sent += 1;
            storm.next = now + storm.pause;
            return Decision::Send(std::mem::take(&mut storm.held_back));
        }
        if now < storm.next {
            storm.held_back += 1;
            return Decision::Suppress(Reason::Storm);
        }
        storm.pause = (storm.pause * 2).min(LONGEST);
        storm.next = now + storm.pause;
        Decision::Send(std::mem::take(&mut storm.held_back))
    }

    /// Streams are not all at the same minute, so several are counted at once.
    fn exceeds_rate(&mut self, destination: u128, now: u64) -> bool {
        if self.rate == 0 {
            return false;
        }
        let minute = now / 60;
        let known = self.minutes.iter_mut().rev().find(|(to, at, _)| (*to, *at) == (destination, minute));
        if let Some((_, _, count)) = known {
            *count = count.saturating_add(1);
            return *count > self.rate;
        }
        if self.minutes.len() == MINUTES {
            self.minutes.pop_front();
        }
        self.minutes.push_back((destination, minute, 1));
        false
    }

    /// Keeps a copy of an event that was held back, as [`Decision::Keep`] asked for.
    pub fn keep(&mut self, fingerprint: u64, closing: StormSummary) {
        if let Some(storm) = self.fingerprints.get_mut(&fingerprint).filter(|_| closing.payload.len() <= MAX_KEPT) {
            self.kept += usize::from(storm.kept.replace(closing).is_none());
        }
    }

    /// The last words about storms that are over at wall time `now`: nothing of theirs has come for twice their pause.
    pub fn closed(&mut self, now: WallTime) -> Vec<StormSummary> {
        if self.kept == 0 {
            return Vec::new();
        }
        // Seen by a clock that was ahead: as good as now.
        self.fingerprints.values_mut().for_each(|storm| storm.seen = storm.seen.min(now));
        let over = |storm: &&mut Storm| now.since(storm.seen) >= Duration::from_secs(storm.pause * 2);
        let last_word = |storm: &mut Storm| {
            let mut closing = storm.kept.take()?;
            closing.others = std::mem::take(&mut storm.held_back).saturating_sub(1);
            Some(closing)
        };
        let closings: Vec<_> = self.fingerprints.values_mut().filter(over).filter_map(last_word).collect();
        self.kept -= closings.len();
        closings
    }

    /// Returns true if the same exception chain was seen in the stream within the last seconds, because it was logged twice
    /// on its way up. The time counts from the chain that was sent, so that one that occurs every second is not taken for
    /// the same one forever.
    pub fn is_repeat(&mut self, stream: StreamId, chain: u64, time: Timestamp) -> bool {
        bound(&mut self.chains, |recent| recent.back().map_or(0, |(_, at)| *at));
        let (recent, now) = (self.chains.entry(stream).or_default(), time.micros());
        if let Some((_, at)) = recent.iter_mut().find(|(known, _)| *known == chain) {
            let repeat = now.abs_diff(*at) <= TWICE_MICROS;
            if !repeat {
                *at = now;
            }
            return repeat;
        }
        if recent.len() == ON_THEIR_WAY {
            recent.pop_front();
        }
        recent.push_back((chain, now));
        false
    }

    /// Returns true if a message fingerprint is one too many for its workload in this hour; `now` is wall time.
    pub fn is_one_too_many(&mut self, workload: u64, fingerprint: u64, time: Timestamp, now: WallTime) -> bool {
        bound(&mut self.workloads, |hour| hour.hour);
        let hour = self.workloads.entry(workload).or_default();
        // Pods of a workload are not all at the same time; the latest says which hour it is, but for one that is to come.
        let to_come = hour.hour > now.as_secs().saturating_add(AHEAD) / 3_600;
        if hour.hour < time.secs / 3_600 || to_come {
            *hour = Hour { hour: time.secs / 3_600, fingerprints: Vec::new() };
        }
        if hour.fingerprints.contains(&fingerprint) {
            return false;
        }
        if hour.fingerprints.len() >= NEW_PER_HOUR {
            return true;
        }
        hour.fingerprints.push(fingerprint);
        false
    }
}

/// Forgets the older half when there are too many, and says so.
fn bound<K: Eq + Hash, V>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> u64) -> bool {
    if map.len() < REMEMBERED {
        return false;
    }
    let mut ages: Vec<u64> = map.values().map(&age).collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2];
    map.retain(|_, value| age(value) > middle);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    /// Decides when the record is of just now; `true` if it is sent.
    fn decide(storms: &mut Storms, fingerprint: u64, secs: u64) -> Decision {
        storms.decide(fingerprint, 0, at(secs), WallTime::from_secs(secs))
    }

    fn closing(id: u8) -> StormSummary {
        StormSummary { routed: Routed::UNROUTED, event_id: EventId([id; 16]), payload: b"{}".to_vec(), others: 0 }
    }

    #[test]
    fn a_storm_is_let_through_ever_more_rarely_and_nothing_held_back_is_forgotten() {
        let mut storms = Storms::new(10, 0);
        let (mut sent, mut told) = (Vec::new(), 0);
        for secs in 0..3 * 3_600 {
            if let Decision::Send(before) = decide(&mut storms, 1, secs) {
                sent.push(secs);
                told += before;
            }
        }
        assert_eq!(&sent[..10], (0..10).collect::<Vec<_>>());
        let pauses: Vec<u64> = sent[9..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600]);
        assert_eq!(told + sent.len() as u64, sent.last().unwrap() + 1);
    }

    #[test]
    fn another_fingerprint_is_another_storm_and_quiet_ends_one() {
        let mut storms = Storms::new(1, 0);
        assert_eq!(decide(&mut storms, 1, 0), Decision::Send(0));
        assert_eq!(decide(&mut storms, 1, 1), Decision::Keep(Reason::Storm));
        assert_eq!(decide(&mut storms, 2, 1), Decision::Send(0));
        assert_eq!(decide(&mut storms, 1, 1_000), Decision::Send(1));
    }

    #[test]
    fn the_end_of_a_storm_tells_how_many_were_held_back() {
        let mut storms = Storms::new(1, 0);
        decide(&mut storms, 1, 0);
        assert_eq!(decide(&mut storms, 1, 1), Decision::Keep(Reason::Storm));
        storms.keep(1, closing(1));
        assert_eq!(decide(&mut storms, 1, 2), Decision::Suppress(Reason::Storm), "one copy is enough");
        assert_eq!(decide(&mut storms, 1, 3), Decision::Suppress(Reason::Storm));
        assert_eq!(storms.closed(WallTime::from_secs(122)), []);
        assert_eq!(storms.closed(WallTime::from_secs(123)), [StormSummary { others: 2, ..closing(1) }]);
        assert_eq!(storms.closed(WallTime::from_secs(1_000)), [], "it is told once");
        assert_eq!(decide(&mut storms, 1, 1_000), Decision::Send(0));
    }

    #[test]
    fn closing_does_not_repeat_a_count_that_an_event_reported() {
        let mut storms = Storms::new(1, 0);
        decide(&mut storms, 1, 0);
        decide(&mut storms, 1, 1);
        storms.keep(1, closing(1));
        assert_eq!(decide(&mut storms, 1, 60), Decision::Send(1));
        assert_eq!(storms.closed(WallTime::from_secs(10_000)), []);
        assert_eq!(storms.kept, 0);
    }

    #[test]
    fn the_rate_counts_all_fingerprints_of_a_destination_together() {
        let mut storms = Storms::new(0, 3);
        let sent = |storms: &mut Storms, destination, secs| {
            let decided = (0..10).map(|n| storms.decide(n, destination, at(secs), WallTime::from_secs(secs)));
            decided.filter(|decision| *decision == Decision::Send(0)).count()
        };
        assert_eq!(sent(&mut storms, 1, 30), 3);
        assert_eq!(sent(&mut storms, 2, 30), 3);
        assert_eq!(sent(&mut storms, 1, 60), 3);
        assert_eq!(sent(&mut storms, 1, 59), 0, "a stream that is behind does not begin the minute again");
    }

    #[test]
    fn an_exception_logged_twice_on_its_way_up_is_one() {
        let mut storms = Storms::new(0, 0);
        let stream = StreamId(1);
        assert!(!storms.is_repeat(stream, 7, at(10)));
        assert!(!storms.is_repeat(stream, 9, at(11)));
        assert!(storms.is_repeat(stream, 7, at(12)));
        assert!(!storms.is_repeat(StreamId(2), 7, at(12)));
        assert!(!storms.is_repeat(stream, 8, at(12)));
        assert!(!storms.is_repeat(stream, 7, Timestamp { secs: 12, nanos: 500_000_000 }));
    }

    #[test]
    fn a_failure_counts_as_a_repeat_for_less_than_three_seconds() {
        let mut storms = Storms::new(0, 0);
        let seen = (0..9).filter(|secs| !storms.is_repeat(StreamId(1), 7, at(*secs))).collect::<Vec<_>>();
        assert_eq!(seen, [0, 3, 6]);
    }

    #[test]
    fn a_workload_gets_twenty_new_messages_an_hour() {
        const HOUR: WallTime = WallTime::from_secs(3_600);
        let mut storms = Storms::new(0, 0);
        let too_many = (0..30).filter(|n| storms.is_one_too_many(1, *n, at(10), HOUR)).count();
        assert_eq!(too_many, 10);
        assert!(!storms.is_one_too_many(1, 5, at(10), HOUR), "a known one stays itself");
        assert!(!storms.is_one_too_many(1, 29, at(3_600), HOUR));
        assert!(!storms.is_one_too_many(1, 29, at(10), HOUR), "a pod that is behind does not turn the hour back");
    }

    #[test]
    fn a_clock_that_was_ahead_silences_nothing_when_it_is_set_right() {
        const YEAR: u64 = 365 * 86_400;
        let mut storms = Storms::new(1, 0);
        decide(&mut storms, 1, YEAR);
        assert_eq!(decide(&mut storms, 1, YEAR + 1), Decision::Keep(Reason::Storm));
        storms.keep(1, closing(1));
        (0..30).for_each(|n| _ = storms.is_one_too_many(1, n, at(YEAR), WallTime::from_secs(YEAR)));
        assert_eq!(storms.closed(WallTime::from_secs(10)), [], "nobody knows for how long it has been quiet");
        assert_eq!(storms.closed(WallTime::from_secs(130)), [closing(1)]);
        assert_eq!(decide(&mut storms, 1, 140), Decision::Send(0));
        assert_eq!(decide(&mut storms, 1, 141), Decision::Keep(Reason::Storm), "a storm of now is one");
        assert!(!storms.is_one_too_many(1, 99, at(140), WallTime::from_secs(140)));
        // A second or two are nobody's fault.
        decide(&mut storms, 2, 1_000);
        assert_eq!(storms.decide(2, 0, at(998), WallTime::from_secs(998)), Decision::Keep(Reason::Storm));
    }

    #[test]
    fn memory_is_bounded() {
        let mut storms = Storms::new(1, 7);
        for n in 0..20_000 {
            if matches!(storms.decide(n / 2, u128::from(n), at(n), WallTime::from_secs(n)), Decision::Keep(_)) {
                storms.keep(n / 2, closing(0));
            }
            storms.is_repeat(StreamId(u128::from(n)), 0, at(n));
        }
        assert!(storms.fingerprints.len() <= REMEMBERED && storms.chains.len() <= REMEMBERED);
        assert!(storms.minutes.len() <= MINUTES && storms.kept <= KEPT);
        assert_eq!(storms.kept, storms.fingerprints.values().filter(|storm| storm.kept.is_some()).count());
    }
}
