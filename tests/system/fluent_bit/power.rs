//! The power fails: the files of the spool are cut back to the length that was synced last.

use super::forward::{self, Forwarder, Source};
use super::harness::{self, ARRIVES_WITHIN};
use super::slow_disk::build;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::fluent_bit::FluentBit;
use testkit::tempdir::TempDir;
use testkit::wait;

/// Streams of one line each in an interval.
const STREAMS: usize = 10;

/// Records that were sent to Fluent Bit this long before the power failed have been flushed (200 ms) and synced (200 ms), on
/// a machine that has other work.
const SAFE_AFTER: Duration = Duration::from_millis(1_500);

/// Cuts the segments of a spool, and deletes those whose names were not synced. Notes are never synced: they are gone.
fn fail(spool: &Path, synced: &Path) {
    let notes = fs::read_to_string(synced).expect("expected notes of syncs");
    let lines = notes.lines().filter_map(|line| line.split_once(' '));
    let mut lengths = BTreeMap::<PathBuf, u64>::new();
    let mut has_names = 0;
    for (at, (length, path)) in lines.enumerate() {
        if Path::new(path) == spool {
            has_names = at;
        }
        lengths.insert(PathBuf::from(path), length.parse().expect("expected a length"));
    }
    assert!(has_names > 0, "expected a sync of the directory:\n{notes}");
    let (mut cut, mut whole) = (0, 0);
    for file in fs::read_dir(spool).expect("expected a spool").flatten() {
        let path = file.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("progress") => fs::remove_file(path).expect("expected to remove notes"),
            Some("msgpack") => {
                let length = lengths.get(&path).copied().unwrap_or(0);
                let there = file.metadata().map_or(0, |about| about.len());
                whole += u64::from(length >= there);
                cut += u64::from(length < there);
                let open = fs::OpenOptions::new().write(true).open(path);
                open.and_then(|file| file.set_len(length.min(there))).expect("expected to cut a segment");
            }
            _ => {}
        }
    }
    eprintln!("power: {cut} segments were cut, {whole} were not");
}

fn records(host: &FluentBit) -> f64 {
    host.metric("fluentbit_sentry_records_total", &[]).ok().flatten().unwrap_or_default()
}

/// The power fails during an outage. With `normal` what was flushed and synced is there, with `full` all that was taken.
pub fn fails(root: &Path, sync: &str) {
    let directory = TempDir::new("power").expect("expected a directory");
    let library = build(root, directory.path(), "slow_disk.c");
    let synced = directory.path().join("synced");
    let receiver = harness::receiver("forever:503");
    let mut source = Source::Forward(Forwarder::new());
    let env = [("LD_PRELOAD", library.as_str()), ("SYNCED", synced.to_str().expect("expected a plain path"))];
    let sync = format!("spool_sync {sync}");
    let mut host = forward::start(&forward::config(&source, &receiver.dsn(), &[&sync]), &env);
    let mut sent = Vec::new();
    for _ in 0..40 {
        source.send(STREAMS);
        sent.push((Instant::now(), source.total()));
        std::thread::sleep(Duration::from_millis(53));
    }
    // The metrics are a second old at most: what they tell of has been taken.
    let taken = if sync.ends_with("full") { records(&host) as u64 } else { 0 };
    host.kill();
    let end = Instant::now();
    fail(&host.dir().join("spool"), &synced);
    receiver.script("".parse().expect("expected a script"));
    host.restart().expect("expected a restart");
    let safe = sent.iter().take_while(|(at, _)| end - *at >= SAFE_AFTER).last().map_or(0, |(_, total)| *total);
    assert!(safe > 0, "expected records that were sent long before");
    let least = safe.max(taken);
    let all = || (0..safe).all(|number| forward::numbers(&receiver).contains_key(&number));
    let arrived =
        wait::until_true(ARRIVES_WITHIN, all) && receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= least);
    let found = forward::numbers(&receiver).len();
    eprintln!("power, {sync}: {found} of {} came, {least} were safe", source.total());
    assert!(arrived, "{found} came, {least} were safe\n{}", host.log());
    harness::stop(&mut host);
    forward::assert_once(&receiver);
}
