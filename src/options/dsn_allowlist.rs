//! Checks the DSN of a pod's annotation against the list of allowed hosts. The author of an annotation may not be the
//! operator of the cluster, so a value is accepted only if it is written exactly as Sentry shows it and its host is listed;
//! everything else is refused.

use super::{Dsn, DsnError};
use std::fmt;

/// The hosts of `dsn_allow_hosts`; none means that annotations are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// `sentry.example.com`, `sentry.example.com:9000` or `*.sentry.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    /// Lower case; for a pattern, the part after the star, with its dot.
    name: String,
    pattern: bool,
    /// Without one: the scheme's own port.
    port: Option<u16>,
}

/// Longest annotation that is read; Sentry's own DSNs have about a hundred characters.
pub const MAX_ANNOTATION: usize = 512;

/// Why an annotation was refused. Shows no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too long to be a DSN.
    TooLong,
    /// Characters that no DSN has: line breaks, blanks, percent signs, letters beyond ASCII.
    Characters,
    /// No DSN; the text names the expected form.
    NoDsn(DsnError),
    /// A DSN in another spelling than Sentry's: with a secret, in capitals, with dots in its path.
    Spelling,
    /// A DSN of a host that is not listed, or of another port.
    Unlisted(Dsn),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLong => write!(f, "longer than {MAX_ANNOTATION} characters"),
            Refusal::Characters => f.write_str("it has characters that a DSN cannot have"),
            Refusal::NoDsn(expected) => write!(f, "expected {expected}"),
            Refusal::Spelling => f.write_str("expected a DSN as Sentry shows it: lower case, no secret, a plain path"),
            Refusal::Unlisted(dsn) => write!(f, "host or port of {dsn} is not in dsn_allow_hosts"),
        }
    }
}

impl Hosts {
    /// Reads the list.
    ///
    /// # Errors
    /// The text names the expected form. A pattern that also matches organizations of strangers is refused.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        super::value::list(text).iter().map(|entry| Host::parse(entry)).collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if the list is empty: annotations are ignored then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads an annotation.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, annotation: &str) -> Result<Dsn, Refusal> {
        if annotation.len() > MAX_ANNOTATION {
            return Err(Refusal::TooLong);
        }
        if !annotation.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\' | b'"' | b'<' | b'>')) {
            return Err(Refusal::Characters);
        }
        let dsn = Dsn::parse(annotation).map_err(Refusal::NoDsn)?;
        if dsn.expose() != annotation || !dsn.has_plain_path() {
            return Err(Refusal::Spelling);
        }
        if self.0.iter().any(|host| host.allows(&dsn)) { Ok(dsn) } else { Err(Refusal::Unlisted(dsn)) }
    }
}

impl Host {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "host names with commas between them, such as sentry.example.com or \
                                o1.ingest.us.sentry.io, each with :port if it is not the default";
        const STRANGERS: &str = "hosts of your own: this one accepts data of any organization, so that anyone who may \
                                 annotate a pod could send its logs to an account of their own; set the host of your \
                                 DSN, such as o1.ingest.us.sentry.io";
        let entry = entry.to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port > 0).ok_or(EXPECTED)?)),
            None => (entry.as_str(), None),
        };
        if name == "*" {
            return Err(STRANGERS);
        }
        let (name, pattern) = match name.strip_prefix('*') {
            Some(rest) => (rest.strip_prefix('.').ok_or(EXPECTED)?, true),
            None => (name, false),
        };
        if !is_host(name, pattern) {
            return Err(EXPECTED);
        }
        if is_everybodys(name, pattern) {
            return Err(STRANGERS);
        }
        Ok(Self { name: if pattern { format!(".{name}") } else { name.to_owned() }, pattern, port })
    }

    fn allows(&self, dsn: &Dsn) -> bool {
        let (host, port) = dsn.host_and_port();
        let named = if self.pattern { host.ends_with(&self.name) && host != self.name } else { host == self.name };
        named && port == self.port.unwrap_or(dsn.scheme_port())
    }
}

/// A name of labels, or an address that is no pattern.
fn is_host(name: &str, pattern: bool) -> bool {
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Some(v6) = v6 {
        return !pattern && v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        let sound = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        !label.is_empty() && sound
    };
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.split('.').all(label) && !(pattern && number)
}

/// Returns true if the hosts with this name or pattern serve organizations of strangers: Sentry's own hosts, or whole
/// registries (`*.com`, `*.co.uk`).
fn is_everybodys(name: &str, pattern: bool) -> bool {
    let within = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let labels: Vec<&str> = name.split('.').collect();
    let registry = match labels[..] {
        [_] => true,
        [second, top] => top.len() == 2 && matches!(second, "ac" | "co" | "com" | "edu" | "gov" | "net" | "or" | "org"),
        _ => false,
    };
    if pattern {
        return registry || within("sentry.io");
    }
    // Organisations have hosts of their own there, `o1.ingest.us.sentry.io`; these are the doors for all.
    within("sentry.io") && !labels.first().is_some_and(|label| is_organization(label))
}

/// `o` and a number.
fn is_organization(label: &str) -> bool {
    label.strip_prefix('o').is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn lists_name_hosts_and_patterns_of_ones_own() {
        for text in [
            "sentry.example.com",
            "Sentry.Example.com, o1.ingest.us.sentry.io",
            "*.sentry.example.com",
            "*.example.com",
            "sentry",
            "127.0.0.1:9000",
            "[::1]:9000",
            "[::1]",
        ] {
            assert!(Hosts::parse(text).is_ok_and(|hosts| !hosts.is_empty()), "{text}");
        }
        assert!(Hosts::parse(" , ").is_ok_and(|hosts| hosts.is_empty()));
    }

    #[test]
    fn a_list_that_lets_strangers_in_is_refused_with_the_reason() {
        for text in [
            "*",
            "*:443",
            "*.io",
            "*.sentry.io",
            "*.ingest.sentry.io",
            "*.ingest.us.sentry.io",
            "*.DE.Sentry.io",
            "good.example.com,*.ingest.sentry.io",
            "sentry.io",
            "ingest.sentry.io",
            "ingest.us.sentry.io",
            "*.co.uk",
        ] {
            let problem = Hosts::parse(text).unwrap_err();
            assert!(problem.contains("any organization"), "{text}: {problem}");
        }
        for text in [
            "https://sentry.example.com",
            "a b",
            "sentry.example.com/1",
            "k@h",
            "o*.example.com",
            "**.example.com",
            "*example.com",
            "h\u{e9}.example.com",
            "sentry.example.com.",
            ".example.com",
            "h:0",
            "h:99999",
            "h:",
            "[::g]",
            "*.[::1]",
            "*.0.0.1",
        ] {
            let problem = Hosts::parse(text).unwrap_err();
            assert!(problem.contains("host names"), "{text}: {problem}");
        }
    }

    #[test]
    fn an_annotation_is_taken_only_as_sentry_writes_it_and_only_for_a_listed_host() {
        let hosts = Hosts::parse("sentry.example.com, *.apps.example.com, 127.0.0.1:9000, [::1]:9000").unwrap();
        for (good, url) in [
            ("https://KEY@sentry.example.com/7", "https://sentry.example.com/api/7/envelope/"),
            ("http://KEY@sentry.example.com/7", "http://sentry.example.com/api/7/envelope/"),
            ("https://KEY@sentry.example.com:443/7", "https://sentry.example.com:443/api/7/envelope/"),
            ("https://KEY@sentry.example.com/a/b-c/7", "https://sentry.example.com/a/b-c/api/7/envelope/"),
            ("https://KEY@team.apps.example.com/7", "https://team.apps.example.com/api/7/envelope/"),
            ("http://KEY@127.0.0.1:9000/7", "http://127.0.0.1:9000/api/7/envelope/"),
            ("http://KEY@[::1]:9000/7", "http://[::1]:9000/api/7/envelope/"),
        ] {
            let dsn = hosts.judge(&good.replace("KEY", KEY));
            assert_eq!(dsn.map(|dsn| dsn.envelope_url()), Ok(url.to_owned()), "{good}");
        }
    }

    #[test]
    fn hostile_annotations_are_refused_and_the_reason_shows_no_key() {
        let hosts = Hosts::parse("sentry.example.com, *.apps.example.com, 127.0.0.1:9000").unwrap();
        let refused = |text: &str| {
            let refusal = hosts.judge(text).expect_err(text);
            assert!(!refusal.to_string().contains(KEY) && !refusal.to_string().contains("hunter2"), "{refusal}");
            refusal
        };
        let long = format!("https://KEY@sentry.example.com/{}", "9".repeat(600));
        for (bad, kind) in [
            // Other schemes.
            ("ftp://KEY@sentry.example.com/7", "NoDsn"),
            ("file:///etc/passwd", "NoDsn"),
            ("javascript:alert(1)", "NoDsn"),
            ("//KEY@sentry.example.com/7", "NoDsn"),
            ("HTTPS://KEY@sentry.example.com/7", "Spelling"),
            ("", "NoDsn"),
            // A secret, and tricks with who comes before the host.
            ("https://KEY:hunter2@sentry.example.com/7", "Spelling"),
            ("https://KEY:@sentry.example.com/7", "Spelling"),
            ("https://KEY@sentry.example.com@evil.example.net/7", "NoDsn"),
            ("https://KEY@evil.example.net:443@sentry.example.com/7", "NoDsn"),
            ("https://sentry.example.com@evil.example.net/7", "NoDsn"),
            ("https://KEY@evil.example.net#@sentry.example.com/7", "NoDsn"),
            ("https://KEY@evil.example.net?@sentry.example.com/7", "NoDsn"),
            ("https://KEY@evil.example.net\\@sentry.example.com/7", "Characters"),
            // Line breaks, blanks, other letters.
            ("https://KEY@sentry.example.com/7\r\nX-Evil: 1", "Characters"),
            ("https://KEY@sentry.example.com/7\n", "Characters"),
            (" https://KEY@sentry.example.com/7", "Characters"),
            ("https://KEY@sentry.example.com\u{0}/7", "Characters"),
            ("https://KEY@s\u{435}ntry.example.com/7", "Characters"),
            ("https://KEY@sentry\u{3002}example.com/7", "Characters"),
            ("https://KEY@xn--sntry-x8d.example.com/7", "Unlisted"),
            ("https://KEY@sentry%2eexample.com/7", "Characters"),
            ("https://KEY@sentry.example.com%40evil.example.net/7", "Characters"),
            // Length.
            (long.as_str(), "TooLong"),
            // Listed hosts that are not quite.
            ("https://KEY@sentry.example.com:8443/7", "Unlisted"),
            ("http://KEY@sentry.example.com:443/7", "Unlisted"),
            ("https://KEY@sentry.example.com:80/7", "Unlisted"),
            ("http://KEY@127.0.0.1/7", "Unlisted"),
            ("http://KEY@127.0.0.1:9001/7", "Unlisted"),
            ("http://KEY@127.1:9000/7", "Unlisted"),
            ("http://KEY@2130706433:9000/7", "Unlisted"),
            ("https://KEY@sentry.example.com./7", "Unlisted"),
            ("https://KEY@Sentry.Example.com/7", "Spelling"),
            ("https://KEY@sentry.example.com.evil.example.net/7", "Unlisted"),
            ("https://KEY@notsentry.example.com/7", "Unlisted"),
            ("https://KEY@evil.example.net/7", "Unlisted"),
            ("https://KEY@apps.example.com/7", "Unlisted"),
            ("https://KEY@.apps.example.com/7", "Unlisted"),
            ("https://KEY@evilapps.example.com/7", "Unlisted"),
            // Paths.
            ("https://KEY@sentry.example.com/../admin/7", "Spelling"),
            ("https://KEY@sentry.example.com//7", "Spelling"),
            ("https://KEY@sentry.example.com/a//b/7", "Spelling"),
            ("https://KEY@sentry.example.com/a;b/7", "Spelling"),
            ("https://KEY@sentry.example.com/7/", "NoDsn"),
            ("https://KEY@sentry.example.com/+7", "Spelling"),
            ("https://KEY@sentry.example.com/007", "Spelling"),
            ("https://KEY@sentry.example.com/7?x=/7", "NoDsn"),
            ("https://KEY@sentry.example.com:0443/7", "Spelling"),
        ] {
            let refusal = refused(&bad.replace("KEY", KEY));
            assert!(format!("{refusal:?}").starts_with(kind), "{bad}: {refusal:?}");
        }
    }

    #[test]
    fn without_a_list_every_annotation_is_refused() {
        assert!(Hosts::default().judge(&format!("https://{KEY}@sentry.example.com/7")).is_err());
    }
}
