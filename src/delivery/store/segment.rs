//! Segments: files to which chunks are appended.
//!
//! A segment is open (chunks may be appended), then sealed, then reclaimed: deleted, when all of its chunks have ended.
//! It is lost when its file has been removed or cannot be read; then it takes no bytes and is never read again.

mod compact;
pub(super) mod extent;

use super::chunk_file::{Placed, scan};
use super::progress_file::{self, ProgressFiles};
use crate::clock::WallTime;
use crate::delivery::store::record_set::RecordSet;
use crate::envelope::RecordIndex;
use crate::sync::{AtomicU64, Mutex, lock};
use compact::{EndedRecords, compact};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Extension of a segment that is being written again.
pub(super) const NEW_SUFFIX: &str = "new";

/// State that all segments of a spool share.
#[derive(Debug)]
pub(super) struct Files {
    /// Bytes of all segments on disk.
    pub(super) bytes: Arc<AtomicU64>,
    /// Segments that could not be deleted, with their sizes. Added by the thread that ended the last record; taken by the spool's
    /// worker.
    undeleted: Mutex<Vec<(PathBuf, u64)>>,
    /// Written by mapper, dispatcher and the spool's worker.
    progress: Mutex<ProgressFiles>,
    /// Hash of the mapping options.
    settings: u64,
}

/// The handling of the descriptor of a segment that is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    /// It stays open until the next sync.
    Keep,
    /// It is closed; the sync opens the file again.
    Close,
}

/// A segment file.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    files: Arc<Files>,
    state: Mutex<State>,
}

/// Written by flushes (append), the spool's worker (sync, compaction, loss) and the threads that end records; read by the
/// mapper.
#[derive(Debug, Default)]
struct State {
    /// The file, while chunks may be appended.
    open: Option<Arc<File>>,
    /// The file of a sealed segment whose descriptor stays open until the sync.
    unsynced: Option<Arc<File>>,
    /// Bytes that count: everything behind them is torn.
    length: u64,
    records: u32,
    /// Chunks that have not ended.
    pending: u32,
    is_lost: bool,
    is_reclaimed: bool,
    /// Time at which the last chunk was written.
    newest: WallTime,
    /// Records that have ended.
    ended_records: EndedRecords,
    /// The number of records that had ended when the segment was compacted last.
    ended_at_compaction: u32,
    /// Present places of the chunks, if the segment has been compacted: offsets when they were appended and in the file,
    /// ascending.
    moves: Vec<(u64, u64)>,
}

/// The place in its segment at which an appended chunk begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// The number of its first record in the segment.
    pub(super) first: RecordIndex,
}

impl Files {
    pub(super) fn new(settings: u64) -> Arc<Self> {
        Arc::new(Self { bytes: Arc::default(), undeleted: Mutex::default(), progress: Mutex::default(), settings })
    }

    pub(super) fn settings(&self) -> u64 {
        self.settings
    }

    /// Writes postponed notes, and deletes files that could not be deleted before: until one file is refused again, for then
    /// the others are too.
    pub(super) fn retry(&self) {
        lock(&self.progress).retry();
        let mut undeleted = lock(&self.undeleted);
        while let Some((_, bytes)) = undeleted.pop_if(|(path, _)| delete(path)) {
            self.bytes.fetch_sub(bytes, Relaxed);
        }
    }
}

/// Deletes a segment and its progress file. Returns true if the segment no longer exists. Order matters: a progress file
/// without a segment is deleted at the next start, but a segment without its progress file would be sent again.
fn delete(path: &Path) -> bool {
    let is_deleted = fs::remove_file(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true);
    if is_deleted {
        let _ = fs::remove_file(path.with_extension(progress_file::SUFFIX));
    }
    is_deleted
}

impl Segment {
    /// Creates an empty segment.
    ///
    /// # Errors
    /// Any error of the file system, such as a file of that name.
    pub(super) fn create(path: PathBuf, files: &Arc<Files>) -> io::Result<Arc<Self>> {
        let file = super::private().read(true).create_new(true).open(&path)?;
        let state = State { open: Some(Arc::new(file)), ..State::default() };
        Ok(Arc::new(Self { path, files: Arc::clone(files), state: Mutex::new(state) }))
    }

    /// A sealed segment of `length` bytes that an earlier process left, with its chunks and whether each of them is done.
    pub(super) fn recovered(
        path: PathBuf,
        files: &Arc<Files>,
        length: u64,
        chunks: impl Iterator<Item = (Placed, bool)>,
    ) -> Arc<Self> {
        files.bytes.fetch_add(length, Relaxed);
        let mut state = State { length, ..State::default() };
        for (chunk, is_done) in chunks {
            if is_done {
                state.ended_records.done(RecordIndex(state.records), chunk.records);
            }
            state.pending += u32::from(!is_done);
            state.records = state.records.saturating_add(chunk.records);
            state.newest = state.newest.max(chunk.wall);
        }
        Arc::new(Self { path, files: Arc::clone(files), state: Mutex::new(state) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's name, for log lines.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The hash of the mapping options.
    pub(super) fn settings(&self) -> u64 {
        self.files.settings
    }

    pub(super) fn length(&self) -> u64 {
        lock(&self.state).length
    }

    /// Appends a chunk. Neither formats nor logs.
    ///
    /// # Errors
    /// Any error of the file system. Nothing has been appended then, and the part that was written is cut off.
    pub(super) fn append(&self, marker: &[u8], data: &[u8], records: u32, wall: WallTime) -> io::Result<Place> {
        let mut state = lock(&self.state);
        let file = state.open.clone().ok_or(io::ErrorKind::NotFound)?;
        let offset = state.length;
        let written =
            file.write_all_at(marker, offset).and_then(|()| file.write_all_at(data, offset + marker.len() as u64));
        if let Err(error) = written {
            // If the cut fails too, the next chunk is written over it or, in another segment, leaves it a torn end.
            if file.set_len(offset).is_err() {
                state.open = None;
            }
            return Err(error);
        }
        let place = Place { offset, first: RecordIndex(state.records) };
        let bytes = (marker.len() + data.len()) as u64;
        state.length += bytes;
        state.records += records;
        state.pending += 1;
        state.newest = wall;
        self.files.bytes.fetch_add(bytes, Relaxed);
        Ok(place)
    }

    /// Cuts the segment back to `length` bytes and `records` records, and seals it: the `chunks` behind were never
    /// acknowledged.
    pub(super) fn roll_back(&self, length: u64, records: u32, chunks: u32) {
        let is_empty = {
            let mut state = lock(&self.state);
            // If the cut fails, a crash before these chunks end sends them although Fluent Bit has them, too.
            let _ = match state.open.take() {
                Some(file) => file.set_len(length),
                None => fs::OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(length)),
            };
            self.files.bytes.fetch_sub(state.length.saturating_sub(length), Relaxed);
            (state.length, state.records) = (length, records);
            state.pending -= chunks;
            state.pending == 0
        };
        if is_empty {
            self.reclaim();
        }
    }

    /// Writes everything appended so far to the disk.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(super) fn sync(&self) -> io::Result<()> {
        let open = {
            let mut state = lock(&self.state);
            state.unsynced.take().or_else(|| state.open.clone())
        };
        match open {
            Some(file) => file.sync_data(),
            None => File::open(&self.path)?.sync_data(),
        }
    }

    /// Ends appending, and deletes the segment if all of its chunks have ended.
    pub(super) fn seal(&self, descriptor: Descriptor) {
        self.end_appending(descriptor);
        self.reclaim_if_finished();
    }

    /// Ends appending without touching the disk: [`Self::reclaim_if_finished`] has to follow, since the last chunk may have
    /// ended before.
    pub(super) fn end_appending(&self, descriptor: Descriptor) {
        let mut state = lock(&self.state);
        let open = state.open.take();
        state.unsynced = open.filter(|_| descriptor == Descriptor::Keep);
    }

    /// Deletes the segment if nothing can be appended and all of its chunks have ended. To delete a file waits for writes to
    /// the disk that have begun.
    pub(super) fn reclaim_if_finished(&self) {
        let is_finished = {
            let state = lock(&self.state);
            state.pending == 0 && state.open.is_none()
        };
        if is_finished {
            self.reclaim();
        }
    }

    /// Returns true if every chunk has ended, or if the segment is lost.
    pub(super) fn is_finished(&self) -> bool {
        let state = lock(&self.state);
        state.pending == 0 || state.is_lost
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.state).open.is_some()
    }

    /// Returns true if the segment takes no bytes any more.
    pub(in crate::delivery) fn is_gone(&self) -> bool {
        let state = lock(&self.state);
        state.is_reclaimed || state.is_lost
    }

    /// Marks the segment as lost, because its file was removed or cannot be read: it is sealed, and its bytes no longer count.
    /// Returns false if it was lost or deleted before.
    pub(super) fn lose(&self) -> bool {
        let mut state = lock(&self.state);
        if state.is_lost || state.is_reclaimed {
            return false;
        }
        (state.is_lost, state.open, state.unsynced) = (true, None, None);
        self.files.bytes.fetch_sub(state.length, Relaxed);
        drop(state);
        lock(&self.files.progress).forget(&self.progress_path());
        true
    }

    /// Returns the share of records that have ended since the segment was compacted, in percent, if it is one that can be
    /// compacted: sealed, and older than chunks that Fluent Bit may not know of. Such were written at or after
    /// `before`.
    pub(super) fn ended_share(&self, before: WallTime) -> Option<u32> {
        let state = lock(&self.state);
        let can_be = state.open.is_none() && !state.is_lost && !state.is_reclaimed && state.newest < before;
        let ended = u64::from(state.ended_records.count().saturating_sub(state.ended_at_compaction));
        let remaining = u64::from(state.records.saturating_sub(state.ended_at_compaction)).max(1);
        can_be.then_some((ended * 100 / remaining) as u32)
    }

    /// Writes the segment again without the chunks that have ended. Only the spool's worker does that.
    ///
    /// # Errors
    /// Any error of the file system. The segment is as it was then.
    pub(super) fn compact(&self) -> io::Result<()> {
        let compacted = self.write_compacted();
        if compacted.is_err() {
            lock(&self.state).ended_at_compaction = 0;
        }
        compacted
    }

    fn write_compacted(&self) -> io::Result<()> {
        let (ended_records, length, records) = {
            let mut state = lock(&self.state);
            state.ended_at_compaction = state.ended_records.count();
            (state.ended_records.clone(), state.length, state.records)
        };
        let bytes = self.read_file(0, length)?;
        let Ok(scan) = scan(&bytes) else { return Ok(()) };
        let found = scan.chunks.iter().fold(0, |sum: u32, chunk| sum.saturating_add(chunk.records));
        let Some(compacted) = compact(&bytes, &scan.chunks, &ended_records) else { return Ok(()) };
        if scan.torn.is_some() || found != records || compacted.bytes.len() as u64 > length / 4 * 3 {
            return Ok(());
        }
        let new = self.path.with_extension(NEW_SUFFIX);
        let written = super::private().truncate(true).open(&new).and_then(|mut file| {
            file.write_all(&compacted.bytes)?;
            file.sync_data()
        });
        let mut state = lock(&self.state);
        // The segment may have been deleted meanwhile, and must not come back.
        let is_gone = state.is_lost || state.is_reclaimed;
        if is_gone || written.is_err() {
            drop(state);
            let _ = fs::remove_file(&new);
            return written;
        }
        fs::rename(&new, &self.path)?;
        let new_length = compacted.bytes.len() as u64;
        self.files.bytes.fetch_sub(length - new_length, Relaxed);
        state.length = new_length;
        state.unsynced = None;
        state.moves = match state.moves.is_empty() {
            true => compacted.moves,
            false => {
                let new_offset = |now: u64| compacted.moves.binary_search_by_key(&now, |(from, _)| *from).ok();
                let again = |(from, now): &(u64, u64)| new_offset(*now).map(|at| (*from, compacted.moves[at].1));
                state.moves.iter().filter_map(again).collect()
            }
        };
        Ok(())
    }

    /// Records from number `first` have ended, counted from there.
    pub(super) fn report_ended(&self, first: RecordIndex, ended: &RecordSet) {
        lock(&self.state).ended_records.ended(first, ended);
    }

    pub(super) fn end(&self, first: RecordIndex, records: u32, chunks: u32) {
        {
            let mut state = lock(&self.state);
            state.ended_records.done(first, records);
            state.pending = state.pending.saturating_sub(chunks);
        }
        self.reclaim_if_finished();
    }

    /// Deletes the files, now or when that can be done.
    fn reclaim(&self) {
        let bytes = {
            let mut state = lock(&self.state);
            if state.is_lost || std::mem::replace(&mut state.is_reclaimed, true) {
                return;
            }
            state.unsynced = None;
            state.length
        };
        lock(&self.files.progress).forget(&self.progress_path());
        if delete(&self.path) {
            self.files.bytes.fetch_sub(bytes, Relaxed);
        } else {
            // Its bytes go on counting, because those on the disk are limited.
            lock(&self.files.undeleted).push((self.path.clone(), bytes));
        }
    }

    fn progress_path(&self) -> PathBuf {
        self.path.with_extension(progress_file::SUFFIX)
    }

    pub(super) fn note(&self, lines: &str) {
        if !lines.is_empty() && !self.is_gone() {
            lock(&self.files.progress).append(&self.progress_path(), lines);
        }
    }

    /// Reads the chunk that was appended at `offset` in `length` bytes: fewer, if the segment has been compacted since.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(super) fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let (file, from, to) = {
            let state = lock(&self.state);
            if state.is_lost {
                return Err(io::ErrorKind::NotFound.into());
            }
            let file = match &state.open {
                Some(file) => Arc::clone(file),
                // Opened under the lock: a compaction replaces it.
                None => Arc::new(File::open(&self.path)?),
            };
            (file, state.present_offset(offset)?, state.present_offset(offset + length)?)
        };
        read_at(&file, from, to.saturating_sub(from))
    }

    /// Reads bytes of the file as it is.
    fn read_file(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        read_at(&File::open(&self.path)?, offset, length)
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

impl State {
    /// Returns the present offset of the chunk that was appended at `offset`.
    fn present_offset(&self, offset: u64) -> io::Result<u64> {
        if self.moves.is_empty() {
            return Ok(offset);
        }
        let found = self.moves.binary_search_by_key(&offset, |(from, _)| *from);
        found.map(|at| self.moves[at].1).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
