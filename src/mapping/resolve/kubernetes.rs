//! Reads the kubernetes filter's metadata of a record. It is rendered once per pod and container and then reused byte for
//! byte.
//!
//! Of the 1,500 bytes of an enriched record, about 900 are this map, which is the same in line after line. Comparing it with
//! the last one costs a fraction of reading it. Layout: Fluent Bit's `plugins/filter_kubernetes/kube_meta.c`.

use super::identity::StreamIds;
use crate::chunk::msgpack::{Seq, Value};
use crate::level::Level;
use crate::mapping::encode::json::{self, Object};
use crate::mapping::encode::limit;
use crate::mapping::encode::log::Constant;
use crate::mapping::scrub;
use crate::options::{Budget, MAX_ANNOTATION, Mapping, Source};

/// Data that is known about the container that wrote a record.
#[derive(Debug, Default)]
pub(crate) struct Pod {
    raw: Vec<u8>,
    /// Attributes that every log of the container has.
    pub log_attributes: Constant,
    /// `service.name`, which a log has unless its record says it itself.
    pub service: Constant,
    /// Tags of an event: name and value.
    pub tags: Vec<(String, String)>,
    /// The event's `kubernetes` context, a JSON object.
    pub context: Vec<u8>,
    /// The namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Streams to which it writes.
    pub streams: StreamIds,
    /// The pod's owner without its ReplicaSet's hash.
    pub workload: String,
    /// The node.
    pub node: Option<String>,
    /// `<image name>@<tag>`.
    pub release: Option<String>,
    /// The event level that the pod requests with [`EVENT_LEVEL`]: a level, or none at all.
    pub event_level: Option<Option<Level>>,
    /// The most that the pod's workload may spend on logs, by [`LOGS_BUDGET`].
    pub logs_budget: Option<Budget>,
    /// The DSN that the pod asks for in its annotation, cut where it is longer than any that is taken.
    pub dsn: Option<String>,
    /// The container's id.
    pub docker_id: Option<String>,
    /// The pod's uid.
    pub uid: Option<String>,
    /// The Sentry monitor that the pod names in its annotation [`MONITOR_SLUG`].
    pub monitor_slug: Option<String>,
}

/// Annotation with which a pod raises its event level or turns events off; an application with an SDK of its own would
/// report everything twice.
const EVENT_LEVEL: &str = "k8s.sentry.io/event-level";

/// Annotation with which a pod lowers the budget of its workload's logs, such as `10M/d`. Other budgets apply as well.
const LOGS_BUDGET: &str = "k8s.sentry.io/logs-budget";
/// Annotation with which the pods of a CronJob name its Sentry monitor.
const MONITOR_SLUG: &str = "k8s.sentry.io/monitor-slug";

/// Characters of one of its names in a log. Kubernetes itself takes 253 for names and 63 for labels; images may be longer.
const LONGEST: usize = 1_000;

/// The pods seen last.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    known: Vec<Pod>,
    last: usize,
    /// The version of the map for which the last one was found.
    version: Option<u64>,
    /// The number of times a pod has been learnt.
    learnt: u64,
}

/// Chunks hold one tag, and a tag is one container: a handful of pods serves the aggregators too.
const MAX_KNOWN: usize = 64;

impl Pods {
    /// Returns what [`Pods::find`] returns. Maps of the same version are equal: only a new version is compared.
    #[inline]
    pub fn find_version(
        &mut self,
        (map, version): (Seq<'_>, Option<u64>),
        settings: &Mapping,
        scrub: &scrub::Rules,
    ) -> usize {
        if version.is_none() || version != self.version {
            self.find(map, settings, scrub);
            self.version = version;
        }
        self.last
    }

    /// Finds or renders the pod of a `kubernetes` map and returns its place for [`Pods::at`].
    pub fn find(&mut self, map: Seq<'_>, settings: &Mapping, scrub: &scrub::Rules) -> usize {
        self.version = None;
        let same = |pod: &Pod| pod.raw == map.bytes();
        if !self.known.get(self.last).is_some_and(same) {
            self.last = self.known.iter().position(same).unwrap_or_else(|| self.learn(map, settings, scrub));
        }
        self.last
    }

    /// Returns the number of times a pod has been learnt: as long as it stays the same, [`Pods::find`] has found nothing
    /// new.
    #[inline]
    pub fn learnt(&self) -> u64 {
        self.learnt
    }

    /// The pod at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> &Pod {
        &self.known[place]
    }

    fn learn(&mut self, map: Seq<'_>, settings: &Mapping, scrub: &scrub::Rules) -> usize {
        if self.known.len() == MAX_KNOWN {
            self.known.remove(0);
        }
        let mut pod = Pod::read(map, settings);
        pod.log_attributes.judge(scrub);
        pod.service.judge(scrub);
        self.learnt += 1;
        self.known.push(pod);
        self.known.len() - 1
    }
}

impl Pod {
    fn read(map: Seq<'_>, settings: &Mapping) -> Self {
        let text = |key: &str| map.get(key).and_then(|v| v.text()).map(|t| String::from_utf8_lossy(t).into_owned());
        let pod_name = text("pod_name").unwrap_or_default();
        let labels = map.get("labels").and_then(|v| v.map()).unwrap_or(Seq::EMPTY);
        let mut pod = Pod {
            raw: map.bytes().to_vec(),
            namespace: text("namespace_name").unwrap_or_default(),
            container: text("container_name").unwrap_or_default(),
            workload: workload(map, labels, &pod_name),
            node: text("host"),
            event_level: event_level(map),
            logs_budget: logs_budget(map),
            dsn: dsn(map, &settings.dsn_annotation),
            docker_id: text("docker_id"),
            uid: text("pod_id"),
            monitor_slug: monitor_slug(map),
            release: text("container_image").and_then(|image| release_of(&image)),
            pod: pod_name,
            ..Pod::default()
        };
        pod.streams = StreamIds::new([pod.namespace.as_bytes(), pod.pod.as_bytes(), pod.container.as_bytes()]);
        pod.render(&text, labels, settings);
        pod
    }

    fn render(&mut self, text: &dyn Fn(&str) -> Option<String>, labels: Seq<'_>, settings: &Mapping) {
        let (label_keys, logs) = (&settings.label_keys, &settings.log_attributes);
        let some = |s: &String| Some(s.clone()).filter(|s| !s.is_empty());
        let attributes = [
            ("k8s.namespace.name", some(&self.namespace)),
            ("k8s.pod.name", some(&self.pod)),
            ("k8s.container.name", some(&self.container)),
            ("k8s.node.name", self.node.clone()),
            ("container.image.name", text("container_image")),
        ];
        let mut context = Object::begin(&mut self.context);
        for (name, value) in &attributes {
            let Some(value) = value else { continue };
            let source = if name.starts_with("k8s.") { Source::Lean } else { Source::Full };
            if logs.sends(name, source) {
                self.log_attributes.add(name, &limit::chars(value, LONGEST));
            }
            context.text(name, limit::chars(value, limit::CONTEXT_VALUE).as_ref());
            if name.starts_with("k8s.") {
                self.tags.push(((*name).to_owned(), value.clone()));
            }
        }
        for (name, key) in [
            ("k8s.pod.uid", "pod_id"),
            ("k8s.pod.ip", "pod_ip"),
            ("container.id", "docker_id"),
            ("container.image.id", "container_hash"),
        ] {
            let value = text(key);
            context.text_if(name, value.as_deref().map(|value| limit::chars(value, limit::CONTEXT_VALUE)).as_deref());
        }
        let workload = limit::chars(&self.workload, limit::CONTEXT_VALUE);
        if !workload.is_empty() {
            context.text("k8s.workload.name", &workload);
            self.tags.push(("k8s.workload.name".to_owned(), self.workload.clone()));
        }
        context.end();
        for (key, value) in selected(labels, label_keys) {
            let name = format!("k8s.pod.label.{key}");
            if logs.sends(&name, Source::Full) {
                self.log_attributes.add(&name, &limit::chars(&value, LONGEST));
            }
            self.tags.push((name, value));
        }
        self.log_attributes.end();
        if logs.sends(SERVICE, Source::Short)
            && let Some(service) = service_of(labels)
        {
            self.service.add(SERVICE, &limit::chars(&service, LONGEST));
        }
    }
}

/// Name of the attribute that tells which service a log is of; OpenTelemetry's.
const SERVICE: &str = "service.name";

/// The pod's service, as its labels name it.
fn service_of(labels: Seq<'_>) -> Option<String> {
    let named = |key| labels.get(key).and_then(lossy).filter(|name| !name.trim().is_empty());
    named("app.kubernetes.io/name").or_else(|| named("app"))
}

fn event_level(map: Seq<'_>) -> Option<Option<Level>> {
    let asked = map.get("annotations")?.map()?.get(EVENT_LEVEL)?.text()?.trim_ascii();
    if asked.eq_ignore_ascii_case(b"off") {
        return Some(None);
    }
    Level::from_word(asked).map(Some)
}

fn logs_budget(map: Seq<'_>) -> Option<Budget> {
    let asked = map.get("annotations")?.map()?.get(LOGS_BUDGET)?.text()?;
    Budget::parse(std::str::from_utf8(asked).ok()?).ok()
}

fn monitor_slug(map: Seq<'_>) -> Option<String> {
    let slug = map.get("annotations")?.map()?.get(MONITOR_SLUG)?.text()?.trim_ascii();
    (!slug.is_empty()).then(|| String::from_utf8_lossy(&slug[..slug.len().min(256)]).into_owned())
}

fn dsn(map: Seq<'_>, annotation: &str) -> Option<String> {
    let asked = map.get("annotations")?.map()?.get(annotation)?.text()?;
    let end = asked.len().min(MAX_ANNOTATION + 1);
    Some(String::from_utf8_lossy(&asked[..end]).into_owned())
}

impl Pod {
    /// The threshold for this pod: its own may be higher than the configured one, never lower.
    #[must_use]
    pub fn threshold(&self, configured: Option<Level>) -> Option<Level> {
        match self.event_level {
            Some(asked) => Some(configured?.max(asked?)),
            None => configured,
        }
    }
}

/// Labels that match a name or a pattern with a trailing `*`.
fn selected(labels: Seq<'_>, label_keys: &[String]) -> Vec<(String, String)> {
    let wanted = |key: &str| {
        label_keys.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == pattern,
        })
    };
    let texts = json::last_pairs(labels).filter_map(|(k, v)| Some((lossy(k)?, lossy(v)?)));
    texts.filter(|(key, value)| wanted(key) && !value.is_empty()).collect()
}

fn lossy(value: Value<'_>) -> Option<String> {
    value.text().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The owner where the filter was told to send it, else the pod's name without the parts that controllers generate.
fn workload(map: Seq<'_>, labels: Seq<'_>, pod_name: &str) -> String {
    let owner = map.get("ownerReferences").and_then(|owners| match owners {
        Value::Array(owners) => owners.values().next()?.map()?.get("name")?.text(),
        _ => None,
    });
    let hash = labels.get("pod-template-hash").and_then(|v| v.text());
    match (owner, hash) {
        (Some(owner), hash) => {
            let owner = String::from_utf8_lossy(owner).into_owned();
            let hash = hash.map(|hash| format!("-{}", String::from_utf8_lossy(hash)));
            hash.and_then(|hash| owner.strip_suffix(&hash)).map_or(owner.clone(), str::to_owned)
        }
        (None, Some(hash)) => {
            let end = pod_name.find(&format!("-{}-", String::from_utf8_lossy(hash)));
            end.map_or_else(|| without_generated(pod_name), |end| pod_name[..end].to_owned())
        }
        (None, None) => without_generated(pod_name),
    }
}

/// Returns `web-7d9f8b6c5-x2x7k` (Deployment), `agent-x2x7k` (DaemonSet, Job), `db-0` (StatefulSet) without the generated
/// suffix. Kubernetes draws such suffixes from letters without vowels and digits without 0, 1 and 3.
pub(crate) fn without_generated(pod_name: &str) -> String {
    let generated = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let ordinal = |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
    let Some((rest, last)) = pod_name.rsplit_once('-') else { return pod_name.to_owned() };
    if !generated(last, 5..=5) {
        return if ordinal(last) { rest.to_owned() } else { pod_name.to_owned() };
    }
    match rest.rsplit_once('-') {
        // A ReplicaSet's hash always has a digit or is long; `shop-pay-x2x7k` keeps `pay`.
        Some((name, hash)) if generated(hash, 8..=10) => name.to_owned(),
        _ => rest.to_owned(),
    }
}

/// `registry/shop/checkout:2.14.3` is `checkout@2.14.3`; an image without a tag, or `latest`, names no release.
fn release_of(image: &str) -> Option<String> {
    let image = image.split('@').next()?;
    let (name, tag) = image.rsplit('/').next()?.split_once(':')?;
    let sound = !tag.is_empty() && !tag.eq_ignore_ascii_case("latest") && !name.is_empty();
    limit::release(&format!("{name}@{tag}")).filter(|_| sound).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Cursor;

    #[test]
    fn a_version_stands_for_the_map_that_it_was_found_with() {
        let map = |bytes: &'static [u8]| Cursor::new(bytes).read().unwrap().map().unwrap();
        let [one, two] = [map(b"\x81\xa8pod_name\xa3one"), map(b"\x81\xa8pod_name\xa3two")];
        let settings = crate::options::load(
            |name| (name == "dsn").then(|| "http://00000000000000000000000000000000@host/1".to_owned()),
            |_| None,
        );
        let (settings, scrub) = (settings.unwrap().settings.mapping, scrub::Rules::default());
        let mut pods = Pods::default();
        let mut found = |map, version| {
            let place = pods.find_version((map, version), &settings, &scrub);
            pods.at(place).pod.clone()
        };
        assert_eq!([found(one, Some(1)), found(one, Some(1)), found(two, Some(2))], ["one", "one", "two"]);
        assert_eq!([found(one, None), found(two, Some(2)), found(one, Some(3))], ["one", "two", "one"]);
    }

    #[test]
    fn generated_parts_of_pod_names_go() {
        for (pod, workload) in [
            ("checkout-7d9f8b6c5-x2x7k", "checkout"),
            ("shop-pay-x2x7k", "shop-pay"),
            ("db-0", "db"),
            ("standalone", "standalone"),
            ("my-app", "my-app"),
            ("cron-28934210-zx4qf", "cron-28934210"),
        ] {
            assert_eq!(without_generated(pod), workload, "{pod}");
        }
    }

    #[test]
    fn a_pod_may_raise_its_event_level_but_never_lower_it() {
        let pod = |asked| Pod { event_level: asked, ..Pod::default() };
        let error = Some(Level::Error);
        assert_eq!(pod(None).threshold(error), error);
        assert_eq!(pod(Some(Some(Level::Fatal))).threshold(error), Some(Level::Fatal));
        assert_eq!(pod(Some(Some(Level::Info))).threshold(error), error);
        assert_eq!(pod(Some(None)).threshold(error), None);
        assert_eq!(pod(Some(Some(Level::Info))).threshold(None), None);
    }

    #[test]
    fn images_name_releases_only_with_a_real_tag() {
        assert_eq!(
            release_of("registry.example.invalid:5000/shop/checkout:2.14.3").as_deref(),
            Some("checkout@2.14.3")
        );
        assert_eq!(release_of("shop/checkout:2.14.3\n").as_deref(), Some("checkout@2.14.3"));
        for image in ["checkout", "r/checkout:latest", "r/checkout@sha256:abc", "localhost:5000/checkout", ""] {
            assert_eq!(release_of(image), None, "{image}");
        }
    }
}
