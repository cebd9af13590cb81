//! Passes accepted events on to a server that shows them better.

use super::dsn::Dsn;
use super::envelope;
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Envelopes waiting for a slow server.
const QUEUE: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Function that is called with the text of a problem.
pub type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// A thread that posts envelopes, one after the other.
pub struct Forwarder {
    dsn: Arc<Dsn>,
    queue: Mutex<Option<SyncSender<Vec<u8>>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    leaving: Arc<AtomicBool>,
    tell: Arc<Tell>,
}

/// A DSN that can be forwarded to.
#[derive(Debug, Clone)]
pub struct Target(Arc<Dsn>);

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let dsn = Dsn::parse(text)?;
        if dsn.scheme == "https" {
            return Err("forwarding speaks plain http only; expected a DSN that starts with http://".to_owned());
        }
        Ok(Target(Arc::new(dsn)))
    }
}

impl Forwarder {
    /// Starts the thread.
    pub fn start(Target(dsn): Target, tell: Tell) -> io::Result<Forwarder> {
        let (sender, receiver) = sync_channel(QUEUE);
        let (tell, leaving) = (Arc::new(tell), Arc::new(AtomicBool::new(false)));
        let worker = {
            let (dsn, tell, leaving) = (dsn.clone(), tell.clone(), leaving.clone());
            thread::Builder::new().name("forward".into()).spawn(move || work(&dsn, &tell, &leaving, &receiver))?
        };
        Ok(Forwarder { dsn, queue: Mutex::new(Some(sender)), worker: Mutex::new(Some(worker)), leaving, tell })
    }

    /// Hands on the event in this accepted envelope, if it has one. Never waits.
    pub fn offer(&self, body: &[u8]) {
        let Some(body) = rewritten(body, &self.dsn) else { return };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(TrySendError::Full(_))) = queue.as_ref().map(|queue| queue.try_send(body)) {
            (self.tell)("forward: the other server is too slow; an event was not forwarded");
        }
    }

    /// Posts the envelopes that still wait, up to the first failure, and ends the thread.
    pub fn finish(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = worker.map(JoinHandle::join);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.finish();
    }
}

fn work(dsn: &Dsn, tell: &Tell, leaving: &AtomicBool, queue: &Receiver<Vec<u8>>) {
    for body in queue {
        let problem = match post(dsn, &body) {
            Ok(status) if (200..300).contains(&status) => continue,
            Ok(status) => format!("forward: {} answered {status}", dsn.authority),
            Err(error) => format!("forward: {}: {error}", dsn.authority),
        };
        tell(&problem);
        if leaving.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// The same event for another server: its items without the others, its header with the other DSN.
fn rewritten(body: &[u8], dsn: &Dsn) -> Option<Vec<u8>> {
    let envelope = envelope::parse(body).ok()?;
    let event = envelope.items.iter().find(|item| item.kind == "event")?;
    let mut header: Map<String, Value> = envelope.header.all;
    header.insert("dsn".into(), Value::from(dsn.to_string()));
    // The trace header names the public key it was made for.
    header.remove("trace");
    let mut bytes = Value::from(header).to_string().into_bytes();
    let item = json!({"type": "event", "content_type": "application/json", "length": event.payload.len()});
    bytes.extend_from_slice(format!("\n{item}\n").as_bytes());
    bytes.extend_from_slice(event.payload);
    bytes.push(b'\n');
    Some(bytes)
}

/// One request on a connection of its own; the status of the answer.
fn post(dsn: &Dsn, body: &[u8]) -> io::Result<u16> {
    let mut stream = connect(&dsn.authority)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-sentry-envelope\r\ncontent-length: {}\r\n\
         x-sentry-auth: Sentry sentry_version=7, sentry_client=flb-sentry/{}, sentry_key={}\r\nconnection: close\r\n\r\n",
        dsn.envelope_path(),
        dsn.authority,
        body.len(),
        env!("CARGO_PKG_VERSION"),
        dsn.key
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    // A server that keeps the connection open all the same would hold us until the time is up.
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") && answer.len() < 64 * 1024 {
        let mut part = [0; 4096];
        match stream.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "expected an HTTP answer"))
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let with_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if with_port { authority.to_owned() } else { format!("{authority}:80") };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn status(answer: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer).ok()?;
    response.code
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_plain_http() {
        assert!(format!("http://{KEY}@h/1").parse::<Target>().is_ok());
        let error = format!("https://{KEY}@h/1").parse::<Target>().unwrap_err();
        assert!(error.contains("plain http") && !error.contains(KEY), "{error}");
    }

    #[test]
    fn rewrites_the_header_and_keeps_the_event() {
        let Target(dsn) = format!("http://{KEY}@h/9").parse().unwrap();
        let header =
            r#"{"event_id":"fc6d8c0c43fc4630ad850ee518f1b9d0","dsn":"http://a@b/1","sdk":{"name":"n"},"trace":{}}"#;
        let body =
            format!("{header}\n{{\"type\":\"client_report\"}}\n{{}}\n{{\"type\":\"event\"}}\n{{\"b\":1, \"a\":2}}");
        let bytes = rewritten(body.as_bytes(), &dsn).unwrap();
        let envelope = envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.header.dsn, Some(dsn.to_string()));
        assert_eq!(envelope.header.all.get("sdk"), Some(&json!({"name": "n"})));
        assert!(!envelope.header.all.contains_key("trace"));
        assert_eq!(envelope.items.len(), 1);
        assert_eq!(envelope.items[0].payload, b"{\"b\":1, \"a\":2}");
        assert!(rewritten(b"{}\n{\"type\":\"log\"}\n{}", &dsn).is_none());
    }
}
