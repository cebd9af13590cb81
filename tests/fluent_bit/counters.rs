//! The plugin's own counters as the host exports them, and what always holds of them.

use crate::support::fluent_bit::FluentBit;
use crate::support::wait;
use out_sentry::ledger::{Category, DURATION_BUCKETS, Outcome, Status};
use std::time::Duration;

const PREFIX: &str = "fluentbit_sentry_";

/// Longest time until the counters show what has happened: they are published once a second.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

/// One reading of the metrics of the instance called `name`.
#[derive(Debug)]
pub struct Counters {
    name: String,
    lines: Vec<String>,
}

impl Counters {
    /// Reads them.
    pub fn of(host: &FluentBit, name: &str) -> Self {
        let text = host.metrics().expect("expected metrics");
        let instance = format!("name=\"{name}\"");
        let ours = |line: &&str| line.starts_with(PREFIX) && line.contains(&instance);
        Self { name: name.to_owned(), lines: text.lines().filter(ours).map(str::to_owned).collect() }
    }

    /// The value of the series with exactly these labels besides the instance's name.
    pub fn get(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut all = vec![("name", self.name.as_str())];
        all.extend(labels);
        let all: Vec<String> = all.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let series = format!("{PREFIX}{metric}{{{}}} ", all.join(","));
        self.lines.iter().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    }

    /// A series that must be there.
    pub fn value(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(metric, labels).unwrap_or_else(|| panic!("no series {metric} {labels:?} in {:#?}", self.lines))
    }

    /// Records that ended this way in this category.
    pub fn ended(&self, category: Category, outcome: Outcome) -> f64 {
        self.value("items_total", &[("category", category.name()), ("outcome", outcome.name())])
    }

    /// Records that have not ended, both categories together.
    pub fn pending(&self) -> f64 {
        self.value("pending_items", &[])
    }

    fn ended_in(&self, category: Category) -> f64 {
        Outcome::ALL.iter().map(|outcome| self.ended(category, *outcome)).sum()
    }

    /// Every record is in one outcome per category, or pending.
    fn add_up(&self) -> bool {
        let records = self.value("records_total", &[]);
        let ended: Vec<f64> = Category::ALL.iter().map(|category| self.ended_in(*category)).collect();
        let rest: f64 = ended.iter().map(|ended| records - ended).sum();
        ended.iter().all(|ended| *ended <= records) && rest == self.pending()
    }

    /// Panics unless every series of the contract is there.
    pub fn assert_all_series(&self) {
        for metric in [
            "records_total",
            "sent_bytes_total",
            "pending_items",
            "pending_bytes",
            "spool_bytes",
            "oldest_pending_seconds",
        ] {
            self.value(metric, &[]);
        }
        for category in Category::ALL {
            Outcome::ALL.iter().for_each(|outcome| _ = self.ended(*category, *outcome));
        }
        Status::ALL.iter().for_each(|status| _ = self.value("requests_total", &[("status", status.name())]));
        for state in ["ok", "limited", "unreachable", "misconfigured"] {
            self.value("destinations", &[("state", state)]);
        }
        self.value("request_duration_seconds_count", &[]);
        let buckets = self.lines.iter().filter(|line| line.contains("request_duration_seconds_bucket")).count();
        assert_eq!(buckets, DURATION_BUCKETS.len() + 1, "{:#?}", self.lines);
    }
}

/// Waits until the counters are as expected.
pub fn wait_for(host: &FluentBit, name: &str, what: &str, expected: impl Fn(&Counters) -> bool) -> Counters {
    let mut last = Counters::of(host, name);
    let found = wait::until_true(SHOWN_WITHIN, || {
        last = Counters::of(host, name);
        expected(&last)
    });
    assert!(found, "never: {what}: {:#?}", last.lines);
    last
}

/// The counters add up. Series are exported one by one while they change, so one reading may catch them in between.
pub fn assert_add_up(host: &FluentBit, name: &str) {
    wait_for(host, name, "records = outcomes + pending", Counters::add_up);
}
