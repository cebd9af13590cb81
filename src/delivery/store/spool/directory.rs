//! The directory of a spool: its lock, the names of its files, and their modes.

use crate::delivery::store::error::SpoolError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the lock file.
pub(in crate::delivery::store) const LOCK: &str = "lock";

/// The name of a segment: its number in 20 digits, so that names sort as numbers do. Without `format!`, for Fluent Bit's
/// stack.
pub(in crate::delivery::store) fn segment_name(number: u64) -> PathBuf {
    let mut digits = *b"00000000000000000000.msgpack";
    let mut rest = number;
    for digit in digits[..20].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&digits))
}

/// Returns the number in the name of a segment, if it is one that a segment can have.
pub(in crate::delivery::store) fn segment_number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok().filter(|number| *number <= i64::MAX as u64)
}

/// Locks a directory.
///
/// # Errors
/// [`SpoolError::Locked`], [`SpoolError::Directory`].
pub(in crate::delivery::store) fn take_lock(directory: &Path) -> Result<File, SpoolError> {
    let lock = private().truncate(false).open(directory.join(LOCK)).map_err(SpoolError::Directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Locked),
        Err(TryLockError::Error(error)) => Err(SpoolError::Directory(error)),
    }
}

/// Creates a directory with mode 0700, if it is missing.
pub(in crate::delivery) fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Returns options for a file with mode 0600.
pub(in crate::delivery) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    // A link in the place of a file leads to another one, and a named pipe waits for a reader.
    options.create(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}
