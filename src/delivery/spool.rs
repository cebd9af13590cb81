//! Chunks on disk until Sentry has them: a directory of plain chunk files.
//!
//! A spool file is a chunk that any reader of ours understands: before each chunk that the host handed over stands one
//! group marker whose metadata says `{"out_sentry": {"version": 1, "tag": ..., "length": bytes, "records": n}}`. Beside
//! it, `<name>.progress` says line by line what is settled. A file appears under its name only after its bytes are safe
//! (write, sync, rename, sync of the directory); one sync serves all chunks that waited for it. When everything in a
//! file is settled, both are deleted; where that fails, as on a disk that can only be read for a while, it is tried again
//! as soon as another file has been written or deleted, lest the next start sends all of it once more.

use super::ticket::Bits;
use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Entry, entries};
use crate::ledger::{Category, Outcome, Recorder};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Of the format of markers.
pub(super) const VERSION: u64 = 1;
/// Of names of files that hold chunks.
pub(super) const SUFFIX: &str = "msgpack";
const PROGRESS: &str = "progress";

/// An open spool. Dropping it unlocks the directory.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
    disk: Arc<Disk>,
    last: u64,
    /// Hash of the mapping settings, so that a file mapped under others is not believed to be.
    settings: u64,
}

/// What all files of a spool have in common.
#[derive(Debug, Default)]
struct Disk {
    /// Of all chunk files.
    bytes: Arc<AtomicU64>,
    /// Settled files that could not be deleted, and their sizes.
    left: Mutex<Vec<(PathBuf, u64)>>,
}

/// One chunk inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The chunk's tag.
    pub tag: Vec<u8>,
    /// Its bytes.
    pub data: Vec<u8>,
    /// How many records it holds.
    pub records: u32,
}

/// A file of the spool.
#[derive(Debug)]
pub struct Unit {
    path: PathBuf,
    size: u64,
    settings: u64,
    /// Records in all its segments.
    pub records: u32,
    disk: Arc<Disk>,
    progress: Mutex<Option<File>>,
}

/// A file found at start, with what is known to be settled.
#[derive(Debug)]
pub struct Recovered {
    /// The file.
    pub unit: Unit,
    /// What earlier processes have noted.
    pub progress: Progress,
}

/// What is noted beside a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that have ended and would end otherwise, or be sent again, if they were looked at again.
    pub settled: [Bits; 2],
    /// How many of them ended in which way.
    pub ended: Ended,
    /// Whether every record has been looked at under the same settings.
    pub mapped: bool,
}

/// Numbers of records by category and outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended([[u32; Outcome::ALL.len()]; 2]);

impl Ended {
    /// Counts records.
    pub fn add(&mut self, category: Category, outcome: Outcome, records: u32) {
        self.0[category as usize][outcome as usize] += records;
    }

    /// Tells a ledger about all of them.
    pub fn tell(&self, recorder: &Recorder) {
        for category in Category::ALL {
            for outcome in Outcome::ALL {
                let records = self.0[*category as usize][*outcome as usize];
                recorder.end(*category, *outcome, u64::from(records));
            }
        }
    }
}

/// Why a spool could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another instance holds it, perhaps one that is ending.
    Locked,
    /// The directory cannot be made or written.
    Io(io::Error),
}

impl Spool {
    /// Opens a spool directory, making it where needed, and finds what an earlier process left.
    ///
    /// # Errors
    /// [`OpenError`]; both kinds may pass by themselves.
    pub fn open(path: &Path, settings: u64) -> Result<(Self, Vec<Recovered>), OpenError> {
        make_private(path).map_err(OpenError::Io)?;
        let lock = private().truncate(false).open(path.join("lock")).map_err(OpenError::Io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked),
            Err(TryLockError::Error(error)) => return Err(OpenError::Io(error)),
        }
        let mut spool = Self { path: path.to_owned(), _lock: lock, disk: Arc::default(), last: 0, settings };
        let recovered = spool.recover().map_err(OpenError::Io)?;
        Ok((spool, recovered))
    }

    /// Bytes of all chunk files.
    #[must_use]
    pub fn bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.disk.bytes)
    }

    /// Writes segments as one file and returns it once it is safe on disk.
    ///
    /// # Errors
    /// Any error of the file system; nothing is then left behind under a name that counts.
    pub fn commit(&mut self, segments: &[Segment], wall: Duration) -> io::Result<Unit> {
        self.last = (wall.as_micros() as u64).max(self.last + 1);
        let path = self.path.join(format!("{:020}.{SUFFIX}", self.last));
        let temporary = path.with_extension("tmp");
        let written = write_synced(&temporary, segments).and_then(|size| {
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()?;
            Ok(size)
        });
        let size = written.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
            let _ = fs::remove_file(&path);
        })?;
        self.disk.sweep();
        let records = segments.iter().map(|segment| segment.records).sum();
        Ok(self.unit(path, size, records))
    }

    fn unit(&self, path: PathBuf, size: u64, records: u32) -> Unit {
        self.disk.bytes.fetch_add(size, Relaxed);
        let (disk, settings) = (Arc::clone(&self.disk), self.settings);
        Unit { path, size, settings, records, disk, progress: Mutex::default() }
    }

    fn recover(&mut self) -> io::Result<Vec<Recovered>> {
        let mut names: Vec<PathBuf> = fs::read_dir(&self.path)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        let mut found = Vec::new();
        for path in names {
            match path.extension().and_then(|extension| extension.to_str()) {
                // Never renamed, so never answered for.
                Some("tmp") => drop(fs::remove_file(&path)),
                Some(PROGRESS) if !path.with_extension(SUFFIX).exists() => drop(fs::remove_file(&path)),
                // A directory or a pipe of that name is none of ours; what cannot be looked at may be.
                Some(SUFFIX) if fs::metadata(&path).is_ok_and(|about| !about.is_file()) => {}
                Some(SUFFIX) => found.push(self.recover_file(path)?),
                _ => {}
            }
        }
        Ok(found)
    }

    fn recover_file(&mut self, path: PathBuf) -> io::Result<Recovered> {
        self.last = self.last.max(number(&path).unwrap_or(0));
        let segments = read_segments(&path)?;
        let records = segments.iter().map(|segment| segment.records).sum();
        let size = fs::metadata(&path)?.len();
        let unit = self.unit(path, size, records);
        let progress = unit.read_progress();
        Ok(Recovered { unit, progress })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.disk.sweep();
    }
}

impl Disk {
    fn left(&self) -> MutexGuard<'_, Vec<(PathBuf, u64)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries again to delete what was left, until one is left again: then so are all.
    fn sweep(&self) {
        let mut left = self.left();
        while let Some((_, size)) = left.pop_if(|(path, _)| is_deleted(path)) {
            self.bytes.fetch_sub(size, Relaxed);
        }
    }
}

/// Deletes a chunk file and its progress. The chunk goes first: progress without a chunk is swept up at the next start, the
/// reverse would send again.
fn is_deleted(path: &Path) -> bool {
    let gone = fs::remove_file(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true);
    if gone {
        let _ = fs::remove_file(path.with_extension(PROGRESS));
    }
    gone
}

impl Unit {
    /// Reads the chunks back.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn read(&self) -> io::Result<Vec<Segment>> {
        read_segments(&self.path)
    }

    /// Wall time when it was committed, which is its name; zero for a file that has been renamed.
    #[must_use]
    pub fn committed(&self) -> Duration {
        Duration::from_micros(number(&self.path).unwrap_or(0))
    }

    /// Notes that every record has been looked at.
    pub(super) fn note_mapped(&self) {
        self.note(&format!("mapped {:016x}\n", self.settings));
    }

    /// Notes records that Sentry has, or that have ended otherwise.
    pub(super) fn note_settled(&self, category: Category, records: &[u32], outcome: Outcome) {
        let mut line = String::new();
        let mut at = 0;
        while at < records.len() {
            let mut end = at;
            while end + 1 < records.len() && records[end + 1] == records[end] + 1 {
                end += 1;
            }
            let _ = writeln!(line, "{} {}-{} {}", category.name(), records[at], records[end], outcome.name());
            at = end + 1;
        }
        if !line.is_empty() {
            self.note(&line);
        }
    }

    /// One write a note: after a kill a note is there whole or not at all, and a torn one has no line end.
    /// What cannot be noted is sent again after a crash, which is the lesser evil; the file system's own complaint
    /// reaches the log through the next commit.
    fn note(&self, line: &str) {
        let mut file = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = private().append(true).open(self.path.with_extension(PROGRESS)).ok();
        }
        if let Some(file) = file.as_mut() {
            let _ = file.write_all(line.as_bytes());
        }
    }

    fn read_progress(&self) -> Progress {
        // A note that a crash has made unreadable is one note.
        let bytes = fs::read(self.path.with_extension(PROGRESS)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut progress = Progress::default();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ') {
                Some(("mapped", settings)) => progress.mapped = settings == format!("{:016x}", self.settings),
                Some((name, rest)) => drop(progress.read(name, rest, self.records)),
                None => {}
            }
        }
        progress
    }

    /// Deletes the file, now or when that can be done: everything in it is settled.
    pub fn remove(&self) {
        if is_deleted(&self.path) {
            return self.disk.sweep();
        }
        // It goes on counting: what is on the disk has a limit.
        self.disk.bytes.fetch_add(self.size, Relaxed);
        self.disk.left().push((self.path.clone(), self.size));
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.disk.bytes.fetch_sub(self.size, Relaxed);
    }
}

/// A file's name as a number. There is always a greater one: who renames a file must not make us write over another.
fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok().filter(|number| *number <= i64::MAX as u64)
}

impl Progress {
    /// Reads `log 3-17 accepted`, of a file with so many records; nothing of what does not look like it.
    fn read(&mut self, category: &str, rest: &str, records: u32) -> Option<()> {
        let category = *Category::ALL.iter().find(|known| known.name() == category)?;
        let (range, outcome) = rest.split_once(' ')?;
        let outcome = *Outcome::ALL.iter().find(|known| known.name() == outcome)?;
        let (from, to) = range.split_once('-')?;
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        let settled = &mut self.settled[category as usize];
        let new = (from..=to.min(records.checked_sub(1)?)).filter(|record| settled.insert(*record)).count();
        self.ended.add(category, outcome, new as u32);
        Some(())
    }
}

/// Makes a directory that nobody else can read, where it is missing.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Options for a file that nobody else can read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn write_synced(path: &Path, segments: &[Segment]) -> io::Result<u64> {
    let mut file = private().truncate(true).open(path)?;
    let mut size = 0;
    for segment in segments {
        let header = header(segment);
        file.write_all(&header)?;
        file.write_all(&segment.data)?;
        size += (header.len() + segment.data.len()) as u64;
    }
    file.sync_all()?;
    Ok(size)
}

/// The group marker before a chunk.
fn header(segment: &Segment) -> Vec<u8> {
    let fields = [
        ("version", Field::Number(VERSION)),
        ("tag", Field::Text(&segment.tag)),
        ("length", Field::Number(segment.data.len() as u64)),
        ("records", Field::Number(u64::from(segment.records))),
    ];
    marker_of(&fields, Seq::EMPTY)
}

/// What a marker says about the chunk behind it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'f> {
    Number(u64),
    Text(&'f [u8]),
}

/// A group marker with these fields under `out_sentry` and this body.
pub(super) fn marker_of(fields: &[(&str, Field<'_>)], body: Seq<'_>) -> Vec<u8> {
    use rmp::encode::{write_array_len, write_map_len, write_str, write_str_len, write_uint};
    let mut out = Vec::with_capacity(256);
    let written = (|| {
        write_array_len(&mut out, 2)?;
        write_array_len(&mut out, 2)?;
        out.extend_from_slice(&[0xd7, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
        write_map_len(&mut out, 1)?;
        write_str(&mut out, "out_sentry")?;
        write_map_len(&mut out, fields.len() as u32)?;
        for (name, field) in fields {
            write_str(&mut out, name)?;
            match field {
                Field::Number(number) => drop(write_uint(&mut out, *number)?),
                Field::Text(text) => {
                    write_str_len(&mut out, text.len() as u32)?;
                    out.extend_from_slice(text);
                }
            }
        }
        write_map_len(&mut out, body.len() as u32)
    })();
    debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    out.extend_from_slice(body.bytes());
    out
}

fn read_segments(path: &Path) -> io::Result<Vec<Segment>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(split(&bytes))
}

/// Splits a file's bytes at its markers. What follows no marker (a torn or foreign file) is kept as a chunk without a
/// tag: its records still count.
#[must_use]
pub fn split(mut bytes: &[u8]) -> Vec<Segment> {
    let mut segments = Vec::new();
    while !bytes.is_empty() {
        let (tag, data) = match marker(bytes) {
            Some((tag, header, length)) => (tag, &bytes[header..header + length.min(bytes.len() - header)]),
            None => (&b""[..], bytes),
        };
        let records = crate::chunk::count(data);
        segments.push(Segment { tag: tag.to_vec(), data: data.to_vec(), records });
        let end = data.as_ptr_range().end as usize - bytes.as_ptr() as usize;
        bytes = &bytes[end..];
    }
    segments
}

/// Tag, length of the marker itself, and length of the chunk behind it.
fn marker(bytes: &[u8]) -> Option<(&[u8], usize, usize)> {
    let Some(Entry::GroupStart(record)) = entries(bytes).next() else { return None };
    let about = record.metadata.get("out_sentry")?.map()?;
    let tag = about.get("tag")?.text()?;
    match (about.get("version")?, about.get("length")?) {
        (Value::UInt(VERSION), Value::UInt(length)) => Some((tag, record.raw.len(), usize::try_from(length).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("out_sentry-spool-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn segment(tag: &str, records: u32) -> Segment {
        Segment { tag: tag.into(), data: RECORD.repeat(records as usize), records }
    }

    fn open(directory: &Directory) -> (Spool, Vec<Recovered>) {
        Spool::open(&directory.0, 7).expect("the spool opens")
    }

    #[test]
    fn what_is_committed_is_found_again_with_its_progress() {
        let directory = Directory::new("found");
        {
            let (mut spool, found) = open(&directory);
            assert!(found.is_empty());
            let unit = spool.commit(&[segment("a.b", 2), segment("c", 3)], Duration::from_secs(1)).unwrap();
            unit.note_settled(Category::Log, &[0, 1, 2, 4], Outcome::Accepted);
            unit.note_settled(Category::Event, &[3], Outcome::Suppressed);
            spool.commit(&[segment("d", 1)], Duration::from_secs(1)).unwrap();
        }
        let (_spool, found) = open(&directory);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].unit.read().unwrap(), [segment("a.b", 2), segment("c", 3)]);
        let mut ended = Ended::default();
        ended.add(Category::Log, Outcome::Accepted, 4);
        ended.add(Category::Event, Outcome::Suppressed, 1);
        assert_eq!(found[0].progress.ended, ended);
        assert_eq!(found[0].unit.committed(), Duration::from_secs(1));
        let settled = &found[0].progress.settled;
        assert!(settled[1].has(4) && !settled[1].has(3));
        assert_eq!(found[1].progress, Progress::default());
    }

    #[test]
    fn whether_all_was_looked_at_counts_under_the_same_settings_only() {
        let directory = Directory::new("mapped");
        {
            let (mut spool, _) = open(&directory);
            let unit = spool.commit(&[segment("a", 5)], Duration::from_secs(1)).unwrap();
            unit.note_mapped();
            unit.note_settled(Category::Log, &[0], Outcome::Accepted);
        }
        let (spool, found) = open(&directory);
        assert!(found[0].progress.mapped && found[0].progress.settled[1].has(0));
        drop((spool, found));
        let (_, found) = Spool::open(&directory.0, 8).expect("the spool opens");
        assert!(!found[0].progress.mapped && found[0].progress.settled[1].has(0));
    }

    #[test]
    fn a_settled_unit_leaves_nothing_behind() {
        let directory = Directory::new("remove");
        let (mut spool, _) = open(&directory);
        let unit = spool.commit(&[segment("a", 1)], Duration::from_secs(1)).unwrap();
        assert!(spool.bytes().load(Relaxed) > 0);
        unit.note_settled(Category::Log, &[0], Outcome::Accepted);
        unit.remove();
        drop(unit);
        assert_eq!(spool.bytes().load(Relaxed), 0);
        let left: Vec<_> = fs::read_dir(&directory.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }

    #[test]
    fn what_cannot_be_deleted_is_deleted_later_and_counts_until_then() {
        let directory = Directory::new("left");
        let (mut spool, _) = open(&directory);
        let unit = spool.commit(&[segment("a", 1)], Duration::from_secs(1)).unwrap();
        let (path, size) = (unit.path.clone(), unit.size);
        // Nobody, not even root, deletes a directory as if it were a file.
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        unit.remove();
        drop(unit);
        assert_eq!(spool.bytes().load(Relaxed), size);
        let second = spool.commit(&[segment("b", 1)], Duration::from_secs(2)).unwrap();
        assert_eq!(spool.bytes().load(Relaxed), size + second.size);
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        second.remove();
        drop(second);
        assert_eq!((spool.bytes().load(Relaxed), path.exists()), (0, false));
    }

    #[test]
    fn one_live_instance_per_directory() {
        let directory = Directory::new("locked");
        let held = open(&directory);
        assert!(matches!(Spool::open(&directory.0, 7), Err(OpenError::Locked)));
        drop(held);
        open(&directory);
    }

    #[test]
    fn torn_files_and_torn_notes_are_survived() {
        let directory = Directory::new("torn");
        {
            let (mut spool, _) = open(&directory);
            let unit = spool.commit(&[segment("a", 3)], Duration::from_secs(1)).unwrap();
            unit.note_settled(Category::Log, &[0], Outcome::Accepted);
            let mut notes = fs::read(unit.path.with_extension(PROGRESS)).unwrap();
            notes.extend_from_slice(b"log 5-4 accepted\nlog 1-2 nonsense\n\xff\0\nlog 1-2 accepted");
            fs::write(unit.path.with_extension(PROGRESS), notes).unwrap();
            let bytes = fs::read(&unit.path).unwrap();
            fs::write(&unit.path, &bytes[..bytes.len() - 3]).unwrap();
            fs::write(directory.0.join("5.tmp"), b"never acknowledged").unwrap();
            fs::write(directory.0.join(format!("{:020}.{SUFFIX}", 9)), [0xc1; 40]).unwrap();
        }
        let (_spool, found) = open(&directory);
        assert_eq!(found.len(), 2);
        // A foreign file is one undecodable record; the torn one keeps its two whole records and one undecodable.
        assert_eq!((found[0].unit.records, found[1].unit.records), (1, 3));
        let mut ended = Ended::default();
        ended.add(Category::Log, Outcome::Accepted, 1);
        assert_eq!(found[1].progress.ended, ended);
        assert!(!directory.0.join("5.tmp").exists());
    }

    #[test]
    fn strange_names_stop_nothing_and_nothing_is_written_over() {
        let directory = Directory::new("names");
        drop(open(&directory));
        fs::create_dir(directory.0.join("directory.msgpack")).unwrap();
        for name in ["18446744073709551615", "9223372036854775807", "by hand"] {
            fs::write(directory.0.join(name).with_extension(SUFFIX), RECORD).unwrap();
        }
        let (mut spool, found) = open(&directory);
        let names = found.iter().map(|found| found.unit.path.file_stem().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["18446744073709551615", "9223372036854775807", "by hand"]);
        spool.commit(&[segment("a", 1)], Duration::ZERO).unwrap();
        spool.commit(&[segment("b", 1)], Duration::ZERO).unwrap();
        drop((spool, found));
        assert_eq!(open(&directory).1.len(), 5);
    }

    #[test]
    fn nobody_else_can_read_the_spool() {
        use std::os::unix::fs::PermissionsExt;
        let directory = Directory::new("mode");
        let (mut spool, _) = open(&directory);
        let unit = spool.commit(&[segment("a", 1)], Duration::from_secs(1)).unwrap();
        unit.note_settled(Category::Log, &[0], Outcome::Accepted);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.0), 0o700);
        assert_eq!(mode(&unit.path), 0o600);
        assert_eq!(mode(&unit.path.with_extension(PROGRESS)), 0o600);
    }
}
