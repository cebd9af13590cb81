//! Builds a Sentry event from a record; developers see it as an issue.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/>. Everything is truncated here at Relay's
//! limits, so that Relay's normaliser finds nothing to trim.

mod context;
mod extra;

use super::in_app::InApp;
use super::json::{self, List, Object};
use super::{exception, limit};
use crate::mapping::extract::fields::Role;
use crate::mapping::group::storm::StormSummary;
use crate::mapping::group::stream_lines::LevelSource;
use crate::mapping::resolve::identity::EventId;
use crate::mapping::resolve::resolved_record::scalar;
use crate::mapping::trace::Trace;
use crate::mapping::{ResolvedRecord, SDK_NAME, SDK_VERSION, scrub};
use crate::options::Mapping;
pub(crate) use context::EventContext;
use extra::write_extra;
use std::borrow::Cow;
use std::ops::Range;

/// Tag names that Relay drops or moves elsewhere.
pub(crate) const RESERVED_TAGS: [&str; 8] =
    ["release", "dist", "user", "filename", "function", "environment", "server_name", "level"];

/// Most tags of one event: a pod chooses its labels.
const MAX_TAGS: usize = 100;

/// Writes the event; one that would be too large for Sentry without what only surrounds it. Returns where the parts stand that
/// need not be scrubbed, in order: ids and level, message and exceptions, the trace's context, breadcrumbs, and the SDK. Of these
/// texts were scrubbed before they were written.
pub(crate) fn write(
    out: &mut Vec<u8>,
    view: &ResolvedRecord<'_, '_>,
    event_id: EventId,
    (settings, scrub): (&Mapping, &scrub::Rules),
    about: &EventContext<'_>,
) -> [Range<usize>; 5] {
    let start = out.len();
    let scrubbed = write_as(out, view, event_id, (settings, scrub), about, Detail::Full);
    if out.len() - start <= limit::EVENT {
        return scrubbed;
    }
    out.truncate(start);
    write_as(out, view, event_id, (settings, scrub), about, Detail::Lean)
}

/// Amount of detail with which an event is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Full,
    /// Without breadcrumbs and extra, and with short texts.
    Lean,
}

fn write_as(
    out: &mut Vec<u8>,
    view: &ResolvedRecord<'_, '_>,
    event_id: EventId,
    (settings, scrub): (&Mapping, &scrub::Rules),
    about: &EventContext<'_>,
    detail: Detail,
) -> [Range<usize>; 5] {
    let mut event = Object::begin(out);
    let start = event.length();
    event.text("event_id", &event_id.hex());
    json::seconds(event.key("timestamp"), view.time.micros());
    event.text("platform", about.platform);
    event.text("level", view.level.event_name());
    let head = start..event.length();
    let logger = view.logger.as_deref().or(about.logger);
    event.text_if("logger", logger.map(|name| one_line(name, limit::LOGGER, scrub)).as_deref());
    let start = event.length();
    if !about.line.trim().is_empty() {
        write_message(&mut event, about);
    }
    let mut left_out = Vec::new();
    if let Some(trace) = &about.trace {
        let room = if detail == Detail::Full { exception::FULL } else { exception::LEAN };
        let known = about_exception(trace, about, view, settings);
        exception::write(&mut event, trace, known, room, &mut left_out);
    }
    let scrubbed = start..event.length();
    event.text_if("environment", view.environment.as_deref());
    event.text_if("release", view.release.as_deref());
    let server_name = view.server_name.as_deref().map(|name| one_line(name, limit::SERVER_NAME, scrub));
    event.text_if("server_name", server_name.as_deref());
    if let Some(id) = view.user_id.as_deref() {
        let mut user = Object::begin(event.key("user"));
        user.text("id", &cut(id, limit::USER_ID, scrub));
        user.end();
    }
    write_tags(&mut event, view, (&settings.tags, scrub), &mut left_out);
    let trace = write_contexts(event.key("contexts"), view, server_name.as_deref());
    if let Some(parts) = fingerprint(view, settings, about) {
        let mut list = List::begin(event.key("fingerprint"));
        parts.iter().for_each(|part| _ = json::string(list.element(), cut(part, limit::NAME, scrub).as_bytes()));
        list.end();
    }
    let mut crumbs = 0..0;
    if about.crumbs.iter().any(|crumbs| !crumbs.is_empty()) && detail == Detail::Full {
        crumbs = write_crumbs(event.key("breadcrumbs"), about.crumbs);
    }
    let mut extra = Vec::new();
    write_extra(&mut extra, view, (about, scrub), detail, left_out);
    // Relay drops an empty object.
    if extra != b"{}" {
        event.key("extra").extend_from_slice(&extra);
    }
    let start = event.length();
    let mut sdk = Object::begin(event.key("sdk"));
    sdk.text("name", SDK_NAME);
    sdk.text("version", SDK_VERSION);
    sdk.end();
    let sdk = start..event.length();
    event.end();
    [head, scrubbed, trace, crumbs, sdk]
}

/// Returns the facts that the record gives about its trace. An exception that nobody caught is not handled, one that a
/// logger wrote is handled; for others this is unknown.
fn about_exception<'t>(
    trace: &Trace<'_>,
    about: &'t EventContext<'_>,
    view: &ResolvedRecord<'_, '_>,
    settings: &'t Mapping,
) -> exception::About<'t> {
    // At the head of a trace, `Error: no stock` is no level.
    let in_text = view.said == LevelSource::InText && !about.line.trim().is_empty();
    let logged = in_text || view.said == LevelSource::InField || view.logger.is_some() || about.logger.is_some();
    exception::About {
        handled: if trace.unhandled { Some(false) } else { Some(true).filter(|_| logged) },
        in_app: InApp { include: &settings.in_app_include, exclude: &settings.in_app_exclude },
    }
}

/// Writes into an event how many others were held back.
pub(crate) fn tell_others(closing: &mut StormSummary) {
    let Ok(serde_json::Value::Object(mut event)) = serde_json::from_slice(&closing.payload) else { return };
    if closing.others > 0
        && let Some(extra) = event.entry("extra").or_insert_with(|| serde_json::json!({})).as_object_mut()
    {
        extra.insert("held_back".to_owned(), closing.others.into());
        closing.payload = serde_json::Value::Object(event).to_string().into_bytes();
    }
}

/// A text as Relay takes it where it takes one line.
fn one_line<'t>(text: &'t str, most: usize, scrub: &scrub::Rules) -> Cow<'t, str> {
    if text.contains(['\n', '\r']) {
        return Cow::Owned(cut(&text.replace(['\n', '\r'], " "), most, scrub).into_owned());
    }
    cut(text, most, scrub)
}

/// Returns at most `most` characters. A text that is cut is scrubbed before, for a cut may remove the words that mark the
/// remaining text as a secret.
fn cut<'t>(text: &'t str, most: usize, scrub: &scrub::Rules) -> Cow<'t, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match scrub.scrubbed(text) {
        Cow::Borrowed(text) => limit::chars(text, most),
        Cow::Owned(text) => Cow::Owned(limit::chars(&text, most).into_owned()),
    }
}

/// The line as it was, and its template, by which Sentry groups.
fn write_message(event: &mut Object<'_>, about: &EventContext<'_>) {
    let template = &about.template;
    let mut entry = Object::begin(event.key("logentry"));
    entry.text("message", &limit::chars(&template.text, limit::MESSAGE));
    let line = limit::chars(about.title, limit::MESSAGE);
    entry.text("formatted", &line);
    let bytes: usize = template.params.iter().map(|param| param.len() + 3).sum();
    // Beyond a cut nobody would see that one of them is a secret.
    if !template.params.is_empty() && bytes <= limit::PARAMS && matches!(line, Cow::Borrowed(_)) {
        let mut params = List::begin(entry.key("params"));
        for param in &template.params {
            json::string(params.element(), param.as_bytes());
        }
        params.end();
    }
    entry.end();
}

/// The tags, if there are any: Relay drops an empty object.
fn write_tags(
    event: &mut Object<'_>,
    view: &ResolvedRecord<'_, '_>,
    (fixed, scrub): (&[(String, String)], &scrub::Rules),
    left_out: &mut Vec<&'static str>,
) {
    let from_pod = view.pod.map(|pod| pod.tags.as_slice()).unwrap_or_default();
    let mut sound: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let promoted = view.promoted();
    for (key, value) in fixed.iter().chain(from_pod).chain(&promoted) {
        let key = limit::tag_key(key);
        let key = if RESERVED_TAGS.contains(&key.as_ref()) { Cow::Owned(format!("record.{key}")) } else { key };
        let value = if value.len() > limit::TAG_VALUE { scrub.scrubbed(value) } else { Cow::Borrowed(value.as_str()) };
        let Some(value) = limit::tag_value(&value).map(Cow::into_owned) else { continue };
        if !key.is_empty() && sound.len() < MAX_TAGS && !sound.iter().any(|(known, _)| *known == key) {
            sound.push((key, Cow::Owned(value)));
        }
    }
    if sound.len() == MAX_TAGS {
        left_out.push("tags");
    }
    if !sound.is_empty() {
        let mut tags = Object::begin(event.key("tags"));
        sound.iter().for_each(|(key, value)| tags.text(key, value));
        tags.end();
    }
}

/// Writes the contexts, and says where the trace's stands.
fn write_contexts(out: &mut Vec<u8>, view: &ResolvedRecord<'_, '_>, host: Option<&str>) -> Range<usize> {
    let mut contexts = Object::begin(out);
    let start = contexts.length();
    let mut trace = Object::begin(contexts.key("trace"));
    hex(trace.key("trace_id"), &view.trace_id.0);
    // The context is refused without a span; one of the trace's own bits serves where the record names none.
    let mut span = [0; 8];
    span.copy_from_slice(&view.trace_id.0[8..]);
    if span == [0; 8] {
        span = [1; 8];
    }
    hex(trace.key("span_id"), &view.span_id.map_or(span, |span| span.0));
    trace.end();
    let known = start..contexts.length();
    if let Some(pod) = view.pod {
        contexts.key("kubernetes").extend_from_slice(&pod.context);
    }
    if let Some(name) = host {
        let mut host = Object::begin(contexts.key("host"));
        host.text("name", name);
        host.end();
    }
    contexts.end();
    known
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::hex(out, bytes);
    out.push(b'"');
}

/// The template where one is configured. Else with an exception none, for Sentry groups by stack; and without, Sentry's own grouping
/// kept apart by workload and container, never by pod, node or file.
fn fingerprint(view: &ResolvedRecord<'_, '_>, settings: &Mapping, about: &EventContext<'_>) -> Option<Vec<String>> {
    if !settings.fingerprint.is_empty() {
        let parts = settings.fingerprint.iter().enumerate().filter_map(|(place, part)| {
            if !part.starts_with('$') {
                return Some(part.clone());
            }
            view.fields.candidates(Role::Fingerprint(place as u8)).find_map(|found| scalar(found.value))
        });
        // Relay drops an empty list.
        return Some(parts.collect::<Vec<_>>()).filter(|parts| !parts.is_empty());
    }
    if about.trace.is_some() {
        return None;
    }
    let workload = view.pod.map(|pod| format!("{}/{}", pod.namespace, pod.workload));
    let workload = workload.or_else(|| Some(String::from_utf8_lossy(view.service?).into_owned()));
    if about.other_errors {
        return Some(std::iter::once("other errors".to_owned()).chain(workload).collect());
    }
    let container = view.pod.map(|pod| pod.container.clone());
    Some(std::iter::once("{{ default }}".to_owned()).chain([workload?]).chain(container).collect())
}

/// Writes the breadcrumbs, and says where they stand.
fn write_crumbs(out: &mut Vec<u8>, crumbs: [&[u8]; 2]) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(b"{\"values\":[");
    // The first one's comma stays away.
    let mut skip = 1;
    for crumbs in crumbs.iter().filter(|crumbs| !crumbs.is_empty()) {
        out.extend_from_slice(&crumbs[std::mem::take(&mut skip)..]);
    }
    out.extend_from_slice(b"]}");
    start..out.len()
}
