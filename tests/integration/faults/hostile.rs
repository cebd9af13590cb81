//! Servers that mean harm cost time and memory within bounds, and nothing else: when an honest one takes over, everything
//! arrives, and once.
//!
//! The plugin is in a process of its own, this program once more, so that its memory is nobody else's.

use super::attacks::{Attack, Wire};
use super::hostile_server::{Harm, HostileServer, Part, Reads};
use super::outage::{memory, say};
use super::tls::{self, Terminator};
use plugin_host::{Level, Verdict};
use receiver::Receiver;
use serde_json::json;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use testkit::arrivals::{Setting, assert_exact, receive, wait_for_all, wait_until_settled};
use testkit::output::{self, Ledger, PATIENCE, flush_all};
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";
/// Records that the process with the plugin is given.
pub const RECORDS: u64 = 200;
const MIB: u64 = 1 << 20;
const QUEUE: u64 = 2 * MIB;
const SENDERS: u64 = 2;

/// Number of times that the server does each harm before it answers correctly: one more than there are senders, so that at
/// least one sender sees the end of a harm.
const ROUNDS: u64 = SENDERS + 1;

/// Environment variables that configure the process: destination, options, proxy, bytes of a record, and directory of its
/// files.
const DSN: &str = "FAULTS_HOSTILE_DSN";
const DELIVERY: &str = "FAULTS_HOSTILE_DELIVERY";
const PROXY: &str = "FAULTS_HOSTILE_PROXY";
const RECORD: &str = "FAULTS_HOSTILE_RECORD";
const PLACE: &str = "FAULTS_HOSTILE_PLACE";

/// The other half of this program, if this is it.
pub fn host() -> Option<ExitCode> {
    let told = |name| std::env::var(name).ok();
    let (dsn, delivery, record, place) = (told(DSN)?, told(DELIVERY)?, told(RECORD)?.parse().ok()?, told(PLACE)?);
    let (queue, senders, authority) = (QUEUE.to_string(), SENDERS.to_string(), tls::authority().display().to_string());
    let proxy = told(PROXY).unwrap_or_else(|| "none".to_owned());
    let more = [
        ("delivery", delivery.as_str()),
        ("proxy", &proxy),
        ("spool_path", &place),
        ("queue_max_size", &queue),
        ("senders", &senders),
        ("tls_ca_file", &authority),
        ("timeout", "1s"),
        ("summary_interval", "1s"),
        ("batch_max_items", "20"),
        ("compress", if record > 0 { "none" } else { "gzip" }),
    ];
    let instance = output::instance(&output::load(), &dsn, &more);
    let before = memory("VmRSS:");
    flush_all(&instance, TAG, (0..RECORDS).step_by(20).map(|first| records(first..first + 20, record)));
    let done = |(_, line): &(Level, String)| line.contains("event.pending=0 ") && line.contains("log.pending=0 ");
    wait::until_true(PATIENCE, || instance.log_lines().iter().any(done));
    let grown = memory("VmHWM:").saturating_sub(before);
    let lines: Vec<_> = instance.exit().into_iter().map(|(_, line)| line).collect();
    say(&json!({"grown": grown, "lines": lines}).to_string());
    Some(ExitCode::SUCCESS)
}

/// As those of the other tests, but of so many bytes.
fn records(numbers: std::ops::Range<u64>, bytes: usize) -> Vec<u8> {
    let level = |n: u64| if n.is_multiple_of(10) { "error" } else { "info" };
    let body = |n| json!({"message": format!("order {n} was {}", "x".repeat(bytes)), "n": n, "level": level(n)});
    chunk::of(&numbers.map(body).collect::<Vec<_>>())
}

/// Output of the process with the plugin.
pub struct Said {
    /// Bytes of memory.
    pub grown: u64,
    pub lines: Vec<(Level, String)>,
}

/// The process with the plugin; ends with this value.
pub struct Host(Option<Child>);

impl Host {
    /// With bytes of a record, a place for the spool, and variables.
    pub fn start(dsn: &str, delivery: &str, record: usize, place: &Path, env: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("expected a path to this program"));
        command
            .env(DSN, dsn)
            .env(DELIVERY, delivery)
            .env(RECORD, record.to_string())
            .env(PLACE, place)
            .envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(Some(command.spawn().expect("expected this program once more")))
    }

    /// Waits for its end.
    pub fn end(mut self) -> Said {
        let output = self.0.take().expect("expected a process").wait_with_output().expect("expected its end");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("expected its last words");
        let lines = said["lines"].as_array().expect("expected lines").iter();
        let lines = lines.map(|line| (Level::Info, line.as_str().expect("expected a line").to_owned())).collect();
        Said { grown: said["grown"].as_u64().expect("expected a number"), lines }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// The foe between the plugin and an honest server, and what the plugin is told to send to.
struct Front {
    hostile_server: HostileServer,
    _tls: Option<Terminator>,
    dsn: String,
}

impl Front {
    fn of(harm: Harm, wire: Wire, receiver: &Receiver) -> Self {
        let terminator = |behind| Terminator::start(behind).expect("expected TLS");
        let (hostile_server, tls, addr) = match wire {
            Wire::Plain => {
                let hostile_server = HostileServer::start(harm, receiver.addr());
                let addr = hostile_server.addr();
                (hostile_server, None, addr)
            }
            Wire::BelowTls => {
                let tls = terminator(receiver.addr());
                let hostile_server = HostileServer::start(harm, tls.addr());
                let addr = hostile_server.addr();
                (hostile_server, Some(tls), addr)
            }
            Wire::Proxy => (HostileServer::start(harm, receiver.addr()), None, receiver.addr()),
            Wire::WithinTls => {
                let hostile_server = HostileServer::start(harm, receiver.addr());
                let tls = terminator(hostile_server.addr());
                let addr = tls.addr();
                (hostile_server, Some(tls), addr)
            }
        };
        Self {
            hostile_server,
            _tls: tls,
            dsn: dsn_at(&receiver.dsn(), addr, matches!(wire, Wire::BelowTls | Wire::WithinTls)),
        }
    }
}

/// The DSN with another address.
fn dsn_at(dsn: &str, addr: SocketAddr, tls: bool) -> String {
    let key = dsn.trim_start_matches("http://").split('@').next().expect("expected a key");
    format!("{}://{key}@{addr}/1", if tls { "https" } else { "http" })
}

/// See the module.
pub fn survives(attack: &Attack, delivery: &'static str) {
    let (receiver, dir) = (receive(""), TempDir::new("hostile").expect("expected a directory"));
    let front = Front::of(attack.harm.clone(), attack.wire, &receiver);
    let proxy = match attack.wire {
        Wire::Proxy => format!("http://me:hunter2@{}", front.hostile_server.addr()),
        _ => "none".to_owned(),
    };
    let host =
        Host::start(&front.dsn, delivery, attack.record, &dir.path().join("spool"), &[(PROXY, Path::new(&proxy))]);
    // Each of these connections stays open until the client closes it: who waited for its end would not come back.
    let harmed = || front.hostile_server.harmed() >= ROUNDS;
    let patience = Duration::from_secs(20);
    assert!(
        wait::until_true(patience, harmed),
        "{} times harmed: {:?}",
        front.hostile_server.harmed(),
        receiver.totals()
    );
    front.hostile_server.mend();
    wait_for_all(&receiver, RECORDS, String::new);
    wait_until_settled(&dir.path().join("spool"));
    let said = host.end();
    let lines = &said.lines;
    let ledger = Ledger::read(lines);
    ledger.assert_closed();
    let cells = ["records", "log.accepted", "event.accepted", "log.pending"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [RECORDS, RECORDS, RECORDS / 10, 0], "{lines:#?}");
    // On a busy machine an answer can be later than the time that it is waited for: once a sender, at the end of the harm.
    assert_exact(&receiver, RECORDS, SENDERS as usize);
    let most = QUEUE + 16 * MIB + 3 * MIB * SENDERS;
    assert!(said.grown <= most, "expected at most {most} bytes more, found {}", said.grown);
    // On a busy machine the first failure, which is the one that is told, may be an answer that was late.
    let says = lines.iter().any(|(_, line)| line.contains(attack.words) || line.contains("no answer within timeout"));
    assert!(says, "expected {:?}: {lines:#?}", attack.words);
    assert_sound(lines);
}

/// Limits that nobody honest sets: the plugin is silent for a while, and neither ends nor sends on.
pub fn limits_of_nonsense() {
    let long = "9".repeat(60_000);
    let list = "60:log_item:key,".repeat(3_500);
    let values = [
        "-1",
        "NaN",
        "inf",
        "1e400",
        "1e30",
        "99999999999999999999999999",
        "0x10",
        "",
        ":::",
        "Sun, 99 Nov 9999",
        &long,
    ];
    let headers = values.iter().flat_map(|value| {
        [format!("Retry-After: {value}"), format!("X-Sentry-Rate-Limits: {value}:default;error;log_item:key")]
    });
    let headers: Vec<_> =
        headers.chain([format!("X-Sentry-Rate-Limits: {list}"), "Retry-After: \u{fc}".to_owned()]).collect();
    std::thread::scope(|scope| headers.iter().for_each(|header| drop(scope.spawn(|| silences(header)))));
}

fn silences(header: &str) {
    let answer = format!("HTTP/1.1 429 Slow\r\n{header}\r\nContent-Length: 0\r\n\r\n");
    let harm = Harm {
        after: 0,
        reads: Reads::Request,
        accepts: false,
        proxy: false,
        says: vec![Part::Say(answer.into_bytes())],
    };
    let (receiver, setting) = (receive(""), Setting::new("spool"));
    let hostile_server = HostileServer::start(harm, receiver.addr());
    let options = [("senders", "1"), ("exit_timeout", "100ms")];
    let instance = setting.start(&dsn_at(&receiver.dsn(), hostile_server.addr(), false), &options);
    flush_all(&instance, TAG, [chunk::numbered(0..RECORDS)]);
    let shown = &header[..header.len().min(60)];
    assert!(wait::until_true(PATIENCE, || hostile_server.harmed() >= 1), "{shown}: nothing was sent");
    std::thread::sleep(Duration::from_millis(500));
    let lines = instance.exit();
    // An event, and a log: each is told by itself.
    assert!(hostile_server.harmed() <= 2, "{shown}: {} requests against a limit: {lines:#?}", hostile_server.harmed());
    let ledger = Ledger::read(&lines);
    ledger.assert_closed();
    assert_eq!((ledger.get("log.pending"), ledger.get("event.pending")), (RECORDS, RECORDS / 10), "{shown}");
    assert_sound(&lines);
}

/// Neither items nor the greeting at the start follow a redirect, and TLS is not left for less.
pub fn redirects_lead_nowhere(delivery: &'static str) {
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("expected a free port");
    elsewhere.set_nonblocking(true).expect("expected a socket that does not wait");
    let there = elsewhere.local_addr().expect("expected an address");
    let statuses = [300, 301, 302, 303, 305, 306, 307, 308, 399];
    let lead = |status| {
        let fields = format!("Location: http://{there}/api/1/envelope/\r\nRefresh: 0; url=http://{there}/\r\n");
        format!("HTTP/1.1 {status} There\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
    };
    let request = |status| Harm {
        after: 0,
        reads: Reads::Request,
        accepts: false,
        proxy: false,
        says: vec![Part::Say(lead(status))],
    };
    // A greeting is the first that is read, and the connection stays open for it to be.
    let greeting = |status| Harm {
        reads: Reads::Nothing,
        says: vec![Part::Wait(50), Part::Say(lead(status)), Part::Silence],
        ..request(status)
    };
    let all = statuses.into_iter().flat_map(|status| [request(status), greeting(status)]);
    std::thread::scope(|scope| {
        for harm in all {
            for wire in [Wire::Plain, Wire::WithinTls] {
                let harm = harm.clone();
                scope.spawn(move || leads_nowhere(harm, wire, delivery));
            }
        }
    });
    assert_eq!(elsewhere.accept().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
}

fn leads_nowhere(harm: Harm, wire: Wire, delivery: &'static str) {
    let (receiver, setting) = (receive(""), Setting::new(delivery));
    let front = Front::of(harm, wire, &receiver);
    let authority = tls::authority().display().to_string();
    let instance =
        setting.start(&front.dsn, &[("tls_ca_file", &authority), ("exit_timeout", "100ms"), ("ack_timeout", "100ms")]);
    let chunk = chunk::numbered(0..20);
    let mut verdict = Verdict::Retry;
    let harmed = || {
        // The host offers again what was not even looked at within `ack_timeout`.
        if verdict == Verdict::Retry {
            verdict = instance.flush(TAG, &chunk);
        }
        front.hostile_server.harmed() > 0
    };
    assert!(wait::until_true(PATIENCE, harmed), "{:#?}", instance.log_lines());
    std::thread::sleep(Duration::from_millis(300));
    let lines = instance.exit();
    Ledger::read(&lines).assert_closed();
    assert_sound(&lines);
}

/// A sender does not wait long for the body of an accepted request's response: if each envelope blocked a sender for the
/// whole `timeout`, the next would never be sent.
pub fn a_body_that_never_comes_holds_nobody() {
    let answer = Part::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec());
    let harm = Harm { after: 0, reads: Reads::Request, accepts: true, proxy: false, says: vec![answer, Part::Silence] };
    let (receiver, setting) = (receive(""), Setting::new("spool"));
    let hostile_server = HostileServer::start(harm, receiver.addr());
    let options = [("senders", "1"), ("timeout", "120s")];
    let instance = setting.start(&dsn_at(&receiver.dsn(), hostile_server.addr(), false), &options);
    flush_all(&instance, TAG, [chunk::numbered(0..20)]);
    let both = receiver.wait_until(PATIENCE, |seen| (seen.totals.events, seen.totals.logs) == (2, 20));
    assert!(both, "{:?}", receiver.totals());
    hostile_server.mend();
    Ledger::read(&instance.exit()).assert_closed();
}

/// Lines that a terminal and a parser of logs can stand, and not many.
pub fn assert_sound(lines: &[(Level, String)]) {
    const DIRECTIONS: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
        '\u{202e}', '\u{2066}', '\u{2069}',
    ];
    for (_, line) in lines.iter().filter(|(_, line)| !line.contains("summary: ") && !line.contains("settings: ")) {
        assert!(line.chars().all(|c| !c.is_control() && !DIRECTIONS.contains(&c)), "{line:?}");
        assert!(!line.contains("hunter2") && !line.contains("bWU6aHVudGVyMg"), "{line}");
        assert!(line.len() < 800, "{} bytes: {line}", line.len());
    }
    assert!(lines.len() < 40, "{} lines: {lines:#?}", lines.len());
}
