//! Defines the reasons why a record did not become an item of its own.

use crate::chunk::msgpack::Malformed;
use crate::level::Level;

/// Details that the name of an outcome does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Filtered: its level, or the level of the lines that it was joined with, is below the lowest that is sent.
    Below {
        /// Its level.
        level: Level,
        /// The lowest that is sent; `None`: the category is off.
        threshold: Option<Level>,
    },
    /// Filtered: its message is empty or only white space, and it has no fields.
    Empty,
    /// Over budget: a budget of its destination, namespace or workload is spent.
    OverBudget,
    /// Filtered: a record of a dead letter, which stands for its other item alone.
    OtherItem,
    /// Filtered: there is no destination for it.
    NoDestination,
    /// Joined: it is a line of another record's event or log.
    Joined {
        /// That record.
        into: u32,
    },
    /// Suppressed: the same exception with the same messages came in the same stream within two seconds.
    Repeat,
    /// Suppressed: `storm_burst`.
    Storm,
    /// Suppressed: `event_rate`.
    Rate,
    /// Filtered: a Kubernetes event of another node, whose own instance tells of it.
    OtherNode,
    /// Filtered: a Kubernetes event that is no issue by its level; `None`: by `kube_event_levels`.
    KubeEventLevel {
        /// Its level.
        level: Option<Level>,
    },
    /// Filtered: a Kubernetes event, and `kube_events` is off.
    KubeEventsOff,
    /// Suppressed: a Kubernetes event that the input listed again.
    Listed,
    /// Filtered: one of the kernel's lines about a kill, whose event is that of another line.
    SameKill,
    /// Suppressed: a line of our own host about this output.
    OwnHost,
    /// Invalid: it cannot be decoded.
    Undecodable(Malformed),
}
