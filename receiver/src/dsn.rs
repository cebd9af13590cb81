//! Parses a DSN: the address to which a client sends, and its key.

use std::fmt;

/// `{scheme}://{key}[:{secret}]@{authority}{prefix}/{project}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dsn {
    pub scheme: String,
    pub key: String,
    /// Host, and port where one is given.
    pub authority: String,
    /// Path before the project, without a slash at its end.
    pub prefix: String,
    pub project: u64,
}

impl Dsn {
    /// Reads a DSN; the error names the expected form and never repeats the key.
    pub fn parse(text: &str) -> Result<Dsn, String> {
        let (scheme, rest) = text.trim().split_once("://").ok_or("expected SCHEME://KEY@HOST/PROJECT")?;
        if scheme != "http" && scheme != "https" {
            return Err(format!("expected scheme http or https, found {scheme:?}"));
        }
        let (who, place) = rest.split_once('@').ok_or("expected a public key before '@'")?;
        let key = who.split(':').next().unwrap_or_default();
        if !is_key(key) {
            return Err("expected a public key of 32 hexadecimal digits".to_owned());
        }
        let (authority, path) = place.split_once('/').ok_or("expected a project id after the host")?;
        if authority.is_empty() {
            return Err("expected a host".to_owned());
        }
        let (prefix, project) = path.rsplit_once('/').map_or(("", path), |(prefix, project)| (prefix, project));
        let project =
            project.parse().map_err(|_| format!("expected a number as project id at the end, found {project:?}"))?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Dsn { scheme: scheme.into(), key: key.into(), authority: authority.into(), prefix, project })
    }

    /// Path of the envelope endpoint, with the trailing slash its route has.
    pub fn envelope_path(&self) -> String {
        format!("{}/api/{}/envelope/", self.prefix, self.project)
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}@{}{}/{}", self.scheme, self.key, self.authority, self.prefix, self.project)
    }
}

/// Returns true if the text could be a public key: 32 hexadecimal digits.
pub(super) fn is_key(text: &str) -> bool {
    text.len() == 32 && is_hex(text)
}

/// Returns true if the text has only hexadecimal digits (in either case).
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn parts_and_back() {
        for (text, authority, prefix, project) in [
            ("http://KEY@localhost:8000/1", "localhost:8000", "", 1),
            ("https://KEY@o1.example.org/a/b/42", "o1.example.org", "/a/b", 42),
            ("http://KEY@[::1]:9/7", "[::1]:9", "", 7),
        ] {
            let text = text.replace("KEY", KEY);
            let dsn = Dsn::parse(&text).unwrap();
            assert_eq!((dsn.authority.as_str(), dsn.prefix.as_str(), dsn.project), (authority, prefix, project));
            assert_eq!(dsn.to_string(), text);
        }
        let secret = Dsn::parse(&format!("http://{KEY}:secret@h/p/3")).unwrap();
        assert_eq!((secret.key.as_str(), secret.envelope_path().as_str()), (KEY, "/p/api/3/envelope/"));
    }

    #[test]
    fn refusals_say_what_was_expected_and_hide_the_key() {
        for (text, expected) in [
            ("nonsense", "SCHEME"),
            ("ftp://KEY@h/1", "scheme"),
            ("http://h/1", "public key before"),
            ("http://short@h/1", "32 hex"),
            ("http://KEY@h", "project id after"),
            ("http://KEY@/1", "host"),
            ("http://KEY@h/x", "number"),
        ] {
            let error = Dsn::parse(&text.replace("KEY", KEY)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains(KEY), "{text}: {error}");
        }
    }
}
