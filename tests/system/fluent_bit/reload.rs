//! Hot reloads while records keep coming.

use super::harness::{Harness, SPOOL};
use super::received::Seen;
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::wait;

const RELOADS: usize = 10;

/// Records every ten milliseconds.
const PACE: u64 = 10;

/// Threads of one instance of four senders: those, mapper, spool worker and dispatcher.
const THREADS: usize = 4 + 3;

/// Names of the plugin's threads in the host.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("expected a process").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("sentry-")).collect()
}

/// Open files below the spool.
fn spool_files(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("expected a process").flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.map(|target| target.display().to_string()).filter(|target| target.contains("/spool/")).collect()
}

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

pub fn with_spool() {
    let mut harness = Harness::start(&[SPOOL], "");
    let load = harness.feed.load(0, PACE);
    let pid = harness.host.id().expect("expected a running host");
    let mut files = Vec::new();
    for _ in 0..RELOADS {
        let before = harness.receiver.totals().logs;
        harness.host.reload().expect("expected a reload");
        // The next reload must find the instance at work.
        assert!(harness.receiver.wait_until(Duration::from_secs(20), |seen| seen.totals.logs > before));
        assert!(wait::until_true(Duration::from_secs(5), || threads(pid).len() == THREADS), "{:?}", threads(pid));
        files.push(open_files(pid));
    }
    let total = load.stop();
    harness.wait_for_all(total);
    let closed = wait::until_true(Duration::from_secs(10), || spool_files(pid).len() == 1);
    assert!(closed, "expected the lock alone, found {:?}", spool_files(pid));
    let (least, last) = (files.iter().min(), files.last());
    assert!(last <= least.map(|least| least + 8).as_ref(), "open files after each reload: {files:?}");
    harness.stop();
    Seen::at(&harness.receiver).assert_exactly(total);
    harness.assert_sound();
}

/// Checks that a reload with workers can be survived: Fluent Bit leaks workers that go on using their freed instance. The allocator of
/// the official builds leaves such memory as it is; others do not, and Fluent Bit ends with SIGSEGV in a thread of its own.
///
/// # Errors
/// Why the test is skipped.
pub fn keeps_freed_workers(host: &Path) -> Result<(), String> {
    let program = fs::read(host).map_err(|error| error.to_string())?;
    let has_jemalloc = memchr::memmem::find(&program, b"<jemalloc>").is_some();
    has_jemalloc.then_some(()).ok_or_else(|| "fluent-bit without jemalloc crashes on a reload with workers".to_owned())
}

/// Fluent Bit starts every pool of workers twice and leaves one behind at each reload. The plugin must tolerate that.
pub fn with_workers() {
    let mut harness = Harness::start(&["Workers 2"], "");
    let load = harness.feed.load(0, PACE);
    let pid = harness.host.id().expect("expected a running host");
    for _ in 0..3 {
        let before = harness.receiver.totals().logs;
        harness.host.reload().expect("expected a reload");
        assert!(harness.receiver.wait_until(Duration::from_secs(20), |seen| seen.totals.logs > before));
    }
    let total = load.stop();
    harness.wait_for_all(total);
    assert!(wait::until_true(Duration::from_secs(5), || threads(pid).len() == THREADS - 1), "{:?}", threads(pid));
    harness.stop();
    Seen::at(&harness.receiver).assert_exactly(total);
    harness.assert_sound();
}
