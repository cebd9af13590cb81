//! Writes a record as a Sentry log: one object of a `log` container.
//!
//! Format: <https://develop.sentry.dev/sdk/telemetry/logs/>. Relay silently drops a log without timestamp, trace id, level
//! or body, and an attribute whose value does not match its type, so none of these may ever be missing.

use super::json;
use super::{billed, limit};
use crate::chunk::msgpack::{Seq, Value};
use crate::mapping::extract::interner::{Name, NameId};
use crate::mapping::{ResolvedRecord, SDK_NAME, SDK_VERSION, scrub};
use crate::options::{LogAttributes, Source};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Maps deeper than this are sent as JSON text.
const MAX_FLATTENED: usize = 5;

/// Most attributes of one log.
const MAX_ATTRIBUTES: usize = 4_096;

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

/// Hashes of the attributes' names that are written, and a look that mostly says at once that one is not among them.
#[derive(Debug, Default)]
pub(crate) struct Used {
    hashes: Vec<u64>,
    bits: [u64; 4],
    /// The environment, release, address and logger of the log before, and the prefilter's result for each.
    lasting: [(Vec<u8>, Option<scrub::Look>); LASTING],
    /// Names of nested fields in the order of the log that had the most of them.
    nested: Vec<Nested>,
    /// The number of nested fields that the log has so far.
    nested_here: usize,
}

/// The name of a nested field, which is no learnt name: the logs of a program have the same ones in the same order.
#[derive(Debug, Default)]
struct Nested {
    name: Vec<u8>,
    hash: u64,
    /// `,"name":{"value":`, and the bytes of the name that Sentry bills.
    attribute: Vec<u8>,
    billed: usize,
    /// True if the name may say that the values under it are secret.
    is_sensitive: bool,
}

/// Most names of nested fields that are remembered, and the longest of them.
const MOST_NESTED: usize = 64;
const LONGEST_NESTED: usize = 128;

/// Attributes of the plugin's own that mostly have the value that they had in the log before.
const LASTING: usize = 4;

impl Used {
    fn clear(&mut self) {
        self.hashes.clear();
        self.bits = [0; 4];
        self.nested_here = 0;
    }

    /// The place of a nested field's name among those that are remembered, if it may be.
    fn nested(&mut self, name: &[u8], scrub: &scrub::Rules) -> Option<usize> {
        let place = self.nested_here;
        self.nested_here += 1;
        if self.nested.get(place).is_some_and(|known| known.name == name) {
            return Some(place);
        }
        // A name that is too long to be remembered leaves its place to none.
        if place >= MOST_NESTED || name.len() > LONGEST_NESTED || place > self.nested.len() {
            return None;
        }
        if place == self.nested.len() {
            self.nested.push(Nested::default());
        }
        let known = &mut self.nested[place];
        name.clone_into(&mut known.name);
        known.hash = xxh3_64(name);
        known.attribute.clear();
        known.billed = json::head_of_attribute(&mut known.attribute, name);
        known.is_sensitive = scrub.may_be_sensitive(&known.attribute);
        Some(place)
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

/// A log that has been written: its need for scrubbing, and its cost.
pub(crate) struct Known {
    /// True if something in it may have to go.
    pub needed: bool,
    /// Members of its attributes in which nothing has to, in order: those of all logs, those of a pod and its streams, and the
    /// pod's service.
    pub parts: [Range<usize>; 3],
    /// Bytes that Sentry bills for it, as long as nothing is taken out of it. See [`billed`].
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
/// their room, so a cut body may have to be cut again. Returns its bytes as UTF-8.
fn body(out: &mut Vec<u8>, message: &[u8], watch: &mut Watch<'_>) -> usize {
    let start = out.len();
    let mut most = limit::LOG_BODY;
    loop {
        let read = marked(out, message, most, Some(watch));
        let written = out.len() - start;
        if written <= limit::LOG_BODY_JSON {
            return read;
        }
        most = most.min(message.len()) * limit::LOG_BODY_JSON / written * 9 / 10;
        out.truncate(start);
    }
}

/// Looks at each text of an item while it is written, so that the item's JSON is not read again for it.
struct Watch<'s> {
    scrub: &'s scrub::Rules,
    /// True once something was written that may have to go.
    needed: bool,
}

impl Watch<'_> {
    /// Writes a text that was looked at as a string. Returns its bytes as UTF-8.
    fn looked(&mut self, out: &mut Vec<u8>, text: &[u8], look: scrub::Look) -> usize {
        self.needed |= look.needed;
        if look.special {
            return json::string(out, text);
        }
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        text.len()
    }

    /// Checks if a value has to be scrubbed because of its name.
    fn under(&mut self, name: &[u8], value: Value<'_>) {
        let hides = |text: &str, quoted| self.scrub.hides(name, text, quoted);
        self.needed |= match value {
            Value::Bool(_) | Value::Nil => false,
            Value::Str(text) => std::str::from_utf8(text).map_or(true, |text| hides(text, true)),
            Value::Int(n) => hides(&n.to_string(), false),
            Value::UInt(n) => hides(&n.to_string(), i64::try_from(n).is_err()),
            Value::Float(_) | Value::Bin(_) | Value::Ext(..) | Value::Array(_) | Value::Map(_) => true,
        };
    }
}

/// Writes a string of at most `most` bytes; the number of bytes cut off is stated at its end. A text that is cut is scrubbed
/// before, for a cut may remove the words that mark the remaining text as a secret. Returns its bytes as UTF-8.
fn marked(out: &mut Vec<u8>, text: &[u8], most: usize, watch: Option<&mut Watch<'_>>) -> usize {
    let Some(watch) = watch else { return cut(out, text, most) };
    if text.len() > most {
        watch.needed = true;
        return match watch.scrub.cleaned(&String::from_utf8_lossy(text)) {
            Some(cleaned) => cut(out, cleaned.as_bytes(), most),
            None => cut(out, text, most),
        };
    }
    let look = watch.scrub.look(text);
    watch.looked(out, text, look)
}

fn cut(out: &mut Vec<u8>, text: &[u8], most: usize) -> usize {
    let (kept, cut) = limit::bytes(text, most);
    out.push(b'"');
    let mut read = json::escaped(out, kept);
    if cut > 0 {
        let mark = format!(" [cut {cut} bytes]");
        out.extend_from_slice(mark.as_bytes());
        read += mark.len();
    }
    out.push(b'"');
    read
}

/// The attributes of one log. No name is written twice, and no more than Sentry takes.
struct Attributes<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    used: &'o mut Used,
    selected: &'o LogAttributes,
    /// Bytes that Sentry bills for the log so far.
    billed: usize,
    left_out: u64,
    watch: Watch<'o>,
}

impl Attributes<'_> {
    /// Returns true if `log_attributes` wants this attribute of the plugin's own.
    fn sends(&self, name: &Name, source: Source) -> bool {
        let by_name = || std::str::from_utf8(name.text()).is_ok_and(|name| self.selected.sends(name, source));
        self.selected.sends_all(source) || by_name()
    }

    /// Copies a prepared constant, and returns its place unless something in it may have to be scrubbed.
    fn copy(&mut self, constant: &Constant) -> Range<usize> {
        let start = self.out.len();
        self.out.extend_from_slice(self.without_comma(&constant.json));
        self.used.add_all(&constant.used);
        self.billed += constant.billed;
        self.watch.needed |= constant.suspicious;
        if constant.suspicious { 0..0 } else { start..self.out.len() }
    }

    /// The attribute or attributes as they stand in this log: the first has no comma before it.
    fn without_comma<'j>(&self, json: &'j [u8]) -> &'j [u8] {
        if self.out.len() == self.start { json.get(1..).unwrap_or_default() } else { json }
    }

    /// An attribute of a name that nothing has used yet.
    fn add(&mut self, name: &[u8], value: Value<'_>) {
        self.used.add(xxh3_64(name));
        self.write(name, value);
    }

    fn write(&mut self, name: &[u8], value: Value<'_>) {
        let before = self.out.len();
        let named = json::head_of_attribute(self.out, name);
        if self.watch.scrub.may_be_sensitive(&self.out[before..]) {
            self.watch.under(name, value);
        }
        let billed = named + typed(self.out, value, Some(&mut self.watch));
        self.mend_comma(before);
        self.keep(before, billed);
    }

    /// The same for a name that is remembered.
    fn write_nested(&mut self, place: usize, name: &[u8], value: Value<'_>) {
        let before = self.out.len();
        let known = &self.used.nested[place];
        let named = known.billed;
        self.out.extend_from_slice(&known.attribute[usize::from(before == self.start)..]);
        if known.is_sensitive {
            self.watch.under(name, value);
        }
        let billed = named + typed(self.out, value, Some(&mut self.watch));
        self.keep(before, billed);
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
        self.out.extend_from_slice(self.without_comma(&name.attribute));
        if name.sensitive {
            self.watch.under(name.text(), value);
        }
        let billed = name.text().len() + typed(self.out, value, Some(&mut self.watch));
        self.keep(before, billed);
    }

    /// The same for a text that the log before may have had too.
    fn lasting(&mut self, place: usize, name: &Name, value: &[u8]) {
        let (text, look) = &mut self.used.lasting[place];
        let known = look.filter(|_| *text == value);
        let Some(known) = known.filter(|_| value.len() <= limit::ATTRIBUTE && !name.sensitive) else {
            value.clone_into(text);
            *look = Some(self.watch.scrub.look(value));
            return self.new_one(name, Value::Str(value));
        };
        self.used.add(name.hash);
        let before = self.out.len();
        self.out.extend_from_slice(self.without_comma(&name.attribute));
        let billed = name.text().len() + self.watch.looked(self.out, value, known);
        self.out.extend_from_slice(b",\"type\":\"string\"}");
        self.keep(before, billed);
    }

    /// Counts an attribute, or takes it back where it does not fit.
    fn keep(&mut self, before: usize, billed: usize) {
        if self.out.len() - self.start > limit::LOG_ATTRIBUTES {
            self.out.truncate(before);
            self.left_out += 1;
        } else {
            self.billed += billed;
        }
    }

    /// An attribute of the record's own. Where its name is taken, a prefix keeps the two apart.
    fn own(&mut self, name: &[u8], value: Value<'_>) {
        let sends = |text| self.selected.sends(text, Source::Field);
        if !self.selected.sends_all(Source::Field) && !std::str::from_utf8(name).is_ok_and(sends) {
            return;
        }
        if self.used.hashes.len() >= MAX_ATTRIBUTES {
            self.left_out += 1;
            return;
        }
        let place = self.used.nested(name, self.watch.scrub);
        let hash = place.map_or_else(|| xxh3_64(name), |place| self.used.nested[place].hash);
        if !self.used.has(hash) {
            self.used.add(hash);
            return match place {
                Some(place) => self.write_nested(place, name, value),
                None => self.write(name, value),
            };
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

    /// Adds the number of attributes that were left out.
    fn end(&mut self) {
        if self.left_out > 0 {
            let before = self.out.len();
            self.billed += attribute(self.out, b"log.record.attributes_left_out", Value::UInt(self.left_out));
            self.mend_comma(before);
        }
    }

    /// Takes away the comma of an attribute that turned out to be the log's first.
    fn mend_comma(&mut self, before: usize) {
        if before == self.start {
            self.out.remove(before);
        }
    }
}

/// Writes one typed attribute, with a comma before it. Returns the bytes that Sentry bills for it.
fn attribute(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) -> usize {
    let name = json::head_of_attribute(out, name);
    name + typed(out, value, None)
}

/// Writes an attribute's value and its type. An integer beyond 64 signed bits becomes a string, which Relay takes. Returns
/// the bytes that Sentry bills for the value.
fn typed(out: &mut Vec<u8>, value: Value<'_>, watch: Option<&mut Watch<'_>>) -> usize {
    let end: &[u8] = match value {
        Value::Bool(_) => b",\"type\":\"boolean\"}",
        Value::Int(_) => b",\"type\":\"integer\"}",
        Value::UInt(n) if i64::try_from(n).is_ok() => b",\"type\":\"integer\"}",
        Value::Float(n) if n.is_finite() => b",\"type\":\"double\"}",
        _ => b",\"type\":\"string\"}",
    };
    let billed = match value {
        Value::UInt(n) if i64::try_from(n).is_err() => marked(out, n.to_string().as_bytes(), limit::ATTRIBUTE, watch),
        Value::Array(_) | Value::Map(_) => {
            let mut text = Vec::new();
            json::value(&mut text, value);
            marked(out, &text, limit::ATTRIBUTE, watch)
        }
        Value::Nil => json::string(out, b""),
        Value::Str(text) => marked(out, text, limit::ATTRIBUTE, watch),
        Value::Bin(bytes) | Value::Ext(_, bytes) if std::str::from_utf8(bytes).is_ok() => {
            marked(out, bytes, limit::ATTRIBUTE, watch)
        }
        Value::Bin(bytes) | Value::Ext(_, bytes) => {
            let mut digits = Vec::new();
            json::hex(&mut digits, bytes);
            marked(out, &digits, limit::ATTRIBUTE, watch)
        }
        Value::Bool(_) => {
            json::value(out, value);
            billed::BOOLEAN
        }
        Value::Float(n) if !n.is_finite() => json::string(out, json::non_finite(n).as_bytes()),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
            json::value(out, value);
            billed::NUMBER
        }
    };
    out.extend_from_slice(end);
    billed
}
