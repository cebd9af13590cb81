//! Tests of `check` against servers: destinations that are not there, test events, and what a sample would cost.

use super::{KEY, json, nobody};
use receiver::{Options, Receiver};
use std::net::TcpListener;
use tempfile::TempDir;

#[test]
fn a_destination_that_is_not_there_is_a_problem() {
    let state = TempDir::new().unwrap();
    let dsn = format!("dsn={}", nobody());
    let found = json(&["-o", &dsn], "", state.path());
    assert!(found.all("problems")[0].ends_with("is unreachable (connection refused)"), "{:?}", found.all("problems"));
    assert_eq!(found.code, Some(1));
    let found = json(&["-o", &format!("dsn=https://{KEY}@nowhere.invalid/1"), "--timeout", "5"], "", state.path());
    assert_eq!(found.all("problems").len(), 1);
    // A listener that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("dsn=http://{KEY}@{}/1", silent.local_addr().unwrap());
    let found = json(&["-o", &dsn, "--timeout", "1"], "", state.path());
    assert_eq!(found.all("problems").len(), 1);
    let proxy = format!("proxy=http://u:hunter2@{}", silent.local_addr().unwrap());
    drop(silent);
    let found = json(&["-o", &format!("dsn=http://{KEY}@sentry.invalid/1"), "-o", &proxy], "", state.path());
    assert!(found.all("problems")[0].contains("proxy http://***@127.0.0.1"), "{:?}", found.all("problems"));
}

/// Each waits five seconds, side by side.
#[test]
fn a_test_event_is_sent_twice() {
    let cases = [
        ("", None, "ok", "accepted the test event both times. Sentry may still drop it", 0),
        (
            "1x200 then forever:403",
            None,
            "problems",
            "accepted the first test event, but not the second, five seconds later (403",
            1,
        ),
        ("", Some("f".repeat(32)), "problems", "does not accept the test event (403", 1),
        ("forever:503", None, "problems", "does not accept the test event (503", 1),
        (
            "forever:429,x-sentry-rate-limits=60:error:organization",
            None,
            "problems",
            "does not accept the test event (429",
            1,
        ),
        (
            "forever:200,x-sentry-rate-limits=60:error:organization",
            None,
            "advice",
            "reports that a quota is used up",
            0,
        ),
    ];
    let check = |(faults, key, kind, expected, code): (&str, Option<String>, &str, &str, i32)| {
        let options = Options { faults: faults.parse().unwrap(), key, ..Options::default() };
        let (state, receiver) = (TempDir::new().unwrap(), Receiver::start(options).unwrap());
        let dsn = format!("dsn=http://{KEY}@{}/1", receiver.addr());
        let found = json(&["--send", "-o", &dsn, "-o", "environment=production"], "", state.path());
        let said = found.all(kind).join("\n");
        assert!(said.contains(expected), "{faults}: {said}");
        assert_eq!((found.code, receiver.requests().len()), (Some(code), 2), "{faults}: {said}");
        if kind == "ok" {
            let events = receiver.events();
            assert_eq!((events.len(), receiver.problems()), (2, Vec::new()));
            assert!(said.contains(events[0].payload["event_id"].as_str().unwrap()), "{said}");
            assert_eq!(events[0].payload["event_id"], events[1].payload["event_id"]);
            assert_eq!(events[0].payload["environment"], "production");
        }
    };
    std::thread::scope(|scope| {
        let running = cases.map(|case| scope.spawn(|| check(case)));
        running.into_iter().for_each(|case| case.join().unwrap());
    });
}

#[test]
fn a_sample_shows_what_its_logs_would_cost() {
    let state = TempDir::new().unwrap();
    let sample = state.path().join("app.jsonl");
    // Body, and the attribute's name and number: 2 + 1 + 8 bytes each.
    std::fs::write(&sample, "{\"message\":\"ab\",\"n\":1}\n".repeat(4)).unwrap();
    let dsn = format!("dsn={}", nobody());
    let of = |log_attributes: &str, file: &str| {
        let attributes = format!("log_attributes={log_attributes}");
        let args = ["--offline", "-o", &dsn, "-o", "server_name=h", "-o", &attributes, "--sample", file];
        json(&args, "", state.path())
    };
    let shown = sample.to_str().unwrap();
    let listed = of("n", shown);
    let told = format!("sample {shown}: Sentry bills 11 bytes per log, 0.01 GB per million logs; n 82 %, body 18 %");
    assert!(listed.all("ok").contains(&told), "{:?}", listed.report);
    assert!(of("full", shown).all("ok").iter().any(|text| text.contains("sentry.sdk.name")));
    assert_eq!(of("n", "/nowhere").code, Some(1));
}
