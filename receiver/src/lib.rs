//! A Sentry server that only receives: the server of `flb-sentry receive` and of the tests.
//!
//! It accepts envelopes as Relay does but is stricter: if a real server would drop or change something after a 200, the
//! receiver reports it as a problem and, unless it is lenient, refuses the envelope. Tests run it in-process and script its
//! faults:
//!
//! ```no_run
//! use receiver::{Options, Receiver};
//! use std::time::Duration;
//!
//! let receiver = Receiver::start(Options { faults: "2x503".parse().unwrap(), ..Options::default() }).unwrap();
//! // ... send something to receiver.dsn() ...
//! assert!(receiver.wait_until(Duration::from_secs(10), |seen| seen.totals.logs == 100));
//! ```
//!
//! The path of a request: `gate` admits the connection, `http` reads the request, `encoding` decompresses it, `fault` may
//! intervene, `envelope` splits it, `validate` checks it, `store` keeps it, and `print` or `page` shows it. `forward` hands
//! accepted events on to another server.

mod auth;
mod dsn;
mod encoding;
mod envelope;
mod fault;
mod findings;
mod forward;
mod gate;
mod http;
pub mod issues;
mod page;
mod parse_bytes;
pub mod print;
mod save;
mod server;
mod store;
pub mod text;
pub mod timestamp;
mod validate;
mod workload;

pub use fault::{Action, GRAMMAR, Kind, Part, Script, ScriptError, Step};
pub use forward::{Forwarder, Target, Tell};
pub use parse_bytes::{Heard, hear};
pub use store::{Accepted, CheckIn, ClientReport, Event, Keep, Log, Problem, Request, Snapshot, Totals};

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The key in [`Receiver::dsn`] where none is asked for.
const DEFAULT_KEY: &str = "0123456789abcdef0123456789abcdef";

/// One request and the items taken from it, as it happens.
pub struct Notice<'a> {
    /// The request, its status already decided.
    pub request: &'a Arc<Request>,
    /// Items that were accepted from the request.
    pub items: &'a [Accepted],
}

/// Called for each request, on its connection's thread and before its answer.
pub type Observer = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

/// Settings of a receiver. The default suits tests: a free port, any key, everything kept, strict.
#[derive(Clone)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder for the decoded envelopes.
    pub save: Option<PathBuf>,
    /// The one public key that is known, others get 403; `None`: any of 32 hexadecimal digits.
    pub key: Option<String>,
    /// Faults that the receiver injects, and when.
    pub faults: Script,
    /// Limits on what is kept in memory.
    pub keep: Keep,
    /// Answer 200 and drop bad items as Relay does, instead of 400. Problems are recorded either way.
    pub lenient: bool,
    /// Largest body, compressed or not; more is 413.
    pub max_body_bytes: usize,
    /// Told of each request.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            save: None,
            key: None,
            faults: Script::default(),
            keep: Keep::EVERYTHING,
            lenient: false,
            max_body_bytes: 200 * 1024 * 1024,
            observer: None,
        }
    }
}

/// A running receiver. Dropping it closes its port and its connections.
pub struct Receiver {
    server: Arc<server::Server>,
    addr: SocketAddr,
    key: String,
    acceptor: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Opens the port and starts to listen.
    pub fn start(options: Options) -> io::Result<Receiver> {
        let key = options.key.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned());
        if !dsn::is_key(&key) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a key of 32 hexadecimal digits"));
        }
        let saver = options.save.as_deref().map(save::Saver::open).transpose()?;
        let place =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", options.listen));
        let listener = TcpListener::bind(options.listen).map_err(place)?;
        let addr = listener.local_addr()?;
        let server = Arc::new(server::Server {
            policy: validate::Policy { key: options.key, lenient: options.lenient },
            store: store::Store::new(options.keep),
            script: Mutex::new(options.faults),
            gate: gate::Gate::default(),
            saver,
            observer: options.observer,
            max_body_bytes: options.max_body_bytes,
            dsn: dsn_text(&key, addr, 1),
            arrivals: AtomicU64::new(0),
        });
        let shared = server.clone();
        let accept = move || shared.run(&listener);
        let acceptor = thread::Builder::new().name("receive-accept".into()).spawn(accept)?;
        Ok(Receiver { server, addr, key, acceptor: Some(acceptor) })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A DSN for project 1.
    pub fn dsn(&self) -> String {
        self.dsn_for(1)
    }

    /// A DSN for a project of your choice.
    pub fn dsn_for(&self, project: u64) -> String {
        dsn_text(&self.key, self.addr, project)
    }

    /// Requests so far, in the order in which they were settled; not those for the page.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.server.store.with(|state| state.requests.iter().cloned().collect())
    }

    /// Accepted events, those with a lost answer included.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.server.store.with(|state| state.events.iter().cloned().collect())
    }

    /// Accepted logs, those with a lost answer included.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.server.store.with(|state| state.logs.iter().cloned().collect())
    }

    /// Accepted client reports.
    pub fn client_reports(&self) -> Vec<Arc<ClientReport>> {
        self.server.store.with(|state| state.client_reports.iter().cloned().collect())
    }

    /// Accepted check-ins.
    pub fn check_ins(&self) -> Vec<Arc<CheckIn>> {
        self.server.store.with(|state| state.check_ins.iter().cloned().collect())
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> Snapshot {
        self.server.store.with(Snapshot::clone)
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.server.store.with(|state| state.totals)
    }

    /// All problems of all kept requests, for `assert_eq!(receiver.problems(), [""; 0])`.
    pub fn problems(&self) -> Vec<String> {
        self.server.store.with(|state| state.requests.iter().flat_map(|request| request.problems.clone()).collect())
    }

    /// Waits until the condition holds, without polling; `false` when the time is up before.
    pub fn wait_until(&self, timeout: Duration, condition: impl FnMut(&Snapshot) -> bool) -> bool {
        self.server.store.wait_until(timeout, condition)
    }

    /// Replaces the remaining script of faults.
    pub fn script(&self, script: Script) {
        *self.server.script() = script;
    }

    /// Closes the port and every connection, and joins all threads. What came stays readable.
    pub fn shutdown(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.server.gate.close();
        // The acceptor sleeps in accept: a connection of our own wakes it. Where even that fails, it is left
        // alone, for joining it would wait for ever.
        if TcpStream::connect_timeout(&reachable(self.addr), Duration::from_secs(2)).is_ok() || acceptor.is_finished() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn dsn_text(key: &str, addr: SocketAddr, project: u64) -> String {
    format!("http://{key}@{}/{project}", reachable(addr))
}

/// An address for clients on this machine: "any" is a place to listen, not one to go to.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
