//! Tests many destinations: dead letters and client reports belong to the right one, and a quota of one does not delay the
//! others.

use plugin_host::{Instance, Verdict};
use receiver::{Options, Receiver, Script, Snapshot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use testkit::output::{Ledger, PATIENCE, exit_when, flush_all, instance, load};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";
const DELIVERIES: [&str; 3] = ["spool", "ack", "memory"];
/// Namespaces with a project of their own; all others go to project 1.
const SHOP: (&str, u64) = ("shop", 7);
const PAY: (&str, u64) = ("pay", 8);

fn receive(faults: &str) -> Receiver {
    let faults: Script = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// A directory of DSNs, and one for letters.
struct Setting(TempDir);

impl Setting {
    fn new(receiver: &Receiver, namespaces: &[(&str, u64)]) -> Self {
        let setting = Self(TempDir::new("destinations").expect("expected a directory"));
        fs::create_dir(setting.path("dsn")).expect("expected a directory of DSNs");
        for (name, project) in namespaces {
            fs::write(setting.path("dsn").join(name), receiver.dsn_for(*project)).expect("expected to write a file");
        }
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("expected a plain path").to_owned()
    }

    fn start(&self, receiver: &Receiver, delivery: &str, more: &[(&str, &str)]) -> Instance {
        let [spool, dead, dsn_dir] = ["spool", "dead", "dsn"].map(|name| self.text(name));
        let own = [
            ("delivery", delivery),
            ("spool_path", &spool),
            ("dead_letter_path", &dead),
            ("dsn_dir", &dsn_dir),
            ("summary_interval", "1s"),
            ("ack_timeout", "10s"),
        ];
        let all: Vec<_> = more.iter().copied().chain(own).collect();
        instance(&load(), &receiver.dsn_for(1), &all)
    }

    /// Returns the number of dead letters for each project.
    fn letters(&self) -> BTreeMap<u64, usize> {
        let mut found = BTreeMap::new();
        for file in fs::read_dir(self.path("dead")).into_iter().flatten().flatten() {
            let text = String::from_utf8_lossy(&fs::read(file.path()).expect("a letter")).into_owned();
            for (at, _) in text.match_indices("http://***@") {
                let project = text[at..].split('/').nth(3).unwrap_or_default();
                let digits: String = project.chars().take_while(char::is_ascii_digit).collect();
                *found.entry(digits.parse().expect("expected a project")).or_default() += 1;
            }
        }
        found
    }
}

fn chunk_of(namespace: &str, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let pod = json!({"namespace_name": namespace, "pod_name": format!("{namespace}-0"), "container_name": "web"});
    let level = |n: u64| if n.is_multiple_of(10) { "error" } else { "info" };
    let record =
        |n| json!({"message": format!("order {n} was seen"), "n": n, "level": level(n), "kubernetes": pod.clone()});
    chunk::of(&numbers.map(record).collect::<Vec<Value>>())
}

/// The numbers of the logs that came to each project, one for each time.
fn logs(seen: &Snapshot) -> BTreeMap<u64, Vec<u64>> {
    let mut projects: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for log in &seen.logs {
        let number = log.payload["attributes"]["n"]["value"].as_u64().expect("expected a number");
        projects.entry(log.project).or_default().push(number);
    }
    projects.values_mut().for_each(|numbers| numbers.sort_unstable());
    projects
}

/// Returns the client reports that each project got, by reason and category.
fn told(receiver: &Receiver) -> BTreeMap<u64, BTreeSet<(String, u64)>> {
    let mut told: BTreeMap<u64, BTreeSet<_>> = BTreeMap::new();
    for report in receiver.client_reports() {
        for line in report.payload["discarded_events"].as_array().expect("expected a list") {
            let text = |name: &str| line[name].as_str().unwrap_or("?").to_owned();
            let quantity = line["quantity"].as_u64().expect("expected a count");
            // How many bytes a log has is not the matter here.
            let quantity = if text("category") == "log_byte" { 0 } else { quantity };
            told.entry(report.project)
                .or_default()
                .insert((format!("{} {}", text("reason"), text("category")), quantity));
        }
    }
    told
}

/// Of two projects that get the same records one refuses some: only its own become letters, and only it is told.
fn letters_and_reports_are_of_the_one_that_refuses(delivery: &'static str) {
    let receiver = receive("project=7:log:poison=order 3 was then project=7:event:poison=order 10 was");
    let setting = Setting::new(&receiver, &[SHOP, PAY]);
    let instance = setting.start(&receiver, delivery, &[("batch_max_items", "1"), ("senders", "1")]);
    // A server that has never taken anything is believed to be wrong itself.
    for name in ["shop", "pay", "other"] {
        flush_all(&instance, TAG, [chunk_of(name, 100..101)]);
    }
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 3 && seen.totals.events == 3));
    for name in ["shop", "pay", "other"] {
        flush_all(&instance, TAG, [chunk_of(name, 0..12)]);
    }
    let ledger = exit_when(instance, |line| {
        ["records=39 ", "log.rejected=1 ", "log.pending=0 ", "event.pending=0 "].iter().all(|cell| line.contains(cell))
    });
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (38, 8), "{ledger:?}");
    assert_eq!(setting.letters(), BTreeMap::from([(7, 2)]));
    let cells = [("send_error error", 1), ("send_error log_byte", 0), ("send_error log_item", 1)];
    let expected = BTreeSet::from(cells.map(|(cell, count)| (cell.to_owned(), count)));
    assert_eq!(told(&receiver), BTreeMap::from([(7, expected)]));
}

/// Of what is left out here, each project is told its own.
fn each_project_is_told_what_was_left_out_of_its_own(delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(&receiver, &[SHOP, PAY]);
    let options = [("storm_burst", "1"), ("logs_level", "off")];
    let instance = setting.start(&receiver, delivery, &options);
    for (name, count) in [("shop", 3), ("pay", 5)] {
        flush_all(&instance, TAG, [chunk_of(name, 0..count * 10)]);
    }
    let ended = |line: &str| line.contains("records=80 ") && line.contains("event.pending=0 ");
    let ledger = exit_when(instance, ended);
    assert_eq!((ledger.get("event.accepted"), ledger.get("event.suppressed")), (2, 6), "{ledger:?}");
    let held_back = |count| BTreeSet::from([("backpressure error".to_owned(), count)]);
    assert_eq!(told(&receiver), BTreeMap::from([(7, held_back(2)), (8, held_back(4))]));
}

/// A quota of one destination fills its part of a volatile queue and no more: the others' records go on, the host keeps
/// what has no room, and in the end everything has come once.
fn in_memory_a_held_destination_stops_nobody_and_loses_nothing() {
    let receiver = receive("forever:project=7:log:429,x-sentry-rate-limits=6:log_item:key");
    let setting = Setting::new(&receiver, &[SHOP]);
    let instance = setting.start(&receiver, "memory", &[("queue_max_size", "50K"), ("batch_max_items", "5")]);
    // More than there is room for, packed.
    let turns = 150;
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let shop = (0..turns).map(|turn| chunk_of("shop", turn * 20..turn * 20 + 20));
        let other = (0..turns).map(|turn| chunk_of("other", turn * 20..turn * 20 + 20));
        let held = scope.spawn(|| {
            for chunk in shop {
                while instance.flush(TAG, &chunk) != Verdict::Ok {
                    refused.fetch_add(1, Relaxed);
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        flush_all(&instance, TAG, other);
        let all = |seen: &Snapshot| logs(seen).get(&1).is_some_and(|numbers| numbers.len() as u64 == turns * 20);
        assert!(receiver.wait_until(PATIENCE, all), "{:?} {:#?}", receiver.totals(), instance.log_lines());
        assert_eq!(logs(&receiver.snapshot()).get(&7), None, "held");
        let given_back = wait::until_true(PATIENCE, || refused.load(Relaxed) > 0);
        assert!(given_back && !held.is_finished(), "expected chunks to be given back");
        receiver.script(Script::default());
    });
    let came = receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= turns * 40);
    assert!(came, "{:?} {:#?}", receiver.totals(), instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let every: Vec<u64> = (0..turns * 20).collect();
    assert_eq!(logs(&receiver.snapshot()), BTreeMap::from([(1, every.clone()), (7, every)]));
    assert_eq!((ledger.get("records"), ledger.get("log.accepted")), (turns * 40, turns * 40), "{ledger:?}");
}

/// A quota fills the memory before anything for another destination has come: what then comes for that one finds room.
fn in_memory_what_is_held_makes_room_for_a_destination_that_is_new() {
    let receiver = receive("forever:project=7:log:429,x-sentry-rate-limits=60:log_item:key");
    let setting = Setting::new(&receiver, &[SHOP]);
    let instance = setting.start(&receiver, "memory", &[("queue_max_size", "150K"), ("batch_max_items", "5")]);
    let told = |line: &str| line.contains("limits logs");
    let mut turn = 0;
    while !instance.log_lines().iter().any(|(_, line)| told(line)) {
        let _ = instance.flush(TAG, &chunk_of("shop", turn * 20..turn * 20 + 20));
        turn += 1;
    }
    for turn in turn..turn + 20 {
        let _ = instance.flush(TAG, &chunk_of("shop", turn * 20..turn * 20 + 20));
    }
    flush_all(&instance, TAG, [chunk_of("other", 0..20)]);
    let all = |seen: &Snapshot| logs(seen).get(&1).is_some_and(|numbers| numbers.len() == 20);
    assert!(receiver.wait_until(PATIENCE, all), "{:?} {:#?}", receiver.totals(), instance.log_lines());
    instance.exit();
}

/// Letters of several namespaces are sent to where their records are routed now; those that go nowhere stay letters.
fn letters_are_replayed_to_where_their_records_go_now() {
    let receiver = receive("forever:429,retry-after=60");
    let setting = Setting::new(&receiver, &[SHOP, PAY]);
    let instance = setting.start(&receiver, "spool", &[("hold_events", "0"), ("hold_logs", "0")]);
    for name in ["shop", "pay", "other"] {
        flush_all(&instance, TAG, [chunk_of(name, 1..11)]);
    }
    let settled = |line: &str| line.contains(" log.pending=0 ") && line.contains(" event.pending=0 ");
    exit_when(instance, |line| line.contains("records=30 ") && settled(line));
    assert_eq!(setting.letters(), BTreeMap::from([(1, 11), (7, 11), (8, 11)]));
    receiver.script(Script::default());
    fs::write(setting.path("dsn").join("pay"), receiver.dsn_for(9)).expect("expected to write a file");
    let dsn_dir = format!("dsn_dir={}", setting.text("dsn"));
    let replay = || {
        let mut command = Command::new(testkit::companion());
        command.args(["replay", "--json", "--plugin"]).arg(testkit::plugin());
        command.args(["-o", &dsn_dir, "-o", "proxy=none"]).arg(setting.path("dead")).env_remove("SENTRY_DSN");
        let output = command.output().expect("expected flb-sentry to run");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, report, errors) = replay();
    assert_eq!(code, Some(1), "{report:#} {errors}");
    let cells = ["log.accepted", "event.accepted", "log.rejected", "event.rejected"];
    assert_eq!(cells.map(|cell| report["ledger"][cell].as_u64()), [20, 2, 10, 1].map(Some), "{report:#}");
    let all: Vec<u64> = (1..11).collect();
    assert_eq!(logs(&receiver.snapshot()), BTreeMap::from([(7, all.clone()), (9, all.clone())]));
    fs::write(setting.path("dsn").join("other"), receiver.dsn_for(1)).expect("expected to write a file");
    let (code, report, errors) = replay();
    assert_eq!(code, Some(0), "{report:#} {errors}");
    assert_eq!(logs(&receiver.snapshot()), BTreeMap::from([(1, all.clone()), (7, all.clone()), (9, all)]));
    let mut events: Vec<_> = receiver.events().iter().map(|event| event.project).collect();
    events.sort_unstable();
    assert_eq!((events, setting.letters().len()), (vec![1, 7, 9], 0));
}

/// A promise, put to one delivery.
type Promise = fn(&'static str);

pub fn add(suite: Suite) -> Suite {
    let promises: [(&str, Promise); 2] = [
        ("letters_and_reports_are_of_the_one_that_refuses", letters_and_reports_are_of_the_one_that_refuses),
        ("each_project_is_told_what_was_left_out_of_its_own", each_project_is_told_what_was_left_out_of_its_own),
    ];
    let mut suite = suite;
    for delivery in DELIVERIES {
        for (name, test) in promises {
            suite = suite.test(&format!("{delivery}::{name}"), move || test(delivery));
        }
    }
    suite
        .test(
            "in_memory_a_held_destination_stops_nobody_and_loses_nothing",
            in_memory_a_held_destination_stops_nobody_and_loses_nothing,
        )
        .test(
            "in_memory_what_is_held_makes_room_for_a_destination_that_is_new",
            in_memory_what_is_held_makes_room_for_a_destination_that_is_new,
        )
        .test("letters_are_replayed_to_where_their_records_go_now", letters_are_replayed_to_where_their_records_go_now)
}
