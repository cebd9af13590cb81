//! `--save`: writes every validated envelope to a file.

use super::store::Request;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `NNNNNN.envelope` for accepted envelopes, and `NNNNNN.refused` for invalid ones.
pub(super) struct Saver {
    folder: PathBuf,
    next: AtomicU64,
}

impl Saver {
    /// Makes the folder if need be; numbers go on after those that are there.
    pub fn open(folder: &Path) -> io::Result<Saver> {
        Saver::try_open(folder)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot save to {}: {error}", folder.display())))
    }

    fn try_open(folder: &Path) -> io::Result<Saver> {
        fs::create_dir_all(folder)?;
        let mut last = 0_u64;
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.split('.').next()).and_then(|stem| stem.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Saver { folder: folder.to_owned(), next: AtomicU64::new(last.saturating_add(1)) })
    }

    /// Saves one request's decoded body. Scripted faults are not saved: the client sends those again.
    pub fn save(&self, request: &Request) -> io::Result<()> {
        let kind = match (request.accepted, request.problems.is_empty()) {
            (true, _) => "envelope",
            (false, false) if !request.body.is_empty() => "refused",
            _ => return Ok(()),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number:06}.{kind}"));
        // A file of that name would be somebody else's: better a problem than an overwrite.
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(&request.body)
    }
}
