//! A server in a process of its own that answers 200 to everything and does nothing else meanwhile: bodies are kept as they
//! came, and counted only when somebody asks.

use super::count;
use crate::http;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first argument with which a bench is this server.
const ARGUMENT: &str = "sink";
/// Path at which the server is asked for the count.
const COUNT: &str = "/count";

/// Counts of the data that has arrived so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// Records in all bodies.
    pub records: u64,
    /// Requests with a body.
    pub requests: u64,
    /// Bytes of bodies as they came.
    pub bytes: u64,
    /// Connections that brought at least one body.
    pub connections: u64,
    /// The time at which the last body had arrived, in nanoseconds since 1970.
    pub last: u128,
}

/// The running server; it ends when this is dropped, and with the process that started it.
pub struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    /// Starts it; each answer waits so long.
    ///
    /// # Errors
    /// When there is no process or no port to be had.
    pub fn start(delay: Duration) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([ARGUMENT, &delay.as_millis().to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| io::Error::other(format!("expected a port, found {line:?}")))?;
        Ok(Self { child, port })
    }

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the counts of the data that has arrived so far.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn count(&self) -> io::Result<Count> {
        count_at(self.port)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// [`Sink::count`], for another process than the one that started it.
///
/// # Errors
/// When it does not answer.
pub fn count_at(port: u16) -> io::Result<Count> {
    let text = http::get(port, COUNT, &[])?.text();
    let mut numbers = text.split(' ').map(|number| number.parse::<u128>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    let mut small = || next() as u64;
    let (records, requests, bytes, connections) = (small(), small(), small(), small());
    Ok(Count { records, requests, bytes, connections, last: next() })
}

/// Nanoseconds since 1970.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// Becomes the server if this process was started as one, until our parent ends; whether it was.
pub fn serve_if_asked() -> bool {
    let mut args = std::env::args().skip(1);
    let asked = args.next().as_deref() == Some(ARGUMENT);
    if asked {
        let delay = args.next().and_then(|text| text.parse().ok()).unwrap_or_default();
        serve(Duration::from_millis(delay)).expect("expected to listen on loopback");
    }
    asked
}

/// A request that was not counted yet.
struct Body {
    path: String,
    encoding: String,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    counted: Count,
    waiting: Vec<Body>,
}

fn serve(delay: Duration) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || accept(&listener, delay));
    // Our parent's end of the pipe closes with it, however it ends.
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

fn accept(listener: &TcpListener, delay: Duration) {
    let state = Arc::new(Mutex::new(State::default()));
    for stream in listener.incoming().map_while(Result::ok) {
        let state = Arc::clone(&state);
        thread::spawn(move || connection(&stream, &state, delay));
    }
}

/// One connection, until somebody closes it.
fn connection(stream: &TcpStream, state: &Mutex<State>, delay: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut known = false;
    loop {
        let body = request(&mut reader)?;
        let answer = if body.path == COUNT { counted(state) } else { "{}".to_owned() };
        if !body.bytes.is_empty() {
            let mut state = lock(state);
            state.counted.requests += 1;
            state.counted.bytes += body.bytes.len() as u64;
            state.counted.connections += u64::from(!std::mem::replace(&mut known, true));
            state.counted.last = now();
            state.waiting.push(body);
            drop(state);
            thread::sleep(delay);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        (&mut &*stream).write_all(format!("{head} {}\r\n\r\n{answer}", answer.len()).as_bytes()).ok()?;
    }
}

/// Counts what waits, and says it all.
fn counted(state: &Mutex<State>) -> String {
    let waiting = std::mem::take(&mut lock(state).waiting);
    let records = |body: &Body| count::records(&body.path, &body.encoding, &body.bytes).unwrap_or_default();
    let more: u64 = waiting.iter().map(records).sum();
    let mut state = lock(state);
    state.counted.records += more;
    let Count { records, requests, bytes, connections, last } = state.counted;
    format!("{records} {requests} {bytes} {connections} {last}")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a request; `None` when there is none.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<Body> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut encoding, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "content-encoding" => value.trim().clone_into(&mut encoding),
            _ => {}
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(Body { path, encoding, bytes })
}
