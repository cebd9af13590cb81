//! Counts the cost of an instance's logs and enforces the budgets that limit it: `logs_budget`, `logs_budget_namespace`, and
//! the annotation `k8s.sentry.io/logs-budget`.
//!
//! ```text
//! mapper writes a log: reserve -> dispatcher sends its batch: sending -> response: sent, then accept or release
//! ```
//!
//! A log has a payer: its destination, namespace and annotated workload. Each payer spends from the accounts (`account`) of
//! the budgets that apply to it. An account has spent the bytes that Sentry has accepted in its UTC window, and the reserved
//! bytes. A reservation outlives its window, because Sentry bills a log when it accepts the log.
//!
//! The spent bytes are kept in a file beside the spool (`file`). Before a batch is sent that would exceed the bytes in the
//! file, the file is written ahead, so that a process that is killed has never sent more than the file states. Two messages
//! (`messages`) say when a budget begins to withhold logs, and how many it has withheld; they are sent as log items.

mod account;
mod file;
pub(super) mod messages;

use crate::clock::{Monotonic, WallTime};
use crate::level::Level;
use crate::options::Budget;
use crate::sync::{AtomicBool, Mutex, lock};
pub(super) use account::Mark;
use account::{Account, Key};
pub(super) use messages::BudgetMessage;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Most payers. Further ones share one for each destination.
const MAX_PAYERS: usize = 16_384;

/// Longest name of a namespace in a summary line; Kubernetes has none longer.
const MAX_NAME: usize = 63;

/// Wait before a message that could not be delivered is sent again.
const MESSAGE_RETRY: Duration = Duration::from_secs(30);

/// The payer that is billed for a log: a number that [`Costs::payer`] returns, or 0 for no payer.
pub(super) type PayerId = u32;

/// A payer, and true if any budget applies to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownPayer {
    pub(super) number: PayerId,
    pub(super) is_capped: bool,
}

/// The effect of a refused reservation on the number of withheld logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRefusal {
    /// The log counts as withheld.
    Count,
    /// Nothing is counted: the log is sent in addition to the item of its record.
    Ignore,
}

/// The reason for which reserved bytes are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// The items have ended without being accepted.
    Ended,
    /// The items wait, and are reserved again before they are sent.
    Deferred,
}

/// The costs of an instance's logs. The mapper reserves; the dispatcher accepts, releases and writes the file; the spool's
/// worker opens the file.
#[derive(Debug)]
pub(crate) struct Costs {
    destination: Option<Budget>,
    namespace: Option<Budget>,
    /// True if any budget has applied to a payer, or is in the file. While it is false, no budget has to be checked. Written by
    /// the mapper and the spool's worker; read by mapper and dispatcher.
    is_capping: AtomicBool,
    state: Mutex<State>,
}

/// Written by the mapper (payers, reservations), the dispatcher (all other bytes) and the spool's worker (the contents of the
/// file); read by mapper and dispatcher.
#[derive(Debug, Default)]
struct State {
    /// Payers by their number.
    payers: Vec<Payer>,
    numbers: HashMap<PayerName, PayerId>,
    accounts: Vec<Account>,
    /// The position of each account in `accounts`.
    positions: HashMap<Key, usize>,
    messages: Vec<QueuedMessage>,
    /// Payers of messages that have ended, for the next ones.
    unused: Vec<PayerId>,
    /// The file, once the plugin has locked the directory.
    path: Option<PathBuf>,
    /// True if something besides spent bytes has changed since the file was written.
    has_changes: bool,
    /// Hour of the wall clock at which windows were last checked.
    hour: u64,
}

/// The properties that make up a payer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PayerName {
    /// Identity of the destination.
    destination: u128,
    /// The namespace; empty if there is none.
    namespace: String,
    /// The workload, if it has a budget of its own.
    workload: Option<String>,
}

#[derive(Debug, Default)]
struct Payer {
    namespace: String,
    /// Bytes that Sentry has accepted, in this process.
    accepted: u64,
    /// Positions of the accounts that it spends from.
    accounts: Vec<usize>,
    /// The number of the message that is billed to it, if it is the payer of a message.
    message: Option<u64>,
}

/// A message that Sentry has not accepted yet.
#[derive(Debug)]
struct QueuedMessage {
    number: u64,
    message: BudgetMessage,
    /// Steady time before which it is not sent.
    not_before: Monotonic,
    is_in_transit: bool,
}

/// Query for the payer of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayerQuery<'a> {
    /// Identity of the destination.
    pub(super) destination: u128,
    pub(super) namespace: &'a str,
    pub(super) workload: &'a str,
    /// The pod's own budget.
    pub(super) budget: Option<Budget>,
}

impl Costs {
    pub(super) fn new(destination: Option<Budget>, namespace: Option<Budget>) -> Self {
        let state = State { payers: vec![Payer::default()], ..State::default() };
        Self { destination, namespace, is_capping: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Returns the payer of a log, a new one if there is none yet.
    pub(super) fn payer(&self, query: PayerQuery<'_>, wall: WallTime) -> KnownPayer {
        let mut state = lock(&self.state);
        let (destination, workload) = (query.destination, query.budget.map(|_| query.workload.to_owned()));
        let mut name = PayerName { destination, namespace: query.namespace.to_owned(), workload };
        if !state.numbers.contains_key(&name) && state.payers.len() >= MAX_PAYERS {
            name = PayerName { destination, namespace: String::new(), workload: None };
        }
        if let Some(number) = state.numbers.get(&name).copied() {
            if let Some(budget) = query.budget {
                state.set_workload_budget(number, budget, wall);
            }
            return KnownPayer { number, is_capped: !state.payers[number as usize].accounts.is_empty() };
        }
        let (own, namespace) = (name.workload.clone().zip(query.budget), &name.namespace);
        let accounts = [
            self.destination.map(|budget| (Key::Destination(destination), budget)),
            self.namespace.filter(|_| !namespace.is_empty()).map(|budget| (Key::Namespace(namespace.clone()), budget)),
            own.map(|(workload, budget)| (Key::Workload(namespace.clone(), workload), budget)),
        ];
        let accounts = accounts.into_iter().flatten();
        let accounts: Vec<_> = accounts.map(|(key, budget)| state.account(key, budget, destination, wall)).collect();
        let is_capped = !accounts.is_empty();
        if is_capped {
            self.is_capping.store(true, Relaxed);
        }
        let number = state.payers.len() as PayerId;
        state.payers.push(Payer { namespace: name.namespace.clone(), accounts, ..Payer::default() });
        state.numbers.insert(name, number);
        KnownPayer { number, is_capped }
    }

    /// Reserves bytes of a log that is to be sent. Returns false if a budget does not allow it. Zero bytes reserve nothing: the
    /// result is true if any log of this level may be sent.
    pub(super) fn reserve(
        &self,
        payer: PayerId,
        level: Level,
        bytes: u64,
        wall: WallTime,
        on_refusal: OnRefusal,
    ) -> bool {
        let mut state = lock(&self.state);
        state.begin_due_windows(wall);
        let State { payers, accounts, has_changes, .. } = &mut *state;
        let positions = &payers[payer as usize].accounts;
        if let Some(refusing) = positions.iter().find(|position| !accounts[**position].admits(level, bytes)) {
            if on_refusal == OnRefusal::Count {
                accounts[*refusing].withhold();
                *has_changes = true;
            }
            let message = accounts[*refusing].report_begin();
            if let Some(message) = message {
                state.add_message(message);
            }
            return false;
        }
        positions.iter().for_each(|position| accounts[*position].reserved += bytes);
        true
    }

    /// Counts these bytes as in transit, before they are sent. Writes the file first if the bytes exceed those in the file.
    ///
    /// # Errors
    /// The file could not be written; the bytes are counted all the same.
    pub(super) fn sending(&self, bills: impl Iterator<Item = (PayerId, u64)>, wall: WallTime) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.begin_due_windows(wall);
        let mut exceeds_mark = false;
        for (payer, bytes) in bills {
            let State { payers, accounts, .. } = &mut *state;
            for position in &payers[payer as usize].accounts {
                let account = &mut accounts[*position];
                account.in_transit += bytes;
                exceeds_mark |= account.exceeds_mark();
            }
        }
        if exceeds_mark { state.save(Mark::Ahead) } else { Ok(()) }
    }

    /// Counts these bytes as no longer in transit, after they were sent, whatever the response.
    pub(super) fn sent(&self, bills: impl Iterator<Item = (PayerId, u64)>) {
        let mut state = lock(&self.state);
        state.each_account(bills, |account, bytes| account.in_transit = account.in_transit.saturating_sub(bytes));
    }

    /// Counts reserved bytes as accepted by Sentry.
    pub(super) fn accept(&self, bills: impl Iterator<Item = (PayerId, u64)>, wall: WallTime) {
        let mut state = lock(&self.state);
        state.begin_due_windows(wall);
        for (payer, bytes) in bills {
            state.payers[payer as usize].accepted += bytes;
            state.each_account(std::iter::once((payer, bytes)), |account, bytes| {
                account.reserved = account.reserved.saturating_sub(bytes);
                account.accepted += bytes;
            });
            state.end_message(payer);
        }
    }

    /// Releases reserved bytes that were not accepted.
    pub(super) fn release(&self, bills: impl Iterator<Item = (PayerId, u64)>, release: Release, now: Monotonic) {
        let mut state = lock(&self.state);
        for (payer, bytes) in bills {
            state.each_account(std::iter::once((payer, bytes)), |account, bytes| {
                account.reserved = account.reserved.saturating_sub(bytes);
            });
            let Some(number) = state.payers[payer as usize].message else { continue };
            if release == Release::Ended {
                state.end_message(payer);
            } else if let Some(queued) = state.messages.iter_mut().find(|queued| queued.number == number) {
                (queued.is_in_transit, queued.not_before) = (false, now + MESSAGE_RETRY);
            }
        }
    }

    /// Returns true if any budget applies. Otherwise there is nothing to reserve, and no message.
    pub(super) fn is_capping(&self) -> bool {
        self.is_capping.load(Relaxed)
    }

    /// Returns true if a budget applies to a payer.
    pub(super) fn is_capped(&self, payer: PayerId) -> bool {
        self.is_capping() && !lock(&self.state).payers[payer as usize].accounts.is_empty()
    }

    /// Returns the messages that are to be sent now, each with the payer to bill.
    pub(super) fn due_messages(&self, steady: Monotonic, wall: WallTime) -> Vec<(PayerId, BudgetMessage)> {
        let mut state = lock(&self.state);
        state.begin_due_windows(wall);
        let State { payers, messages, positions, unused, .. } = &mut *state;
        let due = messages.iter_mut().filter(|queued| !queued.is_in_transit && queued.not_before <= steady);
        due.map(|queued| {
            queued.is_in_transit = true;
            let accounts = positions.get(&queued.message.key).copied().into_iter().collect();
            let payer = Payer { accounts, message: Some(queued.number), ..Payer::default() };
            let known = payers.iter().position(|payer| payer.message == Some(queued.number));
            let number = known.or_else(|| unused.pop().map(|number| number as usize)).unwrap_or(payers.len());
            match payers.get_mut(number) {
                Some(old) => *old = payer,
                None => payers.push(payer),
            }
            (number as PayerId, queued.message.clone())
        })
        .collect()
    }

    /// Reserves the bytes of a message, which no budget can withhold.
    pub(super) fn reserve_message(&self, payer: PayerId, bytes: u64) {
        let mut state = lock(&self.state);
        state.each_account(std::iter::once((payer, bytes)), |account, bytes| account.reserved += bytes);
    }

    /// Reads the file in the directory of a spool, which the plugin has locked, and writes there from now on.
    ///
    /// # Errors
    /// The file cannot be read, or was not written by this plugin. Nothing counts as spent then.
    pub(super) fn open(&self, directory: &std::path::Path, wall: WallTime) -> io::Result<()> {
        let path = directory.join(file::NAME);
        let read = file::read(&path);
        let mut state = lock(&self.state);
        state.path = Some(path);
        let stored = read?;
        for (number, message) in (0..).zip(stored.messages) {
            let not_before = Monotonic::START;
            state.messages.push(QueuedMessage { number, message, not_before, is_in_transit: false });
        }
        for account in stored.accounts {
            state.add_stored(account);
        }
        if !(state.accounts.is_empty() && state.messages.is_empty()) {
            self.is_capping.store(true, Relaxed);
        }
        state.hour = 0;
        state.begin_due_windows(wall);
        Ok(())
    }

    /// Writes the file if anything besides spent bytes has changed; with [`Mark::Exact`] in any case.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn save(&self, mark: Mark) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !self.is_capping() || mark == Mark::Ahead && !state.has_changes {
            return Ok(());
        }
        state.save(mark)
    }

    /// Returns the namespaces whose logs have cost most in this process, the most expensive first, as `name:bytes`.
    pub(super) fn most_expensive(&self, most: usize) -> Vec<String> {
        let state = lock(&self.state);
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for payer in state.payers.iter().filter(|payer| !payer.namespace.is_empty()) {
            *sums.entry(&payer.namespace).or_default() += payer.accepted;
        }
        let mut all: Vec<_> = sums.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        all.into_iter().take(most).map(|(name, bytes)| format!("{}:{bytes}", log_safe(name))).collect()
    }
}

/// Returns a namespace in a form that is safe in a line of log: the author of the records may have chosen it.
fn log_safe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    name.chars().take(MAX_NAME).map(|c| if plain(c) { c } else { '?' }).collect()
}

impl State {
    /// Returns the position of an account, a new one if there is none yet.
    fn account(&mut self, key: Key, budget: Budget, destination: u128, wall: WallTime) -> usize {
        if let Some(position) = self.positions.get(&key).copied() {
            self.accounts[position].set_budget(budget, wall);
            self.accounts[position].destination = destination;
            return position;
        }
        self.positions.insert(key.clone(), self.accounts.len());
        self.accounts.push(Account::new(key, budget, destination, wall));
        self.accounts.len() - 1
    }

    /// Sets the budget of a workload, whose annotation may have changed.
    fn set_workload_budget(&mut self, payer: PayerId, budget: Budget, wall: WallTime) {
        let own = self.payers[payer as usize].accounts.last().copied();
        if let Some(account) = own.map(|position| &mut self.accounts[position])
            && matches!(account.key, Key::Workload(..))
        {
            account.set_budget(budget, wall);
        }
    }

    /// Adds an account of the file to what this process has spent meanwhile.
    fn add_stored(&mut self, stored: Account) {
        match self.positions.get(&stored.key).copied() {
            Some(position) => self.accounts[position].merge(stored),
            None => {
                self.positions.insert(stored.key.clone(), self.accounts.len());
                self.accounts.push(stored);
            }
        }
    }

    /// Begins the windows that are due, and queues a message about each window that has ended and in which logs were withheld.
    /// Checks the windows once an hour, which is the length of the shortest.
    fn begin_due_windows(&mut self, wall: WallTime) {
        let hour = wall.as_secs() / 3_600;
        if hour == self.hour {
            return;
        }
        self.hour = hour;
        let accounts = self.accounts.iter_mut();
        let messages: Vec<BudgetMessage> = accounts.filter_map(|account| account.begin_due_window(wall)).collect();
        messages.into_iter().for_each(|message| self.add_message(message));
    }

    /// Removes the message of a payer that was accepted or never will be.
    fn end_message(&mut self, payer: PayerId) {
        if let Some(number) = self.payers[payer as usize].message.take() {
            self.messages.retain(|queued| queued.number != number);
            self.unused.push(payer);
            self.has_changes = true;
        }
    }

    fn add_message(&mut self, message: BudgetMessage) {
        let number = self.messages.iter().map(|queued| queued.number + 1).max().unwrap_or_default();
        let used = self.payers.iter().filter_map(|payer| payer.message).max();
        let number = number.max(used.map_or(0, |used| used + 1));
        self.has_changes = true;
        self.messages.push(QueuedMessage { number, message, not_before: Monotonic::START, is_in_transit: false });
    }

    fn each_account(&mut self, bills: impl Iterator<Item = (PayerId, u64)>, mut change: impl FnMut(&mut Account, u64)) {
        let Self { payers, accounts, .. } = self;
        for (payer, bytes) in bills {
            let positions = &payers[payer as usize].accounts;
            positions.iter().for_each(|position| change(&mut accounts[*position], bytes));
        }
    }

    /// Writes the file, if there is one.
    fn save(&mut self, mark: Mark) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        self.accounts.iter_mut().for_each(|account| account.set_mark(mark));
        file::write(path, &self.accounts, self.messages.iter().map(|queued| &queued.message))?;
        self.has_changes = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
