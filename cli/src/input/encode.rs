//! Encodes records in Fluent Bit's MessagePack format: `[[time, {}], {key: value, ...}]`.

use super::time::Time;
use rmp::encode;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A vector takes every byte, so there is nothing to handle.
fn written<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}

/// The body of a record: entries in the order they were added, the same key as often as it came.
#[derive(Default)]
pub(crate) struct Body {
    entries: u32,
    bytes: Vec<u8>,
}

impl Body {
    pub(crate) fn clear(&mut self) {
        self.entries = 0;
        self.bytes.clear();
    }

    /// Writes a string, which need not be UTF-8: Fluent Bit passes on the application's bytes.
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        string(&mut self.bytes, value);
    }

    /// A value that is MessagePack already.
    pub(crate) fn packed(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.bytes.extend_from_slice(value);
    }

    fn key(&mut self, key: &str) {
        self.entries += 1;
        string(&mut self.bytes, key.as_bytes());
    }

    /// Adds the entries of a JSON object, showing each to `each` first. False, and nothing added, for anything else.
    pub(crate) fn object(&mut self, json: &str, mut each: impl FnMut(&str, &RawValue)) -> bool {
        let (entries, length) = (self.entries, self.bytes.len());
        // Most lines are no JSON: this keeps them from costing an error value each.
        let complete = json.trim_ascii_start().starts_with('{')
            && entries_of(json, |key, value| {
                each(key, value);
                self.key(key);
                json_value(&mut self.bytes, value.get());
            });
        if !complete {
            self.entries = entries;
            self.bytes.truncate(length);
        }
        complete
    }

    /// Writes the whole record.
    pub(crate) fn record(&self, time: Time, out: &mut Vec<u8>) {
        written(encode::write_array_len(out, 2));
        written(encode::write_array_len(out, 2));
        written(encode::write_ext_meta(out, 8, 0));
        out.extend_from_slice(&time.seconds.to_be_bytes());
        out.extend_from_slice(&time.nanos.to_be_bytes());
        written(encode::write_map_len(out, 0));
        written(encode::write_map_len(out, self.entries));
        out.extend_from_slice(&self.bytes);
    }

    /// Writes the entries alone, as a map.
    pub(crate) fn map(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 5);
        written(encode::write_map_len(&mut out, self.entries));
        out.extend_from_slice(&self.bytes);
        out
    }
}

fn string(out: &mut Vec<u8>, value: &[u8]) {
    written(encode::write_str_len(out, value.len() as u32));
    out.extend_from_slice(value);
}

/// Packs one JSON value. One nested deeper than the parser goes stays text.
pub(crate) fn json_value(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    if Pack(out).deserialize(&mut serde_json::Deserializer::from_str(json)).is_err() {
        out.truncate(start);
        string(out, json.as_bytes());
    }
}

/// Shows every entry of a JSON object in order, also of a key that comes twice. False if it is none, or not well formed.
fn entries_of(json: &str, each: impl FnMut(&str, &RawValue)) -> bool {
    let mut parser = serde_json::Deserializer::from_str(json);
    parser.deserialize_map(Entries(each)).is_ok() && parser.end().is_ok()
}

struct Entries<F>(F);

impl<'de, F: FnMut(&str, &RawValue)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(&key, value);
        }
        Ok(())
    }
}

/// Writes a value as MessagePack while it is parsed.
struct Pack<'a>(&'a mut Vec<u8>);

impl Pack<'_> {
    /// The length of an array or a map is known when its last value is; its head goes in front then.
    fn head(self, start: usize, head: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::with_capacity(5);
        head(&mut bytes);
        self.0.splice(start..start, bytes);
    }
}

impl<'de> DeserializeSeed<'de> for Pack<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pack<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        written(encode::write_nil(self.0));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        written(encode::write_bool(self.0, value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        written(encode::write_uint(self.0, value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        written(encode::write_sint(self.0, value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        written(encode::write_f64(self.0, value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        string(self.0, value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let (start, mut count) = (self.0.len(), 0);
        while items.next_element_seed(Pack(self.0))?.is_some() {
            count += 1;
        }
        self.head(start, |head| written(encode::write_array_len(head, count)));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (start, mut count) = (self.0.len(), 0);
        while entries.next_key_seed(Pack(self.0))?.is_some() {
            entries.next_value_seed(Pack(self.0))?;
            count += 1;
        }
        self.head(start, |head| written(encode::write_map_len(head, count)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Time = Time { seconds: 0x6AFF_FE00, nanos: 0x0015_02CA };

    fn packed(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        json_value(&mut out, json);
        out
    }

    #[test]
    fn a_record_has_the_layout_of_captured_ones() {
        let mut body = Body::default();
        body.text("message", b"forwarded one");
        body.text("level", b"warn");
        body.text("n", b"\x01");
        let mut record = Vec::new();
        body.record(TIME, &mut record);
        // The head and the first entries of a record captured from Fluent Bit 5.1.1 (`forward` input).
        let captured =
            b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x83\xa7message\xadforwarded one\xa5level\xa4warn";
        assert_eq!(record[..captured.len()], captured[..]);
    }

    #[test]
    fn json_becomes_the_smallest_messagepack() {
        assert_eq!(packed("200"), b"\xcc\xc8");
        assert_eq!(packed("54811"), b"\xcd\xd6\x1b");
        assert_eq!(packed("-1"), b"\xff");
        assert_eq!(packed("145.697"), b"\xcb\x40\x62\x36\x4d\xd2\xf1\xa9\xfc");
        assert_eq!(packed(r#"[1,null,true,"x"]"#), b"\x94\x01\xc0\xc3\xa1x");
        assert_eq!(packed(r#"{"id": 54811, "plan": "free"}"#), b"\x82\xa2id\xcd\xd6\x1b\xa4plan\xa4free");
        let long = format!("[{}]", vec!["0"; 70_000].join(","));
        assert_eq!(packed(&long)[..5], *b"\xdd\x00\x01\x11\x70");
    }

    #[test]
    fn numbers_beyond_64_bits_and_bottomless_nesting_survive_somehow() {
        assert_eq!(packed("18446744073709551615")[0], 0xcf);
        assert_eq!(packed("18446744073709551616")[0], 0xcb);
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(packed(&deep)[5..], *deep.as_bytes());
    }

    #[test]
    fn objects_keep_their_order_and_their_duplicates() {
        let mut body = Body::default();
        let mut keys = Vec::new();
        assert!(body.object(r#" {"b":1,"a":2,"b":3} "#, |key, _| keys.push(key.to_owned())));
        assert_eq!(keys, ["b", "a", "b"]);
        assert_eq!(body.map(), b"\x83\xa1b\x01\xa1a\x02\xa1b\x03");
    }

    #[test]
    fn what_is_not_one_object_adds_nothing() {
        for json in ["[1]", r#"{"a":1"#, r#"{"a":1} {"b":2}"#, "text", "", "{", r#"{"a":1,}"#] {
            let mut body = Body::default();
            assert!(!body.object(json, |_, _| {}), "{json}");
            assert_eq!(body.map(), b"\x80", "{json}");
        }
    }
}
