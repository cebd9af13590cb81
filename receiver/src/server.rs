//! Runs the listening socket and its connections: reads requests, applies faults, responds.

use super::envelope;
use super::fault::{Action, Kind, Part, Script, Traits};
use super::gate::{Gate, Ticket};
use super::http::{Head, Reader, Refusal, Response, Unread, linger};
use super::page::View;
use super::save::Saver;
use super::store::{Accepted, Request, Store};
use super::validate::{Policy, Taken, judge};
use super::{Notice, Observer, encoding, page, timestamp};
use serde_json::json;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Silence on a connection after which it is closed.
const IDLE: Duration = Duration::from_secs(75);

/// State that all connections share.
pub(super) struct Server {
    pub policy: Policy,
    pub store: Store,
    pub script: Mutex<Script>,
    pub gate: Gate,
    pub saver: Option<Saver>,
    pub observer: Option<Observer>,
    pub max_body_bytes: usize,
    pub dsn: String,
    pub arrivals: AtomicU64,
}

/// One connection.
struct Connection<'a> {
    stream: &'a TcpStream,
    reader: Reader<&'a TcpStream>,
    number: u64,
}

/// The next step on a connection after an answer.
enum Next {
    /// Another request may come.
    Stay,
    Close,
    /// Close after the client had time to read the answer.
    Linger,
}

/// The target of a request.
pub(super) enum Route {
    Envelope(Option<u64>),
    /// A browser's question before it posts, or a shipper's whether we are there. No request for scripts and counts.
    Preflight,
    Page(View),
    Items,
    /// An address of no page, which a person may have typed or a browser asks for on its own. No request either.
    NoPage,
    /// An icon that browsers ask for on their own.
    Icon,
    Refused(Refusal),
}

impl Route {
    pub(super) fn of(head: &Head) -> Route {
        let inner = head.path.strip_suffix("/envelope/").and_then(|path| path.rsplit_once("/api/"));
        let missing = || Route::Refused(Refusal::new(404, format!("nothing at {}", head.path)));
        let wrong = || Route::Refused(Refusal::new(405, format!("{} is not allowed here", head.method)));
        match (head.method.as_str(), head.path.as_str(), inner) {
            (_, _, Some((_, project))) if project.contains('/') => missing(),
            ("POST", _, Some((_, project))) => Route::Envelope(project.parse().ok()),
            ("OPTIONS", _, Some(_)) => Route::Preflight,
            ("GET" | "HEAD", "/api/items.json", _) => Route::Items,
            ("GET" | "HEAD", "/favicon.ico", _) => Route::Icon,
            (_, "/api/items.json", _) | (_, _, Some(_)) => wrong(),
            ("GET" | "HEAD", path, _) if !path.contains("/api/") => View::of(path).map_or(Route::NoPage, Route::Page),
            (_, path, _) if View::of(path).is_some() => wrong(),
            _ => missing(),
        }
    }
}

/// A request whose head is there.
pub(super) fn arrival(head: &Head, project: Option<u64>) -> Request {
    let encoding: Vec<&str> = head.all("content-encoding").collect();
    Request {
        index: 0,
        connection: 0,
        method: head.method.clone(),
        path: head.path.clone(),
        headers: head.headers.clone(),
        project,
        status: None,
        accepted: false,
        body: Vec::new(),
        raw_len: 0,
        encoding: if encoding.is_empty() { "identity".to_owned() } else { encoding.join(", ") },
        arrival: Instant::now(),
        problems: Vec::new(),
    }
}

impl Server {
    /// Accepts connections until the gate closes; returns when all of them have ended.
    pub fn run(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            while self.gate.wait_for_room() {
                let Ok((stream, _)) = listener.accept() else {
                    // Out of descriptors, or a client that left the queue: neither is a reason to end.
                    self.gate.pause(Duration::from_millis(20));
                    continue;
                };
                let stream = Arc::new(stream);
                let Some(ticket) = self.gate.enter(stream.clone()) else { return };
                let serve = move || self.serve(&stream, &ticket);
                // Without a thread the connection is dropped, as by a server that is out of memory.
                let _ = thread::Builder::new().name("receive".into()).spawn_scoped(scope, serve);
            }
        });
    }

    fn serve(&self, stream: &TcpStream, ticket: &Ticket<'_>) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(IDLE));
        let _ = stream.set_write_timeout(Some(IDLE));
        let mut connection = Connection { stream, reader: Reader::new(stream), number: ticket.number };
        loop {
            let next = match connection.reader.head() {
                Ok(Some(head)) => self.exchange(&mut connection, &head),
                Ok(None) | Err(Unread::Gone(_)) => Next::Close,
                Err(Unread::Bad(refusal)) => {
                    let mut request = self.arrived(&connection, &Head::default(), None);
                    refuse(&mut request, &refusal);
                    self.record(request, Vec::new());
                    let _ = connection.send(&Response::from(&refusal), true);
                    Next::Linger
                }
            };
            match next {
                Next::Stay => {}
                Next::Linger => return linger(stream, Duration::from_secs(1)),
                Next::Close => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    fn exchange(&self, connection: &mut Connection<'_>, head: &Head) -> Next {
        let route = Route::of(head);
        let response = match route {
            Route::Envelope(project) => return self.envelope(connection, head, project),
            Route::Preflight => Response::json(200, &json!({})),
            Route::Page(view) => self.store.with(|state| page::render(&view, &head.query, state, &self.dsn)),
            Route::NoPage => self.store.with(|state| page::missing(&head.path, state)),
            Route::Items => self.store.with(page::items),
            Route::Icon => Response { status: 204, content_type: "", headers: Vec::new(), body: Vec::new() },
            Route::Refused(refusal) => {
                let mut request = self.arrived(connection, head, None);
                refuse(&mut request, &refusal);
                self.record(request, Vec::new());
                Response::from(&refusal)
            }
        };
        let unread = connection.reader.body(head, self.max_body_bytes).is_err();
        connection.answer(&response, head, unread)
    }

    /// A request to the envelope endpoint, from its head to its answer.
    fn envelope(&self, connection: &mut Connection<'_>, head: &Head, project: Option<u64>) -> Next {
        let mut request = self.arrived(connection, head, project);
        if self.script().take_before_body(project) {
            self.record(request, Vec::new());
            return Next::Close;
        }
        let raw = match connection.body(head, self.max_body_bytes) {
            Ok(raw) => raw,
            Err(Unread::Gone(error)) => {
                request.problems.push(error.to_string());
                self.record(request, Vec::new());
                return Next::Close;
            }
            Err(Unread::Bad(refusal)) => {
                refuse(&mut request, &refusal);
                self.record(request, Vec::new());
                return connection.answer(&Response::from(&refusal), head, true);
            }
        };
        request.raw_len = raw.len();
        let undecoded = match encoding::decode(&request.encoding, raw, self.max_body_bytes) {
            Ok(body) => {
                request.body = body;
                None
            }
            Err(refusal) => Some(refusal),
        };
        let action = self.action(&request);
        self.act(connection, head, request, undecoded, action)
    }

    /// Returns the action that the script has for this request.
    fn action(&self, request: &Request) -> Option<Action> {
        let mut script = self.script();
        if script.steps.is_empty() {
            return None;
        }
        let items = envelope::parse(&request.body).map(|envelope| envelope.items).unwrap_or_default();
        let kinds: Vec<Kind> = items.iter().filter_map(|item| Kind::of(&item.kind)).collect();
        script.take(&Traits { project: request.project, kinds: &kinds, body: &request.body })
    }

    fn act(
        &self,
        connection: &mut Connection<'_>,
        head: &Head,
        mut request: Request,
        undecoded: Option<Refusal>,
        action: Option<Action>,
    ) -> Next {
        match action {
            Some(Action::CutBeforeBody | Action::CutAfterBody) => {
                self.record(request, Vec::new());
                Next::Close
            }
            Some(Action::Hang(time)) => {
                self.record(request, Vec::new());
                self.gate.pause(time);
                Next::Close
            }
            Some(Action::HalfClose) => {
                self.record(request, Vec::new());
                linger(connection.stream, IDLE);
                Next::Close
            }
            Some(Action::Garbage) => {
                self.record(request, Vec::new());
                let _ = (&*connection.stream).write_all(b"\x00\xffSMTP/9 two hundred\r\n\r\nnonsense");
                Next::Linger
            }
            Some(Action::Answer { status, headers }) if status >= 300 => {
                request.status = Some(status);
                self.record(request, Vec::new());
                let detail = json!({"detail": format!("scripted answer {status}"), "causes": []});
                connection.answer(&Response { headers, ..Response::json(status, &detail) }, head, false)
            }
            action => self.accept(connection, head, request, undecoded, action),
        }
    }

    /// The normal way, possibly late, slow, with other headers, or with its answer lost.
    fn accept(
        &self,
        connection: &mut Connection<'_>,
        head: &Head,
        mut request: Request,
        undecoded: Option<Refusal>,
        action: Option<Action>,
    ) -> Next {
        if let Some(Action::Delay(time)) = action
            && !self.gate.pause(time)
        {
            return Next::Close;
        }
        let lost = matches!(action, Some(Action::LostAnswer | Action::Truncate(Part::Head)));
        let (mut response, items) = self.verdict(head, &mut request, undecoded);
        if let Some(Action::Answer { status, headers }) = &action {
            response.headers.clone_from(headers);
            response.status = if request.accepted { *status } else { response.status };
        }
        request.status = Some(response.status).filter(|_| !lost);
        self.record(request, items);
        match action {
            Some(Action::LostAnswer) => Next::Close,
            Some(Action::Truncate(part)) => connection.truncate(&response, part),
            Some(Action::CloseIdle) => {
                let _ = connection.send(&response, false);
                Next::Close
            }
            Some(Action::Drip(time)) => connection.drip(&self.gate, &response, time),
            _ => connection.answer(&response, head, false),
        }
    }

    fn verdict(&self, head: &Head, request: &mut Request, undecoded: Option<Refusal>) -> (Response, Vec<Accepted>) {
        let verdict = match undecoded {
            Some(refusal) => Err(refusal),
            None => {
                let verdict = judge(&self.policy, request, head, timestamp::now());
                request.problems = verdict.problems;
                verdict.result
            }
        };
        match verdict {
            Ok(Taken { items, event_id }) => {
                request.accepted = true;
                let body = event_id.map_or(json!({}), |id| json!({"id": id}));
                (Response::json(200, &body), items)
            }
            Err(refusal) => {
                refuse(request, &refusal);
                (Response::from(&refusal), Vec::new())
            }
        }
    }

    fn arrived(&self, connection: &Connection<'_>, head: &Head, project: Option<u64>) -> Request {
        let index = self.arrivals.fetch_add(1, Ordering::Relaxed);
        Request { index, connection: connection.number, ..arrival(head, project) }
    }

    /// Saves, keeps and shows; before the answer, so that a client that has it finds its items here.
    fn record(&self, mut request: Request, items: Vec<Accepted>) {
        if let Some(Err(error)) = self.saver.as_ref().map(|saver| saver.save(&request)) {
            request.problems.push(format!("cannot save the envelope: {error}"));
        }
        let request = Arc::new(request);
        self.store.record(request.clone(), &items);
        if let Some(observer) = &self.observer {
            observer(&Notice { request: &request, items: &items });
        }
    }

    /// The script, to take a step of or to replace.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(request: &mut Request, refusal: &Refusal) {
    request.status = Some(refusal.status);
    if request.problems.is_empty() {
        request.problems = refusal.problems();
    }
}

impl Connection<'_> {
    fn body(&mut self, head: &Head, limit: usize) -> Result<Vec<u8>, Unread> {
        if head.first("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.reader.body(head, limit)
    }

    fn send(&mut self, response: &Response, close: bool) -> io::Result<()> {
        self.stream.write_all(&response.to_bytes(close))
    }

    /// Answers; `unread`: the client may still be sending, so that this connection cannot be used again.
    fn answer(&mut self, response: &Response, head: &Head, unread: bool) -> Next {
        let close = unread || head.wants_close();
        let mut bytes = response.to_bytes(close);
        if head.method == "HEAD" {
            bytes.truncate(bytes.len() - response.body.len());
        }
        match self.stream.write_all(&bytes) {
            Err(_) => Next::Close,
            Ok(()) if unread => Next::Linger,
            Ok(()) if close => Next::Close,
            Ok(()) => Next::Stay,
        }
    }

    /// Answers by half.
    fn truncate(&mut self, response: &Response, part: Part) -> Next {
        let bytes = response.to_bytes(false);
        let head = bytes.len() - response.body.len();
        let length = if part == Part::Head { head / 2 } else { head + response.body.len() / 2 };
        let _ = self.stream.write_all(&bytes[..length]);
        Next::Close
    }

    /// Answers a byte at a time; the connection ends with it.
    fn drip(&mut self, gate: &Gate, response: &Response, time: Duration) -> Next {
        for byte in response.to_bytes(true) {
            if self.stream.write_all(&[byte]).is_err() || !gate.pause(time) {
                return Next::Close;
            }
        }
        Next::Linger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        for (method, path, expected) in [
            ("POST", "/api/1/envelope/", "1"),
            ("POST", "/pre/fix/api/42/envelope/", "42"),
            ("POST", "/api/x/envelope/", "no project"),
            ("POST", "/api/18446744073709551616/envelope/", "no project"),
            ("POST", "/api/1/envelope", "404"),
            ("POST", "/api/1/2/envelope/", "404"),
            ("POST", "/api/1/store/", "404"),
            ("GET", "/api/1/envelope/", "405"),
            ("OPTIONS", "/api/1/envelope/", "preflight"),
            ("OPTIONS", "/", "405"),
            ("GET", "/", "page"),
            ("POST", "/", "405"),
            ("GET", "/logs", "page"),
            ("HEAD", "/events/0af7", "page"),
            ("PUT", "/problems", "405"),
            ("GET", "/events/", "no page"),
            ("GET", "/robots.txt", "no page"),
            ("POST", "/robots.txt", "404"),
            ("GET", "/api/0/projects/", "404"),
            ("GET", "/api/items.json", "items"),
            ("HEAD", "/", "page"),
            ("HEAD", "/api/items.json", "items"),
            ("GET", "/favicon.ico", "icon"),
            ("POST", "/favicon.ico", "404"),
        ] {
            let head = Head { method: method.into(), path: path.into(), ..Head::default() };
            let found = match Route::of(&head) {
                Route::Envelope(Some(project)) => project.to_string(),
                Route::Envelope(None) => "no project".to_owned(),
                Route::Preflight => "preflight".to_owned(),
                Route::Page(_) => "page".to_owned(),
                Route::NoPage => "no page".to_owned(),
                Route::Items => "items".to_owned(),
                Route::Icon => "icon".to_owned(),
                Route::Refused(refusal) => refusal.status.to_string(),
            };
            assert_eq!(found, expected, "{method} {path}");
        }
    }
}
