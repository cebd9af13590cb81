//! Computes the size of a log as Sentry bills it.
//!
//! Relay's rule (`relay-ourlogs`, `calculate_size`), applied before Relay adds anything, counts the bytes of the body as
//! UTF-8 and, for each attribute, its name and its value. A string counts its bytes, a number 8, a boolean 1. A log counts
//! at least 1.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Billed bytes of a number.
pub const NUMBER: usize = 8;
/// Billed bytes of a boolean.
pub const BOOLEAN: usize = 1;

/// Billed bytes of one log.
#[derive(Debug, Default)]
pub struct Billed {
    /// Bytes of the body.
    pub body: u64,
    /// Bytes of each attribute, name and value together.
    pub attributes: Vec<(String, u64)>,
}

impl Billed {
    /// Returns the billed bytes of the log.
    #[must_use]
    pub fn total(&self) -> u64 {
        (self.body + self.attributes.iter().map(|(_, bytes)| bytes).sum::<u64>()).max(1)
    }
}

/// Reads a log's JSON and returns the billed bytes of each of its parts; `None` if it is no log.
#[must_use]
pub fn parts(json: &[u8]) -> Option<Billed> {
    let mut billed = Billed::default();
    read(json, &mut |name, bytes| match name {
        None => billed.body = bytes,
        Some(name) => billed.attributes.push((name.into_owned(), bytes)),
    })?;
    Some(billed)
}

/// Reads a log's JSON and returns its billed bytes; 1 if it is no log.
#[must_use]
pub fn of(json: &[u8]) -> u64 {
    let mut sum = 0;
    let read = read(json, &mut |_, bytes| sum += bytes);
    read.map_or(1, |()| sum.max(1))
}

/// Calls back with the bytes of the body, and of each attribute with its name.
fn read(json: &[u8], tell: &mut dyn FnMut(Option<Cow<'_, str>>, u64)) -> Option<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Log(tell)).ok()
}

type Tell<'t> = &'t mut dyn FnMut(Option<Cow<'_, str>>, u64);

struct Log<'t>(Tell<'t>);
struct Attributes<'t>(Tell<'t>);
struct Attribute;
struct Scalar;

impl<'de> Visitor<'de> for Log<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "body" => {
                    let bytes = map.next_value_seed(Scalar)?;
                    (self.0)(None, bytes);
                }
                "attributes" => map.next_value_seed(Attributes(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Attributes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attributes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let bytes = name.len() as u64 + map.next_value_seed(Attribute)?;
            (self.0)(Some(name), bytes);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Attribute {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attribute {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut bytes = 0;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "value" => bytes = map.next_value_seed(Scalar)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(bytes)
    }
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        Ok(text.len() as u64)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<u64, E> {
        Ok(BOOLEAN as u64)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<u64, E> {
        Ok(NUMBER as u64)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<u64, E> {
        Ok(NUMBER as u64)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<u64, E> {
        Ok(NUMBER as u64)
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_body_names_and_values() {
        let log = r#"{"timestamp":1.5,"trace_id":"00","level":"warn","body":"7 \"bytés\"","attributes":{
            "k1":{"value":"string value","type":"string"},"k2":{"value":-12,"type":"integer"},
            "k3":{"value":42.5,"type":"double"},"k\u00e9":{"value":false,"type":"boolean"}}}"#;
        let billed = parts(log.as_bytes()).unwrap();
        let expected = [("k1", 14), ("k2", 10), ("k3", 10), ("ké", 4)];
        assert_eq!(billed.body, 10);
        assert_eq!(billed.attributes.iter().map(|(name, n)| (name.as_str(), *n)).collect::<Vec<_>>(), expected);
        assert_eq!((billed.total(), of(log.as_bytes())), (48, 48));
    }

    #[test]
    fn an_empty_log_counts_one_byte() {
        for log in [r#"{"body":"","attributes":{}}"#, "{}", "[]", ""] {
            assert_eq!(of(log.as_bytes()), 1, "{log}");
        }
    }
}
