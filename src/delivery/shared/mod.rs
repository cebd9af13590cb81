//! State that several threads share: memory budget, backlog, blocked destinations.

pub(in crate::delivery) mod backlog;
pub(in crate::delivery) mod blocks;
pub(in crate::delivery) mod memory_budget;
