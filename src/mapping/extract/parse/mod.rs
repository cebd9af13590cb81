//! Reads the fields inside a message: one JSON object, or logfmt. It converts them to MessagePack, so that all later steps
//! handle one format only.

mod json_fast;

use super::remove_keys::{close, open};
use memchr::{memchr, memchr2};
use rmp::encode::{write_bool, write_f64, write_nil, write_sint, write_str_len, write_uint};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Longer messages are left as text.
const MAX_MESSAGE: usize = 1 << 20;

/// Appends the map that a message holds to `out`; leaves `out` as it was and says no when the message is something else.
pub fn message(text: &[u8], out: &mut Vec<u8>) -> bool {
    let text = text.trim_ascii();
    if text.len() > MAX_MESSAGE {
        return false;
    }
    let start = out.len();
    let read = match text.first() {
        Some(b'{') => json(text, out).is_some(),
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => logfmt(text, out).is_some(),
        _ => false,
    };
    if !read {
        out.truncate(start);
    }
    read
}

/// One JSON object and nothing behind it.
fn json(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if !text.ends_with(b"}") {
        return None;
    }
    // Once for all of it, not for each string.
    let (text, start) = (std::str::from_utf8(text).ok()?, out.len());
    json_fast::object(text, out).or_else(|| {
        out.truncate(start);
        general(text, out)
    })
}

/// The same for all of JSON.
fn general(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Transcode { out }.deserialize(&mut reader).ok()?;
    reader.end().ok()
}

/// Writes the values that serde reads. Writing to a Vec cannot fail.
struct Transcode<'o> {
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Transcode<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Transcode<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<(), E> {
        let _ = write_bool(self.out, v);
        Ok(())
    }

    fn visit_i64<E>(self, v: i64) -> Result<(), E> {
        let _ = write_sint(self.out, v);
        Ok(())
    }

    fn visit_u64<E>(self, v: u64) -> Result<(), E> {
        let _ = write_uint(self.out, v);
        Ok(())
    }

    fn visit_f64<E>(self, v: f64) -> Result<(), E> {
        let _ = write_f64(self.out, v);
        Ok(())
    }

    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        write_str(self.out, v);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        let _ = write_nil(self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let start = open(self.out, 0xdd);
        let mut count = 0;
        while values.next_element_seed(Transcode { out: self.out })?.is_some() {
            count += 1;
        }
        close(self.out, start, count);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let start = open(self.out, 0xdf);
        let mut count = 0;
        while pairs.next_key_seed(Transcode { out: self.out })?.is_some() {
            pairs.next_value_seed(Transcode { out: self.out })?;
            count += 1;
        }
        close(self.out, start, count);
        Ok(())
    }
}

/// As the encoder has it, but in one piece.
fn write_str(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        // The marker of a short text is its length.
        len @ 0..32 => out.push(0xa0 | len as u8),
        len => drop(write_str_len(out, u32::try_from(len).unwrap_or(u32::MAX))),
    }
    out.extend_from_slice(text.as_bytes());
}

/// `key=value key="value with blanks" ...`: two pairs at least and nothing that is no pair.
fn logfmt(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Prose is known by its first word.
    let key = text.iter().position(|byte| !is_in_key(*byte))?;
    if text[key] != b'=' {
        return None;
    }
    let mut rest = std::str::from_utf8(text).ok()?;
    let start = open(out, 0xdf);
    let mut count = 0;
    while !rest.is_empty() {
        let sign = memchr(b'=', rest.as_bytes())?;
        let (key, behind) = (&rest[..sign], &rest[sign + 1..]);
        if key.is_empty() || !key.bytes().all(is_in_key) {
            return None;
        }
        write_str(out, key);
        rest = logfmt_value(behind, out)?.trim_start_matches(' ');
        count += 1;
    }
    close(out, start, count);
    (count >= 2).then_some(())
}

fn is_in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@')
}

/// Writes a value and returns the text after it.
fn logfmt_value<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<&'t str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(memchr(b' ', text.as_bytes()).unwrap_or(text.len()));
        write_bare(value, out);
        return memchr2(b'"', b'=', value.as_bytes()).is_none().then_some(rest);
    };
    let mut escaped = false;
    let close = quoted.find(|c| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    })?;
    let rest = &quoted[close + 1..];
    // A JSON string is what a logfmt string is, escapes included.
    let value: String = serde_json::from_str(&text[..close + 2]).unwrap_or_else(|_| quoted[..close].to_owned());
    write_str(out, &value);
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

fn write_bare(value: &str, out: &mut Vec<u8>) {
    // Leading zeros and signs make an id, not a number.
    let numeric = value.bytes().next().is_some_and(|b| (b'1'..=b'9').contains(&b)) || value == "0";
    let is_float = || value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match value {
        "true" | "false" => drop(write_bool(out, value == "true")),
        _ if !numeric || value.len() >= 19 => write_str(out, value),
        _ => match value.parse::<u64>() {
            Ok(n) => drop(write_uint(out, n)),
            Err(_) => match is_float().then(|| value.parse::<f64>().ok()).flatten() {
                Some(n) => drop(write_f64(out, n)),
                None => write_str(out, value),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Cursor;
    use crate::mapping::encode::json;

    fn read(text: &str) -> Option<String> {
        let mut out = Vec::new();
        if !message(text.as_bytes(), &mut out) {
            assert!(out.is_empty());
            return None;
        }
        let mut back = Vec::new();
        json::value(&mut back, Cursor::new(&out).read().unwrap());
        String::from_utf8(back).ok()
    }

    #[test]
    fn a_json_object_is_read_and_nothing_else_that_looks_like_it() {
        let text = r#"{"a":1,"b":{"c":[true,null,-2,1.5,"x\ny"]},"d":18446744073709551615}"#;
        assert_eq!(read(text).unwrap(), text);
        assert_eq!(read(&format!(" {text}\n")).unwrap(), text);
        for other in ["{}{}", "{\"a\":1} tail", "[1]", "{broken}", "{", "", "\"x\"", "7"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read(&"{\"a\":".repeat(500)), None, "deep nesting costs no stack");
    }

    #[test]
    fn logfmt_is_read_when_every_word_is_a_pair() {
        assert_eq!(
            read("level=error msg=\"it \\\"broke\\\"\" n=12 f=1.5 ok=true id=007 empty=").unwrap(),
            r#"{"level":"error","msg":"it \"broke\"","n":12,"f":1.5,"ok":true,"id":"007","empty":""}"#
        );
        for other in ["a=1", "hello a=1 b=2", "a=1 b", "GET /x?a=1&b=2 c=3", "a=b=c d=e", "a=\"open b=1", "é=1 b=2"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
