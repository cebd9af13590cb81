//! Tells when the process has no file descriptor left, and keeps one in reserve, so that senders can still open a socket then.

use crate::sync::Mutex;
use std::fs::File;
use std::io;

const ANY_FILE: &str = "/dev/null";

/// Returns true if the process, or the machine, has no descriptor left (`EMFILE`, `ENFILE`).
pub(in crate::delivery) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// A descriptor that is given up when there is no other.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Reserve(Mutex<Option<File>>);

impl Reserve {
    /// Takes a descriptor into reserve, if there is none and the process has one to spare.
    pub(in crate::delivery) fn fill(&self) {
        let mut reserve = crate::sync::lock(&self.0);
        if reserve.is_none() {
            *reserve = File::open(ANY_FILE).ok();
        }
    }

    /// After a request that failed: gives the descriptor up if the process has no other. Returns true if it is worth
    /// trying again.
    pub(in crate::delivery) fn give_up(&self) -> bool {
        let is_short = File::open(ANY_FILE).is_err_and(|error| is_out_of_descriptors(&error));
        is_short && crate::sync::lock(&self.0).take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_reserve_while_descriptors_are_available() {
        let reserve = Reserve::default();
        reserve.fill();
        assert!(!reserve.give_up());
        assert!(crate::sync::lock(&reserve.0).is_some());
    }
}
