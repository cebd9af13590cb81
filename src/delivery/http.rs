//! One request: an envelope to its destination. Knows nothing of retries.

use super::answer::{Answer, Limits, answer};
use super::destination::Reply;
use crate::ledger::Status;
use crate::options::{Compress, Dsn, Network};
use crate::record::{SDK_NAME, SDK_VERSION};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

/// Level of gzip: envelopes repeat themselves so much that the fastest level already shrinks them ninefold.
const GZIP_LEVEL: Compression = Compression::new(1);
const ZSTD_LEVEL: i32 = 1;

/// Idle connections kept beside one for each sender: destinations may be on many hosts.
const OTHER_HOSTS: usize = 16;

/// Bytes of an error's body that are read for the log.
const MAX_DETAIL: u64 = 4_096;

/// A client shared by all senders of an instance. Cheap to clone; holds nothing of the host.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    user_agent: Arc<str>,
}

/// What came of a request.
#[derive(Debug)]
pub struct Sent {
    /// What it means.
    pub reply: Reply,
    /// Its number, zero if there was no answer.
    pub code: u16,
    /// Its cell in the ledger.
    pub status: Status,
    /// Compressed bytes of the body.
    pub bytes: u64,
    /// For people: the status and the server's own words, or what went wrong on the way.
    pub detail: String,
}

/// Resolves on the calling thread. ureq's own resolver starts a thread for each look-up that has a time limit.
#[derive(Debug)]
struct PlainResolver;

impl Resolver for PlainResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (scheme, authority) = uri.scheme().zip(uri.authority()).ok_or(ureq::Error::HostNotFound)?;
        let host = DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let mut found = self.empty();
        for address in host.to_socket_addrs()?.take(8) {
            found.push(address);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// What is wrong with the certificates or the proxy, with the option's name.
    pub fn new(network: &Network, connections: usize) -> Result<Self, String> {
        let config = Agent::config_builder()
            .timeout_global(Some(network.timeout))
            // A redirect could carry the key to another host.
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections(connections + OTHER_HOSTS)
            .max_idle_connections_per_host(connections.max(2))
            .max_idle_age(Duration::from_secs(60))
            .proxy(proxy(network)?)
            .tls_config(tls(network)?)
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), PlainResolver);
        Ok(Self { agent, user_agent: format!("{SDK_NAME}/{SDK_VERSION}").into() })
    }

    /// Cuts every connection, so that senders come home; nothing can be sent afterwards.
    pub fn shutdown(&self) {
        self.agent.clone().shutdown();
    }

    /// Posts an envelope. `wall` is the time since 1970, for `Retry-After` dates.
    #[must_use]
    pub fn post(&self, dsn: &Dsn, encoding: Compress, envelope: &[u8], buffer: &mut Vec<u8>, wall: Duration) -> Sent {
        let body = match compress(encoding, envelope, buffer) {
            Ok(()) => buffer.as_slice(),
            Err(error) => return Sent::failed(0, format!("compressing: {error}")),
        };
        let auth =
            format!("Sentry sentry_version=7, sentry_client={}, sentry_key={}", self.user_agent, dsn.public_key());
        let mut request = self
            .agent
            .post(dsn.envelope_url())
            .header("Content-Type", "application/x-sentry-envelope")
            .header("User-Agent", &*self.user_agent)
            .header("X-Sentry-Auth", auth);
        if let Some(name) = encoding_name(encoding) {
            request = request.header("Content-Encoding", name);
        }
        match request.send(body) {
            Ok(response) => Sent::answered(response, body.len() as u64, wall),
            Err(error) => Sent::failed(body.len() as u64, describe(&error)),
        }
    }
}

impl Sent {
    fn failed(bytes: u64, detail: String) -> Self {
        let reply = Reply { answer: Answer::Failed, limits: Limits::default() };
        Self { reply, code: 0, status: Status::Error, bytes, detail }
    }

    fn answered(mut response: ureq::http::Response<ureq::Body>, bytes: u64, wall: Duration) -> Self {
        let code = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let limits = Limits::read(code, header("x-sentry-rate-limits"), header("retry-after"), wall);
        // Reading the body to its end keeps the connection for the next request.
        let body = response.body_mut().with_config().limit(MAX_DETAIL).read_to_string();
        let detail = if code < 300 { String::new() } else { detail(code, &body.unwrap_or_default()) };
        Self { reply: Reply { answer: answer(code), limits }, code, status: Status::of(code), bytes, detail }
    }
}

/// `403: Project not found` from Relay's `{"detail": ..., "causes": [...]}` or whatever text came.
fn detail(code: u16, body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
        #[serde(default)]
        causes: Vec<String>,
    }
    let words = match serde_json::from_str::<Problem>(body) {
        Ok(problem) => [vec![problem.detail], problem.causes].concat().join(": "),
        Err(_) => body.trim().to_owned(),
    };
    // The words are a server's: one printable line of them is enough.
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    if line.is_empty() { code.to_string() } else { format!("{code}: {line}") }
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => error.to_string(),
        },
        ureq::Error::HostNotFound => "host name not found".to_owned(),
        other => other.to_string(),
    }
}

fn encoding_name(encoding: Compress) -> Option<&'static str> {
    match encoding {
        Compress::Gzip => Some("gzip"),
        Compress::Zstd => Some("zstd"),
        Compress::None => None,
    }
}

fn compress(encoding: Compress, envelope: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    match encoding {
        Compress::Gzip => {
            let mut encoder = GzEncoder::new(std::mem::take(buffer), GZIP_LEVEL);
            encoder.write_all(envelope)?;
            *buffer = encoder.finish()?;
        }
        Compress::Zstd => {
            buffer.resize(zstd::zstd_safe::compress_bound(envelope.len()), 0);
            let length = zstd::bulk::compress_to_buffer(envelope, &mut buffer[..], ZSTD_LEVEL)?;
            buffer.truncate(length);
        }
        Compress::None => buffer.extend_from_slice(envelope),
    }
    Ok(())
}

fn proxy(network: &Network) -> Result<Option<Proxy>, String> {
    match network.proxy.as_deref() {
        Some("none") => Ok(None),
        Some(url) => Proxy::new(url).map(Some).map_err(|_| "proxy: expected a URL such as http://host:3128".to_owned()),
        None => Ok(Proxy::try_from_env()),
    }
}

fn tls(network: &Network) -> Result<TlsConfig, String> {
    let mut roots: Vec<Certificate<'static>> = Vec::new();
    for der in rustls_native_certs::load_native_certs().certs {
        roots.push(Certificate::from_der(&der).to_owned());
    }
    if let Some(file) = &network.tls_ca_file {
        let added = certificates(file, "tls_ca_file")?;
        roots.extend(added);
    }
    let client = match (&network.tls_crt_file, &network.tls_key_file) {
        (Some(chain), Some(key)) => {
            Some(ClientCert::new_with_certs(&certificates(chain, "tls_crt_file")?, private_key(key)?))
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .client_cert(client)
        .disable_verification(!network.tls_verify)
        .build())
}

fn certificates(file: &std::path::Path, option: &str) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("{option} = {}: {error}", file.display()))?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(format!("{option} = {}: expected a PEM file with at least one certificate", file.display()));
    }
    Ok(found)
}

fn private_key(file: &std::path::Path) -> Result<PrivateKey<'static>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("tls_key_file = {}: {error}", file.display()))?;
    PrivateKey::from_pem(&pem)
        .map_err(|_| format!("tls_key_file = {}: expected a PEM file with a private key", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn each_encoding_reads_back() {
        let text = b"envelope ".repeat(1_000);
        let mut buffer = Vec::new();
        compress(Compress::Gzip, &text, &mut buffer).unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&buffer[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        compress(Compress::Zstd, &text, &mut buffer).unwrap();
        assert_eq!(zstd::decode_all(&buffer[..]).unwrap(), text);
        compress(Compress::None, &text, &mut buffer).unwrap();
        assert_eq!(buffer, text);
    }

    #[test]
    fn a_servers_words_become_one_printable_line() {
        assert_eq!(
            detail(403, r#"{"detail":"event rejected","causes":["project not found"]}"#),
            "403: event rejected: project not found"
        );
        assert_eq!(detail(502, "<h1>Bad\n\u{1b}gateway</h1>"), "502: <h1>Bad  gateway</h1>");
        assert_eq!(detail(500, " "), "500");
        assert!(detail(500, &"x".repeat(5_000)).len() < 300);
    }
}
