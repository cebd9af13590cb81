//! A spool's directory as a crash, a full disk or a stranger may leave it. The input is a list of files: a byte for the kind
//! of name, two for the length, and the contents.

use out_sentry::chunk;
use out_sentry::clock::WallTime;
use out_sentry::delivery::store::{Chunk, Limits, Recovered, Spool, WhenFull, split};
use out_sentry::envelope::RecordIndex;
use out_sentry::ledger::{Category, Ledger, Outcome};
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use testkit::tempdir::TempDir;

const SETTINGS: u64 = 7;
const LIMITS: Limits = Limits { most: 1 << 30, segment: 64 << 10 };
const WALL: WallTime = WallTime::from_micros(1_795_161_600_000_000);

/// Of files of each kind; a second one of the same kind replaces the first.
const NAMES: [&str; 12] = [
    "00000001795161600000.msgpack",
    "00000001795161600000.progress",
    "00000001795161600001.msgpack",
    "00000001795161600001.progress",
    "18446744073709551615.msgpack",
    "18446744073709551615.progress",
    "renamed by hand.msgpack",
    "-1.msgpack",
    "00000001795161600000.tmp",
    "00000001795161600002.progress",
    "notes.txt",
    "dead",
];

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let files = files(data);
    for (_, bytes) in &files {
        parts(bytes);
    }
    let directory = TempDir::new("fuzz-spool").expect("a directory");
    for (name, bytes) in &files {
        write(directory.path(), name, bytes);
    }
    let (mut spool, recovery) = open(directory.path());
    let before: Vec<_> = recovery.extents.iter().map(about).collect();
    assert!(!directory.path().join(NAMES[9]).is_file(), "progress without a segment is deleted");
    assert!(spool.bytes().load(Relaxed) <= on_disk(directory.path()), "what is skipped takes no room");
    // New chunks are beside the old ones, whatever those are called, and read back as they were written.
    let mut chunks = Vec::new();
    for (tag, data) in &files {
        let records = chunk::count(data);
        let appended = spool.append(tag.as_bytes(), data, records, WALL, WhenFull::Refuse).expect("room");
        let written = Chunk { tag: tag.as_bytes().to_vec(), data: data.to_vec(), records };
        assert_eq!(appended.extent.read().expect("the new chunk"), std::slice::from_ref(&written));
        chunks.push(written);
    }
    let records: u32 =
        before.iter().map(|extent| extent.0).sum::<u32>() + chunks.iter().map(|new| new.records).sum::<u32>();
    drop((recovery, spool));
    let (spool, recovery) = open(directory.path());
    let after: Vec<_> = recovery.extents.iter().map(about).collect();
    assert_eq!(after.iter().map(|extent| extent.0).sum::<u32>(), records, "nothing is written over or found twice");
    assert!(before.iter().all(|old| after.contains(old)), "{before:?} {after:?}");
    // Every second extent ends, and its bytes are left out: the others stay what they were.
    let mut extents = recovery.extents;
    let ended: Vec<_> = extents.iter().skip(1).step_by(2).collect();
    ended.iter().for_each(|found| found.extent.end());
    let mut spool = spool;
    spool.compact().expect("whatever lies there, it is compacted");
    let mut at = 0;
    extents.retain(|_| {
        at += 1;
        at % 2 == 1
    });
    let kept: Vec<_> = after.into_iter().step_by(2).collect();
    assert_eq!(extents.iter().map(about).collect::<Vec<_>>(), kept);
    assert!(spool.bytes().load(Relaxed) <= on_disk(directory.path()));
    drop((extents, spool));
    let (spool, recovery) = open(directory.path());
    let mut left: Vec<_> = recovery.extents.iter().map(about).collect();
    if files.iter().any(|(name, bytes)| name.ends_with(".progress") && is_directory(name, bytes)) {
        // Nothing can be noted there: what has ended may be found again, and what was kept is.
        assert!(records_of(&left).0 >= records_of(&kept).0, "{left:?} {kept:?}");
    } else {
        // Without what was between them, extents of the same segment may be read together.
        assert_eq!(records_of(&left), records_of(&kept), "what was kept is found again");
        left.retain(|found| !kept.contains(found));
        assert!(left.iter().all(|found| found.1.len() > 1), "{left:?} {kept:?}");
    }
    recovery.extents.iter().for_each(|found| found.extent.end());
    assert_eq!(spool.bytes().load(Relaxed), 0, "what has ended takes no room");
}

/// The result of [`about`].
type About = (u32, Vec<Chunk>, [u32; 2], bool);

fn records_of(extents: &[About]) -> (u32, [u32; 2]) {
    extents.iter().fold((0, [0; 2]), |(records, finished), extent| {
        (records + extent.0, [finished[0] + extent.2[0], finished[1] + extent.2[1]])
    })
}

fn open(path: &Path) -> (Spool, out_sentry::delivery::store::Recovery) {
    Spool::open(path, SETTINGS, LIMITS).expect("whatever lies there, it opens")
}

fn on_disk(path: &Path) -> u64 {
    let files = fs::read_dir(path).expect("a directory").flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|about| about.len()).sum()
}

fn files(data: &[u8]) -> Vec<(&'static str, &[u8])> {
    let (mut files, mut rest) = (Vec::new(), data);
    while let Some((head, behind)) = rest.split_first_chunk::<3>() {
        let name = NAMES[usize::from(head[0]) % NAMES.len()];
        let (bytes, behind) = behind.split_at(behind.len().min(usize::from(u16::from_be_bytes([head[1], head[2]]))));
        files.retain(|(other, _)| *other != name);
        files.push((name, bytes));
        rest = behind;
    }
    files
}

/// One without contents is a directory, but for two: such a temporary file and such an end of a reading are common.
fn is_directory(name: &str, bytes: &[u8]) -> bool {
    bytes.is_empty() && !name.ends_with(".tmp") && name != NAMES[2]
}

fn write(directory: &Path, name: &str, bytes: &[u8]) {
    let path = directory.join(name);
    let made = if is_directory(name, bytes) { fs::create_dir(path) } else { fs::write(path, bytes) };
    made.expect("a file");
}

/// A file's bytes are taken apart without a gap: what is in no chunk is the markers before them.
fn parts(bytes: &[u8]) {
    let chunks = split(bytes);
    let mut rest = bytes;
    for found in &chunks {
        // Without bytes it stands for records that were left out.
        assert!(found.data.is_empty() || found.records == chunk::count(&found.data));
        let marker = match chunk::entries(rest).next() {
            Some(chunk::Entry::GroupStart(marker)) if marker.metadata.get("out_sentry").is_some() => marker.raw.len(),
            _ => 0,
        };
        let marked = rest[marker..].starts_with(&found.data);
        rest = if marked {
            &rest[marker + found.data.len()..]
        } else {
            rest.strip_prefix(&found.data[..]).expect("no gap")
        };
    }
    assert!(rest.is_empty());
}

/// Returns the state of an extent: its records, its chunks, the number of ended records of each category, and whether that is
/// the number of records marked as settled.
fn about(found: &Recovered) -> About {
    let Recovered { extent, progress } = found;
    let chunks = extent.read().expect("it was there");
    assert_eq!(chunks.iter().map(|chunk| chunk.records).sum::<u32>(), extent.records());
    let ledger = Ledger::default();
    progress.ended.tell(&ledger.recorder());
    let finished = Category::ALL.iter().map(|category| {
        let bits = &progress.finished[*category];
        let outcomes = Outcome::ALL.iter().map(|outcome| ledger.snapshot().outcome(*category, *outcome));
        assert_eq!(outcomes.sum::<u64>(), u64::from(bits.len()));
        assert!(RecordIndex(extent.records()).run(200).all(|record| !bits.has(record)), "a record that is not there");
        bits.len()
    });
    let finished: Vec<u32> = finished.collect();
    (extent.records(), chunks, [finished[0], finished[1]], progress.mapped)
}
