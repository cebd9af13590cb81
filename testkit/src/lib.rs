//! Parts that the tests, the benchmarks and the demo share: real servers, a real Fluent Bit, samples, and the paths of the plugin and
//! the companion.
//!
//! Everything a test may have to do without (a registry, `python3`, `fluent-bit`) answers `Err(why)`, and the test says
//! `skipped: <why>`. Everything started here ends with the value that holds it, and with the process that started it.

pub mod arrivals;
pub mod artefacts;
pub mod billing;
pub mod bugsink;
pub mod chunk;
pub mod envelope;
pub mod fluent_bit;
pub mod generate;
pub mod http;
pub mod measure;
pub mod net;
pub mod output;
pub mod process;
pub mod python;
pub mod relay;
pub mod samples;
pub mod shipping;
pub mod suite;
pub mod tempdir;
pub mod wait;

use std::path::PathBuf;

/// The plugin as a host loads it, of this program's profile and as new as its sources.
pub fn plugin() -> PathBuf {
    artefacts::built().join("libout_sentry.so")
}

/// The companion command, likewise.
pub fn companion() -> PathBuf {
    artefacts::built().join("flb-sentry")
}
