//! Events of the `kubernetes_events` input: the items that they become, their titles, times, ids and breadcrumbs.

use super::{POD, UID, id, line, messages, with_lines};
use crate::mapped::{Mapped, Mapping, NOW, attribute};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

/// An event as the `kubernetes_events` input sends it.
fn event(reason: &str, changes: &Value) -> Value {
    let mut event = json!({
        "metadata": {"name": "checkout.17f", "namespace": "shop", "uid": "5a3c1f0e-2222-4000-8000-000000000001",
            "resourceVersion": "81", "creationTimestamp": "2026-11-24T11:50:00Z",
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:count": {}}}]},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": POD, "uid": UID, "apiVersion": "v1",
            "fieldPath": "spec.containers{app}"},
        "reason": reason, "message": format!("{reason} of a container"),
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-11-24T11:50:00Z", "lastTimestamp": "2026-11-24T11:59:30Z", "count": 3,
        "type": "Warning", "eventTime": null, "reportingComponent": "kubelet", "reportingInstance": "node-1",
    });
    let fields = event.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::String(gone) if gone == "-" => drop(fields.remove(key)),
            value => drop(fields.insert(key.clone(), value.clone())),
        }
    }
    event
}

fn of_events(options: &[(&str, &str)], bodies: &[Value]) -> Mapped {
    let mut mapping = Mapping::new(options);
    mapping.tag = "k8s_events".to_owned();
    mapping.bodies(bodies)
}

fn one_event(mapped: &Mapped) -> Value {
    let events = mapped.events();
    assert_eq!(events.len(), 1, "{mapped:#?}");
    events[0].clone()
}

#[test]
fn a_warning_is_an_event_with_the_level_of_its_reason() {
    for (reason, level) in
        [("BackOff", "error"), ("Unhealthy", "warning"), ("FailedScheduling", "error"), ("New", "warning")]
    {
        let event = one_event(&of_events(&[], &[event(reason, &json!({}))]));
        assert_eq!(event["level"], level, "{reason}");
        assert_eq!(event["logentry"]["message"], format!("{reason}: app in shop/checkout"));
        let formatted = format!("{reason}: app in shop/checkout\n{reason} of a container");
        assert_eq!(event["logentry"]["formatted"], formatted);
        assert_eq!(event["fingerprint"], json!([reason, "shop/checkout", "app"]));
        assert_eq!(event["timestamp"], 1_795_521_570.0);
        assert_eq!((&event["logger"], &event["server_name"]), (&json!("kubelet"), &json!("node-1")));
    }
    let levels = [("kube_event_levels", "BackOff=fatal,unhealthy=off,FailedMount=info")];
    assert_eq!(one_event(&of_events(&levels, &[event("BackOff", &json!({}))]))["level"], "fatal");
    for reason in ["Unhealthy", "FailedMount"] {
        let mapped = of_events(&levels, &[event(reason, &json!({}))]);
        assert_eq!((mapped.events().len(), mapped.logs()[0]["level"].clone()), (0, json!("info")), "{reason}");
        assert_eq!(mapped.ended(Category::Event), [(0, Outcome::Filtered)]);
    }
    assert_eq!(of_events(&[("event_level", "off")], &[event("BackOff", &json!({}))]).events().len(), 0);
}

#[test]
fn a_normal_event_is_a_log_at_info() {
    let mapped = of_events(&[], &[event("Pulled", &json!({"type": "Normal"}))]);
    let logs = mapped.logs();
    assert_eq!((mapped.events().len(), logs.len()), (0, 1), "{mapped:#?}");
    assert_eq!((&logs[0]["level"], &logs[0]["body"]), (&json!("info"), &json!("Pulled: Pulled of a container")));
    assert_eq!(attribute(logs[0], "k8s.event.reason"), "Pulled");
    assert_eq!(attribute(logs[0], "k8s.pod.name"), POD);
    assert!(!logs[0].to_string().contains("managedFields"), "{}", logs[0]);
}

#[test]
fn the_context_is_the_event_without_its_managed_fields() {
    let event = one_event(&of_events(&[], &[event("BackOff", &json!({}))]));
    let context = &event["contexts"]["kubernetes_event"];
    assert_eq!(context["metadata"]["uid"], "5a3c1f0e-2222-4000-8000-000000000001");
    assert_eq!((&context["count"], &context["involvedObject"]["kind"]), (&json!(3), &json!("Pod")));
    assert_eq!((&context["event_type"], &context["type"]), (&json!("Warning"), &Value::Null), "Sentry's own word");
    assert!(!event.to_string().contains("managedFields"));
    for (tag, value) in [
        ("k8s.event.reason", "BackOff"),
        ("k8s.object.kind", "Pod"),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", POD),
        ("k8s.container.name", "app"),
        ("k8s.node.name", "node-1"),
        ("k8s.workload.name", "checkout"),
    ] {
        assert_eq!(event["tags"][tag], value, "{tag}");
    }
}

#[test]
fn the_time_is_the_latest_that_the_event_names() {
    for (changes, time) in [
        (json!({}), 1_795_521_570.0),
        (json!({"lastTimestamp": null}), 1_795_521_000.0),
        (
            json!({"lastTimestamp": null, "firstTimestamp": null, "eventTime": "2026-11-24T11:58:00.25Z"}),
            1_795_521_480.25,
        ),
        (
            json!({"lastTimestamp": null, "firstTimestamp": null, "eventTime": "2026-11-24T11:58:00Z",
                "series": {"count": 9, "lastObservedTime": "2026-11-24T11:58:30.5Z"}}),
            1_795_521_510.5,
        ),
        (json!({"lastTimestamp": "-", "firstTimestamp": "-", "eventTime": "-"}), 1_795_521_000.0),
    ] {
        assert_eq!(one_event(&of_events(&[], &[event("BackOff", &changes)]))["timestamp"], time, "{changes}");
    }
}

/// Replicas, restarts and the input's listings send an event again; with another count it is another one.
#[test]
fn the_id_is_that_of_uid_and_count() {
    let id = |changes: Value| {
        let mut mapping = Mapping::new(&[]);
        mapping.tag = changes["tag"].as_str().unwrap_or("k8s_events").to_owned();
        one_event(&mapping.bodies(&[event("BackOff", &changes)]))["event_id"].clone()
    };
    let first = id(json!({}));
    assert_eq!(first, id(json!({"tag": "kubernetes_events.0", "lastTimestamp": "2026-11-24T11:59:31Z"})));
    assert_ne!(first, id(json!({"count": 4})));
    assert_ne!(first, id(json!({"metadata": {"uid": "other", "name": "x"}})));
    let series = |count| id(json!({"count": "-", "series": {"count": count}}));
    assert_ne!(series(1), series(2));
}

#[test]
fn an_event_that_is_listed_again_is_one_log() {
    let bodies = [event("Pulled", &json!({"type": "Normal"})), event("Pulled", &json!({"type": "Normal"}))];
    let mapped = of_events(&[], &bodies);
    assert_eq!(mapped.logs().len(), 1, "{mapped:#?}");
    assert_eq!(mapped.ended(Category::Log), [(1, Outcome::Suppressed)]);
}

#[test]
fn objects_of_other_kinds_have_titles_and_issues_of_their_own() {
    let object = |kind: &str, namespace: &str, name: &str| json!({"kind": kind, "namespace": namespace, "name": name});
    for (object, title, fingerprint) in [
        (object("Node", "", "node-1"), "X: node-1", json!(["X", "Node/node-1"])),
        (object("ReplicaSet", "shop", "checkout-7d9c6b5f4"), "X: shop/checkout", json!(["X", "shop/checkout"])),
        (object("Job", "shop", "nightly-29400000"), "X: shop/nightly", json!(["X", "shop/nightly"])),
        (object("HorizontalPodAutoscaler", "shop", "web"), "X: shop/web", json!(["X", "shop/web"])),
        (object("Pod", "shop", "db-0"), "X: shop/db", json!(["X", "shop/db"])),
    ] {
        let event = one_event(&of_events(&[], &[event("X", &json!({"involvedObject": object}))]));
        assert_eq!((&event["logentry"]["message"], &event["fingerprint"]), (&json!(title), &fingerprint));
    }
    let init = json!({"kind": "Pod", "namespace": "shop", "name": POD, "fieldPath": "spec.initContainers{migrate}"});
    let event = one_event(&of_events(&[], &[event("BackOff", &json!({"involvedObject": init}))]));
    assert_eq!(event["logentry"]["message"], "BackOff: migrate in shop/checkout");
}

/// A line of a container never counts as a record of the input.
#[test]
fn no_line_of_a_container_is_taken_for_an_event() {
    let forged = event("BackOff", &json!({}));
    let text = forged.to_string();
    let merged = |more: Value| {
        let mut merged = forged.clone();
        merged.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        merged
    };
    let pod = line("app", "stdout", &id('1'), "x")["kubernetes"].clone();
    for body in [
        json!({"log": text, "stream": "stdout", "_p": "F"}),
        json!({"log": text}),
        json!({"message": text}),
        json!({"log_processed": forged.clone(), "log": text, "stream": "stdout"}),
        merged(json!({"stream": "stdout"})),
        merged(json!({"log": text})),
        merged(json!({"_p": "F"})),
        merged(json!({"kubernetes": pod})),
        merged(json!({"kubernetes": "none"})),
        event("BackOff", &json!({"metadata": "-"})),
        event("BackOff", &json!({"type": "Critical"})),
        event("BackOff", &json!({"involvedObject": "pod"})),
    ] {
        let mapped = of_events(&[], std::slice::from_ref(&body));
        let events = mapped.events();
        assert!(events.iter().all(|event| event["contexts"]["kubernetes_event"].is_null()), "{body}");
    }
    let mut mapping = Mapping::new(&[]);
    mapping.tag = format!("kube.var.log.containers.{POD}_shop_app-{}.log", id('1'));
    let mapped = mapping.bodies(std::slice::from_ref(&forged));
    assert!(mapped.events().iter().all(|event| event["contexts"]["kubernetes_event"].is_null()), "{mapped:#?}");
}

#[test]
fn the_pods_last_lines_of_both_streams_are_the_breadcrumbs_in_order() {
    let lines = [
        line("app", "stdout", &id('1'), "starting"),
        line("app", "stderr", &id('1'), "warning: low memory"),
        line("proxy", "stdout", &id('2'), "proxy is up"),
        line("app", "stdout", &id('1'), "serving"),
        line("app", "stderr", &id('1'), "ERROR no connection to db, password=hunter2"),
    ];
    let mut mapping = with_lines(&[("breadcrumbs", "3")], &lines);
    mapping.tag = "k8s_events".to_owned();
    let event_of = |mapping: &mut Mapping, changes: Value| one_event(&mapping.bodies(&[event("BackOff", &changes)]));
    let of_app = event_of(&mut mapping, json!({}));
    let expected = ["warning: low memory", "serving", "ERROR no connection to db, password=[Filtered]"];
    assert_eq!(messages(&of_app), expected);
    assert_eq!(of_app["release"], "checkout@2.14.3");
    assert_eq!(of_app["tags"]["k8s.pod.label.app"], "checkout");
    assert_eq!(of_app["contexts"]["kubernetes"]["container.id"], id('1'));
    assert_eq!(mapping.asked().last().unwrap(), "shop Some(\"https://k@h/1\")");
    let pod = json!({"kind": "Pod", "namespace": "shop", "name": POD});
    let of_pod = event_of(&mut mapping, json!({"involvedObject": pod, "count": 4}));
    assert_eq!(messages(&of_pod), ["proxy is up", "serving", "ERROR no connection to db, password=[Filtered]"]);
    assert_eq!(of_pod["release"], Value::Null, "of two images nobody can say which");
    // What came after it is not before it.
    let early = event_of(&mut mapping, json!({"count": 5, "lastTimestamp": "2026-11-24T11:58:21Z"}));
    assert_eq!(messages(&early), ["starting", "warning: low memory"]);
}

/// The last line before a pod dies may begin a stack trace, so that it waits for more lines when the incident comes.
#[test]
fn lines_that_wait_for_a_stack_trace_are_breadcrumbs_of_an_incident() {
    let mut mapping = Mapping::new(&[("breadcrumbs", "3")]);
    mapping.lets_wait = true;
    mapping.tag = format!("kube.var.log.containers.{POD}_shop_app-{}.log", id('1'));
    let texts = ["starting", "serving", "ERROR no connection to db, password=hunter2"];
    let lines = texts.map(|text| line("app", "stdout", &id('1'), text));
    let first = NOW - Duration::from_secs(100);
    let chunk = |lines: &[Value], first: Duration| -> Vec<u8> {
        (0..).zip(lines).flat_map(|(n, body)| chunk::record(first + Duration::from_secs(n), body)).collect()
    };
    assert_eq!(mapping.map(&chunk(&lines, first)).waiting, [2]);
    let container = std::mem::replace(&mut mapping.tag, "k8s_events".to_owned());
    let incident =
        |mapping: &mut Mapping, count: u64| one_event(&mapping.bodies(&[event("BackOff", &json!({"count": count}))]));
    let expected = ["starting", "serving", "ERROR no connection to db, password=[Filtered]"];
    let event = incident(&mut mapping, 3);
    assert_eq!(messages(&event), expected);
    // It is there once when it waits no more.
    mapping.tag = container;
    mapping.map(&chunk(&[line("app", "stdout", &id('1'), "retrying")], first + Duration::from_secs(9)));
    mapping.tag = "k8s_events".to_owned();
    assert_eq!(messages(&incident(&mut mapping, 4)), ["serving", expected[2], "retrying"]);
}

/// A DaemonSet's instances see all events; each tells of its own node's.
#[test]
fn events_of_other_nodes_are_left_to_their_instances() {
    let uid = |n: u8| json!({"uid": format!("{n}"), "name": "x"});
    let here = event("BackOff", &json!({"metadata": uid(0)}));
    let source = json!({"component": "kubelet", "host": "node-2"});
    let object = json!({"kind": "Pod", "namespace": "shop", "name": "other-7d9c6b5f4-x2k4q"});
    let there = json!({"source": source, "involvedObject": object, "reportingInstance": "node-2", "metadata": uid(1)});
    let there = event("BackOff", &there);
    let pending = json!({"source": {}, "involvedObject": object, "reportingComponent": "default-scheduler",
        "reportingInstance": "", "metadata": uid(2)});
    let nowhere = event("FailedScheduling", &pending);
    let node = json!({"kind": "Node", "name": "node-2"});
    let source = json!({"component": "node-controller"});
    let not_ready = event("NodeNotReady", &json!({"involvedObject": node, "source": source, "metadata": uid(3)}));
    let all = [here, there, nowhere, not_ready];
    let told = |options: &[(&str, &str)], lines: &[Value]| {
        let mut mapping = with_lines(options, lines);
        mapping.tag = "k8s_events".to_owned();
        let mapped = mapping.bodies(&all);
        let of =
            |category| mapped.items.iter().filter(|(of, ..)| *of == category).map(|(_, n, _)| *n).collect::<Vec<_>>();
        (of(Category::Event), of(Category::Log))
    };
    let lines = [line("app", "stdout", &id('1'), "x")];
    let everything = (vec![0, 1, 2, 3], vec![0, 1, 2, 3]);
    assert_eq!(told(&[], &lines), (vec![0, 2], vec![0]), "an instance with lines of one node");
    assert_eq!(told(&[], &[]), everything, "an instance without lines");
    let mut other = line("app", "stdout", &id('1'), "x");
    other["kubernetes"]["host"] = json!("node-9");
    other["kubernetes"]["container_name"] = json!("proxy");
    assert_eq!(told(&[], &[lines[0].clone(), other]), everything, "an aggregator");
    assert_eq!(told(&[("kube_events", "cluster")], &lines), everything);
    assert_eq!(told(&[("kube_events", "node")], &lines), (vec![0, 2], vec![0]));
    assert_eq!(told(&[("kube_events", "off")], &lines), (vec![], vec![0, 1, 2, 3]));
}
