//! Turns the errors of the HTTP client into [`SendError`]s, in the context of their request.

use crate::clock::WallTime;
use crate::delivery::transport::error::SendError;
use crate::options::{Dsn, ProxyUrl};
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::io;

/// Context in which a request was made.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct RequestContext<'w> {
    pub(in crate::delivery) dsn: &'w Dsn,
    pub(in crate::delivery) proxy: Option<&'w ProxyUrl>,
    /// True if any issuer of certificates is trusted at all.
    pub(in crate::delivery) has_roots: bool,
}

/// The standard library's text for a name that cannot be resolved.
const LOOKUP: &str = "failed to lookup address information";

/// Returns true if no byte of the request has been sent to the server: its name was not found, or no connection was made.
pub(in crate::delivery) fn is_before_request(error: &ureq::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        ureq::Error::Io(error) => {
            let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
            let kinds = [AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable];
            is_tls || kinds.contains(&error.kind()) || error.to_string().starts_with(LOOKUP)
        }
        _ => false,
    }
}

impl RequestContext<'_> {
    /// Returns the error of a request that failed like this.
    pub(in crate::delivery) fn error(&self, error: &ureq::Error) -> SendError {
        match error {
            ureq::Error::Io(error) => self.io(error),
            ureq::Error::Rustls(error) => self.tls(error),
            ureq::Error::HostNotFound => self.connection("host name not found"),
            ureq::Error::Timeout(_) => SendError::Timeout,
            ureq::Error::ConnectProxyFailed(reason) => self.proxy(reason),
            ureq::Error::Protocol(error) => SendError::NotHttp(error.to_string()),
            other => SendError::Other(other.to_string()),
        }
    }

    /// With a proxy, names and connections are the proxy's.
    fn connection(&self, problem: &str) -> SendError {
        SendError::Connection { proxy: self.proxy.map(ToString::to_string), problem: problem.to_owned() }
    }

    fn io(&self, error: &io::Error) -> SendError {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return self.tls(error);
        }
        match (error.kind(), error.to_string()) {
            (io::ErrorKind::ConnectionRefused, _) => self.connection("connection refused"),
            (io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe, text) if self.dsn.is_https() => {
                SendError::Reset(text)
            }
            (io::ErrorKind::UnexpectedEof, _) if self.dsn.is_https() => SendError::Closed,
            (_, text) => match text.strip_prefix(LOOKUP) {
                Some(why) => self.connection(&format!("host name not found{why}")),
                None => self.connection(&text),
            },
        }
    }

    fn tls(&self, error: &rustls::Error) -> SendError {
        use rustls::Error;
        match error {
            Error::InvalidCertificate(problem) => SendError::Certificate(self.certificate(problem)),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => SendError::NotTls { server: self.server() },
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::PeerIncompatible(_) => SendError::TlsVersion { server: self.server() },
            other => SendError::Tls(other.to_string()),
        }
    }

    fn certificate(&self, problem: &CertificateError) -> String {
        let host = self.dsn.host_and_port().0;
        let day = |time: rustls::pki_types::UnixTime| WallTime::from_secs(time.as_secs()).date();
        match problem {
            CertificateError::Expired => format!("the certificate of {host} has expired"),
            CertificateError::ExpiredContext { time, not_after } => format!(
                "the certificate of {host} has expired on {}; this machine's clock says {}",
                day(*not_after),
                day(*time)
            ),
            CertificateError::NotValidYet => format!("the certificate of {host} is not valid yet"),
            CertificateError::NotValidYetContext { time, not_before } => format!(
                "the certificate of {host} is not valid before {}; this machine's clock says {}",
                day(*not_before),
                day(*time)
            ),
            CertificateError::NotValidForName => format!("the certificate is not for the name {host}"),
            CertificateError::NotValidForNameContext { presented, .. } => {
                format!("the certificate is not for the name {host} but for {}", names(presented))
            }
            CertificateError::UnknownIssuer if !self.has_roots => format!(
                "the certificate of {host} has an unknown issuer: this system has no root certificates (package \
                 ca-certificates); install them or set tls_ca_file"
            ),
            CertificateError::UnknownIssuer => {
                format!("the certificate of {host} has an unknown issuer; set tls_ca_file to the issuer's certificate")
            }
            other => format!("the certificate of {host} is not accepted: {other}"),
        }
    }

    /// Returns the error for a TLS alert of the server.
    fn alert(&self, alert: AlertDescription) -> SendError {
        let server = self.server();
        match alert {
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                SendError::ClientCertificateMissing { server }
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => {
                SendError::ClientCertificateRejected { server, alert: format!("{alert:?}") }
            }
            AlertDescription::HandshakeFailure => SendError::Handshake { server },
            other => SendError::TlsAlert { server, alert: format!("{other:?}") },
        }
    }

    /// `proxy server responded 407/407` and the like; the text is ureq's.
    fn proxy(&self, reason: &str) -> SendError {
        let proxy = self.proxy.map(ToString::to_string).unwrap_or_default();
        let server = self.server();
        let status = reason.rsplit(' ').next().and_then(|code| code.split('/').next()?.parse::<u16>().ok());
        match status {
            // tinyproxy responds to invalid ones with 401.
            Some(status @ (401 | 407)) => SendError::ProxyCredentials { proxy, status },
            Some(status @ (400..=405)) => SendError::ProxyForbids { proxy, server, status },
            Some(status) => SendError::ProxyUnreachable { proxy, server, status },
            None => SendError::Proxy { proxy, reason: reason.to_owned() },
        }
    }

    /// Returns host and port of the destination.
    fn server(&self) -> String {
        let (host, port) = self.dsn.host_and_port();
        format!("{host}:{port}")
    }
}

/// Returns the first few names of a certificate; they come from a stranger, so only printable characters.
fn names(presented: &[String]) -> String {
    const NAMED: usize = 3;
    // rustls shows a name as `DnsName("a.example")`.
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).chars().filter(|c| !c.is_control()).collect();
    let shown: Vec<String> = presented.iter().take(NAMED).map(plain).collect();
    match presented.len() {
        0 => "no name at all".to_owned(),
        count if count > NAMED => format!("{} and {} more", shown.join(", "), count - NAMED),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Proxies;
    use rustls::pki_types::{ServerName, UnixTime};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn tls(error: rustls::Error) -> ureq::Error {
        ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn certificate(problem: CertificateError) -> ureq::Error {
        tls(rustls::Error::InvalidCertificate(problem))
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    fn dsn() -> Dsn {
        Dsn::parse(&format!("https://{KEY}@sentry.example/1")).unwrap()
    }

    fn failure(error: &ureq::Error, proxy: Option<&str>) -> SendError {
        let (dsn, proxies) = (dsn(), proxy.map(|url| Proxies::parse(url).unwrap()).unwrap_or_default());
        RequestContext { dsn: &dsn, proxy: proxies.for_dsn(&dsn), has_roots: true }.error(error)
    }

    #[test]
    fn certificate_errors_name_host_reason_and_option() {
        let presented = vec!["DnsName(\"a.example\")".to_owned()];
        let expected = ServerName::try_from("sentry.example").unwrap();
        for (problem, text) in [
            (
                CertificateError::ExpiredContext { time: at(1_795_000_000), not_after: at(1_790_000_000) },
                "the certificate of sentry.example has expired on 2026-09-21; this machine's clock says 2026-11-18",
            ),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(1_790_000_000) },
                "the certificate of sentry.example is not valid before 2026-09-21; this machine's clock says 1970-01-01",
            ),
            (
                CertificateError::NotValidForNameContext { expected, presented },
                "the certificate is not for the name sentry.example but for a.example",
            ),
            (
                CertificateError::UnknownIssuer,
                "the certificate of sentry.example has an unknown issuer; set tls_ca_file to the issuer's certificate",
            ),
        ] {
            assert_eq!(failure(&certificate(problem), None), SendError::Certificate(text.to_owned()));
        }
        let context = RequestContext { dsn: &dsn(), proxy: None, has_roots: false };
        let no_roots = context.error(&certificate(CertificateError::UnknownIssuer));
        assert!(no_roots.to_string().contains("no root certificates"), "{no_roots:?}");
    }

    #[test]
    fn tls_and_proxy_errors_name_the_option_to_set() {
        let alert = |alert| tls(rustls::Error::AlertReceived(alert));
        let proxy = |reason: &str| ureq::Error::ConnectProxyFailed(reason.to_owned());
        let refused = || ureq::Error::Io(io::ErrorKind::ConnectionRefused.into());
        let plain = tls(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
        for (error, text, is_permanent) in [
            (alert(AlertDescription::CertificateRequired), "sentry.example:443 requires a client certificate", true),
            (alert(AlertDescription::UnknownCA), "refuses the client certificate in tls_crt_file (UnknownCA)", true),
            (plain, "sentry.example:443 does not speak TLS", true),
            (proxy("proxy server responded 407/407"), "proxy http://***@p:1 refuses its user and password (407)", true),
            (proxy("proxy server responded 403/403"), "does not allow CONNECT to sentry.example:443 (403)", true),
            (proxy("proxy server responded 502/502"), "cannot reach sentry.example:443 (502)", false),
            (proxy("proxy server did not respond"), "proxy http://***@p:1: proxy server did not respond", false),
            (refused(), "proxy http://***@p:1: connection refused", false),
            (ureq::Error::HostNotFound, "proxy http://***@p:1: host name not found", false),
        ] {
            let failure = failure(&error, Some("http://me:hunter2@p:1"));
            assert!(
                failure.to_string().contains(text) && failure.is_permanent() == is_permanent,
                "{text}: {failure:?}"
            );
            assert!(
                !format!("{failure} {failure:?}").contains("hunter2") && !failure.to_string().contains(KEY),
                "{failure:?}"
            );
        }
        assert_eq!(failure(&refused(), None).to_string(), "connection refused");
    }

    #[test]
    fn lists_at_most_three_certificate_names() {
        let many: Vec<String> = (0..9).map(|n| format!("DnsName(\"{n}\n.example\")")).collect();
        assert_eq!(names(&many), "0.example, 1.example, 2.example and 6 more");
        assert_eq!(names(&[]), "no name at all");
    }
}
