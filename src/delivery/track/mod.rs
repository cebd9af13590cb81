//! Tracks the state of each record of a chunk until its last item has ended.

pub(in crate::delivery) mod chunk_progress;
