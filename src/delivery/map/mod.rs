//! Turns chunks into items, and decides for each record if it is sent, deferred or given up.
//!
//! - `worker` is the mapper thread. It takes live chunks and the chunks of the backlog in turns, and sends full envelopes.
//! - `pass` reads a chunk once. It survives panics of the mapping. The dead letters and drops of the reading are collected in
//!   `pass_outcome`.
//! - `sink` takes the records from the mapping. `router` finds the destination of a record, `disposition` decides on the record by
//!   the waits of the destination (`shared/blocks`), and `record_writer` writes the item into its envelope.
//! - `carried` keeps records of earlier chunks that wait for further lines of their stream.
//! - `standalone` sends items that stand for no record.

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
