//! Inputs that `explain` tells apart by itself, several of them, and what is shown of them.

use super::{command, explained, fed, json_lines, result, results, stderr};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use testkit::tempdir::TempDir;

pub fn kubectl() {
    let now = ["--now", "2026-11-20T09:00:00Z"];
    let lines = "[pod/cart-7d9-x2/app] 2026-11-20T08:00:00.250000000Z ERROR declined\n\
        [pod/cart-7d9-x2/app] 2026-11-20T08:00:01.000000000Z {\"level\":\"error\",\"msg\":\"twice\"}\n\
        no prefix\n";
    let found = explained(&now, lines.as_bytes());
    let event = &result(&found, 1, "event")["payload"];
    assert_eq!(event["logentry"]["formatted"], "declined");
    assert_eq!(
        (&event["timestamp"], &event["tags"]["k8s.pod.name"]),
        (&json!(1_795_161_600.25), &json!("cart-7d9-x2"))
    );
    assert_eq!(result(&found, 2, "event")["payload"]["logentry"]["formatted"], "twice");
    assert_eq!(result(&found, 3, "log")["payload"]["body"], "no prefix");
    // Without --timestamps and --prefix it is plain text.
    let plain = explained(&[], b"ERROR declined\n{\"level\":\"error\",\"msg\":\"twice\"}\n");
    assert_eq!(result(&plain, 2, "event")["payload"]["logentry"]["formatted"], "twice");
    // Lines of two pods are two streams: one's trace does not take the other's lines.
    let mixed = "[pod/a/app] Traceback (most recent call last):\n[pod/b/app] INFO idle\n\
        [pod/a/app]   File \"a.py\", line 1, in f\n[pod/b/app] INFO idle\n[pod/a/app] ValueError: b\n";
    let found = explained(&[], mixed.as_bytes());
    assert_eq!(result(&found, 1, "event")["payload"]["exception"]["values"][0]["type"], "ValueError");
    assert_eq!(result(&found, 2, "log")["payload"]["body"], "INFO idle");
}

pub fn docker() {
    let line = |log: &str, stream: &str| json!({"log": log, "stream": stream, "time": "2026-11-20T08:00:00.25Z"});
    let input =
        json_lines(&[line("ERROR a ", "stdout"), line("INFO other\n", "stderr"), line("long line\n", "stdout")]);
    let found = explained(&["--now", "2026-11-20T09:00:00Z"], &input);
    assert_eq!(found.len(), 4, "expected the parts to be one record");
    assert_eq!(result(&found, 1, "log")["payload"]["body"], "INFO other");
    let joined = &result(&found, 2, "log")["payload"];
    assert_eq!((&joined["body"], &joined["timestamp"]), (&json!("ERROR a long line"), &json!(1_795_161_600.25)));
    let view = fed(&["--pretty"], &json_lines(&[line("INFO other\n", "stderr")]));
    let view = String::from_utf8_lossy(&view.stdout).into_owned();
    assert!(view.starts_with("record 1 (line 1)  2026-11-20 08:00:00.250  INFO other\n"), "{view}");
}

pub fn several_files() {
    let directory = TempDir::new("explain").unwrap();
    let path = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let one = path("one.log", b"ERROR first\nERROR second\n");
    // A stack trace whose lines are joined: they name records of their own file.
    let two = path("two.log", b"java.lang.IllegalStateException: a\n\tat a.B.c(B.java:1)\n");
    let output = command(&[&one, &two]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found = results(&output);
    let of = |name: &str| found.iter().filter(|result| result["file"] == *name).cloned().collect::<Vec<Value>>();
    let (first, second) = (of(&one), of(&two));
    assert_eq!((first.len(), second.len(), found.len()), (4, 4, 8));
    assert_eq!(result(&first, 2, "event")["payload"]["logentry"]["formatted"], "second");
    assert_eq!(result(&second, 2, "event")["into"], 1);
    assert_eq!(result(&second, 2, "log")["reason"], "a line of the log of record 1");
    let breadcrumbs = &result(&second, 1, "event")["payload"]["breadcrumbs"];
    assert!(breadcrumbs.is_null(), "expected another stream, found {breadcrumbs}");
    let alone = results(&command(&[&one]).output().unwrap());
    assert!(alone.iter().all(|result| result["file"].is_null()), "one file needs no name");

    let view = command(&["--pretty", &one, &two]).output().unwrap();
    let view = String::from_utf8_lossy(&view.stdout).into_owned();
    for name in [&one, &two] {
        assert_eq!(view.matches(&format!("==> {name} <==\n")).count(), 1, "{view}");
    }
    assert!(view.contains("\n4 records (1 part of another's): 3 events, 3 logs;"), "{view}");
}

pub fn one_file_of_several_fails() {
    let directory = TempDir::new("explain").unwrap();
    let [good, packed] = ["good.log", "packed.log"].map(|name| directory.path().join(name).display().to_string());
    std::fs::write(&good, "ERROR x\n").unwrap();
    std::fs::write(&packed, b"\x1f\x8b\x08\0").unwrap();
    let output = command(&[&packed, &good]).output().unwrap();
    assert_eq!((output.status.code(), results(&output).len()), (Some(4), 2), "{}", stderr(&output));
    let output = command(&[&good, "/nowhere/x", "/nowhere/y"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0), "expected nothing to be explained");
    assert!(stderr(&output).contains("/nowhere/x: No such") && stderr(&output).contains("/nowhere/y: No such"));
}

pub fn events_alone() {
    let found = explained(&["--events"], b"INFO one\nERROR two\nINFO three\n");
    let numbers: Vec<_> = found.iter().map(|result| result["record"].as_u64()).collect();
    assert_eq!(numbers, [Some(2), Some(2)]);
    let view = fed(&["--events", "--pretty"], b"INFO one\nERROR two\nINFO three\n");
    let view = String::from_utf8_lossy(&view.stdout).into_owned();
    assert!(view.starts_with("record 2 (line 2)") && !view.contains("record 3"), "{view}");
    assert!(view.contains("3 records: 1 event, 3 logs;"), "expected all to count: {view}");
}

pub fn now() {
    let line = json!({"message": "m", "level": "error", "time": "2026-11-20T08:00:00.5Z"});
    let event = |now: &str| {
        result(&explained(&["--now", now], &json_lines(std::slice::from_ref(&line))), 1, "event")["payload"].clone()
    };
    assert_eq!(event("2026-12-19T08:00:00Z")["timestamp"], 1_795_161_600.5);
    let moved = event("2026-12-20T08:00:00Z");
    assert_eq!(
        (&moved["timestamp"], &moved["extra"]["original_time"]),
        (&json!(1_797_753_600.0), &json!("1795161600.500000000"))
    );
    let view = fed(&["--pretty", "--now", "2026-12-20T08:00:00Z"], &json_lines(std::slice::from_ref(&line)));
    let view = String::from_utf8_lossy(&view.stdout).into_owned();
    for part in ["  2026-11-20 08:00:00.500  ", "time=2026-12-20 08:00:00.000", "original_time=2026-11-20 08:00:00.500"]
    {
        assert!(view.contains(part), "expected {part:?}, found {view}");
    }
    let wrong = fed(&["--now", "yesterday"], b"");
    assert!(wrong.status.code() == Some(2) && stderr(&wrong).contains("2026-11-20T08:00:00Z"), "{}", stderr(&wrong));
}

pub fn fits_the_terminal(_: ()) {
    let directory = TempDir::new("explain").unwrap();
    let path = directory.path().join("x.jsonl");
    let stack = "java.lang.IllegalStateException: no\n\tat com.shop.checkout.payment.PaymentService.run(Pay.java:10)";
    let words = "a long text ".repeat(30);
    std::fs::write(
        &path,
        json_lines(&[json!({"log": stack, "order": words, "level": "error"}), json!({"log": words})]),
    )
    .unwrap();
    for columns in [60, 100, 200] {
        let program = env!("CARGO_BIN_EXE_flb-sentry");
        let line = format!("stty cols {columns}; exec '{program}' explain '{}'", path.display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("NO_COLOR", "1");
        let shown = String::from_utf8(script.output().unwrap().stdout).unwrap();
        let widest = shown.lines().map(|line| line.trim_end_matches('\r').chars().count()).max().unwrap_or(0);
        assert!((columns / 2..=columns).contains(&widest), "{widest} of {columns} columns\n{shown}");
        let (_, order) = shown.split_once("order=").expect("expected the field");
        assert!(order.contains("a long text"), "{shown}");
    }
}
