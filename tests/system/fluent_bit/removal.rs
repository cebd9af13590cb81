//! Files of the spool that somebody removes, or that cannot be read: the ledger closes, and the log names them.

use super::counters::{self, Watch};
use super::feed::EVENT_EVERY;
use super::harness::{ARRIVES_WITHIN, Harness, NAME, SPOOL};
use super::received::Seen;
use out_sentry::delivery::store::split;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::fluent_bit::FluentBit;
use testkit::wait;

/// Longest time until the log names what was removed: the directory is looked after once a second.
const NAMED_WITHIN: Duration = Duration::from_secs(20);

fn metric(host: &FluentBit, name: &str) -> Option<f64> {
    host.metric(&format!("fluentbit_sentry_{name}"), &[]).ok().flatten()
}

fn wait_for_metric(host: &FluentBit, name: &str, expected: f64) {
    let found = wait::until_true(ARRIVES_WITHIN, || metric(host, name) == Some(expected));
    assert!(found, "{name}: expected {expected}, found {:?}\n{}", metric(host, name), host.log());
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(spool).expect("expected a spool").flatten().map(|file| file.path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "msgpack")).collect();
    segments.sort();
    segments
}

/// Returns the size of the segments of a directory.
fn bytes_of(spool: &Path) -> f64 {
    segments(spool).iter().filter_map(|path| fs::metadata(path).ok()).map(|about| about.len()).sum::<u64>() as f64
}

/// A host whose server is away, with 4,000 records in a spool of small segments.
fn with_a_backlog() -> Harness {
    let lines = [SPOOL, "queue_max_size 100K", "batch_max_items 20", "summary_interval 1s", "spool_max_size 4M"];
    let harness = Harness::start(&lines, "forever:503");
    for part in 0..20 {
        harness.feed.append(part * 200..part * 200 + 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_for_metric(&harness.host, "records_total", 4_000.0);
    harness
}

/// The server comes back: what was not lost arrives, and lost and accepted logs are `total` together.
fn recovers(mut harness: Harness, total: u64, watch: Watch) {
    harness.receiver.script("".parse().expect("expected a script"));
    wait_for_metric(&harness.host, "pending_items", 0.0);
    wait_for_metric(&harness.host, "spool_bytes", 0.0);
    watch.finish();
    counters::assert_add_up(&harness.host, NAME);
    let lost = harness.host.metric("fluentbit_sentry_items_total", &["outcome=\"lost\"", "category=\"log\""]);
    let accepted = harness.receiver.totals().logs as f64;
    assert_eq!(lost.ok().flatten().map(|lost| lost + accepted), Some(total as f64));
    harness.stop();
    assert_eq!(Seen::at(&harness.receiver).repeats(), Vec::<u64>::new());
}

/// Scenario 4: segments, and then the directory, are removed while the host runs.
pub fn files_and_directory() {
    let harness = with_a_backlog();
    let (watch, spool) = (Watch::start(&harness.host, NAME), harness.host.dir().join("spool"));
    // Half of them first: the bytes of the others go on counting.
    let all = segments(&spool);
    assert!(all.len() > 3, "expected several segments, found {all:?}");
    for half in [&all[..all.len() / 2], &all[all.len() / 2..]] {
        half.iter().for_each(|segment| fs::remove_file(segment).expect("expected to remove a segment"));
        let names = half.iter().filter_map(|segment| segment.file_name()).map(|name| name.to_string_lossy());
        // Of what is in memory nothing is lost, and of many files that are lost together the log names five.
        let named = |log: &str| names.clone().filter(|name| log.contains(&format!("{name} ("))).count();
        let expected = half.len().min(5) / 2;
        let found = wait::until_true(NAMED_WITHIN, || named(&harness.host.log()) >= expected);
        assert!(found, "expected {expected} names of {half:?}\n{}", harness.host.log());
        wait_for_metric(&harness.host, "spool_bytes", bytes_of(&spool));
    }
    wait_for_metric(&harness.host, "spool_bytes", 0.0);
    fs::remove_dir_all(&spool).expect("expected to remove the spool");
    assert!(harness.host.wait_for_log("it is created and locked again", NAMED_WITHIN), "{}", harness.host.log());
    harness.feed.append(4_000..4_100);
    wait_for_metric(&harness.host, "records_total", 4_100.0);
    assert_eq!(metric(&harness.host, "spool_bytes"), Some(bytes_of(&spool)));
    recovers(harness, 4_100, watch);
}

/// Scenario 4: the directory is removed with everything in it, while records come.
pub fn directory_under_load() {
    let harness = with_a_backlog();
    let (watch, spool) = (Watch::start(&harness.host, NAME), harness.host.dir().join("spool"));
    let load = harness.feed.load(4_000, 5);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(500));
        let aside = spool.with_extension("aside");
        fs::rename(&spool, &aside).expect("expected to move the spool away");
        fs::remove_dir_all(&aside).expect("expected to remove the spool");
        assert!(wait::until_true(NAMED_WITHIN, || spool.join("lock").exists()), "{}", harness.host.log());
        assert!(wait::until_true(NAMED_WITHIN, || !segments(&spool).is_empty()), "{}", harness.host.log());
    }
    let total = load.stop();
    wait_for_metric(&harness.host, "records_total", total as f64);
    assert!(harness.host.wait_for_log("records are lost with", NAMED_WITHIN), "{}", harness.host.log());
    recovers(harness, total, watch);
}

/// Scenario 4: at a start there are a segment that cannot be read, one that is none, a damaged one and a torn one. The log names
/// them, and everything else is sent.
pub fn unreadable_and_damaged_at_a_start() {
    let mut harness = with_a_backlog();
    let spool = harness.host.dir().join("spool");
    harness.stop();
    let all = segments(&spool);
    let [damaged, torn] = [&all[0], &all[1]];
    let mut bytes = fs::read(damaged).expect("expected a segment");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0xc1);
    fs::write(damaged, bytes).expect("expected to write a segment");
    let bytes = fs::read(torn).expect("expected a segment");
    let torn_records = split(&bytes).last().map_or(0, |chunk| u64::from(chunk.records));
    fs::write(torn, &bytes[..bytes.len() - 9]).expect("expected to write a segment");
    // Not even root can read the beginning of its memory.
    symlink("/proc/self/mem", spool.join("1.msgpack")).expect("expected a link");
    fs::create_dir(spool.join("2.msgpack")).expect("expected a directory");
    let before = harness.host.log().len();
    harness.host.restart().expect("expected a restart");
    let watch = Watch::start(&harness.host, NAME);
    for (path, words) in [
        (PathBuf::from("1.msgpack"), "is skipped and not changed"),
        (PathBuf::from("2.msgpack"), "is skipped and not changed: it is not a regular file"),
        (damaged.clone(), "cannot be decoded in"),
        (torn.clone(), "bytes at its end are cut off"),
    ] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_named = || harness.host.log()[before..].lines().any(|line| line.contains(&name) && line.contains(words));
        assert!(wait::until_true(NAMED_WITHIN, is_named), "{name}: {words}\n{}", &harness.host.log()[before..]);
    }
    let is_counted = || metric(&harness.host, "records_total") > Some(3_000.0);
    assert!(wait::until_true(ARRIVES_WITHIN, is_counted), "{}", harness.host.log());
    harness.receiver.script("".parse().expect("expected a script"));
    wait_for_metric(&harness.host, "pending_items", 0.0);
    watch.finish();
    // What was skipped is left where it was, and takes no room.
    wait_for_metric(&harness.host, "spool_bytes", 0.0);
    assert!(spool.join("1.msgpack").is_symlink() && spool.join("2.msgpack").is_dir());
    let missing = Seen::at(&harness.receiver).missing(4_000);
    // With the torn bytes their chunk, with the damaged ones a record or two: logs, and events of each tenth.
    let most = torn_records + torn_records.div_ceil(EVENT_EVERY) + 4;
    let found = missing.len() as u64;
    assert!((torn_records..=most).contains(&found), "{found} of {torn_records} torn and some damaged: {missing:?}");
    let invalid = harness.host.metric("fluentbit_sentry_items_total", &["outcome=\"invalid\"", "category=\"log\""]);
    assert!(invalid.ok().flatten() > Some(0.0), "expected what cannot be decoded to be invalid");
    harness.stop();
    assert_eq!(Seen::at(&harness.receiver).repeats(), Vec::<u64>::new());
}
