//! The reason why an item is given up.

use crate::ledger::Outcome;

/// Why an item is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropReason {
    /// Outcome of its record, once the dead letter is written.
    pub outcome: Outcome,
    /// HTTP status of the response; zero if there was none.
    pub status: u16,
    /// The text of the response, or of the plugin where there was none.
    pub detail: String,
}
