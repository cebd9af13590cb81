//! The dashboard and the alerts ask for series that a host shows.
//!
//! `recorded.prom` is such a page, of a host with the plugin; UPDATE_RECORDED=1 with a host on PATH writes it anew.

use super::place;
use super::{file, rules, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use testkit::fluent_bit::Format;

const RECORDED: &str = "tests/system/deploy/recorded.prom";

/// Every query of the dashboard.
pub fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text("deploy/monitoring/dashboard.json")).expect("expected JSON");
    let panels = dashboard["panels"].as_array().expect("expected panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect();
    assert!(queries.len() > 10, "expected the dashboard to show more");
    queries
}

/// The series that a text speaks of.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("fluentbit_")).map(str::to_owned).collect()
}

/// The series of a page.
fn shown(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The values of a label that a text asks for: `outcome="lost"`, `outcome=~"lost|rejected"`.
fn asked(text: &str, label: &str) -> BTreeSet<String> {
    let parts = text.split(label).skip(1);
    let values =
        parts.filter_map(|part| part.trim_start_matches(['=', '~', '!', '\\']).strip_prefix('"')?.split_once('"'));
    values.flat_map(|(values, _)| values.split('|').map(str::to_owned).collect::<Vec<_>>()).collect()
}

pub fn series() {
    let recorded = text(RECORDED);
    let known = shown(&recorded);
    let queries = queries().join("\n");
    let (dashboard, alerts) = (named(&queries), named(&rules::alerting()));
    let unknown: Vec<_> = dashboard.union(&alerts).filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "nobody shows {unknown:?}");
    for label in ["outcome", "state", "category"] {
        let known = asked(&recorded, label);
        let unknown = asked(&[queries.as_str(), "\n", &rules::alerting()].concat(), label);
        let unknown: Vec<_> =
            unknown.iter().filter(|value| !known.contains(*value) && !value.starts_with('$')).collect();
        assert!(unknown.is_empty(), "no {label} is called {unknown:?}");
    }
    let ours: Vec<_> =
        known.iter().filter(|name| name.starts_with("fluentbit_sentry_") && !name.ends_with("_sum")).collect();
    let hidden: Vec<_> =
        ours.into_iter().filter(|name| !dashboard.contains(*name) && !name.ends_with("_count")).collect();
    assert!(hidden.is_empty(), "the dashboard does not show {hidden:?}");
}

/// The page of a host that has sent a few records.
pub fn recorded() {
    let (receiver, place) = place::sentry();
    let host = place.start(&text("deploy/plain/fluent-bit.conf"), Format::Classic, &[]);
    place.write("var/log/app/app.log", "{\"level\":\"error\",\"message\":\"order 7 failed\"}\n");
    assert!(receiver.wait_until(Duration::from_secs(30), |seen| seen.totals.logs == 1), "{}", host.log());
    let page = host.metrics().expect("expected metrics");
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        fs::write(file(RECORDED), &page).expect("expected to write the page");
    }
    let ours = |page: &str| -> BTreeSet<String> {
        shown(page).into_iter().filter(|name| name.starts_with("fluentbit_sentry_")).collect()
    };
    assert_eq!(ours(&page), ours(&text(RECORDED)), "{RECORDED} is behind; UPDATE_RECORDED=1 writes it anew");
}
