//! Keeps the destinations of an instance, and the route from each source to its destination.
//!
//! The destination of a record is the one that its pod's annotation names, if that is allowed; else the one in the file of
//! its namespace; else the default. A destination keeps its number, and so its queue, when its DSN changes. Two sources with
//! the same DSN are one destination. Pure: other modules read the sources, and the caller passes the time in.

use crate::clock::Monotonic;
use crate::mapping::{DestinationId, Routed, identity};
use crate::options::{Destination, Dsn, Hosts, Refusal, ResolvedMode};
use crate::sync::{Mutex, lock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Destinations that annotations may name at once.
const MAX_ANNOTATIONS: usize = 1_000;

/// Time without a record after which an annotation may be replaced by another one, and time after which a destination that
/// no source leads to is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// A destination of items: its DSN, and its identity as used for event ids.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) dsn: Dsn,
    pub(crate) identity: u128,
}

/// Contents of a directory of DSNs: for each namespace its DSN, or an error if its file cannot be read as one.
pub(crate) type Listing = BTreeMap<String, Result<Dsn, String>>;

/// A reason for which a record is not routed as its pod asks, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The annotation of its pod is rejected.
    Refused(Refusal),
    /// There are too many destinations by annotation already.
    TooMany,
    /// No source has a destination for it.
    Unrouted,
}

/// Changes to the destinations after sources were read again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Destinations with another DSN than before: failures and limits of the old one are forgotten.
    pub(crate) renewed: Vec<DestinationId>,
    /// Destinations whose waiting items go to another one from now on.
    pub(crate) retired: Vec<Retired>,
    /// Namespaces whose DSN is new, another, or gone.
    pub(crate) namespaces: Vec<String>,
}

/// A destination that no source leads to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retired {
    pub(crate) from: DestinationId,
    /// The destination that gets the waiting items of `from` instead.
    pub(crate) to: DestinationId,
}

/// All destinations.
#[derive(Debug)]
pub(crate) struct RouteTable {
    hosts: Hosts,
    /// True if there is to be a default, even if it does not exist yet.
    expects_default: bool,
    expects_namespaces: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    known: BTreeMap<DestinationId, Known>,
    default: Option<DestinationId>,
    /// `None`: the file exists but has never contained a valid DSN.
    namespaces: HashMap<String, Option<DestinationId>>,
    /// True if the directory has ever been read.
    has_listing: bool,
    annotations: HashMap<String, Annotated>,
}

#[derive(Debug)]
struct Known {
    target: Arc<Target>,
    /// Since when no source leads to it.
    unused: Option<Monotonic>,
    /// True if the items that waited for it have gone to another destination. Later items would go there too: no source
    /// leads here again.
    is_retired: bool,
}

#[derive(Debug)]
struct Annotated {
    destination: DestinationId,
    last_use: Monotonic,
}

impl RouteTable {
    /// Returns a table without destinations.
    #[must_use]
    pub(crate) fn new(settings: &Destination) -> Self {
        Self {
            hosts: settings.allow_hosts.clone(),
            expects_default: settings.dsn.is_some() || settings.dsn_file.is_some(),
            expects_namespaces: settings.dsn_dir.is_some(),
            state: Mutex::default(),
        }
    }

    /// Returns true if chunks can be taken. In mode `memory`, none are taken before all sources have been read.
    pub(crate) fn is_ready(&self, mode: ResolvedMode) -> bool {
        let state = lock(&self.state);
        let default = state.default.is_some() || !self.expects_default;
        let has_namespaces = state.has_listing || !self.expects_namespaces || state.default.is_some();
        let routed = self.expects_namespaces || !self.hosts.is_empty();
        default && has_namespaces || routed && mode != ResolvedMode::Memory
    }

    /// Returns the target of a destination, unless the destination was forgotten.
    pub(crate) fn get(&self, id: DestinationId) -> Option<Arc<Target>> {
        lock(&self.state).known.get(&id).map(|known| Arc::clone(&known.target))
    }

    /// Returns all destinations.
    pub(crate) fn destinations(&self) -> Vec<DestinationId> {
        lock(&self.state).known.keys().copied().collect()
    }

    /// Returns a record's destination, and the complaint about it, if there is one.
    pub(crate) fn route(
        &self,
        namespace: &str,
        annotation: Option<&str>,
        now: Monotonic,
    ) -> (Routed, Option<Complaint>) {
        let mut state = lock(&self.state);
        let mut complaint = None;
        if let Some(text) = annotation.filter(|_| !self.hosts.is_empty()) {
            match state.annotated(text, &self.hosts, now) {
                Ok(id) => return (state.route(id), None),
                Err(refused) => complaint = Some(refused),
            }
        }
        let own = state.namespaces.get(namespace).copied();
        let routed = match own.flatten().or(state.default) {
            Some(id) => state.route(id),
            None if own.is_some() || self.may_find_a_source(&state) => Routed::PENDING,
            None => Routed::UNROUTED,
        };
        let complaint = complaint.or((routed == Routed::UNROUTED).then_some(Complaint::Unrouted));
        (routed, complaint)
    }

    /// Returns true if a record without a file of its namespace may have a destination when a source becomes valid.
    fn may_find_a_source(&self, state: &State) -> bool {
        self.expects_default || self.expects_namespaces && !state.has_listing
    }

    /// Returns the default destination, once it is known.
    pub(crate) fn default_destination(&self) -> Option<DestinationId> {
        lock(&self.state).default
    }

    /// Returns true if the default already has this DSN.
    pub(crate) fn has_default(&self, dsn: &Dsn) -> bool {
        let state = lock(&self.state);
        state.leads_to(state.default, dsn)
    }

    /// Sets the DSN of the default destination.
    pub(crate) fn set_default(&self, dsn: Dsn) -> Changes {
        let mut state = lock(&self.state);
        let mut changes = Changes::default();
        let old = state.default;
        state.default = Some(state.assign(old, dsn, &mut changes));
        changes
    }

    /// Sets the DSNs of a directory. A file that cannot be read keeps its last valid value, a removed file does not.
    pub(crate) fn set_namespaces(&self, listing: Listing) -> Changes {
        let mut state = lock(&self.state);
        let mut changes = Changes::default();
        state.has_listing = true;
        let gone: Vec<_> = state.namespaces.keys().filter(|name| !listing.contains_key(*name)).cloned().collect();
        for name in gone {
            state.namespaces.remove(&name);
            changes.namespaces.push(name);
        }
        for (name, dsn) in listing {
            let old = state.namespaces.get(&name).copied();
            let destination = match dsn {
                Ok(dsn) if state.leads_to(old.flatten(), &dsn) => continue,
                Ok(dsn) => Some(state.assign(old.flatten(), dsn, &mut changes)),
                Err(_) if old.is_some() => continue,
                Err(_) => None,
            };
            if destination.is_some() {
                changes.namespaces.push(name.clone());
            }
            state.namespaces.insert(name, destination);
        }
        changes
    }

    /// Forgets destinations that no source has led to for [`IDLE`], if `may_go` returns true. Returns them.
    pub(crate) fn sweep(&self, now: Monotonic, may_go: impl Fn(DestinationId) -> bool) -> Vec<DestinationId> {
        let mut state = lock(&self.state);
        let used = state.used();
        for (id, known) in &mut state.known {
            let since = known.unused.unwrap_or(now);
            known.unused = if used.contains(id) { None } else { Some(since) };
        }
        let idle = |known: &Known| known.unused.is_some_and(|since| now >= since + IDLE);
        let gone: Vec<DestinationId> =
            state.known.iter().filter(|(id, known)| idle(known) && may_go(**id)).map(|(id, _)| *id).collect();
        for id in &gone {
            state.known.remove(id);
        }
        gone
    }
}

impl State {
    fn route(&self, id: DestinationId) -> Routed {
        let known = self.known.get(&id);
        known.map_or(Routed::UNROUTED, |known| Routed::to(id, known.target.identity))
    }

    fn leads_to(&self, destination: Option<DestinationId>, dsn: &Dsn) -> bool {
        destination.and_then(|id| self.known.get(&id)).is_some_and(|known| known.target.dsn == *dsn)
    }

    /// Returns the destinations that some source leads to.
    fn used(&self) -> Vec<DestinationId> {
        let named = self.namespaces.values().flatten().copied();
        let annotated = self.annotations.values().map(|annotated| annotated.destination);
        self.default.into_iter().chain(named).chain(annotated).collect()
    }

    fn annotated(&mut self, text: &str, hosts: &Hosts, now: Monotonic) -> Result<DestinationId, Complaint> {
        if let Some(known) = self.annotations.get_mut(text) {
            known.last_use = now;
            return Ok(known.destination);
        }
        let dsn = hosts.judge(text).map_err(Complaint::Refused)?;
        if self.annotations.len() >= MAX_ANNOTATIONS {
            let oldest = self.annotations.iter().min_by_key(|(_, annotated)| annotated.last_use);
            let idle = oldest.filter(|(_, annotated)| now >= annotated.last_use + IDLE);
            let oldest = idle.map(|(text, _)| text.clone()).ok_or(Complaint::TooMany)?;
            self.annotations.remove(&oldest);
        }
        let destination = self.find_or_make(dsn);
        self.annotations.insert(text.to_owned(), Annotated { destination, last_use: now });
        Ok(destination)
    }

    /// A source that led to `old` leads to a DSN now: to a destination that has it already; else `old` itself changes, if
    /// no other source leads there; else to a new one.
    fn assign(&mut self, old: Option<DestinationId>, dsn: Dsn, changes: &mut Changes) -> DestinationId {
        let Some(old) = old else { return self.find_or_make(dsn) };
        if self.leads_to(Some(old), &dsn) {
            return old;
        }
        let sources = |id| self.used().into_iter().filter(|used| *used == id).count();
        let ours_alone = sources(old) <= 1;
        if let Some(other) = self.find(&dsn) {
            if ours_alone {
                self.known.entry(old).and_modify(|known| known.is_retired = true);
                changes.retired.push(Retired { from: old, to: other });
            }
            return other;
        }
        if !ours_alone {
            return self.make(dsn);
        }
        self.known.insert(old, Known::new(dsn));
        changes.renewed.push(old);
        old
    }

    fn find(&self, dsn: &Dsn) -> Option<DestinationId> {
        self.known.iter().find(|(_, known)| !known.is_retired && known.target.dsn == *dsn).map(|(id, _)| *id)
    }

    fn find_or_make(&mut self, dsn: Dsn) -> DestinationId {
        self.find(&dsn).unwrap_or_else(|| self.make(dsn))
    }

    fn make(&mut self, dsn: Dsn) -> DestinationId {
        let id = DestinationId(self.next);
        self.next += 1;
        self.known.insert(id, Known::new(dsn));
        id
    }
}

impl Known {
    fn new(dsn: Dsn) -> Self {
        let identity = identity::destination(&dsn.identity());
        Self { target: Arc::new(Target { dsn, identity }), unused: None, is_retired: false }
    }
}

#[cfg(test)]
mod tests;
