//! Resolves the destination of a record without delivering it, for callers that ask where a record would go and send
//! nothing.

use crate::clock::Monotonic;
use crate::delivery::route::table::RouteTable;
use crate::mapping::{Route, Router};
use crate::options::{Destination, Dsn};

/// The destinations as an instance would find them if it started now.
#[derive(Debug)]
pub struct Directory(RouteTable);

impl Directory {
    /// Reads the sources once. One that cannot be read is as if it were not there yet.
    #[must_use]
    pub fn read(settings: &Destination) -> Self {
        Self(crate::delivery::targets(settings))
    }

    /// The DSN of a destination; none of one whose source is not there yet.
    #[must_use]
    pub fn dsn(&self, destination: u32) -> Option<Dsn> {
        self.0.get(destination).map(|target| target.dsn.clone())
    }
}

impl Router for Directory {
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Option<Route> {
        self.0.route(namespace, annotation, Monotonic::START).0
    }
}
