//! Words the two messages about a budget, which are sent as log items: it begins to withhold logs, and it has withheld so many.

use super::account::Key;
use super::log_safe;
use crate::clock::WallTime;
use crate::level::Level;
use crate::options::Budget;

/// The statement of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// The budget is spent: logs are withheld from now on.
    Begins,
    /// The window is over. States the number of logs withheld in it.
    Ends,
}

/// A message about one budget and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BudgetMessage {
    pub(crate) kind: MessageKind,
    pub(crate) key: Key,
    pub(crate) budget: Budget,
    /// Identity of the destination that gets the message.
    pub(crate) destination: u128,
    /// Number of the window since 1970.
    pub(crate) window: u64,
    /// Logs withheld in it so far.
    pub(crate) withheld: u64,
}

impl BudgetMessage {
    /// Returns the severity of the log item.
    pub(crate) fn level(&self) -> Level {
        match self.kind {
            MessageKind::Begins => Level::Warn,
            MessageKind::Ends => Level::Info,
        }
    }

    /// Returns the log item's text.
    pub(crate) fn text(&self) -> String {
        let (option, of) = match &self.key {
            Key::Destination(_) => ("logs_budget", String::new()),
            Key::Namespace(name) => ("logs_budget_namespace", format!(" of namespace {}", log_safe(name))),
            Key::Workload(namespace, name) => {
                ("k8s.sentry.io/logs-budget", format!(" of workload {}/{}", log_safe(namespace), log_safe(name)))
            }
        };
        let budget = self.budget;
        match self.kind {
            MessageKind::Begins => {
                let end = WallTime::from_secs((self.window + 1) * budget.period.seconds()).rfc3339();
                format!(
                    "{option} {budget}{of} is spent: logs below warn are withheld until {end}; other logs are withheld beyond 120 % of the budget"
                )
            }
            MessageKind::Ends => {
                format!("{option} {budget}{of}: logs withheld in the last period: {}", self.withheld)
            }
        }
    }

    /// Returns the namespace of the budget, if it has one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match &self.key {
            Key::Destination(_) => None,
            Key::Namespace(name) | Key::Workload(name, _) => Some(name),
        }
    }
}
