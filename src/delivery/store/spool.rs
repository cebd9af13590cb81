//! An open spool: appends chunks to its segments, syncs them, and keeps the lock of its directory.

pub(super) mod directory;
pub(super) mod recovery;

use super::chunk_file::{MARKER_BYTES, chunk_hash, write_chunk_marker};
use super::error::SpoolError;
use super::segment::extent::Extent;
use super::segment::{Descriptor, Files, Place, Segment};
use crate::clock::WallTime;
use crate::delivery::transport::descriptors::is_out_of_descriptors;
use crate::sync::AtomicU64;
use directory::{LOCK, make_private, segment_name, take_lock};
use recovery::{ACKNOWLEDGED_WITHIN, Recovery, recover};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// Most descriptors of sealed segments that stay open until the next sync. Other files are opened again for the sync.
const MAX_OPEN_UNSYNCED: usize = 2;

/// Factor by which a segment may exceed its size while the process has no descriptor for a new one. A segment is read as a whole
/// at a start.
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
    /// Returns the sizes of a spool of at most `most` bytes. Disk space is freed a segment at a time: 8 MiB in a spool of the
    /// usual size, less in a smaller one.
    #[must_use]
    pub fn of(most: u64) -> Self {
        const SEGMENT: u64 = 8 << 20;
        const USUAL: u64 = 256_000_000;
        const PARTS: u64 = 128;
        Self { most, segment: if most < USUAL { SEGMENT.min(most / PARTS) } else { SEGMENT } }
    }
}

/// The handling of a chunk that does not fit into a full spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    Refuse,
    /// It is appended beyond [`Limits::most`].
    Exceed,
}

/// An open spool. Dropping it unlocks the directory.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    lock: File,
    /// The directory, to sync its names.
    directory: Arc<File>,
    /// A descriptor that the next segment gets if the process has no other.
    reserve: Option<File>,
    limits: Limits,
    files: Arc<Files>,
    /// Number of the newest segment.
    last: u64,
    open: Option<Arc<Segment>>,
    /// Every segment, as long as anything refers to it.
    segments: Vec<Weak<Segment>>,
    /// Segments with bytes that were not synced.
    unsynced: Vec<Arc<Segment>>,
    /// Segments that became full since the last sync. The thread that syncs deletes those whose chunks have ended; to delete a
    /// file takes too long for the thread that appends.
    full: Vec<Arc<Segment>>,
    /// A segment was created since the directory was synced.
    has_new_names: bool,
    /// The marker being written. Its allocation is reused.
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
    /// Segments that became full.
    full: Vec<Arc<Segment>>,
    segments: Vec<Arc<Segment>>,
    directory: Option<Arc<File>>,
}

impl Spool {
    /// Opens a spool directory, creates it if it is missing, and finds the chunks that an earlier process left. `settings`
    /// identifies the mapping options: chunks mapped under others are mapped again.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] or [`SpoolError::Directory`]; both may pass by themselves.
    pub fn open(path: &Path, settings: u64, limits: Limits) -> Result<(Self, Recovery), SpoolError> {
        make_private(path).map_err(SpoolError::Directory)?;
        let lock = take_lock(path)?;
        let (directory, files) = (Arc::new(File::open(path).map_err(SpoolError::Directory)?), Files::new(settings));
        let found = recover(path, &files).map_err(SpoolError::Directory)?;
        let (recovery, segments, last) = (found.recovery, found.segments, found.last);
        let mut spool = Self {
            path: path.to_owned(),
            lock,
            directory,
            reserve: None,
            limits,
            files,
            last,
            open: None,
            segments,
            unsynced: Vec::new(),
            full: Vec::new(),
            has_new_names: false,
            marker: Vec::new(),
        };
        spool.keep_reserve();
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
    /// any size; with [`WhenFull::Exceed`], so does a full one. Runs on Fluent Bit's stack: it neither formats nor logs.
    ///
    /// # Errors
    /// [`SpoolError::Full`] and [`SpoolError::Write`]; nothing has been appended then.
    pub fn append(
        &mut self,
        tag: &[u8],
        data: &[u8],
        records: u32,
        wall: WallTime,
        when_full: WhenFull,
    ) -> Result<Appended, SpoolError> {
        let (used, most) = (self.files.bytes.load(Relaxed), self.limits.most);
        let bytes = (tag.len() + MARKER_BYTES + data.len()) as u64;
        if when_full == WhenFull::Refuse && used > 0 && used + data.len() as u64 > most {
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
        let extent = Extent::new(Arc::clone(&segment), place, length, records, 1).with_hash(chunk_hash(data));
        Ok(Appended { extent, segment, place })
    }

    fn segment_for(&mut self, bytes: u64, wall: WallTime) -> Result<Arc<Segment>, SpoolError> {
        if let Some(open) = &self.open {
            let length = open.length();
            if open.is_open() && (length == 0 || length + bytes <= self.limits.segment) {
                return Ok(Arc::clone(open));
            }
        }
        // Greater than the number of any file, so that no file is overwritten even if one was renamed.
        let number = wall.as_micros().max(self.last + 1);
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
        let descriptor = if self.unsynced.len() <= MAX_OPEN_UNSYNCED { Descriptor::Keep } else { Descriptor::Close };
        if let Some(open) = self.open.take() {
            open.end_appending(descriptor);
            self.full.push(open);
        }
        self.last = number;
        self.has_new_names = true;
        self.segments.push(Arc::downgrade(&segment));
        Ok(Arc::clone(self.open.insert(segment)))
    }

    /// Creates a segment, if need be with the reserved descriptor.
    fn create(&mut self, number: u64) -> io::Result<Arc<Segment>> {
        let path = self.path.join(segment_name(number));
        match Segment::create(path.clone(), &self.files) {
            Err(error) if is_out_of_descriptors(&error) && self.reserve.take().is_some() => {
                Segment::create(path, &self.files)
            }
            created => created,
        }
    }

    /// Takes a descriptor for the next segment, if there is none yet.
    pub(super) fn keep_reserve(&mut self) {
        if self.reserve.is_none() {
            self.reserve = self.directory.try_clone().ok();
        }
    }

    /// Ends appending to the open segment; the next chunk begins a new one.
    pub fn seal(&mut self) {
        self.open.take().into_iter().chain(self.full.drain(..)).for_each(|segment| segment.seal(Descriptor::Close));
    }

    /// Takes the open segment out if every chunk of it has ended, for the caller to seal: that deletes it. Without a reserved
    /// descriptor a segment that can take chunks stays.
    pub(super) fn take_finished(&mut self) -> Option<Arc<Segment>> {
        let has_reserve = self.reserve.is_some();
        self.open.take_if(|open| open.is_finished() && (has_reserve || !open.is_open()))
    }

    /// Takes the segments and the directory that have to be synced.
    pub(super) fn take_unsynced(&mut self) -> SyncWork {
        let directory = std::mem::take(&mut self.has_new_names).then(|| Arc::clone(&self.directory));
        SyncWork { full: std::mem::take(&mut self.full), segments: std::mem::take(&mut self.unsynced), directory }
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
            first.segment.roll_back(first.place.offset, first.place.first.0, count as u32);
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
        let (Ok(own), Ok(there)) = (self.lock.metadata(), fs::metadata(self.path.join(LOCK))) else { return false };
        (own.dev(), own.ino()) == (there.dev(), there.ino())
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

    /// The segments that are worth compacting when the spool is half full, those of which most has ended first. `wall` is the
    /// present.
    pub(super) fn compactable(&mut self, wall: WallTime) -> Vec<Arc<Segment>> {
        if self.files.bytes.load(Relaxed) <= self.limits.most / 2 {
            return Vec::new();
        }
        let before = wall.saturating_sub(ACKNOWLEDGED_WITHIN);
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
}

impl SyncWork {
    /// Deletes segments that are full and whose chunks have ended, and syncs the others, and the directory if it has new names.
    ///
    /// # Errors
    /// [`SpoolError::Write`]. A file that was removed needs no sync.
    pub(super) fn run(self) -> Result<(), SpoolError> {
        let is_there = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        self.full.iter().for_each(|segment| segment.reclaim_if_finished());
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
