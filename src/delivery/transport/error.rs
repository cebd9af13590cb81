//! The errors of a request that has no response, with texts that name the setting to change.
//!
//! The texts may name a host, a date or a file to set, but never a key or a password.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// The reason why a request had no response that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The envelope could not be compressed. Compressors fail for want of memory alone.
    Compress(String),
    /// No connection was made, or it broke: the host name was not found, the connection was refused or reset. With a proxy,
    /// names and connections are the proxy's.
    Connection {
        /// The proxy, without its password.
        proxy: Option<String>,
        /// The text of the error.
        problem: String,
    },
    /// The server ended a TLS connection without TLS's own end.
    Closed,
    /// An HTTPS server reset the connection with this text. Some servers that require a client certificate do so.
    Reset(String),
    /// No complete response came within `timeout`.
    Timeout,
    /// The bytes that came are no HTTP response, for this reason.
    NotHttp(String),
    /// The server's certificate was rejected: expired, for another name, or of an unknown issuer. The text says which, and
    /// which option to set.
    Certificate(String),
    /// The server does not speak TLS.
    NotTls {
        /// Host and port.
        server: String,
    },
    /// The server offers no TLS version or cipher that the plugin takes.
    TlsVersion {
        /// Host and port.
        server: String,
    },
    /// The server requires a client certificate and got none.
    ClientCertificateMissing {
        /// Host and port.
        server: String,
    },
    /// The server rejects the client certificate (`tls_crt_file`).
    ClientCertificateRejected {
        /// Host and port.
        server: String,
        /// The TLS alert.
        alert: String,
    },
    /// The TLS handshake failed on the server's side.
    Handshake {
        /// Host and port.
        server: String,
    },
    /// The server sent another TLS alert.
    TlsAlert {
        /// Host and port.
        server: String,
        /// The TLS alert.
        alert: String,
    },
    /// Another error of TLS.
    Tls(String),
    /// The proxy rejects its user and password, with status 401 or 407.
    ProxyCredentials {
        /// The proxy, without its password.
        proxy: String,
        /// HTTP status.
        status: u16,
    },
    /// The proxy does not allow a connection to the server, with a status from 400 to 405.
    ProxyForbids {
        /// The proxy, without its password.
        proxy: String,
        /// Host and port.
        server: String,
        /// HTTP status.
        status: u16,
    },
    /// The proxy could not connect to the server, and responded with another status.
    ProxyUnreachable {
        /// The proxy, without its password.
        proxy: String,
        /// Host and port.
        server: String,
        /// HTTP status.
        status: u16,
    },
    /// The proxy did not respond with a status.
    Proxy {
        /// The proxy, without its password.
        proxy: String,
        /// The text of the error.
        reason: String,
    },
    /// A proxy or load balancer responded in place of the server, with this status. For the check at the start alone.
    Gateway(u16),
    /// The HTTP client panicked, which is a defect of this plugin.
    Panic,
    /// Another error of the HTTP client.
    Other(String),
}

impl SendError {
    /// Returns true if the error lasts until a person changes something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Certificate(_)
            | Self::NotTls { .. }
            | Self::TlsVersion { .. }
            | Self::ClientCertificateMissing { .. }
            | Self::ClientCertificateRejected { .. }
            | Self::Handshake { .. }
            | Self::TlsAlert { .. }
            | Self::ProxyCredentials { .. }
            | Self::ProxyForbids { .. } => true,
            Self::Compress(_)
            | Self::Connection { .. }
            | Self::Closed
            | Self::Reset(_)
            | Self::Timeout
            | Self::NotHttp(_)
            | Self::Tls(_)
            | Self::ProxyUnreachable { .. }
            | Self::Proxy { .. }
            | Self::Gateway(_)
            | Self::Panic
            | Self::Other(_) => false,
        }
    }
}

impl Display for SendError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compress(error) => write!(f, "compressing: {error}"),
            Self::Connection { proxy: Some(proxy), problem } => write!(f, "proxy {proxy}: {problem}"),
            Self::Connection { proxy: None, problem } => f.write_str(problem),
            Self::Closed => f.write_str("connection closed by the server"),
            Self::Reset(text) => {
                write!(
                    f,
                    "{text}; a server that requires a client certificate may do so; in this case, set tls_crt_file"
                )
            }
            Self::Timeout => f.write_str("no answer within timeout"),
            Self::NotHttp(reason) => write!(f, "not an HTTP response: {reason}"),
            Self::Certificate(text) | Self::Other(text) => f.write_str(text),
            Self::NotTls { server } => write!(f, "{server} does not speak TLS; use an http:// DSN or another port"),
            Self::TlsVersion { server } => {
                write!(f, "{server} supports only TLS below 1.2, or has no cipher in common with the plugin")
            }
            Self::ClientCertificateMissing { server } => {
                write!(f, "{server} requires a client certificate; set tls_crt_file and tls_key_file")
            }
            Self::ClientCertificateRejected { server, alert } => {
                write!(f, "{server} refuses the client certificate in tls_crt_file ({alert})")
            }
            Self::Handshake { server } => write!(
                f,
                "{server} refuses TLS (HandshakeFailure): no cipher in common, or it requires a client certificate \
                 (tls_crt_file)"
            ),
            Self::TlsAlert { server, alert } => write!(f, "{server} refuses TLS ({alert})"),
            Self::Tls(text) => write!(f, "TLS: {text}"),
            Self::ProxyCredentials { proxy, status } => write!(
                f,
                "proxy {proxy} refuses its user and password ({status}); set proxy to http://user:password@host:port"
            ),
            Self::ProxyForbids { proxy, server, status } => {
                write!(f, "proxy {proxy} does not allow CONNECT to {server} ({status})")
            }
            Self::ProxyUnreachable { proxy, server, status } => {
                write!(f, "proxy {proxy} cannot reach {server} ({status})")
            }
            Self::Proxy { proxy, reason } => write!(f, "proxy {proxy}: {reason}"),
            Self::Gateway(status) => status.fmt(f),
            Self::Panic => f.write_str("a panic in the HTTP client: a defect of this plugin"),
        }
    }
}

impl Error for SendError {}
