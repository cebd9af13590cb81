//! Random records, chunks and texts, made from a seed, for property tests and the test against Relay.

pub mod encode;
pub mod random;
pub mod records;
pub mod rounds;
pub mod text;
mod values;
