//! A server that fails and recovers all the time.

use plugin_host::Level;
use receiver::{Options, Receiver, Script};
use serde_json::json;
use testkit::chunk;
use testkit::output::{Ledger, PATIENCE, flush_all, instance, load};
use testkit::tempdir::TempDir;

/// Each kind of trouble is told once, although it was over in between, and so is each recovery.
pub fn told_once() {
    const TURNS: u64 = 3;
    let turn = "503 then ok then 403 then ok then log:429,retry-after=0 then ok";
    let faults = vec![turn; TURNS as usize].join(" then ").parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let spool = TempDir::new("flapping").expect("expected a directory");
    let path = spool.path().to_str().expect("expected a plain path");
    let options = [("spool_path", path), ("senders", "1"), ("batch_max_items", "5")];
    let instance = instance(&load(), &receiver.dsn(), &options);
    let records = TURNS * 30;
    for from in (0..records).step_by(10) {
        flush_all(&instance, "kube.app", [chunk::numbered(from..from + 10)]);
    }
    let all = receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= records && seen.totals.events >= records / 10);
    let lines = instance.log_lines();
    assert!(all, "{:?} {lines:#?}", receiver.totals());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert!(ledger.get("requests.5xx") >= TURNS && ledger.get("requests.403") >= TURNS, "{ledger:?}");
    for (level, words) in [
        (Level::Warn, "is unreachable (503"),
        (Level::Error, "rejects everything (403"),
        (Level::Info, "accepts items"),
    ] {
        let told = lines.iter().filter(|(of, line)| *of == level && line.contains(words)).count();
        assert_eq!(told, 1, "{words}: {lines:#?}");
    }
    let troubled = |level: &Level| *level <= Level::Warn;
    assert!(lines.iter().filter(|(level, _)| troubled(level)).count() <= 3, "{lines:#?}");
}

/// A server with many projects is away once, and back once.
pub fn one_outage_of_many_projects() {
    const PROJECTS: u64 = 20;
    let faults = "forever:503".parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let dir = TempDir::new("outage").expect("expected a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("expected a plain path").to_owned();
    let (spool, dsns) = (path("spool"), path("dsn"));
    std::fs::create_dir(&dsns).expect("expected a directory");
    let name = |n: u64| format!("ns-{n}");
    for n in 0..PROJECTS {
        std::fs::write(format!("{dsns}/{}", name(n)), receiver.dsn_for(100 + n)).expect("expected to write a file");
    }
    let instance = instance(&load(), &receiver.dsn(), &[("spool_path", &spool), ("dsn_dir", &dsns)]);
    let record = |n: u64| json!({"message": "hello", "level": "info", "kubernetes": {"namespace_name": name(n), "pod_name": "web-0"}});
    flush_all(&instance, "kube.app", [chunk::of(&(0..PROJECTS).map(record).collect::<Vec<_>>())]);
    let asked = |seen: &receiver::Snapshot| {
        let projects = seen.requests.iter().filter_map(|request| request.project);
        projects.collect::<std::collections::BTreeSet<_>>().len() as u64 == PROJECTS
    };
    assert!(receiver.wait_until(PATIENCE, asked), "{:#?}", instance.log_lines());
    receiver.script(Script::default());
    let all = receiver.wait_until(PATIENCE, |seen| seen.totals.logs == PROJECTS);
    assert!(all, "{:?} {:#?}", receiver.totals(), instance.log_lines());
    let lines = instance.exit();
    Ledger::read(&lines).assert_closed();
    for words in ["is unreachable (503", "accepts items"] {
        assert_eq!(lines.iter().filter(|(_, line)| line.contains(words)).count(), 1, "{words}: {lines:#?}");
    }
}
