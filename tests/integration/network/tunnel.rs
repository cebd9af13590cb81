//! A proxy that knows CONNECT and nothing else.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Listens until it is dropped.
pub struct Tunnel {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicBool>,
}

impl Tunnel {
    /// A proxy that wants these credentials (`user:password`), if any.
    pub fn start(credentials: Option<&str>) -> Self {
        let wanted = credentials.map(|text| format!("Proxy-Authorization: Basic {}", base64(text.as_bytes())));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a free port");
        let address = listener.local_addr().expect("expected an address");
        let (heads, closed) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (seen, over) = (Arc::clone(&heads), Arc::clone(&closed));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !over.load(Relaxed)) {
                let (seen, wanted) = (Arc::clone(&seen), wanted.clone());
                std::thread::spawn(move || _ = serve(client, wanted.as_deref(), &seen));
            }
        });
        Self { address, heads, closed }
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// First lines of the requests that came, in their order.
    pub fn requests(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.iter().filter_map(|head| head.lines().next()).map(str::to_owned).collect()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.closed.store(true, Relaxed);
        // Wakes the listener, so that it ends.
        _ = TcpStream::connect(self.address);
    }
}

fn serve(mut client: TcpStream, wanted: Option<&str>, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head(&mut client)?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    if wanted.is_some_and(|wanted| !head.lines().any(|line| line.eq_ignore_ascii_case(wanted))) {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n");
    }
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(Ok(mut server)) = target.map(TcpStream::connect) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        _ = io::copy(&mut from, &mut to);
        _ = to.shutdown(Shutdown::Write);
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

fn head(client: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().chain(&[0; 2]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let digit = |at: usize| if at > chunk.len() { '=' } else { DIGITS[bits >> (18 - 6 * at) & 63].into() };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
