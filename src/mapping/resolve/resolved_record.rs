//! Resolves a record: determines the meaning of each of its fields, and fills in the values that the record does not give.

use super::identity::{self, LastTrace, SpanId, StreamId, StreamIds, TraceId};
use super::kubernetes::Pod;
use super::severity::{self, Rules, Source};
use super::time;
use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Record, Timestamp};
use crate::clock::WallTime;
use crate::level::Level;
use crate::mapping::encode::limit;
use crate::mapping::extract::field_extractor::{Message, io_stream, otlp, rendered};
use crate::mapping::extract::fields::{Fields, Found, Role};
use crate::mapping::extract::interner::{FieldNames, NameId};
use crate::mapping::extract::stack;
use crate::mapping::group::stream_lines::LevelSource;
use crate::mapping::group::trace_cache::{self, DetectedTrace};
use crate::mapping::sink::FoundKeys;
use crate::options::Mapping;
use memchr::memmem;
use std::borrow::Cow;

/// A record, understood.
pub(crate) struct ResolvedRecord<'r, 'a> {
    pub time: Timestamp,
    /// The record's own time where it cannot be used.
    pub original_time: Option<String>,
    /// Time of the event according to the record itself, for decisions that must not depend on the time at which the record
    /// is read.
    pub record_time: Timestamp,
    pub level: Level,
    pub said: LevelSource,
    pub message: Cow<'a, [u8]>,
    pub trace_id: TraceId,
    /// True if the record itself names its trace.
    pub traced: bool,
    pub span_id: Option<SpanId>,
    pub environment: Option<Cow<'r, str>>,
    pub release: Option<Cow<'r, str>>,
    pub server_name: Option<Cow<'r, str>>,
    pub logger: Option<Cow<'a, str>>,
    pub user_id: Option<Cow<'a, str>>,
    /// `stdout` or `stderr`.
    pub io_stream: Option<&'a [u8]>,
    pub pod: Option<&'r Pod>,
    /// The file that the line was read from, where no pod says more (`Path_Key` of the tail input).
    pub file_path: Option<&'a [u8]>,
    /// Name that stands for the workload where there is no pod: journald's unit, syslog's ident, OpenTelemetry's service.
    pub service: Option<&'a [u8]>,
    pub stream: StreamId,
    pub keys: FoundKeys<'a>,
    pub fields: &'r Fields<'a>,
    /// The names that fields have.
    pub names: &'r FieldNames,
}

/// Data that is known before a record is viewed and that saves work when it is.
pub(crate) struct Known<'r, 't> {
    pub names: &'r FieldNames,
    /// The chunk's tag, and the streams of its records that come from no pod.
    pub tag: (&'t [u8], &'t StreamIds),
    pub trace: &'t mut LastTrace,
}

/// Properties of a record that are determined before it is viewed.
pub(crate) struct Inputs<'r, 'a, 's, 'c> {
    pub message: Message<'a>,
    pub pod: Option<&'r Pod>,
    /// The level, where a whole trace has decided it.
    pub level: Option<Level>,
    /// Reads the trace in the message, where the level is to be asked for.
    pub shown: &'s mut DetectedTrace<'c>,
}

/// Takes each meaning from the fields; the remaining fields are sent as they are.
pub(crate) fn view<'r, 'a>(
    (settings, rules): (&'r Mapping, &Rules),
    now: WallTime,
    record: Record<'a>,
    given: Inputs<'r, 'a, '_, '_>,
    fields: &'r mut Fields<'a>,
    known: Known<'r, '_>,
) -> ResolvedRecord<'r, 'a> {
    let Inputs { message: (message_key, message), pod, level: decided, shown } = given;
    let mut keys = FoundKeys { message: message_key, ..FoundKeys::default() };
    let is_stack = |found: &Found<'a>| stack::may_hold(found.value);
    keys.stack = fields.candidates(Role::Stack).find(|found| is_stack(found)).map(|found| found.key);
    // JSON that was opened, or made of the fields, says its level in a field or not at all.
    let is_json = message.first() == Some(&b'{') && (message_key.is_none() || fields.has_opened());
    let text = if is_json { &b""[..] } else { &message };
    let (level, said) = level_of((rules, decided), otlp(record), (text, shown), fields, &mut keys);
    let io_stream = io_stream(fields);
    let (stream, service) = stream_of(known.tag, pod, io_stream, fields);
    let (time, original_time) = effective_time(record.time, now);
    let (trace_id, span_id, trace_key) = trace_of(fields, known.trace, stream, time);
    let (time, original_time) = match own_time(fields, record.time, now) {
        Some(own) => (own, None),
        None => (time, original_time),
    };
    keys.trace = trace_key;
    let environment = given_or(&settings.environment, || {
        fields.take(Role::Environment, |found| usable(found.value, limit::environment))
    });
    let release = given_or(&settings.release, || {
        let own = fields.take(Role::Release, |found| usable(found.value, limit::release));
        own.or_else(|| Some(Cow::Borrowed(pod?.release.as_deref()?)))
    });
    let server_name = given_or(&settings.server_name, || {
        let node = pod.and_then(|pod| pod.node.as_deref());
        let named = fields.take(Role::ServerName, |found| server_name_of(found.value, node));
        let own = settings.machine.as_deref().filter(|_| pod.is_none()).map(Cow::Borrowed);
        named.or_else(|| syslog_host(fields)).or(own)
    });
    let file_path = if pod.is_none() { fields.take(Role::FilePath, |found| log_file(found.value)) } else { None };
    let logger = fields.take(Role::Logger, |found| text_of(found.value));
    let user_id = user_id(settings, fields);
    ResolvedRecord {
        time,
        original_time,
        record_time: record.time,
        level,
        said,
        message,
        trace_id,
        traced: trace_key.is_some(),
        span_id,
        environment,
        release,
        server_name,
        logger,
        user_id,
        io_stream,
        pod,
        file_path,
        service,
        stream,
        keys,
        fields,
        names: known.names,
    }
}

impl ResolvedRecord<'_, '_> {
    /// `tag_keys`, scalars as text; journald's unit and identifier; the file of the line.
    pub(crate) fn promoted(&self) -> Vec<(String, String)> {
        let text = |found: Found<'_>| Some((String::from_utf8_lossy(found.key).into_owned(), scalar(found.value)?));
        let of_host = |name| self.fields.get_before_message(name).and_then(|value| value.text());
        let origin = [
            ("systemd.unit", of_host(NameId::UNIT)),
            ("syslog.identifier", of_host(NameId::IDENTIFIER)),
            ("log.file.path", self.file_path),
        ];
        let origin = origin.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((name.to_owned(), String::from_utf8_lossy(value).into_owned()))
        });
        self.fields.candidates(Role::Tag).filter_map(text).chain(origin).collect()
    }
}

/// The absolute path of a log file; the path of a request is none.
fn log_file(value: Value<'_>) -> Option<&[u8]> {
    const ENDS: [&[u8]; 6] = [b".log", b".txt", b".out", b".err", b".json", b".jsonl"];
    let path = value.text()?;
    let is_file = path.starts_with(b"/")
        && (ENDS.iter().any(|end| path.ends_with(end)) || memmem::find(path, b"/log/").is_some());
    is_file.then_some(path)
}

/// The user's id, with `send_pii`; without, everything about the user is taken away.
fn user_id<'a>(settings: &Mapping, fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    if !settings.send_pii {
        fields.take_users();
        return None;
    }
    fields.take(Role::UserId, |found| scalar(found.value).map(Cow::Owned))
}

/// Returns the level: that of a field; else that of a crash, whatever words begin its lines; else that of the text, or of a
/// trace.
fn level_of<'a>(
    (rules, decided): (&Rules, Option<Level>),
    otlp: Option<Seq<'_>>,
    (message, in_message): (&[u8], &mut DetectedTrace<'_>),
    fields: &mut Fields<'a>,
    keys: &mut FoundKeys<'a>,
) -> (Level, LevelSource) {
    let found = severity::severity(rules, fields, otlp, message);
    let said = match found {
        Some((_, Source::Field(_))) => LevelSource::InField,
        Some((_, Source::Text)) => LevelSource::InText,
        Some((_, Source::Assumed(_))) | None => LevelSource::Nowhere,
    };
    let shown = if decided.is_none() && said != LevelSource::InField {
        let in_stack = || {
            let about = about_stack(fields);
            fields
                .candidates(Role::Stack)
                .find_map(|found| trace_cache::level_of_stack(&stack::text(found.value, about)?))
        };
        in_message.level_of_message(message).or_else(in_stack)
    } else {
        None
    };
    keys.level = match found {
        Some((_, Source::Field(key))) => Some(key),
        Some((_, Source::Assumed(key))) if shown.is_none() => Some(key),
        _ => None,
    };
    let (found, assumed) = match found {
        Some((level, Source::Assumed(_))) => (None, Some(level)),
        found => (found.map(|(level, _)| level), None),
    };
    let crash = shown.filter(|level| *level == Level::Fatal);
    keys.level_in_text = said == LevelSource::InText && crash.is_none();
    keys.level_of_trace = crash.is_some() || shown.is_some() && said == LevelSource::Nowhere;
    let level = decided.or(crash).or(found).or(shown).or(assumed).unwrap_or(rules.default);
    keys.severity = Some(level);
    (level, said)
}

/// A pod's container and its stdout or stderr; for journald the unit, for syslog host and ident, else the tag, of which
/// OpenTelemetry's input makes one for all services. And the name of the service, where no pod has a better one.
fn stream_of<'a>(
    (tag, of_tag): (&[u8], &StreamIds),
    pod: Option<&Pod>,
    io_stream: Option<&[u8]>,
    fields: &Fields<'a>,
) -> (StreamId, Option<&'a [u8]>) {
    let text = |name| fields.get(name).and_then(|v| v.text());
    // A message must not choose whose line it is.
    let of_host = |name| fields.get_before_message(name).and_then(|v| v.text());
    if let Some(pod) = pod {
        return (pod.streams.get(io_stream), None);
    }
    match (of_host(NameId::UNIT), of_host(NameId::HOST), of_host(NameId::IDENT)) {
        (Some(unit), _, _) => (StreamId::new(&[b"journald", unit]), Some(unit)),
        (None, Some(host), Some(ident)) => (StreamId::new(&[b"syslog", host, ident]), Some(ident)),
        _ => {
            let service = text(NameId::SERVICE).filter(|name| !name.is_empty());
            let of_service = |service| StreamId::new(&[b"tag", tag, io_stream.unwrap_or_default(), service]);
            (service.map_or_else(|| of_tag.get(io_stream), of_service), service)
        }
    }
}

/// The time to send, and the record's own as text where Sentry would not keep it.
pub(crate) fn effective_time(time: Timestamp, now: WallTime) -> (Timestamp, Option<String>) {
    if is_kept(time, now) {
        return (time, None);
    }
    let original = format!("{}.{:09}", time.secs, time.nanos);
    (now.into(), Some(original))
}

/// Returns true if Sentry keeps a time: it is neither too old nor too far ahead.
fn is_kept(time: Timestamp, now: WallTime) -> bool {
    let (now, secs) = (now.as_secs(), time.secs);
    secs.saturating_add(limit::MAX_AGE_SECS) >= now && secs <= now.saturating_add(limit::MAX_AHEAD_SECS)
}

/// The time that the logger itself gives in the message, where Sentry keeps it.
fn own_time(fields: &mut Fields<'_>, record: Timestamp, now: WallTime) -> Option<Timestamp> {
    let opened = |found: &Found<'_>| fields.is_opened(found);
    let (time, found) = fields
        .candidates(Role::Time)
        .filter(opened)
        .find_map(|found| Some((time::read(found.value, record)?, found)))
        .filter(|(time, _)| is_kept(*time, now))?;
    fields.mark_found(&found);
    Some(time)
}

/// Returns the fields of the record that describe the exception whose stack it holds.
pub(crate) fn about_stack<'a>(fields: &Fields<'a>) -> stack::About<'a> {
    let text = |role| fields.candidates(role).find_map(|found| found.value.text());
    stack::About { ty: text(Role::ErrorType), message: text(Role::ErrorMessage) }
}

fn trace_of<'a>(
    fields: &mut Fields<'a>,
    last: &mut LastTrace,
    stream: StreamId,
    time: Timestamp,
) -> (TraceId, Option<SpanId>, Option<&'a [u8]>) {
    let trace = fields.take(Role::TraceId, |found| Some((identity::trace_id(found.value)?, found.key)));
    let span = fields.take(Role::SpanId, |found| identity::span_id(found.value));
    match trace {
        Some(((trace, parent), key)) => (trace, span.or(parent), Some(key)),
        None => (last.get(stream, time), span, None),
    }
}

/// A syslog line's host is the one that it came from, and `-` says that there is nothing to say (RFC 5424).
fn syslog_host<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    fields.get(NameId::IDENT)?;
    let host = text_of(fields.get(NameId::HOST)?)?;
    fields.mark(NameId::HOST);
    for field in fields.all.iter_mut().filter(|field| field.value == Value::Str(b"-")) {
        field.taken = true;
    }
    Some(host)
}

/// Text of a server's name. Mostly it is the name of the pod's node, which has been read.
fn server_name_of<'r>(value: Value<'r>, node: Option<&'r str>) -> Option<Cow<'r, str>> {
    let text = value.text()?.trim_ascii();
    match node.filter(|node| !text.is_empty() && node.as_bytes() == text) {
        Some(node) => Some(Cow::Borrowed(node)),
        None => text_of(value),
    }
}

fn given_or<'r>(given: &'r Option<String>, find: impl FnOnce() -> Option<Cow<'r, str>>) -> Option<Cow<'r, str>> {
    match given {
        Some(text) => Some(Cow::Borrowed(text)),
        None => find(),
    }
}

fn text_of(value: Value<'_>) -> Option<Cow<'_, str>> {
    let text = value.text()?.trim_ascii();
    // Most is UTF-8, which costs less to check than to read.
    (!text.is_empty()).then(|| std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed))
}

fn usable<'a>(value: Value<'a>, accept: fn(&str) -> Option<&str>) -> Option<Cow<'a, str>> {
    let text = text_of(value)?;
    let accepted = accept(&text)?.to_owned();
    Some(if accepted == text { text } else { Cow::Owned(accepted) })
}

/// Text, number or switch as text.
pub(crate) fn scalar(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Value::Nil | Value::Map(_) | Value::Array(_) => None,
        other => String::from_utf8(rendered(other)).ok(),
    }
}
