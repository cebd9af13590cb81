//! Validates an envelope as Relay does, and reports what Relay would silently drop.

mod check_in;
mod event;
mod exception;
mod log;
mod report;

use super::auth;
use super::dsn::{Dsn, is_key};
use super::envelope::{self, Envelope, Item};
use super::findings::Findings;
use super::http::{Head, Refusal};
use super::store::{Accepted, CheckIn, ClientReport, Event, Log, Request};
use serde_json::Value;
use std::sync::Arc;

const MAX_EVENT_BYTES: usize = 1024 * 1024;
const MAX_CONTAINER_BYTES: usize = 12 * 1024 * 1024;
const MAX_LOG_BYTES: usize = 2 * 1024 * 1024;
const MAX_REPORT_BYTES: usize = 100 * 1024;
const MAX_CHECK_IN_BYTES: usize = 100 * 1024;
const MAX_REPORTS: usize = 100;
/// Clocks may differ by this much.
const MAX_FUTURE_SECONDS: f64 = 60.0;
/// Greatest age of the data that Relay keeps, in seconds (servers before 2026 and small plans: 30 days).
const MAX_AGE_SECONDS: f64 = 30.0 * 86_400.0;

/// Items that are, or make, an event: one of all of these together in an envelope.
const EVENT_LIKE: &[&str] = &["event", "transaction", "security", "feedback", "unreal_report", "raw_security"];
const OTHER_KNOWN: &[&str] = &[
    "attachment",
    "form_data",
    "nel",
    "user_report",
    "session",
    "sessions",
    "metric_buckets",
    "client_report",
    "profile",
    "profile_chunk",
    "replay_event",
    "replay_recording",
    "replay_video",
    "check_in",
    "log",
    "trace_metric",
    "span",
];

/// Whom to let in, and how strict to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    /// The one key that is known; `None`: any.
    pub key: Option<String>,
    /// Answer 200 and drop bad items, as Relay does.
    pub lenient: bool,
}

/// The outcome for one envelope.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The accepted items, or the refusal with which the request is answered.
    pub result: Result<Taken, Refusal>,
    pub problems: Vec<String>,
}

/// The accepted items, and the event id to answer with.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub items: Vec<Accepted>,
    pub event_id: Option<String>,
}

/// The project to which an envelope is addressed, and its sender.
struct Sender {
    project: u64,
    key: String,
    request: u64,
}

/// Judges a request to the envelope endpoint, its body already decoded.
pub(super) fn judge(policy: &Policy, request: &Request, head: &Head, now: f64) -> Verdict {
    let (taken, findings) = match admit(policy, request, head) {
        Ok((envelope, sender)) => take(&envelope, &sender, now),
        Err(refusal) => return Verdict { problems: refusal.problems(), result: Err(refusal) },
    };
    let problems = findings.into_problems();
    let result = if problems.is_empty() || policy.lenient {
        Ok(taken)
    } else {
        let detail = "invalid items; a real server would answer 200 and drop or change them";
        Err(Refusal { status: 400, detail: detail.to_owned(), causes: problems.clone() })
    };
    Verdict { result, problems }
}

/// Everything that is about the request, not about an item.
fn admit<'a>(policy: &Policy, request: &'a Request, head: &Head) -> Result<(Envelope<'a>, Sender), Refusal> {
    let project = request.project.ok_or_else(|| Refusal::new(400, "expected a number as project id in the path"))?;
    let asked = auth::public_key(head)?;
    let envelope = envelope::parse(&request.body)?;
    let named = match &envelope.header.dsn {
        None => None,
        Some(text) => Some(
            Dsn::parse(text).map_err(|cause| Refusal::new(400, "invalid dsn in the envelope header").because(cause))?,
        ),
    };
    let key = asked
        .or_else(|| named.as_ref().map(|dsn| dsn.key.clone()))
        .ok_or_else(|| Refusal::new(401, "missing authorization information"))?;
    if named.is_some_and(|dsn| dsn.key != key || dsn.project != project) {
        return Err(Refusal::new(400, "dsn in the envelope header does not match the request"));
    }
    if policy.key.as_ref().is_some_and(|known| *known != key) {
        return Err(Refusal::new(403, "event submission rejected with_reason: ProjectId"));
    }
    check_limits(&envelope.items)?;
    Ok((envelope, Sender { project, key, request: request.index }))
}

/// Limits that refuse the whole envelope.
fn check_limits(items: &[Item<'_>]) -> Result<(), Refusal> {
    let of = |kinds: &'static [&'static str]| items.iter().filter(|item| kinds.contains(&item.kind.as_str()));
    let bytes = |kinds| of(kinds).map(|item| item.payload.len()).sum::<usize>();
    let refuse = |what: &str, limit: String| {
        Err(Refusal::new(413, format!("envelope exceeded size limits for type '{what}': expected at most {limit}")))
    };
    if let Some(item) = items.iter().find(|item| item.kind == "integration") {
        return Err(Refusal::new(400, format!("item type {:?} is not for clients", item.kind)));
    }
    if of(EVENT_LIKE).count() > 1 {
        return refuse("event", "one event".to_owned());
    }
    if of(&["log"]).count() > 1 {
        return refuse("log", "one log container".to_owned());
    }
    if bytes(EVENT_LIKE) > MAX_EVENT_BYTES {
        return refuse("event", format!("{MAX_EVENT_BYTES} bytes"));
    }
    for item in of(&["log", "trace_metric", "span"]) {
        let count = item.header.get("item_count").and_then(Value::as_u64).unwrap_or(1).max(1);
        if item.payload.len() > MAX_CONTAINER_BYTES {
            return refuse(&item.kind, format!("{MAX_CONTAINER_BYTES} bytes"));
        }
        if item.kind == "log" && item.payload.len() as u64 / count > MAX_LOG_BYTES as u64 {
            return refuse("log", format!("{MAX_LOG_BYTES} bytes a log"));
        }
    }
    if bytes(&["check_in"]) > MAX_CHECK_IN_BYTES {
        return refuse("check_in", format!("{MAX_CHECK_IN_BYTES} bytes"));
    }
    if of(&["client_report"]).count() > MAX_REPORTS || bytes(&["client_report"]) > MAX_REPORT_BYTES {
        return refuse("client_report", format!("{MAX_REPORTS} items and {MAX_REPORT_BYTES} bytes"));
    }
    Ok(())
}

/// Judges each item; those Relay would drop are left out.
fn take(envelope: &Envelope<'_>, sender: &Sender, now: f64) -> (Taken, Findings) {
    let mut taken = Taken::default();
    let mut all = Findings::default();
    for (index, item) in envelope.items.iter().enumerate() {
        let known = |kind: &str| EVENT_LIKE.contains(&kind) || OTHER_KNOWN.contains(&kind);
        match item.kind.as_str() {
            "event" => take_event(envelope, item, sender, now, &mut taken, &mut all),
            "log" => take_logs(item, sender, now, &mut taken, &mut all),
            "client_report" => take_report(item, sender, &mut taken, &mut all),
            "check_in" => take_check_in(item, sender, &mut taken, &mut all),
            kind if known(kind) => {}
            kind => all.say(format!("item {index}: unknown type {kind:?}")),
        }
    }
    (taken, all)
}

fn take_event(
    envelope: &Envelope<'_>,
    item: &Item<'_>,
    sender: &Sender,
    now: f64,
    taken: &mut Taken,
    all: &mut Findings,
) {
    let mut findings = Findings::default();
    let named = envelope.header.event_id.as_deref();
    if let Some(payload) = json(item, &mut findings) {
        event::check(&payload, named, now, &mut findings);
        let own = payload.get("event_id").and_then(Value::as_str).and_then(envelope::uuid);
        if !findings.lost {
            let Sender { project, key, request } = sender;
            // The envelope's header wins over the payload; where neither has an id, the server makes one up.
            let event_id =
                named.map(str::to_owned).or(own).unwrap_or_else(|| format!("{:032x}", u128::from(*request) + 1));
            taken.event_id = Some(event_id.clone());
            let event = Event { project: *project, sentry_key: key.clone(), event_id, payload, request: *request };
            taken.items.push(Accepted::Event(Arc::new(event)));
        }
    }
    all.absorb(findings);
}

fn take_logs(item: &Item<'_>, sender: &Sender, now: f64, taken: &mut Taken, all: &mut Findings) {
    let mut findings = Findings::default();
    log::check_header(item, &mut findings);
    let logs = json(item, &mut findings).map(|payload| log::open(item, payload, &mut findings)).unwrap_or_default();
    let lost = findings.lost;
    all.absorb(findings);
    for (index, payload) in logs.into_iter().enumerate() {
        let mut findings = Findings::default();
        log::check(&format!("log.items[{index}]"), &payload, now, &mut findings);
        if !lost && !findings.lost {
            let Sender { project, key, request } = sender;
            let log = Log { project: *project, sentry_key: key.clone(), payload, request: *request };
            taken.items.push(Accepted::Log(Arc::new(log)));
        }
        all.absorb(findings);
    }
}

fn take_report(item: &Item<'_>, sender: &Sender, taken: &mut Taken, all: &mut Findings) {
    let mut findings = Findings::default();
    if let Some(payload) = json(item, &mut findings) {
        report::check(&payload, &mut findings);
        if !findings.lost {
            let Sender { project, key, request } = sender;
            let report = ClientReport { project: *project, sentry_key: key.clone(), payload, request: *request };
            taken.items.push(Accepted::ClientReport(Arc::new(report)));
        }
    }
    all.absorb(findings);
}

fn take_check_in(item: &Item<'_>, sender: &Sender, taken: &mut Taken, all: &mut Findings) {
    let mut findings = Findings::default();
    // Relay takes one of an envelope and rejects the others.
    if taken.items.iter().any(|item| matches!(item, Accepted::CheckIn(_))) {
        findings.say("check_in: expected one check-in per envelope".to_owned());
    } else if let Some(payload) = json(item, &mut findings) {
        check_in::check(&payload, &mut findings);
        if !findings.lost {
            let Sender { project, key, request } = sender;
            let check_in = CheckIn { project: *project, sentry_key: key.clone(), payload, request: *request };
            taken.items.push(Accepted::CheckIn(Arc::new(check_in)));
        }
    }
    all.absorb(findings);
}

fn json(item: &Item<'_>, findings: &mut Findings) -> Option<Value> {
    match serde_json::from_slice(item.payload) {
        Ok(value) => Some(value),
        Err(error) => {
            findings.say(format!("{}: expected JSON: {error}", item.kind));
            findings.lost = true;
            None
        }
    }
}

/// A point in time that Sentry would keep as it is.
fn check_time(path: &str, value: Option<&Value>, now: f64, findings: &mut Findings) {
    match value.and_then(super::timestamp::of_value) {
        None => findings.note(path, "seconds or RFC 3339", value),
        Some(seconds) if seconds > now + MAX_FUTURE_SECONDS => findings.note(path, "no time in the future", value),
        Some(seconds) if seconds < now - MAX_AGE_SECONDS => findings.note(path, "at most 30 days ago", value),
        Some(_) => {}
    }
}

/// A trace id that Sentry would keep: 32 hexadecimal digits, not all zero.
fn is_trace_id(text: &str) -> bool {
    is_key(text) && text.bytes().any(|byte| byte != b'0')
}

/// A span id: 16 hexadecimal digits, not all zero.
fn is_span_id(text: &str) -> bool {
    text.len() == 16 && super::dsn::is_hex(text) && text.bytes().any(|byte| byte != b'0')
}

/// `{"values": [...]}`, or the array alone.
fn values<'a>(path: &str, value: &'a Value, findings: &mut Findings) -> Option<&'a [Value]> {
    let values = value.as_array().or_else(|| value.get("values").and_then(Value::as_array));
    if values.is_none() {
        findings.note(path, "an array of values", Some(value));
    }
    values.map(Vec::as_slice)
}

#[cfg(test)]
mod tests;
