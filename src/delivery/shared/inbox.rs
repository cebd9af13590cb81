//! The messages that threads and flushes send to the dispatcher, and the work that they give to the mapper.

use crate::clock::Monotonic;
use crate::delivery::accept::chunk_slot::ChunkSlot;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::shared::load::Load;
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::delivery::transport::client::SendResult;
use crate::delivery::transport::sender::Done;
use crate::envelope::Batch;
use crate::ledger::Category;
use crate::mapping::{CheckIn, DestinationId};
use crate::options::ResolvedMode;
use std::sync::Arc;

/// Memory that the mapper waits for: so many bytes of the share of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedMemory {
    /// Category of the envelope.
    pub category: Category,
    /// Bytes of the envelope.
    pub bytes: u64,
}

/// Messages to the dispatcher.
#[derive(Debug)]
pub(crate) enum Message {
    /// An envelope to send.
    Batch(Box<Batch<ChunkProgress>>),
    /// The mapper waits for memory for an envelope to this destination.
    AwaitsMemory(DestinationId, AwaitedMemory),
    /// The result of a request.
    Done(Box<Done<Load>>),
    /// A line that is logged once a minute at most.
    LogThrottled(LogRequest),
    /// A line that is logged at once, because its sender sends it once.
    Log(Severity, String),
    /// Result of the check of a destination at the start: the status of its response, else why there was none.
    Probed(DestinationId, Result<u16, Box<SendResult>>),
    /// The mode that `auto` has chosen.
    Chose(ResolvedMode),
    /// A flush has come on a worker thread of Fluent Bit's.
    Workers,
    /// A job runs or ran.
    CheckIn(CheckIn),
    /// The mapper has ended.
    MapperDone,
    /// The instance closes: the dispatcher ends at this steady time at the latest.
    Close(Monotonic),
}

/// A message about this instance for the log.
#[derive(Debug)]
pub(crate) struct LogRequest {
    pub(crate) severity: Severity,
    /// Identifies messages that count as the same.
    pub(crate) kind: LogKind,
    pub(crate) text: String,
    /// Occurrences that the message stands for.
    pub(crate) times: u64,
}

/// Work for the mapper.
#[derive(Debug)]
pub(crate) enum Job {
    /// A chunk whose flush waits for Sentry.
    Ack(Arc<ChunkSlot>),
    /// A chunk whose flush has already returned.
    Memory(Arc<ChunkSlot>),
    /// Chunks in the spool, the next of the backlog's live ones.
    Spooled,
    /// The last job.
    Close,
}
