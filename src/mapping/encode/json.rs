//! Writes JSON straight into a byte buffer, without a tree of values and without formatting machinery.

use crate::chunk::msgpack::{Seq, Value};
use serde_json::to_writer;
use std::collections::HashMap;
use wide::u8x16;
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

/// The inside of a string. Returns the bytes that a reader gets as UTF-8.
pub fn escaped(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    const REPLACEMENT: &str = "\u{fffd}";
    let rest = escaped_ascii(out, bytes);
    if rest.is_empty() {
        return bytes.len();
    }
    let mut read = bytes.len();
    for chunk in rest.utf8_chunks() {
        let mut valid = chunk.valid().as_bytes();
        // Bytes beyond ASCII are as they should be here, and need no escape.
        loop {
            valid = escaped_ascii(out, valid);
            let wide = valid.iter().position(u8::is_ascii).unwrap_or(valid.len());
            out.extend_from_slice(&valid[..wide]);
            valid = &valid[wide..];
            if valid.is_empty() {
                break;
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
            read = read - chunk.invalid().len() + REPLACEMENT.len();
        }
    }
    read
}

/// Bytes looked at in one step: a vector.
pub(crate) const BLOCK: usize = 16;

/// Writes up to the first byte that is not ASCII, and returns the rest.
fn escaped_ascii<'b>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    let (blocks, last) = bytes.as_chunks::<BLOCK>();
    // What is before this has been written.
    let mut written = 0;
    for (number, block) in blocks.iter().enumerate() {
        if !mark(out, bytes, &mut written, number * BLOCK, dirty(block)) {
            return &bytes[written..];
        }
    }
    let start = bytes.len() - last.len();
    // The last block of the text, without the bytes that have been looked at.
    let marks = match bytes.last_chunk() {
        Some(block) => dirty(block) >> (BLOCK - last.len()),
        None => {
            let mut padded = [b' '; BLOCK];
            padded[..last.len()].copy_from_slice(last);
            let marks = dirty(&padded);
            if marks == 0 {
                // A whole vector, and back: cheaper than the few bytes that are wanted.
                out.extend_from_slice(&padded);
                out.truncate(out.len() - (BLOCK - last.len()));
                return &[];
            }
            marks
        }
    };
    if mark(out, bytes, &mut written, start, marks) {
        out.extend_from_slice(&bytes[written..]);
        written = bytes.len();
    }
    &bytes[written..]
}

/// Writes up to the last of the marked bytes, each as JSON wants it; stops, and says no, before one that is not ASCII.
#[inline]
fn mark(out: &mut Vec<u8>, bytes: &[u8], written: &mut usize, start: usize, mut marks: u32) -> bool {
    while marks != 0 {
        let at = start + marks.trailing_zeros() as usize;
        out.extend_from_slice(&bytes[*written..at]);
        *written = at;
        if !bytes[at].is_ascii() {
            return false;
        }
        escape(out, bytes[at]);
        *written += 1;
        marks &= marks - 1;
    }
    true
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        }
    }
}

/// A bit for each byte that [`special`] tells, or that is not ASCII: the highest bit of those is set as it is.
#[inline]
fn dirty(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    (special(bytes) | bytes).to_bitmask()
}

/// All bits of each byte that no string has as it stands: control characters, quotes, backslashes.
#[inline]
pub(crate) fn special(bytes: u8x16) -> u8x16 {
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let is_control = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
    is_control | is(b'"') | is(b'\\')
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Cursor;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_read_back_as_they_were_at_every_alignment() {
        let all: String = (0..0x180_u32).filter_map(char::from_u32).collect();
        for start in all.char_indices().map(|(at, _)| at).take(24) {
            let text = &all[start..];
            let json = written(|out| _ = string(out, text.as_bytes()));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    /// Returns the text that [`escaped`] writes, computed byte by byte.
    fn obvious(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        for c in String::from_utf8_lossy(bytes).chars() {
            match c {
                '"' | '\\' | '\0'..' ' => escape(&mut out, c as u8),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_byte_at_each_place_of_a_text_of_any_length_is_judged_right() {
        for length in 0..70 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(written(|out| _ = escaped(out, &bytes)), obvious(&bytes));
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    bytes[place] = byte;
                    assert_eq!(
                        written(|out| _ = escaped(out, &bytes)),
                        obvious(&bytes),
                        "{byte:x} at {place} of {length}"
                    );
                }
                bytes[place] = 0x7f;
            }
        }
    }

    #[test]
    fn many_bytes_that_need_an_escape_are_written_as_one_by_one() {
        let mut state = 1_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % end
        };
        const PARTS: [&[u8]; 8] =
            [b"\"", b"\\", b"\n", "\u{e9}".as_bytes(), b"\xff", b"abc", b"0123456789abcdef", b"\x01"];
        for _ in 0..20_000 {
            let bytes = (0..next(12)).map(|_| PARTS[next(PARTS.len())]).collect::<Vec<_>>().concat();
            let json = written(|out| _ = escaped(out, &bytes));
            assert_eq!(json, obvious(&bytes));
            assert_eq!(
                serde_json::from_str::<String>(&format!("\"{json}\"")).unwrap(),
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(written(|out| _ = string(out, b"a\xff\"b")), "\"a\u{fffd}\\\"b\"");
    }

    #[test]
    fn numbers_that_json_lacks_become_strings() {
        assert_eq!(written(|out| float(out, f64::NAN)), "\"NaN\"");
        assert_eq!(written(|out| float(out, f64::NEG_INFINITY)), "\"-Infinity\"");
        assert_eq!(written(|out| float(out, 0.1)), "0.1");
        assert_eq!(written(|out| signed(out, i64::MIN)), i64::MIN.to_string());
        for n in (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1]).chain(0..1_100).chain([u64::MAX]) {
            assert_eq!(written(|out| integer(out, n)), n.to_string());
        }
        assert_eq!(written(|out| seconds(out, 1_795_161_600_000_042)), "1795161600.000042");
    }

    #[test]
    fn keys_that_read_the_same_once_replaced_are_the_same() {
        let same = |one: &[u8], other: &[u8]| same_key(Value::Str(one), Value::Str(other));
        for (one, other) in
            [(&b"\xff"[..], &b"\xfe"[..]), (b"a\xe2b", b"a\xe2\x82b"), (b"k\xff", b"k\xe2\x82"), (b"a", b"a")]
        {
            assert!(same(one, other) && same(other, one), "{one:?} {other:?}");
            assert_eq!(key_hash(Value::Str(one)), key_hash(Value::Str(other)), "{one:?} {other:?}");
        }
        for (one, other) in
            [(&b"\xff"[..], &b"\xffa"[..]), (b"a", b"ab"), (b"a", b"b"), (b"\xc3\xa9", b"\xc3\xa8"), (b"", b"\xff")]
        {
            assert!(!same(one, other) && !same(other, one), "{one:?} {other:?}");
        }
    }

    #[test]
    fn odd_keys_deep_nesting_and_duplicates_stay_valid_json() {
        let mut bytes = vec![0x83, 1, 0xa1, b'a', 0xa1, b'k', 1, 0xa1, b'k'];
        bytes.extend(std::iter::repeat_n(0x91, 100));
        bytes.push(0xc0);
        let v = Cursor::new(&bytes).read().unwrap();
        let json = written(|out| value(out, v));
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["1"], "a");
        assert_eq!(json.matches("\"k\"").count(), 1, "{json}");
        assert!(json.contains("[too deep]"));
    }
}
