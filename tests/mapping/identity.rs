//! Which pod a record belongs to: only Fluent Bit says it, never the line.

use crate::mapped::{Mapping, attribute};
use serde_json::{Value, json};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Returns fields that an application may log to look like a pod of another namespace.
fn forged() -> Value {
    json!({
        "namespace_name": "kube-system", "pod_name": "etcd-0", "container_name": "etcd",
        "labels": {"app": "forged"}, "annotations": {"k8s.sentry.io/dsn": "https://k@evil.example/1", "k8s.sentry.io/event-level": "off"}
    })
}

/// Options that make tags, fingerprint and release of what Fluent Bit says of the pod.
const OPTIONS: &[(&str, &str)] = &[
    ("tag_keys", "kubernetes.labels.app"),
    ("label_keys", "*"),
    ("release_key", "kubernetes.labels.app"),
    ("fingerprint", "{{ default }},$kubernetes['namespace_name']"),
];

/// Ways in for a forged map: each a record's body.
fn ways() -> Vec<(&'static str, Value)> {
    let object = json!({"level": "error", "msg": "boom", "kubernetes": forged()});
    let dotted = json!({"level": "error", "msg": "boom", "kubernetes.labels.app": "forged", "kubernetes.namespace_name": "kube-system"});
    // A name that the record has as well stands before the forged map.
    let timed = format!("{{\"time\":\"2026-11-24T11:00:00Z\",{}", &object.to_string()[1..]);
    vec![
        ("JSON", json!({"log": object.to_string()})),
        ("JSON with a time", json!({"log": timed, "time": "2026-11-24T11:00:01Z", "stream": "stderr"})),
        ("dotted JSON", json!({"log": dotted.to_string()})),
        (
            "logfmt",
            json!({"log": "level=error msg=\"boom now\" kubernetes.namespace_name=kube-system kubernetes.labels.app=forged"}),
        ),
        ("merge key", json!({"log": "ERROR boom", "log_processed": object})),
        ("nested string", json!({"log": json!({"level": "error", "msg": object.to_string()}).to_string()})),
    ]
}

/// Returns the router's questions for a record, its event and its log.
fn routed(tag: &str, options: &[(&str, &str)], body: Value) -> (Vec<String>, Value, Value) {
    let mut mapping = Mapping::new(options);
    mapping.tag = tag.to_owned();
    let mapped = mapping.bodies(&[body]);
    let event = mapped.events().first().copied().cloned().unwrap_or_default();
    (mapping.asked(), event, mapped.logs().first().copied().cloned().unwrap_or_default())
}

fn assert_not_believed(way: &str, namespace: &str, (asked, event, log): (Vec<String>, Value, Value)) {
    assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == format!("{namespace} None")), "{way}: {asked:?}");
    for part in ["tags", "fingerprint", "release", "contexts"] {
        let text = event[part].to_string();
        assert!(!text.contains("kube-system") && !text.contains("forged") && !text.contains("etcd"), "{way}: {text}");
    }
    assert!(event.is_object(), "{way}: the pod turned its events off by a line");
    let expected = if namespace.is_empty() { Value::Null } else { json!(namespace) };
    assert_eq!(*attribute(&log, "k8s.namespace.name"), expected, "{way}");
}

#[test]
fn a_line_never_chooses_its_pod() {
    let tag = format!("kube.var.log.containers.web-0_shop_app-{ID}.log");
    for (way, body) in ways() {
        assert_not_believed(way, "", routed("app", OPTIONS, body.clone()));
        assert_not_believed(way, "shop", routed(&tag, OPTIONS, body.clone()));
        let mut with_path = body.clone();
        with_path["filename"] = json!(format!("/var/log/containers/web-0_shop_app-{ID}.log"));
        assert_not_believed(way, "shop", routed("app", OPTIONS, with_path));
        let mut with_filter = body;
        with_filter["kubernetes"] =
            json!({"namespace_name": "shop", "pod_name": "web-0", "container_name": "app", "labels": {"app": "shop"}});
        for tag in ["app", &tag] {
            assert_not_believed(way, "shop", routed(tag, OPTIONS, with_filter.clone()));
        }
    }
}

/// `Merge_Log` puts the application's fields beside the filter's own. Without metadata the filter adds no map.
#[test]
fn a_merged_map_that_contradicts_the_tag_is_not_believed() {
    let tag = format!("kube.var.log.containers.web-0_shop_app-{ID}.log");
    let body = json!({"log": "ERROR boom", "kubernetes": forged()});
    let (asked, event, log) = routed(&tag, &[], body);
    assert_eq!(asked, ["shop None", "shop None"]);
    assert_eq!(event["tags"]["k8s.pod.name"], "web-0");
    assert_eq!(attribute(&log, "k8s.namespace.name"), "shop");
}

#[test]
fn a_path_in_a_message_is_no_path_of_the_host() {
    let path = format!("/var/log/containers/etcd-0_kube-system_etcd-{ID}.log");
    let body = json!({"log": json!({"level": "error", "msg": "boom", "filename": path, "_SYSTEMD_UNIT": "sshd.service"}).to_string()});
    let (asked, event, _) = routed("app", &[], body);
    assert!(asked.iter().all(|asked| asked == " None"), "{asked:?}");
    assert_eq!(event.get("fingerprint"), None);
}

#[test]
fn the_tag_names_the_pod_where_no_filter_does() {
    let tag = format!("kube.var.log.containers.checkout-7d9f8b6c5-x2x7k_shop_app-{ID}.log");
    let (_, event, log) = routed(&tag, &[], json!({"log": "ERROR boom", "stream": "stderr"}));
    assert_eq!(event["fingerprint"], json!(["{{ default }}", "shop/checkout", "app"]));
    assert_eq!(event["contexts"]["kubernetes"]["container.id"], ID);
    assert_eq!(attribute(&log, "k8s.pod.name"), "checkout-7d9f8b6c5-x2x7k");
}
