//! The spool: chunks on disk until Sentry has them.
//!
//! A spool is a directory of append-only segments. A flush appends its chunk to the open segment and returns; the worker
//! thread hands the chunk to the mapper, syncs the disk and repairs the directory. The progress file of a segment
//! notes which of its records have ended, and how. Both files are deleted when every record of the segment has ended.
//! `docs/formats.md` specifies both formats.
//!
//! - `offer` takes the chunk of a flush into the spool, and makes the flush wait for the sync. `worker` is the spool's thread.
//! - `spool` is the open spool: `spool/directory` has the lock and the names of the files, `spool/recovery` finds the chunks of an
//!   earlier process at the start.
//! - `segment` is a file of chunks. `segment/extent` is a run of chunks that are read and finished together; `segment/compact`
//!   removes the chunks that have ended; `lost` counts the records of removed segments.
//! - `chunk_file` is the format of segments and dead letters, `progress_file` that of progress files.
//! - `dead_letters` writes the records of rejected items, each with its `drop_reason`.
//! - `compressed_chunk` compresses chunks that wait in memory. `record_set` is a set of records, `error` has the errors.

mod chunk_file;
pub(super) mod compressed_chunk;
pub(super) mod dead_letters;
pub(super) mod drop_reason;
mod error;
pub(super) mod lost;
mod offer;
mod progress_file;
pub(super) mod record_set;
mod segment;
mod spool;
#[cfg(test)]
mod tests;
pub(super) mod worker;

pub use chunk_file::{Chunk, split};
pub(super) use chunk_file::{Field, SUFFIX, VERSION, marker_of};
pub use error::SpoolError;
pub(crate) use offer::{ChunkIdentities, Offer, Store, begin_reload, end_reload};
pub use progress_file::{Ended, Progress};
pub use segment::extent::Extent;
pub(super) use spool::directory::{make_private, private};
pub use spool::recovery::{Recovered, Recovery};
pub use spool::{Appended, Limits, Spool, WhenFull};

/// Version of the mapping. A change that makes other items of the same records under the same options raises it: chunks that
/// were mapped before are then mapped as if they had never been read.
const MAPPING_VERSION: u64 = 1;

/// Returns the number that stands for the mapping options in progress files. `options` is the text of every mapping
/// option, in a fixed order.
pub(super) fn settings(options: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(format!("{MAPPING_VERSION}\n{options}").as_bytes())
}
