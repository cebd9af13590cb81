//! The reason why an item is given up, as it is written into the dead letter of its record.

use crate::ledger::Outcome;
use std::sync::Arc;

/// The outcome of an item that is given up, and the trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropReason {
    /// Outcome of its record; where dead letters are written, once its dead letter is written.
    pub outcome: Outcome,
    /// The event that made the plugin give it up.
    pub trigger: DropTrigger,
}

/// The event that made the plugin give an item up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropTrigger {
    /// A response to its request, or the failure to get one.
    Response {
        /// HTTP status of the response; zero if there was none.
        status: u16,
        /// Text of the server, or of the error that prevented a response.
        detail: String,
    },
    /// It waited longer than `hold_events` or `hold_logs` for a rate limit or a misconfigured destination.
    HoldExpired,
    /// It waited for a rate limit or a misconfigured destination, and its memory or its bytes in the spool were needed for the items
    /// of other destinations.
    Evicted,
    /// The DSN of its destination was removed.
    DsnRemoved,
    /// No source names a destination for its record.
    NoDestination,
    /// The mapping of its record panicked.
    MappingPanic,
    /// The bytes of its record are not MessagePack.
    Undecodable,
}

impl DropReason {
    /// Returns a reason that is shared by the records of a batch.
    #[must_use]
    pub fn shared(outcome: Outcome, trigger: DropTrigger) -> Arc<Self> {
        Arc::new(Self { outcome, trigger })
    }

    /// Returns the HTTP status of the response that led to it, if one did.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.trigger {
            DropTrigger::Response { status, .. } if status > 0 => Some(status),
            _ => None,
        }
    }

    /// Returns the text for the dead letter.
    #[must_use]
    pub fn detail(&self) -> &str {
        match &self.trigger {
            DropTrigger::Response { detail, .. } => detail,
            DropTrigger::HoldExpired => {
                "waited for a rate limit or a misconfigured destination longer than hold_events or hold_logs"
            }
            DropTrigger::Evicted => {
                "waited for a rate limit or a misconfigured destination, and was dropped to make room for other destinations"
            }
            DropTrigger::DsnRemoved => "the DSN of its destination was removed",
            DropTrigger::NoDestination => "no destination: neither an annotation, dsn_dir nor dsn names one",
            DropTrigger::MappingPanic => {
                "the plugin panicked while it mapped the record, which is a defect of this plugin"
            }
            DropTrigger::Undecodable => "expected records in MessagePack",
        }
    }
}
