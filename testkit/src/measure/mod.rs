//! What the benches share: lines to send, a server that costs next to nothing, and what a process has used.

pub mod count;
pub mod lines;
pub mod machine;
pub mod page;
pub mod process;
pub mod sink;

/// The number in this environment variable, or what it is without one.
pub fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
