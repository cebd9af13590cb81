//! Reloads and restarts while the server answers slowly.

use crate::counters::Watch;
use crate::rig::{ARRIVES_WITHIN, NAME, Rig, SPOOL};
use crate::seen::Seen;
use crate::support::wait;
use std::time::Duration;

/// Logs of an envelope.
const BATCH: u64 = 20;

/// `exit_timeout` of these tests, which is its default.
const EXIT_TIMEOUT: Duration = Duration::from_secs(4);

/// Waits until so many more logs have come.
fn wait_for_more(rig: &Rig, more: u64) {
    let before = rig.receiver.totals().logs;
    let came = rig.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= before + more);
    assert!(came, "{:?} after {before}\n{}", rig.receiver.totals(), rig.host.log());
}

/// Scenario 3: a reload and a restart with answers after `delay`, with a backlog of 1,000 records or with a load.
pub fn run(delay: Duration, has_backlog: bool) {
    let faults = if has_backlog { "forever:503".to_owned() } else { format!("forever:delay={}ms", delay.as_millis()) };
    let mut rig = Rig::start(&[SPOOL, "batch_max_items 20", "senders 4"], &faults);
    let watch = Watch::start(&rig.host, NAME);
    let first = if has_backlog { 1_000 } else { 0 };
    rig.feed.append(0..first);
    let records = Some(first as f64);
    let taken = || rig.host.metric("fluentbit_sentry_records_total", &[]).is_ok_and(|taken| taken == records);
    assert!(wait::until_true(ARRIVES_WITHIN, taken), "{}", rig.host.log());
    rig.receiver.script(format!("forever:delay={}ms", delay.as_millis()).parse().expect("expected a script"));
    // Without a backlog: a record every 40 ms or so, and each of them is sent at once.
    let load = rig.feed.load(first, if has_backlog { 0 } else { 1 });
    wait_for_more(&rig, 2 * BATCH);
    rig.host.reload().expect("expected a reload");
    wait_for_more(&rig, 2 * BATCH);
    watch.finish();
    rig.stop();
    let at_the_stop = load.stop();
    rig.host.restart().expect("expected a restart");
    rig.receiver.script("".parse().expect("expected a script"));
    let total = at_the_stop + 100;
    rig.feed.append(at_the_stop..total);
    let all = || Seen::at(&rig.receiver).is_complete(total);
    assert!(wait::until_true(ARRIVES_WITHIN, all), "{:?}\n{}", Seen::at(&rig.receiver).missing(total), rig.host.log());
    rig.stop();
    let again = Seen::at(&rig.receiver).repeats().len() as u64;
    eprintln!("answers after {delay:?}, backlog {has_backlog}: {again} of {total} logs came again");
    // At each of two ends an envelope of each sender, if its answer takes longer than the end may.
    let most = if delay >= EXIT_TIMEOUT { 2 * 4 * BATCH } else { 0 };
    assert!(again <= most, "{again} logs came again with answers after {delay:?}");
}
