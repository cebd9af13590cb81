//! Compresses chunks that wait in memory when memory gets short, so that several times as many fit into the same bytes.
//!
//! A burst arrives at once, and Fluent Bit offers a chunk that got RETRY again only after seconds, whereas compressing a
//! chunk takes one or two milliseconds. A chunk is compressed on Fluent Bit's coroutine stack, where nothing may format or
//! abort. The code therefore uses zstd's own interface, which needs less than 5 KiB of stack and returns numbers as errors.

use crate::chunk::{Entry, entries};
use crate::delivery::store::Chunk;
use crate::sync::{Mutex, MutexGuard};
use std::borrow::Cow;
use std::fmt;
use std::sync::PoisonError;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer};

/// Effort with which a chunk is compressed. On log lines, one core compresses to a quarter at nearly two gigabytes a second,
/// and to a seventh at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A burst has begun, and a flush is to be short.
    Light,
    /// Memory gets short.
    Hard,
}

impl Effort {
    /// Level of zstd.
    fn level(self) -> i32 {
        match self {
            Self::Light => -3,
            Self::Hard => 1,
        }
    }
}

/// Largest chunk in bytes that is compressed. Reading a compressed chunk takes a buffer of its size in addition.
pub(crate) const MAX_LENGTH: usize = 4 << 20;

/// Least factor by which a chunk has to shrink to be queued compressed.
const WORTHWHILE: usize = 2;

/// Marker for an unreadable rest of a chunk, which counts as one record. No MessagePack value begins like this.
const UNREADABLE: u8 = 0xc1;

/// A chunk's bytes, compressed.
#[derive(Debug)]
pub struct CompressedChunk {
    bytes: Vec<u8>,
    /// The number of bytes before compression.
    length: usize,
}

impl CompressedChunk {
    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Overwrites the second half with invalid bytes.
    #[cfg(test)]
    pub(in crate::delivery) fn spoil(&mut self) {
        let middle = self.bytes.len() / 2;
        self.bytes[middle..].fill(0xff);
    }

    /// Reads whole records from the start, as far as they can be read. A byte stands for the rest.
    fn salvage(&self, context: &mut DCtx<'_>, data: &mut Vec<u8>) {
        data.clear();
        let (mut rest, mut next) = (self.bytes.as_slice(), 1);
        let mut out = OutBuffer::around(data);
        while !rest.is_empty() {
            let mut part = InBuffer::around(&rest[..next.min(rest.len())]);
            // One block at a time, for an error hides all that was read with it.
            match context.decompress_stream(&mut out, &mut part) {
                Ok(missing) if missing > 0 => next = missing,
                _ => break,
            }
            rest = &rest[part.pos()..];
        }
        let torn = entries(data).find_map(|entry| match entry {
            Entry::Invalid(_, torn) => Some(torn.as_ptr() as usize - data.as_ptr() as usize),
            _ => None,
        });
        data.truncate(torn.unwrap_or(data.len()));
        data.push(UNREADABLE);
    }
}

/// A chunk that waits in memory.
#[derive(Debug)]
pub(crate) enum QueuedChunk {
    /// Uncompressed.
    Raw(Chunk),
    /// Compressed, with its tag.
    Compressed(Vec<u8>, CompressedChunk),
}

/// A queued chunk, uncompressed.
#[derive(Debug)]
pub(crate) struct Opened<'q> {
    pub(crate) chunk: Cow<'q, Chunk>,
    /// True if the chunk is as it came. If not, which would be a defect, one record that cannot be decoded stands for the
    /// missing part.
    pub(crate) is_whole: bool,
}

impl QueuedChunk {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Raw(segment) => segment.data.len() as u64,
            Self::Compressed(_, compressed) => compressed.bytes() as u64,
        }
    }

    /// The chunk, read in a `buffer` where it is compressed. `None` while memory is short.
    pub(crate) fn open(&self, buffer: impl FnOnce() -> Vec<u8>) -> Option<Opened<'_>> {
        let (tag, compressed) = match self {
            Self::Raw(segment) => return Some(Opened { chunk: Cow::Borrowed(segment), is_whole: true }),
            Self::Compressed(tag, compressed) => (tag.clone(), compressed),
        };
        let mut data = buffer();
        data.clear();
        data.try_reserve_exact(compressed.length).ok()?;
        let mut context = DCtx::try_create()?;
        let is_whole = context.decompress(&mut data, &compressed.bytes) == Ok(compressed.length);
        if !is_whole {
            compressed.salvage(&mut context, &mut data);
        }
        Some(Opened { chunk: Cow::Owned(Chunk { tag, data, records: 0 }), is_whole })
    }

    /// Returns the substitute for the chunk when there is no time to wait for memory.
    pub(crate) fn unreadable(&self) -> Opened<'_> {
        let (Self::Raw(Chunk { tag, .. }) | Self::Compressed(tag, _)) = self;
        let segment = Chunk { tag: tag.clone(), data: vec![UNREADABLE], records: 0 };
        Opened { chunk: Cow::Owned(segment), is_whole: false }
    }
}

/// Compresses one chunk after the other.
#[derive(Default)]
pub(crate) struct ChunkCompressor(Mutex<Option<Tools>>);

/// The compression context and the output buffer, reused from chunk to chunk.
struct Tools {
    context: CCtx<'static>,
    out: Vec<u8>,
}

impl Tools {
    fn new() -> Option<Self> {
        Some(Self { context: CCtx::try_create()?, out: Vec::new() })
    }
}

impl ChunkCompressor {
    /// A chunk in at most `most` bytes; `None` if it is too large, does not shrink enough, or memory is short. Never aborts.
    pub(crate) fn compress(&self, data: &[u8], most: u64, effort: Effort) -> Option<CompressedChunk> {
        let most = (data.len() / WORTHWHILE).min(usize::try_from(most).unwrap_or(usize::MAX));
        if data.len() > MAX_LENGTH {
            return None;
        }
        let mut tools = self.lock();
        let Tools { context, out } = match &mut *tools {
            Some(tools) => tools,
            none => none.insert(Tools::new()?),
        };
        context.set_parameter(CParameter::CompressionLevel(effort.level())).ok()?;
        out.clear();
        out.try_reserve_exact(most).ok()?;
        // Writes into the reserved capacity, and fails if that is too small.
        let length = context.compress2(out, data).ok().filter(|length| *length <= most)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).ok()?;
        bytes.extend_from_slice(out);
        Some(CompressedChunk { bytes, length: data.len() })
    }

    /// Frees the compression context and the buffer that it keeps.
    pub(crate) fn rest(&self) {
        let tools = self.lock().take();
        // Dropped without the lock, for which a flush may wait.
        drop(tools);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tools>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ChunkCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkCompressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Effort::{Hard, Light};
    use super::*;

    fn lines(bytes: usize) -> Vec<u8> {
        let lines =
            (0_u64..).flat_map(|n| format!("GET /p/sku-{} 200 in {} ms\n", n * 7_919 % 10_007, n % 97).into_bytes());
        lines.take(bytes).collect()
    }

    /// Lines as records.
    fn records(bytes: usize) -> Vec<u8> {
        let lines = lines(bytes);
        let record = |line: &[u8]| [b"\x92\x01\x81\xa1k\xd9", [line.len() as u8].as_slice(), line].concat();
        lines.split(|byte| *byte == b'\n').flat_map(record).collect()
    }

    /// Returns bytes that no compressor makes smaller.
    fn noise(bytes: usize) -> Vec<u8> {
        let hash = |n: usize| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes();
        (0..bytes.div_ceil(8)).flat_map(hash).take(bytes).collect()
    }

    fn opened(compressed: CompressedChunk) -> Chunk {
        let queued = QueuedChunk::Compressed(b"tag".to_vec(), compressed);
        let bytes = queued.bytes();
        let opened = queued.open(|| b"old bytes".to_vec()).unwrap();
        assert!(opened.is_whole);
        let segment = opened.chunk.into_owned();
        assert!(bytes > 0 && bytes < segment.data.len() as u64, "{bytes}");
        segment
    }

    #[test]
    fn reads_back_compressed_chunks() {
        let compressor = ChunkCompressor::default();
        for (bytes, effort) in [(2_000_000, Hard), (1_000, Light), (2_000_000, Light), (MAX_LENGTH, Hard)] {
            let data = lines(bytes);
            let segment = opened(compressor.compress(&data, u64::MAX, effort).unwrap());
            assert!(segment == Chunk { tag: b"tag".to_vec(), data, records: 0 });
            compressor.rest();
        }
    }

    #[test]
    fn leaves_large_or_incompressible_chunks_uncompressed() {
        let compressor = ChunkCompressor::default();
        assert!(compressor.compress(&lines(MAX_LENGTH + 1), u64::MAX, Hard).is_none());
        assert!(compressor.compress(&noise(100_000), u64::MAX, Hard).is_none());
        assert!(compressor.compress(b"", u64::MAX, Hard).is_none());
        let compressed = compressor.compress(&lines(100_000), u64::MAX, Hard).unwrap().bytes.len() as u64;
        assert!(compressor.compress(&lines(100_000), compressed - 1, Hard).is_none());
        assert!(compressor.compress(&lines(100_000), compressed, Hard).is_some());
    }

    #[test]
    fn borrows_an_uncompressed_chunk() {
        let segment = Chunk { tag: b"tag".to_vec(), data: lines(100), records: 0 };
        let queued = QueuedChunk::Raw(segment.clone());
        assert_eq!(queued.bytes(), 100);
        let opened = queued.open(|| panic!("no buffer is needed")).unwrap();
        assert!(matches!(&opened.chunk, Cow::Borrowed(chunk) if **chunk == segment));
    }

    #[test]
    fn reads_the_whole_records_of_a_damaged_chunk() {
        let data = records(2_000_000);
        let broken = |spoil: fn(&mut CompressedChunk)| {
            let mut compressed = ChunkCompressor::default().compress(&data, u64::MAX, Light).unwrap();
            spoil(&mut compressed);
            let queued = QueuedChunk::Compressed(b"tag".to_vec(), compressed);
            let opened = queued.open(Vec::new).unwrap();
            assert!(!opened.is_whole);
            let (last, read) = opened.chunk.data.split_last().unwrap();
            assert!(*last == UNREADABLE && data.starts_with(read), "{} bytes", read.len());
            let whole = entries(read).all(|entry| matches!(entry, Entry::Record(_)));
            assert!(whole && crate::chunk::count(&opened.chunk.data) == crate::chunk::count(read) + 1);
            read.len()
        };
        assert!(broken(CompressedChunk::spoil) > 500_000);
        assert!(broken(|compressed| compressed.bytes.truncate(compressed.bytes.len() / 2)) > 500_000);
        assert_eq!(broken(|compressed| compressed.bytes.clear()), 0);
        assert_eq!(broken(|compressed| compressed.bytes[0] ^= 1), 0);
        // More comes of it than went in.
        assert!(broken(|compressed| compressed.length = 500_000) <= 500_000);
    }

    #[test]
    fn does_not_read_a_chunk_without_memory() {
        let compressed = CompressedChunk { bytes: Vec::new(), length: usize::MAX };
        let queued = QueuedChunk::Compressed(Vec::new(), compressed);
        assert!(queued.open(Vec::new).is_none());
        assert_eq!(crate::chunk::count(&queued.unreadable().chunk.data), 1);
    }
}
