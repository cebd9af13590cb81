//! Private keys that applications write line by line: none of their base64 leaves, wherever chunks end.

use crate::mapped::{Mapping, NOW};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

/// Full lines of keys, and last ones.
const LINES: [&str; 3] = [
    "MIIEpAIBAAKCAQEAx7Jd2Kx9Pw4Tn8Ym1Zc6Vb3Ls5Hf0GaRq7Jd2Kx9Pw4Tn8Ym",
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz",
    "Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3+Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3/Qm4Zt8Lw2Xc6Vb",
];
const LAST: [&str; 3] = ["Kx9Pw4Tn8YmZ", "Zt8LwQ==", "Hf0GaR9Lp2Ks7Vd4Mn1Qw8Xc6Yt="];

/// Lines of keys as tools write them.
fn keys() -> Vec<Vec<String>> {
    let key = |label: &str, head: &[&str], last: &str| {
        let mut lines = vec![format!("-----BEGIN {label}-----")];
        lines.extend(head.iter().chain(&LINES).map(|line| (*line).to_owned()));
        lines.extend([last.to_owned(), format!("-----END {label}-----")]);
        lines
    };
    vec![
        key("PRIVATE KEY", &[], LAST[0]),
        key(
            "RSA PRIVATE KEY",
            &["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,5B2C3D4E5F60718293A4B5C6D7E8F90A", ""],
            LAST[1],
        ),
        key("OPENSSH PRIVATE KEY", &[], LAST[2]),
        key("PGP PRIVATE KEY BLOCK", &["Version: GnuPG v2", ""], LAST[0]),
    ]
}

/// A line as loggers write it: the bodies of its records.
fn heads() -> Vec<fn(&str) -> Value> {
    vec![
        |line| json!({ "log": line }),
        |line| json!({ "log": format!("    {line}") }),
        |line| json!({ "log": format!("2026-11-24 11:00:00,123 ERROR [main] c.s.Pay - {line}") }),
        |line| json!({ "log": format!("E1124 11:00:00.123456       7 a.go:1] {line}") }),
        |line| json!({ "log": format!("app-1  | {line}") }),
        |line| json!({ "log": format!("ERROR:root:{line}") }),
        |line| json!({ "log": format!("[error] 7#7: {line}") }),
        |line| json!({ "log": format!("\u{1b}[31mERROR\u{1b}[0m {line}") }),
        |line| json!({ "log": json!({"level": "error", "msg": line}).to_string() }),
        |line| json!({ "level": "error", "message": line }),
        |line| json!({ "log": format!("level=error msg=\"{line}\"") }),
    ]
}

/// The lines before a key: nothing, a message on the line on which it begins, and a traceback whose exception has it.
fn before() -> Vec<(Vec<&'static str>, &'static str)> {
    let traceback = vec!["Traceback (most recent call last):", "  File \"a.py\", line 1, in f", "    load()"];
    vec![(vec![], ""), (vec!["loading"], "cannot read key "), (traceback, "ValueError: cannot read ")]
}

#[test]
fn no_line_of_a_key_leaves_at_any_position_behind_any_head() {
    let options = [("event_level", "trace"), ("logs_level", "trace"), ("storm_burst", "0"), ("event_rate", "0")];
    let keys = keys();
    let all = keys.iter().enumerate().flat_map(|(n, key)| heads().into_iter().map(move |head| (n, key, head)));
    for (n, key, head) in all {
        // What stands before a key does not depend on its kind.
        for (before, glued) in before().into_iter().take(if n == 0 { 3 } else { 1 }) {
            let mut lines: Vec<String> = before.iter().map(|line| (*line).to_owned()).collect();
            lines.extend(
                key.iter().enumerate().map(|(n, line)| if n == 0 { format!("{glued}{line}") } else { line.clone() }),
            );
            lines.extend(["ready to serve".to_owned(), "ERROR later".to_owned()]);
            let record = |(n, line): (usize, &String)| {
                chunk::record(NOW - Duration::from_secs(60) + Duration::from_millis(n as u64), &head(line))
            };
            let records: Vec<Vec<u8>> = lines.iter().enumerate().map(record).collect();
            for cut in 0..records.len() {
                let mut mapping = Mapping::new(&options);
                let chunks = [records[..cut].concat(), records[cut..].concat()];
                let items: Vec<String> = chunks
                    .iter()
                    .flat_map(|chunk| mapping.map(chunk).items)
                    .map(|(_, _, item)| item.to_string())
                    .collect();
                assert!(items.len() > lines.len() / 2, "{} items", items.len());
                for part in LINES.iter().flat_map(|line| [&line[..12], &line[30..42]]).chain(LAST) {
                    let found = items.iter().find(|item| item.contains(part));
                    assert_eq!(found, None, "{part} of {lines:#?}, cut at {cut}");
                }
                assert!(items.iter().any(|item| item.contains("ready to serve")), "{items:#?}");
            }
        }
    }
}
