//! Records of each known logger: one case for each row of the table, no row without a case.
//!
//! A record comes in the ways in which Fluent Bit hands it over: as the text of a line, as fields that the kubernetes filter
//! has merged, and below the key that it was told to merge into.

mod dotnet;
mod jvm;
mod native;
mod scripts;

use super::mapped::{Mapping, NOW, attribute};
use out_sentry::mapping::formats::ROWS;
use serde_json::{Value, json};

/// A record with its expected result, and one that looks like it and is something else.
struct Case {
    row: &'static str,
    record: Value,
    level: &'static str,
    title: &'static str,
    logger: Option<&'static str>,
    /// Type, value and number of frames of the outermost exception.
    exception: Option<(&'static str, &'static str, usize)>,
    trace: Option<&'static str>,
    /// Seconds after the start of the hour of [`NOW`] that the record names.
    time: Option<f64>,
    /// A record with some of the row's keys, and the level and body that it has by itself.
    other: (Value, &'static str, &'static str),
}

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

const JAVA: &str = "com.acme.StockException: none left\n\tat com.acme.Stock.take(Stock.java:21)\n\tat com.acme.Cart.add(Cart.java:8)\n";

const PYTHON: &str = "Traceback (most recent call last):\n  File \"/srv/stock.py\", line 21, in take\n    raise StockError(\"none left\")\nstock.StockError: none left";

const DOTNET: &str = "Acme.StockException: none left\n   at Acme.Stock.Take(Int32 n) in /src/Stock.cs:line 21\n   at Acme.Cart.Add() in /src/Cart.cs:line 8";

const NODE: &str = "StockError: none left\n    at Stock.take (/app/stock.js:21:9)\n    at Cart.add (/app/cart.js:8:3)";

const GO: &str = "acme.example/stock.Take\n\t/src/stock/take.go:21\nmain.main\n\t/src/main.go:8";

const CASE: Case = Case {
    row: "",
    record: Value::Null,
    level: "error",
    title: "cannot add to cart",
    logger: None,
    exception: None,
    trace: None,
    time: None,
    other: (Value::Null, "info", "x"),
};

/// The time of the records: thirty seconds and an eighth into the hour of [`NOW`].
const TIME: &str = "2026-11-24T12:00:30.125Z";
const MILLIS: u64 = 1_795_521_630_125;
const AT: Option<f64> = Some(30.125);

fn cases() -> Vec<Case> {
    [jvm::cases(), dotnet::cases(), scripts::cases(), native::cases()].into_iter().flatten().collect()
}

const POD: &str = r#"{"pod_name":"cart-0","namespace_name":"acme","container_name":"app","host":"node-7"}"#;

/// The ways in which the record comes, with the container's metadata.
fn handed_over(record: &Value) -> [(&'static str, Value); 5] {
    let pod: Value = serde_json::from_str(POD).unwrap();
    let line = json!({"stream": "stdout", "kubernetes": pod});
    let with = |fields: Value| {
        let mut body = line.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    [
        ("in a line", with(json!({"log": record.to_string()}))),
        ("in a message of another record", with(json!({"log": json!({"message": record.to_string()}).to_string()}))),
        ("merged", with(record.clone())),
        ("merged under a key", with(json!({"data": record}))),
        ("merged under a key, with the line kept", with(json!({"log": record.to_string(), "data": record}))),
    ]
}

#[test]
fn every_known_logger_has_a_case() {
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let mut of_cases: Vec<_> = cases().iter().map(|case| case.row).collect();
    rows.sort_unstable();
    of_cases.sort_unstable();
    assert_eq!(of_cases, rows);
}

#[test]
fn known_loggers_are_read_however_their_records_come() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (way, body) in handed_over(&case.record) {
            let mapped = Mapping::new(&[("event_level", "info")]).bodies(&[body]);
            let (Some(event), Some(log)) = (mapped.events().first().copied(), mapped.logs().first().copied()) else {
                wrong.push(format!("{}, {way}: expected an event and a log, found {mapped:?}", case.row));
                continue;
            };
            let exception = event["exception"]["values"].as_array().and_then(|values| values.last());
            let frames = |exception: &Value| exception["stacktrace"]["frames"].as_array().map_or(0, Vec::len);
            let exception = exception.map(|e| (e["type"].as_str().unwrap(), e["value"].as_str().unwrap(), frames(e)));
            // Only fields of an opened message give the time.
            let hour = (NOW.as_secs() / 3_600 * 3_600) as f64;
            let time = case.time.filter(|_| way != "merged").map_or(NOW.as_secs_f64() - 1.0, |time| hour + time);
            let expected = format!(
                "{:?}",
                (case.level, case.title, case.title, case.logger, case.exception, case.trace.unwrap_or("made"), time)
            );
            let trace = log["trace_id"].as_str().unwrap();
            let found = format!(
                "{:?}",
                (
                    log["level"].as_str().unwrap(),
                    log["body"].as_str().unwrap(),
                    event["logentry"]["formatted"].as_str().unwrap_or_default(),
                    event["logger"].as_str(),
                    exception.filter(|_| case.exception.is_some()),
                    if case.trace.is_some() { trace } else { "made" },
                    log["timestamp"].as_f64().unwrap()
                )
            );
            if expected != found {
                wrong.push(format!("{}, {way}:\n  expected {expected}\n  found    {found}", case.row));
            }
            if attribute(log, "data.message") != &Value::Null || log["attributes"].get("log").is_some() {
                wrong.push(format!("{}, {way}: sent twice: {log}", case.row));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn records_that_only_look_like_those_of_a_known_logger_are_read_as_they_are() {
    for case in cases() {
        let (record, level, body) = case.other;
        for (way, given) in handed_over(&record).into_iter().take(1) {
            let mapped = Mapping::new(&[("logs_level", "trace")]).bodies(&[given]);
            let log = mapped.logs()[0];
            assert_eq!(
                (log["level"].as_str(), log["body"].as_str()),
                (Some(level), Some(body)),
                "{}, {way}: {record}",
                case.row
            );
        }
    }
}

#[test]
fn keys_that_the_user_has_set_win_over_those_of_a_known_logger() {
    let record = json!({"@t": TIME, "@m": "theirs", "@l": "Error", "mine": "ours", "grade": "warn", "SourceContext": "a", "who": "b"});
    let options = [("message_key", "mine"), ("level_key", "grade"), ("logger_key", "who"), ("event_level", "warn")];
    for body in [record.clone(), json!({"log": record.to_string()})] {
        let mapped = Mapping::new(&options).bodies(&[body]);
        let event = mapped.events()[0];
        assert_eq!(event["logentry"]["formatted"], "ours");
        assert_eq!((&event["level"], &event["logger"]), (&json!("warning"), &json!("b")));
    }
    // Where the record has none of them, the logger's own are used.
    let record = json!({"@t": TIME, "@m": "theirs", "@l": "Error"});
    let mapped = Mapping::new(&options).bodies(&[json!({"log": record.to_string()})]);
    assert_eq!((&mapped.logs()[0]["body"], &mapped.logs()[0]["level"]), (&json!("theirs"), &json!("error")));
}

#[test]
fn a_message_key_never_keeps_a_line_from_being_opened() {
    let line = json!({"event": "no stock", "level": "error", "sku": 9}).to_string();
    let mapped = Mapping::new(&[("message_key", "event")]).bodies(&[json!({"log": line}), json!({"log": "plain"})]);
    assert_eq!((&mapped.logs()[0]["body"], attribute(mapped.logs()[0], "sku")), (&json!("no stock"), &json!(9)));
    assert_eq!(mapped.logs()[1]["body"], "plain");
}

#[test]
fn access_logs_in_json_have_no_severity() {
    for line in [
        json!({"time": TIME, "remote_addr": "10.0.0.7", "request": "GET /?level=fatal HTTP/1.1", "status": 500}),
        json!({"start_time": TIME, "method": "GET", "path": "/error", "response_code": 503, "response_flags": "UF"}),
        json!({"ClientAddr": "10.0.0.7:1", "DownstreamStatus": 502, "level": "info", "msg": "", "time": TIME}),
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "9", "verb": "get"}),
    ] {
        let mapped = Mapping::new(&[]).bodies(&[json!({"log": line.to_string()})]);
        assert_eq!((mapped.events().len(), &mapped.logs()[0]["level"]), (0, &json!("info")), "{line}");
    }
}

#[test]
fn a_message_that_says_nothing_gives_way() {
    let line = |fields: Value| json!({"log": fields.to_string()});
    let access = json!({"DownstreamStatus": 502, "level": "info", "msg": "", "RequestPath": "/cart"});
    let failed = json!({"v": 0, "name": "cart", "pid": 4, "hostname": "a", "level": 50, "msg": "", "time": TIME,
        "err": {"name": "StockError", "message": "none left"}});
    for (body, text) in [
        (line(access.clone()), access.to_string()),
        (line(failed), "none left".to_owned()),
        (json!({"log": "", "order": 9}), String::new()),
        (json!({"msg": "", "message": "x"}), "x".to_owned()),
    ] {
        assert_eq!(Mapping::new(&[]).bodies(std::slice::from_ref(&body)).logs()[0]["body"], text, "{body}");
    }
}

#[test]
fn the_body_of_a_request_is_no_message_of_a_logger() {
    let line = json!({"method": "POST", "status": 200, "body": {"level": "fatal", "message": "ERROR"}}).to_string();
    let mapped = Mapping::new(&[]).bodies(&[json!({"log": line})]);
    assert_eq!((mapped.events().len(), &mapped.logs()[0]["level"]), (0, &json!("info")));
    let alone = json!({"body": {"level": "error", "message": "x"}});
    assert_eq!(Mapping::new(&[]).bodies(&[alone]).logs()[0]["body"], "x");
}

#[test]
fn an_object_in_a_container_record_is_no_merged_line_unless_it_reads_like_one() {
    let pod: Value = serde_json::from_str(POD).unwrap();
    for data in [json!({"body": "y", "time": TIME}), json!({"path": "/", "level": "error"}), json!({"message": "y"})] {
        let body = json!({"stream": "stdout", "kubernetes": pod, "data": data, "more": 1});
        let mapped = Mapping::new(&[]).bodies(std::slice::from_ref(&body));
        assert!(mapped.logs()[0]["body"].as_str().unwrap().starts_with("{\"data\":"), "{body}");
    }
    let alone = json!({"stream": "stdout", "kubernetes": pod, "data": {"message": "y", "sku": 9}});
    assert_eq!(Mapping::new(&[]).bodies(&[alone]).logs()[0]["body"], "y");
    let elsewhere = json!({"data": {"message": "y", "level": "error"}});
    assert!(Mapping::new(&[]).bodies(&[elsewhere]).logs()[0]["body"].as_str().unwrap().starts_with("{\"data\":"));
}
