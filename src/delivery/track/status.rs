//! The source from which a chunk can be read again, and the status of a chunk and of its records.

use crate::delivery::store::Extent;
use crate::delivery::store::drop_reason::DropReason;
use crate::ledger::Outcome;
use std::sync::Arc;

/// Source from which a chunk's bytes can be read again.
#[derive(Debug)]
pub enum ChunkSource {
    /// Memory only: a chunk that is not delivered at exit is lost.
    Memory,
    /// With Fluent Bit, which offers the chunk again after RETRY; the number is the chunk's identity.
    Host(u128),
    /// In the spool.
    Spool(Extent),
    /// There is no record: the item is a message of the plugin about other records, which have ended.
    None,
}

/// Result of attaching a line to another chunk's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// It ends with the record's item.
    Done,
    /// The record has ended.
    Ended,
    /// The record waits where it is.
    Waits,
}

/// Status of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkStatus {
    /// Records are in flight, or have not been mapped.
    Busy,
    /// Every record has ended.
    Done,
    /// The remaining records have to be mapped again.
    Deferred,
}

/// Status of a record in a category.
#[derive(Clone, Debug)]
pub enum RecordStatus {
    /// It has ended or is in flight.
    Closed,
    /// It needs an item.
    Open,
    /// It is rejected for this reason.
    Rejected(Arc<DropReason>),
    /// Its request was cut when an earlier process ended: it may have arrived, and is sent after everything else.
    Last,
}

/// Tells if another reading of a record, under the same settings, comes to the same outcome by itself. An outcome that does
/// not is noted in the progress file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reproducible {
    /// It does.
    Yes,
    /// It may not.
    No,
}

impl Reproducible {
    /// Returns the value for an outcome that was decided by the record and the settings alone.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Filtered | Outcome::Joined | Outcome::Sampled => Self::Yes,
            _ => Self::No,
        }
    }
}
