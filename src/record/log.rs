//! A record as a Sentry log: one object of a `log` container.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/logs/>. Relay drops a log without timestamp, trace id, level or
//! body and an attribute whose value is not of its type, each without a word, so none of these may ever be missing.

use super::json::{self, Object};
use super::{View, limit};
use crate::chunk::msgpack::{Seq, Value};

/// Maps deeper than this are sent as JSON text.
const MAX_FLATTENED: usize = 5;

/// Writes the log.
pub fn write(out: &mut Vec<u8>, view: &View<'_, '_>, constant: &[u8], sequence: u32) {
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
    attributes.extend_from_slice(constant);
    write_attributes(attributes, view, sequence);
    // Every attribute writes a comma before itself.
    if attributes.get(start) == Some(&b',') {
        attributes.remove(start);
    }
    attributes.push(b'}');
    log.end();
}

fn write_attributes(out: &mut Vec<u8>, view: &View<'_, '_>, sequence: u32) {
    let mut known = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            attribute(out, name.as_bytes(), Value::Str(value.as_bytes()));
        }
    };
    known("sentry.environment", view.environment.as_deref());
    known("sentry.release", view.release.as_deref());
    known("server.address", view.server_name.as_deref());
    known("logger.name", view.logger.as_deref());
    known("user.id", view.user_id.as_deref());
    if let Some(pod) = view.pod {
        out.extend_from_slice(&pod.log_attributes);
    }
    if let Some(stream) = view.io_stream {
        attribute(out, b"log.iostream", Value::Str(stream));
    }
    if let Some(original) = &view.original_time {
        attribute(out, b"log.record.time", Value::Str(original.as_bytes()));
    }
    if sequence > 0 {
        attribute(out, b"sentry.timestamp.sequence", Value::UInt(u64::from(sequence)));
    }
    let mut scratch = Vec::new();
    for field in view.fields.rest() {
        flattened(out, json::key_text(field.key, &mut scratch), field.value, view.pod.is_some());
    }
}

fn id(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::hex(out, bytes);
    out.push(b'"');
}

/// The body, cut where Sentry would refuse it, with the cut marked.
fn body(out: &mut Vec<u8>, message: &[u8]) {
    let (kept, cut) = limit::bytes(message, limit::LOG_BODY);
    out.push(b'"');
    json::escaped(out, kept);
    if cut > 0 {
        out.extend_from_slice(format!(" [cut {cut} bytes]").as_bytes());
    }
    out.push(b'"');
}

/// A field of the record. Names that the attributes above use are kept apart by a prefix, never overwritten.
fn flattened(out: &mut Vec<u8>, name: &[u8], value: Value<'_>, has_pod: bool) {
    let reserved = name.starts_with(b"sentry.")
        || matches!(name, b"server.address" | b"logger.name" | b"log.iostream" | b"log.record.time")
        || has_pod && (name.starts_with(b"k8s.") || name.starts_with(b"container."));
    if reserved {
        return flatten(out, &[b"record.", name].concat(), value, 0);
    }
    flatten(out, name, value, 0);
}

fn flatten(out: &mut Vec<u8>, name: &[u8], value: Value<'_>, depth: usize) {
    match value {
        Value::Map(map) if depth < MAX_FLATTENED && !map.is_empty() => flatten_map(out, name, map, depth),
        _ => attribute(out, name, value),
    }
}

fn flatten_map(out: &mut Vec<u8>, name: &[u8], map: Seq<'_>, depth: usize) {
    let mut scratch = Vec::new();
    let mut path = name.to_vec();
    path.push(b'.');
    for (key, value) in map.pairs().filter(|(_, value)| *value != Value::Nil) {
        path.truncate(name.len() + 1);
        path.extend_from_slice(json::key_text(key, &mut scratch));
        // The user's id has an attribute of its own, of the type that Sentry expects.
        if path == b"user.id" {
            continue;
        }
        flatten(out, &path, value, depth + 1);
    }
}

/// One typed attribute, with a comma before it. An integer beyond 64 signed bits becomes a string, which Relay takes.
pub(super) fn attribute(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) {
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
            json::string(out, limit::bytes(&text, limit::LOG_BODY).0);
        }
        Value::Nil => json::string(out, b""),
        Value::Str(text) => json::string(out, limit::bytes(text, limit::LOG_BODY).0),
        scalar => json::value(out, scalar),
    }
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\"}");
}
