//! A record as a Sentry event: what developers see as an issue.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/>. Everything is cut at Relay's limits
//! here, so that the real normaliser finds nothing to trim.

use super::fields::Role;
use super::identity::EventId;
use super::json::{self, List, Object};
use super::lines::Crumb;
use super::message::{Template, template, without_preamble};
use super::trace::{Exception, Frame, Thread, Trace};
use super::{SDK_NAME, SDK_VERSION, View, limit, scalar};
use crate::chunk::msgpack::Value;
use crate::options::Mapping;
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

/// Tag names that Relay drops or moves elsewhere.
const RESERVED_TAGS: [&str; 8] =
    ["release", "dist", "user", "filename", "function", "environment", "server_name", "level"];

/// Most exceptions and threads of one event; beyond it the outermost of the chain stay.
const MAX_EXCEPTIONS: usize = 40;
const MAX_THREADS: usize = 40;

/// Most bytes of all exceptions and threads together: an event may have a megabyte in all.
const MAX_STACK_BYTES: usize = 400_000;

/// What is known of an event besides its record.
pub(super) struct Circumstances<'t> {
    /// The stack trace, if there is one.
    pub trace: Option<Trace<'t>>,
    /// The line without its variable parts.
    pub template: Template<'t>,
    /// The line, or the text around the trace.
    pub line: Cow<'t, str>,
    /// Hash by which storms are told apart.
    pub fingerprint: u64,
    /// Hash of the exception chain.
    pub chain: Option<u64>,
    /// Hash of namespace and workload.
    pub workload: u64,
    /// The workload has too many different messages: this one shares an issue.
    pub other_errors: bool,
    /// Events of this fingerprint that were held back before this one.
    pub held_back: u64,
    /// The lines before.
    pub crumbs: Vec<Crumb>,
}

impl<'t> Circumstances<'t> {
    pub(super) fn new(view: &View<'_, '_>, trace: Option<Trace<'t>>, message: &'t str) -> Self {
        let line = match &trace {
            Some(trace) => trace.message.clone(),
            None if message.trim().is_empty() => Cow::Borrowed("(empty message)"),
            None => Cow::Borrowed(message),
        };
        let template = match &line {
            Cow::Borrowed(line) => template(without_preamble(line)),
            Cow::Owned(line) => Template { text: without_preamble(line).replace('%', "%%"), params: Vec::new() },
        };
        let chain = trace.as_ref().map(chain_hash);
        let workload = workload_hash(view);
        let mut hash = Xxh3::with_seed(workload);
        match chain {
            Some(chain) => hash.update(&chain.to_le_bytes()),
            None => hash.update(template.text.as_bytes()),
        }
        Self {
            fingerprint: hash.digest(),
            trace,
            template,
            line,
            chain,
            workload,
            other_errors: false,
            held_back: 0,
            crumbs: Vec::new(),
        }
    }
}

fn workload_hash(view: &View<'_, '_>) -> u64 {
    let mut hash = Xxh3::new();
    if let Some(pod) = view.pod {
        for part in [&pod.namespace, &pod.workload, &pod.container] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
    }
    hash.digest()
}

fn chain_hash(trace: &Trace<'_>) -> u64 {
    let mut hash = Xxh3::new();
    for exception in &trace.exceptions {
        hash.update(exception.ty.as_bytes());
        for frame in &exception.frames {
            hash.update(frame.module.as_deref().unwrap_or_default().as_bytes());
            hash.update(frame.function.as_deref().unwrap_or_default().as_bytes());
            hash.update(&frame.lineno.unwrap_or_default().to_le_bytes());
        }
        hash.update(&[0]);
    }
    hash.digest()
}

/// Writes the event.
pub(super) fn write(
    out: &mut Vec<u8>,
    view: &View<'_, '_>,
    event_id: EventId,
    settings: &Mapping,
    about: &Circumstances<'_>,
) {
    let mut event = Object::begin(out);
    event.text("event_id", &event_id.hex());
    json::seconds(event.key("timestamp"), view.time.micros());
    event.text("platform", about.trace.as_ref().map_or("other", |trace| trace.platform));
    event.text("level", view.level.event_name());
    event.text_if("logger", view.logger.as_deref().map(logger).as_deref());
    if !about.line.trim().is_empty() {
        write_message(&mut event, about);
    }
    if let Some(trace) = &about.trace {
        write_trace(&mut event, trace);
    }
    event.text_if("environment", view.environment.as_deref());
    event.text_if("release", view.release.as_deref());
    let server_name = view.server_name.as_deref().map(|name| limit::chars(name, limit::SERVER_NAME));
    event.text_if("server_name", server_name.as_deref());
    if let Some(id) = view.user_id.as_deref() {
        let mut user = Object::begin(event.key("user"));
        user.text("id", &limit::chars(id, limit::USER_ID));
        user.end();
    }
    write_tags(&mut event, view, &settings.tags);
    write_contexts(event.key("contexts"), view);
    if let Some(parts) = fingerprint(view, settings, about) {
        let mut list = List::begin(event.key("fingerprint"));
        parts.iter().for_each(|part| json::string(list.element(), part.as_bytes()));
        list.end();
    }
    if !about.crumbs.is_empty() {
        write_crumbs(event.key("breadcrumbs"), &about.crumbs);
    }
    let mut extra = Vec::new();
    write_extra(&mut extra, view, about);
    // Relay drops an empty object.
    if extra != b"{}" {
        event.key("extra").extend_from_slice(&extra);
    }
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
fn write_message(event: &mut Object<'_>, about: &Circumstances<'_>) {
    let template = &about.template;
    let mut entry = Object::begin(event.key("logentry"));
    entry.text("message", &limit::chars(&template.text, limit::MESSAGE));
    entry.text("formatted", &limit::chars(&about.line, limit::MESSAGE));
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

fn write_trace(event: &mut Object<'_>, trace: &Trace<'_>) {
    let mut left = MAX_STACK_BYTES;
    let mut exception = Object::begin(event.key("exception"));
    let mut values = List::begin(exception.key("values"));
    // The outermost come last and say most.
    for value in &trace.exceptions[trace.exceptions.len().saturating_sub(MAX_EXCEPTIONS)..] {
        let out = values.element();
        let start = out.len();
        write_exception(out, value, trace.fatal, left > 0);
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    exception.end();
    if trace.threads.is_empty() || left == 0 {
        return;
    }
    let mut threads = Object::begin(event.key("threads"));
    let mut values = List::begin(threads.key("values"));
    for thread in trace.threads.iter().take(MAX_THREADS) {
        if left == 0 {
            break;
        }
        let out = values.element();
        let start = out.len();
        write_thread(out, thread);
        left = left.saturating_sub(out.len() - start);
    }
    values.end();
    threads.end();
}

fn write_exception(out: &mut Vec<u8>, exception: &Exception<'_>, fatal: bool, with_frames: bool) {
    let mut value = Object::begin(out);
    value.text("type", &limit::chars(&exception.ty, limit::NAME));
    value.text("value", &limit::chars(&exception.value, limit::MESSAGE));
    value.text_if("module", exception.module.as_deref().map(|m| limit::chars(m, limit::NAME)).as_deref());
    value.text_if("thread_id", exception.thread.as_deref().map(|t| limit::chars(t, limit::NAME)).as_deref());
    let mut mechanism = Object::begin(value.key("mechanism"));
    mechanism.text("type", "log");
    mechanism.key("handled").extend_from_slice(if fatal { b"false" } else { b"true" });
    mechanism.end();
    if with_frames && !exception.frames.is_empty() {
        write_frames(value.key("stacktrace"), &exception.frames);
    }
    value.end();
}

fn write_thread(out: &mut Vec<u8>, thread: &Thread<'_>) {
    let mut value = Object::begin(out);
    value.text("id", &limit::chars(thread.id, limit::NAME));
    value.text("name", &limit::chars(thread.state, limit::NAME));
    value.key("crashed").extend_from_slice(b"false");
    if !thread.frames.is_empty() {
        write_frames(value.key("stacktrace"), &thread.frames);
    }
    value.end();
}

fn write_frames(out: &mut Vec<u8>, frames: &[Frame<'_>]) {
    let mut stacktrace = Object::begin(out);
    let mut list = List::begin(stacktrace.key("frames"));
    for frame in frames {
        let mut value = Object::begin(list.element());
        let mut text = |key: &str, text: &Option<Cow<'_, str>>, most: usize| {
            value.text_if(key, text.as_deref().map(|text| limit::chars(text, most)).as_deref());
        };
        text("function", &frame.function, limit::FUNCTION);
        text("module", &frame.module, limit::NAME);
        text("filename", &frame.filename, limit::NAME);
        text("abs_path", &frame.abs_path, limit::NAME);
        text("context_line", &frame.context_line, limit::NAME);
        for (key, number) in [("lineno", frame.lineno), ("colno", frame.colno)] {
            if let Some(number) = number {
                json::integer(value.key(key), u64::from(number));
            }
        }
        if let Some(in_app) = frame.in_app {
            value.key("in_app").extend_from_slice(if in_app { b"true" } else { b"false" });
        }
        value.end();
    }
    list.end();
    stacktrace.end();
}

/// The tags, if there are any: Relay drops an empty object.
fn write_tags(event: &mut Object<'_>, view: &View<'_, '_>, fixed: &[(String, String)]) {
    let from_pod = view.pod.map(|pod| pod.tags.as_slice()).unwrap_or_default();
    let mut sound: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (key, value) in fixed.iter().chain(from_pod).chain(&view.tags) {
        let key = limit::tag_key(key);
        let key = if RESERVED_TAGS.contains(&key.as_ref()) { Cow::Owned(format!("record.{key}")) } else { key };
        let Some(value) = limit::tag_value(value) else { continue };
        if !key.is_empty() && !sound.iter().any(|(known, _)| *known == key) {
            sound.push((key, value));
        }
    }
    if !sound.is_empty() {
        let mut tags = Object::begin(event.key("tags"));
        sound.iter().for_each(|(key, value)| tags.text(key, value));
        tags.end();
    }
}

fn write_contexts(out: &mut Vec<u8>, view: &View<'_, '_>) {
    let mut contexts = Object::begin(out);
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

/// The template where one is configured. Else with an exception none, for Sentry groups by stack; and without, Sentry's own grouping
/// kept apart by workload and container, never by pod, node or file.
fn fingerprint(view: &View<'_, '_>, settings: &Mapping, about: &Circumstances<'_>) -> Option<Vec<String>> {
    if !settings.fingerprint.is_empty() {
        let parts = settings.fingerprint.iter().enumerate().filter_map(|(place, part)| {
            if !part.starts_with('$') {
                return Some(part.clone());
            }
            view.fields.candidates(Role::Fingerprint(place as u8)).find_map(|found| scalar(found.value))
        });
        return Some(parts.collect());
    }
    if about.trace.is_some() {
        return None;
    }
    let pod = view.pod?;
    let workload = format!("{}/{}", pod.namespace, pod.workload);
    if about.other_errors {
        return Some(vec!["other errors".to_owned(), workload]);
    }
    Some(vec!["{{ default }}".to_owned(), workload, pod.container.clone()])
}

fn write_crumbs(out: &mut Vec<u8>, crumbs: &[Crumb]) {
    let mut breadcrumbs = Object::begin(out);
    let mut values = List::begin(breadcrumbs.key("values"));
    for crumb in crumbs {
        let mut value = Object::begin(values.element());
        json::seconds(value.key("timestamp"), crumb.time.micros());
        value.text("category", "log");
        value.text("level", crumb.level.event_name());
        value.text("message", &crumb.text);
        value.end();
    }
    values.end();
    breadcrumbs.end();
}

/// What nothing else has taken.
fn write_extra(out: &mut Vec<u8>, view: &View<'_, '_>, about: &Circumstances<'_>) {
    let mut extra = Object::begin(out);
    let (mut value, mut scratch) = (Vec::new(), Vec::new());
    let mut left = limit::EXTRA_TOTAL;
    if let Some(stream) = view.io_stream {
        json::string(extra.key("stream"), stream);
    }
    extra.text_if("original_time", view.original_time.as_deref());
    if about.held_back > 0 {
        json::integer(extra.key("held_back"), about.held_back);
    }
    let details: Vec<&str> = about.trace.iter().flat_map(|t| &t.exceptions).flat_map(|e| &e.details).copied().collect();
    if !details.is_empty() {
        extra.text("details", &limit::chars(&details.join("\n"), limit::MESSAGE));
    }
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
