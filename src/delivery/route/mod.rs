//! Resolves the destination of each record from the settings, `dsn_dir` and annotations.
//!
//! `table` keeps the destinations and the routes to them. `dsn_sources` reads DSNs from files and directories. `resolver` returns the
//! destination that a record would have, for `flb-sentry explain`.

pub(in crate::delivery) mod dsn_sources;
pub(in crate::delivery) mod resolver;
pub(in crate::delivery) mod table;
