//! The reason why an item is given up.

use crate::ledger::Outcome;

/// Why an item is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropReason {
    /// How its record ends once the letter is written.
    pub outcome: Outcome,
    /// HTTP status of the answer; zero where there was none.
    pub status: u16,
    /// The server's own words, or ours.
    pub detail: String,
}
