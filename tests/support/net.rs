//! Addresses on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

/// A port nobody listens on right now. Another process may take it before its user does: who binds it has to look.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// An address for a server that comes and goes: no client of this machine ever gets a port of it meanwhile, since theirs
/// are of `127.0.0.1`.
pub fn own_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id().to_le_bytes();
    let ip = Ipv4Addr::new(127, process[0].max(1), process[1], NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0))?.local_addr()
}
