//! Connects flushes with the plugin's threads.
//!
//! - `chunk_slot` passes a chunk from its flush to the mapper, and the verdict back. A flush that has waited too long abandons its
//!   slot and returns RETRY.
//! - `retry_registry` keeps the progress of the chunks that Fluent Bit has after such a RETRY, so that the next flush of the chunk
//!   continues it instead of sending its records twice.
//! - `flush_interval` measures how often Fluent Bit flushes, for the wait of unfinished stack traces.

pub(in crate::delivery) mod chunk_slot;
pub(in crate::delivery) mod flush_interval;
pub(in crate::delivery) mod retry_registry;
