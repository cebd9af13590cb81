//! Two books of the same goods: the plugin's ledger and what the server has. They must agree.

use crate::progress::counted;
use crate::server::{Arrived, Issue, Server};
use crate::shipper::{Load, Shipped};
use std::fmt;

/// The plugin's account of what became of each record: `event.accepted` and the like.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Vec<(String, u64)>);

impl Ledger {
    /// Reads the last summary line in a host's log.
    pub fn from_log(log: &str) -> Option<Self> {
        let summary = log.lines().rev().find_map(|line| line.split_once("] summary: "))?.1;
        let cell = |token: &str| token.split_once('=').and_then(|(key, n)| Some((key.to_owned(), n.parse().ok()?)));
        Some(Self(summary.split_ascii_whitespace().filter_map(cell).collect()))
    }

    /// Reads the host's metrics.
    pub fn from_metrics(metrics: &str) -> Self {
        let ours = metrics.lines().filter_map(|line| line.strip_prefix("fluentbit_sentry_"));
        let cell = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((key(series)?, value.parse::<f64>().ok()? as u64))
        };
        Self(ours.filter_map(cell).collect())
    }

    /// The sum of the cells of that name; a summary leaves out those that are zero.
    pub fn get(&self, key: &str) -> u64 {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, n)| n).sum()
    }

    /// Outcomes in the order in which they first came.
    fn outcomes(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let dotted = self.0.iter().filter_map(|(key, _)| key.strip_prefix("event.").or(key.strip_prefix("log.")));
        dotted.for_each(|outcome| {
            if !found.contains(&outcome) {
                found.push(outcome)
            }
        });
        found
    }
}

/// A metric by its name in the ledger.
fn key(series: &str) -> Option<String> {
    let label = |name: &str| Some(series.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
    Some(match series.split('{').next()? {
        "records_total" => "records".to_owned(),
        "items_total" => format!("{}.{}", label("category")?, label("outcome")?),
        "pending_items" => "pending".to_owned(),
        _ => return None,
    })
}

/// Everything that is compared.
pub struct Books {
    server: &'static str,
    records: u64,
    shipped: Shipped,
    arrived: Arrived,
    issues: Vec<Issue>,
    problems: Vec<String>,
}

impl Books {
    /// Reads the result back from the server.
    pub fn read(load: &Load, shipped: Shipped, server: &Server) -> Result<Self, String> {
        let (arrived, mut issues) = (server.arrived()?, server.issues()?);
        issues.sort_by(|a, b| (a.level != "fatal", b.count, &a.title).cmp(&(b.level != "fatal", a.count, &b.title)));
        Ok(Self { server: server.name(), records: load.records, shipped, arrived, issues, problems: server.problems() })
    }

    /// Returns true if the server has no problems to report and every comparison holds.
    pub fn agree(&self) -> bool {
        self.problems.is_empty() && self.comparisons().iter().all(Comparison::holds)
    }

    fn comparisons(&self) -> Vec<Comparison> {
        let (ledger, Arrived { events, logs }) = (&self.shipped.ledger, self.arrived);
        let in_issues = self.issues.iter().map(|issue| issue.count).sum();
        let row = |what, left: (_, u64), right: (_, u64)| Comparison { what, left, right };
        let taken = ("taken by the plugin", ledger.get("records"));
        let (sent, logged) = (ledger.get("event.accepted"), ledger.get("log.accepted"));
        let mut rows = vec![
            row("records", ("in the samples", self.records), taken),
            row("events", ("accepted, says the ledger", sent), ("at the server", events)),
            row("events", ("at the server", events), ("in its issues", in_issues)),
            row("logs", ("accepted, says the ledger", logged), ("at the server", logs)),
        ];
        for key in ["event.pending", "log.pending", "event.lost", "log.lost", "event.rejected", "log.rejected"] {
            let found = ledger.get(key);
            rows.extend((found > 0).then(|| row(key, ("expected", 0), ("says the ledger", found))));
        }
        if let Some(metrics) = &self.shipped.metrics {
            let of = |key| ("accepted, say the metrics", metrics.get(key));
            rows.push(row("events", ("accepted, says the ledger", sent), of("event.accepted")));
            rows.push(row("logs", ("accepted, says the ledger", logged), of("log.accepted")));
        }
        rows
    }
}

/// Two numbers that must be the same.
struct Comparison {
    what: &'static str,
    left: (&'static str, u64),
    right: (&'static str, u64),
}

impl Comparison {
    fn holds(&self) -> bool {
        self.left.1 == self.right.1
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, sign) = if self.holds() { ("ok    ", '=') } else { ("DIFFER", '≠') };
        let ((left, n), (right, m)) = (self.left, self.right);
        write!(f, "  {mark}  {:8}{n} {left} {sign} {m} {right}", self.what)
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_issues(f)?;
        self.write_ledger(f)?;
        writeln!(f, "Compared")?;
        self.comparisons().iter().try_for_each(|row| writeln!(f, "{row}"))?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "  PROBLEM {problem}"))?;
        let verdict = if self.agree() { "All agree." } else { "They do not agree: see above." };
        writeln!(f, "{verdict}\n")
    }
}

/// Widest title; the page has it whole.
const TITLE: usize = 96;

impl Books {
    fn write_issues(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issues = counted(self.issues.len() as u64, "issue");
        writeln!(f, "{issues} in {}\n  level    events  title", self.server)?;
        for issue in &self.issues {
            // A log line is anybody's text: it must not steer the terminal.
            let title: String = issue.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let cut = if title.chars().count() > TITLE { "..." } else { "" };
            let title: String = title.chars().take(TITLE).collect();
            writeln!(f, "  {:8} {:6}  {title}{cut}", issue.level, issue.count)?;
        }
        writeln!(f, "\n{} in {}", counted(self.arrived.logs, "log"), self.server)?;
        if self.server.contains("Bugsink") {
            writeln!(
                f,
                "  Bugsink accepts logs but does not display them; make demo WAIT=1 ARGS='--server receive' does."
            )?;
        }
        writeln!(f)
    }

    fn write_ledger(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.shipped.ledger;
        let records = counted(ledger.get("records"), "record");
        writeln!(f, "Ledger of the plugin: {records}\n  {:14}{:>8}{:>8}", "", "event", "log")?;
        for outcome in ledger.outcomes() {
            let cell = |category: &str| ledger.get(&format!("{category}.{outcome}"));
            writeln!(f, "  {outcome:14}{:8}{:8}", cell("event"), cell("log"))?;
        }
        writeln!(f)
    }
}
