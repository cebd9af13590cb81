//! Handles the bytes of a connection without a socket, for tests that generate random bytes.

use super::http::{Head, Reader, Refusal, Unread};
use super::server::{Route, arrival};
use super::validate::{Policy, Taken, judge};
use super::{Request, encoding};

/// A request, and the answer to it.
#[derive(Debug)]
pub struct Heard {
    /// Status of the answer.
    pub status: u16,
    /// The decoded body.
    pub body: Vec<u8>,
    /// The number of items that were accepted.
    pub items: usize,
    /// Problems that were found in the request.
    pub problems: Vec<String>,
    /// The same request with its decoded body in one piece.
    pub rewritten: Vec<u8>,
}

/// Reads requests up to the first that cannot be told from the bytes after it. `limit` is in bytes of body, `now` in seconds
/// since 1970.
#[must_use]
pub fn hear(bytes: &[u8], limit: usize, now: f64) -> Vec<Heard> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    loop {
        let head = match reader.head() {
            Ok(Some(head)) => head,
            Ok(None) | Err(Unread::Gone(_)) => return all,
            Err(Unread::Bad(refusal)) => {
                all.push(refused(&refusal));
                return all;
            }
        };
        match reader.body(&head, limit) {
            Ok(raw) => all.push(answered(&head, raw, limit, now)),
            Err(Unread::Gone(_)) => return all,
            Err(Unread::Bad(refusal)) => {
                all.push(refused(&refusal));
                return all;
            }
        }
    }
}

fn refused(refusal: &Refusal) -> Heard {
    let problems = refusal.problems();
    Heard { status: refusal.status, body: Vec::new(), items: 0, problems, rewritten: Vec::new() }
}

fn answered(head: &Head, raw: Vec<u8>, limit: usize, now: f64) -> Heard {
    let project = match Route::of(head) {
        Route::Envelope(project) => project,
        Route::Refused(refusal) => return refused(&refusal),
        _ => return Heard { status: 200, rewritten: rewritten(head, &raw), body: raw, items: 0, problems: Vec::new() },
    };
    let mut request: Request = arrival(head, project);
    request.body = match encoding::decode(&request.encoding, raw, limit) {
        Ok(body) => body,
        Err(refusal) => return refused(&refusal),
    };
    match judge(&Policy::default(), &request, head, now).result {
        Ok(Taken { items, .. }) => {
            let rewritten = rewritten(head, &request.body);
            Heard { status: 200, items: items.len(), problems: Vec::new(), rewritten, body: request.body }
        }
        Err(refusal) => refused(&refusal),
    }
}

fn rewritten(head: &Head, body: &[u8]) -> Vec<u8> {
    let Head { method, path, query, minor, headers } = head;
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let mut out = format!("{method} {path}{query} HTTP/1.{minor}\r\n").into_bytes();
    // In the place of the header that framed the body: there may be no room for one more.
    if !body.is_empty() {
        out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    let framing = ["content-length", "transfer-encoding", "content-encoding"];
    for (name, value) in headers.iter().filter(|(name, _)| !framing.iter().any(|f| name.eq_ignore_ascii_case(f))) {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}
