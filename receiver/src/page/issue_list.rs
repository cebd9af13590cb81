//! The list of issues.

use super::super::issues::{self, Issue};
use super::super::store::Snapshot;
use super::super::{timestamp, workload};
use super::markup::{Escaped, Level, Text};
use super::query::{Query, encode};
use super::{MAX_ROWS, entries, write_pager};
use crate::text::counted;
use std::fmt::{self, Write};

pub(super) fn write(html: &mut String, query: &Query, state: &Snapshot, dsn: &str) -> fmt::Result {
    let totals = state.totals;
    write!(html, "<h1>Issues</h1><p>DSN <code>{}</code><br><span class=dim>", Escaped(dsn))?;
    write!(
        html,
        "{}, {}, {} in {}; <a href=\"/problems\">{}</a>. Times are UTC.</span></p>",
        counted(totals.events, "event"),
        counted(totals.logs, "log"),
        counted(totals.client_reports, "client report"),
        counted(totals.requests, "request"),
        counted(totals.problems, "problem")
    )?;
    let mut all = issues::group(&state.events);
    if all.is_empty() {
        return write_empty(html, state, dsn);
    }
    // Entries are turned around where the newest comes first.
    all.reverse();
    let count = all.len();
    write_pager(html, "/", query, count, MAX_ROWS)?;
    write!(html, "<table><caption>{}</caption>", counted(count as u64, "issue"))?;
    write!(html, "<thead><tr><th scope=col>Level<th scope=col>Issue<th scope=col>Workload")?;
    write!(html, "<th scope=col class=num>Events<th scope=col>Last seen</thead><tbody>")?;
    for issue in entries(all, query, MAX_ROWS) {
        write_row(html, &issue)?;
    }
    write!(html, "</tbody></table>")
}

fn write_row(html: &mut String, issue: &Issue) -> fmt::Result {
    write!(
        html,
        "<tr><td class=short>{}<td class=wide><a href=\"/events/{}\">{}</a><td class=work>{}\
         <td class=num data-of=\"events:\">{}<td class=\"time mono dim\">{}",
        Level(&issue.level),
        encode(&issue.latest.event_id),
        Text(&issue.title),
        Text(&workload::of_event(&issue.latest.payload)),
        issue.events.len(),
        timestamp::display(issue.last_seen),
    )
}

fn write_empty(html: &mut String, state: &Snapshot, dsn: &str) -> fmt::Result {
    if !state.logs.is_empty() {
        return write!(html, "<p>No event has come yet, but <a href=\"/logs\">logs</a>.");
    }
    write!(html, "<p>Nothing has come yet. This sends an event and a log; then load the page again:")?;
    write!(html, "<pre>echo &#39;ERROR hello&#39; | flb-sentry ship -o dsn={} -</pre>", Escaped(dsn))
}
