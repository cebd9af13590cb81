//! Collects the work that follows a reading of a chunk: dead letters to write, and drops to report.

use crate::delivery::route::table::Target;
use crate::delivery::store::dead_letters::DeadLetter;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Outcome, PerCategory};
use std::sync::Arc;

/// The work that follows a reading of a chunk, even one that panicked.
#[derive(Default)]
pub(in crate::delivery) struct PassOutcome {
    /// Dead letters to write.
    pub(in crate::delivery) dead_letters: Vec<DeadLetter>,
    /// Items to count in the next client report.
    pub(in crate::delivery) unsent: Vec<UnsentItem>,
    /// Records whose events storm control has judged in this reading.
    pub(super) decided: RecordSet,
    /// Records that were deferred in this reading.
    pub(super) waiting: PerCategory<RecordSet>,
}

impl PassOutcome {
    /// Gives up the unfinished items of records at which the mapping panicked: a record, or the lines of an event in their
    /// order.
    pub(in crate::delivery) fn give_up(&mut self, chunk_progress: &ChunkProgress, records: &[RecordIndex]) {
        let reason = DropReason::shared(Outcome::Invalid, DropTrigger::MappingPanic);
        let is_unfinished =
            |category, record| chunk_progress.is_open(category, record) && !self.waiting[category].has(record);
        let dead_letter = match records {
            [record] => {
                match Category::ALL.iter().filter(|category| is_unfinished(**category, *record)).collect::<Vec<_>>()[..]
                {
                    [] => return,
                    [category] => DeadLetter::new(Some(*category), *record, &reason),
                    _ => DeadLetter::new(None, *record, &reason),
                }
            }
            [head, members @ ..] => {
                for member in members {
                    chunk_progress.end(Category::Event, *member, Outcome::Joined);
                }
                if !is_unfinished(Category::Event, *head) {
                    return;
                }
                DeadLetter { members: members.to_vec(), ..DeadLetter::new(Some(Category::Event), *head, &reason) }
            }
            [] => return,
        };
        self.dead_letters.push(dead_letter);
    }
}

/// Ends the record of a dead letter.
pub(super) fn end(dead_letter: &DeadLetter, chunk_progress: &ChunkProgress, outcome: Outcome) {
    for category in dead_letter.categories() {
        chunk_progress.end(category, dead_letter.record, outcome);
    }
}

/// Marks the record of a dead letter as rejected: the dead letter is written at the next reading of the chunk.
pub(super) fn postpone(dead_letter: &DeadLetter, chunk_progress: &ChunkProgress) {
    for category in dead_letter.categories() {
        chunk_progress.mark_rejected(category, std::iter::once(dead_letter.record), &dead_letter.reason);
    }
}

/// An item that ended before it was sent.
pub(in crate::delivery) struct UnsentItem {
    pub(in crate::delivery) category: Category,
    /// Its record; `None` if that is one of an earlier chunk.
    pub(in crate::delivery) record: Option<RecordIndex>,
    pub(in crate::delivery) outcome: Outcome,
    pub(in crate::delivery) target: Arc<Target>,
}

impl UnsentItem {
    /// Returns the item of a dead letter. `None` if it was no item, had no destination, or Sentry has counted it.
    pub(in crate::delivery) fn of_dead_letter(
        dead_letter: &DeadLetter,
        outcome: Outcome,
        chunk_progress: &ChunkProgress,
    ) -> Option<Self> {
        let (category, target) = (dead_letter.category?, dead_letter.target.clone()?);
        let is_counted = chunk_progress.is_counted(category, dead_letter.record);
        Some(Self { category, record: Some(dead_letter.record), outcome, target }).filter(|_| !is_counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::delivery::track::chunk_progress::ChunkSource;
    use crate::ledger::Ledger;

    fn given_up(chunk_progress: &ChunkProgress, records: &[u32]) -> Vec<DeadLetter> {
        let mut pass = PassOutcome::default();
        pass.give_up(chunk_progress, &records.iter().copied().map(RecordIndex).collect::<Vec<_>>());
        pass.dead_letters
    }

    fn chunk_progress() -> ChunkProgress {
        ChunkProgress::new(ChunkSource::Host(1), Monotonic::START, Ledger::default().recorder(), Default::default())
    }

    /// A dead letter that could not be written is written at the next reading, with all lines of its event.
    #[test]
    fn postponed_dead_letter_keeps_its_lines() {
        let chunk_progress = chunk_progress();
        for _ in 0..2 {
            let dead_letters = given_up(&chunk_progress, &[3, 4, 5]);
            let [dead_letter] = &dead_letters[..] else { panic!("{dead_letters:?}") };
            assert_eq!(
                (dead_letter.record, &dead_letter.members[..]),
                (RecordIndex(3), &[RecordIndex(4), RecordIndex(5)][..])
            );
            postpone(&dead_letters[0], &chunk_progress);
        }
        assert!([4, 5].iter().all(|member| !chunk_progress.is_open(Category::Event, RecordIndex(*member))));
        assert!(
            chunk_progress.is_open(Category::Event, RecordIndex(3))
                && chunk_progress.is_open(Category::Log, RecordIndex(3))
        );
    }

    #[test]
    fn lines_of_an_event_in_flight_end_with_it() {
        let chunk_progress = chunk_progress();
        assert!(chunk_progress.claim(Category::Event, RecordIndex(3)));
        assert!(given_up(&chunk_progress, &[3, 4]).is_empty());
        assert!(!chunk_progress.is_open(Category::Event, RecordIndex(4)));
    }

    #[test]
    fn does_not_give_up_deferred_records() {
        let (chunk_progress, mut pass) = (chunk_progress(), PassOutcome::default());
        pass.waiting.log.insert(RecordIndex(3));
        pass.give_up(&chunk_progress, &[RecordIndex(3)]);
        assert!(matches!(
            pass.dead_letters[..],
            [DeadLetter { category: Some(Category::Event), record: RecordIndex(3), .. }]
        ));
    }

    /// An open record gets one dead letter for both categories. A record whose log is in flight gets one for its event.
    #[test]
    fn record_gets_one_dead_letter() {
        let chunk_progress = chunk_progress();
        let categories = |dead_letters: Vec<DeadLetter>| {
            dead_letters.iter().map(|dead_letter| dead_letter.category).collect::<Vec<_>>()
        };
        assert_eq!(categories(given_up(&chunk_progress, &[3])), [None]);
        assert!(chunk_progress.claim(Category::Log, RecordIndex(3)));
        assert_eq!(categories(given_up(&chunk_progress, &[3])), [Some(Category::Event)]);
        assert!(chunk_progress.claim(Category::Event, RecordIndex(3)));
        assert_eq!(categories(given_up(&chunk_progress, &[3])), []);
    }
}
