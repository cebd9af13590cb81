//! Waits until a spool has been sent again. The plugin sends a spool by itself when it opens one, so this module only waits.

use super::chunk_files;
use crate::ship::queue::Queue;
use crate::ship::session::Source;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Interval between looks at the directory.
const LOOK: Duration = Duration::from_millis(50);

/// Ends when the directory is empty.
pub(super) struct Spool {
    path: PathBuf,
    queue: Arc<Queue>,
}

impl Spool {
    pub(super) fn new(path: PathBuf, queue: Arc<Queue>) -> Self {
        Self { path, queue }
    }

    /// Bytes that wait. A directory that cannot be read holds nothing that could be waited for.
    pub(super) fn bytes(files: &[PathBuf]) -> u64 {
        files.iter().filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
    }
}

impl Source for Spool {
    fn run(&self) {
        let files = || chunk_files(&self.path).unwrap_or_default();
        let total = Self::bytes(&files());
        loop {
            let left = files();
            self.queue.is_done_with(total.saturating_sub(Self::bytes(&left)));
            if left.is_empty() || !self.queue.pause_until(Instant::now() + LOOK) {
                return self.queue.fed();
            }
        }
    }

    fn cannot_run(&self, _: &io::Error) {
        self.queue.fed();
    }

    fn tick(&self) {}

    /// The records of letters have kept their times.
    fn moved(&self) -> u64 {
        0
    }

    fn problems(&self) -> usize {
        0
    }
}
