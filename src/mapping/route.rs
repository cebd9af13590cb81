//! Defines the route of a record, and the trait through which the mapping asks for it.

use std::fmt::Debug;

/// The destination of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The destination's number.
    pub destination: u32,
    /// [`crate::mapping::resolve::identity::destination`] of it, the same for as long as its host and project are.
    pub identity: u128,
}

/// Number of no destination, for a dead letter that has none now. Nothing is ever sent there.
pub const UNROUTED: u32 = u32::MAX - 1;

/// Knows the destinations.
pub trait Router: Debug {
    /// Returns the route of a record of this namespace (empty: of none) whose pod has this annotation. `None`: the record
    /// has no destination.
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Option<Route>;
}

/// Everything goes one way.
impl Router for Route {
    fn route(&self, _: &str, _: Option<&str>) -> Option<Route> {
        Some(*self)
    }
}
