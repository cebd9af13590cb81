//! Keeps one bad roll-out from burning a quota: bursts, rates and repeats of events. On record time, so that a replay
//! decides as the first reading did; bounded in memory.

use super::identity::StreamId;
use crate::chunk::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;

/// Longest pause between events of a storm, in seconds.
const LONGEST: u64 = 3_600;
const FIRST: u64 = 60;
/// Fingerprints, streams and workloads remembered; beyond it the oldest go.
const REMEMBERED: usize = 4_096;
/// New message fingerprints of a workload in an hour before the rest share one issue.
const NEW_PER_HOUR: usize = 20;
/// An exception logged again within this many seconds, on its way up, is the same.
const TWICE_SECS: u64 = 2;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent, and tells how many before it were held back.
    Send(u64),
    /// It is held back.
    HoldBack,
}

/// The memory of storms.
#[derive(Debug)]
pub struct Storms {
    burst: u32,
    rate: u32,
    fingerprints: HashMap<u64, Storm>,
    /// The minute and its events, for each destination.
    minutes: HashMap<u64, (u64, u32)>,
    chains: HashMap<StreamId, (u64, u64)>,
    workloads: HashMap<u64, Hour>,
}

#[derive(Debug)]
struct Storm {
    sent: u32,
    pause: u64,
    next: u64,
    last: u64,
    held_back: u64,
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
        Self {
            burst,
            rate,
            fingerprints: HashMap::new(),
            minutes: HashMap::new(),
            chains: HashMap::new(),
            workloads: HashMap::new(),
        }
    }

    /// Decides about an event with this fingerprint. Destinations do not share their storms, nor their rates.
    pub fn decide(&mut self, destination: u64, fingerprint: u64, time: Timestamp) -> Decision {
        let fingerprint = fingerprint ^ destination;
        let decision = self.burst(fingerprint, time.secs);
        if decision == Decision::HoldBack || !self.exceeds_rate(destination, time.secs) {
            return decision;
        }
        if let Some(storm) = self.fingerprints.get_mut(&fingerprint) {
            storm.held_back += 1;
        }
        Decision::HoldBack
    }

    fn burst(&mut self, fingerprint: u64, now: u64) -> Decision {
        if self.burst == 0 {
            return Decision::Send(0);
        }
        bound(&mut self.fingerprints, |storm| storm.last);
        let storm = self.fingerprints.entry(fingerprint).or_insert(Storm {
            sent: 0,
            pause: FIRST,
            next: 0,
            last: now,
            held_back: 0,
        });
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
            return Decision::HoldBack;
        }
        storm.pause = (storm.pause * 2).min(LONGEST);
        storm.next = now + storm.pause;
        Decision::Send(std::mem::take(&mut storm.held_back))
    }

    fn exceeds_rate(&mut self, destination: u64, now: u64) -> bool {
        if self.rate == 0 {
            return false;
        }
        bound(&mut self.minutes, |(minute, _)| *minute);
        let (minute, events) = self.minutes.entry(destination).or_default();
        if *minute != now / 60 {
            (*minute, *events) = (now / 60, 0);
        }
        *events = events.saturating_add(1);
        *events > self.rate
    }

    /// Whether the same exception chain was seen in the stream within the last seconds: logged twice on its way up.
    pub fn is_repeat(&mut self, stream: StreamId, chain: u64, time: Timestamp) -> bool {
        bound(&mut self.chains, |(_, last)| *last);
        let known = self.chains.insert(stream, (chain, time.secs));
        known.is_some_and(|(known, last)| known == chain && time.secs.abs_diff(last) <= TWICE_SECS)
    }

    /// Whether a message fingerprint is one too many for its workload in this hour.
    pub fn is_one_too_many(&mut self, workload: u64, fingerprint: u64, time: Timestamp) -> bool {
        bound(&mut self.workloads, |hour| hour.hour);
        let hour = self.workloads.entry(workload).or_default();
        if hour.hour != time.secs / 3_600 {
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

/// Forgets the older half when there are too many.
fn bound<K: Eq + Hash, V>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> u64) {
    if map.len() < REMEMBERED {
        return;
    }
    let mut ages: Vec<u64> = map.values().map(&age).collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2];
    map.retain(|_, value| age(value) > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    #[test]
    fn a_storm_is_let_through_ever_more_rarely_and_nothing_held_back_is_forgotten() {
        let mut storms = Storms::new(10, 0);
        let (mut sent, mut told) = (Vec::new(), 0);
        for secs in 0..3 * 3_600 {
            if let Decision::Send(before) = storms.decide(0, 1, at(secs)) {
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
        assert_eq!(storms.decide(0, 1, at(0)), Decision::Send(0));
        assert_eq!(storms.decide(0, 1, at(1)), Decision::HoldBack);
        assert_eq!(storms.decide(0, 2, at(1)), Decision::Send(0));
        assert_eq!(storms.decide(0, 1, at(1_000)), Decision::Send(1));
    }

    #[test]
    fn the_rate_counts_all_fingerprints_together() {
        let mut storms = Storms::new(0, 3);
        let sent = (0..10).filter(|n| storms.decide(0, *n, at(30)) != Decision::HoldBack).count();
        assert_eq!(sent, 3);
        assert_eq!(storms.decide(0, 1, at(60)), Decision::Send(0));
    }

    #[test]
    fn each_destination_has_its_own_rate_and_its_own_storms() {
        let mut storms = Storms::new(2, 3);
        let sent = |storms: &mut Storms, destination, fingerprints: std::ops::Range<u64>| {
            fingerprints.filter(|n| storms.decide(destination, *n, at(30)) != Decision::HoldBack).count()
        };
        assert_eq!(sent(&mut storms, 7, 0..10), 3);
        assert_eq!(sent(&mut storms, 8, 0..2), 2);
        assert_eq!(storms.decide(8, 0, at(31)), Decision::Send(0));
        assert_eq!(storms.decide(8, 0, at(31)), Decision::HoldBack);
    }

    #[test]
    fn an_exception_logged_twice_on_its_way_up_is_one() {
        let mut storms = Storms::new(0, 0);
        let stream = StreamId(1);
        assert!(!storms.is_repeat(stream, 7, at(10)));
        assert!(storms.is_repeat(stream, 7, at(12)));
        assert!(!storms.is_repeat(StreamId(2), 7, at(12)));
        assert!(!storms.is_repeat(stream, 8, at(12)));
        assert!(!storms.is_repeat(stream, 7, at(30)));
    }

    #[test]
    fn a_workload_gets_twenty_new_messages_an_hour() {
        let mut storms = Storms::new(0, 0);
        let too_many = (0..30).filter(|n| storms.is_one_too_many(1, *n, at(10))).count();
        assert_eq!(too_many, 10);
        assert!(!storms.is_one_too_many(1, 5, at(10)), "a known one stays itself");
        assert!(!storms.is_one_too_many(1, 29, at(3_600)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut storms = Storms::new(1, 0);
        for n in 0..20_000 {
            storms.decide(0, n, at(n));
            storms.is_repeat(StreamId(u128::from(n)), 0, at(n));
        }
        assert!(storms.fingerprints.len() <= REMEMBERED && storms.chains.len() <= REMEMBERED);
    }
}
