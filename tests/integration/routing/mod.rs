//! Many projects in one instance: each record arrives at its own and nowhere else, and a destination that is dead, gone or
//! limited costs the others nothing.

mod isolation;

use isolation::Trouble;
use plugin_host::{Instance, Verdict};
use receiver::{Options, Receiver, Snapshot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use testkit::output::{Ledger, PATIENCE, flush_all, instance, load, name_of, options};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";
const DELIVERIES: [&str; 3] = ["spool", "ack", "memory"];
/// Project of the default DSN.
const DEFAULT: u64 = 1;
/// The key that [`Receiver::dsn_for`] shows, and another.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// An instance's directories: one of DSNs, one for its spool.
struct Setting {
    delivery: &'static str,
    dir: TempDir,
}

impl Setting {
    fn new(delivery: &'static str) -> Self {
        let dir = TempDir::new("routing").expect("expected a directory");
        fs::create_dir(dir.path().join("dsn")).expect("expected a directory of DSNs");
        Self { delivery, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("expected a plain path").to_owned()
    }

    /// Writes a namespace's DSN, as a mounted Secret changes: all at once.
    fn file(&self, namespace: &str, dsn: &str) {
        let new = self.path("new");
        fs::write(&new, format!("{dsn}\n")).expect("expected to write a file");
        fs::rename(new, self.path("dsn") + "/" + namespace).expect("expected to put a file in its place");
    }

    fn remove(&self, namespace: &str) {
        fs::remove_file(self.path("dsn") + "/" + namespace).expect("expected to remove a file");
    }

    fn start(&self, dsn: &str, more: &[(&str, &str)]) -> Instance {
        let (spool, dsn_dir) = (self.path("spool"), self.path("dsn"));
        let own =
            [("delivery", self.delivery), ("spool_path", &spool), ("dsn_dir", &dsn_dir), ("batch_max_items", "20")];
        let all: Vec<_> = more.iter().copied().chain(own).collect();
        if dsn.is_empty() {
            let without: Vec<_> = options(dsn, &all).into_iter().filter(|(name, _)| *name != "dsn").collect();
            return load()
                .instance(&name_of(&without), &without)
                .unwrap_or_else(|error| panic!("{error}: {:?}", error.log_lines));
        }
        instance(&load(), dsn, &all)
    }
}

fn receive(faults: &str) -> Receiver {
    let faults = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// The default DSN of a receiver.
fn default(receiver: &Receiver) -> String {
    receiver.dsn_for(DEFAULT)
}

/// A record of a pod; every tenth is an error and so becomes an event as well as a log.
fn record(namespace: &str, n: u64, annotation: Option<&str>) -> Value {
    let level = if n.is_multiple_of(10) { "error" } else { "info" };
    let mut pod =
        json!({"namespace_name": namespace, "pod_name": format!("{namespace}-web-0"), "container_name": "web"});
    if let Some(dsn) = annotation {
        pod["annotations"] = json!({"k8s.sentry.io/dsn": dsn, "team": "shop"});
    }
    json!({"message": format!("order {n} was looked at"), "n": n, "level": level, "kubernetes": pod})
}

fn chunk_of(namespace: &str, numbers: std::ops::Range<u64>) -> Vec<u8> {
    chunk::of(&numbers.map(|n| record(namespace, n, None)).collect::<Vec<_>>())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected the number of a record, found {value}"))
}

/// The numbers of the logs that came to each project, in order, one for each time.
fn logs(seen: &Snapshot) -> BTreeMap<u64, Vec<u64>> {
    let mut projects: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for log in &seen.logs {
        projects.entry(log.project).or_default().push(number(&log.payload["attributes"]["n"]["value"]));
    }
    projects.values_mut().for_each(|numbers| numbers.sort_unstable());
    projects
}

/// The same of the events, one for each id.
fn events(seen: &Snapshot) -> BTreeMap<u64, Vec<u64>> {
    let mut ids: BTreeMap<u64, BTreeSet<(u64, String)>> = BTreeMap::new();
    for event in &seen.events {
        let number = number(&event.payload["extra"]["n"]);
        ids.entry(event.project).or_default().insert((number, event.event_id.clone()));
    }
    ids.into_iter().map(|(project, events)| (project, events.into_iter().map(|(n, _)| n).collect())).collect()
}

/// Returns the expected records of each project, each once.
fn expected(projects: &[(u64, std::ops::Range<u64>)]) -> BTreeMap<u64, Vec<u64>> {
    let mut all: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (project, numbers) in projects {
        all.entry(*project).or_default().extend(numbers.clone());
    }
    all.values_mut().for_each(|numbers| numbers.sort_unstable());
    all
}

/// Waits until every record of these is where it belongs, and sees that nothing else came there.
fn assert_arrived(receiver: &Receiver, instance: &Instance, projects: &[(u64, std::ops::Range<u64>)]) {
    let records: u64 = projects.iter().map(|(_, numbers)| numbers.end - numbers.start).sum();
    let tenths = |numbers: &std::ops::Range<u64>| numbers.clone().filter(|n| n.is_multiple_of(10)).count() as u64;
    let errors: u64 = projects.iter().map(|(_, numbers)| tenths(numbers)).sum();
    let came = receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= records && seen.totals.events >= errors);
    assert!(came, "missing after {PATIENCE:?}: {:?}\n{:#?}", receiver.totals(), instance.log_lines());
    let seen = receiver.snapshot();
    let wanted = expected(projects);
    assert_eq!(logs(&seen), wanted, "logs");
    let only_errors = |numbers: Vec<u64>| numbers.into_iter().filter(|n| n.is_multiple_of(10)).collect::<Vec<_>>();
    let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(project, numbers)| (project, only_errors(numbers))).collect();
    assert_eq!(events(&seen), wanted, "events");
}

fn said(instance: &Instance, words: &str) -> bool {
    instance.log_lines().iter().any(|(_, line)| line.contains(words))
}

/// One chunk with records of three namespaces, two of which have DSNs of their own at two servers.
fn each_record_arrives_at_the_project_of_its_namespace(delivery: &'static str) {
    let (here, there) = (receive(""), receive(""));
    let setting = Setting::new(delivery);
    setting.file("shop", &here.dsn_for(7));
    setting.file("pay", &there.dsn_for(8));
    let instance = setting.start(&default(&here), &[]);
    let namespace = |n: u64| ["shop", "pay", "other"][(n / 10 % 3) as usize];
    let records: Vec<_> = (0..90).map(|n| record(namespace(n), n, None)).collect();
    flush_all(&instance, TAG, [chunk::of(&records)]);
    let thirds = |third: u64| (0..3).map(move |turn| turn * 30 + third * 10);
    let of = |project, third| thirds(third).map(|from| (project, from..from + 10)).collect::<Vec<_>>();
    assert_arrived(&here, &instance, &[of(7, 0), of(DEFAULT, 2)].concat());
    assert_arrived(&there, &instance, &of(8, 1));
    // Never two destinations in one envelope.
    for receiver in [&here, &there] {
        assert_eq!(receiver.problems(), [""; 0]);
    }
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (90, 9));
}

/// An annotation goes before the namespace, if its host is listed; never to one that is not.
fn annotations_choose_among_allowed_hosts_only(delivery: &'static str) {
    let (here, there, evil) = (receive(""), receive(""), receive(""));
    let setting = Setting::new(delivery);
    setting.file("shop", &here.dsn_for(7));
    let allowed = there.addr().to_string();
    let instance = setting.start(&default(&here), &[("dsn_allow_hosts", &allowed)]);
    let (good, bad) = (there.dsn_for(9), evil.dsn_for(9));
    let hidden = good.replace("http://", "HTTP://");
    let secret = good.replace('@', ":secret@");
    let two = format!("{good}\r\n{bad}");
    let user = format!("http://{KEY}@{}@{}/9", there.addr(), evil.addr());
    let cases = [("shop", &good), ("other", &good), ("shop", &bad), ("other", &bad), ("shop", &hidden)];
    let more = [("other", &secret), ("other", &two), ("other", &user)];
    let mut from = 0;
    for (namespace, annotation) in cases.into_iter().chain(more) {
        let records: Vec<_> = (from..from + 10).map(|n| record(namespace, n, Some(annotation))).collect();
        flush_all(&instance, TAG, [chunk::of(&records)]);
        from += 10;
    }
    assert_arrived(&there, &instance, &[(9, 0..20)]);
    assert_arrived(&here, &instance, &[(7, 20..30), (DEFAULT, 30..40), (7, 40..50), (DEFAULT, 50..80)]);
    assert_eq!(evil.totals().requests, 0);
    assert!(said(&instance, "the annotation of a pod is ignored (namespace shop: host or port of http://***@"));
    let lines = instance.exit();
    assert!(lines.iter().all(|(_, line)| !line.contains(KEY) && !line.contains("secret@")), "{lines:#?}");
    Ledger::read(&lines).assert_closed();
}

/// The key of a namespace's file changes while records come: they go on with the new one, none lost and none twice.
fn a_rotated_key_loses_and_doubles_nothing(delivery: &'static str) {
    let receiver = receive("forever:delay=5ms");
    let setting = Setting::new(delivery);
    setting.file("shop", &receiver.dsn_for(7));
    let instance = setting.start(&default(&receiver), &[]);
    let with_the_new_key = |receiver: &Receiver| receiver.logs().iter().any(|log| log.sentry_key == OTHER_KEY);
    let mut n = 0;
    let rotated = wait::until_true(PATIENCE, || {
        if n == 100 {
            setting.file("shop", &receiver.dsn_for(7).replace(KEY, OTHER_KEY));
        }
        flush_all(&instance, TAG, [chunk_of("shop", n..n + 10)]);
        n += 10;
        with_the_new_key(&receiver)
    });
    assert!(rotated, "{:#?}", instance.log_lines());
    assert_arrived(&receiver, &instance, &[(7, 0..n)]);
    assert!(receiver.logs().iter().any(|log| log.sentry_key == KEY));
    assert!(said(&instance, "dsn_dir: changed for shop"));
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!(ledger.get("log.accepted"), n, "{ledger:?}");
}

/// A wrong key is put right: what waited for it is delivered.
fn a_key_put_right_delivers_what_waited(delivery: &'static str) {
    let options = Options { key: Some(OTHER_KEY.to_owned()), ..Options::default() };
    let receiver = Receiver::start(options).expect("expected a receiver");
    let setting = Setting::new(delivery);
    setting.file("shop", &receiver.dsn_for(7).replace(OTHER_KEY, KEY));
    let instance = setting.start(&default(&receiver), &[("retry_max", "600s"), ("retry_base", "600s")]);
    let chunks: Vec<_> = (0..10).map(|n| chunk_of("shop", n * 10..n * 10 + 10)).collect();
    let verdicts: Vec<_> = chunks.iter().map(|chunk| instance.flush(TAG, chunk)).collect();
    let ok = if delivery == "ack" { Verdict::Retry } else { Verdict::Ok };
    assert_eq!(verdicts, vec![ok; 10]);
    assert!(wait::until_true(PATIENCE, || said(&instance, "rejects everything (403")), "{:#?}", instance.log_lines());
    setting.file("shop", &receiver.dsn_for(7));
    if delivery == "ack" {
        flush_all(&instance, TAG, chunks);
    }
    assert_arrived(&receiver, &instance, &[(7, 0..100)]);
    Ledger::read(&instance.exit()).assert_closed();
}

/// A file that comes, is broken, and goes again.
fn files_come_and_go(delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(delivery);
    let instance = setting.start(&default(&receiver), &[]);
    flush_all(&instance, TAG, [chunk_of("shop", 0..10)]);
    let changed = |times: usize| {
        let lines =
            || instance.log_lines().iter().filter(|(_, line)| line.contains("dsn_dir: changed for shop")).count();
        assert!(wait::until_true(PATIENCE, || lines() == times), "{:#?}", instance.log_lines());
    };
    setting.file("shop", &receiver.dsn_for(7));
    changed(1);
    flush_all(&instance, TAG, [chunk_of("shop", 10..20)]);
    setting.file("shop", "nonsense");
    let complained = wait::until_true(PATIENCE, || said(&instance, "file shop: expected a DSN"));
    assert!(complained, "{:#?}", instance.log_lines());
    flush_all(&instance, TAG, [chunk_of("shop", 20..30)]);
    setting.remove("shop");
    changed(2);
    flush_all(&instance, TAG, [chunk_of("shop", 30..40)]);
    assert_arrived(&receiver, &instance, &[(DEFAULT, 0..10), (7, 10..30), (DEFAULT, 30..40)]);
    Ledger::read(&instance.exit()).assert_closed();
}

/// Without a default, records of other namespaces count as filtered, which is said.
fn without_a_default_only_named_namespaces_are_sent(delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(delivery);
    setting.file("shop", &receiver.dsn_for(7));
    let instance = setting.start("", &[]);
    flush_all(&instance, TAG, [chunk_of("shop", 0..10), chunk_of("other", 10..30)]);
    assert_arrived(&receiver, &instance, &[(7, 0..10)]);
    let told = wait::until_true(PATIENCE, || said(&instance, "no destination for some records (namespace other"));
    assert!(told, "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("log.filtered")), (10, 20), "{ledger:?}");
}

/// A directory that is mounted later is waited for.
fn a_directory_that_is_not_there_yet_is_waited_for(delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(delivery);
    fs::remove_dir(setting.path("dsn")).expect("expected to remove the directory");
    let instance = setting.start("", &[]);
    let verdict = instance.flush(TAG, &chunk_of("shop", 0..10));
    assert_eq!(verdict, if delivery == "spool" { Verdict::Ok } else { Verdict::Retry });
    assert!(wait::until_true(PATIENCE, || said(&instance, "dsn_dir = ")), "{:#?}", instance.log_lines());
    fs::create_dir(setting.path("dsn")).expect("expected a directory of DSNs");
    setting.file("shop", &receiver.dsn_for(7));
    if delivery != "spool" {
        flush_all(&instance, TAG, [chunk_of("shop", 0..10)]);
    }
    assert_arrived(&receiver, &instance, &[(7, 0..10)]);
    Ledger::read(&instance.exit()).assert_closed();
}

/// Most events a minute are counted for each destination by itself.
fn each_destination_has_its_own_event_rate() {
    let receiver = receive("");
    let setting = Setting::new("spool");
    setting.file("shop", &receiver.dsn_for(7));
    setting.file("pay", &receiver.dsn_for(8));
    let options = [("event_rate", "3"), ("logs_level", "off"), ("event_level", "trace")];
    let instance = setting.start(&default(&receiver), &options);
    flush_all(&instance, TAG, ["shop", "pay"].map(|namespace| chunk_of(namespace, 0..5)));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events >= 6), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    assert_eq!((ledger.get("event.accepted"), ledger.get("event.suppressed")), (6, 4), "{ledger:?}");
    let counts: Vec<_> = events(&receiver.snapshot()).into_values().map(|numbers| numbers.len()).collect();
    assert_eq!(counts, [3, 3]);
}

/// A promise, put to one delivery.
type Promise = fn(&'static str);

pub fn add(suite: Suite) -> Suite {
    let promises: [(&str, Promise); 7] = [
        ("each_record_arrives_at_the_project_of_its_namespace", each_record_arrives_at_the_project_of_its_namespace),
        ("annotations_choose_among_allowed_hosts_only", annotations_choose_among_allowed_hosts_only),
        ("a_rotated_key_loses_and_doubles_nothing", a_rotated_key_loses_and_doubles_nothing),
        ("a_key_put_right_delivers_what_waited", a_key_put_right_delivers_what_waited),
        ("files_come_and_go", files_come_and_go),
        ("without_a_default_only_named_namespaces_are_sent", without_a_default_only_named_namespaces_are_sent),
        ("a_directory_that_is_not_there_yet_is_waited_for", a_directory_that_is_not_there_yet_is_waited_for),
    ];
    let troubles = [
        ("deleted", Trouble::Answers("403")),
        ("limited", Trouble::Answers("429,retry-after=60")),
        ("failing", Trouble::Answers("503")),
        ("silent", Trouble::Answers("hang=20s")),
        ("refused", Trouble::Refused),
    ];
    let mut suite = suite;
    for delivery in DELIVERIES {
        for (name, promise) in promises {
            suite = suite.test(&format!("{delivery}::{name}"), move || promise(delivery));
        }
        for (name, trouble) in troubles {
            let name = format!("{delivery}::one_of_two_hundred_is_{name}");
            suite = suite.test(&name, move || isolation::one_in_trouble_costs_the_others_nothing(delivery, trouble));
        }
    }
    suite
        .test("in_memory_the_dead_keep_to_their_share", isolation::in_memory_the_dead_keep_to_their_share)
        .test("in_the_spool_the_dead_give_way", isolation::in_the_spool_the_dead_give_way)
        .test(
            "records_for_a_dead_destination_do_not_fill_the_spool",
            isolation::records_for_a_dead_destination_do_not_fill_the_spool,
        )
        .test("each_destination_has_its_own_event_rate", each_destination_has_its_own_event_rate)
        .test("a_spool_is_replayed_around_a_dead_destination", isolation::a_spool_is_replayed_around_a_dead_destination)
}
