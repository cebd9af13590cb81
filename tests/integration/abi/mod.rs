//! The C boundary from the Rust side: the header and both mirrors say the same, nothing else is exported or needed, and
//! hosts of every generation are served. What needs a host in C is in `cmake/`, see `tests/conformance.rs`.

mod exports;
mod header;
mod hosts;

use testkit::suite::Suite;

pub fn add(suite: Suite) -> Suite {
    hosts::add(exports::add(header::add(suite)))
}
