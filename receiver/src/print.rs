//! Prints each item as a line: for people, or as JSON for programs.

use super::store::{Accepted, CheckIn, ClientReport, Event, Log};
use super::{issues, timestamp};
use crate::text::{counted, level, printable};
use serde_json::{Value, json};

/// The format in which items are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour or not.
    Human {
        /// True if the text has the colours of ANSI terminals.
        colour: bool,
    },
    /// One JSON object per line.
    Json,
}

/// One line, without its end.
pub fn line(item: &Accepted, format: Format) -> String {
    match (item, format) {
        (Accepted::Event(event), Format::Json) => object("event", event.project, &event.payload),
        (Accepted::Log(log), Format::Json) => object("log", log.project, &log.payload),
        (Accepted::ClientReport(report), Format::Json) => object("client_report", report.project, &report.payload),
        (Accepted::Event(event), Format::Human { colour }) => issue_line(event, colour),
        (Accepted::Log(log), Format::Human { colour }) => log_line(log, colour),
        (Accepted::ClientReport(report), Format::Human { .. }) => report_line(report),
        (Accepted::CheckIn(check_in), Format::Json) => object("check_in", check_in.project, &check_in.payload),
        (Accepted::CheckIn(check_in), Format::Human { .. }) => check_in_line(check_in),
    }
}

fn object(item: &str, project: u64, payload: &Value) -> String {
    json!({"item": item, "project": project, "payload": payload}).to_string()
}

fn issue_line(event: &Event, colour: bool) -> String {
    let payload = &event.payload;
    let head = format!("issue  {}  {}", level(issues::level(payload), colour), printable(&issues::title(payload)));
    let frames: usize = issues::exceptions(payload).iter().map(|exception| issues::frames(exception).len()).sum();
    let counts = [(frames, "frame"), (issues::breadcrumbs(payload).len(), "breadcrumb")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, of)| counted(*count as u64, of));
    let tags = issues::tags(payload).into_iter().map(|(key, value)| printable(&format!("{key}={value}")));
    let about = counts.chain(tags).collect::<Vec<_>>().join(" ");
    match about.as_str() {
        "" => head,
        about if colour => format!("{head}  \x1b[2m{about}\x1b[0m"),
        about => format!("{head}  {about}"),
    }
}

fn log_line(log: &Log, colour: bool) -> String {
    let text = |name| log.payload.get(name).and_then(Value::as_str).unwrap_or_default();
    let at = log.payload.get("timestamp").and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
    format!("log    {}  {at}  {}", level(text("level"), colour), printable(text("body")))
}

fn check_in_line(check_in: &CheckIn) -> String {
    let text = |name| printable(check_in.payload.get(name).and_then(Value::as_str).unwrap_or("?"));
    format!("check-in {}  {}", text("status"), text("monitor_slug"))
}

fn report_line(report: &ClientReport) -> String {
    let entries = report.payload.get("discarded_events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = |entry: &Value| {
        let text = |name| printable(entry.get(name).and_then(Value::as_str).unwrap_or("?"));
        let quantity = entry.get("quantity").and_then(Value::as_u64).unwrap_or(0);
        format!("{} {}: {quantity}", text("reason"), text("category"))
    };
    format!("report {}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const PLAIN: Format = Format::Human { colour: false };

    fn event(payload: Value) -> Accepted {
        Accepted::Event(Arc::new(Event {
            project: 7,
            sentry_key: "k".into(),
            event_id: "e".into(),
            payload,
            request: 0,
        }))
    }

    fn log(payload: Value) -> Accepted {
        Accepted::Log(Arc::new(Log { project: 7, sentry_key: "k".into(), payload, request: 0 }))
    }

    #[test]
    fn lines_for_people() {
        let exception = json!([{"type": "E", "value": "v\nw", "stacktrace": {"frames": [{}, {}]}}]);
        let report = json!({"discarded_events": [{"reason": "r", "category": "c", "quantity": 3}]});
        let report = ClientReport { project: 7, sentry_key: "k".into(), payload: report, request: 0 };
        for (item, expected) in [
            (
                event(json!({"exception": exception, "tags": {"a": "b", "n": 1}})),
                "issue  error    E: v  2 frames a=b n=1",
            ),
            (event(json!({"level": "warning", "message": "m"})), "issue  warning  m"),
            (
                log(json!({"level": "info", "timestamp": 0.25, "body": "a\x1b[2Jb\u{202e}"})),
                "log    info     1970-01-01 00:00:00.250  a\\u{1b}[2Jb\\u{202e}",
            ),
            (Accepted::ClientReport(Arc::new(report)), "report r c: 3"),
        ] {
            assert_eq!(line(&item, PLAIN), expected);
        }
        let coloured = line(&event(json!({})), Format::Human { colour: true });
        assert!(coloured.contains("\x1b[31merror  \x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn lines_for_machines() {
        let text = line(&log(json!({"body": "a\nb"})), Format::Json);
        assert_eq!(text, r#"{"item":"log","payload":{"body":"a\nb"},"project":7}"#);
        let value: Value = serde_json::from_str(&line(&event(json!({"a": 1})), Format::Json)).unwrap();
        assert_eq!(value, json!({"item": "event", "project": 7, "payload": {"a": 1}}));
    }
}
