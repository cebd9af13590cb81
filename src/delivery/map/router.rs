//! Routes the records of a chunk: asks the route table once for each run of records with the same namespace and annotation,
//! and logs records whose annotation is refused or that have no destination.

use crate::clock::Monotonic;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::route::table::{Complaint, RouteTable};
use crate::delivery::shared::state::Shared;
use crate::mapping::{Routed, Router};
use std::cell::RefCell;

/// Longest name of a namespace that is repeated in a line of log; Kubernetes has none longer.
const MAX_NAME: usize = 63;

/// Routes the records of one chunk.
#[derive(Debug)]
pub(in crate::delivery) struct ChunkRouter<'t> {
    route_table: &'t RouteTable,
    now: Monotonic,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The result of the last look-up, which was for `namespace` and `annotation`: a chunk's records mostly come from one
    /// container.
    routed: Option<Routed>,
    namespace: String,
    annotation: Option<String>,
    /// Annotations that were not followed.
    annotations: Complaints,
    /// Records without a destination.
    unrouted: Complaints,
}

/// Complaints of one kind about the records of one chunk.
#[derive(Debug, Default)]
struct Complaints {
    /// The first of them, with the namespace of its record.
    first: Option<(String, Complaint)>,
    times: u64,
}

impl<'t> ChunkRouter<'t> {
    pub(in crate::delivery) fn new(route_table: &'t RouteTable, now: Monotonic) -> Self {
        Self { route_table, now, state: RefCell::default() }
    }

    /// Reports the complaints about the chunk's records for the log: for each kind the first one, and their number.
    pub(in crate::delivery) fn report(self, shared: &Shared) {
        let state = self.state.into_inner();
        for (kind, complaints) in [(LogKind::Annotation, state.annotations), (LogKind::Unrouted, state.unrouted)] {
            if let Some((namespace, complaint)) = complaints.first {
                shared.log_times(Severity::Warn, kind, text(&namespace, &complaint), complaints.times);
            }
        }
    }
}

impl Router for ChunkRouter<'_> {
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Routed {
        let mut state = self.state.borrow_mut();
        // Empty strings are not compared byte by byte: one may be at an address at which a wide comparison is slow.
        let is_same = match (state.namespace.is_empty(), namespace.is_empty()) {
            (false, false) => state.namespace == namespace,
            (old, new) => old == new,
        };
        if let Some(routed) = state.routed.filter(|_| is_same && state.annotation.as_deref() == annotation) {
            return routed;
        }
        let (routed, complaint) = self.route_table.route(namespace, annotation, self.now);
        state.namespace = namespace.to_owned();
        state.annotation = annotation.map(str::to_owned);
        state.routed = Some(routed);
        if let Some(complaint) = complaint {
            let complaints = match complaint {
                Complaint::Refused(_) | Complaint::TooMany => &mut state.annotations,
                Complaint::Unrouted => &mut state.unrouted,
            };
            complaints.times += 1;
            complaints.first.get_or_insert_with(|| (namespace.to_owned(), complaint));
        }
        routed
    }
}

fn text(namespace: &str, complaint: &Complaint) -> String {
    // The name comes from a record, so it is escaped and cut.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = namespace.chars().take(MAX_NAME).map(|c| if plain(c) { c } else { '?' }).collect();
    let name = if name.is_empty() { "records without a namespace".to_owned() } else { format!("namespace {name}") };
    match complaint {
        Complaint::Refused(refusal) => format!(
            "dsn_annotation: the annotation of a pod is ignored ({name}: {refusal}); its records are routed without it"
        ),
        Complaint::TooMany => format!(
            "dsn_annotation: too many destinations are named by annotations at once ({name}); these records are \
             routed without them"
        ),
        Complaint::Unrouted => format!(
            "no destination for some records ({name}): no file in dsn_dir and no default dsn applies to them; they count \
             as filtered"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::property::{Directory, Instance, Time, loaded};
    use crate::delivery::report::log_throttle::{LogSubject, LogThrottle};
    use crate::delivery::shared::inbox::Message;
    use crate::options::{Destination, Hosts};
    use std::sync::Arc;
    use std::time::Duration;

    /// Returns how many occurrences a line stands for.
    fn occurrences(line: &str) -> u64 {
        let number = |text: &str| text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        match (line.split_once("[and "), line.rsplit_once('[')) {
            (Some((_, rest)), _) => 1 + number(rest).unwrap(),
            (None, Some((_, rest))) => number(rest).unwrap(),
            (None, None) => 1,
        }
    }

    /// The dispatcher reads a message some time after it was sent, and not always the same time. When the mapper limited
    /// its lines too, a line that came a little less than a minute after the one before was suppressed with its count.
    #[test]
    fn counts_every_complaint_before_a_late_reading() {
        let directory = Directory(std::env::temp_dir().join(format!("out_sentry-complaints-{}", std::process::id())));
        let instance = Instance::start("complaints", &loaded("memory", &directory.0, 1), &Arc::new(Time::default()));
        let (table, mut throttle) = (RouteTable::new(&Destination::default()), LogThrottle::default());
        let (mut complaints, mut lines) = (0, Vec::new());
        for second in 0..=300_u64 {
            let now = Monotonic::from_secs(second);
            let router = ChunkRouter::new(&table, now);
            for namespace in ["shop", "payments", "shop"] {
                assert_eq!(router.route(namespace, None), Routed::UNROUTED);
                complaints += 1;
            }
            router.report(instance.shared);
            let delay = Duration::from_millis(if second % 120 == 0 { 900 } else { 100 });
            for message in instance.inbox.try_iter() {
                let Message::LogThrottled(request) = message else { panic!("expected a line, found {message:?}") };
                let subject = (request.kind, LogSubject::Instance);
                lines.extend(throttle.log_times(subject, &request.text, request.times, now + delay));
            }
        }
        assert!((4..=6).contains(&lines.len()), "expected one line a minute, found {lines:?}");
        // All but those since the last line, of less than a minute.
        let counted: u64 = lines.iter().map(|line| occurrences(line)).sum();
        assert!(complaints - counted < 3 * 60, "expected about {complaints}, found {counted}: {lines:?}");
    }

    #[test]
    fn complaint_hides_keys_and_control_characters() {
        let key = "0123456789abcdef0123456789abcdef";
        let hosts = Hosts::parse("sentry.example.com").unwrap();
        for annotation in [format!("https://{key}@evil.example.net/1"), format!("x{key}\n")] {
            let refused = Complaint::Refused(hosts.judge(&annotation).unwrap_err());
            let line = text("sh\u{1b}[31mop\n", &refused);
            assert!(line.contains("namespace sh??31mop?"), "{line}");
            assert!(!line.contains(key) && !line.contains(char::is_control), "{line}");
        }
        assert!(text("", &Complaint::Unrouted).contains("records without a namespace"));
    }
}
