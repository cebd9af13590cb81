//! Extracts the fields and the message from a record's bytes. The most general fields come first (OTLP resource, scope and
//! attributes), then the record's own fields, then the fields inside its message.

use super::fields::{CHOSEN, DEFAULT, Fields, Found, Keys, LAST, Role};
use super::interner::{FieldNames, NameId};
use super::remove_keys::Removal;
use super::{lifted, parse};
use crate::chunk::Record;
use crate::chunk::msgpack::{Cursor, Seq, Value};
use crate::mapping::encode::json;
use crate::mapping::resolve::message;
use crate::mapping::scrub;
use crate::options::{self, Mapping};
use std::borrow::Cow;

/// A message, and the key that held it.
pub(crate) type Message<'a> = (Option<&'a [u8]>, Cow<'a, [u8]>);

/// A message field: its key, its text, and its value.
type Held<'a> = (&'a [u8], Cow<'a, [u8]>, Value<'a>);

/// Reads records.
#[derive(Debug)]
pub(crate) struct Reader {
    keys: Keys,
    removal: Removal,
    parse_message: bool,
}

/// Messages inside each other that are opened: a runtime's line, a wrapper's message, and the application's in it.
const MAX_OPENED: usize = 3;

/// Memory for the data that reading a record makes, kept from record to record.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The record's maps without the fields to be removed.
    kept: Vec<u8>,
    /// The kubernetes filter's metadata, if it was lifted.
    lifted: Vec<u8>,
    /// The fields that the messages hold.
    opened: [Opened; MAX_OPENED],
}

/// Memory for one message that holds fields.
#[derive(Debug, Default)]
struct Opened {
    /// The fields that the message holds.
    parsed: Vec<u8>,
    /// The same without the fields to be removed.
    kept: Vec<u8>,
}

impl Buffers {
    /// Makes them empty; a record of unusual size does not stay.
    pub(crate) fn clear(&mut self) {
        const MOST: usize = 1 << 20;
        let opened = self.opened.iter_mut().flat_map(|opened| [&mut opened.parsed, &mut opened.kept]);
        for buffer in [&mut self.kept, &mut self.lifted].into_iter().chain(opened) {
            buffer.clear();
            buffer.shrink_to(MOST);
        }
    }
}

impl Reader {
    pub(crate) fn new(settings: &Mapping, scrub: &scrub::Rules) -> Self {
        let removal = Removal::new(&settings.remove_keys);
        Self { keys: keys(settings, scrub), removal, parse_message: settings.parse_message }
    }

    /// Before a chunk is read.
    pub(crate) fn renew(&mut self) {
        self.keys.renew();
    }

    /// The names that records have used so far.
    pub(crate) fn names(&self) -> &FieldNames {
        self.keys.names()
    }

    /// Collects the record's fields and returns its message.
    pub(crate) fn read<'a>(
        &mut self,
        record: Record<'a>,
        group: Option<Record<'a>>,
        fields: &mut Fields<'a>,
        buffers: &'a mut Buffers,
    ) -> Message<'a> {
        let Buffers { kept, lifted, opened } = buffers;
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
        if fields.may_be_lifted() && lifted::gather(fields, lifted) {
            let lifted: &'a [u8] = lifted;
            if let Some(map) = Seq::written(lifted) {
                fields.add(&mut self.keys, Value::Str(b"kubernetes"), Value::Map(map));
            }
        }
        take_what_is_never_sent(fields);
        fields.recognise(&self.keys);
        let body = own.map_or(record.body, Value::Map);
        self.message(body, fields, opened)
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

    /// The message and its key. Where a message holds fields, they join the record's, and one of them may be the message.
    fn message<'a>(
        &mut self,
        body: Value<'a>,
        fields: &mut Fields<'a>,
        buffers: &'a mut [Opened; MAX_OPENED],
    ) -> Message<'a> {
        let mut message = take_message(fields);
        if let Some((key, ..)) = message {
            drop_merged_log(key, fields);
        } else if self.parse_message
            && let Some((key, map)) = self.merged(fields)
        {
            fields.remove(key);
            self.join(map, fields);
            message = take_message(fields);
        }
        let Some((mut key, mut text, mut value)) = message else { return without_key(&self.keys, body, fields) };
        for (depth, Opened { parsed, kept }) in buffers.iter_mut().enumerate() {
            let holder = (key, value);
            let Some(inner) = self.opened(holder, &text, fields, (depth, parsed)) else { break };
            let [Some(inner)] = self.without_removed([Some(inner)], kept) else { break };
            drop_merged_map(inner, fields);
            fields.remove(key);
            self.join(inner, fields);
            // Of JSON whose message says nothing, an access log's, the text itself says most.
            let Some(inside) = take_message(fields).filter(|(_, text, _)| !text.is_empty()) else { break };
            (key, text, value) = inside;
        }
        (Some(key), text)
    }

    /// The fields that a message holds. Below the first message, and where a message is an object already, only such
    /// fields count that have a message of their own: else it is data, and its text says it best.
    fn opened<'a>(
        &self,
        (key, value): (&[u8], Value<'a>),
        text: &[u8],
        fields: &Fields<'a>,
        (depth, parsed): (usize, &'a mut Vec<u8>),
    ) -> Option<Seq<'a>> {
        if !self.parse_message {
            return None;
        }
        if let Value::Map(map) = value {
            // The body of a request is data as well.
            let is_data = key == b"body" && fields.rest().next().is_some();
            return (!is_data && self.has_message(map)).then_some(map);
        }
        // Deeper down JSON alone is looked for: prose has more pairs than messages have messages inside.
        let worth = depth == 0 || text.first() == Some(&b'{');
        if !worth || !parse::message(text, parsed) {
            return None;
        }
        let parsed: &'a [u8] = parsed;
        let inner = Seq::written(parsed)?;
        (depth == 0 || self.has_message(inner)).then_some(inner)
    }

    /// Adds the fields of a message to the record's.
    fn join<'a>(&mut self, inner: Seq<'a>, fields: &mut Fields<'a>) {
        fields.read_missing(&mut self.keys, inner);
        fields.take_all(Role::Noise);
        if io_stream(fields).is_some() {
            fields.mark(NameId::STREAM);
        }
        fields.recognise(&self.keys);
    }

    /// Returns true if some field of a map is a message.
    fn has_message(&self, map: Seq<'_>) -> bool {
        self.keys.has(map, Role::Message) || self.keys.is_of_logger(map)
    }

    /// The object that the kubernetes filter has put a container's JSON line into (`Merge_Log_Key`), and that key: one with a
    /// message and a level or time, or one with a message that is all there is.
    fn merged<'a>(&self, fields: &Fields<'a>) -> Option<(&'a [u8], Seq<'a>)> {
        let of_container = io_stream(fields).is_some() || fields.candidates(Role::Kubernetes).next().is_some();
        if !of_container {
            return None;
        }
        let alone = fields.rest().count() == 1;
        let says = |map| alone || self.keys.has(map, Role::Level) || self.keys.has(map, Role::Time);
        fields.all.iter().filter(|field| !field.taken).find_map(|field| {
            let (key, map) = (field.key.text()?, field.value.map()?);
            let is_message = self.keys.has(map, Role::Message) && says(map) || self.keys.is_of_logger(map);
            is_message.then_some((key, map))
        })
    }
}

/// Takes the fields that are never sent as fields: a pod's metadata, which is sent in its own form, and noise, which is not
/// sent at all.
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
pub(crate) fn io_stream<'a>(fields: &Fields<'a>) -> Option<&'a [u8]> {
    fields.get(NameId::STREAM)?.text().filter(|stream| matches!(*stream, b"stdout" | b"stderr"))
}

/// Keys under which a stack trace is looked for in any record, last: keys of loggers that mark their records in no other
/// way.
const OTHER_STACKS: [&str; 7] = ["err.stack", "exc_info", "exception", "Exception", "@x", "errorVerbose", "thrown"];

/// Keys under which the host name is looked for in any record, last: OpenTelemetry's resources, journald.
const OTHER_HOSTS: [&str; 2] = ["host.name", "_HOSTNAME"];

/// Names under which `Path_Key` of the tail input is set to put the path of a line's file.
const PATH_KEYS: [&str; 9] =
    ["filename", "file_name", "filepath", "file_path", "log_file", "log_path", "log.file.path", "path", "file"];

/// Returns the data that the OpenTelemetry input has about a record.
pub(crate) fn otlp(record: Record<'_>) -> Option<Seq<'_>> {
    record.metadata.get("otlp").and_then(|v| v.map())
}

fn keys(settings: &Mapping, scrub: &scrub::Rules) -> Keys {
    let fixed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut keys = Keys::default();
    for (role, option, names) in [
        (Role::Message, "message_key", &settings.message_key),
        (Role::Level, "level_key", &settings.level_key),
        (Role::Time, "time_key", &settings.time_key),
        (Role::Logger, "logger_key", &settings.logger_key),
        (Role::Stack, "stack_key", &settings.stack_key),
        (Role::Environment, "environment_key", &settings.environment_key),
        (Role::Release, "release_key", &settings.release_key),
        (Role::ServerName, "server_name_key", &settings.server_name_key),
        (Role::TraceId, "trace_id_key", &settings.trace_id_key),
        (Role::SpanId, "span_id_key", &settings.span_id_key),
        (Role::UserId, "user_id_key", &settings.user_id_key),
    ] {
        let is_default = *names == options::default_keys(option);
        keys.add(role, if is_default { DEFAULT } else { CHOSEN }, names);
    }
    // A raw line has to be found, and opened, whatever the key of the message in it is.
    let others = options::default_keys("message_key").into_iter().filter(|key| !settings.message_key.contains(key));
    keys.add(Role::Message, DEFAULT, &others.collect::<Vec<_>>());
    for (role, names) in [
        (Role::Stack, fixed(&OTHER_STACKS)),
        (Role::ServerName, fixed(&OTHER_HOSTS)),
        (Role::Tag, [settings.tag_keys.as_slice(), &fixed(&["service.name"])].concat()),
        (Role::Kubernetes, fixed(&["kubernetes"])),
        (Role::FilePath, fixed(&PATH_KEYS)),
        (Role::Noise, fixed(&["_p", "logtag", "kubernetes_namespace"])),
    ] {
        keys.add(role, LAST, &names);
    }
    for (place, part) in settings.fingerprint.iter().enumerate() {
        if let Some(name) = part.strip_prefix('$') {
            keys.add(Role::Fingerprint(place as u8), CHOSEN, &[name.to_owned()]);
        }
    }
    keys.refuse(&settings.remove_keys);
    keys.scrub(scrub);
    keys.forget();
    keys
}

/// The first message field that says something, else the first of all: its key, text and value.
fn take_message<'a>(fields: &mut Fields<'a>) -> Option<Held<'a>> {
    let all = |found: Found<'a>| Some((found.key, message_text(found.value)?, found.value));
    let says = |found: Found<'a>| all(found).filter(|(_, text, _)| !text.is_empty());
    fields.take(Role::Message, says).or_else(|| fields.take(Role::Message, all))
}

/// Returns the message of a body that has no field for it: the body itself, or its other contents as JSON.
fn without_key<'a>(keys: &Keys, body: Value<'a>, fields: &mut Fields<'a>) -> Message<'a> {
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

/// A value as a message: text without trailing blanks and colours, the texts of a list, anything else as JSON.
fn message_text(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Str(text) | Value::Bin(text) => Some(message::without_colours(text.trim_ascii_end())),
        Value::Nil => None,
        Value::Array(list) if !list.is_empty() && list.values().all(|value| value.text().is_some()) => {
            let texts: Vec<&[u8]> = list.values().filter_map(|value| value.text()).collect();
            Some(Cow::Owned(texts.join(&b' ')))
        }
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

/// Drops a map that holds the same fields as the message: the kubernetes filter has put it there (`Merge_Log_Key`) and kept
/// the line.
fn drop_merged_map(inner: Seq<'_>, fields: &mut Fields<'_>) {
    let same = |map: Seq<'_>| {
        map.len() == inner.len()
            && map.pairs().zip(inner.pairs()).all(|((one, _), (other, _))| json::same_key(one, other))
    };
    let merged = fields.all.iter().filter(|field| !field.taken).find_map(|field| {
        field.value.map().filter(|map| !map.is_empty() && same(*map))?;
        field.key.text()
    });
    if let Some(key) = merged {
        fields.remove(key);
    }
}

/// Any value as JSON.
pub(crate) fn rendered(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    json::value(&mut out, value);
    out
}
