//! The ways to load and run the plugin, each with every record delivered once and every counter right.

use super::counters::Counters;
use super::feed::Feed;
use super::harness::{self, ARRIVES_WITHIN, Harness, NAME, SPOOL, count_in_log};
use super::received::Seen;
use out_sentry::ledger::{Category, Outcome};
use receiver::Receiver;
use std::path::PathBuf;
use std::time::Duration;
use testkit::fluent_bit::{FluentBit, Format};
use testkit::plugin;

const TOTAL: u64 = 2_000;

fn all_arrive(lines: &[&str], chosen: &str) {
    let harness = Harness::start(lines, "");
    harness.feed.append(0..TOTAL / 2);
    harness.wait_for_all(TOTAL / 2);
    harness.feed.append(TOTAL / 2..TOTAL);
    harness.wait_for_all(TOTAL);
    harness.wait_for_counters(TOTAL);
    let said = format!("delivery: {chosen} (chosen by auto at the first flush)");
    assert_eq!(count_in_log(&harness.host, &said), 1, "{}", harness.host.log());
    harness.finish(TOTAL);
}

pub fn no_workers() {
    all_arrive(&[SPOOL], "spool");
}

pub fn one_worker() {
    all_arrive(&["Workers 1"], "ack");
}

pub fn four_workers() {
    all_arrive(&["Workers 4"], "ack");
}

pub fn two_outputs() {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let outputs = [
        harness::output("first", &receiver.dsn_for(7), &["spool_path ${STATE}/first"]),
        harness::output("second", &receiver.dsn_for(8), &["spool_path ${STATE}/second", "compress zstd"]),
    ];
    let mut host = harness::start(&harness::config(&feed, &outputs), &[]);
    feed.append(0..TOTAL);
    let complete = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs == 2 * TOTAL);
    assert!(complete, "{:?}\n{}", receiver.totals(), host.log());
    for name in ["first", "second"] {
        super::counters::wait_for(&host, name, "all logs accepted", |counters| {
            counters.ended(Category::Log, Outcome::Accepted) == TOTAL as f64 && counters.pending() == 0.0
        });
        super::counters::assert_add_up(&host, name);
    }
    harness::stop(&mut host);
    Seen::of_project(&receiver, 7).assert_exactly(TOTAL);
    Seen::of_project(&receiver, 8).assert_exactly(TOTAL);
    assert_eq!(receiver.problems(), Vec::<String>::new());
}

pub fn plugins_file() {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let plugins = feed.write("plugins.conf", &format!("[PLUGINS]\n    Path {}\n", plugin().display()));
    let config = harness::config(&feed, &[harness::output(NAME, &receiver.dsn(), &[SPOOL])]);
    let config = config.replacen("[SERVICE]\n", &format!("[SERVICE]\n    Plugins_File {}\n", plugins.display()), 1);
    let host = FluentBit::start(&config, Format::Classic, &[]).expect("expected a running host");
    delivers(Harness { host, receiver, feed });
}

pub fn yaml() {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let config = YAML
        .replace("PLUGIN", &plugin().display().to_string())
        .replace("PARSERS", &feed.parsers().display().to_string())
        .replace("FILE", &feed.file().display().to_string())
        .replace("DSN", &receiver.dsn());
    let host = FluentBit::start(&config, Format::Yaml, &[]).expect("expected a running host");
    delivers(Harness { host, receiver, feed });
}

fn delivers(harness: Harness) {
    harness.feed.append(0..TOTAL);
    harness.wait_for_all(TOTAL);
    harness.wait_for_counters(TOTAL);
    harness.finish(TOTAL);
}

const YAML: &str = "\
service:
  flush: 0.2
  grace: 3
  http_server: on
  http_listen: 127.0.0.1
  http_port: ${HTTP_PORT}
  parsers_file: PARSERS
plugins:
  - PLUGIN
pipeline:
  inputs:
    - name: tail
      tag: numbered
      path: FILE
      parser: numbered
      read_from_head: true
  outputs:
    - name: sentry
      match: '*'
      alias: out
      dsn: DSN
      spool_path: ${STATE}/spool
      batch_timeout: 100ms
      storm_burst: 0
      event_rate: 0
      retry_limit: no_limits
";

pub fn series_exist() {
    let harness = Harness::start(&[SPOOL], "");
    let counters = Counters::of(&harness.host, NAME);
    counters.assert_all_series();
    assert_eq!((counters.value("records_total", &[]), counters.pending()), (0.0, 0.0));
    harness.finish(0);
}

/// Fluent Bit 1.9 crashes after the first of two outputs was told to exit: what the second holds in memory is sent before.
pub fn two_outputs_of_1_9(program: PathBuf) {
    const TOTAL: u64 = 100;
    let (feed, receivers) = (Feed::new(), [harness::receiver(""), harness::receiver("")]);
    let lines = ["delivery memory", "batch_timeout 1h", "batch_max_items 1000", "event_level off"];
    let section = |(name, receiver): (&&str, &Receiver)| {
        // The later line is the one that counts.
        harness::output(name, &receiver.dsn(), &lines).replace("    batch_timeout 100ms\n", "")
    };
    let outputs: Vec<_> = ["first", "second"].iter().zip(&receivers).map(section).collect();
    let library = plugin().display().to_string();
    let config = harness::config(&feed, &outputs);
    let host = FluentBit::start_program(program, &config, Format::Classic, &["-e", &library]);
    let mut host = host.unwrap_or_else(|error| panic!("{error}"));
    feed.append(0..TOTAL);
    std::thread::sleep(Duration::from_secs(3));
    assert!(receivers.iter().all(|receiver| receiver.totals().logs == 0), "expected logs in memory:\n{}", host.log());
    // How it ends is Fluent Bit's.
    let _ = host.sigterm_and_wait(harness::ENDS_WITHIN);
    for receiver in &receivers {
        let all = receiver.wait_until(Duration::from_secs(5), |seen| seen.totals.logs >= TOTAL);
        assert!(all, "{:?}\n{}", receiver.totals(), host.log());
        assert_eq!(receiver.totals().logs, TOTAL);
    }
}
