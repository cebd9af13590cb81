//! Speaks HTTP/1.1 over one connection: `httparse` parses the heads, bodies are read by length or in chunks, responses are
//! written as bytes.

use super::encoding::too_large;
use serde_json::json;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longest request head, and longest line between chunks.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_CHUNK_LINE_BYTES: usize = 4 * 1024;
const MAX_HEADERS: usize = 100;

/// First byte of a client that speaks TLS (RFC 8446, section 5.1). No line end need follow it: waiting for one would be
/// waiting for the client to give up.
const TLS_HANDSHAKE: u8 = 0x16;

/// Request line and headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Minor version: 0 or 1.
    pub minor: u8,
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// All values of a header, its name in any case.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns true if the client wants the connection closed after this answer.
    pub fn wants_close(&self) -> bool {
        let says = |word: &str| {
            self.all("connection").any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
        };
        says("close") || (self.minor == 0 && !says("keep-alive"))
    }
}

/// An answer that is not 2xx, with Relay's `detail` and `causes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub detail: String,
    pub causes: Vec<String>,
}

impl Refusal {
    pub fn new(status: u16, detail: impl Into<String>) -> Refusal {
        Refusal { status, detail: detail.into(), causes: Vec::new() }
    }

    /// Adds a cause.
    pub fn because(mut self, cause: impl Into<String>) -> Refusal {
        self.causes.push(cause.into());
        self
    }

    /// Detail and causes in one line each, for the request's list of problems.
    pub fn problems(&self) -> Vec<String> {
        if self.causes.is_empty() { vec![self.detail.clone()] } else { self.causes.clone() }
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The client has gone, before or within a request.
    Gone(io::Error),
    /// The bytes that arrived are not HTTP that this server accepts. They are answered, then the connection is closed.
    Bad(Refusal),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Unread::Gone(error)
    }
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Unread::Bad(refusal)
    }
}

fn bad(detail: impl Into<String>) -> Unread {
    Unread::Bad(Refusal::new(400, detail))
}

/// The reading side of a connection.
pub(super) struct Reader<R> {
    input: BufReader<R>,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Reader { input: BufReader::with_capacity(64 * 1024, input) }
    }

    /// Reads up to the empty line. `Ok(None)`: the client closed between two requests.
    pub fn head(&mut self) -> Result<Option<Head>, Unread> {
        if self.input.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            return Err(bad("expected HTTP, found TLS: use a DSN that begins with http://"));
        }
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            let room = MAX_HEAD_BYTES.saturating_sub(start);
            let read = (&mut self.input).take(room as u64).read_until(b'\n', &mut bytes)?;
            if read == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if read == 0 || !bytes.ends_with(b"\n") {
                let full = bytes.len() >= MAX_HEAD_BYTES;
                return Err(if full { Refusal::new(431, "request head too large").into() } else { gone("the head") });
            }
            match bytes.get(start..) {
                // Empty lines before a request line are tolerated (RFC 9112, section 2.2).
                Some(b"\r\n" | b"\n") if start == 0 => bytes.clear(),
                Some(b"\r\n" | b"\n") => return parse_head(&bytes).map(Some),
                _ => {}
            }
        }
    }

    /// Reads a body by its framing headers; none means no body.
    pub fn body(&mut self, head: &Head, limit: usize) -> Result<Vec<u8>, Unread> {
        let chunked = match head.first("transfer-encoding") {
            None => false,
            Some(value) if value.trim().eq_ignore_ascii_case("chunked") => true,
            Some(value) => return Err(bad(format!("expected transfer encoding chunked, found {value:?}"))),
        };
        match (chunked, length_of(head)?) {
            // Both at once is how requests are smuggled past a proxy.
            (true, Some(_)) => Err(bad("both transfer-encoding and content-length")),
            (true, None) => self.chunks(limit),
            (false, Some(length)) if length > limit as u64 => Err(too_large(limit).into()),
            (false, length) => self.exactly(length.unwrap_or(0), Vec::new()),
        }
    }

    fn exactly(&mut self, length: u64, mut body: Vec<u8>) -> Result<Vec<u8>, Unread> {
        let read = (&mut self.input).take(length).read_to_end(&mut body)?;
        if (read as u64) < length { Err(gone(&format!("byte {} of the body", body.len()))) } else { Ok(body) }
    }

    fn chunks(&mut self, limit: usize) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, size))) => size,
                _ => return Err(bad("expected a chunk size")),
            };
            if size > limit.saturating_sub(body.len()) as u64 {
                return Err(too_large(limit).into());
            }
            if size == 0 {
                // Trailers, up to the empty line; nobody needs them.
                while !matches!(self.line()?.as_slice(), b"\r\n" | b"\n") {}
                return Ok(body);
            }
            body = self.exactly(size, body)?;
            if self.line()? != b"\r\n" {
                return Err(bad("expected CRLF after a chunk"));
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Unread> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_CHUNK_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => Ok(line),
            _ if line.len() >= MAX_CHUNK_LINE_BYTES => Err(bad("line between chunks too long")),
            _ => Err(gone("the chunks")),
        }
    }
}

fn gone(place: &str) -> Unread {
    Unread::Gone(io::Error::new(io::ErrorKind::UnexpectedEof, format!("connection closed within {place}")))
}

fn parse_head(bytes: &[u8]) -> Result<Head, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad("incomplete request head")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::new(431, "too many headers").into()),
        Err(error) => return Err(bad(format!("malformed request head: {error}"))),
    }
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |h: &httparse::Header<'_>| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned());
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        minor: request.version.unwrap_or(1),
        headers: request.headers.iter().map(header).collect(),
    };
    if head.minor == 1 && head.all("host").count() != 1 {
        return Err(bad("expected exactly one host header"));
    }
    Ok(head)
}

/// The content length; repeated values must agree.
fn length_of(head: &Head) -> Result<Option<u64>, Unread> {
    let mut length = None;
    for value in head.all("content-length") {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = value.parse::<u64>().ok().filter(|_| digits) else {
            return Err(bad(format!("expected a number as content-length, found {value:?}")));
        };
        if length.is_some_and(|seen| seen != number) {
            return Err(bad("two different values of content-length"));
        }
        length = Some(number);
    }
    Ok(length)
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(status: u16, body: &serde_json::Value) -> Response {
        Response { status, content_type: "application/json", headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    /// Head and body, ready to write.
    pub fn to_bytes(&self, close: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        // These two have no body by definition, and a length would make a client wait for one.
        let bodiless = matches!(self.status, 204 | 304);
        if !bodiless {
            head += &format!("content-type: {}\r\ncontent-length: {}\r\n", self.content_type, self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += if close { "connection: close\r\n\r\n" } else { "\r\n" };
        let mut bytes = head.into_bytes();
        if !bodiless {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl From<&Refusal> for Response {
    fn from(refusal: &Refusal) -> Response {
        Response::json(refusal.status, &json!({"detail": refusal.detail, "causes": refusal.causes}))
    }
}

/// Reads and drops the bytes that the client still sends, within bounds: closing on unread bytes would reset the connection,
/// and the client could lose the response it needs to read.
pub(super) fn linger(stream: &TcpStream, silence: Duration) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(silence));
    let _ = io::copy(&mut stream.take(256 * 1024 * 1024), &mut io::sink());
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], limit: usize) -> Result<Vec<(Head, Vec<u8>)>, Unread> {
        let mut reader = Reader::new(bytes);
        let mut requests = Vec::new();
        while let Some(head) = reader.head()? {
            let body = reader.body(&head, limit)?;
            requests.push((head, body));
        }
        Ok(requests)
    }

    fn status(result: Result<Vec<(Head, Vec<u8>)>, Unread>) -> Option<u16> {
        match result {
            Err(Unread::Bad(refusal)) => Some(refusal.status),
            Err(Unread::Gone(_)) => Some(0),
            Ok(_) => None,
        }
    }

    #[test]
    fn requests_in_a_row() {
        let bytes =
            b"\r\nPOST /a?b=c HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabcPOST /d HTTP/1.1\r\nhost: h\r\n\
            Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: t\r\n\r\nGET /e HTTP/1.0\r\n\r\n";
        let requests = read(bytes, 10).unwrap();
        let seen: Vec<_> = requests.iter().map(|(head, body)| (head.path.as_str(), body.as_slice())).collect();
        assert_eq!(seen, [("/a", &b"abc"[..]), ("/d", b"abc"), ("/e", b"")]);
        assert_eq!(requests[0].0.query, "b=c");
        assert_eq!(requests[0].0.first("CONTENT-LENGTH"), Some("3"));
        assert_eq!(requests.iter().map(|(head, _)| head.wants_close()).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn refusals() {
        let post = |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: h\r\n{headers}\r\n{body}");
        for (bytes, expected) in [
            (post("content-length: 11\r\n", ""), 413),
            (post("content-length: 99999999999999999999\r\n", ""), 400),
            (post("content-length: +1\r\n", "a"), 400),
            (post("content-length: 1\r\ncontent-length: 2\r\n", "ab"), 400),
            (post("content-length: 1\r\ntransfer-encoding: chunked\r\n", "a"), 400),
            (post("transfer-encoding: gzip\r\n", "a"), 400),
            (post("transfer-encoding: chunked\r\n", "b\r\nhello world\r\n0\r\n\r\n"), 413),
            (post("transfer-encoding: chunked\r\n", "ffffffffffffffff\r\n"), 413),
            (post("transfer-encoding: chunked\r\n", "zz\r\n"), 400),
            (post("transfer-encoding: chunked\r\n", "1\r\nabc\r\n"), 400),
            (post("transfer-encoding: chunked\r\n", "1\r\na"), 0),
            (post("content-length: 4\r\n", "abc"), 0),
            ("POST / HTTP/1.1\r\nhost".to_owned(), 0),
            ("POST / HTTP/1.1\r\n".to_owned(), 0),
            ("POST / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("POST / HTTP/3.1\r\nhost: h\r\n\r\n".to_owned(), 400),
            ("\x16\x03\x01\n\n".to_owned(), 400),
            (post(&"a: b\r\n".repeat(101), ""), 431),
            (post(&format!("a: {}\r\n", "b".repeat(70_000)), ""), 431),
        ] {
            assert_eq!(status(read(bytes.as_bytes(), 10)), Some(expected), "{:.120}", bytes);
        }
    }

    #[test]
    fn answers() {
        let refusal = Refusal::new(400, "no").because("why");
        let text = String::from_utf8(Response::from(&refusal).to_bytes(true)).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(text.contains("\r\ncontent-length: 32\r\n") && text.contains("\r\nconnection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n{\"causes\":[\"why\"],\"detail\":\"no\"}"), "{text}");
        let empty = Response::json(204, &json!({})).to_bytes(false);
        assert_eq!(empty, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
}
