//! Tests which categories a rate limit stops, for how long, and which it does not.

use plugin_host::Verdict;
use receiver::{Receiver, Request};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use testkit::arrivals::{Setting, http_date, receive};
use testkit::chunk;
use testkit::output::{Ledger, PATIENCE, flush_all};
use testkit::wait;

const TAG: &str = "kube.app";

/// An answer to the first envelope of logs, and for how many milliseconds it silences events and logs at least.
struct Limit {
    answer: &'static str,
    events: u64,
    logs: u64,
}

fn limits() -> Vec<Limit> {
    let rows = [
        ("429,x-sentry-rate-limits=2:log_item:key", 0, 2_000),
        ("429,x-sentry-rate-limits=2:log_byte:organization:quota", 0, 2_000),
        ("429,x-sentry-rate-limits=1.5:log_item;transaction:key", 0, 1_500),
        ("429,x-sentry-rate-limits=1:log_item:key,2:log_item:project,9:span:key", 0, 2_000),
        ("429,x-sentry-rate-limits=1.5::organization", 1_500, 1_500),
        ("429,x-sentry-rate-limits=1.5:default;error;log_item:key,retry-after=30", 1_500, 1_500),
        ("429,retry-after=1", 1_000, 1_000),
        // Dates have whole seconds.
        ("429,retry-after=DATE", 1_000, 1_000),
        // On any status.
        ("200,x-sentry-rate-limits=1.5:log_item:key", 0, 1_500),
        ("200,x-sentry-rate-limits=1.5:error:key", 1_500, 0),
        ("503,x-sentry-rate-limits=1.5:log_item:key", 0, 1_500),
    ];
    rows.map(|(answer, events, logs)| Limit { answer, events, logs }).into()
}

fn holds(request: &Request, kind: &str) -> bool {
    let body = String::from_utf8_lossy(&request.body);
    body.contains(&format!("\"type\":\"{kind}\""))
}

/// Returns the time between the answer to a request and the next request of a category.
fn silence(requests: &[Arc<Request>], answered: &Request, kind: &str) -> Option<Duration> {
    let later = requests.iter().filter(|request| request.arrival > answered.arrival && holds(request, kind));
    later.map(|request| request.arrival - answered.arrival).min()
}

/// With one sender nothing is under way when an answer arrives, so that silence begins with it.
fn is_kept(limit: &Limit, delivery: &'static str) {
    let receiver = receive("");
    let setting = Setting::new(delivery);
    let options = [("senders", "1"), ("batch_max_items", "10"), ("batch_timeout", "10ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    let date = http_date(SystemTime::now() + Duration::from_secs(4));
    let faults = format!("log:{}", limit.answer.replace("DATE", &date));
    receiver.script(faults.parse().expect("expected a script"));
    let chunks = (0..10).map(|n| chunk::numbered(n * 20..(n + 1) * 20));
    flush_all(&instance, TAG, chunks);
    let all = |seen: &receiver::Snapshot| seen.totals.logs == 200 && seen.totals.events == 20;
    assert!(receiver.wait_until(PATIENCE, all), "{}: {:?}", limit.answer, receiver.totals());
    let requests = receiver.requests();
    let first = requests.iter().find(|request| holds(request, "log")).expect("expected logs");
    for (kind, least) in [("event", limit.events), ("log", limit.logs)] {
        let silence = silence(&requests, first, kind).expect("expected more to come");
        // A little less, for the answer's way.
        let least = Duration::from_millis(least).saturating_sub(Duration::from_millis(20));
        assert!(silence >= least, "{}: expected no {kind} for {least:?}, found one after {silence:?}", limit.answer);
    }
    if limit.events == 0 {
        // Another's limit is nothing to wait for: what fails without one waits for less than this, too.
        let silence = silence(&requests, first, "event").expect("expected events");
        assert!(silence < Duration::from_millis(limit.logs), "{}: events waited for {silence:?}", limit.answer);
    }
    Ledger::read(&instance.exit()).assert_closed();
}

/// Every form, all at once since they wait.
pub fn are_kept(delivery: &'static str) {
    let limits = limits();
    std::thread::scope(|scope| limits.iter().for_each(|limit| drop(scope.spawn(|| is_kept(limit, delivery)))));
}

/// A 429 that names only what we do not send is one all the same: there is no stampede against it.
pub fn limits_of_other_categories_do_not_end_the_wait(delivery: &'static str) {
    let receiver = receive("forever:log:429,x-sentry-rate-limits=60:transaction;span:organization,retry-after=60");
    let setting = Setting::new(delivery);
    let options = [("senders", "1"), ("exit_timeout", "100ms"), ("ack_timeout", "100ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    _ = instance.flush(TAG, &chunk::numbered(0..50));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events == 5), "{:?}", receiver.totals());
    std::thread::sleep(Duration::from_secs(1));
    let refused = receiver.requests().iter().filter(|request| request.status == Some(429)).count();
    assert!(refused <= 3, "{refused} requests against a limit");
    Ledger::read(&instance.exit()).assert_closed();
}

/// A server that says that one may come again at once, and refuses whoever does.
pub fn of_no_time_are_no_invitation(delivery: &'static str) {
    for limit in ["retry-after=0", "x-sentry-rate-limits=0::organization", "x-sentry-rate-limits=0.001:log_item:key"] {
        let receiver = receive(&format!("forever:429,{limit}"));
        let setting = Setting::new(delivery);
        let options = [("exit_timeout", "100ms"), ("ack_timeout", "100ms"), ("retry_max", "500ms")];
        let instance = setting.start(&receiver.dsn(), &options);
        _ = instance.flush(TAG, &chunk::numbered(0..50));
        std::thread::sleep(Duration::from_secs(2));
        let requests = receiver.totals().requests;
        assert!((1..100).contains(&requests), "{limit}: {requests} requests in two seconds");
        Ledger::read(&instance.exit()).assert_closed();
    }
}

/// A quota that stays exhausted: logs are given up and counted, events flow, and the host is never paused.
pub fn exhausted_for_good(delivery: &'static str) {
    let receiver = receive("forever:log:429,x-sentry-rate-limits=2:log_item:organization,retry-after=2");
    let setting = Setting::new(delivery);
    let options = [("hold_logs", "3s"), ("queue_max_size", "1M"), ("summary_interval", "1s"), ("ack_timeout", "100ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    let (mut next, mut slowest, mut waiting) = (0, Duration::ZERO, Vec::new());
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        let chunk = chunk::numbered(next..next + 100);
        next += 100;
        let began = Instant::now();
        let verdict = instance.flush(TAG, &chunk);
        slowest = slowest.max(began.elapsed());
        match verdict {
            Verdict::Ok => {}
            // The host keeps a chunk of which logs wait.
            Verdict::Retry if delivery == "ack" => waiting.push(chunk),
            verdict => panic!("expected OK, found {verdict:?}: {:#?}", instance.log_lines()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // `ack_timeout` and a busy machine.
    assert!(slowest < Duration::from_secs(2), "a flush took {slowest:?}");
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events >= next / 10), "{:?}", receiver.totals());
    flush_all(&instance, TAG, waiting);
    let done = || instance.log_lines().iter().any(|(_, line)| line.contains(" log.pending=0 ") && is_of(line, next));
    assert!(wait::until_true(PATIENCE, done), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let cells = ["records", "event.accepted", "log.rate_limited", "log.accepted"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [next, next / 10, next, 0], "{ledger:?}");
    assert_silent_between(&receiver);
}

fn is_of(line: &str, records: u64) -> bool {
    line.contains(&format!(" records={records} "))
}

/// Logs were tried about once in each span of the limit: by the four senders that may have been under way with it.
fn assert_silent_between(receiver: &Receiver) {
    let requests = receiver.requests();
    let mut tries: Vec<_> = requests.iter().filter(|request| holds(request, "log")).map(|r| r.arrival).collect();
    tries.sort();
    let (Some(first), Some(last)) = (tries.first(), tries.last()) else { panic!("expected tries") };
    let spans = (*last - *first).as_secs() / 2 + 1;
    assert!(tries.len() as u64 <= 4 * spans, "{} requests in {spans} spans of a limit", tries.len());
}

/// Logs under a quota for the whole run, and the host offers what it can: every event of what is taken arrives.
pub fn events_flow_beside_an_exhausted_log_quota() {
    let receiver = receive("forever:log:429,x-sentry-rate-limits=60:log_item:organization,retry-after=60");
    let setting = Setting::new("memory");
    let options = [("queue_max_size", "1M"), ("exit_timeout", "200ms")];
    let instance = setting.start(&receiver.dsn(), &options);
    let (mut offered, mut chunk, end) = (0, Vec::new(), Instant::now() + Duration::from_secs(4));
    while Instant::now() < end {
        // After RETRY the host offers the same bytes again.
        chunk = chunk::numbered(offered..offered + 100);
        offered += 100;
        while instance.flush(TAG, &chunk) != Verdict::Ok && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(offered > 1_000, "{offered} records offered");
    // The last one may have met a full queue just when the time was up: it is offered again as well.
    let all = wait::until(Duration::from_secs(10), || {
        let _ = instance.flush(TAG, &chunk);
        (receiver.totals().events >= offered / 10).then_some(())
    });
    assert_eq!(receiver.totals().events, offered / 10, "of {offered} records, {all:?}");
    instance.exit();
}
