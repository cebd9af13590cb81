//! The mapper thread: turns chunks into items.

pub(in crate::delivery) mod carried;
#[cfg(test)]
mod dead_letter_tests;
mod disposition;
#[cfg(test)]
mod injected_panic;
#[cfg(test)]
mod panic_tests;
mod pass;
pub(in crate::delivery) mod pass_outcome;
mod record_writer;
pub(in crate::delivery) mod router;
pub(in crate::delivery) mod sink;
#[cfg(test)]
mod split_trace_tests;
mod standalone;
pub(in crate::delivery) mod worker;
