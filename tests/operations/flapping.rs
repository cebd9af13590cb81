//! A server that fails and recovers all the time.

use crate::support::chunk;
use crate::support::output::{Ledger, PATIENCE, flush_all, instance, load};
use crate::support::tempdir::TempDir;
use flb_sentry::host::Level;
use flb_sentry::receive::{Options, Receiver};

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
        (Level::Warn, "cannot be reached (503"),
        (Level::Error, "refuses what is sent (403"),
        (Level::Info, "accepts what is sent"),
    ] {
        let told = lines.iter().filter(|(of, line)| *of == level && line.contains(words)).count();
        assert_eq!(told, 1, "{words}: {lines:#?}");
    }
    let troubled = |level: &Level| *level <= Level::Warn;
    assert!(lines.iter().filter(|(level, _)| troubled(level)).count() <= 3, "{lines:#?}");
}
