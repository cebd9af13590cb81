//! A process that has no descriptor left.

use super::forward::{self, Forwarder, Source};
use super::harness::{self, ARRIVES_WITHIN};
use super::slow_disk::build;
use receiver::{Options, Receiver};
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::net;
use testkit::tempdir::TempDir;

/// Streams of one line each in an interval.
const STREAMS: usize = 40;

/// While nobody can open a file, the server comes back. The backlog is sent with the descriptor that was kept for that, the log
/// tells of it once, and when there are descriptors again everything goes on.
pub fn none_left(root: &Path) {
    let directory = TempDir::new("descriptors").expect("expected a directory");
    let library = build(root, directory.path(), "descriptors.c");
    let eaten = directory.path().join("eaten");
    let address = net::own_address().expect("expected an address");
    let dsn = format!("http://{}@{address}/1", "0".repeat(32));
    let mut source = Source::Forward(Forwarder::new());
    let env = [("LD_PRELOAD", library.as_str()), ("EAT_DESCRIPTORS", eaten.to_str().expect("expected a plain path"))];
    let config = forward::config(&source, &dsn, &["batch_max_items 20"]);
    let mut host = forward::start(&config, &env);
    let send = |source: &mut Source, rounds: usize| {
        for _ in 0..rounds {
            source.send(STREAMS);
            std::thread::sleep(Duration::from_millis(210));
        }
    };
    send(&mut source, 5);
    let before = source.total();
    let taken = || host.metric("fluentbit_sentry_records_total", &[]).ok().flatten() == Some(before as f64);
    assert!(testkit::wait::until_true(ARRIVES_WITHIN, taken), "{}", host.log());
    fs::write(&eaten, "").expect("expected a file");
    send(&mut source, 10);
    let options = Options { listen: address, ..Options::default() };
    let receiver = Receiver::start(options).expect("expected a receiver");
    let some = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs > 0);
    assert!(some, "expected logs by the descriptor in reserve\n{}", host.log());
    fs::remove_file(&eaten).expect("expected to remove the file");
    send(&mut source, 2);
    forward::wait_for(&receiver, source.total(), &host);
    harness::stop(&mut host);
    forward::assert_once(&receiver);
    let told = harness::count_in_log(&host, "no file descriptor left");
    assert!(told <= 1, "{}", host.log());
    // Fluent Bit loses a chunk whose retry it cannot schedule.
    assert_eq!(harness::count_in_log(&host, "could not be scheduled"), 0, "{}", host.log());
}
