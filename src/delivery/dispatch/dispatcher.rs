//! The dispatcher thread: decides what is sent and when, settles batches that were answered, and calls Fluent Bit.

use crate::clock::Monotonic;
use crate::delivery::dispatch::destination::Action;
use crate::delivery::dispatch::policy::Policy;
use crate::delivery::dispatch::scheduler::Scheduler;
use crate::delivery::report::check_ins::CheckIns;
use crate::delivery::report::client_reports;
use crate::delivery::report::host::{Gauges, Host, Report, Severity};
use crate::delivery::report::log_throttle::{LogSubject, LogThrottle};
use crate::delivery::report::messages::{self, Keeping, LogLine, MADE_ROOM, Notice};
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::{Changes, Target};
use crate::delivery::shared::blocks::Decision;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource, ItemEnd};
use crate::delivery::track::drop_reason::DropReason;
use crate::delivery::transport::client::{Client, SendResult};
use crate::delivery::transport::response::ResponseKind;
use crate::delivery::transport::sender;
use crate::delivery::transport::sender::Load;
use crate::delivery::{Drain, Shared, WAITED, lock};
use crate::envelope::Batch;
use crate::ledger::{Category, Ledger, Outcome, PerCategory, Snapshot};
use crate::mapping::CheckIn;
use crate::options::{Loaded, Mode};
use crate::sync::{Receiver, Sender};
use crossbeam_channel::RecvTimeoutError;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Messages to the dispatcher.
#[derive(Debug)]
pub(crate) enum Message {
    Batch(Box<Batch<ChunkProgress>>),
    /// An envelope for this destination waits for so many bytes of room in memory, and everything behind it.
    Expected(u32, Category, u64),
    Done(Box<sender::Done>),
    /// A line that is logged once a minute at most.
    Say(Said),
    /// A line that is logged at once, because its sender sends it once.
    Log(Severity, String),
    /// Result of asking a destination at the start: the status if it answered, else the result of the request.
    Probed(u32, Result<u16, Box<SendResult>>),
    Chose(Mode),
    /// A flush has come on a worker thread of Fluent Bit's.
    Workers,
    /// That a job runs or ran.
    CheckIn(CheckIn),
    MapperDone,
    /// Steady time by which to end.
    Close(Monotonic),
}

/// A message about this instance for the log.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) severity: Severity,
    /// Identifies messages that count as the same.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// Occurrences that the message stands for.
    pub(crate) times: u64,
}

/// Interval at which counters are published and clocks are checked.
const TICK: Duration = Duration::from_secs(1);

/// Longest wait for the reports of senders after their connections were cut.
const CUT_GRACE: Duration = Duration::from_millis(300);

/// Returns a hash that identifies the server of a destination.
fn server(target: &Target) -> u64 {
    xxhash_rust::xxh3::xxh3_64(target.dsn.authority().as_bytes())
}

/// Namespaces named in a summary line: those whose logs have cost most.
const DEAREST: usize = 3;

/// Least time between two client reports to a destination.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Log line for users who have set `workers`; it is logged once.
const WORKERS: &str = "flushes come from worker threads (`workers` of this output): with hot_reload, Fluent Bit before 5.0 crashes at \
                       one of the next reloads, and later versions leak a thread at each; set spool_path and remove workers";

/// Returns the line that says at the end how many items Sentry never got, or nothing if it got them all.
fn losses(snapshot: &Snapshot) -> Option<String> {
    const LOSSES: [Outcome; 7] = [
        Outcome::Lost,
        Outcome::Overflow,
        Outcome::Abandoned,
        Outcome::RateLimited,
        Outcome::Rejected,
        Outcome::TooLarge,
        Outcome::Invalid,
    ];
    let mut counts = Vec::new();
    for category in Category::ALL {
        for outcome in LOSSES {
            let count = snapshot.outcome(*category, outcome);
            if count > 0 {
                counts.push(format!("{}.{}={count}", category.name(), outcome.name()));
            }
        }
    }
    if counts.is_empty() {
        return None;
    }
    let in_memory = Category::ALL.iter().any(|category| snapshot.outcome(*category, Outcome::Lost) > 0);
    let advice = if in_memory { "; set spool_path to keep items when Fluent Bit stops" } else { "" };
    Some(format!("items that did not reach Sentry: {}{advice}", counts.join(" ")))
}

/// Items and bytes of records that only memory holds, by destination and category.
#[derive(Debug, Default)]
struct Queued(HashMap<(u32, Category), (u64, u64)>);

impl Queued {
    fn add(&mut self, batch: &Batch<ChunkProgress>) {
        let ours = batch.owners().filter(|(chunk_progress, _)| matches!(chunk_progress.source, ChunkSource::Memory));
        let items: usize = ours.map(|(_, records)| records.count()).sum();
        let cell = self.0.entry((batch.destination, batch.category)).or_default();
        *cell = (cell.0 + items as u64, cell.1 + batch.bytes() as u64);
    }
}

/// Durations of the latest requests to each destination.
#[derive(Debug, Default)]
struct ResponseTimes(HashMap<u32, [Duration; 4]>);

impl ResponseTimes {
    fn add(&mut self, destination: u32, took: Duration) {
        let latest = self.0.entry(destination).or_default();
        latest.rotate_right(1);
        latest[0] = took;
    }

    /// Returns the longest of them; zero for a destination that has not answered yet.
    fn expected(&self, destination: u32) -> Duration {
        self.0.get(&destination).into_iter().flatten().max().copied().unwrap_or_default()
    }
}

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    scheduler: Scheduler<ChunkProgress>,
    to_senders: Sender<sender::Job>,
    ledger: Arc<Ledger>,
    reports: client_reports::Reader,
    check_ins: CheckIns,
    /// Destinations that are still to be asked whether there is something to report, in this round.
    to_report: Vec<u32>,
    last_report: Monotonic,
    host: Arc<dyn Host>,
    client: Client,
    dsn_file: Option<PathBuf>,
    dsn_dir: Option<PathBuf>,
    summary_interval: Duration,
    throttle: LogThrottle,
    durations: Vec<Duration>,
    answers: ResponseTimes,
    shown: Snapshot,
    last_tick: Monotonic,
    last_source: Monotonic,
    last_summary: Monotonic,
    /// The text about waiting items in the messages about destinations.
    keeping: Keeping,
    volatile: bool,
    closing: Option<Monotonic>,
    /// Requests on their way are being cut.
    is_cutting: bool,
    mapper_done: bool,
    chance: u64,
}

impl Dispatcher {
    pub(crate) fn new(
        shared: Arc<Shared>,
        loaded: &Loaded,
        to_senders: Sender<sender::Job>,
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
            can_defer: settings.mode != Mode::Memory,
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
            answers: ResponseTimes::default(),
            shown: Snapshot::default(),
            last_tick: Monotonic::START,
            last_source: now.steady,
            last_summary: now.steady,
            last_report: now.steady,
            to_report: Vec::new(),
            reports,
            check_ins: CheckIns::new(&loaded.settings.monitor, loaded.settings.mapping.environment.as_deref()),
            keeping: Keeping::of(settings.mode, settings),
            volatile: settings.mode == Mode::Memory,
            closing: None,
            is_cutting: false,
            mapper_done: false,
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
            Message::Expected(number, category, bytes) => self.expect(number, Some((category, bytes))),
            Message::Batch(batch) => {
                self.expect(batch.destination, None);
                let now = self.shared.now().steady;
                let actions = self.scheduler.push(*batch, now);
                if self.volatile {
                    self.shared.budget.hold(self.scheduler.held_bytes(now));
                }
                self.actions(actions, 0, MADE_ROOM);
            }
            Message::Done(done) => self.done(*done),
            Message::Say(Said { severity, kind, text, times }) => {
                let subject = (kind, LogSubject::Instance);
                let line = self.throttle.log_times(subject, &text, times, self.shared.now().steady);
                self.log(severity, line);
            }
            Message::Log(severity, text) => self.log(severity, Some(text)),
            Message::Probed(number, answer) => self.probed(number, answer),
            Message::Chose(mode) => self.chose(mode),
            Message::Workers => self.host.log(Severity::Info, WORKERS),
            Message::CheckIn(check_in) => self.check_ins.add(check_in, self.shared.now().steady),
            Message::MapperDone => self.mapper_done = true,
            Message::Close(deadline) => {
                self.closing = Some(deadline);
                self.check_ins.stop();
                if self.shared.starts_nothing() {
                    // No answer will make room: the mapper must not wait for any.
                    self.shared.budget.close();
                }
            }
        }
    }

    /// A batch for this destination waits for room, or has come.
    fn expect(&mut self, number: u32, waits: Option<(Category, u64)>) {
        if !self.scheduler.knows(number) {
            self.place(number);
        }
        let actions = self.scheduler.expect(waits, self.shared.now().steady);
        self.actions(actions, 0, MADE_ROOM);
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
            let Some(target) = self.shared.targets.get(batch.destination) else {
                self.orphaned(batch);
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
            let actions = self.scheduler.take_back(batch, self.shared.now().steady);
            self.actions(actions, 0, MADE_ROOM);
        }
    }

    /// Returns true if the instance closes before the answer to a request that begins now can be expected.
    fn is_too_late(&self, destination: u32) -> bool {
        let Some(deadline) = self.closing else { return false };
        self.shared.now().steady + self.answers.expected(destination) >= deadline
    }

    /// Sends client reports: destination by destination, if there is something to report and a sender is free.
    fn report(&mut self, now: Monotonic) {
        while !self.scheduler.is_reporting()
            && let Some(number) = self.to_report.pop()
        {
            let Some(target) = self.shared.targets.get(number) else { continue };
            if !self.scheduler.may_report(number, now) {
                continue;
            }
            let Some(report) = self.reports.take(target.identity) else { continue };
            let encoding = self.scheduler.report(number);
            let _ = self.to_senders.send(sender::Job { load: Load::Report(number, report), target, encoding });
        }
    }

    fn reported(&mut self, number: u32, report: client_reports::Report, sent: &SendResult, now: Monotonic) {
        self.scheduler.on_report_response(number, &sent.response.limits, now);
        // What a server does not understand it will not understand later either.
        if matches!(sent.response.kind, ResponseKind::Failed | ResponseKind::Limited) {
            self.reports.give_back(report);
        }
        self.share_blocks(number, now);
        self.report(now);
    }

    /// Sends a check-in if there is one and a sender free. One at a time, like client reports.
    fn check_in(&mut self, now: Monotonic) {
        if self.closing.is_some() {
            return self.check_ins.stop();
        }
        if self.check_ins.is_due(now)
            && let Some(number) = self.shared.targets.default_number()
        {
            let oldest = self.oldest(now);
            let [.., wrong] = self.scheduler.states(self.shared.targets.numbers(), now);
            let wall = self.shared.now().wall;
            self.check_ins.beat(number, (now, wall), oldest, wrong as usize);
        }
        let scheduler = &self.scheduler;
        let Some(check_in) = self.check_ins.next(now, |number| scheduler.may_report(number, now)) else { return };
        let Some(target) = self.shared.targets.get(check_in.destination) else { return };
        let encoding = self.scheduler.report(check_in.destination);
        let load = Load::CheckIn(check_in.destination, self.check_ins.payload(&check_in));
        let _ = self.to_senders.send(sender::Job { load, target, encoding });
    }

    fn checked_in(&mut self, number: u32, sent: &SendResult, now: Monotonic) {
        self.scheduler.on_report_response(number, &sent.response.limits, now);
        self.share_blocks(number, now);
        if self.check_ins.answered(sent, now) {
            let text = format!("a check-in was refused and is dropped: {}", sent.detail);
            self.say(Severity::Warn, "check-in", LogSubject::Destination(number), &text);
        }
    }

    /// Tells the schedule where a destination is.
    fn place(&mut self, number: u32) {
        if let Some(target) = self.shared.targets.get(number) {
            self.scheduler.place(number, server(&target));
        }
    }

    /// A batch whose destination was forgotten while it was being filled: its records are looked at again where they can.
    fn orphaned(&mut self, batch: Batch<ChunkProgress>) {
        let number = batch.destination;
        let mut actions = self.scheduler.take_back(batch, self.shared.now().steady);
        let waiting = self.scheduler.take(number);
        let end = |batch| if self.volatile { Action::Finish(batch, Outcome::Rejected) } else { Action::Defer(batch) };
        actions.extend(waiting.into_iter().map(end));
        self.actions(actions, 0, "the DSN of its destination was removed");
    }

    fn done(&mut self, done: sender::Done) {
        let now = self.shared.now().steady;
        self.shared.recorder.request(done.sent.status, done.sent.bytes);
        self.durations.push(done.took);
        self.answers.add(done.load.destination(), done.took);
        let batch = match done.load {
            Load::Items(batch) => batch,
            Load::Report(number, report) => return self.reported(number, report, &done.sent, now),
            Load::CheckIn(number, _) => return self.checked_in(number, &done.sent, now),
        };
        if self.is_cutting && done.sent.code == 0 {
            batch.owners().for_each(|(chunk_progress, records)| chunk_progress.abort(batch.category, records));
        }
        if self.shared.costs.is_capping() {
            self.shared.costs.sent(batch.bills());
        }
        let number = batch.destination;
        let current = self.shared.targets.get(number);
        let outdated = current.is_none_or(|current| current.dsn != done.target.dsn);
        if outdated && done.sent.response.kind != ResponseKind::Accepted {
            let actions = self.scheduler.take_back(batch, now);
            return self.actions(actions, 0, MADE_ROOM);
        }
        let chance = self.roll();
        let (actions, notice) = self.scheduler.done(batch, &done.sent.response, now, chance);
        self.share_blocks(number, now);
        self.actions(actions, done.sent.code, &done.sent.detail);
        if let Some(notice) = notice {
            self.notice(number, &notice, &done.sent);
        }
    }

    /// Publishes a destination's blocks to the mapper.
    fn share_blocks(&self, number: u32, now: Monotonic) {
        self.shared.blocks.set(number, self.scheduler.waits(number, now));
        self.shared.budget.hold(if self.volatile { self.scheduler.held_bytes(now) } else { [None; 2] });
    }

    /// `code` and `detail` are of the answer that brought this about, if one did.
    fn actions(&mut self, actions: Vec<Action<ChunkProgress>>, code: u16, detail: &str) {
        actions.into_iter().for_each(|action| self.action(action, code, detail));
    }

    fn action(&mut self, action: Action<ChunkProgress>, code: u16, detail: &str) {
        let (action, code, detail) = match action {
            Action::Evict(batch, _) if batch.owners().all(|(chunk_progress, _)| chunk_progress.can_be_read_again()) => {
                (Action::Defer(batch), 0, MADE_ROOM)
            }
            Action::Evict(batch, outcome) => (Action::Finish(batch, outcome), 0, MADE_ROOM),
            action => (action, code, detail),
        };
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = &action;
        if self.shared.budget.free(batch.category, batch.reserved) {
            // One word is enough.
            let _ = self.shared.room.0.try_send(());
        }
        self.bill(&action);
        let drop_reason = self.drop_reason(&action, code, detail);
        let now = self.shared.now().steady;
        let (waits, number) = (self.shared.blocks.get(batch.destination), batch.destination);
        let overflow = matches!(&action, Action::Finish(_, Outcome::Overflow));
        for (chunk_progress, records) in batch.owners() {
            if chunk_progress.has_attached(batch.category) {
                self.end_attached(&action, chunk_progress, drop_reason.is_some());
            }
            let standing = match &action {
                Action::Finish(batch, outcome) => match &drop_reason {
                    Some(cause) => chunk_progress.mark_rejected(batch.category, records, cause),
                    None => chunk_progress.settle(batch.category, records, *outcome),
                },
                Action::Defer(batch) | Action::Evict(batch, _) => {
                    let longest = self.shared.longest(batch.category);
                    if let Decision::Wait(until) = waits.fate(batch.category, chunk_progress.taken, longest, now) {
                        chunk_progress.waits_until(until);
                    }
                    chunk_progress.release(batch.category, records)
                }
            };
            self.shared.finish(chunk_progress, standing);
        }
        if overflow {
            self.overflowed(number);
        }
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if batch.category == Category::Log {
            let _ = self.shared.buffer_pool.0.try_send(batch.into_buffer());
        }
    }

    /// Ends or releases the lines of other chunks that are part of a batch's items of one chunk. Before those: a crash in between
    /// then costs one more request, and no second event.
    fn end_attached(&self, action: &Action<ChunkProgress>, owner: &Arc<ChunkProgress>, is_rejected: bool) {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        let end = match action {
            Action::Defer(_) | Action::Evict(..) if !is_rejected => ItemEnd::Released,
            _ => ItemEnd::Settled,
        };
        let owned = batch
            .owners()
            .filter(|(chunk_progress, _)| Arc::ptr_eq(chunk_progress, owner))
            .flat_map(|(_, records)| records);
        for (chunk_progress, record) in owned.flat_map(|record| owner.take_attached(batch.category, record, end)) {
            let record = std::iter::once(record);
            let standing = match end {
                ItemEnd::Settled => chunk_progress.settle(batch.category, record, Outcome::Joined),
                ItemEnd::Released => chunk_progress.release(batch.category, record),
            };
            self.shared.finish(&chunk_progress, standing);
        }
    }

    /// Counts an accepted batch of logs as spent, or releases the bytes that a batch has reserved.
    fn bill(&self, action: &Action<ChunkProgress>) {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if batch.category != Category::Log {
            return;
        }
        let now = self.shared.now();
        match action {
            Action::Finish(_, Outcome::Accepted) => {
                self.shared.recorder.bill(batch.bills().map(|(_, bytes)| bytes).sum());
                self.shared.costs.accept(batch.bills(), now.wall);
            }
            Action::Finish(..) => self.shared.costs.release(batch.bills(), true, now.steady),
            Action::Defer(_) | Action::Evict(..) => self.shared.costs.release(batch.bills(), false, now.steady),
        }
    }

    /// Logs that the spent bytes of the budgets could not be written to the file.
    fn budget_noted(&mut self, noted: std::io::Result<()>) {
        if let Err(error) = noted {
            let text = format!("cannot write logs-budget.json, a restart may spend the budgets again: {error}");
            self.say(Severity::Warn, "logs budget", LogSubject::Instance, &text);
        }
    }

    /// Returns the cause that goes into the dead letters of a batch's records, if they become dead letters. Records that end
    /// without one are noted for the next client report.
    fn drop_reason(&self, action: &Action<ChunkProgress>, code: u16, detail: &str) -> Option<Arc<DropReason>> {
        let (Action::Finish(batch, _) | Action::Defer(batch) | Action::Evict(batch, _)) = action;
        if !batch.owners().all(|(chunk_progress, _)| chunk_progress.has_records()) {
            return None;
        }
        let drop_reason = match action {
            Action::Finish(_, Outcome::Accepted) | Action::Defer(_) | Action::Evict(..) => None,
            Action::Finish(_, outcome) => self.shared.drop_reason(*outcome, code, detail),
        };
        match action {
            // The server has counted what it limits.
            Action::Finish(_, outcome) if drop_reason.is_none() && !batch.limited => self.discarded(batch, *outcome),
            Action::Finish(..) if drop_reason.is_none() => {}
            _ if batch.limited => {
                batch
                    .owners()
                    .for_each(|(chunk_progress, records)| chunk_progress.counted_elsewhere(batch.category, records));
            }
            _ => {}
        }
        drop_reason
    }

    fn discarded(&self, batch: &Batch<ChunkProgress>, outcome: Outcome) {
        if let Some(target) = self.shared.targets.get(batch.destination) {
            let (items, bytes) = (batch.len() as u64, batch.bytes() as u64);
            self.shared.reports.add(target.identity, batch.category, outcome, items, bytes);
        }
    }

    fn overflowed(&mut self, number: u32) {
        let Some(target) = self.shared.targets.get(number) else { return };
        let text = format!(
            "{}: its items fill their share of the queue; dropping the newest to keep other destinations going; set \
             spool_path to keep them on disk",
            target.dsn
        );
        self.say(Severity::Error, "overflow", LogSubject::Destination(number), &text);
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
        let actions = self.scheduler.release_held(now);
        self.scheduler.numbers().into_iter().for_each(|number| self.share_blocks(number, now));
        self.actions(actions, 0, WAITED);
        if now >= self.last_source + dsn_sources::INTERVAL {
            self.last_source = now;
            self.read_sources(now);
            if self.shared.is_spool_scarce() && self.scheduler.is_any_alone(now) {
                lock(&self.shared.backlog).hurry(now);
            }
            self.shared.registry.sweep();
        }
        if now >= self.last_report + REPORT_INTERVAL {
            self.last_report = now;
            self.to_report = self.shared.targets.numbers();
        }
        self.report(now);
        self.publish();
        let noted = self.shared.costs.save(false);
        self.budget_noted(noted);
        if self.shared.used() == 0 {
            self.shared.packer.rest();
        }
        self.throttle.due(now).into_iter().for_each(|(severity, line)| self.host.log(severity, &line));
        let due = !self.summary_interval.is_zero() && now >= self.last_summary + self.summary_interval;
        if due {
            self.last_summary = now;
            let snapshot = self.ledger.snapshot();
            if snapshot != self.shown {
                self.summarise(snapshot);
            }
        }
    }

    fn summarise(&mut self, snapshot: Snapshot) {
        let mut line =
            format!("{} spool_bytes={}{}", snapshot.summary(), self.shared.spool_bytes(), self.check_ins.summary());
        let dearest = self.shared.costs.dearest(DEAREST).join(",");
        if !dearest.is_empty() {
            line += &format!(" billed_namespaces={dearest}");
        }
        self.host.log(Severity::Info, &line);
        self.shown = snapshot;
    }

    /// The age of the oldest item that waits.
    fn oldest(&self, now: Monotonic) -> Duration {
        let backlog = lock(&self.shared.backlog).oldest();
        let oldest = backlog.into_iter().chain(self.scheduler.oldest()).min();
        oldest.map_or(Duration::ZERO, |at| now.since(at))
    }

    fn publish(&mut self) {
        let now = self.shared.now().steady;
        let gauges = Gauges {
            pending_bytes: self.shared.budget.used()
                + self.shared.waiting.load(Relaxed)
                + self.shared.kept.load(Relaxed),
            spool_bytes: self.shared.spool_bytes(),
            oldest_pending: self.oldest(now),
            states: self.scheduler.states(self.shared.targets.numbers(), now),
        };
        self.host.publish(&Report { ledger: &self.ledger.snapshot(), gauges, durations: &self.durations });
        self.durations.clear();
    }

    /// `dsn_file`, `dsn_dir`: a lost or malformed source keeps its last good value.
    fn read_sources(&mut self, now: Monotonic) {
        self.read_file(now);
        self.read_dir(now);
        let scheduler = &self.scheduler;
        for number in self.shared.targets.sweep(now, |number| scheduler.is_idle(number, now)) {
            self.scheduler.forget(number);
            self.share_blocks(number, now);
            self.throttle.forget(number);
        }
    }

    fn read_file(&mut self, now: Monotonic) {
        let Some(file) = self.dsn_file.clone() else { return };
        match dsn_sources::read_dsn(&file) {
            Ok(dsn) => {
                if self.shared.targets.has_default(&dsn) {
                    return;
                }
                self.host.log(Severity::Info, &format!("dsn: read from file {}: {dsn}", file.display()));
                let changes = self.shared.targets.set_default(dsn);
                self.apply(&changes, now);
            }
            Err(problem) => self.say(Severity::Warn, "dsn_file", LogSubject::Instance, &problem),
        }
    }

    fn read_dir(&mut self, now: Monotonic) {
        const NAMED: usize = 5;
        let Some(dir) = self.dsn_dir.clone() else { return };
        let listing = match dsn_sources::read_dir(&dir) {
            Ok(listing) => listing,
            Err(problem) => return self.say(Severity::Warn, "dsn_dir", LogSubject::Instance, &problem),
        };
        if let Some(problem) = dsn_sources::complaint(&dir, &listing) {
            self.say(Severity::Warn, "dsn_dir file", LogSubject::Instance, &problem);
        }
        let changes = self.shared.targets.set_namespaces(listing);
        self.apply(&changes, now);
        if let Some(last) = changes.namespaces.len().checked_sub(1) {
            let names = changes.namespaces[..=last.min(NAMED - 1)].join(", ");
            let more = if last < NAMED { String::new() } else { format!(" and {} more", last + 1 - NAMED) };
            self.host.log(Severity::Info, &format!("dsn_dir: changed for {names}{more}"));
        }
    }

    fn apply(&mut self, changes: &Changes, now: Monotonic) {
        if *changes == Changes::default() {
            return;
        }
        for number in &changes.renewed {
            self.scheduler.replace_endpoint(*number);
            self.place(*number);
            self.share_blocks(*number, now);
        }
        for (from, to) in &changes.retired {
            let actions = self.scheduler.redirect(*from, *to, now);
            self.actions(actions, 0, MADE_ROOM);
        }
        lock(&self.shared.backlog).hurry(now);
    }

    /// The start-up check; items that were sent meanwhile know better.
    fn probed(&mut self, number: u32, answer: Result<u16, Box<SendResult>>) {
        let Some(target) = self.shared.targets.get(number) else { return };
        let told = [LogSubject::Destination(number), LogSubject::Server(server(&target))];
        if self.closing.is_some() || told.into_iter().any(|about| self.throttle.knows(about)) {
            return;
        }
        match answer {
            Ok(code) => {
                let text = format!(
                    "{} is reachable (HTTP {code}); key and project are verified when the first items are sent",
                    target.dsn
                );
                self.host.log(Severity::Info, &text);
            }
            Err(sent) => self.notice(number, &Notice::Failing, &sent),
        }
    }

    fn chose(&mut self, mode: Mode) {
        self.volatile = mode == Mode::Memory;
        self.keeping = Keeping::of(mode, &self.shared.settings);
        self.scheduler.set_can_defer(mode != Mode::Memory);
        self.host.log(Severity::Info, &format!("delivery: {} (chosen by auto at the first flush)", mode.name()));
        if self.volatile {
            self.host.log(
                Severity::Warn,
                "delivery = memory: queued items are lost if Fluent Bit is killed; set spool_path to a directory that \
                 survives a restart",
            );
        }
    }

    fn notice(&mut self, number: u32, notice: &Notice, sent: &SendResult) {
        let Some(target) = self.shared.targets.get(number) else { return };
        let LogLine { severity, kind, text } = messages::line(notice, &target.dsn, sent, &self.keeping);
        let server = LogSubject::Server(server(&target));
        let answers = (messages::ANSWERS, server);
        match notice {
            Notice::Answers => {
                let line = self.throttle.say_in_the_end(answers, severity, &text, self.shared.now().steady);
                return self.log(severity, line);
            }
            Notice::Failing | Notice::Misconfigured => self.throttle.cancel(answers),
            _ => {}
        }
        let about = if *notice == Notice::Failing { server } else { LogSubject::Destination(number) };
        self.say(severity, kind, about, &text);
    }

    /// The same kind of trouble with the same thing is told once a minute, with how often it was.
    fn say(&mut self, severity: Severity, kind: &'static str, about: LogSubject, text: &str) {
        let line = self.throttle.log((kind, about), text, self.shared.now().steady);
        self.log(severity, line);
    }

    fn log(&self, severity: Severity, line: Option<String>) {
        line.iter().for_each(|line| self.host.log(severity, line));
    }

    fn is_over(&self, inbox: &Receiver<Message>) -> bool {
        let Some(deadline) = self.closing else { return false };
        let now = self.shared.now().steady;
        let idle = self.scheduler.in_flight() == 0;
        let nothing_more = self.shared.starts_nothing()
            || self.scheduler.queued() == 0
            || self.scheduler.wake(now).is_some_and(|at| at >= deadline)
            || self.scheduler.waiting().all(|destination| self.is_too_late(destination));
        let [ok, limited, ..] = self.scheduler.states(self.shared.targets.numbers(), now);
        // In this order: what the mapper read before it was quiet is in the inbox.
        now >= deadline
            || idle
                && nothing_more
                && self.shared.is_drained(ok + limited > 0 && !self.shared.starts_nothing())
                && inbox.is_empty()
    }

    /// Cuts the requests still in flight, leaves the remaining items where they came from, and logs the result.
    fn end(mut self, inbox: &Receiver<Message>) {
        self.shared.draining.store(Drain::Over as u8, Relaxed);
        self.shared.budget.close();
        let cut = self.scheduler.in_flight() > 0;
        if cut {
            self.is_cutting = true;
            self.client.shutdown();
        }
        while self.scheduler.in_flight() > 0 {
            let Ok(message) = inbox.recv_timeout(CUT_GRACE) else { break };
            self.handle(message);
        }
        // It waits for nothing any more, and what it has not ended yet it would end a second time.
        while !self.mapper_done {
            let Ok(message) = inbox.recv() else { break };
            self.handle(message);
        }
        inbox.try_iter().for_each(|message| self.handle(message));
        let mut lost = Queued::default();
        for batch in self.scheduler.drain() {
            lost.add(&batch);
            self.action(Action::Defer(batch), 0, "");
        }
        if self.volatile {
            self.lose(lost);
        }
        if !cut {
            self.report_at_last(inbox);
        }
        self.publish();
        let noted = self.shared.costs.save(true);
        self.budget_noted(noted);
        let snapshot = self.ledger.snapshot();
        if let Some(text) = losses(&snapshot) {
            self.host.log(Severity::Error, &text);
        }
        self.summarise(snapshot);
    }

    /// Counts the items that only memory held as lost. The destination of items that were in no envelope is known only if
    /// there is one destination.
    fn lose(&mut self, queued: Queued) {
        let snapshot = self.ledger.snapshot();
        let only = Some(self.shared.targets.numbers()).filter(|all| all.len() == 1).map(|all| all[0]);
        for category in Category::ALL {
            // What the host keeps is not lost.
            let lost = snapshot.pending(*category).saturating_sub(self.shared.registry.pending(*category));
            self.shared.recorder.end(*category, Outcome::Lost, lost);
            let cells = queued.0.iter().filter(|((_, of), _)| of == category);
            let known: u64 = cells.clone().map(|(_, (items, _))| items).sum();
            let rest = only.map(|number| (number, (lost.saturating_sub(known), 0)));
            for (number, (items, bytes)) in cells.map(|((number, _), cell)| (*number, *cell)).chain(rest) {
                let Some(target) = self.shared.targets.get(number) else { continue };
                self.shared.reports.add(target.identity, *category, Outcome::Lost, items, bytes);
            }
        }
    }

    /// The last client reports, for which nobody waits long.
    fn report_at_last(&mut self, inbox: &Receiver<Message>) {
        let end = self.shared.now().steady + CUT_GRACE;
        self.to_report = self.shared.targets.numbers();
        self.report(self.shared.now().steady);
        while self.scheduler.is_reporting() {
            let left = end.since(self.shared.now().steady);
            let Ok(message) = inbox.recv_timeout(left) else { break };
            self.handle(message);
        }
    }
}
