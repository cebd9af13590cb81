//! Holds accepted chunks: the slots of their flushes, and the chunks that Fluent Bit flushes again.

pub(in crate::delivery) mod chunk_slot;
pub(in crate::delivery) mod retry_registry;
