//! Renders the page at `/`, and the same content for programs at `/api/items.json`.

use super::http::Response;
use super::issues::{self, Issue, Place};
use super::markup::{Escaped, Level, Text};
use super::store::{Log, Snapshot};
use super::timestamp;
use crate::terminal::counted;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write;

/// Rows on the page; machines get all that is kept.
const MAX_ISSUES: usize = 200;
const MAX_LOGS: usize = 500;
/// Steps by which an exception is moved to the right at most.
const MAX_DEPTH: usize = 12;
/// Logs shown around an issue.
const MAX_AROUND: usize = 30;

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:76rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1rem 0 .3rem}
code,pre,td{font-family:ui-monospace,monospace;font-size:13px}
details{border-bottom:1px solid #ddd}
details[open]{padding-bottom:1rem}
details[open]>summary{font-weight:600}details[open]>summary .title{white-space:normal;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.35rem 0;display:grid;grid-template-columns:1rem 4.5rem minmax(0,1fr) auto;column-gap:.5rem}
summary::before{content:'\\25b8'}details[open]>summary::before{content:'\\25be'}
summary:hover{background:#f6f6f6}
.title{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
pre{background:#f6f6f6;padding:.6rem;margin:.3rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td{padding:.1rem .8rem .1rem 0;vertical-align:top;overflow-wrap:anywhere;white-space:pre-wrap}
td:first-child,td:nth-child(2){width:1%;white-space:nowrap}
.body{max-height:9.5rem;overflow:auto}
p[id]{scroll-margin-top:3rem}
.around{border-left:3px solid #ddd;padding-left:.7rem}
.level{font-weight:600}
.fatal,.error{color:#b00020}.warning,.warn{color:#8a5a00}.info{color:#00539b}.debug,.trace{color:#666}
.dim{color:#666}.own td{background:#fff3cd}
.tag{display:inline-block;font-size:13px;background:#eee;border-radius:3px;padding:0 .4em;margin:0 .4em .3em 0;overflow-wrap:anywhere}
code{overflow-wrap:anywhere}
@media(max-width:48rem){summary{grid-template-columns:1rem 4rem minmax(0,1fr)}summary>:last-child{grid-column:3}
td:first-child,td:nth-child(2){width:auto;white-space:normal;overflow-wrap:normal}td{padding-right:.5rem}}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1f}pre,.tag,summary:hover{background:#2a2a30}
details,.around{border-color:#444}.fatal,.error{color:#ff7b88}.warning,.warn{color:#e9b44c}.info{color:#7db8f0}
.dim,.debug,.trace{color:#999}.own td{background:#3d3519}a{color:#7db8f0}}";

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
        "{}, {}, {} in {}; {}. Times are UTC. <a href=\"/api/items.json\">JSON</a></p>",
        counted(totals.events, "event"),
        counted(totals.logs, "log"),
        counted(totals.client_reports, "client report"),
        counted(totals.requests, "request"),
        counted(totals.problems, "problem")
    )?;
    if issues.is_empty() && state.logs.is_empty() {
        return write_empty(html, dsn);
    }
    write!(html, "<h2>Issues {}</h2>", Shown { shown: MAX_ISSUES, of: issues.len() })?;
    let traces = by_trace(state);
    for issue in issues.iter().take(MAX_ISSUES) {
        write_issue(html, issue, &traces)?;
    }
    write!(html, "<h2>Logs {}</h2><table>", Shown { shown: MAX_LOGS, of: state.logs.len() })?;
    for log in state.logs.iter().rev().take(MAX_LOGS) {
        write_log(html, log, "")?;
    }
    write!(html, "</table></html>")
}

fn write_empty(html: &mut String, dsn: &str) -> std::fmt::Result {
    let dsn = Escaped(dsn);
    write!(html, "<p>Nothing has come yet. This sends an issue and a log; then load the page again:")?;
    write!(html, "<pre>echo &#39;ERROR hello&#39; | flb-sentry ship -o dsn={dsn} -</pre></html>")
}

/// The number of entries that are shown, and the number of all entries.
struct Shown {
    shown: usize,
    of: usize,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.of > self.shown {
            write!(f, "<span class=dim>(the newest {} of {}; JSON has them all)</span>", self.shown, self.of)
        } else {
            write!(f, "<span class=dim>({})</span>", self.of)
        }
    }
}

/// Logs of each trace, in the order of their arrival.
type Traces<'a> = HashMap<(u64, &'a str), Vec<&'a Log>>;

fn by_trace(state: &Snapshot) -> Traces<'_> {
    let mut traces = Traces::new();
    for log in &state.logs {
        if let Some(trace) = log.payload.get("trace_id").and_then(Value::as_str) {
            traces.entry((log.project, trace)).or_default().push(log);
        }
    }
    traces
}

fn write_issue(html: &mut String, issue: &Issue, traces: &Traces<'_>) -> std::fmt::Result {
    let event = &issue.latest.payload;
    let (id, title) = (Escaped(&issue.latest.event_id), issue.title.as_str());
    write!(
        html,
        "<details><summary>{} <span class=title>{}</span> <span class=dim>&times;{} &nbsp; {}</span></summary><p id=\"{id}\">",
        Level(&issue.level),
        Text(title),
        issue.count,
        timestamp::display(issue.last_seen),
    )?;
    write_facts(html, issue)?;
    if let Some(line) = event.pointer("/logentry/formatted").and_then(Value::as_str) {
        write!(html, "<pre>{}</pre>", Text(line))?;
    }
    // Outermost first and the crashing frame on top, as people read a trace.
    for (exception, place) in issues::exceptions(event).iter().rev().zip(issues::places(event)) {
        write_exception(html, exception, &place)?;
    }
    write_breadcrumbs(html, issues::breadcrumbs(event))?;
    write_around(html, issue, traces)?;
    write!(html, "</details>")
}

/// Writes the circumstances of the issue's latest event: the fields by which the event describes itself, and its tags.
fn write_facts(html: &mut String, issue: &Issue) -> std::fmt::Result {
    let event = &issue.latest.payload;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(|text| (name.to_owned(), text.to_owned()));
    let named = ["environment", "release", "server_name", "logger", "platform"].into_iter().filter_map(text);
    for (key, value) in named.chain(issues::tags(event)) {
        write!(html, "<span class=tag>{}={}</span> ", Text(&key), Text(&value))?;
    }
    let (project, id) = (issue.latest.project, Escaped(&issue.latest.event_id));
    write!(html, "<br><span class=dim>project {project}, event <a href=\"#{id}\">{id}</a></span></p>")
}

fn write_exception(html: &mut String, exception: &Value, place: &Place) -> std::fmt::Result {
    let margin = 1.5 * place.depth.min(MAX_DEPTH) as f64;
    let relation = Text(&place.relation);
    writeln!(
        html,
        "<pre style=\"margin-left:{margin}rem\">{relation}<b>{}</b>{}",
        Text(&issues::exception_title(exception)),
        if place.unhandled { " <span class=error>not handled</span>" } else { "" }
    )?;
    for frame in issues::frames(exception).iter().rev() {
        let text = |name| frame.get(name).and_then(Value::as_str).unwrap_or_default();
        let file = [text("filename"), text("abs_path"), text("module")].into_iter().find(|part| !part.is_empty());
        let (open, close) =
            if frame.get("in_app") == Some(&Value::Bool(false)) { ("<span class=dim>", "</span>") } else { ("", "") };
        write!(html, "{open}  {}  {}", Text(text("function")), Text(file.unwrap_or_default()))?;
        if let Some(line) = frame.get("lineno").and_then(Value::as_u64) {
            write!(html, ":{line}")?;
        }
        if !text("context_line").is_empty() {
            write!(html, "\n      <i>{}</i>", Text(text("context_line").trim()))?;
        }
        writeln!(html, "{close}")?;
    }
    write!(html, "</pre>")
}

fn write_breadcrumbs(html: &mut String, crumbs: &[Value]) -> std::fmt::Result {
    if crumbs.is_empty() {
        return Ok(());
    }
    write!(html, "<h3>Breadcrumbs</h3><div class=around><table>")?;
    for crumb in crumbs {
        let text = |name| crumb.get(name).and_then(Value::as_str).unwrap_or_default();
        let level = crumb.get("level").and_then(Value::as_str).unwrap_or("info");
        write_row(html, "", crumb.get("timestamp"), level, text("message"))?;
    }
    write!(html, "</table></div>")
}

/// The logs that share its trace, as Sentry shows them on the issue: those nearest to it, in their order.
fn write_around(html: &mut String, issue: &Issue, traces: &Traces<'_>) -> std::fmt::Result {
    let event = &issue.latest;
    let trace = event.payload.pointer("/contexts/trace/trace_id").and_then(Value::as_str).unwrap_or_default();
    let Some(logs) = traces.get(&(event.project, trace)) else { return Ok(()) };
    let at = |log: &Log| log.payload.get("timestamp").and_then(timestamp::of_value).unwrap_or_default();
    let mut logs: Vec<(f64, &Log)> = logs.iter().map(|log| (at(log), *log)).collect();
    logs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let own = logs.partition_point(|(time, _)| *time < issue.last_seen);
    // What came before says more than what came after.
    let from = own.saturating_sub(MAX_AROUND * 2 / 3).min(logs.len().saturating_sub(MAX_AROUND));
    let near = logs.iter().skip(from).take(MAX_AROUND);
    write!(html, "<h3>Logs of its trace ")?;
    match logs.len() {
        all if all > MAX_AROUND => write!(html, "<span class=dim>(the nearest {MAX_AROUND} of {all})</span></h3>")?,
        all => write!(html, "<span class=dim>({all})</span></h3>")?,
    }
    write!(html, "<div class=around><table>")?;
    for (time, log) in near {
        let own = *time == issue.last_seen && is_of(log, &event.payload);
        write_log(html, log, if own { " class=own" } else { "" })?;
    }
    write!(html, "</table></div>")
}

/// Returns true if the log contains the first line of the event's message or, without a message, of its exception's value.
fn is_of(log: &Log, event: &Value) -> bool {
    let body = log.payload.get("body").and_then(Value::as_str).unwrap_or_default();
    let message = event.pointer("/logentry/formatted").and_then(Value::as_str);
    let value = issues::exceptions(event).last().and_then(|exception| exception.get("value")?.as_str());
    let said = message.or(value).and_then(|text| text.lines().next()).unwrap_or_default();
    !said.is_empty() && body.contains(said)
}

fn write_log(html: &mut String, log: &Log, class: &str) -> std::fmt::Result {
    let text = |name| log.payload.get(name).and_then(Value::as_str).unwrap_or_default();
    write_row(html, class, log.payload.get("timestamp"), text("level"), text("body"))
}

fn write_row(html: &mut String, class: &str, at: Option<&Value>, level: &str, text: &str) -> std::fmt::Result {
    let at = at.and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
    write!(html, "<tr{class}><td class=dim>{at}<td>{}<td><div class=body>{}</div>", Level(level), Text(text))
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
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;x&#39; + &quot;y&quot;)&lt;/script&gt;&amp;").count(), 17);
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
