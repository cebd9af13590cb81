//! A directory that lives as long as the value that holds it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io, process};

/// A fresh directory, removed with all it holds on drop.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes a directory whose name starts with `name`; process id and a counter keep parallel tests apart.
    pub fn new(name: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("out-sentry-{name}-{}-{count}", process::id()));
            match fs::create_dir(&path) {
                // A process killed long ago had our id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => return made.map(|()| Self(path)),
            }
        }
    }

    /// Returns its absolute path, without symbolic links of the test.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A server killed a moment ago may still have been writing: once more is enough.
        if fs::remove_dir_all(&self.0).is_err() {
            _ = fs::remove_dir_all(&self.0);
        }
    }
}
