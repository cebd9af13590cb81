//! Reloads and restarts while the server answers slowly.

use super::counters::Watch;
use super::harness::{ARRIVES_WITHIN, Harness, NAME, SPOOL};
use super::received::Seen;
use std::time::Duration;
use testkit::wait;

/// Logs of an envelope.
const BATCH: u64 = 20;

/// `exit_timeout` of these tests, which is its default.
const EXIT_TIMEOUT: Duration = Duration::from_secs(4);

/// Waits until so many more logs have come.
fn wait_for_more(harness: &Harness, more: u64) {
    let before = harness.receiver.totals().logs;
    let came = harness.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= before + more);
    assert!(came, "{:?} after {before}\n{}", harness.receiver.totals(), harness.host.log());
}

/// Scenario 3: a reload and a restart with answers after `delay`, with a backlog of 1,000 records or with a load.
pub fn run(delay: Duration, has_backlog: bool) {
    let faults = if has_backlog { "forever:503".to_owned() } else { format!("forever:delay={}ms", delay.as_millis()) };
    let mut harness = Harness::start(&[SPOOL, "batch_max_items 20", "senders 4"], &faults);
    let watch = Watch::start(&harness.host, NAME);
    let first = if has_backlog { 1_000 } else { 0 };
    harness.feed.append(0..first);
    let records = Some(first as f64);
    let taken = || harness.host.metric("fluentbit_sentry_records_total", &[]).is_ok_and(|taken| taken == records);
    assert!(wait::until_true(ARRIVES_WITHIN, taken), "{}", harness.host.log());
    harness.receiver.script(format!("forever:delay={}ms", delay.as_millis()).parse().expect("expected a script"));
    // Without a backlog: a record every 40 ms or so, and each of them is sent at once.
    let load = harness.feed.load(first, if has_backlog { 0 } else { 1 });
    wait_for_more(&harness, 2 * BATCH);
    harness.host.reload().expect("expected a reload");
    wait_for_more(&harness, 2 * BATCH);
    watch.finish();
    harness.stop();
    let at_the_stop = load.stop();
    harness.host.restart().expect("expected a restart");
    harness.receiver.script("".parse().expect("expected a script"));
    let total = at_the_stop + 100;
    harness.feed.append(at_the_stop..total);
    let all = || Seen::at(&harness.receiver).is_complete(total);
    assert!(
        wait::until_true(ARRIVES_WITHIN, all),
        "{:?}\n{}",
        Seen::at(&harness.receiver).missing(total),
        harness.host.log()
    );
    harness.stop();
    let again = Seen::at(&harness.receiver).repeats().len() as u64;
    eprintln!("answers after {delay:?}, backlog {has_backlog}: {again} of {total} logs came again");
    // At each of two ends an envelope of each sender, if its answer takes longer than the end may.
    let most = if delay >= EXIT_TIMEOUT { 2 * 4 * BATCH } else { 0 };
    assert!(again <= most, "{again} logs came again with answers after {delay:?}");
}
