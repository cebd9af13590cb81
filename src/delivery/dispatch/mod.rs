//! Decides which envelope is sent to which destination and when.
//!
//! - `dispatcher` is the thread. It receives envelopes and responses, and calls Fluent Bit.
//! - `scheduler` gives the destinations turns at the senders and shares of the memory.
//! - `destination` holds the queues (`queue`) and the requests in flight of one destination.
//! - `endpoint` is the state of the server and project that its DSN names: `health` with its `backoff`, `rate_limits`, and
//!   `negotiation` of the encoding. `transitions.txt` lists its transition for each response.
//! - `retry_history` finds poison messages. `policy` holds the settings.
//!
//! All but the dispatcher are pure state machines: the caller passes time and randomness in.

mod backoff;
pub mod destination;
pub(in crate::delivery) mod dispatcher;
mod endpoint;
mod health;
mod negotiation;
pub mod policy;
mod queue;
mod rate_limits;
mod retry_history;
pub mod scheduler;
