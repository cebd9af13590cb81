//! Tracks the state of each record of a chunk until its last item has ended.
//!
//! `chunk_progress` keeps the states (`record_state`) of all records of a chunk, and derives the status of the chunk (`status`)
//! from them. `attachments` are lines of later chunks that end with a record of this one.

mod attachments;
pub(in crate::delivery) mod chunk_progress;
#[cfg(test)]
mod chunk_progress_tests;
mod record_state;
#[cfg(test)]
mod spool_tests;
mod status;
