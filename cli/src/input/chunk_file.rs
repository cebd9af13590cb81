//! Reads chunk files, which are sequences of records in Fluent Bit's MessagePack format of any length, and splits them
//! between records.

use rmp::Marker;
use std::io::{self, Read};

/// The next unit of a chunk file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unit<'a> {
    /// A record, or a group of records with its head and end, which must stay in one chunk.
    Records(&'a [u8], u64),
    /// From this offset on no record can be told; the plugin is to see that for itself.
    Broken(u64, &'a [u8]),
}

/// No record and no group is longer; a longer one counts as broken.
const LONGEST_UNIT: usize = 64 << 20;

/// Reads a chunk file of any size, one unit after the other.
pub(crate) struct ChunkFile<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    offset: u64,
    at_end: bool,
    longest: usize,
}

impl<R: Read> ChunkFile<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, offset: 0, at_end: false, longest: LONGEST_UNIT }
    }

    /// The next unit; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Unit<'_>>> {
        let found = loop {
            let rest = &self.buffer[self.at..];
            if rest.is_empty() && self.at_end {
                return Ok(None);
            }
            match unit(rest) {
                Scan::Whole(length, records) => break Some((length, records)),
                Scan::Incomplete if self.can_grow() => self.grow()?,
                // A group that is cut off is still made of whole records.
                Scan::Incomplete => break record(rest).whole(),
                Scan::Corrupt => break None,
            }
        };
        let (start, offset) = (self.at, self.offset);
        if let Some((length, records)) = found {
            self.at += length;
            self.offset += length as u64;
            return Ok(Some(Unit::Records(&self.buffer[start..self.at], records)));
        }
        while self.can_grow() {
            self.grow()?;
        }
        let start = self.at;
        self.at = self.buffer.len();
        self.at_end = true;
        Ok(Some(Unit::Broken(offset, &self.buffer[start..])))
    }

    fn can_grow(&self) -> bool {
        !self.at_end && self.buffer.len() - self.at < self.longest
    }

    /// Reads as much again as is there, so that a long record is not scanned too often.
    fn grow(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let more = self.buffer.len().max(256 << 10) as u64;
        let read = (&mut self.reader).take(more).read_to_end(&mut self.buffer)?;
        self.at_end = (read as u64) < more;
        Ok(())
    }
}

enum Scan {
    Whole(usize, u64),
    Incomplete,
    Corrupt,
}

impl Scan {
    fn whole(self) -> Option<(usize, u64)> {
        match self {
            Self::Whole(length, records) => Some((length, records)),
            Self::Incomplete | Self::Corrupt => None,
        }
    }
}

/// A record, or a group from its head to its end.
fn unit(bytes: &[u8]) -> Scan {
    let (mut length, mut records) = (0, 0);
    loop {
        let rest = &bytes[length..];
        match record(rest) {
            Scan::Whole(one, count) => {
                length += one;
                records += count;
            }
            other => return other,
        }
        let grouped = length > 0 && marker(bytes) == Some(GROUP_START);
        if !grouped || marker(rest) == Some(GROUP_END) {
            return Scan::Whole(length, records);
        }
    }
}

/// One record; a group's head or end is one that does not count.
fn record(bytes: &[u8]) -> Scan {
    let pair = match bytes {
        [] | [0xdc | 0xdd] | [0xdc, 0] | [0xdd, 0] | [0xdd, 0, 0] | [0xdd, 0, 0, 0] => return Scan::Incomplete,
        [0x92, ..] | [0xdc, 0, 2, ..] | [0xdd, 0, 0, 0, 2, ..] => true,
        _ => false,
    };
    if !pair {
        return Scan::Corrupt;
    }
    match value_length(bytes) {
        Ok(Some(length)) => Scan::Whole(length, u64::from(marker(bytes).is_none())),
        Ok(None) => Scan::Incomplete,
        Err(Reserved) => Scan::Corrupt,
    }
}

const GROUP_START: u32 = 0xFFFF_FFFF;
const GROUP_END: u32 = 0xFFFF_FFFE;

/// The seconds of a record that opens or ends a group.
fn marker(record: &[u8]) -> Option<u32> {
    let time = record.strip_prefix(b"\x92\x92")?;
    let time = time.strip_prefix(b"\xd7\x00").or_else(|| time.strip_prefix(b"\xc7\x08\x00"))?;
    let seconds = u32::from_be_bytes(*time.first_chunk()?);
    (seconds >= GROUP_END).then_some(seconds)
}

/// The byte that MessagePack never uses.
pub(crate) struct Reserved;

/// The length of the value at the start; `None` if its end is not there. Needs no stack: a value inside is one more to come.
pub(crate) fn value_length(bytes: &[u8]) -> Result<Option<usize>, Reserved> {
    let (mut at, mut left) = (0_usize, 1_u64);
    while left > 0 {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
        let (own, inside) = match shape(rest)? {
            Some(shape) => shape,
            None => return Ok(None),
        };
        at = at.saturating_add(own);
        left = (left - 1).saturating_add(inside);
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// Bytes of the value itself, and how many values follow as its content.
fn shape(bytes: &[u8]) -> Result<Option<(usize, u64)>, Reserved> {
    let length = |width: usize| {
        let digits = bytes.get(1..=width)?;
        Some(digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)))
    };
    let sized = |head: usize, width: usize| length(width).map(|length| (head + length, 0));
    let holding = |width: usize, each: u64| length(width).map(|length| (1 + width, length as u64 * each));
    Ok(match Marker::from_u8(bytes[0]) {
        Marker::Reserved => return Err(Reserved),
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => Some((1, 0)),
        Marker::U8 | Marker::I8 => Some((2, 0)),
        Marker::U16 | Marker::I16 | Marker::FixExt1 => Some((3, 0)),
        Marker::FixExt2 => Some((4, 0)),
        Marker::U32 | Marker::I32 | Marker::F32 => Some((5, 0)),
        Marker::FixExt4 => Some((6, 0)),
        Marker::U64 | Marker::I64 | Marker::F64 => Some((9, 0)),
        Marker::FixExt8 => Some((10, 0)),
        Marker::FixExt16 => Some((18, 0)),
        Marker::FixStr(length) => Some((1 + usize::from(length), 0)),
        Marker::Str8 | Marker::Bin8 => sized(2, 1),
        Marker::Str16 | Marker::Bin16 => sized(3, 2),
        Marker::Str32 | Marker::Bin32 => sized(5, 4),
        Marker::Ext8 => sized(3, 1),
        Marker::Ext16 => sized(4, 2),
        Marker::Ext32 => sized(6, 4),
        Marker::FixArray(count) => Some((1, u64::from(count))),
        Marker::Array16 => holding(2, 1),
        Marker::Array32 => holding(4, 1),
        Marker::FixMap(count) => Some((1, u64::from(count) * 2)),
        Marker::Map16 => holding(2, 2),
        Marker::Map32 => holding(4, 2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x81\xa3log\xa2hi";
    const OLD_RECORD: &[u8] = b"\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x81\xa3log\xa2hi";
    /// As captured from the OpenTelemetry input: maps with long heads, ids as bytes.
    const HEAD: &[u8] = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\xdf\0\0\0\x01\xa6schema\xa4otlp\xdf\0\0\0\0";
    const END: &[u8] = b"\x92\x92\xd7\x00\xff\xff\xff\xfe\0\0\0\0\x80\x80";

    /// Length and record count of each unit; a broken rest as its length and nothing.
    fn units(bytes: &[u8]) -> Vec<(usize, Option<u64>)> {
        let mut file = ChunkFile::new(bytes);
        let mut all = Vec::new();
        while let Some(unit) = file.next().unwrap() {
            all.push(match unit {
                Unit::Records(bytes, records) => (bytes.len(), Some(records)),
                Unit::Broken(_, bytes) => (bytes.len(), None),
            });
        }
        all
    }

    #[test]
    fn records_of_both_formats() {
        let file = [RECORD, OLD_RECORD, RECORD].concat();
        assert_eq!(units(&file), [(RECORD.len(), Some(1)), (OLD_RECORD.len(), Some(1)), (RECORD.len(), Some(1))]);
        assert_eq!(units(b""), []);
    }

    #[test]
    fn every_kind_of_value_has_its_length() {
        let values: &[&[u8]] = &[
            b"\x05",
            b"\xff",
            b"\xc0",
            b"\xc2",
            b"\xc3",
            b"\xcc\0",
            b"\xcd\0\0",
            b"\xce\0\0\0\0",
            b"\xcf\0\0\0\0\0\0\0\0",
            b"\xd0\0",
            b"\xd1\0\0",
            b"\xd2\0\0\0\0",
            b"\xd3\0\0\0\0\0\0\0\0",
            b"\xca\0\0\0\0",
            b"\xcb\0\0\0\0\0\0\0\0",
            b"\xa1x",
            b"\xd9\x01x",
            b"\xda\0\x01x",
            b"\xdb\0\0\0\x01x",
            b"\xc4\x01x",
            b"\xc5\0\x01x",
            b"\xc6\0\0\0\x01x",
            b"\xd4\0x",
            b"\xd5\0xx",
            b"\xd6\0xxxx",
            b"\xd7\0xxxxxxxx",
            b"\xd8\0xxxxxxxxxxxxxxxx",
            b"\xc7\x01\0x",
            b"\xc8\0\x01\0x",
            b"\xc9\0\0\0\x01\0x",
            b"\x91\x01",
            b"\xdc\0\x01\x01",
            b"\xdd\0\0\0\x01\x01",
            b"\x81\x01\x02",
            b"\xde\0\x01\x01\x02",
            b"\xdf\0\0\0\x01\x01\x02",
            b"\x92\x91\x90\x81\x01\xa1x",
        ];
        for value in values {
            let followed = [value, &b"\x01"[..]].concat();
            assert_eq!(value_length(&followed).ok().flatten(), Some(value.len()), "{value:x?}");
            for cut in 0..value.len() {
                assert_eq!(value_length(&value[..cut]).ok(), Some(None), "{value:x?} cut at {cut}");
            }
        }
        assert!(value_length(b"\x91\xc1").is_err());
        assert_eq!(value_length(b"\xdf\xff\xff\xff\xff\x01").ok(), Some(None));
    }

    #[test]
    fn a_group_is_one_unit_and_its_marks_do_not_count() {
        let group = [HEAD, RECORD, RECORD, END].concat();
        let file = [RECORD, &group, &group, RECORD].concat();
        assert_eq!(
            units(&file),
            [(RECORD.len(), Some(1)), (group.len(), Some(2)), (group.len(), Some(2)), (RECORD.len(), Some(1))]
        );
    }

    #[test]
    fn a_group_without_end_is_still_whole_records() {
        let file = [HEAD, RECORD, RECORD].concat();
        assert_eq!(units(&file), [(HEAD.len(), Some(0)), (RECORD.len(), Some(1)), (RECORD.len(), Some(1))]);
    }

    #[test]
    fn a_cut_or_broken_file_gives_what_is_whole_and_the_rest_as_it_is() {
        let cut = [RECORD, &RECORD[..RECORD.len() - 1]].concat();
        assert_eq!(units(&cut), [(RECORD.len(), Some(1)), (RECORD.len() - 1, None)]);
        let broken = [RECORD, b"garbage", RECORD].concat();
        assert_eq!(units(&broken), [(RECORD.len(), Some(1)), (7 + RECORD.len(), None)]);
        let mut file = ChunkFile::new(&broken[..]);
        file.next().unwrap();
        assert!(matches!(file.next().unwrap(), Some(Unit::Broken(offset, _)) if offset == RECORD.len() as u64));
    }

    #[test]
    fn a_record_longer_than_all_bounds_is_broken_and_ends_the_file() {
        let long = [&b"\x92\x92\xd7\0\0\0\0\0\0\0\0\0\x80\x81\xa1x\xc6\xff\xff\xff\xff"[..], &[0; 600_000]].concat();
        let mut file = ChunkFile { longest: 1000, ..ChunkFile::new(&long[..]) };
        assert!(matches!(file.next().unwrap(), Some(Unit::Broken(0, bytes)) if bytes.len() < 300_000));
        assert_eq!(file.next().unwrap(), None);
    }

    #[test]
    fn units_do_not_depend_on_how_the_file_is_read() {
        struct ByteByByte<'a>(&'a [u8]);
        impl Read for ByteByByte<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(1);
                self.0.read(&mut buffer[..most])
            }
        }
        let one = [HEAD, RECORD, END].concat();
        let all = one.repeat(30_000);
        let mut file = ChunkFile::new(ByteByByte(&all));
        let mut count = 0;
        while let Some(unit) = file.next().unwrap() {
            assert_eq!(unit, Unit::Records(&one, 1));
            count += 1;
        }
        assert_eq!(count, 30_000);
    }
}
