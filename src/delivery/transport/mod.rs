//! The sender threads: requests, connections, compression and responses.

pub mod client;
pub(in crate::delivery) mod compressor_pool;
pub(in crate::delivery) mod connection;
pub(in crate::delivery) mod descriptors;
pub mod encoder;
pub mod error;
mod request_context;
pub mod response;
pub(in crate::delivery) mod sender;
