//! Accepts chunks from Fluent Bit: admission, queue slots, compressed copies, and chunks that Fluent Bit flushes again.

pub(in crate::delivery) mod admission;
pub(in crate::delivery) mod chunk_slot;
pub(in crate::delivery) mod compressed_chunk;
pub(in crate::delivery) mod retry_registry;
