//! The mapper thread: turns chunks into items.

pub(in crate::delivery) mod carried;
#[cfg(test)]
mod panic_tests;
pub(in crate::delivery) mod router;
pub(in crate::delivery) mod sink;
#[cfg(test)]
mod split_trace_tests;
pub(in crate::delivery) mod worker;
