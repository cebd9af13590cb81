//! Tests the progress of a chunk: no record is sent or counted twice, and none is forgotten.

use super::chunk_progress::{Attach, ChunkProgress, ChunkSource, ChunkStatus, ItemEnd, RecordStatus};
use crate::clock::Monotonic;
use crate::delivery::store::Chunk;
use crate::delivery::store::compressed_chunk::QueuedChunk;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Ledger, Outcome, PerCategory};
use std::sync::Arc;
use std::time::Duration;

fn chunk_progress(ledger: &Ledger) -> ChunkProgress {
    ledger.recorder().take(3);
    ChunkProgress::new(ChunkSource::Host(0), Monotonic::START, ledger.recorder(), Default::default())
}

#[test]
fn claims_only_open_records_of_a_chunk_offered_again() {
    let ledger = Ledger::default();
    let chunk_progress = chunk_progress(&ledger);
    chunk_progress.begin_reading();
    (0..3).for_each(|record| assert!(chunk_progress.end(Category::Event, RecordIndex(record), Outcome::Filtered)));
    let claimed = |chunk_progress: &ChunkProgress| {
        (0..3).filter(|r| chunk_progress.claim(Category::Log, RecordIndex(*r))).collect::<Vec<_>>()
    };
    assert_eq!(claimed(&chunk_progress), [0, 1, 2]);
    assert_eq!(chunk_progress.end_reading(), ChunkStatus::Busy);
    assert_eq!(
        chunk_progress.finish(Category::Log, [0].map(RecordIndex).into_iter(), Outcome::Accepted),
        ChunkStatus::Busy
    );
    assert_eq!(chunk_progress.defer(Category::Log, [1].map(RecordIndex).into_iter()), ChunkStatus::Busy);
    chunk_progress.begin_reading();
    assert_eq!(claimed(&chunk_progress), [1]);
    chunk_progress.end_reading();
    assert_eq!(
        chunk_progress.finish(Category::Log, [1, 2].map(RecordIndex).into_iter(), Outcome::Accepted),
        ChunkStatus::Done
    );
    let now = ledger.snapshot();
    assert_eq!(now.outcome(Category::Log, Outcome::Accepted), 3);
    assert_eq!(now.outcome(Category::Event, Outcome::Filtered), 3);
}

#[test]
fn claims_at_once_only_what_is_open() {
    let ledger = Ledger::default();
    let chunk_progress = chunk_progress(&ledger);
    let (open, closed, rejected) = (RecordIndex(0), RecordIndex(1), RecordIndex(2));
    let reason = DropReason::shared(Outcome::Rejected, DropTrigger::NoDestination);
    assert!(chunk_progress.end(Category::Log, closed, Outcome::Filtered));
    chunk_progress.mark_rejected(Category::Log, std::iter::once(rejected), &reason);
    assert_eq!(
        [open, closed, rejected, open].map(|record| chunk_progress.claim_open(Category::Log, record)),
        [true, false, false, false]
    );
    assert!(matches!(chunk_progress.record_status(Category::Log, rejected), RecordStatus::Rejected(_)));
}

#[test]
fn counts_each_record_once() {
    let ledger = Ledger::default();
    let chunk_progress = chunk_progress(&ledger);
    assert!(chunk_progress.claim(Category::Log, RecordIndex(0)));
    chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Filtered);
    chunk_progress.finish(Category::Log, [0, 0].map(RecordIndex).into_iter(), Outcome::Accepted);
    chunk_progress.finish(Category::Log, [0].map(RecordIndex).into_iter(), Outcome::Accepted);
    chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Filtered);
    assert_eq!(ledger.snapshot().outcome(Category::Log, Outcome::Accepted), 1);
    assert_eq!(ledger.snapshot().pending(Category::Log), 2);
    chunk_progress.end_rest(3, Outcome::Lost);
    assert_eq!(ledger.snapshot().pending(Category::Log), 0);
}

#[test]
fn rejected_record_ends_once_at_the_second_reading() {
    let ledger = Ledger::default();
    let chunk_progress = chunk_progress(&ledger);
    assert!(chunk_progress.claim(Category::Log, RecordIndex(0)));
    chunk_progress.end_reading();
    let reason = DropReason::shared(Outcome::Rejected, DropTrigger::NoDestination);
    assert_eq!(
        chunk_progress.mark_rejected(Category::Log, [0].map(RecordIndex).into_iter(), &reason),
        ChunkStatus::Deferred
    );
    assert!(
        chunk_progress.has_rejected()
            && matches!(chunk_progress.record_status(Category::Log, RecordIndex(0)), RecordStatus::Rejected(_))
    );
    assert_eq!(ledger.snapshot().pending(Category::Log), 3);
    chunk_progress.begin_reading();
    assert!(
        chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Rejected)
            && !chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Overflow)
    );
    assert!(
        !chunk_progress.has_rejected()
            && matches!(chunk_progress.record_status(Category::Log, RecordIndex(0)), RecordStatus::Closed)
    );
    assert_eq!(chunk_progress.end_reading(), ChunkStatus::Done);
    assert_eq!(ledger.snapshot().outcome(Category::Log, Outcome::Rejected), 1);
}

#[test]
fn retains_a_chunk_while_a_record_of_it_may_be_read_again() {
    let ledger = Ledger::default();
    let chunk_progress = || {
        let chunk_progress =
            ChunkProgress::new(ChunkSource::Memory, Monotonic::START, ledger.recorder(), Default::default());
        chunk_progress.retain(QueuedChunk::Raw(Chunk { tag: Vec::new(), data: vec![0; 9], records: 2 }));
        assert!(chunk_progress.claim(Category::Event, RecordIndex(0)));
        chunk_progress
    };
    let (going, waiting, coming_back) = (chunk_progress(), chunk_progress(), chunk_progress());
    waiting.leave_open(Category::Log, RecordIndex(0));
    assert!(coming_back.can_be_read_again());
    assert_eq!(
        [going, waiting, coming_back]
            .map(|chunk_progress| (chunk_progress.release_chunk(), chunk_progress.can_be_read_again())),
        [(9, false), (0, true), (0, true)]
    );
}

#[test]
fn chunk_with_an_open_record_is_deferred() {
    let ledger = Ledger::default();
    let chunk_progress = chunk_progress(&ledger);
    chunk_progress.leave_open(Category::Log, RecordIndex(0));
    assert_eq!(chunk_progress.end_reading(), ChunkStatus::Deferred);
}

#[test]
fn deferred_chunk_is_due_at_the_earliest_time() {
    let chunk_progress = chunk_progress(&Ledger::default());
    let [early, late] = [1, 2].map(|seconds| Monotonic::START + Duration::from_secs(seconds));
    assert_eq!(chunk_progress.take_due(), None);
    [late, early, late].into_iter().for_each(|at| chunk_progress.waits_until(at));
    assert_eq!(chunk_progress.take_due(), Some(early));
    assert_eq!(chunk_progress.take_due(), None);
}

#[test]
fn knows_how_often_the_chunk_was_read() {
    let chunk_progress = chunk_progress(&Ledger::default());
    let is_read_again = [1, 2, 3].map(|_| {
        chunk_progress.begin_reading();
        chunk_progress.is_read_again()
    });
    assert_eq!(is_read_again, [false, true, true]);
    assert!(!chunk_progress.is_recovered());
}

#[test]
fn attaches_lines_to_records_in_flight() {
    let ledger = Ledger::default();
    let (owner, other) = (chunk_progress(&ledger), Arc::new(chunk_progress(&ledger)));
    let attach = |record| owner.attach(Category::Event, RecordIndex(record), (&other, RecordIndex(7)));
    assert!(owner.claim(Category::Event, RecordIndex(0)) && owner.end(Category::Event, RecordIndex(1), Outcome::Lost));
    assert!(!owner.has_attached(Category::Event));
    assert_eq!([0, 1, 2].map(attach), [Attach::Done, Attach::Ended, Attach::Waits]);
    assert!(owner.has_attached(Category::Event) && !owner.has_attached(Category::Log));
    let followers = || owner.take_followers().iter().map(|chunk| Arc::ptr_eq(chunk, &other)).collect::<Vec<_>>();
    assert_eq!((followers(), followers()), (vec![true], vec![]), "the chunk of the line that waits");
    let lines = owner.take_attached(Category::Event, RecordIndex(0), ItemEnd::Finished);
    assert!(matches!(&lines[..], [(chunk, RecordIndex(7))] if Arc::ptr_eq(chunk, &other)));
    assert!(followers().is_empty());
}

#[test]
fn chunk_is_busy_while_a_record_waits_for_lines() {
    let chunk_progress = chunk_progress(&Ledger::default());
    chunk_progress.begin_wait();
    chunk_progress.begin_wait();
    assert_eq!(chunk_progress.end_reading(), ChunkStatus::Busy);
    assert_eq!([1, 2].map(|_| chunk_progress.end_wait()), [ChunkStatus::Busy, ChunkStatus::Done]);
}

#[test]
fn message_of_the_plugin_stands_for_no_record() {
    let ledger = Ledger::default();
    let of = |source| ChunkProgress::new(source, Monotonic::START, ledger.recorder(), PerCategory::default());
    let (message, chunk) = (of(ChunkSource::None), of(ChunkSource::Host(1)));
    assert_eq!((message.has_records(), message.can_be_read_again()), (false, false));
    assert_eq!((chunk.has_records(), chunk.can_be_read_again()), (true, true));
    assert!(!chunk.is_lost());
}

#[test]
fn remembers_the_records_that_sentry_has_counted() {
    let chunk_progress = chunk_progress(&Ledger::default());
    chunk_progress.mark_counted(Category::Log, [0, 2].map(RecordIndex).into_iter());
    let is_counted = |category| [0, 1, 2].map(|record| chunk_progress.is_counted(category, RecordIndex(record)));
    assert_eq!(is_counted(Category::Log), [true, false, true]);
    assert_eq!(is_counted(Category::Event), [false; 3]);
}

#[test]
fn end_of_the_rest_counts_records_and_items() {
    let ledger = Ledger::default();
    ledger.recorder().take(2);
    let chunk_progress = chunk_progress(&ledger);
    for record in [0, 1, 2] {
        assert!(chunk_progress.end(Category::Event, RecordIndex(record), Outcome::Filtered));
    }
    assert!(chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Accepted));
    assert_eq!(chunk_progress.end_rest(5, Outcome::Lost), (4, PerCategory { event: 2, log: 4 }));
    assert_eq!(chunk_progress.end_rest(5, Outcome::Lost), (0, PerCategory::default()));
    let now = ledger.snapshot();
    assert_eq!([Category::Event, Category::Log].map(|category| now.outcome(category, Outcome::Lost)), [2, 4]);
}
