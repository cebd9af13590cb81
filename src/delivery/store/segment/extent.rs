//! Extents: consecutive chunks of a segment that are read and finished together.

use super::{Place, Segment};
use crate::delivery::store::chunk_file::{Chunk, Fingerprint, split_owned};
use crate::delivery::store::error::SpoolError;
use crate::delivery::store::progress_file;
use crate::delivery::store::record_set::RecordSet;
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Outcome};
use crate::sync::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Chunks of a spool that wait to be read are read together up to this size.
pub(in crate::delivery::store) const EXTENT_BYTES: u64 = 512 << 10;

/// Consecutive chunks of a segment.
#[derive(Debug)]
pub struct Extent {
    segment: Arc<Segment>,
    offset: u64,
    length: u64,
    /// Number of its first record within the segment.
    first: RecordIndex,
    records: u32,
    chunks: u32,
    /// The hash of the bytes, if they are one chunk that this process has appended.
    hash: Option<u64>,
    has_ended: AtomicBool,
    /// The number of times it could not be read.
    failures: AtomicU64,
}

impl Extent {
    pub(in crate::delivery::store) fn new(
        segment: Arc<Segment>,
        place: Place,
        length: u64,
        records: u32,
        chunks: u32,
    ) -> Self {
        let Place { offset, first } = place;
        Self {
            segment,
            offset,
            length,
            first,
            records,
            chunks,
            hash: None,
            has_ended: AtomicBool::new(false),
            failures: AtomicU64::new(0),
        }
    }

    /// Returns the extent with the hash of the bytes of its only chunk.
    pub(in crate::delivery::store) fn with_hash(self, hash: u64) -> Self {
        Self { hash: Some(hash), ..self }
    }

    /// Number of its first record within the segment.
    pub(in crate::delivery::store) fn first(&self) -> RecordIndex {
        self.first
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes on the disk.
    pub(in crate::delivery::store) fn length(&self) -> u64 {
        self.length
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Takes in the extent behind this one, if it follows in the same segment and both together are not too large.
    pub(in crate::delivery::store) fn extend(&mut self, next: Self) -> Option<Self> {
        let follows = Arc::ptr_eq(&self.segment, &next.segment) && self.offset + self.length == next.offset;
        if !follows || self.length + next.length > EXTENT_BYTES {
            return Some(next);
        }
        self.length += next.length;
        self.records += next.records;
        self.chunks += next.chunks;
        self.hash = None;
        None
    }

    /// Reads the chunks. Bytes with the hash that they had when they were appended are not counted again.
    ///
    /// # Errors
    /// [`SpoolError::Read`]; [`SpoolError::Damaged`] if other records are there than were written.
    pub fn read(&self) -> Result<Vec<Chunk>, SpoolError> {
        let bytes = self.segment.read(self.offset, self.length).map_err(SpoolError::Read)?;
        let chunks = split_owned(bytes, self.hash.map(|hash| Fingerprint { hash, records: self.records }));
        let records: u32 = chunks.iter().map(|chunk| chunk.records).sum();
        if records == self.records { Ok(chunks) } else { Err(SpoolError::Damaged) }
    }

    /// Counts a failed reading; returns how many there were.
    pub(in crate::delivery::store) fn fail(&self) -> u64 {
        self.failures.fetch_add(1, Relaxed) + 1
    }

    /// Notes that every record has been mapped.
    pub(in crate::delivery) fn note_mapped(&self) {
        self.segment.note(&progress_file::mapped_line(self.first, self.records, self.segment.settings()));
    }

    /// Notes how records have ended; `records` ascend.
    pub(in crate::delivery) fn note_finished(&self, category: Category, records: &[RecordIndex], outcome: Outcome) {
        let records = records.iter().map(|record| self.first.plus(record.0));
        self.segment.note(&progress_file::finished_lines(category, records, outcome));
    }

    /// Notes records whose request was cut; `records` ascend.
    pub(in crate::delivery) fn note_aborted(&self, category: Category, records: &[RecordIndex]) {
        let records = records.iter().map(|record| self.first.plus(record.0));
        self.segment.note(&progress_file::aborted_lines(category, records));
    }

    /// Tells the segment which records have ended, for its compaction.
    pub(in crate::delivery) fn report_ended(&self, ended: &RecordSet) {
        self.segment.report_ended(self.first, ended);
    }

    /// Ends the extent: every record in it has ended. The segment is deleted when all of it has.
    pub fn end(&self) {
        if self.has_ended.swap(true, SeqCst) {
            return;
        }
        self.segment.end(self.first, self.records, self.chunks);
        self.segment.note(&progress_file::done_line(self.first, self.records));
    }
}
