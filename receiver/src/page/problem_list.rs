//! The list of problems.

use super::super::store::{Problem, Snapshot};
use super::super::timestamp;
use super::markup::Text;
use super::query::Query;
use super::{MAX_ROWS, entries, write_pager};
use crate::text::counted;
use std::fmt::{self, Write};

pub(super) fn write(html: &mut String, query: &Query, state: &Snapshot) -> fmt::Result {
    write!(html, "<h1>Problems</h1><p>A problem is something that a Sentry server would refuse, drop or change.")?;
    let all: Vec<&Problem> = state.problems.iter().map(|problem| &**problem).collect();
    if all.is_empty() {
        return write!(html, "<p>No problem has been found.");
    }
    let (kept, total) = (all.len(), state.totals.problems);
    write_pager(html, "/problems", query, kept, MAX_ROWS)?;
    write!(html, "<table><caption>{}", counted(total, "problem"))?;
    if total > kept as u64 {
        write!(html, ", of which the newest {kept} are kept")?;
    }
    write!(html, "</caption><thead><tr><th scope=col>Time<th scope=col class=num>Request<th scope=col>Answer")?;
    write!(html, "<th scope=col>Address<th scope=col>Problem</thead><tbody>")?;
    for problem in entries(all, query, MAX_ROWS) {
        let answer = problem.status.map_or("none".to_owned(), |status| status.to_string());
        write!(
            html,
            "<tr><td class=\"time mono dim\">{}<td class=num data-of=request>{}<td class=short>{answer}\
             <td class=\"mono\">{} {}<td class=\"text wide\">{}",
            timestamp::display(problem.at),
            problem.request,
            Text(&problem.method),
            Text(&problem.path),
            Text(&problem.text)
        )?;
    }
    write!(html, "</tbody></table>")
}
