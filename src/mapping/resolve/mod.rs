//! Determines what the fields of a record mean: severity, time, stream, ids, pod.

pub(super) mod container;
pub mod identity;
pub(super) mod kubernetes;
pub(super) mod message;
pub(super) mod resolved_record;
pub(super) mod severity;
pub(super) mod time;
