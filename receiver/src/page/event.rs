//! One event: its stack trace, its circumstances, what its stream logged around it, and the other events of its issue.

use super::super::issues::{self, Issue, Place};
use super::super::store::{Event, Log, Snapshot};
use super::super::{timestamp, workload};
use super::log_list::write_rows;
use super::markup::{Escaped, Level, Text};
use super::query::{Query, encode};
use super::{MAX_ROWS, entries, write_pager, write_text, write_when};
use crate::text::counted;
use serde_json::Value;
use std::fmt::{self, Write};
use std::sync::Arc;

/// Steps by which an exception is moved to the right at most.
const MAX_DEPTH: usize = 12;
/// Logs shown around an event.
const MAX_AROUND: usize = 30;

/// An event, and the issue that it belongs to.
pub(super) struct Found {
    pub event: Arc<Event>,
    pub issue: Issue,
}

/// Returns the event with this id; none if it is not kept.
pub(super) fn find(state: &Snapshot, id: &str) -> Option<Found> {
    issues::group(&state.events).into_iter().find_map(|issue| {
        let event = issue.events.iter().find(|event| event.event_id == id)?.clone();
        Some(Found { event, issue })
    })
}

pub(super) fn write(html: &mut String, query: &Query, state: &Snapshot, found: &Found) -> fmt::Result {
    let event = &found.event.payload;
    let at = timestamp::display(issues::seen(event));
    write!(html, "<h1>{} {}</h1>", Level(issues::level(event)), Text(&issues::title(event)))?;
    write!(
        html,
        "<p>{} <span class=dim>at {at} UTC, project {}, event",
        Text(&workload::of_event(event)),
        found.event.project
    )?;
    write!(html, " <code>{}</code></span><br>", Escaped(&found.event.event_id))?;
    let events = counted(found.issue.events.len() as u64, "event");
    write!(html, "<a href=\"#events\">{events} of this issue</a></p><p>")?;
    write_facts(html, event)?;
    write!(html, "</p>")?;
    if let Some(line) = event.pointer("/logentry/formatted").and_then(Value::as_str) {
        write!(html, "<h2>Message</h2><pre>{}</pre>", Text(line))?;
    }
    let exceptions = issues::exceptions(event);
    if !exceptions.is_empty() {
        write!(html, "<h2>{}</h2>", if exceptions.len() == 1 { "Exception" } else { "Exceptions" })?;
    }
    // Outermost first and the crashing frame on top, as people read a trace.
    for (exception, place) in exceptions.iter().rev().zip(issues::places(event)) {
        write_exception(html, exception, &place)?;
    }
    write_breadcrumbs(html, issues::breadcrumbs(event))?;
    write_around(html, &found.event, state)?;
    write_events(html, query, found)
}

/// Writes the fields by which the event describes its circumstances, and its tags.
fn write_facts(html: &mut String, event: &Value) -> fmt::Result {
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(|text| (name.to_owned(), text.to_owned()));
    let named = ["environment", "release", "server_name", "logger", "platform"].into_iter().filter_map(text);
    for (key, value) in named.chain(issues::tags(event)) {
        write!(html, "<span class=tag>{}={}</span> ", Text(&key), Text(&value))?;
    }
    Ok(())
}

fn write_exception(html: &mut String, exception: &Value, place: &Place) -> fmt::Result {
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

fn write_breadcrumbs(html: &mut String, crumbs: &[Value]) -> fmt::Result {
    if crumbs.is_empty() {
        return Ok(());
    }
    write!(html, "<h2>Breadcrumbs</h2><table><caption>{}</caption>", counted(crumbs.len() as u64, "earlier line"))?;
    write!(html, "<thead><tr><th scope=col>Time<th scope=col>Level<th scope=col>Message</thead><tbody>")?;
    for crumb in crumbs {
        let text = |name| crumb.get(name).and_then(Value::as_str).unwrap_or_default();
        write!(html, "<tr>")?;
        write_when(html, crumb.get("timestamp"), crumb.get("level").and_then(Value::as_str).unwrap_or("info"))?;
        write_text(html, text("message"))?;
    }
    write!(html, "</tbody></table>")
}

/// Writes the logs that share the event's trace, as Sentry shows them on the issue: those nearest to it, in their order.
fn write_around(html: &mut String, event: &Event, state: &Snapshot) -> fmt::Result {
    let trace = event.payload.pointer("/contexts/trace/trace_id").and_then(Value::as_str).unwrap_or_default();
    let shares = |log: &&Log| {
        log.project == event.project
            && log.payload.get("trace_id").and_then(Value::as_str).is_some_and(|id| id == trace && !id.is_empty())
    };
    let at = |log: &Log| log.payload.get("timestamp").and_then(timestamp::of_value).unwrap_or_default();
    let mut logs: Vec<(f64, &Log)> =
        state.logs.iter().map(|log| &**log).filter(shares).map(|log| (at(log), log)).collect();
    if logs.is_empty() {
        return Ok(());
    }
    logs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let seen = issues::seen(&event.payload);
    let own = logs.partition_point(|(time, _)| *time < seen);
    // What came before says more than what came after.
    let from = own.saturating_sub(MAX_AROUND * 2 / 3).min(logs.len().saturating_sub(MAX_AROUND));
    let told = match logs.len() {
        all if all > MAX_AROUND => format!("the nearest {MAX_AROUND} of {all} logs"),
        all => counted(all as u64, "log"),
    };
    write!(html, "<h2>Logs of its trace</h2><table><caption>{told}</caption>")?;
    let near = logs.into_iter().skip(from).take(MAX_AROUND).map(|(time, log)| {
        let own = time == seen && is_of(log, &event.payload);
        (log, if own { " class=own" } else { "" })
    });
    write_rows(html, near)
}

/// Returns true if the log contains the first line of the event's message or, without a message, of its exception's value.
fn is_of(log: &Log, event: &Value) -> bool {
    let body = log.payload.get("body").and_then(Value::as_str).unwrap_or_default();
    let message = event.pointer("/logentry/formatted").and_then(Value::as_str);
    let value = issues::exceptions(event).last().and_then(|exception| exception.get("value")?.as_str());
    let said = message.or(value).and_then(|text| text.lines().next()).unwrap_or_default();
    !said.is_empty() && body.contains(said)
}

/// Writes all events of the issue, each with its address.
fn write_events(html: &mut String, query: &Query, found: &Found) -> fmt::Result {
    let mut all: Vec<&Event> = found.issue.events.iter().map(|event| &**event).collect();
    all.sort_by(|one, other| issues::seen(&one.payload).total_cmp(&issues::seen(&other.payload)));
    let count = all.len();
    write!(html, "<h2 id=events>Events of this issue</h2>")?;
    if count > 1 {
        write_pager(html, &format!("/events/{}", encode(&found.event.event_id)), query, count, MAX_ROWS)?;
    }
    write!(html, "<table><caption>{}</caption>", counted(count as u64, "event"))?;
    write!(
        html,
        "<thead><tr><th scope=col>Time<th scope=col>Level<th scope=col>Event<th scope=col>Title</thead><tbody>"
    )?;
    for event in entries(all, query, MAX_ROWS) {
        let (id, own) = (&event.event_id, event.event_id == found.event.event_id);
        let (class, current) = if own { (" class=own", " aria-current=true") } else { ("", "") };
        write!(html, "<tr{class}>")?;
        write_when(html, event.payload.get("timestamp"), issues::level(&event.payload))?;
        write!(html, "<td class=mono><a href=\"/events/{}\"{current}>{}</a>", encode(id), Escaped(id))?;
        write!(html, "<td class=wide>{}", Text(&issues::title(&event.payload)))?;
    }
    write!(html, "</tbody></table>")
}
