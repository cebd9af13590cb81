//! Numbered records in a file that Fluent Bit tails.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::tempdir::TempDir;

/// Every so many-th record is an error, which becomes an event besides its log.
pub const EVENT_EVERY: u64 = 10;

/// The time of a record is its own, so that one that is read twice is the same record twice.
const PARSERS: &str = "\
[PARSER]
    Name        numbered
    Format      json
    Time_Key    time
    Time_Format %s.%L
";

/// A directory with a growing file.
pub struct Feed {
    dir: TempDir,
}

/// Records being appended in the background.
pub struct Load {
    stop: mpsc::Sender<()>,
    writer: JoinHandle<u64>,
}

impl Feed {
    /// An empty file.
    pub fn new() -> Self {
        let dir = TempDir::new("feed").expect("expected a directory");
        fs::write(dir.path().join("parsers.conf"), PARSERS).expect("expected to write parsers");
        let feed = Self { dir };
        File::create(feed.file()).expect("expected to make a file");
        feed
    }

    /// The parsers that the input needs.
    pub fn parsers(&self) -> PathBuf {
        self.dir.path().join("parsers.conf")
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("numbered.log")
    }

    /// A file of the test's own beside it.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("expected to write a file");
        path
    }

    /// Appends records with these numbers.
    pub fn append(&self, numbers: Range<u64>) {
        append(&self.file(), numbers);
    }

    /// Appends `per_step` records every few milliseconds, from number `first` on, until told to stop.
    pub fn load(&self, first: u64, per_step: u64) -> Load {
        let (file, (stop, stopped)) = (self.file(), mpsc::channel());
        let writer = thread::spawn(move || {
            let mut next = first;
            while stopped.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
                append(&file, next..next + per_step);
                next += per_step;
            }
            next
        });
        Load { stop, writer }
    }
}

impl Load {
    /// Stops, and says how many records there are now.
    pub fn stop(self) -> u64 {
        drop(self.stop);
        self.writer.join().expect("expected the writer to end")
    }
}

fn append(file: &Path, numbers: Range<u64>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("expected a time after 1970");
    let mut lines = String::new();
    for number in numbers {
        let level = if number % EVENT_EVERY == 0 { "error" } else { "info" };
        let (seconds, nanos) = (now.as_secs(), now.subsec_nanos());
        _ = writeln!(
            lines,
            r#"{{"n":{number},"level":"{level}","msg":"record number {number}","time":"{seconds}.{nanos:09}"}}"#
        );
    }
    let mut file = File::options().append(true).open(file).expect("expected the file");
    file.write_all(lines.as_bytes()).expect("expected to append");
}
