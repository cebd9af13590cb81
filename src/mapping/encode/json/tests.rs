//! Tests that texts, numbers, keys and values become sound JSON.

use super::escape::escape;
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
                assert_eq!(written(|out| _ = escaped(out, &bytes)), obvious(&bytes), "{byte:x} at {place} of {length}");
            }
            bytes[place] = 0x7f;
        }
    }
}

#[test]
fn many_bytes_that_need_an_escape_are_written_as_one_by_one() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut next = |end: usize| random.usize(..end);
    const PARTS: [&[u8]; 8] = [b"\"", b"\\", b"\n", "\u{e9}".as_bytes(), b"\xff", b"abc", b"0123456789abcdef", b"\x01"];
    for _ in 0..20_000 {
        let bytes = (0..next(12)).map(|_| PARTS[next(PARTS.len())]).collect::<Vec<_>>().concat();
        let json = written(|out| _ = escaped(out, &bytes));
        assert_eq!(json, obvious(&bytes));
        assert_eq!(serde_json::from_str::<String>(&format!("\"{json}\"")).unwrap(), String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn replaces_invalid_utf8() {
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
