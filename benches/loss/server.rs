//! A server that takes anything: it fails at first, as told, and then counts the numbers that it finds in bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Text before the number in a line, and the text after it. Neither protobuf nor JSON changes a byte of them.
pub const BEFORE: &str = "line=";
/// See [`BEFORE`].
pub const AFTER: &str = ";";

/// The fault that a request meets.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// This status; a 429 says to come again in two seconds.
    Answer(u16),
    /// The connection is closed without an answer, and nothing is kept.
    Cut,
    /// Everything is kept, and the connection is closed without an answer.
    Lost,
}

/// State that all connections share.
struct State {
    fault: Fault,
    left: usize,
    came: BTreeMap<usize, usize>,
    quiet_since: Instant,
}

/// A listening server. Its thread ends with the process.
pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Listens on a free port; the first `times` requests fail.
    pub fn start(fault: Fault, times: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = State { fault, left: times, came: BTreeMap::new(), quiet_since: Instant::now() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &state));
            }
        });
        Ok(Self { port, state })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of times that each number arrived.
    pub fn came(&self) -> BTreeMap<usize, usize> {
        lock(&self.state).came.clone()
    }

    /// Returns the time at which the last request came.
    pub fn quiet_since(&self) -> Instant {
        lock(&self.state).quiet_since
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, until somebody closes it.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let body = body(&mut reader)?;
        let status = state_of(state, &body)?;
        let more = if status == 429 { "retry-after: 2\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n{more}");
        (&mut &*stream).write_all(format!("{head}content-length: 2\r\n\r\n{{}}").as_bytes()).ok()?;
    }
}

/// The status to answer; `None`: none.
fn state_of(state: &Mutex<State>, body: &[u8]) -> Option<u16> {
    let mut state = lock(state);
    state.quiet_since = Instant::now();
    let fault = (state.left > 0).then_some(state.fault);
    state.left = state.left.saturating_sub(1);
    if matches!(fault, None | Some(Fault::Lost)) {
        numbers(body).into_iter().for_each(|number| *state.came.entry(number).or_insert(0) += 1);
    }
    match fault {
        None => Some(200),
        Some(Fault::Answer(status)) => Some(status),
        Some(Fault::Cut | Fault::Lost) => None,
    }
}

/// Every number in a body, once.
fn numbers(body: &[u8]) -> BTreeSet<usize> {
    let text = String::from_utf8_lossy(body);
    let pieces = text.split(BEFORE).skip(1).filter_map(|rest| rest.split_once(AFTER)?.0.parse().ok());
    pieces.collect()
}

/// Reads a request; `None` when there is none.
fn body(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
