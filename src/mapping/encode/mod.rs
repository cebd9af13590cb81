//! Writes logs and events as JSON, within Sentry's limits.

pub mod billed;
pub(super) mod event;
pub(super) mod exception;
pub(super) mod in_app;
pub mod json;
pub mod limit;
pub(super) mod log;
pub mod own_log;
