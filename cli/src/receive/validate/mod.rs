//! Validates an envelope as Relay does, and reports what Relay would silently drop.

mod check_in;
mod event;
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
        findings.say("check_in: expected one in an envelope".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";
    const NOW: f64 = 1_800_000_000.0;

    fn head() -> Head {
        let auth = format!("Sentry sentry_version=7, sentry_key={KEY}");
        Head { headers: vec![("x-sentry-auth".into(), auth)], ..Head::default() }
    }

    fn item(kind: &str, extra: &str, payload: &str) -> String {
        format!("\n{{\"type\":\"{kind}\",\"length\":{}{extra}}}\n{payload}", payload.len())
    }

    fn logs(count: usize, items: &str) -> String {
        let extra = format!(",\"item_count\":{count},\"content_type\":\"application/vnd.sentry.items.log+json\"");
        item("log", &extra, &format!("{{\"version\":2,\"items\":[{items}]}}"))
    }

    fn log() -> String {
        format!("{{\"timestamp\":{NOW},\"trace_id\":\"{ID}\",\"level\":\"info\",\"body\":\"b\"}}")
    }

    fn request(project: Option<u64>, body: &str) -> Request {
        let (method, path, encoding) = ("POST".to_owned(), "/".to_owned(), "identity".to_owned());
        let (headers, problems, body) = (Vec::new(), Vec::new(), body.as_bytes().to_vec());
        let (raw_len, arrival) = (body.len(), std::time::Instant::now());
        let (status, accepted) = (None, false);
        Request {
            index: 5,
            connection: 0,
            method,
            path,
            headers,
            project,
            status,
            accepted,
            body,
            raw_len,
            encoding,
            arrival,
            problems,
        }
    }

    fn verdict(policy: &Policy, head: &Head, body: &str) -> Verdict {
        judge(policy, &request(Some(1), body), head, NOW)
    }

    fn status(body: &str) -> u16 {
        verdict(&Policy::default(), &head(), body).result.map_or_else(|refusal| refusal.status, |_| 200)
    }

    #[test]
    fn statuses() {
        let event = item("event", "", "{\"level\":\"error\"}");
        let with_id = format!("{{\"event_id\":\"{ID}\"}}");
        let big = |size: usize| format!("{{\"level\":\"error\",\"pad\":\"{}\"}}", "x".repeat(size));
        let many_reports = item("client_report", "", "{\"discarded_events\":[]}").repeat(101);
        for (body, expected) in [
            (format!("{with_id}{event}"), 200),
            (format!("{{}}{}", logs(1, &log())), 200),
            (format!("{{}}{}", logs(2, &format!("{},{}", log(), log()))), 200),
            (format!("{{}}{event}"), 400),
            (format!("{with_id}{event}{event}"), 413),
            (format!("{with_id}{event}{}", item("transaction", "", "{}")), 413),
            (format!("{{}}{}{}", logs(1, &log()), logs(1, &log())), 413),
            (format!("{with_id}{}", item("event", "", &big(MAX_EVENT_BYTES))), 413),
            (format!("{{}}{}", logs(1, &big(2 * MAX_LOG_BYTES))), 413),
            (format!("{{}}{}", logs(100, &big(MAX_CONTAINER_BYTES))), 413),
            (format!("{{}}{many_reports}"), 413),
            (format!("{{}}{}", item("integration", "", "")), 400),
            (format!("{{}}{}", item("nonsense", "", "")), 400),
            (format!("{{}}{}", item("session", "", "{}")), 200),
            (format!("{with_id}{}", item("event", "", "not json")), 400),
            (format!("{{}}{}", logs(2, &log())), 400),
            (String::new(), 400),
        ] {
            assert_eq!(status(&body), expected, "{body:.200}");
        }
    }

    #[test]
    fn admission() {
        let other = KEY.replace('0', "f");
        let dsn = |key: &str, project: u64| format!("{{\"dsn\":\"http://{key}@h/{project}\"}}");
        let anonymous = Head::default();
        for (head, body, expected) in [
            (&anonymous, "{}".to_owned(), Err(401)),
            (&anonymous, dsn(KEY, 1), Ok(())),
            (&head(), dsn(KEY, 1), Ok(())),
            (&head(), dsn(KEY, 2), Err(400)),
            (&head(), dsn(&other, 1), Err(400)),
            (&head(), "{\"dsn\":\"nonsense\"}".to_owned(), Err(400)),
        ] {
            let result = verdict(&Policy::default(), head, &body).result;
            assert_eq!(result.map(drop).map_err(|refusal| refusal.status), expected, "{body}");
        }
        let policy = Policy { key: Some(other), lenient: true };
        assert_eq!(verdict(&policy, &head(), "{}").result.unwrap_err().status, 403);
        assert_eq!(judge(&Policy::default(), &request(None, "{}"), &head(), NOW).result.unwrap_err().status, 400);
    }

    #[test]
    fn lenient_drops_what_relay_drops_and_says_so() {
        let bad = log().replace("\"body\":\"b\"", "\"body\":null");
        let odd = log().replace("info", "warning");
        let body = format!("{{}}{}", logs(3, &format!("{},{bad},{odd}", log())));
        let verdict = verdict(&Policy { key: None, lenient: true }, &head(), &body);
        assert_eq!(verdict.result.unwrap().items.len(), 2);
        assert_eq!(
            verdict.problems,
            [
                "log.items[1].body: expected a string, found null",
                "log.items[2].level: expected one of trace debug info warn error fatal, found \"warning\"",
            ]
        );
        assert_eq!(status(&body), 400);
    }

    #[test]
    fn the_envelope_names_the_event() {
        let body = format!("{{\"event_id\":\"{ID}\"}}{}", item("event", "", "{\"level\":\"error\"}"));
        let taken = verdict(&Policy::default(), &head(), &body).result.unwrap();
        assert_eq!(taken.event_id.as_deref(), Some(ID));
        let Some(Accepted::Event(event)) = taken.items.first() else { panic!("no event") };
        assert_eq!((event.project, event.sentry_key.as_str(), event.event_id.as_str()), (1, KEY, ID));
        assert_eq!(event.request, 5);

        let unnamed = format!("{{}}{}", item("event", "", "{}"));
        let taken = verdict(&Policy { key: None, lenient: true }, &head(), &unnamed).result.unwrap();
        assert_eq!(taken.event_id, Some(format!("{:032x}", 6)));
    }

    /// Random damage to good envelopes, whose outcome is then shown in every way there is.
    #[test]
    fn no_bytes_panic() {
        let payload = r#"{"level":"error","timestamp":1800000000,"tags":[["a","b"]],"exception":{"values":[{"type":"E",
            "stacktrace":{"frames":[{"function":"f","lineno":1}]}}]},"breadcrumbs":[{"message":"m"}],"extra":{"a":[{}]}}"#;
        let reports = item("client_report", "", r#"{"discarded_events":[{"reason":"r","category":"c","quantity":1}]}"#);
        let good = format!("{{\"event_id\":\"{ID}\"}}{}{}{reports}", item("event", "", payload), logs(1, &log()));
        let policy = Policy { key: None, lenient: true };
        assert_eq!(verdict(&policy, &head(), &good).result.map(|taken| taken.items.len()), Ok(3));
        let (mut random, mut shown, mut refused) = (0x9e37_79b9_7f4a_7c15_u64, 0, 0);
        for _ in 0..3000 {
            let mut request = request(Some(1), &good);
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let place = random as usize % request.body.len();
                match random >> 60 {
                    0 => request.body.truncate(place.max(1)),
                    1..6 => request.body[place] = b"{}[]\",:0-n\n\xff\\"[(random >> 32) as usize % 13],
                    _ => request.body[place] = request.body[(random >> 32) as usize % request.body.len()],
                }
            }
            match judge(&policy, &request, &head(), NOW).result {
                Ok(taken) => shown += show(&taken.items),
                Err(_) => refused += 1,
            }
        }
        assert!(shown > 100 && refused > 100, "{shown} shown, {refused} refused: the damage is too large or too small");
    }

    fn show(items: &[Accepted]) -> usize {
        use super::super::store::{Keep, Store};
        use super::super::{page, print};
        let store = Store::new(Keep::EVERYTHING);
        store.record(Arc::new(request(None, "")), items);
        for item in items {
            print::line(item, print::Format::Human { colour: true });
        }
        store.with(|state| {
            let events = state.events.iter().map(|event| page::View::Event(event.event_id.clone()));
            let views = [page::View::Issues, page::View::Logs].into_iter().chain(events);
            views.map(|view| page::render(&view, "", state, "").body.len()).sum::<usize>()
                + page::items(state).body.len()
        });
        items.len()
    }
}
