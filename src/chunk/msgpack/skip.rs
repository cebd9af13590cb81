//! Skips values without reading them: most of a record is read by nobody.

/// Many values in a row that may well come again: of a record's bytes most are the same from line to line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run<'a> {
    pub(super) values: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Run<'a> {
    /// Fewer values are skipped as quickly as they are compared.
    pub(super) const FEWEST: u64 = 12;

    /// Returns true if `bytes` begin with this run and the run has that number of values. Values delimit themselves, so the
    /// same number of them in the same bytes are the same.
    #[inline]
    pub(super) fn is_at(&self, values: u64, bytes: &[u8]) -> bool {
        // Nothing is never compared: no bytes may be an address at which a wide comparison stumbles.
        values == self.values && values > 0 && bytes.starts_with(self.bytes)
    }
}

#[inline]
pub(super) fn big_endian(bytes: &[u8]) -> u64 {
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
pub(super) const NEVER: u8 = 0xc1;

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
pub(super) fn skip<'a>(bytes: &'a [u8], count: u64, run: &mut Run<'a>) -> Option<usize> {
    let (mut at, mut left) = (0_usize, count);
    // The run that is being read: how many values it has, where it starts, and how many are left behind its end.
    let (mut values, mut start, mut behind) = (0, 0, u64::MAX);
    while left > 0 {
        let marker = *bytes.get(at)?;
        let extent = EXTENTS[usize::from(marker)];
        let mut inside = u64::from(extent.values);
        if extent.width > 0 {
            let length = match extent.width {
                // Most texts that have a length.
                1 => u64::from(*bytes.get(at + 1)?),
                width => big_endian(bytes.get(at + 1..at + 1 + usize::from(width))?),
            };
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
