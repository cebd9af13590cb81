//! Determines the subject of an incident (a container, a pod or a node) and collects the facts that this instance knows
//! about it.

use super::containers::{Container, Containers};
use super::kernel;
use super::kills::Cgroup;
use super::kube_event::{self, KubeEvent};
use crate::chunk::Timestamp;
use crate::mapping::encode::json::Object;
use crate::mapping::encode::limit;
use crate::mapping::group::breadcrumbs::Breadcrumbs;
use crate::mapping::group::waiting::Waiting;
use crate::mapping::resolve::identity::{StreamId, TraceId};
use crate::options::{Incidents, KubeEvents};
use std::borrow::Cow;

/// The container, pod or node that an incident is about.
#[derive(Default)]
pub(super) struct Subject<'s> {
    pub namespace: Cow<'s, str>,
    pub pod: Cow<'s, str>,
    pub workload: Cow<'s, str>,
    pub container: Option<Cow<'s, str>>,
    pub node: Option<Cow<'s, str>>,
    /// The containers whose lines are its breadcrumbs.
    pub known: Vec<&'s Container>,
}

impl Subject<'_> {
    /// Returns the only container that it can be, for details that belong to that container alone.
    pub(super) fn only(&self) -> Option<&Container> {
        self.known.first().copied().filter(|_| self.known.len() == 1 && self.container.is_some())
    }

    /// Returns the `kubernetes` context: the container's own, else one made of the known details of the pod.
    pub(super) fn context(&self) -> Vec<u8> {
        if let Some(only) = self.only() {
            return only.context.clone();
        }
        let mut out = Vec::new();
        let mut context = Object::begin(&mut out);
        for (name, value) in self.names() {
            context.text(name, &limit::chars(&value, limit::CONTEXT_VALUE));
        }
        context.end();
        out
    }

    pub(super) fn names(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let given = |text: &str| !text.is_empty();
        let all = [
            ("k8s.namespace.name", Some(&self.namespace)),
            ("k8s.pod.name", Some(&self.pod)),
            ("k8s.container.name", self.container.as_ref()),
            ("k8s.node.name", self.node.as_ref()),
            ("k8s.workload.name", Some(&self.workload)),
        ];
        let all = all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| given(value))?)));
        all.map(|(name, value)| (name, Cow::Borrowed(value.as_ref()))).collect()
    }
}

pub(super) fn subject_of_event<'s>(event: &'s KubeEvent<'_>, containers: &'s Containers) -> Subject<'s> {
    let is_pod = event.kind == "Pod";
    let mut known: Vec<&Container> = Vec::new();
    if is_pod {
        let of_pod = containers.of_pod(event.namespace, event.name);
        known.extend(of_pod.filter(|known| event.container.is_none_or(|name| known.container == name)));
    }
    let first = known.first().copied();
    let workload = match first {
        Some(container) => Cow::Borrowed(kube_event::without_run(&container.workload)),
        None => Cow::Owned(event.workload()),
    };
    Subject {
        namespace: Cow::Borrowed(event.namespace),
        pod: Cow::Borrowed(if is_pod { event.name } else { "" }),
        workload: if event.kind == "Node" { Cow::Borrowed("") } else { workload },
        container: event.container.map(Cow::Borrowed),
        node: event.node.or_else(|| first?.node.as_deref()).map(Cow::Borrowed),
        known,
    }
}

pub(super) fn subject_of_kill<'s>(
    cgroup: Option<&'s Cgroup>,
    host: Option<&'s str>,
    containers: &'s Containers,
) -> Subject<'s> {
    let node = host.map(Cow::Borrowed);
    let Some(cgroup) = cgroup else { return Subject { node, ..Subject::default() } };
    let of_id = kernel::containers_in(&cgroup.own).find_map(|id| containers.of_id(&id));
    let of_pod = || kernel::pod_in(&cgroup.own).map(|uid| containers.of_uid(&uid).collect::<Vec<_>>());
    let known = of_id.map_or_else(|| of_pod().unwrap_or_default(), |container| vec![container]);
    let Some(first) = known.first().copied() else { return Subject { node, ..Subject::default() } };
    Subject {
        namespace: Cow::Borrowed(&first.namespace),
        pod: Cow::Borrowed(&first.pod),
        workload: Cow::Borrowed(kube_event::without_run(&first.workload)),
        container: of_id.map(|container| Cow::Borrowed(container.container.as_str())),
        node: first.node.as_deref().map(Cow::Borrowed).or(node),
        known,
    }
}

/// Whose business an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This instance's.
    Own,
    /// That of the instance of another node.
    OtherNode,
    /// That of each node's instance, because the event names no node.
    AnyNode,
}

pub(super) fn ownership(settings: &Incidents, subject: &Subject<'_>, containers: &Containers) -> Ownership {
    let mode = settings.kube_events;
    let own = match mode {
        KubeEvents::Cluster | KubeEvents::Off => return Ownership::Own,
        KubeEvents::Auto => containers.only_node(),
        KubeEvents::Node => settings.node.as_deref().or_else(|| containers.only_node()),
    };
    match (own, subject.node.as_deref()) {
        (None, _) if mode == KubeEvents::Auto => Ownership::Own,
        (Some(own), Some(node)) if own == node => Ownership::Own,
        (_, Some(_)) => Ownership::OtherNode,
        (_, None) if !subject.known.is_empty() => Ownership::Own,
        (_, None) => Ownership::AnyNode,
    }
}

/// The streams of the subject's lines, and the trace that the incident shares with the latest of them.
pub(super) fn place_of(
    (crumbs, waiting): (&Breadcrumbs, &Waiting),
    subject: &Subject<'_>,
    own: Timestamp,
    sent: Timestamp,
) -> (Vec<StreamId>, TraceId) {
    let streams: Vec<StreamId> = subject.known.iter().flat_map(|container| container.streams.all()).collect();
    let latest = streams.iter().filter_map(|stream| Some((crumbs.latest(*stream, waiting)?, *stream)));
    let latest = latest.filter(|(time, _)| time.secs <= own.secs.saturating_add(1)).max_by_key(|(time, _)| *time);
    let of_subject = || {
        let parts = [&*subject.namespace, &*subject.pod, subject.container.as_deref().unwrap_or_default()];
        StreamId::new(&[&[b"incident".as_slice()], parts.map(str::as_bytes).as_slice()].concat())
    };
    let stream = latest.map_or_else(of_subject, |(_, stream)| stream);
    (streams, stream.trace_id(sent))
}
