//! A sink that keeps what it is given and holds the mapper to its promises: one end for each record in each category.

use out_sentry::chunk;
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::identity::{self, EventId};
use out_sentry::mapping::{Bill, Mapper, Origin, Route, Sink};
use std::collections::BTreeMap;
use std::time::Duration;

use super::NOW;

/// The number of a chunk's first record here; not zero, so that nobody gets away with counting from there.
pub const FIRST: u32 = 5;

/// Outcome of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Item(Vec<u8>, Option<EventId>),
    Outcome(Outcome),
    /// The sink had it already.
    Settled,
}

/// Everything a chunk became.
#[derive(Debug)]
pub struct Account {
    pub ends: BTreeMap<(u32, &'static str), End>,
    /// Billed size of each log, as the mapper computes it.
    pub billed: BTreeMap<u32, u64>,
    buffer: Vec<u8>,
    /// The item that was opened and not yet closed, and its start: the buffer is never empty, as in an envelope.
    open: Option<(u32, Category, usize)>,
    again: bool,
    settled: fn(u32) -> bool,
}

impl Account {
    fn close_with(&mut self, category: Category, record: u32, end: End) {
        assert_eq!(self.open, None, "{category:?} {record} ends while another item is open");
        let known = self.ends.insert((record, category.name()), end);
        assert_eq!(known, None, "{category:?} {record} ends twice");
    }

    /// The items of a category with their record's number.
    pub fn items(&self, category: Category) -> impl Iterator<Item = (u32, &[u8], Option<EventId>)> {
        self.ends.iter().filter(move |((_, name), _)| *name == category.name()).filter_map(|((record, _), end)| {
            match end {
                End::Item(json, id) => Some((*record, json.as_slice(), *id)),
                _ => None,
            }
        })
    }
}

impl Sink for Account {
    fn again(&self, _record: u32) -> bool {
        self.again
    }

    fn open(&mut self, category: Category, record: u32, _: u32) -> Option<&mut Vec<u8>> {
        if (self.settled)(record) {
            self.close_with(category, record, End::Settled);
            return None;
        }
        assert_eq!(self.open, None, "{category:?} {record} is opened within another");
        self.buffer.push(b',');
        self.open = Some((record, category, self.buffer.len()));
        Some(&mut self.buffer)
    }

    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>) {
        let (opened, kind, start) = self.open.take().expect("something open");
        assert_eq!((opened, kind), (record, category));
        let json = self.buffer.split_off(start);
        self.close_with(category, record, End::Item(json, event_id));
    }

    fn close_log(&mut self, record: u32, bill: &Bill) {
        self.close(Category::Log, record, None);
        self.billed.insert(record, bill.bytes);
    }

    fn end(&mut self, category: Category, record: u32, outcome: Outcome) {
        self.close_with(category, record, End::Outcome(outcome));
    }
}

/// Maps a chunk and sees that every record of it ended.
pub fn map(mapper: &mut Mapper, chunk: &[u8], again: bool, settled: fn(u32) -> bool) -> Account {
    let mut account =
        Account { ends: BTreeMap::new(), billed: BTreeMap::new(), buffer: vec![], open: None, again, settled };
    let now = Duration::from_micros(NOW * 1_000_000 + 250_000);
    let route = Route { destination: 0, identity: identity::destination("127.0.0.1/1") };
    let origin = Origin { tag: b"app.log", router: &route, now };
    let end = mapper.map(origin, chunk, FIRST, &mut account);
    assert_eq!(end - FIRST, chunk::count(chunk), "every record has a number");
    assert_eq!(account.open, None, "an item was left open");
    let expected: Vec<_> = (FIRST..end).flat_map(|record| [(record, "event"), (record, "log")]).collect();
    assert_eq!(account.ends.keys().copied().collect::<Vec<_>>(), expected, "every record ends in each category");
    account
}

/// As [`map`], for a sink that has nothing yet.
pub fn map_all(mapper: &mut Mapper, chunk: &[u8]) -> Account {
    map(mapper, chunk, false, |_| false)
}
