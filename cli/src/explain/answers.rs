//! What the mapping answers about a chunk, kept until all of it is there.

use out_sentry::ledger::{Category, Outcome};
use out_sentry::record::identity::EventId;
use out_sentry::record::{Bill, FoundKeys, Reason, Sink};
use std::collections::HashMap;
use std::ops::Range;

/// The answers for the records from `first` on.
pub(super) struct Answers {
    first: u32,
    /// Where the chunk begins in its file, in bytes.
    pub(super) offset: u64,
    payloads: Vec<u8>,
    opened: (usize, u32),
    records: Vec<Answer>,
    /// The records whose lines are part of this one's item, for each category.
    members: [HashMap<u32, Vec<u32>>; 2],
}

/// What is known of one record.
#[derive(Clone, Default)]
struct Answer {
    keys: Keys,
    ends: [End; 2],
}

/// How a record ended in a category; no outcome would be a defect.
#[derive(Clone, Default)]
pub(super) struct End {
    pub(super) outcome: Option<Outcome>,
    pub(super) reason: Option<Reason>,
    /// The number of the destination, if it became an item.
    pub(super) destination: Option<u32>,
    /// Billed size of the log in bytes; 0 for everything else.
    pub(super) billed: u64,
    payload: Range<usize>,
}

/// The fields that gave a record its meaning.
#[derive(Clone, Default)]
pub(super) struct Keys {
    pub(super) message: Option<String>,
    pub(super) level: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) stack: Option<String>,
    pub(super) level_from: LevelFrom,
}

/// Where a level came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LevelFrom {
    /// A field.
    Key,
    /// The message's head.
    Text,
    /// A stack trace, for nothing else said it.
    Trace,
    /// `default_level`
    #[default]
    Default,
}

impl LevelFrom {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Text => "text",
            Self::Trace => "stack trace",
            Self::Default => "default",
        }
    }
}

impl Answers {
    pub(super) fn new(first: u32, offset: u64) -> Self {
        Self { first, offset, payloads: Vec::new(), opened: (0, 0), records: Vec::new(), members: Default::default() }
    }

    /// The numbers of the records, from 0.
    pub(super) fn numbers(&self) -> Range<u32> {
        self.first..self.first + self.records.len() as u32
    }

    pub(super) fn end(&self, category: Category, record: u32) -> &End {
        &self.records[self.place(record)].ends[category as usize]
    }

    /// The item's JSON, if it became one.
    pub(super) fn payload(&self, end: &End) -> Option<&[u8]> {
        (end.outcome == Some(Outcome::Accepted)).then(|| &self.payloads[end.payload.clone()])
    }

    /// Whose lines are part of this record's item, besides its own.
    pub(super) fn members(&self, category: Category, record: u32) -> &[u32] {
        self.members[category as usize].get(&record).map_or(&[], Vec::as_slice)
    }

    /// The keys of an item. The first line of several determines their level; where it says none, their trace does.
    pub(super) fn keys(&self, category: Category, record: u32) -> Keys {
        let own = self.records[self.place(record)].keys.clone();
        match own.level_from {
            LevelFrom::Default if !self.members(category, record).is_empty() => {
                Keys { level_from: LevelFrom::Trace, ..own }
            }
            _ => own,
        }
    }

    /// Whether there were bytes that are no record.
    pub(super) fn undecodable(&self) -> bool {
        let mut ends = self.records.iter().map(|answer| &answer.ends[0]);
        ends.any(|end| matches!(end.reason, Some(Reason::Undecodable(_))))
    }

    fn place(&self, record: u32) -> usize {
        (record - self.first) as usize
    }

    fn answer(&mut self, record: u32) -> &mut Answer {
        let place = self.place(record);
        if self.records.len() <= place {
            self.records.resize(place + 1, Answer::default());
        }
        &mut self.records[place]
    }
}

impl Sink for Answers {
    fn again(&self, _record: u32) -> bool {
        false
    }

    fn open(&mut self, _category: Category, _record: u32, destination: u32) -> Option<&mut Vec<u8>> {
        self.opened = (self.payloads.len(), destination);
        Some(&mut self.payloads)
    }

    fn close(&mut self, category: Category, record: u32, _event_id: Option<EventId>) {
        let (start, destination) = self.opened;
        let payload = start..self.payloads.len();
        self.answer(record).ends[category as usize] =
            End { outcome: Some(Outcome::Accepted), reason: None, destination: Some(destination), billed: 0, payload };
    }

    fn close_log(&mut self, record: u32, bill: &Bill) {
        self.close(Category::Log, record, None);
        self.answer(record).ends[Category::Log as usize].billed = bill.bytes;
    }

    fn end(&mut self, category: Category, record: u32, outcome: Outcome) {
        self.answer(record).ends[category as usize].outcome = Some(outcome);
    }

    fn found(&mut self, record: u32, found: &FoundKeys<'_>) {
        let text = |key: Option<&[u8]>| key.map(|key| String::from_utf8_lossy(key).into_owned());
        let level_from = match (found.level, found.level_in_text, found.level_of_trace) {
            (Some(_), ..) => LevelFrom::Key,
            (None, true, _) => LevelFrom::Text,
            (None, false, true) => LevelFrom::Trace,
            (None, false, false) => LevelFrom::Default,
        };
        self.answer(record).keys = Keys {
            message: text(found.message),
            level: text(found.level),
            trace: text(found.trace),
            stack: text(found.stack),
            level_from,
        };
    }

    fn why(&mut self, category: Category, record: u32, reason: Reason) {
        if let Reason::Joined { into } = reason {
            self.members[category as usize].entry(into).or_default().push(record);
        }
        self.answer(record).ends[category as usize].reason = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(level: Option<&[u8]>, in_text: bool) -> FoundKeys<'_> {
        FoundKeys { level, level_in_text: in_text, ..FoundKeys::default() }
    }

    #[test]
    fn first_line_of_several_determines_the_level() {
        let level = |lines: &[FoundKeys<'_>]| {
            let mut answers = Answers::new(7, 0);
            for (line, found) in lines.iter().enumerate() {
                answers.found(7 + line as u32, found);
                if line > 0 {
                    answers.why(Category::Log, 7 + line as u32, Reason::Joined { into: 7 });
                }
            }
            let keys = answers.keys(Category::Log, 7);
            (keys.level, keys.level_from)
        };
        let nothing = found(None, false);
        assert_eq!(level(&[nothing]), (None, LevelFrom::Default));
        assert_eq!(level(&[nothing, nothing]), (None, LevelFrom::Trace));
        assert_eq!(level(&[nothing, found(None, true)]), (None, LevelFrom::Trace));
        assert_eq!(level(&[found(None, true), found(Some(b"a"), false)]), (None, LevelFrom::Text));
        assert_eq!(level(&[found(Some(b"b"), false), nothing]), (Some("b".to_owned()), LevelFrom::Key));
    }
}
