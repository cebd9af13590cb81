//! Maps chunks without Fluent Bit and without a network, into a sink that keeps everything.

use out_sentry::clock::{Monotonic, WallTime};
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::{
    DestinationId, Discard, Finished, Item, ItemWriter, Mapper, Origin, RecalledLog, Route, Routed, Router, Sink,
    StormSummary,
};
use out_sentry::options;
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;
use testkit::chunk;

/// Wall time of all mappings: 2026-11-24T12:00:00Z.
pub const NOW: Duration = Duration::from_secs(1_795_521_600);

/// Sends everything one way and notes what it was asked.
#[derive(Debug, Default)]
struct Asked(RefCell<Vec<String>>);

impl Router for Asked {
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Routed {
        self.0.borrow_mut().push(format!("{namespace} {annotation:?}"));
        Routed::to(DestinationId(0), 1)
    }
}

/// A mapper with these options, and how many records it has seen.
pub struct Mapping {
    mapper: Mapper,
    records: u32,
    router: Asked,
    /// The tag of the chunks.
    pub tag: String,
    /// Lets records at the end of a chunk wait for lines of later ones.
    pub lets_wait: bool,
}

/// Result of mapping the records of a chunk.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The items, each with the number of its record.
    pub items: Vec<(Category, u32, Value)>,
    /// Records that ended without becoming an item.
    pub ends: Vec<(Category, u32, Outcome)>,
    /// Filtered lines that were sent with events.
    pub recalled: Vec<Value>,
    /// The records that wait for lines of a later chunk.
    pub waiting: Vec<u32>,
    lets_wait: bool,
}

impl Mapping {
    /// A mapper with these options, everything else as by default.
    pub fn new(given: &[(&str, &str)]) -> Self {
        Self::with(None, given)
    }

    /// The same on a machine of this name.
    pub fn on(machine: &str, given: &[(&str, &str)]) -> Self {
        Self::with(Some(machine), given)
    }

    fn with(machine: Option<&str>, given: &[(&str, &str)]) -> Self {
        let lookup = |name: &str| match given.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None if name == "dsn" => Some("https://0123456789abcdef0123456789abcdef@sentry.example/1".to_owned()),
            None => None,
        };
        let loaded = options::load(lookup, |_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut settings = loaded.settings.mapping;
        settings.output = "sentry.0".to_owned();
        settings.machine = machine.map(str::to_owned);
        Self {
            mapper: Mapper::new(settings),
            records: 0,
            router: Asked::default(),
            tag: "tag".to_owned(),
            lets_wait: false,
        }
    }

    /// Maps a chunk at [`NOW`].
    pub fn map(&mut self, chunk: &[u8]) -> Mapped {
        let mut mapped = Mapped { lets_wait: self.lets_wait, ..Mapped::default() };
        let origin = Origin { tag: self.tag.as_bytes(), router: &self.router, now: WallTime::EPOCH + NOW };
        let end = self.mapper.map(origin, chunk, 0, &mut mapped);
        self.records += end;
        mapped
    }

    /// Returns the questions to the router so far: namespace and annotation.
    pub fn asked(&self) -> Vec<String> {
        self.router.0.borrow().clone()
    }

    /// Maps these bodies, a second apart and the last of them now.
    pub fn bodies(&mut self, bodies: &[Value]) -> Mapped {
        let first = NOW - Duration::from_secs(bodies.len() as u64);
        let records = bodies.iter().enumerate();
        let records = records.map(|(n, body)| chunk::record(first + Duration::from_secs(n as u64), body));
        self.map(&records.collect::<Vec<_>>().concat())
    }

    /// The last words about storms that are over after a time.
    pub fn closed_storms(&mut self, after: Duration) -> Vec<StormSummary> {
        self.mapper.closed_storms(WallTime::EPOCH + NOW + after)
    }
}

impl Mapped {
    /// The logs, in order.
    pub fn logs(&self) -> Vec<&Value> {
        self.of(Category::Log)
    }

    /// The events, in order.
    pub fn events(&self) -> Vec<&Value> {
        self.of(Category::Event)
    }

    fn of(&self, category: Category) -> Vec<&Value> {
        self.items.iter().filter(|(of, _, _)| *of == category).map(|(_, _, item)| item).collect()
    }

    /// Returns the outcomes of records that became no item of the category, in the order of the records.
    pub fn ended(&self, category: Category) -> Vec<(u32, Outcome)> {
        let mut ends: Vec<_> =
            self.ends.iter().filter(|(of, _, _)| *of == category).map(|(_, n, outcome)| (*n, *outcome)).collect();
        ends.sort_by_key(|(n, _)| *n);
        ends
    }
}

/// Writes one item, which must be JSON.
pub struct Writer<'w> {
    items: &'w mut Vec<(Category, u32, Value)>,
    item: Item,
    json: Vec<u8>,
}

impl ItemWriter for Writer<'_> {
    fn json(&mut self) -> &mut Vec<u8> {
        &mut self.json
    }

    fn finish(self, finished: Finished) {
        let json: Value = serde_json::from_slice(&self.json)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.json)));
        assert_eq!(json["event_id"].as_str(), finished.event_id().map(|id| id.hex()).as_deref());
        self.items.push((self.item.category, self.item.record, json));
    }
}

impl Sink for Mapped {
    type Writer<'w> = Writer<'w>;

    fn begin(&mut self, item: Item, _: Route) -> Option<Writer<'_>> {
        Some(Writer { items: &mut self.items, item, json: Vec::new() })
    }

    fn discard(&mut self, item: Item, discard: Discard) {
        self.ends.push((item.category, item.record, discard.outcome));
    }

    fn recalled(&mut self, logs: Vec<RecalledLog>) {
        self.recalled.extend(logs.iter().map(|log| serde_json::from_slice::<Value>(&log.json).unwrap()));
    }

    fn waits_until(&self) -> Option<Monotonic> {
        self.lets_wait.then_some(Monotonic::MAX)
    }

    fn wait(&mut self, record: u32) -> Option<u32> {
        self.waiting.push(record);
        Some(record)
    }
}

/// The value of a log's attribute.
pub fn attribute<'l>(log: &'l Value, name: &str) -> &'l Value {
    &log["attributes"][name]["value"]
}
