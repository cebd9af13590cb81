//! Nothing is lost and nothing doubled, whatever the network and the server do: every record is told apart by a number,
//! and the numbers that arrived are compared with those that were sent, as are the ledgers of both sides.

use plugin_host::{Instance, Verdict};
use receiver::{Script, Snapshot};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};
use testkit::arrivals::{
    DELIVERIES, Setting, assert_exact, assert_ledger, assert_ledger_but, chunks, events, has_all, http_date, logs,
    receive, receive_at, wait_for_all,
};
use testkit::output::{Ledger, PATIENCE, flush_all, instance, load};
use testkit::process::{Group, Launch};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
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

/// From the moment it closes, an instance with a spool starts no request: it waits for those on their way, and the rest is
/// for the next one.
fn a_spool_that_closes_starts_no_request() {
    let receiver = receive("forever:delay=400ms");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "20s"), ("senders", "1"), ("batch_max_items", "10"), ("event_level", "off")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= 20), "{:?}", receiver.totals());
    let before = receiver.totals().logs;
    let first = Ledger::read(&first.exit());
    let sent = receiver.totals().logs;
    // The one on its way, and one that began before the end was known.
    assert!(sent <= before + 20, "{before} logs before the exit, {sent} after it");
    assert_eq!((first.get("log.accepted"), first.get("log.pending")), (sent, RECORDS - sent), "{first:?}");
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &[]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", second.log_lines()));
    Ledger::read(&second.exit()).assert_closed();
    assert_exact(&receiver, RECORDS, 0);
}

/// A request that is cut may have arrived: the next process sends its logs after all others.
fn logs_of_a_cut_request_are_sent_last() {
    let receiver = receive("2xlog:ok then forever:log:delay=30s");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "300ms"), ("senders", "1"), ("batch_max_items", "10"), ("event_level", "off")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 20), "{:?}", receiver.totals());
    // The third request is on its way.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let began = receiver.requests().len();
    let first = Ledger::read(&first.exit());
    assert_eq!((first.get("log.accepted"), first.get("log.pending")), (20, RECORDS - 20), "{first:?}");
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &options);
    let all = |seen: &Snapshot| logs(seen).len() as u64 == RECORDS;
    assert!(receiver.wait_until(PATIENCE, all), "{:?} {:#?}", receiver.totals(), second.log_lines());
    let last = receiver.requests().into_iter().max_by_key(|request| request.index).expect("expected requests");
    assert!(receiver.requests().len() > began);
    let text = String::from_utf8_lossy(&last.body).into_owned();
    let cut: Vec<u64> = (20..30).filter(|n| text.contains(&format!("order {n} was"))).collect();
    assert_eq!(cut, (20..30).collect::<Vec<_>>(), "{text}");
    Ledger::read(&second.exit()).assert_closed();
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

/// Items that are held in memory at exit are lost, and counted as lost.
fn counts_items_in_memory_at_exit_as_lost() {
    let receiver = receive("forever:503");
    let setting = Setting::new("memory");
    let instance = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms")]);
    flush_all(&instance, TAG, chunks(RECORDS));
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.lost"), ledger.get("event.lost")), (RECORDS, RECORDS / 10), "{ledger:?}");
}

/// The next process sends all records that the spool holds at exit, and counts them, so that its ledger closes too.
fn a_spool_is_replayed() {
    let receiver = receive("forever:event:ok then 3xlog:ok then forever:503");
    let setting = Setting::new("spool");
    let first = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms"), ("senders", "1")]);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 60), "{:#?}", first.log_lines());
    let first = Ledger::read(&first.exit());
    first.assert_closed();
    assert_eq!((first.get("records"), first.get("log.accepted"), first.get("log.pending")), (RECORDS, 60, 240));
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &[]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", second.log_lines()));
    let second = Ledger::read(&second.exit());
    second.assert_closed();
    // The chunks that were half sent, with what the first process had already settled of them.
    let again = second.get("records");
    assert_eq!((second.get("log.accepted"), second.get("log.pending")), (again, 0), "{second:?}");
    assert!((240..=RECORDS).contains(&again), "{second:?}");
    assert_exact(&receiver, RECORDS, 0);
    assert_eq!(chunk_files(setting.dir.path()), 0, "expected an empty spool");
}

/// A decision about a record that does not depend on the record (a storm, an expired hold) is final: the next process neither
/// sends the record nor counts it again.
fn next_process_keeps_decisions_about_records() {
    let receiver = receive("forever:429,x-sentry-rate-limits=60:error;log_item:key");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "100ms"), ("storm_burst", "1"), ("hold_logs", "0"), ("summary_interval", "1s")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    let decided = |line: &str| line.contains("event.suppressed=29 ") && line.contains("log.rate_limited=300 ");
    let first = exit_when(first, decided);
    first.assert_closed();
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &options);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events >= 1), "{:#?}", second.log_lines());
    let second = exit_when(second, |line| line.contains("event.pending=0 "));
    let cells = ["event.accepted", "event.suppressed", "event.filtered"];
    second.assert_closed();
    // Nothing of it is decided anew: what the first process decided stands in the second one's books as it was.
    assert_eq!(second.get("log.rate_limited"), second.get("records"), "{second:?}");
    let events = cells[..3].iter().map(|cell| second.get(cell)).sum::<u64>();
    assert_eq!((second.get("event.accepted"), events), (1, second.get("records")), "{second:?}");
    assert_eq!((receiver.totals().events, receiver.totals().logs), (1, 0));
}

/// Ends an instance as soon as a summary says this.
fn exit_when(instance: Instance, says: impl Fn(&str) -> bool) -> Ledger {
    let said = || instance.log_lines().iter().any(|(_, line)| line.contains("summary: ") && says(line));
    assert!(wait::until_true(PATIENCE, said), "{:#?}", instance.log_lines());
    Ledger::read(&instance.exit())
}

fn chunk_files(spool: &Path) -> usize {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension() == Some(OsStr::new("msgpack"))).count()
}

/// Records in all whole files of a spool.
fn spooled(spool: &Path) -> u64 {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten().map(|file| file.path());
    let chunks = files.filter(|path| path.extension() == Some(OsStr::new("msgpack")));
    let bytes = chunks.filter_map(|path| std::fs::read(path).ok());
    bytes.flat_map(|bytes| out_sentry::delivery::split_spool(&bytes)).map(|segment| u64::from(segment.records)).sum()
}

/// `flb-sentry ship` of a chunk file, in a process that can be killed.
fn ship(dir: &Path, dsn: &str, file: &Path) -> Group {
    let (plugin, companion) = (testkit::plugin(), testkit::companion());
    let spool = format!("spool_path={}", dir.join("spool").display());
    let dsn = format!("dsn={dsn}");
    let options = [
        &dsn,
        &spool,
        "proxy=none",
        "log_level=info",
        "retry_base=20ms",
        "retry_max=50ms",
        "batch_max_items=10",
        "batch_timeout=10ms",
        "storm_burst=0",
    ];
    let options = options.into_iter().flat_map(|option| ["-o", option]).map(OsStr::new);
    let fixed = ["ship", "--chunk-size", "2K", "--tag", TAG, "--plugin"].map(OsStr::new);
    let launch = Launch {
        program: companion.as_os_str(),
        args: fixed.into_iter().chain([plugin.as_os_str()]).chain(options).chain([file.as_os_str()]).collect(),
        env: Vec::new(),
        without_env: &["SENTRY_DSN"],
        dir,
        temporary: None,
        log: dir.join("log"),
    };
    launch.start().expect("expected flb-sentry to start")
}

/// SIGKILL in the middle of delivery: nothing is missing afterwards, and only logs that were on their way come twice.
fn a_killed_process_loses_nothing() {
    let dir = TempDir::new("killed").expect("expected a directory");
    let (file, spool) = (dir.path().join("in.msgpack"), dir.path().join("spool"));
    std::fs::write(&file, chunk::numbered(0..RECORDS)).expect("expected to write a chunk");
    let receiver = receive("forever:503");
    let mut process = ship(dir.path(), &receiver.dsn(), &file);
    assert!(wait::until_true(PATIENCE, || spooled(&spool) == RECORDS), "spooled: {}", spooled(&spool));
    receiver.script("forever:delay=20ms".parse().expect("expected a script"));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= RECORDS / 3), "{:?}", receiver.totals());
    process.kill();
    let before = receiver.totals();
    assert!(before.logs < RECORDS, "expected to kill it in the middle, found {before:?}");
    receiver.script(Script::default());
    let spool_path = spool.to_str().expect("expected a plain path");
    let again = instance(&load(), &receiver.dsn(), &[("spool_path", spool_path)]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", again.log_lines()));
    let ledger = Ledger::read(&again.exit());
    assert_eq!((ledger.get("log.pending"), ledger.get("event.pending")), (0, 0), "{ledger:?}");
    // One envelope a sender.
    assert_exact(&receiver, RECORDS, 4);
    assert_eq!(chunk_files(&spool), 0, "expected an empty spool");
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
        .test("a_spool_that_closes_starts_no_request", a_spool_that_closes_starts_no_request)
        .test("logs_of_a_cut_request_are_sent_last", logs_of_a_cut_request_are_sent_last)
        .test("counts_items_in_memory_at_exit_as_lost", counts_items_in_memory_at_exit_as_lost)
        .test("a_spool_is_replayed", a_spool_is_replayed)
        .test("next_process_keeps_decisions_about_records", next_process_keeps_decisions_about_records)
        .test("a_killed_process_loses_nothing", a_killed_process_loses_nothing)
        .test("the_start_says_whether_the_destination_answers", the_start_says_whether_the_destination_answers)
}
