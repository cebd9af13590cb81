//! Writes a record as a Sentry log: one object of a `log` container.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/logs/>. Relay silently drops a log without timestamp, trace id, level
//! or body, and an attribute whose value does not match its type, so none of these may ever be missing. [`write`] puts the
//! parts in order, `attributes` writes each, `used` remembers their names.

mod attributes;
mod used;

use super::{json, limit};
use crate::chunk::msgpack::Value;
use crate::mapping::extract::interner::NameId;
use crate::mapping::{ResolvedRecord, SDK_NAME, SDK_VERSION, scrub};
use crate::options::{LogAttributes, Source};
use attributes::{Attributes, Watch, attribute, body, is_reserved};
use std::ops::Range;
use used::LASTING;
pub(crate) use used::Used;
use xxhash_rust::xxh3::xxh3_64;

/// Attributes that are the same for every log, ready to be copied.
#[derive(Debug, Default)]
pub(crate) struct Constant {
    json: Vec<u8>,
    used: Used,
    /// Bytes that Sentry bills for all of it.
    billed: usize,
    left_out: u64,
    /// True if something in it may have to be scrubbed.
    suspicious: bool,
    /// True if the settings require that values under one of [`PLAIN`] are scrubbed.
    wanted: bool,
}

/// Attributes of our own whose values hold nothing that has to be scrubbed.
const PLAIN: &[u8] = b",\"log.iostream\":{\"value\":\"\"},\"sentry.timestamp.sequence\":{\"value\":0}";

/// A log that has been written: its need for scrubbing, and its cost.
pub(crate) struct Known {
    /// True if something in it may have to go.
    pub needed: bool,
    /// Members of its attributes in which nothing has to, in order: those of all logs, those of a pod and its streams, and the
    /// pod's service.
    pub parts: [Range<usize>; 3],
    /// Bytes that Sentry bills for it, as long as nothing is taken out of it. See [`super::billed`].
    pub billed: usize,
}

impl Constant {
    /// Returns the attributes about the sender that Sentry wants, and the tags of the settings.
    pub(crate) fn new(tags: &[(String, String)], attributes: &LogAttributes) -> Self {
        let ours = [
            ("sentry.sdk.name", SDK_NAME),
            ("sentry.sdk.version", SDK_VERSION),
            ("sentry.origin", "auto.log.fluent_bit"),
        ];
        let tags = tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut constant = Self::default();
        let ours = ours.into_iter().filter(|(name, _)| attributes.sends(name, Source::Full));
        ours.chain(tags).for_each(|(name, value)| constant.add(name, value));
        constant
    }

    /// Adds a text attribute, while there is room.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if self.json.len() + name.len() + value.len() > limit::POD_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        self.billed += attribute(&mut self.json, name.as_bytes(), Value::Str(value.as_bytes()));
        self.used.add(xxh3_64(name.as_bytes()));
    }

    /// The attributes as JSON, each with a comma before it.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// Adds the number of labels that had no room; nothing is added after it.
    pub(crate) fn end(&mut self) {
        if self.left_out > 0 {
            self.billed += attribute(&mut self.json, b"log.record.labels_left_out", Value::UInt(self.left_out));
        }
    }

    /// Looks at it for all the logs that will have it.
    pub(crate) fn judge(&mut self, scrub: &scrub::Rules) {
        self.suspicious = scrub.may_need(&self.json);
        self.wanted = scrub.may_need(PLAIN);
    }
}

/// Writes the log.
pub(crate) fn write(
    out: &mut Vec<u8>,
    view: &ResolvedRecord<'_, '_>,
    (constant, selected, scrub): (&Constant, &LogAttributes, &scrub::Rules),
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
    let mut watch = Watch { scrub, needed: false };
    let body = body(out, &view.message, &mut watch);
    out.extend_from_slice(b",\"attributes\":{");
    let start = out.len();
    used.clear();
    let mut attributes = Attributes { out, start, used, selected, billed: body, left_out: 0, watch };
    let parts = write_attributes(&mut attributes, view, constant, sequence);
    attributes.end();
    let (billed, needed) = (attributes.billed.max(1), attributes.watch.needed);
    out.extend_from_slice(b"}}");
    Known { needed, parts, billed }
}

fn write_attributes(
    attributes: &mut Attributes<'_>,
    view: &ResolvedRecord<'_, '_>,
    constant: &Constant,
    sequence: u32,
) -> [Range<usize>; 3] {
    let selected = attributes.selected;
    let first = attributes.copy(constant);
    // Where a record has a node, the server's address says the same.
    let has_node = view.pod.is_some_and(|pod| pod.node.is_some());
    let address = if has_node { Source::Full } else { Source::Lean };
    let lasting: [_; LASTING] = [
        (NameId::ENVIRONMENT, view.environment.as_deref(), Source::Lean),
        (NameId::RELEASE, view.release.as_deref(), Source::Lean),
        (NameId::ADDRESS, view.server_name.as_deref(), address),
        (NameId::LOGGER, view.logger.as_deref(), Source::Lean),
    ];
    for (place, (name, value, source)) in lasting.into_iter().enumerate() {
        if let Some(value) = value
            && attributes.sends(view.names.get(name), source)
        {
            attributes.lasting(place, view.names.get(name), value.as_bytes());
        }
    }
    if let Some(user) = view.user_id.as_deref().filter(|_| attributes.sends(view.names.get(NameId::USER), Source::Lean))
    {
        attributes.new_one(view.names.get(NameId::USER), Value::Str(user.as_bytes()));
    }
    // Only what comes from no pod has a file here.
    if let Some(path) = view.file_path.filter(|_| attributes.sends(view.names.get(NameId::FILE_PATH), Source::Lean)) {
        attributes.new_one(view.names.get(NameId::FILE_PATH), Value::Str(path));
    }
    // Both say when a log was written, which no selection may hide.
    if let Some(time) = view.original_time.as_deref() {
        attributes.new_one(view.names.get(NameId::RECORD_TIME), Value::Str(time.as_bytes()));
    }
    let second = attributes.out.len();
    let second = view.pod.map_or(second..second, |pod| attributes.copy(&pod.log_attributes));
    if let Some(stream) = view.io_stream.filter(|_| attributes.sends(view.names.get(NameId::IO_STREAM), Source::Full)) {
        attributes.new_one(view.names.get(NameId::IO_STREAM), Value::Str(stream));
    }
    if sequence > 0 {
        attributes.new_one(view.names.get(NameId::SEQUENCE), Value::UInt(u64::from(sequence)));
    }
    attributes.watch.needed |= constant.wanted;
    // What has to be cleaned is an empty range at the start, and stays one.
    let second = if constant.wanted || second.end == 0 { second } else { second.start..attributes.out.len() };
    let (mut scratch, all) = (Vec::new(), selected.sends_all(Source::Field));
    for field in view.fields.rest() {
        match field.name.map(|name| view.names.get(name)) {
            Some(name)
                if all && is_plain(field.value) && !is_reserved(name.text(), field.value, view.pod.is_some()) =>
            {
                attributes.learnt(name, field.value);
            }
            _ => attributes.field(json::key_text(field.key, &mut scratch), field.value, view.pod.is_some()),
        }
    }
    // The record may name its service itself, and knows it better than the pod.
    let service = view.pod.filter(|_| !attributes.used.has(view.names.get(NameId::SERVICE).hash));
    let third = attributes.out.len();
    let third = service.map_or(third..third, |pod| attributes.copy(&pod.service));
    [first, second, third]
}

/// Returns true if a value is a single attribute.
fn is_plain(value: Value<'_>) -> bool {
    !matches!(value, Value::Map(_))
}
