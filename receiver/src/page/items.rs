//! The content of the pages for programs, at `/api/items.json`.

use super::super::http::Response;
use super::super::issues::{self, Issue};
use super::super::store::Snapshot;
use super::super::workload;
use serde_json::json;

/// Returns all that is kept, the issues made of it, and the totals.
pub(in super::super) fn items(state: &Snapshot) -> Response {
    let issues = issues::group(&state.events);
    let issue = |issue: &Issue| {
        json!({
            "project": issue.latest.project, "title": issue.title, "level": issue.level, "count": issue.events.len(),
            "last_seen": issue.last_seen, "event_id": issue.latest.event_id,
            "workload": workload::of_event(&issue.latest.payload),
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
        "problems": state.problems.iter().map(|problem| json!({
            "time": problem.at, "request": problem.request, "method": problem.method, "path": problem.path,
            "status": problem.status, "problem": problem.text,
        })).collect::<Vec<_>>(),
    });
    Response::json(200, &body)
}
