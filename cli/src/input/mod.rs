//! Files in, records out: what the host's inputs, parsers and the kubernetes filter would have made of them.
//!
//! ```text
//! file -> lines -> line_file -> cri -> record -> encode      or chunk_file, as it is
//!                                       ^-- kube
//! ```

pub(crate) mod chunk_file;
pub(crate) mod cri;
pub(crate) mod encode;
pub(crate) mod file;
pub(crate) mod kube;
pub(crate) mod line_file;
pub(crate) mod lines;
pub(crate) mod record;
mod time;
