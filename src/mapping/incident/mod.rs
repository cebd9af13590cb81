//! Explains why a pod died: turns Kubernetes events and the kernel's OOM kills into events of the container that they are
//! about.
//!
//! The mapper recognises such records by their writer, never by a text that an application could write. A record of the
//! `kubernetes_events` input has the shape of an `Event` object and none of the fields of a container's line. A line of the
//! kernel comes from `kmsg`, from journald's kernel transport, or with a tag of `kernel_tags`. The mapper never looks for
//! incidents in records that belong to a container according to Fluent Bit, the tag or the file name.

mod containers;
mod context;
mod cron;
mod kernel;
mod kills;
mod kube_event;
mod reasons;
mod send;
mod source;
mod subject;
mod time;
mod write;

use super::letter::Letter;
use super::route::Routed;
use super::{Discard, Mapper, Origin, Reason, Sink, discard_both};
use crate::chunk::{Record, Timestamp};
use crate::level::Level;
use crate::mapping::extract::fields::{Fields, Role};
use crate::mapping::extract::interner::NameId;
use crate::mapping::resolve::identity::EventId;
use crate::mapping::resolve::kubernetes::Pods;
use crate::mapping::resolve::resolved_record::effective_time;
use crate::options::Source::{Field, Full};
use crate::options::{Budget, KubeEvents, Mapping};
use containers::Containers;
use context::{context_of_event, context_of_kill, size};
use cron::Crons;
pub use cron::{CheckIn, Status};
use kernel::{Killed, Line};
use kills::{Cgroup, Kill, Kills};
use kube_event::KubeEvent;
use send::{Parts, Plan, Source, send};
use source::{is_kernel_tag, kernel_line, priority};
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use subject::{Ownership, Subject, ownership, place_of, subject_of_event, subject_of_kill};
use write::Incident;
use xxhash_rust::xxh3::Xxh3;

/// Events of which it is remembered that their log was sent: the input lists all events of the last hour again when it
/// starts, and whenever the API server ends its watch.
const LISTED: usize = 8_192;

/// State that is remembered for incidents. Its size is bounded.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    containers: Containers,
    /// [`Pods::learnt`] when the containers were learnt last.
    learnt: u64,
    kills: Kills,
    listed: Listed,
    crons: Crons,
}

/// A set that forgets its oldest members.
#[derive(Debug, Default)]
struct Listed {
    all: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Listed {
    /// Returns false if it was there already.
    fn insert(&mut self, hash: u128) -> bool {
        if !self.all.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > LISTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
        true
    }
}

impl Incidents {
    /// Remembers the container of a record if it is a new one.
    #[inline]
    pub(super) fn learn(&mut self, pods: &Pods, place: usize) {
        if pods.learnt() != self.learnt {
            self.learnt = pods.learnt();
            let pod = pods.at(place);
            self.containers.learn(pod);
            self.crons.learn(&pod.namespace, &pod.workload, pod.monitor_slug.as_deref());
        }
    }
}

/// Returns true if the record has a field that only incidents have, or a tag whose lines are the kernel's.
#[inline]
pub(super) fn is_possible(fields: &Fields<'_>, kernel_tags: &[String], tag: &[u8]) -> bool {
    const NAMES: [NameId; 4] =
        [NameId::INVOLVED_OBJECT, NameId::KERNEL_SEQUENCE, NameId::TRANSPORT, NameId::TRANSPORT_LOWER];
    NAMES.iter().any(|name| fields.get(*name).is_some()) || !kernel_tags.is_empty() && is_kernel_tag(kernel_tags, tag)
}

impl Mapper {
    /// Takes the check-ins that records have made since the last call. They are worth nothing later.
    pub fn check_ins(&mut self) -> impl Iterator<Item = CheckIn> + use<> {
        std::mem::take(&mut self.incidents.crons.made).into_iter()
    }

    /// Handles a record that is an incident; returns false for any other, of which nothing has been said then. To be asked only
    /// about records that no container wrote. `message` is the record's text.
    pub(super) fn incident(
        &mut self,
        origin: Origin<'_>,
        (record, group, index): (Record<'_>, Option<Record<'_>>, u32),
        (fields, message): (&Fields<'_>, &[u8]),
        sink: &mut impl Sink,
    ) -> bool {
        let source = Source { record, letter: Letter::of(group), index };
        if fields.get(NameId::INVOLVED_OBJECT).is_some()
            && let Some(event) = KubeEvent::of(record)
        {
            self.kube_event(origin, source, (&event, fields), sink);
            return true;
        }
        let line = kernel_line(record, origin.tag, &self.settings.incidents.kernel_tags, message);
        let Some(line) = line.and_then(|text| Some((text, Line::of(text)?))) else { return false };
        self.kernel(origin, source, line, fields, sink);
        true
    }

    fn kube_event(
        &mut self,
        origin: Origin<'_>,
        source: Source<'_>,
        (event, fields): (&KubeEvent<'_>, &Fields<'_>),
        sink: &mut impl Sink,
    ) {
        let Self { settings, incidents: Incidents { containers, listed, crons, .. }, .. } = self;
        let subject = subject_of_event(event, containers);
        let Some(routed) = route_of(origin, &subject, source.letter) else {
            return discard_both(sink, source.index, Discard::filtered(Reason::NoDestination));
        };
        let hash = hash_of(routed, &[b"kubernetes event", event.uid.as_bytes(), &event.count.to_le_bytes()]);
        let ownership = ownership(&settings.incidents, &subject, containers);
        let level = level_of_event(event, settings);
        let threshold = event_threshold(settings, &subject);
        let is_letter = source.letter.is_some();
        if !is_letter && settings.incidents.kube_events != KubeEvents::Off && !sink.again(source.index) {
            let id = |namespace: &str, job: &str| {
                EventId::of_hash(hash_of(routed, &[b"check-in", namespace.as_bytes(), job.as_bytes()])).0
            };
            crons.take(event, routed.route.destination(), origin.now, id);
        }
        let no_event = match level {
            _ if is_letter => None,
            _ if settings.incidents.kube_events == KubeEvents::Off => Some(Reason::KubeEventsOff),
            _ if ownership == Ownership::OtherNode => Some(Reason::OtherNode),
            Some(level) if threshold.is_some_and(|threshold| level >= threshold) => None,
            level => Some(Reason::KubeEventLevel { level }),
        };
        // An event that names no node is every node's: as an event it has one id, but each of its logs would stay.
        let is_elsewhere = ownership != Ownership::Own;
        let no_log = match () {
            () if is_letter || sink.again(source.index) && !is_elsewhere => None,
            () if is_elsewhere => Some(Discard::filtered(Reason::OtherNode)),
            () if !listed.insert(hash) => Some(Discard::suppressed(Reason::Listed, routed.route)),
            () => None,
        };
        let (time, original_time) = effective_time(event.time, origin.now);
        let (streams, trace_id) = place_of((&self.crumbs, &self.waiting), &subject, event.time, time);
        let incident = Incident {
            id: own_id(source.letter, hash),
            trace_id,
            time,
            original_time,
            level: level.unwrap_or(Level::Info),
            logger: Cow::Borrowed(event.component),
            title: format!("{}: {}", event.reason, object_of(event, &subject)),
            body: format!("{}: {}", event.reason, event.message),
            text: Cow::Borrowed(event.message),
            exception: None,
            release: release_of(settings, &subject),
            server_name: server_name_of(settings, &subject, None),
            fingerprint: fingerprint(event.reason, &subject, &format!("{}/{}", event.kind, event.name)),
            names: names(
                &subject,
                &[("k8s.event.reason", event.reason), ("k8s.object.kind", event.kind), ("k8s.object.name", event.name)],
            ),
            attributes: vec![
                ("k8s.event.count", event.count.max(1).to_string(), Field),
                ("k8s.event.uid", event.uid.to_owned(), Full),
                ("k8s.object.uid", event.object_uid.to_owned(), Full),
            ],
            tags: subject.only().map_or(&[], |only| only.tags.as_slice()),
            kubernetes: subject.context(),
            context: ("kubernetes_event", context_of_event(source.record, fields)),
        };
        // The API server's times of the older kind are whole seconds.
        let until = Timestamp { secs: event.time.secs + u64::from(event.time.nanos == 0), ..event.time };
        let plan =
            Plan { incident, routed, payer: payer_of(&subject), key: "reason", streams, until, no_event, no_log };
        let (scrub, crumbs, waiting) = (&self.scrub, &self.crumbs, &self.waiting);
        let (storms, constant) = (&mut self.storms, self.constant.json());
        send(Parts { settings, scrub, crumbs, waiting, storms, constant }, origin, source, plan, sink);
    }

    /// A line of the kernel's about a kill: the event is that of the line that says which process was killed.
    fn kernel(
        &mut self,
        origin: Origin<'_>,
        source: Source<'_>,
        (text, line): (&str, Line<'_>),
        fields: &Fields<'_>,
        sink: &mut impl Sink,
    ) {
        let Self { settings, incidents: Incidents { containers, kills, .. }, .. } = self;
        let host = fields.candidates(Role::ServerName).find_map(|found| {
            let name = std::str::from_utf8(found.value.text()?).ok()?.trim();
            (!name.is_empty()).then_some(name)
        });
        let mut hash = Xxh3::new();
        hash.update(origin.tag);
        hash.update(&[0]);
        hash.update(host.unwrap_or_default().as_bytes());
        let kill = kills.next(hash.digest(), source.record.time, &line);
        let is_part = !matches!(kill, Kill::Of(_));
        let cgroup = if let Kill::Of(cgroup) = kill { cgroup } else { line.cgroup().map(Cgroup::new) };
        let killed = if let Line::Killed(killed) = line { killed } else { Killed::default() };
        let subject = subject_of_kill(cgroup.as_ref(), host, containers);
        let Some(routed) = route_of(origin, &subject, source.letter) else {
            return discard_both(sink, source.index, Discard::filtered(Reason::NoDestination));
        };
        // The same line may be read twice: again from the kernel's buffer at a restart, and from journald too.
        let place = cgroup.as_ref().map_or(host.unwrap_or_default(), |cgroup: &Cgroup| cgroup.own.as_str());
        let hash = hash_of(routed, &[b"oom kill", place.as_bytes(), text.as_bytes()]);
        let threshold = event_threshold(settings, &subject);
        let no_event = match threshold {
            _ if source.letter.is_some() => None,
            _ if is_part => Some(Reason::SameKill),
            Some(_) => None,
            None => Some(Reason::Below { level: Level::Fatal, threshold }),
        };
        let (time, original_time) = effective_time(source.record.time, origin.now);
        let (streams, trace_id) = place_of((&self.crumbs, &self.waiting), &subject, source.record.time, time);
        let anon = killed.anon_rss.map(|kib| format!(" (anon {})", size(kib))).unwrap_or_default();
        let node = subject.node.as_deref().unwrap_or("this node");
        let place = match (subject.pod.is_empty(), subject.container.as_deref()) {
            (false, Some(container)) => {
                format!("in container {container} of {}/{}", subject.namespace, subject.workload)
            }
            (false, None) => format!("in a container of {}/{}", subject.namespace, subject.workload),
            (true, _) => format!("on {node}"),
        };
        let incident = Incident {
            id: own_id(source.letter, hash),
            trace_id,
            time,
            original_time,
            level: if is_part { priority(source.record).unwrap_or(Level::Info) } else { Level::Fatal },
            logger: Cow::Borrowed("kernel"),
            title: format!("{}{anon} killed {place}", killed.task),
            body: text.to_owned(),
            text: Cow::Borrowed(text),
            exception: Some("OOMKilled"),
            release: release_of(settings, &subject),
            server_name: server_name_of(settings, &subject, host),
            fingerprint: fingerprint("OOMKilled", &subject, &format!("Node/{node}")),
            names: names(&subject, &[("process.executable.name", killed.task)]),
            attributes: [("process.pid", killed.pid.to_string(), Field)]
                .into_iter()
                .filter(|_| killed.pid > 0)
                .collect(),
            tags: subject.only().map_or(&[], |only| only.tags.as_slice()),
            kubernetes: subject.context(),
            context: ("oom_kill", context_of_kill(&killed, cgroup.as_ref())),
        };
        let until = source.record.time;
        let plan = Plan {
            incident,
            routed,
            payer: payer_of(&subject),
            key: "priority",
            streams,
            until,
            no_event,
            no_log: None,
        };
        let (scrub, crumbs, waiting) = (&self.scrub, &self.crumbs, &self.waiting);
        let (storms, constant) = (&mut self.storms, self.constant.json());
        send(Parts { settings, scrub, crumbs, waiting, storms, constant }, origin, source, plan, sink);
    }
}

/// Returns the object of an event, in the form that the event's title uses.
fn object_of(event: &KubeEvent<'_>, subject: &Subject<'_>) -> String {
    match (event.namespace, event.container) {
        ("", _) => event.name.to_owned(),
        (namespace, Some(container)) => format!("{container} in {namespace}/{}", subject.workload),
        (namespace, None) => format!("{namespace}/{}", subject.workload),
    }
}

/// Returns the fingerprint, the same for all incidents of a kind, workload and container; `other` is used if there is no
/// workload.
fn fingerprint(kind: &str, subject: &Subject<'_>, other: &str) -> Vec<String> {
    let workload = match (subject.namespace.is_empty(), subject.workload.is_empty()) {
        (false, false) => format!("{}/{}", subject.namespace, subject.workload),
        _ => other.to_owned(),
    };
    [kind.to_owned(), workload].into_iter().chain(subject.container.as_deref().map(str::to_owned)).collect()
}

fn names<'s>(subject: &'s Subject<'_>, own: &[(&'static str, &'s str)]) -> Vec<(&'static str, Cow<'s, str>)> {
    let own = own.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, Cow::Borrowed(*value)));
    own.chain(subject.names()).collect()
}

fn hash_of(routed: Routed, parts: &[&[u8]]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&routed.identity.to_le_bytes());
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

fn server_name_of<'s>(settings: &'s Mapping, subject: &'s Subject<'_>, host: Option<&'s str>) -> Option<Cow<'s, str>> {
    settings.server_name.as_deref().or(subject.node.as_deref()).or(host).map(Cow::Borrowed)
}

/// The level of an event; `None` if it is to be no issue.
fn level_of_event(event: &KubeEvent<'_>, settings: &Mapping) -> Option<Level> {
    let given = settings.incidents.levels.iter().find(|(reason, _)| reason.eq_ignore_ascii_case(event.reason));
    let usual = if event.is_warning { reasons::level_of(event.reason) } else { Level::Info };
    given.map_or(Some(usual), |(_, level)| *level)
}

/// The lowest level of an incident that becomes an event: `warning`, or less if `event_level` is less; a pod may ask for more.
fn event_threshold(settings: &Mapping, subject: &Subject<'_>) -> Option<Level> {
    let configured = settings.event_level?.min(Level::Warn);
    match subject.known.iter().find_map(|container| container.event_level) {
        Some(asked) => Some(configured.max(asked?)),
        None => Some(configured),
    }
}

fn route_of(origin: Origin<'_>, subject: &Subject<'_>, letter: Option<Letter>) -> Option<Routed> {
    let dsn = subject.known.iter().find_map(|container| container.dsn.as_deref());
    origin.router.route(&subject.namespace, dsn).unless_left_out(letter.is_some())
}

fn payer_of(subject: &Subject<'_>) -> (String, String, Option<Budget>) {
    let budget = subject.known.iter().find_map(|container| container.logs_budget);
    (subject.namespace.to_string(), subject.workload.to_string(), budget)
}

/// A dead letter keeps the id that it had.
fn own_id(letter: Option<Letter>, hash: u128) -> EventId {
    letter.and_then(|letter| letter.event_id).unwrap_or_else(|| EventId::of_hash(hash))
}

fn release_of<'s>(settings: &'s Mapping, subject: &'s Subject<'_>) -> Option<Cow<'s, str>> {
    let of_container = || subject.only()?.release.as_deref();
    settings.release.as_deref().or_else(of_container).map(Cow::Borrowed)
}
