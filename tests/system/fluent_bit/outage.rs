//! Outages: many small chunks wait in the spool, with few descriptors, with a kill, and with a reload.

use super::counters::Watch;
use super::feed::Feed;
use super::forward::{self, Files, Forwarder, Source};
use super::harness::{self, ARRIVES_WITHIN, NAME, SPOOL};
use super::received::Seen;
use receiver::{Options, Receiver};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::fluent_bit::FluentBit;
use testkit::{net, wait};

/// Streams of one line each in an interval.
const STREAMS: usize = 40;

/// Most file descriptors of the spool.
const OF_THE_SPOOL: usize = 16;

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Descriptors of the process for files below a directory.
fn open_below(pid: u32, directory: &Path) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).filter(|target| target.starts_with(directory)).count()
}

/// Sets the most descriptors that a host may have.
fn limit(host: &FluentBit, files: usize) {
    let pid = host.id().expect("expected a running host").to_string();
    let set = Command::new("prlimit").args([format!("--nofile={files}:{files}"), "--pid".to_owned(), pid]).status();
    assert!(set.is_ok_and(|status| status.success()), "expected to set the limit");
}

/// An outage of a server that nobody can reach.
pub struct Outage {
    /// Lines of each stream.
    pub rounds: usize,
    /// Time between two of them.
    pub interval: Duration,
    /// Limit of file descriptors of the process.
    pub limit: usize,
    /// Most files that it may have open at any time, besides chunks of Fluent Bit's own.
    pub most: usize,
}

impl Outage {
    /// For the gate.
    pub const SHORT: Self = Self { rounds: 30, interval: Duration::from_millis(210), limit: 200, most: 150 };

    fn rounds(&self, rounds: usize, source: &mut Source, host: &FluentBit) {
        let pid = host.id().expect("expected a running host");
        let mut most = (0, 0);
        for _ in 0..rounds {
            let begin = Instant::now();
            source.send(STREAMS);
            std::thread::sleep(self.interval.saturating_sub(begin.elapsed()));
            // Where the machine is slow, Fluent Bit has many of its own chunks open.
            let all = open_files(pid).saturating_sub(open_below(pid, &host.dir().join("buffers")));
            most = (most.0.max(all), most.1.max(open_below(pid, &host.dir().join("spool"))));
        }
        eprintln!("outage: {} files open at most, {} of the spool", most.0, most.1);
        assert!(most.0 <= self.most && most.1 <= OF_THE_SPOOL, "{most:?} open files, in all and of the spool");
        assert!(host.metrics().is_ok(), "expected the metrics to answer during the outage");
    }

    /// Runs it. With `kill`, the host is killed half-way: when the plugin has taken everything if the records came by the
    /// `forward` protocol, else at once.
    pub fn run(&self, mut source: Source, kill: bool) {
        let address = net::own_address().expect("expected an address");
        let dsn = format!("http://{}@{address}/1", "0".repeat(32));
        let mut host = forward::start(&forward::config(&source, &dsn, &["summary_interval 1s"]), &[]);
        limit(&host, self.limit);
        let watch = Watch::start(&host, NAME);
        let records = |host: &FluentBit| host.metric("fluentbit_sentry_records_total", &[]).ok().flatten();
        let first = if kill { self.rounds / 2 } else { self.rounds };
        self.rounds(first, &mut source, &host);
        if kill {
            let total = Some(source.total() as f64);
            let is_taken = || matches!(source, Source::Files(_)) || records(&host) == total;
            assert!(wait::until_true(ARRIVES_WITHIN, is_taken), "{:?}\n{}", records(&host), host.log());
            host.kill();
            host.restart().expect("expected a restart");
            limit(&host, self.limit);
            source.reconnect();
            self.rounds(self.rounds - first, &mut source, &host);
        }
        let options = Options { listen: address, ..Options::default() };
        let receiver = Receiver::start(options).expect("expected a receiver");
        forward::wait_for(&receiver, source.total(), &host);
        let at_rest = || host.metric("fluentbit_sentry_pending_items", &[]).ok().flatten() == Some(0.0);
        assert!(wait::until_true(ARRIVES_WITHIN, at_rest), "{}", host.log());
        watch.finish();
        harness::stop(&mut host);
        forward::assert_once(&receiver);
    }
}

/// Scenario 1 for the gate, by the `forward` protocol.
pub fn with_few_descriptors() {
    Outage::SHORT.run(Source::Forward(Forwarder::new()), true);
}

/// Scenario 1 for the gate, with files, which are read on at the place where the kill came.
pub fn of_many_files() {
    Outage::SHORT.run(Source::Files(Files::new()), true);
}

/// Scenario 5: a full spool does not keep Fluent Bit from reloading, and a changed `spool_path` is drained.
pub fn reload_with_a_full_spool_and_another_path() {
    let small = [SPOOL, "spool_max_size 60K"];
    let (feed, receiver) = (Feed::new(), harness::receiver("forever:503"));
    let config = |lines: &[&str]| harness::config(&feed, &[harness::output(NAME, &receiver.dsn(), lines)]);
    let mut host = harness::start(&config(&small), &[]);
    let watch = Watch::start(&host, NAME);
    for part in 0..30_u64 {
        feed.append(part * 100..part * 100 + 100);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(host.wait_for_log("spool is full", ARRIVES_WITHIN), "{}", host.log());
    host.rewrite(&config(&["spool_path ${STATE}/other"])).expect("expected a file");
    host.reload().unwrap_or_else(|error| panic!("{error}"));
    let former = "before the reload: records left there are sent";
    assert!(host.wait_for_log(former, Duration::from_secs(20)), "{}", host.log());
    receiver.script("".parse().expect("expected a script"));
    assert!(
        receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= 3_000),
        "{:?} {}",
        receiver.totals(),
        host.log()
    );
    assert!(host.wait_for_log("is empty", ARRIVES_WITHIN), "{}", host.log());
    watch.finish();
    harness::stop(&mut host);
    Seen::at(&receiver).assert_exactly(3_000);
}
