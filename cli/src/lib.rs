//! The companion of the Sentry output: a host that ships files through the plugin's C ABI, and a Sentry that only listens.
//!
//! The binary is a thin shell around this library, so that tests can run the same receiver in-process.

pub mod host;
pub mod receive;
pub mod replay;
pub mod ship;
