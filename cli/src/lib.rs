//! The companion of the Sentry output: a host that ships files through the plugin's C ABI, a Sentry that only listens, the
//! plugin's own mapping asked what it makes of a record, and its own table asked what it thinks of a configuration.
//!
//! The binary is a thin shell around this library, so that tests can run the same receiver in-process.

mod argument;
pub mod check;
pub mod completions;
pub mod explain;
pub mod host;
pub mod input;
pub mod install;
pub mod receive;
pub mod replay;
pub mod ship;
mod terminal;
