//! `dsn_file`, whose content changes while records come.

use plugin_host::{Instance, Level};
use receiver::{Options, Receiver};
use std::fs;
use testkit::output::{Ledger, PATIENCE, flush_all, load, name_of, options};
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const NEW_KEY: &str = "fedcba9876543210fedcba9876543210";

struct Mounted {
    dir: TempDir,
}

impl Mounted {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("expected a plain path").to_owned()
    }

    /// All at once, as a mounted Secret changes.
    fn put(&self, dsn: &str) {
        fs::write(self.path("new"), format!("{dsn}\n")).expect("expected to write a file");
        fs::rename(self.path("new"), self.path("dsn")).expect("expected to put a file in its place");
    }

    fn start(&self, delivery: &str) -> Instance {
        let (file, spool) = (self.path("dsn"), self.path("spool"));
        let own =
            [("dsn_file", file.as_str()), ("delivery", delivery), ("spool_path", &spool), ("batch_max_items", "5")];
        let all: Vec<_> = options("", &own).into_iter().filter(|(name, _)| *name != "dsn").collect();
        load().instance(&name_of(&all), &all).unwrap_or_else(|error| panic!("{error}: {:?}", error.log_lines))
    }
}

/// First a file that is no DSN, which changes nothing, then one with another key.
pub fn under_load(delivery: &str) {
    let faults = "forever:delay=5ms".parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let mounted = Mounted { dir: TempDir::new("rotation").expect("expected a directory") };
    mounted.put(&receiver.dsn());
    let instance = mounted.start(delivery);
    let said = |words: &str| instance.log_lines().iter().any(|(_, line)| line.contains(words));
    let mut n = 0;
    let mut until = |what: &str, done: &dyn Fn() -> bool| {
        let came = wait::until_true(PATIENCE, || {
            flush_all(&instance, "kube.app", [chunk::numbered(n..n + 10)]);
            n += 10;
            done()
        });
        assert!(came, "{what}: {:#?}", instance.log_lines());
    };
    until("records come", &|| receiver.totals().logs >= 50);
    mounted.put("nonsense");
    until("a file that is no DSN is told", &|| said("expected a DSN"));
    mounted.put(&receiver.dsn().replace(KEY, NEW_KEY));
    until("the new key is used", &|| receiver.logs().iter().any(|log| log.sentry_key == NEW_KEY));
    let all = receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= n && seen.totals.events >= n / 10);
    assert!(all, "{n} {:?} {:#?}", receiver.totals(), instance.log_lines());
    let lines = instance.exit();
    let ledger = Ledger::read(&lines);
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (n, n / 10), "{ledger:?}");
    let number = |log: &std::sync::Arc<receiver::Log>| log.payload["attributes"]["n"]["value"].as_u64();
    let mut numbers: Vec<_> = receiver.logs().iter().filter_map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..n).collect::<Vec<_>>(), "each once");
    assert!(receiver.logs().iter().any(|log| log.sentry_key == KEY));
    let warnings =
        lines.iter().filter(|(level, line)| *level == Level::Warn && line.contains("expected a DSN")).count();
    assert_eq!(warnings, 1, "{lines:#?}");
    assert!(lines.iter().all(|(_, line)| !line.contains(KEY) && !line.contains(NEW_KEY)), "{lines:#?}");
}
