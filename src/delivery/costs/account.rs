//! Keeps the account of one budget: the limit and the bytes spent of it in its window.

use super::messages::{BudgetMessage, MessageKind};
use crate::clock::WallTime;
use crate::level::Level;
use crate::options::Budget;

/// Logs at this level and above may spend [`HARD_PERCENT`] of a budget.
const IMPORTANT: Level = Level::Warn;

/// Percent of a budget that important logs may spend.
const HARD_PERCENT: u64 = 120;

/// Divisor of a budget. [`Mark::Ahead`] states this part of the budget more than is spent, so that the file is written seldom.
const AHEAD: u64 = 256;

/// The subject of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A destination, by its identity.
    Destination(u128),
    /// A namespace.
    Namespace(String),
    /// A workload whose pods ask for a budget of their own: namespace and name.
    Workload(String, String),
}

/// The spent bytes that the file states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery) enum Mark {
    /// The bytes spent so far.
    Exact,
    /// More than are spent so far, so that further batches can be sent before the file has to be written again.
    Ahead,
}

/// The degree to which a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// All logs are sent.
    Open,
    /// Only logs at `warn` and above are.
    Limited,
    /// None is.
    Closed,
}

/// A budget of one key.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    pub(super) budget: Budget,
    /// Identity of the destination that gets the messages about it.
    pub(super) destination: u128,
    /// Number of the window since 1970.
    pub(super) window: u64,
    /// Bytes that Sentry has accepted in the window.
    pub(super) accepted: u64,
    /// Bytes of logs that are to be sent, or are in transit.
    pub(super) reserved: u64,
    /// Bytes of them that are in transit.
    pub(super) in_transit: u64,
    /// Spent bytes as the file has them.
    pub(super) marked: u64,
    pub(super) stage: Stage,
    /// Logs withheld in the window.
    pub(super) withheld: u64,
    /// True if there is or was a message in this window that withholding begins.
    pub(super) is_reported: bool,
}

impl Account {
    pub(super) fn new(key: Key, budget: Budget, destination: u128, wall: WallTime) -> Self {
        let window = window(budget, wall);
        Self {
            key,
            budget,
            destination,
            window,
            accepted: 0,
            reserved: 0,
            in_transit: 0,
            marked: 0,
            stage: Stage::Open,
            withheld: 0,
            is_reported: false,
        }
    }

    /// Takes another budget. Another period is another window, in which nothing is spent yet.
    pub(super) fn set_budget(&mut self, budget: Budget, wall: WallTime) {
        if budget == self.budget {
            return;
        }
        if budget.period != self.budget.period {
            self.window = window(budget, wall);
            self.accepted = 0;
        }
        self.budget = budget;
        if self.spent() < budget.bytes {
            self.stage = Stage::Open;
        }
    }

    fn spent(&self) -> u64 {
        self.accepted + self.reserved
    }

    /// Returns true if a log of this level and size may be sent. After a log that does not fit, no log of its level or below
    /// is admitted in the window.
    pub(super) fn admits(&mut self, level: Level, bytes: u64) -> bool {
        let (closes, most) = match level >= IMPORTANT {
            true => (Stage::Closed, self.budget.bytes.saturating_mul(HARD_PERCENT) / 100),
            false => (Stage::Limited, self.budget.bytes),
        };
        if self.stage >= closes || self.spent().saturating_add(bytes) > most {
            self.stage = self.stage.max(closes);
            return false;
        }
        true
    }

    /// Counts a withheld log.
    pub(super) fn withhold(&mut self) {
        self.withheld += 1;
    }

    /// Returns the message that withholding begins, the first time in the window.
    pub(super) fn report_begin(&mut self) -> Option<BudgetMessage> {
        let is_new = self.withheld > 0 && !std::mem::replace(&mut self.is_reported, true);
        is_new.then(|| self.message(MessageKind::Begins))
    }

    fn message(&self, kind: MessageKind) -> BudgetMessage {
        let (key, budget, destination) = (self.key.clone(), self.budget, self.destination);
        BudgetMessage { kind, key, budget, destination, window: self.window, withheld: self.withheld }
    }

    /// Begins a new window if it is time. Returns the message about the end of the last one if logs were withheld in it. A
    /// clock that is set back by a window does not begin that window again.
    pub(super) fn begin_due_window(&mut self, wall: WallTime) -> Option<BudgetMessage> {
        let now = window(self.budget, wall);
        // A window further ahead was begun by a clock that has been set back since.
        if now == self.window || now + 1 == self.window {
            return None;
        }
        let ended = (self.withheld > 0).then(|| self.message(MessageKind::Ends));
        (self.window, self.accepted, self.marked) = (now, 0, 0);
        (self.stage, self.withheld, self.is_reported) = (Stage::Open, 0, false);
        ended
    }

    /// Adds the state that the file has of this account.
    pub(super) fn merge(&mut self, stored: Self) {
        if stored.budget.period != self.budget.period {
            return;
        }
        if stored.window == self.window {
            self.accepted += stored.accepted;
            self.withheld += stored.withheld;
            self.is_reported |= stored.is_reported;
            self.stage = self.stage.max(stored.stage);
        } else {
            let (budget, reserved, in_transit) = (self.budget, self.reserved, self.in_transit);
            *self = Self { budget, reserved, in_transit, ..stored };
        }
        if self.spent() < self.budget.bytes {
            self.stage = Stage::Open;
        }
    }

    /// Returns true if more may be spent than the file states.
    pub(super) fn exceeds_mark(&self) -> bool {
        self.accepted + self.in_transit > self.marked
    }

    /// Records the spent bytes that the file is about to state.
    pub(super) fn set_mark(&mut self, mark: Mark) {
        let spent = self.accepted + self.in_transit;
        self.marked = match mark {
            Mark::Exact => spent,
            Mark::Ahead => spent + self.budget.bytes / AHEAD,
        };
    }
}

/// Returns the number of a budget's window at a time, counted from 1970.
pub(super) fn window(budget: Budget, wall: WallTime) -> u64 {
    wall.as_secs() / budget.period.seconds()
}
