//! Reads a chunk as Fluent Bit passes it: concatenated MessagePack records, without copying them.
//!
//! It accepts two record formats, `[time, map]` (Fluent Bit before 2.1) and `[[time, metadata], map]`, in any mixture, and
//! group markers (3.1 and later). Source: Fluent Bit's `flb_log_event_decoder.c`.
//!
//! Corrupt bytes never end a chunk silently. Reading resumes at the next record head from which everything decodes to the
//! exact end of the chunk, and the bytes skipped are reported as one [`Entry::Invalid`].

pub mod msgpack;
mod time;

use msgpack::{Cursor, Malformed, Run, Seq, Value};
use time::Stamp;
pub use time::Timestamp;

/// One step through a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A log record.
    Record(Record<'a>),
    /// The records that follow share this metadata and body (for OTLP: resource and scope).
    GroupStart(Record<'a>),
    /// The group is over.
    GroupEnd,
    /// Bytes that are no record, and why. They count as one record.
    Invalid(Malformed, &'a [u8]),
}

/// A record, borrowed from its chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Time at which it happened, as the record states it; zero for group markers.
    pub time: Timestamp,
    /// The metadata map of the newer record format, empty for the older one.
    pub metadata: Seq<'a>,
    /// The record itself; a map in all that Fluent Bit makes, but nothing enforces it.
    pub body: Value<'a>,
    /// The whole encoded record.
    pub raw: &'a [u8],
    /// Values inside it that may be met again when its body is read.
    pub run: Run<'a>,
}

/// The number of bytes, per byte of chunk, that may be read to find a place to go on after corrupt bytes: hostile input must
/// not make recovery quadratic.
const RECOVERY_WORK: usize = 16;

/// Iterator over the entries of a chunk.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    chunk: &'a [u8],
    cursor: Cursor<'a>,
}

/// Reads a chunk from its start.
#[must_use]
pub fn entries(chunk: &[u8]) -> Entries<'_> {
    Entries { chunk, cursor: Cursor::new(chunk) }
}

/// Number of records in a chunk, each stretch of undecodable bytes counting as one.
#[must_use]
pub fn count(chunk: &[u8]) -> u32 {
    let (mut entries, mut records) = (entries(chunk), 0_u32);
    loop {
        records = records.saturating_add(entries.pass_plain());
        match entries.next() {
            Some(Entry::Record(_) | Entry::Invalid(..)) => records = records.saturating_add(1),
            Some(Entry::GroupStart(_) | Entry::GroupEnd) => {}
            None => return records,
        }
    }
}

impl Entries<'_> {
    /// Moves behind the next records that begin as most inputs write them, without reading them. Returns the number of records.
    fn pass_plain(&mut self) -> u32 {
        let mut passed = 0;
        while let [0x92, 0x92, inside @ ..] = self.cursor.rest()
            && let Some((time, body)) = plain_header(inside)
            && matches!(time::event_time(time), Some(Stamp::At(_)))
        {
            let mut behind = Cursor::knowing(body, self.cursor.run());
            if !behind.pass_value() {
                break;
            }
            self.cursor = behind;
            passed += 1;
        }
        passed
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let before = self.cursor.rest();
        if before.is_empty() {
            return None;
        }
        match entry(&mut self.cursor) {
            Ok(entry) => Some(entry),
            Err(expected) => {
                let at = self.cursor.rest();
                self.cursor = Cursor::knowing(behind(before).unwrap_or_else(|| resume(before)), self.cursor.run());
                let skipped = &before[..before.len() - self.cursor.rest().len()];
                Some(Entry::Invalid(Malformed { offset: self.chunk.len() - at.len(), expected }, skipped))
            }
        }
    }
}

/// Reads one entry; on an error the cursor stays near the place where it went wrong.
#[inline]
fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, &'static str> {
    match usual(*cursor) {
        Some((entry, behind)) => {
            *cursor = behind;
            Ok(entry)
        }
        None => any_entry(cursor),
    }
}

/// Reads a record in the form that Fluent Bit writes since 2.1, in one pass; returns nothing if anything about it is
/// unusual.
#[inline]
fn usual<'a>(mut cursor: Cursor<'a>) -> Option<(Entry<'a>, Cursor<'a>)> {
    let start = cursor.rest();
    let [0x92, 0x92, inside @ ..] = start else { return None };
    let (time, metadata) = match plain_header(inside) {
        Some((time, behind)) => {
            cursor = Cursor::knowing(behind, cursor.run());
            (time::event_time(time)?, Seq::EMPTY)
        }
        None => {
            cursor = Cursor::knowing(inside, cursor.run());
            (time::stamp(cursor.read().ok()?)?, cursor.read().ok()?.map()?)
        }
    };
    let body = cursor.read().ok()?;
    let raw = &start[..start.len() - cursor.rest().len()];
    let record = |time| Record { time, metadata, body, raw, run: cursor.run() };
    let entry = match time {
        Stamp::At(time) => Entry::Record(record(time)),
        Stamp::GroupStart => Entry::GroupStart(record(Timestamp::default())),
        Stamp::GroupEnd => Entry::GroupEnd,
    };
    Some((entry, cursor))
}

/// Splits off an EventTime with no metadata behind it, as most inputs write them; returns the time's eight bytes and the rest.
#[inline]
fn plain_header(inside: &[u8]) -> Option<(&[u8; 8], &[u8])> {
    let [0xd7, 0x00, rest @ ..] = inside else { return None };
    let (time, [0x80, behind @ ..]) = rest.split_first_chunk()? else { return None };
    Some((time, behind))
}

fn any_entry<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, &'static str> {
    let start = cursor.rest();
    let Value::Array(pair) = cursor.read()? else { return Err("a record, an array of two") };
    let raw = &start[..start.len() - cursor.rest().len()];
    if pair.len() != 2 {
        return Err("a record, an array of two");
    }
    let run = cursor.run();
    let mut inside = Cursor::knowing(pair.bytes(), run);
    let (time, metadata) = match inside.read()? {
        Value::Array(head) if head.len() == 2 => header(head)?,
        Value::Array(_) => return Err("a record header, an array of time and metadata"),
        time => (time, Seq::EMPTY),
    };
    let body = inside.read()?;
    let record = |time| Record { time, metadata, body, raw, run };
    Ok(match time::stamp(time).ok_or("a time: EventTime, integer or float")? {
        Stamp::At(time) => Entry::Record(record(time)),
        Stamp::GroupStart => Entry::GroupStart(record(Timestamp::default())),
        Stamp::GroupEnd => Entry::GroupEnd,
    })
}

fn header(head: Seq<'_>) -> Result<(Value<'_>, Seq<'_>), &'static str> {
    let mut values = head.values();
    let time = values.next().ok_or("a time")?;
    let metadata = values.next().and_then(|value| value.map()).ok_or("a metadata map")?;
    Ok((time, metadata))
}

/// Returns the bytes behind a first value that is whole but no record, if all of them decode. Nothing inside the value,
/// where a log line could look like a record, is then looked at.
fn behind(bytes: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(bytes);
    cursor.read().ok()?;
    let mut work = bytes.len();
    (decodes_to_the_end(cursor.rest(), &mut work) == Some(true)).then(|| cursor.rest())
}

/// The part of `bytes` to go on with after its first byte turned out not to begin a record: the first record head from
/// which all the rest decodes, else nothing.
fn resume(bytes: &[u8]) -> &[u8] {
    let mut work = bytes.len().saturating_mul(RECOVERY_WORK);
    for start in 1..bytes.len() {
        let candidate = &bytes[start..];
        if !is_record_head(candidate) {
            continue;
        }
        match decodes_to_the_end(candidate, &mut work) {
            Some(true) => return candidate,
            Some(false) => {}
            None => break,
        }
    }
    &[]
}

fn is_record_head(bytes: &[u8]) -> bool {
    matches!(bytes, [0x92, ..] | [0xdc, 0, 2, ..] | [0xdd, 0, 0, 0, 2, ..])
}

/// Returns `Some(true)` if `bytes` consist of whole entries only, and `None` when the allowed work is used up.
fn decodes_to_the_end(bytes: &[u8], work: &mut usize) -> Option<bool> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.rest().is_empty() {
        let before = cursor.rest().len();
        // Fluent Bit writes maps only; an array of two that merely looks like a record does not do here.
        let decoded = match entry(&mut cursor) {
            Ok(Entry::Record(record) | Entry::GroupStart(record)) => record.body.map().is_some(),
            Ok(_) => true,
            Err(_) => false,
        };
        // A failed entry may have looked at everything that was left.
        let looked_at = if decoded { before - cursor.rest().len() } else { before - cursor.rest().len() + 1 };
        *work = work.checked_sub(looked_at)?;
        if !decoded {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];
    const V1: &[u8] = &[0x92, 0xce, 0, 0, 0, 9, 0x81, 0xa1, b'k', 1];
    const GROUP: &[u8] = &[0x92, 0x92, 0xd7, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0x80, 0x80];
    const END: &[u8] = &[0x92, 0x92, 0xd7, 0, 255, 255, 255, 254, 0, 0, 0, 0, 0x80, 0x80];

    fn shape(chunk: &[u8]) -> String {
        entries(chunk)
            .map(|entry| match entry {
                Entry::Record(_) => 'r',
                Entry::GroupStart(_) => '(',
                Entry::GroupEnd => ')',
                Entry::Invalid(..) => '!',
            })
            .collect()
    }

    #[test]
    fn both_record_formats_and_groups_are_read_in_any_mixture() {
        let chunk = [V1, GROUP, V2, END, V2].concat();
        assert_eq!(shape(&chunk), "r(r)r");
        assert_eq!(count(&chunk), 3);
        let Some(Entry::Record(record)) = entries(V2).next() else { panic!("a record") };
        assert_eq!(record.time, Timestamp { secs: 9, nanos: 5 });
        assert_eq!(record.raw, V2);
        assert_eq!(record.body.map().and_then(|map| map.get("k")), Some(Value::UInt(1)));
    }

    /// Whatever byte of a chunk is damaged, and wherever it is cut.
    #[test]
    fn counts_the_entries_that_are_read() {
        let chunk = [V2, V2, GROUP, V2, END, V1, V2, V2].concat();
        let read = |bytes: &[u8]| shape(bytes).matches(['r', '!']).count() as u32;
        for at in 0..chunk.len() {
            assert_eq!(count(&chunk[..at]), read(&chunk[..at]), "cut at {at}");
            for byte in [0x00, 0x81, 0x91, 0x92, 0xc1, 0xd7, 0xdb, 0xff] {
                let mut damaged = chunk.clone();
                damaged[at] = byte;
                assert_eq!(count(&damaged), read(&damaged), "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn rejects_a_header_of_three_values() {
        let entry = [0x92, 0x93, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x80, 0x81, 0xa1, b'k', 1];
        let Some(Entry::Invalid(why, _)) = entries(&entry).next() else { panic!("expected an invalid record") };
        let why = why.to_string();
        assert!(why.starts_with("expected a record header, an array of time and metadata"), "{why}");
    }

    #[test]
    fn counts_corrupt_bytes_once_and_finds_the_next_record() {
        let chunk = [V2, &[0xc1, 0xc1, 0x92, 7], V2, V1].concat();
        assert_eq!(shape(&chunk), "r!rr");
        let Some(Entry::Invalid(why, skipped)) = entries(&chunk).nth(1) else { panic!("invalid bytes") };
        assert_eq!(skipped, [0xc1, 0xc1, 0x92, 7]);
        assert_eq!(why.to_string(), format!("expected a MessagePack marker other than 0xc1 at byte {}", V2.len() + 1));
    }

    #[test]
    fn a_record_cut_short_at_the_end_is_one_invalid() {
        assert_eq!(shape(&[V2, &V2[..9]].concat()), "r!");
    }

    #[test]
    fn a_line_cannot_forge_a_record_inside_a_broken_one() {
        // A string that holds a whole record, inside a record whose end is missing: the forged record does not reach
        // the end of the chunk, so it is not believed.
        let mut line = vec![0x92, 0xce, 0, 0, 0, 9, 0x82, 0xa1, b'k', 0xd9, V1.len() as u8 + 1];
        line.extend_from_slice(V1);
        line.extend_from_slice(b".");
        assert_eq!(shape(&line), "!");
    }

    #[test]
    fn finds_no_record_inside_a_value() {
        // An array of three: its last element is a string that holds a record and ends where the next record begins.
        let mut value = vec![0x93, 1, 2, 0xa0 + V1.len() as u8];
        value.extend_from_slice(V1);
        assert_eq!(shape(&[V2, &value, V2].concat()), "r!r");
        assert_eq!(shape(&[&value[..], V2, V2].concat()), "!rr");
    }

    #[test]
    fn recovery_from_hostile_bytes_stays_linear() {
        // Every byte looks like a record head; a quadratic search would not come back from a megabyte.
        assert_eq!(shape(&vec![0x92; 1 << 20]), "!");
    }

    /// Reading a usual record in one pass is reading any record.
    #[test]
    fn the_quick_way_reads_what_the_long_way_reads() {
        const SOME: [&[u8]; 16] = [
            V2,
            V1,
            GROUP,
            END,
            &[0x92],
            &[0x92, 0x92, 9, 0x80],
            &[0x92, 0x92, 0xca, 0x3f, 0xc0, 0, 0, 0x80],
            &[0x91, 9],
            &[0x93, 1, 2, 3],
            &[0x80],
            &[0xd9, 1, b'x'],
            &[0xda, 0, 1, b'x'],
            &[0xde, 0, 1, 1, 2],
            &[0x86, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[0xdf, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            &[0xc7, 8, 0, 0, 0, 0, 9, 0, 0, 0, 5],
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % end
        };
        let mut read = 0;
        for _ in 0..5_000 {
            let mut bytes = [V2, SOME[next(SOME.len())], SOME[next(SOME.len())], SOME[next(SOME.len())]].concat();
            if next(3) == 0 {
                bytes = [&[0x92, 0x92], &bytes[next(9)..]].concat();
            }
            for _ in 0..next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes.insert(at, SOME[next(SOME.len())][0]),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes[at] = next(256) as u8,
                }
            }
            let mut cursor = Cursor::new(&bytes);
            while !cursor.rest().is_empty() {
                let mut long = Cursor::new(cursor.rest());
                let expected = any_entry(&mut long).ok().map(without_run);
                if let Some((entry, behind)) = usual(cursor) {
                    read += 1;
                    assert_eq!(format!("{:?}", Some(without_run(entry))), format!("{expected:?}"), "{bytes:x?}");
                    assert_eq!(behind.rest(), long.rest(), "{bytes:x?}");
                    // What was met before changes nothing of what its body holds.
                    if let (Entry::Record(record), Some(Entry::Record(other))) = (entry, expected)
                        && let (Some(body), Some(other)) = (record.body.map(), other.body.map())
                    {
                        let pairs = format!("{:?}", body.pairs_knowing(record.run).collect::<Vec<_>>());
                        assert_eq!(pairs, format!("{:?}", other.pairs().collect::<Vec<_>>()), "{bytes:x?}");
                    }
                    cursor = behind;
                } else {
                    let run = cursor.run();
                    match expected {
                        Some(_) => cursor = Cursor::knowing(long.rest(), run),
                        None => cursor = Cursor::knowing(&cursor.rest()[1..], run),
                    }
                }
            }
        }
        assert!(read > 2_500, "{read}");
    }

    fn without_run(entry: Entry<'_>) -> Entry<'_> {
        match entry {
            Entry::Record(record) => Entry::Record(Record { run: Run::default(), ..record }),
            Entry::GroupStart(record) => Entry::GroupStart(Record { run: Run::default(), ..record }),
            other => other,
        }
    }

    #[test]
    fn any_bytes_are_read_to_the_end_without_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..2_000 {
            let mut bytes = [V1, V2, GROUP, V2, END, V1].concat();
            for _ in 0..round % 7 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = state as usize % bytes.len();
                bytes[at] = (state >> 32) as u8;
            }
            let mut entries = entries(&bytes);
            let mut left = bytes.len();
            while entries.next().is_some() {
                assert!(entries.cursor.rest().len() < left, "round {round} stands still");
                left = entries.cursor.rest().len();
            }
            assert_eq!(left, 0, "round {round} leaves bytes unaccounted for");
        }
    }
}
