//! Stops and kills in mid-stream.

use super::harness::{ENDS_WITHIN, Harness, SPOOL};
use super::received::Seen;
use receiver::Request;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records every ten milliseconds: less than four senders can take.
const PACE: u64 = 5;

/// As many envelopes may be under way at a kill.
const SENDERS: usize = 4;

/// An answer that takes a while, so that there is always something under way.
const SLOW: &str = "forever:delay=20ms";

const KILLS: usize = 4;

/// A chunk that is under way at a stop was flushed no longer ago than this.
const UNDER_WAY: Duration = Duration::from_secs(2);

fn start(lines: &[&str]) -> Harness {
    Harness::start(&[lines, &["batch_max_items 20", "senders 4"]].concat(), SLOW)
}

/// Waits until `more` logs have come.
fn wait_for_more(harness: &Harness, more: u64) {
    let before = harness.receiver.totals().logs;
    let came = harness.receiver.wait_until(Duration::from_secs(30), |seen| seen.totals.logs >= before + more);
    assert!(came, "no more than {} logs:\n{}", harness.receiver.totals().logs, harness.host.log());
}

/// The requests that brought logs which came again in a later one.
fn repeated(harness: &Harness) -> Vec<Arc<Request>> {
    let seen = Seen::at(&harness.receiver);
    let firsts: BTreeSet<u64> =
        seen.logs().values().flat_map(|all| all.split_last().expect("a request").1).copied().collect();
    harness.receiver.requests().into_iter().filter(|request| firsts.contains(&request.index)).collect()
}

/// Stops and starts the host while records keep coming; when each stop began.
fn terminate_twice(lines: &[&str]) -> (Harness, Vec<Instant>) {
    let mut harness = start(lines);
    let load = harness.feed.load(0, PACE);
    let mut stops = Vec::new();
    for _ in 0..2 {
        wait_for_more(&harness, 500);
        stops.push(Instant::now());
        harness.stop();
        harness.host.restart().expect("expected a restart");
    }
    wait_for_more(&harness, 500);
    let total = load.stop();
    harness.wait_for_all(total);
    harness.stop();
    Seen::at(&harness.receiver).assert_complete(total);
    harness.assert_sound();
    (harness, stops)
}

/// All that is under way is answered before the host ends, and the rest is found in the spool.
pub fn terminated_with_spool() {
    let (harness, _) = terminate_twice(&[SPOOL]);
    assert_eq!(Seen::at(&harness.receiver).repeats(), Vec::<u64>::new());
}

/// The host may end before it has heard of the last chunks, and offers those again: theirs are the only logs that repeat.
pub fn terminated_with_worker() {
    let (harness, stops) = terminate_twice(&["Workers 1"]);
    for request in repeated(&harness) {
        let under_way =
            stops.iter().any(|stop| request.arrival + UNDER_WAY > *stop && request.arrival < *stop + ENDS_WITHIN);
        assert!(under_way, "logs came again although their chunk was done long before a stop");
    }
}

/// Of what a killed host had under way, at most one envelope per sender comes again.
pub fn killed_with_spool() {
    let mut harness = start(&[SPOOL]);
    let load = harness.feed.load(0, PACE);
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        wait_for_more(&harness, 300);
        harness.host.kill();
        kills.push(Instant::now());
        harness.host.restart().expect("expected a restart");
    }
    let total = load.stop();
    harness.wait_for_all(total);
    harness.stop();
    Seen::at(&harness.receiver).assert_complete(total);
    let again = repeated(&harness);
    // What came for the first time after the last kill was under way at none.
    for (at, kill) in kills.iter().map(Some).chain([None]).enumerate() {
        let since = at.checked_sub(1).map(|before| kills[before]);
        let before_kill = |request: &Request| kill.is_none_or(|kill| request.arrival < *kill);
        let envelopes = again.iter().filter(|request| before_kill(request) && since < Some(request.arrival)).count();
        let most = if kill.is_some() { SENDERS } else { 0 };
        assert!(envelopes <= most, "{envelopes} envelopes of the time before kill {at} came again");
    }
    let cut = |problem: &String| problem.starts_with("connection closed within");
    let problems: Vec<_> = harness.receiver.problems().into_iter().filter(|problem| !cut(problem)).collect();
    assert_eq!(problems, Vec::<String>::new());
}
