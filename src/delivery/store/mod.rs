//! The spool: chunks on disk until Sentry has them.
//!
//! A spool is a directory of append-only segments. A flush appends its chunk to the open segment and returns; the worker
//! thread hands the chunk to the mapper, syncs the disk and repairs the directory. What is known about the records of a
//! segment is noted in its progress file. A segment and its progress file are deleted when every record in them has ended.
//! `docs/formats.md` specifies both formats.
//!
//! - `offer` takes the chunk of a flush into the spool, and makes the flush wait for the sync. `worker` is the spool's thread.
//! - `spool` is the directory with its open `segment`; `directory` has its lock and its names. `chunk_file` is the format of
//!   segments, `progress_file` that of progress files.
//! - `extent` is a run of chunks that are read and finished together. `recovery` finds those of an earlier process at the start,
//!   `compact` removes those that have ended from a segment, and `lost` counts those whose file was removed.
//! - `dead_letters` writes the records of rejected items, each with its `drop_reason`.
//! - `compressed_chunk` compresses chunks that wait in memory. `record_set` is a set of records, `error` has the errors.

mod chunk_file;
mod compact;
pub(super) mod compressed_chunk;
pub(super) mod dead_letters;
mod directory;
pub(super) mod drop_reason;
mod error;
mod extent;
pub(super) mod lost;
mod offer;
mod progress_file;
pub(super) mod record_set;
mod recovery;
mod segment;
mod spool;
#[cfg(test)]
mod tests;
pub(super) mod worker;

pub use chunk_file::{Chunk, split};
pub(super) use chunk_file::{Field, SUFFIX, VERSION, marker_of};
pub(super) use directory::{make_private, private};
pub use error::SpoolError;
pub use extent::Extent;
pub(crate) use offer::{ChunkIdentities, Offer, Store, begin_reload, end_reload};
pub use progress_file::{Ended, Progress};
pub use recovery::{Recovered, Recovery};
pub use spool::{Appended, Limits, Spool, WhenFull};

/// Version of the mapping. A change that makes other items of the same records under the same options raises it: chunks that
/// were mapped before are then mapped as if they had never been read.
const MAPPING_VERSION: u64 = 1;

/// Returns the number that stands for the mapping options in progress files. `options` is the text of every mapping
/// option, in a fixed order.
pub(super) fn settings(options: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(format!("{MAPPING_VERSION}\n{options}").as_bytes())
}
