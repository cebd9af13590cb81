//! Builds chunks: sequences of records in Fluent Bit's MessagePack format, as they are passed to a flush.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// One flush buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) tag: Arc<str>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: u64,
    /// Bytes of the input it was made of, for the progress.
    pub(crate) source_bytes: u64,
    /// The number of the file from which the chunk was made, for callers that need it.
    pub(crate) file: usize,
}

/// Gathers records into chunks of bounded size, of one tag each.
pub(super) struct Packer {
    tag: Arc<str>,
    most_bytes: usize,
    most_records: u64,
    bytes: Vec<u8>,
    records: u64,
    source_bytes: u64,
    since: Option<Instant>,
}

impl Packer {
    pub(super) fn new(most_bytes: usize, most_records: u64) -> Self {
        Self { tag: "".into(), most_bytes, most_records, bytes: Vec::new(), records: 0, source_bytes: 0, since: None }
    }

    /// Names the chunks from here on; the last one was taken before.
    pub(super) fn tag(&mut self, tag: &str) {
        self.tag = tag.into();
    }

    /// Returns true if so many more bytes and records have to wait for the next chunk.
    pub(super) fn full_for(&self, bytes: usize, records: u64) -> bool {
        !self.bytes.is_empty()
            && (self.bytes.len() + bytes > self.most_bytes || self.records + records > self.most_records)
    }

    /// Adds one record, several that belong together, or the bytes after a broken one.
    pub(super) fn add(&mut self, bytes: &[u8], records: u64, source_bytes: u64) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes.extend_from_slice(bytes);
        self.records += records;
        self.source_bytes += source_bytes;
    }

    /// Returns true if the first record has waited for `age` or longer.
    pub(super) fn older_than(&self, age: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= age)
    }

    /// The chunk so far, if there is anything in it.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.since = None;
        let (records, source_bytes) = (std::mem::take(&mut self.records), std::mem::take(&mut self.source_bytes));
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then(|| Chunk { tag: Arc::clone(&self.tag), bytes, records, source_bytes, file: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x81\xa3log\xa2hi";

    #[test]
    fn chunks_are_as_large_as_allowed_and_not_larger() {
        let mut packer = Packer::new(RECORD.len() * 2, 100);
        packer.tag("t");
        assert!(packer.take().is_none() && !packer.full_for(1 << 30, 1));
        packer.add(RECORD, 1, 10);
        assert!(!packer.full_for(RECORD.len(), 1) && packer.full_for(RECORD.len() + 1, 1));
        packer.add(RECORD, 1, 11);
        let chunk = packer.take().unwrap();
        assert_eq!((chunk.bytes.len(), chunk.records, chunk.source_bytes, &*chunk.tag), (RECORD.len() * 2, 2, 21, "t"));
        assert!(packer.take().is_none() && !packer.older_than(Duration::ZERO));
        let mut few = Packer::new(1 << 20, 2);
        few.add(RECORD, 2, 0);
        assert!(few.full_for(1, 1) && few.older_than(Duration::ZERO));
    }
}
