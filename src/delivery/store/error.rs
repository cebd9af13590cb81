//! Defines the errors of the spool.

use crate::delivery::transport::descriptors::is_out_of_descriptors;
use std::fmt;
use std::io;

/// The reason for which an operation on the spool failed.
#[derive(Debug)]
pub enum SpoolError {
    /// Another instance, in this process or another one, holds the lock of the directory.
    Locked,
    /// The directory or its lock file cannot be created, listed or opened.
    Directory(io::Error),
    /// The chunk does not fit: `used` bytes of at most `most` are taken.
    Full {
        /// Bytes of all segments.
        used: u64,
        /// The value of `spool_max_size`.
        most: u64,
    },
    /// A segment cannot be created or written. The chunk is not in the spool.
    Write(io::Error),
    /// A segment cannot be opened or read.
    Read(io::Error),
    /// The bytes at the place of a chunk are not that chunk.
    Damaged,
    /// The segment was written by a newer version of the plugin.
    Version(u64),
}

impl SpoolError {
    /// Returns true if the same operation may succeed later without anybody repairing the file: the process has no
    /// descriptor or memory left, or the call was interrupted.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Locked | Self::Full { .. } => true,
            Self::Directory(error) | Self::Write(error) | Self::Read(error) => is_temporary(error),
            Self::Damaged | Self::Version(_) => false,
        }
    }

    /// Returns true if the process, or the machine, has no descriptor left.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        match self {
            Self::Directory(error) | Self::Write(error) | Self::Read(error) => is_out_of_descriptors(error),
            _ => false,
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, ResourceBusy, TimedOut, WouldBlock};
    is_out_of_descriptors(error)
        || matches!(error.kind(), Interrupted | OutOfMemory | ResourceBusy | TimedOut | WouldBlock)
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("the directory is locked by another instance"),
            Self::Directory(error) | Self::Write(error) | Self::Read(error) => error.fmt(f),
            Self::Full { used, most } => write!(f, "{used} of {most} bytes are used"),
            Self::Damaged => f.write_str("damaged: the file does not contain the chunk that was written"),
            Self::Version(version) => write!(f, "written in format version {version}, which this version cannot read"),
        }
    }
}

impl std::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory(error) | Self::Write(error) | Self::Read(error) => Some(error),
            _ => None,
        }
    }
}
