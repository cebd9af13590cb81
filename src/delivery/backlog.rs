//! Chunks whose rest waits in the spool, ordered by when they are worth reading again: what waits for one destination
//! does not stand in the way of what waits for another.

use super::ticket::Ticket;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The chunks, the first to be due first; of those due together, the first to come first.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    waiting: BTreeMap<(Duration, u64), Arc<Ticket>>,
    came: u64,
}

impl Backlog {
    /// Adds a chunk that is worth reading at `due`.
    pub(crate) fn add(&mut self, ticket: Arc<Ticket>, due: Duration) {
        self.came += 1;
        self.waiting.insert((due, self.came), ticket);
    }

    /// When the first is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the first, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Arc<Ticket>> {
        self.next_due().filter(|due| *due <= now)?;
        self.waiting.pop_first().map(|(_, ticket)| ticket)
    }

    /// When the oldest of them was taken.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.waiting.values().map(|ticket| ticket.taken).min()
    }
}
