//! Tests the view for people: its text, its colours, and its memory while a long input goes on.

use super::{command, fed, json_lines, stderr};
use serde_json::json;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use testkit::tempdir::TempDir;

const HOSTILE: &str = "ERROR a\u{1b}]0;title\u{7}b\u{1b}[2Jc\u{9b}1md\u{202e}e\rf";

pub(super) fn the_view_for_people() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let records = [
        json!({"message": "before", "level": "info"}),
        json!({"message": "java.lang.IllegalStateException: no\n\tat com.shop.Pay.run(Pay.java:10)", "level": "error",
            "trace_id": trace, "order": 7, "team": "shop"}),
        json!({"log": HOSTILE, "k\u{1b}[31m": "v\u{1b}[31m"}),
    ];
    let output = fed(&["--pretty", "-o", "tag_keys=team"], &json_lines(&records));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "record 1 (line 1)",
        "event  filtered   level info is below event_level error",
        "event  accepted   error   IllegalStateException: no",
        "from: message `message`, level `level`, trace `trace_id`",
        "com.shop.Pay in run  Pay.java:10  [in app]",
        "breadcrumbs",
        "info    before",
        "tags        team=shop",
        "order=7",
        "log    accepted   error",
        trace,
    ] {
        assert!(text.contains(part), "expected {part:?}, found\n{text}");
    }
    let summary = "\n3 records: 2 events, 3 logs; 0 without a severity of their own\n";
    assert!(text.ends_with(summary), "expected {summary:?} at the end, found\n{text}");
    let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!text.contains(harmful), "{text:?}");

    let output = fed(&["-o", "a\u{1b}[2J=1"], b"");
    assert!(!stderr(&output).contains('\u{1b}'), "{:?}", stderr(&output));
    let both = fed(&["--pretty", "--json"], b"");
    assert_eq!(both.status.code(), Some(2));
}

pub(super) fn a_reader_who_leaves() {
    let directory = TempDir::new("explain").unwrap();
    let path = directory.path().join("x.jsonl");
    std::fs::write(&path, json_lines(&vec![json!({"message": "m"}); 20_000])).unwrap();
    for args in [&["--json"][..], &["--pretty"]] {
        let mut child = command(args).arg(&path).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Each event repeats a hundred lines before it: kept until the end, the results would be 100 MB.
pub(super) fn results_come_while_the_input_goes_on() {
    const RECORDS: usize = 2_000;
    let options = ["-o", "event_level=info", "-o", "breadcrumbs=100", "-o", "storm_burst=0", "-o", "event_rate=0"];
    let mut child = command(&options).stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let status = format!("/proc/{}/status", child.id());
    let (end, ends) = std::sync::mpsc::channel();
    let feeder = std::thread::spawn(move || {
        let lines = json_lines(&vec![json!({"message": "x".repeat(480)}); RECORDS]);
        input.write_all(&lines).unwrap();
        ends.recv()
    });
    // The last part of the input waits for its end, which comes later.
    let mut results = std::io::BufReader::with_capacity(1 << 20, output).lines();
    let before_end = results.by_ref().take(RECORDS).map(|line| line.unwrap().len()).sum::<usize>();
    assert!(before_end > 25_000_000, "{before_end} bytes of results for half of the records");
    let memory = std::fs::read_to_string(status).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB")).unwrap();
    assert!(peak.trim().parse::<u64>().unwrap() < 40_000, "{peak} kB at most");
    end.send(()).unwrap();
    assert_eq!(results.count(), RECORDS);
    feeder.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
}

pub(super) fn a_terminal_gets_the_view_in_colour(_: ()) {
    let directory = TempDir::new("explain").unwrap();
    let path = directory.path().join("x.jsonl");
    std::fs::write(&path, json_lines(&[json!({"log": HOSTILE})])).unwrap();
    let seen = |before: &str, args: &str| {
        let line = format!("{before} '{}' explain {args} '{}'", env!("CARGO_BIN_EXE_flb-sentry"), path.display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env_remove("NO_COLOR");
        String::from_utf8(script.output().unwrap().stdout).unwrap()
    };
    let view = seen("", "");
    assert!(view.contains("\u{1b}[1mrecord 1 (line 1)\u{1b}[0m") && view.contains("\u{1b}[31merror  "), "{view:?}");
    let ours = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m"];
    let rest = ours.iter().fold(view, |text, code| text.replace(code, ""));
    assert!(!rest.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{rest:?}");
    let plain = seen("NO_COLOR=1", "");
    assert!(plain.contains("record 1 (line 1)") && !plain.contains('\u{1b}'), "{plain:?}");
    assert!(seen("", "--json").trim_start().starts_with("{\"record\":1,"));
}
