//! The list of logs, with its filter.

use super::super::store::{Log, Snapshot};
use super::super::{timestamp, workload};
use super::markup::{Escaped, Text};
use super::query::{LEVELS, Query, place_of};
use super::{entries, write_pager, write_text, write_when};
use crate::text::counted;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Logs on one page.
const EACH: usize = 500;

pub(super) fn write(html: &mut String, query: &Query, state: &Snapshot) -> fmt::Result {
    write!(html, "<h1>Logs</h1>")?;
    if state.logs.is_empty() {
        return write!(html, "<p>No log has come yet.");
    }
    write_filter(html, query, state)?;
    let found = matching(query, state);
    let count = found.len();
    write_pager(html, "/logs", query, count, EACH)?;
    write!(html, "<table><caption>{}</caption>", told(count, state.logs.len(), query))?;
    write_rows(html, entries(found, query, EACH).into_iter().map(|log| (log, "")))
}

/// Writes the head of the table, and its rows, each with attributes for its row.
pub(super) fn write_rows<'a>(html: &mut String, logs: impl Iterator<Item = (&'a Log, &'a str)>) -> fmt::Result {
    write!(
        html,
        "<thead><tr><th scope=col>Time<th scope=col>Level<th scope=col>Workload<th scope=col>Message</thead><tbody>"
    )?;
    for (log, class) in logs {
        let text = |name| log.payload.get(name).and_then(Value::as_str).unwrap_or_default();
        write!(html, "<tr{class}>")?;
        write_when(html, log.payload.get("timestamp"), text("level"))?;
        write!(html, "<td class=work>{}", Text(&workload::of_log(&log.payload)))?;
        write_text(html, text("body"))?;
    }
    write!(html, "</tbody></table>")
}

/// Returns how many logs there are and, with a filter, how many of them it leaves.
fn told(found: usize, all: usize, query: &Query) -> String {
    match query.filters() {
        true => format!("{found} of {}", counted(all as u64, "log")),
        false => counted(all as u64, "log"),
    }
}

/// Returns the logs that the filter leaves, the oldest first.
fn matching<'a>(query: &Query, state: &'a Snapshot) -> Vec<&'a Log> {
    let text = query.text.to_lowercase();
    let matches = |log: &&Log| {
        let part = |name| log.payload.get(name).and_then(Value::as_str).unwrap_or_default();
        query.level.is_none_or(|level| place_of(part("level")).is_some_and(|own| own >= level))
            && (query.workload.is_empty() || workload::of_log(&log.payload) == query.workload)
            && (text.is_empty() || part("body").to_lowercase().contains(&text) || has_value(log, &text))
    };
    let mut found: Vec<&Log> = state.logs.iter().map(|log| &**log).filter(matches).collect();
    let at = |log: &Log| log.payload.get("timestamp").and_then(timestamp::of_value).unwrap_or_default();
    // The sort keeps the order of arrival for logs of the same time.
    found.sort_by(|one, other| at(one).total_cmp(&at(other)));
    found
}

/// Returns true if an attribute has this text in its value; `text` is in lower case.
fn has_value(log: &Log, text: &str) -> bool {
    let attributes = log.payload.get("attributes").and_then(Value::as_object).into_iter().flatten();
    attributes
        .filter_map(|(_, attribute)| attribute.get("value")?.as_str())
        .any(|value| value.to_lowercase().contains(text))
}

fn write_filter(html: &mut String, query: &Query, state: &Snapshot) -> fmt::Result {
    write!(html, "<form action=\"/logs\" role=search aria-label=\"Filter of the logs\">")?;
    write!(
        html,
        "<div class=grow><label for=q>Text</label><input id=q name=q type=search value=\"{}\"></div>",
        Escaped(&query.text)
    )?;
    write!(html, "<div><label for=level>Minimum level</label><select id=level name=level><option value=\"\">any")?;
    for (place, level) in LEVELS.iter().enumerate() {
        write!(html, "<option{}>{level}", selected(query.level == Some(place)))?;
    }
    write!(html, "</select></div><div><label for=workload>Workload</label><select id=workload name=workload>")?;
    write!(html, "<option value=\"\">all")?;
    let own = Some(query.workload.clone()).filter(|own| !own.is_empty());
    let names = state.logs.iter().map(|log| workload::of_log(&log.payload)).filter(|name| !name.is_empty());
    for name in names.chain(own).collect::<BTreeSet<String>>() {
        let name = Escaped(&name);
        write!(html, "<option value=\"{name}\"{}>{name}", selected(name.0 == query.workload))?;
    }
    write!(html, "</select></div>")?;
    if query.oldest_first {
        write!(html, "<input type=hidden name=order value=oldest>")?;
    }
    write!(html, "<div><button>Filter</button></div></form>")
}

fn selected(is: bool) -> &'static str {
    if is { " selected" } else { "" }
}
