//! An HTTP/1.1 client for servers on the loopback interface: one request, one connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, its body complete and unchunked.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET.
pub fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    request(port, "GET", path, headers, &[])
}

/// GET from a server on an address of its own.
pub fn get_at(address: SocketAddr, path: &str) -> io::Result<Response> {
    exchange(address, "GET", path, &[], &[])
}

/// POST.
pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
    request(port, "POST", path, headers, body)
}

fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
    exchange(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), method, path, headers, body)
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let length = body.len();
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A server that refuses early closes before it has read all: what it said still counts.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let received = receive(&mut stream, &mut answer);
    if answer.is_empty() {
        sent?;
        received?;
    }
    parse(&answer)
}

/// Reads until the answer is whole or the server closes: not every server does when asked to.
fn receive(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => answer.extend_from_slice(&buffer[..length]),
        }
        let ends_by_itself = find(answer, b"\r\n\r\n").is_some_and(|end| {
            let head = answer[..end].to_ascii_lowercase();
            find(&head, b"\r\ncontent-length:").is_some() || find(&head, b"\r\ntransfer-encoding:").is_some()
        });
        if ends_by_itself && parse(answer).is_ok() {
            return Ok(());
        }
    }
}

/// Longest wait for one read or write.
const LIMIT: Duration = Duration::from_secs(30);

fn parse(answer: &[u8]) -> io::Result<Response> {
    let end = find(answer, b"\r\n\r\n").ok_or_else(|| invalid("expected the end of the headers"))?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = status(lines.next().unwrap_or_default())?;
    let headers = lines.filter_map(header).collect();
    let mut response = Response { status, headers, body: Vec::new() };
    response.body = body(&response, &answer[end + 4..])?;
    Ok(response)
}

fn status(line: &str) -> io::Result<u16> {
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid("expected a status line"))
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

fn body(response: &Response, rest: &[u8]) -> io::Result<Vec<u8>> {
    if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return unchunk(rest);
    }
    match response.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => rest.get(..length).map(<[u8]>::to_vec).ok_or_else(|| invalid("expected more of the body")),
        None => Ok(rest.to_vec()),
    }
}

fn unchunk(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or_else(|| invalid("expected the size of a chunk"))?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
        let size = size.ok_or_else(|| invalid("expected the size of a chunk"))?;
        if size == 0 {
            return Ok(body);
        }
        rest = &rest[end + 2..];
        body.extend_from_slice(rest.get(..size).ok_or_else(|| invalid("expected more of a chunk"))?);
        rest = rest.get(size + 2..).ok_or_else(|| invalid("expected the end of a chunk"))?;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
