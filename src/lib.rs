//! A Fluent Bit output plugin that turns log records into Sentry issues and Sentry logs.
//!
//! The file list is the path of the data:
//!
//! ```text
//!  host thread (24 KiB coroutine stack) |            our own threads (named, 2 MiB stacks)
//!  abi -> instance -> [copy, enqueue, wait] ==> chunk -> record -> envelope -> delivery ... ledger -> host's metrics
//! ```
//!
//! [`abi`] and [`host`] are the only files with `unsafe` in them; `ARCHITECTURE.md` tells the rest.

pub mod abi;
pub mod chunk;
pub mod clock;
pub mod delivery;
pub mod envelope;
pub mod host;
pub mod instance;
pub mod ledger;
pub mod level;
pub mod options;
pub mod record;
mod sync;
