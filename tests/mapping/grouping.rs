//! Tests the items that several records become together: breadcrumbs, joined stack traces, issues and storms.

use super::mapped::{Mapping, NOW};
use super::{TRACE, in_pod, one_event};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

#[test]
fn breadcrumbs_are_the_lines_before_whatever_form_they_had() {
    let mut mapping = Mapping::new(&[("breadcrumbs", "3")]);
    let at = |n: u64, line: &str| chunk::record(NOW - Duration::from_secs(100 - n), &json!({"log": line}));
    mapping.map(&[at(1, "zero"), at(2, "plain")].concat());
    let lines = [
        at(3, "{\"msg\":\"in JSON\",\"level\":\"warn\"}"),
        at(4, "\u{1b}[32mcoloured\u{1b}[0m"),
        at(5, "{\"msg\":\"boom\",\"level\":\"error\"}"),
    ];
    let mapped = mapping.map(&lines.concat());
    let crumbs = mapped.events()[0]["breadcrumbs"]["values"].as_array().unwrap();
    let texts: Vec<_> = crumbs.iter().map(|crumb| crumb["message"].as_str().unwrap()).collect();
    assert_eq!(texts, ["plain", "in JSON", "coloured"]);
    assert_eq!(crumbs[1]["level"], "warning");
}

#[test]
fn traces_split_into_coloured_lines_are_joined() {
    let lines: Vec<_> = TRACE.lines().map(|line| json!({"log": format!("\u{1b}[31m{line}\u{1b}[0m")})).collect();
    let mapped = Mapping::new(&[]).bodies(&lines);
    assert_eq!(mapped.events()[0]["exception"]["values"][0]["type"], "IllegalStateException");
    assert_eq!(mapped.ended(Category::Event), [(1, Outcome::Joined), (2, Outcome::Joined)]);
    assert_eq!(mapped.ended(Category::Log), [(1, Outcome::Joined), (2, Outcome::Joined)]);
    assert_eq!(mapped.logs()[0]["body"], TRACE);
}

#[test]
fn joined_trace_is_one_log_and_one_breadcrumb_at_its_heads_level() {
    let lines = |head: &str| {
        let trace = TRACE.lines().map(str::to_owned);
        let all = ["before".to_owned(), head.to_owned()].into_iter().chain(trace).chain(["ERROR after".to_owned()]);
        all.map(|line| json!({"log": line})).collect::<Vec<_>>()
    };
    let text = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap().to_owned();
    for (head, level, events) in
        [("ERROR declined", "error", 2), ("WARN late", "warn", 1), ("INFO late", "info", 1), ("DEBUG x", "debug", 1)]
    {
        let mapped = Mapping::new(&[("logs_level", "debug")]).bodies(&lines(head));
        let logs: Vec<_> = mapped.logs().iter().map(|log| (text(log, "level"), text(log, "body"))).collect();
        let joined = (level.to_owned(), format!("{head}\n{TRACE}"));
        let (before, after) =
            (("info".to_owned(), "before".to_owned()), ("error".to_owned(), "ERROR after".to_owned()));
        assert_eq!(logs, [before, joined, after], "{head}");
        assert_eq!(mapped.events().len(), events, "{head}");
        let crumbs = mapped.events().last().unwrap()["breadcrumbs"]["values"].as_array().unwrap().clone();
        let crumbs: Vec<_> = crumbs.iter().map(|crumb| text(crumb, "message")).collect();
        assert_eq!(crumbs, ["before", head], "{head}");
        let members = mapped.ended(Category::Log);
        assert_eq!(members, [2, 3, 4].map(|member| (member, Outcome::Joined)), "{head}");
    }
    let mapped = Mapping::new(&[("logs_level", "warn")]).bodies(&lines("INFO late"));
    assert_eq!(mapped.logs().len(), 1);
    let mapped = Mapping::new(&[("join_traces", "off")]).bodies(&lines("ERROR declined"));
    assert_eq!((mapped.logs().len(), mapped.ended(Category::Log).len()), (6, 0));
}

#[test]
fn joins_logs_of_streams_that_take_turns() {
    let (mut lines, mut at) = (Vec::new(), [0; 2]);
    let trace: Vec<&str> = std::iter::once("ERROR declined").chain(TRACE.lines()).chain(["on"]).collect();
    for step in 0..2 * trace.len() {
        let stream = (step / 3) % 2;
        let stream = if at[stream] < trace.len() { stream } else { 1 - stream };
        let name = ["stdout", "stderr"][stream];
        lines.push(json!({"log": trace[at[stream]], "stream": name}));
        at[stream] += 1;
    }
    let mapped = Mapping::new(&[]).bodies(&lines);
    let mut bodies: Vec<_> = mapped.logs().iter().map(|log| log["body"].as_str().unwrap().to_owned()).collect();
    bodies.sort();
    let joined = format!("ERROR declined\n{TRACE}");
    assert_eq!(bodies, [&joined, &joined, "on", "on"]);
}

#[test]
fn same_stack_with_other_messages_is_another_event() {
    let trace = |message: &str| json!({"log": format!("ERROR failed\njava.io.IOException: {message}\n\tat com.shop.Net.read(Net.java:7)")});
    let (one, other) = (trace("order 1"), trace("order 2"));
    let mapped = Mapping::new(&[]).bodies(&[one.clone(), other, one]);
    assert_eq!(mapped.events().len(), 2);
    assert_eq!(mapped.ended(Category::Event), [(2, Outcome::Suppressed)]);
    let unnamed = |message: &str| json!({"level": "error", "msg": message, "stack": "main.run\n\t/src/main.go:7\nmain.main\n\t/src/main.go:3"});
    let mapped = Mapping::new(&[("stack_key", "stack")]).bodies(&[unnamed("cart 1 failed"), unnamed("cart 2 failed")]);
    let values: Vec<_> = mapped.events().iter().map(|event| event["exception"]["values"][0]["value"].clone()).collect();
    assert_eq!(values, ["cart 1 failed", "cart 2 failed"]);
}

#[test]
fn one_problem_is_one_issue_on_every_pod() {
    let fingerprint = |pod: &str, line: &str| one_event(&[], in_pod(pod, json!({"log": line})))["fingerprint"].clone();
    let expected = json!(["{{ default }}", "shop/checkout", "api"]);
    assert_eq!(fingerprint("checkout-7d9f8b6c5-x2x7k", "ERROR order 17 failed"), expected);
    assert_eq!(fingerprint("checkout-7d9f8b6c5-abcde", "ERROR order 18 failed"), expected);
    assert_eq!(one_event(&[], in_pod("web-0", json!({"log": TRACE}))).get("fingerprint"), None);
    let journald = json!({"MESSAGE": "ERROR boom", "_SYSTEMD_UNIT": "sshd.service"});
    assert_eq!(one_event(&[], journald)["fingerprint"], json!(["{{ default }}", "sshd.service"]));
    let template = [("fingerprint", "{{ default }},$service,$kubernetes['container_name'],$none")];
    let event = one_event(&template, in_pod("web-0", json!({"log": "ERROR x", "service": "pay"})));
    assert_eq!(event["fingerprint"], json!(["{{ default }}", "pay", "api"]));
}

#[test]
fn a_workload_shows_twenty_new_messages_an_hour_and_the_rest_in_one_issue() {
    let words = ["apple", "pear", "plum", "fig", "kiwi", "lime", "nut", "corn"];
    let message = |n: usize| format!("ERROR no {} for {}", words[n / 8], words[n % 8]);
    let bodies: Vec<_> = (0..50).map(|n| in_pod("web-0", json!({"log": message(n)}))).collect();
    let mapped = Mapping::new(&[]).bodies(&bodies);
    let others = mapped.events().into_iter().filter(|event| event["fingerprint"][0] == "other errors");
    let others: Vec<_> = others.collect();
    assert_eq!(mapped.events().len() - others.len(), 20);
    assert_eq!(others.len(), 10, "they are one storm as well");
    assert_eq!(others[0]["fingerprint"], json!(["other errors", "shop/web"]));
    assert_eq!(others[0]["logentry"]["formatted"], "no plum for kiwi");
}

#[test]
fn an_exception_logged_twice_on_its_way_up_is_one_event() {
    let body = json!({"log": TRACE, "level": "error"});
    let mapped = Mapping::new(&[]).bodies(&[body.clone(), body.clone(), json!({"log": "x"}), body]);
    assert_eq!(mapped.events().len(), 2);
    assert_eq!(mapped.ended(Category::Event), [(1, Outcome::Suppressed), (2, Outcome::Filtered)]);
}

#[test]
fn a_storm_is_told_by_the_next_event_or_by_its_end() {
    let mut mapping = Mapping::new(&[("storm_burst", "2")]);
    let bodies: Vec<_> = (0..7).map(|n| json!({"log": format!("ERROR order {n} failed")})).collect();
    assert_eq!(mapping.bodies(&bodies).events().len(), 2);
    assert_eq!(mapping.closed_storms(Duration::from_secs(110)), []);
    let closed = mapping.closed_storms(Duration::from_secs(130));
    let [closing] = closed.as_slice() else { panic!("expected one, found {closed:?}") };
    let event: Value = serde_json::from_slice(&closing.payload).unwrap();
    assert_eq!(
        (event["logentry"]["formatted"].as_str(), &event["extra"]["held_back"]),
        (Some("order 2 failed"), &json!(4))
    );
    let mut mapping = Mapping::new(&[("storm_burst", "2")]);
    let bodies: Vec<_> = (0..70).map(|n| json!({"log": format!("ERROR order {n} failed")})).collect();
    let mapped = mapping.bodies(&bodies);
    let told: Vec<_> = mapped.events().iter().map(|event| event["extra"]["held_back"].as_u64()).collect();
    assert_eq!(told, [None, None, Some(59)]);
}
