//! A budget for logs over restarts and reloads of a real Fluent Bit.

use super::counters;
use super::harness::{ARRIVES_WITHIN, Harness, NAME, SPOOL};
use std::fs::File;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::arrivals::wait_until_settled;
use testkit::billing::{billed, notices, payloads, wait_for_the_day};

/// Lines of about a kilobyte in each part of the input.
const LINES: u64 = 1_700;

/// Restarts and reloads, one after each part but the last.
const STEPS: [Step; 5] = [Step::Restart, Step::Reload, Step::Restart, Step::Reload, Step::Restart];

enum Step {
    Restart,
    Reload,
}

/// Appends a part of the input: lines of which every fifth is a warning, and an error at the end.
///
/// The error becomes an event, to which the budget does not apply: where it arrives, Fluent Bit has read the part.
fn append(harness: &Harness, part: u64) {
    let mut text = String::new();
    for n in 0..=LINES {
        let level = if n == LINES {
            "error"
        } else if n % 5 == 0 {
            "warn"
        } else {
            "info"
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("expected a time after 1970").as_secs();
        let msg = format!("part {part} {}", "x".repeat(950));
        text += &format!("{{\"n\":{n},\"level\":\"{level}\",\"msg\":\"{msg}\",\"time\":\"{now}.{n:09}\"}}\n");
    }
    let mut file = File::options().append(true).open(harness.feed.file()).expect("expected the file");
    file.write_all(text.as_bytes()).expect("expected to append");
}

/// Bills at most 120 % of a budget of 1 MB for 10 MB of input, across three restarts and two reloads, with one notice.
pub fn holds_over_restarts_and_reloads() {
    wait_for_the_day();
    let mut harness = Harness::start(&[SPOOL, "logs_budget 1M/d", "batch_max_items 20"], "");
    for part in 0..=STEPS.len() as u64 {
        append(&harness, part);
        let read = harness.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.events > part);
        assert!(read, "part {part}: {:?}\n{}", harness.receiver.totals(), harness.host.log());
        wait_until_settled(&harness.host.dir().join("spool"));
        counters::assert_add_up(&harness.host, NAME);
        match STEPS.get(part as usize) {
            Some(Step::Restart) => {
                harness.stop();
                harness.host.restart().expect("expected a restart");
            }
            Some(Step::Reload) => harness.host.reload().expect("expected a reload"),
            None => harness.stop(),
        }
    }
    let all: u64 = payloads(&harness.receiver).iter().map(billed).sum();
    assert!((1_100_000..=1_200_000).contains(&all), "expected at most 1.2 MB, found {all}");
    let notices = notices(&harness.receiver);
    assert!(notices.len() == 1 && notices[0].starts_with("logs_budget 1M/d is spent: "), "{notices:?}");
    harness.assert_sound();
}
