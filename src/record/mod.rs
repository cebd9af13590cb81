//! What a record means to Sentry: the mapping, read top to bottom.

mod event;
mod fields;
pub mod identity;
pub mod json;
mod kubernetes;
pub mod limit;
mod log;
mod message;
mod severity;

use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Entry, Record, Timestamp, entries};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::options::Mapping;
use fields::{Fields, Keys, Role};
use identity::{EventId, SpanId, StreamId, TraceId};
use kubernetes::{Pod, Pods};
use severity::Rules;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

/// The name under which Sentry knows us.
pub const SDK_NAME: &str = "sentry.fluent-bit";
/// Our version.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Takes what a chunk becomes.
pub trait Sink {
    /// Whether the record still needs an item of this category, and if so the buffer to append its JSON to.
    /// What is appended becomes an item with [`Sink::close`].
    fn open(&mut self, category: Category, record: u32) -> Option<&mut Vec<u8>>;
    /// Ends the item that was opened last. Events bring their id.
    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>);
    /// Ends a record in a category without an item.
    fn end(&mut self, category: Category, record: u32, outcome: Outcome);
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
    message: Cow<'a, [u8]>,
    trace_id: TraceId,
    span_id: Option<SpanId>,
    environment: Option<Cow<'a, str>>,
    release: Option<Cow<'a, str>>,
    server_name: Option<Cow<'a, str>>,
    logger: Option<Cow<'a, str>>,
    io_stream: Option<&'a [u8]>,
    tags: Vec<(String, String)>,
    pod: Option<&'r Pod>,
    stream: StreamId,
    fields: &'r Fields<'a>,
}

/// Turns records into items. One thread owns it; everything it remembers is bounded.
#[derive(Debug)]
pub struct Mapper {
    settings: Mapping,
    rules: Rules,
    keys: Keys,
    pods: Pods,
    /// Attributes that every log has.
    constant: Vec<u8>,
}

/// What is remembered from record to record of one chunk.
#[derive(Default)]
struct Progress {
    /// How often these very bytes at this very time have been seen in their stream.
    twins: HashMap<EventId, u32>,
    last_micros: u64,
    sequence: u32,
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
        Self { keys: keys(&settings), rules, pods: Pods::default(), constant, settings }
    }

    /// Maps a chunk. Records are numbered from `first`; undecodable bytes count as one record. Returns the number of
    /// the record behind the last one.
    pub fn map(&mut self, origin: Origin<'_>, chunk: &[u8], first: u32, sink: &mut impl Sink) -> u32 {
        let mut progress = Progress::default();
        let mut fields = Fields::default();
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
                    fields.clear();
                    self.record(origin, record, group, index, &mut fields, &mut progress, sink);
                    index += 1;
                }
            }
        }
        index
    }

    #[expect(clippy::too_many_arguments, reason = "one record in its surroundings; a struct would only rename them")]
    fn record<'a>(
        &mut self,
        origin: Origin<'_>,
        record: Record<'a>,
        group: Option<Record<'a>>,
        index: u32,
        fields: &mut Fields<'a>,
        progress: &mut Progress,
        sink: &mut impl Sink,
    ) {
        let otlp = record.metadata.get("otlp").and_then(|v| v.map());
        self.read_fields(record, group, otlp, fields);
        let place = fields.candidates(Role::Kubernetes).find_map(|found| found.value.map());
        let place = place.map(|map| self.pods.find(map, &self.settings.label_keys));
        let pod = place.map(|place| self.pods.at(place));
        let view = self.view(origin, record, otlp, pod, fields);
        let wanted = |threshold: Option<Level>| threshold.is_some_and(|threshold| view.level >= threshold);
        if !wanted(self.settings.event_level) {
            sink.end(Category::Event, index, Outcome::Filtered);
        } else {
            let id = progress.event_id(origin.destination, view.stream, record);
            if let Some(out) = sink.open(Category::Event, index) {
                event::write(out, &view, id, &self.settings.tags);
                sink.close(Category::Event, index, Some(id));
            }
        }
        if !wanted(self.settings.logs_level) {
            sink.end(Category::Log, index, Outcome::Filtered);
        } else {
            let sequence = progress.sequence(view.time);
            if let Some(out) = sink.open(Category::Log, index) {
                log::write(out, &view, &self.constant, sequence);
                sink.close(Category::Log, index, None);
            }
        }
    }

    /// Collects the record's fields, the most general first: resource, scope, OTLP attributes, then its own.
    fn read_fields<'a>(
        &self,
        record: Record<'a>,
        group: Option<Record<'a>>,
        otlp: Option<Seq<'a>>,
        fields: &mut Fields<'a>,
    ) {
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
        if let Some(otlp) = otlp {
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
    }

    fn view<'r, 'a>(
        &self,
        origin: Origin<'_>,
        record: Record<'a>,
        otlp: Option<Seq<'a>>,
        pod: Option<&'r Pod>,
        fields: &'r mut Fields<'a>,
    ) -> View<'r, 'a> {
        let message = message_of(record, fields);
        let level = severity::severity(&self.rules, fields, otlp, &message).unwrap_or(self.rules.default);
        let io_stream = io_stream(fields);
        let stream = stream_of(origin.tag, pod, io_stream, fields);
        let (time, original_time) = effective_time(record.time, origin.now);
        let (trace_id, span_id) = trace_of(fields, stream, time);
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
        let tags = promoted(fields);
        View {
            time,
            original_time,
            level,
            message,
            trace_id,
            span_id,
            environment,
            release,
            server_name,
            logger,
            io_stream,
            tags,
            pod,
            stream,
            fields,
        }
    }
}

impl Progress {
    fn event_id(&mut self, destination: u128, stream: StreamId, record: Record<'_>) -> EventId {
        let first = EventId::new(destination, stream, record.time, record.raw, 0);
        let ordinal = self.twins.entry(first).and_modify(|n| *n += 1).or_insert(0);
        EventId::new(destination, stream, record.time, record.raw, *ordinal)
    }

    /// Which-th log of its microsecond this is: Sentry sorts by it within one.
    fn sequence(&mut self, time: Timestamp) -> u32 {
        let micros = time.micros();
        self.sequence = if micros == self.last_micros { self.sequence.saturating_add(1) } else { 0 };
        self.last_micros = micros;
        self.sequence
    }
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
        (Role::Tag, &settings.tag_keys),
        (Role::Removed, &settings.remove_keys),
        (Role::Kubernetes, &fixed(&["kubernetes"])),
        (Role::Noise, &fixed(&["_p", "logtag", "kubernetes_namespace"])),
    ] {
        keys.add(role, names);
    }
    keys
}

/// The message: the first message field, else the whole body as JSON.
fn message_of<'a>(record: Record<'a>, fields: &mut Fields<'a>) -> Cow<'a, [u8]> {
    let usable = |value: Value<'a>| match value {
        Value::Str(text) | Value::Bin(text) => Some(Cow::Borrowed(text)),
        Value::Nil => None,
        other => Some(Cow::Owned(rendered(other))),
    };
    let found = fields.take(Role::Message, |found| Some((found.key, usable(found.value)?)));
    let text = match found {
        Some((key, text)) => {
            drop_merged_log(key, fields);
            text
        }
        None => match record.body {
            Value::Str(text) => Cow::Borrowed(text),
            body => {
                take_everything(fields);
                Cow::Owned(rendered(body))
            }
        },
    };
    match text {
        Cow::Borrowed(text) => message::without_colours(text.trim_ascii_end()),
        Cow::Owned(text) => Cow::Owned(message::without_colours(text.trim_ascii_end()).into_owned()),
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

/// The body became the message, so its fields are not sent again; what came with its group and metadata is.
fn take_everything(fields: &mut Fields<'_>) {
    fields.all.iter_mut().for_each(|field| field.taken = true);
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

fn trace_of(fields: &mut Fields<'_>, stream: StreamId, time: Timestamp) -> (TraceId, Option<SpanId>) {
    let trace = fields.take(Role::TraceId, |found| identity::trace_id(found.value));
    let span = fields.take(Role::SpanId, |found| identity::span_id(found.value));
    match trace {
        Some((trace, parent)) => (trace, span.or(parent)),
        None => (stream.trace_id(time), span),
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
    let scalar = |value| match value {
        Value::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Value::Nil | Value::Map(_) | Value::Array(_) => None,
        other => String::from_utf8(rendered(other)).ok(),
    };
    let found = fields.candidates(Role::Tag);
    found.filter_map(|found| Some((String::from_utf8_lossy(found.key).into_owned(), scalar(found.value)?))).collect()
}
