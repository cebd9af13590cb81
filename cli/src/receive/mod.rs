//! `flb-sentry receive`: a Sentry that only receives. The crate `receiver` is the server; here is its command line.

mod command;

pub use command::{Args, run};
