//! Which attributes logs have: `log_attributes`.

use super::mapped::{Mapping, attribute};
use super::{in_pod, one_log};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};

fn names(options: &[(&str, &str)], body: Value) -> Vec<String> {
    let log = one_log(options, body);
    log["attributes"].as_object().unwrap().keys().cloned().collect()
}

const POD: &str = "checkout-7d9f8b6c5-x2x7k";

#[test]
fn lean_logs_say_where_they_are_from_and_what_the_record_says() {
    let body = in_pod(POD, json!({"log": "{\"msg\":\"paid\",\"logger\":\"pay\",\"order\":7,\"env\":\"live\"}"}));
    let expected = [
        "k8s.container.name",
        "k8s.namespace.name",
        "k8s.node.name",
        "k8s.pod.name",
        "logger.name",
        "order",
        "sentry.environment",
        "sentry.release",
        "service.name",
    ];
    assert_eq!(names(&[], body.clone()), expected);
    assert_eq!(attribute(&one_log(&[], body), "service.name"), "checkout");
}

#[test]
fn full_logs_have_everything_and_no_service_of_their_own() {
    let all = names(&[("log_attributes", "full")], in_pod(POD, json!({"log": "paid"})));
    let expected = [
        "container.image.name",
        "k8s.container.name",
        "k8s.namespace.name",
        "k8s.node.name",
        "k8s.pod.label.app",
        "k8s.pod.label.app.kubernetes.io/name",
        "k8s.pod.name",
        "log.iostream",
        "sentry.origin",
        "sentry.release",
        "sentry.sdk.name",
        "sentry.sdk.version",
        "server.address",
    ];
    assert_eq!(all, expected);
}

#[test]
fn a_list_names_all_that_is_sent_beside_tags() {
    let body = in_pod(POD, json!({"log": "paid", "order": 7, "plan": {"name": "a", "age": 3}}));
    let of = |value| names(&[("log_attributes", value), ("tags", "team=pay")], body.clone());
    assert_eq!(of("k8s.pod.name, plan.*"), ["k8s.pod.name", "plan.age", "plan.name", "team"]);
    assert_eq!(of("nothing"), ["team"]);
    let lean = of("lean");
    let more: Vec<_> = of("lean,k8s.pod.label.app").into_iter().filter(|name| !lean.contains(name)).collect();
    assert_eq!(more, ["k8s.pod.label.app"]);
    assert_eq!(names(&[("log_attributes", "nothing")], body.clone()), [""; 0]);
}

#[test]
fn a_service_that_the_record_names_wins_over_that_of_the_pod() {
    for body in [json!({"log": "x", "service.name": "own"}), json!({"log": "x", "service": {"name": "own"}})] {
        let log = one_log(&[], in_pod(POD, body));
        assert_eq!(attribute(&log, "service.name"), "own");
        assert_eq!(log["attributes"].get("record.service.name"), None);
    }
    let mut app = in_pod(POD, json!({"log": "x"}));
    app["kubernetes"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/name");
    app["kubernetes"]["labels"]["app"] = json!("by-app");
    assert_eq!(attribute(&one_log(&[], app), "service.name"), "by-app");
}

#[test]
fn a_log_without_a_node_keeps_the_servers_address() {
    let syslog = json!({"message": "timed out", "pri": "14", "host": "host7", "ident": "nginx"});
    assert_eq!(attribute(&one_log(&[], syslog), "server.address"), "host7");
}

#[test]
fn blank_lines_are_filtered_unless_they_have_fields() {
    let bodies = [
        json!({"log": ""}),
        json!({"log": " \t \r\n", "stream": "stdout"}),
        in_pod(POD, json!({"log": "   "})),
        json!({"log": "", "status": 200}),
        json!({"log": "said"}),
    ];
    let mapped = Mapping::new(&[]).bodies(&bodies);
    let filtered: Vec<_> = (0..3).map(|record| (record, Outcome::Filtered)).collect();
    assert_eq!(mapped.ended(Category::Log), filtered);
    assert_eq!(mapped.logs().len(), 2);
}

#[test]
fn events_have_everything_whatever_logs_have() {
    let body = in_pod(POD, json!({"log": "ERROR declined"}));
    let event =
        |value| Mapping::new(&[("log_attributes", value)]).bodies(std::slice::from_ref(&body)).events()[0].clone();
    assert_eq!(event("lean"), event("full"));
    assert_eq!(event("nothing")["tags"]["k8s.pod.label.app"], "checkout");
}
