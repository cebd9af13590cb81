//! The items at the receiver, by number.

use super::feed::EVENT_EVERY;
use receiver::Receiver;
use serde_json::Value;
use std::collections::BTreeMap;

/// The numbers of logs and events, each as often as it came.
#[derive(Default)]
pub struct Seen {
    /// The requests that brought each log.
    logs: BTreeMap<u64, Vec<u64>>,
    /// The ids under which each event came.
    events: BTreeMap<u64, Vec<String>>,
}

impl Seen {
    /// Everything.
    pub fn at(receiver: &Receiver) -> Self {
        Self::select(receiver, |_| true)
    }

    /// Returns the items of one project.
    pub fn of_project(receiver: &Receiver, project: u64) -> Self {
        Self::select(receiver, |other| other == project)
    }

    fn select(receiver: &Receiver, wanted: impl Fn(u64) -> bool) -> Self {
        let mut seen = Self::default();
        for log in receiver.logs().iter().filter(|log| wanted(log.project)) {
            let number = number(&log.payload["attributes"]["n"]["value"]);
            seen.logs.entry(number).or_default().push(log.request);
        }
        for event in receiver.events().iter().filter(|event| wanted(event.project)) {
            let number = number(&event.payload["extra"]["n"]);
            seen.events.entry(number).or_default().push(event.event_id.clone());
        }
        seen
    }

    /// Returns true if each of `total` records has its log, and its event if it has one, at least once.
    pub fn is_complete(&self, total: u64) -> bool {
        self.missing(total).is_empty()
    }

    /// Returns the items that are missing of `total` records.
    pub fn missing(&self, total: u64) -> Vec<String> {
        let logs = (0..total).filter(|n| !self.logs.contains_key(n)).map(|n| format!("log {n}"));
        let events = (0..total).step_by(EVENT_EVERY as usize).filter(|n| !self.events.contains_key(n));
        logs.chain(events.map(|n| format!("event {n}"))).collect()
    }

    /// Each of `total` records came exactly once, and nothing else came.
    pub fn assert_exactly(&self, total: u64) {
        self.assert_complete(total);
        assert_eq!(self.repeats(), Vec::<u64>::new(), "logs that came more than once");
        let again: Vec<_> = self.events.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(again.is_empty(), "events that came more than once: {again:?}");
    }

    /// Nothing is missing, nothing came from nowhere, and each event came under one id.
    pub fn assert_complete(&self, total: u64) {
        let missing = self.missing(total);
        assert!(missing.is_empty(), "{} missing: {:?}", missing.len(), &missing[..missing.len().min(20)]);
        assert!(self.logs.keys().all(|number| *number < total), "logs that nobody wrote");
        assert!(self.events.keys().all(|number| number % EVENT_EVERY == 0), "events of records that are none");
        let changed: Vec<_> = self.events.iter().filter(|(_, ids)| ids.iter().any(|id| *id != ids[0])).collect();
        assert!(changed.is_empty(), "events with more than one id: {changed:?}");
        let mut ids: Vec<_> = self.events.values().map(|ids| &ids[0]).collect();
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "two events with one id");
    }

    /// The numbers of logs beyond their first time.
    pub fn repeats(&self) -> Vec<u64> {
        self.logs.iter().flat_map(|(number, requests)| vec![*number; requests.len() - 1]).collect()
    }

    /// The requests that brought each log.
    pub fn logs(&self) -> &BTreeMap<u64, Vec<u64>> {
        &self.logs
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}
