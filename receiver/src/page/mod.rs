//! Renders the pages: issues at `/`, one event at `/events/ID`, logs at `/logs`, problems at `/problems`; and the same
//! content for programs at `/api/items.json`.

mod event;
mod issue_list;
mod items;
mod log_list;
mod markup;
mod problem_list;
mod query;
mod style;

pub(super) use items::items;

use super::http::Response;
use super::issues;
use super::store::Snapshot;
use super::timestamp;
use crate::text::counted;
use markup::{Escaped, Level, Text};
use query::Query;
use serde_json::Value;
use std::fmt::{self, Write};

/// Events on the page of an issue, and issues in their list.
const MAX_ROWS: usize = 200;
/// Lines of a text that are shown at once; the rest unfolds.
const MAX_LINES: usize = 8;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    Issues,
    Logs,
    Problems,
    /// An event with the other events of its issue, by its id.
    Event(String),
}

impl View {
    /// Returns the page at a path; none for a path that leads nowhere.
    pub fn of(path: &str) -> Option<View> {
        match path {
            "/" => Some(View::Issues),
            "/logs" => Some(View::Logs),
            "/problems" => Some(View::Problems),
            _ => path.strip_prefix("/events/").filter(|id| !id.is_empty()).map(|id| View::Event(id.to_owned())),
        }
    }
}

/// Renders a page. `query` is the part of its address behind the `?`.
pub(super) fn render(view: &View, query: &str, state: &Snapshot, dsn: &str) -> Response {
    let query = Query::parse(query);
    let mut html = String::with_capacity(64 * 1024);
    let found = match view {
        View::Event(id) => event::find(state, id).is_some(),
        _ => true,
    };
    // Writing into a string cannot fail.
    let _ = write_page(&mut html, view, &query, state, dsn);
    page(if found { 200 } else { 404 }, html)
}

/// Returns the page for an address that leads nowhere.
pub(super) fn missing(path: &str, state: &Snapshot) -> Response {
    let mut html = String::new();
    let _ = write_head(&mut html, "Not found", None, state).and_then(|()| {
        write!(html, "<h1>Not found</h1><p>There is no page at <code>{}</code>.</main></html>", Text(path))
    });
    page(404, html)
}

fn page(status: u16, html: String) -> Response {
    // Log lines are anybody's text: even an escape that is missing must not run.
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    Response {
        status,
        content_type: "text/html; charset=utf-8",
        headers: vec![
            ("content-security-policy".into(), POLICY.into()),
            ("cache-control".into(), "no-store".into()),
            ("x-content-type-options".into(), "nosniff".into()),
        ],
        body: html.into_bytes(),
    }
}

fn write_page(html: &mut String, view: &View, query: &Query, state: &Snapshot, dsn: &str) -> fmt::Result {
    match view {
        View::Issues => {
            write_head(html, "Issues", Some("/"), state)?;
            issue_list::write(html, query, state, dsn)?;
        }
        View::Logs => {
            write_head(html, "Logs", Some("/logs"), state)?;
            log_list::write(html, query, state)?;
        }
        View::Problems => {
            write_head(html, "Problems", Some("/problems"), state)?;
            problem_list::write(html, query, state)?;
        }
        View::Event(id) => match event::find(state, id) {
            Some(found) => {
                write_head(html, &issues::title(&found.event.payload), None, state)?;
                event::write(html, query, state, &found)?;
            }
            None => {
                write_head(html, "Not found", None, state)?;
                write!(html, "<h1>No such event</h1><p>The event <code>{}</code> has not come, ", Text(id))?;
                write!(html, "or is no longer among the newest items, which this server keeps.")?;
            }
        },
    }
    write!(html, "</main></html>")
}

/// Writes everything above the content. `here` is the entry of the menu that leads to this page.
fn write_head(html: &mut String, title: &str, here: Option<&str>, state: &Snapshot) -> fmt::Result {
    let title: String = title.chars().take(100).collect();
    write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8><title>{} - flb-sentry receive</title>",
        Escaped(&title)
    )?;
    write!(html, "<meta name=viewport content=\"width=device-width\"><style>{}</style>", style::STYLE)?;
    write!(html, "<a class=skip href=\"#main\">Skip to the content</a>")?;
    write!(html, "<header><strong>flb-sentry receive</strong><nav aria-label=Pages><ul>")?;
    let (logs, problems) = (state.logs.len(), state.totals.problems);
    let issues = issues::group(&state.events).len();
    for (path, name, count) in
        [("/", "Issues", issues as u64), ("/logs", "Logs", logs as u64), ("/problems", "Problems", problems)]
    {
        let current = if here == Some(path) { " aria-current=page" } else { "" };
        write!(html, "<li><a href=\"{path}\"{current}>{name} ({count})</a>")?;
    }
    write!(html, "<li><a href=\"/api/items.json\">JSON</a></ul></nav></header><main id=main tabindex=-1>")
}

/// Writes the links that turn the order around and that lead to the pages before and after this one. `of` is the number
/// of all entries, `each` that of the entries of a page.
fn write_pager(html: &mut String, path: &str, query: &Query, of: usize, each: usize) -> fmt::Result {
    let (now, other) = if query.oldest_first { ("oldest", "newest") } else { ("newest", "oldest") };
    let turned = Query { oldest_first: !query.oldest_first, page: 0, ..query.clone() }.address(path);
    write!(html, "<p class=pages><span class=dim>The {now} first.</span>")?;
    write!(html, "<a class=order href=\"{}\">Show the {other} first</a>", Escaped(&turned))?;
    let last = of.saturating_sub(1) / each;
    let mut link = |page: usize, name: &str| {
        let address = Query { page, ..query.clone() }.address(path);
        write!(html, "<a href=\"{}\">{name}</a>", Escaped(&address))
    };
    if query.page > 0 {
        link(query.page.min(last + 1) - 1, "Previous page")?;
    }
    if query.page < last {
        link(query.page + 1, "Next page")?;
    }
    if last > 0 {
        write!(html, "<span class=dim>Page {} of {}</span>", query.page + 1, last + 1)?;
    }
    write!(html, "</p>")
}

/// Returns the entries of this page, in its order. `all` has the oldest first.
fn entries<T>(mut all: Vec<T>, query: &Query, each: usize) -> Vec<T> {
    if !query.oldest_first {
        all.reverse();
    }
    all.into_iter().skip(query.page.saturating_mul(each)).take(each).collect()
}

/// Writes the cells of a time and a level.
fn write_when(html: &mut String, at: Option<&Value>, level: &str) -> fmt::Result {
    let at = at.and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
    write!(html, "<td class=\"time mono dim\">{at}<td class=short>{}", Level(level))
}

/// Writes a cell with a text of many lines, of which only the first are unfolded.
fn write_text(html: &mut String, text: &str) -> fmt::Result {
    let end = text.match_indices('\n').nth(MAX_LINES - 1).map(|(at, _)| at);
    let (first, rest) = end.map_or((text, ""), |end| (&text[..end], &text[end + 1..]));
    write!(html, "<td class=\"text wide\">{}", Text(first))?;
    match rest.lines().count() {
        0 => Ok(()),
        1 => write!(html, "\n{}", Text(rest)),
        more => {
            let more = counted(more as u64, "more line");
            write!(html, "<details class=more><summary>{more}</summary>{}</details>", Text(rest))
        }
    }
}

#[cfg(test)]
mod tests;
