//! Collects items into envelopes, limited by count and bytes. Pure: no clock, no thread, no socket.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/transport/envelopes/>. An event is sent alone, logs by the hundred,
//! and never both in one envelope, so that a response is never ambiguous. The header is written at each attempt, because
//! Sentry shifts every time in an envelope whose `sent_at` is old.

mod batch;
mod chunk_id;
mod collector;
mod gather;
pub mod report;
#[cfg(test)]
mod tests;
mod trim;

pub use batch::{Batch, Bill, Failures, Parts, Reading};
pub use chunk_id::{BatchKey, ChunkId, Identified, RecordIndex};
pub use collector::Collector;
pub use gather::LogBatcher;

/// Most bytes of one container of logs, uncompressed.
pub const MAX_LOG_BYTES: usize = 1_000_000;
