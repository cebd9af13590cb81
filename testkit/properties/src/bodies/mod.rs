//! The bodies of the fuzz targets: a module for each with one function, `run`, that panics when something is wrong.

pub mod chunk;
pub mod configuration;
pub mod dsn;
pub mod join;
pub mod limits;
pub mod message;
pub mod options;
pub mod record;
pub mod request;
pub mod scrub;
mod settings;
pub mod spool;
pub mod trace;

use super::{NOW, account};
