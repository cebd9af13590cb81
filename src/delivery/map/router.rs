//! Answers the mapping's question where a record goes: asks the destinations once for each run of records with the same
//! namespace and annotation, and logs records that do not go where they ask to.

use crate::clock::Monotonic;
use crate::delivery::Shared;
use crate::delivery::report::host::Severity;
use crate::delivery::route::table::{Complaint, RouteTable};
use crate::mapping::{Route, Router};
use std::cell::RefCell;
use std::time::Duration;

/// Shortest interval between two log lines about the same kind of complaint.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

/// Longest name of a namespace that is repeated in a line of log; Kubernetes has none longer.
const MAX_NAME: usize = 63;

/// Answers for the records of one chunk.
#[derive(Debug)]
pub(in crate::delivery) struct ChunkRouter<'t> {
    targets: &'t RouteTable,
    now: Monotonic,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// True once `namespace`, `annotation` and `route` hold the latest look-up: a chunk's records mostly come from one
    /// container.
    known: bool,
    namespace: String,
    annotation: Option<String>,
    route: Option<Route>,
    complaints: Vec<(String, Complaint)>,
    more: u64,
}

/// Complaints of one chunk that are kept word for word.
const KEPT: usize = 4;

impl<'t> ChunkRouter<'t> {
    pub(in crate::delivery) fn new(targets: &'t RouteTable, now: Monotonic) -> Self {
        Self { targets, now, state: RefCell::default() }
    }
}

impl Router for ChunkRouter<'_> {
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Option<Route> {
        let mut state = self.state.borrow_mut();
        // Nothing is never compared: an empty string may be at an address at which a wide comparison stumbles.
        let is_same = match (state.namespace.is_empty(), namespace.is_empty()) {
            (false, false) => state.namespace == namespace,
            (old, new) => old == new,
        };
        if state.known && is_same && state.annotation.as_deref() == annotation {
            return state.route;
        }
        let (route, complaint) = self.targets.route(namespace, annotation, self.now);
        state.known = true;
        state.namespace = namespace.to_owned();
        state.annotation = annotation.map(str::to_owned);
        state.route = route;
        match complaint {
            Some(complaint) if state.complaints.len() < KEPT => {
                state.complaints.push((namespace.to_owned(), complaint))
            }
            Some(_) => state.more += 1,
            None => {}
        }
        route
    }
}

/// Complaints that are logged once a minute, at most.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Complaints {
    annotations: Once,
    nowhere: Once,
}

#[derive(Debug, Default)]
struct Once {
    said: Option<Monotonic>,
    since: u64,
}

impl Complaints {
    /// Counts the complaints of a chunk's routing, and logs those of a kind that are due.
    pub(in crate::delivery) fn add(&mut self, router: ChunkRouter<'_>, shared: &Shared) {
        let now = router.now;
        let state = router.state.into_inner();
        for (namespace, complaint) in &state.complaints {
            let (once, kind) = match complaint {
                Complaint::Refused(_) | Complaint::TooMany => (&mut self.annotations, "annotation"),
                Complaint::Nowhere => (&mut self.nowhere, "nowhere"),
            };
            once.since += 1 + state.more / state.complaints.len() as u64;
            if once.said.is_none_or(|said| now >= said + SAY_INTERVAL) {
                let times = std::mem::take(&mut once.since);
                once.said = Some(now);
                shared.say(Severity::Warn, kind, text(namespace, complaint, times));
            }
        }
    }
}

fn text(namespace: &str, complaint: &Complaint, times: u64) -> String {
    // Whoever writes records may have written this name, too.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = namespace.chars().take(MAX_NAME).map(|c| if plain(c) { c } else { '?' }).collect();
    let name = if name.is_empty() { "records without a namespace".to_owned() } else { format!("namespace {name}") };
    match complaint {
        Complaint::Refused(refusal) => format!(
            "dsn_annotation: the annotation of a pod is ignored ({name}: {refusal}); its records are routed without it \
             [{times} times]"
        ),
        Complaint::TooMany => format!(
            "dsn_annotation: too many destinations are named by annotations at once ({name}); these records are \
             routed without them [{times} times]"
        ),
        Complaint::Nowhere => format!(
            "no destination for some records ({name}): neither a file of theirs in dsn_dir nor a default dsn; they count \
             as filtered [{times} times]"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Hosts;

    #[test]
    fn what_is_said_of_an_annotation_shows_neither_key_nor_control_characters() {
        let key = "0123456789abcdef0123456789abcdef";
        let hosts = Hosts::parse("sentry.example.com").unwrap();
        for annotation in [format!("https://{key}@evil.example.net/1"), format!("x{key}\n")] {
            let refused = Complaint::Refused(hosts.judge(&annotation).unwrap_err());
            let line = text("sh\u{1b}[31mop\n", &refused, 3);
            assert!(line.contains("namespace sh??31mop?") && line.ends_with("[3 times]"), "{line}");
            assert!(!line.contains(key) && !line.contains(char::is_control), "{line}");
        }
        assert!(text("", &Complaint::Nowhere, 1).contains("records without a namespace"));
    }
}
