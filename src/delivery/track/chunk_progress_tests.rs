//! Tests the progress of a chunk: no record is sent or counted twice, and none is forgotten.

use super::chunk_progress::{ChunkProgress, ChunkSource, ChunkStatus, RecordStatus};
use crate::clock::Monotonic;
use crate::delivery::store::Chunk;
use crate::delivery::store::compressed_chunk::QueuedChunk;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Ledger, Outcome};

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
