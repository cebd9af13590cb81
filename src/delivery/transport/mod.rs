//! Sends envelopes to Sentry, and reads the responses.
//!
//! - `sender` is the thread. It compresses an envelope (`compressor_pool`, `encoder`), posts it and reports the result.
//! - `client` makes the request. `connection` opens connections and limits their time; `descriptors` keeps a file descriptor in
//!   reserve for them.
//! - `response` determines the meaning of a status and reads the rate limits of a response. `error` has the errors of requests
//!   without a response, `request_context` words them.

pub mod client;
pub(in crate::delivery) mod compressor_pool;
pub(in crate::delivery) mod connection;
pub(in crate::delivery) mod descriptors;
pub mod encoder;
pub mod error;
mod request_context;
pub mod response;
pub(in crate::delivery) mod sender;
