//! Paths to fields, and the roles that fields have.

use crate::chunk::msgpack::Value;

/// Purpose of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Holds the message.
    Message,
    /// Holds the severity.
    Level,
    /// Holds the logger's name.
    Logger,
    /// Holds a stack trace.
    Stack,
    /// Holds the environment.
    Environment,
    /// Holds the release.
    Release,
    /// Holds the server's name.
    ServerName,
    /// Holds the trace id.
    TraceId,
    /// Holds the span id.
    SpanId,
    /// Holds the user's id.
    UserId,
    /// Is part of the fingerprint; the number is its place in the template.
    Fingerprint(u8),
    /// Is promoted to a tag.
    Tag,
    /// The map that the kubernetes filter adds.
    Kubernetes,
    /// Known noise of container runtimes and inputs.
    Noise,
    /// The path of the file that a line came from (`Path_Key` of the tail input).
    FilePath,
    /// Holds the time that the logger itself gives.
    Time,
    /// Holds the type of the exception whose stack trace is in the record.
    ErrorType,
    /// Holds the message of that exception.
    ErrorMessage,
}

/// A path to a field: its first key, and the keys below it.
#[derive(Clone, Debug)]
pub struct Path {
    pub(super) role: Role,
    pub(super) rank: u8,
    /// True if only a field that Fluent Bit added may be found here, because it says which pod wrote the record.
    pub(super) host_only: bool,
    /// The rest of the path from each of its keys on, as one key with dots: it may stand there in that form.
    pub(super) below: Box<[Step]>,
}

impl Path {
    /// Returns true if the path has one key only.
    pub(crate) fn ends(&self) -> bool {
        self.below.is_empty()
    }
}

/// One key below the first of a path.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(super) key: Box<str>,
    pub(super) rest: Box<str>,
}

/// Ranks of the keys that the user has set; a list is no longer than this.
pub(crate) const CHOSEN: u8 = 0;

/// Ranks of the fields of a known logger.
pub(super) const RECOGNISED: u8 = 100;

/// Ranks of the defaults of the options.
pub(crate) const DEFAULT: u8 = 150;

/// Ranks of the keys that no option names.
pub(crate) const LAST: u8 = 200;

impl Role {
    pub(super) fn bit(self) -> u32 {
        1 << self.number().min(31)
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Self::Message => 0,
            Self::Level => 1,
            Self::Logger => 2,
            Self::Stack => 3,
            Self::Environment => 4,
            Self::Release => 5,
            Self::ServerName => 6,
            Self::TraceId => 7,
            Self::SpanId => 8,
            Self::UserId => 9,
            Self::Tag => 10,
            Self::Kubernetes => 11,
            Self::Noise => 12,
            Self::FilePath => 13,
            Self::Time => 14,
            Self::ErrorType => 15,
            Self::ErrorMessage => 16,
            Self::Fingerprint(place) => 31 + u32::from(place),
        }
    }
}

/// Returns true for `kubernetes` and for one of its fields written with dots.
pub(super) fn is_of_kubernetes(name: &[u8]) -> bool {
    name.strip_prefix(b"kubernetes").is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

pub(super) fn is_below_kubernetes(segments: &[Box<str>]) -> bool {
    segments.first().is_some_and(|first| &**first == "kubernetes")
}

pub(crate) fn steps(below: &[Box<str>]) -> Box<[Step]> {
    let step = |depth: usize| Step { key: below[depth].clone(), rest: below[depth..].join(".").into() };
    (0..below.len()).map(step).collect()
}

/// `a.b.c`, `$a['b']['c']`, `a['b.c']` as keys.
pub(crate) fn segments(name: &str) -> Vec<Box<str>> {
    let name = name.strip_prefix('$').unwrap_or(name);
    let mut segments = Vec::new();
    for (position, part) in name.split('[').enumerate() {
        if position == 0 {
            segments.extend(part.split('.').filter(|key| !key.is_empty()).map(Into::into));
        } else {
            segments.push(part.trim_end_matches(']').trim_matches(['\'', '"']).into());
        }
    }
    segments
}

pub(crate) fn follow<'a>(mut found: (&'a [u8], Value<'a>), below: &[Step]) -> Option<(&'a [u8], Value<'a>)> {
    for (depth, step) in below.iter().enumerate() {
        let map = found.1.map()?;
        // The rest of the path may stand there as one key with its dots: `kubernetes.labels.app.kubernetes.io/name`.
        if let Some(hit) = map.pair(&step.rest) {
            return Some(hit);
        }
        if depth + 1 == below.len() {
            return None;
        }
        found = map.pair(&step.key)?;
    }
    Some(found)
}
