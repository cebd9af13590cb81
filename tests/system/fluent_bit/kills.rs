//! SIGKILL, of the host and of the server, at moments that nobody chose.

use super::feed::{EVENT_EVERY, Feed};
use super::harness::{self, NAME, SPOOL};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::envelope::Envelope;
use testkit::process::{Group, Launch};
use testkit::tempdir::TempDir;
use testkit::{companion, http, net, wait};

/// Records every ten milliseconds.
const PACE: u64 = 4;

/// Longest time between two kills.
const ROUND: Duration = Duration::from_millis(1_800);

/// Longest absence of whom was killed.
const ABSENCE: Duration = Duration::from_millis(500);

/// Time within which records arrive that a killed Fluent Bit had read and not yet written; the rest of a backlog goes first.
const ARRIVES_WITHIN: Duration = Duration::from_secs(90);

/// Chance that can be had again: the seed is printed, and `SEED` sets it.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()));
        let seed = given.unwrap_or_else(now).max(1);
        eprintln!("kills: SEED={seed}");
        Self(seed)
    }

    /// Below `limit` (xorshift64).
    fn roll(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pause(&mut self, longest: Duration) {
        thread::sleep(Duration::from_millis(self.roll(longest.as_millis() as u64)));
    }
}

/// `flb-sentry receive` in a process of its own. What it answers for is on its disk before.
struct Server {
    address: SocketAddr,
    dir: TempDir,
    process: Option<Group>,
}

impl Server {
    fn start() -> Self {
        let address = net::own_address().expect("expected an address");
        let dir = TempDir::new("killed-server").expect("expected a directory");
        let mut server = Self { address, dir, process: None };
        server.run();
        server
    }

    fn dsn(&self) -> String {
        format!("http://{}@{}/1", "0".repeat(32), self.address)
    }

    fn saved(&self) -> PathBuf {
        self.dir.path().join("saved")
    }

    fn run(&mut self) {
        let (program, address, saved) = (companion(), self.address.to_string(), self.saved());
        let args = ["receive", "--listen", &address, "--fault", "forever:delay=10ms", "--save"].map(OsStr::new);
        let launch = Launch {
            program: program.as_os_str(),
            args: args.into_iter().chain([saved.as_os_str()]).collect(),
            env: Vec::new(),
            without_env: &[],
            dir: self.dir.path(),
            temporary: Some(self.dir.path()),
            log: self.dir.path().join("log"),
        };
        self.process = Some(launch.start().expect("expected flb-sentry to start"));
    }

    fn kill(&mut self) {
        self.process = None;
    }

    /// Returns the received envelopes; a file that a kill has cut was never answered.
    fn envelopes(&self) -> Vec<Envelope> {
        let files = fs::read_dir(self.saved()).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| fs::read(file.path()).ok());
        bytes.filter_map(|bytes| Envelope::parse(&bytes).ok()).collect()
    }
}

/// The numbers of all logs, and the ids under which the event of each number came.
#[derive(Default)]
struct Came {
    logs: BTreeSet<u64>,
    events: BTreeMap<u64, BTreeSet<String>>,
}

impl Came {
    fn to(server: &Server) -> Self {
        let mut came = Self::default();
        for envelope in server.envelopes() {
            let Ok((logs, event)) = envelope.logs().and_then(|logs| Ok((logs, envelope.event()?))) else { continue };
            came.logs.extend(logs.iter().map(|log| number(&log["attributes"]["n"]["value"])));
            if let Some(event) = event {
                let id = event["event_id"].as_str().unwrap_or_default().to_owned();
                came.events.entry(number(&event["extra"]["n"])).or_default().insert(id);
            }
        }
        came
    }

    fn missing(&self, total: u64) -> Vec<String> {
        let logs = (0..total).filter(|n| !self.logs.contains(n)).map(|n| format!("log {n}"));
        let events = (0..total).step_by(EVENT_EVERY as usize).filter(|n| !self.events.contains_key(n));
        logs.chain(events.map(|n| format!("event {n}"))).collect()
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// So many kills, under load all the while: nothing is missing, and no event has two ids.
pub fn rounds(kills: usize, delivery: &str) {
    let (feed, mut server, mut dice) = (Feed::new(), Server::start(), Dice::new());
    let ready = || http::get_at(server.address, "/").is_ok();
    assert!(wait::until_true(harness::ARRIVES_WITHIN, ready), "expected a server");
    let output = harness::output(NAME, &server.dsn(), &[delivery, "batch_max_items 20", "timeout 5s"]);
    let mut host = harness::start(&harness::config(&feed, &[output]), &[]);
    let load = feed.load(0, PACE);
    for _ in 0..kills {
        dice.pause(ROUND);
        let whom = dice.roll(3);
        if whom != 1 {
            host.kill();
        }
        if whom != 0 {
            server.kill();
            dice.pause(ABSENCE);
            server.run();
        }
        if whom != 1 {
            host.restart().expect("expected a restart");
        }
    }
    let total = load.stop();
    let complete = wait::until_true(ARRIVES_WITHIN, || {
        thread::sleep(Duration::from_millis(200));
        Came::to(&server).missing(total).is_empty()
    });
    let missing = Came::to(&server).missing(total);
    assert!(complete, "{} of {total} missing: {:?}\n{}", missing.len(), &missing[..missing.len().min(9)], host.log());
    harness::stop(&mut host);
    let came = Came::to(&server);
    assert!(came.logs.last() < Some(&total), "logs that nobody wrote");
    let changed: Vec<_> = came.events.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(changed.is_empty(), "events with more than one id: {changed:?}");
}

/// As many as fit into the gate.
pub fn with_spool() {
    rounds(4, SPOOL);
}

/// Without a spool the host keeps what Sentry has not got.
pub fn with_worker() {
    rounds(4, "Workers 1");
}
