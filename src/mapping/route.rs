//! Defines the route of a record, and the trait through which the mapping asks for it.

use std::fmt::{self, Debug, Display, Formatter};

/// The number of a destination of an instance. A destination keeps it when its DSN changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub u32);

impl Display for DestinationId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// The destination of the items of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this destination.
    To(DestinationId),
    /// Nowhere yet: the source of their destination could not be read so far. They wait.
    Pending,
    /// Nowhere: no source names a destination for them.
    Unrouted,
}

impl Route {
    /// Returns the destination, if it is known.
    #[must_use]
    pub fn destination(self) -> Option<DestinationId> {
        match self {
            Self::To(destination) => Some(destination),
            Self::Pending | Self::Unrouted => None,
        }
    }
}

/// The answer of a [`Router`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The destination of the record's items.
    pub route: Route,
    /// [`crate::mapping::resolve::identity::destination`] of the destination, the same for as long as its host and project are; 0 while there is
    /// none.
    pub identity: u128,
}

impl Routed {
    /// The answer for a record whose destination may become known later.
    pub const PENDING: Self = Self { route: Route::Pending, identity: 0 };
    /// The answer for a record that no source names a destination for.
    pub const UNROUTED: Self = Self { route: Route::Unrouted, identity: 0 };

    /// Returns the answer for a record that goes to a destination of this identity.
    #[must_use]
    pub const fn to(destination: DestinationId, identity: u128) -> Self {
        Self { route: Route::To(destination), identity }
    }

    /// Returns `None` for a record that is left out because it has no destination. A dead letter is not left out then: it stays
    /// a dead letter.
    pub(super) fn unless_left_out(self, is_dead_letter: bool) -> Option<Self> {
        (self.route != Route::Unrouted || is_dead_letter).then_some(self)
    }
}

/// Knows the destinations.
pub trait Router: Debug {
    /// Returns the route of a record of this namespace (empty: of none) whose pod has this annotation.
    fn route(&self, namespace: &str, annotation: Option<&str>) -> Routed;
}

/// Every record goes the same way.
impl Router for Routed {
    fn route(&self, _: &str, _: Option<&str>) -> Routed {
        *self
    }
}
