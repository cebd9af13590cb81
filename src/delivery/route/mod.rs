//! Resolves the destination of each record from the settings, `dsn_dir` and annotations.

pub(in crate::delivery) mod dsn_sources;
pub(in crate::delivery) mod resolver;
pub(in crate::delivery) mod table;
