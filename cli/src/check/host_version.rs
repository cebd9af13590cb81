//! Holds the version of the Fluent Bit that will use a configuration.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

/// A version of Fluent Bit, as exact as it was given: `5`, `5.1` or `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostVersion {
    pub(super) major: u32,
    minor: Option<u32>,
    patch: Option<u32>,
}

impl HostVersion {
    /// Returns the version of the `fluent-bit` on `PATH`.
    pub(super) fn installed() -> Option<Self> {
        let output = Command::new("fluent-bit").arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().find(|word| word.starts_with('v') && word.contains('.'))?.parse().ok()
    }

    /// Returns true if the version may be one of `first` to `last`, both included: `3` may be 3.2.2.
    pub(super) fn may_be_within(self, first: [u32; 3], last: [u32; 3]) -> bool {
        let filled = |rest: u32| [self.major, self.minor.unwrap_or(rest), self.patch.unwrap_or(rest)];
        filled(u32::MAX) >= first && filled(0) <= last
    }
}

impl FromStr for HostVersion {
    type Err = String;

    /// Reads `5`, `5.1` or `v5.1.1`; what follows the third number does not count.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.trim_start_matches('v').splitn(3, '.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse().map_err(|_| "expected a version such as 5.1.1".to_owned())
        });
        let major = numbers.next().unwrap_or_else(|| Err(String::new()))?;
        Ok(Self { major, minor: numbers.next().transpose()?, patch: numbers.next().transpose()? })
    }
}

impl fmt::Display for HostVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.major)?;
        [self.minor, self.patch].iter().flatten().try_for_each(|number| write!(f, ".{number}"))
    }
}
