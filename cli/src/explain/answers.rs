//! Collects the mapping's results for each record. A record goes to the output once it and all records before it have ended.

use out_sentry::clock::Monotonic;
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::{DestinationId, Discard, Finished, FoundKeys, Item, ItemWriter, Reason, Route, Sink};
use std::collections::VecDeque;
use std::io;

/// Takes explained records in the order of the input.
pub(super) trait Output {
    /// Takes the next record.
    ///
    /// # Errors
    /// When the record cannot be written. No other record follows then.
    fn record(&mut self, record: &Explained) -> io::Result<()>;
}

/// The records from the first on that has not ended.
pub(super) struct Answers<O> {
    pub(super) output: O,
    records: VecDeque<Explained>,
    /// Number of the first of them, from 0.
    first: u32,
    part: Part,
    /// True while a later part may follow.
    may_wait: bool,
    /// Bytes that `records` take.
    bytes: usize,
    /// The first error of the output.
    written: io::Result<()>,
}

/// Properties of a part of the input that are known before it is mapped.
#[derive(Default)]
pub(super) struct Part {
    /// Number of its first record.
    pub(super) first: u32,
    /// Number of the first record of its file.
    pub(super) base: u32,
    /// The offset at which the part begins in a chunk file, in bytes.
    pub(super) offset: u64,
    /// The line at which each record ended; empty for a chunk file.
    pub(super) lines: Vec<u64>,
    /// Each record as the view for people shows it; empty if nobody asked.
    pub(super) shown: Vec<Shown>,
}

/// A record as the view for people shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its time, in UTC; empty for bytes that are not a record.
    pub(super) time: String,
    pub(super) text: String,
    /// The dead letter that holds it.
    pub(super) letter: Option<ShownLetter>,
}

/// The end of a dead letter's item, as the view for people shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShownLetter {
    /// The name of the item's outcome.
    pub(super) outcome: String,
    /// The item's category, the reason, and the time at which the plugin gave it up.
    pub(super) text: String,
}

/// Properties of one record, as far as they are known.
#[derive(Clone, Default)]
pub(super) struct Explained {
    /// Its number among the records of all files, from 0.
    pub(super) number: u32,
    /// The number of the first record of its file.
    pub(super) base: u32,
    /// The line at which it ended; none in a chunk file.
    pub(super) line: Option<u64>,
    /// The record as the view for people shows it; empty if nobody asked.
    pub(super) shown: Shown,
    /// The offset at which the record's part of a chunk file begins, in bytes.
    pub(super) offset: u64,
    keys: Keys,
    ends: [End; 2],
    /// The number of records whose lines are part of this one's item, for each category.
    members: [u32; 2],
}

/// The end of a record in one category. A record without an outcome would be a defect.
#[derive(Clone, Default)]
pub(super) struct End {
    pub(super) outcome: Option<Outcome>,
    pub(super) reason: Option<Reason>,
    /// The destination, if the record became an item and its destination is known.
    pub(super) destination: Option<DestinationId>,
    /// Billed size of the log in bytes; 0 for everything else.
    pub(super) billed: u64,
    /// The item's JSON, if it became one.
    payload: Vec<u8>,
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

/// The source of a level.
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

impl Explained {
    /// Returns the number of this or another record within its file, from 1.
    pub(super) fn in_file(&self, number: u32) -> u32 {
        number.saturating_sub(self.base) + 1
    }

    pub(super) fn end(&self, category: Category) -> &End {
        &self.ends[category as usize]
    }

    /// The item's JSON, if it became one.
    pub(super) fn payload(&self, category: Category) -> Option<&[u8]> {
        let end = self.end(category);
        (end.outcome == Some(Outcome::Accepted)).then_some(&*end.payload)
    }

    /// The number of records whose lines are part of this record's item, besides its own.
    pub(super) fn members(&self, category: Category) -> u32 {
        self.members[category as usize]
    }

    /// The keys of an item. The first line of several determines their level; where it says none, their trace does.
    pub(super) fn keys(&self, category: Category) -> Keys {
        let own = self.keys.clone();
        match own.level_from {
            LevelFrom::Default if self.members(category) > 0 => Keys { level_from: LevelFrom::Trace, ..own },
            _ => own,
        }
    }

    /// Returns true for bytes that are not a record.
    pub(super) fn is_undecodable(&self) -> bool {
        matches!(self.ends[0].reason, Some(Reason::Undecodable(_)))
    }

    fn has_ended(&self) -> bool {
        self.ends.iter().all(|end| end.outcome.is_some())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.shown.time.len()
            + self.shown.text.len()
            + self.ends.iter().map(|end| end.payload.len()).sum::<usize>()
    }
}

impl<O: Output> Answers<O> {
    pub(super) fn new(output: O) -> Self {
        Self {
            output,
            records: VecDeque::new(),
            first: 0,
            part: Part::default(),
            may_wait: true,
            bytes: 0,
            written: Ok(()),
        }
    }

    /// Sets the part of the input whose records the mapping reads next.
    pub(super) fn begin_part(&mut self, part: Part) {
        self.part = part;
        self.may_wait = true;
    }

    /// Lets no record wait for a later part.
    pub(super) fn wait_no_more(&mut self) {
        self.may_wait = false;
    }

    /// Bytes of the records that have not gone to the output.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands on the records that have ended, up to the first that has not.
    ///
    /// # Errors
    /// The first error of the output.
    pub(super) fn hand_on(&mut self) -> io::Result<()> {
        self.hand_on_before(u32::MAX);
        std::mem::replace(&mut self.written, Ok(()))
    }

    /// Hands on all records, at the end of a file.
    ///
    /// # Errors
    /// The first error of the output.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.first += self.records.len() as u32;
        self.bytes = 0;
        self.records.drain(..).try_for_each(|record| self.output.record(&record))
    }

    fn hand_on_before(&mut self, number: u32) {
        while let Some(record) = self.records.pop_front_if(|record| record.number < number && record.has_ended()) {
            self.first += 1;
            self.bytes -= record.bytes();
            if self.written.is_ok() {
                self.written = self.output.record(&record);
            }
        }
    }

    fn answer(&mut self, record: u32) -> &mut Explained {
        let place = (record - self.first) as usize;
        while self.records.len() <= place {
            let number = self.first + self.records.len() as u32;
            let at = number.checked_sub(self.part.first).map_or(usize::MAX, |at| at as usize);
            let explained = Explained {
                number,
                line: self.part.lines.get(at).copied(),
                base: self.part.base,
                shown: self.part.shown.get_mut(at).map(std::mem::take).unwrap_or_default(),
                offset: self.part.offset,
                ..Explained::default()
            };
            self.bytes += explained.bytes();
            self.records.push_back(explained);
        }
        &mut self.records[place]
    }
}

/// Writes one item, which is kept with its record.
pub(super) struct AnswerWriter<'w, O> {
    answers: &'w mut Answers<O>,
    item: Item,
    destination: Option<DestinationId>,
    json: Vec<u8>,
}

impl<O: Output> ItemWriter for AnswerWriter<'_, O> {
    fn json(&mut self) -> &mut Vec<u8> {
        &mut self.json
    }

    fn finish(self, finished: Finished) {
        let Self { answers, item, destination, json: payload } = self;
        let billed = if let Finished::Log(bill) = finished { bill.bytes } else { 0 };
        answers.bytes += payload.len();
        answers.answer(item.record).ends[item.category as usize] =
            End { outcome: Some(Outcome::Accepted), reason: None, destination, billed, payload };
    }
}

impl<O: Output> Sink for Answers<O> {
    type Writer<'w>
        = AnswerWriter<'w, O>
    where
        Self: 'w;

    fn begin(&mut self, item: Item, route: Route) -> Option<AnswerWriter<'_, O>> {
        // Members of a group are joined before the next item is begun, so what is before it is known.
        self.hand_on_before(item.record);
        Some(AnswerWriter { answers: self, item, destination: route.destination(), json: Vec::new() })
    }

    fn discard(&mut self, item: Item, discard: Discard) {
        if let Some(Reason::Joined { into }) = discard.reason {
            self.answer(into).members[item.category as usize] += 1;
        }
        let end = &mut self.answer(item.record).ends[item.category as usize];
        (end.outcome, end.reason) = (Some(discard.outcome), discard.reason);
    }

    fn waits_until(&self) -> Option<Monotonic> {
        self.may_wait.then_some(Monotonic::START)
    }

    fn wait(&mut self, record: u32) -> Option<u32> {
        Some(record)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Output for Nowhere {
        fn record(&mut self, _: &Explained) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Vec<u32> {
        fn record(&mut self, record: &Explained) -> io::Result<()> {
            self.push(record.number);
            Ok(())
        }
    }

    /// A record stays until it and all records before it have ended in both categories.
    #[test]
    fn hands_records_on_in_order() {
        let mut answers = Answers::new(Vec::new());
        let end = |answers: &mut Answers<Vec<u32>>, category, record| {
            answers.discard(Item { category, record }, Discard::filtered(Reason::Empty));
        };
        [0, 1, 2, 3].iter().for_each(|record| end(&mut answers, Category::Log, *record));
        end(&mut answers, Category::Event, 1);
        end(&mut answers, Category::Event, 2);
        answers.hand_on().unwrap();
        assert_eq!(answers.output, [0; 0]);
        end(&mut answers, Category::Event, 0);
        drop(answers.begin(Item::event(2), Route::To(DestinationId(0))));
        assert_eq!(answers.output, [0, 1], "all before the one that is opened");
        answers.hand_on().unwrap();
        assert_eq!(answers.output, [0, 1, 2]);
        assert_eq!(answers.bytes(), size_of::<Explained>());
        answers.finish().unwrap();
        assert_eq!(answers.output, [0, 1, 2, 3], "one without an end comes last");
    }

    fn found(level: Option<&[u8]>, in_text: bool) -> FoundKeys<'_> {
        FoundKeys { level, level_in_text: in_text, ..FoundKeys::default() }
    }

    #[test]
    fn first_line_of_several_determines_the_level() {
        let level = |lines: &[FoundKeys<'_>]| {
            let mut answers = Answers::new(Nowhere);
            for (line, found) in lines.iter().enumerate() {
                answers.found(line as u32, found);
                if line > 0 {
                    answers.join(Item::log(line as u32), 0);
                }
            }
            let keys = answers.records[0].keys(Category::Log);
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
