//! The mapping's two edges: where a chunk's records come from, and what takes what they become.

use super::identity::EventId;
use super::reason::Reason;
use super::route::Router;
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use std::time::Duration;

/// Takes what a chunk becomes.
pub trait Sink {
    /// Whether the record has been read before: what was decided then about storms is not decided again.
    fn again(&self, record: u32) -> bool;
    /// Whether the record is passed over as if it were not there; the sink itself ends it then.
    fn leaves_alone(&self, _record: u32) -> bool {
        false
    }
    /// Returns true if a record that is read again has ended in this category or is on its way; false costs only time.
    fn is_settled(&self, _category: Category, _record: u32) -> bool {
        false
    }
    /// Whether the record still needs an item of this category, and if so the buffer to append its JSON to.
    /// What is appended becomes an item for this destination with [`Sink::close`].
    fn open(&mut self, category: Category, record: u32, destination: u32) -> Option<&mut Vec<u8>>;
    /// Ends the item that was opened last. Events bring their id.
    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>);
    /// Ends a record in a category without an item.
    fn end(&mut self, category: Category, record: u32, outcome: Outcome);
    /// Where the record would go, if anywhere, that is about to be left out; for those who report it.
    fn left_out(&mut self, _destination: Option<u32>) {}
    /// Where a record's meaning was found; for those who explain, others need not care.
    fn found(&mut self, _record: u32, _keys: &FoundKeys<'_>) {}
    /// Why the record is about to end without an item; for those who explain.
    fn why(&mut self, _category: Category, _record: u32, _reason: Reason) {}
}

/// The fields that gave a record its meaning; none where the text itself or a default did.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoundKeys<'a> {
    /// The message.
    pub message: Option<&'a [u8]>,
    /// The severity.
    pub level: Option<&'a [u8]>,
    /// The trace id.
    pub trace: Option<&'a [u8]>,
    /// The stack trace.
    pub stack: Option<&'a [u8]>,
    /// Whether the severity was read from the text.
    pub level_in_text: bool,
    /// Whether it is that of a stack trace, for the record says none itself.
    pub level_of_trace: bool,
    /// The severity, wherever it came from.
    pub severity: Option<Level>,
}

/// Where a chunk's records come from and go to.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The chunk's tag.
    pub tag: &'a [u8],
    /// Knows where each record's items go.
    pub router: &'a dyn Router,
    /// Wall time since 1970.
    pub now: Duration,
}
