use super::super::store::{Event, Log, Problem};
use super::*;
use serde_json::json;
use std::sync::Arc;

const EVIL: &str = "<script>alert('x' + \"y\")</script>&";
const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

fn event(id: &str, payload: Value) -> Arc<Event> {
    Arc::new(Event { project: 7, sentry_key: EVIL.into(), event_id: id.into(), payload, request: 0 })
}

fn log(payload: Value) -> Arc<Log> {
    Arc::new(Log { project: 7, sentry_key: EVIL.into(), payload, request: 0 })
}

fn state() -> Snapshot {
    let payload = json!({
        "level": EVIL, "timestamp": 951_827_445.25, "tags": {EVIL: EVIL, "service.name": EVIL},
        "logentry": {"formatted": EVIL},
        "exception": {"values": [{"type": EVIL, "value": EVIL, "stacktrace": {"frames": [
            {"function": "oldest", "filename": EVIL, "lineno": 7, "in_app": false}, {"function": "crashing"},
        ]}}]},
        "breadcrumbs": {"values": [{"message": EVIL, "level": EVIL}]},
    });
    let body = json!({"timestamp": 0.5, "level": EVIL, "body": EVIL, "attributes": {"service.name": {"value": EVIL}}});
    let (path, text) = (EVIL.into(), EVIL.into());
    let problem = Problem { request: 3, at: 0.0, method: EVIL.into(), path, status: None, text };
    Snapshot {
        events: [event(ID, payload)].into(),
        logs: [log(body)].into(),
        problems: [Arc::new(problem)].into(),
        ..Snapshot::default()
    }
}

fn html(view: &View, query: &str, state: &Snapshot) -> String {
    String::from_utf8(render(view, query, state, EVIL).body).unwrap()
}

#[test]
fn text_from_outside_is_never_markup() {
    let state = state();
    let views = [View::Issues, View::Logs, View::Problems, View::Event(ID.into()), View::Event(EVIL.into())];
    for view in views {
        let query = "q=%3Cscript%3Ealert(1)&workload=%22%3E%3Cscript%3E";
        let html = html(&view, query, &state);
        assert!(
            !html.contains("<script") && !html.contains("alert('") && !html.contains("\">&lt;\">"),
            "{view:?}: {html}"
        );
        assert!(html.contains("&lt;script&gt;") || view == View::Logs, "{view:?}: expected the text to be shown");
    }
    let missing = String::from_utf8(missing(EVIL, &state).body).unwrap();
    assert!(!missing.contains("<script") && missing.contains("&lt;script&gt;"), "{missing}");
}

#[test]
fn an_event_shows_its_time_and_its_frames() {
    let html = html(&View::Event(ID.into()), "", &state());
    assert!(html.contains("2000-02-29 12:30:45.250") && html.contains(":7</span>"), "{html}");
    let (crashing, oldest) = (html.find("crashing").unwrap(), html.find("oldest").unwrap());
    assert!(crashing < oldest, "expected the crashing frame on top");
}

#[test]
fn an_unknown_event_is_not_found() {
    assert_eq!(render(&View::Event("0".into()), "", &state(), "").status, 404);
    assert_eq!(render(&View::Event(ID.into()), "", &state(), "").status, 200);
    assert_eq!(missing("/x", &state()).status, 404);
}

#[test]
fn an_issue_lists_all_its_events_with_their_addresses() {
    let at = |n: u64| event(&format!("{n:032x}"), json!({"logentry": {"message": "m"}, "timestamp": n}));
    let other = event(ID, json!({"logentry": {"message": "other"}, "timestamp": 9}));
    let state = Snapshot { events: [at(3), at(1), other, at(2)].into(), ..Snapshot::default() };
    let addresses = |query: &str| {
        let html = html(&View::Event(format!("{:032x}", 2)), query, &state);
        let (_, list) = html.split_once("Events of this issue").unwrap();
        let links = list.split("href=\"/events/").skip(1).filter_map(|rest| rest.split('"').next());
        links.filter(|link| !link.contains('?')).map(str::to_owned).collect::<Vec<_>>()
    };
    let ids = |order: [u64; 3]| order.map(|n| format!("{n:032x}")).to_vec();
    let newest = addresses("");
    assert_eq!(newest, ids([3, 2, 1]));
    let oldest = addresses("order=oldest");
    // The link that turns the order around has no parameter then.
    assert_eq!(oldest[1..], ids([1, 2, 3])[..]);
}

#[test]
fn logs_are_filtered_by_text_level_and_workload() {
    let one = |at: u64, level: &str, body: &str, service: &str| {
        let attributes = json!({"service.name": {"type": "string", "value": service}});
        log(json!({"timestamp": at, "level": level, "body": body, "attributes": attributes}))
    };
    let logs = [one(3, "info", "Third", "cart"), one(1, "error", "first", "cart"), one(2, "warn", "second", "shop")];
    let state = Snapshot { logs: logs.into(), ..Snapshot::default() };
    for (query, expected) in [
        ("", "Third second first"),
        ("order=oldest", "first second Third"),
        ("level=warn", "second first"),
        ("level=fatal", ""),
        ("q=thi", "Third"),
        ("q=CART", "Third first"),
        ("workload=shop", "second"),
        ("workload=shop&level=error", ""),
        ("page=2", ""),
    ] {
        let html = html(&View::Logs, query, &state);
        let rows = html.split("<td class=\"text wide\">").skip(1).map(|rest| rest.split('<').next().unwrap().trim());
        assert_eq!(rows.collect::<Vec<_>>().join(" "), expected, "{query}");
    }
    let html = html(&View::Logs, "level=warn&workload=gone", &state);
    assert!(html.contains("0 of 3 logs") && html.contains("<option selected>warn"), "{html}");
    assert!(html.contains("<option value=\"gone\" selected>gone"), "expected the filter to stay set: {html}");
}

#[test]
fn long_lists_have_pages() {
    let logs = (0..1001).map(|n| log(json!({"timestamp": n, "level": "info", "body": format!("line {n}.")})));
    let state = Snapshot { logs: logs.collect(), ..Snapshot::default() };
    let rows = |query: &str| html(&View::Logs, query, &state).matches("<td class=\"text wide\">").count();
    assert_eq!(["", "page=2", "page=3", "page=4", "page=18446744073709551615"].map(rows), [500, 500, 1, 0, 0]);
    let middle = html(&View::Logs, "page=2&q=line", &state);
    for link in ["/logs?q=line\">Previous page", "/logs?q=line&amp;page=3\">Next page", "Page 2 of 3"] {
        assert!(middle.contains(link), "expected {link:?} in {middle}");
    }
    assert!(html(&View::Logs, "page=9", &state).contains("/logs?page=3\">Previous page"));
}

#[test]
fn pages_have_landmarks_and_tables_have_heads() {
    let state = state();
    for view in [View::Issues, View::Logs, View::Problems, View::Event(ID.into())] {
        let html = html(&view, "", &state);
        for part in
            ["<html lang=en>", "<a class=skip href=\"#main\">", "<nav aria-label=Pages>", "<main id=main ", "<h1>"]
        {
            assert_eq!(html.matches(part).count(), 1, "{view:?}: {part}");
        }
        assert!(html.contains("<th scope=col>") && html.contains("<caption>"), "{view:?}: {html}");
        assert_eq!(html.matches("<th ").count(), html.matches("<th scope=col").count(), "{view:?}");
        assert_eq!(html.matches("aria-current=page").count(), usize::from(!matches!(view, View::Event(_))), "{view:?}");
    }
}

#[test]
fn texts_of_many_lines_unfold() {
    let shown = |lines: usize| {
        let mut html = String::new();
        write_text(&mut html, &vec!["x"; lines].join("\n")).unwrap();
        html
    };
    assert!(!shown(MAX_LINES).contains("details") && !shown(MAX_LINES + 1).contains("details"));
    assert!(shown(MAX_LINES + 2).contains("<summary>2 more lines</summary>x\nx</details>"), "{}", shown(MAX_LINES + 2));
}

#[test]
fn programs_get_everything() {
    let value: Value = serde_json::from_slice(&items(&state()).body).unwrap();
    assert_eq!(value["events"][0]["payload"]["tags"][EVIL], EVIL);
    assert_eq!(value["logs"][0]["payload"]["body"], EVIL);
    assert_eq!((&value["issues"][0]["count"], &value["issues"][0]["workload"]), (&json!(1), &json!(EVIL)));
    assert_eq!(value["totals"]["events"], 0);
    assert_eq!(value["problems"][0]["problem"], EVIL);
}
