//! Writes an incident as a Sentry event and as a log.
//!
//! The formats are those of `mapping::event` and `mapping::log`; the limits are Relay's.

use super::super::{SDK_NAME, SDK_VERSION};
use crate::chunk::Timestamp;
use crate::level::Level;
use crate::mapping::encode::event::RESERVED_TAGS;
use crate::mapping::encode::json::{self, List, Object};
use crate::mapping::encode::limit;
use crate::mapping::resolve::identity::{EventId, TraceId};
use crate::options::{Mapping, Source};
use std::borrow::Cow;

/// Most tags of one event: a pod chooses its labels.
const MAX_TAGS: usize = 100;

/// Content that is sent for an incident.
#[derive(Debug)]
pub(super) struct Incident<'i> {
    pub id: EventId,
    pub trace_id: TraceId,
    pub time: Timestamp,
    /// The record's own time where it cannot be sent.
    pub original_time: Option<String>,
    pub level: Level,
    pub logger: Cow<'i, str>,
    /// Description of the incident in one line. The value of the exception if there is one.
    pub title: String,
    /// The body of the log.
    pub body: String,
    /// The text behind the title.
    pub text: Cow<'i, str>,
    /// Type of the exception, for incidents that ended a process.
    pub exception: Option<&'static str>,
    pub release: Option<Cow<'i, str>>,
    pub server_name: Option<Cow<'i, str>>,
    pub fingerprint: Vec<String>,
    /// Tags of the event and attributes of the log.
    pub names: Vec<(&'static str, Cow<'i, str>)>,
    /// More attributes of the log.
    pub attributes: Vec<(&'static str, String, Source)>,
    /// More tags of the event: labels.
    pub tags: &'i [(String, String)],
    /// The `kubernetes` context, a JSON object; may be empty.
    pub kubernetes: Vec<u8>,
    /// A context of its own: name and JSON object.
    pub context: (&'static str, Vec<u8>),
}

/// Writes the event. `crumbs` are the breadcrumbs as JSON, each with a comma before it.
pub(super) fn event(out: &mut Vec<u8>, incident: &Incident<'_>, settings: &Mapping, crumbs: &[u8], held_back: u64) {
    let mut event = Object::begin(out);
    event.text("event_id", &incident.id.hex());
    json::seconds(event.key("timestamp"), incident.time.micros());
    event.text("platform", "other");
    event.text("level", incident.level.event_name());
    let line = |text: &str, most| limit::chars(&text.replace(['\n', '\r'], " "), most).into_owned();
    if !incident.logger.is_empty() {
        event.text("logger", &line(&incident.logger, limit::LOGGER));
    }
    match incident.exception {
        Some(kind) => write_exception(event.key("exception"), kind, &incident.title),
        None => {
            let mut entry = Object::begin(event.key("logentry"));
            entry.text("message", &limit::chars(&incident.title, limit::MESSAGE));
            let formatted = format!("{}\n{}", incident.title, incident.text);
            entry.text("formatted", &limit::chars(formatted.trim_end(), limit::MESSAGE));
            entry.end();
        }
    }
    event.text_if("environment", settings.environment.as_deref());
    event.text_if("release", incident.release.as_deref());
    let server_name = incident.server_name.as_deref().map(|name| line(name, limit::SERVER_NAME));
    event.text_if("server_name", server_name.as_deref());
    write_tags(&mut event, incident, &settings.tags);
    write_contexts(event.key("contexts"), incident, server_name.as_deref());
    let mut list = List::begin(event.key("fingerprint"));
    incident.fingerprint.iter().for_each(|part| {
        json::string(list.element(), limit::chars(part, limit::NAME).as_bytes());
    });
    list.end();
    if !crumbs.is_empty() {
        let out = event.key("breadcrumbs");
        out.extend_from_slice(b"{\"values\":[");
        out.extend_from_slice(&crumbs[1..]);
        out.extend_from_slice(b"]}");
    }
    if held_back > 0 || incident.original_time.is_some() || incident.exception.is_some() {
        let mut extra = Object::begin(event.key("extra"));
        extra.text_if("original_time", incident.original_time.as_deref());
        if held_back > 0 {
            json::integer(extra.key("held_back"), held_back);
        }
        if incident.exception.is_some() {
            extra.text("line", &limit::chars(&incident.text, limit::MESSAGE));
        }
        extra.end();
    }
    let mut sdk = Object::begin(event.key("sdk"));
    sdk.text("name", SDK_NAME);
    sdk.text("version", SDK_VERSION);
    sdk.end();
    event.end();
}

fn write_exception(out: &mut Vec<u8>, kind: &str, value: &str) {
    let mut exception = Object::begin(out);
    let mut values = List::begin(exception.key("values"));
    let mut only = Object::begin(values.element());
    only.text("type", kind);
    only.text("value", &limit::chars(value, limit::MESSAGE));
    let mut mechanism = Object::begin(only.key("mechanism"));
    mechanism.text("type", "kernel");
    mechanism.key("handled").extend_from_slice(b"false");
    mechanism.end();
    only.end();
    values.end();
    exception.end();
}

fn write_tags(event: &mut Object<'_>, incident: &Incident<'_>, fixed: &[(String, String)]) {
    let mut sound: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let own = incident.names.iter().map(|(key, value)| (*key, value.as_ref()));
    let others = fixed.iter().chain(incident.tags).map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in own.chain(others) {
        let key = limit::tag_key(key);
        let key = if RESERVED_TAGS.contains(&key.as_ref()) { Cow::Owned(format!("record.{key}")) } else { key };
        let Some(value) = limit::tag_value(value) else { continue };
        if !key.is_empty() && sound.len() < MAX_TAGS && !sound.iter().any(|(known, _)| *known == key) {
            sound.push((key, value));
        }
    }
    if !sound.is_empty() {
        let mut tags = Object::begin(event.key("tags"));
        sound.iter().for_each(|(key, value)| tags.text(key, value));
        tags.end();
    }
}

fn write_contexts(out: &mut Vec<u8>, incident: &Incident<'_>, host: Option<&str>) {
    let mut contexts = Object::begin(out);
    let mut trace = Object::begin(contexts.key("trace"));
    json::id(trace.key("trace_id"), &incident.trace_id.0);
    // Sentry refuses the context without a span.
    let mut span = [0; 8];
    span.copy_from_slice(&incident.trace_id.0[8..]);
    json::id(trace.key("span_id"), if span == [0; 8] { &[1; 8] } else { &span });
    trace.end();
    if incident.kubernetes.len() > 2 {
        contexts.key("kubernetes").extend_from_slice(&incident.kubernetes);
    }
    let (name, context) = &incident.context;
    if context.len() > 2 {
        contexts.key(name).extend_from_slice(context);
    }
    if let Some(name) = host {
        let mut host = Object::begin(contexts.key("host"));
        host.text("name", name);
        host.end();
    }
    contexts.end();
}

/// Writes the log. `constant` are the attributes of all logs, as JSON.
pub(super) fn log(out: &mut Vec<u8>, incident: &Incident<'_>, settings: &Mapping, constant: &[u8]) {
    let mut log = Object::begin(out);
    json::seconds(log.key("timestamp"), incident.time.micros());
    json::id(log.key("trace_id"), &incident.trace_id.0);
    log.text("level", incident.level.log_name());
    log.text("body", &limit::chars(&incident.body, limit::MESSAGE));
    let out = log.key("attributes");
    out.push(b'{');
    let start = out.len();
    out.extend_from_slice(constant);
    let has_node = incident.names.iter().any(|(name, _)| *name == "k8s.node.name");
    let address = if has_node { Source::Full } else { Source::Lean };
    let common = [
        ("sentry.environment", settings.environment.as_deref(), Source::Lean),
        ("sentry.release", incident.release.as_deref(), Source::Lean),
        ("server.address", incident.server_name.as_deref(), address),
        ("logger.name", Some(&*incident.logger), Source::Lean),
    ];
    let names = incident.names.iter().map(|(name, value)| {
        let is_lean =
            matches!(name.strip_prefix("k8s."), Some("namespace.name" | "pod.name" | "container.name" | "node.name"));
        let is_workload = *name == "k8s.workload.name";
        let source = if is_lean { Source::Lean } else { Source::Field };
        (*name, Some(&**value), if is_workload { Source::Full } else { source })
    });
    let more = incident.attributes.iter().map(|(name, value, source)| (*name, Some(value.as_str()), *source));
    let all = common.into_iter().chain(names).chain(more);
    let wanted = |(name, _, source): &(&str, _, _)| settings.log_attributes.sends(name, *source);
    // No selection may hide when a log was written.
    let time = [("log.record.time", incident.original_time.as_deref())];
    let all = all.filter(wanted).map(|(name, value, _)| (name, value)).chain(time);
    for (name, value) in all.filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))) {
        json::head_of_attribute(out, name.as_bytes());
        json::string(out, limit::chars(value, limit::MESSAGE).as_bytes());
        out.extend_from_slice(b",\"type\":\"string\"}");
    }
    if out.get(start) == Some(&b',') {
        out.remove(start);
    }
    out.push(b'}');
    log.end();
}
