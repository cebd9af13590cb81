//! Reports to Fluent Bit and Sentry: log messages, metrics, client reports and check-ins.
//!
//! - `host` is the interface to Fluent Bit's log and metrics. `destination_state` names the states of destinations in metrics.
//! - `messages` holds the log texts about destinations; `log_throttle` limits each kind of line (`log_kind`) to one a minute.
//! - `client_reports` counts the items that Sentry will never receive. `check_ins` keeps the check-ins that are to be sent.

pub(in crate::delivery) mod check_ins;
pub(in crate::delivery) mod client_reports;
pub(in crate::delivery) mod destination_state;
pub(in crate::delivery) mod host;
pub(in crate::delivery) mod log_kind;
pub(in crate::delivery) mod log_throttle;
pub(in crate::delivery) mod messages;
