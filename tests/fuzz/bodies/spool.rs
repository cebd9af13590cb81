//! A spool's directory as a crash, a full disk or a stranger may leave it. The input is a list of files: a byte for the kind
//! of name, two for the length, and the contents.

use super::tempdir::TempDir;
use out_sentry::chunk;
use out_sentry::delivery::spool::{Recovered, Segment, Spool, split};
use out_sentry::ledger::{Category, Ledger, Outcome};
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const SETTINGS: u64 = 7;

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

pub fn run(data: &[u8]) {
    let files = files(data);
    for (_, bytes) in &files {
        parts(bytes);
    }
    let directory = TempDir::new("fuzz-spool").expect("a directory");
    for (name, bytes) in &files {
        write(directory.path(), name, bytes);
    }
    let (mut spool, found) = Spool::open(directory.path(), SETTINGS).expect("whatever lies there, it opens");
    let before: Vec<_> = found.iter().map(about).collect();
    let bytes: usize = chunks(&files).map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(found.len(), chunks(&files).count(), "every chunk file is found");
    assert_eq!(spool.bytes().load(Relaxed), bytes as u64);
    assert!(!directory.path().join(NAMES[8]).is_file() && !directory.path().join(NAMES[9]).is_file());
    // A new file is beside the old ones, whatever they are called, and reads back as it was written.
    let segments = files.iter().map(|(name, data)| segment(name, data)).collect::<Vec<_>>();
    let unit = spool.commit(&segments, Duration::from_micros(1_795_161_600_000_000)).expect("room");
    assert_eq!(unit.read().expect("the new file"), segments);
    drop((unit, found, spool));
    let (_spool, found) = Spool::open(directory.path(), SETTINGS).expect("it opens again");
    assert_eq!(found.len(), before.len() + 1, "nothing is written over");
    let after: Vec<_> = found.iter().map(about).collect();
    assert!(before.iter().all(|old| after.contains(old)), "{before:?} {after:?}");
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

fn chunks<'f>(files: &'f [(&'static str, &'f [u8])]) -> impl Iterator<Item = &'f (&'static str, &'f [u8])> {
    files.iter().filter(|(name, bytes)| name.ends_with(".msgpack") && !is_directory(name, bytes))
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

fn segment(tag: &str, data: &[u8]) -> Segment {
    Segment { tag: tag.into(), data: data.to_vec(), records: chunk::count(data) }
}

/// A file's bytes are taken apart without a gap: what is in no segment is the markers before them.
fn parts(bytes: &[u8]) {
    let segments = split(bytes);
    let mut rest = bytes;
    for segment in &segments {
        assert_eq!(segment.records, chunk::count(&segment.data));
        let marker = match chunk::entries(rest).next() {
            Some(chunk::Entry::GroupStart(marker)) if marker.metadata.get("out_sentry").is_some() => marker.raw.len(),
            _ => 0,
        };
        let marked = rest[marker..].starts_with(&segment.data);
        rest = if marked {
            &rest[marker + segment.data.len()..]
        } else {
            rest.strip_prefix(&segment.data[..]).expect("no gap")
        };
    }
    assert!(rest.is_empty());
}

/// What is known of a file: its records, its chunks, and how many records of each category have ended, which are as many
/// as are marked as settled.
fn about(found: &Recovered) -> (u32, Vec<Segment>, [u32; 2], bool) {
    let Recovered { unit, progress } = found;
    let segments = unit.read().expect("it was there");
    assert_eq!(segments.iter().map(|segment| segment.records).sum::<u32>(), unit.records);
    let ledger = Ledger::default();
    progress.ended.tell(&ledger.recorder());
    let settled = Category::ALL.iter().map(|category| {
        let bits = &progress.settled[*category as usize];
        let outcomes = Outcome::ALL.iter().map(|outcome| ledger.snapshot().outcome(*category, *outcome));
        assert_eq!(outcomes.sum::<u64>(), u64::from(bits.len()));
        assert!((unit.records..unit.records + 200).all(|record| !bits.has(record)), "a record that is not there");
        bits.len()
    });
    let settled: Vec<u32> = settled.collect();
    (unit.records, segments, [settled[0], settled[1]], progress.mapped)
}
