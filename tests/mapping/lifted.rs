//! Metadata of the kubernetes filter that a `nest` filter has lifted to the top of the record.

use super::mapped::{Mapping, attribute};
use serde_json::{Map, Value, json};

/// The record of a container whose metadata stands at the top, each name with this prefix.
fn lifted(prefix: &str, more: Value) -> Value {
    let metadata = json!({"pod_name": "web-7d9f8b6c5-x2x7k", "namespace_name": "shop", "container_name": "app",
        "host": "node-1", "pod_id": "0f4b1a35-3ac0-4c2a-9d1e-5a2d3a4b5c6d", "docker_id": "0a1b",
        "labels": {"app": "web", "pod-template-hash": "7d9f8b6c5", "team": "unsent-label"},
        "annotations": {"note": "unsent-1"}, "container_image": "registry.example/shop/web:2.1"});
    let mut record: Map<String, Value> =
        metadata.as_object().unwrap().iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())).collect();
    record.extend(json!({"log": "ERROR boom", "stream": "stderr"}).as_object().unwrap().clone());
    record.extend(more.as_object().unwrap().clone());
    record.into()
}

#[test]
fn lifted_metadata_is_the_pods() {
    for prefix in ["", "kubernetes_", "k8s.", "kubernetes."] {
        let mapped = Mapping::on("edge-7", &[]).bodies(&[lifted(prefix, json!({"order": 9}))]);
        let (event, log) = (mapped.events()[0], mapped.logs()[0]);
        for (name, value) in
            [("k8s.namespace.name", "shop"), ("k8s.pod.name", "web-7d9f8b6c5-x2x7k"), ("k8s.container.name", "app")]
        {
            assert_eq!(
                (&event["tags"][name], attribute(log, name)),
                (&json!(value), &json!(value)),
                "{prefix}: {name}"
            );
        }
        assert_eq!(event["tags"]["k8s.pod.label.app"], "web", "{prefix}");
        assert_eq!(event["fingerprint"], json!(["{{ default }}", "shop/web", "app"]), "{prefix}");
        assert_eq!((&event["release"], &event["server_name"]), (&json!("web@2.1"), &json!("node-1")), "{prefix}");
        assert_eq!((attribute(log, "order"), &event["extra"]["order"]), (&json!(9), &json!(9)));
        let all = format!("{mapped:?}");
        assert!(!all.contains("unsent"), "{prefix}: {all}");
    }
}

#[test]
fn annotations_are_not_sent_however_deep_they_were_lifted() {
    let more = json!({"kubernetes_annotations_note": "unsent-2", "kubernetes_annotations.checksum": "unsent-3",
        "prometheus.io/scrape": "unsent-4", "annotations_x": "unsent-5"});
    let all = format!("{:?}", Mapping::new(&[]).bodies(&[lifted("kubernetes_", more)]));
    assert!(all.contains("shop") && !all.contains("unsent"), "{all}");
    let more = json!({"annotations.note": "unsent-2", "kubectl.kubernetes.io/restartedAt": "unsent-3"});
    let all = format!("{:?}", Mapping::new(&[]).bodies(&[lifted("", more)]));
    assert!(all.contains("shop") && !all.contains("unsent"), "{all}");
}

#[test]
fn other_fields_of_these_names_are_no_metadata() {
    for body in [
        json!({"log": "ERROR x", "pod_name": "web-0", "annotations": {"note": "sent"}}),
        json!({"log": "ERROR x", "pod_name": 9, "namespace_name": "shop", "annotations": "sent"}),
        json!({"log": json!({"message": "x", "level": "error", "pod_name": "a", "namespace_name": "b", "annotations": "sent"}).to_string()}),
    ] {
        let mapped = Mapping::new(&[]).bodies(std::slice::from_ref(&body));
        assert_eq!(mapped.events()[0].get("tags"), None, "{body}");
        assert!(format!("{mapped:?}").contains("sent"), "{body}");
    }
    // The map of the filter itself says more than names that an application may have chosen.
    let pod = json!({"pod_name": "web-0", "namespace_name": "shop", "container_name": "app"});
    let mapped = Mapping::new(&[]).bodies(&[lifted("", json!({"kubernetes": pod}))]);
    assert_eq!(mapped.events()[0]["tags"]["k8s.pod.name"], "web-0");
}
