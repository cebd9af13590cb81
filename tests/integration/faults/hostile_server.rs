//! A server that means harm. Until it mends its ways it does the same to every connection; then it passes all on to an honest
//! one behind it.

use super::tls;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Interval at which a waiting thread checks whether the server has ended.
const TURN: Duration = Duration::from_millis(20);

/// The part of a request that is read before the harm begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reads {
    /// Nothing at all.
    Nothing,
    /// The first byte of a request, so that the client is known to be sending.
    Byte,
    /// A request's head.
    Head,
    /// A whole request.
    Request,
}

/// A piece of what is answered.
#[derive(Clone, Debug)]
pub enum Part {
    /// These bytes.
    Say(Vec<u8>),
    /// These bytes again and again, as fast as they are taken.
    Endless(Vec<u8>),
    /// These bytes again and again, one at a time with so many milliseconds between two.
    Drip(Vec<u8>, u64),
    /// Nothing for so many milliseconds.
    Wait(u64),
    /// Nothing, and the connection stays open.
    Silence,
    /// Sends the honest server's answer byte by byte with this pause in milliseconds.
    Trickle(u64),
}

/// Treatment of a connection; the server closes it afterwards.
#[derive(Clone, Debug)]
pub struct Harm {
    /// Requests that are answered well before.
    pub after: usize,
    pub reads: Reads,
    /// True if the honest server gets the request.
    pub accepts: bool,
    /// True if it is a proxy, which receives CONNECT for the honest server.
    pub proxy: bool,
    pub says: Vec<Part>,
}

/// Listens until it is dropped.
pub struct HostileServer {
    addr: SocketAddr,
    scene: Arc<Scene>,
}

/// State that all connections share.
struct Scene {
    harm: Harm,
    honest: SocketAddr,
    mended: AtomicBool,
    over: AtomicBool,
    harmed: AtomicU64,
}

impl HostileServer {
    /// In front of an honest server.
    pub fn start(harm: Harm, honest: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a free port");
        let addr = listener.local_addr().expect("expected an address");
        let (mended, over, harmed) = Default::default();
        let scene = Arc::new(Scene { harm, honest, mended, over, harmed });
        let shared = Arc::clone(&scene);
        thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !shared.over.load(Relaxed)) {
                let scene = Arc::clone(&shared);
                thread::spawn(move || scene.serve(client));
            }
        });
        Self { addr, scene }
    }

    /// Returns the address of the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the number of connections to which it has done harm.
    pub fn harmed(&self) -> u64 {
        self.scene.harmed.load(Relaxed)
    }

    /// From now on it is honest, also on the connections that are open.
    pub fn mend(&self) {
        self.scene.mended.store(true, Relaxed);
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.scene.over.store(true, Relaxed);
        // The listener sleeps until somebody comes.
        _ = TcpStream::connect(self.addr);
    }
}

impl Scene {
    fn wanted(&self) -> bool {
        !self.over.load(Relaxed) && !self.mended.load(Relaxed)
    }

    /// `None` when the connection has ended before its end.
    fn serve(&self, mut client: TcpStream) -> Option<()> {
        client.set_read_timeout(Some(TURN)).and_then(|()| client.set_write_timeout(Some(TURN))).ok()?;
        for _ in 0..self.harm.after {
            let request = self.request(&mut client, Reads::Request)?;
            let answer = self.pass(&request)?;
            self.write(&mut client, &answer)?;
        }
        if self.mended.load(Relaxed) && !self.harm.proxy {
            return tls::relay(client, self.honest, &self.over);
        }
        let request = self.request(&mut client, self.harm.reads)?;
        if self.mended.load(Relaxed) && self.harm.proxy {
            self.write(&mut client, b"HTTP/1.1 200 Connected\r\n\r\n")?;
            return tls::relay(client, self.honest, &self.over);
        }
        if self.harm.accepts || self.mended.load(Relaxed) {
            let answer = self.pass(&request)?;
            // It has mended its ways while the request was awaited.
            if self.mended.load(Relaxed) {
                return self.write(&mut client, &answer);
            }
        }
        self.harmed.fetch_add(1, Relaxed);
        self.harm.says.iter().try_for_each(|part| self.say(&mut client, part))
    }

    fn say(&self, client: &mut TcpStream, part: &Part) -> Option<()> {
        match part {
            Part::Say(bytes) => self.write(client, bytes),
            Part::Endless(bytes) => {
                let many = bytes.repeat((1 << 14) / bytes.len() + 1);
                while self.wanted() {
                    self.write(client, &many)?;
                }
                None
            }
            Part::Drip(bytes, millis) => bytes.iter().cycle().try_for_each(|byte| {
                thread::sleep(Duration::from_millis(*millis));
                self.wanted().then(|| self.write(client, &[*byte]))?
            }),
            Part::Wait(millis) => {
                thread::sleep(Duration::from_millis(*millis));
                Some(())
            }
            Part::Silence => {
                while self.wanted() {
                    thread::sleep(TURN);
                }
                None
            }
            Part::Trickle(millis) => self.trickle(client, Duration::from_millis(*millis)),
        }
    }

    fn trickle(&self, client: &mut TcpStream, pause: Duration) -> Option<()> {
        let mut honest = TcpStream::connect(self.honest).ok()?;
        honest.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
        client.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
        let mut bytes = vec![0; 1 << 16];
        while self.wanted() {
            tls::carry(client, &mut honest, &mut bytes)?;
            tls::carry(&mut honest, client, &mut bytes[..1])?;
            thread::sleep(pause);
        }
        None
    }

    /// Writes all, as slowly as the client reads.
    #[expect(clippy::disallowed_methods, reason = "what was not taken yet is written when the client reads on")]
    fn write(&self, client: &mut TcpStream, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            match client.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if !waits(&error) || self.over.load(Relaxed) => return None,
                Err(_) => {}
            }
        }
        Some(())
    }

    /// Reads so much of the next request; greetings are answered well.
    fn request(&self, client: &mut TcpStream, reads: Reads) -> Option<Vec<u8>> {
        let mut request = Vec::new();
        if reads == Reads::Nothing {
            return Some(request);
        }
        loop {
            let end = find(&request, b"\r\n\r\n").map(|at| at + 4);
            let length = end.map(|end| length(&request[..end]));
            let greeting = request.starts_with(b"OPTIONS ") && end.is_some();
            match (reads, end, length) {
                _ if greeting => {
                    request.clear();
                    self.write(client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                }
                (Reads::Byte, ..) if request.starts_with(b"P") => return Some(request),
                (Reads::Head, Some(_), _) => return Some(request),
                (_, Some(end), Some(length)) if request.len() >= end + length => return Some(request),
                _ => {}
            }
            let mut bytes = [0; 1 << 14];
            match client.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => request.extend_from_slice(&bytes[..length]),
                Err(error) if !waits(&error) || self.over.load(Relaxed) => return None,
                Err(_) => {}
            }
        }
    }

    /// The honest server's answer.
    fn pass(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut honest = TcpStream::connect(self.honest).ok()?;
        honest.write_all(request).ok()?;
        let mut answer = Vec::new();
        loop {
            let mut bytes = [0; 1 << 12];
            let read = honest.read(&mut bytes).ok().filter(|read| *read > 0)?;
            answer.extend_from_slice(&bytes[..read]);
            let end = find(&answer, b"\r\n\r\n").map(|at| at + 4);
            if end.is_some_and(|end| answer.len() >= end + length(&answer[..end])) {
                return Some(answer);
            }
        }
    }
}

fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The length of a body, by its head.
fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or_default();
    line.trim().parse().unwrap_or(0)
}
