//! A record as a Sentry event: what developers see as an issue.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/>. Everything is cut at Relay's limits
//! here, so that the real normaliser finds nothing to trim.

use super::identity::EventId;
use super::json::{self, List, Object};
use super::message::{template, without_preamble};
use super::{SDK_NAME, SDK_VERSION, View, limit};
use crate::chunk::msgpack::Value;
use std::borrow::Cow;

/// Tag names that Relay drops or moves elsewhere.
const RESERVED_TAGS: [&str; 8] =
    ["release", "dist", "user", "filename", "function", "environment", "server_name", "level"];

/// Writes the event.
pub fn write(out: &mut Vec<u8>, view: &View<'_, '_>, event_id: EventId, tags: &[(String, String)]) {
    let mut event = Object::begin(out);
    event.text("event_id", &event_id.hex());
    json::seconds(event.key("timestamp"), view.time.micros());
    event.text("platform", "other");
    event.text("level", view.level.event_name());
    event.text_if("logger", view.logger.as_deref().map(logger).as_deref());
    write_message(&mut event, view);
    event.text_if("environment", view.environment.as_deref());
    event.text_if("release", view.release.as_deref());
    event.text_if(
        "server_name",
        view.server_name.as_deref().map(|name| limit::chars(name, limit::SERVER_NAME)).as_deref(),
    );
    write_tags(event.key("tags"), view, tags);
    write_contexts(event.key("contexts"), view);
    write_fingerprint(event.key("fingerprint"), view);
    write_extra(event.key("extra"), view);
    let mut sdk = Object::begin(event.key("sdk"));
    sdk.text("name", SDK_NAME);
    sdk.text("version", SDK_VERSION);
    sdk.end();
    event.end();
}

fn logger(name: &str) -> Cow<'_, str> {
    if name.contains(['\n', '\r']) {
        return Cow::Owned(limit::chars(&name.replace(['\n', '\r'], " "), limit::LOGGER).into_owned());
    }
    limit::chars(name, limit::LOGGER)
}

/// The line as it was, and its template, by which Sentry groups.
fn write_message(event: &mut Object<'_>, view: &View<'_, '_>) {
    let line = String::from_utf8_lossy(&view.message);
    let line = if line.trim().is_empty() { Cow::Borrowed("(empty message)") } else { line };
    let template = template(without_preamble(&line));
    let mut entry = Object::begin(event.key("logentry"));
    entry.text("message", &limit::chars(&template.text, limit::MESSAGE));
    entry.text("formatted", &limit::chars(&line, limit::MESSAGE));
    let bytes: usize = template.params.iter().map(|param| param.len() + 3).sum();
    if !template.params.is_empty() && bytes <= limit::PARAMS {
        let mut params = List::begin(entry.key("params"));
        for param in &template.params {
            json::string(params.element(), param.as_bytes());
        }
        params.end();
    }
    entry.end();
}

fn write_tags(out: &mut Vec<u8>, view: &View<'_, '_>, fixed: &[(String, String)]) {
    let from_pod = view.pod.map(|pod| pod.tags.as_slice()).unwrap_or_default();
    let mut written: Vec<Cow<'_, str>> = Vec::new();
    let mut tags = Object::begin(out);
    for (key, value) in fixed.iter().chain(from_pod).chain(&view.tags) {
        let key = limit::tag_key(key);
        let key = if RESERVED_TAGS.contains(&key.as_ref()) { Cow::Owned(format!("record.{key}")) } else { key };
        let Some(value) = limit::tag_value(value) else { continue };
        if !key.is_empty() && !written.contains(&key) {
            tags.text(&key, &value);
            written.push(key);
        }
    }
    tags.end();
}

fn write_contexts(out: &mut Vec<u8>, view: &View<'_, '_>) {
    let mut contexts = Object::begin(out);
    let mut trace = Object::begin(contexts.key("trace"));
    hex(trace.key("trace_id"), &view.trace_id.0);
    // The context is refused without a span; one of the trace's own bits serves where the record names none.
    let mut span = [0; 8];
    span.copy_from_slice(&view.trace_id.0[8..]);
    hex(trace.key("span_id"), &view.span_id.map_or(span, |span| span.0));
    trace.end();
    if let Some(pod) = view.pod {
        pod.write_context(contexts.key("kubernetes"));
    }
    contexts.end();
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::hex(out, bytes);
    out.push(b'"');
}

/// Sentry's own grouping, kept apart by workload and container; never by pod, node or file.
fn write_fingerprint(out: &mut Vec<u8>, view: &View<'_, '_>) {
    let mut list = List::begin(out);
    json::string(list.element(), b"{{ default }}");
    if let Some(pod) = view.pod {
        json::string(list.element(), format!("{}/{}", pod.namespace, pod.workload).as_bytes());
        json::string(list.element(), pod.container.as_bytes());
    }
    list.end();
}

/// What nothing else has taken.
fn write_extra(out: &mut Vec<u8>, view: &View<'_, '_>) {
    let start = out.len();
    let mut extra = Object::begin(out);
    let (mut value, mut scratch) = (Vec::new(), Vec::new());
    let mut left = limit::EXTRA_TOTAL;
    if let Some(stream) = view.io_stream {
        json::string(extra.key("stream"), stream);
    }
    extra.text_if("original_time", view.original_time.as_deref());
    for field in view.fields.rest() {
        value.clear();
        extra_value(&mut value, field.value);
        if value.len() > left {
            extra.text("_cut", "more fields than Sentry takes");
            break;
        }
        left -= value.len();
        extra.raw_key(json::key_text(field.key, &mut scratch)).extend_from_slice(&value);
    }
    extra.end();
    debug_assert!(out.len() - start <= limit::EXTRA_TOTAL * 2);
}

/// One value, as it is when it fits and as cut JSON text when it does not. Sentry cuts below seven levels itself.
fn extra_value(out: &mut Vec<u8>, value: Value<'_>) {
    json::value(out, value);
    let too_deep = depth(value, 0) > 5;
    if out.len() > limit::EXTRA_VALUE || too_deep {
        let text = std::mem::take(out);
        let (kept, cut) = limit::bytes(&text, limit::EXTRA_VALUE / 2);
        let mark = if cut > 0 { format!(" [cut {cut} bytes]") } else { String::new() };
        json::string(out, &[kept, mark.as_bytes()].concat());
    }
}

fn depth(value: Value<'_>, above: usize) -> usize {
    if above > 6 {
        return above;
    }
    match value {
        Value::Map(map) => map.pairs().map(|(_, v)| depth(v, above + 1)).max().unwrap_or(above + 1),
        Value::Array(array) => array.values().map(|v| depth(v, above + 1)).max().unwrap_or(above + 1),
        _ => above,
    }
}
