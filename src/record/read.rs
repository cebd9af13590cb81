//! From a record's bytes to its fields and its message: the most general first (OTLP resource, scope and attributes),
//! then the record's own, and last what its message holds.

use super::fields::{Fields, Keys, Role};
use super::names::{NameId, Names};
use super::removal::Removal;
use super::{json, message, parse};
use crate::chunk::Record;
use crate::chunk::msgpack::{Cursor, Seq, Value};
use crate::options::Mapping;
use std::borrow::Cow;

/// A message, and the key that held it.
pub(super) type Message<'a> = (Option<&'a [u8]>, Cow<'a, [u8]>);

/// Reads records.
#[derive(Debug)]
pub(super) struct Reader {
    keys: Keys,
    removal: Removal,
    parse_message: bool,
}

/// Memory for what a record's reading makes, kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The record's maps without what is removed.
    kept: Vec<u8>,
    /// What the message holds.
    parsed: Vec<u8>,
    /// The same without what is removed.
    parsed_kept: Vec<u8>,
}

impl Buffers {
    /// Makes them empty; a record of unusual size does not stay.
    pub(super) fn clear(&mut self) {
        const MOST: usize = 1 << 20;
        for buffer in [&mut self.kept, &mut self.parsed, &mut self.parsed_kept] {
            buffer.clear();
            buffer.shrink_to(MOST);
        }
    }
}

impl Reader {
    pub(super) fn new(settings: &Mapping) -> Self {
        let removal = Removal::new(&settings.remove_keys);
        Self { keys: keys(settings), removal, parse_message: settings.parse_message }
    }

    /// Before a chunk is read.
    pub(super) fn renew(&mut self) {
        self.keys.renew();
    }

    /// The names that records have used so far.
    pub(super) fn names(&self) -> &Names {
        self.keys.names()
    }

    /// Collects the record's fields and returns its message.
    pub(super) fn read<'a>(
        &mut self,
        record: Record<'a>,
        group: Option<Record<'a>>,
        fields: &mut Fields<'a>,
        buffers: &'a mut Buffers,
    ) -> Message<'a> {
        let Buffers { kept, parsed, parsed_kept } = buffers;
        let below = |map: Seq<'a>, key: &str| map.get(key).and_then(|v| v.map());
        let part = |key| below(group?.body.map()?, key);
        let (scope, otlp) = (part("scope"), otlp(record));
        let maps = [
            part("resource").and_then(|resource| below(resource, "attributes")),
            scope.and_then(|scope| below(scope, "attributes")),
            otlp.and_then(|otlp| below(otlp, "attributes")),
            record.body.map(),
        ];
        let [resource, of_scope, of_record, own] = self.without_removed(maps, kept);
        for attributes in [resource, of_scope].into_iter().flatten() {
            fields.read_attributes(&mut self.keys, attributes);
        }
        for (name, key) in [("name", "otel.scope.name"), ("version", "otel.scope.version")] {
            if let Some(value) = scope.and_then(|scope| scope.get(name)).filter(|value| *value != Value::Str(b"")) {
                fields.add(&mut self.keys, Value::Str(key.as_bytes()), value);
            }
        }
        if let Some(attributes) = of_record {
            fields.read_attributes(&mut self.keys, attributes);
        }
        for key in ["trace_id", "span_id"] {
            if let Some(id) = otlp.and_then(|otlp| otlp.get(key)) {
                fields.add(&mut self.keys, Value::Str(key.as_bytes()), id);
            }
        }
        if let Some(own) = own {
            fields.read(&mut self.keys, own, record.run);
        }
        take_what_is_never_sent(fields);
        let body = own.map_or(record.body, Value::Map);
        self.message(body, fields, parsed, parsed_kept)
    }

    /// The maps as they are, or rewritten where something nested in them is removed.
    fn without_removed<'a, const N: usize>(
        &self,
        maps: [Option<Seq<'a>>; N],
        out: &'a mut Vec<u8>,
    ) -> [Option<Seq<'a>>; N] {
        if self.removal.is_empty() {
            return maps;
        }
        let starts = maps.map(|map| {
            let start = out.len();
            self.removal.copy(map?, out).then_some(start)
        });
        let out: &'a [u8] = out;
        let mut starts = starts.into_iter();
        maps.map(|map| match starts.next().flatten() {
            Some(start) => Cursor::new(&out[start..]).read().ok()?.map(),
            None => map,
        })
    }

    /// The message and its key; if it holds fields, they join the record's and may hold a message of their own.
    fn message<'a>(
        &mut self,
        body: Value<'a>,
        fields: &mut Fields<'a>,
        parsed: &'a mut Vec<u8>,
        parsed_kept: &'a mut Vec<u8>,
    ) -> Message<'a> {
        let (key, text) = message_of(&self.keys, body, fields);
        let Some(own) = key.filter(|_| self.parse_message && parse::message(&text, parsed)) else {
            return (key, text);
        };
        let parsed: &'a [u8] = parsed;
        let Some(inner) = Seq::written(parsed) else { return (key, text) };
        let [inner] = self.without_removed([Some(inner)], parsed_kept);
        let Some(inner) = inner else { return (key, text) };
        fields.remove(own);
        fields.read_missing(&mut self.keys, inner);
        take_what_is_never_sent(fields);
        let inside = fields.take(Role::Message, |found| Some((Some(found.key), message_text(found.value)?)));
        inside.unwrap_or((key, text))
    }
}

/// What a pod is said in its own way, and what is noise not at all.
fn take_what_is_never_sent(fields: &mut Fields<'_>) {
    fields.take_all(Role::Noise);
    // What is no map is no pod, and a field like any other.
    let _ = fields.take(Role::Kubernetes, |found| found.value.map());
    if io_stream(fields).is_some() {
        // The runtime's own time of the line says what the record's time says.
        [NameId::STREAM, NameId::TIME].into_iter().for_each(|name| fields.mark(name));
    }
}

/// `stdout` or `stderr` of a container.
pub(super) fn io_stream<'a>(fields: &Fields<'a>) -> Option<&'a [u8]> {
    fields.get(NameId::STREAM)?.text().filter(|stream| matches!(*stream, b"stdout" | b"stderr"))
}

/// Where loggers that many use put a stack trace, looked at behind `stack_key`: pino and bunyan, Elastic's common schema,
/// python-json-logger, structlog, Serilog.
const WELL_KNOWN_STACKS: [&str; 6] = ["err.stack", "error.stack_trace", "exc_info", "exception", "Exception", "@x"];

/// Where the host's name stands behind `server_name_key`: OpenTelemetry's resources, journald.
const WELL_KNOWN_HOSTS: [&str; 2] = ["host.name", "_HOSTNAME"];

/// Names under which `Path_Key` of the tail input is set to put the path of a line's file.
const PATH_KEYS: [&str; 9] =
    ["filename", "file_name", "filepath", "file_path", "log_file", "log_path", "log.file.path", "path", "file"];

/// What the OpenTelemetry input knows about a record.
pub(super) fn otlp(record: Record<'_>) -> Option<Seq<'_>> {
    record.metadata.get("otlp").and_then(|v| v.map())
}

fn keys(settings: &Mapping) -> Keys {
    let fixed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut keys = Keys::default();
    for (role, names) in [
        (Role::Message, &settings.message_key),
        (Role::Level, &settings.level_key),
        (Role::Logger, &settings.logger_key),
        (Role::Stack, &[settings.stack_key.as_slice(), &fixed(&WELL_KNOWN_STACKS)].concat()),
        (Role::Environment, &settings.environment_key),
        (Role::Release, &settings.release_key),
        (Role::ServerName, &[settings.server_name_key.as_slice(), &fixed(&WELL_KNOWN_HOSTS)].concat()),
        (Role::TraceId, &settings.trace_id_key),
        (Role::SpanId, &settings.span_id_key),
        (Role::UserId, &settings.user_id_key),
        (Role::Tag, &[settings.tag_keys.as_slice(), &fixed(&["service.name"])].concat()),
        (Role::Kubernetes, &fixed(&["kubernetes"])),
        (Role::FilePath, &fixed(&PATH_KEYS)),
        (Role::Noise, &fixed(&["_p", "logtag", "kubernetes_namespace"])),
    ] {
        keys.add(role, names);
    }
    for (place, part) in settings.fingerprint.iter().enumerate() {
        if let Some(name) = part.strip_prefix('$') {
            keys.add(Role::Fingerprint(place as u8), &[name.to_owned()]);
        }
    }
    keys.refuse(&settings.remove_keys);
    keys
}

/// The key and text of the first message field; without one, what else the body holds, as JSON.
fn message_of<'a>(keys: &Keys, body: Value<'a>, fields: &mut Fields<'a>) -> Message<'a> {
    if let Some((key, text)) = fields.take(Role::Message, |found| Some((found.key, message_text(found.value)?))) {
        drop_merged_log(key, fields);
        return (Some(key), text);
    }
    match body {
        Value::Map(map) => (None, Cow::Owned(whole(keys, map, fields))),
        Value::Str(text) => (None, message::without_colours(text.trim_ascii_end())),
        other => (None, Cow::Owned(rendered(other))),
    }
}

/// The fields of a body without a message, which are then not sent again each by itself.
fn whole(keys: &Keys, map: Seq<'_>, fields: &mut Fields<'_>) -> Vec<u8> {
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    let mut object = json::Object::begin(&mut out);
    for (key, _) in map.pairs() {
        let place = fields.place(keys, key);
        if let Some(field) = place.map(|place| &mut fields.all[place]).filter(|field| !field.taken) {
            field.taken = true;
            // Of duplicates the last one stands in `fields`.
            json::value(object.raw_key(json::key_text(key, &mut scratch)), field.value);
        }
    }
    object.end();
    out
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
    let Some(Value::Str(log)) = fields.get(NameId::LOG) else { return };
    let log = log.trim_ascii();
    if message_key != b"log" && log.starts_with(b"{") && log.ends_with(b"}") {
        fields.mark(NameId::LOG);
    }
}

/// Any value as JSON.
pub(super) fn rendered(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    json::value(&mut out, value);
    out
}
