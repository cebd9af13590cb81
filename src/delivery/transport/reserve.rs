//! Keeps one file descriptor in reserve, so that senders can still open a socket when the process has no descriptor left.

use crate::delivery::store::is_out_of_descriptors;
use crate::sync::Mutex;
use std::fs::File;

const ANY_FILE: &str = "/dev/null";

/// A descriptor that is given up when there is no other.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Reserve(Mutex<Option<File>>);

impl Reserve {
    /// Takes a descriptor into reserve, if there is none and the process has one to spare.
    pub(in crate::delivery) fn fill(&self) {
        let mut reserve = crate::delivery::lock(&self.0);
        if reserve.is_none() {
            *reserve = File::open(ANY_FILE).ok();
        }
    }

    /// After a request that failed: gives the descriptor up if the process has no other. Returns true if it is worth
    /// trying again.
    pub(in crate::delivery) fn give_up(&self) -> bool {
        let is_short = File::open(ANY_FILE).is_err_and(|error| is_out_of_descriptors(&error));
        is_short && crate::delivery::lock(&self.0).take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_while_there_are_others() {
        let reserve = Reserve::default();
        reserve.fill();
        assert!(!reserve.give_up());
        assert!(crate::delivery::lock(&reserve.0).is_some());
    }
}
