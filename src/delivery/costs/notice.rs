//! Builds the two log items that report that a budget begins or ends to withhold logs.

use super::account::Key;
use super::harmless;
use crate::clock::WallTime;
use crate::level::Level;
use crate::options::Budget;

/// The statement that a notice makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Logs are withheld from now on.
    Begins,
    /// The window is over, and so many were.
    Ends,
}

/// A notice for one budget and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: Kind,
    pub(crate) key: Key,
    pub(crate) budget: Budget,
    /// Identity of the destination that gets it.
    pub(crate) destination: u128,
    /// Number of the window since 1970.
    pub(crate) window: u64,
    /// Logs withheld in it so far.
    pub(crate) withheld: u64,
}

impl Notice {
    /// Returns the severity of the log item.
    pub(crate) fn level(&self) -> Level {
        match self.kind {
            Kind::Begins => Level::Warn,
            Kind::Ends => Level::Info,
        }
    }

    /// Returns the log item's text.
    pub(crate) fn text(&self) -> String {
        let (option, of) = match &self.key {
            Key::Destination(_) => ("logs_budget", String::new()),
            Key::Namespace(name) => ("logs_budget_namespace", format!(" of namespace {}", harmless(name))),
            Key::Workload(namespace, name) => {
                ("k8s.sentry.io/logs-budget", format!(" of workload {}/{}", harmless(namespace), harmless(name)))
            }
        };
        let budget = self.budget;
        match self.kind {
            Kind::Begins => {
                let end = WallTime::from_secs((self.window + 1) * budget.period.seconds()).rfc3339();
                format!(
                    "{option} {budget}{of} is spent: logs below warn are withheld until {end}, the others beyond 120 %"
                )
            }
            Kind::Ends => format!("{option} {budget}{of}: {} logs were withheld in the last period", self.withheld),
        }
    }

    /// Returns the namespace that it is about, if it is about one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match &self.key {
            Key::Destination(_) => None,
            Key::Namespace(name) | Key::Workload(name, _) => Some(name),
        }
    }
}
