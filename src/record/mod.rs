//! What a record means to Sentry: the mapping, read top to bottom.
//!
//! A chunk is read twice: once for its logs, line by line; and at its end for its events, when it is known which lines
//! form one stack trace and which came before.

mod container;
mod crumbs;
mod event;
mod exception;
mod fields;
pub mod formats;
pub mod identity;
mod in_app;
pub mod json;
mod kubernetes;
mod letter;
pub mod limit;
mod lines;
mod log;
mod message;
mod names;
pub mod parse;
mod read;
mod reason;
mod removal;
mod route;
mod scrub;
mod severity;
mod shown;
mod sink;
mod stack;
mod storm;
mod time;
pub mod trace;
mod triples;
mod view;

use crate::chunk::msgpack::Cursor;
use crate::chunk::{Entry, Record, Timestamp, entries};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::options::Mapping;
use container::Container;
use crumbs::Crumbs;
use event::Circumstances;
use fields::{Fields, Role};
use identity::{EventId, LastTrace, StreamId, StreamIds};
use kubernetes::{Pod, Pods};
use letter::Letter;
use lines::{Aside, Line, Said, Spans, Stream};
use memchr::{memchr_iter, memmem};
use read::{Buffers, Reader};
pub use reason::Reason;
pub use route::{NOWHERE, Route, Router};
use severity::Rules;
use shown::{Shown, Traces};
pub use sink::{FoundKeys, Origin, Sink};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
pub use storm::Closing;
use storm::{Decision, Storms};
use trace::Trace;
use view::{Given, Known, View, view};

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
    crumbs: Crumbs,
    storms: Storms,
    /// Attributes that every log has.
    constant: log::Constant,
    /// The record that is being read, or those that are being made an event.
    at_work: Vec<u32>,
    /// Memory kept from record to record, and from chunk to chunk.
    memory: Memory,
}

#[derive(Debug, Default)]
struct Memory {
    buffers: Buffers,
    fields: Fields<'static>,
    aside: Aside,
    trace: LastTrace,
}

/// What is remembered from record to record of one chunk.
#[derive(Default)]
struct Progress<'a> {
    /// How often these very bytes at this very time have been seen in their stream.
    twins: HashMap<EventId, u32>,
    last_micros: u64,
    sequence: u32,
    streams: Vec<Stream<'a>>,
    aside: Aside,
    /// What was read of traces when the levels of their lines were asked for.
    traces: Traces<'a>,
    /// Attribute names of the log being written.
    used: log::Used,
    /// The streams of records that come from no pod, by what they say of stdout and stderr.
    of_tag: StreamIds,
    /// The container that the chunk's tag names.
    container: Option<Container>,
}

impl Mapper {
    /// A mapper for these settings.
    #[must_use]
    pub fn new(settings: Mapping) -> Self {
        let scrub = scrub::Rules::new(settings.scrub, settings.send_pii, &settings.scrub_keys);
        let mut constant = log::Constant::new(&settings.tags);
        constant.judge(&scrub);
        Self {
            rules: Rules { map: settings.level_map.clone(), default: settings.default_level.unwrap_or(Level::Info) },
            scrub,
            reader: Reader::new(&settings),
            pods: Pods::default(),
            crumbs: Crumbs::new(settings.breadcrumbs),
            storms: Storms::new(settings.storm_burst, settings.event_rate),
            constant,
            at_work: Vec::new(),
            memory: Memory::default(),
            settings,
        }
    }

    /// Maps a chunk. Records are numbered from `first`; undecodable bytes count as one record. Returns the number of
    /// the record behind the last one.
    pub fn map(&mut self, origin: Origin<'_>, chunk: &[u8], first: u32, sink: &mut impl Sink) -> u32 {
        self.reader.renew();
        self.at_work.clear();
        let aside = std::mem::take(&mut self.memory.aside);
        let (of_tag, container) = (StreamIds::of_tag(origin.tag), Container::of_tag(origin.tag));
        let mut progress = Progress { aside, of_tag, container, ..Progress::default() };
        let mut group = None;
        let mut index = first;
        for entry in entries(chunk) {
            match entry {
                Entry::GroupStart(record) => group = Some(record),
                Entry::GroupEnd => group = None,
                Entry::Invalid(why, _) => {
                    end_both(sink, index, Outcome::Invalid, Reason::Undecodable(why));
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

    /// After a panic in [`Mapper::map`]: the records that it was about.
    #[must_use]
    pub fn at_work(&self) -> &[u32] {
        &self.at_work
    }

    fn works_on(&mut self, records: impl IntoIterator<Item = u32>) {
        self.at_work.clear();
        self.at_work.extend(records);
    }

    fn end_of_chunk(&mut self, origin: Origin<'_>, progress: &mut Progress<'_>, sink: &mut impl Sink) {
        let mut aside = std::mem::take(&mut progress.aside);
        for stream in std::mem::take(&mut progress.streams) {
            let stream = stream.with(&aside);
            self.crumbs.begin();
            self.events(origin, &stream, progress, sink);
            self.crumbs.remember(stream.id, &stream.lines);
        }
        aside.clear();
        self.memory.aside = aside;
    }

    /// The record's log, and its line for the events of its stream.
    fn log<'a>(
        &mut self,
        origin: Origin<'_>,
        record: Record<'a>,
        group: Option<Record<'a>>,
        index: u32,
        progress: &mut Progress<'a>,
        sink: &mut impl Sink,
    ) {
        let mut buffers = std::mem::take(&mut self.memory.buffers);
        buffers.clear();
        let mut fields = std::mem::take(&mut self.memory.fields).recycle();
        let message = self.reader.read(record, group, &mut fields, &mut buffers);
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let mut shown = Shown::new(record.raw);
        let given = Given { message, pod, level: None, shown: &mut shown };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let letter = Letter::of(group);
        sink.found(index, &view.keys);
        if is_our_own(&view.message, &self.settings.output) {
            sink.left_out(route_of(origin, view.pod, letter).map(|route| route.destination));
            end_both(sink, index, Outcome::Suppressed, Reason::OwnHost);
        } else if let Some(route) = route_of(origin, view.pod, letter) {
            let threshold = view.pod.map_or(self.settings.event_level, |pod| pod.threshold(self.settings.event_level));
            if !Letter::allows(letter, Category::Event) {
                end(sink, Category::Event, index, Outcome::Filtered, Reason::OtherItem);
            } else if letter.is_none() && threshold.is_none() {
                // No line of it can become an event, so none has to be kept.
                let reason = Reason::Below { level: view.level, threshold };
                end(sink, Category::Event, index, Outcome::Filtered, reason);
            } else {
                let text = progress.aside.text(&view.message, record.raw);
                let (level, said) = (view.level, view.said);
                let group = group.map(|group| group.raw);
                let line = Line { index, raw: record.raw, group, text, time: record.time, level, said };
                progress.traces.keep(index, shown);
                progress.add(view.stream, threshold, letter, line);
            }
            self.write_log(&view, (index, route, letter), progress, sink);
        } else {
            end_both(sink, index, Outcome::Filtered, Reason::NoDestination);
        }
        self.memory.fields = fields.recycle();
        self.memory.buffers = buffers;
    }

    fn write_log(
        &self,
        view: &View<'_, '_>,
        (index, route, letter): (u32, Route, Option<Letter>),
        progress: &mut Progress<'_>,
        sink: &mut impl Sink,
    ) {
        let threshold = self.settings.logs_level;
        if !Letter::allows(letter, Category::Log) {
            return end(sink, Category::Log, index, Outcome::Filtered, Reason::OtherItem);
        }
        if letter.is_none() && threshold.is_none_or(|threshold| view.level < threshold) {
            let reason = Reason::Below { level: view.level, threshold };
            return end(sink, Category::Log, index, Outcome::Filtered, reason);
        }
        let sequence = progress.sequence(view.time);
        if letter.is_none() && !is_sampled(self.settings.logs_sample_rate, view, index) {
            sink.left_out(Some(route.destination));
            return sink.end(Category::Log, index, Outcome::Sampled);
        }
        if let Some(out) = sink.open(Category::Log, index, route.destination) {
            let start = out.len();
            let known = log::write(out, view, &self.constant, sequence, &mut progress.used);
            self.scrub.clean_from(known.from, out, start, &known.parts);
            sink.close(Category::Log, index, None);
        }
    }

    /// The events of a stream: single lines at or above the level, and traces that their lines form.
    fn events(&mut self, origin: Origin<'_>, stream: &Stream<'_>, progress: &mut Progress<'_>, sink: &mut impl Sink) {
        let lines = &stream.lines;
        let is_event =
            |level: Level| stream.letter.is_some() || stream.threshold.is_some_and(|threshold| level >= threshold);
        let (mut at, mut spans) = (0, Spans::new(lines, self.settings.join_traces));
        while at < lines.len() {
            self.works_on([lines[at].index]);
            let len = match stream.letter {
                Some(_) => lines.len(),
                None => spans.at(at, |line| is_event(line.level)),
            };
            let members = &lines[at..at + len];
            self.works_on(members.iter().map(|member| member.index));
            let text = (len > 1).then(|| joined(members));
            let trace = text.as_deref().and_then(trace::parse);
            let level = level_of(members, trace.as_ref());
            let below = (Outcome::Filtered, Reason::Below { level, threshold: stream.threshold });
            let joined = (Outcome::Joined, Reason::Joined { into: members[0].index });
            if is_event(level) {
                let text = text.as_deref().map(|text| (text, trace));
                self.event(origin, stream, at, (text, level), progress, sink);
            } else {
                end(sink, Category::Event, members[0].index, below.0, below.1);
            }
            for member in &members[1..] {
                let (outcome, reason) = if is_event(level) { joined } else { below };
                end(sink, Category::Event, member.index, outcome, reason);
            }
            at += len;
        }
    }

    /// The event of the line at `first`, or of the lines from there on whose text this is, and the trace in it.
    fn event(
        &mut self,
        origin: Origin<'_>,
        stream: &Stream<'_>,
        first: usize,
        (text, level): (Option<(&str, Option<Trace<'_>>)>, Level),
        progress: &mut Progress<'_>,
        sink: &mut impl Sink,
    ) {
        let line = &stream.lines[first];
        let Some((record, group)) = read_again(line) else { return };
        let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
        let own = self.reader.read(record, group, &mut fields, &mut buffers);
        let (text, trace) = text.unzip();
        let message = (own.0, text.map_or(own.1, |text| Cow::Borrowed(text.as_bytes())));
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let Some(route) = route_of(origin, pod, stream.letter) else {
            return end(sink, Category::Event, line.index, Outcome::Filtered, Reason::NoDestination);
        };
        let id = progress.event_id(route.identity, stream, record);
        let text = message.1.clone();
        let text = shown::text(&text);
        let (stack, in_stack) = stack_of(&mut fields, &text).unzip();
        let mut unasked = Shown::new(&[]);
        let given = Given { message, pod, level: Some(level), shown: &mut unasked };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let known = trace.or_else(|| progress.traces.take(line.index, &text));
        let in_message = known.unwrap_or_else(|| trace::parse(&text));
        let in_stack =
            stack.as_deref().and_then(|stack| Some((stack, in_stack.flatten().or_else(|| trace::parse(stack))?)));
        let (trace, around) = read_trace(&text, in_message, in_stack);
        let trace = trace.map(|trace| with_value(trace, &around));
        let mut about = Circumstances::new(&view, route, trace, &around);
        if stream.letter.is_none() && !is_sampled(self.settings.sample_rate, &view, line.index) {
            sink.left_out(Some(route.destination));
            return sink.end(Category::Event, line.index, Outcome::Sampled);
        }
        let decision = if sink.again(line.index) || stream.letter.is_some() {
            Decision::Send(0)
        } else {
            decide(&mut self.storms, (route, origin.now), &view, &mut about)
        };
        if let Decision::Send(held_back) = decision {
            about.held_back = held_back;
        }
        if !matches!(decision, Decision::HoldBack(_)) {
            about.crumbs = self.crumbs.before(stream.id, &stream.lines, first, &self.scrub);
        }
        let write = |out: &mut Vec<u8>| {
            let start = out.len();
            let crumbs = event::write(out, &view, id, &self.settings, &about);
            self.scrub.clean(out, start, &[crumbs]);
        };
        match decision {
            Decision::HoldBack(reason) => {
                sink.left_out(Some(route.destination));
                end(sink, Category::Event, line.index, Outcome::Suppressed, reason);
            }
            Decision::Keep(reason) => {
                let mut payload = Vec::new();
                write(&mut payload);
                let closing = Closing { route, event_id: id, payload, others: 0 };
                self.storms.keep(about.fingerprint, closing);
                sink.left_out(Some(route.destination));
                end(sink, Category::Event, line.index, Outcome::Suppressed, reason);
            }
            Decision::Send(_) => {
                if let Some(out) = sink.open(Category::Event, line.index, route.destination) {
                    write(out);
                    sink.close(Category::Event, line.index, Some(id));
                }
            }
        }
    }

    /// Events that say how many others were held back, of storms that are over at wall time `now`. They stand for no
    /// record: theirs have ended.
    pub fn closed_storms(&mut self, now: Duration) -> Vec<Closing> {
        let mut closed = self.storms.closed(now);
        closed.iter_mut().for_each(event::tell_others);
        closed
    }

    /// The pod that wrote a record: the kubernetes filter's map says it, else the tag, else the path of the file. Where the
    /// map and the tag differ an application has forged the map (`Merge_Log` without metadata), and the tag is right.
    fn pod(&mut self, fields: &Fields<'_>, of_tag: Option<&Container>) -> Option<usize> {
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

/// Where the records of a pod, or of none, go. A dead letter that goes nowhere now is not left out, it stays one.
fn route_of(origin: Origin<'_>, pod: Option<&Pod>, letter: Option<Letter>) -> Option<Route> {
    let (namespace, annotation) = pod.map_or(("", None), |pod| (pod.namespace.as_str(), pod.dsn.as_deref()));
    let nowhere = || letter.map(|_| Route { destination: NOWHERE, identity: 0 });
    origin.router.route(namespace, annotation).or_else(nowhere)
}

fn end_both(sink: &mut impl Sink, index: u32, outcome: Outcome, reason: Reason) {
    for category in Category::ALL {
        end(sink, *category, index, outcome, reason);
    }
}

fn end(sink: &mut impl Sink, category: Category, index: u32, outcome: Outcome, reason: Reason) {
    sink.why(category, index, reason);
    sink.end(category, index, outcome);
}

/// A line's record, and the marker of its group.
fn read_again<'a>(line: &Line<'a>) -> Option<(Record<'a>, Option<Record<'a>>)> {
    let Some(Entry::Record(record)) = entries(line.raw).next() else { return None };
    let group = line.group.and_then(|raw| match entries(raw).next() {
        Some(Entry::GroupStart(group)) => Some(group),
        _ => None,
    });
    Some((record, group))
}

/// The stack trace that stands in a field of its own, if it can be read, alone or below the message; and what was read of
/// it, where that outlives the look. One that cannot be read stays a field like any other.
fn stack_of<'a>(fields: &mut Fields<'a>, message: &str) -> Option<(Cow<'a, str>, Option<Trace<'a>>)> {
    let about = view::about_stack(fields);
    fields.take(Role::Stack, |found| {
        let stack = match stack::text(found.value, about)? {
            Cow::Borrowed(stack) => shown::text(stack),
            Cow::Owned(stack) => Cow::Owned(shown::text(&stack).into_owned()),
        };
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

/// The trace of an event, from its stack or its message, and what the message says besides it.
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

/// An exception whose text has no message gets the line's own: else its issues would have no title but the type.
fn with_value<'t>(mut trace: Trace<'t>, line: &str) -> Trace<'t> {
    if let Some(outermost) = trace.exceptions.last_mut().filter(|exception| exception.value.trim().is_empty()) {
        outermost.value = Cow::Owned(message::without_preamble(line).to_owned());
    }
    trace
}

impl<'a> Progress<'a> {
    fn add(&mut self, id: StreamId, threshold: Option<Level>, letter: Option<Letter>, line: Line<'a>) {
        let same_marker = |other: &Line<'_>| other.group.map(<[u8]>::as_ptr) == line.group.map(<[u8]>::as_ptr);
        let known = match letter {
            Some(_) => self.streams.last_mut().filter(|last| last.letter.is_some() && same_marker(&last.lines[0])),
            None => self.streams.iter_mut().rev().find(|stream| stream.id == id && stream.letter.is_none()),
        };
        match known {
            Some(stream) => stream.lines.push(line),
            None => self.streams.push(Stream { id, threshold, letter, lines: vec![line] }),
        }
    }

    fn event_id(&mut self, destination: u128, stream: &Stream<'_>, record: Record<'_>) -> EventId {
        let first = EventId::new(destination, stream.id, record.time, record.raw, 0);
        let ordinal = self.twins.entry(first).and_modify(|n| *n += 1).or_insert(0);
        let own = stream.letter.and_then(|letter| letter.event_id);
        own.unwrap_or_else(|| EventId::new(destination, stream.id, record.time, record.raw, *ordinal))
    }

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

fn joined(lines: &[Line<'_>]) -> String {
    let length = lines.iter().filter_map(Line::text).map(|text| text.len() + 1).sum();
    let mut text = String::with_capacity(length);
    for line in lines {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line.text().unwrap_or_default());
    }
    text
}

/// How bad an event is: what a field of its lines says; else a crash is fatal, whatever words its lines begin with; else
/// what the text says, or that there is a trace.
fn level_of(lines: &[Line<'_>], trace: Option<&Trace<'_>>) -> Level {
    let said = |how| lines.iter().filter(|line| line.said == how).map(|line| line.level).max();
    let crash = trace.filter(|trace| trace.fatal).map(|_| Level::Fatal);
    let shown = trace.map(|_| Level::Error);
    let any = || lines.iter().map(|line| line.level).max();
    said(Said::InField).or(crash).or(said(Said::InText)).or(shown).or_else(any).unwrap_or(Level::Info)
}

/// A function of the trace where the record names one, else of the record, so that a retry decides the same.
fn is_sampled(rate: f64, view: &View<'_, '_>, index: u32) -> bool {
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
    (route, now): (Route, Duration),
    view: &View<'_, '_>,
    about: &mut Circumstances<'_>,
) -> Decision {
    // A time to come is somebody's mistake, and must forbid nothing until then.
    let time = view.record_time.min(Timestamp { secs: now.as_secs(), nanos: now.subsec_nanos() });
    if let Some(chain) = about.chain {
        if storms.is_repeat(view.stream, chain, time) {
            return Decision::HoldBack(Reason::Repeat);
        }
    } else if storms.is_one_too_many(about.workload, about.fingerprint, time, now) {
        about.share_an_issue();
    }
    storms.decide(about.fingerprint, route.identity, time, now)
}
