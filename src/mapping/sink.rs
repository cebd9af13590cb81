//! Defines the two edges of the mapping: the origin of a chunk's records, and the sink that takes the items and outcomes of
//! the records.

use super::reason::Reason;
use super::route::{DestinationId, Route, Router};
use crate::clock::{Monotonic, WallTime};
use crate::ledger::{Category, Outcome};
use crate::level::Level;
use crate::mapping::resolve::identity::EventId;
use crate::options::Budget;

/// A record in one category: it becomes one item, part of one, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The category.
    pub category: Category,
    /// The record's number.
    pub record: u32,
}

impl Item {
    /// The log of a record.
    #[must_use]
    pub fn log(record: u32) -> Self {
        Self { category: Category::Log, record }
    }

    /// The event of a record.
    #[must_use]
    pub fn event(record: u32) -> Self {
        Self { category: Category::Event, record }
    }
}

/// Properties of an item that are known once its JSON is written.
#[derive(Clone, Copy, Debug)]
pub enum Finished {
    /// The event's id.
    Event(EventId),
    /// The log's payer and size.
    Log(Bill),
}

impl Finished {
    /// Returns the id of an event.
    #[must_use]
    pub fn event_id(&self) -> Option<EventId> {
        match self {
            Self::Event(id) => Some(*id),
            Self::Log(_) => None,
        }
    }
}

/// The reason why an item is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The outcome that the ledger counts.
    pub outcome: Outcome,
    /// Details that the outcome's name does not give.
    pub reason: Option<Reason>,
    /// The destination that the item would have had, for sinks that report drops to it. `None` if there was none, or if the
    /// drop is not reported.
    pub destination: Option<DestinationId>,
}

impl Discard {
    /// Returns the discard of an item that `logs_level`, `event_level` or another filter leaves out; it is reported to no
    /// destination.
    #[must_use]
    pub fn filtered(reason: Reason) -> Self {
        Self { outcome: Outcome::Filtered, reason: Some(reason), destination: None }
    }

    /// Returns the discard of an item that `sample_rate` or `logs_sample_rate` leaves out.
    #[must_use]
    pub fn sampled(route: Route) -> Self {
        Self { outcome: Outcome::Sampled, reason: None, destination: route.destination() }
    }

    /// Returns the discard of an item that storm control or a similar rule leaves out.
    #[must_use]
    pub fn suppressed(reason: Reason, route: Route) -> Self {
        Self { outcome: Outcome::Suppressed, reason: Some(reason), destination: route.destination() }
    }

    /// Returns the discard of a log that no budget pays for.
    #[must_use]
    pub fn over_budget(route: Route) -> Self {
        Self { outcome: Outcome::OverBudget, reason: Some(Reason::OverBudget), destination: route.destination() }
    }
}

/// Writes one item of a sink. A writer that is dropped unfinished leaves nothing of the item behind: its bytes are removed and
/// its record needs an item as before.
pub trait ItemWriter {
    /// Returns the buffer to append the item's JSON to. It may hold the JSON of earlier items.
    fn json(&mut self) -> &mut Vec<u8>;
    /// Ends the item. A sink that cannot afford the bytes of a log discards the log as over budget instead.
    fn finish(self, finished: Finished);
}

/// Receives what becomes of a chunk's records. Each record ends once in each category: as an item ([`Sink::begin`]), as part
/// of another record's item ([`Sink::join`]) or as a drop ([`Sink::discard`]). No method depends on an earlier call of another.
pub trait Sink {
    /// Writes one item.
    type Writer<'w>: ItemWriter
    where
        Self: 'w;

    /// Begins an item. Returns `None` if the record no longer needs the item, has to wait, or ends otherwise; the sink has
    /// handled it then.
    fn begin(&mut self, item: Item, route: Route) -> Option<Self::Writer<'_>>;
    /// Ends a record in a category without an item.
    fn discard(&mut self, item: Item, discard: Discard);
    /// Ends a record in a category as a part of the item of the record `into`.
    fn join(&mut self, item: Item, into: u32) {
        let reason = Some(Reason::Joined { into });
        self.discard(item, Discard { outcome: Outcome::Joined, reason, destination: None });
    }
    /// Returns true if the record has been read before. The decisions made then about storms are not made again.
    fn again(&self, _record: u32) -> bool {
        false
    }
    /// Returns true if the record is skipped as if it did not exist; the sink itself ends it then.
    fn leaves_alone(&self, _record: u32) -> bool {
        false
    }
    /// Returns true if a record that is read again has ended in this category or is on its way; false costs only time.
    fn is_settled(&self, _item: Item) -> bool {
        false
    }
    /// Returns a number for who pays for a log on this route.
    fn payer(&mut self, _route: Route, _payer: &Payer<'_>) -> u32 {
        0
    }
    /// Returns false if no log like this may be sent because a budget is spent; the caller then discards it. Its size is not
    /// known yet.
    fn affords(&mut self, _record: u32, _bill: &Bill) -> bool {
        true
    }
    /// Sends lines below `logs_level` as logs of an event's trace. They stand for no record: theirs have ended.
    fn recalled(&mut self, _logs: Vec<RecalledLog>) {}
    /// Returns the steady time until which records at the end of the chunk may wait for lines of a later one; `None` if they
    /// may not.
    fn waits_until(&self) -> Option<Monotonic> {
        None
    }
    /// Leaves a record unsettled until its stream's next lines come. Returns the number by which the sink knows it then; `None`
    /// if it cannot wait.
    fn wait(&mut self, _record: u32) -> Option<u32> {
        None
    }
    /// Tells the sink the fields that gave a record its meaning, for sinks that explain.
    fn found(&mut self, _record: u32, _keys: &FoundKeys<'_>) {}
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
    /// The way that the log goes.
    pub route: Route,
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
    /// The present.
    pub now: WallTime,
}
