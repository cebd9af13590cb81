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
        views.map(|view| page::render(&view, "", state, "").body.len()).sum::<usize>() + page::items(state).body.len()
    });
    items.len()
}
