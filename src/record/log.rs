//! A record as a Sentry log: one object of a `log` container.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/logs/>. Relay drops a log without timestamp, trace id, level or
//! body and an attribute whose value is not of its type, each without a word, so none of these may ever be missing.

use super::json::{self, Object};
use super::{SDK_NAME, SDK_VERSION, View, limit};
use crate::chunk::msgpack::{Seq, Value};
use xxhash_rust::xxh3::xxh3_64;

/// Maps deeper than this are sent as JSON text.
const MAX_FLATTENED: usize = 5;

/// Most attributes of one log.
const MAX_ATTRIBUTES: usize = 4_096;

/// Attributes that are the same for every log, ready to be copied.
#[derive(Debug, Default)]
pub(super) struct Constant {
    json: Vec<u8>,
    names: Vec<u64>,
    left_out: u64,
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
        constant
    }

    /// Adds a text attribute, while there is room.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if self.json.len() + name.len() + value.len() > limit::POD_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        attribute(&mut self.json, name.as_bytes(), Value::Str(value.as_bytes()));
        self.names.push(xxh3_64(name.as_bytes()));
    }
}

impl Constant {
    /// Says what had no room; nothing is added behind it.
    pub(super) fn end(&mut self) {
        if self.left_out > 0 {
            attribute(&mut self.json, b"log.record.labels_left_out", Value::UInt(self.left_out));
        }
    }
}

/// Writes the log.
pub(super) fn write(out: &mut Vec<u8>, view: &View<'_, '_>, constant: &Constant, sequence: u32, names: &mut Vec<u64>) {
    let mut log = Object::begin(out);
    json::seconds(log.key("timestamp"), view.time.micros());
    id(log.key("trace_id"), &view.trace_id.0);
    if let Some(span) = view.span_id {
        id(log.key("span_id"), &span.0);
    }
    log.text("level", view.level.log_name());
    body(log.key("body"), &view.message);
    let attributes = log.key("attributes");
    attributes.push(b'{');
    let start = attributes.len();
    names.clear();
    write_attributes(Attributes { out: attributes, start, names, left_out: 0 }, view, constant, sequence);
    // Every attribute writes a comma before itself.
    if attributes.get(start) == Some(&b',') {
        attributes.remove(start);
    }
    attributes.push(b'}');
    log.end();
}

fn write_attributes(mut attributes: Attributes<'_>, view: &View<'_, '_>, constant: &Constant, sequence: u32) {
    attributes.copy(constant);
    let mut known = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            attributes.add(name.as_bytes(), Value::Str(value.as_bytes()));
        }
    };
    known("sentry.environment", view.environment.as_deref());
    known("sentry.release", view.release.as_deref());
    known("server.address", view.server_name.as_deref());
    known("logger.name", view.logger.as_deref());
    known("user.id", view.user_id.as_deref());
    known("log.record.time", view.original_time.as_deref());
    if let Some(pod) = view.pod {
        attributes.copy(&pod.log_attributes);
    }
    if let Some(stream) = view.io_stream {
        attributes.add(b"log.iostream", Value::Str(stream));
    }
    if sequence > 0 {
        attributes.add(b"sentry.timestamp.sequence", Value::UInt(u64::from(sequence)));
    }
    let mut scratch = Vec::new();
    for field in view.fields.rest() {
        attributes.field(json::key_text(field.key, &mut scratch), field.value, view.pod.is_some());
    }
    attributes.end();
}

fn id(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::hex(out, bytes);
    out.push(b'"');
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
    /// Hashes of the names written so far.
    names: &'o mut Vec<u64>,
    left_out: u64,
}

impl Attributes<'_> {
    fn copy(&mut self, constant: &Constant) {
        self.out.extend_from_slice(&constant.json);
        self.names.extend_from_slice(&constant.names);
    }

    /// An attribute of a name that nothing has used yet.
    fn add(&mut self, name: &[u8], value: Value<'_>) {
        self.names.push(xxh3_64(name));
        self.write(name, value);
    }

    fn write(&mut self, name: &[u8], value: Value<'_>) {
        let before = self.out.len();
        attribute(self.out, name, value);
        if self.out.len() - self.start > limit::LOG_ATTRIBUTES {
            self.out.truncate(before);
            self.left_out += 1;
        }
    }

    /// An attribute of the record's own. Where its name is taken, a prefix keeps the two apart.
    fn own(&mut self, name: &[u8], value: Value<'_>) {
        if self.names.len() >= MAX_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        let hash = xxh3_64(name);
        if !self.names.contains(&hash) {
            self.names.push(hash);
            return self.write(name, value);
        }
        let mut name = [b"record.", name].concat();
        while self.names.contains(&xxh3_64(&name)) {
            name.push(b'_');
        }
        self.add(&name, value);
    }

    /// A field of the record. Names with a meaning at Sentry are not the record's to use.
    fn field(&mut self, name: &[u8], value: Value<'_>, has_pod: bool) {
        let ours = has_pod && (name.starts_with(b"k8s.") || name.starts_with(b"container."));
        // Sentry knows it as text, and may drop another type.
        let ill_typed = name == b"server.address" && value.text().is_none();
        let reserved = name.starts_with(b"sentry.") || ours || ill_typed;
        if reserved {
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

/// One typed attribute, with a comma before it. An integer beyond 64 signed bits becomes a string, which Relay takes.
fn attribute(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
    out.push(b',');
    json::string(out, name);
    out.extend_from_slice(b":{\"value\":");
    let kind: &[u8] = match value {
        Value::Bool(_) => b"boolean",
        Value::Int(_) => b"integer",
        Value::UInt(n) if i64::try_from(n).is_ok() => b"integer",
        Value::Float(n) if n.is_finite() => b"double",
        _ => b"string",
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
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\"}");
}
