//! Counts records whose segment was removed or cannot be read, until they are logged.

use crate::sync::{Mutex, lock};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Names of files in one line of the log, at most.
const NAMED: usize = 5;

/// Number of lost records by the name of their segment, since the last log line about them.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Lost(Mutex<BTreeMap<String, u64>>);

impl Lost {
    /// Adds records of a segment.
    pub(super) fn add(&self, name: String, records: u64) {
        *lock(&self.0).entry(name).or_default() += records;
    }

    /// Takes all entries as a text for the log; `None` if there is none.
    pub(super) fn take(&self) -> Option<String> {
        let lost = std::mem::take(&mut *lock(&self.0));
        let total: u64 = lost.values().sum();
        if lost.is_empty() {
            return None;
        }
        let mut text = format!(
            "records are lost with files that were removed or cannot be read (records: {total}, files: {}): ",
            lost.len()
        );
        for (at, (name, records)) in lost.iter().take(NAMED).enumerate() {
            let _ = write!(text, "{}{name} (records: {records})", if at > 0 { ", " } else { "" });
        }
        if lost.len() > NAMED {
            let _ = write!(text, " and {} more", lost.len() - NAMED);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_few_files_with_their_counts_and_counts_the_rest() {
        let lost = Lost::default();
        assert_eq!(lost.take(), None);
        (0..7).for_each(|file| lost.add(format!("{file}.msgpack"), 10));
        lost.add("0.msgpack".to_owned(), 5);
        let text = lost.take().unwrap();
        assert!(text.contains(" (records: 75, files: 7): ") && text.contains("0.msgpack (records: 15), 1."), "{text}");
        assert!(text.ends_with("4.msgpack (records: 10) and 2 more"), "{text}");
        assert_eq!(lost.take(), None, "expected one log line for each loss");
    }
}
