//! Writes the end of the view for people: the number of events and logs, the number of records that did not give a severity,
//! and the cost of the logs.

use super::answers::{Explained, LevelFrom};
use super::cost::Cost;
use crate::terminal::{counted, fold, printable};
use out_sentry::ledger::{Category, Outcome};
use std::io::{self, Write};

/// Attributes named in the summary: those that cost most.
const DEAREST: usize = 6;

/// Counts of all records so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    records: u64,
    events: u64,
    logs: u64,
    /// Records that became part of another one's log.
    joined: u64,
    /// Records, those of `joined` left out, whose severity is that of a stack trace or `default_level`.
    without_severity: u64,
    cost: Cost,
}

impl Summary {
    /// Adds a record.
    pub(super) fn add(&mut self, record: &Explained) {
        self.cost.add(record);
        let [event, log] = [Category::Event, Category::Log].map(|category| record.end(category).outcome);
        self.records += 1;
        self.events += u64::from(event == Some(Outcome::Accepted));
        self.logs += u64::from(log == Some(Outcome::Accepted));
        if log == Some(Outcome::Joined) {
            self.joined += 1;
        } else if log != Some(Outcome::Invalid) {
            let from = record.keys(Category::Log).level_from;
            self.without_severity += u64::from(matches!(from, LevelFrom::Trace | LevelFrom::Default));
        }
    }

    /// Writes the counts, in lines of at most `width` characters.
    pub(super) fn write(&self, out: &mut impl Write, width: Option<usize>) -> io::Result<()> {
        let mut line = |text: &str| {
            let width = width.unwrap_or(usize::MAX).max(1);
            fold(text, width, width).into_iter().try_for_each(|part| writeln!(out, "{part}"))
        };
        let cost = &self.cost;
        if cost.logs > 0 {
            let dearest = printable(&cost.dearest(DEAREST));
            let bytes = counted(cost.bytes, "byte");
            line(&format!("billed: {bytes} of logs, {} for each; {dearest}", cost.each()))?;
        }
        let joined = if self.joined > 0 { format!(" ({} part of another's)", self.joined) } else { String::new() };
        line(&format!(
            "{}{joined}: {}, {}; {} without a severity of {} own",
            counted(self.records, "record"),
            counted(self.events, "event"),
            counted(self.logs, "log"),
            self.without_severity,
            if self.without_severity == 1 { "its" } else { "their" },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_right_number() {
        let text = |summary: &Summary| {
            let mut out = Vec::new();
            summary.write(&mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&Summary::default()), "0 records: 0 events, 0 logs; 0 without a severity of their own\n");
        let one = Summary { records: 1, events: 1, logs: 1, joined: 0, without_severity: 1, ..Summary::default() };
        assert_eq!(text(&one), "1 record: 1 event, 1 log; 1 without a severity of its own\n");
        let many = Summary { records: 9, events: 2, logs: 3, joined: 6, without_severity: 2, ..Summary::default() };
        let expected = "9 records (6 part of another's): 2 events, 3 logs; 2 without a severity of their own\n";
        assert_eq!(text(&many), expected);
    }
}
