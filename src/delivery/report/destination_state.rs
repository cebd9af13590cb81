//! Names the states of a destination in metrics.

/// The state of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationState {
    /// It accepts items, or nothing is known against it.
    Ok,
    /// It limits events or logs.
    Limited,
    /// It does not respond, or its server fails.
    Unreachable,
    /// It rejects everything.
    Misconfigured,
}

impl DestinationState {
    /// Every state, in the order of [`super::host::Gauges::states`].
    pub const ALL: [Self; 4] = [Self::Ok, Self::Limited, Self::Unreachable, Self::Misconfigured];

    /// Returns the name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
        }
    }
}
