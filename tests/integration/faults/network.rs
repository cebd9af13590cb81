//! Tests failures below HTTP: names, certificates, servers that come and go, and a redirect to another host.

use super::tls::{self, Terminator};
use plugin_host::{Instance, Verdict};
use receiver::Receiver;
use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use testkit::arrivals::{
    Setting, assert_exact, assert_ledger, chunks, events, logs, receive, receive_at, wait_for_all, wait_until_settled,
};
use testkit::output::{self, Ledger, PATIENCE, flush_all};
use testkit::{net, wait};

const TAG: &str = "kube.app";
const RECORDS: u64 = 300;

fn key() -> String {
    "0".repeat(32)
}

fn says(instance: &Instance, text: &str) -> bool {
    instance.log_lines().iter().any(|(_, line)| line.contains("is unreachable") && line.contains(text))
}

/// Flushes everything; when the plugin has said why it cannot send, the fault is removed.
fn until_repaired<T>(instance: &Instance, reason: &str, repair: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let flushing = scope.spawn(|| flush_all(instance, TAG, chunks(RECORDS)));
        assert!(wait::until_true(PATIENCE, || says(instance, reason)), "{:#?}", instance.log_lines());
        let repaired = repair();
        flushing.join().expect("expected every chunk to be taken");
        repaired
    })
}

fn all_came(receiver: &Receiver, spool: &Path, instance: Instance) {
    wait_for_all(receiver, RECORDS, || format!("{:#?}", instance.log_lines()));
    wait_until_settled(spool);
    let ledger = Ledger::read(&instance.exit());
    assert_exact(receiver, RECORDS, 0);
    assert_ledger(receiver, &ledger, RECORDS);
}

/// The name in the DSN does not resolve, until the file has another.
pub fn a_name_that_does_not_resolve(delivery: &'static str) {
    let (receiver, setting) = (receive(""), Setting::new(delivery));
    let file = setting.dir.path().join("dsn");
    std::fs::write(&file, format!("http://{}@nowhere.invalid/1\n", key())).expect("expected to write a file");
    let (path, spool) = (file.display().to_string(), setting.dir.path().join("spool").display().to_string());
    let more = [("dsn_file", path.as_str()), ("delivery", delivery), ("spool_path", &spool)];
    let options: Vec<_> = output::options("", &more).into_iter().filter(|(name, _)| *name != "dsn").collect();
    let instance =
        output::load().instance(&output::name_of(&options), &options).unwrap_or_else(|error| panic!("{error}"));
    until_repaired(&instance, "nowhere.invalid", || {
        std::fs::write(&file, receiver.dsn()).expect("expected to write a file");
    });
    all_came(&receiver, Path::new(&spool), instance);
}

/// An `https` DSN whose server speaks plainly, until it has learned TLS.
pub fn a_server_without_tls(delivery: &'static str) {
    let (receiver, setting, authority) = (receive(""), Setting::new(delivery), tls::authority().display().to_string());
    let server = Terminator::plain(receiver.addr()).expect("expected a server");
    let instance = setting.start(&format!("https://{}@{}/1", key(), server.addr()), &[("tls_ca_file", &authority)]);
    until_repaired(&instance, "", || server.learn());
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", instance.log_lines()));
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("event.accepted")), (RECORDS, RECORDS / 10), "{ledger:?}");
    let (requests, seen) = (receiver.requests(), receiver.snapshot());
    // A greeting of TLS is no request.
    assert!(requests.iter().all(|request| request.accepted || request.method.is_empty()), "{requests:?}");
    assert!(logs(&seen).values().chain(events(&seen).values()).all(|times| *times == 1));
}

/// A certificate that nobody vouches for gets nothing, not even a request; with its authority all is found again.
pub fn a_certificate_that_is_not_trusted(delivery: &'static str) {
    let (receiver, setting) = (receive(""), Setting::new(delivery));
    let tls = Terminator::start(receiver.addr()).expect("expected TLS");
    let (dsn, authority) = (format!("https://{}@{}/1", key(), tls.addr()), tls::authority().display().to_string());
    let wary = setting.start(&dsn, &[("exit_timeout", "200ms"), ("ack_timeout", "50ms")]);
    let verdicts: Vec<_> = chunks(RECORDS).map(|chunk| wary.flush(TAG, &chunk)).collect();
    let expected = if delivery == "ack" { Verdict::Retry } else { Verdict::Ok };
    assert!(verdicts.iter().all(|verdict| *verdict == expected), "{verdicts:?}");
    assert!(wait::until_true(PATIENCE, || says(&wary, "ertificate")), "{:#?}", wary.log_lines());
    let ledger = Ledger::read(&wary.exit());
    ledger.assert_closed();
    let rest = if delivery == "memory" { "log.lost" } else { "log.pending" };
    assert_eq!((ledger.get("records"), ledger.get(rest), receiver.totals().requests), (RECORDS, RECORDS, 0));
    if delivery == "memory" {
        return;
    }
    let trusting = setting.start(&dsn, &[("tls_ca_file", &authority)]);
    if delivery == "ack" {
        flush_all(&trusting, TAG, chunks(RECORDS));
    }
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", trusting.log_lines()));
    let ledger = Ledger::read(&trusting.exit());
    let cells = ["log.accepted", "log.pending", "event.accepted", "event.pending"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [RECORDS, 0, RECORDS / 10, 0], "{ledger:?}");
    assert_exact(&receiver, RECORDS, 0);
}

/// A redirect would carry the key to whoever it names.
pub fn a_redirect_is_not_followed(delivery: &'static str) {
    let elsewhere = receive("");
    let target = elsewhere.dsn().replace("http://", "").split('@').nth(1).unwrap_or_default().replace("/1", "");
    let steps = [301, 302, 303, 307, 308].map(|status| format!("{status},location=http://{target}/api/1/envelope/"));
    let receiver = receive(&steps.join(" then "));
    let setting = Setting::new(delivery);
    let instance = setting.start(&receiver.dsn(), &[]);
    flush_all(&instance, TAG, chunks(RECORDS));
    all_came(&receiver, setting.dir.path(), instance);
    assert_eq!(elsewhere.totals().requests, 0);
}

/// The server is gone for a moment, again and again, with connections open and requests under way.
pub fn a_server_that_restarts(delivery: &'static str) {
    const RESTARTS: u64 = 3;
    let (address, setting) = (net::own_address().expect("expected an address"), Setting::new(delivery));
    let mut receivers = vec![receive_at("forever:delay=10ms", address)];
    let dsn = receivers[0].dsn();
    let instance = setting.start(&dsn, &[]);
    let mut seen = BTreeSet::new();
    let input: Vec<_> = chunks(RECORDS * RESTARTS).collect();
    // Each server gets chunks of its own, or a slow thread here would find everything delivered to the first of them.
    for part in input.chunks(input.len() / RESTARTS as usize) {
        thread::scope(|scope| {
            scope.spawn(|| flush_all(&instance, TAG, part.iter().cloned()));
            let now = receivers.last_mut().expect("expected a receiver");
            assert!(now.wait_until(PATIENCE, |seen| seen.totals.logs >= 100), "{:#?}", instance.log_lines());
            now.shutdown();
            seen.extend(logs(&now.snapshot()).into_keys());
            receivers.push(receive_at("forever:delay=10ms", address));
        });
    }
    let last = receivers.last().expect("expected a receiver");
    let all = |last: &receiver::Snapshot| {
        seen.iter().copied().chain(logs(last).into_keys()).collect::<BTreeSet<_>>().len() as u64 == RECORDS * RESTARTS
    };
    assert!(last.wait_until(PATIENCE, all), "{:#?}", instance.log_lines());
    let again = receivers.iter().map(|receiver| receiver.totals().logs).sum::<u64>() - RECORDS * RESTARTS;
    // One envelope a sender and restart.
    assert!(again <= RESTARTS * 4 * 20, "{again} logs came again");
    setting.wait_until_settled();
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.accepted"), ledger.get("log.pending")), (RECORDS * RESTARTS, 0), "{ledger:?}");
}
