//! Derives `module`, `filename` and `in_app` of frames as each language's SDK sends them: one table for each language, with
//! the file of the SDK that it follows.
//!
//! An SDK asks the runtime for a module's name; here it is derived from the printed path. `docs/sdk-parity.md` lists the
//! values that cannot be equal.

pub(super) mod dotnet;
pub(super) mod go;
pub(super) mod java;
pub(super) mod node;
pub(super) mod php;
pub(super) mod python;
mod roots;
pub(super) mod ruby;
