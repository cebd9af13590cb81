//! State that several threads share. Each field documents its writers and readers.
//!
//! - `state` is the state of an instance as a whole. `lifecycle` owns the order of its end.
//! - `inbox` has the messages between the threads, `load` the content of requests.
//! - `memory_shares` divides `queue_max_size`; `memory_budget` limits the items in memory.
//! - `blocks` tells the mapper which destinations are limited or failing. `backlog` keeps the chunks that wait for them.

pub(in crate::delivery) mod backlog;
pub(in crate::delivery) mod blocks;
pub(in crate::delivery) mod inbox;
pub(in crate::delivery) mod lifecycle;
pub(in crate::delivery) mod load;
pub(in crate::delivery) mod memory_budget;
pub(in crate::delivery) mod memory_shares;
pub(in crate::delivery) mod state;
