//! TLS in front of a server that has none. The certificate in `certificates/` is its own authority and of `127.0.0.1` alone; its
//! key is a secret of nobody.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const CERTIFICATE: &[u8] = include_bytes!("certificates/certificate.pem");
const KEY: &[u8] = include_bytes!("certificates/key.pem");

/// Time for which one side is read before the other one.
const TURN: Duration = Duration::from_millis(5);

/// A listening socket that speaks TLS and hands what it reads to another. Ends on drop.
pub struct Terminator {
    addr: SocketAddr,
    closing: Arc<AtomicBool>,
    speaks: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// The file for `tls_ca_file`.
pub fn authority() -> PathBuf {
    testkit::artefacts::workspace().join("tests/integration/faults/certificates/certificate.pem")
}

impl Terminator {
    /// Listens.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        let terminator = Self::plain(server)?;
        terminator.learn();
        Ok(terminator)
    }

    /// Listens, and speaks no TLS yet.
    pub fn plain(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (addr, closing, speaks) = (listener.local_addr()?, Arc::default(), Arc::default());
        let (closed, secure) = (Arc::<AtomicBool>::clone(&closing), Arc::<AtomicBool>::clone(&speaks));
        let config = Arc::new(config());
        let acceptor = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let (config, closed) = (Arc::clone(&config), Arc::clone(&closed));
                let config = secure.load(Ordering::Relaxed).then_some(config);
                thread::spawn(move || serve(client, server, config, &closed));
            }
        });
        Ok(Self { addr, closing, speaks, acceptor: Some(acceptor) })
    }

    /// From the next connection on it speaks TLS.
    pub fn learn(&self) {
        self.speaks.store(true, Ordering::Relaxed);
    }

    /// Returns the address of the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // The acceptor sleeps until somebody comes.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            _ = acceptor.join();
        }
    }
}

fn config() -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("expected a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("expected a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("expected protocol versions");
    builder.with_no_client_auth().with_single_cert(vec![certificate], key).expect("expected key and certificate to fit")
}

fn serve(client: TcpStream, server: SocketAddr, tls: Option<Arc<ServerConfig>>, closing: &AtomicBool) -> Option<()> {
    client.set_read_timeout(Some(TURN)).ok()?;
    match tls {
        Some(config) => relay(StreamOwned::new(ServerConnection::new(config).ok()?, client), server, closing),
        None => relay(client, server, closing),
    }
}

/// Carries bytes both ways until a side closes or fails.
pub fn relay(mut client: impl Read + Write, server: SocketAddr, closing: &AtomicBool) -> Option<()> {
    let mut server = TcpStream::connect(server).ok()?;
    server.set_read_timeout(Some(TURN)).ok()?;
    let mut buffer = vec![0; 1 << 16];
    while !closing.load(Ordering::Relaxed) {
        carry(&mut client, &mut server, &mut buffer)?;
        carry(&mut server, &mut client, &mut buffer)?;
    }
    Some(())
}

/// One read and its write; `None` at the end.
pub fn carry(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> Option<()> {
    match from.read(buffer) {
        Ok(0) => None,
        Ok(length) => to.write_all(&buffer[..length]).and_then(|()| to.flush()).ok(),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(()),
        Err(_) => None,
    }
}
