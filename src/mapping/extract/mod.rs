//! Finds the fields and the message in a record's bytes.

pub(super) mod field_extractor;
pub(super) mod fields;
pub(super) mod interner;
pub(super) mod lifted;
pub mod parse;
pub(super) mod remove_keys;
pub(super) mod stack;
