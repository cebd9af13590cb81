//! Reads MessagePack with a borrowed cursor that does not allocate, recurse or panic, whatever the bytes are.
//!
//! The cursor returns containers unopened, as the slice that holds their contents. A caller that needs the contents opens
//! the slice; all others pay for one skip. Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>

use rmp::Marker;
use std::fmt;

/// One MessagePack value, borrowing from the chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// nil
    Nil,
    /// true or false
    Bool(bool),
    /// A negative integer.
    Int(i64),
    /// An integer from zero up.
    UInt(u64),
    /// A float of either width.
    Float(f64),
    /// Text; Fluent Bit does not promise UTF-8.
    Str(&'a [u8]),
    /// Raw bytes.
    Bin(&'a [u8]),
    /// An extension: type and bytes.
    Ext(i8, &'a [u8]),
    /// An array, unopened.
    Array(Seq<'a>),
    /// A map, unopened.
    Map(Seq<'a>),
}

/// The contents of a container whose extent is known and whose every value has been checked to be complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seq<'a> {
    len: u32,
    bytes: &'a [u8],
}

/// The place at which decoding stopped, and what it expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in bytes from the start of the chunk.
    pub offset: usize,
    /// Description of what was expected at the offset.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.offset)
    }
}

/// Meaning of one marker: a finished scalar, or the amount of data that has to follow.
enum Head {
    Scalar(Value<'static>),
    Str(usize),
    Bin(usize),
    Ext(i8, usize),
    Array(u32),
    Map(u32),
}

/// Many values in a row that may well come again: of a record's bytes most are the same from line to line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run<'a> {
    values: u64,
    bytes: &'a [u8],
}

impl<'a> Run<'a> {
    /// Fewer values are skipped as quickly as they are compared.
    const FEWEST: u64 = 12;

    /// Returns true if `bytes` begin with this run and the run has that number of values. Values delimit themselves, so the
    /// same number of them in the same bytes are the same.
    #[inline]
    fn is_at(&self, values: u64, bytes: &[u8]) -> bool {
        // Nothing is never compared: no bytes may be an address at which a wide comparison stumbles.
        values == self.values && values > 0 && bytes.starts_with(self.bytes)
    }
}

/// A position in a byte slice.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    run: Run<'a>,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, run: Run::default() }
    }

    /// A cursor that has met a run of values before.
    #[must_use]
    pub fn knowing(bytes: &'a [u8], run: Run<'a>) -> Self {
        Self { rest: bytes, run }
    }

    /// The run of values met last, inside something that was skipped.
    #[must_use]
    pub fn run(&self) -> Run<'a> {
        self.run
    }

    /// Returns the bytes that have not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads one value.
    ///
    /// # Errors
    /// What was expected, when the bytes end early or hold the one marker that MessagePack never uses (0xc1).
    /// The cursor is then somewhere inside the value.
    #[inline]
    pub fn read(&mut self) -> Result<Value<'a>, &'static str> {
        // Nearly all that a record holds.
        let text = match self.rest {
            [marker @ 0xa0..=0xbf, rest @ ..] => rest.split_at_checked(usize::from(marker & 0x1f)),
            [0xd9, length, rest @ ..] => rest.split_at_checked(usize::from(*length)),
            _ => None,
        };
        let Some((text, rest)) = text else { return self.read_any() };
        self.rest = rest;
        Ok(Value::Str(text))
    }

    fn read_any(&mut self) -> Result<Value<'a>, &'static str> {
        Ok(match self.head()? {
            Head::Scalar(value) => value,
            Head::Str(n) => Value::Str(self.take(n, "the rest of a string")?),
            Head::Bin(n) => Value::Bin(self.take(n, "the rest of a binary")?),
            Head::Ext(kind, n) => Value::Ext(kind, self.take(n, "the rest of an extension")?),
            Head::Array(len) => Value::Array(Seq { len, bytes: self.span(u64::from(len))? }),
            Head::Map(len) => Value::Map(Seq { len, bytes: self.span(u64::from(len) * 2)? }),
        })
    }

    /// Skips `count` values and returns the bytes they took. Every step consumes at least one byte, so the work is bounded
    /// by the input whatever lengths it claims.
    fn span(&mut self, count: u64) -> Result<&'a [u8], &'static str> {
        let start = self.rest;
        if count == 0 {
            return Ok(&start[..0]);
        }
        let length =
            if self.run.is_at(count, start) { Some(self.run.bytes.len()) } else { skip(start, count, &mut self.run) };
        let Some((values, rest)) = length.and_then(|length| start.split_at_checked(length)) else {
            return Err(self.stumble(count));
        };
        self.rest = rest;
        Ok(values)
    }

    /// Reads the next `count` values step by step up to the first invalid one, and returns the value that was expected
    /// there.
    #[cold]
    fn stumble(&mut self, count: u64) -> &'static str {
        let mut left = count;
        while left > 0 {
            left -= 1;
            let step = self.head().and_then(|head| match head {
                Head::Scalar(_) => Ok(0),
                Head::Str(n) | Head::Bin(n) | Head::Ext(_, n) => self.take(n, "the rest of a value").map(|_| 0),
                Head::Array(n) => Ok(u64::from(n)),
                Head::Map(n) => Ok(u64::from(n) * 2),
            });
            match step {
                Ok(more) => left += more,
                Err(expected) => return expected,
            }
        }
        "a value"
    }

    fn head(&mut self) -> Result<Head, &'static str> {
        let marker = Marker::from_u8(self.take(1, "a value")?[0]);
        Ok(match marker {
            Marker::Null => Head::Scalar(Value::Nil),
            Marker::True => Head::Scalar(Value::Bool(true)),
            Marker::False => Head::Scalar(Value::Bool(false)),
            Marker::FixPos(n) => Head::Scalar(Value::UInt(u64::from(n))),
            Marker::FixNeg(n) => Head::Scalar(signed(i64::from(n))),
            Marker::U8 => Head::Scalar(Value::UInt(self.uint(1)?)),
            Marker::U16 => Head::Scalar(Value::UInt(self.uint(2)?)),
            Marker::U32 => Head::Scalar(Value::UInt(self.uint(4)?)),
            Marker::U64 => Head::Scalar(Value::UInt(self.uint(8)?)),
            Marker::I8 => Head::Scalar(signed(i64::from(self.uint(1)? as u8 as i8))),
            Marker::I16 => Head::Scalar(signed(i64::from(self.uint(2)? as u16 as i16))),
            Marker::I32 => Head::Scalar(signed(i64::from(self.uint(4)? as u32 as i32))),
            Marker::I64 => Head::Scalar(signed(self.uint(8)? as i64)),
            Marker::F32 => Head::Scalar(Value::Float(f64::from(f32::from_bits(self.uint(4)? as u32)))),
            Marker::F64 => Head::Scalar(Value::Float(f64::from_bits(self.uint(8)?))),
            Marker::FixStr(n) => Head::Str(usize::from(n)),
            Marker::Str8 => Head::Str(self.len(1)?),
            Marker::Str16 => Head::Str(self.len(2)?),
            Marker::Str32 => Head::Str(self.len(4)?),
            Marker::Bin8 => Head::Bin(self.len(1)?),
            Marker::Bin16 => Head::Bin(self.len(2)?),
            Marker::Bin32 => Head::Bin(self.len(4)?),
            Marker::FixArray(n) => Head::Array(u32::from(n)),
            Marker::Array16 => Head::Array(self.uint(2)? as u32),
            Marker::Array32 => Head::Array(self.uint(4)? as u32),
            Marker::FixMap(n) => Head::Map(u32::from(n)),
            Marker::Map16 => Head::Map(self.uint(2)? as u32),
            Marker::Map32 => Head::Map(self.uint(4)? as u32),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => self.sized_ext(1)?,
            Marker::Ext16 => self.sized_ext(2)?,
            Marker::Ext32 => self.sized_ext(4)?,
            Marker::Reserved => return Err("a MessagePack marker other than 0xc1"),
        })
    }

    fn ext(&mut self, len: usize) -> Result<Head, &'static str> {
        Ok(Head::Ext(self.uint(1)? as u8 as i8, len))
    }

    fn sized_ext(&mut self, width: usize) -> Result<Head, &'static str> {
        let len = self.len(width)?;
        self.ext(len)
    }

    fn len(&mut self, width: usize) -> Result<usize, &'static str> {
        Ok(self.uint(width)? as usize)
    }

    /// A big-endian unsigned integer of `width` bytes.
    fn uint(&mut self, width: usize) -> Result<u64, &'static str> {
        Ok(big_endian(self.take(width, "the rest of a number or length")?))
    }

    fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(expected)?;
        self.rest = rest;
        Ok(head)
    }
}

#[inline]
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// The extent of a value, as far as its marker tells it.
#[derive(Clone, Copy)]
struct Extent {
    /// Bytes behind the marker that are there in any case: a length, an extension's type, a short content.
    bytes: u8,
    /// The number of those bytes that are a length; they come first.
    width: u8,
    /// Values inside, where the marker says it.
    values: u8,
    /// The unit of the length: 0 if it counts bytes, else the number of values in each element that it counts.
    each: u8,
}

/// The one marker that MessagePack never uses.
const NEVER: u8 = 0xc1;

const EXTENTS: [Extent; 256] = extents();

const fn extents() -> [Extent; 256] {
    let mut all = [Extent { bytes: 0, width: 0, values: 0, each: 0 }; 256];
    let mut marker = 0;
    while marker < 256 {
        let (bytes, width, values, each) = match marker {
            0x80..=0x8f => (0, 0, (marker as u8 & 0x0f) * 2, 0),
            0x90..=0x9f => (0, 0, marker as u8 & 0x0f, 0),
            0xa0..=0xbf => (marker as u8 & 0x1f, 0, 0, 0),
            0xc4 | 0xd9 => (1, 1, 0, 0),
            0xc5 | 0xda => (2, 2, 0, 0),
            0xc6 | 0xdb => (4, 4, 0, 0),
            0xc7 => (2, 1, 0, 0),
            0xc8 => (3, 2, 0, 0),
            0xc9 => (5, 4, 0, 0),
            0xcc | 0xd0 => (1, 0, 0, 0),
            0xcd | 0xd1 | 0xd4 => (2, 0, 0, 0),
            0xd5 => (3, 0, 0, 0),
            0xca | 0xce | 0xd2 => (4, 0, 0, 0),
            0xd6 => (5, 0, 0, 0),
            0xcb | 0xcf | 0xd3 => (8, 0, 0, 0),
            0xd7 => (9, 0, 0, 0),
            0xd8 => (17, 0, 0, 0),
            0xdc => (2, 2, 0, 1),
            0xdd => (4, 4, 0, 1),
            0xde => (2, 2, 0, 2),
            0xdf => (4, 4, 0, 2),
            _ => (0, 0, 0, 0),
        };
        all[marker] = Extent { bytes, width, values, each };
        marker += 1;
    }
    all
}

/// Returns the number of bytes that the first `count` values take; `None` if something is wrong with them. A run of values
/// that is met again is compared instead of read. The last run that had to be read is remembered in `run`.
fn skip<'a>(bytes: &'a [u8], count: u64, run: &mut Run<'a>) -> Option<usize> {
    let (mut at, mut left) = (0_usize, count);
    // The run that is being read: how many values it has, where it starts, and how many are left behind its end.
    let (mut values, mut start, mut behind) = (0, 0, u64::MAX);
    while left > 0 {
        let marker = *bytes.get(at)?;
        let extent = EXTENTS[usize::from(marker)];
        let mut inside = u64::from(extent.values);
        if extent.width > 0 {
            let length = big_endian(bytes.get(at + 1..at + 1 + usize::from(extent.width))?);
            if extent.each == 0 {
                at = at.checked_add(length as usize)?;
            }
            inside = length * u64::from(extent.each);
        } else if marker == NEVER {
            return None;
        }
        at += 1 + usize::from(extent.bytes);
        left -= 1;
        if inside >= Run::FEWEST {
            if run.is_at(inside, bytes.get(at..)?) {
                at += run.bytes.len();
                inside = 0;
            } else {
                (values, start, behind) = (inside, at, left);
            }
        }
        left += inside;
        if left == behind {
            *run = Run { values, bytes: bytes.get(start..at)? };
            behind = u64::MAX;
        }
    }
    (at <= bytes.len()).then_some(at)
}

fn signed(n: i64) -> Value<'static> {
    u64::try_from(n).map_or(Value::Int(n), Value::UInt)
}

impl<'a> Seq<'a> {
    /// A container without contents.
    pub const EMPTY: Seq<'static> = Seq { len: 0, bytes: &[] };

    /// Returns the map that takes up all of these bytes, with the 32-bit length that the plugin gives to the maps that it
    /// writes: its contents were written whole and need no validation.
    #[must_use]
    pub fn written(bytes: &'a [u8]) -> Option<Self> {
        let [0xdf, a, b, c, d, bytes @ ..] = bytes else { return None };
        Some(Self { len: u32::from_be_bytes([*a, *b, *c, *d]), bytes })
    }

    /// Number of values (array) or pairs (map).
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Returns true if the container is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The encoded contents.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The values of an array.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.len).map_while(move |_| cursor.read().ok())
    }

    /// The pairs of a map.
    pub fn pairs(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        self.pairs_knowing(Run::default())
    }

    /// The pairs of a map, in which a run of values may stand that has been met before.
    #[inline]
    pub fn pairs_knowing(&self, run: Run<'a>) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        let mut cursor = Cursor::knowing(self.bytes, run);
        (0..self.len).map_while(move |_| Some((cursor.read().ok()?, cursor.read().ok()?)))
    }

    /// The value under a text key; of duplicates the last, as a map that overwrites would keep.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.pair(key).map(|(_, value)| value)
    }

    /// The same with the key as it stands there.
    #[must_use]
    pub fn pair(&self, key: &str) -> Option<(&'a [u8], Value<'a>)> {
        let (mut cursor, mut found) = (Cursor::new(self.bytes), None);
        for _ in 0..self.len {
            let name = cursor.read().ok()?.text();
            if let Some(name) = name.filter(|name| *name == key.as_bytes()) {
                found = Some((name, cursor.rest));
            }
            cursor.span(1).ok()?;
        }
        let (name, value) = found?;
        Some((name, Cursor::new(value).read().ok()?))
    }
}

impl<'a> Value<'a> {
    /// The bytes of a string or binary.
    #[must_use]
    pub fn text(&self) -> Option<&'a [u8]> {
        match *self {
            Value::Str(bytes) | Value::Bin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The contents of a map.
    #[must_use]
    pub fn map(&self) -> Option<Seq<'a>> {
        match *self {
            Value::Map(seq) => Some(seq),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn of_duplicate_keys_the_last_one_counts() {
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
        let mut state = 3_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bytes = state.to_be_bytes();
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
                assert_eq!(
                    skip(&bytes, 1, &mut Run::default()),
                    (marker != NEVER).then_some(read),
                    "{marker:x} {length}"
                );
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
}
