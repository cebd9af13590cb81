//! Remembers the containers whose lines this instance has seen: the facts that an incident about a container needs, and the
//! streams of its lines.

use crate::level::Level;
use crate::mapping::resolve::identity::StreamIds;
use crate::mapping::resolve::kubernetes::Pod;
use crate::options::Budget;

/// Most containers that are remembered. Beyond it the one that was learnt longest ago is forgotten.
const MOST: usize = 512;

/// Ids that are remembered of a container: each restart has another one.
const IDS: usize = 4;

/// The id that a container runtime gives a container: 64 hexadecimal digits.
pub(super) type ContainerId = [u8; 32];

/// Data that is remembered about a container.
#[derive(Clone, Debug, Default)]
pub(super) struct Container {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub workload: String,
    pub node: Option<String>,
    pub release: Option<String>,
    /// Tags of its events.
    pub tags: Vec<(String, String)>,
    /// The `kubernetes` context of its events, a JSON object.
    pub context: Vec<u8>,
    pub streams: StreamIds,
    /// The event level that the pod requests with `k8s.sentry.io/event-level`.
    pub event_level: Option<Option<Level>>,
    /// The most that the pod asks its logs to cost.
    pub logs_budget: Option<Budget>,
    /// The DSN that the pod asks for.
    pub dsn: Option<String>,
    /// The newest last.
    ids: Vec<ContainerId>,
    pod_uid: Option<String>,
}

/// The containers, those learnt last at the end.
#[derive(Debug, Default)]
pub(super) struct Containers(Vec<Container>);

impl Containers {
    /// Remembers the container of a record, or new facts about it.
    pub(super) fn learn(&mut self, pod: &Pod) {
        if pod.namespace.is_empty() || pod.pod.is_empty() {
            return;
        }
        let same = |known: &Container| {
            known.namespace == pod.namespace && known.pod == pod.pod && known.container == pod.container
        };
        let known = self.0.iter().position(same).map(|place| self.0.remove(place));
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        let mut ids = known.as_ref().map(|known| known.ids.clone()).unwrap_or_default();
        if let Some(id) = pod.docker_id.as_deref().and_then(|id| container_id(id.as_bytes())) {
            ids.retain(|known| *known != id);
            ids.push(id);
            if ids.len() > IDS {
                ids.remove(0);
            }
        }
        let known = known.unwrap_or_default();
        self.0.push(Container {
            namespace: pod.namespace.clone(),
            pod: pod.pod.clone(),
            container: pod.container.clone(),
            workload: pod.workload.clone(),
            // Without an answer of the API server the filter's map has only what the tag says.
            node: pod.node.clone().or(known.node),
            release: pod.release.clone().or(known.release),
            tags: if pod.tags.len() >= known.tags.len() { pod.tags.clone() } else { known.tags },
            context: if pod.context.len() >= known.context.len() { pod.context.clone() } else { known.context },
            streams: pod.streams,
            event_level: pod.event_level.or(known.event_level),
            logs_budget: pod.logs_budget.or(known.logs_budget),
            dsn: pod.dsn.clone().or(known.dsn),
            ids,
            pod_uid: pod.uid.as_deref().map(str::to_ascii_lowercase).or(known.pod_uid),
        });
    }

    /// The container with this id.
    pub(super) fn of_id(&self, id: &ContainerId) -> Option<&Container> {
        self.0.iter().rev().find(|container| container.ids.contains(id))
    }

    /// The containers of the pod with this uid.
    pub(super) fn of_uid(&self, uid: &str) -> impl Iterator<Item = &Container> {
        self.0.iter().filter(move |container| container.pod_uid.as_deref() == Some(uid))
    }

    /// The containers of a pod.
    pub(super) fn of_pod(&self, namespace: &str, pod: &str) -> impl Iterator<Item = &Container> {
        self.0.iter().filter(move |container| container.namespace == namespace && container.pod == pod)
    }

    /// The node of all containers, if it is one and the same.
    pub(super) fn only_node(&self) -> Option<&str> {
        let mut nodes = self.0.iter().filter_map(|container| container.node.as_deref());
        let first = nodes.next()?;
        nodes.all(|node| node == first).then_some(first)
    }
}

/// Reads 64 hexadecimal digits.
pub(super) fn container_id(text: &[u8]) -> Option<ContainerId> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut id = ContainerId::default();
    if pairs.len() != id.len() || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    for (byte, [high, low]) in id.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(id)
}
