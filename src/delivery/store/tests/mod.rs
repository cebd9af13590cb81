//! Tests the spool on a real file system: the chunks it keeps, and the chunks it finds again.

mod interleavings;

use super::{Appended, Chunk, Ended, Extent, Limits, Recovery, Spool, SpoolError, WhenFull};
use crate::clock::WallTime;
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

/// All chunks of a test are written at this time.
const WALL: WallTime = WallTime::from_secs(1_795_161_600);

const LIMITS: Limits = Limits { most: 1 << 20, segment: 600 };

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
        let path = memory.join(format!("out_sentry-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn data(records: usize) -> Vec<u8> {
    RECORD.repeat(records)
}

fn chunk(tag: &str, records: usize) -> Chunk {
    Chunk { tag: tag.into(), data: data(records), records: records as u32 }
}

fn open(directory: &Directory) -> (Spool, Recovery) {
    open_with(directory, 7, LIMITS)
}

/// Opens a spool that no other instance uses. A child process that another test starts inherits the lock of an earlier
/// instance for a moment, until it executes its program.
fn open_with(directory: &Directory, settings: u64, limits: Limits) -> (Spool, Recovery) {
    for _ in 0..1_000 {
        match Spool::open(&directory.0, settings, limits) {
            Err(SpoolError::Locked) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.expect("expected the spool to open"),
        }
    }
    panic!("expected the lock of {} to be released", directory.0.display());
}

fn append(spool: &mut Spool, tag: &str, records: usize) -> Extent {
    let appended: Appended =
        spool.append(tag.as_bytes(), &data(records), records as u32, WALL, WhenFull::Refuse).unwrap();
    appended.extent
}

fn chunks(recovery: &Recovery) -> Vec<Chunk> {
    recovery.extents.iter().flat_map(|found| found.extent.read().unwrap()).collect()
}

#[test]
fn recovers_chunks_with_their_progress() {
    let directory = Directory::new("found");
    {
        let (mut spool, recovery) = open(&directory);
        assert!(recovery.extents.is_empty() && recovery.problems.is_empty());
        let _one = append(&mut spool, "a.b", 2);
        let two = append(&mut spool, "c", 3);
        two.note_finished(Category::Log, &[RecordIndex(0), RecordIndex(2)], Outcome::Accepted);
        two.note_finished(Category::Event, &[RecordIndex(1)], Outcome::Suppressed);
        two.note_aborted(Category::Log, &[RecordIndex(1)]);
        append(&mut spool, "d", 1).end();
    }
    let (_spool, recovery) = open(&directory);
    assert_eq!(chunks(&recovery), [chunk("a.b", 2), chunk("c", 3)]);
    let [found] = &recovery.extents[..] else { panic!("expected one extent: {recovery:?}") };
    let mut ended = Ended::default();
    ended.add(Category::Log, Outcome::Accepted, 2);
    ended.add(Category::Event, Outcome::Suppressed, 1);
    assert_eq!(found.progress.ended, ended);
    let finished = &found.progress.finished;
    assert!(
        finished.log.has(RecordIndex(2))
            && finished.log.has(RecordIndex(4))
            && !finished.log.has(RecordIndex(3))
            && finished.event.has(RecordIndex(3))
    );
    assert!(found.progress.aborted.log.has(RecordIndex(3)) && !found.progress.mapped);
    // All of them were written at the end, the one that is done included.
    assert_eq!(recovery.recent.len(), 3);
}

#[test]
fn mapped_note_counts_under_the_same_settings_only() {
    let directory = Directory::new("mapped");
    {
        let (mut spool, _) = open(&directory);
        let one = append(&mut spool, "a", 5);
        let _other = append(&mut spool, "b", 5);
        one.note_mapped();
        one.note_finished(Category::Log, &[RecordIndex(0)], Outcome::Accepted);
    }
    let mapped = |settings| {
        let (_spool, recovery) = open_with(&directory, settings, LIMITS);
        recovery.extents.iter().map(|found| found.progress.mapped).collect::<Vec<_>>()
    };
    assert_eq!(mapped(7), [true, false], "what was mapped is not read together with what was not");
    assert_eq!(mapped(8), [false]);
}

#[test]
fn deletes_a_segment_when_all_extents_have_ended() {
    let directory = Directory::new("order");
    let (mut spool, _) = open(&directory);
    let extents: Vec<_> = (0..12).map(|_| append(&mut spool, "a", 8)).collect();
    let segments = || directory.files().iter().filter(|name| name.ends_with(".msgpack")).count();
    let full = segments();
    assert!(full > 3, "{:?}", directory.files());
    // From both ends to the middle.
    for at in [0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5] {
        extents[at].end();
    }
    assert_eq!(segments(), 2, "the one that is pending, and the open one");
    extents[6].end();
    spool.seal();
    assert_eq!(directory.files(), ["lock"]);
    assert_eq!(spool.bytes().load(Relaxed), 0);
}

#[test]
fn counts_the_bytes_on_disk() {
    let directory = Directory::new("bytes");
    let on_disk = || {
        let names = directory.files();
        let sizes = names.iter().filter(|name| name.ends_with(".msgpack")).map(|name| directory.0.join(name));
        sizes.map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    let (mut spool, _) = open(&directory);
    let extents: Vec<_> = (0..9).map(|n| append(&mut spool, "a", n * 3 + 1)).collect();
    for extent in &extents {
        assert_eq!(spool.bytes().load(Relaxed), on_disk());
        extent.end();
    }
    drop(spool);
    let (spool, _) = open(&directory);
    assert_eq!(spool.bytes().load(Relaxed), on_disk());
}

#[test]
fn refuses_chunks_when_full_and_takes_any_size_when_empty() {
    let directory = Directory::new("full");
    let limits = Limits { most: 400, segment: 100 };
    let (mut spool, _) = open_with(&directory, 7, limits);
    let large = spool.append(b"a", &data(100), 100, WALL, WhenFull::Refuse).unwrap();
    let refused = spool.append(b"a", &data(1), 1, WALL, WhenFull::Refuse);
    assert!(matches!(refused, Err(SpoolError::Full { most: 400, .. })), "{refused:?}");
    let beyond = spool.append(b"a", &data(1), 1, WALL, WhenFull::Exceed).unwrap();
    large.extent.end();
    spool.append(b"a", &data(1), 1, WALL, WhenFull::Refuse).unwrap().extent.end();
    beyond.extent.end();
}

#[test]
fn locks_a_directory_for_one_instance() {
    let directory = Directory::new("locked");
    let first = open(&directory);
    assert!(matches!(Spool::open(&directory.0, 7, LIMITS), Err(SpoolError::Locked)));
    drop(first);
    open(&directory);
}

#[test]
fn takes_a_removed_lock_again() {
    let directory = Directory::new("relock");
    let (mut spool, _) = open(&directory);
    assert!(spool.has_its_lock());
    fs::remove_dir_all(&directory.0).unwrap();
    assert!(!spool.has_its_lock());
    spool.lock_again().unwrap();
    assert!(spool.has_its_lock());
    assert!(matches!(Spool::open(&directory.0, 7, LIMITS), Err(SpoolError::Locked)));
    fs::remove_file(directory.0.join("lock")).unwrap();
    let _other = open(&directory);
    assert!(!spool.has_its_lock());
    assert!(matches!(spool.lock_again(), Err(SpoolError::Locked)));
}

#[test]
fn lost_segment_takes_no_bytes_and_is_not_read() {
    let directory = Directory::new("lost");
    let (mut spool, _) = open(&directory);
    let extents: Vec<_> = (0..6).map(|_| append(&mut spool, "a", 8)).collect();
    let live = spool.live();
    fs::remove_file(live[0].path()).unwrap();
    assert!(live[0].lose() && !live[0].lose());
    let bytes = live[1..].iter().map(|segment| segment.length()).sum::<u64>();
    assert_eq!(spool.bytes().load(Relaxed), bytes);
    assert!(extents[0].read().is_err() && extents[5].read().is_ok());
    extents.iter().for_each(Extent::end);
    drop(append(&mut spool, "b", 1));
    spool.seal();
    assert_eq!(directory.files().iter().filter(|name| name.ends_with(".msgpack")).count(), 1);
}

#[test]
fn detects_an_extent_of_other_bytes() {
    let directory = Directory::new("damaged");
    let (mut spool, _) = open(&directory);
    let extent = append(&mut spool, "a", 8);
    let path = spool.live()[0].path().to_owned();
    fs::write(&path, vec![0xc1; fs::metadata(&path).unwrap().len() as usize]).unwrap();
    assert!(matches!(extent.read(), Err(SpoolError::Damaged)));
    fs::write(&path, b"").unwrap();
    assert!(matches!(extent.read(), Err(SpoolError::Read(_))));
}

#[test]
fn cuts_off_and_names_a_torn_chunk() {
    let directory = Directory::new("torn");
    drop({
        let (mut spool, _) = open(&directory);
        [append(&mut spool, "a", 3), append(&mut spool, "b", 3)]
    });
    let segment = directory.files().into_iter().find(|name| name.ends_with(".msgpack")).unwrap();
    let path = directory.0.join(&segment);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let (spool, recovery) = open(&directory);
    assert_eq!(chunks(&recovery), [chunk("a", 3)]);
    assert_eq!(spool.bytes().load(Relaxed), fs::metadata(&path).unwrap().len());
    let [problem] = &recovery.problems[..] else { panic!("{:?}", recovery.problems) };
    assert!(problem.contains(&segment) && problem.contains("bytes at its end are cut off"), "{problem}");
    drop((spool, recovery));
    assert!(open(&directory).1.problems.is_empty(), "it is mended");
}

#[test]
fn names_unreadable_files_and_uses_the_others() {
    let directory = Directory::new("strange");
    drop({
        let (mut spool, _) = open(&directory);
        append(&mut spool, "a", 3)
    });
    fs::create_dir(directory.0.join("directory.msgpack")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.0.join("link.msgpack")).unwrap();
    for name in ["18446744073709551615", "9223372036854775807", "by hand"] {
        fs::write(directory.0.join(name).with_extension("msgpack"), RECORD).unwrap();
    }
    fs::write(directory.0.join("1.progress"), "done 0-3\n").unwrap();
    let (mut spool, recovery) = open(&directory);
    assert_eq!(chunks(&recovery).iter().map(|chunk| chunk.records).sum::<u32>(), 6);
    let problems = recovery.problems.join("\n");
    assert!(problems.contains("directory.msgpack is skipped") && problems.contains("link.msgpack is skipped"));
    assert!(problems.contains("by hand.msgpack cannot be decoded"), "{problems}");
    assert!(!directory.0.join("1.progress").exists(), "expected no progress file without a segment");
    append(&mut spool, "a", 1);
    drop((spool, recovery));
    assert_eq!(chunks(&open(&directory).1).len(), 5, "no file is written over");
}

#[test]
fn names_the_segment_of_a_progress_file_that_cannot_be_read() {
    for make in [
        |path: &Path| fs::create_dir(path),
        |path: &Path| std::process::Command::new("mkfifo").arg(path).status().map(|status| assert!(status.success())),
    ] {
        let directory = Directory::new("no-notes");
        let extent = append(&mut open(&directory).0, "a", 3);
        extent.note_finished(Category::Log, &[RecordIndex(0)], Outcome::Accepted);
        drop(extent);
        let files = directory.files();
        let [segment, progress] =
            ["msgpack", "progress"].map(|end| files.iter().find(|name| name.ends_with(end)).unwrap());
        fs::remove_file(directory.0.join(progress)).unwrap();
        make(&directory.0.join(progress)).unwrap();
        let (_spool, recovery) = open(&directory);
        let [problem] = &recovery.problems[..] else { panic!("expected one problem: {:?}", recovery.problems) };
        assert!(problem.contains(&format!("progress file of {segment} cannot be read")), "{problem}");
        assert_eq!(chunks(&recovery), [chunk("a", 3)]);
    }
}

#[test]
fn spool_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("mode");
    let (mut spool, _) = open(&directory);
    append(&mut spool, "a", 1).note_finished(Category::Log, &[RecordIndex(0)], Outcome::Accepted);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.0), 0o700);
    let files = directory.files();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|name| mode(&directory.0.join(name)) == 0o600));
}

#[test]
fn does_not_recover_rolled_back_chunks() {
    let directory = Directory::new("back");
    {
        let (mut spool, _) = open(&directory);
        append(&mut spool, "kept", 2);
        spool.sync().unwrap();
        let failed: Vec<_> =
            (0..5).map(|_| spool.append(b"failed", &data(8), 8, WALL, WhenFull::Refuse).unwrap()).collect();
        spool.roll_back(&failed);
        append(&mut spool, "later", 2);
        let on_disk: u64 = spool.live().iter().map(|segment| fs::metadata(segment.path()).unwrap().len()).sum();
        assert_eq!(spool.bytes().load(Relaxed), on_disk);
    }
    let (_spool, recovery) = open(&directory);
    assert_eq!(chunks(&recovery), [chunk("kept", 2), chunk("later", 2)]);
}

#[test]
fn counts_undeleted_files_until_they_are_deleted() {
    let directory = Directory::new("left");
    let (mut spool, _) = open(&directory);
    let extent = append(&mut spool, "a", 1);
    let path = spool.live()[0].path().to_owned();
    let bytes = spool.bytes().load(Relaxed);
    // A directory cannot be deleted like a file, not even by root.
    let renamed = path.with_extension("renamed");
    fs::rename(&path, &renamed).unwrap();
    fs::create_dir(&path).unwrap();
    spool.seal();
    extent.end();
    assert_eq!(spool.bytes().load(Relaxed), bytes);
    fs::remove_dir(&path).unwrap();
    fs::rename(&renamed, &path).unwrap();
    spool.files().retry();
    assert_eq!((spool.bytes().load(Relaxed), path.exists()), (0, false));
}

#[test]
fn compaction_keeps_unfinished_chunks() {
    let directory = Directory::new("compact");
    let sizes = |spool: &Spool| {
        let (files, path) = (directory.files(), &directory.0);
        let segments = files.iter().filter(|name| name.ends_with(".msgpack"));
        let on_disk = segments.map(|name| fs::metadata(path.join(name)).unwrap().len());
        assert_eq!(on_disk.sum::<u64>(), spool.bytes().load(Relaxed));
        spool.bytes().load(Relaxed)
    };
    {
        let (mut spool, _) = open_with(&directory, 7, Limits { most: 10_000, segment: 5_000 });
        let extents: Vec<_> = (0..20).map(|_| append(&mut spool, "a", 20)).collect();
        extents.iter().enumerate().filter(|(at, _)| at % 7 > 0).for_each(|(_, extent)| extent.end());
        extents[7].note_finished(Category::Log, &[RecordIndex(3)], Outcome::Accepted);
        let late = WALL + Duration::from_secs(60);
        assert!(spool.compactable(late).is_empty(), "it is not synced");
        spool.sync().unwrap();
        assert!(spool.compactable(WALL).is_empty(), "Fluent Bit may not know of it");
        spool.seal();
        let before = sizes(&spool);
        let segments = spool.compactable(late);
        assert_eq!(segments.len(), 2);
        segments.iter().for_each(|segment| segment.compact().unwrap());
        let after = sizes(&spool);
        assert!(after < before / 3, "{after} of {before}");
        assert!(segments.iter().all(|segment| segment.ended_share(late) == Some(0)), "there is no more to gain");
        for (at, extent) in extents.iter().enumerate().filter(|(at, _)| at % 7 == 0) {
            assert_eq!(extent.read().unwrap(), [chunk("a", 20)], "{at}");
        }
        // As a crash in the middle of the next one would leave it.
        fs::write(segments[0].path().with_extension("new"), b"half").unwrap();
    }
    let (spool, recovery) = open(&directory);
    assert_eq!(chunks(&recovery), [chunk("a", 20), chunk("a", 20), chunk("a", 20)]);
    assert!(recovery.problems.is_empty(), "{:?}", recovery.problems);
    assert!(recovery.extents[1].progress.finished.log.has(RecordIndex(3)), "records keep their numbers");
    assert!(directory.files().iter().all(|name| !name.ends_with(".new")));
    recovery.extents.iter().for_each(|found| found.extent.end());
    assert_eq!((directory.files(), spool.bytes().load(Relaxed)), (vec!["lock".to_owned()], 0));
}
