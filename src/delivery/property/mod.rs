//! Tests the central property of the plugin: whatever the responses, waits, losses, repeated flushes, kills and blocks, each
//! record ends once, and the ledger closes at every moment. The test drives the real mapper, spooler and dispatcher step by
//! step on one thread, with its own clock, which may jump, and its own senders.

mod schedules;

use crate::clock::{Clock, Moment, Monotonic, WallTime};
use crate::delivery::accept::chunk_slot::Verdict;
use crate::delivery::admission::Entered;
use crate::delivery::dispatch::dispatcher::Dispatcher;
use crate::delivery::map::worker::{Seal, Worker};
use crate::delivery::report::client_reports;
use crate::delivery::report::host::{Host, Report, Severity};
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::load::Load;
use crate::delivery::shared::state::Shared;
use crate::delivery::store::compressed_chunk::Effort;
use crate::delivery::store::worker::Worker as Spooler;
use crate::delivery::transport::client::{Client, SendResult};
use crate::delivery::transport::response::{Limits, Response, ResponseKind};
use crate::delivery::transport::sender::{self, Done};
use crate::ledger::{Category, Ledger, Outcome, Status};
use crate::mapping::Mapper;
use crate::options::{self, Loaded};
use crate::sync::{Receiver, bounded, unbounded};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A request of a sender.
type Request = sender::Job<Load>;

const TAG: &[u8] = b"kube.app";
pub(in crate::delivery) const WALL: u64 = 1_795_161_600;
/// Deviations of the wall clock from the true time in seconds, one after another, as after a set clock, an empty
/// battery, or a test of a certificate.
const JUMPS: [i64; 7] = [0, 3_600, -3_600, 400 * 86_400, 0, -(WALL as i64), 30];
/// Milliseconds between two of them.
const BETWEEN_JUMPS: u64 = 7_000;

/// Random numbers for schedules (xorshift64*).
pub(in crate::delivery) struct Chance(u64);

impl Chance {
    pub(in crate::delivery) fn of_seed(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    /// Returns a number below `n`.
    pub(in crate::delivery) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

#[derive(Debug, Default)]
pub(in crate::delivery) struct Time {
    millis: AtomicU64,
    jumps: bool,
}

impl Time {
    pub(in crate::delivery) fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> Moment {
        let millis = self.millis.load(Relaxed);
        let jump = JUMPS[(millis / BETWEEN_JUMPS) as usize % JUMPS.len()];
        let wall = WALL.saturating_add_signed(if self.jumps { jump } else { 0 });
        let since_start = Duration::from_millis(millis);
        Moment { steady: Monotonic::START + since_start, wall: WallTime::from_secs(wall) + since_start }
    }
}

#[derive(Debug)]
pub(in crate::delivery) struct Quiet;

impl Host for Quiet {
    fn log(&self, _: Severity, _: &str) {}
    fn publish(&self, _: &Report<'_>) {}
}

pub(in crate::delivery) fn record(out: &mut Vec<u8>, n: u64) {
    let level = if n.is_multiple_of(3) { "error" } else { "info" };
    line(out, n, (&format!("order {n} was"), level), if n.is_multiple_of(2) { "shop" } else { "other" });
}

pub(in crate::delivery) fn line(out: &mut Vec<u8>, n: u64, (message, level): (&str, &str), namespace: &str) {
    use rmp::encode::{write_map_len, write_str, write_uint};
    let seconds = (WALL + n) as u32;
    out.extend_from_slice(&[0x92, 0x92, 0xd7, 0]);
    out.extend_from_slice(&seconds.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80]);
    write_map_len(out, 4).unwrap();
    for (key, value) in [("message", message), ("level", level)] {
        write_str(out, key).unwrap();
        write_str(out, value).unwrap();
    }
    write_str(out, "n").unwrap();
    write_uint(out, n).unwrap();
    write_str(out, "kubernetes").unwrap();
    write_map_len(out, 1).unwrap();
    write_str(out, "namespace_name").unwrap();
    write_str(out, namespace).unwrap();
}

/// The response of a server to a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct FakeResponse {
    /// HTTP status; 0: the response is lost.
    pub(in crate::delivery) code: u16,
    /// `X-Sentry-Rate-Limits`.
    pub(in crate::delivery) limits: Option<&'static str>,
    /// True if the server takes the items, whatever the status says.
    pub(in crate::delivery) accepts: bool,
}

impl FakeResponse {
    pub(in crate::delivery) const OK: Self = Self { code: 200, limits: None, accepts: true };

    /// Returns the response of a server that does not take the items.
    pub(in crate::delivery) fn refusal(code: u16, limits: Option<&'static str>) -> Self {
        Self { code, limits, accepts: false }
    }
}

/// One process's life.
pub(in crate::delivery) struct Instance {
    pub(in crate::delivery) shared: &'static Arc<Shared>,
    worker: Worker<'static>,
    spooler: Option<Spooler<'static>>,
    jobs: Receiver<Job>,
    dispatcher: Dispatcher,
    pub(super) inbox: Receiver<Message>,
    requests: Receiver<Request>,
    pub(in crate::delivery) in_transit: Vec<Request>,
    pub(in crate::delivery) ledger: Arc<Ledger>,
}

impl Instance {
    pub(in crate::delivery) fn start(name: &str, loaded: &Loaded, clock: &Arc<Time>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let (to_dispatcher, inbox) = unbounded();
        let (to_mapper, jobs) = unbounded();
        let (to_senders, requests) = bounded(loaded.settings.delivery.senders);
        let (recorder, reader) = client_reports::enabled();
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let shared = Arc::new(Shared::new(name, loaded, clock, &ledger, recorder, to_dispatcher));
        // Worker and spooler borrow; a test may leak.
        let (shared, to_mapper) = (&*Box::leak(Box::new(shared)), &*Box::leak(Box::new(to_mapper)));
        let client = Client::new(&loaded.settings.network, 1).unwrap();
        let host = Arc::new(Quiet);
        let dispatcher =
            Dispatcher::new(Arc::clone(shared), loaded, to_senders, Arc::clone(&ledger), reader, host, client);
        let worker = Worker::new(shared, Mapper::new(loaded.settings.mapping.clone()));
        let spool = loaded.settings.delivery.mode == options::Mode::Spool;
        let path = loaded.settings.delivery.spool_path.clone().filter(|_| spool);
        let mut spooler = path.map(|path| Spooler::new(shared, to_mapper, name, Some(path), Vec::new(), 1));
        if let Some(spooler) = &mut spooler {
            spooler.open();
        }
        Self { shared, worker, spooler, jobs, dispatcher, inbox, requests, in_transit: Vec::new(), ledger }
    }

    /// Offers a chunk as Fluent Bit does; returns true if the plugin has taken it.
    pub(in crate::delivery) fn flush(&mut self, chunk: &[u8], mode: options::Mode) -> bool {
        if let Some(spooler) = &mut self.spooler {
            let offer = self.shared.offer(TAG, chunk);
            spooler.work();
            self.work();
            return match offer {
                Entered::Taken => true,
                Entered::Unsynced(number) => {
                    let identity = || self.shared.retry_registry.identity(TAG, chunk);
                    self.shared.store.wait_for_sync(number, Duration::ZERO, identity)
                }
                Entered::Waiting(..) | Entered::Refused => false,
            };
        }
        let slots = &self.shared.slot_pool;
        // One in two is compressed, as where memory is short.
        let compressed = Some(chunk).filter(|chunk| mode == options::Mode::Memory && chunk.len().is_multiple_of(2));
        let compressed =
            compressed.and_then(|chunk| self.shared.chunk_compressor.compress(chunk, u64::MAX, Effort::Hard));
        let chunk_slot =
            compressed.map_or_else(|| slots.fill(TAG, chunk), |compressed| slots.fill_compressed(TAG, compressed));
        let chunk_slot = chunk_slot.expect("a free slot");
        self.shared.mapper_queue_bytes.fetch_add(chunk_slot.bytes() as u64, Relaxed);
        match mode {
            options::Mode::Ack => {
                self.shared.retained_in_transit.fetch_add(1, Relaxed);
                self.worker.take(Job::Ack(Arc::clone(&chunk_slot)));
            }
            _ => {
                self.worker.take(Job::Memory(chunk_slot));
                return true;
            }
        }
        self.work();
        self.shared.slot_pool.wait(chunk_slot, Duration::ZERO) == Verdict::Ok
    }

    /// Everything that our threads would do now.
    pub(in crate::delivery) fn work(&mut self) {
        if let Some(spooler) = &mut self.spooler {
            spooler.work();
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.worker.take(job);
        }
        self.worker.finish_waiting(self.shared.now().steady);
        self.worker.replay_one();
        self.worker.seal(Seal::Due);
        while let Ok(message) = self.inbox.try_recv() {
            self.dispatcher.handle(message);
        }
        self.dispatcher.send();
        self.dispatcher.tick();
        self.in_transit.extend(self.requests.try_iter());
        self.assert_closed();
    }

    pub(in crate::delivery) fn respond(&mut self, at: usize, response: FakeResponse, received: &mut Received) {
        let request = self.in_transit.swap_remove(at);
        let FakeResponse { mut code, limits, accepts } = response;
        if accepts && let Load::Items(batch) = &request.load {
            let items = Items::of(batch);
            if code == 200 && items.is_too_large() {
                code = 413;
            } else {
                received.take(items);
            }
        }
        self.dispatcher.handle(response_to(request, code, limits));
    }

    /// Asserts `records = sum(outcomes) + pending`: since pending is the remainder, this holds if no more records have ended
    /// than were taken.
    fn assert_closed(&self) {
        let now = self.ledger.snapshot();
        for category in Category::ALL {
            let ended = ended(&now, *category);
            assert!(ended <= now.records, "{category:?}: {ended} of {}: {}", now.records, now.summary());
        }
    }

    pub(in crate::delivery) fn pending(&self) -> u64 {
        let now = self.ledger.snapshot();
        Category::ALL.iter().map(|category| now.pending(*category)).sum()
    }
}

/// Returns the message of a sender about a request that had a response with this status and these limits, or none
/// (`code` 0).
pub(in crate::delivery) fn response_to(request: Request, code: u16, limits: Option<&str>) -> Message {
    let limits = Limits::read(code, limits, None, WallTime::EPOCH);
    let kind = if code == 0 { ResponseKind::Failed } else { ResponseKind::of_status(code) };
    let status = if code == 0 { Status::Error } else { Status::of(code) };
    let response = Response { kind, limits, status: code, detail: code.to_string() };
    let result = SendResult { response, status, bytes: 0, error: None };
    let Request { load, target, .. } = request;
    Message::Done(Box::new(Done { load, target, result, took: Duration::ZERO }))
}

pub(in crate::delivery) fn ended(now: &crate::ledger::Snapshot, category: Category) -> u64 {
    Outcome::ALL.iter().map(|outcome| now.outcome(category, *outcome)).sum()
}

/// Items that the server has accepted, each with the number of times.
#[derive(Default)]
pub(in crate::delivery) struct Received {
    pub(in crate::delivery) logs: HashMap<u64, u32>,
    pub(in crate::delivery) events: HashMap<String, u32>,
}

/// The items of an envelope.
pub(in crate::delivery) enum Items {
    Event(String),
    Logs(Vec<u64>),
}

impl Items {
    pub(in crate::delivery) fn of(
        batch: &crate::envelope::Batch<crate::delivery::track::chunk_progress::ChunkProgress>,
    ) -> Self {
        let mut out = Vec::new();
        batch.write(&mut out, "", "");
        let payload = out.split(|byte| *byte == b'\n').nth(2).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(payload).unwrap();
        let number = |log: &serde_json::Value| log["attributes"]["n"]["value"].as_u64().unwrap();
        match batch.category {
            Category::Event => Self::Event(payload["event_id"].as_str().unwrap().to_owned()),
            Category::Log => Self::Logs(payload["items"].as_array().unwrap().iter().map(number).collect()),
        }
    }

    /// Some logs are too large for this server, alone or not.
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Logs(numbers) if numbers.iter().any(|n| n.is_multiple_of(23)))
    }
}

impl Received {
    pub(in crate::delivery) fn take(&mut self, items: Items) {
        match items {
            Items::Event(id) => *self.events.entry(id).or_default() += 1,
            Items::Logs(numbers) => numbers.into_iter().for_each(|n| *self.logs.entry(n).or_default() += 1),
        }
    }
}

pub(in crate::delivery) struct Directory(pub(super) PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(in crate::delivery) fn loaded(mode: &str, directory: &Path, seed: u64) -> Loaded {
    let (spool, dsns) = (directory.join("spool"), directory.join("dsn"));
    std::fs::create_dir_all(&dsns).unwrap();
    std::fs::write(dsns.join("shop"), "http://0123456789abcdef0123456789abcdef@h/2").unwrap();
    // Every other schedule has dead letters, and every fifth of all a small limit for them.
    let dead = seed.is_multiple_of(2);
    let given = |name: &str| {
        Some(match name {
            "dsn" => "http://0123456789abcdef0123456789abcdef@h/1".to_owned(),
            "delivery" => mode.to_owned(),
            "dsn_dir" if seed > 5 => dsns.display().to_string(),
            "spool_path" if dead || mode == "spool" => spool.display().to_string(),
            "dead_letter_max_size" if seed.is_multiple_of(5) => "4K".to_owned(),
            "batch_max_items" => "5".to_owned(),
            "storm_burst" => "20".to_owned(),
            "logs_sample_rate" => "0.9".to_owned(),
            "hold_events" => "100s".to_owned(),
            "hold_logs" => "20s".to_owned(),
            "proxy" => "none".to_owned(),
            _ => return None,
        })
    };
    options::load(given, |_| None).unwrap()
}
