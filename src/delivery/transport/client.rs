//! Sends one request: an envelope to its destination. Retries are scheduled elsewhere.

use crate::clock::WallTime;
use crate::delivery::transport::connection::{TimedConnector, in_turn};
use crate::delivery::transport::descriptors::Reserve;
use crate::delivery::transport::encoder::Encoder;
use crate::delivery::transport::error::SendError;
use crate::delivery::transport::request_context::{RequestContext, is_before_request};
use crate::delivery::transport::response::{Limits, Response, ResponseKind};
use crate::ledger::Status;
use crate::mapping::{SDK_NAME, SDK_VERSION, ScrubRules};
use crate::options::{Compress, Dsn, Network, Proxies, ProxyUrl};
use std::io;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Proxy};

/// Size of each of a connection's two buffers: the longest allowed head of a response fits, and it is half of the HTTP
/// client's default, because each sender keeps them for as long as it is connected.
const BUFFER: usize = 64 << 10;

/// Idle connections kept in addition to one for each sender: destinations may be on many servers.
const OTHER_HOSTS: usize = 16;

/// Bytes of a response's body that are read, for the log and so that the connection can be used again.
const MAX_DETAIL: u64 = 4_096;

/// Longest wait for a response's body: the outcome of the items is known before it.
const BODY_LIMIT: Duration = Duration::from_secs(5);

/// A client shared by all senders of an instance. Cheap to clone; has no reference to Fluent Bit.
#[derive(Clone, Debug)]
pub struct Client {
    direct: Agent,
    /// The agent of each proxy, by the proxy's URL.
    proxied: Arc<[(ProxyUrl, Agent)]>,
    proxies: Proxies,
    /// True if any issuer of certificates is trusted at all.
    has_roots: bool,
    user_agent: Arc<str>,
    reserve: Arc<Reserve>,
}

/// The result of a request.
#[derive(Debug)]
pub struct SendResult {
    /// Meaning of the result.
    pub response: Response,
    /// The cell of its status in the ledger.
    pub status: Status,
    /// Compressed bytes of the body.
    pub bytes: u64,
    /// The error that prevented a response, if there was none.
    pub error: Option<SendError>,
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
        // Addresses of both families, even if one of them has many.
        let all: Vec<_> = host.to_socket_addrs()?.take(64).collect();
        in_turn(&all).into_iter().take(8).for_each(|address| found.push(address));
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

impl Client {
    /// Returns a client that keeps this many connections.
    ///
    /// # Errors
    /// The URL of a proxy cannot be used. The options were checked before, so this is a defect.
    pub fn new(network: &Network, connections: usize) -> Result<Self, String> {
        let Tls { config: tls, has_roots } = tls(network);
        let agent = |proxy| {
            let config = Agent::config_builder()
                .timeout_global(Some(network.timeout))
                .timeout_recv_body(Some(BODY_LIMIT))
                // A redirect could carry the key to another host.
                .max_redirects(0)
                .http_status_as_error(false)
                .max_idle_connections(connections + OTHER_HOSTS)
                .max_idle_connections_per_host(connections.max(2))
                .max_idle_age(Duration::from_secs(60))
                .input_buffer_size(BUFFER)
                .output_buffer_size(BUFFER)
                .proxy(proxy)
                .tls_config(tls.clone())
                .build();
            Agent::with_parts(config, TimedConnector::default(), PlainResolver)
        };
        let proxies = network.proxy.clone().unwrap_or_default();
        let proxied = proxies.all().map(|url| match Proxy::new(url.expose()) {
            Ok(proxy) => Ok((url.clone(), agent(Some(proxy)))),
            Err(_) => Err(format!("proxy = {url}: expected a URL such as http://host:3128")),
        });
        let proxied = proxied.collect::<Result<Arc<[_]>, String>>()?;
        let user_agent = format!("{SDK_NAME}/{SDK_VERSION}").into();
        let reserve = Arc::new(Reserve::default());
        reserve.fill();
        Ok(Self { direct: agent(None), proxied, proxies, has_roots, user_agent, reserve })
    }

    /// Shuts down every connection, so that senders return. Nothing can be sent afterwards.
    pub fn shutdown(&self) {
        let all = self.proxied.iter().map(|(_, agent)| agent).chain([&self.direct]);
        all.for_each(|agent| agent.clone().shutdown());
    }

    /// Returns the agent for a destination, and the proxy that the agent uses.
    fn agent(&self, dsn: &Dsn) -> (&Agent, Option<&ProxyUrl>) {
        let proxy = self.proxies.for_dsn(dsn);
        let found = self.proxied.iter().find(|(url, _)| Some(url) == proxy);
        found.map_or((&self.direct, None), |(url, agent)| (agent, Some(url)))
    }

    /// Checks that a destination responds, and returns the status of its response. The request is a CORS preflight, which every
    /// Sentry responds to. It costs no quota and sends no key, and proves nothing about key and project.
    ///
    /// # Errors
    /// The result of the failed request; its `error` has the reason.
    pub fn probe(&self, dsn: &Dsn, longest: Duration) -> Result<u16, Box<SendResult>> {
        let (agent, proxy) = self.agent(dsn);
        let context = RequestContext { dsn, proxy, has_roots: self.has_roots };
        let request = agent.options(dsn.envelope_url()).header("User-Agent", &*self.user_agent);
        let request = request.header("Access-Control-Request-Method", "POST");
        let request = request.config().timeout_global(Some(longest)).build();
        let error = match catch_unwind(AssertUnwindSafe(|| request.call())) {
            Ok(Ok(response)) => match response.status().as_u16() {
                // A proxy or a load balancer responds with these if it cannot reach the server.
                code @ (407 | 500..) => SendError::Gateway(code),
                code => return Ok(code),
            },
            Ok(Err(error)) => context.error(&error),
            Err(_) => SendError::Panic,
        };
        Err(Box::new(SendResult::failed(0, error)))
    }

    /// Posts an envelope. `wall` is the present, for `Retry-After` dates.
    #[must_use]
    pub fn post(
        &self,
        dsn: &Dsn,
        encoding: Compress,
        envelope: &[u8],
        encoder: &mut Encoder,
        wall: WallTime,
    ) -> SendResult {
        let mut body = Vec::new();
        match encoder.encode(encoding, [envelope, &[], &[]], &mut body) {
            Ok(()) => self.send(dsn, encoding, &body, wall),
            Err(error) => SendResult::not_written(&error),
        }
    }

    /// Posts an envelope that is in this encoding already.
    #[must_use]
    pub(crate) fn send(&self, dsn: &Dsn, encoding: Compress, body: &[u8], wall: WallTime) -> SendResult {
        let context = RequestContext { dsn, proxy: self.agent(dsn).1, has_roots: self.has_roots };
        // A sender must report the result of its request even if the HTTP client panics.
        let request = || {
            self.reserve.fill();
            let result = self.request(dsn, encoding, body);
            if result.is_err() && self.reserve.give_up() { self.request(dsn, encoding, body) } else { result }
        };
        match catch_unwind(AssertUnwindSafe(request)) {
            Ok(Ok(response)) => SendResult::from_response(response, dsn, body.len() as u64, wall),
            Ok(Err(error)) => {
                let bytes = if is_before_request(&error) { 0 } else { body.len() as u64 };
                SendResult::failed(bytes, context.error(&error))
            }
            Err(_) => SendResult::failed(0, SendError::Panic),
        }
    }

    fn request(
        &self,
        dsn: &Dsn,
        encoding: Compress,
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let auth =
            format!("Sentry sentry_version=7, sentry_client={}, sentry_key={}", self.user_agent, dsn.public_key());
        let (agent, _) = self.agent(dsn);
        let mut request = agent
            .post(dsn.envelope_url())
            .header("Content-Type", "application/x-sentry-envelope")
            .header("User-Agent", &*self.user_agent)
            .header("X-Sentry-Auth", auth);
        if let Some(name) = encoding_name(encoding) {
            request = request.header("Content-Encoding", name);
        }
        request.send(body)
    }
}

impl SendResult {
    /// Returns the result for an envelope that could not be compressed.
    pub(crate) fn not_written(error: &io::Error) -> Self {
        Self::failed(0, SendError::Compress(error.to_string()))
    }

    /// Returns the result of a request that had no response after `bytes` of its body may have been sent.
    pub(in crate::delivery) fn failed(bytes: u64, error: SendError) -> Self {
        let kind = ResponseKind::Failed;
        let response = Response { kind, limits: Limits::default(), status: 0, detail: error.to_string() };
        Self { response, status: Status::Error, bytes, error: Some(error) }
    }

    /// Returns true if the request had no response, for a reason that lasts until a person changes something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.error.as_ref().is_some_and(SendError::is_permanent)
    }

    fn from_response(mut received: ureq::http::Response<ureq::Body>, dsn: &Dsn, bytes: u64, wall: WallTime) -> Self {
        let code = received.status().as_u16();
        // A list may come in several headers, which then are one (RFC 9110 section 5.3).
        let header = |name: &str| {
            let values = received.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            Some(values.collect::<Vec<_>>().join(",")).filter(|list| !list.is_empty())
        };
        let limits = Limits::read(
            code,
            header("x-sentry-rate-limits").as_deref(),
            received.headers().get("retry-after").and_then(|value| value.to_str().ok()),
            wall,
        );
        // Reading the body to its end keeps the connection for the next request.
        let body = received.body_mut().with_config().limit(MAX_DETAIL).read_to_string();
        let accepted = (200..300).contains(&code);
        let detail = if accepted { String::new() } else { detail(code, &body.unwrap_or_default(), dsn.public_key()) };
        let response = Response { kind: ResponseKind::of_status(code), limits, status: code, detail };
        Self { response, status: Status::of(code), bytes, error: None }
    }
}

/// Finds secrets in the text of servers and proxies, whatever the option `scrub` is for records.
static SECRETS: LazyLock<ScrubRules> = LazyLock::new(|| ScrubRules::new(true, false, &[], &[]));

/// `403: Project not found` from Relay's `{"detail": ..., "causes": [...]}` or whatever text came. Some servers repeat the
/// key that they refuse, or a part of the request.
fn detail(code: u16, body: &str, key: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
        #[serde(default)]
        causes: Vec<String>,
    }
    let text = match serde_json::from_str::<Problem>(body) {
        Ok(problem) => [vec![problem.detail], problem.causes].concat().join(": "),
        Err(_) => body.trim().to_owned(),
    };
    // The text is a server's: one printable line of it is enough.
    let text: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let line: String = SECRETS.scrubbed(&without(&text, key)).chars().take(200).collect();
    let line = line.trim();
    if line.is_empty() { code.to_string() } else { format!("{code}: {line}") }
}

/// Returns true if a terminal shows `c` as a character, and false if `c` controls the terminal, breaks the line, or turns
/// the text around.
fn is_plain(c: char) -> bool {
    let invisible = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !invisible
}

/// Returns the text with `***` for each appearance of a key, in upper or lower case.
fn without(text: &str, key: &str) -> String {
    // Both have the same length in bytes, so that positions in one are positions in the other.
    let (lower, key) = (text.to_ascii_lowercase(), key.to_ascii_lowercase());
    let mut shown = String::new();
    let mut from = 0;
    for (at, _) in lower.match_indices(&key) {
        shown += &text[from..at];
        shown += "***";
        from = at + key.len();
    }
    shown + &text[from..]
}

/// Returns the value of `Content-Encoding`; `None` for an envelope that is not compressed.
pub(in crate::delivery) fn encoding_name(encoding: Compress) -> Option<&'static str> {
    match encoding {
        Compress::Gzip => Some("gzip"),
        Compress::Zstd => Some("zstd"),
        Compress::None => None,
    }
}

/// The TLS configuration.
struct Tls {
    config: TlsConfig,
    /// True if any issuer of certificates is trusted at all.
    has_roots: bool,
}

fn tls(network: &Network) -> Tls {
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<_> = system.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    roots.extend(network.tls_ca.iter().cloned());
    let has_roots = !roots.is_empty();
    let client = network.tls_key.as_deref().map(|key| ClientCert::new_with_certs(&network.tls_chain, key.to_owned()));
    let config = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .client_cert(client)
        .disable_verification(!network.tls_verify)
        .build();
    Tls { config, has_roots }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::SCRUB_EXAMPLES;

    #[test]
    fn debug_output_of_a_client_hides_the_password() {
        let proxy = Some(Proxies::parse("http://me:hunter2@proxy:3128").unwrap());
        let client = Client::new(&Network { proxy, tls_verify: true, ..Network::default() }, 1).unwrap();
        let printed = format!("{client:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn server_text_becomes_one_printable_line() {
        const KEY: &str = "0123456789abcdef0123456789abcdef";
        for (code, body, expected) in [
            (
                403,
                r#"{"detail":"event rejected","causes":["project not found"]}"#,
                "403: event rejected: project not found",
            ),
            (502, "<h1>Bad\n\u{1b}gateway</h1>", "502: <h1>Bad  gateway</h1>"),
            (500, "gpj.\u{202e}txt\u{2028}[error] \u{200b}mine", "500: gpj. txt [error]  mine"),
            (500, " ", "500"),
            (101, "", "101"),
            (403, &format!("no project of {KEY} or {}!", KEY.to_uppercase()), "403: no project of *** or ***!"),
            (400, r#"{"detail":"invalid: password='Tr0ub4dor' in x"}"#, "400: invalid: password='[Filtered]' in x"),
            (
                502,
                "upstream http://me:Tr0ub4dor@proxy:3128 is down",
                "502: upstream http://[Filtered]@proxy:3128 is down",
            ),
            // A key that is hidden from a search before the text is read as JSON.
            (403, &format!(r#"{{"detail":"\u0030{}"}}"#, &KEY[1..]), "403: ***"),
        ] {
            assert_eq!(detail(code, body, KEY), expected);
        }
        assert!(detail(500, &"x".repeat(5_000), KEY).len() < 300);
        for (line, secret) in SCRUB_EXAMPLES.iter().flat_map(|example| example.filtered) {
            let text = detail(400, line, KEY);
            assert!(!text.contains(secret), "{text}");
        }
        // Scrubbed before it is cut.
        for before in 150..210 {
            let text = detail(500, &format!("{}password='Tr0ub4dor and more'", ".".repeat(before)), KEY);
            assert!(!text.contains("Tr0"), "{text}");
        }
    }
}
