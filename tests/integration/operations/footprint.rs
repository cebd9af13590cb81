//! Threads and memory of an instance with many destinations.

use receiver::{Options, Receiver};
use serde_json::json;
use std::fs;
use std::path::Path;
use testkit::output::PATIENCE;
use testkit::shipping::Shipping;
use testkit::{chunk, wait};

const NAMESPACES: u64 = 200;
/// Of each namespace.
const RECORDS: u64 = 15;
const SENDERS: u64 = 4;
/// `queue_max_size`, 16 MiB, and 3 MiB a sender.
const BOUND_KB: u64 = 24_000 + (16 << 10) + SENDERS * (3 << 10);

/// Names of the plugin's threads in a process.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("sentry-")).collect()
}

/// A figure of `/proc/PID/status`, in kB.
fn memory(process: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

pub fn two_hundred_namespaces() {
    let faults = "forever:delay=5ms".parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let record = |n: u64| {
        let namespace = format!("ns-{}", n % NAMESPACES);
        let pod = json!({"namespace_name": namespace, "pod_name": format!("{namespace}-0"), "container_name": "web"});
        json!({"message": format!("order {n} was looked at"), "n": n, "level": "info", "kubernetes": pod})
    };
    let total = NAMESPACES * RECORDS;
    let shipping = Shipping::of(&chunk::of(&(0..total).map(record).collect::<Vec<_>>()));
    let dir = shipping.dir().join("dsn");
    fs::create_dir(&dir).expect("expected a directory");
    for n in 0..NAMESPACES {
        fs::write(dir.join(format!("ns-{n}")), receiver.dsn_for(1_000 + n)).expect("expected to write a file");
    }
    let option = format!("dsn_dir={}", dir.display());
    let mut ship = shipping.start(&["exit_timeout=25s", &option], &[], &["--chunk-size", "64K"]);
    let started = || shipping.log().contains("settings:").then(|| memory(ship.id(), "VmRSS"));
    let before = wait::until(PATIENCE, started).flatten().unwrap_or_else(|| panic!("{}", shipping.log()));
    let (mut most_threads, mut most_memory) = (Vec::new(), 0);
    let arrived = wait::until_true(PATIENCE, || {
        let now = threads(ship.id());
        if now.len() > most_threads.len() {
            most_threads = now;
        }
        most_memory = most_memory.max(memory(ship.id(), "VmHWM").unwrap_or_default());
        receiver.totals().logs >= total
    });
    assert!(arrived, "{:?} {}", receiver.totals(), shipping.log());
    assert!(ship.wait(PATIENCE).is_some_and(|status| status.success()), "{}", shipping.log());
    assert_eq!(most_threads.len() as u64, SENDERS + 3, "{most_threads:?}");
    let grown = most_memory.saturating_sub(before);
    assert!(0 < most_memory && grown <= BOUND_KB, "expected at most {BOUND_KB} kB more, found {grown}");
    let projects: std::collections::BTreeSet<u64> = receiver.logs().iter().map(|log| log.project).collect();
    assert_eq!(projects, (1_000..1_000 + NAMESPACES).collect());
}

/// Bytes below a directory.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok().map(|meta| (entry.path(), meta)));
    sizes.map(|(path, meta)| if meta.is_dir() { size(&path) } else { meta.len() }).sum()
}

/// Records that wait on disk for an unreachable server do not wait in memory too.
pub fn an_outage() {
    const RECORDS: u64 = 40_000;
    const QUEUE_KB: u64 = 4_000;
    // `ship` reads ahead: what it holds of chunks that the plugin has not taken yet is the host's and not ours.
    const HOST_KB: u64 = 32 << 10;
    let faults = "forever:503".parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let message = "an order that takes a lot of room in a log ".repeat(32);
    let record = |n: u64| json!({"message": format!("{n} {message}"), "n": n, "level": "info"});
    let input = chunk::of(&(0..RECORDS).map(record).collect::<Vec<_>>());
    let (shipping, all) = (Shipping::of(&input), input.len() as u64);
    let (dsn, spool) = (format!("dsn={}", receiver.dsn()), shipping.dir().join("spool"));
    let options = [dsn.as_str(), "queue_max_size=4000K", "exit_timeout=25s"];
    let ship = shipping.start(&options, &[], &["--chunk-size", "1M"]);
    let started = || shipping.log().contains("settings:").then(|| memory(ship.id(), "RssAnon"));
    let before = wait::until(PATIENCE, started).flatten().unwrap_or_else(|| panic!("{}", shipping.log()));
    let all_spooled = wait::until_true(PATIENCE, || size(&spool) >= all);
    assert!(all_spooled, "{} of {all} bytes\n{}", size(&spool), shipping.log());
    let now = memory(ship.id(), "RssAnon").expect("expected a process");
    let bound = HOST_KB + QUEUE_KB + (16 << 10) + SENDERS * (3 << 10);
    let grown = now.saturating_sub(before);
    assert!(grown <= bound, "expected at most {bound} kB more of {} kB shipped, found {grown}", all >> 10);
}
