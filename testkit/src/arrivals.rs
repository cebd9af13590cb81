//! The plugin against a receiver with scripted faults: every record is told apart by a number, and the numbers that
//! arrived are compared with those that were sent, as are the ledgers of both sides.

use super::chunk;
use super::output::{Ledger, PATIENCE, instance, load};
use super::tempdir::TempDir;
use super::wait;
use plugin_host::Instance;
use receiver::{Options, Receiver, Request, Script, Snapshot};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Records in a chunk; every tenth is an event too.
pub const CHUNK: u64 = 50;

/// Every delivery there is.
pub const DELIVERIES: [&str; 3] = ["spool", "ack", "memory"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub fn http_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = receiver::timestamp::display(seconds as f64);
    let month: usize = text[5..7].parse().expect("expected a month");
    let (year, day, clock) = (&text[..4], &text[8..10], &text[11..19]);
    let weekday = DAYS[(seconds / 86_400 % 7) as usize];
    format!("{weekday}, {day} {} {year} {clock} GMT", MONTHS[month - 1])
}

/// A receiver with faults.
pub fn receive(faults: &str) -> Receiver {
    receive_at(faults, SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// [`receive`] at an address of the test's own.
pub fn receive_at(faults: &str, listen: SocketAddr) -> Receiver {
    let faults: Script = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Receiver::start(Options { faults, listen, ..Options::default() }).expect("expected a receiver")
}

/// A place for a spool, and the options that go with a delivery.
pub struct Setting {
    delivery: &'static str,
    /// The spool's directory.
    pub dir: TempDir,
}

impl Setting {
    /// A directory of its own.
    pub fn new(delivery: &'static str) -> Self {
        Self { delivery, dir: TempDir::new("delivery").expect("expected a directory") }
    }

    /// [`wait_until_settled`] for the spool of this setting.
    pub fn wait_until_settled(&self) {
        wait_until_settled(self.dir.path());
    }

    /// The plugin, with these further options.
    pub fn start(&self, dsn: &str, more: &[(&str, &str)]) -> Instance {
        let spool = self.dir.path().to_str().expect("expected a plain path");
        let own = [("delivery", self.delivery), ("spool_path", spool), ("batch_max_items", "20")];
        let options: Vec<_> = more.iter().copied().chain(own).collect();
        instance(&load(), dsn, &options)
    }
}

/// Waits until the spool in a directory holds no segment; at once where there is no spool.
///
/// A log whose response was lost has arrived and is sent again. A closing instance with a spool starts no request: it would
/// leave that log to the next instance.
pub fn wait_until_settled(spool: &Path) {
    let segments = || {
        let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|end| end == "msgpack")).count()
    };
    assert!(wait::until_true(PATIENCE, || segments() == 0), "expected an empty spool, found {} segments", segments());
}

/// Records in chunks of [`CHUNK`].
pub fn chunks(records: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..records).step_by(CHUNK as usize).map(move |from| chunk::numbered(from..records.min(from + CHUNK)))
}

/// Returns the number of logs of each number.
pub fn logs(seen: &Snapshot) -> BTreeMap<u64, u64> {
    count(seen.logs.iter().map(|log| number(&log.payload["attributes"]["n"]["value"])))
}

/// Returns the number of different event ids of each number: Sentry keeps one event of an id.
pub fn events(seen: &Snapshot) -> BTreeMap<u64, u64> {
    let pairs = seen.events.iter().map(|event| (number(&event.payload["extra"]["n"]), event.event_id.clone()));
    count(pairs.collect::<BTreeSet<_>>().into_iter().map(|(number, _)| number))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected the number of a record, found {value}"))
}

fn count(numbers: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    numbers.for_each(|number| *counts.entry(number).or_insert(0) += 1);
    counts
}

/// Returns true if each record has arrived at least once.
pub fn has_all(seen: &Snapshot, records: u64) -> bool {
    seen.totals.logs >= records
        && seen.totals.events >= records.div_ceil(10)
        && logs(seen).len() as u64 == records
        && events(seen).len() as u64 == records.div_ceil(10)
}

/// Waits for [`has_all`].
pub fn wait_for_all(receiver: &Receiver, records: u64, lines: impl Fn() -> String) {
    let came = receiver.wait_until(PATIENCE, |seen| has_all(seen, records));
    assert!(came, "missing after {PATIENCE:?}: {:?}\n{}", receiver.totals(), lines());
}

/// Every record has come, no event twice, and the logs that came again are those of at most `repeats` envelopes.
pub fn assert_exact(receiver: &Receiver, records: u64, repeats: usize) {
    let seen = receiver.snapshot();
    let expected: BTreeMap<_, _> = (0..records).step_by(10).map(|number| (number, 1)).collect();
    assert_eq!(events(&seen), expected, "events");
    assert_eq!(logs(&seen).keys().copied().collect::<Vec<_>>(), (0..records).collect::<Vec<_>>(), "logs");
    let again = sent_again(&seen);
    assert!(again.len() <= repeats, "expected at most {repeats} envelopes to come again, found requests {again:?}");
    let of_the_network = |problem: &String| problem.contains("connection closed");
    let problems: Vec<_> = receiver.problems().into_iter().filter(|problem| !of_the_network(problem)).collect();
    assert_eq!(problems, [""; 0]);
}

/// The requests of which logs came once more in a later one.
fn sent_again(seen: &Snapshot) -> BTreeSet<u64> {
    let mut last = BTreeMap::new();
    let numbered = seen.logs.iter().map(|log| (number(&log.payload["attributes"]["n"]["value"]), log.request));
    numbered.filter_map(|(number, request)| last.insert(number, request)).collect()
}

/// The plugin's ledger says what the server's does.
pub fn assert_ledger(receiver: &Receiver, ledger: &Ledger, records: u64) {
    assert_ledger_but(receiver, ledger, records, 0);
}

/// [`assert_ledger`], where the plugin did not wait for the end of `unseen` answers.
pub fn assert_ledger_but(receiver: &Receiver, ledger: &Ledger, records: u64, unseen: u64) {
    ledger.assert_closed();
    let cell = |name: &str| ledger.get(name);
    let events = records.div_ceil(10);
    assert_eq!((cell("records"), cell("log.accepted"), cell("event.accepted")), (records, records, events));
    assert_eq!(cell("event.filtered"), records - events);
    let requests = receiver.requests();
    let answered = |is: fn(u16) -> bool| {
        let statuses = requests.iter().filter_map(|request: &Arc<Request>| request.status);
        statuses.filter(|status| is(*status)).count() as u64
    };
    assert_eq!(cell("requests.2xx") + unseen, answered(|status| status < 300));
    assert_eq!(cell("requests.429"), answered(|status| status == 429));
    assert_eq!(cell("requests.5xx"), answered(|status| status >= 500));
    assert_eq!(cell("requests.403"), answered(|status| status == 403));
}
