//! Reads and writes progress files: notes on the records of a segment, one line per note, append-only.
//!
//! ```text
//! out_sentry progress 1
//! log 3-17 accepted              these logs have ended like this
//! mapped 0-99 0123456789abcdef   these records have been mapped under these settings
//! aborted log 18-20              the request with these logs was cut: it may have arrived or not
//! done 0-99                      every item of these records has ended
//! ```
//!
//! A line without a line end was cut by a crash and is ignored. Unknown lines are ignored too.

use crate::delivery::store::record_set::RecordSet;
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Outcome, PerCategory, Recorder};
use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Extension of progress files.
pub(super) const SUFFIX: &str = "progress";

/// The first line.
const HEAD: &str = "out_sentry progress 1\n";

/// Progress files that are open at the same time, at most.
const OPEN: usize = 6;

/// Bytes of notes that wait for a descriptor, at most. Further notes are dropped: their records are sent again if the
/// process is killed.
const MAX_POSTPONED: usize = 1 << 20;

/// The known state of the records of an extent, numbered from its first record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that have ended and would end otherwise, or be sent again, if they were looked at again.
    pub finished: PerCategory<RecordSet>,
    /// The number of records that have ended, by outcome.
    pub ended: Ended,
    /// Records whose request was cut by the end of a process: whether it arrived is unknown.
    pub aborted: PerCategory<RecordSet>,
    /// Every record has been mapped under the same settings.
    pub mapped: bool,
}

/// Numbers of records by category and outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended(PerCategory<[u32; Outcome::ALL.len()]>);

impl Ended {
    /// Counts records.
    pub fn add(&mut self, category: Category, outcome: Outcome, records: u32) {
        self.0[category][outcome as usize] += records;
    }

    /// Adds all of them to a ledger.
    pub fn tell(&self, recorder: &Recorder) {
        for category in Category::ALL {
            for outcome in Outcome::ALL {
                let records = self.0[*category][*outcome as usize];
                recorder.end(*category, *outcome, u64::from(records));
            }
        }
    }
}

/// Consecutive records of a segment, both ends included. Empty if `to` is before `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordRange {
    from: RecordIndex,
    to: RecordIndex,
}

impl RecordRange {
    /// Returns the range of so many records from `first` on.
    fn of(first: RecordIndex, records: u32) -> Self {
        Self { from: first, to: first.plus(records.saturating_sub(1)) }
    }

    /// Returns the records that are in both ranges.
    fn within(self, other: Self) -> impl Iterator<Item = RecordIndex> {
        (self.from.max(other.from).0..=self.to.min(other.to).0).map(RecordIndex)
    }
}

impl Display for RecordRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.0, self.to.0)
    }
}

/// A line of a progress file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    /// The items of these records have ended.
    Finished { category: Category, range: RecordRange, outcome: Outcome },
    /// The request with the items of these records was cut.
    Aborted { category: Category, range: RecordRange },
    /// These records have been mapped under the options of this number.
    Mapped { range: RecordRange, settings: u64 },
    /// Every item of these records has ended.
    Done(RecordRange),
}

/// All notes of a progress file.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Reads a progress file. A note that a crash made unreadable is one note less.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Self(lines.filter_map(note).collect())
    }

    /// Returns the records of a segment of so many records that are done.
    pub(super) fn done(&self, records: u32) -> RecordSet {
        let (all, mut done) = (RecordRange::of(RecordIndex(0), records), RecordSet::default());
        for note in &self.0 {
            if let Note::Done(range) = note {
                range.within(all).for_each(|record| {
                    done.insert(record);
                });
            }
        }
        done
    }

    /// Returns the known progress of `records` records from number `first` on. It numbers them from 0.
    pub(super) fn progress(&self, first: RecordIndex, records: u32, settings: u64) -> Progress {
        let mut progress = Progress::default();
        let Some(last) = records.checked_sub(1).and_then(|more| first.0.checked_add(more)) else { return progress };
        let all = RecordRange { from: first, to: RecordIndex(last) };
        let within = |range: RecordRange| range.within(all).map(|record| RecordIndex(record.0 - first.0));
        let mut mapped = RecordSet::default();
        for note in &self.0 {
            match note {
                Note::Finished { category, range, outcome } => {
                    let finished = &mut progress.finished[*category];
                    let new = within(*range).filter(|record| finished.insert(*record)).count();
                    progress.ended.add(*category, *outcome, new as u32);
                }
                Note::Aborted { category, range } => {
                    let aborted = &mut progress.aborted[*category];
                    within(*range).for_each(|record| {
                        aborted.insert(record);
                    });
                }
                Note::Mapped { range, settings: under } if *under == settings => {
                    within(*range).for_each(|record| {
                        mapped.insert(record);
                    });
                }
                Note::Mapped { .. } | Note::Done(_) => {}
            }
        }
        for category in Category::ALL {
            let finished = &progress.finished[*category];
            RecordIndex(0).run(records).filter(|record| finished.has(*record)).for_each(|record| {
                progress.aborted[*category].remove(record);
            });
        }
        progress.mapped = mapped.len() == records;
        progress
    }
}

fn note(line: &str) -> Option<Note> {
    let mut words = line.split(' ');
    let (kind, second) = (words.next()?, words.next()?);
    let note = match kind {
        "done" => Note::Done(range(second)?),
        "mapped" => Note::Mapped { range: range(second)?, settings: u64::from_str_radix(words.next()?, 16).ok()? },
        "aborted" => Note::Aborted { category: category(second)?, range: range(words.next()?)? },
        name => {
            let outcome = words.next()?;
            let outcome = *Outcome::ALL.iter().find(|known| known.name() == outcome)?;
            Note::Finished { category: category(name)?, range: range(second)?, outcome }
        }
    };
    words.next().is_none().then_some(note)
}

fn category(name: &str) -> Option<Category> {
    Category::ALL.iter().copied().find(|known| known.name() == name)
}

fn range(text: &str) -> Option<RecordRange> {
    let (from, to) = text.split_once('-')?;
    Some(RecordRange { from: RecordIndex(from.parse().ok()?), to: RecordIndex(to.parse().ok()?) })
}

/// Returns the lines for records that have ended. `records` ascend and count from the segment's first record.
pub(super) fn finished_lines(
    category: Category,
    records: impl Iterator<Item = RecordIndex>,
    outcome: Outcome,
) -> String {
    let (name, outcome) = (category.name(), outcome.name());
    lines(records, |range| format!("{name} {range} {outcome}\n"))
}

/// Returns the lines for records whose request was cut.
pub(super) fn aborted_lines(category: Category, records: impl Iterator<Item = RecordIndex>) -> String {
    let name = category.name();
    lines(records, |range| format!("aborted {name} {range}\n"))
}

/// Returns the line for records that have been mapped.
pub(super) fn mapped_line(first: RecordIndex, records: u32, settings: u64) -> String {
    format!("mapped {} {settings:016x}\n", RecordRange::of(first, records))
}

/// Returns the line for records all of whose items have ended.
pub(super) fn done_line(first: RecordIndex, records: u32) -> String {
    format!("done {}\n", RecordRange::of(first, records))
}

/// Returns one line for each range of consecutive records.
fn lines(records: impl Iterator<Item = RecordIndex>, line: impl Fn(RecordRange) -> String) -> String {
    let (mut text, mut open) = (String::new(), None::<RecordRange>);
    for record in records {
        match &mut open {
            Some(range) if range.to.0.checked_add(1) == Some(record.0) => range.to = record,
            _ => {
                let before = open.replace(RecordRange::of(record, 1));
                text.extend(before.map(&line));
            }
        }
    }
    text.extend(open.map(line));
    text
}

/// The progress files of a spool, the latest few of them open.
#[derive(Debug, Default)]
pub(super) struct ProgressFiles {
    /// The one used last is at the back.
    open: VecDeque<(PathBuf, File)>,
    /// Notes that could not be written yet.
    postponed: Vec<(PathBuf, String)>,
}

impl ProgressFiles {
    /// Appends notes, in one write: a kill leaves all of it or a torn line. Notes that the disk or a lack of descriptors
    /// keeps from being written are tried again by [`Self::retry`].
    pub(super) fn append(&mut self, path: &Path, lines: &str) {
        let waiting = self.postponed.iter().position(|(other, _)| other == path);
        let text = match waiting {
            Some(at) => self.postponed.swap_remove(at).1 + lines,
            None => lines.to_owned(),
        };
        if self.write(path, &text).is_err() {
            self.close(path);
            let bytes: usize = self.postponed.iter().map(|(_, text)| text.len()).sum();
            if bytes + text.len() <= MAX_POSTPONED {
                self.postponed.push((path.to_owned(), text));
            }
        }
    }

    /// Tries to write the postponed notes.
    pub(super) fn retry(&mut self) {
        for (path, text) in std::mem::take(&mut self.postponed) {
            self.append(&path, &text);
        }
    }

    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if let Some(at) = self.open.iter().position(|(other, _)| other == path) {
            if let Some(found) = self.open.remove(at) {
                self.open.push_back(found);
            }
        } else {
            let mut file = super::private().append(true).open(path)?;
            // A line that a crash cut short must not swallow this one. With a space at its end it is no note.
            let start = if file.metadata()?.len() == 0 { HEAD } else { " \n" };
            file.write_all(start.as_bytes())?;
            if self.open.len() >= OPEN {
                self.open.pop_front();
            }
            self.open.push_back((path.to_owned(), file));
        }
        match self.open.back_mut() {
            Some((_, file)) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    /// Closes a file and forgets its postponed notes, because its segment no longer exists.
    pub(super) fn forget(&mut self, path: &Path) {
        self.close(path);
        self.postponed.retain(|(other, _)| other != path);
    }

    fn close(&mut self, path: &Path) {
        self.open.retain(|(other, _)| other != path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let text = [
            finished_lines(Category::Log, [10, 11, 12, 14].map(RecordIndex).into_iter(), Outcome::Accepted),
            finished_lines(Category::Event, [13].map(RecordIndex).into_iter(), Outcome::Suppressed),
            aborted_lines(Category::Log, [14, 15].map(RecordIndex).into_iter()),
            mapped_line(RecordIndex(10), 6, 7),
            done_line(RecordIndex(0), 10),
        ]
        .concat();
        assert_eq!(
            text,
            "log 10-12 accepted\nlog 14-14 accepted\nevent 13-13 suppressed\naborted log 14-15\nmapped 10-15 \
             0000000000000007\ndone 0-9\n"
        );
        let notes = Notes::read(text.as_bytes());
        let progress = notes.progress(RecordIndex(10), 6, 7);
        let mut ended = Ended::default();
        ended.add(Category::Log, Outcome::Accepted, 4);
        ended.add(Category::Event, Outcome::Suppressed, 1);
        assert_eq!(progress.ended, ended);
        assert!(
            progress.mapped
                && !notes.progress(RecordIndex(10), 7, 7).mapped
                && !notes.progress(RecordIndex(10), 6, 8).mapped
        );
        let aborted = &progress.aborted.log;
        assert_eq!(
            (aborted.has(RecordIndex(4)), aborted.has(RecordIndex(5))),
            (false, true),
            "a request that had a response later is not aborted"
        );
        assert_eq!(notes.done(100).len(), 10);
        assert_eq!(notes.progress(RecordIndex(0), 10, 7).finished, PerCategory::default());
    }

    #[test]
    fn ignores_torn_unknown_and_absurd_lines() {
        let text = b"log 5-4 accepted\nlog 1-2 nonsense\n\xff\0\nlog 0-4294967295 accepted\nlog 1-2 accepted x\n\
                     later 1-2 3\ndone 1\nlog 1-2 accep";
        let notes = Notes::read(text);
        let progress = notes.progress(RecordIndex(0), 3, 7);
        assert_eq!(progress.finished.log.len(), 3, "a range ends with the segment");
        assert_eq!((progress.finished.event.len(), progress.mapped, notes.done(3).len()), (0, false, 0));
    }

    #[test]
    fn reads_a_note_behind_a_torn_one() {
        let directory = std::env::temp_dir().join(format!("out_sentry-progress-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("1.progress");
        ProgressFiles::default().append(&path, "log 0-0 accepted\nlog 1-1 acce");
        ProgressFiles::default().append(&path, "mapped 0-2 0");
        ProgressFiles::default().append(&path, "log 2-2 accepted\n");
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(HEAD.as_bytes()));
        let progress = Notes::read(&bytes).progress(RecordIndex(0), 3, 0);
        assert!(!progress.mapped, "what was cut does not become a note of the next process");
        let finished = progress.finished;
        assert_eq!([0, 1, 2].map(|record| finished.log.has(RecordIndex(record))), [true, false, true]);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn writes_postponed_notes_later() {
        let directory = std::env::temp_dir().join(format!("out_sentry-postponed-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let path = directory.join("1.progress");
        let mut files = ProgressFiles::default();
        files.append(&path, "log 0-0 accepted\n");
        files.append(&path, "log 1-1 accepted\n");
        std::fs::create_dir(&directory).unwrap();
        files.retry();
        let finished = Notes::read(&std::fs::read(&path).unwrap()).progress(RecordIndex(0), 3, 0).finished;
        assert_eq!(finished.log.len(), 2);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
