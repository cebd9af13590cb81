//! The stages, each a function that does its part on a whole input and says how many bytes came out.

use super::input::{Input, Kind};
use out_sentry::chunk::{Entry, entries};
use out_sentry::clock::{Monotonic, WallTime};
use out_sentry::delivery::transport::encoder::Encoder;
use out_sentry::envelope::{Batch, Bill, Collector, Reading, RecordIndex};
use out_sentry::mapping::{
    DestinationId, Discard, Finished, Item, ItemWriter, Mapper, Origin, Route, Routed, Sink, json,
};
use out_sentry::options::{self, Compress};
use std::sync::Arc;

/// The work that a stage repeats.
pub type Work<'i> = Box<dyn FnMut() -> usize + 'i>;

/// A stage of the path of the data.
pub struct Stage {
    /// For the table.
    pub name: &'static str,
    /// The input that the stage reads.
    pub input: Kind,
    /// Sets it up.
    pub prepare: fn(&Input) -> Work<'_>,
}

/// In the order of the path.
pub const STAGES: &[Stage] = &[
    Stage { name: "copy", input: Kind::Kubernetes, prepare: copy },
    Stage { name: "decode", input: Kind::Kubernetes, prepare: decode },
    Stage { name: "JSON of every value", input: Kind::Kubernetes, prepare: to_json },
    Stage { name: "map to logs", input: Kind::Kubernetes, prepare: |input| map(input, LOGS) },
    Stage { name: "map to logs, scrub off", input: Kind::Kubernetes, prepare: |input| map(input, UNSCRUBBED) },
    Stage { name: "map lines to logs", input: Kind::Lines, prepare: |input| map(input, LOGS) },
    Stage { name: "map lines to logs, scrub off", input: Kind::Lines, prepare: |input| map(input, UNSCRUBBED) },
    Stage { name: "map loggers' lines to logs", input: Kind::Loggers, prepare: |input| map(input, LOGS) },
    Stage { name: "map to events", input: Kind::Traces, prepare: |input| map(input, EVENTS) },
    Stage { name: "gzip", input: Kind::Kubernetes, prepare: |input| compress(input, Compress::Gzip) },
    Stage { name: "zstd", input: Kind::Kubernetes, prepare: |input| compress(input, Compress::Zstd) },
    Stage { name: "chunk to envelopes, plain", input: Kind::Kubernetes, prepare: |input| whole(input, Compress::None) },
    Stage { name: "chunk to envelopes, gzip", input: Kind::Kubernetes, prepare: |input| whole(input, Compress::Gzip) },
    Stage { name: "chunk to envelopes, zstd", input: Kind::Kubernetes, prepare: |input| whole(input, Compress::Zstd) },
];

const DSN: &str = "https://0123456789abcdef0123456789abcdef@sentry.example/1";
const LOGS: &[(&str, &str)] = &[("event_level", "off")];
const UNSCRUBBED: &[(&str, &str)] = &[("event_level", "off"), ("scrub", "off"), ("send_pii", "on")];
/// Every record becomes an event.
pub const EVENTS: &[(&str, &str)] =
    &[("logs_level", "off"), ("event_level", "trace"), ("storm_burst", "0"), ("event_rate", "0")];

/// Wall time of all mappings: one at which no record of the input is too old.
const NOW: WallTime = WallTime::from_secs(1_795_521_600);

const ROUTE: Routed = Routed::to(DestinationId(0), 1);

/// A whole envelope, as large as the reference sends them.
const BATCH: usize = 1_000;

fn copy(input: &Input) -> Work<'_> {
    let mut out: Vec<u8> = Vec::new();
    Box::new(move || {
        input
            .chunks
            .iter()
            .map(|chunk| {
                out.clear();
                out.extend_from_slice(chunk);
                out.len()
            })
            .sum()
    })
}

fn decode(input: &Input) -> Work<'_> {
    Box::new(move || input.chunks.iter().flat_map(|chunk| entries(chunk)).count())
}

fn to_json(input: &Input) -> Work<'_> {
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        for entry in input.chunks.iter().flat_map(|chunk| entries(chunk)) {
            if let Entry::Record(record) = entry {
                json::value(&mut out, record.body);
            }
        }
        out.len()
    })
}

fn mapper(given: &'static [(&str, &str)]) -> Mapper {
    let lookup = |name: &str| {
        let known = given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        known.or_else(|| (name == "dsn").then(|| DSN.to_owned()))
    };
    let loaded = options::load(lookup, |_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
    Mapper::new(loaded.settings.mapping)
}

fn map<'i>(input: &'i Input, given: &'static [(&str, &str)]) -> Work<'i> {
    let (mut mapper, mut items) = (mapper(given), Items::default());
    Box::new(move || {
        items.written = 0;
        for chunk in &input.chunks {
            items.clear();
            mapper.map(origin(), chunk, 0, &mut items);
        }
        items.written
    })
}

/// Maps a chunk; returns the bytes of its items.
pub fn map_chunk(given: &'static [(&str, &str)]) -> impl FnMut(&[u8]) -> usize {
    let (mut mapper, mut items) = (mapper(given), Items::default());
    move |chunk| {
        items.written = 0;
        items.clear();
        mapper.map(origin(), chunk, 0, &mut items);
        items.written
    }
}

fn origin() -> Origin<'static> {
    Origin { tag: b"kube.var.log.containers.app.log", router: &ROUTE, now: NOW }
}

/// Items one after the other, and nothing else.
#[derive(Default)]
struct Items {
    json: Vec<u8>,
    written: usize,
}

impl Items {
    fn clear(&mut self) {
        self.written += self.json.len();
        self.json.clear();
    }
}

struct ItemOf<'w>(&'w mut Vec<u8>);

impl ItemWriter for ItemOf<'_> {
    fn json(&mut self) -> &mut Vec<u8> {
        self.0
    }

    fn finish(self, _: Finished) {}
}

impl Sink for Items {
    type Writer<'w> = ItemOf<'w>;

    fn begin(&mut self, _: Item, _: Route) -> Option<ItemOf<'_>> {
        if self.json.len() > 1_000_000 {
            self.clear();
        }
        Some(ItemOf(&mut self.json))
    }

    fn discard(&mut self, _: Item, _: Discard) {}
}

/// Logs gathered into envelopes.
struct Envelopes {
    logs: Collector<()>,
    owner: Arc<()>,
    full: Vec<Batch<()>>,
    spare: Vec<Vec<u8>>,
}

struct LogOf<'w>(&'w mut Envelopes, u32);

impl ItemWriter for LogOf<'_> {
    fn json(&mut self) -> &mut Vec<u8> {
        self.0.logs.open(Monotonic::START, Reading::Live, &mut self.0.spare)
    }

    fn finish(self, _: Finished) {
        let Envelopes { logs, owner, full, spare } = self.0;
        full.extend(logs.close(owner, RecordIndex(self.1), Bill::default(), spare));
    }
}

impl Sink for Envelopes {
    type Writer<'w> = LogOf<'w>;

    fn begin(&mut self, item: Item, _: Route) -> Option<LogOf<'_>> {
        Some(LogOf(self, item.record))
    }

    fn discard(&mut self, _: Item, _: Discard) {}
}

fn batches(input: &Input) -> Vec<Batch<()>> {
    let mut mapper = mapper(LOGS);
    let mut gathered =
        Envelopes { logs: Collector::new(BATCH), owner: Arc::new(()), full: Vec::new(), spare: Vec::new() };
    for chunk in &input.chunks {
        mapper.map(origin(), chunk, 0, &mut gathered);
    }
    gathered.full.into_iter().chain(gathered.logs.seal()).collect()
}

/// Bytes of the body that a sender would send.
fn encoded(encoder: &mut Encoder, encoding: Compress, batch: &Batch<()>, body: &mut Vec<u8>) -> usize {
    body.clear();
    let envelope = batch.parts(DSN, "2026-11-24T12:00:00.000Z");
    encoder.encode(encoding, envelope.all(), body).map_or(0, |()| body.len())
}

fn compress(input: &Input, encoding: Compress) -> Work<'_> {
    let (batches, mut encoder, mut body) = (batches(input), Encoder::default(), Vec::new());
    Box::new(move || batches.iter().map(|batch| encoded(&mut encoder, encoding, batch, &mut body)).sum())
}

/// Everything between the host's bytes and the socket's.
fn whole(input: &Input, encoding: Compress) -> Work<'_> {
    let (mut mapper, mut encoder, mut body) = (mapper(LOGS), Encoder::default(), Vec::new());
    let mut gathered =
        Envelopes { logs: Collector::new(BATCH), owner: Arc::new(()), full: Vec::new(), spare: Vec::new() };
    Box::new(move || {
        let mut bytes = 0;
        for chunk in &input.chunks {
            mapper.map(origin(), chunk, 0, &mut gathered);
            for batch in gathered.full.drain(..).chain(gathered.logs.seal()) {
                bytes += encoded(&mut encoder, encoding, &batch, &mut body);
                gathered.spare.push(batch.into_buffer());
            }
        }
        bytes
    })
}
