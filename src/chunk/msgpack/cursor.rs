//! A cursor that reads one value after another.

use super::skip::{Run, big_endian, skip};
use super::{Seq, Value};
use rmp::Marker;

/// Meaning of one marker: a finished scalar, or the amount of data that has to follow.
pub(super) enum Head {
    Scalar(Value<'static>),
    Str(usize),
    Bin(usize),
    Ext(i8, usize),
    Array(u32),
    Map(u32),
}

/// A position in a byte slice.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub(super) rest: &'a [u8],
    pub(super) run: Run<'a>,
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

    /// Moves behind an encoded value if that is the next one, and returns true. Values delimit themselves, so equal bytes are
    /// the whole value.
    #[inline]
    pub fn pass(&mut self, encoded: &[u8]) -> bool {
        match self.rest.strip_prefix(encoded) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Moves behind the next value, and returns true. Returns false, and does not move, if it is not whole.
    #[inline]
    pub fn pass_value(&mut self) -> bool {
        let behind = skip(self.rest, 1, &mut self.run).and_then(|length| self.rest.get(length..));
        behind.is_some_and(|behind| {
            self.rest = behind;
            true
        })
    }

    /// Reads one value.
    ///
    /// # Errors
    /// Names what was expected, if the bytes end early or hold the one marker that MessagePack never uses (0xc1).
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
        // Most records are small maps.
        if let [marker @ 0x80..=0x8f, rest @ ..] = self.rest {
            self.rest = rest;
            let len = marker & 0x0f;
            return Ok(Value::Map(Seq { len: u32::from(len), bytes: self.span(u64::from(len) * 2)? }));
        }
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
    pub(super) fn span(&mut self, count: u64) -> Result<&'a [u8], &'static str> {
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

    pub(super) fn head(&mut self) -> Result<Head, &'static str> {
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

    pub(super) fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(expected)?;
        self.rest = rest;
        Ok(head)
    }
}

fn signed(n: i64) -> Value<'static> {
    u64::try_from(n).map_or(Value::Int(n), Value::UInt)
}
