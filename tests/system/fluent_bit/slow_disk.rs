//! A disk whose syncs take long: neither flushes nor a stop wait for it.

use super::counters::Watch;
use super::forward::{self, Forwarder, Source};
use super::harness::{self, NAME};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::process;
use testkit::tempdir::TempDir;

/// Streams of one line a second each.
const STREAMS: usize = 150;

/// The sources of the libraries that make a machine worse; `Err` says why none can be built.
pub fn sources() -> Result<PathBuf, String> {
    process::on_path("cc").map(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR"))).ok_or_else(|| "no cc on PATH".to_owned())
}

/// Builds a library to be preloaded from a C file beside this one.
pub fn build(root: &Path, directory: &Path, name: &str) -> String {
    let library = directory.join(name).with_extension("so");
    let source = root.join("tests/system/fluent_bit").join(name);
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.is_ok_and(|status| status.success()), "expected cc to build {name}");
    library.display().to_string()
}

/// Scenario 2: 150 streams of a line a second for so many seconds, on a disk whose syncs take so many milliseconds.
pub fn run(root: &Path, sync_ms: &str, seconds: usize) {
    let directory = TempDir::new("slow-disk").expect("expected a directory");
    let library = build(root, directory.path(), "slow_disk.c");
    let receiver = harness::receiver("");
    let mut source = Source::Forward(Forwarder::new());
    let env = [("LD_PRELOAD", library.as_str()), ("SLOW_DISK_MS", sync_ms)];
    let mut host = forward::start(&forward::config(&source, &receiver.dsn(), &[]), &env);
    let watch = Watch::start(&host, NAME);
    for _ in 0..seconds {
        let begin = Instant::now();
        source.send(STREAMS);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
    }
    // A line is up to a second under way: until the flush, and in its batch.
    let (delivered, sent) = (receiver.totals().logs, source.total());
    eprintln!("slow disk, {sync_ms} ms: {delivered} of {sent} delivered a second after the last were sent");
    assert!(delivered * 100 >= sent * 95, "{delivered} of {sent} delivered\n{}", host.log());
    source.send(STREAMS);
    std::thread::sleep(Duration::from_millis(500));
    watch.finish();
    let stop = Instant::now();
    harness::stop(&mut host);
    eprintln!("slow disk, {sync_ms} ms: SIGTERM took {:?}", stop.elapsed());
    assert!(stop.elapsed() < Duration::from_secs(10), "SIGTERM took {:?}", stop.elapsed());
    host.restart().expect("expected a restart");
    forward::wait_for(&receiver, source.total(), &host);
    harness::stop(&mut host);
    forward::assert_once(&receiver);
}
