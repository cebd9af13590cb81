//! Reports to Fluent Bit and Sentry: log messages, metrics, client reports and check-ins.

pub(in crate::delivery) mod check_ins;
pub(in crate::delivery) mod client_reports;
pub(in crate::delivery) mod destination_state;
pub(in crate::delivery) mod host;
pub(in crate::delivery) mod log_kind;
pub(in crate::delivery) mod log_throttle;
pub(in crate::delivery) mod messages;
