//! Client reports: Sentry is told what it will never see, once, and nothing else.

use plugin_host::Instance;
use receiver::{Options, Receiver, Script};
use sentry_types::protocol::v7::{Envelope, EnvelopeItem};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::output::{Ledger, PATIENCE, flush_all, instance, load};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";
const DELIVERIES: [&str; 3] = ["spool", "ack", "memory"];

fn receive(faults: &str) -> Receiver {
    let faults: Script = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// Flushes these chunks, waits until a summary says so, and ends the instance.
fn run(receiver: &Receiver, options: &[(&str, &str)], chunks: &[Vec<u8>], says: &str) -> Ledger {
    let dir = TempDir::new("reports").expect("expected a directory");
    let spool = dir.path().to_str().expect("expected a plain path");
    let own = [("spool_path", spool), ("summary_interval", "1s"), ("ack_timeout", "10s")];
    let options: Vec<_> = options.iter().copied().chain(own).collect();
    let instance = instance(&load(), &receiver.dsn(), &options);
    for chunk in chunks {
        flush_all(&instance, TAG, [chunk.clone()]);
        // One after the other, so that what a server is first asked is what comes first here.
        let before = receiver.totals().requests;
        receiver.wait_until(std::time::Duration::from_millis(200), |seen| seen.totals.requests > before);
    }
    let said = |instance: &Instance| {
        instance
            .log_lines()
            .iter()
            .any(|(_, line)| says.split(' ').all(|cell| format!("{line} ").contains(&format!(" {cell} "))))
    };
    assert!(wait::until_true(PATIENCE, || said(&instance)), "{says}: {:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    ledger
}

/// Returns the sum of all client reports, by reason and category. Checks that Sentry's own types parse the reasons that they
/// know.
fn told(receiver: &Receiver) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    for report in receiver.client_reports() {
        for entry in report.payload["discarded_events"].as_array().expect("expected a list") {
            let text = |name: &str| entry[name].as_str().unwrap_or("?").to_owned();
            let key = format!("{} {}", text("reason"), text("category"));
            *told.entry(key).or_insert(0) += entry["quantity"].as_u64().expect("expected a count");
        }
    }
    assert_eq!(receiver.problems(), [""; 0]);
    told
}

fn sampled_logs_are_told_as_items_and_bytes(delivery: &'static str) {
    let receiver = receive("");
    let options = [("delivery", delivery), ("logs_sample_rate", "0.5"), ("event_level", "off")];
    let chunk = chunk::numbered(0..200);
    let size = chunk.len() as u64;
    let ledger = run(&receiver, &options, &[chunk], "records=200 log.pending=0");
    let sampled = ledger.get("log.sampled");
    assert!(sampled > 50 && sampled + ledger.get("log.accepted") == 200, "{ledger:?}");
    let told = told(&receiver);
    assert_eq!((told.len(), told["sample_rate log_item"]), (2, sampled), "{told:?}");
    let bytes = told["sample_rate log_byte"];
    assert!(bytes > size * sampled / 250 && bytes < size * sampled / 150, "{bytes} of {size}");
}

fn storms_are_told(delivery: &'static str) {
    let receiver = receive("");
    let options = [("delivery", delivery), ("storm_burst", "1")];
    let ledger = run(&receiver, &options, &[chunk::numbered(0..100)], "records=100 log.pending=0 event.pending=0");
    assert_eq!((ledger.get("event.suppressed"), ledger.get("event.accepted")), (9, 1), "{ledger:?}");
    assert_eq!(told(&receiver), BTreeMap::from([("backpressure error".to_owned(), 9)]));
}

fn reports_rejected_items(delivery: &'static str) {
    let receiver = receive("log:poison=order 13 was then event:poison=order 20 was");
    let chunks = [chunk::numbered(0..10), chunk::numbered(10..30)];
    let options = [("delivery", delivery)];
    let ledger = run(&receiver, &options, &chunks, "records=30 log.pending=0 event.pending=0");
    assert_eq!((ledger.get("log.rejected"), ledger.get("event.rejected")), (1, 1), "{ledger:?}");
    let reports = receiver.client_reports();
    let bodies = receiver.requests().iter().filter_map(|r| Envelope::from_slice(&r.body).ok()).collect::<Vec<_>>();
    let read = bodies.iter().flat_map(Envelope::items).filter(|item| matches!(item, EnvelopeItem::ClientReport(_)));
    assert_eq!((reports.len(), read.count()), (1, 1));
    let accepted = receiver.requests().iter().filter(|request| request.status == Some(200)).count();
    assert_eq!(ledger.get("requests.2xx"), accepted as u64, "a report is a request");
    let (told, refused) = (told(&receiver), |problem: &str| problem.to_owned());
    assert_eq!((told[&refused("send_error log_item")], told[&refused("send_error error")]), (1, 1), "{told:?}");
}

/// The server itself counts the items that it answered with a 429; the report counts the items that were then held in vain.
fn does_not_report_items_that_a_429_answered(delivery: &'static str) {
    let receiver = receive("forever:log:429,x-sentry-rate-limits=60:log_item:key");
    let options = [
        ("delivery", delivery),
        ("hold_logs", "0"),
        ("batch_max_items", "10"),
        ("senders", "1"),
        ("event_level", "off"),
    ];
    let chunks = [chunk::numbered(0..10), chunk::numbered(10..50)];
    let ledger = run(&receiver, &options, &chunks, "records=50 log.pending=0");
    assert_eq!(ledger.get("log.rate_limited"), 50, "{ledger:?}");
    let told = told(&receiver);
    assert_eq!(told.get("ratelimit_backoff log_item"), Some(&40), "{told:?}");
}

fn silence_is_kept_where_it_is_asked_for() {
    // Nothing to tell, nothing said; a limit on everything; the option.
    let receiver = receive("");
    run(&receiver, &[], &[chunk::numbered(0..10)], "records=10 log.pending=0 event.pending=0");
    assert_eq!(receiver.totals().client_reports, 0);
    let limit = receive("log:ok,x-sentry-rate-limits=60::organization");
    let options = [("storm_burst", "1"), ("hold_logs", "0"), ("hold_events", "0")];
    run(&limit, &options, &[chunk::numbered(0..100)], "records=100 log.pending=0 event.pending=0");
    assert_eq!(limit.totals().client_reports, 0);
    let off = receive("");
    let options = [("storm_burst", "1"), ("client_reports", "off")];
    run(&off, &options, &[chunk::numbered(0..100)], "records=100 log.pending=0 event.pending=0");
    assert_eq!(off.totals().client_reports, 0);
}

/// A line of a CronJob's pod that names its monitor, and an event of its Job of just now.
fn job(reason: &str, message: &str) -> Vec<Vec<u8>> {
    let kubernetes = json!({"pod_name": "nightly-29400001-x2k4q", "namespace_name": "shop", "container_name": "job",
        "annotations": {"k8s.sentry.io/monitor-slug": "nightly-report"}});
    let line = json!({"log": "working", "stream": "stdout", "kubernetes": kubernetes});
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let object = json!({"kind": "Job", "namespace": "shop", "name": "nightly-29400001"});
    let event = json!({"metadata": {"uid": reason, "name": "e"}, "involvedObject": object, "reason": reason,
        "message": message, "type": "Normal", "count": 1, "source": {"component": "job-controller"}});
    vec![chunk::of([&line]), chunk::record(now, &event)]
}

fn words(receiver: &Receiver) -> Vec<(String, String)> {
    let check_ins = receiver.check_ins();
    let text = |payload: &Value, name: &str| payload[name].as_str().unwrap_or("?").to_owned();
    check_ins.iter().map(|one| (text(&one.payload, "monitor_slug"), text(&one.payload, "status"))).collect()
}

fn said(slug: &str, status: &str) -> (String, String) {
    (slug.to_owned(), status.to_owned())
}

/// A heartbeat when it starts, and what its Jobs do; with the end of the plugin they end.
fn check_ins_say_that_the_output_and_its_jobs_run(delivery: &'static str) {
    let receiver = receive("");
    let chunks = [job("SuccessfulCreate", "Created pod: x"), job("Completed", "Job completed")].concat();
    let options = [("delivery", delivery), ("monitor_slug", "edge-1"), ("monitor_interval", "1m")];
    let ledger = run(&receiver, &options, &chunks, "records=4 log.pending=0 event.pending=0 check_ins.sent=3");
    assert_eq!((ledger.get("check_ins.sent"), ledger.get("check_ins.dropped")), (3, 0));
    let mut words = words(&receiver);
    words.sort_unstable();
    let jobs = [said("nightly-report", "in_progress"), said("nightly-report", "ok")];
    assert_eq!(words, [&[said("edge-1", "ok")], jobs.as_slice()].concat());
    let all = receiver.check_ins();
    let ids: BTreeSet<&str> = all.iter().filter_map(|one| one.payload["check_in_id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "a run has one id");
    assert_eq!(receiver.problems(), [""; 0]);
    let requests = receiver.totals().requests;
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(receiver.totals().requests, requests, "nothing comes after the end");
}

/// A check-in is of now or of no use: what a limit refuses is dropped and counted, and the items are not held for it.
fn check_ins_are_dropped_and_counted_under_a_limit(delivery: &'static str) {
    let receiver = receive("forever:check_in:429,x-sentry-rate-limits=600:monitor:organization");
    let chunks = job("Completed", "Job completed");
    let options = [("delivery", delivery), ("monitor_slug", "edge-1")];
    let ledger = run(&receiver, &options, &chunks, "records=2 log.pending=0 event.pending=0 check_ins.dropped=2");
    assert_eq!((ledger.get("check_ins.sent"), ledger.get("log.accepted")), (0, 2), "{ledger:?}");
    assert_eq!(words(&receiver), []);
    let refused = receiver.requests().iter().filter(|request| request.status == Some(429)).count();
    assert_eq!(refused, 1, "none is sent before the limit ends");
}

/// A promise, put to one delivery.
type Promise = fn(&'static str);

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    for delivery in DELIVERIES {
        let promises: [(&str, Promise); 6] = [
            ("check_ins_say_that_the_output_and_its_jobs_run", check_ins_say_that_the_output_and_its_jobs_run),
            ("check_ins_are_dropped_and_counted_under_a_limit", check_ins_are_dropped_and_counted_under_a_limit),
            ("sampled_logs_are_told_as_items_and_bytes", sampled_logs_are_told_as_items_and_bytes),
            ("storms_are_told", storms_are_told),
            ("reports_rejected_items", reports_rejected_items),
            ("does_not_report_items_that_a_429_answered", does_not_report_items_that_a_429_answered),
        ];
        for (name, test) in promises {
            suite = suite.test(&format!("{delivery}::{name}"), move || test(delivery));
        }
    }
    suite.test("silence_is_kept_where_it_is_asked_for", silence_is_kept_where_it_is_asked_for)
}
