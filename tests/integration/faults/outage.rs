//! A server that is away while the host offers all it has: memory stays bounded, the host is told to wait, and afterwards
//! everything that was taken arrives.
//!
//! The plugin is in a process of its own, this program once more, so that its memory is nobody else's.

use plugin_host::{Level, Verdict};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use testkit::arrivals::{assert_exact, has_all, receive_at};
use testkit::output::{self, Ledger, PATIENCE};
use testkit::tempdir::TempDir;
use testkit::{chunk, net, wait};

const TAG: &str = "kube.app";
const MIB: u64 = 1 << 20;

/// Environment variables that configure the process: destination, options, and directory of the spool.
const DSN: &str = "FAULTS_OUTAGE_DSN";
const DELIVERY: &str = "FAULTS_OUTAGE_DELIVERY";
const SPOOL: &str = "FAULTS_OUTAGE_SPOOL";

/// Scaled down, and so is the outage: at this input an hour at a hundred records a second passes in some seconds.
const QUEUE: u64 = 2 * MIB;
const SENDERS: u64 = 2;
const OUTAGE: Duration = Duration::from_secs(4);

/// Records in a chunk.
const CHUNK: u64 = 1_000;

/// The other half of this program, if this is it.
pub fn host() -> Option<ExitCode> {
    let told = |name| std::env::var(name).ok();
    let (dsn, delivery, spool) = (told(DSN)?, told(DELIVERY)?, told(SPOOL)?);
    let (queue, senders) = (QUEUE.to_string(), SENDERS.to_string());
    let more = [
        ("delivery", delivery.as_str()),
        ("spool_path", &spool),
        ("spool_max_size", "2M"),
        ("queue_max_size", &queue),
        ("senders", &senders),
        ("batch_max_items", "100"),
        ("summary_interval", "1s"),
    ];
    let instance = output::instance(&output::load(), &dsn, &more);
    let before = memory("VmRSS:");
    let (mut taken, mut retries, until) = (0, 0, Instant::now() + OUTAGE);
    while Instant::now() < until {
        match instance.flush(TAG, &chunk::numbered(taken..taken + CHUNK)) {
            Verdict::Ok => taken += CHUNK,
            Verdict::Retry => {
                retries += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Verdict::Error => panic!("expected OK or RETRY: {:#?}", instance.log_lines()),
        }
    }
    say(&format!("taken={taken} retries={retries}"));
    let done = |(_, line): &(Level, String)| line.contains("event.pending=0 ") && line.contains("log.pending=0 ");
    wait::until_true(PATIENCE * 2, || instance.log_lines().iter().any(done));
    let grown = memory("VmHWM:").saturating_sub(before);
    let lines = instance.exit();
    let summary = lines.iter().rev().find(|(_, line)| line.contains("summary: ")).map(|(_, line)| line.as_str());
    say(&format!("grown={grown}"));
    say(summary.unwrap_or("no summary"));
    Some(ExitCode::SUCCESS)
}

/// One line to whoever started this program.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Bytes of this process, by the kernel's account.
pub fn memory(row: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("expected an account of this process");
    let value = status.lines().find_map(|line| line.strip_prefix(row)).expect("expected a row");
    value.trim().trim_end_matches(" kB").parse::<u64>().expect("expected a number") * 1024
}

/// The process with the plugin; ends with this value.
struct Host {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Host {
    fn start(dsn: &str, delivery: &str, spool: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("expected a path to this program"));
        command.env(DSN, dsn).env(DELIVERY, delivery).env(SPOOL, spool).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("expected this program once more");
        let lines = BufReader::new(child.stdout.take().expect("expected its output"));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("expected a line");
        line.trim_end().to_owned()
    }

    fn numbers(&mut self) -> BTreeMap<String, u64> {
        let line = self.line();
        let cells = line.split(' ').filter_map(|cell| cell.split_once('='));
        cells.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// See the module.
pub fn under_full_input(delivery: &'static str) {
    let address = net::own_address().expect("expected an address");
    let dir = TempDir::new("outage").expect("expected a directory");
    let dsn = format!("http://{}@{address}/1", "0".repeat(32));
    let mut host = Host::start(&dsn, delivery, &dir.path().join("spool"));
    let offered = host.numbers();
    let (taken, retries) = (offered["taken"], offered["retries"]);
    assert!(taken >= CHUNK && retries > 0, "expected the host to be told to wait: {offered:?}");
    let receiver = receive_at("", address);
    assert!(receiver.wait_until(PATIENCE * 2, |seen| has_all(seen, taken)), "{taken}: {:?}", receiver.totals());
    let grown = host.numbers()["grown"];
    let summary = host.line();
    let ledger = Ledger::read(&[(Level::Info, summary.clone())]);
    ledger.assert_closed();
    let cells = ["records", "log.accepted", "event.accepted", "log.pending"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [taken, taken, taken / 10, 0], "{summary}");
    assert_exact(&receiver, taken, 0);
    let most = QUEUE + 16 * MIB + 3 * MIB * SENDERS;
    assert!(grown <= most, "expected at most {most} bytes more, found {grown} ({taken} records, {retries} RETRY)");
}
