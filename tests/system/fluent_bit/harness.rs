//! A file, a host that tails it, and a receiver.

use super::counters;
use super::feed::{EVENT_EVERY, Feed};
use super::received::Seen;
use out_sentry::ledger::{Category, Outcome};
use receiver::{Options, Receiver};
use std::time::Duration;
use testkit::fluent_bit::{FluentBit, Format, SERVICE};
use testkit::output::shows_a_key;
use testkit::{plugin, wait};

/// The alias of the output, and with it the name in its metrics.
pub const NAME: &str = "out";

/// The option that all samples have.
pub const SPOOL: &str = "spool_path ${STATE}/spool";

/// Longest wait for records to arrive.
pub const ARRIVES_WITHIN: Duration = Duration::from_secs(40);

/// Longest wait for the host to end: its grace, ours, and a busy machine.
pub const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// All three together.
pub struct Harness {
    pub host: FluentBit,
    pub receiver: Receiver,
    pub feed: Feed,
}

/// A receiver with faults.
pub fn receiver(faults: &str) -> Receiver {
    let faults = faults.parse().expect("expected faults");
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// Service, input and the beginning of an output: everything but what a test is about.
pub fn config(feed: &Feed, outputs: &[String]) -> String {
    let (parsers, file) = (feed.parsers(), feed.file());
    let service = format!(
        "{SERVICE}    Parsers_File {}\n    storage.path ${{STATE}}/buffers\n    scheduler.base 1\n    scheduler.cap 1\n",
        parsers.display()
    );
    let input = format!(
        "[INPUT]\n    Name tail\n    Tag numbered\n    Path {}\n    Parser numbered\n    Read_from_Head On\n    \
         DB ${{STATE}}/tail.db\n    Refresh_Interval 1\n    storage.type filesystem\n",
        file.display()
    );
    [service, input].into_iter().chain(outputs.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// An output section with short waits and these further lines.
pub fn output(name: &str, dsn: &str, lines: &[&str]) -> String {
    // Numbered records are one storm to storm control.
    let common = [
        "Retry_Limit no_limits",
        "retry_base 50ms",
        "retry_max 500ms",
        "batch_timeout 100ms",
        "storm_burst 0",
        "event_rate 0",
    ];
    let lines: String = common.iter().chain(lines).map(|line| format!("    {line}\n")).collect();
    format!("[OUTPUT]\n    Name sentry\n    Match *\n    Alias {name}\n    dsn {dsn}\n{lines}")
}

impl Harness {
    /// Starts all three; `lines` are further options of the output, `faults` what goes wrong at the receiver.
    pub fn start(lines: &[&str], faults: &str) -> Self {
        let (feed, receiver) = (Feed::new(), receiver(faults));
        let config = config(&feed, &[output(NAME, &receiver.dsn(), lines)]);
        Self { host: start(&config, &[]), receiver, feed }
    }

    /// Waits until each of `total` records has arrived, at least once.
    pub fn wait_for_all(&self, total: u64) {
        let enough = self.receiver.wait_until(ARRIVES_WITHIN, |seen| {
            seen.totals.logs >= total && seen.totals.events >= total.div_ceil(EVENT_EVERY)
        });
        let complete = enough && wait::until_true(ARRIVES_WITHIN, || Seen::at(&self.receiver).is_complete(total));
        let missing = Seen::at(&self.receiver).missing(total);
        assert!(complete, "{} missing: {:?}\n{}", missing.len(), &missing[..missing.len().min(9)], self.host.log());
    }

    /// Waits until the counters say that `total` records were taken and accepted, and nothing waits.
    pub fn wait_for_counters(&self, total: u64) {
        let (total, events) = (total as f64, total.div_ceil(EVENT_EVERY) as f64);
        counters::wait_for(&self.host, NAME, "all records counted", |counters| {
            counters.value("records_total", &[]) == total
                && counters.ended(Category::Log, Outcome::Accepted) == total
                && counters.ended(Category::Event, Outcome::Accepted) == events
                && counters.ended(Category::Event, Outcome::Filtered) == total - events
                && counters.pending() == 0.0
                && counters.value("destinations", &[("state", "ok")]) == 1.0
        });
        counters::assert_add_up(&self.host, NAME);
    }

    /// SIGTERM; the host must end by itself and well. No panic of ours may hide in its log.
    pub fn stop(&mut self) {
        stop(&mut self.host);
    }

    /// Stops the host, and then each of `total` records must have come exactly once and without any fault of form.
    pub fn finish(mut self, total: u64) {
        self.stop();
        Seen::at(&self.receiver).assert_exactly(total);
        self.assert_sound();
    }

    /// The receiver found nothing wrong with anything it was sent.
    pub fn assert_sound(&self) {
        assert_eq!(self.receiver.problems(), Vec::<String>::new());
    }
}

/// Starts a host with the plugin on its command line.
pub fn start(config: &str, args: &[&str]) -> FluentBit {
    let plugin = plugin();
    let mut all = vec!["-e", plugin.to_str().expect("expected a path of UTF-8")];
    all.extend(args);
    FluentBit::start(config, Format::Classic, &all).expect("expected a running host")
}

/// See [`Harness::stop`].
pub fn stop(host: &mut FluentBit) {
    assert!(!shows_a_key(&host.log()), "{}", host.log());
    let status = host.sigterm_and_wait(ENDS_WITHIN);
    assert!(status.is_some_and(|status| status.success()), "ended with {status:?}:\n{}", host.log());
    assert!(!host.log().contains("a defect of this plugin"), "{}", host.log());
}

/// Returns the number of times that `text` is in Fluent Bit's log.
pub fn count_in_log(host: &FluentBit, text: &str) -> usize {
    host.log().matches(text).count()
}
