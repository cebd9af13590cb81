//! What a record means to Sentry: the mapping, read top to bottom.
//!
//! A chunk is read twice: once for its logs, line by line; and at its end for its events, when it is known which lines
//! form one stack trace and which came before.

mod event;
mod fields;
pub mod identity;
pub mod json;
mod kubernetes;
mod letter;
pub mod limit;
mod lines;
mod log;
mod message;
mod parse;
mod scrub;
mod severity;
mod storm;
pub mod trace;

use crate::chunk::msgpack::{Cursor, Seq, Value};
use crate::chunk::{Entry, Record, Timestamp, entries};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::options::Mapping;
use event::Circumstances;
use fields::{Fields, Keys, Role};
use identity::{EventId, SpanId, StreamId, TraceId};
use kubernetes::{Pod, Pods};
use letter::Letter;
use lines::{Crumbs, Line, Stream};
use severity::Rules;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use storm::{Decision, Storms};
use trace::Trace;

/// The name under which Sentry knows us.
pub const SDK_NAME: &str = "sentry.fluent-bit";
/// Our version.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Takes what a chunk becomes.
pub trait Sink {
    /// Whether this chunk has been read before: what was decided then about storms is not decided again.
    fn again(&self) -> bool;
    /// Whether the record still needs an item of this category, and if so the buffer to append its JSON to.
    /// What is appended becomes an item with [`Sink::close`].
    fn open(&mut self, category: Category, record: u32) -> Option<&mut Vec<u8>>;
    /// Ends the item that was opened last. Events bring their id.
    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>);
    /// Ends a record in a category without an item.
    fn end(&mut self, category: Category, record: u32, outcome: Outcome);
    /// Where a record's meaning was found; for those who explain, others need not care.
    fn found(&mut self, _record: u32, _keys: &FoundKeys<'_>) {}
}

/// The fields that gave a record its meaning; none where the text itself or a default did.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoundKeys<'a> {
    /// The message.
    pub message: Option<&'a [u8]>,
    /// The severity.
    pub level: Option<&'a [u8]>,
    /// The trace id.
    pub trace: Option<&'a [u8]>,
    /// The stack trace.
    pub stack: Option<&'a [u8]>,
    /// Whether the severity was read from the text (`false` with no level key: the default).
    pub level_in_text: bool,
}

/// Where a chunk's records come from and go to.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The chunk's tag.
    pub tag: &'a [u8],
    /// [`identity::destination`] of where the items go.
    pub destination: u128,
    /// Wall time since 1970.
    pub now: Duration,
}

/// A record, understood.
pub(crate) struct View<'r, 'a> {
    time: Timestamp,
    /// The record's own time where it cannot be used.
    original_time: Option<String>,
    level: Level,
    /// Whether the record says its level itself.
    explicit: bool,
    message: Cow<'a, [u8]>,
    trace_id: TraceId,
    /// Whether the record names its trace itself.
    traced: bool,
    span_id: Option<SpanId>,
    environment: Option<Cow<'a, str>>,
    release: Option<Cow<'a, str>>,
    server_name: Option<Cow<'a, str>>,
    logger: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    io_stream: Option<&'a [u8]>,
    tags: Vec<(String, String)>,
    pod: Option<&'r Pod>,
    stream: StreamId,
    /// When it happened by the record's own account, for decisions that must not depend on when it is read.
    record_time: Timestamp,
    keys: FoundKeys<'a>,
    fields: &'r Fields<'a>,
}

/// Turns records into items. One thread owns it; everything it remembers is bounded.
#[derive(Debug)]
pub struct Mapper {
    settings: Mapping,
    rules: Rules,
    scrub: scrub::Rules,
    keys: Keys,
    pods: Pods,
    crumbs: Crumbs,
    storms: Storms,
    /// Attributes that every log has.
    constant: Vec<u8>,
    /// Memory kept from record to record.
    scratch: Vec<u8>,
    fields: Fields<'static>,
}

/// What is remembered from record to record of one chunk.
#[derive(Default)]
struct Progress<'a> {
    /// How often these very bytes at this very time have been seen in their stream.
    twins: HashMap<EventId, u32>,
    last_micros: u64,
    sequence: u32,
    streams: Vec<Stream<'a>>,
}

impl Mapper {
    /// A mapper for these settings.
    #[must_use]
    pub fn new(settings: Mapping) -> Self {
        let rules = Rules { map: settings.level_map.clone(), default: settings.default_level.unwrap_or(Level::Info) };
        let mut constant = Vec::new();
        for (name, value) in [
            ("sentry.sdk.name", SDK_NAME),
            ("sentry.sdk.version", SDK_VERSION),
            ("sentry.origin", "auto.log.fluent_bit"),
        ] {
            log::attribute(&mut constant, name.as_bytes(), Value::Str(value.as_bytes()));
        }
        for (name, value) in &settings.tags {
            log::attribute(&mut constant, name.as_bytes(), Value::Str(value.as_bytes()));
        }
        Self {
            keys: keys(&settings),
            rules,
            scrub: scrub::Rules::new(settings.scrub, settings.send_pii, &settings.scrub_keys),
            pods: Pods::default(),
            crumbs: Crumbs::new(settings.breadcrumbs),
            storms: Storms::new(settings.storm_burst, settings.event_rate),
            constant,
            scratch: Vec::new(),
            fields: Fields::default(),
            settings,
        }
    }

    /// Maps a chunk. Records are numbered from `first`; undecodable bytes count as one record. Returns the number of
    /// the record behind the last one.
    pub fn map(&mut self, origin: Origin<'_>, chunk: &[u8], first: u32, sink: &mut impl Sink) -> u32 {
        let mut progress = Progress::default();
        let mut group = None;
        let mut index = first;
        for entry in entries(chunk) {
            match entry {
                Entry::GroupStart(record) => group = Some(record),
                Entry::GroupEnd => group = None,
                Entry::Invalid(..) => {
                    for category in Category::ALL {
                        sink.end(*category, index, Outcome::Invalid);
                    }
                    index += 1;
                }
                Entry::Record(record) => {
                    self.log(origin, record, group, index, &mut progress, sink);
                    index += 1;
                }
            }
        }
        for stream in std::mem::take(&mut progress.streams) {
            self.events(origin, &stream, &mut progress, sink);
            self.crumbs.remember(stream.id, &stream.lines);
        }
        index
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
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let mut fields = std::mem::take(&mut self.fields).recycle();
        let text = self.read(record, group, &mut fields, &mut scratch);
        let pod = self.pod(&fields);
        let view = self.view(origin, record, text, pod.map(|place| self.pods.at(place)), None, &mut fields);
        sink.found(index, &view.keys);
        if is_our_own(&view.message) {
            for category in Category::ALL {
                sink.end(*category, index, Outcome::Suppressed);
            }
        } else {
            let letter = Letter::of(group);
            let threshold = view.pod.map_or(self.settings.event_level, |pod| pod.threshold(self.settings.event_level));
            let line = Line {
                index,
                raw: record.raw,
                group: group.map(|group| group.raw),
                text: in_chunk(&view.message, record.raw),
                time: record.time,
                level: view.level,
                explicit: view.explicit,
            };
            if Letter::allows(letter, Category::Event) {
                progress.add(view.stream, threshold, letter, line);
            } else {
                sink.end(Category::Event, index, Outcome::Filtered);
            }
            self.write_log(&view, index, letter, progress, sink);
        }
        self.fields = fields.recycle();
        self.scratch = scratch;
    }

    fn write_log(
        &self,
        view: &View<'_, '_>,
        index: u32,
        letter: Option<Letter>,
        progress: &mut Progress<'_>,
        sink: &mut impl Sink,
    ) {
        let wanted = self.settings.logs_level.is_some_and(|threshold| view.level >= threshold) || letter.is_some();
        if !wanted || !Letter::allows(letter, Category::Log) {
            return sink.end(Category::Log, index, Outcome::Filtered);
        }
        let sequence = progress.sequence(view.time);
        if letter.is_none()
            && self.settings.logs_sample_rate < 1.0
            && !is_sampled(self.settings.logs_sample_rate, view, index)
        {
            return sink.end(Category::Log, index, Outcome::Sampled);
        }
        if let Some(out) = sink.open(Category::Log, index) {
            let start = out.len();
            log::write(out, view, &self.constant, sequence);
            self.scrub.clean(out, start);
            sink.close(Category::Log, index, None);
        }
    }

    /// The events of a stream: single lines at or above the level, and traces that their lines form.
    fn events(&mut self, origin: Origin<'_>, stream: &Stream<'_>, progress: &mut Progress<'_>, sink: &mut impl Sink) {
        let lines = &stream.lines;
        let is_event =
            |level: Level| stream.letter.is_some() || stream.threshold.is_some_and(|threshold| level >= threshold);
        let mut at = 0;
        while at < lines.len() {
            let len = match stream.letter {
                Some(_) => lines.len(),
                None => lines::span(lines, at, self.settings.join_traces, |line| is_event(line.level)),
            };
            let members = &lines[at..at + len];
            let text = (len > 1).then(|| joined(members));
            let trace = text.as_deref().and_then(trace::parse);
            let level = level_of(members, trace.as_ref());
            if is_event(level) {
                self.event(origin, stream, at, text.as_deref(), level, progress, sink);
            } else {
                sink.end(Category::Event, members[0].index, Outcome::Filtered);
            }
            for member in &members[1..] {
                let outcome = if is_event(level) { Outcome::Joined } else { Outcome::Filtered };
                sink.end(Category::Event, member.index, outcome);
            }
            at += len;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one event in its surroundings; a struct would only rename them")]
    fn event(
        &mut self,
        origin: Origin<'_>,
        stream: &Stream<'_>,
        first: usize,
        text: Option<&str>,
        level: Level,
        progress: &mut Progress<'_>,
        sink: &mut impl Sink,
    ) {
        let line = &stream.lines[first];
        let Some(Entry::Record(record)) = entries(line.raw).next() else { return };
        let group = line.group.and_then(|raw| match entries(raw).next() {
            Some(Entry::GroupStart(group)) => Some(group),
            _ => None,
        });
        let id = progress.event_id(origin.destination, stream, record);
        let mut scratch = Vec::new();
        let mut fields = Fields::default();
        let own = self.read(record, group, &mut fields, &mut scratch);
        let message = (own.0, text.map_or(own.1, |text| Cow::Borrowed(text.as_bytes())));
        let place = self.pod(&fields);
        let stack = self.stack(&mut fields);
        let pod = place.map(|place| self.pods.at(place));
        let view = self.view(origin, record, message, pod, Some(level), &mut fields);
        let message = String::from_utf8_lossy(&view.message).into_owned();
        let combined = stack.as_ref().map(|stack| format!("{message}\n{stack}"));
        let trace = (stack.as_deref().and_then(trace::parse))
            .or_else(|| combined.as_deref().and_then(trace::parse))
            .or_else(|| trace::parse(&message));
        let mut about = Circumstances::new(&view, trace, &message);
        if stream.letter.is_none()
            && self.settings.sample_rate < 1.0
            && !is_sampled(self.settings.sample_rate, &view, line.index)
        {
            return sink.end(Category::Event, line.index, Outcome::Sampled);
        }
        if !sink.again() && stream.letter.is_none() {
            match decide(&mut self.storms, stream.id, &view, &mut about) {
                Decision::HoldBack => return sink.end(Category::Event, line.index, Outcome::Suppressed),
                Decision::Send(held_back) => about.held_back = held_back,
            }
        }
        about.crumbs = self.crumbs.before(stream.id, &stream.lines, first);
        if let Some(out) = sink.open(Category::Event, line.index) {
            let start = out.len();
            event::write(out, &view, id, &self.settings, &about);
            self.scrub.clean(out, start);
            sink.close(Category::Event, line.index, Some(id));
        }
    }

    fn pod(&mut self, fields: &Fields<'_>) -> Option<usize> {
        let map = fields.candidates(Role::Kubernetes).find_map(|found| found.value.map())?;
        Some(self.pods.find(map, &self.settings.label_keys))
    }

    /// The stack trace that stands in a field of its own, if it can be read.
    fn stack(&self, fields: &mut Fields<'_>) -> Option<String> {
        fields.take(Role::Stack, |found| {
            let text = String::from_utf8_lossy(found.value.text()?).into_owned();
            text.contains('\n').then_some(text)
        })
    }

    /// Collects the record's fields, the most general first: resource, scope, OTLP attributes, then its own, and last
    /// what its message holds. Returns the message.
    fn read<'a>(
        &self,
        record: Record<'a>,
        group: Option<Record<'a>>,
        fields: &mut Fields<'a>,
        scratch: &'a mut Vec<u8>,
    ) -> (Option<&'a [u8]>, Cow<'a, [u8]>) {
        let below = |map: Seq<'a>, key: &str| map.get(key).and_then(|v| v.map());
        if let Some(group) = group.and_then(|group| group.body.map()) {
            for part in ["resource", "scope"] {
                if let Some(attributes) = below(group, part).and_then(|map| below(map, "attributes")) {
                    fields.read(&self.keys, attributes);
                }
            }
            if let Some(name) = below(group, "scope").and_then(|scope| scope.get("name")) {
                fields.add(&self.keys, Value::Str(b"otel.scope.name"), name);
            }
        }
        if let Some(otlp) = otlp(record) {
            if let Some(attributes) = below(otlp, "attributes") {
                fields.read(&self.keys, attributes);
            }
            for key in ["trace_id", "span_id"] {
                if let Some(id) = otlp.get(key) {
                    fields.add(&self.keys, Value::Str(key.as_bytes()), id);
                }
            }
        }
        if let Some(body) = record.body.map() {
            fields.read(&self.keys, body);
        }
        for role in [Role::Kubernetes, Role::Removed, Role::Noise] {
            fields.take_all(role);
        }
        self.message(record, fields, scratch)
    }

    /// The message and its key; if it holds fields, they join the record's and may hold a message of their own.
    fn message<'a>(
        &self,
        record: Record<'a>,
        fields: &mut Fields<'a>,
        scratch: &'a mut Vec<u8>,
    ) -> (Option<&'a [u8]>, Cow<'a, [u8]>) {
        let (key, text) = message_of(record, fields);
        let Some(own) = key.filter(|_| self.settings.parse_message && parse::message(&text, scratch)) else {
            return (key, text);
        };
        let scratch: &'a [u8] = scratch;
        let Ok(Value::Map(inner)) = Cursor::new(scratch).read() else { return (key, text) };
        fields.remove(own);
        fields.read_missing(&self.keys, inner);
        for role in [Role::Removed, Role::Noise] {
            fields.take_all(role);
        }
        let inside = fields.take(Role::Message, |found| Some((Some(found.key), message_text(found.value)?)));
        inside.unwrap_or((key, text))
    }

    fn view<'r, 'a>(
        &self,
        origin: Origin<'_>,
        record: Record<'a>,
        (message_key, message): (Option<&'a [u8]>, Cow<'a, [u8]>),
        pod: Option<&'r Pod>,
        decided: Option<Level>,
        fields: &'r mut Fields<'a>,
    ) -> View<'r, 'a> {
        let mut keys = FoundKeys { message: message_key, ..FoundKeys::default() };
        keys.stack = fields.candidates(Role::Stack).next().map(|found| found.key);
        let said = severity::severity(&self.rules, fields, otlp(record), &message);
        keys.level = said.and_then(|(_, key)| key);
        keys.level_in_text = said.is_some_and(|(_, key)| key.is_none());
        let said = said.map(|(level, _)| level);
        let level = decided.or(said).unwrap_or_else(|| level_of_trace(&message, fields).unwrap_or(self.rules.default));
        let io_stream = io_stream(fields);
        let stream = stream_of(origin.tag, pod, io_stream, fields);
        let (time, original_time) = effective_time(record.time, origin.now);
        let (trace_id, span_id, trace_key) = trace_of(fields, stream, time);
        keys.trace = trace_key;
        let settings = &self.settings;
        let environment = given_or(&settings.environment, || {
            fields.take(Role::Environment, |found| usable(found.value, limit::environment))
        });
        let release = given_or(&settings.release, || {
            fields
                .take(Role::Release, |found| usable(found.value, limit::release))
                .or_else(|| Some(Cow::Owned(pod?.release.clone()?)))
        });
        let server_name =
            given_or(&settings.server_name, || fields.take(Role::ServerName, |found| text_of(found.value)));
        let logger = fields.take(Role::Logger, |found| text_of(found.value));
        if !settings.send_pii {
            fields.take_users();
        }
        let user_id = if settings.send_pii {
            fields.take(Role::UserId, |found| scalar(found.value).map(Cow::Owned))
        } else {
            None
        };
        let tags = promoted(fields);
        View {
            time,
            original_time,
            level,
            explicit: said.is_some(),
            message,
            trace_id,
            traced: trace_key.is_some(),
            span_id,
            environment,
            release,
            server_name,
            logger,
            user_id,
            io_stream,
            tags,
            pod,
            stream,
            record_time: record.time,
            keys,
            fields,
        }
    }
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

fn otlp(record: Record<'_>) -> Option<Seq<'_>> {
    record.metadata.get("otlp").and_then(|v| v.map())
}

/// The message as text, if it stands in the record's own bytes and so outlives its reading.
fn in_chunk<'a>(message: &[u8], raw: &'a [u8]) -> Option<&'a str> {
    let start = (message.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    std::str::from_utf8(raw.get(start..start + message.len())?).ok()
}

/// Lines of our own host about this output: sending them would make more of them.
fn is_our_own(message: &[u8]) -> bool {
    const MARK: &[u8] = b"[output:sentry:";
    message.first() == Some(&b'[') && message[..message.len().min(64)].windows(MARK.len()).any(|window| window == MARK)
}

fn joined(lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line.text.unwrap_or_default());
    }
    text
}

/// How bad an event is: what its lines say themselves, else what its trace says.
fn level_of(lines: &[Line<'_>], trace: Option<&Trace<'_>>) -> Level {
    let said = lines.iter().filter(|line| line.explicit).map(|line| line.level).max();
    let shown = trace.map(|trace| if trace.fatal { Level::Fatal } else { Level::Error });
    said.or(shown).or_else(|| lines.iter().map(|line| line.level).max()).unwrap_or(Level::Info)
}

/// A complete stack trace without a severity is an error.
fn level_of_trace(message: &[u8], fields: &Fields<'_>) -> Option<Level> {
    let level = |text: &[u8]| {
        let text = text.contains(&b'\n').then(|| String::from_utf8_lossy(text))?;
        trace::parse(&text).map(|trace| if trace.fatal { Level::Fatal } else { Level::Error })
    };
    level(message).or_else(|| fields.candidates(Role::Stack).find_map(|found| level(found.value.text()?)))
}

/// A function of the trace where the record names one, else of the record, so that a retry decides the same.
fn is_sampled(rate: f64, view: &View<'_, '_>, index: u32) -> bool {
    let seed = if view.traced {
        xxhash_rust::xxh3::xxh3_64(&view.trace_id.0)
    } else {
        xxhash_rust::xxh3::xxh3_64_with_seed(&view.message, view.record_time.micros() ^ u64::from(index))
    };
    ((seed >> 11) as f64 / (1_u64 << 53) as f64) < rate
}

/// Storm control: repeats, too many messages of a workload, bursts and rates.
fn decide(storms: &mut Storms, stream: StreamId, view: &View<'_, '_>, about: &mut Circumstances<'_>) -> Decision {
    let time = view.record_time;
    if let Some(chain) = about.chain {
        if storms.is_repeat(stream, chain, time) {
            return Decision::HoldBack;
        }
    } else if view.pod.is_some() {
        about.other_errors = storms.is_one_too_many(about.workload, about.fingerprint, time);
    }
    storms.decide(about.fingerprint, time)
}

fn keys(settings: &Mapping) -> Keys {
    let fixed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut keys = Keys::default();
    for (role, names) in [
        (Role::Message, &settings.message_key),
        (Role::Level, &settings.level_key),
        (Role::Logger, &settings.logger_key),
        (Role::Stack, &settings.stack_key),
        (Role::Environment, &settings.environment_key),
        (Role::Release, &settings.release_key),
        (Role::ServerName, &settings.server_name_key),
        (Role::TraceId, &settings.trace_id_key),
        (Role::SpanId, &settings.span_id_key),
        (Role::UserId, &settings.user_id_key),
        (Role::Tag, &settings.tag_keys),
        (Role::Removed, &settings.remove_keys),
        (Role::Kubernetes, &fixed(&["kubernetes"])),
        (Role::Noise, &fixed(&["_p", "logtag", "kubernetes_namespace"])),
    ] {
        keys.add(role, names);
    }
    for (place, part) in settings.fingerprint.iter().enumerate() {
        if let Some(name) = part.strip_prefix('$') {
            keys.add(Role::Fingerprint(place as u8), &[name.to_owned()]);
        }
    }
    keys
}

/// The key and text of the first message field; without one, the whole body as JSON.
fn message_of<'a>(record: Record<'a>, fields: &mut Fields<'a>) -> (Option<&'a [u8]>, Cow<'a, [u8]>) {
    if let Some((key, text)) = fields.take(Role::Message, |found| Some((found.key, message_text(found.value)?))) {
        drop_merged_log(key, fields);
        return (Some(key), text);
    }
    match record.body {
        Value::Str(text) => (None, Cow::Borrowed(text)),
        body => {
            // The body is the message, so its fields are not sent again.
            fields.all.iter_mut().for_each(|field| field.taken = true);
            (None, Cow::Owned(rendered(body)))
        }
    }
}

/// A value as a message: text without trailing blanks and colours, anything else as JSON.
fn message_text(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Str(text) | Value::Bin(text) => Some(message::without_colours(text.trim_ascii_end())),
        Value::Nil => None,
        other => Some(Cow::Owned(rendered(other))),
    }
}

/// A `log` whose JSON the kubernetes filter has merged into the record holds nothing that the fields do not.
fn drop_merged_log(message_key: &[u8], fields: &mut Fields<'_>) {
    let Some(Value::Str(log)) = fields.get("log") else { return };
    let log = log.trim_ascii();
    if message_key != b"log" && log.starts_with(b"{") && log.ends_with(b"}") {
        fields.mark(b"log");
    }
}

fn rendered(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    json::value(&mut out, value);
    out
}

/// `stdout` or `stderr` of a container.
fn io_stream<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    let stream = fields.get("stream")?.text().filter(|stream| matches!(*stream, b"stdout" | b"stderr"))?;
    fields.mark(b"stream");
    // The runtime's own time of the line says what the record's time says.
    fields.mark(b"time");
    Some(stream)
}

/// A pod's container and its stdout or stderr; for journald the unit, for syslog host and ident, else the tag.
fn stream_of(tag: &[u8], pod: Option<&Pod>, io_stream: Option<&[u8]>, fields: &Fields<'_>) -> StreamId {
    let text = |key: &str| fields.get(key).and_then(|v| v.text());
    if let Some(pod) = pod {
        let parts =
            [pod.namespace.as_bytes(), pod.pod.as_bytes(), pod.container.as_bytes(), io_stream.unwrap_or_default()];
        return StreamId::new(&parts);
    }
    match (text("_SYSTEMD_UNIT"), text("host"), text("ident")) {
        (Some(unit), _, _) => StreamId::new(&[b"journald", unit]),
        (None, Some(host), Some(ident)) => StreamId::new(&[b"syslog", host, ident]),
        _ => StreamId::new(&[b"tag", tag, io_stream.unwrap_or_default()]),
    }
}

/// The time to send, and the record's own as text where Sentry would not keep it.
fn effective_time(time: Timestamp, now: Duration) -> (Timestamp, Option<String>) {
    let (now_secs, secs) = (now.as_secs(), time.secs);
    let kept =
        secs.saturating_add(limit::MAX_AGE_SECS) >= now_secs && secs <= now_secs.saturating_add(limit::MAX_AHEAD_SECS);
    if kept {
        return (time, None);
    }
    (Timestamp { secs: now_secs, nanos: now.subsec_nanos() }, Some(format!("{secs}.{:09}", time.nanos)))
}

fn trace_of<'a>(
    fields: &mut Fields<'a>,
    stream: StreamId,
    time: Timestamp,
) -> (TraceId, Option<SpanId>, Option<&'a [u8]>) {
    let trace = fields.take(Role::TraceId, |found| Some((identity::trace_id(found.value)?, found.key)));
    let span = fields.take(Role::SpanId, |found| identity::span_id(found.value));
    match trace {
        Some(((trace, parent), key)) => (trace, span.or(parent), Some(key)),
        None => (stream.trace_id(time), span, None),
    }
}

fn given_or<'a>(given: &Option<String>, find: impl FnOnce() -> Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    match given {
        Some(text) => Some(Cow::Owned(text.clone())),
        None => find(),
    }
}

fn text_of(value: Value<'_>) -> Option<Cow<'_, str>> {
    let text = value.text()?.trim_ascii();
    (!text.is_empty()).then(|| String::from_utf8_lossy(text))
}

fn usable<'a>(value: Value<'a>, accept: fn(&str) -> Option<&str>) -> Option<Cow<'a, str>> {
    let text = text_of(value)?;
    accept(&text)?;
    Some(text)
}

/// `tag_keys`: scalars as text.
fn promoted(fields: &Fields<'_>) -> Vec<(String, String)> {
    let found = fields.candidates(Role::Tag);
    found.filter_map(|found| Some((String::from_utf8_lossy(found.key).into_owned(), scalar(found.value)?))).collect()
}

/// Text, number or switch as text.
fn scalar(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Value::Nil | Value::Map(_) | Value::Array(_) => None,
        other => String::from_utf8(rendered(other)).ok(),
    }
}
