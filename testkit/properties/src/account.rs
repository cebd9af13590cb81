//! A sink that keeps what it is given and holds the mapper to its promises: one end for each record in each category.

use out_sentry::chunk;
use out_sentry::clock::WallTime;
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::identity::{self, EventId};
use out_sentry::mapping::{DestinationId, Discard, Finished, Item, ItemWriter, Mapper, Origin, Route, Routed, Sink};
use std::collections::BTreeMap;

use super::NOW;

/// The number of a chunk's first record here; not zero, so that nobody gets away with counting from there.
pub const FIRST: u32 = 5;

/// Outcome of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// An item: its JSON and, for an event, its id.
    Item(Vec<u8>, Option<EventId>),
    /// No item, and the cell of the ledger that counts it.
    Outcome(Outcome),
    /// The sink had it already.
    Settled,
}

/// Everything a chunk became.
#[derive(Debug)]
pub struct Account {
    /// The end of each record by its number and the name of the category.
    pub ends: BTreeMap<(u32, &'static str), End>,
    /// Billed size of each log, as the mapper computes it.
    pub billed: BTreeMap<u32, u64>,
    /// The items' bytes, one after the other: it is never empty, as in an envelope.
    buffer: Vec<u8>,
    /// Items that were begun and not finished.
    begun: u32,
    again: bool,
    settled: fn(u32) -> bool,
}

impl Account {
    fn close_with(&mut self, category: Category, record: u32, end: End) {
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

/// Writes one item behind the others.
pub struct Writer<'w> {
    account: &'w mut Account,
    item: Item,
    start: usize,
}

impl ItemWriter for Writer<'_> {
    fn json(&mut self) -> &mut Vec<u8> {
        &mut self.account.buffer
    }

    fn finish(self, finished: Finished) {
        let Self { account, item: Item { category, record }, start } = self;
        account.begun -= 1;
        let json = account.buffer.split_off(start);
        account.close_with(category, record, End::Item(json, finished.event_id()));
        match (category, finished) {
            (Category::Log, Finished::Log(bill)) => drop(account.billed.insert(record, bill.bytes)),
            (Category::Event, Finished::Event(_)) => {}
            (category, finished) => panic!("{category:?} {record} is finished as {finished:?}"),
        }
    }
}

impl Sink for Account {
    type Writer<'w> = Writer<'w>;

    fn begin(&mut self, item: Item, _: Route) -> Option<Writer<'_>> {
        if (self.settled)(item.record) {
            self.close_with(item.category, item.record, End::Settled);
            return None;
        }
        self.begun += 1;
        self.buffer.push(b',');
        let start = self.buffer.len();
        Some(Writer { account: self, item, start })
    }

    fn discard(&mut self, item: Item, discard: Discard) {
        self.close_with(item.category, item.record, End::Outcome(discard.outcome));
    }

    fn again(&self, _record: u32) -> bool {
        self.again
    }
}

/// Maps a chunk and sees that every record of it ended.
pub fn map(mapper: &mut Mapper, chunk: &[u8], again: bool, settled: fn(u32) -> bool) -> Account {
    let mut account =
        Account { ends: BTreeMap::new(), billed: BTreeMap::new(), buffer: vec![], begun: 0, again, settled };
    let now = WallTime::from_micros(NOW * 1_000_000 + 250_000);
    let routed = Routed::to(DestinationId(0), identity::destination("127.0.0.1/1"));
    let origin = Origin { tag: b"app.log", router: &routed, now };
    let end = mapper.map(origin, chunk, FIRST, &mut account);
    assert_eq!(account.begun, 0, "every item that was begun is finished");
    assert_eq!(end - FIRST, chunk::count(chunk), "every record has a number");
    let expected: Vec<_> = (FIRST..end).flat_map(|record| [(record, "event"), (record, "log")]).collect();
    assert_eq!(account.ends.keys().copied().collect::<Vec<_>>(), expected, "every record ends in each category");
    account
}

/// As [`map`], for a sink that has nothing yet.
pub fn map_all(mapper: &mut Mapper, chunk: &[u8]) -> Account {
    map(mapper, chunk, false, |_| false)
}
