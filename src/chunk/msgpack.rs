//! Reads MessagePack with a borrowed cursor that does not allocate, recurse or panic, whatever the bytes are.
//!
//! The cursor returns containers unopened, as the slice that holds their contents. A caller that needs the contents opens
//! the slice; all others pay for one skip. Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>

mod cursor;
mod skip;
#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use skip::Run;
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
