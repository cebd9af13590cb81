//! Addresses on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// First port of [`free_port`]: below the kernel's ephemeral ports, so that no listener on port 0 and no client gets a port
/// before its user binds it, and below the services of a Kubernetes node.
const PORTS_FROM: u16 = 16_384;
const PORTS_TO: u16 = 30_000;
/// With fewer, a port would soon come again.
const PORTS_AT_LEAST: u16 = 1_000;
/// Far enough apart that test processes which follow each other do not meet.
const PORTS_OF_A_PROCESS: u32 = 61;

/// A port nobody listens on right now, and each time another where the kernel leaves us some. A server that somebody started meanwhile on a port of its
/// own choice may still take it before its user does: who binds it has to look.
pub fn free_port() -> io::Result<u16> {
    static PORTS: OnceLock<Range<u16>> = OnceLock::new();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ports = PORTS.get_or_init(ports_nobody_is_given);
    let len = u32::try_from(ports.len()).expect("expected a range of ports");
    let first = std::process::id().wrapping_mul(PORTS_OF_A_PROCESS);
    for _ in ports.clone() {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % len;
        let port = ports.start + u16::try_from(at).expect("expected a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Those below the kernel's own; none where it leaves few.
fn ports_nobody_is_given() -> Range<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given_from = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    let to = PORTS_TO.min(given_from);
    if to < PORTS_FROM + PORTS_AT_LEAST { 0..0 } else { PORTS_FROM..to }
}

/// An address for a server that comes and goes: no client of this machine ever gets a port of it meanwhile, since theirs
/// are of `127.0.0.1`.
pub fn own_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id().to_le_bytes();
    let ip = Ipv4Addr::new(127, process[0].max(1), process[1], NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0))?.local_addr()
}
