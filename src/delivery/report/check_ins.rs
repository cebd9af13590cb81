//! Sends check-ins: heartbeats that show that this output works (`monitor_slug`), and check-ins for jobs that ran.
//!
//! Sentry uses the time at which it receives a check-in as the time of what the check-in reports (relay-monitors), so a
//! delayed check-in would state the time at which it was received. Check-ins are therefore sent within seconds or dropped, and never stored. They
//! are not items of the ledger; the summary line counts them.

use crate::clock::{Moment, Monotonic};
use crate::delivery::transport::client::SendResult;
use crate::delivery::transport::response::{Limits, ResponseKind};
use crate::mapping::json::{self, Object};
use crate::mapping::{CheckIn, DestinationId, Status};
use crate::options;
use std::collections::VecDeque;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Longest time that a check-in may wait for a free sender.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Most that wait at once.
const MAX_WAITING: usize = 64;

/// Age of the oldest pending item above which the heartbeat has the status `error`.
const MAX_ITEM_AGE: Duration = Duration::from_secs(15 * 60);

/// Heartbeats and the check-ins that wait.
#[derive(Debug)]
pub(in crate::delivery) struct CheckIns {
    settings: options::Monitor,
    environment: Option<String>,
    /// Steady time of the last heartbeat.
    last: Option<Monotonic>,
    waiting: VecDeque<(Monotonic, CheckIn)>,
    /// Steady time before which the server accepts none.
    limited_until: Monotonic,
    sent: u64,
    dropped: u64,
}

impl CheckIns {
    pub(in crate::delivery) fn new(settings: &options::Monitor, environment: Option<&str>) -> Self {
        Self {
            settings: settings.clone(),
            environment: environment.map(str::to_owned),
            last: None,
            waiting: VecDeque::new(),
            limited_until: Monotonic::START,
            sent: 0,
            dropped: 0,
        }
    }

    /// Returns true if a heartbeat is due.
    pub(in crate::delivery) fn is_due(&self, now: Monotonic) -> bool {
        let slug = self.settings.slug.as_ref();
        slug.is_some() && self.last.is_none_or(|last| now >= last + self.settings.interval)
    }

    /// Adds the heartbeat to this destination. `oldest` is the age of the oldest pending item, `misconfigured` the number of destinations
    /// that are.
    pub(in crate::delivery) fn beat(
        &mut self,
        destination: DestinationId,
        now: Moment,
        oldest: Duration,
        misconfigured: usize,
    ) {
        self.last = Some(now.steady);
        let Some(slug) = self.settings.slug.clone() else { return };
        let status = if oldest > MAX_ITEM_AGE || misconfigured > 0 { Status::Error } else { Status::Ok };
        let seed = format!("{slug} {}.{:09} {}", now.wall.as_secs(), now.wall.subsec_nanos(), std::process::id());
        let id = xxh3_128(seed.as_bytes()).to_be_bytes();
        self.add(
            CheckIn { destination, id, slug, status, duration: None, interval: Some(self.settings.interval) },
            now.steady,
        );
    }

    /// Takes a check-in that is to be sent at once.
    pub(in crate::delivery) fn add(&mut self, check_in: CheckIn, now: Monotonic) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((now, check_in));
    }

    /// The next check-in that `may` be sent now. Drops those that have waited for too long; during a rate limit, all of them.
    pub(in crate::delivery) fn next(&mut self, now: Monotonic, may: impl Fn(DestinationId) -> bool) -> Option<CheckIn> {
        let before = self.waiting.len();
        let is_limited = now < self.limited_until;
        self.waiting.retain(|(since, _)| !is_limited && now.since(*since) <= MAX_WAIT);
        self.dropped += (before - self.waiting.len()) as u64;
        let place = self.waiting.iter().position(|(_, check_in)| may(check_in.destination))?;
        self.waiting.remove(place).map(|(_, check_in)| check_in)
    }

    /// Processes the response to a check-in. Returns true if the server refused this check-in.
    pub(in crate::delivery) fn on_response(&mut self, sent: &SendResult, now: Monotonic) -> bool {
        let limits: &Limits = &sent.response.limits;
        if let Some(limit) = limits.of_monitors() {
            self.limited_until = now + limit;
        }
        if sent.response.kind == ResponseKind::Accepted {
            self.sent += 1;
            return false;
        }
        self.dropped += 1;
        !matches!(sent.response.kind, ResponseKind::Limited | ResponseKind::Failed)
    }

    /// Drops all that wait and sends no more.
    pub(in crate::delivery) fn stop(&mut self) {
        self.dropped += self.waiting.len() as u64;
        self.waiting.clear();
        self.settings.slug = None;
    }

    /// Returns the numbers sent and dropped for the summary line; empty if there were none.
    pub(in crate::delivery) fn summary(&self) -> String {
        if self.sent + self.dropped == 0 {
            return String::new();
        }
        format!(" check_ins.sent={} check_ins.dropped={}", self.sent, self.dropped)
    }

    /// Returns the payload of a check-in.
    pub(in crate::delivery) fn payload(&self, check_in: &CheckIn) -> Vec<u8> {
        let mut out = Vec::new();
        let mut item = Object::begin(&mut out);
        json::id(item.key("check_in_id"), &check_in.id);
        item.text("monitor_slug", &check_in.slug);
        item.text("status", check_in.status.name());
        if let Some(duration) = check_in.duration {
            json::seconds(item.key("duration"), u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
        item.text_if("environment", self.environment.as_deref());
        if let Some(interval) = check_in.interval {
            let minutes = interval.as_secs().div_ceil(60).max(1);
            let mut config = Object::begin(item.key("monitor_config"));
            let mut scheduler = Object::begin(config.key("schedule"));
            scheduler.text("type", "interval");
            json::integer(scheduler.key("value"), minutes);
            scheduler.text("unit", "minute");
            scheduler.end();
            json::integer(config.key("checkin_margin"), minutes);
            config.end();
        }
        item.end();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::delivery::transport::response::Response;
    use crate::ledger;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_secs(seconds)
    }

    fn moment(steady: Monotonic) -> Moment {
        Moment { steady, wall: WallTime::from_secs(1_796_000_000) + steady.since(at(0)) }
    }

    fn check_ins() -> CheckIns {
        let settings = options::Monitor { slug: Some("edge-1".to_owned()), interval: SECOND * 300 };
        CheckIns::new(&settings, Some("production"))
    }

    fn beat(check_ins: &mut CheckIns, now: Monotonic, oldest: Duration, misconfigured: usize) -> CheckIn {
        assert!(check_ins.is_due(now));
        check_ins.beat(DestinationId(7), moment(now), oldest, misconfigured);
        assert!(!check_ins.is_due(now));
        check_ins.next(now, |destination| destination == DestinationId(7)).expect("expected a heartbeat")
    }

    fn result(status: u16, limits: Option<&str>) -> SendResult {
        let limits = Limits::read(status, limits, None, WallTime::EPOCH);
        let response = Response::new(ResponseKind::of_status(status), limits);
        SendResult { response, status: ledger::Status::Other, bytes: 0, error: None }
    }

    #[test]
    fn heartbeat_is_error_for_old_items_or_misconfigured_destinations() {
        let mut check_ins = check_ins();
        let first = beat(&mut check_ins, at(1), SECOND * 900, 0);
        assert_eq!((first.status, first.slug.as_str()), (Status::Ok, "edge-1"));
        let text = String::from_utf8(check_ins.payload(&first)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["status"], "ok");
        assert_eq!(value["environment"], "production");
        assert_eq!(value["monitor_config"]["schedule"]["value"], 5);
        assert!(!check_ins.is_due(at(300)) && check_ins.is_due(at(301)));
        let second = beat(&mut check_ins, at(301), SECOND * 901, 0);
        assert_eq!(second.status, Status::Error);
        assert_ne!(first.id, second.id);
        assert_eq!(beat(&mut check_ins, at(700), SECOND, 1).status, Status::Error);
    }

    #[test]
    fn drops_check_ins_that_cannot_be_sent_at_once() {
        let mut check_ins = check_ins();
        check_ins.beat(DestinationId(7), moment(at(1)), Duration::ZERO, 0);
        assert!(check_ins.next(at(2), |_| false).is_none(), "no sender is free");
        assert!(check_ins.next(at(6), |_| true).is_some());
        check_ins.beat(DestinationId(7), moment(at(400)), Duration::ZERO, 0);
        assert!(check_ins.next(at(406), |_| true).is_none(), "it is old by now");
        assert_eq!(check_ins.summary(), " check_ins.sent=0 check_ins.dropped=1");
    }

    #[test]
    fn drops_check_ins_during_a_rate_limit() {
        let mut check_ins = check_ins();
        let _ = beat(&mut check_ins, at(1), Duration::ZERO, 0);
        assert!(!check_ins.on_response(&result(429, Some("600:monitor:organization")), at(1)));
        check_ins.beat(DestinationId(7), moment(at(301)), Duration::ZERO, 0);
        assert!(check_ins.next(at(301), |_| true).is_none());
        let _ = beat(&mut check_ins, at(601), Duration::ZERO, 0);
        assert!(!check_ins.on_response(&result(200, None), at(601)));
        assert_eq!(check_ins.summary(), " check_ins.sent=1 check_ins.dropped=2");
        assert!(check_ins.on_response(&result(403, None), at(601)));
        check_ins.stop();
        assert!(!check_ins.is_due(at(10_000)));
    }
}
