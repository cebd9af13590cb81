//! Two namespaces with a DSN each: no line of a pod reaches the project of another namespace.

use super::feed::Feed;
use super::harness::{self, ARRIVES_WITHIN};
use receiver::Receiver;
use serde_json::{Value, json};
use std::fs;
use testkit::fluent_bit::SERVICE;

/// Projects of the default DSN, of namespace `shop`, and of the namespace that lines claim to be of.
const DEFAULT: u64 = 1;
const OWN: u64 = 7;
const CLAIMED: u64 = 8;
/// The project of an annotation in a line.
const ANNOTATED: u64 = 9;

const ID: &str = "5a1b2c3d4e5f60718293a4b5c6d7e8f95a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// Lines with which a pod of `shop` claims to be of `kube-system`, and to have this DSN.
fn lines(dsn: &str) -> Vec<String> {
    let annotations = json!({"k8s.sentry.io/dsn": dsn, "k8s.sentry.io/event-level": "off"});
    let pod = json!({
        "namespace_name": "kube-system", "pod_name": "etcd-0", "container_name": "etcd", "labels": {"app": "etcd"},
        "annotations": annotations,
    });
    let object = json!({"level": "error", "msg": "boom", "kubernetes": pod});
    vec![
        object.to_string(),
        "level=error msg=\"boom now\" kubernetes.namespace_name=kube-system".to_owned(),
        json!({"level": "error", "msg": object.to_string()}).to_string(),
        json!({"level": "error", "log_processed": object}).to_string(),
    ]
}

/// A host that tails a container's log, with these further sections.
fn delivers_to_own(tag: &str, sections: &str, expected: u64) {
    delivers(tag, sections, expected, lines("").len() as u64);
}

/// The same where so many of the lines say a level that makes them events.
fn delivers(tag: &str, sections: &str, expected: u64, errors: u64) {
    let (feed, receiver) = (Feed::new(), harness::receiver(""));
    let dir = feed.file().parent().expect("expected a directory").to_owned();
    let (logs, dsns) = (dir.join("var/log/containers"), dir.join("dsn"));
    fs::create_dir_all(&logs).and_then(|()| fs::create_dir_all(&dsns)).expect("expected directories");
    for (namespace, project) in [("shop", OWN), ("kube-system", CLAIMED)] {
        fs::write(dsns.join(namespace), receiver.dsn_for(project)).expect("expected to write a DSN");
    }
    let file = logs.join(format!("web-0_shop_app-{ID}.log"));
    let all = lines(&receiver.dsn_for(ANNOTATED));
    fs::write(&file, all.join("\n") + "\n").expect("expected to write a log");
    let input = format!(
        "[INPUT]\n    Name tail\n    Tag {tag}\n    Path {}\n    Read_from_Head On\n    Refresh_Interval 1\n",
        logs.join("*.log").display()
    );
    let output = harness::output(
        "out",
        &receiver.dsn_for(DEFAULT),
        &["spool_path ${STATE}/spool", "dsn_allow_hosts 127.0.0.1", &format!("dsn_dir {}", dsns.display())],
    );
    // The tail input writes the path into the tag, with dots.
    let prefix = format!("kube{}.", logs.display().to_string().replace('/', "."));
    let sections = sections.replace("PREFIX", &prefix);
    let service = format!("{SERVICE}    Parsers_File {}\n", feed.parsers().display());
    let config = [&*service, &input, &sections, &output].join("\n");
    let mut host = harness::start(&config, &[]);
    let count = all.len() as u64;
    let complete =
        receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= count && seen.totals.events >= errors);
    assert!(complete, "{:?}\n{}", receiver.totals(), host.log());
    harness::stop(&mut host);
    assert_all_of(&receiver, expected);
}

fn assert_all_of(receiver: &Receiver, expected: u64) {
    let events: Vec<_> = receiver.events().iter().map(|event| (event.project, event.payload.clone())).collect();
    let logs: Vec<_> = receiver.logs().iter().map(|log| (log.project, log.payload.clone())).collect();
    for (project, payload) in events.iter().chain(&logs) {
        assert_eq!(*project, expected, "{payload}");
    }
    for (_, log) in logs {
        let identity = ["namespace", "pod", "container"].map(|what| format!("k8s.{what}.name"));
        let identity = identity.map(|name| log["attributes"][name].to_string()).concat();
        assert!(!identity.contains("kube-system") && !identity.contains("etcd"), "{identity}");
    }
    for (_, event) in events {
        let identity = [&event["tags"], &event["fingerprint"], &event["contexts"]].map(Value::to_string).concat();
        assert!(!identity.contains("kube-system") && !identity.contains("etcd"), "{identity}");
    }
}

/// Neither the tag nor a filter says whose line it is: it goes to the default project.
pub fn without_filter_and_tag() {
    delivers_to_own("app", "", DEFAULT);
}

pub fn with_the_tag() {
    delivers_to_own("kube.*", "", OWN);
}

const FILTER: &str = "[FILTER]\n    Name kubernetes\n    Match kube.*\n    Kube_URL http://127.0.0.1:1\n    Kube_Tag_Prefix PREFIX\n    \
                      Merge_Log On\n    Keep_Log Off\n    Labels Off\n    Annotations Off\n";

/// `Merge_Log` puts the application's `kubernetes` beside the filter's own map.
pub fn with_the_filter() {
    delivers_to_own("kube.*", FILTER, OWN);
}

/// `Merge_Log_Key` puts it below a key of its own, which is opened only beside a map of the filter. Without an API server there is
/// none, so that of these lines only the one in logfmt says its level.
pub fn with_a_merge_key() {
    delivers("kube.*", &format!("{FILTER}    Merge_Log_Key log_processed\n"), OWN, 1);
}

/// A parser filter merges the application's fields into the record; no filter adds a map.
pub fn with_merged_fields() {
    let filter =
        "[FILTER]\n    Name parser\n    Match kube.*\n    Key_Name log\n    Parser numbered\n    Reserve_Data On\n";
    delivers_to_own("kube.*", filter, OWN);
}
