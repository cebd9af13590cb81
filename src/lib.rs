//! A Fluent Bit output plugin that turns log records into Sentry issues and Sentry logs.
//!
//! The list of modules follows the path of the data:
//!
//! ```text
//!  Fluent Bit's thread (24 KiB coroutine stack) |     our own threads (named, 2 MiB stacks)
//!  abi -> instance -> [copy, enqueue, wait] ==> chunk -> mapping -> envelope -> delivery ... ledger -> Fluent Bit's metrics
//! ```
//!
//! [`abi`] and [`host`] are the only files with `unsafe` in them; `ARCHITECTURE.md` describes the rest.

pub mod abi;
pub mod chunk;
pub mod clock;
pub mod delivery;
pub mod envelope;
pub mod host;
pub mod instance;
pub mod ledger;
pub mod level;
pub mod mapping;
pub mod options;
mod sync;
