//! The companion of the Sentry output. It has four parts: a mirror of Fluent Bit that ships files through the plugin's C
//! ABI, a Sentry that only receives, the plugin's own mapping to explain records, and the plugin's own table of options to
//! check configurations.
//!
//! The binary is a thin shell around this library, so that tests can run the same receiver in-process.

mod argument;
pub mod check;
pub mod completions;
pub mod explain;
pub mod host;
pub mod input;
pub mod install;
pub mod man;
pub mod receive;
pub mod replay;
pub mod ship;
mod terminal;
