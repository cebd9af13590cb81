//! Writes the transition of each state for each response to `transitions.txt`, and compares it with the file there.

use super::*;
use crate::clock::WallTime;
use crate::delivery::dispatch::policy::HoldPlace;
use crate::delivery::transport::response::Limits;
use crate::ledger::PerCategory;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Monotonic = Monotonic::from_secs(1_000);

const POLICY: Policy = Policy {
    retry_base: SECOND,
    retry_max: Duration::from_secs(60),
    hold: PerCategory { event: Duration::from_secs(100), log: Duration::from_secs(100) },
    hold_place: HoldPlace::Chunk,
    has_multiple_destinations: true,
    compress: Compress::Gzip,
    replay: 2,
};

/// A request of one log, in the first encoding.
const ONE_LOG: Request = Request { category: Category::Log, items: 1, encoding_version: 0, is_poison: false };

fn response(kind: ResponseKind) -> Response {
    Response::new(kind, Limits::default())
}

fn limited(status: u16, header: &str) -> Response {
    let kind = if status == 429 { ResponseKind::Limited } else { ResponseKind::Accepted };
    Response::new(kind, Limits::read(status, Some(header), None, WallTime::EPOCH))
}

/// Returns the state of a new endpoint after these responses to single logs, one a second, the last a second ago.
fn after(responses: &[Response]) -> EndpointState {
    let mut state = EndpointState::new(POLICY.compress);
    for (response, ago) in responses.iter().zip((1..=responses.len()).rev()) {
        let at = NOW.checked_sub(SECOND * ago as u32).expect("expected a time after the start");
        let request = Request { encoding_version: state.encoding.version, ..ONE_LOG };
        state.on_response(request, response, &POLICY, at, 1.0);
    }
    state
}

fn states() -> Vec<(&'static str, EndpointState)> {
    use ResponseKind::{Accepted, Encoding, Failed, Malformed, Misconfigured};
    let accepted = response(Accepted);
    let rejected_items = [vec![accepted.clone()], vec![response(Malformed); 10]].concat();
    vec![
        ("unproven", after(&[])),
        ("unproven, no encoding left", after(&[response(Encoding)])),
        ("healthy", after(std::slice::from_ref(&accepted))),
        ("healthy, 10 items rejected in a row", after(&rejected_items)),
        ("healthy, logs limited", after(&[accepted.clone(), limited(429, "60:log_item:key")])),
        ("unreachable", after(&[accepted.clone(), response(Failed), response(Failed)])),
        ("misconfigured", after(&[accepted.clone(), response(Misconfigured)])),
        ("unreachable, then misconfigured", after(&[accepted, response(Failed), response(Misconfigured)])),
    ]
}

fn responses() -> Vec<(&'static str, Request, Response)> {
    let several = Request { items: 8, ..ONE_LOG };
    let outdated = Request { encoding_version: u32::MAX, ..ONE_LOG };
    let poison = Request { is_poison: true, ..ONE_LOG };
    vec![
        ("accepted", ONE_LOG, response(ResponseKind::Accepted)),
        ("accepted, limits events", ONE_LOG, limited(200, "30:error:key")),
        ("429, limits logs", ONE_LOG, limited(429, "30:log_item:key")),
        ("429, limits everything", ONE_LOG, limited(429, "30::key")),
        ("failed", ONE_LOG, response(ResponseKind::Failed)),
        ("failed, poison", poison, response(ResponseKind::Failed)),
        ("too large", several, response(ResponseKind::TooLarge)),
        ("malformed, one item", ONE_LOG, response(ResponseKind::Malformed)),
        ("malformed, several items", several, response(ResponseKind::Malformed)),
        ("malformed, earlier encoding", outdated, response(ResponseKind::Malformed)),
        ("encoding refused", ONE_LOG, response(ResponseKind::Encoding)),
        ("encoding refused, earlier one", outdated, response(ResponseKind::Encoding)),
        ("misconfigured", ONE_LOG, response(ResponseKind::Misconfigured)),
    ]
}

fn in_seconds(at: Monotonic) -> String {
    format!("{} s", at.since(NOW).as_secs())
}

/// Describes a state: its health, its limits, the single items rejected in a row, and its encoding if that is not the first.
fn described(state: &EndpointState) -> String {
    let mut text = match state.health {
        Health::Unproven => "unproven".to_owned(),
        Health::Healthy { .. } => "healthy".to_owned(),
        Health::Unreachable { backoff } => format!("unreachable, retry in {}", in_seconds(backoff.retry_at)),
        Health::Misconfigured { backoff, .. } => format!("misconfigured, retry in {}", in_seconds(backoff.retry_at)),
    };
    for category in Category::ALL {
        if let Some(limit) = state.rate_limits.active(*category, NOW) {
            write!(text, ", {}s limited {}", category.name(), in_seconds(limit.until)).expect("expected a text");
        }
    }
    if state.rate_limits.is_everything_limited(NOW) {
        text += ", no reports";
    }
    if state.encoding.consecutive_rejections > 0 {
        write!(text, ", {} items rejected", state.encoding.consecutive_rejections).expect("expected a text");
    }
    if state.encoding.encoding != POLICY.compress {
        write!(text, ", encoding {:?}", state.encoding.encoding).expect("expected a text");
    }
    text.to_lowercase()
}

fn table() -> String {
    let mut table = format!("{:<30} | {:<10} | {:<26} | next state\n", "response", "batch", "message");
    for (name, state) in states() {
        writeln!(table, "\n{name} ({})", described(&state)).expect("expected a text");
        for (what, request, response) in responses() {
            // An unset version means the present one.
            let version = if request.encoding_version == 0 { state.encoding.version } else { u32::MAX };
            let mut next = state;
            let request = Request { encoding_version: version, ..request };
            let transition = next.on_response(request, &response, &POLICY, NOW, 1.0);
            let batch = format!("{:?}", transition.next_step);
            let message = transition.message.map_or_else(|| "-".to_owned(), |message| format!("{message:?}"));
            writeln!(table, "{what:<30} | {batch:<10} | {message:<26} | {}", described(&next))
                .expect("expected a text");
        }
    }
    table
}

/// The file lists the transitions as they are. After an intended change, `UPDATE=1 cargo test transitions` writes it anew.
#[test]
fn transitions_match_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/delivery/dispatch/transitions.txt");
    let found = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).expect("expected to write the table");
    }
    let expected = std::fs::read_to_string(&path).expect("expected transitions.txt");
    for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of transitions.txt", line + 1);
    }
    assert_eq!(found, expected, "transitions.txt");
}

#[test]
fn replaced_endpoint_keeps_only_its_encoding_version() {
    for (name, state) in states() {
        let replaced = state.replaced(Compress::Zstd);
        let mut expected = EndpointState::new(Compress::Zstd);
        expected.encoding.version = state.encoding.version + 1;
        assert_eq!(replaced, expected, "{name}");
    }
}

#[test]
fn health_and_encoding_agree_on_acceptance() {
    for (name, state) in states() {
        for (what, request, response) in responses() {
            let mut next = state;
            next.on_response(request, &response, &POLICY, NOW, 1.0);
            match next.health {
                Health::Healthy { .. } => assert!(next.encoding.is_proven, "{name}, {what}: {next:?}"),
                Health::Unproven => assert!(!next.encoding.is_proven, "{name}, {what}: {next:?}"),
                Health::Unreachable { .. } | Health::Misconfigured { .. } => {}
            }
        }
    }
}
