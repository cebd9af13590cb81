//! The bodies of the fuzz targets: a module for each with one function, `run`, that panics when something is wrong.

#[path = "../../properties/account.rs"]
mod account;
pub mod chunk;
pub mod configuration;
pub mod dsn;
pub mod join;
#[path = "../../properties/validate.rs"]
mod judge;
pub mod limits;
pub mod message;
pub mod options;
pub mod record;
pub mod request;
pub mod scrub;
mod settings;
pub mod spool;
pub mod trace;

/// The wall time of every run, that of the seeds: 2026-11-20.
const NOW: u64 = 1_795_161_600;
