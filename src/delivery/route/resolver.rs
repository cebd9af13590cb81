//! Resolves the destination of a record without delivering it, for callers that ask where a record would go and send
//! nothing.

use crate::clock::Monotonic;
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::RouteTable;
use crate::mapping::{DestinationId, Routed, Router};
use crate::options::{Destination, Dsn};

/// The destinations as an instance would find them if it started now.
#[derive(Debug)]
pub struct DestinationResolver(RouteTable);

impl DestinationResolver {
    /// Reads the sources once. One that cannot be read is as if it were not there yet.
    #[must_use]
    pub fn read(settings: &Destination) -> Self {
        Self(dsn_sources::read_all(settings))
    }

    /// Returns the DSN of a destination.
    #[must_use]
    pub fn dsn(&self, destination: DestinationId) -> Option<Dsn> {
        self.0.get(destination).map(|target| target.dsn.clone())
    }
}

impl Router for DestinationResolver {
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Routed {
        self.0.route(namespace, annotation, Monotonic::START).0
    }
}
