//! Finds the chunks that an earlier process left in the directory of a spool.

use super::directory::{segment_name, segment_number};
use crate::clock::WallTime;
use crate::delivery::store::chunk_file::{Chunk, Placed, SUFFIX, scan, split_owned};
use crate::delivery::store::error::SpoolError;
use crate::delivery::store::progress_file::{self, Notes, Progress};
use crate::delivery::store::segment::extent::Extent;
use crate::delivery::store::segment::{Descriptor, Files, NEW_SUFFIX, Place, Segment};
use crate::envelope::RecordIndex;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The chunks of an earlier process.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Extents that have not ended, oldest first.
    pub extents: Vec<Recovered>,
    /// Chunks that were spooled so shortly before the last one that Fluent Bit may not know of it.
    pub recent: Vec<Chunk>,
    /// Problems with files, each with its file, as text for the log.
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

/// The flush of a chunk has returned after this long. Fluent Bit may offer chunks that were
/// spooled later than this before the newest one although they are in the spool: it was killed in between.
pub(in crate::delivery::store) const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// The files of an earlier process.
#[derive(Debug)]
pub(in crate::delivery::store) struct Finder<'f> {
    files: &'f Arc<Files>,
    pub(in crate::delivery::store) recovery: Recovery,
    /// Segments with chunks that have not ended.
    pub(in crate::delivery::store) segments: Vec<Weak<Segment>>,
    /// The greatest number of a segment.
    pub(in crate::delivery::store) last: u64,
}

/// Reads all segments of a directory, cuts off torn chunks, and deletes files that are no longer needed.
///
/// # Errors
/// The directory cannot be listed.
pub(in crate::delivery::store) fn recover<'f>(directory: &Path, files: &'f Arc<Files>) -> io::Result<Finder<'f>> {
    let mut finder = Finder { files, recovery: Recovery::default(), segments: Vec::new(), last: 0 };
    finder.find(directory)?;
    Ok(finder)
}

impl Finder<'_> {
    fn find(&mut self, directory: &Path) -> io::Result<()> {
        let mut names: Vec<PathBuf> = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        let mut found = Vec::new();
        for path in names {
            match path.extension().and_then(|extension| extension.to_str()) {
                // A compaction that a crash interrupted.
                Some(NEW_SUFFIX)
                    if segment_number(&path)
                        .is_some_and(|number| path.ends_with(segment_name(number).with_extension(NEW_SUFFIX))) =>
                {
                    drop(fs::remove_file(&path));
                }
                Some(progress_file::SUFFIX) if !path.with_extension(SUFFIX).exists() => drop(fs::remove_file(&path)),
                Some(SUFFIX) => found.extend(self.read_segment(path)),
                _ => {}
            }
        }
        let newest = found.iter().flat_map(|found| &found.chunks).map(|chunk| chunk.wall).max().unwrap_or_default();
        for segment in found {
            segment.divide(newest, self.files.settings(), &mut self.recovery);
        }
        Ok(())
    }

    /// Reads a segment. A file that cannot be read becomes a problem in the result, and stays where it is.
    fn read_segment(&mut self, path: PathBuf) -> Option<Found> {
        let recovery = &mut self.recovery;
        self.last = self.last.max(segment_number(&path).unwrap_or(0));
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut skip = |problem: &dyn std::fmt::Display| {
            recovery.problems.push(format!("{shown} is skipped and not changed: {problem}"));
            None
        };
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return skip(&"it is not a regular file"),
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
            let text = format!("{shown}: {torn} bytes at its end are cut off: the write of this chunk was interrupted");
            recovery.problems.push(text);
            let _ = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(offset));
        }
        if scan.damages > 0 {
            let text =
                format!("{shown} cannot be decoded in full; damaged places, each counted as invalid: {}", scan.damages);
            recovery.problems.push(text);
        }
        let notes = read_notes(&path.with_extension(progress_file::SUFFIX)).unwrap_or_else(|error| {
            let text = format!("the progress file of {shown} cannot be read, its records may be sent again: {error}");
            recovery.problems.push(text);
            Notes::default()
        });
        let records = scan.chunks.iter().fold(0, |sum: u32, chunk| sum.saturating_add(chunk.records));
        let done = notes.done(records);
        let mut first = RecordIndex(0);
        let is_done: Vec<bool> = scan
            .chunks
            .iter()
            .map(|chunk| {
                let mut records = first.run(chunk.records);
                first = first.plus(chunk.records);
                chunk.is_ended || records.all(|record| done.has(record))
            })
            .collect();
        let pending = is_done.iter().filter(|done| !**done).count() as u32;
        let chunks = scan.chunks.iter().copied().zip(is_done.iter().copied());
        let segment = Segment::recovered(path, self.files, length, chunks);
        if pending == 0 {
            segment.seal(Descriptor::Close);
            return None;
        }
        self.segments.push(Arc::downgrade(&segment));
        Some(Found { segment, chunks: scan.chunks, is_done, notes })
    }
}

/// Reads a progress file; a missing one has no notes. Opens regular files only: reading a named pipe would block.
///
/// # Errors
/// Any error of the file system, or [`io::ErrorKind::InvalidInput`] if something else than a file is there.
fn read_notes(path: &Path) -> io::Result<Notes> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Notes::read(&fs::read(path)?)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
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
    fn divide(self, newest: WallTime, settings: u64, recovery: &mut Recovery) {
        let mut first = RecordIndex(0);
        let mut open: Option<Recovered> = None;
        let mut parts = Vec::new();
        for (chunk, is_done) in self.chunks.iter().zip(&self.is_done) {
            if chunk.wall != WallTime::EPOCH && chunk.wall + ACKNOWLEDGED_WITHIN >= newest {
                let bytes = self.segment.read(chunk.offset, chunk.length).unwrap_or_default();
                recovery.recent.extend(split_owned(bytes, None));
            }
            let place = Place { offset: chunk.offset, first };
            first = first.plus(chunk.records);
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
