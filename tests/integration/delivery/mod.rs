//! Nothing is lost and nothing doubled, whatever the network and the server do: every record is told apart by a number,
//! and the numbers that arrived are compared with those that were sent, as are the ledgers of both sides.

mod restart;

use plugin_host::{Instance, Verdict};
use receiver::{Script, Snapshot};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};
use testkit::arrivals::{
    DELIVERIES, Setting, assert_exact, assert_ledger, assert_ledger_but, chunks, events, has_all, http_date, logs,
    receive, receive_at, wait_for_all,
};
use testkit::output::{Ledger, PATIENCE, flush_all};
use testkit::suite::Suite;
use testkit::{chunk, net, wait};

const TAG: &str = "kube.app";
/// Records a case sends; every tenth is an event too.
const RECORDS: u64 = 300;

/// Behaviour of a server at first.
struct Case {
    name: &'static str,
    faults: String,
    options: &'static [(&'static str, &'static str)],
    /// Number of envelopes that the server accepts without an answer.
    repeats: usize,
    /// Number of those that it would have answered, had the plugin waited longer.
    unseen: u64,
}

fn case(name: &'static str, faults: &str) -> Case {
    Case { name, faults: faults.to_owned(), options: &[], repeats: 0, unseen: 0 }
}

fn cases() -> Vec<Case> {
    let quick: &[_] = &[("timeout", "300ms")];
    let soon = format!("2x429,retry-after={}", http_date(SystemTime::now() + Duration::from_secs(3)));
    vec![
        case("as_it_should_be", ""),
        case("cut_before_the_body", "4xcut-before-body"),
        case("cut_after_the_body", "4xcut-after-body"),
        case("half_closed", "3xhalf-close"),
        case("garbage", "3xgarbage"),
        Case { options: quick, ..case("no_answer", "2xhang=20s") },
        Case { options: quick, repeats: 2, unseen: 2, ..case("slower_than_the_timeout", "2xdrip=30ms") },
        Case { repeats: 3, ..case("cut_within_the_head_of_the_answer", "3xtruncate=head") },
        case("cut_within_the_body_of_the_answer", "3xtruncate=body"),
        case("closed_while_idle", "12xclose-idle"),
        case("server_errors", "2x500 then 2x503 then 408 then 502 then 504"),
        case("limit_of_a_number_of_seconds", "2x429,retry-after=1"),
        case("limit_until_a_date", &soon),
        case("limit_of_events", "event:429,x-sentry-rate-limits=1:error:organization"),
        case("limit_of_logs", "log:429,x-sentry-rate-limits=1:log_item;log_byte:key:quota"),
        case("limit_of_all", "429,x-sentry-rate-limits=1::organization"),
        case("limit_of_a_part_of_a_second", "log:429,x-sentry-rate-limits=0.4:default;error;log_item:key"),
        case("limits_of_many", "429,x-sentry-rate-limits=0.2:error:key,1:log_item:organization,9999:span:key"),
        case("limit_of_others", "2x429,x-sentry-rate-limits=60:transaction;span:key,retry-after=1"),
        case("limit_in_both_forms", "429,x-sentry-rate-limits=1::key,retry-after=60"),
        case("limit_with_an_acceptance", "ok,x-sentry-rate-limits=1:log_item:key"),
        case("too_large", "3xlog:413"),
        case("no_access_at_first", "3x403,x-sentry-error=no"),
        case("wrong_key_at_first", "2x401"),
        case("wrong_project_at_first", "2x404"),
        Case { options: &[("senders", "1")], ..case("malformed_at_first", "3x400") },
        case("redirected", "302,location=http://127.0.0.1:9/ then 301 then 307 then 308"),
        case("encoding_not_understood", "415"),
        Case { repeats: 3, ..case("lost_answers", "3xlost-answer") },
        case("slow", "forever:delay=10ms"),
        case("byte_by_byte", "2xdrip=2ms"),
    ]
}

fn survives(case: &Case, delivery: &'static str) {
    let receiver = receive(&case.faults);
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), case.options);
    flush_all(&instance, TAG, chunks(RECORDS));
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", instance.log_lines()));
    setting.wait_until_settled();
    let lines = instance.exit();
    assert_exact(&receiver, RECORDS, case.repeats);
    assert_ledger_but(&receiver, &Ledger::read(&lines), RECORDS, case.unseen);
}

fn connection_refused(delivery: &'static str) {
    let address = net::own_address().expect("expected an address");
    let dsn = format!("http://{}@{address}/1", "0".repeat(32));
    let setting = Setting::new(delivery);
    let instance = setting.start(&dsn, &[]);
    let says_so = || instance.log_lines().iter().any(|(_, line)| line.contains("is unreachable"));
    let receiver = std::thread::scope(|scope| {
        let flushing = scope.spawn(|| flush_all(&instance, TAG, chunks(RECORDS)));
        assert!(wait::until_true(PATIENCE, says_so), "{:#?}", instance.log_lines());
        let receiver = receive_at("", address);
        flushing.join().expect("expected every chunk to be taken");
        receiver
    });
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", instance.log_lines()));
    assert_ledger(&receiver, &Ledger::read(&instance.exit()), RECORDS);
    assert_exact(&receiver, RECORDS, 0);
}

/// One log that the server never takes costs that log alone.
fn one_of_a_thousand_is_poison(delivery: &'static str) {
    let receiver = receive("log:poison=\"order 777 was");
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[("batch_max_items", "100")]);
    flush_all(&instance, TAG, [chunk::numbered(0..10)]);
    assert!(receiver.wait_until(PATIENCE, |seen| has_all(seen, 10)), "{:#?}", instance.log_lines());
    flush_all(&instance, TAG, [chunk::numbered(10..1_000)]);
    let all_but_one = |seen: &Snapshot| seen.totals.logs >= 999 && seen.totals.events >= 100;
    assert!(receiver.wait_until(PATIENCE, all_but_one), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let cells = ["records", "log.accepted", "log.rejected", "event.accepted"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [1_000, 999, 1, 100]);
    let came: Vec<_> = logs(&receiver.snapshot()).into_iter().collect();
    assert_eq!(came, (0..1_000).filter(|n| *n != 777).map(|n| (n, 1)).collect::<Vec<_>>());
}

/// A limit without a word on how long is a minute for everything; nothing is sent before it ends.
fn a_bare_limit_silences(delivery: &'static str) {
    let receiver = receive("forever:429");
    let setting = Setting::new(delivery);
    let options = [("senders", "1"), ("exit_timeout", "100ms"), ("ack_timeout", "100ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    let verdict = instance.flush(TAG, &chunk::numbered(0..50));
    assert_eq!(verdict, if delivery == "ack" { Verdict::Retry } else { Verdict::Ok });
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.requests > 0));
    let later = instance.flush(TAG, &chunk::numbered(50..100));
    assert_eq!(later, if delivery == "ack" { Verdict::Retry } else { Verdict::Ok });
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!(receiver.totals().requests, 1, "expected silence after a limit");
    let rest = if delivery == "memory" { "log.lost" } else { "log.pending" };
    assert_eq!(ledger.get(rest), 100, "{ledger:?}");
}

/// With `hold_*` at zero what is limited is given up, and said to be.
fn gives_up_items_when_hold_times_are_zero(delivery: &'static str) {
    let receiver = receive("forever:429,retry-after=60");
    let setting = Setting::new(delivery);
    let options = [("hold_events", "0"), ("hold_logs", "0"), ("ack_timeout", "10s"), ("summary_interval", "1s")];
    let instance = setting.start(&receiver.dsn(), &options);
    flush_all(&instance, TAG, chunks(RECORDS));
    let settled = |line: &str| line.contains(" log.pending=0 ") && line.contains(" event.pending=0 ");
    let done = || instance.log_lines().iter().any(|(_, line)| line.contains("records=300") && settled(line));
    assert!(wait::until_true(PATIENCE, done), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!(
        (ledger.get("log.rate_limited"), ledger.get("event.rate_limited")),
        (RECORDS, RECORDS / 10),
        "{ledger:?}"
    );
}

/// A quota on logs fills their share of a volatile queue and no more: events go on, out of chunks that the host keeps for
/// the sake of their logs, and in the end everything has come once.
fn held_logs_do_not_starve_events() {
    let receiver = receive("forever:log:429,x-sentry-rate-limits=4:log_item:key");
    let setting = Setting::new("memory");
    let records = 6_000;
    let instance = setting.start(&receiver.dsn(), &[("queue_max_size", "50K")]);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| flush_all(&instance, TAG, chunks(records)));
        let all_events = |seen: &Snapshot| events(seen).len() as u64 == records / 10;
        assert!(receiver.wait_until(PATIENCE, all_events), "{:?} {:#?}", receiver.totals(), instance.log_lines());
        assert_eq!(receiver.totals().logs, 0);
        receiver.script(Script::default());
        assert!(flushing.join().expect("every chunk is taken") > 0, "expected chunks to be given back");
    });
    wait_for_all(&receiver, records, || format!("{:#?}", instance.log_lines()));
    let ledger = Ledger::read(&instance.exit());
    assert_exact(&receiver, records, 0);
    ledger.assert_closed();
    let cells = ["records", "log.accepted", "event.accepted", "log.pending"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [records, records, records / 10, 0]);
}

/// A server that stumbles over every event still gets the logs.
fn events_that_fail_do_not_hold_up_logs() {
    let receiver = receive("forever:event:503");
    let setting = Setting::new("spool");
    let instance = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms"), ("retry_max", "50ms")]);
    flush_all(&instance, TAG, chunks(RECORDS));
    let all = |seen: &Snapshot| logs(seen).len() as u64 == RECORDS;
    assert!(receiver.wait_until(PATIENCE, all), "{:?} {:#?}", receiver.totals(), instance.log_lines());
    Ledger::read(&instance.exit()).assert_closed();
}

/// A chunk that the host offers again sends only what is not settled.
fn a_chunk_flushed_again_sends_the_rest() {
    let receiver = receive("5xlog:ok then forever:log:503");
    let setting = Setting::new("ack");
    let options = [("batch_max_items", "10"), ("senders", "1"), ("ack_timeout", "300ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    let bytes = chunk::numbered(0..100);
    assert_eq!(instance.flush(TAG, &bytes), Verdict::Retry);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 50));
    let before = receiver.totals();
    receiver.script(Script::default());
    flush_all(&instance, TAG, [bytes]);
    let after = receiver.totals();
    assert_eq!((before.logs, after.logs, after.events), (50, 100, 10));
    assert_exact(&receiver, 100, 0);
    assert_ledger(&receiver, &Ledger::read(&instance.exit()), 100);
}

/// After OK the same bytes are a new chunk, and so are equal bytes that are flushed meanwhile: a log that was written
/// twice arrives twice. An event has the same id and so stays one.
fn equal_chunks_are_two() {
    let receiver = receive("forever:delay=50ms");
    let setting = Setting::new("ack");
    let instance = setting.start(&receiver.dsn(), &[("ack_timeout", "20s")]);
    let bytes = chunk::numbered(0..30);
    std::thread::scope(|scope| {
        for worker in [(); 2].map(|()| scope.spawn(|| instance.flush(TAG, &bytes))) {
            assert_eq!(worker.join().expect("the flush is answered"), Verdict::Ok);
        }
    });
    assert_eq!(instance.flush(TAG, &bytes), Verdict::Ok);
    let ledger = Ledger::read(&instance.exit());
    assert_eq!((ledger.get("records"), ledger.get("log.accepted")), (90, 90));
    let seen = receiver.snapshot();
    assert!(logs(&seen).values().all(|&times| times == 3) && logs(&seen).len() == 30, "{:?}", logs(&seen));
    assert!(events(&seen).values().all(|&ids| ids == 1) && events(&seen).len() == 3, "{:?}", events(&seen));
}

/// A promise, put to one delivery.
type Promise = fn(&'static str);

/// Before any record: one line, nothing in the ledger, and an exit that waits for no answer.
fn the_start_says_whether_the_destination_answers() {
    let says = |instance: &Instance, text: &str| {
        let lines = || instance.log_lines().iter().filter(|(_, line)| line.contains(text)).count();
        assert!(wait::until_true(PATIENCE, || lines() == 1), "expected {text}: {:#?}", instance.log_lines());
    };
    let receiver = receive("");
    let there = Setting::new("spool").start(&receiver.dsn(), &[]);
    says(&there, "/1 is reachable (HTTP 200); key and project are verified when the first items are sent");
    let ledger = Ledger::read(&there.exit());
    assert_eq!((ledger.get("records"), ledger.get("requests.2xx"), receiver.requests().len()), (0, 0, 0));

    let port = net::free_port().expect("expected a free port");
    let nobody = Setting::new("spool").start(&format!("http://{}@127.0.0.1:{port}/1", "0".repeat(32)), &[]);
    says(&nobody, "is unreachable (connection refused)");
    nobody.exit();

    let silent = TcpListener::bind("127.0.0.1:0").expect("expected a free port");
    let address = silent.local_addr().expect("expected an address");
    let instance = Setting::new("spool").start(&format!("http://{}@{address}/1", "0".repeat(32)), &[]);
    let asked = silent.accept().expect("expected to be asked");
    let lines = instance.exit();
    assert!(!lines.iter().any(|(_, line)| line.contains("is unreachable")), "{lines:#?}");
    drop(asked);
}

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    for delivery in DELIVERIES {
        for case in cases() {
            suite = suite.test(&format!("{delivery}::{}", case.name), move || survives(&case, delivery));
        }
        let more: [(&str, Promise); 4] = [
            ("connection_refused", connection_refused),
            ("one_of_a_thousand_is_poison", one_of_a_thousand_is_poison),
            ("a_bare_limit_silences", a_bare_limit_silences),
            ("gives_up_items_when_hold_times_are_zero", gives_up_items_when_hold_times_are_zero),
        ];
        for (name, test) in more {
            suite = suite.test(&format!("{delivery}::{name}"), move || test(delivery));
        }
    }
    suite
        .test("a_chunk_flushed_again_sends_the_rest", a_chunk_flushed_again_sends_the_rest)
        .test("equal_chunks_are_two", equal_chunks_are_two)
        .test("held_logs_do_not_starve_events", held_logs_do_not_starve_events)
        .test("events_that_fail_do_not_hold_up_logs", events_that_fail_do_not_hold_up_logs)
        .test("a_spool_that_closes_starts_no_request", restart::a_spool_that_closes_starts_no_request)
        .test("logs_of_a_cut_request_are_sent_last", restart::logs_of_a_cut_request_are_sent_last)
        .test("counts_items_in_memory_at_exit_as_lost", restart::counts_items_in_memory_at_exit_as_lost)
        .test("a_spool_is_replayed", restart::a_spool_is_replayed)
        .test("next_process_keeps_decisions_about_records", restart::next_process_keeps_decisions_about_records)
        .test("a_killed_process_loses_nothing", restart::a_killed_process_loses_nothing)
        .test("the_start_says_whether_the_destination_answers", the_start_says_whether_the_destination_answers)
}
