//! Reads records of the `kubernetes_events` input: the API server's `Event` objects.
//!
//! Sources: `plugins/in_kubernetes_events/kubernetes_events.c` of Fluent Bit, which sends the object unchanged, and the
//! types of `k8s.io/api/core/v1` and `events/v1`.

use super::time::rfc3339;
use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Record, Timestamp};
use crate::mapping::resolve::kubernetes::without_generated;

/// Top-level fields that a container's line has and an event never has: a record with one of them is not an event, whatever
/// else it looks like.
pub(super) const OF_CONTAINERS: [&str; 5] = ["stream", "_p", "logtag", "kubernetes", "log"];

/// An event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KubeEvent<'a> {
    pub uid: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    pub is_warning: bool,
    pub count: u64,
    pub time: Timestamp,
    /// Time when the first event of a series was seen.
    pub first_time: Option<Timestamp>,
    /// The part of Kubernetes that reports it, such as `kubelet`.
    pub component: &'a str,
    /// The node that it names, if it names one.
    pub node: Option<&'a str>,
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub object_uid: &'a str,
    /// The container within the pod.
    pub container: Option<&'a str>,
}

impl<'a> KubeEvent<'a> {
    /// Reads a record; `None` if it is anything else. Only the record's own fields count, never those of an opened message.
    pub(super) fn of(record: Record<'a>) -> Option<Self> {
        let body = record.body.map()?;
        if OF_CONTAINERS.iter().any(|name| body.get(name).is_some()) {
            return None;
        }
        let (metadata, object) = (body.get("metadata")?.map()?, body.get("involvedObject")?.map()?);
        let kind = required(object, "kind")?;
        let is_warning = match required(body, "type")? {
            "Warning" => true,
            "Normal" => false,
            _ => return None,
        };
        let source = body.get("source").and_then(|source| source.map()).unwrap_or(Seq::EMPTY);
        let series = body.get("series").and_then(|series| series.map()).unwrap_or(Seq::EMPTY);
        let component = Some(text(source, "component")).filter(|name| !name.is_empty());
        let component = component.unwrap_or_else(|| text(body, "reportingComponent"));
        let (name, field) = (text(object, "name"), text(object, "fieldPath"));
        let number = |map: Seq<'_>, key| match map.get(key) {
            Some(Value::UInt(n)) => n,
            _ => 0,
        };
        let latest = [(body, "lastTimestamp"), (series, "lastObservedTime"), (body, "eventTime")];
        let latest = latest.into_iter().filter_map(|(map, key)| time(map, key)).max();
        let first_time = time(body, "firstTimestamp").or_else(|| time(body, "eventTime"));
        let time = latest.or(first_time).or_else(|| time(metadata, "creationTimestamp")).unwrap_or(record.time);
        Some(Self {
            uid: required(metadata, "uid")?,
            reason: required(body, "reason")?,
            message: text(body, "message").trim(),
            is_warning,
            count: number(body, "count").max(number(series, "count")),
            time,
            first_time,
            component,
            node: node(body, source, (kind, name), component),
            kind,
            namespace: Some(text(object, "namespace")).filter(|_| kind != "Node").unwrap_or_default(),
            name,
            object_uid: text(object, "uid"),
            container: field
                .split_once('{')
                .and_then(|(_, name)| name.strip_suffix('}'))
                .filter(|name| !name.is_empty()),
        })
    }

    /// Returns the name of the object's owner, without the parts that controllers generate.
    pub(super) fn workload(&self) -> String {
        match self.kind {
            "Pod" => workload_of_pod(self.name),
            "ReplicaSet" => without_hash(self.name).unwrap_or(self.name).to_owned(),
            "Job" => without_run(self.name).to_owned(),
            _ => self.name.to_owned(),
        }
    }
}

fn text<'a>(map: Seq<'a>, key: &str) -> &'a str {
    map.get(key).and_then(|value| std::str::from_utf8(value.text()?).ok()).unwrap_or_default()
}

fn required<'a>(map: Seq<'a>, key: &str) -> Option<&'a str> {
    Some(text(map, key)).filter(|text| !text.is_empty())
}

fn time(map: Seq<'_>, key: &str) -> Option<Timestamp> {
    rfc3339(map.get(key)?.text()?)
}

/// The kubelet's events name their node in `source.host`, those of its newer versions in `reportingInstance`.
fn node<'a>(body: Seq<'a>, source: Seq<'a>, (kind, name): (&'a str, &'a str), component: &str) -> Option<&'a str> {
    if kind == "Node" {
        return Some(name).filter(|name| !name.is_empty());
    }
    let of_kubelet = || required(body, "reportingInstance").filter(|_| component == "kubelet");
    required(source, "host").or_else(of_kubelet)
}

/// A pod's name without the hash of its ReplicaSet, its own suffix, and the time of its CronJob's run.
pub(super) fn workload_of_pod(name: &str) -> String {
    let is_suffix = |part: &str| part.len() == 5 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some((rest, _)) = name.rsplit_once('-').filter(|(_, last)| is_suffix(last)) {
        if let Some(workload) = without_hash(rest) {
            return workload.to_owned();
        }
        if without_run(rest) != rest {
            return without_run(rest).to_owned();
        }
    }
    without_run(&without_generated(name)).to_owned()
}

/// `checkout-7d9c6b5f4` without the hash of a pod template, of which at least one character is a digit.
fn without_hash(name: &str) -> Option<&str> {
    let (rest, hash) = name.rsplit_once('-')?;
    let of_hash = |byte: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte);
    let is_hash =
        (8..=10).contains(&hash.len()) && hash.bytes().all(of_hash) && hash.bytes().any(|b| b.is_ascii_digit());
    is_hash.then_some(rest)
}

/// `nightly-28934210` without the minute of the run, which CronJobs append to the names of their Jobs.
pub(super) fn without_run(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, run)) if (8..=10).contains(&run.len()) && run.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_parts_of_names_are_no_part_of_the_workload() {
        for (pod, workload) in [
            ("checkout-7d9c6b5f4-abcde", "checkout"),
            ("checkout-7d9c6b5f4-x2x7k", "checkout"),
            ("db-0", "db"),
            ("nightly-28934210-zx4qf", "nightly"),
            ("nightly-28934210-aeiou", "nightly"),
            ("standalone", "standalone"),
            ("my-first-house", "my-first-house"),
        ] {
            assert_eq!(workload_of_pod(pod), workload, "{pod}");
        }
        for (kind, name, workload) in [
            ("ReplicaSet", "checkout-7d9c6b5f4", "checkout"),
            ("ReplicaSet", "front-end", "front-end"),
            ("Job", "nightly-28934210", "nightly"),
            ("Job", "migrate", "migrate"),
            ("CronJob", "nightly", "nightly"),
            ("StatefulSet", "db-2024", "db-2024"),
        ] {
            assert_eq!(KubeEvent { kind, name, ..KubeEvent::default() }.workload(), workload, "{name}");
        }
    }
}
