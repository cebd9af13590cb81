//! The companion of the Sentry output. It ships files through the plugin's C ABI (with the crate `plugin-host`), runs a
//! Sentry that only receives (the crate `receiver`), explains records with the plugin's own mapping, and checks
//! configurations with the plugin's own table of options.
//!
//! The binary is a thin shell around this library.

mod argument;
pub mod check;
pub mod completions;
pub mod explain;
pub mod input;
pub mod install;
pub mod man;
pub mod receive;
pub mod replay;
pub mod ship;
mod terminal;
