//! Manages the directory of a spool: its lock, its segments, and the files that an earlier process left there.

use super::chunk_file::{Chunk, MARKER_BYTES, Placed, SUFFIX, scan, split_owned, write_chunk_marker};
use super::error::{SpoolError, is_out_of_descriptors};
use super::extent::Extent;
use super::progress_file::{self, Notes, Progress};
use super::segment::{Files, NEW_SUFFIX, Place, Segment};
use crate::sync::AtomicU64;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

const LOCK: &str = "lock";

/// Descriptors that are kept for the next sync of sealed segments, at most; those of others are opened again.
const KEPT: usize = 2;

/// Factor by which a segment may exceed its size where no descriptor is left for a new one. A segment is read as a whole at a start.
const GROWS: u64 = 4;

/// The sizes of a spool.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all segments, at most.
    pub most: u64,
    /// Bytes of a segment, about.
    pub segment: u64,
}

impl Limits {
    /// Room comes back a segment at a time: 8 MiB in a spool of the usual size, less in a smaller one.
    #[must_use]
    pub fn of(most: u64) -> Self {
        const SEGMENT: u64 = 8 << 20;
        const USUAL: u64 = 256_000_000;
        const PARTS: u64 = 128;
        Self { most, segment: if most < USUAL { SEGMENT.min(most / PARTS) } else { SEGMENT } }
    }
}

/// An open spool. Dropping it unlocks the directory.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    lock: File,
    /// The directory, to sync its names.
    directory: Arc<File>,
    /// A descriptor that the next segment gets if the process has no other.
    spare: Option<File>,
    limits: Limits,
    files: Arc<Files>,
    /// Number of the newest segment.
    last: u64,
    open: Option<Arc<Segment>>,
    /// Every segment that is or was there.
    segments: Vec<Weak<Segment>>,
    /// Segments with bytes that were not synced.
    unsynced: Vec<Arc<Segment>>,
    /// A segment was created since the directory was synced.
    has_new_names: bool,
    /// The marker being written; kept for its allocation.
    marker: Vec<u8>,
}

/// A chunk that was appended.
#[derive(Debug)]
pub struct Appended {
    /// The chunk.
    pub extent: Extent,
    segment: Arc<Segment>,
    place: Place,
}

/// The segments and the directory that have to be synced.
#[derive(Debug, Default)]
pub(super) struct SyncWork {
    segments: Vec<Arc<Segment>>,
    directory: Option<Arc<File>>,
}

/// Data that an earlier process left.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Extents that have not ended, oldest first.
    pub extents: Vec<Recovered>,
    /// Chunks that were spooled so shortly before the last one that Fluent Bit may not know of it.
    pub recent: Vec<Chunk>,
    /// Problems with files, each with its file, as text for people.
    pub problems: Vec<String>,
}

/// An extent found at the start.
#[derive(Debug)]
pub struct Recovered {
    /// The extent.
    pub extent: Extent,
    /// The known state of the extent's records.
    pub progress: Progress,
}

/// A process that still runs has told Fluent Bit of a chunk's safety after this long. Fluent Bit may offer chunks that were
/// spooled later than this before the newest one although they are in the spool: it was killed in between.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

impl Spool {
    /// Opens a spool directory, creates it if it is missing, and finds the chunks that an earlier process left. `settings`
    /// identifies the mapping options: chunks mapped under others are mapped again.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] or [`SpoolError::Directory`]; both may pass by themselves.
    pub fn open(path: &Path, settings: u64, limits: Limits) -> Result<(Self, Recovery), SpoolError> {
        make_private(path).map_err(SpoolError::Directory)?;
        let lock = take_lock(path)?;
        let mut spool = Self {
            path: path.to_owned(),
            lock,
            directory: Arc::new(File::open(path).map_err(SpoolError::Directory)?),
            spare: None,
            limits,
            files: Files::new(settings),
            last: 0,
            open: None,
            segments: Vec::new(),
            unsynced: Vec::new(),
            has_new_names: false,
            marker: Vec::new(),
        };
        let recovery = spool.recover().map_err(SpoolError::Directory)?;
        spool.keep_spare();
        Ok((spool, recovery))
    }

    /// Bytes of all segments on disk.
    #[must_use]
    pub fn bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.files.bytes)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a chunk to the open segment, or to a new one if it would become too large. An empty spool takes a chunk of
    /// any size; with `beyond`, so does a full one. Runs on Fluent Bit's stack: it neither formats nor logs.
    ///
    /// # Errors
    /// [`SpoolError::Full`] and [`SpoolError::Write`]; nothing has been appended then.
    pub fn append(
        &mut self,
        tag: &[u8],
        data: &[u8],
        records: u32,
        wall: Duration,
        beyond: bool,
    ) -> Result<Appended, SpoolError> {
        let (used, most) = (self.files.bytes.load(Relaxed), self.limits.most);
        let bytes = (tag.len() + MARKER_BYTES + data.len()) as u64;
        if !beyond && used > 0 && used + data.len() as u64 > most {
            return Err(SpoolError::Full { used, most });
        }
        self.marker.clear();
        self.marker
            .try_reserve(tag.len() + MARKER_BYTES)
            .map_err(|_| SpoolError::Write(io::ErrorKind::OutOfMemory.into()))?;
        write_chunk_marker(&mut self.marker, tag, data.len(), records, wall);
        let segment = self.segment_for(bytes, wall)?;
        let place = segment.append(&self.marker, data, records, wall).map_err(SpoolError::Write)?;
        if !self.unsynced.last().is_some_and(|last| Arc::ptr_eq(last, &segment)) {
            self.unsynced.push(Arc::clone(&segment));
        }
        let length = (self.marker.len() + data.len()) as u64;
        let extent = Extent::new(Arc::clone(&segment), place, length, records, 1);
        Ok(Appended { extent, segment, place })
    }

    fn segment_for(&mut self, bytes: u64, wall: Duration) -> Result<Arc<Segment>, SpoolError> {
        if let Some(open) = &self.open {
            let length = open.length();
            if open.is_open() && (length == 0 || length + bytes <= self.limits.segment) {
                return Ok(Arc::clone(open));
            }
        }
        // There is always a greater number: a file that somebody renamed must not make us write over another.
        let number = (wall.as_micros() as u64).max(self.last + 1);
        let segment = match self.create(number) {
            Ok(segment) => segment,
            // Without a descriptor the open segment grows beyond its size: a chunk that waits at Fluent Bit needs one too.
            Err(error) => match &self.open {
                Some(open)
                    if is_out_of_descriptors(&error)
                        && open.is_open()
                        && open.length() + bytes <= self.limits.segment.saturating_mul(GROWS) =>
                {
                    return Ok(Arc::clone(open));
                }
                _ => return Err(SpoolError::Write(error)),
            },
        };
        let keep = self.unsynced.len() <= KEPT;
        if let Some(open) = self.open.take() {
            open.seal(keep);
        }
        self.last = number;
        self.has_new_names = true;
        self.segments.push(Arc::downgrade(&segment));
        Ok(Arc::clone(self.open.insert(segment)))
    }

    /// Creates a segment, if need be with the spare descriptor.
    fn create(&mut self, number: u64) -> io::Result<Arc<Segment>> {
        let path = self.path.join(name(number));
        match Segment::create(path.clone(), &self.files) {
            Err(error) if is_out_of_descriptors(&error) && self.spare.take().is_some() => {
                Segment::create(path, &self.files)
            }
            created => created,
        }
    }

    /// Takes a descriptor for the next segment, if there is none yet.
    pub(super) fn keep_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = self.directory.try_clone().ok();
        }
    }

    /// Ends appending to the open segment; the next chunk begins a new one.
    pub fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            open.seal(false);
        }
    }

    /// Takes the open segment out if every chunk of it has ended, for the caller to seal: that deletes it. Without a spare
    /// descriptor a segment that can take chunks is kept.
    pub(super) fn take_settled(&mut self) -> Option<Arc<Segment>> {
        let has_spare = self.spare.is_some();
        self.open.take_if(|open| open.is_settled() && (has_spare || !open.is_open()))
    }

    /// Takes the segments and the directory that have to be synced.
    pub(super) fn take_unsynced(&mut self) -> SyncWork {
        let directory = std::mem::take(&mut self.has_new_names).then(|| Arc::clone(&self.directory));
        SyncWork { segments: std::mem::take(&mut self.unsynced), directory }
    }

    /// Returns true if something was appended since [`Self::take_unsynced`].
    pub(super) fn is_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Syncs everything.
    ///
    /// # Errors
    /// [`SpoolError::Write`].
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.take_unsynced().run()
    }

    /// Takes back chunks that could not be synced, all of those that were appended after the last sync.
    pub(super) fn roll_back(&mut self, chunks: &[Appended]) {
        let mut rest = chunks;
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|chunk| Arc::ptr_eq(&chunk.segment, &first.segment)).count();
            first.segment.roll_back(first.place.offset, first.place.first, count as u32);
            rest = &rest[count..];
        }
        self.open = None;
        self.unsynced.retain(|segment| !chunks.iter().any(|chunk| Arc::ptr_eq(&chunk.segment, segment)));
    }

    /// Returns the state that the segments share.
    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// The segments whose files should be there.
    pub(super) fn live(&mut self) -> Vec<Arc<Segment>> {
        self.segments.retain(|segment| segment.strong_count() > 0);
        self.segments.iter().filter_map(Weak::upgrade).filter(|segment| !segment.is_gone()).collect()
    }

    /// Returns false if the lock file at the directory's path is not the one that this process holds: the directory or the
    /// lock has been removed or replaced.
    pub(super) fn has_its_lock(&self) -> bool {
        let (Ok(held), Ok(there)) = (self.lock.metadata(), fs::metadata(self.path.join(LOCK))) else { return false };
        (held.dev(), held.ino()) == (there.dev(), there.ino())
    }

    /// Creates the directory and its lock file again where they are missing, and locks it.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] if another process has locked it meanwhile, [`SpoolError::Directory`].
    pub(super) fn lock_again(&mut self) -> Result<(), SpoolError> {
        make_private(&self.path).map_err(SpoolError::Directory)?;
        self.lock = take_lock(&self.path)?;
        self.directory = Arc::new(File::open(&self.path).map_err(SpoolError::Directory)?);
        Ok(())
    }

    /// The segments that are worth compacting when the spool is half full, those of which most has ended first. `wall` is the time
    /// since 1970.
    pub(super) fn compactable(&mut self, wall: Duration) -> Vec<Arc<Segment>> {
        if self.files.bytes.load(Relaxed) <= self.limits.most / 2 {
            return Vec::new();
        }
        let before = wall.saturating_sub(HEARD_WITHIN);
        let is_synced = |one: &Arc<Segment>| !self.unsynced.iter().any(|other| Arc::ptr_eq(one, other));
        let segments = self.segments.iter().filter_map(Weak::upgrade).filter(is_synced);
        let mut found: Vec<_> = segments
            .filter_map(|one| Some((one.ended_share(before)?, one)))
            .filter(|(share, _)| *share >= 50)
            .collect();
        found.sort_by_key(|(share, _)| std::cmp::Reverse(*share));
        found.into_iter().map(|(_, segment)| segment).collect()
    }

    /// Compacts all sealed segments, however little that frees; for tests.
    ///
    /// # Errors
    /// [`SpoolError::Write`].
    #[doc(hidden)]
    pub fn compact(&mut self) -> Result<(), SpoolError> {
        let mut sealed = self.live().into_iter().filter(|segment| !segment.is_open());
        sealed.try_for_each(|segment| segment.compact().map_err(SpoolError::Write))
    }

    fn recover(&mut self) -> io::Result<Recovery> {
        let mut names: Vec<PathBuf> = fs::read_dir(&self.path)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        let (mut recovery, mut found) = (Recovery::default(), Vec::new());
        for path in names {
            match path.extension().and_then(|extension| extension.to_str()) {
                // A compaction that a crash interrupted.
                Some(NEW_SUFFIX)
                    if number(&path).is_some_and(|number| path.ends_with(name(number).with_extension(NEW_SUFFIX))) =>
                {
                    drop(fs::remove_file(&path));
                }
                Some(progress_file::SUFFIX) if !path.with_extension(SUFFIX).exists() => drop(fs::remove_file(&path)),
                Some(SUFFIX) => found.extend(self.recover_segment(path, &mut recovery)),
                _ => {}
            }
        }
        let newest = found.iter().flat_map(|found| &found.chunks).map(|chunk| chunk.wall).max().unwrap_or_default();
        for segment in found {
            segment.divide(newest, self.files.settings(), &mut recovery);
        }
        Ok(recovery)
    }

    /// Reads a segment. What cannot be read is named and left where it is.
    fn recover_segment(&mut self, path: PathBuf, recovery: &mut Recovery) -> Option<Found> {
        self.last = self.last.max(number(&path).unwrap_or(0));
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut skip = |problem: &dyn std::fmt::Display| {
            recovery.problems.push(format!("{shown} is skipped and not changed: {problem}"));
            None
        };
        match fs::metadata(&path) {
            Ok(about) if !about.is_file() => return skip(&"it is no file"),
            Err(error) => return skip(&error),
            Ok(_) => {}
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return skip(&error),
        };
        let scan = match scan(&bytes) {
            Ok(scan) => scan,
            Err(version) => return skip(&SpoolError::Version(version)),
        };
        let length = scan.torn.unwrap_or(bytes.len() as u64);
        if let Some(offset) = scan.torn {
            let torn = bytes.len() as u64 - offset;
            let text = format!("{shown}: {torn} bytes at its end are cut off, a chunk whose writing was interrupted");
            recovery.problems.push(text);
            let _ = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(offset));
        }
        if scan.damages > 0 {
            let text = format!("{shown} cannot be decoded in {} places, which count as invalid", scan.damages);
            recovery.problems.push(text);
        }
        let notes = read_notes(&path.with_extension(progress_file::SUFFIX)).unwrap_or_else(|error| {
            let text = format!("the progress file of {shown} cannot be read, its records may be sent again: {error}");
            recovery.problems.push(text);
            Notes::default()
        });
        let records = scan.chunks.iter().fold(0, |sum: u32, chunk| sum.saturating_add(chunk.records));
        let done = notes.done(records);
        let mut first = 0_u32;
        let is_done: Vec<bool> = scan
            .chunks
            .iter()
            .map(|chunk| {
                let range = first..first.saturating_add(chunk.records);
                first = range.end;
                chunk.is_over || range.clone().all(|record| done.has(record))
            })
            .collect();
        let pending = is_done.iter().filter(|done| !**done).count() as u32;
        let chunks = scan.chunks.iter().copied().zip(is_done.iter().copied());
        let segment = Segment::recovered(path, &self.files, length, chunks);
        if pending == 0 {
            segment.seal(false);
            return None;
        }
        self.segments.push(Arc::downgrade(&segment));
        Some(Found { segment, chunks: scan.chunks, is_done, notes })
    }
}

/// Reads a progress file; a missing one holds no notes. Opens regular files only: reading a named pipe would block.
///
/// # Errors
/// Any error of the file system, or [`io::ErrorKind::InvalidInput`] if something else than a file is there.
fn read_notes(path: &Path) -> io::Result<Notes> {
    match fs::metadata(path) {
        Ok(about) if about.is_file() => Ok(Notes::read(&fs::read(path)?)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Notes::default()),
        Err(error) => Err(error),
    }
}

/// A segment of an earlier process.
struct Found {
    segment: Arc<Segment>,
    chunks: Vec<Placed>,
    is_done: Vec<bool>,
    notes: Notes,
}

impl Found {
    /// Divides the chunks that have not ended into extents.
    fn divide(self, newest: Duration, settings: u64, recovery: &mut Recovery) {
        let mut first = 0_u32;
        let mut open: Option<Recovered> = None;
        let mut parts = Vec::new();
        for (chunk, is_done) in self.chunks.iter().zip(&self.is_done) {
            if !chunk.wall.is_zero() && chunk.wall + HEARD_WITHIN >= newest {
                let bytes = self.segment.read(chunk.offset, chunk.length).unwrap_or_default();
                recovery.recent.extend(split_owned(bytes));
            }
            let place = Place { offset: chunk.offset, first };
            first = first.saturating_add(chunk.records);
            if *is_done {
                continue;
            }
            let extent = Extent::new(Arc::clone(&self.segment), place, chunk.length, chunk.records, 1);
            let mapped = self.notes.progress(place.first, chunk.records, settings).mapped;
            let next = match &mut open {
                Some(open) if open.progress.mapped == mapped => open.extent.extend(extent),
                _ => Some(extent),
            };
            if let Some(extent) = next {
                let progress = Progress { mapped, ..Progress::default() };
                parts.extend(open.replace(Recovered { extent, progress }));
            }
        }
        parts.extend(open);
        for Recovered { extent, .. } in parts {
            let progress = self.notes.progress(extent.first(), extent.records(), settings);
            recovery.extents.push(Recovered { extent, progress });
        }
    }
}

impl SyncWork {
    /// Syncs the files, and the directory if it has new names.
    ///
    /// # Errors
    /// [`SpoolError::Write`]. A file that is gone needs no sync.
    pub(super) fn run(self) -> Result<(), SpoolError> {
        let is_there = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        for segment in &self.segments {
            if !segment.is_gone() {
                is_there(segment.sync()).map_err(SpoolError::Write)?;
            }
        }
        if let Some(directory) = &self.directory {
            is_there(directory.sync_all()).map_err(SpoolError::Write)?;
        }
        Ok(())
    }
}

/// The name of a segment: its number in 20 digits, so that names sort as numbers do. Without `format!`, for Fluent Bit's
/// stack.
fn name(number: u64) -> PathBuf {
    let mut digits = *b"00000000000000000000.msgpack";
    let mut rest = number;
    for digit in digits[..20].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&digits))
}

/// A file's name as a number.
fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok().filter(|number| *number <= i64::MAX as u64)
}

fn take_lock(directory: &Path) -> Result<File, SpoolError> {
    let lock = private().truncate(false).open(directory.join(LOCK)).map_err(SpoolError::Directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Locked),
        Err(TryLockError::Error(error)) => Err(SpoolError::Directory(error)),
    }
}

/// Creates a directory that nobody else can read, where it is missing.
pub(in crate::delivery) fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Options for a file that nobody else can read.
pub(in crate::delivery) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    // A link in the place of a file leads to another one, and a named pipe waits for a reader.
    options.create(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}
