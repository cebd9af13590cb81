//! Compacts a sealed segment: writes it again without the chunks that are no longer needed.
//!
//! A segment is deleted when every record in it has ended. Without compaction, one record that waits for a misconfigured
//! destination would keep the bytes of all other records of its segment, and soon fill the spool for all destinations.
//!
//! The new file has, in the place of a removed chunk, a marker with the number of records left out. Records keep their
//! numbers, so the progress file is valid for both files, and a crash at any point leaves one of them.

use crate::delivery::store::chunk_file::{Placed, tag_of, write_ended_marker};
use crate::delivery::store::record_set::RecordSet;
use crate::envelope::RecordIndex;
use std::collections::HashSet;

/// Records of a segment that have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct EndedRecords {
    /// Records of chunks that are never read again.
    done: RecordSet,
    /// Records that have ended, in chunks that are read together with others.
    ended: RecordSet,
    /// The number of records that are in `done`, in `ended`, or in both.
    count: u32,
}

impl EndedRecords {
    /// Chunks with `records` records from number `first` are never read again.
    pub(super) fn done(&mut self, first: RecordIndex, records: u32) {
        for record in first.run(records) {
            let is_new = self.done.insert(record) && !self.ended.has(record);
            self.count += u32::from(is_new);
        }
    }

    /// These records have ended, numbered from `first`.
    pub(super) fn ended(&mut self, first: RecordIndex, records: &RecordSet) {
        for record in records.iter().map(|record| first.plus(record.0)) {
            let is_new = self.ended.insert(record) && !self.done.has(record);
            self.count += u32::from(is_new);
        }
    }

    /// Returns the number of records that have ended.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// A segment without the chunks that have ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compacted {
    pub(super) bytes: Vec<u8>,
    /// Offset of each chunk that was copied or replaced, and of the end, before and after.
    pub(super) moves: Vec<(u64, u64)>,
}

/// Removes the ended chunks from the bytes of a segment. `chunks` are all chunks in it.
pub(super) fn compact(bytes: &[u8], chunks: &[Placed], ended_records: &EndedRecords) -> Option<Compacted> {
    let mut out = Compacted { bytes: Vec::new(), moves: Vec::new() };
    let mut first = RecordIndex(0);
    // Records of chunks that are never read, which one marker replaces.
    let mut run = 0_u32;
    let mut copied_tags = HashSet::new();
    for chunk in chunks {
        let data = bytes.get(chunk.offset as usize..(chunk.offset + chunk.length) as usize)?;
        let records = first.run(chunk.records);
        first = RecordIndex(first.0.checked_add(chunk.records)?);
        if chunk.records > 0 && records.clone().all(|record| ended_records.done.has(record)) {
            if run == 0 {
                out.moves.push((chunk.offset, out.bytes.len() as u64));
            }
            run += chunk.records;
            continue;
        }
        if run > 0 {
            write_ended_marker(&mut out.bytes, run);
            run = 0;
        }
        out.moves.push((chunk.offset, out.bytes.len() as u64));
        // Lines of a chunk may continue a trace that begins in one before it, of the same tag.
        let is_ended = records.clone().all(|record| ended_records.done.has(record) || ended_records.ended.has(record));
        let tag = tag_of(data);
        if chunk.records > 0 && is_ended && !copied_tags.contains(tag) {
            write_ended_marker(&mut out.bytes, chunk.records);
        } else {
            copied_tags.insert(tag);
            out.bytes.extend_from_slice(data);
        }
    }
    if run > 0 {
        write_ended_marker(&mut out.bytes, run);
    }
    out.moves.push((chunks.last().map_or(0, |last| last.offset + last.length), out.bytes.len() as u64));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::delivery::store::chunk_file::{scan, write_chunk_marker};

    const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

    fn records(records: std::ops::Range<u32>) -> RecordSet {
        let mut bits = RecordSet::default();
        records.for_each(|record| assert!(bits.insert(RecordIndex(record))));
        bits
    }

    fn segment(chunks: &[(&str, u32)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (tag, records) in chunks {
            let data = RECORD.repeat(*records as usize);
            write_chunk_marker(&mut out, tag.as_bytes(), data.len(), *records, WallTime::from_secs(9));
            out.extend_from_slice(&data);
        }
        out
    }

    fn compacted(bytes: &[u8], ended_records: &EndedRecords) -> (Compacted, Vec<(u32, bool)>) {
        let found = compact(bytes, &scan(bytes).unwrap().chunks, ended_records).unwrap();
        let again = scan(&found.bytes).unwrap();
        assert_eq!((again.torn, again.damages), (None, 0));
        let chunks = again.chunks.iter().map(|chunk| (chunk.records, chunk.is_ended)).collect();
        (found, chunks)
    }

    #[test]
    fn replaces_ended_chunks_by_markers() {
        let bytes = segment(&[("a", 20), ("b", 30), ("c", 40), ("d", 50), ("e", 60)]);
        let mut ended_records = EndedRecords::default();
        ended_records.done(RecordIndex(0), 50);
        ended_records.done(RecordIndex(0), 20);
        ended_records.ended(RecordIndex(90), &records(0..50));
        assert_eq!(ended_records.count(), 100);
        let (found, chunks) = compacted(&bytes, &ended_records);
        assert_eq!(chunks, [(50, true), (40, false), (50, true), (60, false)]);
        assert!(found.bytes.len() < bytes.len() * 6 / 10, "{} of {}", found.bytes.len(), bytes.len());
        assert_eq!(found.moves.len(), 5);
        // Again, from the compacted bytes.
        ended_records.done(RecordIndex(50), 40);
        let (again, chunks) = compacted(&found.bytes, &ended_records);
        assert_eq!(chunks, [(90, true), (50, true), (60, false)]);
        let (copied, end) = (again.moves[again.moves.len() - 2], again.moves[again.moves.len() - 1]);
        assert_eq!(again.bytes[copied.1 as usize..end.1 as usize], bytes[bytes.len() - (end.0 - copied.0) as usize..]);
    }

    #[test]
    fn keeps_a_chunk_that_may_continue_a_trace() {
        let bytes = segment(&[("a", 2), ("b", 2), ("a", 2)]);
        let mut ended_records = EndedRecords::default();
        ended_records.ended(RecordIndex(0), &records(2..6));
        assert_eq!(compacted(&bytes, &ended_records).1, [(2, false), (2, true), (2, false)]);
    }
}
