//! Tracks the state of each record of a chunk until its last item has ended.

mod attachments;
pub(in crate::delivery) mod chunk_progress;
#[cfg(test)]
mod chunk_progress_tests;
pub(in crate::delivery) mod drop_reason;
pub(in crate::delivery) mod record_set;
mod record_state;
mod status;
