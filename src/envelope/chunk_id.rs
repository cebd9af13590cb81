//! Identifies chunks and batches within a process, so that a batch that failed is recognised when its records are read again.

use crate::mapping::identity::EventId;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Identifies a chunk within the process. A number is never given twice: the address of a chunk would be that of a later
/// chunk once the first one has ended, and the later chunk would inherit its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkId(u64);

impl ChunkId {
    /// Returns an id that no other chunk of this process has.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// The number of a record within its chunk, counted from 0 in the order of the records. Chunks of the spool that are read
/// together are numbered as one; a segment and its progress file number all records of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordIndex(pub u32);

impl RecordIndex {
    /// Returns the record that follows this one after so many; the greatest number if there is none.
    #[must_use]
    pub fn plus(self, records: u32) -> Self {
        Self(self.0.saturating_add(records))
    }

    /// Returns the numbers of so many consecutive records, of which this is the first.
    pub fn run(self, records: u32) -> impl Iterator<Item = Self> + Clone {
        (self.0..self.plus(records).0).map(Self)
    }
}

/// Has a chunk's id.
pub trait Identified {
    /// Returns the chunk's id.
    fn id(&self) -> ChunkId;
}

impl Identified for ChunkId {
    fn id(&self) -> ChunkId {
        *self
    }
}

/// Identifies a batch by its first item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchKey {
    /// An event, which is alone in its batch.
    Event(EventId),
    /// Logs: the chunk and the record of the first one.
    Logs(ChunkId, RecordIndex),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::envelope::Batch;
    use crate::envelope::Reading;
    use crate::ledger::Category;
    use std::collections::HashSet;
    use std::sync::Arc;

    #[test]
    fn a_later_chunk_never_has_the_key_of_one_that_has_ended() {
        let mut keys = HashSet::new();
        for _ in 0..1_000 {
            // Each is gone before the next one is made, which gets its memory.
            let chunk = Arc::new(ChunkId::next());
            let mut batch = Batch::new(Category::Log, Vec::new(), Monotonic::START, Reading::Live);
            batch.open().push(b'1');
            batch.close(&chunk, RecordIndex(0), None);
            assert!(keys.insert(batch.key().expect("expected a key")), "expected another key than {:?}", batch.key());
        }
    }
}
