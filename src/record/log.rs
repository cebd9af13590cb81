//! A record as a Sentry log: one object of a `log` container.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/logs/>. Relay drops a log without timestamp, trace id, level or
//! body and an attribute whose value is not of its type, each without a word, so none of these may ever be missing.

use super::json;
use super::names::{Name, NameId};
use super::{SDK_NAME, SDK_VERSION, View, limit, scrub};
use crate::chunk::msgpack::{Seq, Value};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Maps deeper than this are sent as JSON text.
const MAX_FLATTENED: usize = 5;

/// Most attributes of one log.
const MAX_ATTRIBUTES: usize = 4_096;

/// Attributes that are the same for every log, ready to be copied.
#[derive(Debug, Default)]
pub(super) struct Constant {
    json: Vec<u8>,
    used: Used,
    left_out: u64,
    /// Whether something in it may have to be scrubbed.
    suspicious: bool,
    /// Whether the settings want values scrubbed that stand under one of [`PLAIN`].
    wanted: bool,
}

/// Attributes of our own whose values hold nothing that has to be scrubbed.
const PLAIN: &[u8] = b",\"log.iostream\":{\"value\":\"\"},\"sentry.timestamp.sequence\":{\"value\":0}";

/// Hashes of the attributes' names that are written, and a look that mostly says at once that one is not among them.
#[derive(Debug, Default)]
pub(super) struct Used {
    hashes: Vec<u64>,
    bits: [u64; 4],
}

impl Used {
    fn clear(&mut self) {
        self.hashes.clear();
        self.bits = [0; 4];
    }

    fn add(&mut self, hash: u64) {
        self.hashes.push(hash);
        self.bits[(hash >> 62) as usize] |= 1 << (hash & 63);
    }

    fn add_all(&mut self, others: &Self) {
        self.hashes.extend_from_slice(&others.hashes);
        self.bits.iter_mut().zip(others.bits).for_each(|(bits, others)| *bits |= others);
    }

    fn has(&self, hash: u64) -> bool {
        self.bits[(hash >> 62) as usize] >> (hash & 63) & 1 == 1 && self.hashes.contains(&hash)
    }
}

/// What of a log need not be looked at for secrets.
pub(super) struct Known {
    /// Nothing before this has text of the record's.
    pub from: usize,
    /// Members of its attributes that have been looked at before or hold nothing of the kind, in order: those of all logs, and
    /// those of a pod and its streams.
    pub parts: [Range<usize>; 2],
}

impl Constant {
    /// What Sentry wants to know of the sender, and the tags of the settings.
    pub(super) fn new(tags: &[(String, String)]) -> Self {
        let ours = [
            ("sentry.sdk.name", SDK_NAME),
            ("sentry.sdk.version", SDK_VERSION),
            ("sentry.origin", "auto.log.fluent_bit"),
        ];
        let tags = tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut constant = Self::default();
        ours.into_iter().chain(tags).for_each(|(name, value)| constant.add(name, value));
        // They come first, and every other attribute writes a comma before itself.
        constant.json.remove(0);
        constant
    }

    /// Adds a text attribute, while there is room.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if self.json.len() + name.len() + value.len() > limit::POD_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        attribute(&mut self.json, name.as_bytes(), Value::Str(value.as_bytes()));
        self.used.add(xxh3_64(name.as_bytes()));
    }

    /// Says what had no room; nothing is added behind it.
    pub(super) fn end(&mut self) {
        if self.left_out > 0 {
            attribute(&mut self.json, b"log.record.labels_left_out", Value::UInt(self.left_out));
        }
    }

    /// Looks at it for all the logs that will have it.
    pub(super) fn judge(&mut self, scrub: &scrub::Rules) {
        self.suspicious = scrub.may_need(&self.json);
        self.wanted = scrub.may_need(PLAIN);
    }
}

/// Writes the log.
pub(super) fn write(
    out: &mut Vec<u8>,
    view: &View<'_, '_>,
    constant: &Constant,
    sequence: u32,
    used: &mut Used,
) -> Known {
    out.extend_from_slice(b"{\"timestamp\":");
    json::seconds(out, view.time.micros());
    out.extend_from_slice(b",\"trace_id\":");
    json::id(out, &view.trace_id.0);
    if let Some(span) = view.span_id {
        out.extend_from_slice(b",\"span_id\":");
        json::id(out, &span.0);
    }
    out.extend_from_slice(b",\"level\":\"");
    out.extend_from_slice(view.level.log_name().as_bytes());
    out.extend_from_slice(b"\",\"body\":");
    let from = out.len();
    body(out, &view.message);
    out.extend_from_slice(b",\"attributes\":{");
    let start = out.len();
    used.clear();
    let parts = write_attributes(Attributes { out, start, used, left_out: 0 }, view, constant, sequence);
    out.extend_from_slice(b"}}");
    Known { from, parts }
}

fn write_attributes(
    mut attributes: Attributes<'_>,
    view: &View<'_, '_>,
    constant: &Constant,
    sequence: u32,
) -> [Range<usize>; 2] {
    let first = attributes.copy(constant);
    for (name, value) in [
        (NameId::ENVIRONMENT, view.environment.as_deref()),
        (NameId::RELEASE, view.release.as_deref()),
        (NameId::ADDRESS, view.server_name.as_deref()),
        (NameId::LOGGER, view.logger.as_deref()),
        (NameId::USER, view.user_id.as_deref()),
        (NameId::RECORD_TIME, view.original_time.as_deref()),
    ] {
        if let Some(value) = value {
            attributes.new_one(view.names.get(name), Value::Str(value.as_bytes()));
        }
    }
    if let Some(path) = view.file_path {
        attributes.new_one(view.names.get(NameId::FILE_PATH), Value::Str(path));
    }
    let second = attributes.out.len();
    let second = view.pod.map_or(second..second, |pod| attributes.copy(&pod.log_attributes));
    if let Some(stream) = view.io_stream {
        attributes.new_one(view.names.get(NameId::IO_STREAM), Value::Str(stream));
    }
    if sequence > 0 {
        attributes.new_one(view.names.get(NameId::SEQUENCE), Value::UInt(u64::from(sequence)));
    }
    // What has to be looked at is an empty range at the start, and stays one.
    let second = if constant.wanted || second.end == 0 { second } else { second.start..attributes.out.len() };
    let mut scratch = Vec::new();
    for field in view.fields.rest() {
        match field.name.map(|name| view.names.get(name)) {
            Some(name) if is_plain(field.value) && !is_reserved(name.text(), field.value, view.pod.is_some()) => {
                attributes.learnt(name, field.value);
            }
            _ => attributes.field(json::key_text(field.key, &mut scratch), field.value, view.pod.is_some()),
        }
    }
    attributes.end();
    [first, second]
}

/// Whether a value is one attribute.
fn is_plain(value: Value<'_>) -> bool {
    !matches!(value, Value::Map(_))
}

/// Names with a meaning at Sentry are not the record's to use.
fn is_reserved(name: &[u8], value: Value<'_>, has_pod: bool) -> bool {
    match name.first() {
        Some(b's') => {
            // Sentry knows the address as text, and may drop another type.
            name.starts_with(b"sentry.") || name == b"server.address" && value.text().is_none()
        }
        Some(b'k') => has_pod && name.starts_with(b"k8s."),
        Some(b'c') => has_pod && name.starts_with(b"container."),
        _ => false,
    }
}

/// The body, cut where Sentry would refuse it, with the cut marked. Characters that JSON escapes may need six times
/// their room, so a cut body may have to be cut again.
fn body(out: &mut Vec<u8>, message: &[u8]) {
    let start = out.len();
    let mut most = limit::LOG_BODY;
    loop {
        marked(out, message, most);
        let written = out.len() - start;
        if written <= limit::LOG_BODY_JSON {
            return;
        }
        most = most.min(message.len()) * limit::LOG_BODY_JSON / written * 9 / 10;
        out.truncate(start);
    }
}

/// A string of at most `most` bytes; what is cut off is counted at its end.
fn marked(out: &mut Vec<u8>, text: &[u8], most: usize) {
    let (kept, cut) = limit::bytes(text, most);
    out.push(b'"');
    json::escaped(out, kept);
    if cut > 0 {
        out.extend_from_slice(format!(" [cut {cut} bytes]").as_bytes());
    }
    out.push(b'"');
}

/// The attributes of one log. No name is written twice, and no more than Sentry takes.
struct Attributes<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    used: &'o mut Used,
    left_out: u64,
}

impl Attributes<'_> {
    /// Copies what is ready, and says where it is unless it has to be looked at (again).
    fn copy(&mut self, constant: &Constant) -> Range<usize> {
        let start = self.out.len();
        self.out.extend_from_slice(&constant.json);
        self.used.add_all(&constant.used);
        if constant.suspicious { 0..0 } else { start..self.out.len() }
    }

    /// An attribute of a name that nothing has used yet.
    fn add(&mut self, name: &[u8], value: Value<'_>) {
        self.used.add(xxh3_64(name));
        self.write(name, value);
    }

    fn write(&mut self, name: &[u8], value: Value<'_>) {
        let before = self.out.len();
        attribute(self.out, name, value);
        self.keep(before);
    }

    /// A field of a learnt name.
    fn learnt(&mut self, name: &Name, value: Value<'_>) {
        if self.used.hashes.len() >= MAX_ATTRIBUTES || self.used.has(name.hash) {
            return self.own(name.text(), value);
        }
        self.new_one(name, value);
    }

    /// An attribute of a learnt name that nothing has used yet.
    fn new_one(&mut self, name: &Name, value: Value<'_>) {
        self.used.add(name.hash);
        let before = self.out.len();
        self.out.extend_from_slice(&name.attribute);
        typed(self.out, value);
        self.keep(before);
    }

    /// Takes back an attribute that does not fit.
    fn keep(&mut self, before: usize) {
        if self.out.len() - self.start > limit::LOG_ATTRIBUTES {
            self.out.truncate(before);
            self.left_out += 1;
        }
    }

    /// An attribute of the record's own. Where its name is taken, a prefix keeps the two apart.
    fn own(&mut self, name: &[u8], value: Value<'_>) {
        if self.used.hashes.len() >= MAX_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        let hash = xxh3_64(name);
        if !self.used.has(hash) {
            self.used.add(hash);
            return self.write(name, value);
        }
        let mut name = [b"record.", name].concat();
        while self.used.has(xxh3_64(&name)) {
            name.push(b'_');
        }
        self.add(&name, value);
    }

    /// A field of the record.
    fn field(&mut self, name: &[u8], value: Value<'_>, has_pod: bool) {
        if is_reserved(name, value, has_pod) {
            return self.flatten(&[b"record.", name].concat(), value, 0);
        }
        self.flatten(name, value, 0);
    }

    fn flatten(&mut self, name: &[u8], value: Value<'_>, depth: usize) {
        match value {
            Value::Map(map) if depth < MAX_FLATTENED && !map.is_empty() => self.flatten_map(name, map, depth),
            _ => self.own(name, value),
        }
    }

    fn flatten_map(&mut self, name: &[u8], map: Seq<'_>, depth: usize) {
        let mut scratch = Vec::new();
        let mut path = name.to_vec();
        path.push(b'.');
        for (key, value) in json::last_pairs(map).filter(|(_, value)| *value != Value::Nil) {
            path.truncate(name.len() + 1);
            path.extend_from_slice(json::key_text(key, &mut scratch));
            // The user's id has an attribute of its own, of the type that Sentry expects.
            if path == b"user.id" {
                continue;
            }
            self.flatten(&path, value, depth + 1);
        }
    }

    /// Says what was left out.
    fn end(self) {
        if self.left_out > 0 {
            attribute(self.out, b"log.record.attributes_left_out", Value::UInt(self.left_out));
        }
    }
}

/// One typed attribute, with a comma before it.
fn attribute(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    json::head_of_attribute(out, name);
    typed(out, value);
}

/// An attribute's value and its type. An integer beyond 64 signed bits becomes a string, which Relay takes.
fn typed(out: &mut Vec<u8>, value: Value<'_>) {
    let end: &[u8] = match value {
        Value::Bool(_) => b",\"type\":\"boolean\"}",
        Value::Int(_) => b",\"type\":\"integer\"}",
        Value::UInt(n) if i64::try_from(n).is_ok() => b",\"type\":\"integer\"}",
        Value::Float(n) if n.is_finite() => b",\"type\":\"double\"}",
        _ => b",\"type\":\"string\"}",
    };
    match value {
        Value::UInt(n) if i64::try_from(n).is_err() => json::string(out, n.to_string().as_bytes()),
        Value::Array(_) | Value::Map(_) => {
            let mut text = Vec::new();
            json::value(&mut text, value);
            marked(out, &text, limit::ATTRIBUTE);
        }
        Value::Nil => json::string(out, b""),
        Value::Str(text) => marked(out, text, limit::ATTRIBUTE),
        Value::Bin(bytes) | Value::Ext(_, bytes) if std::str::from_utf8(bytes).is_ok() => {
            marked(out, bytes, limit::ATTRIBUTE);
        }
        Value::Bin(bytes) | Value::Ext(_, bytes) => {
            let mut digits = Vec::new();
            json::hex(&mut digits, bytes);
            marked(out, &digits, limit::ATTRIBUTE);
        }
        scalar => json::value(out, scalar),
    }
    out.extend_from_slice(end);
}
