//! Tracks the state of each record of a chunk until its last item has ended.

mod attachments;
pub(in crate::delivery) mod chunk_progress;
#[cfg(test)]
mod chunk_progress_tests;
mod record_state;
mod status;
