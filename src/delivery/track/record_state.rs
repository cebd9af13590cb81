//! The state of each record of a chunk in one category, and the changes between the states.

use crate::delivery::store::drop_reason::DropReason;
use crate::delivery::store::record_set::RecordSet;
use crate::envelope::RecordIndex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// State of a record in one category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It needs an item: it has not been mapped, or its item was taken back.
    Open,
    /// Its item is being written, queued or sent.
    InFlight,
    /// Its item was given up. It becomes a dead letter when its chunk is read again.
    Rejected(Arc<DropReason>),
    /// It has ended.
    Finished,
}

/// A change of the state of a record.
#[derive(Clone, Copy, Debug)]
pub enum RecordChange<'r> {
    /// The mapper begins its item.
    Claim,
    /// Its item is taken back: it is mapped again later.
    Defer,
    /// Its item has ended.
    Finish,
    /// It ends without an item.
    End,
    /// Its item is given up for this reason.
    Reject(&'r Arc<DropReason>),
}

impl RecordState {
    /// Returns the state after a change, or `None` if a record in this state does not change.
    #[must_use]
    pub fn transition(&self, change: RecordChange<'_>) -> Option<Self> {
        match (self, change) {
            (Self::Open | Self::Rejected(_), RecordChange::Claim) => Some(Self::InFlight),
            (Self::InFlight, RecordChange::Defer) => Some(Self::Open),
            (Self::InFlight, RecordChange::Finish) => Some(Self::Finished),
            (Self::Open | Self::Rejected(_), RecordChange::End) => Some(Self::Finished),
            (Self::Open | Self::InFlight | Self::Rejected(_), RecordChange::Reject(reason)) => {
                Some(Self::Rejected(Arc::clone(reason)))
            }
            (Self::Open | Self::Rejected(_), RecordChange::Defer | RecordChange::Finish)
            | (Self::InFlight, RecordChange::Claim | RecordChange::End)
            | (Self::Finished, _) => None,
        }
    }

    fn code(&self) -> u64 {
        match self {
            Self::Open => OPEN,
            Self::InFlight => IN_FLIGHT,
            Self::Rejected(_) => REJECTED,
            Self::Finished => FINISHED,
        }
    }
}

const OPEN: u64 = 0;
const IN_FLIGHT: u64 = 1;
const REJECTED: u64 = 2;
const FINISHED: u64 = 3;

/// Number of records whose states are in one word: two bits for each.
const PER_WORD: u32 = 32;

/// States of the records of a chunk in one category. A record that was never changed is open.
#[derive(Debug, Default)]
pub struct RecordStates {
    words: Vec<u64>,
    /// Reasons of the rejected records.
    reasons: BTreeMap<RecordIndex, Arc<DropReason>>,
    /// Number of records in flight.
    in_flight: u32,
}

impl RecordStates {
    /// Returns states in which the records of a set are finished, and all others open.
    #[must_use]
    pub fn finished_before(finished: &RecordSet) -> Self {
        let words = finished.words().iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
        Self { words: words.map(|half| spread(half) * FINISHED).collect(), ..Self::default() }
    }

    /// Returns the state of a record.
    #[must_use]
    pub fn get(&self, record: RecordIndex) -> RecordState {
        match self.code(record) {
            IN_FLIGHT => RecordState::InFlight,
            FINISHED => RecordState::Finished,
            REJECTED => match self.reasons.get(&record) {
                Some(reason) => RecordState::Rejected(Arc::clone(reason)),
                None => RecordState::Open,
            },
            _ => RecordState::Open,
        }
    }

    /// Returns true if a record is in flight.
    #[must_use]
    pub fn is_in_flight(&self, record: RecordIndex) -> bool {
        self.code(record) == IN_FLIGHT
    }

    /// Changes the state of a record. Returns its state before, or `None` if it has not changed.
    pub fn transition(&mut self, record: RecordIndex, change: RecordChange<'_>) -> Option<RecordState> {
        let before = self.get(record);
        let after = before.transition(change)?;
        self.set_code(record, after.code());
        match &before {
            RecordState::InFlight => self.in_flight -= 1,
            RecordState::Rejected(_) => drop(self.reasons.remove(&record)),
            RecordState::Open | RecordState::Finished => {}
        }
        match after {
            RecordState::InFlight => self.in_flight += 1,
            RecordState::Rejected(reason) => drop(self.reasons.insert(record, reason)),
            RecordState::Open | RecordState::Finished => {}
        }
        Some(before)
    }

    /// Returns the number of records in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns true if any record is rejected.
    #[must_use]
    pub fn has_rejected(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// Returns the finished records.
    #[must_use]
    pub fn finished(&self) -> RecordSet {
        let halves = self.words.iter().map(|word| gather(word & word >> 1));
        let halves: Vec<u32> = halves.collect();
        let whole = |pair: &[u32]| u64::from(pair[0]) | pair.get(1).map_or(0, |high| u64::from(*high) << 32);
        RecordSet::of_words(halves.chunks(2).map(whole).collect())
    }

    fn code(&self, record: RecordIndex) -> u64 {
        let word = self.words.get((record.0 / PER_WORD) as usize).copied().unwrap_or(0);
        word >> (record.0 % PER_WORD * 2) & 0b11
    }

    fn set_code(&mut self, record: RecordIndex, code: u64) {
        let (word, shift) = ((record.0 / PER_WORD) as usize, record.0 % PER_WORD * 2);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] = self.words[word] & !(0b11 << shift) | code << shift;
    }
}

/// Returns the bits of `half` at the even places of a word.
fn spread(half: u32) -> u64 {
    let mut word = u64::from(half);
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    word = (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    word = (word | word << 2) & 0x3333_3333_3333_3333;
    (word | word << 1) & 0x5555_5555_5555_5555
}

/// Returns the bits at the even places of a word; the reverse of [`spread`].
fn gather(word: u64) -> u32 {
    let mut word = word & 0x5555_5555_5555_5555;
    word = (word | word >> 1) & 0x3333_3333_3333_3333;
    word = (word | word >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
    word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    (word | word >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::store::drop_reason::DropTrigger;
    use crate::ledger::Outcome;

    fn reason(status: u16) -> Arc<DropReason> {
        DropReason::shared(Outcome::Rejected, DropTrigger::Response { status, detail: String::new() })
    }

    #[test]
    fn every_state_changes_as_in_the_table() {
        let [old, new] = [400, 413].map(reason);
        let states =
            [RecordState::Open, RecordState::InFlight, RecordState::Rejected(Arc::clone(&old)), RecordState::Finished];
        let changes = [
            RecordChange::Claim,
            RecordChange::Defer,
            RecordChange::Finish,
            RecordChange::End,
            RecordChange::Reject(&new),
        ];
        let short = |state: Option<RecordState>| match state {
            None => "-",
            Some(RecordState::Open) => "open",
            Some(RecordState::InFlight) => "in flight",
            Some(RecordState::Rejected(reason)) => {
                if reason == new {
                    "rejected"
                } else {
                    "rejected before"
                }
            }
            Some(RecordState::Finished) => "finished",
        };
        let table = states.map(|state| changes.map(|change| short(state.transition(change))));
        #[rustfmt::skip]
        let expected = [
            // claim        defer    finish       end          reject
            [ "in flight",  "-",     "-",         "finished",  "rejected" ], // open
            [ "-",          "open",  "finished",  "-",         "rejected" ], // in flight
            [ "in flight",  "-",     "-",         "finished",  "rejected" ], // rejected
            [ "-",          "-",     "-",         "-",         "-"        ], // finished
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn counts_and_reasons_follow_the_states() {
        let (mut states, reason) = (RecordStates::default(), reason(400));
        for record in [0, 31, 32, 100] {
            assert_eq!(states.transition(RecordIndex(record), RecordChange::Claim), Some(RecordState::Open));
        }
        assert_eq!((states.in_flight(), states.transition(RecordIndex(31), RecordChange::Claim)), (4, None));
        assert_eq!(states.transition(RecordIndex(31), RecordChange::Reject(&reason)), Some(RecordState::InFlight));
        assert_eq!(states.get(RecordIndex(31)), RecordState::Rejected(Arc::clone(&reason)));
        assert!(states.has_rejected() && states.is_in_flight(RecordIndex(32)) && !states.is_in_flight(RecordIndex(31)));
        assert_eq!(states.transition(RecordIndex(31), RecordChange::End), Some(RecordState::Rejected(reason)));
        assert_eq!(states.transition(RecordIndex(100), RecordChange::Finish), Some(RecordState::InFlight));
        assert_eq!((states.in_flight(), states.has_rejected()), (2, false));
        assert_eq!(states.finished().iter().collect::<Vec<_>>(), [31, 100].map(RecordIndex));
        assert_eq!(states.get(RecordIndex(1_000_000)), RecordState::Open);
    }

    #[test]
    fn adopts_finished_records() {
        let mut finished = RecordSet::default();
        for record in [0, 1, 30, 31, 32, 33, 63, 64, 95, 127, 191] {
            finished.insert(RecordIndex(record));
            let states = RecordStates::finished_before(&finished);
            assert_eq!(states.finished().iter().collect::<Vec<_>>(), finished.iter().collect::<Vec<_>>());
            assert!(
                RecordIndex(0)
                    .run(200)
                    .all(|record| (states.get(record) == RecordState::Finished) == finished.has(record))
            );
        }
    }
}
