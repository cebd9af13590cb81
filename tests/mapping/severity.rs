//! Severity, logger, title and template of plain lines, and priorities that journald only assumed.

use super::mapped::Mapping;
use serde_json::{Value, json};

fn level(body: &Value) -> String {
    let mapped = Mapping::new(&[("logs_level", "trace")]).bodies(std::slice::from_ref(body));
    mapped.logs()[0]["level"].as_str().expect("expected a level").to_owned()
}

fn event_of(line: &str) -> Value {
    let mapped = Mapping::new(&[]).bodies(&[json!({"log": line})]);
    mapped.events().first().copied().cloned().unwrap_or_else(|| panic!("expected an event of {line}"))
}

const KLOG: &str = "E1120 08:00:00.123456    1300 kubelet.go:2466] \"Error getting node\" err=\"node not found\"";
const ACCESS: &str = "10.0.0.1 - - [10/Mar/2024:09:00:00 +0000] \"GET /?level=fatal HTTP/1.1\" 200 17 \"-\" \"curl\"";

#[test]
fn a_priority_that_journald_assumed_is_used_only_without_a_level_in_the_line() {
    for (line, transport, priority, expected) in [
        (KLOG, "stdout", "6", "error"),
        ("time=\"x\" level=warning msg=\"y\"", "stdout", "6", "warn"),
        ("Started", "stdout", "5", "info"),
        ("no disk", "stdout", "3", "error"),
        (TRACE, "stdout", "6", "error"),
        // These say their priority themselves.
        (KLOG, "syslog", "6", "info"),
        (KLOG, "journal", "4", "warn"),
        (KLOG, "kernel", "7", "debug"),
        (KLOG, "audit", "6", "info"),
    ] {
        let body =
            json!({"MESSAGE": line, "_TRANSPORT": transport, "PRIORITY": priority, "_SYSTEMD_UNIT": "x.service"});
        assert_eq!(level(&body), expected, "{transport} {priority}: {line}");
        let lower = json!({"message": line, "_transport": transport, "priority": priority});
        assert_eq!(level(&lower), expected, "lower case, {transport} {priority}: {line}");
    }
}

const TRACE: &str =
    "java.io.IOException: reset\n\tat com.shop.Net.read(Net.java:7)\n\tat com.shop.Main.main(Main.java:3)";

#[test]
fn stderr_of_a_container_in_the_journal_is_no_severity() {
    for (line, priority, expected) in [
        (ACCESS, "3", "info"),
        (ACCESS, "6", "info"),
        ("ERROR no disk", "6", "error"),
        ("ERROR no disk", "3", "error"),
        ("[debug] x", "3", "debug"),
        (TRACE, "3", "error"),
        ("Started", "4", "warn"),
    ] {
        let body = json!({"MESSAGE": line, "_TRANSPORT": "journal", "PRIORITY": priority, "CONTAINER_NAME": "web",
            "CONTAINER_ID": "0a1b2c3d4e5f"});
        assert_eq!(level(&body), expected, "{priority}: {line}");
    }
    // A message cannot say that its record came from a container.
    let line = json!({"message": "x", "CONTAINER_NAME": "web"}).to_string();
    assert_eq!(level(&json!({"MESSAGE": line, "_TRANSPORT": "journal", "PRIORITY": "3"})), "error");
}

#[test]
fn a_client_makes_no_event_with_its_request() {
    for line in [
        ACCESS,
        "GET /?level=fatal",
        "127.0.0.1 \"GET /?severity=alert\" ERROR",
        "npm ERR! code 1",
        "Critical: 0, High: 2",
    ] {
        assert_eq!(Mapping::new(&[]).bodies(&[json!({"log": line})]).events().len(), 0, "{line}");
    }
}

#[test]
fn the_logger_of_a_line_leaves_its_title() {
    for (line, logger, title) in [
        ("2024-03-10 09:00:00,123 - shop.pay - ERROR - order 17 declined", json!("shop.pay"), "order 17 declined"),
        ("2024-03-10 09:00:00.123 ERROR 1 --- [main] c.s.Pay    : declined", json!("c.s.Pay"), "declined"),
        (
            "[2024-03-10 09:00:00] production.ERROR: SQLSTATE[42S22]: no column",
            json!("production"),
            "SQLSTATE[42S22]: no column",
        ),
        ("ERROR [Errno 111] Connection refused", Value::Null, "[Errno 111] Connection refused"),
        (KLOG, Value::Null, "\"Error getting node\" err=\"node not found\""),
    ] {
        let event = event_of(line);
        assert_eq!((&event["logger"], &event["logentry"]["formatted"]), (&logger, &json!(title)), "{line}");
    }
    let named = Mapping::new(&[]).bodies(&[json!({"log": "ERROR [gateway] x", "logger": "own"})]);
    assert_eq!(named.events()[0]["logger"], "own");
}

#[test]
fn structured_klog_groups_by_its_message() {
    let entry = |line: &str| event_of(line)["logentry"]["message"].clone();
    assert_eq!(entry(KLOG), "\"Error getting node\" err=\"%s\"");
    assert_eq!(entry(KLOG), entry(&KLOG.replace("not found", "gone").replace("1300", "7")));
    assert_ne!(entry(KLOG), entry(&KLOG.replace("getting", "updating")));
}
