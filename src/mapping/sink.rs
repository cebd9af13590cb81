//! Defines the two edges of the mapping: the origin of a chunk's records, and the sink that takes the items and outcomes of
//! the records.

use super::reason::Reason;
use super::route::Router;
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::mapping::resolve::identity::EventId;
use crate::options::Budget;
use std::time::Duration;

/// Receives the items that a chunk becomes.
pub trait Sink {
    /// Returns true if the record has been read before. The decisions made then about storms are not made again.
    fn again(&self, record: u32) -> bool;
    /// Returns true if the record is skipped as if it did not exist; the sink itself ends it then.
    fn leaves_alone(&self, _record: u32) -> bool {
        false
    }
    /// Returns true if a record that is read again has ended in this category or is on its way; false costs only time.
    fn is_settled(&self, _category: Category, _record: u32) -> bool {
        false
    }
    /// Returns the buffer to which the JSON of an item of this category is appended, or `None` if the record no longer needs
    /// such an item. The appended JSON becomes an item for this destination with [`Sink::close`].
    fn open(&mut self, category: Category, record: u32, destination: u32) -> Option<&mut Vec<u8>>;
    /// Ends the item that was opened last. Events bring their id.
    fn close(&mut self, category: Category, record: u32, event_id: Option<EventId>);
    /// Returns a number for who pays for a log to this destination.
    fn payer(&mut self, _destination: u32, _payer: &Payer<'_>) -> u32 {
        0
    }
    /// Returns false if no log like this may be sent because a budget is spent; the caller then ends the record. Its size is not
    /// known yet.
    fn affords(&mut self, _record: u32, _bill: &Bill) -> bool {
        true
    }
    /// Ends the log that was opened last. A sink that cannot afford its bytes ends the record as over budget instead.
    fn close_log(&mut self, record: u32, _bill: &Bill) {
        self.close(Category::Log, record, None);
    }
    /// Sends lines that stay filtered with the event that was closed last.
    fn recalled(&mut self, _logs: Vec<RecalledLog>) {}
    /// Ends a record in a category without an item.
    fn end(&mut self, category: Category, record: u32, outcome: Outcome);
    /// Ends a record that has become part of the item of another one, which was opened before.
    fn join(&mut self, category: Category, record: u32, _into: u32) {
        self.end(category, record, Outcome::Joined);
    }
    /// Steady time until which records at the end of the chunk may wait for lines of a later one; none if they may not.
    fn waits_until(&self) -> Option<Duration> {
        None
    }
    /// Leaves a record unsettled until its stream's next lines come. Returns the number by which the sink knows it then; none
    /// if it cannot wait.
    fn wait(&mut self, _record: u32) -> Option<u32> {
        None
    }
    /// Tells the sink the destination, if any, of a record that is about to be left out; for sinks that report it.
    fn left_out(&mut self, _destination: Option<u32>) {}
    /// Tells the sink the fields that gave a record its meaning; for sinks that explain, others need not care.
    fn found(&mut self, _record: u32, _keys: &FoundKeys<'_>) {}
    /// Why the record is about to end without an item; for those who explain.
    fn why(&mut self, _category: Category, _record: u32, _reason: Reason) {}
}

/// The payer of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payer<'a> {
    /// The pod's namespace; empty without a pod.
    pub namespace: &'a str,
    /// The pod's workload.
    pub workload: &'a str,
    /// The budget that the pod asks for.
    pub budget: Option<Budget>,
}

/// The billing data of a log in Sentry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Number of the destination.
    pub destination: u32,
    /// The number that [`Sink::payer`] returned.
    pub payer: u32,
    /// The log's severity.
    pub level: Level,
    /// Its size by Sentry's rule. See [`crate::mapping::encode::billed`].
    pub bytes: u64,
}

/// A line below `logs_level` that is sent with an event.
#[derive(Clone, Debug)]
pub struct RecalledLog {
    /// Its log item.
    pub json: Vec<u8>,
    /// Its cost.
    pub bill: Bill,
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
    /// True if the severity was read from the text.
    pub level_in_text: bool,
    /// True if the severity is that of a stack trace, because the record itself has none.
    pub level_of_trace: bool,
    /// The severity, wherever it came from.
    pub severity: Option<Level>,
}

/// The origin of a chunk's records and their destinations.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The chunk's tag.
    pub tag: &'a [u8],
    /// Knows where each record's items go.
    pub router: &'a dyn Router,
    /// Wall time since 1970.
    pub now: Duration,
}
