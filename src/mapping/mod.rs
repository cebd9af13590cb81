//! Maps the records of a chunk to Sentry logs and events. This page explains the mapper; the file itself is the mapping, to be read from
//! top to bottom.
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

mod encode;
mod extract;
pub mod formats;
mod group;
mod incident;
mod letter;
mod reason;
mod resolve;
mod route;
mod scrub;
mod sink;
pub mod trace;
mod trigram_scan;

use crate::chunk::msgpack::Cursor;
use crate::chunk::{Entry, Record, Timestamp, entries};
use crate::clock::{Monotonic, WallTime};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::options::Mapping;
use encode::event::EventContext;
pub use encode::{billed, json, limit, notice};
use encode::{event, log};
use extract::field_extractor::{Buffers, Reader};
use extract::fields::{Fields, Role};
pub use extract::parse;
use extract::stack;
use group::breadcrumbs::Breadcrumbs;
use group::recall::{Recall, Recalled};
use group::runs::{Fate, HeldLog, Run, Step};
pub use group::storm::StormSummary;
use group::storm::{Decision, Storms};
use group::stream_lines::{Joined, LevelSource, Line, SideBuffer, Stream, Text};
use group::trace_cache::{DetectedTrace, TraceCache};
use group::trace_groups::{Grouping, usable};
use group::waiting::{Tail, Waiting};
use group::{trace_cache, trace_groups};
use identity::{EventId, LastTrace, StreamId, StreamIds, TraceId};
use incident::Incidents;
pub use incident::{CheckIn, Status};
use letter::Letter;
use memchr::{memchr, memchr_iter, memmem};
pub use reason::Reason;
use resolve::container::Container;
pub use resolve::identity;
use resolve::kubernetes::{Pod, Pods};
use resolve::resolved_record::{self, Inputs, Known, ResolvedRecord, view};
use resolve::severity::Rules;
pub use route::{DestinationId, Route, Routed, Router};
pub(crate) use scrub::Rules as ScrubRules;
pub use scrub::examples::{EXAMPLES as SCRUB_EXAMPLES, Example as ScrubExample, to_markdown as privacy_to_markdown};
pub use sink::{Bill, Discard, Finished, FoundKeys, Item, ItemWriter, Origin, Payer, RecalledLog, Sink};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use trace::Trace;

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

    fn progress<'a>(&mut self, origin: Origin<'_>) -> ChunkState<'a> {
        let aside = std::mem::take(&mut self.memory.aside);
        let (of_tag, container) = (StreamIds::of_tag(origin.tag), Container::of_tag(origin.tag));
        let mut progress = ChunkState { aside, of_tag, container, ..ChunkState::default() };
        if let Some(parts) = &mut self.parts {
            let Parts { duplicate_ordinals, last_micros, sequence } = std::mem::take(parts);
            progress.is_part = true;
            progress.duplicate_ordinals = duplicate_ordinals;
            (progress.logs.last_micros, progress.logs.sequence) = (last_micros, sequence);
        }
        progress
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

    fn end_of_chunk(&mut self, origin: Origin<'_>, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        for place in 0..progress.streams.len() {
            self.end_of_stream(origin, place, progress, sink);
        }
        let mut aside = std::mem::take(&mut progress.aside);
        for stream in std::mem::take(&mut progress.streams) {
            let mut stream = stream.with(&aside);
            if stream.letter.is_some() {
                self.letter(origin, &mut stream, progress, sink);
            }
            stream.leave_heads();
            self.crumbs.begin();
            self.recall.begin();
            self.events(origin, &stream, progress, sink);
            self.crumbs.remember(&stream, &self.scrub);
            self.recall.remember(&stream);
        }
        aside.clear();
        self.memory.aside = aside;
        if let Some(parts) = &mut self.parts {
            let Logs { last_micros, sequence, .. } = progress.logs;
            *parts =
                Parts { duplicate_ordinals: std::mem::take(&mut progress.duplicate_ordinals), last_micros, sequence };
        }
        // Not before: after a panic all of it is read again.
        for (id, tail) in std::mem::take(&mut progress.kept) {
            self.waiting.set(id, tail);
        }
    }

    /// Sends the waiting logs of a stream.
    fn end_of_stream(&mut self, origin: Origin<'_>, place: usize, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        let stream = &mut progress.streams[place];
        if let Some(until) = sink.waits_until().filter(|_| self.settings.join_traces && stream.letter.is_none())
            && let from = stream.unfinished(&progress.aside)
            && from < stream.lines.len()
            && self.waiting.has_room(stream, from)
        {
            return self.wait(origin, (place, from), until, progress, sink);
        }
        self.end_of_last(origin, place, progress, sink);
    }

    /// Lets the lines of a stream wait from a place on, and sends the lines before them.
    fn wait(
        &mut self,
        origin: Origin<'_>,
        (place, from): (usize, usize),
        until: Monotonic,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &mut progress.streams[place];
        let numbers: Option<Vec<u32>> = stream.lines[from..].iter().map(|line| sink.wait(line.index)).collect();
        let Some(numbers) = numbers else { return self.end_of_last(origin, place, progress, sink) };
        // What is before them in the run is decided now.
        if let Some(mut rest) = stream.run.clone().filter(|run| run.first < from) {
            rest.renumber(&numbers);
            self.end_of_run(origin, (place, from), progress, sink);
            progress.run_bytes += rest.bytes();
            progress.streams[place].run = Some(rest);
        }
        let stream = &mut progress.streams[place];
        progress.run_bytes -= stream.run.as_ref().map_or(0, Run::bytes);
        let tail = Tail::take(stream, origin.tag, &progress.aside, &numbers, until);
        progress.kept.push((stream.id, Some(tail)));
    }

    /// Sends all that is left of a stream.
    fn end_of_last(&mut self, origin: Origin<'_>, place: usize, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        let stream = &progress.streams[place];
        let end = stream.lines.len();
        if stream.has_waited {
            progress.kept.push((stream.id, None));
        }
        self.end_of_run(origin, (place, end), progress, sink);
        let held = &mut progress.streams[place].held;
        self.send((held.index, held.fate, &held.json), sink);
        held.settle();
    }

    /// The record's log, and its line for the events of its stream.
    fn log<'a>(
        &mut self,
        origin: Origin<'_>,
        record: Record<'a>,
        group: Option<Record<'a>>,
        index: u32,
        progress: &mut ChunkState<'a>,
        sink: &mut impl Sink,
    ) {
        let mut buffers = self.memory.buffers.take().unwrap_or_default();
        buffers.clear();
        let mut fields: Fields<'_> = std::mem::take(&mut self.memory.fields);
        let message = self.reader.read(record, group, &mut fields, &mut buffers);
        let place = self.pod(&fields, progress.container.as_ref());
        if place.is_none()
            && incident::is_possible(&fields, &self.settings.incidents.kernel_tags, origin.tag)
            && self.incident(origin, (record, group, index), (&fields, &message.1), sink)
        {
            self.memory.fields = fields.recycle();
            self.memory.buffers = Some(buffers);
            return;
        }
        let pod = place.map(|place| self.pods.at(place));
        let mut shown = DetectedTrace::new(record.raw);
        let given = Inputs { message, pod, level: None, shown: &mut shown };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let mut view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let in_key = self.scrub.secrets.then(|| self.keys.line(view.stream, record.time, &view.message)).flatten();
        let is_in_key = in_key.is_some();
        if let Some(cleaned) = in_key {
            view.message = Cow::Owned(cleaned);
        }
        let letter = Letter::of(group);
        sink.found(index, &view.keys);
        let mut place = None;
        if is_our_own(&view.message, &self.settings.output) {
            let routed = route_of(origin, view.pod, letter);
            let route = routed.map_or(Route::Unrouted, |routed| routed.route);
            discard_both(sink, index, Discard::suppressed(Reason::OwnHost, route));
        } else if let Some(routed) = route_of(origin, view.pod, letter) {
            let threshold = view.pod.map_or(self.settings.event_level, |pod| pod.threshold(self.settings.event_level));
            let log = &mut progress.log;
            log.settle();
            log.index = index;
            let sequence = match letter {
                None => self.write_log(&view, routed.route, (&mut progress.logs, log), sink),
                Some(letter) => {
                    let other = if letter.category == Category::Log { Category::Event } else { Category::Log };
                    sink.discard(Item { category: other, record: index }, Discard::filtered(Reason::OtherItem));
                    0
                }
            };
            if letter.is_none() && threshold.is_none() {
                let reason = Reason::Below { level: view.level, threshold };
                sink.discard(Item::event(index), Discard::filtered(reason));
            }
            if letter.is_some() || threshold.is_some() || self.settings.join_traces {
                let text = progress.aside.text(&view.message, record.raw);
                let (level, said) = (view.level, view.said);
                let group = group.map(|group| group.raw);
                let time = record.time;
                // A text that is neither the record's own nor coloured stood in JSON.
                let is_plain = matches!(text, Text::Here(_)) || memchr(0x1b, record.raw).is_some();
                let mut line = Line {
                    index,
                    raw: record.raw,
                    group,
                    text,
                    time,
                    level,
                    said,
                    heads: None,
                    is_plain,
                    sequence,
                    ordinal: None,
                    in_key: is_in_key,
                };
                if letter.is_some() {
                    let text = line.text_in(&progress.aside).filter(|_| self.settings.join_traces);
                    line.judge(text.unwrap_or_default());
                }
                progress.traces.keep(index, shown);
                place = Some(progress.add(view.stream, threshold, letter, line));
            }
        } else {
            discard_both(sink, index, Discard::filtered(Reason::NoDestination));
        }
        self.memory.fields = fields.recycle();
        self.memory.buffers = Some(buffers);
        match place {
            Some(place) if letter.is_none() => self.advance(origin, place, progress, sink),
            _ => {
                let log = std::mem::take(&mut progress.log);
                self.send((log.index, log.fate, &log.json), sink);
                progress.log = log;
                progress.log.settle();
            }
        }
    }

    /// Writes the record's log, or says why there is none; returns which-th log of its microsecond it is.
    fn write_log(
        &self,
        view: &ResolvedRecord<'_, '_>,
        route: Route,
        (logs, log): (&mut Logs, &mut HeldLog),
        sink: &mut impl Sink,
    ) -> u32 {
        let threshold = self.settings.logs_level;
        if threshold.is_none_or(|threshold| view.level < threshold) {
            let reason = Reason::Below { level: view.level, threshold };
            log.fate = Fate::End(Discard::filtered(reason));
            return 0;
        }
        if view.message.trim_ascii().is_empty() && view.fields.rest().next().is_none() {
            log.fate = Fate::End(Discard::filtered(Reason::Empty));
            return 0;
        }
        let sequence = logs.sequence(view.time);
        if !is_sampled(self.settings.logs_sample_rate, view, log.index) {
            log.fate = Fate::End(Discard::sampled(route));
        } else if !sink.is_settled(Item::log(log.index)) {
            let mut bill = bill_of(view, route, sink);
            if sink.affords(log.index, &bill) {
                bill.bytes = self.write_billed(&mut log.json, view, sequence, &mut logs.used);
                log.fate = Fate::Send(bill);
            } else {
                log.fate = Fate::End(Discard::over_budget(route));
            }
        }
        sequence
    }

    /// Writes a log without its secrets, and returns the bytes that Sentry bills for it.
    fn write_billed(
        &self,
        out: &mut Vec<u8>,
        view: &ResolvedRecord<'_, '_>,
        sequence: u32,
        used: &mut log::Used,
    ) -> u64 {
        let start = out.len();
        let known = log::write(out, view, (&self.constant, &self.settings.log_attributes, &self.scrub), sequence, used);
        let longer = if known.needed { self.scrub.clean_found(out, start, &known.parts) } else { 0 };
        (known.billed as u64).saturating_add_signed(longer).max(1)
    }

    /// Judges the line that came last to its stream: the log before it is sent unless both may be lines of one log.
    fn advance(&mut self, origin: Origin<'_>, place: usize, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        let stream = &mut progress.streams[place];
        let step = match self.settings.join_traces {
            true => stream.step(&progress.log, &progress.aside, &mut progress.run_bytes),
            false => Step::Next,
        };
        match step {
            Step::Kept => return progress.log.settle(),
            Step::Ends => {
                let before = stream.lines.len() - 1;
                self.end_of_run(origin, (place, before), progress, sink);
            }
            Step::Next => self.send((stream.held.index, stream.held.fate, &stream.held.json), sink),
        }
        let held = &mut progress.streams[place].held;
        std::mem::swap(held, &mut progress.log);
        progress.log.settle();
    }

    /// Sends a log that was written, or ends it.
    fn send(&mut self, (index, fate, json): (u32, Fate, &[u8]), sink: &mut impl Sink) {
        match fate {
            Fate::Settled => {}
            Fate::Send(bill) => {
                self.works_on([index]);
                if let Some(mut writer) = sink.begin(Item::log(index), bill.route) {
                    writer.json().extend_from_slice(json);
                    writer.finish(Finished::Log(bill));
                }
            }
            Fate::End(discard) => sink.discard(Item::log(index), discard),
        }
    }

    /// Decides about a run of lines that ends before the line at `end`: each group in it is one log, the other lines are a
    /// log each.
    fn end_of_run(
        &mut self,
        origin: Origin<'_>,
        (place, end): (usize, usize),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let Some(run) = progress.streams[place].run.take() else { return };
        progress.run_bytes -= run.bytes();
        let stream = &progress.streams[place];
        let lines = &stream.lines[run.first..end];
        self.works_on(lines.iter().map(|line| line.index));
        let texts = lines.iter().map(|line| line.text_in(&progress.aside).and_then(usable).unwrap_or_default());
        let texts: Vec<&str> = texts.collect();
        let groups = Grouping::new(lines, &texts).all();
        let with_text = |group: &trace_groups::Group| {
            let members = lines[group.first + 1..group.first + group.len].iter().map(|line| line.index).collect();
            let joined =
                Joined { first: run.first + group.first, members, level: group.level(lines), text: group.text(&texts) };
            (joined, texts[group.first..group.first + group.len].join("\n"))
        };
        let groups: Vec<(Joined, String)> = groups.iter().map(with_text).collect();
        let mut at = 0;
        for (group, body) in &groups {
            let first = group.first - run.first;
            run.logs(at, first).for_each(|log| self.send(log, sink));
            self.joined_log(origin, (place, group, body), progress, sink);
            at = first + 1 + group.members.len();
        }
        run.logs(at, end - run.first).for_each(|log| self.send(log, sink));
        progress.streams[place].groups.extend(groups.into_iter().map(|(group, _)| group));
    }

    /// The one log of a group: the record of its first line with the text of all of them.
    fn joined_log(
        &mut self,
        origin: Origin<'_>,
        (place, group, body): (usize, &Joined, &str),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &progress.streams[place];
        let (letter, line) = (stream.letter, stream.lines[group.first]);
        self.works_on(std::iter::once(line.index).chain(group.members.iter().copied()));
        let threshold = self.settings.logs_level;
        if letter.is_none() && threshold.is_none_or(|threshold| group.level < threshold) {
            for index in std::iter::once(&line.index).chain(&group.members) {
                let reason = Reason::Below { level: group.level, threshold };
                sink.discard(Item::log(*index), Discard::filtered(reason));
            }
            return;
        }
        self.joined_head(origin, (line, letter), (group.level, body), progress, sink);
        for member in &group.members {
            sink.join(Item::log(*member), line.index);
        }
    }

    fn joined_head(
        &mut self,
        origin: Origin<'_>,
        (line, letter): (Line<'_>, Option<Letter>),
        (level, body): (Level, &str),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let Some((record, marker)) = read_again(&line) else { return };
        let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
        let (key, _) = self.reader.read(record, marker, &mut fields, &mut buffers);
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let Some(routed) = route_of(origin, pod, letter) else {
            return sink.discard(Item::log(line.index), Discard::filtered(Reason::NoDestination));
        };
        let mut unasked = DetectedTrace::new(&[]);
        let message = (key, Cow::Borrowed(body.as_bytes()));
        let given = Inputs { message, pod, level: Some(level), shown: &mut unasked };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        if letter.is_none() && !is_sampled(self.settings.logs_sample_rate, &view, line.index) {
            return sink.discard(Item::log(line.index), Discard::sampled(routed.route));
        }
        let mut bill = bill_of(&view, routed.route, sink);
        if let Some(mut writer) = sink.begin(Item::log(line.index), routed.route) {
            bill.bytes = self.write_billed(writer.json(), &view, line.sequence, &mut progress.logs.used);
            writer.finish(Finished::Log(bill));
        }
    }

    /// Maps a dead letter: its lines are one group, whatever they look like.
    fn letter(
        &mut self,
        origin: Origin<'_>,
        stream: &mut Stream<'_>,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let texts: Vec<&str> = stream.lines.iter().map(|line| line.text().unwrap_or_default()).collect();
        let found = Grouping::new(&stream.lines, &texts).all().into_iter().next();
        let whole = found.filter(|group| group.first == 0 && group.len == stream.lines.len());
        let head = stream.lines[0];
        let (level, text) = whole.map_or_else(
            || {
                let text = texts.join("\n");
                let trace = trace::parse(&text).map(|trace| if trace.fatal { Level::Fatal } else { Level::Error });
                (trace.filter(|_| head.said == LevelSource::Nowhere).unwrap_or(head.level), text)
            },
            |group| (group.level(&stream.lines), group.text(&texts)),
        );
        let body = texts.join("\n");
        let members: Vec<u32> = stream.lines[1..].iter().map(|line| line.index).collect();
        if stream.letter.is_some_and(|letter| letter.category == Category::Log) {
            let level = if members.is_empty() { head.level } else { level };
            self.works_on(stream.lines.iter().map(|line| line.index));
            self.joined_head(origin, (head, stream.letter), (level, &body), progress, sink);
            for member in &members {
                sink.join(Item::log(*member), head.index);
            }
        } else if !members.is_empty() {
            stream.groups.push(Joined { first: 0, members, level, text });
        }
    }

    /// The events of a stream: single lines at or above the level, and groups.
    fn events(&mut self, origin: Origin<'_>, stream: &Stream<'_>, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        let is_letter = stream.letter.is_some();
        if !Letter::allows(stream.letter, Category::Event) || !is_letter && stream.threshold.is_none() {
            return;
        }
        let is_event = |level: Level| is_letter || stream.threshold.is_some_and(|threshold| level >= threshold);
        let mut groups = stream.groups.iter().peekable();
        for (at, line) in stream.lines.iter().enumerate() {
            let group = groups.next_if(|group| group.first == at);
            let members = group.map_or(&[][..], |group| &group.members);
            if !is_event(line.level) {
                let below = Reason::Below { level: line.level, threshold: stream.threshold };
                for record in std::iter::once(&line.index).chain(members) {
                    sink.discard(Item::event(*record), Discard::filtered(below));
                }
                continue;
            }
            self.works_on(std::iter::once(line.index).chain(members.iter().copied()));
            let text = group.map(|group| (group.text.as_str(), trace::parse(&group.text)));
            self.event(origin, stream, at, (text, line.level), progress, sink);
            for member in members {
                sink.join(Item::event(*member), line.index);
            }
        }
    }

    /// The event of the line at `first`, or of the lines from there on whose text this is, and the trace in it.
    fn event(
        &mut self,
        origin: Origin<'_>,
        stream: &Stream<'_>,
        first: usize,
        (text, level): (Option<(&str, Option<Trace<'_>>)>, Level),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let line = &stream.lines[first];
        let Some((record, group)) = read_again(line) else { return };
        let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
        let own = self.reader.read(record, group, &mut fields, &mut buffers);
        let (text, trace) = text.unzip();
        let text = text.or_else(|| line.text().filter(|_| line.in_key));
        let mut message = (own.0, text.map_or(own.1, |text| Cow::Borrowed(text.as_bytes())));
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let Some(routed) = route_of(origin, pod, stream.letter) else {
            return sink.discard(Item::event(line.index), Discard::filtered(Reason::NoDestination));
        };
        let id = progress.event_id(routed.identity, stream, (record, line.ordinal));
        let text = message.1.clone();
        let text = trace_cache::text(&text);
        let text = self.scrub.scrubbed(&text);
        // What was read of the text as it came would bring back what was taken out of it.
        let trace = if let Cow::Owned(scrubbed) = &text {
            message.1 = Cow::Owned(scrubbed.clone().into_bytes());
            None
        } else {
            // JSON is judged by its fields: a part of it is no JSON.
            if line.text() == Some(&*text) && !text.trim_start().starts_with(['{', '[']) {
                self.crumbs.mark_clean(first);
            }
            trace
        };
        let (stack, in_stack) = stack_of(&mut fields, &text, &self.scrub).unzip();
        let mut unasked = DetectedTrace::new(&[]);
        let given = Inputs { message, pod, level: Some(level), shown: &mut unasked };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let known = trace.or_else(|| progress.traces.take(line.index, &text));
        let in_message = known.unwrap_or_else(|| trace::parse(&text));
        let bare = in_message.is_none().then(|| trace_groups::without_prefix(&text)).flatten();
        let (text, in_message) = match &bare {
            Some(bare) => (bare.as_str(), trace::parse(bare)),
            None => (&*text, in_message),
        };
        let in_stack =
            stack.as_deref().and_then(|stack| Some((stack, in_stack.flatten().or_else(|| trace::parse(stack))?)));
        let (trace, around) = read_trace(text, in_message, in_stack);
        let mut about = EventContext::new(&self.rules, &view, routed, trace, &around);
        if stream.letter.is_none() && !is_sampled(self.settings.sample_rate, &view, line.index) {
            return sink.discard(Item::event(line.index), Discard::sampled(routed.route));
        }
        let decision = if sink.again(line.index) || stream.letter.is_some() {
            Decision::Send(0)
        } else {
            decide(&mut self.storms, (routed, origin.now), &view, &mut about)
        };
        if let Decision::Send(held_back) = decision {
            about.held_back = held_back;
        }
        if !matches!(decision, Decision::Suppress(_)) {
            about.crumbs = self.crumbs.before(stream, first, &self.scrub);
        }
        let write = |out: &mut Vec<u8>| {
            let start = out.len();
            let scrubbed = event::write(out, &view, id, (&self.settings, &self.scrub), &about);
            self.scrub.clean(out, start, &scrubbed);
        };
        match decision {
            Decision::Suppress(reason) => {
                sink.discard(Item::event(line.index), Discard::suppressed(reason, routed.route));
            }
            Decision::Keep(reason) => {
                let mut payload = Vec::new();
                write(&mut payload);
                let closing = StormSummary { routed, event_id: id, payload, others: 0 };
                self.storms.keep(about.fingerprint, closing);
                sink.discard(Item::event(line.index), Discard::suppressed(reason, routed.route));
            }
            Decision::Send(_) => {
                let Some(mut writer) = sink.begin(Item::event(line.index), routed.route) else { return };
                write(writer.json());
                writer.finish(Finished::Event(id));
                let trace_id = view.trace_id;
                if stream.letter.is_none() && !sink.again(line.index) {
                    let lines = self.recall.take(stream, first);
                    self.send_recalled(origin, (routed.route, trace_id), lines, progress, sink);
                }
            }
        }
    }

    /// Sends lines that `logs_level` has filtered out as logs of an event's trace.
    fn send_recalled(
        &mut self,
        origin: Origin<'_>,
        (route, trace_id): (Route, TraceId),
        lines: Vec<Recalled<'_>>,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let (mut logs, mut order) = (Vec::with_capacity(lines.len()), Logs::default());
        for line in &lines {
            let Some((record, marker)) = record_and_marker(&line.raw, line.group.as_deref()) else { continue };
            let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
            let (key, own) = self.reader.read(record, marker, &mut fields, &mut buffers);
            let message = (key, line.text.as_ref().map_or(own, |text| Cow::Borrowed(text.as_bytes())));
            let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
            let mut unasked = DetectedTrace::new(&[]);
            let given = Inputs { message, pod, level: Some(line.level), shown: &mut unasked };
            let known = Known {
                names: self.reader.names(),
                tag: (origin.tag, &progress.of_tag),
                trace: &mut self.memory.trace,
            };
            let mut view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
            (view.trace_id, view.span_id) = (trace_id, None);
            let mut bill = bill_of(&view, route, sink);
            let (mut json, sequence) = (Vec::new(), order.sequence(view.time));
            bill.bytes = self.write_billed(&mut json, &view, sequence, &mut order.used);
            logs.push(RecalledLog { json, bill });
        }
        if !logs.is_empty() {
            sink.recalled(logs);
        }
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
            let place = pods.find(map, settings, scrub);
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

/// Returns the stack trace that stands in a field of its own, if it can be read, alone or below the message; and the parsed
/// trace, if that can outlive the lookup. A trace that cannot be read stays a field like any other.
fn stack_of<'a>(
    fields: &mut Fields<'a>,
    message: &str,
    scrub: &scrub::Rules,
) -> Option<(Cow<'a, str>, Option<Trace<'a>>)> {
    let about = resolved_record::about_stack(fields);
    fields.take(Role::Stack, |found| {
        let stack = match stack::text(found.value, about)? {
            Cow::Borrowed(stack) => trace_cache::text(stack),
            Cow::Owned(stack) => Cow::Owned(trace_cache::text(&stack).into_owned()),
        };
        let scrubbed = match scrub.scrubbed(&stack) {
            Cow::Owned(scrubbed) => Some(scrubbed),
            Cow::Borrowed(_) => None,
        };
        let stack = scrubbed.map_or(stack, Cow::Owned);
        let trace = match stack {
            Cow::Borrowed(stack) => Some(trace::parse(stack)).filter(Option::is_some),
            Cow::Owned(ref stack) => trace::parse(stack).map(|_| None),
        };
        if let Some(trace) = trace {
            return Some((stack, trace));
        }
        let below = Some(format!("{message}\n{stack}")).filter(|_| stack.contains('\n'))?;
        trace::parse(&below).is_some().then_some((Cow::Owned(below), None))
    })
}

/// Returns the trace of an event, from its stack or its message, and the rest of the message.
fn read_trace<'t>(
    message: &'t str,
    in_message: Option<Trace<'t>>,
    in_stack: Option<(&'t str, Trace<'t>)>,
) -> (Option<Trace<'t>>, Cow<'t, str>) {
    let around = in_message.as_ref().map_or(Cow::Borrowed(message), |trace| trace.message.clone());
    match in_stack {
        // It took the message's lines for its own head: what is left of them stands around it.
        Some((stack, trace)) if stack.starts_with(message) => {
            let around = trace.message.clone();
            (Some(trace), around)
        }
        Some((_, trace)) if trace.message.is_empty() || around.contains(&*trace.message) => (Some(trace), around),
        // The logger's line stands above the trace, its message in a field.
        Some((_, trace)) if !around.is_empty() && trace.message.ends_with(&*around) => (Some(trace), around),
        Some((_, trace)) => {
            let both = format!("{around}\n{}", trace.message);
            (Some(trace), Cow::Owned(both))
        }
        None => (in_message, around),
    }
}

impl<'a> ChunkState<'a> {
    /// Begins a stream with its lines that have waited.
    fn resume(&mut self, id: StreamId, tail: &'a Tail) {
        let stream = tail.stream(id);
        self.run_bytes += stream.run.as_ref().map_or(0, Run::bytes);
        self.streams.push(stream);
    }

    /// Adds a line to its stream and returns the stream's place.
    #[inline]
    fn add(&mut self, id: StreamId, threshold: Option<Level>, letter: Option<Letter>, line: Line<'a>) -> usize {
        let same_marker = |other: &Line<'_>| other.group.map(<[u8]>::as_ptr) == line.group.map(<[u8]>::as_ptr);
        let known = match letter {
            Some(_) => {
                let is_same = |last: &Stream<'_>| last.letter.is_some() && same_marker(&last.lines[0]);
                self.streams.len().checked_sub(1).filter(|last| is_same(&self.streams[*last]))
            }
            None => self.streams.iter().rposition(|stream| stream.id == id && stream.letter.is_none()),
        };
        let place = known.unwrap_or_else(|| {
            match self.waiting.and_then(|waiting| waiting.get(&id)).filter(|_| letter.is_none()) {
                Some(tail) => self.resume(id, tail),
                None => self.streams.push(Stream::new(id, threshold, letter)),
            }
            self.streams.len() - 1
        });
        self.streams[place].lines.push(line);
        place
    }

    fn event_id(
        &mut self,
        destination: u128,
        stream: &Stream<'_>,
        (record, waited): (Record<'_>, Option<u32>),
    ) -> EventId {
        let ordinal = waited.filter(|_| !self.is_part).unwrap_or_else(|| {
            let first = EventId::new(destination, stream.id, record.time, record.raw, 0);
            *self.duplicate_ordinals.entry(first).and_modify(|n| *n += 1).or_insert(0)
        });
        let own = stream.letter.and_then(|letter| letter.event_id);
        own.unwrap_or_else(|| EventId::new(destination, stream.id, record.time, record.raw, ordinal))
    }
}

impl Logs {
    /// Which-th log of its microsecond this is: Sentry sorts by it within one.
    fn sequence(&mut self, time: Timestamp) -> u32 {
        let micros = time.micros();
        self.sequence = if micros == self.last_micros { self.sequence.saturating_add(1) } else { 0 };
        self.last_micros = micros;
        self.sequence
    }
}

/// Lines of our own host about this output: sending them would make more of them. Either the output speaks itself, or the
/// engine says where a chunk did not go (`flb_engine.c`: `... input=tail.0 > output=sentry.0 (out_id=0)`).
fn is_our_own(message: &[u8], output: &str) -> bool {
    if message.first() != Some(&b'[') {
        return false;
    }
    let head = |most: usize| &message[..message.len().min(most)];
    let of_ours = |at: usize| head(80)[at..].starts_with(b"[output:sentry:");
    // `[2026/11/24 10:00:00.000000000] [ warn] [engine] ...`
    let dated = message.get(5) == Some(&b'/') && message[1..5].iter().all(u8::is_ascii_digit);
    let ends = |rest: &[u8]| rest.first().is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'.');
    let names_ours = || {
        const TARGET: &[u8] = b" > output=";
        let target = memmem::find(head(512), TARGET).map(|at| &message[at + TARGET.len()..]);
        let rest = target.and_then(|target| target.strip_prefix(output.as_bytes()));
        !output.is_empty() && rest.is_some_and(ends)
    };
    memchr_iter(b'[', head(80)).any(of_ours) || dated && names_ours()
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

/// Storm control: repeats, too many messages of a workload, bursts and rates.
fn decide(
    storms: &mut Storms,
    (routed, now): (Routed, WallTime),
    view: &ResolvedRecord<'_, '_>,
    about: &mut EventContext<'_>,
) -> Decision {
    // A time to come is somebody's mistake, and must forbid nothing until then.
    let time = view.record_time.min(now.into());
    if let Some(chain) = about.chain {
        if storms.is_repeat(view.stream, chain, time) {
            return Decision::Suppress(Reason::Repeat);
        }
    } else if storms.is_one_too_many(about.workload, about.fingerprint, time, now) {
        about.share_an_issue();
    }
    storms.decide(about.fingerprint, routed.identity, time, now)
}
