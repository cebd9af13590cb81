//! Reads the plugin's own account of the outcome of each record from the last summary line that it logs.

use plugin_host::Level;
use std::fmt;

/// Outcomes that mean a record has not reached Sentry though it should have.
const FAILURES: [&str; 8] =
    ["pending", "lost", "rejected", "too_large", "invalid", "abandoned", "overflow", "rate_limited"];

/// Outcomes that a server has decided by refusing an item.
const REFUSALS: [&str; 3] = ["rejected", "too_large", "rate_limited"];

/// Keys and counts of a summary line, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger(Vec<(String, u64)>);

impl Ledger {
    /// Reads the last summary among these lines.
    pub(super) fn find(lines: &[(Level, String)]) -> Option<Self> {
        let summary = lines.iter().rev().find_map(|(_, line)| line.split_once("] summary: "))?.1;
        let entries = summary.split_ascii_whitespace().filter_map(|token| {
            let (key, value) = token.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        });
        Some(Self(entries.collect()))
    }

    /// Records taken.
    pub(super) fn records(&self) -> u64 {
        self.get("records").unwrap_or(0)
    }

    /// Returns the number of items of a category that a server has accepted.
    pub(super) fn accepted(&self, category: &str) -> u64 {
        self.get(&format!("{category}.accepted")).unwrap_or(0)
    }

    /// Returns the number of items of a category that a server has refused.
    pub(super) fn refused(&self, category: &str) -> u64 {
        REFUSALS.iter().filter_map(|outcome| self.get(&format!("{category}.{outcome}"))).sum()
    }

    /// `event.pending=3` and the like: each outcome that is a failure.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = self.outcomes().filter(|(_, outcome, count)| *count > 0 && FAILURES.contains(outcome));
        failed.map(|(category, outcome, count)| format!("{category}.{outcome}={count}")).collect()
    }

    /// Returns true if at least one record had this outcome.
    pub(super) fn any(&self, wanted: &str) -> bool {
        self.outcomes().any(|(_, outcome, count)| outcome == wanted && count > 0)
    }

    /// Returns true if a destination has accepted at least one request.
    pub(super) fn accepts(&self) -> bool {
        self.get("requests.2xx").is_some_and(|count| count > 0)
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> serde_json::Value {
        self.0
            .iter()
            .map(|(key, count)| (key.clone(), serde_json::Value::from(*count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn get(&self, key: &str) -> Option<u64> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, count)| *count)
    }

    /// Category, outcome and count.
    fn outcomes(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let split = |(key, count): &'_ (String, u64)| -> Option<(usize, u64)> { Some((key.find('.')?, *count)) };
        let dotted = self.0.iter().filter_map(move |entry| split(entry).map(|(at, count)| (&entry.0, at, count)));
        dotted
            .map(|(key, at, count)| (&key[..at], &key[at + 1..], count))
            .filter(|(category, ..)| *category != "requests")
    }
}

impl Ledger {
    /// Categories and outcomes, each in the order in which it first came.
    fn axes(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut categories, mut outcomes) = (Vec::new(), Vec::new());
        for (category, outcome, _) in self.outcomes() {
            for (list, name) in [(&mut categories, category), (&mut outcomes, outcome)] {
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        (categories, outcomes)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (categories, outcomes) = self.axes();
        let mut row = |name: &str, cells: &[String]| {
            write!(f, "{name:16}")?;
            cells.iter().try_for_each(|cell| write!(f, "{cell:>12}"))?;
            writeln!(f)
        };
        row("records", &[self.records().to_string()])?;
        if !categories.is_empty() {
            row("", &categories.iter().map(|category| (*category).to_owned()).collect::<Vec<_>>())?;
        }
        for outcome in outcomes {
            let count = |category: &&str| self.get(&format!("{category}.{outcome}")).unwrap_or(0).to_string();
            row(outcome, &categories.iter().map(count).collect::<Vec<_>>())?;
        }
        for (key, count) in self.0.iter().filter(|(_, count)| *count > 0) {
            let plain = key.ends_with("_bytes") || key.starts_with("requests.");
            if plain {
                row(key, &[count.to_string()])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(line: &str) -> Option<Ledger> {
        Ledger::find(&[(Level::Info, line.to_owned())])
    }

    const LINE: &str = "[output:sentry:a] summary: records=145 event.accepted=12 event.filtered=133 log.accepted=145 \
        event.pending=0 log.pending=0 requests.2xx=14 sent_bytes=31234 spool_bytes=0";

    #[test]
    fn the_last_summary_counts() {
        let lines = ["[x] summary: records=1", "[x] other: records=3", "[x] summary: records=2", "[x] bye"];
        let lines = lines.map(|line| (Level::Info, line.to_owned()));
        assert_eq!(Ledger::find(&lines).unwrap().records(), 2);
        assert_eq!(Ledger::find(&lines[3..]), None);
        assert_eq!(ledger("[x] summary: records=1 odd a=b c=").unwrap().0, [("records".to_owned(), 1)]);
    }

    #[test]
    fn only_what_should_have_arrived_is_a_failure() {
        assert_eq!(ledger(LINE).unwrap().failures(), [""; 0]);
        let bad = ledger(
            "[x] summary: records=9 event.pending=1 log.lost=2 log.joined=3 event.suppressed=4 log.invalid=0 requests.rejected=1",
        );
        let bad = bad.unwrap();
        assert_eq!(bad.failures(), ["event.pending=1", "log.lost=2"]);
        let refused =
            ledger("[x] summary: records=9 event.accepted=1 event.rejected=2 event.too_large=3 log.lost=1").unwrap();
        assert_eq!((refused.accepted("event"), refused.refused("event"), refused.refused("log")), (1, 5, 0));
        let good = ledger(LINE).unwrap();
        assert!(bad.any("pending") && bad.any("lost") && !good.any("pending"));
        assert!(good.accepts() && !bad.accepts());
        for failure in FAILURES {
            assert_eq!(ledger(&format!("[x] summary: log.{failure}=1")).unwrap().failures().len(), 1, "{failure}");
        }
    }

    #[test]
    fn a_table_for_people_and_an_object_for_machines() {
        let ledger = ledger(LINE).unwrap();
        let table = ledger.to_string();
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected: [&[&str]; 7] = [
            &["records", "145"],
            &["event", "log"],
            &["accepted", "12", "145"],
            &["filtered", "133", "0"],
            &["pending", "0", "0"],
            &["requests.2xx", "14"],
            &["sent_bytes", "31234"],
        ];
        assert_eq!(rows, expected);
        assert_eq!(ledger.json()["event.accepted"], 12);
    }
}
