//! Sends client reports and check-ins, and publishes metrics and the summary line.

use super::{CUT_GRACE, Dispatcher};
use crate::clock::{Moment, Monotonic};
use crate::delivery::report::client_reports;
use crate::delivery::report::host::{Gauges, Report, Severity};
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::report::log_throttle::LogSubject;
use crate::delivery::shared::inbox::Message;
use crate::delivery::shared::load::Load;
use crate::delivery::transport::client::SendResult;
use crate::delivery::transport::response::ResponseKind;
use crate::delivery::transport::sender;
use crate::ledger::Snapshot;
use crate::mapping::DestinationId;
use crate::sync::{Receiver, lock};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Namespaces named in a summary line: those whose logs have cost most.
const NAMED_NAMESPACES: usize = 3;

impl Dispatcher {
    /// Sends client reports: destination by destination, if there is something to report and a sender is free.
    pub(super) fn send_reports(&mut self, now: Monotonic) {
        while !self.scheduler.is_reporting()
            && let Some(id) = self.to_report.pop()
        {
            let Some(target) = self.shared.route_table.get(id) else { continue };
            if !self.scheduler.may_report(id, now) {
                continue;
            }
            let Some(report) = self.reports.take(target.identity) else { continue };
            let encoding = self.scheduler.report(id);
            let _ = self.to_senders.send(sender::Job { load: Load::Report(id, report), target, encoding });
        }
    }

    pub(super) fn on_report_response(
        &mut self,
        id: DestinationId,
        report: client_reports::Report,
        sent: &SendResult,
        now: Monotonic,
    ) {
        self.scheduler.on_report_response(id, &sent.response.limits, now);
        // A server that rejects a report rejects it later, too.
        if matches!(sent.response.kind, ResponseKind::Failed | ResponseKind::Limited) {
            self.reports.give_back(report);
        }
        self.share_blocks(id, now);
        self.send_reports(now);
    }

    /// Sends a check-in if there is one and a sender free. One at a time, like client reports.
    pub(super) fn check_in(&mut self, now: Monotonic) {
        if self.closing.is_some() {
            return self.check_ins.stop();
        }
        if self.check_ins.is_due(now)
            && let Some(id) = self.shared.route_table.default_destination()
        {
            let oldest = self.oldest(now);
            let [.., misconfigured] = self.scheduler.states(self.shared.route_table.destinations(), now);
            let now = Moment { steady: now, wall: self.shared.now().wall };
            self.check_ins.beat(id, now, oldest, misconfigured as usize);
        }
        let scheduler = &self.scheduler;
        let Some(check_in) = self.check_ins.next(now, |destination| scheduler.may_report(destination, now)) else {
            return;
        };
        let id = check_in.destination;
        let Some(target) = self.shared.route_table.get(id) else { return };
        let encoding = self.scheduler.report(id);
        let load = Load::CheckIn(id, self.check_ins.payload(&check_in));
        let _ = self.to_senders.send(sender::Job { load, target, encoding });
    }

    pub(super) fn on_check_in_response(&mut self, id: DestinationId, sent: &SendResult, now: Monotonic) {
        self.scheduler.on_report_response(id, &sent.response.limits, now);
        self.share_blocks(id, now);
        if self.check_ins.on_response(sent, now) {
            let text = format!("a check-in was refused and is dropped: {}", sent.response.detail);
            self.log_throttled(Severity::Warn, LogKind::CheckIn, LogSubject::Destination(id), &text);
        }
    }

    pub(super) fn summarise(&mut self, snapshot: Snapshot) {
        let mut line =
            format!("{} spool_bytes={}{}", snapshot.summary(), self.shared.spool_bytes(), self.check_ins.summary());
        let most_expensive = self.shared.costs.most_expensive(NAMED_NAMESPACES).join(",");
        if !most_expensive.is_empty() {
            line += &format!(" billed_namespaces={most_expensive}");
        }
        self.host.log(Severity::Info, &line);
        self.last_snapshot = snapshot;
    }

    /// Returns the age of the oldest item that waits.
    fn oldest(&self, now: Monotonic) -> Duration {
        let backlog = lock(&self.shared.backlog).oldest();
        let oldest = backlog.into_iter().chain(self.scheduler.oldest()).min();
        oldest.map_or(Duration::ZERO, |at| now.since(at))
    }

    pub(super) fn publish(&mut self) {
        let now = self.shared.now().steady;
        let gauges = Gauges {
            pending_bytes: self.shared.budget.used()
                + self.shared.mapper_queue_bytes.load(Relaxed)
                + self.shared.retained_bytes.load(Relaxed),
            spool_bytes: self.shared.spool_bytes(),
            oldest_pending: self.oldest(now),
            states: self.scheduler.states(self.shared.route_table.destinations(), now),
        };
        self.host.publish(&Report { ledger: &self.ledger.snapshot(), gauges, durations: &self.durations });
        self.durations.clear();
    }

    /// Sends the last client reports, and waits for their responses for [`CUT_GRACE`] at most.
    pub(super) fn send_last_reports(&mut self, inbox: &Receiver<Message>) {
        let end = self.shared.now().steady + CUT_GRACE;
        self.to_report = self.shared.route_table.destinations();
        self.send_reports(self.shared.now().steady);
        while self.scheduler.is_reporting() {
            let remaining = end.since(self.shared.now().steady);
            let Ok(message) = inbox.recv_timeout(remaining) else { break };
            self.handle(message);
        }
    }
}
