//! The thread that decides what is sent when, settles what is answered, and speaks to the host.

use super::answer::Answer;
use super::destination::{Destination, Notice, Policy, Step};
use super::http::Client;
use super::sender::Load;
use super::ticket::Ticket;
use super::{Drain, Shared, Target, WAITED, lock, reports, sender};
use crate::envelope::Batch;
use crate::ledger::{Category, Ledger, Outcome, Snapshot};
use crate::options::{Dsn, Loaded, Mode};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How bad a line of ours is: warn is unexpected but nothing is lost, error needs a person or has lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Lost, or a person must act.
    Error,
    /// Unexpected, nothing lost.
    Warn,
    /// Normal operation.
    Info,
}

/// What an instance may ask of its host, from threads of its own.
pub trait Host: Send + Sync + Debug {
    /// Writes a line to the host's log.
    fn log(&self, severity: Severity, text: &str);
    /// Shows the counters.
    fn publish(&self, report: &Report<'_>);
}

/// The counters at one moment.
#[derive(Debug)]
pub struct Report<'r> {
    /// The ledger.
    pub ledger: &'r Snapshot,
    /// What goes up and down.
    pub gauges: Gauges,
    /// How long requests took since the last report.
    pub durations: &'r [Duration],
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes in memory.
    pub pending_bytes: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Age of the oldest item that waits.
    pub oldest_pending: Duration,
    /// `ok`, `limited`, `unreachable` or `misconfigured`.
    pub state: &'static str,
}

/// What the pump is told.
#[derive(Debug)]
pub(crate) enum Message {
    Batch(Box<Batch<Ticket>>),
    Done(Box<sender::Done>),
    Say(Severity, &'static str, String),
    Chose(Mode),
    MapperDone,
    /// Steady time by which to end.
    Close(Duration),
}

/// How often counters are shown and clocks are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How often sources of a DSN are read again.
const SOURCE_INTERVAL: Duration = Duration::from_secs(5);

/// How often the same kind of trouble is told.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

/// Least time between two client reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// How long senders get to report after their connections were cut.
const CUT_GRACE: Duration = Duration::from_millis(300);

pub(crate) struct Pump {
    shared: Arc<Shared>,
    destination: Destination<Ticket>,
    to_senders: Sender<sender::Job>,
    senders: usize,
    ledger: Arc<Ledger>,
    reports: reports::Reader,
    /// Whether a client report is on its way.
    reporting: bool,
    last_report: Duration,
    host: Arc<dyn Host>,
    client: Client,
    dsn_file: Option<PathBuf>,
    summary_interval: Duration,
    said: HashMap<&'static str, (Duration, u32)>,
    durations: Vec<Duration>,
    shown: Snapshot,
    last_tick: Duration,
    last_source: Duration,
    last_summary: Duration,
    volatile: bool,
    closing: Option<Duration>,
    mapper_done: bool,
    chance: u64,
}

impl Pump {
    pub(crate) fn new(
        shared: Arc<Shared>,
        loaded: &Loaded,
        to_senders: Sender<sender::Job>,
        ledger: Arc<Ledger>,
        reports: reports::Reader,
        host: Arc<dyn Host>,
        client: Client,
    ) -> Self {
        let settings = &loaded.settings.delivery;
        let policy = Policy {
            retry_base: settings.retry_base,
            retry_max: settings.retry_max,
            hold: [settings.hold_events, settings.hold_logs],
            park: settings.mode != Mode::Memory,
            compress: loaded.settings.network.compress,
            replay: (settings.senders / 2).max(1),
        };
        let now = shared.now();
        Self {
            destination: Destination::new(policy),
            senders: settings.senders,
            dsn_file: loaded.settings.destination.dsn_file.clone(),
            summary_interval: loaded.settings.report.summary_interval,
            said: HashMap::new(),
            durations: Vec::new(),
            shown: Snapshot::default(),
            last_tick: Duration::ZERO,
            last_source: now.steady,
            last_summary: now.steady,
            last_report: now.steady,
            reporting: false,
            reports,
            volatile: settings.mode == Mode::Memory,
            closing: None,
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
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            inbox.try_iter().take(256).for_each(|message| self.hear(message));
            self.send();
            self.tick();
        }
        self.end(inbox);
    }

    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Batch(batch) => {
                let now = self.shared.now().steady;
                if let Some(step) = self.destination.push(*batch, now) {
                    self.step(step, 0, "");
                }
            }
            Message::Done(done) => self.done(*done),
            Message::Say(severity, kind, text) => self.say(severity, kind, &text),
            Message::Chose(mode) => self.chose(mode),
            Message::MapperDone => self.mapper_done = true,
            Message::Close(deadline) => self.closing = Some(deadline),
        }
    }

    pub(super) fn send(&mut self) {
        let Some(target) = self.shared.target() else { return };
        while self.destination.in_flight() + usize::from(self.reporting) < self.senders {
            let Some(batch) = self.destination.next(self.shared.now().steady) else { return };
            let encoding = self.destination.encoding();
            // There is a place in the channel for every sender.
            let _ =
                self.to_senders.send(sender::Job { load: Load::Items(batch), target: Arc::clone(&target), encoding });
        }
    }

    /// Tells Sentry what it will not see, if there is something to tell and a sender to do it.
    fn report(&mut self, now: Duration) {
        let free = self.destination.in_flight() < self.senders && !self.reporting;
        if !free || !self.destination.takes_reports(now) {
            return;
        }
        let Some(target) = self.shared.target() else { return };
        let Some(report) = self.reports.take(target.identity) else { return };
        self.last_report = now;
        self.reporting = true;
        let encoding = self.destination.encoding();
        let _ = self.to_senders.send(sender::Job { load: Load::Report(report), target, encoding });
    }

    fn done(&mut self, done: sender::Done) {
        let now = self.shared.now().steady;
        self.shared.recorder.request(done.sent.status, done.sent.bytes);
        self.durations.push(done.took);
        let batch = match done.load {
            Load::Items(batch) => batch,
            Load::Report(report) => {
                self.reporting = false;
                self.destination.reported(&done.sent.reply.limits, now);
                // What a server does not understand it will not understand later either.
                if matches!(done.sent.reply.answer, Answer::Failed | Answer::Limited) {
                    self.reports.give_back(report);
                }
                return self.share_holds(now);
            }
        };
        let chance = self.roll();
        let (steps, notice) = self.destination.done(batch, &done.sent.reply, now, chance);
        self.share_holds(now);
        for step in steps {
            self.step(step, done.sent.code, &done.sent.detail);
        }
        if let Some(notice) = notice {
            self.notice(&notice, &done.sent.detail);
        }
    }

    /// Lets the mapper see what is held.
    fn share_holds(&self, now: Duration) {
        let holds = [Category::Event, Category::Log].map(|category| self.destination.hold(category, now));
        *lock(&self.shared.holds) = holds;
        self.shared.budget.hold(holds.map(|hold| self.volatile && hold.is_some()));
    }

    /// `code` and `detail` are of the answer that brought this about, if one did.
    fn step(&mut self, step: Step<Ticket>, code: u16, detail: &str) {
        let (Step::Settle(batch, _) | Step::Release(batch)) = &step;
        self.shared.budget.free(batch.category, batch.reserved);
        let doom = match &step {
            Step::Settle(_, Outcome::Accepted) | Step::Release(_) => None,
            Step::Settle(_, outcome) => self.shared.doom(*outcome, code, detail),
        };
        match (&step, &doom) {
            // The server has counted what it limits.
            (Step::Settle(batch, outcome), None) if !batch.limited => self.discarded(batch, *outcome),
            (Step::Settle(batch, _), Some(_)) | (Step::Release(batch), _) if batch.limited => {
                batch.owners().for_each(|(ticket, records)| ticket.counted_elsewhere(batch.category, records));
            }
            _ => {}
        }
        for (ticket, records) in batch.owners() {
            let standing = match (&step, &doom) {
                (Step::Settle(batch, _), Some(reason)) => ticket.doom(batch.category, records, reason),
                (Step::Settle(batch, outcome), None) => ticket.settle(batch.category, records, *outcome),
                (Step::Release(batch), _) => ticket.release(batch.category, records),
            };
            self.shared.finish(ticket, standing);
        }
    }

    /// Notes for the next client report what ended here.
    fn discarded(&self, batch: &Batch<Ticket>, outcome: Outcome) {
        if let Some(target) = self.shared.target() {
            let (items, bytes) = (batch.len() as u64, batch.bytes() as u64);
            self.shared.reports.add(target.identity, batch.category, outcome, items, bytes);
        }
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
        let wake = self.destination.wake(now).map_or(TICK, |at| at.saturating_sub(now));
        let end = self.closing.map_or(TICK, |at| at.saturating_sub(now));
        wake.min(end).min((self.last_tick + TICK).saturating_sub(now))
    }

    pub(super) fn tick(&mut self) {
        let now = self.shared.now().steady;
        if now < self.last_tick + TICK {
            return;
        }
        self.last_tick = now;
        self.share_holds(now);
        let mut steps = Vec::new();
        self.destination.release_held(now, &mut steps);
        steps.into_iter().for_each(|step| self.step(step, 0, WAITED));
        if now >= self.last_source + SOURCE_INTERVAL {
            self.last_source = now;
            self.read_source();
            self.shared.registry.sweep();
        }
        if now >= self.last_report + REPORT_INTERVAL {
            self.report(now);
        }
        self.publish();
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
        let line = format!("{} spool_bytes={}", snapshot.summary(), lock(&self.shared.spool_bytes).load(Relaxed));
        self.host.log(Severity::Info, &line);
        self.shown = snapshot;
    }

    fn publish(&mut self) {
        let now = self.shared.now().steady;
        let backlog = lock(&self.shared.backlog).front().map(|(ticket, _)| ticket.taken);
        let oldest = backlog.into_iter().chain(self.destination.oldest()).min();
        let gauges = Gauges {
            pending_bytes: self.shared.budget.used()
                + self.shared.waiting.load(Relaxed)
                + self.shared.kept.load(Relaxed),
            spool_bytes: lock(&self.shared.spool_bytes).load(Relaxed),
            oldest_pending: oldest.map_or(Duration::ZERO, |at| now.saturating_sub(at)),
            state: self.destination.state(now),
        };
        self.host.publish(&Report { ledger: &self.ledger.snapshot(), gauges, durations: &self.durations });
        self.durations.clear();
    }

    /// `dsn_file`: a lost or malformed source keeps its last good value.
    fn read_source(&mut self) {
        let Some(file) = self.dsn_file.clone() else { return };
        match read_dsn(&file) {
            Ok(dsn) => {
                let known = lock(&self.shared.target).as_ref().map(|target| target.dsn.clone());
                if known.as_ref() != Some(&dsn) {
                    self.host.log(Severity::Info, &format!("dsn: read from file {}: {dsn}", file.display()));
                    *lock(&self.shared.target) = Some(Target::new(dsn));
                    self.destination.renew();
                    self.share_holds(self.shared.now().steady);
                }
            }
            Err(problem) => self.say(Severity::Warn, "dsn_file", &problem),
        }
    }

    fn chose(&mut self, mode: Mode) {
        self.volatile = mode == Mode::Memory;
        self.destination.park(mode != Mode::Memory);
        self.host.log(Severity::Info, &format!("delivery: {} (chosen by auto at the first flush)", mode.name()));
        if self.volatile {
            self.host.log(
                Severity::Warn,
                "delivery = memory: what is queued is lost if the host is killed; set spool_path to a directory that \
                 outlives the host and nothing is",
            );
        }
    }

    fn notice(&mut self, notice: &Notice, detail: &str) {
        let Some(target) = self.shared.target() else { return };
        let dsn = &target.dsn;
        let (severity, kind, text) = match notice {
            Notice::Answers => (Severity::Info, "answers", format!("{dsn} accepts what is sent")),
            Notice::Failing => (
                Severity::Warn,
                "failing",
                format!("{dsn} cannot be reached ({detail}); nothing is lost, sending again with growing pauses"),
            ),
            Notice::Misconfigured => (
                Severity::Error,
                "misconfigured",
                format!(
                    "{dsn} refuses what is sent ({detail}): check that the DSN's key and project exist and are enabled; \
                     items wait and are given up after hold_events and hold_logs"
                ),
            ),
            Notice::Limited(category, span) => (
                Severity::Warn,
                match category {
                    Category::Event => "limited events",
                    Category::Log => "limited logs",
                },
                format!(
                    "{dsn} limits {}s for {} s (quota or spike protection); they wait",
                    category.name(),
                    span.as_secs()
                ),
            ),
            Notice::Refused(category, outcome) => (
                Severity::Error,
                "refused",
                format!(
                    "{dsn} refuses a single {} as {} ({detail}); it is given up and {}",
                    category.name(),
                    outcome.name(),
                    if self.shared.settings.dead_letter_path.is_some() {
                        "put to the dead letters"
                    } else {
                        "only counted"
                    },
                ),
            ),
            Notice::Encoding(encoding) => (
                Severity::Warn,
                "encoding",
                format!("{dsn} cannot read what is sent ({detail}); trying compress = {encoding:?} instead"),
            ),
        };
        if *notice == Notice::Answers {
            // After trouble, the next trouble is news again.
            self.said.clear();
        }
        self.say(severity, kind, &text);
    }

    /// The same kind of trouble is told once a minute, with how often it was.
    fn say(&mut self, severity: Severity, kind: &'static str, text: &str) {
        let now = self.shared.now().steady;
        let said = self.said.entry(kind).or_insert((Duration::ZERO, 0));
        if said.0 > Duration::ZERO && now < said.0 + SAY_INTERVAL {
            said.1 += 1;
            return;
        }
        let again = std::mem::replace(said, (now.max(Duration::from_nanos(1)), 0)).1;
        if again > 0 {
            self.host.log(severity, &format!("{text} [and {again} times since this was last said]"));
        } else {
            self.host.log(severity, text);
        }
    }

    fn is_over(&self, inbox: &Receiver<Message>) -> bool {
        let Some(deadline) = self.closing else { return false };
        let now = self.shared.now().steady;
        let idle = self.destination.in_flight() == 0;
        let nothing_more = self.destination.queued() == 0
            || self.shared.target().is_none()
            || self.destination.wake(now).is_some_and(|at| at >= deadline);
        let answers = matches!(self.destination.state(now), "ok" | "limited");
        // In this order: what the mapper read before it was quiet is in the inbox.
        now >= deadline || idle && nothing_more && self.shared.is_drained(answers) && inbox.is_empty()
    }

    /// Cuts what is still on its way, leaves the rest where it came from, and says how it all ended.
    fn end(mut self, inbox: &Receiver<Message>) {
        self.shared.draining.store(Drain::Over as u8, Relaxed);
        self.shared.budget.close();
        let cut = self.destination.in_flight() > 0;
        if cut {
            self.client.shutdown();
        }
        while self.destination.in_flight() > 0 {
            let Ok(message) = inbox.recv_timeout(CUT_GRACE) else { break };
            self.hear(message);
        }
        while !self.mapper_done {
            let Ok(message) = inbox.recv_timeout(CUT_GRACE) else { break };
            self.hear(message);
        }
        inbox.try_iter().for_each(|message| self.hear(message));
        let mut log_bytes = 0;
        for batch in self.destination.drain() {
            log_bytes += if batch.category == Category::Log { batch.bytes() as u64 } else { 0 };
            self.step(Step::Release(batch), 0, "");
        }
        if self.volatile {
            let snapshot = self.ledger.snapshot();
            let destination = self.shared.target().map(|target| target.identity);
            for (category, bytes) in Category::ALL.iter().zip([0, log_bytes]) {
                // What the host keeps is not lost.
                let lost = snapshot.pending(*category).saturating_sub(self.shared.registry.pending(*category));
                self.shared.recorder.end(*category, Outcome::Lost, lost);
                if let Some(destination) = destination {
                    self.shared.reports.add(destination, *category, Outcome::Lost, lost, bytes);
                }
            }
        }
        if !cut {
            self.report_at_last(inbox);
        }
        self.publish();
        let snapshot = self.ledger.snapshot();
        self.summarise(snapshot);
    }
}

impl Pump {
    /// The last client report, for which nobody waits long.
    fn report_at_last(&mut self, inbox: &Receiver<Message>) {
        self.report(self.shared.now().steady);
        while self.reporting {
            let Ok(message) = inbox.recv_timeout(CUT_GRACE) else { break };
            self.hear(message);
        }
    }
}

/// Reads a DSN from a file, a mounted Secret more often than not.
pub(crate) fn read_dsn(file: &Path) -> Result<Dsn, String> {
    const KEEPS: &str = "the last good value stays in use";
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("dsn_file = {}: {error}; {KEEPS}", file.display()))?;
    Dsn::parse(text.trim()).map_err(|expected| format!("dsn_file = {}: expected {expected}; {KEEPS}", file.display()))
}
