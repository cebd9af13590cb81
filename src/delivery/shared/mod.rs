//! State that several threads share: lifecycle, memory, backlog, blocked destinations; and the messages between them.

pub(in crate::delivery) mod backlog;
pub(in crate::delivery) mod blocks;
pub(in crate::delivery) mod inbox;
pub(in crate::delivery) mod lifecycle;
pub(in crate::delivery) mod load;
pub(in crate::delivery) mod memory_budget;
pub(in crate::delivery) mod memory_shares;
pub(in crate::delivery) mod state;
