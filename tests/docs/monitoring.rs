//! Tests that hold docs/monitoring.md to the metrics, outcomes and alerts of the plugin.

use super::document;
use out_sentry::ledger::{Outcome, Status};
use std::collections::BTreeSet;

/// Returns the cells of the rows of all tables, without the backquotes.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn metrics_are_listed_with_their_types() {
    let source = document("src/host.rs");
    let mut registered = BTreeSet::new();
    for (call, kind, unit) in [("counter(c\"", "counter", ""), ("gauge(c\"", "gauge", "")] {
        for part in source.split(call).skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            registered.insert((format!("fluentbit_sentry_{name}{unit}"), kind.to_owned()));
        }
    }
    registered.insert(("fluentbit_sentry_request_duration_seconds".to_owned(), "histogram".to_owned()));
    assert!(source.contains("c\"request_duration_seconds\""), "expected the histogram in src/host.rs");
    assert!(registered.len() > 10, "expected more metrics than {registered:?}");
    let page = document("docs/monitoring.md");
    let (_, table) = page.split_once("<!-- metrics -->").expect("expected the metrics");
    let (table, _) = table.split_once("<!-- /metrics -->").expect("expected their end");
    let listed: BTreeSet<_> = rows(table).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(listed, registered);
    for status in Status::ALL {
        assert!(table.contains(status.name()), "expected the status {}", status.name());
    }
}

#[test]
fn outcomes_are_listed() {
    let listed: BTreeSet<String> =
        rows(&document("docs/monitoring.md")).into_iter().map(|row| row[0].clone()).collect();
    for outcome in Outcome::ALL {
        assert!(listed.contains(outcome.name()), "expected the outcome {}", outcome.name());
    }
}

#[test]
fn alerts_are_listed() {
    let rules = document("deploy/monitoring/prometheus-rule.yaml");
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let rows = rows(&document("docs/monitoring.md"));
    let listed: BTreeSet<&str> =
        rows.iter().map(|row| row[0].as_str()).filter(|name| name.starts_with("Sentry")).collect();
    assert_eq!(listed, alerts);
}
