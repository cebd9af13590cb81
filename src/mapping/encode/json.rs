//! Writes JSON straight into a byte buffer, without a tree of values and without formatting machinery.

mod escape;
#[cfg(test)]
mod tests;

use crate::chunk::msgpack::{Seq, Value};
pub use escape::escaped;
use serde_json::to_writer;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Containers nested deeper than this are written as a marker: Sentry cuts at depth 7 itself, and recursion is bounded.
const MAX_DEPTH: usize = 16;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// An object being written; closed by [`Object::end`].
pub struct Object<'b> {
    out: &'b mut Vec<u8>,
    first: bool,
}

impl<'b> Object<'b> {
    /// Opens an object.
    pub fn begin(out: &'b mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Writes a key that needs no escape, and hands out the buffer for its value. Keys from records go through
    /// [`Object::raw_key`].
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if std::mem::take(&mut self.first) { b"\"" } else { b",\"" });
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Bytes that the buffer holds by now.
    pub fn length(&self) -> usize {
        self.out.len()
    }

    /// As [`Object::key`], for bytes that need not be UTF-8.
    pub fn raw_key(&mut self, key: &[u8]) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A text value.
    pub fn text(&mut self, key: &str, value: &str) {
        string(self.key(key), value.as_bytes());
    }

    /// A text value, if there is one.
    pub fn text_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// A list being written; closed by [`List::end`].
pub struct List<'b> {
    out: &'b mut Vec<u8>,
    first: bool,
}

impl<'b> List<'b> {
    /// Opens a list.
    pub fn begin(out: &'b mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, first: true }
    }

    /// Hands out the buffer for the next element.
    pub fn element(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out
    }

    /// Closes the list.
    pub fn end(self) {
        self.out.push(b']');
    }
}

/// Writes a string: escaped, and with bytes that are not UTF-8 replaced by U+FFFD. Returns the bytes that a reader gets as
/// UTF-8.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    out.push(b'"');
    let read = escaped(out, bytes);
    out.push(b'"');
    read
}

/// Writes the beginning of a log's attribute, with a comma before it: `,"name":{"value":`. Returns the bytes of the name as
/// UTF-8.
pub fn head_of_attribute(out: &mut Vec<u8>, name: &[u8]) -> usize {
    out.push(b',');
    let read = string(out, name);
    out.extend_from_slice(b":{\"value\":");
    read
}

/// A whole number.
pub fn integer(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while n >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(n));
        n /= 100;
    }
    // The first of an odd number of digits, or the only one.
    if n > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last two decimal digits.
fn pair(n: u64) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut all = [[0; 2]; 100];
        let mut n = 0;
        while n < all.len() {
            all[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
            n += 1;
        }
        all
    };
    PAIRS[(n % 100) as usize]
}

/// A whole number with a sign.
pub fn signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    integer(out, n.unsigned_abs());
}

/// Microseconds as seconds with six decimals.
pub fn seconds(out: &mut Vec<u8>, micros: u64) {
    integer(out, micros / 1_000_000);
    let fraction = micros % 1_000_000;
    let [[a, b], [c, d], [e, f]] = [fraction / 10_000, fraction / 100, fraction].map(pair);
    out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

/// Bytes as lower-case hexadecimal, without quotes.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    out.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
}

/// A quoted id of so many bytes in lower-case hexadecimal.
pub fn id<const N: usize>(out: &mut Vec<u8>, id: &[u8; N]) {
    let mut digits = [[0; 2]; N];
    digits.iter_mut().zip(id).for_each(|(digits, byte)| *digits = DIGITS[usize::from(*byte)]);
    out.push(b'"');
    out.extend_from_slice(digits.as_flattened());
    out.push(b'"');
}

/// The two digits of each byte.
const DIGITS: [[u8; 2]; 256] = digits();

const fn digits() -> [[u8; 2]; 256] {
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    all
}

/// A float; NaN and the infinities, which JSON lacks, become strings.
pub fn float(out: &mut Vec<u8>, n: f64) {
    if n.is_finite() {
        // Writing to a Vec cannot fail.
        let _ = to_writer(out, &n);
    } else {
        string(out, non_finite(n).as_bytes());
    }
}

/// The name of a float that JSON lacks.
pub fn non_finite(n: f64) -> &'static str {
    match n {
        _ if n.is_nan() => "NaN",
        _ if n > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// Any value.
pub fn value(out: &mut Vec<u8>, v: Value<'_>) {
    nested(out, v, 0);
}

fn nested(out: &mut Vec<u8>, v: Value<'_>, depth: usize) {
    match v {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Value::Int(n) => signed(out, n),
        Value::UInt(n) => integer(out, n),
        Value::Float(n) => float(out, n),
        Value::Str(bytes) => _ = string(out, bytes),
        Value::Bin(bytes) => binary(out, bytes),
        Value::Ext(_, bytes) => binary(out, bytes),
        Value::Array(_) | Value::Map(_) if depth >= MAX_DEPTH => out.extend_from_slice(b"\"[too deep]\""),
        Value::Array(seq) => array(out, seq, depth),
        Value::Map(seq) => map(out, seq, depth),
    }
}

/// Text where the bytes are text, else hexadecimal: ids travel as raw bytes in OTLP.
pub fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    if std::str::from_utf8(bytes).is_ok() {
        string(out, bytes);
        return;
    }
    out.push(b'"');
    hex(out, bytes);
    out.push(b'"');
}

fn array(out: &mut Vec<u8>, seq: Seq<'_>, depth: usize) {
    let mut list = List::begin(out);
    for v in seq.values() {
        nested(list.element(), v, depth + 1);
    }
    list.end();
}

fn map(out: &mut Vec<u8>, seq: Seq<'_>, depth: usize) {
    let mut object = Object::begin(out);
    let mut scratch = Vec::new();
    for (key, v) in last_pairs(seq) {
        nested(object.raw_key(key_text(key, &mut scratch)), v, depth + 1);
    }
    object.end();
}

/// The pairs of a map, of duplicate keys the last one only: JSON parsers disagree on duplicates.
pub fn last_pairs<'a>(map: Seq<'a>) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
    let places = (map.len() > FEW_KEYS).then(|| last_places(map));
    let mut few = [(Value::Nil, Value::Nil); FEW_KEYS];
    let few_pairs = if places.is_none() { map.pairs() } else { Seq::EMPTY.pairs() };
    few.iter_mut().zip(few_pairs).for_each(|(place, pair)| *place = pair);
    let length = if places.is_none() { map.len() } else { 0 };
    let first = (0..length).filter(move |at| {
        let later = &few[at + 1..length];
        !later.iter().any(|(later, _)| same_key(*later, few[*at].0))
    });
    let many = if places.is_some() { map.pairs() } else { Seq::EMPTY.pairs() };
    let many = many.enumerate().filter(move |(position, (key, _))| {
        places.as_ref().is_some_and(|places| places.get(&key_hash(*key)) == Some(position))
    });
    first.map(move |at| few[at]).chain(many.map(|(_, pair)| pair))
}

/// Comparing every key with every later one is quadratic, so beyond this many they are hashed.
const FEW_KEYS: usize = 16;

fn last_places(map: Seq<'_>) -> HashMap<u64, usize> {
    map.pairs().enumerate().map(|(position, (key, _))| (key_hash(key), position)).collect()
}

/// Hash of a key as JSON has it.
#[must_use]
pub fn key_hash(key: Value<'_>) -> u64 {
    xxh3_64(String::from_utf8_lossy(key_text(key, &mut Vec::new())).as_bytes())
}

/// Returns true if two keys are the same in JSON, where all keys are text.
#[must_use]
pub fn same_key(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::Str(one), Value::Str(other)) => same_text(one, other),
        _ => same_text(key_text(one, &mut Vec::new()), key_text(other, &mut Vec::new())),
    }
}

/// Returns true if two texts are equal after invalid UTF-8 is replaced. If they first differ at ASCII bytes, they cannot be
/// equal.
fn same_text(one: &[u8], other: &[u8]) -> bool {
    let parting = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    match (one.get(parting), other.get(parting)) {
        (None, None) => true,
        (a, b) if a.into_iter().chain(b).all(u8::is_ascii) => false,
        _ => String::from_utf8_lossy(one) == String::from_utf8_lossy(other),
    }
}

/// A map key as text; keys that are no strings are rendered.
pub fn key_text<'k>(key: Value<'k>, scratch: &'k mut Vec<u8>) -> &'k [u8] {
    match key {
        Value::Str(bytes) => bytes,
        other => {
            scratch.clear();
            nested(scratch, other, MAX_DEPTH);
            scratch.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).unwrap_or(scratch)
        }
    }
}
