//! Counts the cost of an instance's logs and enforces the budgets that limit it: `logs_budget`, `logs_budget_namespace`, and
//! the annotation `k8s.sentry.io/logs-budget`.
//!
//! ```text
//! reserve (mapper: the log is written) -> sending (dispatcher) -> accept, or release when its batch ends otherwise
//! ```
//!
//! The spending of an account is the bytes that Sentry has accepted in the account's UTC window plus the reserved bytes. A
//! reservation outlives its window, because Sentry bills a log when it accepts the log. The spent bytes are kept in a file
//! beside the spool (`file`). Before a batch is sent that would exceed the bytes in the file, the file is written ahead, so
//! that a process that is killed has never sent more than the file says.

mod account;
mod file;
pub(super) mod notice;

use crate::clock::{Monotonic, WallTime};
use crate::level::Level;
use crate::options::Budget;
use crate::sync::{AtomicBool, Mutex, lock};
use account::{Account, Key};
pub(super) use notice::Notice;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Most payers: combinations of destination, namespace, and annotated workload. Those beyond share one for each destination.
const MAX_PAYERS: usize = 16_384;

/// Longest name of a namespace in a summary line; Kubernetes has none longer.
const MAX_NAME: usize = 63;

/// Wait before a notice that could not be delivered is tried again.
const NOTICE_AGAIN: Duration = Duration::from_secs(30);

/// The payer that is billed for a log: a number of [`Costs::payer`]. 0 stands for nobody.
pub(super) type PayerId = u32;

/// The state of the costs of an instance's logs. The mapper reserves, the dispatcher accepts and releases.
#[derive(Debug)]
pub(crate) struct Costs {
    destination: Option<Budget>,
    namespace: Option<Budget>,
    /// True if any budget has applied to a payer, or is in the file. While it is false, no budget has to be checked.
    capping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    payers: Vec<Payer>,
    numbers: HashMap<(u128, String, Option<String>), PayerId>,
    accounts: Vec<Account>,
    places: HashMap<Key, usize>,
    notices: Vec<Sent>,
    /// Payers of notices that have ended, for the next ones.
    spare: Vec<PayerId>,
    /// The file, once the plugin has locked the directory.
    path: Option<PathBuf>,
    /// Something beside spent bytes has changed since the file was written.
    changed: bool,
    /// Hour of the wall clock for which windows were looked at last.
    hour: u64,
}

#[derive(Debug, Default)]
struct Payer {
    namespace: String,
    /// Bytes that Sentry has accepted, in this process.
    accepted: u64,
    /// Places of the accounts that it spends from.
    accounts: Vec<usize>,
    /// The number of the notice that it stands for.
    notice: Option<u64>,
}

/// A notice that Sentry has not accepted yet.
#[derive(Debug)]
struct Sent {
    number: u64,
    notice: Notice,
    /// Steady time before which it is not sent (again).
    not_before: Monotonic,
    /// True if the notice is on its way.
    under_way: bool,
}

/// Query for the payer of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
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
        Self { destination, namespace, capping: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Returns the number of a payer, and whether any budget applies to it.
    pub(super) fn payer(&self, asked: Asked<'_>, wall: WallTime) -> (PayerId, bool) {
        let mut state = lock(&self.state);
        let workload = asked.budget.map(|_| asked.workload.to_owned());
        let mut name = (asked.destination, asked.namespace.to_owned(), workload);
        if !state.numbers.contains_key(&name) && state.payers.len() >= MAX_PAYERS {
            name = (asked.destination, String::new(), None);
        }
        if let Some(number) = state.numbers.get(&name).copied() {
            if let Some(budget) = asked.budget {
                state.adjust(number, budget, wall);
            }
            return (number, !state.payers[number as usize].accounts.is_empty());
        }
        let own = name.2.clone().zip(asked.budget);
        let accounts = [
            self.destination.map(|budget| (Key::Destination(asked.destination), budget)),
            self.namespace.filter(|_| !name.1.is_empty()).map(|budget| (Key::Namespace(name.1.clone()), budget)),
            own.map(|(workload, budget)| (Key::Workload(name.1.clone(), workload), budget)),
        ];
        let accounts = accounts.into_iter().flatten();
        let accounts: Vec<_> =
            accounts.map(|(key, budget)| state.account(key, budget, asked.destination, wall)).collect();
        let capped = !accounts.is_empty();
        if capped {
            self.capping.store(true, Relaxed);
        }
        let number = state.payers.len() as PayerId;
        state.payers.push(Payer { namespace: name.1.clone(), accounts, ..Payer::default() });
        state.numbers.insert(name, number);
        (number, capped)
    }

    /// Reserves bytes of a log that is to be sent. Returns false if a budget does not allow it; with `counts`, the log then
    /// counts as withheld. Without bytes it only asks whether any log of this level may be sent.
    pub(super) fn reserve(&self, payer: PayerId, level: Level, bytes: u64, wall: WallTime, counts: bool) -> bool {
        let mut state = lock(&self.state);
        state.turn(wall);
        let State { payers, accounts, changed, .. } = &mut *state;
        let places = &payers[payer as usize].accounts;
        if let Some(refuses) = places.iter().find(|place| !accounts[**place].admits(level, bytes)) {
            if counts {
                accounts[*refuses].withhold();
                *changed = true;
            }
            let began = accounts[*refuses].begins();
            if let Some(notice) = began {
                state.add_notice(notice);
            }
            return false;
        }
        places.iter().for_each(|place| accounts[*place].reserved += bytes);
        true
    }

    /// Counts these bytes as in transit, before they are sent. The file is written first if it says less than may be spent
    /// then.
    ///
    /// # Errors
    /// The file could not be written; the bytes are counted all the same.
    pub(super) fn sending(&self, bills: impl Iterator<Item = (PayerId, u64)>, wall: WallTime) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.turn(wall);
        let mut behind = false;
        for (payer, bytes) in bills {
            let State { payers, accounts, .. } = &mut *state;
            for place in &payers[payer as usize].accounts {
                let account = &mut accounts[*place];
                account.in_transit += bytes;
                behind |= account.is_behind();
            }
        }
        if behind { state.save(true) } else { Ok(()) }
    }

    /// Counts these bytes as no longer in transit, after they were sent, whatever the response.
    pub(super) fn sent(&self, bills: impl Iterator<Item = (PayerId, u64)>) {
        let mut state = lock(&self.state);
        state.each_account(bills, |account, bytes| account.in_transit = account.in_transit.saturating_sub(bytes));
    }

    /// Sentry has accepted these bytes.
    pub(super) fn accept(&self, bills: impl Iterator<Item = (PayerId, u64)>, wall: WallTime) {
        let mut state = lock(&self.state);
        state.turn(wall);
        for (payer, bytes) in bills {
            state.payers[payer as usize].accepted += bytes;
            state.each_account(std::iter::once((payer, bytes)), |account, bytes| {
                account.reserved = account.reserved.saturating_sub(bytes);
                account.accepted += bytes;
            });
            state.end_notice(payer);
        }
    }

    /// These bytes will not be sent, or not now. `final_end`: nothing of the items is left.
    pub(super) fn release(&self, bills: impl Iterator<Item = (PayerId, u64)>, final_end: bool, now: Monotonic) {
        let mut state = lock(&self.state);
        for (payer, bytes) in bills {
            state.each_account(std::iter::once((payer, bytes)), |account, bytes| {
                account.reserved = account.reserved.saturating_sub(bytes);
            });
            let Some(number) = state.payers[payer as usize].notice else { continue };
            if final_end {
                state.end_notice(payer);
            } else if let Some(sent) = state.notices.iter_mut().find(|sent| sent.number == number) {
                (sent.under_way, sent.not_before) = (false, now + NOTICE_AGAIN);
            }
        }
    }

    /// Returns true if some budget applies: only then there is something to reserve, and may be something for [`Costs::due`].
    pub(super) fn is_capping(&self) -> bool {
        self.capping.load(Relaxed)
    }

    /// Returns true if a budget applies to a payer.
    pub(super) fn is_capped(&self, payer: PayerId) -> bool {
        self.is_capping() && !lock(&self.state).payers[payer as usize].accounts.is_empty()
    }

    /// Returns the notices that are to be sent now, each with the payer to bill.
    pub(super) fn due(&self, steady: Monotonic, wall: WallTime) -> Vec<(PayerId, Notice)> {
        let mut state = lock(&self.state);
        state.turn(wall);
        let State { payers, notices, places, spare, .. } = &mut *state;
        let due = notices.iter_mut().filter(|sent| !sent.under_way && sent.not_before <= steady);
        due.map(|sent| {
            sent.under_way = true;
            let accounts = places.get(&sent.notice.key).copied().into_iter().collect();
            let payer = Payer { accounts, notice: Some(sent.number), ..Payer::default() };
            let known = payers.iter().position(|payer| payer.notice == Some(sent.number));
            let place = known.or_else(|| spare.pop().map(|number| number as usize)).unwrap_or(payers.len());
            match payers.get_mut(place) {
                Some(old) => *old = payer,
                None => payers.push(payer),
            }
            (place as PayerId, sent.notice.clone())
        })
        .collect()
    }

    /// Reserves the bytes of a notice, which no budget can withhold.
    pub(super) fn reserve_notice(&self, payer: PayerId, bytes: u64) {
        let mut state = lock(&self.state);
        state.each_account(std::iter::once((payer, bytes)), |account, bytes| account.reserved += bytes);
    }

    /// Takes up the file of a spool directory that the plugin holds from now on.
    ///
    /// # Errors
    /// It cannot be read, or was not written by this plugin: then budgets begin anew.
    pub(super) fn open(&self, directory: &std::path::Path, wall: WallTime) -> io::Result<()> {
        let path = directory.join(file::NAME);
        let read = file::read(&path);
        let mut state = lock(&self.state);
        state.path = Some(path);
        let stored = read?;
        for (number, notice) in (0..).zip(stored.notices) {
            state.notices.push(Sent { number, notice, not_before: Monotonic::START, under_way: false });
        }
        for account in stored.accounts {
            state.take_up(account);
        }
        if !(state.accounts.is_empty() && state.notices.is_empty()) {
            self.capping.store(true, Relaxed);
        }
        state.hour = 0;
        state.turn(wall);
        Ok(())
    }

    /// Writes the file where something changed. `exact`: nothing is under way any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&self, exact: bool) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !self.is_capping() || !(exact || state.changed) {
            return Ok(());
        }
        state.save(!exact)
    }

    /// Returns the namespaces whose logs have cost most in this process, the dearest first, as `name:bytes`.
    pub(super) fn dearest(&self, most: usize) -> Vec<String> {
        let state = lock(&self.state);
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for payer in state.payers.iter().filter(|payer| !payer.namespace.is_empty()) {
            *sums.entry(&payer.namespace).or_default() += payer.accepted;
        }
        let mut all: Vec<_> = sums.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        all.into_iter().take(most).map(|(name, bytes)| format!("{}:{bytes}", harmless(name))).collect()
    }
}

/// Returns a namespace in a form that is safe in a line of log: the author of the records may have chosen it.
fn harmless(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    name.chars().take(MAX_NAME).map(|c| if plain(c) { c } else { '?' }).collect()
}

impl State {
    /// The place of an account, made where needed.
    fn account(&mut self, key: Key, budget: Budget, destination: u128, wall: WallTime) -> usize {
        if let Some(place) = self.places.get(&key).copied() {
            self.accounts[place].set_budget(budget, wall);
            self.accounts[place].destination = destination;
            return place;
        }
        self.places.insert(key.clone(), self.accounts.len());
        self.accounts.push(Account::new(key, budget, destination, wall));
        self.accounts.len() - 1
    }

    /// A pod's annotation may have changed.
    fn adjust(&mut self, payer: PayerId, budget: Budget, wall: WallTime) {
        let own = self.payers[payer as usize].accounts.last().copied();
        if let Some(account) = own.map(|place| &mut self.accounts[place])
            && matches!(account.key, Key::Workload(..))
        {
            account.set_budget(budget, wall);
        }
    }

    /// Takes an account from the file. What this process has spent meanwhile counts on.
    fn take_up(&mut self, stored: Account) {
        match self.places.get(&stored.key).copied() {
            Some(place) => self.accounts[place].join(stored),
            None => {
                self.places.insert(stored.key.clone(), self.accounts.len());
                self.accounts.push(stored);
            }
        }
    }

    /// Begins new windows, and reports the logs withheld in those that are over.
    fn turn(&mut self, wall: WallTime) {
        let hour = wall.as_secs() / 3_600;
        if hour == self.hour {
            return;
        }
        self.hour = hour;
        let ended: Vec<Notice> = self.accounts.iter_mut().filter_map(|account| account.turn(wall)).collect();
        for notice in ended {
            self.changed = true;
            self.add_notice(notice);
        }
    }

    /// A notice has been accepted, or never will be.
    fn end_notice(&mut self, payer: PayerId) {
        if let Some(number) = self.payers[payer as usize].notice.take() {
            self.notices.retain(|sent| sent.number != number);
            self.spare.push(payer);
            self.changed = true;
        }
    }

    fn add_notice(&mut self, notice: Notice) {
        let number = self.notices.iter().map(|sent| sent.number + 1).max().unwrap_or_default();
        let used = self.payers.iter().filter_map(|payer| payer.notice).max();
        let number = number.max(used.map_or(0, |used| used + 1));
        self.changed = true;
        self.notices.push(Sent { number, notice, not_before: Monotonic::START, under_way: false });
    }

    fn each_account(&mut self, bills: impl Iterator<Item = (PayerId, u64)>, mut change: impl FnMut(&mut Account, u64)) {
        let Self { payers, accounts, .. } = self;
        for (payer, bytes) in bills {
            payers[payer as usize].accounts.iter().for_each(|place| change(&mut accounts[*place], bytes));
        }
    }

    /// Writes the file; `ahead`: with room for the bytes that are sent next.
    fn save(&mut self, ahead: bool) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        self.accounts.iter_mut().for_each(|account| account.mark(ahead));
        file::write(path, &self.accounts, self.notices.iter().map(|sent| &sent.notice))?;
        self.changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
