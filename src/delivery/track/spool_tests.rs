//! Tests the progress of a chunk in the spool: the notes that the next process finds, and the records that it then sends.

use super::chunk_progress::{ChunkProgress, ChunkSource, RecordStatus};
use crate::clock::{Monotonic, WallTime};
use crate::delivery::property::Directory;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::store::{Ended, Extent, Limits, Progress, Recovered, Spool, SpoolError, WhenFull};
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Ledger, Outcome, PerCategory};
use std::time::Duration;

const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

fn directory(name: &str) -> Directory {
    Directory(std::env::temp_dir().join(format!("out_sentry-track-{name}-{}", std::process::id())))
}

fn open(directory: &Directory) -> (Spool, Vec<Recovered>) {
    // A child process that another test starts inherits the lock for a moment, until it executes its program.
    for _ in 0..1_000 {
        match Spool::open(&directory.0, 7, Limits::of(1 << 20)) {
            Err(SpoolError::Locked) => std::thread::sleep(Duration::from_millis(10)),
            opened => {
                return opened.map(|(spool, recovery)| (spool, recovery.extents)).expect("expected the spool to open");
            }
        }
    }
    panic!("expected the lock of {} to be released", directory.0.display());
}

fn append(spool: &mut Spool, records: usize) -> Extent {
    let data = RECORD.repeat(records);
    spool.append(b"tag", &data, records as u32, WallTime::from_secs(1_795_161_600), WhenFull::Refuse).unwrap().extent
}

/// Returns the progress that the next process finds of a chunk of four records, after `run` in this one.
fn recovered(name: &str, run: impl FnOnce(&ChunkProgress)) -> Progress {
    let directory = directory(name);
    {
        let (mut spool, _) = open(&directory);
        let source = ChunkSource::Spool(append(&mut spool, 4));
        run(&ChunkProgress::new(source, Monotonic::START, Ledger::default().recorder(), Default::default()));
    }
    let (_spool, mut found) = open(&directory);
    found.remove(0).progress
}

/// Runs with the progress of four records that an earlier process has left.
fn replayed(name: &str, progress: Progress, run: impl FnOnce(&ChunkProgress)) {
    let directory = directory(name);
    let (mut spool, _) = open(&directory);
    let extent = append(&mut spool, 4);
    run(&ChunkProgress::replayed(extent, Monotonic::START, Ledger::default().recorder(), progress));
}

fn ended(records: &[(Category, Outcome, u32)]) -> Ended {
    let mut ended = Ended::default();
    records.iter().for_each(|(category, outcome, records)| ended.add(*category, *outcome, *records));
    ended
}

#[test]
fn notes_outcomes_that_another_reading_may_not_come_to() {
    let progress = recovered("notes", |chunk_progress| {
        chunk_progress.begin_reading();
        chunk_progress.end(Category::Log, RecordIndex(0), Outcome::Filtered);
        chunk_progress.end(Category::Log, RecordIndex(1), Outcome::OverBudget);
        chunk_progress.end(Category::Log, RecordIndex(2), Outcome::Suppressed);
        chunk_progress.end(Category::Log, RecordIndex(3), Outcome::OverBudget);
        chunk_progress.end_for_good(Category::Event, RecordIndex(2), Outcome::Filtered);
        chunk_progress.end_reading();
    });
    let expected = [
        (Category::Log, Outcome::OverBudget, 2),
        (Category::Log, Outcome::Suppressed, 1),
        (Category::Event, Outcome::Filtered, 1),
    ];
    assert_eq!(progress.ended, ended(&expected));
    assert!(progress.mapped);
    assert_eq!(progress.finished.log.iter().collect::<Vec<_>>(), [1, 2, 3].map(RecordIndex));
    assert_eq!(progress.finished.event.iter().collect::<Vec<_>>(), [2].map(RecordIndex));
}

#[test]
fn notes_each_outcome_and_the_mapping_once() {
    let directory = directory("once");
    let (mut spool, _) = open(&directory);
    let source = ChunkSource::Spool(append(&mut spool, 4));
    let chunk_progress = ChunkProgress::new(source, Monotonic::START, Ledger::default().recorder(), Default::default());
    for _ in 0..3 {
        chunk_progress.begin_reading();
        chunk_progress.end(Category::Log, RecordIndex(1), Outcome::Suppressed);
        chunk_progress.end_reading();
    }
    drop((chunk_progress, spool));
    let files = std::fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().path());
    let progress = files.filter(|path| path.extension().is_some_and(|extension| extension == "progress"));
    let notes: Vec<_> = progress.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let [notes] = &notes[..] else { panic!("expected one progress file, found {notes:?}") };
    let lines: Vec<_> = notes.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["log", "mapped"], "{notes}");
}

#[test]
fn notes_records_in_flight_whose_request_was_cut() {
    let progress = recovered("cut", |chunk_progress| {
        chunk_progress.begin_reading();
        assert!([3, 1].map(RecordIndex).iter().all(|record| chunk_progress.claim(Category::Log, *record)));
        chunk_progress.abort(Category::Log, [3, 2, 1].map(RecordIndex).into_iter());
    });
    assert_eq!(progress.aborted.log.iter().collect::<Vec<_>>(), [1, 3].map(RecordIndex));
    assert_eq!(progress.aborted.event.iter().count(), 0);
}

#[test]
fn logs_of_a_cut_request_come_last_at_the_first_reading() {
    let mut aborted = RecordSet::default();
    assert!([1, 2].map(RecordIndex).iter().all(|record| aborted.insert(*record)));
    let progress = Progress { aborted: PerCategory::from_fn(|_| aborted.clone()), ..Progress::default() };
    replayed("last", progress, |chunk_progress| {
        let reason = DropReason::shared(Outcome::Rejected, DropTrigger::NoDestination);
        let status = |category, record| match chunk_progress.record_status(category, RecordIndex(record)) {
            RecordStatus::Closed => "closed",
            RecordStatus::Open => "open",
            RecordStatus::Rejected(_) => "rejected",
            RecordStatus::Last => "last",
        };
        chunk_progress.begin_reading();
        let logs = [0, 1, 2].map(|record| status(Category::Log, record));
        assert_eq!((logs, status(Category::Event, 1)), (["open", "last", "last"], "open"));
        assert!(chunk_progress.claim(Category::Log, RecordIndex(2)));
        assert_eq!(status(Category::Log, 2), "closed");
        chunk_progress.mark_rejected(Category::Log, [2].map(RecordIndex).into_iter(), &reason);
        chunk_progress.begin_reading();
        assert_eq!([0, 1, 2].map(|record| status(Category::Log, record)), ["open", "open", "rejected"]);
    });
}

#[test]
fn recovered_chunk_counts_for_client_reports_what_an_earlier_process_has_not_ended() {
    for mapped in [false, true] {
        replayed("reports", Progress { mapped, ..Progress::default() }, |chunk_progress| {
            assert!(chunk_progress.is_recovered());
            chunk_progress.begin_reading();
            assert_eq!(chunk_progress.is_read_again(), mapped);
            let log = |record, outcome| chunk_progress.end(Category::Log, RecordIndex(record), outcome);
            assert_eq!(log(0, Outcome::Filtered), !mapped, "an earlier process has counted it if it has mapped it");
            assert!(log(1, Outcome::Suppressed) && !log(1, Outcome::Suppressed));
            assert!(chunk_progress.end_for_good(Category::Log, RecordIndex(2), Outcome::Filtered));
            assert!(!chunk_progress.end_for_good(Category::Log, RecordIndex(2), Outcome::Filtered));
            let expected = [(Category::Log, Outcome::Filtered, 2), (Category::Log, Outcome::Suppressed, 1)];
            assert_eq!(chunk_progress.ended(), ended(&expected));
        });
    }
}

#[test]
fn chunk_is_lost_with_its_segment() {
    let directory = directory("lost");
    let (mut spool, _) = open(&directory);
    let extents = [append(&mut spool, 2), append(&mut spool, 2)];
    let [one, other] = extents.map(|extent| {
        let recorder = Ledger::default().recorder();
        ChunkProgress::new(ChunkSource::Spool(extent), Monotonic::START, recorder, Default::default())
    });
    let end = |chunk_progress: &ChunkProgress| match &chunk_progress.source {
        ChunkSource::Spool(extent) => extent.end(),
        _ => panic!("expected a chunk in the spool"),
    };
    end(&one);
    assert!(!one.is_lost() && !other.is_lost());
    spool.seal();
    end(&other);
    assert!(one.is_lost() && other.is_lost());
}
