//! Checks whether destinations answer, and how they respond to a test event.

use super::output::Output;
use super::report::{Place, Report, Weight};
use out_sentry::clock::WallTime;
use out_sentry::delivery::transport::client::{Client, SendResult};
use out_sentry::delivery::transport::encoder::Encoder;
use out_sentry::delivery::transport::response::ResponseKind;
use out_sentry::ledger::Category;
use out_sentry::options::{Dsn, Network, Settings};
use serde_json::json;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Between the two test events: a server that is asked for the first time says yes before it has looked up the key.
const PAUSE: Duration = Duration::from_secs(5);

/// Destinations that are asked at the same time.
const AT_ONCE: usize = 16;

/// Asks each destination whether it is there, for at most `longest`. Without a test event (`sends`) its key stays unverified.
pub(super) fn reach(
    output: &Output,
    settings: &Settings,
    dsns: &[Dsn],
    longest: Duration,
    sends: bool,
    report: &mut Report,
) {
    let Some(client) = client(output, &settings.network, report) else { return };
    let proxies = settings.network.proxy.as_ref();
    for group in dsns.chunks(AT_ONCE) {
        let asked: Vec<_> = group.iter().map(|dsn| ask(&client, dsn, longest)).collect();
        // Name resolution knows no limit of ours.
        let deadline = Instant::now() + longest + Duration::from_secs(1);
        for (dsn, answer) in group.iter().zip(asked) {
            // Its printed form hides the password.
            let proxy = proxies.and_then(|proxies| proxies.for_dsn(dsn));
            let by = proxy.map_or(String::new(), |proxy| format!(" through proxy {proxy}"));
            let left = deadline.saturating_duration_since(Instant::now());
            match answer.recv_timeout(left) {
                Ok(Ok(code)) if sends => report.sound(&format!("{dsn} is reachable{by} (HTTP {code})")),
                Ok(Ok(code)) => {
                    report.sound(&format!("{dsn} is reachable{by} (HTTP {code}); key not verified, use --send"));
                }
                Ok(Err(sent)) => {
                    report.problem(place(output), &format!("{dsn} is unreachable ({})", sent.response.detail))
                }
                Err(_) => {
                    report.problem(place(output), &format!("{dsn} does not answer within {} s{by}", longest.as_secs()))
                }
            }
        }
    }
    for dsn in dsns.iter().filter(|dsn| is_readable_on_the_way(dsn)) {
        report.advice(
            place(output),
            &format!("{dsn}: without https, anyone on the network path can read the key and the logs"),
        );
    }
}

fn client(output: &Output, network: &Network, report: &mut Report) -> Option<Client> {
    let client = Client::new(network, AT_ONCE);
    client.map_err(|problem| report.problem(output.place(), &problem)).ok()
}

fn ask(client: &Client, dsn: &Dsn, longest: Duration) -> mpsc::Receiver<Result<u16, Box<SendResult>>> {
    let (told, answer) = mpsc::channel();
    let (client, dsn) = (client.clone(), dsn.clone());
    thread::spawn(move || told.send(client.probe(&dsn, longest)));
    answer
}

fn place(output: &Output) -> Option<Place> {
    ["dsn", "dsn_file", "dsn_dir"]
        .iter()
        .find_map(|key| output.section.find(key))
        .map(|p| p.place.clone())
        .or(output.place())
}

fn is_readable_on_the_way(dsn: &Dsn) -> bool {
    let (host, _) = dsn.host_and_port();
    let host = host.trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    dsn.envelope_url().starts_with("http://") && !here
}

/// Sends each destination a test event, and after a pause once more.
pub(super) fn send(output: &Output, settings: &Settings, dsns: &[Dsn], report: &mut Report) {
    let Some(client) = client(output, &settings.network, report) else { return };
    let id = event_id();
    let first: Vec<SendResult> = dsns.iter().map(|dsn| post(&client, dsn, settings, &id)).collect();
    if !first.is_empty() {
        thread::sleep(PAUSE);
    }
    for (dsn, first) in dsns.iter().zip(first) {
        let second = post(&client, dsn, settings, &id);
        let (weight, text) = verdict(dsn, &first, &second, &id);
        report.add(weight, place(output).filter(|_| weight != Weight::Sound), &text);
        if limited(&second) && second.response.kind == ResponseKind::Accepted {
            report
                .advice(place(output), &format!("{dsn} accepted the test event, and reports that a quota is used up"));
        }
    }
}

fn verdict(dsn: &Dsn, first: &SendResult, second: &SendResult, id: &str) -> (Weight, String) {
    match (&first.response.kind, &second.response.kind) {
        (ResponseKind::Accepted, ResponseKind::Accepted) => (
            Weight::Sound,
            format!(
                "{dsn} accepted the test event both times. Sentry may still drop it after this answer, because of a quota or an \
                 inbound filter: look for event {id} in the project. Logs also need the logs feature of the organization"
            ),
        ),
        (ResponseKind::Accepted, answer) => (
            Weight::Problem,
            format!(
                "{dsn} accepted the first test event, but not the second, five seconds later ({}): {}. Sentry may answer the \
                 first requests with a key before it has looked up the key",
                second.response.detail,
                meaning(answer)
            ),
        ),
        (_, answer) => (
            Weight::Problem,
            format!("{dsn} does not accept the test event ({}): {}", second.response.detail, meaning(answer)),
        ),
    }
}

fn meaning(answer: &ResponseKind) -> &'static str {
    match answer {
        ResponseKind::Accepted => "it refused the first test event and accepted the second; run the check again",
        ResponseKind::Failed => "the network or the server fails; the plugin would retry",
        ResponseKind::Limited => "a quota is used up; the plugin would hold items until the limit ends",
        ResponseKind::TooLarge => "the event is too large for this server or for a proxy in front of it",
        ResponseKind::Malformed => "the server cannot read the event, or does not know keys of this form",
        ResponseKind::Encoding => "the server cannot decode the request; set compress none",
        ResponseKind::Misconfigured => "the key or the project of the DSN does not exist there, or is disabled",
    }
}

fn limited(sent: &SendResult) -> bool {
    Category::ALL.iter().any(|category| sent.response.limits.of(*category).is_some())
}

fn post(client: &Client, dsn: &Dsn, settings: &Settings, id: &str) -> SendResult {
    let now = WallTime::from(SystemTime::now());
    let envelope = envelope(dsn, settings, id, now);
    client.post(dsn, settings.network.compress, &envelope, &mut Encoder::default(), now)
}

fn envelope(dsn: &Dsn, settings: &Settings, id: &str, now: WallTime) -> Vec<u8> {
    let mut event = json!({
        "event_id": id,
        "timestamp": now.as_secs_f64(),
        "platform": "other",
        "level": "info",
        "logger": "flb-sentry",
        "logentry": {"message": "flb-sentry check: a test event"},
        "tags": {"test": "true"},
    });
    let fixed = [("environment", &settings.mapping.environment), ("release", &settings.mapping.release)];
    for (key, value) in fixed.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        event[key] = json!(value);
    }
    let event = event.to_string();
    let header = json!({"event_id": id, "dsn": dsn.expose(), "sent_at": now.rfc3339()});
    let item = json!({"type": "event", "length": event.len()});
    format!("{header}\n{item}\n{event}\n").into_bytes()
}

/// 32 hexadecimal digits that nobody else has.
fn event_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
