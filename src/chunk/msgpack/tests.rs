//! Tests that values are read and skipped alike, whatever the bytes are.

use super::cursor::Head;
use super::skip::{NEVER, skip};
use super::*;

fn one(bytes: &[u8]) -> Result<Value<'_>, &'static str> {
    Cursor::new(bytes).read()
}

#[test]
fn every_width_of_integer_reads_as_the_same_number() {
    for bytes in [&[7][..], &[0xcc, 7], &[0xcd, 0, 7], &[0xce, 0, 0, 0, 7], &[0xd0, 7], &[0xd1, 0, 7]] {
        assert_eq!(one(bytes), Ok(Value::UInt(7)), "{bytes:x?}");
    }
    assert_eq!(one(&[0xff]), Ok(Value::Int(-1)));
    assert_eq!(one(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]), Ok(Value::Int(i64::MIN)));
    assert_eq!(one(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]), Ok(Value::UInt(u64::MAX)));
}

#[test]
fn containers_end_where_their_contents_end() {
    let bytes = [0x82, 0xa1, b'a', 0x92, 1, 0x81, 2, 3, 0xa1, b'b', 0xc0, 0x2a];
    let mut cursor = Cursor::new(&bytes);
    let map = cursor.read().unwrap().map().unwrap();
    assert_eq!(cursor.rest(), [0x2a]);
    assert_eq!(map.get("b"), Some(Value::Nil));
    let Some(Value::Array(array)) = map.get("a") else { panic!("an array") };
    assert_eq!(array.values().next(), Some(Value::UInt(1)));
}

#[test]
fn containers_tell_their_length() {
    let seq = |bytes| match one(bytes) {
        Ok(Value::Array(seq) | Value::Map(seq)) => seq,
        other => panic!("expected a container, found {other:?}"),
    };
    assert_eq!((seq(&[0x90]).len(), seq(&[0x90]).is_empty()), (0, true));
    assert_eq!((seq(&[0x92, 1, 2]).len(), seq(&[0x92, 1, 2]).is_empty()), (2, false));
    assert_eq!((seq(&[0x81, 1, 2]).len(), seq(&[0x81, 1, 2]).is_empty()), (1, false));
}

#[test]
fn maps_that_the_plugin_wrote_have_a_length_of_32_bits() {
    let written = [0xdf, 0, 0, 0, 1, 0xa1, b'k', 7];
    let map = Seq::written(&written).expect("expected a map");
    assert_eq!((map.len(), map.bytes(), map.get("k")), (1, &written[5..], Some(Value::UInt(7))));
    assert!(Seq::written(&[0x81, 0xa1, b'k', 7]).is_none() && Seq::written(&written[..4]).is_none());
}

#[test]
fn last_of_duplicate_keys_counts() {
    let map = one(&[0x82, 0xa1, b'k', 1, 0xa1, b'k', 2]).unwrap().map().unwrap();
    assert_eq!(map.get("k"), Some(Value::UInt(2)));
}

#[test]
fn claimed_lengths_beyond_the_input_are_refused_at_once() {
    for bytes in [
        &[0xdd, 255, 255, 255, 255][..],
        &[0xdf, 255, 255, 255, 255, 1],
        &[0xdb, 255, 255, 255, 255, b'x'],
        &[0xc9, 255, 255, 255, 255, 0],
        &[0xc1],
        &[],
    ] {
        assert!(one(bytes).is_err(), "{bytes:x?}");
    }
}

#[test]
fn values_are_skipped_as_they_are_read() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..200_000 {
        let mut bytes = random.u64(..).to_be_bytes();
        // Few of all bytes begin something long enough to be interesting.
        bytes[0] |= 0x80;
        bytes[2] &= 0x8f;
        let skipped = skip(&bytes, 1, &mut Run::default());
        let mut cursor = Cursor::new(&bytes);
        let read = cursor.read().ok().map(|_| bytes.len() - cursor.rest().len());
        assert_eq!(skipped, read, "{bytes:x?}");
    }
}

#[test]
fn every_marker_is_skipped_as_it_is_read() {
    for marker in 0..=255_u8 {
        for length in [0_u8, 1, 2] {
            let mut bytes = vec![marker, 0, 0, 0, length];
            bytes.extend([0xc0; 80]);
            let mut cursor = Cursor::new(&bytes);
            // The containers' own reading skips too; their contents are walked here one by one.
            let mut left = 1_u64;
            while left > 0 {
                left -= 1;
                left += match cursor.head() {
                    Ok(Head::Scalar(_)) => 0,
                    Ok(Head::Str(n) | Head::Bin(n) | Head::Ext(_, n)) => cursor.take(n, "").map_or(99, |_| 0),
                    Ok(Head::Array(n)) => u64::from(n),
                    Ok(Head::Map(n)) => u64::from(n) * 2,
                    Err(_) => break,
                };
            }
            let read = bytes.len() - cursor.rest().len();
            assert_eq!(skip(&bytes, 1, &mut Run::default()), (marker != NEVER).then_some(read), "{marker:x} {length}");
        }
    }
}

#[test]
fn nesting_costs_no_stack() {
    let mut bytes = vec![0x91; 1_000_000];
    bytes.push(0xc0);
    assert!(matches!(one(&bytes), Ok(Value::Array(_))));
}

#[test]
fn a_run_that_comes_again_is_read_as_if_it_had_not() {
    let pairs = |n: u8| (0..n).flat_map(|n| [0xa1, b'a' + n, n]).collect::<Vec<u8>>();
    let inner = [vec![0x88], pairs(8)].concat();
    let other = [vec![0x87], pairs(7)].concat();
    let list = [vec![0xdc, 0, 16], pairs(8)].concat();
    let short = &inner[..inner.len() - 1];
    let map = |parts: &[&[u8]]| [vec![0x90 + parts.len() as u8], parts.concat()].concat();
    let mut known = Cursor::new(&[]);
    for parts in [
        &[&inner[..], &[7]][..],
        &[&inner, &inner, &[7]],
        &[&other, &inner],
        &[&list, &inner, &other],
        &[&[1, 2], &inner, short],
        &[&map(&[&inner, &inner]), &inner],
    ] {
        let bytes = [map(parts), vec![0x2a]].concat().leak();
        let mut plain = Cursor::new(bytes);
        known = Cursor::knowing(bytes, known.run());
        assert_eq!(known.read(), plain.read(), "{bytes:x?}");
        assert_eq!(known.rest(), plain.rest(), "{bytes:x?}");
    }
    assert_eq!(known.run().bytes, pairs(8));
}
