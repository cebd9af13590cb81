//! Properties of any input. `bodies` has a function for each fuzz target; the targets in `fuzz/` run it on the fuzzer's inputs,
//! the tests of this package on the inputs in `fuzz/corpus`. `account` takes what the mapper makes of a chunk, and `validate`
//! judges it by Sentry's rules, for the bodies and for the property tests.

pub mod account;
pub mod bodies;
pub mod settings;
pub mod validate;

/// The wall time of every run in seconds since 1970, that of the seeds: 2026-11-20.
pub const NOW: u64 = testkit::generate::records::NOW;
