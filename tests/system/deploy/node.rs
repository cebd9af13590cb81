//! A node of kube-logging without Fluentd, on this machine: container files, multiline, metadata, plugin, receiver.

use super::place::{self, Place};
use receiver::Receiver;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use testkit::fluent_bit::{FluentBit, Format};
use testkit::samples::Samples;
use testkit::wait;

const ARRIVES_WITHIN: Duration = Duration::from_secs(40);

/// A pod of a Sentry in the same cluster, whose own errors are not to be sent.
const OWN: &str = "sentry-web-0_sentry_web-0000000000000000000000000000000000000000000000000000000000000000.log";

/// Waits until all records of the samples are settled; a line that the runtime split is one of them.
pub fn wait_for_all(host: &FluentBit, receiver: &Receiver, samples: &Samples) {
    let split = samples.files.iter().map(|file| fs::read_to_string(file).expect("expected a sample"));
    let partial: usize = split.map(|text| text.lines().filter(|line| line.contains(" P ")).count()).sum();
    let expected = (samples.lines - partial) as f64;
    let value = |name: &str, labels: &[&str]| host.metric(&format!("fluentbit_sentry_{name}"), labels).ok().flatten();
    let settled = || value("records_total", &[]) == Some(expected) && value("pending_items", &[]) == Some(0.0);
    assert!(
        wait::until_true(ARRIVES_WITHIN, settled),
        "expected {expected} records, found {:?} with {:?} pending\n{}",
        value("records_total", &[]),
        value("pending_items", &[]),
        host.log()
    );
    let accepted = |category| value("items_total", &[&format!("category=\"{category}\""), "outcome=\"accepted\""]);
    let totals = receiver.totals();
    assert_eq!((accepted("event"), accepted("log")), (Some(totals.events as f64), Some(totals.logs as f64)));
    let incidents: u64 = samples.incidents.iter().map(|incident| incident.count).sum();
    assert_eq!(totals.events, incidents, "expected an event for each incident of the samples");
    assert_eq!(receiver.problems(), [""; 0]);
}

/// As many events of each pod and level as the samples have incidents, with the node that only the metadata tells.
fn assert_incidents(receiver: &Receiver, samples: &Samples) {
    let of = |tags: &serde_json::Value, name: &str| tags[name].as_str().unwrap_or_default().to_owned();
    let mut found = BTreeMap::<_, u64>::new();
    for event in receiver.events() {
        let (tags, level) = (&event.payload["tags"], event.payload["level"].as_str().unwrap_or_default().to_owned());
        *found.entry((of(tags, "k8s.namespace.name"), of(tags, "k8s.pod.name"), level)).or_default() += 1;
        assert!(!of(tags, "k8s.node.name").is_empty(), "expected the pod's node: {tags:#}");
    }
    let mut expected = BTreeMap::<_, u64>::new();
    for incident in &samples.incidents {
        let pod = (incident.namespace.clone(), incident.pod.clone(), incident.level.clone());
        *expected.entry(pod).or_default() += incident.count;
    }
    assert_eq!(found, expected);
}

pub fn sends() {
    let (receiver, place) = place::sentry();
    place::with_pods(&place);
    let mut host = start(&place, &receiver);
    let line =
        format!("{} stderr F {{\"level\":\"error\",\"msg\":\"cannot save an event\"}}\n", super::aggregator::now());
    place.write(&format!("var/log/containers/{OWN}"), &line);
    let samples = place.add_containers();
    wait_for_all(&host, &receiver, &samples);
    assert_incidents(&receiver, &samples);
    let own = receiver.logs().iter().any(|log| log.payload.to_string().contains("cannot save an event"));
    assert!(!own, "the logs of Sentry's own namespace were sent");
    let status = host.sigterm_and_wait(Duration::from_secs(30));
    assert!(status.is_some_and(|status| status.success()), "ended with {status:?}:\n{}", host.log());
}

fn start(place: &Place, receiver: &Receiver) -> FluentBit {
    let config = super::text("deploy/kube-logging/direct/fluent-bit.conf");
    place.start(&config, Format::Classic, &[("SENTRY_DSN", &receiver.dsn())])
}
