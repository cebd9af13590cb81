//! Reads and writes chunk files: chunks of Fluent Bit, each preceded by a group marker that describes it.
//!
//! A marker is a MessagePack record whose time is that of a group's start and whose metadata is `{"out_sentry": {...}}`.
//! Every reader of Fluent Bit's chunks can read such a file: it sees the marker as a group without attributes.

use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Entry, entries};
use crate::clock::WallTime;

/// Version of the marker's fields.
pub(in crate::delivery) const VERSION: u64 = 1;
/// Extension of files that hold chunks.
pub(in crate::delivery) const SUFFIX: &str = "msgpack";

/// The first bytes of every marker: an array of an array, and the time of a group's start.
const HEAD: &[u8] = &[0x92, 0x92, 0xd7, 0, 255, 255, 255, 255, 0, 0, 0, 0];

/// Most records that a marker may say were left out of a segment: far more than fit into one. A marker with a greater number is
/// damage.
const MAX_ENDED: u32 = 1 << 24;

/// Bytes of a marker without the tag, at most.
pub(super) const MARKER_BYTES: usize = 192;

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The tag.
    pub tag: Vec<u8>,
    /// The bytes, as Fluent Bit handed them over.
    pub data: Vec<u8>,
    /// Number of records. Without bytes they have ended and were left out by a compaction.
    pub records: u32,
}

/// A field of a marker.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) enum Field<'f> {
    Number(u64),
    Text(&'f [u8]),
}

/// Returns a marker with these fields under `out_sentry`, and `body` as its body.
pub(in crate::delivery) fn marker_of(fields: &[(&str, Field<'_>)], body: Seq<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_marker(&mut out, fields, body);
    out
}

/// Appends a marker. Allocates nothing if `out` has enough capacity.
fn write_marker(out: &mut Vec<u8>, fields: &[(&str, Field<'_>)], body: Seq<'_>) {
    use rmp::encode::{write_map_len, write_str, write_str_len, write_uint};
    out.extend_from_slice(HEAD);
    let written = (|| {
        write_map_len(out, 1)?;
        write_str(out, "out_sentry")?;
        write_map_len(out, fields.len() as u32)?;
        for (name, field) in fields {
            write_str(out, name)?;
            match field {
                Field::Number(number) => drop(write_uint(out, *number)?),
                Field::Text(text) => {
                    write_str_len(out, text.len() as u32)?;
                    out.extend_from_slice(text);
                }
            }
        }
        write_map_len(out, body.len() as u32)
    })();
    debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    out.extend_from_slice(body.bytes());
}

/// Appends the marker of a spooled chunk. `wall` is the time at which it was written.
pub(super) fn write_chunk_marker(out: &mut Vec<u8>, tag: &[u8], length: usize, records: u32, wall: WallTime) {
    let fields = [
        ("version", Field::Number(VERSION)),
        ("tag", Field::Text(tag)),
        ("length", Field::Number(length as u64)),
        ("records", Field::Number(u64::from(records))),
        ("time", Field::Number(wall.as_micros())),
    ];
    write_marker(out, &fields, Seq::EMPTY);
}

/// Appends the marker that stands for records which have ended and were left out.
pub(super) fn write_ended_marker(out: &mut Vec<u8>, records: u32) {
    let fields = [
        ("version", Field::Number(VERSION)),
        ("tag", Field::Text(b"")),
        ("length", Field::Number(0)),
        ("ended", Field::Number(u64::from(records))),
    ];
    write_marker(out, &fields, Seq::EMPTY);
}

/// The tag in the marker at the start of a chunk; empty where there is none.
pub(super) fn tag_of(chunk: &[u8]) -> &[u8] {
    match marker(chunk) {
        Some(Ok(marker)) => marker.tag,
        _ => &[],
    }
}

/// The contents of a marker.
struct Marker<'m> {
    tag: &'m [u8],
    /// Bytes of the marker itself.
    size: usize,
    /// Bytes of the chunk behind it.
    length: usize,
    /// Number of records, if the marker has one.
    records: Option<u64>,
    /// Number of records that were left out, if the marker stands for such.
    ended: Option<u32>,
    /// Time at which the chunk was written; the epoch if the marker has no time.
    wall: WallTime,
}

/// Reads the marker at the start of `bytes`. `Err` is a version that this plugin does not know.
fn marker(bytes: &[u8]) -> Option<Result<Marker<'_>, u64>> {
    if !bytes.starts_with(HEAD) {
        return None;
    }
    let Some(Entry::GroupStart(record)) = entries(bytes).next() else { return None };
    let fields = record.metadata.get("out_sentry")?.map()?;
    let number = |name: &str| match fields.get(name) {
        Some(Value::UInt(number)) => Some(number),
        _ => None,
    };
    let version = number("version")?;
    if version != VERSION {
        return Some(Err(version));
    }
    let tag = fields.get("tag")?.text()?;
    let length = usize::try_from(number("length")?).ok()?;
    let wall = WallTime::from_micros(number("time").unwrap_or(0));
    let ended = number("ended").filter(|_| length == 0).and_then(|ended| u32::try_from(ended).ok());
    let ended = ended.filter(|ended| *ended <= MAX_ENDED);
    Some(Ok(Marker { tag, size: record.raw.len(), length, records: number("records"), ended, wall }))
}

/// A chunk's place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Offset of its marker.
    pub(super) offset: u64,
    /// Bytes of marker and chunk.
    pub(super) length: u64,
    pub(super) records: u32,
    /// Its records have ended and were left out.
    pub(super) is_ended: bool,
    /// Time at which it was written; the epoch if unknown.
    pub(super) wall: WallTime,
}

/// The contents of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) chunks: Vec<Placed>,
    /// Offset at which a chunk begins whose end was never written. Nothing follows it.
    pub(super) torn: Option<u64>,
    /// Undecodable stretches, and chunks whose number of records is not that of their marker.
    pub(super) damages: u32,
}

/// Finds the chunks of a segment.
///
/// The last chunk of a segment is torn if its marker promises more bytes than there are, if the marker itself is cut short,
/// or if only zeros follow (a file system that had extended the file and not written the data when the power failed). A torn
/// chunk was not acknowledged, or not synced. Any other deviation from the format is damage: the bytes from there on are one
/// chunk without a tag.
///
/// # Errors
/// The version of a marker that is newer than the plugin's.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, u64> {
    let mut scan = Scan::default();
    let (mut at, mut total) = (0, 0_u32);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let mut is_ended = false;
        let (length, records, wall) = match marker(rest) {
            Some(Err(version)) => return Err(version),
            Some(Ok(Marker { ended: Some(ended), size, .. })) if total.saturating_add(ended) <= MAX_ENDED => {
                is_ended = true;
                (size, ended, WallTime::EPOCH)
            }
            Some(Ok(marker)) if marker.length > rest.len() - marker.size => {
                scan.torn = Some(at as u64);
                return Ok(scan);
            }
            Some(Ok(marker)) => {
                let records = scan.count(&rest[marker.size..marker.size + marker.length]);
                scan.damages += u32::from(marker.records.is_some_and(|stated| stated != u64::from(records)));
                (marker.size + marker.length, records, marker.wall)
            }
            None if is_torn(rest) => {
                scan.torn = Some(at as u64);
                return Ok(scan);
            }
            None => {
                scan.damages += 1;
                (rest.len(), scan.count(rest), WallTime::EPOCH)
            }
        };
        total = total.saturating_add(records);
        scan.chunks.push(Placed { offset: at as u64, length: length as u64, records, is_ended, wall });
        at += length;
    }
    Ok(scan)
}

impl Scan {
    fn count(&mut self, data: &[u8]) -> u32 {
        let mut records = 0_u32;
        for entry in entries(data) {
            let (is_record, is_damage) = match entry {
                Entry::Record(_) => (true, false),
                Entry::Invalid(..) => (true, true),
                _ => (false, false),
            };
            records = records.saturating_add(u32::from(is_record));
            self.damages += u32::from(is_damage);
        }
        records
    }
}

/// Returns true if `rest`, which does not begin with a whole marker, is the rest of a torn marker or empty.
fn is_torn(rest: &[u8]) -> bool {
    /// A tag is a path at most; a marker without an end within this many bytes is damage.
    const LONGEST: usize = 64 << 10;
    let is_cut = rest.len() < LONGEST && (HEAD.starts_with(rest) || rest.starts_with(HEAD));
    is_cut && !is_whole_record(rest) || rest.iter().all(|byte| *byte == 0)
}

fn is_whole_record(rest: &[u8]) -> bool {
    matches!(entries(rest).next(), Some(Entry::GroupStart(_)))
}

/// Splits the bytes of a chunk file at its markers. Bytes behind no marker (a torn or a foreign file) become a chunk
/// without a tag, so that their records still count.
#[must_use]
pub fn split(mut bytes: &[u8]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let (tag, data) = match marker(bytes) {
            Some(Ok(Marker { size, ended: Some(records), .. })) => {
                chunks.push(Chunk { tag: Vec::new(), data: Vec::new(), records });
                bytes = &bytes[size..];
                continue;
            }
            Some(Ok(marker)) => {
                let end = marker.size + marker.length.min(bytes.len() - marker.size);
                (marker.tag, &bytes[marker.size..end])
            }
            _ => (&b""[..], bytes),
        };
        chunks.push(Chunk { tag: tag.to_vec(), data: data.to_vec(), records: crate::chunk::count(data) });
        let end = data.as_ptr_range().end as usize - bytes.as_ptr() as usize;
        bytes = &bytes[end..];
    }
    chunks
}

/// The hash and the records of a chunk, as they were when it was appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint {
    /// The [`chunk_hash`] of its bytes.
    pub(super) hash: u64,
    /// The number of its records.
    pub(super) records: u32,
}

/// Returns the hash by which the bytes of a chunk, without its marker, are recognised.
pub(super) fn chunk_hash(data: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(data)
}

/// Splits the bytes of an extent. Copies nothing where it is a single chunk, and counts no records if the chunk has the known
/// hash.
pub(super) fn split_owned(mut bytes: Vec<u8>, known: Option<Fingerprint>) -> Vec<Chunk> {
    if let Some(Ok(marker)) = marker(&bytes)
        && marker.ended.is_none()
        && marker.size + marker.length == bytes.len()
    {
        let (tag, size) = (marker.tag.to_vec(), marker.size);
        bytes.drain(..size);
        let known = known.filter(|known| known.hash == chunk_hash(&bytes));
        let records = known.map_or_else(|| crate::chunk::count(&bytes), |known| known.records);
        return vec![Chunk { tag, data: bytes, records }];
    }
    split(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

    fn chunk(tag: &str, records: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_chunk_marker(&mut out, tag.as_bytes(), RECORD.len() * records, records as u32, WallTime::from_secs(9));
        out.extend_from_slice(&RECORD.repeat(records));
        out
    }

    #[test]
    fn counts_records_unless_the_hash_is_known() {
        let hash = chunk_hash(&RECORD.repeat(2));
        for (hash, expected) in [(hash, 7), (hash ^ 1, 2)] {
            let chunks = split_owned(chunk("a", 2), Some(Fingerprint { hash, records: 7 }));
            assert_eq!(chunks, [Chunk { tag: b"a".to_vec(), data: RECORD.repeat(2), records: expected }]);
        }
    }

    #[test]
    fn finds_each_chunk_with_its_place_and_time() {
        let (one, two) = (chunk("a", 2), chunk("b", 3));
        let scan = scan(&[&one[..], &two].concat()).unwrap();
        let wall = WallTime::from_secs(9);
        let expected = [
            Placed { offset: 0, length: one.len() as u64, records: 2, is_ended: false, wall },
            Placed { offset: one.len() as u64, length: two.len() as u64, records: 3, is_ended: false, wall },
        ];
        assert_eq!(scan, Scan { chunks: expected.to_vec(), torn: None, damages: 0 });
    }

    #[test]
    fn segment_cut_anywhere_keeps_whole_chunks() {
        let (one, two) = (chunk("a", 2), chunk("b", 3));
        let both = [&one[..], &two].concat();
        for cut in 0..both.len() {
            let found = scan(&both[..cut]).unwrap();
            let (whole, torn) = match cut {
                0 => (0, None),
                cut if cut < one.len() => (0, Some(0)),
                cut if cut == one.len() => (1, None),
                _ => (1, Some(one.len() as u64)),
            };
            assert_eq!((found.chunks.len(), found.torn, found.damages), (whole, torn, 0), "cut at {cut}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_torn_and_other_bytes_are_damage() {
        let one = chunk("a", 2);
        let found = scan(&[&one[..], &[0; 5000]].concat()).unwrap();
        assert_eq!((found.chunks.len(), found.torn, found.damages), (1, Some(one.len() as u64), 0));
        let found = scan(&[&one[..], &[0xc1; 40]].concat()).unwrap();
        assert_eq!((found.chunks.len(), found.torn), (2, None));
        assert!(found.damages > 0);
    }

    #[test]
    fn finds_chunks_behind_a_damaged_one() {
        let (one, two) = (chunk("a", 2), chunk("b", 3));
        let mut both = [&one[..], &two].concat();
        both[one.len() - RECORD.len()] = 0xc1;
        let found = scan(&both).unwrap();
        assert!(found.damages > 0);
        assert_eq!((found.chunks.len(), found.chunks[1].records), (2, 3));
    }

    #[test]
    fn refuses_a_newer_version() {
        let newer = marker_of(&[("version", Field::Number(2)), ("tag", Field::Text(b"a"))], Seq::EMPTY);
        assert_eq!(scan(&newer), Err(2));
    }

    #[test]
    fn marker_fits_its_bound() {
        let mut out = Vec::new();
        write_chunk_marker(&mut out, b"", usize::MAX, u32::MAX, WallTime::from_micros(u64::MAX));
        assert!(out.len() <= MARKER_BYTES, "{}", out.len());
    }
}
