//! Tests that items that Sentry will never accept are kept with the reason, counted, and can be sent again.

mod replay;

use out_sentry::chunk::msgpack::Seq;
use out_sentry::chunk::{Entry, Record, entries};
use out_sentry::delivery::split_spool;
use plugin_host::{Instance, Verdict};
use receiver::{Options, Receiver, Script};
use replay::replay;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use testkit::output::{Ledger, PATIENCE, exit_when, flush_all, instance, load};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";
const DELIVERIES: [&str; 3] = ["spool", "ack", "memory"];

fn receive(faults: &str) -> Receiver {
    let faults: Script = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// A spool, with its dead letters below it.
struct Setting {
    delivery: &'static str,
    dir: TempDir,
}

impl Setting {
    fn new(delivery: &'static str) -> Self {
        Self { delivery, dir: TempDir::new("letters").expect("expected a directory") }
    }

    fn start(&self, dsn: &str, more: &[(&str, &str)]) -> Instance {
        let spool = self.dir.path().to_str().expect("expected a plain path");
        let own = [("delivery", self.delivery), ("spool_path", spool), ("summary_interval", "1s")];
        let options: Vec<_> = more.iter().copied().chain(own).collect();
        instance(&load(), dsn, &options)
    }

    fn dead(&self) -> PathBuf {
        self.dir.path().join("dead")
    }

    fn letters(&self) -> Vec<Letter> {
        letters(&self.dead())
    }
}

/// A dead letter, read by what reads chunks.
#[derive(Debug)]
struct Letter {
    about: BTreeMap<String, String>,
    records: Vec<Vec<u8>>,
    /// Bytes that are no record.
    invalid: Vec<u8>,
}

impl Letter {
    fn says(&self, key: &str) -> &str {
        self.about.get(key).map_or("", String::as_str)
    }
}

fn files(dead: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dead).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "msgpack"));
    files.sort();
    files
}

/// Every letter of a directory, in the order in which they were written.
fn letters(dead: &Path) -> Vec<Letter> {
    let mut all = Vec::new();
    for file in files(dead) {
        let bytes = fs::read(&file).expect("expected to read a letter");
        let mut markers = Vec::new();
        for entry in entries(&bytes) {
            if let Entry::GroupStart(Record { metadata, .. }) = entry {
                markers.push(about(metadata));
            }
        }
        for (segment, about) in split_spool(&bytes).iter().zip(markers) {
            let (mut records, mut invalid) = (Vec::new(), Vec::new());
            for entry in entries(&segment.data) {
                match entry {
                    Entry::Record(record) => records.push(record.raw.to_vec()),
                    Entry::Invalid(_, bytes) => invalid.extend_from_slice(bytes),
                    Entry::GroupStart(_) | Entry::GroupEnd => {}
                }
            }
            assert_eq!(segment.tag, TAG.as_bytes());
            all.push(Letter { about, records, invalid });
        }
    }
    all
}

fn about(metadata: Seq<'_>) -> BTreeMap<String, String> {
    use out_sentry::chunk::msgpack::Value as Packed;
    let fields = metadata.get("out_sentry").and_then(|about| about.map()).expect("expected what a letter says");
    let text = |value: Packed<'_>| match value {
        Packed::UInt(number) => number.to_string(),
        other => String::from_utf8_lossy(other.text().unwrap_or_default()).into_owned(),
    };
    fields.pairs().map(|(key, value)| (text(key), text(value))).collect()
}

/// Two plain records, a trace of four lines, and a twin of the first record of the trace.
fn trace() -> Vec<u8> {
    let lines = [
        "order 7 was looked at",
        "Traceback (most recent call last):",
        "  File \"/app/a.py\", line 3, in run",
        "    needle()",
        "ValueError: needle",
    ];
    let bodies: Vec<_> = lines.iter().map(|line| json!({"message": line, "level": "error"})).collect();
    chunk::of(&bodies)
}

fn records(chunk: &[u8]) -> Vec<Vec<u8>> {
    let raw = |entry| if let Entry::Record(record) = entry { Some(record.raw.to_vec()) } else { None };
    entries(chunk).filter_map(raw).collect()
}

/// A log that Sentry refuses is kept as it was, with why, when and whose it was, and nobody else can read it.
fn a_refused_log_is_kept(delivery: &'static str) {
    let receiver = receive("log:poison=order 7 was");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[]);
    flush_all(&instance, TAG, [chunk::numbered(100..110)]);
    let bytes = chunk::numbered(0..10);
    flush_all(&instance, TAG, [bytes.clone()]);
    let ledger = exit_when(instance, |line| line.contains("log.rejected=1 ") && line.contains("log.pending=0 "));
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (19, 2), "{ledger:?}");
    let letters = setting.letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    let letter = &letters[0];
    assert_eq!(letter.records, [records(&bytes)[7].clone()]);
    let says = ["category", "outcome", "status", "tag", "version", "records"].map(|key| letter.says(key));
    assert_eq!(says, ["log", "rejected", "400", TAG, "1", "1"]);
    let key = receiver.dsn().split(['/', '@']).nth(2).map(str::to_owned).expect("expected a key");
    assert!(letter.says("destination").starts_with("http://***@"), "{letter:?}");
    assert!(letter.says("detail").starts_with("400") && letter.says("time").ends_with('Z'), "{letter:?}");
    for file in files(&setting.dead()) {
        assert!(!String::from_utf8_lossy(&fs::read(&file).expect("a file")).contains(&key), "the key is in a letter");
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(setting.dead()).expect("a directory").permissions().mode() & 0o777, 0o700);
}

/// A joined event is kept with all its lines, and its id.
fn a_refused_trace_is_kept_whole(delivery: &'static str) {
    let receiver = receive("event:poison=ValueError");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[]);
    flush_all(&instance, TAG, [chunk::numbered(0..10)]);
    let bytes = trace();
    flush_all(&instance, TAG, [bytes.clone()]);
    let ledger = exit_when(instance, |line| line.contains("event.rejected=1 ") && line.contains("event.pending=0 "));
    let counts = ["log.accepted", "log.joined", "event.joined"].map(|outcome| ledger.get(outcome));
    assert_eq!(counts, [11, 4, 4], "{ledger:?}");
    let letters = setting.letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!(letters[0].records, records(&bytes));
    assert_eq!((letters[0].says("category"), letters[0].says("event_id").len()), ("event", 32));
}

/// A joined log is kept with all its lines, and is one log when it is sent again.
fn a_refused_joined_log_is_kept_whole(delivery: &'static str) {
    let receiver = receive("log:poison=ValueError");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[]);
    flush_all(&instance, TAG, [chunk::numbered(0..10)]);
    let bytes = trace();
    flush_all(&instance, TAG, [bytes.clone()]);
    let ledger = exit_when(instance, |line| line.contains("log.rejected=1 ") && line.contains("log.pending=0 "));
    assert_eq!((ledger.get("log.accepted"), ledger.get("log.joined")), (10, 4), "{ledger:?}");
    let letters = setting.letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!((letters[0].says("category"), &letters[0].records), ("log", &records(&bytes)));
    receiver.script("forever:ok".parse().expect("expected a script"));
    let (code, report, errors) = replay(&receiver.dsn(), &setting.dead(), &[]);
    assert_eq!(code, 0, "{report:#} {errors}");
    let body = receiver.logs().last().and_then(|log| log.payload["body"].as_str().map(str::to_owned));
    let lines = body.map_or(0, |body| body.lines().count());
    assert_eq!(lines, records(&bytes).len(), "{:#?}", receiver.logs().last());
}

/// An item that is too large is trimmed once; one that is still too large is kept as it was.
fn trims_an_item_that_is_too_large_once(delivery: &'static str) {
    let receiver = receive("event:413 then 3xlog:413");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[("batch_max_items", "1"), ("senders", "1")]);
    let record = |text: String, level: &str| chunk::of([&json!({"message": text, "n": 1, "level": level})]);
    flush_all(&instance, TAG, [record("broken".into(), "error")]);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events == 1), "{:#?}", instance.log_lines());
    let event = receiver.events()[0].payload.clone();
    assert!(event["extra"].is_null() && event["breadcrumbs"].is_null() && !event["logentry"].is_null(), "{event:#}");
    // Its log had a short body, and so was given up at once; of two long ones the second is refused twice.
    let ended = |line: &str| line.contains("log.too_large=1 ");
    let said = || instance.log_lines().iter().any(|(_, line)| line.contains("summary: ") && ended(line));
    assert!(wait::until_true(PATIENCE, said), "{:#?}", instance.log_lines());
    let long = record("y".repeat(100_000), "info");
    receiver.script("log:413 then log:ok then 2xlog:413".parse().expect("expected a script"));
    flush_all(&instance, TAG, [long.clone()]);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 1), "{:#?}", instance.log_lines());
    let body = receiver.logs()[0].payload["body"].as_str().map(str::to_owned).expect("expected a body");
    assert!(body.len() < 20_000 && body.ends_with("y [cut 83616 bytes]"), "{}", &body[body.len() - 40..]);
    let other = record("z".repeat(100_000), "info");
    flush_all(&instance, TAG, [other.clone()]);
    let ledger = exit_when(instance, |line| line.contains("log.too_large=2 ") && line.contains("log.pending=0 "));
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (1, 1), "{ledger:?}");
    let letters = setting.letters();
    assert_eq!(letters.len(), 2, "{letters:#?}");
    assert_eq!((letters[1].says("outcome"), letters[1].says("status")), ("too_large", "413"));
    assert_eq!(letters[1].records, records(&other));
}

/// Items that waited too long become dead letters.
fn keeps_items_that_waited_too_long(delivery: &'static str) {
    let receiver = receive("forever:429,retry-after=60");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[("hold_events", "0"), ("hold_logs", "0"), ("ack_timeout", "10s")]);
    flush_all(&instance, TAG, [chunk::numbered(0..50), chunk::numbered(50..100)]);
    let settled = |line: &str| line.contains(" log.pending=0 ") && line.contains(" event.pending=0 ");
    let ledger = exit_when(instance, |line| line.contains("records=100 ") && settled(line));
    assert_eq!((ledger.get("log.rate_limited"), ledger.get("event.rate_limited")), (100, 10), "{ledger:?}");
    let letters = setting.letters();
    let of = |category| letters.iter().filter(|letter| letter.says("category") == category).count();
    assert_eq!((of("log"), of("event")), (100, 10));
    assert!(letters.iter().all(|letter| letter.says("outcome") == "rate_limited" && letter.records.len() == 1));
}

/// Bytes that are no record are kept as they are, once for both categories.
fn undecodable_bytes_are_kept(delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[]);
    let bytes = [chunk::numbered(0..5), vec![0xc1; 40]].concat();
    flush_all(&instance, TAG, [bytes]);
    let ledger = exit_when(instance, |line| line.contains("log.accepted=5 ") && line.contains("log.pending=0 "));
    assert_eq!((ledger.get("event.invalid"), ledger.get("log.invalid")), (1, 1), "{ledger:?}");
    let letters = setting.letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!((letters[0].says("outcome"), letters[0].says("category")), ("invalid", ""));
    assert_eq!(letters[0].invalid, [0xc1; 40]);
}

/// When there is no room the newest is refused, and the count says so; another instance counts what is there already.
fn full_letters_overflow(delivery: &'static str) {
    let receiver = receive("forever:429,retry-after=60");
    let setting = Setting::new(delivery);
    let options = [("hold_events", "0"), ("hold_logs", "0"), ("ack_timeout", "10s"), ("dead_letter_max_size", "5K")];
    let mut sums = [0, 0];
    for round in 0..2 {
        let instance = setting.start(&receiver.dsn(), &options);
        flush_all(&instance, TAG, [chunk::numbered(round * 50..round * 50 + 50)]);
        let settled = |line: &str| line.contains(" log.pending=0 ") && line.contains(" event.pending=0 ");
        let ledger = exit_when(instance, |line| line.contains("records=50 ") && settled(line));
        let count = |outcome: &str| ["log", "event"].map(|category| ledger.get(&format!("{category}.{outcome}")));
        sums[0] += count("rate_limited").iter().sum::<u64>();
        sums[1] += count("overflow").iter().sum::<u64>();
    }
    assert_eq!(sums[0] + sums[1], 110);
    assert_eq!(setting.letters().len() as u64, sums[0]);
    let size: u64 = files(&setting.dead()).iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
    assert!(size <= 5_000 && sums[0] > 5, "{size} bytes, {sums:?}");
}

/// Without a place for them they are only counted.
fn without_a_path_they_are_counted() {
    let receiver = receive("log:poison=order 7 was");
    let options = [("delivery", "memory"), ("summary_interval", "1s")];
    let instance = instance(&load(), &receiver.dsn(), &options);
    assert_eq!(instance.flush(TAG, &chunk::numbered(100..110)), Verdict::Ok);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 10));
    assert_eq!(instance.flush(TAG, &chunk::numbered(0..10)), Verdict::Ok);
    let ledger = exit_when(instance, |line| line.contains("log.rejected=1 ") && line.contains("log.pending=0 "));
    assert_eq!(ledger.get("log.accepted"), 19);
}

/// A disk that will not take a letter loses nothing: the record waits in the spool.
fn an_unwritable_place_is_waited_for() {
    let receiver = receive("log:poison=order 7 was");
    let setting = Setting::new("spool");
    fs::write(setting.dead(), b"no directory").expect("expected to write a file");
    let first = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms")]);
    flush_all(&first, TAG, [chunk::numbered(100..110)]);
    flush_all(&first, TAG, [chunk::numbered(0..10)]);
    let says = || first.log_lines().iter().any(|(_, line)| line.contains("cannot write dead letters"));
    assert!(wait::until_true(PATIENCE, says), "{:#?}", first.log_lines());
    let ledger = Ledger::read(&first.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("log.pending")), (19, 1), "{ledger:?}");
    fs::remove_file(setting.dead()).expect("expected to remove a file");
    let second = setting.start(&receiver.dsn(), &[]);
    flush_all(&second, TAG, [chunk::numbered(200..210)]);
    let ended = |line: &str| line.contains("log.rejected=1 ") && line.contains("log.pending=0 ");
    let said = || second.log_lines().iter().any(|(_, line)| line.contains("summary: ") && ended(line));
    assert!(wait::until_true(PATIENCE, said), "{:#?}", second.log_lines());
    drop(second);
    assert_eq!(setting.letters().len(), 1);
}

/// A place where every user can plant records is told at the start.
fn a_spool_that_all_can_write_is_told() {
    let setting = Setting::new("spool");
    fs::set_permissions(setting.dir.path(), fs::Permissions::from_mode(0o777)).expect("expected to set permissions");
    let receiver = receive("");
    let instance = setting.start(&receiver.dsn(), &[]);
    let says = || instance.log_lines().iter().any(|(_, line)| line.contains("every user may write there"));
    assert!(wait::until_true(PATIENCE, says), "{:#?}", instance.log_lines());
}

/// A promise, put to one delivery.
type Promise = fn(&'static str);

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    for delivery in DELIVERIES {
        let promises: [(&str, Promise); 7] = [
            ("trims_an_item_that_is_too_large_once", trims_an_item_that_is_too_large_once),
            ("a_refused_log_is_kept", a_refused_log_is_kept),
            ("a_refused_trace_is_kept_whole", a_refused_trace_is_kept_whole),
            ("a_refused_joined_log_is_kept_whole", a_refused_joined_log_is_kept_whole),
            ("keeps_items_that_waited_too_long", keeps_items_that_waited_too_long),
            ("undecodable_bytes_are_kept", undecodable_bytes_are_kept),
            ("full_letters_overflow", full_letters_overflow),
        ];
        for (name, test) in promises {
            suite = suite.test(&format!("{delivery}::{name}"), move || test(delivery));
        }
    }
    suite
        .test("without_a_path_they_are_counted", without_a_path_they_are_counted)
        .test("letters_are_sent_again_once", replay::letters_are_sent_again_once)
        .test("a_replayed_event_is_the_same_event", replay::a_replayed_event_is_the_same_event)
        .test("keeps_items_that_are_rejected_again", replay::keeps_items_that_are_rejected_again)
        .test("letters_can_be_kept", replay::letters_can_be_kept)
        .test("a_spool_is_replayed_unless_it_is_in_use", replay::a_spool_is_replayed_unless_it_is_in_use)
        .test("replays_only_dead_letters", replay::replays_only_dead_letters)
        .test("hostile_files_are_refused_at_once", replay::hostile_files_are_refused_at_once)
        .test("a_spool_that_all_can_write_is_told", a_spool_that_all_can_write_is_told)
        .test("an_unwritable_place_is_waited_for", an_unwritable_place_is_waited_for)
}
