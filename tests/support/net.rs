//! Addresses on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port nobody listens on right now. Another process may take it before its user does: who binds it has to look.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
