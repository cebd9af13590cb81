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

    /// Makes all of them due: what they wait for may be over.
    pub(crate) fn hurry(&mut self, now: Duration) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().map(|((due, came), ticket)| ((due.min(now), came), ticket)).collect();
    }

    /// When the oldest of them was taken.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.waiting.values().map(|ticket| ticket.taken).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::ticket::Home;
    use crate::ledger::Ledger;

    const SECOND: Duration = Duration::from_secs(1);

    fn ticket(taken: u32) -> Arc<Ticket> {
        Arc::new(Ticket::new(Home::Memory, SECOND * taken, Ledger::default().recorder(), Default::default()))
    }

    fn taken(backlog: &mut Backlog, now: Duration) -> Vec<u64> {
        std::iter::from_fn(|| backlog.take(now)).map(|ticket| ticket.taken.as_secs()).collect()
    }

    #[test]
    fn what_waits_for_long_does_not_stand_in_the_way() {
        let mut backlog = Backlog::default();
        for (number, due) in [(1, 60), (2, 1), (3, 1), (4, 2)] {
            backlog.add(ticket(number), SECOND * due);
        }
        assert_eq!((backlog.next_due(), backlog.oldest()), (Some(SECOND), Some(SECOND)));
        assert_eq!(taken(&mut backlog, SECOND), [2, 3]);
        assert_eq!(taken(&mut backlog, SECOND * 3), [4]);
        backlog.hurry(SECOND * 3);
        assert_eq!(taken(&mut backlog, SECOND * 3), [1]);
    }
}
