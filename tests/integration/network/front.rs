//! A server of TLS in front of one that has none.

use super::authority::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Listens until it is dropped.
pub struct Front {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Front {
    /// Decrypts with the authority's certificate of this name, asks for a client certificate if told to, and passes all
    /// on to `behind`.
    pub fn start(authority: &Authority, name: &str, ask_client: bool, behind: SocketAddr) -> Self {
        let config = Arc::new(config(authority, name, ask_client));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a free port");
        let address = listener.local_addr().expect("expected an address");
        let closed = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&closed);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !over.load(Relaxed)) {
                let config = Arc::clone(&config);
                // A connection that breaks is what some tests are about.
                std::thread::spawn(move || _ = serve(client, config, behind));
            }
        });
        Self { address, closed }
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An `https` DSN for project 1 of the server behind it, whose `http` DSN is given.
    pub fn dsn(&self, plain: &str) -> String {
        let (key, _) = plain.trim_start_matches("http://").split_once('@').expect("expected a DSN");
        format!("https://{key}@{}/1", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.closed.store(true, Relaxed);
        // Wakes the listener, so that it ends.
        _ = TcpStream::connect(self.address);
    }
}

fn config(authority: &Authority, name: &str, ask_client: bool) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(authority.file(&format!("{name}.crt"))).expect("expected certificates");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("expected certificates");
    let key = PrivateKeyDer::from_pem_file(authority.file(&format!("{name}.key"))).expect("expected a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("expected TLS");
    let builder = if ask_client {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(authority.file("ca.crt")).expect("expected a certificate");
        roots.add(ca).expect("expected an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("expected a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).expect("expected a key that fits its certificate")
}

fn serve(mut client: TcpStream, config: Arc<ServerConfig>, behind: SocketAddr) -> io::Result<()> {
    let connection = Arc::new(Mutex::new(ServerConnection::new(config).map_err(io::Error::other)?));
    let mut server = TcpStream::connect(behind)?;
    let (back, mut out, from) = (Arc::clone(&connection), client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || _ = answers(from, &back, &mut out));
    let mut raw = [0; 16 << 10];
    loop {
        let read = client.read(&mut raw)?;
        if read == 0 {
            return server.shutdown(Shutdown::Write);
        }
        match decrypt(&connection, &raw[..read], &mut client) {
            Ok(plain) => server.write_all(&plain)?,
            Err(error) => {
                // The alert is on its way. Closing with bytes unread would take it back.
                server.shutdown(Shutdown::Both)?;
                client.shutdown(Shutdown::Write)?;
                io::copy(&mut client, &mut io::sink())?;
                return Err(error);
            }
        }
    }
}

fn decrypt(connection: &Mutex<ServerConnection>, mut raw: &[u8], client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let mut plain = Vec::new();
    while !raw.is_empty() {
        connection.read_tls(&mut raw)?;
        let state = connection.process_new_packets();
        while connection.wants_write() {
            connection.write_tls(client)?;
        }
        let ready = state.map_err(io::Error::other)?.plaintext_bytes_to_read();
        let start = plain.len();
        plain.resize(start + ready, 0);
        connection.reader().read_exact(&mut plain[start..])?;
    }
    Ok(plain)
}

/// Encrypts what comes back.
fn answers(mut server: TcpStream, connection: &Mutex<ServerConnection>, client: &mut TcpStream) -> io::Result<()> {
    let mut plain = [0; 16 << 10];
    loop {
        let read = server.read(&mut plain)?;
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            0 => connection.send_close_notify(),
            _ => connection.writer().write_all(&plain[..read])?,
        }
        while connection.wants_write() {
            connection.write_tls(client)?;
        }
        if read == 0 {
            return client.shutdown(Shutdown::Write);
        }
    }
}
