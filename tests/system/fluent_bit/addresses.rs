//! A server with two addresses, of which one does not answer.

use super::forward::{self, Forwarder, Source};
use super::harness;
use super::slow_disk::{build, sources};
use receiver::{Options, Receiver};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::tempdir::TempDir;

/// A listener that nobody accepts from, with a full queue: it drops what else wants to connect, as a black hole does.
struct Silent {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn at(address: SocketAddr) -> Result<Self, String> {
        let listener = TcpListener::bind(address).map_err(|error| format!("no IPv6 on loopback: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
            if queue.len() > 8_000 {
                return Err("the kernel's queue of connections has no end".to_owned());
            }
        }
        Ok(Self { _listener: listener, _queue: queue })
    }
}

/// Returns the directory of the sources, or says what the test lacks.
pub fn parts() -> Result<PathBuf, String> {
    let root = sources()?;
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).map(|_| root).map_err(|error| format!("no IPv6 on loopback: {error}"))
}

/// Each of four senders needs a connection, and each of them waits for the silent address about a second at most.
pub fn one_is_silent(root: &Path) {
    let directory = TempDir::new("addresses").expect("expected a directory");
    let library = build(root, directory.path(), "names.c");
    let addresses = directory.path().join("addresses");
    fs::write(&addresses, "::1\n127.0.0.1\n").expect("expected to write addresses");
    let receiver = Receiver::start(Options { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..Options::default() });
    let receiver = receiver.expect("expected a receiver");
    let port = receiver.addr().port();
    let _silent = Silent::at((Ipv6Addr::LOCALHOST, port).into()).expect("expected a silent address");
    let mut source = Source::Forward(Forwarder::new());
    let dsn = format!("http://{}@server.test:{port}/1", "0".repeat(32));
    let env = [("LD_PRELOAD", library.as_str()), ("ADDRESSES", addresses.to_str().expect("expected a plain path"))];
    let mut host = forward::start(&forward::config(&source, &dsn, &[]), &env);
    let begin = Instant::now();
    source.send(200);
    forward::wait_for(&receiver, source.total(), &host);
    let took = begin.elapsed();
    eprintln!("addresses: {took:?} with a silent one");
    assert!(took < Duration::from_secs(5), "{took:?}\n{}", host.log());
    harness::stop(&mut host);
    forward::assert_once(&receiver);
}
