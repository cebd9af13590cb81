//! State that several threads share: lifecycle, memory, backlog, blocked destinations.

pub(in crate::delivery) mod backlog;
pub(in crate::delivery) mod blocks;
pub(in crate::delivery) mod lifecycle;
pub(in crate::delivery) mod memory_budget;
pub(in crate::delivery) mod memory_shares;
pub(in crate::delivery) mod state;
