//! Tests the central property of the plugin: whatever the responses, waits, losses, repeated flushes, kills and blocks, each
//! record ends once, and the ledger closes at every moment. The test drives the real mapper, spooler and dispatcher step by
//! step on one thread, with its own clock, which may jump, and its own senders.

use crate::clock::{Clock, Moment, Monotonic};
use crate::delivery::accept::admission::Entered;
use crate::delivery::accept::chunk_slot::Verdict;
use crate::delivery::accept::compressed_chunk::Effort;
use crate::delivery::dispatch::dispatcher::{self, Dispatcher};
use crate::delivery::map::worker::Worker;
use crate::delivery::report::client_reports;
use crate::delivery::report::host::{Host, Report, Severity};
use crate::delivery::store::worker::Worker as Spooler;
use crate::delivery::transport::client::{Client, SendResult};
use crate::delivery::transport::response::{Limits, Response, ResponseKind};
use crate::delivery::transport::sender::{Done, Job as Request, Load};
use crate::delivery::{Job, Shared};
use crate::ledger::{Category, Ledger, Outcome, Status};
use crate::mapping::Mapper;
use crate::options::{self, Loaded};
use crate::sync::{Receiver, bounded, unbounded};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const TAG: &[u8] = b"kube.app";
pub(super) const WALL: u64 = 1_795_161_600;
/// Schedules for each delivery: with dead letters and without, with little room for them and with much, for one
/// destination and for two, by a clock that is right and by one that jumps.
const SEEDS: [u64; 4] = [3, 4, 7, 10];
/// Records of a chunk, every third of which is an event too.
const CHUNK: u64 = 7;

/// Deviations of the wall clock from the true time in seconds, one after another: somebody sets the clock, a battery is
/// empty, somebody tries out the year of a certificate.
const JUMPS: [i64; 7] = [0, 3_600, -3_600, 400 * 86_400, 0, -(WALL as i64), 30];
/// Milliseconds between two of them.
const BETWEEN_JUMPS: u64 = 7_000;

#[derive(Debug, Default)]
pub(super) struct Time {
    millis: AtomicU64,
    jumps: bool,
}

impl Time {
    pub(super) fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> Moment {
        let millis = self.millis.load(Relaxed);
        let jump = JUMPS[(millis / BETWEEN_JUMPS) as usize % JUMPS.len()];
        let wall = WALL.saturating_add_signed(if self.jumps { jump } else { 0 });
        let since_start = Duration::from_millis(millis);
        Moment { steady: Monotonic::START + since_start, wall: Duration::from_secs(wall) + since_start }
    }
}

#[derive(Debug)]
pub(super) struct Quiet;

impl Host for Quiet {
    fn log(&self, _: Severity, _: &str) {}
    fn publish(&self, _: &Report<'_>) {}
}

/// xorshift64*
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// A server's response: status, limits, and true if it accepts the items although the response does not say so.
fn any_answer(chance: &mut Chance) -> (u16, Option<&'static str>, bool) {
    const LIMITS: [&str; 4] = ["5:log_item:key", "70:error:key", "9::organization", "3:log_byte;error:key"];
    match chance.below(16) {
        0 => (0, None, chance.below(3) == 0),
        1 => (503, None, false),
        2 => (429, Some(LIMITS[chance.below(4) as usize]), false),
        3 => (429, None, false),
        4 => (413, None, false),
        5 => (400, None, false),
        6 => (403, None, false),
        7 => (200, Some(LIMITS[chance.below(4) as usize]), true),
        8 => (415, None, false),
        _ => (200, None, true),
    }
}

pub(super) fn record(out: &mut Vec<u8>, n: u64) {
    let level = if n.is_multiple_of(3) { "error" } else { "info" };
    line(out, n, (&format!("order {n} was"), level), if n.is_multiple_of(2) { "shop" } else { "other" });
}

pub(super) fn line(out: &mut Vec<u8>, n: u64, (message, level): (&str, &str), namespace: &str) {
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

/// One process's life.
pub(super) struct Instance {
    pub(super) shared: &'static Arc<Shared>,
    worker: Worker<'static>,
    spooler: Option<Spooler<'static>>,
    jobs: Receiver<Job>,
    dispatcher: Dispatcher,
    pub(super) inbox: Receiver<dispatcher::Message>,
    requests: Receiver<Request>,
    pub(super) on_their_way: Vec<Request>,
    pub(super) ledger: Arc<Ledger>,
}

impl Instance {
    pub(super) fn start(name: &str, loaded: &Loaded, clock: &Arc<Time>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let (to_dispatcher, inbox) = unbounded();
        let (to_mapper, jobs) = unbounded();
        let (to_senders, requests) = bounded(loaded.settings.delivery.senders);
        let (recorder, reader) = client_reports::new(true);
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
        Self { shared, worker, spooler, jobs, dispatcher, inbox, requests, on_their_way: Vec::new(), ledger }
    }

    /// Offers a chunk as Fluent Bit does; returns true if the plugin has taken it.
    pub(super) fn flush(&mut self, chunk: &[u8], mode: options::Mode) -> bool {
        if let Some(spooler) = &mut self.spooler {
            let offer = self.shared.offer(TAG, chunk);
            spooler.work();
            self.work();
            return match offer {
                Entered::Taken => true,
                Entered::Unsynced(number) => {
                    let identity = || self.shared.registry.identity(TAG, chunk);
                    self.shared.store.wait_for_sync(number, Duration::ZERO, identity)
                }
                Entered::Waiting(..) | Entered::Refused => false,
            };
        }
        let slots = &self.shared.slots;
        // One in two is packed, as where memory is short.
        let packed = Some(chunk).filter(|chunk| mode == options::Mode::Memory && chunk.len().is_multiple_of(2));
        let packed = packed.and_then(|chunk| self.shared.packer.pack(chunk, u64::MAX, Effort::Hard));
        let chunk_slot = packed.map_or_else(|| slots.fill(TAG, chunk), |packed| slots.fill_packed(TAG, packed));
        let chunk_slot = chunk_slot.expect("a free slot");
        self.shared.waiting.fetch_add(chunk_slot.bytes() as u64, Relaxed);
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
        self.shared.slots.wait(chunk_slot, Duration::ZERO) == Verdict::Ok
    }

    /// Everything that our threads would do now.
    pub(super) fn work(&mut self) {
        if let Some(spooler) = &mut self.spooler {
            spooler.work();
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.worker.take(job);
        }
        self.worker.finish_waiting(self.shared.now().steady);
        self.worker.replay_one();
        self.worker.seal(false);
        while let Ok(message) = self.inbox.try_recv() {
            self.dispatcher.handle(message);
        }
        self.dispatcher.send();
        self.dispatcher.tick();
        self.on_their_way.extend(self.requests.try_iter());
        self.assert_closed();
    }

    pub(super) fn answer(&mut self, at: usize, answered: (u16, Option<&str>, bool), seen: &mut Seen) {
        let request = self.on_their_way.swap_remove(at);
        let (mut code, limits, accepted) = answered;
        if accepted && let Load::Items(batch) = &request.load {
            let items = Items::of(batch);
            if code == 200 && items.is_too_large() {
                code = 413;
            } else {
                seen.take(items);
            }
        }
        self.dispatcher.handle(answered_with(request, code, limits));
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

    pub(super) fn pending(&self) -> u64 {
        let now = self.ledger.snapshot();
        Category::ALL.iter().map(|category| now.pending(*category)).sum()
    }
}

/// Returns the message of a sender about a request that was answered with this status and these limits, or not at all
/// (`code` 0).
pub(super) fn answered_with(request: Request, code: u16, limits: Option<&str>) -> dispatcher::Message {
    let limits = Limits::read(code, limits, None, Duration::ZERO);
    let kind = if code == 0 { ResponseKind::Failed } else { ResponseKind::of_status(code) };
    let status = if code == 0 { Status::Error } else { Status::of(code) };
    let response = Response { kind, limits };
    let sent = SendResult { response, code, status, bytes: 0, detail: code.to_string(), is_permanent: false };
    let Request { load, target, .. } = request;
    dispatcher::Message::Done(Box::new(Done { load, target, sent, took: Duration::ZERO }))
}

pub(super) fn ended(now: &crate::ledger::Snapshot, category: Category) -> u64 {
    Outcome::ALL.iter().map(|outcome| now.outcome(category, *outcome)).sum()
}

/// Items that the server has accepted, each with the number of times.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) logs: HashMap<u64, u32>,
    pub(super) events: HashMap<String, u32>,
}

/// The items of an envelope.
pub(super) enum Items {
    Event(String),
    Logs(Vec<u64>),
}

impl Items {
    pub(super) fn of(batch: &crate::envelope::Batch<crate::delivery::track::chunk_progress::ChunkProgress>) -> Self {
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

impl Seen {
    pub(super) fn take(&mut self, items: Items) {
        match items {
            Items::Event(id) => *self.events.entry(id).or_default() += 1,
            Items::Logs(numbers) => numbers.into_iter().for_each(|n| *self.logs.entry(n).or_default() += 1),
        }
    }
}

pub(super) struct Directory(pub(super) PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn loaded(mode: &str, directory: &Path, seed: u64) -> Loaded {
    let (spool, dsns) = (directory.join("spool"), directory.join("dsn"));
    std::fs::create_dir_all(&dsns).unwrap();
    std::fs::write(dsns.join("shop"), "http://0123456789abcdef0123456789abcdef@h/2").unwrap();
    // Every other schedule has dead letters, and every fifth of all little room for them.
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

/// Runs one schedule and returns how many records ended in each way, over all processes.
fn run(mode: &str, seed: u64) -> HashMap<&'static str, u64> {
    let mut chance = Chance(seed * 2 + 1);
    let name = format!("schedule-{mode}-{seed}-{}", std::process::id());
    // What is on disk is not what this is about: memory that looks like one is quicker.
    let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let directory = Directory(memory.unwrap_or_else(std::env::temp_dir).join(format!("out_sentry-{name}")));
    let loaded = loaded(mode, &directory.0, seed);
    let delivery = loaded.settings.delivery.mode;
    let clock = Arc::new(Time { millis: AtomicU64::new(0), jumps: seed.is_multiple_of(3) || seed.is_multiple_of(7) });
    clock.pass(1_000);
    let mut instance = Instance::start(&name, &loaded, &clock);
    let (mut held, mut seen, mut repeats) = (Vec::new(), Seen::default(), false);
    // Records, and stretches of bytes that are none and count as one.
    let (mut next, mut broken) = (0, 0);
    // Records that were done with before the last restart.
    let mut done = 0;
    let mut totals: [HashMap<&'static str, u64>; 2] = Default::default();
    let close = |instance: &Instance, totals: &mut [HashMap<&'static str, u64>; 2]| {
        let now = instance.ledger.snapshot();
        for (category, totals) in Category::ALL.iter().zip(totals) {
            for outcome in Outcome::ALL {
                *totals.entry(outcome.name()).or_default() += now.outcome(*category, *outcome);
            }
        }
    };
    for _ in 0..400 {
        match chance.below(12) {
            0 | 1 => {
                let mut chunk = Vec::new();
                (next..next + CHUNK).for_each(|n| record(&mut chunk, n));
                if chance.below(5) == 0 {
                    chunk.push(0xc1);
                    broken += 1;
                }
                next += CHUNK;
                if !instance.flush(&chunk, delivery) {
                    held.push(chunk);
                }
            }
            2 | 3 if !held.is_empty() => {
                let chunk = held.swap_remove(chance.below(held.len() as u64) as usize);
                if !instance.flush(&chunk, delivery) {
                    held.push(chunk);
                }
            }
            4 => clock.pass(chance.below(3_000)),
            5 if chance.below(4) == 0 => clock.pass(chance.below(60_000)),
            6 if delivery == options::Mode::Spool && chance.below(6) == 0 => {
                close(&instance, &mut totals);
                let before = instance.ledger.snapshot().records;
                // A killed process locks nothing.
                drop(instance.shared.store.unavailable());
                drop(instance);
                instance = Instance::start(&name, &loaded, &clock);
                // What is sent again stands in the books of this process too, with what the last one noted of it.
                let carried = instance.ledger.snapshot();
                done += before - carried.records;
                for (category, totals) in Category::ALL.iter().zip(&mut totals) {
                    for outcome in Outcome::ALL {
                        *totals.entry(outcome.name()).or_default() -= carried.outcome(*category, *outcome);
                    }
                }
            }
            _ if !instance.on_their_way.is_empty() => {
                let at = chance.below(instance.on_their_way.len() as u64) as usize;
                let answer = any_answer(&mut chance);
                repeats |= answer.0 == 0 && answer.2;
                instance.answer(at, answer, &mut seen);
            }
            _ => {}
        }
        instance.work();
    }
    for _ in 0..500 {
        while !instance.on_their_way.is_empty() {
            instance.answer(0, (200, None, true), &mut seen);
            instance.work();
        }
        held.retain(|chunk| !instance.flush(chunk, delivery));
        clock.pass(5_000);
        instance.work();
        if instance.pending() == 0 && held.is_empty() {
            break;
        }
    }
    assert_eq!((instance.pending(), held.len()), (0, 0), "{mode} {seed}: {}", instance.ledger.snapshot().summary());
    close(&instance, &mut totals);
    let [events, logs] = &totals;
    let last = instance.ledger.snapshot();
    assert_eq!(done + last.records, next + broken, "{mode} {seed}: {}", last.summary());
    for category in Category::ALL {
        assert_eq!(ended(&last, *category), last.records, "{mode} {seed} {category:?}: {}", last.summary());
    }
    if !repeats {
        assert!(seen.logs.values().all(|times| *times == 1), "{mode} {seed}: a log came twice");
        assert_eq!(seen.logs.len() as u64, logs["accepted"], "{mode} {seed}");
        assert_eq!(seen.events.len() as u64, events["accepted"], "{mode} {seed}");
    }
    assert!(seen.logs.len() as u64 >= logs["accepted"] && seen.events.len() as u64 >= events["accepted"]);
    let mut all = events.clone();
    logs.iter().for_each(|(outcome, count)| *all.entry(outcome).or_default() += count);
    all
}

#[test]
fn a_packed_chunk_that_is_broken_ends_in_the_ledger() {
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-broken-{}", std::process::id())));
    let clock = Arc::new(Time::default());
    clock.pass(1_000);
    let mut instance = Instance::start("broken", &loaded("memory", &directory.0, 1), &clock);
    let mut chunk = Vec::new();
    (0..10_000).for_each(|n| record(&mut chunk, n));
    let mut packed = instance.shared.packer.pack(&chunk, u64::MAX, Effort::Light).unwrap();
    packed.spoil();
    let chunk_slot = instance.shared.slots.fill_packed(TAG, packed).unwrap();
    instance.shared.waiting.fetch_add(chunk_slot.bytes() as u64, Relaxed);
    instance.worker.take(Job::Memory(chunk_slot));
    let mut seen = Seen::default();
    while instance.pending() > 0 {
        clock.pass(1_000);
        instance.work();
        while !instance.on_their_way.is_empty() {
            instance.answer(0, (200, None, true), &mut seen);
        }
    }
    // Those before the break, and one that stands for the others.
    let now = instance.ledger.snapshot();
    assert!((1_000..10_000).contains(&now.records), "{}", now.summary());
    for category in Category::ALL {
        assert_eq!(now.outcome(*category, Outcome::Invalid), 1, "{}", now.summary());
        assert_eq!(ended(&now, *category), now.records, "{}", now.summary());
    }
    assert_eq!(seen.logs.len() as u64, now.outcome(Category::Log, Outcome::Accepted), "{}", now.summary());
}

/// Many schedules, which between them must have met every way for a record to end that they could.
fn any_schedule_closes(mode: &str, more: &[&str]) {
    let mut met: HashMap<&str, u64> = HashMap::new();
    for seed in SEEDS {
        for (outcome, count) in run(mode, seed) {
            *met.entry(outcome).or_default() += count;
        }
    }
    let usual = ["accepted", "filtered", "sampled", "suppressed", "too_large", "rejected", "invalid"];
    for outcome in usual.iter().chain(more) {
        assert!(met[outcome] > 0, "{mode}: no record was {outcome}: {met:?}");
    }
}

#[test]
fn any_schedule_closes_the_ledger_of_a_spool() {
    any_schedule_closes("spool", &["rate_limited", "overflow"]);
}

#[test]
fn any_schedule_closes_the_ledger_of_ack() {
    any_schedule_closes("ack", &["rate_limited"]);
}

#[test]
fn any_schedule_closes_the_ledger_of_memory() {
    any_schedule_closes("memory", &["rate_limited"]);
}
