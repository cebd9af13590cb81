//! Tests the items that records become: severity, message, context, privacy and grouping.

mod attributes;
mod formats;
mod grouping;
mod identity;
mod incidents;
mod lifted;
mod mapped;
mod origin;
mod private_keys;
mod recall;
mod severity;
mod traces;

use mapped::{Mapping, NOW, attribute};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

fn one_log(options: &[(&str, &str)], body: Value) -> Value {
    let mapped = Mapping::new(options).bodies(&[body]);
    mapped.logs().first().copied().cloned().unwrap_or_else(|| panic!("expected a log, found {mapped:?}"))
}

fn one_event(options: &[(&str, &str)], body: Value) -> Value {
    let mapped = Mapping::new(options).bodies(&[body]);
    mapped.events().first().copied().cloned().unwrap_or_else(|| panic!("expected an event, found {mapped:?}"))
}

/// A record as the kubernetes filter leaves it.
fn in_pod(pod: &str, body: Value) -> Value {
    let mut record = json!({
        "stream": "stderr", "logtag": "F", "time": "2026-11-24T11:59:59.1Z",
        "kubernetes": {
            "pod_name": pod, "namespace_name": "shop", "container_name": "api", "host": "node-1", "pod_ip": "10.0.0.9",
            "docker_id": "0a1b", "container_image": "registry.example/shop/checkout:2.14.3",
            "labels": {"app": "checkout", "app.kubernetes.io/name": "checkout", "pod-template-hash": "7d9f8b6c5", "secret-label": "x"},
            "annotations": {"note": "never sent"}
        }
    });
    record.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    record
}

const TRACE: &str = "java.lang.IllegalStateException: declined\n\tat com.shop.Pay.run(Pay.java:10)\n\tat com.shop.Main.main(Main.java:3)";

#[test]
fn severity_comes_from_every_source() {
    let all = [("logs_level", "trace")];
    for (body, level) in [
        (json!({"log": "x", "level": "WARNING"}), "warn"),
        (json!({"log": "x", "level": "emerg"}), "fatal"),
        (json!({"log": "x", "level": "verbose"}), "debug"),
        (json!({"log": "x", "level": 50}), "error"),
        (json!({"log": "x", "PRIORITY": "3"}), "error"),
        (json!({"log": "x", "pri": 14}), "info"),
        (json!({"log": "x", "severity_number": 17}), "error"),
        (json!({"log": "x", "level": "loud"}), "info"),
        (json!({"log": "E1120 08:00:00.123456       1 reflector.go:1] failed"}), "error"),
        (json!({"log": "[warn] slow"}), "warn"),
        (json!({"log": "time=1 level=error msg=\"boom now\""}), "error"),
        (json!({"log": "no word about it", "stream": "stderr"}), "info"),
        (json!({"log": TRACE}), "error"),
        (json!({"log": format!("Exception in thread \"main\" {TRACE}")}), "fatal"),
        (json!({"log": "it broke", "stack_trace": TRACE}), "error"),
    ] {
        assert_eq!(one_log(&all, body.clone())["level"], level, "{body}");
    }
    let own = [("level_map", "audit=warning,notice=error"), ("default_level", "debug"), ("logs_level", "debug")];
    for (body, level) in [
        (json!({"log": "x", "level": "audit"}), "warn"),
        (json!({"log": "x", "level": "NOTICE"}), "error"),
        (json!({"log": "x"}), "debug"),
    ] {
        assert_eq!(one_log(&own, body.clone())["level"], level, "{body}");
    }
}

#[test]
fn the_two_vocabularies_of_levels_are_kept_apart() {
    let body = json!({"log": "x", "level": "warn"});
    assert_eq!(one_event(&[("event_level", "warn")], body.clone())["level"], "warning");
    assert_eq!(one_log(&[], body)["level"], "warn");
}

#[test]
fn lines_are_read_as_people_wrote_them() {
    let text = "\u{1b}[31m{\"msg\":\"order failed\",\"level\":\"error\",\"order\":17,\"n\":{\"a\":1}}\u{1b}[0m\n";
    let log = one_log(&[], json!({"log": text, "order": 1}));
    assert_eq!((&log["body"], &log["level"]), (&json!("order failed"), &json!("error")));
    assert_eq!(attribute(&log, "order"), 1, "the record's own fields win");
    assert_eq!(attribute(&log, "n.a"), 1);
    let log = one_log(&[("parse_message", "off")], json!({"log": "{\"msg\":\"x\"}"}));
    assert_eq!(log["body"], "{\"msg\":\"x\"}");
    let log = one_log(&[], json!({"log": "level=warn msg=\"slow query\" took=1.5"}));
    assert_eq!((&log["body"], &log["level"]), (&json!("slow query"), &json!("warn")));
    assert_eq!(log["attributes"]["took"], json!({"value": 1.5, "type": "double"}));
    let log = one_log(&[], json!({"log": "{\"msg\":\"merged\"}", "msg": "merged"}));
    assert_eq!(log["attributes"].get("log"), None, "a merged log is not sent twice");
}

#[test]
fn a_body_without_a_message_is_its_own_message() {
    let log = one_log(&[("remove_keys", "secret_plan")], in_pod("web-0", json!({"user_count": 5, "secret_plan": "x"})));
    assert_eq!(log["body"], "{\"user_count\":5}");
    assert_eq!(log["attributes"].get("user_count"), None);
}

#[test]
fn a_stack_field_and_a_message_make_one_event_with_both() {
    let event = one_event(&[], json!({"message": "order 17 failed", "level": "error", "stack_trace": TRACE}));
    assert_eq!(event["logentry"]["formatted"], "order 17 failed");
    assert_eq!(event["exception"]["values"][0]["type"], "IllegalStateException");
    assert_eq!(event["exception"]["values"][0]["module"], "java.lang");
    assert_eq!(event["platform"], "java");
    assert_eq!(event["extra"].get("stack_trace"), None);
    let functions: Vec<_> =
        event["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap().iter().collect();
    assert_eq!((&functions[0]["function"], &functions[1]["function"]), (&json!("main"), &json!("run")));
    // The header stands in the message, the frames in the field.
    let (head, frames) = TRACE.split_once('\n').unwrap();
    let event = one_event(&[], json!({"message": head, "level": "error", "stack": frames}));
    assert_eq!(event["exception"]["values"][0]["value"], "declined");
    assert_eq!(event.get("logentry"), None);
    // What cannot be read is not lost.
    let event = one_event(&[], json!({"message": "boom", "level": "error", "stack": "somewhere\nelse"}));
    assert_eq!(event.get("exception"), None);
    assert_eq!(event["extra"]["stack"], "somewhere\nelse");
}

#[test]
fn a_title_has_no_head_and_no_line_is_lost() {
    let line = "2026-11-24 11:59:58,123 [main] ERROR - order 17 failed for 'bob'";
    let event = one_event(&[], json!({"log": line}));
    assert_eq!(event["logentry"]["formatted"], "order 17 failed for 'bob'");
    assert_eq!(event["logentry"]["message"], "order %s failed for '%s'");
    assert_eq!(event["logentry"]["params"], json!(["17", "bob"]));
    assert_eq!(event["extra"]["line"], line);
    let event = one_event(&[], json!({"log": "order 17 failed", "level": "error"}));
    assert_eq!((event["logentry"]["formatted"].as_str(), event.get("extra")), (Some("order 17 failed"), None));
}

#[test]
fn kubernetes_gives_tags_contexts_and_attributes() {
    let body = in_pod("checkout-7d9f8b6c5-x2x7k", json!({"log": "ERROR boom"}));
    let options = [("tags", "team=pay"), ("tag_keys", "region,kubernetes.pod_ip"), ("log_attributes", "full")];
    let mapped = Mapping::new(&options).bodies(&[body]);
    let (event, log) = (mapped.events()[0], mapped.logs()[0]);
    for (name, value) in [
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "checkout-7d9f8b6c5-x2x7k"),
        ("k8s.container.name", "api"),
        ("k8s.node.name", "node-1"),
        ("k8s.pod.label.app", "checkout"),
        ("team", "pay"),
    ] {
        assert_eq!(event["tags"][name], value, "{name}");
        assert_eq!(attribute(log, name), value, "{name}");
    }
    assert_eq!(event["tags"]["pod_ip"], "10.0.0.9");
    assert_eq!(event["tags"]["k8s.workload.name"], "checkout");
    assert_eq!(event["contexts"]["kubernetes"]["k8s.workload.name"], "checkout");
    assert_eq!((&event["release"], &event["server_name"]), (&json!("checkout@2.14.3"), &json!("node-1")));
    assert_eq!(event["contexts"]["host"]["name"], "node-1");
    assert_eq!(attribute(log, "sentry.release"), "checkout@2.14.3");
    assert_eq!(attribute(log, "server.address"), "node-1");
    assert_eq!(attribute(log, "log.iostream"), "stderr");
    let both = format!("{event}{log}");
    for unsent in ["secret-label", "never sent", "logtag", "2026-11-24T11:59:59.1Z"] {
        assert!(!both.contains(unsent), "{unsent}: {both}");
    }
}

#[test]
fn records_outside_kubernetes_have_host_and_service() {
    let syslog = json!({"message": "upstream timed out", "pri": "11", "host": "host7", "ident": "nginx", "msgid": "-"});
    let event = one_event(&[], syslog);
    assert_eq!(event.get("extra"), None);
    assert_eq!((&event["server_name"], &event["logger"]), (&json!("host7"), &json!("nginx")));
    let otel = json!({"log": "ERROR declined", "service.name": "checkout", "host.name": "vm-3"});
    let event = one_event(&[], otel);
    assert_eq!((&event["server_name"], &event["tags"]["service.name"]), (&json!("vm-3"), &json!("checkout")));
    assert_eq!(event["fingerprint"], json!(["{{ default }}", "checkout"]));
    assert_eq!(one_event(&[], json!({"log": "ERROR x", "host": "h"})).get("server_name"), None);
    let one_tag = [json!({"log": "mine", "service.name": "a"}), json!({"log": "ERROR x", "service.name": "b"})];
    let mapped = Mapping::new(&[]).bodies(&one_tag);
    assert_eq!(mapped.events()[0].get("breadcrumbs"), None, "services of one tag are streams of their own");
}

#[test]
fn traces_are_found_or_made() {
    let hex = "5b8efff798038103d269b633813fc60c";
    let log = one_log(&[], json!({"log": "x", "traceparent": format!("00-{hex}-eee19b7ec3c1b174-01")}));
    assert_eq!((&log["trace_id"], &log["span_id"]), (&json!(hex), &json!("eee19b7ec3c1b174")));
    let log = one_log(&[], json!({"log": "x", "dd": {"trace_id": "1234567890", "span_id": "77"}}));
    assert_eq!(
        (&log["trace_id"], &log["span_id"]),
        (&json!("000000000000000000000000499602d2"), &json!("000000000000004d"))
    );
    let mapped = Mapping::new(&[]).bodies(&[json!({"log": "before"}), json!({"log": "ERROR boom"})]);
    let trace = &mapped.events()[0]["contexts"]["trace"];
    assert!(mapped.logs().iter().all(|log| log["trace_id"] == trace["trace_id"]), "{mapped:?}");
    assert!(trace["span_id"].as_str().is_some_and(|id| id.len() == 16 && id != "0000000000000000"));
}

#[test]
fn fields_are_sent_typed_and_only_once() {
    let body = json!({"log": "x", "n": -5, "big": u64::MAX, "f": 0.5, "on": true, "none": null, "list": [1, "a"],
        "map": {"a": {"b": {"c": 1}}, "a.b": "flat"}, "map.a.b.c": 2, "empty": {}, "sentry.sdk.name": "mine", "team": "theirs"});
    let log = one_log(&[("tags", "team=pay"), ("log_attributes", "full")], body);
    let expected = json!({
        "n": {"value": -5, "type": "integer"}, "big": {"value": "18446744073709551615", "type": "string"},
        "f": {"value": 0.5, "type": "double"}, "on": {"value": true, "type": "boolean"},
        "list": {"value": "[1,\"a\"]", "type": "string"}, "map.a.b": {"value": "flat", "type": "string"},
        "empty": {"value": "{}", "type": "string"}, "team": {"value": "pay", "type": "string"},
        "record.team": {"value": "theirs", "type": "string"}, "record.sentry.sdk.name": {"value": "mine", "type": "string"},
    });
    for (name, attribute) in expected.as_object().unwrap() {
        assert_eq!(log["attributes"][name], *attribute, "{name}");
    }
    let twins: Vec<_> = ["map.a.b.c", "record.map.a.b.c"].iter().map(|name| attribute(&log, name).clone()).collect();
    assert_eq!(twins.iter().filter_map(Value::as_i64).sum::<i64>(), 3, "neither of two with one name is lost");
    assert_eq!(log["attributes"].get("none"), None);
}

#[test]
fn removed_keys_are_in_no_item() {
    let body = in_pod(
        "web-0",
        json!({"log": "{\"msg\":\"ERROR x\",\"req\":{\"headers\":{\"x\":\"gone1\"},\"path\":\"/\"},\"top\":\"gone2\"}",
        "a": {"b": "gone3", "c": "stays"}, "list": [{"k": "gone4"}]}),
    );
    let options = [
        ("remove_keys", "req.headers,top,$a['b'],list.k,kubernetes.pod_ip,kubernetes.labels.app,stream"),
        ("log_attributes", "full"),
    ];
    let mapped = Mapping::new(&options).bodies(&[body]);
    let all = format!("{mapped:?}");
    assert_eq!((mapped.events().len(), mapped.logs().len()), (1, 1));
    for gone in ["gone1", "gone2", "gone3", "gone4", "10.0.0.9", "label.app\"", "stderr"] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
    for stays in ["stays", "req.path", "label.app.kubernetes.io/name"] {
        assert!(all.contains(stays), "{stays}: {all}");
    }
}

#[test]
fn sends_no_personal_data_without_send_pii() {
    let body = json!({"log": "ERROR login password=hunter2 for jane@example.com at https://u:pw@host/?token=t0ken",
        "user": {"id": "u1", "email": "jane@example.com"}, "user_id": "u1", "deep": {"list": [{"apiKey": "k3y"}]},
        "text": "{\"authorization\":\"Bearer abc123456\"}"});
    let mapped = Mapping::new(&[]).bodies(&[json!({"log": "cookie: c00kie"}), body.clone()]);
    let all = format!("{mapped:?}");
    for secret in ["hunter2", "jane", "pw@", "t0ken", "u1", "k3y", "abc123456", "c00kie"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    let open = [("scrub", "off"), ("send_pii", "on")];
    let event = one_event(&open, body.clone());
    assert_eq!(event["user"]["id"], "u1");
    assert!(event.to_string().contains("hunter2"));
    let body = json!({"log": "ERROR x", "my.iban": "DE1", "numbers": {"order_id": "4111111111111111", "pan": "4111 1111 1111 1111"}});
    let mapped = Mapping::new(&[("scrub_keys", "iban")]).bodies(&[body]);
    assert_eq!(attribute(mapped.logs()[0], "numbers.order_id"), "4111111111111111");
    for item in [mapped.logs()[0], mapped.events()[0]] {
        let text = item.to_string();
        assert!(!text.contains("DE1") && !text.contains("4111 1111"), "{text}");
    }
}

#[test]
fn each_log_has_its_own_logger_whatever_the_one_before_had() {
    let body = |logger: &str| json!({"msg": "hello", "logger": logger});
    let loggers = ["app", "app", "a \"quoted\" name", "app", "password=hunter2", "app"];
    let mapped = Mapping::new(&[]).bodies(&loggers.map(body));
    let found: Vec<_> = mapped.logs().iter().map(|log| attribute(log, "logger.name").clone()).collect();
    assert_eq!(found, ["app", "app", "a \"quoted\" name", "app", "password=[Filtered]", "app"]);
}

/// Each secret stands alone in its record: no other field makes the log be cleaned.
#[test]
fn a_log_loses_a_secret_that_only_the_name_of_its_field_tells() {
    for (options, body, secret, place) in [
        (&[][..], json!({"msg": "hello", "password": "correct horse"}), "correct horse", "password"),
        (&[], json!({"msg": "hello", "db": {"password": "correct horse"}}), "correct horse", "db.password"),
        (&[], json!({"msg": "hello", "pin": 4711}), "4711", "pin"),
        (&[], json!({"msg": "hello", "card": {"cvv": 931}}), "931", "card.cvv"),
        (&[], json!({"msg": "hello", "secret": ["alpha", "beta"]}), "beta", "secret"),
        (&[("scrub_keys", "iban")], json!({"msg": "hello", "my_iban": "plain"}), "plain", "my_iban"),
        (&[("scrub_keys", "iban")], json!({"msg": "hello", "a": {"my_iban": "plain"}}), "plain", "a.my_iban"),
        (&[("scrub_keys", "logger")], json!({"msg": "hello", "logger": "plain"}), "plain", "logger.name"),
        (&[], json!({"msg": "hello", "note": "ask jane@example.com"}), "jane", "note"),
        (&[], json!({"msg": "password=hunter2"}), "hunter2", ""),
    ] {
        let mapped = Mapping::new(options).bodies(std::slice::from_ref(&body));
        let log = mapped.logs()[0];
        assert!(!log.to_string().contains(secret), "expected no {secret} of {body}, found {log}");
        if !place.is_empty() {
            assert!(attribute(log, place).to_string().contains("[Filtered]"), "{log}");
        }
    }
}

#[test]
fn a_pod_may_turn_its_events_off() {
    let mut body = in_pod("web-0", json!({"log": "ERROR x"}));
    body["kubernetes"]["annotations"]["k8s.sentry.io/event-level"] = json!("off");
    let mapped = Mapping::new(&[]).bodies(&[body]);
    assert_eq!((mapped.events().len(), mapped.logs().len()), (0, 1));
}

#[test]
fn our_own_hosts_lines_about_us_become_nothing() {
    for (line, ours) in [
        ("[2026/11/24 10:00:00] [ warn] [output:sentry:sentry.0] cannot be reached", true),
        (
            "[2026/11/24 10:00:00.123456789] [ warn] [engine] failed to flush chunk '1-2.flb', retry in 8 seconds: task_id=0, input=tail.0 > output=sentry.0 (out_id=0)",
            true,
        ),
        (
            "[2026/11/24 10:00:00] [ warn] [engine] failed to flush chunk '1-2.flb', retry in 8 seconds: task_id=0, input=tail.0 > output=sentry.01 (out_id=1)",
            false,
        ),
        ("[2026/11/24 10:00:00] [error] [output:http:http.0] no upstream connections available", false),
        ("user says [output:sentry:sentry.0] is broken", false),
    ] {
        let mapped = Mapping::new(&[]).bodies(&[json!({"log": line})]);
        assert_eq!(mapped.items.is_empty(), ours, "{line}");
        assert_eq!(mapped.ended(Category::Log) == [(0, Outcome::Suppressed)], ours, "{line}");
    }
}

#[test]
fn times_that_sentry_does_not_keep_become_now() {
    for (time, original) in [
        (Duration::ZERO, Some("0.000000000")),
        (NOW + Duration::from_secs(3_600), Some("1795525200.000000000")),
        (NOW - Duration::from_secs(86_400), None),
    ] {
        let mapped = Mapping::new(&[]).map(&chunk::record(time, &json!({"log": "ERROR x"})));
        let sent = if original.is_some() { NOW } else { time };
        for item in [mapped.logs()[0], mapped.events()[0]] {
            assert_eq!(item["timestamp"].as_f64(), Some(sent.as_secs_f64()));
        }
        assert_eq!(attribute(mapped.logs()[0], "log.record.time").as_str(), original);
        assert_eq!(mapped.events()[0]["extra"]["original_time"].as_str(), original);
    }
}

#[test]
fn a_pod_with_a_thousand_labels_says_what_was_left_out() {
    let mut body = in_pod("web-0", json!({"log": "ERROR x", "server_name": "a\nb"}));
    let labels = body["kubernetes"]["labels"].as_object_mut().unwrap();
    labels.extend((0..1_000).map(|n| (format!("app.kubernetes.io/label-{n}"), json!("x".repeat(60)))));
    let options = [("server_name_key", "server_name"), ("log_attributes", "full")];
    let mapped = Mapping::new(&options).bodies(&[body]);
    assert!(attribute(mapped.logs()[0], "log.record.labels_left_out").as_u64() > Some(100));
    assert_eq!(mapped.events()[0]["extra"]["_cut"], "more than Sentry takes, left out: tags");
    assert_eq!(mapped.events()[0]["server_name"], "a b");
    let event = one_event(&[], json!({"log": "ERROR x", "kubernetes": "no map"}));
    assert_eq!(event["extra"]["kubernetes"], "no map");
}

#[test]
fn cuts_large_values_with_a_marker() {
    let large = "\u{e9}".repeat(5_000_000);
    let fields: serde_json::Map<_, _> = (0..3_000).map(|n| (format!("field-{n}"), json!("x".repeat(300)))).collect();
    let mut body = json!({"log": format!("ERROR {large}"), "a-large": large});
    body.as_object_mut().unwrap().extend(fields);
    let mapped = Mapping::new(&[]).bodies(&[body]);
    let (log, event) = (mapped.logs()[0], mapped.events()[0]);
    assert!(log.to_string().len() < 1_000_000 && event.to_string().len() < 1_000_000);
    assert!(log["body"].as_str().unwrap().ends_with(" bytes]"));
    assert!(attribute(log, "a-large").as_str().unwrap().ends_with(" bytes]"));
    assert!(attribute(log, "log.record.attributes_left_out").as_u64() > Some(1_000));
    assert!(event["logentry"]["formatted"].as_str().unwrap().ends_with("..."));
    assert!(event["extra"]["a-large"].as_str().unwrap().ends_with(" bytes]"));
    assert_eq!(event["extra"]["_cut"], "more than Sentry takes, left out: fields");
}
