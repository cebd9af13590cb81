//! The page at `/`, and the same for machines at `/api/items.json`.

use super::http::Response;
use super::issues::{self, Issue};
use super::store::{Log, Snapshot};
use super::timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

/// Rows on the page; machines get all that is kept.
const MAX_ISSUES: usize = 200;
const MAX_LOGS: usize = 500;

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}
code,pre,td{font-family:ui-monospace,monospace;font-size:13px}
summary{cursor:pointer;padding:.3rem 0}
details{border-bottom:1px solid #ddd}
pre{background:#f6f6f6;padding:.6rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}
td{padding:0 .8rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
.level{display:inline-block;min-width:4.5em;font-weight:600}
.fatal,.error{color:#b00020}.warning,.warn{color:#8a5a00}.info{color:#00539b}.debug,.trace{color:#666}
.dim{color:#666}.tag{background:#eee;border-radius:3px;padding:0 .4em;margin-right:.4em;white-space:nowrap}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1f}pre,.tag{background:#2a2a30}
details{border-color:#444}.fatal,.error{color:#ff7b88}.warning,.warn{color:#e9b44c}.info{color:#7db8f0}
.dim,.debug,.trace{color:#999}}";

/// Text made safe to stand in an element or in an attribute.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'');
        let mut rest = self.0;
        while let Some(at) = rest.find(special) {
            let (plain, tail) = rest.split_at(at);
            f.write_str(plain)?;
            f.write_str(match tail.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = tail.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// The page for people.
pub(super) fn render(state: &Snapshot, dsn: &str) -> Response {
    let mut html = String::with_capacity(64 * 1024);
    // Writing into a string cannot fail.
    let _ = write_page(&mut html, state, dsn);
    Response {
        status: 200,
        content_type: "text/html; charset=utf-8",
        // Log lines are anybody's text: even an escape we forgot must not run.
        headers: vec![
            ("content-security-policy".into(), "default-src 'none'; style-src 'unsafe-inline'".into()),
            ("cache-control".into(), "no-store".into()),
        ],
        body: html.into_bytes(),
    }
}

fn write_page(html: &mut String, state: &Snapshot, dsn: &str) -> std::fmt::Result {
    let totals = state.totals;
    let issues = issues::group(&state.events);
    write!(html, "<!doctype html><html lang=en><meta charset=utf-8><title>flb-sentry receive</title>")?;
    write!(html, "<meta name=viewport content=\"width=device-width\"><style>{STYLE}</style>")?;
    write!(html, "<h1>flb-sentry receive</h1><p>DSN <code>{}</code><p class=dim>", Escaped(dsn))?;
    write!(
        html,
        "{} events, {} logs, {} client reports in {} requests; {} problems. <a href=\"/api/items.json\">JSON</a></p>",
        totals.events, totals.logs, totals.client_reports, totals.requests, totals.problems
    )?;
    write!(html, "<h2>Issues ({})</h2>", issues.len())?;
    for issue in issues.iter().take(MAX_ISSUES) {
        write_issue(html, issue)?;
    }
    write!(html, "<h2>Logs</h2><table>")?;
    for log in state.logs.iter().rev().take(MAX_LOGS) {
        write_log(html, log)?;
    }
    write!(html, "</table></html>")
}

fn write_issue(html: &mut String, issue: &Issue) -> std::fmt::Result {
    let event = &issue.latest.payload;
    write!(
        html,
        "<details><summary>{} <b>{}</b> <span class=dim>&times;{} last {} project {}</span></summary><p>",
        Level(&issue.level),
        Escaped(&issue.title),
        issue.count,
        timestamp::display(issue.last_seen),
        issue.latest.project
    )?;
    for (key, value) in issues::tags(event) {
        write!(html, "<span class=tag>{}={}</span> ", Escaped(&key), Escaped(&value))?;
    }
    write!(html, "<span class=dim>{}</span></p>", Escaped(&issue.latest.event_id))?;
    if let Some(line) = event.pointer("/logentry/formatted").and_then(Value::as_str) {
        write!(html, "<pre>{}</pre>", Escaped(line))?;
    }
    // Outermost first and the crashing frame on top, as people read a trace.
    for exception in issues::exceptions(event).iter().rev() {
        write_exception(html, exception)?;
    }
    write_breadcrumbs(html, issues::breadcrumbs(event))?;
    write!(html, "</details>")
}

fn write_exception(html: &mut String, exception: &Value) -> std::fmt::Result {
    writeln!(html, "<pre><b>{}</b>", Escaped(&issues::exception_title(exception)))?;
    for frame in issues::frames(exception).iter().rev() {
        let text = |name| frame.get(name).and_then(Value::as_str).unwrap_or_default();
        let file = [text("filename"), text("abs_path"), text("module")].into_iter().find(|part| !part.is_empty());
        let (open, close) =
            if frame.get("in_app") == Some(&Value::Bool(false)) { ("<span class=dim>", "</span>") } else { ("", "") };
        write!(html, "{open}  {}  {}", Escaped(text("function")), Escaped(file.unwrap_or_default()))?;
        if let Some(line) = frame.get("lineno").and_then(Value::as_u64) {
            write!(html, ":{line}")?;
        }
        writeln!(html, "{close}")?;
    }
    write!(html, "</pre>")
}

fn write_breadcrumbs(html: &mut String, crumbs: &[Value]) -> std::fmt::Result {
    if crumbs.is_empty() {
        return Ok(());
    }
    write!(html, "<p class=dim>Before it</p><table>")?;
    for crumb in crumbs {
        let text = |name| crumb.get(name).and_then(Value::as_str).unwrap_or_default();
        let level = crumb.get("level").and_then(Value::as_str).unwrap_or("info");
        write_row(html, crumb.get("timestamp"), level, text("message"))?;
    }
    write!(html, "</table>")
}

fn write_log(html: &mut String, log: &Log) -> std::fmt::Result {
    let text = |name| log.payload.get(name).and_then(Value::as_str).unwrap_or_default();
    write_row(html, log.payload.get("timestamp"), text("level"), text("body"))
}

fn write_row(html: &mut String, at: Option<&Value>, level: &str, text: &str) -> std::fmt::Result {
    let at = at.and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
    write!(html, "<tr><td class=dim>{at}<td>{}<td>{}", Level(level), Escaped(text))
}

/// A level in its colour; only known words may be a class.
struct Level<'a>(&'a str);

impl std::fmt::Display for Level<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const KNOWN: &[&str] = &["fatal", "error", "warning", "warn", "info", "debug", "trace"];
        let class = KNOWN.iter().find(|known| **known == self.0).unwrap_or(&"dim");
        write!(f, "<span class=\"level {class}\">{}</span>", Escaped(self.0))
    }
}

/// The same for machines: all that is kept, the issues made of it, and the totals.
pub(super) fn items(state: &Snapshot) -> Response {
    let issues = issues::group(&state.events);
    let issue = |issue: &Issue| {
        json!({
            "project": issue.latest.project, "title": issue.title, "level": issue.level, "count": issue.count,
            "last_seen": issue.last_seen, "event_id": issue.latest.event_id,
        })
    };
    let body = json!({
        "totals": state.totals,
        "issues": issues.iter().map(issue).collect::<Vec<_>>(),
        "events": state.events.iter().map(|event| json!({
            "project": event.project, "event_id": event.event_id, "payload": event.payload,
        })).collect::<Vec<_>>(),
        "logs": state.logs.iter().map(|log| json!({
            "project": log.project, "payload": log.payload,
        })).collect::<Vec<_>>(),
        "client_reports": state.client_reports.iter().map(|report| json!({
            "project": report.project, "payload": report.payload,
        })).collect::<Vec<_>>(),
    });
    Response::json(200, &body)
}

#[cfg(test)]
mod tests {
    use super::super::store::Event;
    use super::*;
    use std::sync::Arc;

    const EVIL: &str = "<script>alert('x' + \"y\")</script>&";

    fn state() -> Snapshot {
        let payload = json!({
            "level": EVIL, "timestamp": 951_827_445.25, "tags": {EVIL: EVIL}, "logentry": {"formatted": EVIL},
            "exception": {"values": [{"type": EVIL, "value": EVIL, "stacktrace": {"frames": [
                {"function": "oldest", "filename": EVIL, "lineno": 7, "in_app": false}, {"function": "crashing"},
            ]}}]},
            "breadcrumbs": {"values": [{"message": EVIL, "level": EVIL}]},
        });
        let event = Event { project: 7, sentry_key: EVIL.into(), event_id: EVIL.into(), payload, request: 0 };
        let log = json!({"timestamp": 0.5, "level": EVIL, "body": EVIL});
        let log = Log { project: 7, sentry_key: EVIL.into(), payload: log, request: 0 };
        Snapshot { events: [Arc::new(event)].into(), logs: [Arc::new(log)].into(), ..Snapshot::default() }
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        let html = String::from_utf8(render(&state(), EVIL).body).unwrap();
        assert!(!html.contains("<script") && !html.contains("alert('"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;x&#39; + &quot;y&quot;)&lt;/script&gt;&amp;").count(), 15);
        assert!(html.contains("2000-02-29 12:30:45.250") && html.contains(":7</span>"), "{html}");
        let (crashing, oldest) = (html.find("crashing").unwrap(), html.find("oldest").unwrap());
        assert!(crashing < oldest, "the crashing frame is on top");
    }

    #[test]
    fn machines_get_everything() {
        let value: Value = serde_json::from_slice(&items(&state()).body).unwrap();
        assert_eq!(value["events"][0]["payload"]["tags"][EVIL], EVIL);
        assert_eq!(value["logs"][0]["payload"]["body"], EVIL);
        assert_eq!(value["issues"][0]["count"], 1);
        assert_eq!(value["totals"]["events"], 0);
    }
}
