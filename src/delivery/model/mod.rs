//! Runs the real threads of an instance under a scheduler that chooses the thread to run next. Flushes, mapper, spooler,
//! dispatcher and exit are the real ones; only the senders are replaced by the model's own. `property` checks its invariants
//! step by step on one thread; this model checks them for interleavings that no step-by-step test would reach. In each of
//! many executions nothing is lost, nothing is sent twice, every record ends once, all memory and slots that were taken are
//! given back, and no thread waits for ever.
//!
//! `MODEL_ROUNDS` sets the number of executions of each kind (`make models`), `SHUTTLE_RANDOM_SEED` another seed. With
//! `MODEL_THREADS` set, the model runs on threads of the operating system, for a thread sanitizer to watch.

mod closing;
mod running;

use crate::clock::{Clock, Moment, Monotonic, SystemClock, WallTime};
use crate::delivery::Delivery;
use crate::delivery::accept::chunk_slot::Verdict;
use crate::delivery::admission::Entered;
use crate::delivery::property::{Items, Quiet, Received, WALL, ended, record, response_to};
use crate::delivery::shared::inbox::Message;
use crate::delivery::shared::load::Load;
use crate::delivery::start::{STACK_BYTES, Start};
use crate::delivery::transport::client;
use crate::delivery::transport::sender::Job;
use crate::ledger::{Category, Ledger, Outcome, PerCategory};
use crate::options::{self, FlushThread, Loaded};
use crate::sync::scheduled::{Model, below, is_modelled, now};
use crate::sync::{Mutex, Receiver, Sender, lock, thread};
use once_cell::sync::Lazy;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const TAG: &[u8] = b"kube.app";

/// Numbers of its records; each third of them is an event too.
type Chunk = &'static [u64];

/// Executions by a scheduler that chooses at random, and as many by one that seldom changes its mind.
const ROUNDS: usize = 20;
const SEED: u64 = 20_261_126;
/// The number of times that the second scheduler changes its choice.
const CHANGES: usize = 4;
/// Most steps of an execution: one that takes more waits for something that never happens. A few thousand are usual.
const STEPS: usize = 200_000;

/// Most turns that a flush gives to other threads before it gives up.
const PATIENCE: u64 = 16;

/// The clock of the model.
#[derive(Debug)]
struct Modelled;

impl Clock for Modelled {
    fn now(&self) -> Moment {
        static MACHINE: Lazy<SystemClock> = Lazy::new(SystemClock::new);
        let steady = if is_modelled() { Monotonic::START + now() } else { MACHINE.now().steady };
        Moment { steady, wall: WallTime::from_secs(WALL) + steady.since(Monotonic::START) }
    }
}

/// Number of requests to each destination.
type RequestCounts = HashMap<u32, u64>;

/// Function that returns the response of a server to a request to a destination: the status and the limits. The request is the
/// last one that `requests` counts.
type Responder = fn(destination: u32, requests: &RequestCounts) -> (u16, Option<&'static str>);

/// A request to a destination.
type Request = Job<Load>;

/// All destinations.
struct Server {
    responder: Responder,
    requests: Mutex<RequestCounts>,
    received: Mutex<Received>,
}

impl Server {
    fn new(responder: Responder) -> Arc<Self> {
        Arc::new(Self {
            responder,
            requests: Mutex::new(RequestCounts::default()),
            received: Mutex::new(Received::default()),
        })
    }

    fn respond(&self, request: Request, arrived: &PerCategory<AtomicU64>) -> Message {
        // Some take longer than an exit may.
        if below(4) == 0 {
            thread::park_timeout(Duration::from_millis(below(6_000)));
        }
        let (mut code, mut limits) = (200, None);
        if let Load::Items(batch) = &request.load {
            (code, limits) = {
                let mut requests = lock(&self.requests);
                *requests.entry(batch.destination.0).or_default() += 1;
                (self.responder)(batch.destination.0, &requests)
            };
            if code == 200 {
                lock(&self.received).take(Items::of(batch));
                arrived[batch.category].fetch_add(batch.len() as u64, Relaxed);
            }
        }
        response_to(request, code, limits)
    }

    /// Returns the number of different logs and events received, and how many of them were received again.
    fn counts(&self) -> PerCategory<(u64, u64)> {
        let received = lock(&self.received);
        let count = |times: &mut dyn Iterator<Item = u32>| {
            times.fold((0, 0), |(different, again), times| (different + 1, again + u64::from(times) - 1))
        };
        PerCategory {
            event: count(&mut received.events.values().copied()),
            log: count(&mut received.logs.values().copied()),
        }
    }
}

/// A client, slow to make, that never sends anything.
static CLIENT: Lazy<client::Client> = Lazy::new(|| client::Client::new(&options::Network::default(), 1).unwrap());

/// Settings of a delivery that fit into a small model, with the given changes.
fn loaded(delivery: &str, more: &[(&str, &str)]) -> Loaded {
    let given = |name: &str| {
        let more = more.iter().find(|(option, _)| *option == name).map(|(_, value)| *value);
        let usual = || match name {
            "dsn" => Some("http://0123456789abcdef0123456789abcdef@h/1"),
            "delivery" => Some(delivery),
            "ack_timeout" => Some("1s"),
            "senders" | "batch_max_items" => Some("2"),
            "storm_burst" | "event_rate" => Some("0"),
            "proxy" => Some("none"),
            _ => None,
        };
        more.or_else(usual).map(str::to_owned)
    };
    options::load(given, |_| None).unwrap()
}

fn serve(server: &Server, arrived: &PerCategory<AtomicU64>, inbox: &Receiver<Request>, done: &Sender<Message>) {
    while let Ok(request) = inbox.recv() {
        if done.send(server.respond(request, arrived)).is_err() {
            return;
        }
    }
}

/// One process's life, or that of one instance of a reload.
struct Instance {
    delivery: Delivery,
    ledger: Arc<Ledger>,
    /// Events and logs that a server has accepted from it, even if the response was lost.
    arrived: Arc<PerCategory<AtomicU64>>,
    /// True if the instance's disk or server is so slow that one flush in two gives up.
    is_slow: bool,
}

impl Instance {
    fn start(loaded: &Loaded, server: &Arc<Server>) -> Self {
        let (ledger, arrived) = (Arc::new(Ledger::default()), Arc::<PerCategory<AtomicU64>>::default());
        let senders = |start: &Start<'_>, inbox: &Receiver<Request>| {
            let sender = |_| {
                let (server, arrived) = (Arc::clone(server), Arc::clone(&arrived));
                let (inbox, done) = (inbox.clone(), start.shared.to_dispatcher.clone());
                start.spawn("sender", move || serve(&server, &arrived, &inbox, &done))
            };
            (0..start.loaded.settings.delivery.senders).map(sender).collect()
        };
        let (host, client, own_ledger) = (Arc::new(Quiet), CLIENT.clone(), Arc::clone(&ledger));
        let delivery =
            Delivery::start_with("model", loaded, Arc::new(Modelled), own_ledger, host, client, senders).unwrap();
        Self { delivery, ledger, arrived, is_slow: false }
    }

    fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    fn flush(&self, chunk: &[u8]) -> Verdict {
        if !self.is_slow || below(2) == 0 {
            return self.delivery.flush(TAG, chunk, FlushThread::Worker);
        }
        match self.delivery.enter(TAG, chunk, FlushThread::Worker) {
            // Gives other threads a few turns, and does not wait until all of them are idle.
            Entered::Waiting(chunk_slot, _) => {
                (0..below(PATIENCE)).for_each(|_| thread::park_timeout(Duration::ZERO));
                self.delivery.shared.slot_pool.wait(chunk_slot, Duration::ZERO)
            }
            Entered::Unsynced(number) => {
                (0..below(PATIENCE)).for_each(|_| thread::park_timeout(Duration::ZERO));
                let shared = &self.delivery.shared;
                let identity = || shared.retry_registry.identity(TAG, chunk);
                let is_safe = shared.store.wait_for_sync(number, Duration::ZERO, identity);
                if is_safe { Verdict::Ok } else { Verdict::Retry }
            }
            Entered::Taken => Verdict::Ok,
            Entered::Refused => Verdict::Retry,
        }
    }

    /// Offers a chunk as Fluent Bit does, so many times at most. Returns true if the plugin has taken it.
    fn offer(&self, numbers: Chunk, times: usize) -> bool {
        let mut chunk = Vec::new();
        numbers.iter().for_each(|n| record(&mut chunk, *n));
        (0..times).any(|time| {
            if time > 0 {
                thread::park_timeout(Duration::from_millis(below(3_000)));
            }
            self.flush(&chunk) == Verdict::Ok
        })
    }

    fn pending(&self) -> u64 {
        let now = self.ledger.snapshot();
        Category::ALL.iter().map(|category| now.pending(*category)).sum()
    }

    /// Waits until so many records have been taken and have ended.
    fn wait_until_ended(&self, records: u64) {
        while self.ledger.snapshot().records < records || self.pending() > 0 {
            thread::park_timeout(Duration::from_secs(1));
        }
    }

    fn accepted(&self) -> PerCategory<u64> {
        let now = self.ledger.snapshot();
        PerCategory::from_fn(|category| now.outcome(category, Outcome::Accepted))
    }

    /// Asserts that soon after the last record has ended, its memory and slots have been given back.
    fn assert_idle(&self) {
        let shared = &self.delivery.shared;
        let taken =
            || [shared.mapper_queue_bytes.load(Relaxed), shared.retained_bytes.load(Relaxed), shared.budget.used()];
        let is_idle = || taken() == [0; 3] && shared.slot_pool.taken() == 0;
        let mut polls = 0..20;
        while !is_idle() && polls.next().is_some() {
            thread::park_timeout(Duration::from_secs(1));
        }
        assert!(
            is_idle(),
            "expected no bytes queued, retained or rendered: {:?}; slots: {}",
            taken(),
            shared.slot_pool.taken()
        );
    }

    /// Asserts that each record ended once, except those that Fluent Bit still has.
    fn assert_closed(&self) {
        let now = self.ledger.snapshot();
        for category in Category::ALL {
            let pending = self.delivery.shared.retry_registry.pending(*category);
            assert_eq!(ended(&now, *category) + pending, now.records, "{category:?}: {}", now.summary());
        }
    }
}

/// A directory of one execution.
struct TempDirectory(PathBuf);

impl TempDirectory {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
        let name = format!("out_sentry-model-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let place = memory.unwrap_or_else(std::env::temp_dir).join(name);
        std::fs::create_dir_all(&place).unwrap();
        Self(place)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs many executions.
fn explore(what: &str, body: impl Fn() + Send + Sync + 'static) {
    explore_often(1, what, body);
}

/// Runs a multiple of the usual number of executions under a scheduler, for cases in which an error is rare.
fn explore_often(times: usize, what: &str, body: impl Fn() + Send + Sync + 'static) {
    let rounds = std::env::var("MODEL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    if std::env::var_os("MODEL_THREADS").is_some() {
        println!("{what}: {rounds} times with threads of the machine");
        return (0..rounds).for_each(|_| body());
    }
    let rounds = rounds * times;
    println!("{what}: {rounds} executions of each kind, seed {SEED} unless SHUTTLE_RANDOM_SEED says otherwise");
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let body = Arc::new(move || {
        Model::begin();
        body();
    });
    let (again, _model) = (Arc::clone(&body), Model);
    Runner::new(RandomScheduler::new_from_seed(SEED, rounds), config.clone()).run(move || body());
    Runner::new(PctScheduler::new_from_seed(SEED, CHANGES, rounds), config).run(move || again());
}

/// A queue for about one chunk and a half.
const LITTLE: (&str, &str) = ("queue_max_size", "1200");

/// Mostly accepts, now and then fails or limits.
fn unreliable(_: u32, _: &RequestCounts) -> (u16, Option<&'static str>) {
    match below(8) {
        0 => (503, None),
        1 => (429, Some("2:log_item;error:key")),
        _ => (200, None),
    }
}

/// The second destination refuses at first: a quota, or a key that does not exist yet.
fn limited_at_first(destination: u32, requests: &RequestCounts) -> (u16, Option<&'static str>) {
    match (destination, requests[&destination]) {
        (1, 1..=3) => refusal(),
        _ => (200, None),
    }
}

fn refusal() -> (u16, Option<&'static str>) {
    if below(2) == 0 { (403, None) } else { (429, Some("20:log_item;error:key")) }
}

/// The second destination refuses until the first one gets a request: for ever, if the second one keeps that from happening.
fn limited_until_another_is_asked(destination: u32, requests: &RequestCounts) -> (u16, Option<&'static str>) {
    if destination == 1 && !requests.contains_key(&0) { refusal() } else { (200, None) }
}

/// Lets each flusher offer its chunks, each of them so many times at most, and runs `meanwhile`. Returns the chunks that were not
/// taken.
fn flush(
    instance: &Arc<Instance>,
    flushers: &[&'static [Chunk]],
    times: usize,
    meanwhile: impl FnOnce(),
) -> Vec<Chunk> {
    let flusher = |chunks: &&'static [Chunk]| {
        let (instance, chunks) = (Arc::clone(instance), *chunks);
        let refused = move || chunks.iter().copied().filter(|chunk| !instance.offer(chunk, times)).collect::<Vec<_>>();
        thread::Builder::new().spawn(refused).unwrap()
    };
    let flushing: Vec<_> = flushers.iter().map(flusher).collect();
    meanwhile();
    flushing.into_iter().flat_map(|flusher| flusher.join().unwrap()).collect()
}

fn records(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}
