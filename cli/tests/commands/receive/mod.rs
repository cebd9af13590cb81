//! The receiver over real sockets: what it takes, what it refuses, how it fails on request, how it ends.

mod command;
mod faults;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use receiver::{Keep, Notice, Options, Receiver};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";
/// Long enough for a loaded machine; a test that passes never waits for it.
const SOON: Duration = Duration::from_secs(30);

fn start(options: Options) -> Receiver {
    Receiver::start(options).unwrap()
}

fn with_faults(script: &str) -> Receiver {
    start(Options { faults: script.parse().unwrap(), ..Options::default() })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn envelope(header: &Value, items: &[(Value, Value)]) -> Vec<u8> {
    let mut text = header.to_string();
    for (item, payload) in items {
        let (mut item, payload) = (item.clone(), payload.to_string());
        item["length"] = json!(payload.len());
        text += &format!("\n{item}\n{payload}");
    }
    text.into_bytes()
}

fn event(title: &str) -> Vec<u8> {
    let payload = json!({"event_id": ID, "level": "error", "timestamp": now(), "logentry": {"message": title}});
    envelope(&json!({"event_id": ID}), &[(json!({"type": "event"}), payload)])
}

fn log(body: &str) -> Value {
    json!({"timestamp": now(), "trace_id": ID, "level": "info", "body": body})
}

fn logs(items: &[Value]) -> Vec<u8> {
    let header = json!({
        "type": "log", "item_count": items.len(), "content_type": "application/vnd.sentry.items.log+json",
    });
    envelope(&json!({}), &[(header, json!({"version": 2, "items": items}))])
}

/// A client that says exactly what the test wants.
struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Reads one answer; `None` when the connection ends before it is complete.
    fn read(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.stream.read_line(&mut head) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer in time"),
                Err(_) => return None,
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).ok()?;
        Some(Answer { status, head, body })
    }

    fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Option<Answer> {
        let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\n{headers}content-length: {}\r\n\r\n", body.len());
        // A server that has already cut the connection is something to find out by reading.
        let _ = self.stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        self.read()
    }

    /// An ordinary envelope, as a good client would send it.
    fn envelope(&mut self, body: &[u8]) -> Option<Answer> {
        self.post("/api/1/envelope/", &auth(KEY), body)
    }
}

fn auth(key: &str) -> String {
    format!("x-sentry-auth: Sentry sentry_version=7, sentry_client=t/1, sentry_key={key}\r\n")
}

/// Status of one request on a connection of its own; 0: no answer.
fn status(receiver: &Receiver, body: &[u8]) -> u16 {
    Client::connect(receiver.addr()).envelope(body).map_or(0, |answer| answer.status)
}

fn log_bodies(receiver: &Receiver) -> Vec<Value> {
    receiver.logs().iter().map(|log| log.payload["body"].clone()).collect()
}

#[test]
fn takes_events_logs_and_reports_on_one_connection() {
    let receiver = start(Options::default());
    let mut client = Client::connect(receiver.addr());
    assert_eq!(client.envelope(&event("first")).unwrap().json(), json!({"id": ID}));
    assert_eq!(client.envelope(&logs(&[log("a"), log("b")])).unwrap().json(), json!({}));
    let losses = json!({"discarded_events": [{"reason": "queue_overflow", "category": "error", "quantity": 2}]});
    let report = envelope(&json!({}), &[(json!({"type": "client_report"}), losses.clone())]);
    assert_eq!(client.post("/pre/api/7/envelope/", &auth(KEY), &report).unwrap().status, 200);

    let (requests, events, reports) = (receiver.requests(), receiver.events(), receiver.client_reports());
    let seen: Vec<_> = requests.iter().map(|r| (r.index, r.connection, r.status, r.project)).collect();
    let expected = [(0, 0, Some(200), Some(1)), (1, 0, Some(200), Some(1)), (2, 0, Some(200), Some(7))];
    assert_eq!(seen, expected);
    assert_eq!((events[0].event_id.as_str(), events[0].sentry_key.as_str(), events[0].project), (ID, KEY, 1));
    assert_eq!(events[0].payload["logentry"]["message"], "first");
    assert_eq!(log_bodies(&receiver), ["a", "b"]);
    assert!(receiver.logs().iter().all(|log| log.request == 1));
    assert_eq!((&reports[0].payload, reports[0].project), (&losses, 7));
    assert_eq!(receiver.problems(), [""; 0]);
    assert!(requests[0].header("X-SENTRY-AUTH").is_some_and(|value| value.contains(KEY)));
}

#[test]
fn every_encoding_and_every_framing() {
    let receiver = start(Options::default());
    let body = event("compressed");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&body).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&body).unwrap();
    let mut client = Client::connect(receiver.addr());
    for (encoding, raw, expected) in [
        ("identity", body.clone(), 200),
        ("gzip", gzip.finish().unwrap(), 200),
        ("deflate", zlib.finish().unwrap(), 200),
        ("zstd", zstd::encode_all(body.as_slice(), 3).unwrap(), 200),
        ("br", stored_brotli(&body), 200),
        ("lzma", body.clone(), 415),
        ("gzip", body.clone(), 400),
        ("br", body.clone(), 400),
    ] {
        let headers = format!("{}content-encoding: {encoding}\r\n", auth(KEY));
        let answer = client.post("/api/1/envelope/", &headers, &raw).unwrap();
        assert_eq!(answer.status, expected, "{encoding}: {answer:?}");
        let request = receiver.requests().pop().unwrap();
        assert_eq!((request.raw_len, request.encoding.as_str()), (raw.len(), encoding));
        assert_eq!(request.body == body, expected == 200, "{encoding}");
    }
    let (first, second) = body.split_at(10);
    let head = format!(
        "POST /api/1/envelope/ HTTP/1.1\r\nhost: h\r\n{}transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n",
        auth(KEY)
    );
    client.send(head.as_bytes());
    assert_eq!(client.read().unwrap().status, 100, "the body is asked for");
    client.send(format!("{:x}\r\n{}\r\n", first.len(), String::from_utf8_lossy(first)).as_bytes());
    client.send(format!("{:X}\r\n{}\r\n0\r\n\r\n", second.len(), String::from_utf8_lossy(second)).as_bytes());
    assert_eq!(client.read().unwrap().status, 200);
    assert_eq!(receiver.requests().pop().unwrap().body, body);
    assert_eq!(receiver.events().len(), 6);
}

/// Brotli without compression, for there is no encoder among our dependencies: a window of 64 KiB, one uncompressed
/// block (RFC 7932, section 9.2), and an empty last one.
fn stored_brotli(bytes: &[u8]) -> Vec<u8> {
    // From the lowest bit: WBITS 0, ISLAST 0, MNIBBLES 00 (four), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, padding.
    let header = (u32::try_from(bytes.len()).unwrap() - 1) << 4 | 1 << 20;
    [&header.to_le_bytes()[..3], bytes, &[0b11]].concat()
}

#[test]
fn refuses_what_relay_refuses() {
    let receiver = start(Options { key: Some(KEY.into()), max_body_bytes: 10_000, ..Options::default() });
    let other = auth(&KEY.replace('0', "1"));
    let (good, none) = (auth(KEY), String::new());
    let twice = format!("{good}authorization: Sentry sentry_key={KEY}\r\n");
    let body = event("x");
    for (path, headers, body, expected) in [
        ("/api/1/envelope/", &good, body.clone(), 200),
        ("/api/1/envelope", &good, body.clone(), 404),
        ("/api/one/envelope/", &good, body.clone(), 400),
        ("/api/1/store/", &good, body.clone(), 404),
        ("/api/1/envelope/", &none, body.clone(), 401),
        ("/api/1/envelope/", &twice, body.clone(), 401),
        ("/api/1/envelope/", &other, body.clone(), 403),
        ("/api/1/envelope/", &good, b"nonsense".to_vec(), 400),
        ("/api/1/envelope/", &good, Vec::new(), 400),
        ("/api/1/envelope/", &good, [body.clone(), body.clone()].concat(), 400),
        ("/api/1/envelope/", &good, logs(&[json!({"body": "no trace"})]), 400),
        ("/api/1/envelope/", &good, vec![b' '; 10_001], 413),
    ] {
        let answer = Client::connect(receiver.addr()).post(path, headers, &body).unwrap();
        assert_eq!(answer.status, expected, "{path} {headers}");
        let request = receiver.requests().pop().unwrap();
        assert_eq!((request.status, request.accepted), (Some(expected), expected == 200));
        if expected != 200 {
            assert!(answer.json()["detail"].is_string() && answer.json()["causes"].is_array(), "{answer:?}");
            assert_ne!(request.problems, [""; 0], "{path} {headers}");
        }
    }
    let mut client = Client::connect(receiver.addr());
    client.send(b"GET /api/1/envelope/ HTTP/1.1\r\nhost: h\r\n\r\nTHIS IS NO HTTP\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 405);
    assert_eq!(client.read().unwrap().status, 400);
    assert!(client.read().is_none(), "closed after nonsense");
    assert_eq!(receiver.events().len(), 1);
    assert!(Receiver::start(Options { key: Some("short".into()), ..Options::default() }).is_err());
}

#[test]
fn strict_says_what_relay_hides_and_lenient_drops_it() {
    let body = logs(&[log("good"), json!({"timestamp": now(), "level": "info", "body": "no trace"})]);
    let strict = start(Options::default());
    let answer = Client::connect(strict.addr()).envelope(&body).unwrap();
    let cause = "log.items[1].trace_id: expected 32 hexadecimal digits, not all zero, found nothing";
    assert_eq!((answer.status, answer.json()["causes"].clone()), (400, json!([cause])));
    assert_eq!((strict.logs().len(), strict.problems()), (0, vec![cause.to_owned()]));

    let lenient = start(Options { lenient: true, ..Options::default() });
    assert_eq!(status(&lenient, &body), 200);
    assert_eq!(log_bodies(&lenient), ["good"]);
    assert_eq!(lenient.problems(), [cause]);
}

#[test]
fn a_body_cut_short_is_recorded_and_not_taken() {
    let receiver = start(Options::default());
    let mut client = Client::connect(receiver.addr());
    let head = format!("POST /api/1/envelope/ HTTP/1.1\r\nhost: h\r\n{}content-length: 99\r\n\r\n{{}}", auth(KEY));
    client.send(head.as_bytes());
    drop(client);
    assert!(receiver.wait_until(SOON, |seen| seen.requests.len() == 1));
    assert!(receiver.problems()[0].contains("within byte 2 of the body"), "{:?}", receiver.problems());
    assert_eq!(receiver.totals().accepted, 0);
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let receiver = start(Options::default());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let addr = receiver.addr();
            scope.spawn(move || {
                let mut connection = Client::connect(addr);
                for number in 0..25 {
                    let body = logs(&[log(&format!("{client}/{number}")), log("x")]);
                    assert_eq!(connection.envelope(&body).unwrap().status, 200);
                }
            });
        }
        assert!(receiver.wait_until(SOON, |seen| seen.totals.logs == 400));
    });
    let bodies: std::collections::HashSet<_> = log_bodies(&receiver).iter().map(Value::to_string).collect();
    assert_eq!(bodies.len(), 201);
    let mut indices: Vec<_> = receiver.requests().iter().map(|request| request.index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..200).collect::<Vec<_>>());
}

#[test]
fn shutdown_ends_everything_at_once() {
    let mut receiver = with_faults("hang=10m then drip=10m");
    let addr = receiver.addr();
    let mut idle = Client::connect(addr);
    let mut stuck: Vec<_> = (0..2).map(|_| Client::connect(addr)).collect();
    for client in &mut stuck {
        let body = event("x");
        let length = body.len();
        let head =
            format!("POST /api/1/envelope/ HTTP/1.1\r\nhost: h\r\n{}content-length: {length}\r\n\r\n", auth(KEY));
        client.send(&[head.as_bytes(), &body].concat());
    }
    assert!(receiver.wait_until(SOON, |seen| seen.requests.len() == 2));
    let began = Instant::now();
    receiver.shutdown();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(idle.read().is_none() && stuck.iter_mut().all(|client| client.read().is_none()));
    let again = TcpStream::connect(addr).map(drop).map_err(|error| error.kind());
    assert_eq!(again, Err(ErrorKind::ConnectionRefused));
    assert_eq!(receiver.events().len(), 1, "what came stays readable: the one that drips was accepted");
    receiver.shutdown();
}

#[test]
fn keeps_what_it_is_told_to_and_tells_the_observer() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let observer = Arc::new(move |notice: &Notice<'_>| {
        assert!(notice.request.accepted);
        count.fetch_add(notice.items.len(), Ordering::Relaxed);
    });
    let keep = Keep { requests: 0, logs: 3, ..Keep::EVERYTHING };
    let receiver = start(Options { keep, observer: Some(observer), ..Options::default() });
    let many: Vec<_> = (0..5).map(|number| log(&number.to_string())).collect();
    assert_eq!(status(&receiver, &logs(&many)), 200);
    assert_eq!((receiver.requests().len(), receiver.totals().logs, seen.load(Ordering::Relaxed)), (0, 5, 5));
    assert_eq!(log_bodies(&receiver), ["2", "3", "4"]);
}

#[test]
fn page_and_items() {
    let receiver = start(Options::default());
    let mut client = Client::connect(receiver.addr());
    client.envelope(&event("<script>alert(1)</script>")).unwrap();
    client.envelope(&logs(&[log("<b>bold</b>")])).unwrap();
    client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let page = client.read().unwrap();
    let html = String::from_utf8(page.body).unwrap();
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(1)"), "{html}");
    client.send(b"GET /logs HTTP/1.1\r\nhost: h\r\n\r\n");
    let html = String::from_utf8(client.read().unwrap().body).unwrap();
    assert!(!html.contains("<b>bold") && html.contains("&lt;b&gt;bold"), "{html}");
    client.send(b"GET /api/items.json HTTP/1.1\r\nhost: h\r\n\r\n");
    let items = client.read().unwrap().json();
    let totals = json!({"requests": 2, "accepted": 2, "events": 1, "logs": 1, "client_reports": 0, "check_ins": 0, "problems": 0});
    assert_eq!(items["totals"], totals);
    assert_eq!(items["events"][0]["event_id"], ID);
    assert_eq!(items["logs"][0]["payload"]["body"], "<b>bold</b>");
    assert_eq!(items["issues"][0]["title"], "<script>alert(1)</script>");
    assert_eq!(receiver.requests().len(), 2, "the page does not count");
}

#[test]
fn saves_what_it_judged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("deep");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("000041.envelope"), "old").unwrap();
    let receiver = start(Options { save: Some(folder.clone()), faults: "503".parse().unwrap(), ..Options::default() });
    let (good, bad) = (event("x"), logs(&[json!({})]));
    assert_eq!([&good, &good, &bad].map(|body| status(&receiver, body)), [503, 200, 400]);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("000041.envelope"), b"old");
    assert_eq!((read("000042.envelope"), read("000043.refused")), (good, bad));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
}

#[test]
fn browsers_ask_for_an_icon_and_for_heads_without_problems() {
    let receiver = start(Options::default());
    for (method, path, status) in [
        ("HEAD", "/", "200"),
        ("HEAD", "/logs?level=warn", "200"),
        ("HEAD", "/api/items.json", "200"),
        ("HEAD", "/robots.txt", "404"),
        ("GET", "/favicon.ico", "204"),
    ] {
        let mut stream = std::net::TcpStream::connect(receiver.addr()).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "expected no body: {answer}");
    }
    assert_eq!((receiver.problems().len(), receiver.totals().requests), (0, 0));
}
