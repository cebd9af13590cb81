//! The dispatcher thread: decides what is sent and when, processes responses, and alone calls Fluent Bit.
//!
//! [`Dispatcher::run`] waits for messages, hands them to [`Dispatcher::handle`], gives the senders what the scheduler lets
//! go, and once a second publishes counters and checks what is due by time ([`Dispatcher::tick`]). The rest is in
//! submodules: `records` applies decisions to the records of a batch, `reports` sends client reports, check-ins and metrics,
//! `sources` reads changed DSNs, `log` words lines for the log, and `shutdown` ends the thread.

mod log;
mod records;
mod reports;
mod shutdown;
mod sources;

use crate::clock::Monotonic;
use crate::delivery::costs::Mark;
use crate::delivery::dispatch::destination::Action;
use crate::delivery::dispatch::policy::{HoldPlace, Policy};
use crate::delivery::dispatch::scheduler::Scheduler;
use crate::delivery::report::check_ins::CheckIns;
use crate::delivery::report::client_reports;
use crate::delivery::report::host::Host;
use crate::delivery::report::log_throttle::{LogSubject, LogThrottle};
use crate::delivery::report::messages::Keeping;
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::Target;
use crate::delivery::shared::inbox::{AwaitedMemory, LogRequest, Message};
use crate::delivery::shared::load::Load;
use crate::delivery::shared::state::Shared;
use crate::delivery::store::drop_reason::{DropReason, DropTrigger};
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::delivery::transport::client::Client;
use crate::delivery::transport::response::ResponseKind;
use crate::delivery::transport::sender;
use crate::envelope::Batch;
use crate::ledger::{Ledger, Outcome, PerCategory, Snapshot};
use crate::mapping::DestinationId;
use crate::options::{Loaded, ResolvedMode};
use crate::sync::{Receiver, Sender, lock};
use crossbeam_channel::RecvTimeoutError;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Interval at which counters are published and clocks are checked.
const TICK: Duration = Duration::from_secs(1);

/// Longest wait for the reports of senders after their connections were cut.
const CUT_GRACE: Duration = Duration::from_millis(300);

/// Least time between two client reports to a destination.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Returns a hash that identifies the server of a destination.
fn server(target: &Target) -> u64 {
    xxhash_rust::xxh3::xxh3_64(target.dsn.authority().as_bytes())
}

/// Returns the place where items wait in a delivery mode; `None` stands for an `auto` that has not chosen yet.
fn hold_place(mode: Option<ResolvedMode>) -> HoldPlace {
    match mode {
        Some(ResolvedMode::Memory) => HoldPlace::Memory,
        Some(ResolvedMode::Spool | ResolvedMode::Ack) | None => HoldPlace::Chunk,
    }
}

/// Durations of the latest requests to each destination.
#[derive(Debug, Default)]
struct ResponseTimes(HashMap<DestinationId, [Duration; 4]>);

impl ResponseTimes {
    fn add(&mut self, destination: DestinationId, took: Duration) {
        let latest = self.0.entry(destination).or_default();
        latest.rotate_right(1);
        latest[0] = took;
    }

    /// Returns the longest of them; zero for a destination that has not responded yet.
    fn expected(&self, destination: DestinationId) -> Duration {
        self.0.get(&destination).into_iter().flatten().max().copied().unwrap_or_default()
    }
}

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    scheduler: Scheduler<ChunkProgress>,
    to_senders: Sender<sender::Job<Load>>,
    ledger: Arc<Ledger>,
    reports: client_reports::Reader,
    check_ins: CheckIns,
    /// Destinations that are still to be asked whether there is something to report, in this round.
    to_report: Vec<DestinationId>,
    last_report: Monotonic,
    host: Arc<dyn Host>,
    client: Client,
    dsn_file: Option<PathBuf>,
    dsn_dir: Option<PathBuf>,
    summary_interval: Duration,
    throttle: LogThrottle,
    /// Durations of the requests since the last [`Report`](crate::delivery::Report).
    durations: Vec<Duration>,
    response_times: ResponseTimes,
    /// The ledger as the last summary line stated it.
    last_snapshot: Snapshot,
    last_tick: Monotonic,
    last_source: Monotonic,
    last_summary: Monotonic,
    /// The text about waiting items in the messages about destinations.
    keeping: Keeping,
    /// True if items are in memory only. Written when the mode is known.
    is_volatile: bool,
    /// The deadline, once the instance closes.
    closing: Option<Monotonic>,
    /// True once the requests in flight are being cut.
    is_cutting: bool,
    /// True once the mapper has ended.
    is_mapper_done: bool,
    /// State of the random numbers.
    chance: u64,
}

impl Dispatcher {
    pub(crate) fn new(
        shared: Arc<Shared>,
        loaded: &Loaded,
        to_senders: Sender<sender::Job<Load>>,
        ledger: Arc<Ledger>,
        reports: client_reports::Reader,
        host: Arc<dyn Host>,
        client: Client,
    ) -> Self {
        let settings = &loaded.settings.delivery;
        let policy = Policy {
            retry_base: settings.retry_base,
            retry_max: settings.retry_max,
            hold: PerCategory { event: settings.hold_events, log: settings.hold_logs },
            hold_place: hold_place(ResolvedMode::of(settings)),
            has_multiple_destinations: loaded.settings.destination.is_routed(),
            compress: loaded.settings.network.compress,
            replay: (settings.senders / 2).max(1),
        };
        let now = shared.now();
        Self {
            scheduler: Scheduler::new(policy, settings.senders, settings.queue_max_size),
            dsn_file: loaded.settings.destination.dsn_file.clone(),
            dsn_dir: loaded.settings.destination.dsn_dir.clone(),
            summary_interval: loaded.settings.report.summary_interval,
            throttle: LogThrottle::default(),
            durations: Vec::new(),
            response_times: ResponseTimes::default(),
            last_snapshot: Snapshot::default(),
            last_tick: Monotonic::START,
            last_source: now.steady,
            last_summary: now.steady,
            last_report: now.steady,
            to_report: Vec::new(),
            reports,
            check_ins: CheckIns::new(&loaded.settings.monitor, loaded.settings.mapping.environment.as_deref()),
            keeping: Keeping::of(ResolvedMode::of(settings), settings),
            is_volatile: ResolvedMode::of(settings) == Some(ResolvedMode::Memory),
            closing: None,
            is_cutting: false,
            is_mapper_done: false,
            // Nodes that start together differ in their nanoseconds.
            chance: u64::from(now.wall.subsec_nanos()) << 20 | 1,
            shared,
            to_senders,
            ledger,
            host,
            client,
        }
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        while !self.is_over(inbox) {
            match inbox.recv_timeout(self.idle()) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            inbox.try_iter().take(256).for_each(|message| self.handle(message));
            self.send();
            self.check_in(self.shared.now().steady);
            self.tick();
        }
        self.end(inbox);
    }

    pub(in crate::delivery) fn handle(&mut self, message: Message) {
        match message {
            Message::AwaitsMemory(destination, awaited) => self.expect(destination, Some(awaited)),
            Message::Batch(batch) => {
                self.expect(batch.destination, None);
                let now = self.shared.now().steady;
                let actions = self.scheduler.push(*batch, now);
                if self.is_volatile {
                    self.shared.budget.set_deferred(self.scheduler.blocked_bytes(now));
                }
                self.actions(actions);
            }
            Message::Done(done) => self.on_response(*done),
            Message::LogThrottled(LogRequest { severity, kind, text, times }) => {
                let subject = (kind, LogSubject::Instance);
                let line = self.throttle.log_times(subject, &text, times, self.shared.now().steady);
                self.log(severity, line);
            }
            Message::Log(severity, text) => self.log(severity, Some(text)),
            Message::Probed(id, result) => self.on_probe(id, result),
            Message::Chose(mode) => self.set_mode(mode),
            Message::Workers => self.log_workers(),
            Message::CheckIn(check_in) => self.check_ins.add(check_in, self.shared.now().steady),
            Message::MapperDone => self.is_mapper_done = true,
            Message::Close(deadline) => {
                self.closing = Some(deadline);
                self.check_ins.stop();
                if self.shared.starts_nothing() {
                    // No response will free memory: the mapper must not wait for it.
                    self.shared.budget.close();
                }
            }
        }
    }

    /// Notes that an envelope for this destination waits for memory, or that one has come.
    fn expect(&mut self, id: DestinationId, awaited: Option<AwaitedMemory>) {
        if !self.scheduler.knows(id) {
            self.set_host(id);
        }
        let actions = self.scheduler.expect(awaited, self.shared.now().steady);
        self.actions(actions);
    }

    pub(in crate::delivery) fn send(&mut self) {
        if self.shared.starts_nothing() {
            return;
        }
        let mut late = Vec::new();
        while let Some((batch, encoding)) = self.scheduler.next(self.shared.now().steady) {
            if self.is_too_late(batch.destination) {
                late.push(batch);
                continue;
            }
            let Some(target) = self.shared.route_table.get(batch.destination) else {
                self.on_removed_destination(batch);
                continue;
            };
            if self.shared.costs.is_capping() {
                let noted = self.shared.costs.sending(batch.bills(), self.shared.now().wall);
                self.budget_noted(noted);
            }
            // There is a place in the channel for every sender.
            let _ = self.to_senders.send(sender::Job { load: Load::Items(batch), target, encoding });
        }
        for batch in late {
            let actions = self.scheduler.requeue(batch, self.shared.now().steady);
            self.actions(actions);
        }
    }

    /// Returns true if the instance closes before the response to a request that begins now can be expected.
    fn is_too_late(&self, destination: DestinationId) -> bool {
        let Some(deadline) = self.closing else { return false };
        self.shared.now().steady + self.response_times.expected(destination) >= deadline
    }

    /// Tells the scheduler the host of a destination.
    fn set_host(&mut self, id: DestinationId) {
        if let Some(target) = self.shared.route_table.get(id) {
            self.scheduler.set_host(id, server(&target));
        }
    }

    /// Defers a batch whose destination was removed while the batch was filled; in mode `memory`, gives it up.
    fn on_removed_destination(&mut self, batch: Batch<ChunkProgress>) {
        let id = batch.destination;
        let mut actions = self.scheduler.requeue(batch, self.shared.now().steady);
        let waiting = self.scheduler.take(id);
        let reason = DropReason::shared(Outcome::Rejected, DropTrigger::DsnRemoved);
        let end = |batch| match self.is_volatile {
            true => Action::GiveUp(batch, Arc::clone(&reason)),
            false => Action::Defer(batch),
        };
        actions.extend(waiting.into_iter().map(end));
        self.actions(actions);
    }

    fn on_response(&mut self, done: sender::Done<Load>) {
        let now = self.shared.now().steady;
        self.shared.recorder.request(done.result.status, done.result.bytes);
        self.durations.push(done.took);
        self.response_times.add(done.load.destination(), done.took);
        let batch = match done.load {
            Load::Items(batch) => batch,
            Load::Report(id, report) => return self.on_report_response(id, report, &done.result, now),
            Load::CheckIn(id, _) => return self.on_check_in_response(id, &done.result, now),
        };
        if self.is_cutting && done.result.response.status == 0 {
            batch.owners().for_each(|(chunk_progress, records)| chunk_progress.abort(batch.category, records));
        }
        if self.shared.costs.is_capping() {
            self.shared.costs.sent(batch.bills());
        }
        let id = batch.destination;
        let current = self.shared.route_table.get(id);
        let outdated = current.is_none_or(|current| current.dsn != done.target.dsn);
        if outdated && done.result.response.kind != ResponseKind::Accepted {
            let actions = self.scheduler.requeue(batch, now);
            return self.actions(actions);
        }
        let chance = self.roll();
        let (actions, message) = self.scheduler.done(batch, &done.result.response, now, chance);
        self.share_blocks(id, now);
        self.actions(actions);
        if let Some(message) = message {
            self.log_message(id, &message, &done.result);
        }
    }

    /// Publishes a destination's blocks to the mapper.
    fn share_blocks(&self, id: DestinationId, now: Monotonic) {
        self.shared.blocks.set(id, self.scheduler.waits(id, now));
        self.shared.budget.set_deferred(if self.is_volatile {
            self.scheduler.blocked_bytes(now)
        } else {
            PerCategory::default()
        });
    }

    /// Uniform in 0..1 (xorshift64*).
    fn roll(&mut self) -> f64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn idle(&self) -> Duration {
        let now = self.shared.now().steady;
        let wake = self.scheduler.wake(now).map_or(TICK, |at| at.since(now));
        let end = self.closing.map_or(TICK, |at| at.since(now));
        wake.min(end).min((self.last_tick + TICK).since(now))
    }

    pub(in crate::delivery) fn tick(&mut self) {
        let now = self.shared.now().steady;
        if now < self.last_tick + TICK {
            return;
        }
        self.last_tick = now;
        let actions = self.scheduler.release_blocked(now);
        self.scheduler.destinations().into_iter().for_each(|id| self.share_blocks(id, now));
        self.actions(actions);
        if now >= self.last_source + dsn_sources::INTERVAL {
            self.last_source = now;
            self.read_sources(now);
            if self.shared.is_spool_nearly_full() && self.scheduler.is_any_impaired_alone(now) {
                lock(&self.shared.backlog).make_due(now);
            }
            self.shared.retry_registry.sweep();
        }
        if now >= self.last_report + REPORT_INTERVAL {
            self.last_report = now;
            self.to_report = self.shared.route_table.destinations();
        }
        self.send_reports(now);
        self.publish();
        let noted = self.shared.costs.save(Mark::Ahead);
        self.budget_noted(noted);
        if self.shared.used() == 0 {
            self.shared.chunk_compressor.rest();
        }
        self.throttle.due(now).into_iter().for_each(|(severity, line)| self.host.log(severity, &line));
        let due = !self.summary_interval.is_zero() && now >= self.last_summary + self.summary_interval;
        if due {
            self.last_summary = now;
            let snapshot = self.ledger.snapshot();
            if snapshot != self.last_snapshot {
                self.summarise(snapshot);
            }
        }
    }
}
