//! The dispatcher thread: decides what is sent when, and what follows each response.

pub mod destination;
pub(in crate::delivery) mod dispatcher;
pub(in crate::delivery) mod queue;
pub mod scheduler;
