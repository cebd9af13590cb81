//! Keeps the records of earlier chunks whose lines wait for the next lines of their stream.
//!
//! The mapping knows a record by a number: a record of the chunk that is read by its place in the chunk, and one of an earlier
//! chunk by a number from [`FIRST`] on, which [`Carried::add`] gives.

use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::RecordIndex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The first number that the mapping knows a waiting record by. Smaller numbers are records of the chunk that is read.
pub(in crate::delivery) const FIRST: u32 = 1 << 31;

/// Returns the record that the mapping means by a number, if it is one of the chunk that is read.
pub(in crate::delivery) fn in_chunk(number: u32) -> Option<RecordIndex> {
    (number < FIRST).then_some(RecordIndex(number))
}

/// Records that wait for a later chunk, by the numbers under which the mapping knows them. Each keeps its progress record
/// from being done.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Carried {
    records: HashMap<u32, (Arc<ChunkProgress>, RecordIndex)>,
    /// The number given last.
    last: u32,
}

impl Carried {
    /// Adds a record and returns its number.
    pub(in crate::delivery) fn add(&mut self, chunk_progress: &Arc<ChunkProgress>, record: RecordIndex) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1) | FIRST;
            if !self.records.contains_key(&self.last) {
                break;
            }
        }
        chunk_progress.begin_wait();
        self.records.insert(self.last, (Arc::clone(chunk_progress), record));
        self.last
    }

    /// Returns the chunk and the record of a number.
    pub(in crate::delivery) fn get(&self, number: u32) -> Option<(Arc<ChunkProgress>, RecordIndex)> {
        self.records.get(&number).cloned()
    }

    /// Returns true if any record is in memory alone.
    pub(in crate::delivery) fn is_volatile(&self) -> bool {
        self.records.values().any(|(chunk_progress, _)| matches!(chunk_progress.source, ChunkSource::Memory))
    }

    /// Forgets the records that no longer wait; returns their progress records, each as often as [`Carried::add`] was called for it.
    pub(in crate::delivery) fn retain(&mut self, waiting: impl Iterator<Item = u32>) -> Vec<Arc<ChunkProgress>> {
        if self.records.is_empty() {
            return Vec::new();
        }
        let waiting: HashSet<u32> = waiting.collect();
        let removed = self.records.extract_if(|number, _| !waiting.contains(number));
        removed.map(|(_, (chunk_progress, _))| chunk_progress).collect()
    }
}
