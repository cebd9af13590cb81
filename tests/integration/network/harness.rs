//! A receiver, a spool, and instances one after the other that share it.

use plugin_host::{Instance, Level};
use receiver::{Options, Receiver};
use testkit::chunk;
use testkit::output::{Ledger, PATIENCE, flush_all, instance, load};
use testkit::tempdir::TempDir;
use testkit::wait;

/// The key of every DSN here.
pub const KEY: &str = "5ec2e7f0d1a84b6c9e3f7a2b1c0d9e8f";

/// Records of a case; every tenth is an event too.
pub const RECORDS: u64 = 20;

pub struct Harness {
    pub receiver: Receiver,
    spool: TempDir,
}

impl Harness {
    pub fn new() -> Self {
        let options = Options { key: Some(KEY.to_owned()), ..Options::default() };
        let receiver = Receiver::start(options).expect("expected a receiver");
        Self { receiver, spool: TempDir::new("network").expect("expected a directory") }
    }

    /// An instance on the spool. Its exit waits for nobody.
    pub fn instance(&self, dsn: &str, options: &[(&str, &str)]) -> Instance {
        let spool = self.spool.path().to_str().expect("expected a plain path");
        let own = [("spool_path", spool), ("exit_timeout", "100ms")];
        let all: Vec<_> = options.iter().copied().chain(own).collect();
        instance(&load(), dsn, &all)
    }

    /// With these options nothing arrives, and the log says so in these words, as an error where a person must act.
    pub fn assert_refused(&self, dsn: &str, options: &[(&str, &str)], level: Level, words: &str) {
        let instance = self.instance(dsn, options);
        flush_all(&instance, "kube.app", [chunk::numbered(0..RECORDS)]);
        let says = || instance.log_lines().into_iter().find(|(_, line)| line.contains("is unreachable"));
        let line = wait::until(PATIENCE, says).unwrap_or_else(|| panic!("{:#?}", instance.log_lines()));
        assert!(line.1.contains(words) && line.0 == level, "expected {level} {words}, found {line:?}");
        let lines = instance.exit();
        assert_silent(&lines);
        let ledger = Ledger::read(&lines);
        ledger.assert_closed();
        assert_eq!((ledger.get("records"), ledger.get("log.pending")), (RECORDS, RECORDS), "{ledger:?}");
        assert_eq!(self.receiver.totals().logs, 0);
    }

    /// Checks that an instance with these options delivers the contents of the spool once; returns its log.
    pub fn assert_delivers(&self, dsn: &str, options: &[(&str, &str)]) -> Vec<(Level, String)> {
        let instance = self.instance(dsn, options);
        self.assert_arrives(&instance);
        self.finish(instance)
    }

    /// The same with records of its own.
    pub fn assert_sends(&self, dsn: &str, options: &[(&str, &str)]) -> Vec<(Level, String)> {
        let instance = self.instance(dsn, options);
        flush_all(&instance, "kube.app", [chunk::numbered(0..RECORDS)]);
        self.assert_arrives(&instance);
        self.finish(instance)
    }

    fn assert_arrives(&self, instance: &Instance) {
        let all = |seen: &receiver::Snapshot| seen.totals.logs >= RECORDS && seen.totals.events >= RECORDS / 10;
        assert!(self.receiver.wait_until(PATIENCE, all), "{:?} {:#?}", self.receiver.totals(), instance.log_lines());
    }

    fn finish(&self, instance: Instance) -> Vec<(Level, String)> {
        let settled = || instance.log_lines().iter().any(|(_, line)| line.contains("accepts items"));
        assert!(wait::until_true(PATIENCE, settled), "{:#?}", instance.log_lines());
        let lines = instance.exit();
        assert_silent(&lines);
        let totals = self.receiver.totals();
        assert_eq!((totals.logs, totals.events), (RECORDS, RECORDS / 10), "{lines:#?}");
        let of_plain_http = |problem: &String| !problem.contains("found TLS");
        assert_eq!(self.receiver.problems().into_iter().filter(of_plain_http).collect::<Vec<_>>(), [""; 0]);
        lines
    }
}

/// No line shows the key of a DSN, of a certificate, or a password (they all contain `hunter2`).
pub fn assert_silent(lines: &[(Level, String)]) {
    let secret = |line: &str| line.contains(KEY) || line.contains("hunter2") || line.contains("PRIVATE");
    assert!(lines.iter().all(|(_, line)| !secret(line)), "{lines:#?}");
}
