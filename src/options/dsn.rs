//! Parses a Sentry DSN: the address of a project, and the public key that authenticates requests to it.
//!
//! `{http|https}://{public key}[:{secret}]@{host}[:{port}][/{prefix}]/{project id}`
//! (<https://develop.sentry.dev/sdk/foundations/transport/authentication/>). Relay requires a key of exactly 32 ASCII
//! characters and a project id that is a 64-bit number; the parser checks both at startup, when a person can still fix them.

use super::DsnError;
use std::fmt;

/// A parsed DSN. Its `Debug` form hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn {
    scheme: &'static str,
    public_key: String,
    authority: String,
    prefix: String,
    project: u64,
}

/// Longest DSN read; a longer one is somebody's mistake or attack.
const MAX_BYTES: usize = 2_048;

impl Dsn {
    /// Parses a DSN.
    ///
    /// # Errors
    /// The reason why the text is no DSN, in words that do not repeat the key.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        if text.len() > MAX_BYTES {
            return Err(DsnError::TooLong);
        }
        if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
            return Err(DsnError::Quoted);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(DsnError::Blank);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((s, rest)) if s.eq_ignore_ascii_case("https") => ("https", rest),
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => ("http", rest),
            _ => return Err(DsnError::Scheme),
        };
        let (credentials, rest) = rest.split_once('@').ok_or(DsnError::NoKey)?;
        let public_key = credentials.split(':').next().unwrap_or_default();
        if public_key.len() != 32 || !public_key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(DsnError::Key);
        }
        let (authority, path) = rest.split_once('/').ok_or(DsnError::NoProject)?;
        check_authority(authority)?;
        let (prefix, project) = path.rsplit_once('/').unwrap_or(("", path));
        if prefix.contains(['?', '#', '@', '\\']) {
            return Err(DsnError::Path);
        }
        let project = project.parse().map_err(|_| DsnError::Project)?;
        Ok(Self {
            scheme,
            public_key: public_key.to_owned(),
            authority: authority.to_ascii_lowercase(),
            prefix: prefix.trim_matches('/').to_owned(),
            project,
        })
    }

    /// Host and, when given, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Host, and the port that is connected to.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        match self.authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, port.parse().unwrap_or_default()),
            None => (&self.authority, self.scheme_port()),
        }
    }

    /// The port of a DSN that names none.
    #[must_use]
    pub fn scheme_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }

    /// Returns true if the DSN is reached through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// Returns true if the path before the project consists of plain names: nothing that a server could read as another
    /// path, and no number in another spelling.
    #[must_use]
    pub(super) fn has_plain_path(&self) -> bool {
        let plain = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let port = self.authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let port = port.is_none_or(|(_, port)| !port.starts_with(['0', '+']));
        port && (self.prefix.is_empty() || self.prefix.split('/').all(plain))
    }

    /// The public key. A secret as far as logs are concerned.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The project's number.
    #[must_use]
    pub fn project(&self) -> u64 {
        self.project
    }

    /// Returns the part of the DSN that stays the same when the key is rotated: scheme, host and project.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}://{}{}/{}", self.scheme, self.authority, self.slashed_prefix(), self.project)
    }

    /// Returns the URL to which envelopes are posted. The trailing slash belongs to the route.
    #[must_use]
    pub fn envelope_url(&self) -> String {
        format!("{}://{}{}/api/{}/envelope/", self.scheme, self.authority, self.slashed_prefix(), self.project)
    }

    /// The DSN itself, for the envelope header.
    #[must_use]
    pub fn expose(&self) -> String {
        let prefix = self.slashed_prefix();
        format!("{}://{}@{}{}/{}", self.scheme, self.public_key, self.authority, prefix, self.project)
    }

    fn slashed_prefix(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("/{}", self.prefix) }
    }
}

fn check_authority(authority: &str) -> Result<(), DsnError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let v6 = bracketed && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
    if !plain && !v6 {
        return Err(DsnError::Host);
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        _ => Err(DsnError::Port),
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows everything but the key.
impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://***@{}{}/{}", self.scheme, self.authority, self.slashed_prefix(), self.project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn parses_the_forms_that_sentry_shows() {
        let dsn = Dsn::parse(&format!("https://{KEY}@o1.ingest.example.invalid/42")).unwrap();
        assert_eq!(dsn.envelope_url(), "https://o1.ingest.example.invalid/api/42/envelope/");
        let dsn = Dsn::parse(&format!("http://{KEY}:secret@[::1]:9000/a/b/7")).unwrap();
        assert_eq!(dsn.envelope_url(), "http://[::1]:9000/a/b/api/7/envelope/");
        assert_eq!(dsn.expose(), format!("http://{KEY}@[::1]:9000/a/b/7"));
        assert_eq!((dsn.project(), dsn.authority()), (7, "[::1]:9000"));
    }

    #[test]
    fn identity_outlives_a_rotated_key() {
        let other = KEY.replace('0', "f");
        let at = |key: &str| Dsn::parse(&format!("https://{key}@h/1")).unwrap().identity();
        assert_eq!(at(KEY), at(&other));
    }

    #[test]
    fn each_error_has_its_own_text_without_the_key() {
        for (text, word) in [
            (format!("ftp://{KEY}@h/1"), "https://"),
            (format!("https://{KEY}.h/1"), "before an @"),
            ("https://short@h/1".into(), "32 letters"),
            (format!("https://{KEY}@/1"), "host name"),
            (format!("https://{KEY}@h\u{e9}/1"), "host name"),
            (format!("https://{KEY}@h:0/1"), "port"),
            (format!("https://{KEY}@h:99999/1"), "port"),
            (format!("https://{KEY}@h"), "project id"),
            (format!("https://{KEY}@h/"), "a number"),
            (format!("https://{KEY}@h/x"), "a number"),
            (format!("https://{KEY}@h/1?x=/2"), "no ?"),
            (format!("https://{KEY}@h/1\r\nX: y"), "line breaks"),
            (format!("https://{KEY}@h/{}", "9".repeat(3000)), "2048"),
        ] {
            let problem = Dsn::parse(&text).unwrap_err().to_string();
            assert!(problem.contains(word), "{text} -> {problem}");
            assert!(!problem.contains(KEY));
        }
    }

    #[test]
    fn no_printed_form_shows_the_key() {
        let dsn = Dsn::parse(&format!("https://{KEY}@h/1")).unwrap();
        assert_eq!(format!("{dsn} {dsn:?}"), "https://***@h/1 https://***@h/1");
    }
}
