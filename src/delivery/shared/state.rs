//! The state that all threads of an instance share.

use crate::clock::{Clock, Moment, Monotonic};
use crate::delivery::accept::chunk_slot::SlotPool;
use crate::delivery::accept::flush_interval::FlushInterval;
use crate::delivery::accept::retry_registry::RetryRegistry;
use crate::delivery::costs::Costs;
use crate::delivery::report::client_reports;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::RouteTable;
use crate::delivery::shared::backlog::{Backlog, Readable};
use crate::delivery::shared::blocks::Blocks;
use crate::delivery::shared::inbox::{LogRequest, Message};
use crate::delivery::shared::lifecycle::Lifecycle;
use crate::delivery::shared::memory_budget::{MemoryBudget, Sharing};
use crate::delivery::shared::memory_shares::{MemoryShares, spool_high_water};
use crate::delivery::store::Store;
use crate::delivery::store::compressed_chunk::ChunkCompressor;
use crate::delivery::store::lost::Lost;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource, ChunkStatus};
use crate::ledger::{Category, Ledger, Outcome, Recorder};
use crate::options::{self, Loaded, ResolvedMode};
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, bounded, lock};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Most buffers of sent envelopes in the pool. The mapper keeps further ones itself.
const POOLED_BUFFERS: usize = 1;

/// Shortest wait of a deferred chunk until it is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The state that all threads of an instance share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Never written after the start.
    pub(in crate::delivery) settings: options::Delivery,
    /// The limits of memory. Never written after the start.
    pub(in crate::delivery) shares: MemoryShares,
    /// Read by all threads and by flushes.
    pub(in crate::delivery) clock: Arc<dyn Clock>,
    /// Counts records and outcomes. Written by all threads; the dispatcher reads the ledger behind it.
    pub(in crate::delivery) recorder: Recorder,
    /// Counts drops for client reports. Written by mapper, the spool's worker and dispatcher; read by the dispatcher.
    pub(in crate::delivery) reports: client_reports::Recorder,
    /// Slots for chunks. Filled by flushes; completed and recycled by mapper and dispatcher.
    pub(in crate::delivery) slot_pool: Arc<SlotPool>,
    /// Time between two flushes. Measured by flushes; read by the mapper.
    pub(in crate::delivery) flush_interval: FlushInterval,
    /// Compressors for chunks in memory. Used by flushes alone.
    pub(in crate::delivery) chunk_compressor: ChunkCompressor,
    /// Chunks that Fluent Bit keeps and will offer again. Written by mapper, dispatcher and the spool's worker; read by flushes.
    pub(in crate::delivery) retry_registry: RetryRegistry,
    /// Bytes of rendered items. Taken by the mapper, freed by the dispatcher; read by flushes.
    pub(in crate::delivery) budget: MemoryBudget,
    /// The cost of logs, and the budgets that cap it. Written by mapper, dispatcher and the spool's worker; read by mapper and
    /// dispatcher.
    pub(in crate::delivery) costs: Costs,
    /// A message that the backlog may be read again, because memory was freed. Sent by the dispatcher; received by the mapper.
    pub(in crate::delivery) capacity_freed: (Sender<()>, Receiver<()>),
    /// Buffers of log envelopes that have been sent. Given by the dispatcher; taken by the mapper.
    pub(in crate::delivery) buffer_pool: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    /// Bytes of chunks in the mapper's queue. Added by flushes, subtracted by the mapper; read by flushes and the dispatcher.
    pub(in crate::delivery) mapper_queue_bytes: AtomicU64,
    /// Bytes of chunks in memory whose items are not all sent. Added by the mapper, subtracted by mapper and dispatcher; read by
    /// flushes.
    pub(in crate::delivery) retained_bytes: AtomicU64,
    /// The destinations. Written by mapper (annotations) and dispatcher (sources); read by all threads and by flushes.
    pub(in crate::delivery) route_table: RouteTable,
    /// Blocked destinations. Written by the dispatcher; read by the mapper.
    pub(in crate::delivery) blocks: Blocks,
    /// Chunks with records that wait. Written by mapper, dispatcher and the spool's worker; read by the mapper, and by the dispatcher at
    /// exit.
    pub(in crate::delivery) backlog: Mutex<Backlog>,
    /// The spool. Written by flushes and the spool's worker; read by all threads.
    pub(in crate::delivery) store: Store,
    /// Segments of the spool that cannot be read. Written and read by mapper and the spool's worker.
    pub(in crate::delivery) lost: Lost,
    /// Bytes of each open spool. Written by the spool's worker; read by mapper and dispatcher.
    pub(in crate::delivery) spool_bytes: Mutex<Vec<Arc<AtomicU64>>>,
    /// Steady time in milliseconds before which no dead letter is written, because writing the last one failed. Written by the
    /// mapper; read by mapper and dispatcher.
    pub(in crate::delivery) dead_letter_retry_at: AtomicU64,
    /// Closing, deadline, active flushes and drain.
    pub(in crate::delivery) lifecycle: Lifecycle,
    /// Chunks in the mapper's queue that Fluent Bit keeps and the retry registry does not know yet. Added by flushes, subtracted by the
    /// mapper; read by flushes.
    pub(in crate::delivery) retained_in_transit: AtomicU64,
    /// Messages to the dispatcher. Sent by all threads and by flushes.
    pub(in crate::delivery) to_dispatcher: Sender<Message>,
}

impl Shared {
    pub(in crate::delivery) fn new(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: &Ledger,
        reports: client_reports::Recorder,
        to_dispatcher: Sender<Message>,
    ) -> Self {
        let (settings, slot_pool) = (&loaded.settings, Arc::new(SlotPool::new()));
        let identity = format!("{name} {}", loaded.dsn_source);
        let queue_max_size = settings.delivery.queue_max_size;
        let sharing = if settings.destination.is_routed() { Sharing::Several } else { Sharing::One };
        Self {
            retry_registry: RetryRegistry::new(&identity, Arc::clone(&slot_pool), ledger.recorder()),
            recorder: ledger.recorder(),
            reports,
            slot_pool,
            flush_interval: FlushInterval::default(),
            chunk_compressor: ChunkCompressor::default(),
            costs: Costs::new(settings.delivery.logs_budget, settings.delivery.logs_budget_namespace),
            shares: MemoryShares::of(queue_max_size),
            budget: MemoryBudget::new(queue_max_size, sharing),
            capacity_freed: bounded(1),
            buffer_pool: bounded(POOLED_BUFFERS),
            mapper_queue_bytes: AtomicU64::new(0),
            retained_bytes: AtomicU64::new(0),
            route_table: dsn_sources::read_all(&settings.destination),
            blocks: Blocks::default(),
            backlog: Mutex::default(),
            lost: Lost::default(),
            store: Store::new(settings.delivery.spool_sync),
            spool_bytes: Mutex::default(),
            dead_letter_retry_at: AtomicU64::new(0),
            lifecycle: Lifecycle::new(),
            retained_in_transit: AtomicU64::new(0),
            settings: settings.delivery.clone(),
            clock,
            to_dispatcher,
        }
    }

    /// Returns the present steady and wall time.
    pub(in crate::delivery) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Returns the bytes of all open spools.
    pub(in crate::delivery) fn spool_bytes(&self) -> u64 {
        lock(&self.spool_bytes).iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Returns true if the spool is so full that records of failing destinations are evicted for others.
    pub(in crate::delivery) fn is_spool_nearly_full(&self) -> bool {
        self.spool_bytes() > spool_high_water(self.settings.spool_max_size)
    }

    /// Returns true if no request is started any more: the instance is closing, and the spool keeps unsent items for the next
    /// one. A request that is cut may have arrived, so that its logs would be sent twice.
    pub(in crate::delivery) fn starts_nothing(&self) -> bool {
        self.lifecycle.is_closing() && ResolvedMode::of(&self.settings) == Some(ResolvedMode::Spool)
    }

    /// Returns true if the instance is closing and its time is over.
    pub(in crate::delivery) fn past_deadline(&self) -> bool {
        // The mapper asks for each record: the clock is read only if the answer depends on it.
        self.lifecycle.is_closing() && self.lifecycle.is_past_deadline(self.now().steady)
    }

    /// Returns true if no chunk will come any more, and no waiting chunk is worth reading again before the end.
    pub(in crate::delivery) fn is_drained(&self, readable: Readable) -> bool {
        let deadline = self.lifecycle.deadline();
        let is_ready = self.route_table.is_ready(ResolvedMode::Spool);
        let is_due = is_ready && lock(&self.backlog).is_worth_reading(deadline, readable);
        !is_due && self.lifecycle.is_quiet()
    }

    /// Returns the longest wait of a category for a quota or a misconfigured destination.
    pub(in crate::delivery) fn longest_hold(&self, category: Category) -> Duration {
        match category {
            Category::Event => self.settings.hold_events,
            Category::Log => self.settings.hold_logs,
        }
    }

    /// Acts on the new status of a chunk: completes its flush, defers it, or frees its memory or its bytes in the spool.
    pub(in crate::delivery) fn finish(&self, chunk_progress: &Arc<ChunkProgress>, status: ChunkStatus) {
        match (&chunk_progress.source, status) {
            (_, ChunkStatus::Busy) | (ChunkSource::None, _) => {}
            (ChunkSource::Memory, ChunkStatus::Done) => {
                self.retained_bytes.fetch_sub(chunk_progress.release_chunk(), Relaxed);
            }
            (ChunkSource::Memory, ChunkStatus::Deferred) => self.defer(chunk_progress),
            (ChunkSource::Host(identity), _) => self.retry_registry.finish(*identity, chunk_progress, status),
            (ChunkSource::Spool(extent), ChunkStatus::Done) => extent.end(),
            (ChunkSource::Spool(_), ChunkStatus::Deferred) => self.defer(chunk_progress),
        }
    }

    /// Adds a chunk to the backlog. It is read again when the first wait of its records ends or has lasted too long; if dead
    /// letters are to be written, at once.
    pub(in crate::delivery) fn defer(&self, chunk_progress: &Arc<ChunkProgress>) {
        chunk_progress.report_ended();
        let now = self.now().steady;
        let waits = chunk_progress.take_due().map_or(now + READ_AGAIN, |due| due.max(now + READ_AGAIN));
        let writes = now.max(Monotonic::from_millis(self.dead_letter_retry_at.load(Relaxed)));
        let due = if chunk_progress.has_rejected() { writes } else { waits };
        lock(&self.backlog).add(Arc::clone(chunk_progress), due);
    }

    /// Returns true if the record of an item that is given up with this outcome becomes a dead letter. Items that are given up
    /// because memory is short end at once.
    pub(in crate::delivery) fn writes_dead_letter(&self, outcome: Outcome) -> bool {
        self.settings.dead_letter_path.is_some() && outcome != Outcome::Overflow
    }

    /// Sends a message to Fluent Bit's log by way of the dispatcher, which logs each kind once a minute.
    pub(in crate::delivery) fn log(&self, severity: Severity, kind: LogKind, text: String) {
        self.log_times(severity, kind, text, 1);
    }

    /// Like [`Shared::log`], for something that has occurred so many times.
    pub(in crate::delivery) fn log_times(&self, severity: Severity, kind: LogKind, text: String, times: u64) {
        let _ = self.to_dispatcher.send(Message::LogThrottled(LogRequest { severity, kind, text, times }));
    }
}
