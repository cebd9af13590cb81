//! Writes the attributes and the texts of one log, and looks at each text while it is written.

use super::Constant;
use super::used::Used;
use crate::chunk::msgpack::{Seq, Value};
use crate::mapping::encode::{billed, json, limit};
use crate::mapping::extract::interner::Name;
use crate::mapping::scrub;
use crate::options::{LogAttributes, Source};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Maps deeper than this are sent as JSON text.
const MAX_FLATTENED: usize = 5;

/// Most attributes of one log.
const MAX_ATTRIBUTES: usize = 4_096;

/// Names with a meaning at Sentry are not the record's to use.
pub(super) fn is_reserved(name: &[u8], value: Value<'_>, has_pod: bool) -> bool {
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
pub(super) fn body(out: &mut Vec<u8>, message: &[u8], watch: &mut Watch<'_>) -> usize {
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
pub(super) struct Watch<'s> {
    pub(super) scrub: &'s scrub::Rules,
    /// True once something was written that may have to go.
    pub(super) needed: bool,
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
pub(super) struct Attributes<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) start: usize,
    pub(super) used: &'o mut Used,
    pub(super) selected: &'o LogAttributes,
    /// Bytes that Sentry bills for the log so far.
    pub(super) billed: usize,
    pub(super) left_out: u64,
    pub(super) watch: Watch<'o>,
}

impl Attributes<'_> {
    /// Returns true if `log_attributes` wants this attribute of the plugin's own.
    pub(super) fn sends(&self, name: &Name, source: Source) -> bool {
        let by_name = || std::str::from_utf8(name.text()).is_ok_and(|name| self.selected.sends(name, source));
        self.selected.sends_all(source) || self.selected.has_names() && by_name()
    }

    /// Copies a prepared constant, and returns its place unless something in it may have to be scrubbed.
    pub(super) fn copy(&mut self, constant: &Constant) -> Range<usize> {
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
    pub(super) fn learnt(&mut self, name: &Name, value: Value<'_>) {
        if self.used.hashes.len() >= MAX_ATTRIBUTES || self.used.has(name.hash) {
            return self.own(name.text(), value);
        }
        self.new_one(name, value);
    }

    /// An attribute of a learnt name that nothing has used yet.
    pub(super) fn new_one(&mut self, name: &Name, value: Value<'_>) {
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
    pub(super) fn lasting(&mut self, place: usize, name: &Name, value: &[u8]) {
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
    pub(super) fn field(&mut self, name: &[u8], value: Value<'_>, has_pod: bool) {
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
    pub(super) fn end(&mut self) {
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
pub(super) fn attribute(out: &mut Vec<u8>, name: &[u8], value: Value<'_>) -> usize {
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
