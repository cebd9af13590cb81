//! Servers and networks that fail now and then.

use super::counters;
use super::harness::{Harness, NAME, SPOOL, count_in_log};
use super::received::Seen;
use receiver::{Receiver, Request};
use std::collections::HashSet;
use std::time::{Duration, Instant};

const TOTAL: u64 = 2_000;

fn with_faults(lines: &[&str], faults: &str) -> Harness {
    let harness = Harness::start(lines, faults);
    harness.feed.append(0..TOTAL);
    harness.wait_for_all(TOTAL);
    harness.wait_for_counters(TOTAL);
    harness
}

fn statuses(receiver: &Receiver, status: Option<u16>) -> usize {
    receiver.requests().iter().filter(|request| request.status == status).count()
}

pub fn failing() {
    let faults = "3x500 then 2xcut-after-body then ok then 2xcut-before-body then garbage then half-close then 2x503";
    let harness = with_faults(&[SPOOL], faults);
    assert_eq!((statuses(&harness.receiver, Some(500)), statuses(&harness.receiver, Some(503))), (3, 2));
    let counters = counters::wait_for(&harness.host, NAME, "all requests counted", |counters| {
        counters.value("requests_total", &[("status", "5xx")]) == 5.0
    });
    assert!(counters.value("requests_total", &[("status", "error")]) >= 6.0, "{counters:?}");
    harness.finish(TOTAL);
}

/// Nothing may be sent before the limit ends, except what was under way when it was set.
pub fn quota() {
    let harness = with_faults(&[SPOOL, "senders 1"], "log:429,retry-after=2 then event:429,retry-after=1");
    let requests = harness.receiver.requests();
    let limited: Vec<&Request> = requests.iter().filter(|request| request.status == Some(429)).map(|r| &**r).collect();
    assert!(!limited.is_empty());
    // `Retry-After` without categories is for all of them.
    for limit in limited {
        let wait = limit_of(limit);
        let early: Vec<Instant> = requests
            .iter()
            .map(|request| request.arrival)
            .filter(|at| *at > limit.arrival && *at < limit.arrival + wait)
            .collect();
        assert!(early.is_empty(), "{} requests within {wait:?} of a 429", early.len());
    }
    harness.finish(TOTAL);
}

fn limit_of(request: &Request) -> Duration {
    let is_log = String::from_utf8_lossy(&request.body).contains("\"type\":\"log\"");
    // A little less, for the answer's way.
    Duration::from_secs(if is_log { 2 } else { 1 }) - Duration::from_millis(20)
}

pub fn lost_answers() {
    let mut harness = with_faults(&[SPOOL], "2xlog:lost-answer then 2xevent:lost-answer");
    harness.stop();
    let seen = Seen::at(&harness.receiver);
    seen.assert_complete(TOTAL);
    let requests = harness.receiver.requests();
    let lost: HashSet<u64> =
        requests.iter().filter(|r| r.accepted && r.status.is_none()).map(|request| request.index).collect();
    assert_eq!(lost.len(), 4);
    for (number, requests) in seen.logs().iter().filter(|(_, requests)| requests.len() > 1) {
        let first = requests.split_last().expect("expected a request").1;
        assert!(first.iter().all(|request| lost.contains(request)), "log {number} came in {requests:?}, lost {lost:?}");
        assert!(requests.len() <= 1 + lost.len());
    }
    assert!(!seen.repeats().is_empty(), "a log whose answer was lost must come again");
    harness.assert_sound();
}

pub fn worker() {
    let faults = "2x500 then 2xcut-after-body then log:429,retry-after=1 then cut-before-body then 2x502";
    let harness = with_faults(&["Workers 1"], faults);
    harness.finish(TOTAL);
}

pub fn memory() {
    let harness = with_faults(&[], "3x500 then cut-after-body then event:429,retry-after=1");
    assert_eq!(
        count_in_log(&harness.host, "[ warn] [output:sentry:out] delivery = memory"),
        1,
        "{}",
        harness.host.log()
    );
    assert_eq!(count_in_log(&harness.host, "delivery: memory (chosen by auto at the first flush)"), 1);
    harness.finish(TOTAL);
}
