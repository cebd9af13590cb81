//! Maps the records of a chunk to Sentry logs and events. This page explains the mapper. Its steps are methods of [`Mapper`]: those
//! of one record in `logs`, those of the end of a chunk in `chunk_end` and `events`; `chunk_state` is what they share.
//!
//! ```text
//!            extract             resolve                 encode, scrub
//!   bytes ------------> fields ------------> resolved --------------------> log, held until
//!                       and message          record  |                      its run is decided
//!                                                    +--> line of a stream        |
//!                                                              |                  v
//!                               group, at the end of the chunk +--> event ----> sink
//! ```
//!
//! # One record
//!
//! [`Mapper::map`] reads a chunk once, record by record, and borrows from its bytes.
//!
//! 1. **Extract** (`extract`). `Reader::read` collects the fields. An option or a known logger ([`formats`]) gives a field its role, with one
//!    look-up for each key. JSON or logfmt in the message is opened, and its fields join the others.
//! 2. **Resolve** (`resolve`). `view` takes the field of each role and returns a `ResolvedRecord`: message, severity, time, pod, stream, ids.
//!    It reads from the text, the tag or the options what no field says. `incident` takes records of Kubernetes' events and of the kernel
//!    out here, because they are not lines of a stream.
//! 3. **Encode** (`encode`). `write_log` writes the log as JSON, without its secrets (`scrub`). The log is held back: if the next lines of
//!    its stream belong to it, they become one log.
//! 4. **Group** (`group`). The record is kept as a line of its stream. `advance` sends the log before it, or begins or ends a run: lines that
//!    may be one stack trace (`end_of_run`).
//!
//! # The end of a chunk
//!
//! Events are made at the end (`end_of_chunk`), when it is known which lines came before and after. For each line at or above `event_level`,
//! `event` resolves the record a second time, reads its stack trace ([`trace`]), asks `storm` whether it may be sent, and writes it with
//! the lines before it as breadcrumbs. Lines at the end that may be an unfinished trace can wait for the next chunk (`waiting`).
//!
//! # Edges and memory
//!
//! [`Sink`] receives each item, or the outcome of a record that becomes none, with a [`Reason`]; a record ends once in each category.
//! [`Router`] says where a record is sent. From chunk to chunk the mapper keeps names of fields, pods, breadcrumbs, storms and waiting lines.
//! All of it is bounded. One thread owns a mapper; it has no clock and does no input or output.

mod chunk_end;
mod chunk_state;
mod encode;
mod events;
mod extract;
pub mod formats;
mod group;
mod incident;
mod letter;
mod logs;
mod reason;
mod resolve;
mod route;
mod scrub;
mod simd;
mod sink;
pub mod trace;
mod trigram_scan;

use crate::chunk::msgpack::Cursor;
use crate::chunk::{Entry, Record, entries};
use crate::clock::{Monotonic, WallTime};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::options::Mapping;
pub use encode::{billed, json, limit, own_log};
use encode::{event, log};
use extract::field_extractor::{Buffers, Reader};
use extract::fields::{Fields, Role};
pub use extract::parse;
use group::breadcrumbs::Breadcrumbs;
use group::recall::Recall;
use group::runs::HeldLog;
pub use group::storm::StormSummary;
use group::storm::Storms;
use group::stream_lines::{Line, SideBuffer, Stream};
use group::trace_cache::TraceCache;
use group::waiting::{Tail, Waiting};
use identity::{EventId, LastTrace, StreamId, StreamIds};
use incident::Incidents;
pub use incident::{CheckIn, Status};
use letter::Letter;
pub use reason::Reason;
use resolve::container::Container;
pub use resolve::identity;
use resolve::kubernetes::{Pod, Pods};
use resolve::resolved_record::ResolvedRecord;
use resolve::severity::Rules;
pub use route::{DestinationId, Route, Routed, Router};
pub(crate) use scrub::Rules as ScrubRules;
pub use scrub::examples::{EXAMPLES as SCRUB_EXAMPLES, Example as ScrubExample, to_markdown as privacy_to_markdown};
pub use sink::{Bill, Discard, Finished, FoundKeys, Item, ItemWriter, Origin, Payer, RecalledLog, Sink};
use std::collections::HashMap;
use std::sync::Arc;

/// The name under which Sentry knows us.
pub const SDK_NAME: &str = "sentry.fluent-bit";
/// Our version.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Turns records into items. One thread owns it; everything it remembers is bounded.
#[derive(Debug)]
pub struct Mapper {
    settings: Mapping,
    rules: Rules,
    scrub: scrub::Rules,
    reader: Reader,
    pods: Pods,
    /// Private keys that streams are in the middle of.
    keys: scrub::pem::Keys,
    crumbs: Breadcrumbs,
    recall: Recall,
    storms: Storms,
    incidents: Incidents,
    /// Attributes that every log has.
    constant: log::Constant,
    /// The record that is being read, or those that are being made an event.
    current_records: Vec<u32>,
    /// Lines that wait for lines of a later chunk.
    waiting: Waiting,
    /// Counts over all parts of one chunk, for a mapper that reads it in parts.
    parts: Option<Parts>,
    /// Memory kept from record to record, and from chunk to chunk.
    memory: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    /// In one piece, so that it is lent and put back without being copied.
    buffers: Option<Box<Buffers>>,
    fields: Fields<'static>,
    aside: SideBuffer,
    trace: LastTrace,
}

/// State that the parts of one chunk share.
#[derive(Debug, Default)]
struct Parts {
    duplicate_ordinals: HashMap<EventId, u32>,
    last_micros: u64,
    sequence: u32,
}

/// State that the mapper keeps from record to record of one chunk.
#[derive(Default)]
struct ChunkState<'a> {
    /// The number of times that these very bytes at this very time have been seen in their stream.
    duplicate_ordinals: HashMap<EventId, u32>,
    logs: Logs,
    streams: Vec<Stream<'a>>,
    /// The lines of earlier chunks that wait for those of this one.
    waiting: Option<&'a HashMap<StreamId, Arc<Tail>>>,
    /// The lines that wait for those of a later one, or none of a stream whose lines have waited for this one.
    kept: Vec<(StreamId, Option<Tail>)>,
    aside: SideBuffer,
    /// The log of the record that is being read.
    log: HeldLog,
    /// Bytes of logs in runs.
    run_bytes: usize,
    /// Results of reading traces, made when the levels of their lines were asked for.
    traces: TraceCache<'a>,
    /// The streams of records that come from no pod: one each for stdout, stderr, and neither.
    of_tag: StreamIds,
    /// The container that the chunk's tag names.
    container: Option<Container>,
    /// True if this is a part of a chunk that is read once, in order.
    is_part: bool,
}

/// State that the mapper keeps from log to log of one chunk.
#[derive(Default)]
struct Logs {
    last_micros: u64,
    sequence: u32,
    /// Attribute names of the log being written.
    used: log::Used,
}

impl Mapper {
    /// A mapper for these settings.
    #[must_use]
    pub fn new(settings: Mapping) -> Self {
        let scrub = scrub::Rules::new(settings.scrub, settings.send_pii, &settings.scrub_keys, &settings.scrub_allow);
        let mut constant = log::Constant::new(&settings.tags, &settings.log_attributes);
        constant.judge(&scrub);
        Self {
            rules: Rules { map: settings.level_map.clone(), default: settings.default_level.unwrap_or(Level::Info) },
            reader: Reader::new(&settings, &scrub),
            scrub,
            pods: Pods::default(),
            keys: scrub::pem::Keys::default(),
            crumbs: Breadcrumbs::new(settings.breadcrumbs),
            recall: Recall::new(settings.logs_on_error, settings.logs_on_error_size, settings.logs_level),
            storms: Storms::new(settings.storm_burst, settings.event_rate),
            incidents: Incidents::default(),
            constant,
            current_records: Vec::new(),
            waiting: Waiting::default(),
            parts: None,
            memory: Scratch::default(),
            settings,
        }
    }

    /// A mapper that reads a long chunk once, in parts: each call of [`Mapper::map`] takes the next part. Equal records, logs of one
    /// microsecond and breadcrumbs count over all parts. The sink should let lines wait for the next part.
    #[must_use]
    pub fn in_parts(settings: Mapping) -> Self {
        let mut mapper = Self::new(settings);
        mapper.parts = Some(Parts::default());
        mapper.crumbs.read_once();
        mapper.waiting.give_room();
        mapper
    }

    /// Begins the next chunk of a mapper that reads chunks in parts, so that its counters stay bounded.
    pub fn next_chunk(&mut self) {
        if let Some(parts) = &mut self.parts {
            *parts = Parts::default();
        }
    }

    /// Maps a chunk. Records are numbered from `first`; undecodable bytes count as one record. Returns the number of
    /// the record behind the last one.
    pub fn map(&mut self, origin: Origin<'_>, chunk: &[u8], first: u32, sink: &mut impl Sink) -> u32 {
        if self.waiting.is_empty() {
            return self.map_with(origin, chunk, first, (None, sink));
        }
        let waiting = self.waiting.streams();
        self.map_with(origin, chunk, first, (Some(&waiting), sink))
    }

    fn map_with(
        &mut self,
        origin: Origin<'_>,
        chunk: &[u8],
        first: u32,
        (waiting, sink): (Option<&HashMap<StreamId, Arc<Tail>>>, &mut impl Sink),
    ) -> u32 {
        self.reader.renew();
        self.current_records.clear();
        let mut progress = self.progress(origin);
        progress.waiting = waiting;
        let mut group = None;
        let mut index = first;
        for entry in entries(chunk) {
            match entry {
                Entry::GroupStart(record) => group = Some(record),
                Entry::GroupEnd => group = None,
                Entry::Invalid(why, _) => {
                    let reason = Some(Reason::Undecodable(why));
                    discard_both(sink, index, Discard { outcome: Outcome::Invalid, reason, destination: None });
                    index += 1;
                }
                Entry::Record(_) if sink.leaves_alone(index) => index += 1,
                Entry::Record(record) => {
                    self.works_on([index]);
                    self.log(origin, record, group, index, &mut progress, sink);
                    index += 1;
                }
            }
        }
        self.end_of_chunk(origin, &mut progress, sink);
        index
    }

    /// Returns the steady time at which the first of the waiting lines are to be sent as they are, by
    /// [`Mapper::finish_waiting`].
    #[must_use]
    pub fn next_waiting(&self) -> Option<Monotonic> {
        self.waiting.next()
    }

    /// The numbers of the records that wait, as the sink has given them.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        self.waiting.records()
    }

    /// Forgets the lines of the stream that has this record among those that wait; returns the numbers of all of them.
    pub fn forget_waiting(&mut self, record: u32) -> Vec<u32> {
        self.waiting.remove_with(record)
    }

    /// Sends lines as they are that have waited until the steady time `due`. The sink must not let them wait again. `origin` is
    /// theirs but for the tag.
    pub fn finish_waiting(&mut self, origin: Origin<'_>, due: Monotonic, sink: &mut impl Sink) {
        if self.next_waiting().is_none_or(|next| next > due) {
            return;
        }
        self.reader.renew();
        for (id, tail) in self.waiting.streams() {
            if tail.until <= due {
                let origin = Origin { tag: &tail.tag, ..origin };
                let mut progress = self.progress(origin);
                progress.resume(id, &tail);
                self.end_of_chunk(origin, &mut progress, sink);
            }
        }
    }

    /// After a panic in [`Mapper::map`]: the records that it was about.
    #[must_use]
    pub fn current_records(&self) -> &[u32] {
        &self.current_records
    }

    fn works_on(&mut self, records: impl IntoIterator<Item = u32>) {
        self.current_records.clear();
        self.current_records.extend(records);
    }

    /// Events that say how many others were held back, of storms that are over at wall time `now`. They stand for no
    /// record: theirs have ended.
    pub fn closed_storms(&mut self, now: WallTime) -> Vec<StormSummary> {
        let mut closed = self.storms.closed(now);
        closed.iter_mut().for_each(event::tell_others);
        closed
    }

    /// The pod that wrote a record: the kubernetes filter's map says it, else the tag, else the path of the file. Where the
    /// map and the tag differ an application has forged the map (`Merge_Log` without metadata), and the tag is right.
    fn pod(&mut self, fields: &Fields<'_>, of_tag: Option<&Container>) -> Option<usize> {
        let place = self.place_of_pod(fields, of_tag)?;
        self.incidents.learn(&self.pods, place);
        Some(place)
    }

    fn place_of_pod(&mut self, fields: &Fields<'_>, of_tag: Option<&Container>) -> Option<usize> {
        let Self { pods, settings, scrub, .. } = self;
        if let Some(map) = fields.candidates(Role::Kubernetes).find_map(|found| found.value.map()) {
            let place = pods.find_version((map, fields.version_of(map)), settings, scrub);
            if of_tag.is_none_or(|container| container.is_of(pods.at(place))) {
                return Some(place);
            }
        }
        let of_path = || fields.candidates(Role::FilePath).find_map(|found| Container::of_path(found.value.text()?));
        let of_path = if of_tag.is_none() { of_path() } else { None };
        let container = of_tag.or(of_path.as_ref())?;
        Some(pods.find(Cursor::new(container.map()).read().ok()?.map()?, settings, scrub))
    }
}

/// Returns the route of the records of a pod, or of none.
fn route_of(origin: Origin<'_>, pod: Option<&Pod>, letter: Option<Letter>) -> Option<Routed> {
    let (namespace, annotation) = pod.map_or(("", None), |pod| (pod.namespace.as_str(), pod.dsn.as_deref()));
    origin.router.route(namespace, annotation).unless_left_out(letter.is_some())
}

/// Returns the bill for a record's log, which names its payer. The log's size is not known yet.
fn bill_of(view: &ResolvedRecord<'_, '_>, route: Route, sink: &mut impl Sink) -> Bill {
    let pod = view.pod.map(|pod| (pod.namespace.as_str(), pod.workload.as_str(), pod.logs_budget));
    let (namespace, workload, budget) = pod.unwrap_or_default();
    let payer = sink.payer(route, &Payer { namespace, workload, budget });
    Bill { route, payer, level: view.level, bytes: 0 }
}

fn discard_both(sink: &mut impl Sink, index: u32, discard: Discard) {
    for category in Category::ALL {
        sink.discard(Item { category: *category, record: index }, discard);
    }
}

/// A line's record, and the marker of its group.
fn read_again<'a>(line: &Line<'a>) -> Option<(Record<'a>, Option<Record<'a>>)> {
    record_and_marker(line.raw, line.group)
}

/// An encoded record, and the encoded marker of its group.
fn record_and_marker<'a>(raw: &'a [u8], group: Option<&'a [u8]>) -> Option<(Record<'a>, Option<Record<'a>>)> {
    let Some(Entry::Record(record)) = entries(raw).next() else { return None };
    let group = group.and_then(|raw| match entries(raw).next() {
        Some(Entry::GroupStart(group)) => Some(group),
        _ => None,
    });
    Some((record, group))
}

/// A function of the trace where the record names one, else of the record, so that a retry decides the same.
fn is_sampled(rate: f64, view: &ResolvedRecord<'_, '_>, index: u32) -> bool {
    if rate >= 1.0 {
        return true;
    }
    let seed = if view.traced {
        xxhash_rust::xxh3::xxh3_64(&view.trace_id.0)
    } else {
        xxhash_rust::xxh3::xxh3_64_with_seed(&view.message, view.record_time.micros() ^ u64::from(index))
    };
    ((seed >> 11) as f64 / (1_u64 << 53) as f64) < rate
}
