//! Errors in options and DSNs. Their texts are for the person who writes the configuration, and never show a secret.

use std::error::Error;
use std::fmt;

/// An option that cannot work as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option, or the name given instead of one.
    pub option: String,
    /// The given text, masked where it is a secret; empty where nothing was given, and then `expected` is the whole text.
    pub found: String,
    /// Description of a correct value.
    pub expected: String,
}

impl OptionError {
    /// Returns the error of an option.
    pub(super) fn new(option: &str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { option: option.to_owned(), found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found.as_str() {
            "" => f.write_str(&self.expected),
            found => write!(f, "{} = {found}: expected {}", self.option, self.expected),
        }
    }
}

impl Error for OptionError {}

/// The reason why a text is no DSN. Its text describes a correct DSN, so that it fits after "expected".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsnError {
    /// The text is longer than 2048 bytes.
    TooLong,
    /// The text begins or ends with a quote, for example from a shell or a YAML file.
    Quoted,
    /// The text contains white space or a control character.
    Blank,
    /// The text does not begin with `https://` or `http://`.
    Scheme,
    /// There is no `@` behind the public key.
    NoKey,
    /// The public key does not consist of 32 ASCII letters and digits, as Relay requires.
    Key,
    /// The part after the `@` does not begin with a host name or an IP address.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// There is no path, and thus no project.
    NoProject,
    /// The path before the project contains a character that ends or changes a path.
    Path,
    /// The last part of the path is no 64-bit number.
    Project,
}

impl DsnError {
    /// Returns the description of a correct DSN.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::TooLong => "a DSN of at most 2048 characters",
            Self::Quoted => "a DSN without quotes",
            Self::Blank => "a DSN without spaces or line breaks inside",
            Self::Scheme => "a DSN that begins with https:// or http://, as Sentry's project settings show it",
            Self::NoKey => "a DSN with its public key before an @",
            Self::Key => "a DSN whose public key has 32 letters and digits",
            Self::Host => "a DSN with a host name or address after the @",
            Self::Port => "a DSN whose port is a number from 1 to 65535",
            Self::NoProject => "a DSN that ends with /<project id>",
            Self::Path => "a DSN whose path has no ?, #, @ or backslash",
            Self::Project => "a DSN that ends with /<project id>, a number",
        }
    }
}

impl fmt::Display for DsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }
}

impl Error for DsnError {}
