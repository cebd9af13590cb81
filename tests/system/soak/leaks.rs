//! Reloads every few seconds under load and faults, for a long time: memory, threads and open files stay what they were.

use crate::fluent_bit::harness::{Harness, SPOOL};
use crate::fluent_bit::received::Seen;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Records every ten milliseconds.
const PACE: u64 = 1;

const BETWEEN_RELOADS: Duration = Duration::from_secs(4);

/// Each in turn, between two reloads.
const FAULTS: &[&str] = &[
    "",
    "3x503 then cut-after-body then garbage",
    "log:429,x-sentry-rate-limits=2:log_item:organization",
    "2xcut-before-body then half-close then 500",
    "2xtruncate=body then 3xclose-idle",
    "2xlog:413 then event:429,retry-after=1",
];

/// More of these after the first reloads than at any of them is a leak; memory settles slowly and in steps.
const MORE_MEMORY_KIB: u64 = 12 * 1024;
const MORE_FILES: u64 = 8;

/// Resources that a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    resident_kib: u64,
    threads: u64,
    files: u64,
}

impl Held {
    fn by(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("expected a process");
        let row = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("expected a row");
            value.trim().trim_end_matches(" kB").parse().expect("expected a number")
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
        Self { resident_kib: row("VmRSS:"), threads: row("Threads:"), files }
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// For so many minutes.
pub fn watch(minutes: u64) {
    let mut harness = Harness::start(&[SPOOL], "");
    let load = harness.feed.load(0, PACE);
    let pid = harness.host.id().expect("expected a running host");
    let (until, mut held) = (Instant::now() + Duration::from_secs(60 * minutes), Vec::new());
    for faults in FAULTS.iter().cycle() {
        if Instant::now() > until && held.len() >= 8 {
            break;
        }
        harness.receiver.script(faults.parse().expect("expected a script"));
        thread::sleep(BETWEEN_RELOADS);
        harness.host.reload().expect("expected a reload");
        // The old generation is gone before a reload is done; the new one needs a moment to be all there.
        thread::sleep(Duration::from_millis(500));
        held.push(Held::by(pid));
    }
    let total = load.stop();
    harness.receiver.script("".parse().expect("expected a script"));
    harness.wait_for_all(total);
    report(&held);
    harness.stop();
    let seen = Seen::at(&harness.receiver);
    seen.assert_exactly(total);
    eprintln!("leaks: {total} records, {} reloads, {} requests", held.len(), harness.receiver.totals().requests);
    assert_flat(&held);
}

fn report(held: &[Held]) {
    for (at, held) in held.iter().enumerate().step_by((held.len() / 8).max(1)) {
        let Held { resident_kib, threads, files } = held;
        eprintln!("leaks: reload {at}: {resident_kib} KiB resident, {threads} threads, {files} open files");
    }
}

/// The last quarter against the second: the first is for warming up.
fn assert_flat(held: &[Held]) {
    let quarter = held.len() / 4;
    let of = |part: usize, what: fn(&Held) -> u64| {
        median(held[part * quarter..(part + 1) * quarter].iter().map(what).collect())
    };
    let grown = |what: fn(&Held) -> u64| of(3, what).saturating_sub(of(1, what));
    assert_eq!(grown(|held| held.threads), 0, "threads: {held:?}");
    assert!(grown(|held| held.files) <= MORE_FILES, "open files: {held:?}");
    assert!(grown(|held| held.resident_kib) <= MORE_MEMORY_KIB, "memory: {held:?}");
}
