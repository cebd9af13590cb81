//! Delivers chunks to Sentry, from the flush to Sentry's response: the threads, and the state that they share.
//!
//! ```text
//! flush --slot--> mapper --batch--> dispatcher --job--> sender ... sender --done--> dispatcher
//!        \--chunk--> spool's worker --extent--^
//! ```
//!
//! Every arrow is a crossbeam channel. Only the dispatcher decides what is sent and when, only the mapper interprets
//! records, and only the spool's worker waits for the disk. Only the dispatcher calls Fluent Bit, so a sender that is stuck
//! in name resolution can be abandoned at exit.

mod accept;
mod costs;
pub mod dispatch;
mod map;
#[cfg(test)]
mod model;
#[cfg(test)]
mod property;
mod report;
mod route;
mod shared;
pub mod store;
mod track;
pub mod transport;

use crate::clock::{Clock, Moment, Monotonic, Stopwatch};
pub use crate::delivery::accept::chunk_slot::{SlotPool, Verdict};
use crate::delivery::accept::compressed_chunk::Effort;
use crate::delivery::accept::retry_registry::RetryRegistry;
pub use crate::delivery::dispatch::scheduler::STATES;
pub use crate::delivery::report::host::{Gauges, Host, Report, Severity};
use crate::delivery::report::log_kind::LogKind;
pub use crate::delivery::route::resolver::Directory;
use crate::delivery::route::table::RouteTable;
use crate::delivery::shared::backlog::Backlog;
use crate::delivery::shared::blocks::Blocks;
use crate::delivery::shared::memory_budget::MemoryBudget;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource, ChunkStatus};
use crate::delivery::track::drop_reason::DropReason;
use crate::ledger::{Category, Ledger, Outcome, Recorder};
use crate::mapping::Mapper;
use crate::options::{Loaded, Mapping, Mode};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Mutex, MutexGuard, Receiver, Sender, bounded, unbounded};
use costs::Costs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{Ordering, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
pub(crate) use store::set_reloading;
pub use store::split as split_spool;
use store::{Offer, Store};

/// Stack of each of the plugin's threads: room for TLS and JSON, whatever Fluent Bit's own threads have.
const STACK_BYTES: usize = 2 << 20;

/// Longest that a flush waits for the disk; then RETRY, and the chunk is recognised when it comes again.
const SPOOL_WAIT: Duration = Duration::from_secs(30);

/// Longest that a flush waits in `memory`, where it waits at all: the engine's own thread does.
const CLOGGED_WAIT: Duration = Duration::from_millis(100);

/// Buffers of envelopes that are kept for the next ones beside those of the mapper; more would only be memory.
const SPARE_PAYLOADS: usize = 1;

/// Beyond `exit_timeout`, how long threads get to come home before they are left behind.
const JOIN_GRACE: Duration = Duration::from_millis(700);

/// Why an item is given up that nobody refused.
const WAITED: &str = "waited for a rate limit or a misconfigured destination longer than hold_events or hold_logs";

/// State that all threads of an instance share.
#[derive(Debug)]
pub(crate) struct Shared {
    settings: crate::options::Delivery,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    reports: report::client_reports::Recorder,
    slots: Arc<SlotPool>,
    packer: accept::compressed_chunk::Packer,
    registry: RetryRegistry,
    budget: MemoryBudget,
    /// The cost of logs, and the budgets that cap it.
    costs: Costs,
    /// A word when there is room for a backlog again.
    room: (Sender<()>, Receiver<()>),
    /// Buffers of log envelopes that have been sent, for the next ones.
    buffer_pool: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    /// Bytes of chunks on their way to the mapper or the disk.
    waiting: AtomicU64,
    /// Bytes of chunks that are kept for the sake of dead letters.
    kept: AtomicU64,
    targets: RouteTable,
    blocks: Blocks,
    backlog: Mutex<Backlog>,
    store: Store,
    lost: store::lost::Lost,
    /// Bytes of each spool that is open.
    spool_bytes: Mutex<Vec<Arc<AtomicU64>>>,
    /// Steady time in milliseconds before which dead letters are not tried again: the disk would not take them.
    dead_again: AtomicU64,
    closing: AtomicBool,
    /// Flushes that may still put a chunk into a queue.
    active_flushes: AtomicU64,
    /// Chunks that stay with Fluent Bit, on their way to the mapper: the registry has not decided yet if they will be known
    /// again.
    retained_in_transit: AtomicU64,
    /// A [`Drain`].
    draining: AtomicU8,
    /// Steady time by which everything ends, in milliseconds; only read when closing.
    deadline: AtomicU64,
    to_dispatcher: Sender<dispatch::dispatcher::Message>,
}

/// The activity of the mapper at exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// It is not there yet: chunks may come.
    No,
    /// Nothing: no chunk will come, and nothing is due to be read again.
    Quiet,
    /// It reads a chunk again.
    Busy,
    /// The dispatcher needs no more from the mapper.
    Over,
}

/// Work for the mapper.
#[derive(Debug)]
pub(crate) enum Job {
    /// A chunk whose flush waits for Sentry.
    Ack(Arc<accept::chunk_slot::ChunkSlot>),
    /// A chunk whose flush has already been answered.
    Memory(Arc<accept::chunk_slot::ChunkSlot>),
    /// Chunks in the spool, the next of the backlog's live ones.
    Spooled,
    /// Nothing more will come.
    Close,
}

/// The running delivery of one instance.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    to_mapper: Sender<Job>,
    mode: Mode,
    /// The mode that `auto` chose.
    chosen: AtomicU64,
    /// True if the log has told what `workers` do.
    has_told_workers: AtomicBool,
    threads: Mutex<Option<Threads>>,
    client: transport::client::Client,
}

#[derive(Debug)]
struct Threads {
    mapper: JoinHandle<()>,
    spooler: Option<JoinHandle<Vec<store::Spool>>>,
    dispatcher: JoinHandle<()>,
    senders: Vec<JoinHandle<()>>,
}

/// State of a chunk when its flush begins to wait.
enum Entered {
    /// The plugin has taken the chunk.
    Taken,
    /// Its flush waits for the verdict, this long at most.
    Waiting(Arc<accept::chunk_slot::ChunkSlot>, Duration),
    /// The plugin has taken the chunk when the chunk of this number is synced.
    Unsynced(u64),
    /// It stays with Fluent Bit.
    Refused,
}

/// A flush that may still put its chunk into a queue.
struct Entering<'s>(&'s AtomicU64);

impl<'s> Entering<'s> {
    fn new(count: &'s AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Delivery {
    /// Starts the threads.
    ///
    /// # Errors
    /// What is wrong with certificates or proxy, or why a thread could not be started.
    pub fn start(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: Arc<Ledger>,
        host: Arc<dyn Host>,
    ) -> Result<Self, String> {
        let client = transport::client::Client::new(&loaded.settings.network, loaded.settings.delivery.senders)?;
        Self::start_with(name, loaded, clock, ledger, host, client, |start, inbox| start.senders(inbox))
    }

    /// Starts an instance like the above, with a given function that starts its senders.
    fn start_with(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: Arc<Ledger>,
        host: Arc<dyn Host>,
        client: transport::client::Client,
        senders: impl FnOnce(&Start<'_>, &Receiver<transport::sender::Job>) -> Result<Vec<JoinHandle<()>>, String>,
    ) -> Result<Self, String> {
        let settings = &loaded.settings;
        let (to_dispatcher, dispatcher_inbox) = unbounded();
        let (to_mapper, mapper_inbox) = bounded(512);
        let (reports, report_reader) = report::client_reports::new(settings.delivery.client_reports);
        let shared = Arc::new(Shared::new(name, loaded, clock, &ledger, reports, to_dispatcher));
        let (to_senders, sender_inbox) = bounded(settings.delivery.senders);
        let (first, tells_names) = (host.first(), host.tells_names());
        let start = Start { name, tells_names, loaded, shared: &shared, client: &client, first };
        let threads = Threads {
            mapper: start.mapper(mapper_inbox)?,
            spooler: start.spooler(to_mapper.clone())?,
            dispatcher: start.dispatcher(dispatcher_inbox, to_senders, ledger, report_reader, host)?,
            senders: senders(&start, &sender_inbox)?,
        };
        let chosen = AtomicU64::new(Mode::Auto as u64);
        let mode = settings.delivery.mode;
        let (threads, has_told_workers) = (Mutex::new(Some(threads)), AtomicBool::new(false));
        Ok(Self { shared, to_mapper, mode, chosen, has_told_workers, threads, client })
    }

    /// Takes a chunk or refuses it. Called on Fluent Bit's coroutine stack: nothing but copy, enqueue, wait.
    pub fn flush(&self, tag: &[u8], data: &[u8], on_engine_thread: bool) -> Verdict {
        match self.enter(tag, data, on_engine_thread) {
            Entered::Waiting(chunk_slot, longest) => self.shared.slots.wait(chunk_slot, longest),
            Entered::Unsynced(number) => {
                let identity = || self.shared.registry.identity(tag, data);
                let is_safe = self.shared.store.wait_for_sync(number, SPOOL_WAIT, identity);
                if is_safe { Verdict::Ok } else { Verdict::Retry }
            }
            Entered::Taken => Verdict::Ok,
            Entered::Refused => Verdict::Retry,
        }
    }

    fn enter(&self, tag: &[u8], data: &[u8], on_engine_thread: bool) -> Entered {
        let _entering = Entering::new(&self.shared.active_flushes);
        self.enqueue(tag, data, on_engine_thread)
    }

    /// Puts a chunk into the spool or a queue, if there is room.
    fn enqueue(&self, tag: &[u8], data: &[u8], on_engine_thread: bool) -> Entered {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Entered::Refused;
        }
        if !on_engine_thread && !self.has_told_workers.swap(true, Relaxed) {
            let _ = self.shared.to_dispatcher.send(dispatch::dispatcher::Message::Workers);
        }
        let mode = self.mode(on_engine_thread);
        if mode == Mode::Spool {
            return self.shared.offer(tag, data);
        }
        match self.queue(mode, tag, data) {
            Some((chunk_slot, Some(longest))) => Entered::Waiting(chunk_slot, longest),
            Some((_, None)) => Entered::Taken,
            None => Entered::Refused,
        }
    }

    /// Puts a chunk into the mapper's queue, if there is room; returns its slot, and how long its flush waits for the
    /// outcome, if it does.
    fn queue(
        &self,
        mode: Mode,
        tag: &[u8],
        data: &[u8],
    ) -> Option<(Arc<accept::chunk_slot::ChunkSlot>, Option<Duration>)> {
        // What a quota holds has filled its share of the memory: the host keeps the chunk, and the rest of it goes on.
        let share_full = mode == Mode::Memory && self.shared.is_share_full(data.len() as u64);
        if !self.shared.targets.is_ready(mode) {
            return None;
        }
        let chunk_slot = match mode {
            Mode::Memory if share_full => self.shared.pass(tag, data),
            Mode::Memory => self.shared.hold(tag, data),
            Mode::Auto | Mode::Spool | Mode::Ack => self.shared.slots.fill(tag, data),
        }?;
        let length = chunk_slot.bytes() as u64;
        self.shared.waiting.fetch_add(length, Relaxed);
        let ours = Arc::clone(&chunk_slot);
        let stays = mode == Mode::Ack || share_full;
        if stays {
            self.shared.retained_in_transit.fetch_add(1, Ordering::SeqCst);
        }
        let (sent, longest) = match mode {
            Mode::Ack => {
                (self.to_mapper.try_send(Job::Ack(chunk_slot)).is_ok(), Some(self.shared.settings.ack_timeout))
            }
            Mode::Memory if share_full => (self.to_mapper.try_send(Job::Ack(chunk_slot)).is_ok(), Some(CLOGGED_WAIT)),
            Mode::Memory | Mode::Auto | Mode::Spool => (self.to_mapper.try_send(Job::Memory(chunk_slot)).is_ok(), None),
        };
        if !sent {
            self.shared.retained_in_transit.fetch_sub(u64::from(stays), Ordering::SeqCst);
            self.shared.waiting.fetch_sub(length, Relaxed);
            self.shared.slots.recycle(ours);
            return None;
        }
        Some((ours, longest))
    }

    /// `auto`: `spool` with a directory, else `ack` on a worker thread, else `memory`. The dispatcher logs the choice once.
    fn mode(&self, on_engine_thread: bool) -> Mode {
        if self.mode != Mode::Auto {
            return self.mode;
        }
        let mode = match (&self.shared.settings.spool_path, on_engine_thread) {
            (Some(_), _) => Mode::Spool,
            (None, false) => Mode::Ack,
            (None, true) => Mode::Memory,
        };
        if self.chosen.swap(mode as u64, Relaxed) != mode as u64 {
            let _ = self.shared.to_dispatcher.send(dispatch::dispatcher::Message::Chose(mode));
        }
        mode
    }

    /// Drains for at most `exit_timeout`, joins the threads, and leaves nothing running that could touch Fluent Bit.
    pub fn close(&self) {
        let Some(threads) = lock(&self.threads).take() else { return };
        let now = self.shared.now().steady;
        let deadline = now + self.shared.settings.exit_timeout;
        // Whoever ends soon after the start has no later time for what an earlier process left.
        lock(&self.shared.backlog).end_delay(now);
        self.shared.deadline.store(deadline.as_millis(), Relaxed);
        self.shared.closing.store(true, Ordering::SeqCst);
        // What comes into a queue behind the last word is seen by nobody; and to put it there waits for nobody.
        while self.shared.active_flushes.load(Ordering::SeqCst) > 0 {
            thread::park_timeout(Duration::from_millis(1));
        }
        let _ = self.shared.to_dispatcher.send(dispatch::dispatcher::Message::Close(deadline));
        self.shared.store.close();
        let former = threads.spooler.map(JoinHandle::join);
        let _ = self.to_mapper.send_timeout(Job::Close, self.shared.settings.exit_timeout);
        let _ = threads.dispatcher.join();
        self.client.shutdown();
        self.shared.budget.close();
        let _ = threads.mapper.join();
        self.shared.registry.release_all();
        // The directory stays locked until nobody here settles, removes or reads its files any more: another process may wait
        // for it.
        self.shared.store.release();
        drop(former);
        join_or_leave(threads.senders);
    }
}

/// Returns the destinations that the sources name now. A file or a directory that is not there yet is no error: the dispatcher
/// looks again.
fn targets(settings: &crate::options::Destination) -> RouteTable {
    let targets = RouteTable::new(settings);
    let file = settings.dsn_file.as_deref().and_then(|file| route::dsn_sources::read_dsn(file).ok());
    if let Some(dsn) = settings.dsn.clone().or(file) {
        targets.set_default(dsn);
    }
    if let Some(listing) = settings.dsn_dir.as_deref().and_then(|dir| route::dsn_sources::read_dir(dir).ok()) {
        targets.set_namespaces(listing);
    }
    targets
}

/// Values that are needed to start the threads.
struct Start<'s> {
    name: &'s str,
    /// No other output of the process has this name.
    tells_names: bool,
    loaded: &'s Loaded,
    shared: &'s Arc<Shared>,
    client: &'s transport::client::Client,
    /// The function that each thread runs first.
    first: fn(),
}

impl Start<'_> {
    fn mapper(&self, inbox: Receiver<Job>) -> Result<JoinHandle<()>, String> {
        let mapping = Mapping { output: self.name.to_owned(), ..self.loaded.settings.mapping.clone() };
        let (shared, records) = (Arc::clone(self.shared), Mapper::new(mapping));
        self.spawn("sentry-mapper", move || map::worker::run(&shared, records, &inbox))
    }

    fn spooler(&self, to_mapper: Sender<Job>) -> Result<Option<JoinHandle<Vec<store::Spool>>>, String> {
        let (name, path) = (self.name.to_owned(), self.spool_path());
        let former = if self.tells_names { store::former::begin(&name, path.as_deref()) } else { Vec::new() };
        if path.is_none() && former.is_empty() {
            return Ok(None);
        }
        let (shared, settings) = (Arc::clone(self.shared), store::settings(&self.loaded.mapping_options));
        let work = move || store::worker::Worker::new(&shared, &to_mapper, &name, path, former, settings).run();
        self.spawn("sentry-spooler", work).map(Some)
    }

    fn spool_path(&self) -> Option<PathBuf> {
        let delivery = &self.loaded.settings.delivery;
        delivery.spool_path.clone().filter(|_| matches!(delivery.mode, Mode::Auto | Mode::Spool))
    }

    fn dispatcher(
        &self,
        inbox: Receiver<dispatch::dispatcher::Message>,
        to_senders: Sender<transport::sender::Job>,
        ledger: Arc<Ledger>,
        reports: report::client_reports::Reader,
        host: Arc<dyn Host>,
    ) -> Result<JoinHandle<()>, String> {
        let (shared, client) = (Arc::clone(self.shared), self.client.clone());
        let dispatcher =
            dispatch::dispatcher::Dispatcher::new(shared, self.loaded, to_senders, ledger, reports, host, client);
        self.spawn("sentry-dispatch", move || dispatcher.run(&inbox))
    }

    fn senders(&self, inbox: &Receiver<transport::sender::Job>) -> Result<Vec<JoinHandle<()>>, String> {
        let count = self.loaded.settings.delivery.senders;
        // The default, or the first of several; one whose source is not there yet shows by its first items.
        let targets = &self.shared.targets;
        let probed = targets.numbers().first().and_then(|number| Some((*number, targets.get(*number)?)));
        let compressors = transport::compressor_pool::CompressorPool::new();
        let start = |number| {
            let (inbox, client, compressors) = (inbox.clone(), self.client.clone(), compressors.clone());
            let (done, clock) = (self.shared.to_dispatcher.clone(), Arc::clone(&self.shared.clock));
            let first = probed.clone().filter(|_| number == 0);
            self.spawn(&format!("sentry-send-{number}"), move || {
                if let Some((number, target)) = first {
                    transport::sender::probe(number, &target, &client, &done);
                }
                transport::sender::run(&inbox, &client, &compressors, &*clock, &done);
            })
        };
        (0..count).map(start).collect()
    }

    fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, String> {
        let (first, builder) = (self.first, thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES));
        let thread = builder.spawn(move || {
            first();
            work()
        });
        thread.map_err(|error: io::Error| format!("cannot start thread {name}: {error}"))
    }
}

/// Joins the threads that end in time. Any other is stuck in name resolution, which cannot be interrupted; it holds nothing
/// of Fluent Bit's, and the library is never unloaded.
fn join_or_leave(threads: Vec<JoinHandle<()>>) {
    let waiting = Stopwatch::start();
    for thread in threads {
        while !thread.is_finished() && waiting.elapsed() < JOIN_GRACE {
            thread::park_timeout(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: &Ledger,
        reports: report::client_reports::Recorder,
        to_dispatcher: Sender<dispatch::dispatcher::Message>,
    ) -> Self {
        let (settings, slots) = (&loaded.settings, Arc::new(SlotPool::new()));
        let identity = format!("{name} {}", loaded.dsn_source);
        Self {
            registry: RetryRegistry::new(&identity, Arc::clone(&slots), ledger.recorder()),
            recorder: ledger.recorder(),
            reports,
            slots,
            packer: accept::compressed_chunk::Packer::default(),
            costs: Costs::new(settings.delivery.logs_budget, settings.delivery.logs_budget_namespace),
            budget: MemoryBudget::new(settings.delivery.queue_max_size, settings.destination.is_routed()),
            room: bounded(1),
            buffer_pool: bounded(SPARE_PAYLOADS),
            waiting: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            targets: targets(&settings.destination),
            blocks: Blocks::default(),
            backlog: Mutex::default(),
            lost: store::lost::Lost::default(),
            store: Store::new(settings.delivery.spool_sync),
            spool_bytes: Mutex::default(),
            dead_again: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            active_flushes: AtomicU64::new(0),
            retained_in_transit: AtomicU64::new(0),
            draining: AtomicU8::new(Drain::No as u8),
            deadline: AtomicU64::new(u64::MAX),
            settings: settings.delivery.clone(),
            clock,
            to_dispatcher,
        }
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Bytes of the queue that are taken.
    fn used(&self) -> u64 {
        self.waiting.load(Relaxed) + self.kept.load(Relaxed) + self.budget.used()
    }

    /// Returns true if a chunk of `length` bytes may be queued. An empty queue takes a chunk of any size.
    fn has_room(&self, length: u64) -> bool {
        let used = self.used();
        used == 0 || used + length <= self.settings.queue_max_size
    }

    /// A chunk that is to wait in memory, if there is room: as it is while little waits, else packed.
    fn hold(&self, tag: &[u8], data: &[u8]) -> Option<Arc<accept::chunk_slot::ChunkSlot>> {
        /// Nearly all chunks shrink by less: none is packed for room that it will not fit in.
        const MOST_SHRUNK: u64 = 8;
        let (length, used, most) = (data.len() as u64, self.used(), self.settings.queue_max_size);
        let half_full = used > 0 && used + length > most / 2;
        // More than the mapper takes at once: a burst has begun, and what its first chunks take the last ones lack.
        let waiting = self.waiting.load(Relaxed);
        let behind = waiting > 0 && waiting + length > most / 8;
        let pressure = if half_full { Effort::Hard } else { Effort::Light };
        if (half_full || behind)
            && used + length / MOST_SHRUNK <= most
            && let Some(packed) = self.packer.pack(data, most - used, pressure)
        {
            return self.slots.fill_packed(tag, packed);
        }
        if self.has_room(length) { self.slots.fill(tag, data) } else { None }
    }

    /// A chunk that does not stay but passes through, if there is room.
    fn pass(&self, tag: &[u8], data: &[u8]) -> Option<Arc<accept::chunk_slot::ChunkSlot>> {
        let waiting = self.waiting.load(Relaxed);
        let has_room = waiting == 0 || waiting + data.len() as u64 <= self.settings.queue_max_size / 2;
        if has_room { self.slots.fill(tag, data) } else { None }
    }

    /// Offers a chunk to the spool.
    fn offer(&self, tag: &[u8], data: &[u8]) -> Entered {
        let wall = self.now().wall;
        match self.store.offer(tag, data, wall, SPOOL_WAIT, &self.registry, &self.recorder) {
            Offer::Taken => Entered::Taken,
            Offer::Unsynced(number) => Entered::Unsynced(number),
            Offer::Refused => Entered::Refused,
        }
    }

    /// Returns true if a chunk for memory has to stay with Fluent Bit because of the items that are held. This also holds
    /// for as long as Fluent Bit has a chunk that stayed, so that it is known when it is offered again.
    fn is_share_full(&self, length: u64) -> bool {
        // What waits as a chunk must leave room for what is live, too.
        let kept = self.kept.load(Relaxed) + length > self.settings.queue_max_size / 2;
        let full = self.budget.is_holding() && (kept || !self.has_room(length));
        // In this order: what is no longer on its way to be known is known.
        full || self.budget.is_share_full(length)
            || self.retained_in_transit.load(Ordering::SeqCst) > 0
            || self.registry.expects_any()
    }

    /// Bytes on the disk.
    fn spool_bytes(&self) -> u64 {
        lock(&self.spool_bytes).iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Returns true if the spool is so full that records that wait for a destination in trouble have to make room for
    /// others.
    fn is_spool_scarce(&self) -> bool {
        self.spool_bytes() > self.settings.spool_max_size / 4 * 3
    }

    /// Returns true if chunks go to the spool.
    fn has_spool(&self) -> bool {
        self.settings.spool_path.is_some() && matches!(self.settings.mode, Mode::Auto | Mode::Spool)
    }

    /// Returns true if no request is started any more: the instance is closing, and unsent items are in the spool for the
    /// next one. A request that is cut may have arrived, so that its logs would come twice.
    fn starts_nothing(&self) -> bool {
        self.closing.load(Relaxed) && self.has_spool()
    }

    fn past_deadline(&self) -> bool {
        self.closing.load(Relaxed) && self.now().steady.as_millis() >= self.deadline.load(Relaxed)
    }

    fn drain_state(&self, from: Drain, to: Drain) -> Result<u8, u8> {
        self.draining.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Returns true if no chunk will come any more, and no waiting chunk is worth reading again before the end.
    fn is_drained(&self, answers: bool) -> bool {
        let deadline = Monotonic::from_millis(self.deadline.load(Relaxed));
        let due = self.targets.is_ready(Mode::Spool) && lock(&self.backlog).is_worth_reading(deadline, answers);
        !due && self.draining.load(Ordering::SeqCst) == Drain::Quiet as u8
    }

    /// Returns the longest wait of a category for a quota or a misconfigured destination.
    fn longest(&self, category: Category) -> Duration {
        match category {
            Category::Event => self.settings.hold_events,
            Category::Log => self.settings.hold_logs,
        }
    }

    /// Acts on a progress record's new status, which may be final.
    fn finish(&self, chunk_progress: &Arc<ChunkProgress>, standing: ChunkStatus) {
        match (&chunk_progress.source, standing) {
            (_, ChunkStatus::Busy) | (ChunkSource::None, _) => {}
            (ChunkSource::Memory, ChunkStatus::Done) => {
                self.kept.fetch_sub(chunk_progress.forget(), Relaxed);
            }
            (ChunkSource::Memory, ChunkStatus::Deferred) => self.defer(chunk_progress),
            (ChunkSource::Host(identity), _) => self.registry.finish(*identity, chunk_progress, standing),
            (ChunkSource::Spool(extent), ChunkStatus::Done) => extent.end(),
            (ChunkSource::Spool(_), ChunkStatus::Deferred) => self.defer(chunk_progress),
        }
    }

    /// Puts a chunk among those that wait, to be read again when the first of its holds is over or has lasted too long;
    /// at once if dead letters are to be written.
    fn defer(&self, chunk_progress: &Arc<ChunkProgress>) {
        const AGAIN: Duration = Duration::from_secs(1);
        chunk_progress.tell_ended();
        let now = self.now().steady;
        let waits = chunk_progress.take_due().map_or(now + AGAIN, |due| due.max(now + AGAIN));
        let writes = now.max(Monotonic::from_millis(self.dead_again.load(Relaxed)));
        let due = if chunk_progress.has_rejected() { writes } else { waits };
        lock(&self.backlog).add(Arc::clone(chunk_progress), due);
    }

    /// Returns the cause that goes into the dead letters of items that are given up. `None` if they end at once, because
    /// there is no place for dead letters or because they make room for others.
    fn drop_reason(&self, outcome: Outcome, status: u16, detail: &str) -> Option<Arc<DropReason>> {
        self.settings.dead_letter_path.as_ref().filter(|_| outcome != Outcome::Overflow)?;
        Some(Arc::new(DropReason { outcome, status, detail: detail.to_owned() }))
    }

    /// Sends a message to Fluent Bit's log by way of the dispatcher, which logs each kind once a minute.
    fn say(&self, severity: Severity, kind: LogKind, text: String) {
        self.say_times(severity, kind, text, 1);
    }

    /// Like [`Shared::say`], for something that has occurred so many times.
    fn say_times(&self, severity: Severity, kind: LogKind, text: String, times: u64) {
        let said = dispatch::dispatcher::LogRequest { severity, kind, text, times };
        let _ = self.to_dispatcher.send(dispatch::dispatcher::Message::LogThrottled(said));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
