//! Writes log lines about destinations, and about the delivery mode once it is chosen.

use super::{Dispatcher, hold_place, server};
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::report::log_throttle::LogSubject;
use crate::delivery::report::messages::{self, DestinationMessage, Keeping, LogLine};
use crate::delivery::transport::client::SendResult;
use crate::mapping::DestinationId;
use crate::options::ResolvedMode;

/// Log line for users who have set `workers`; it is logged once.
const WORKERS: &str = "flushes come from worker threads (`workers` of this output): with hot_reload, Fluent Bit before 5.0 crashes at \
                       one of the next reloads, and later versions leak a thread at each; set spool_path and remove workers";

impl Dispatcher {
    /// Logs the hint about `workers`. Called once.
    pub(super) fn log_workers(&self) {
        self.host.log(Severity::Info, WORKERS);
    }

    /// Logs the result of the check at the start, unless items that were sent meanwhile have led to a line about the destination
    /// or its server.
    pub(super) fn on_probe(&mut self, id: DestinationId, result: Result<u16, Box<SendResult>>) {
        let Some(target) = self.shared.route_table.get(id) else { return };
        let subjects = [LogSubject::Destination(id), LogSubject::Server(server(&target))];
        if self.closing.is_some() || subjects.into_iter().any(|subject| self.throttle.knows(subject)) {
            return;
        }
        match result {
            Ok(code) => {
                let text = format!(
                    "{} is reachable (HTTP {code}); key and project are verified when the first items are sent",
                    target.dsn
                );
                self.host.log(Severity::Info, &text);
            }
            Err(sent) => self.log_message(id, &DestinationMessage::Failing, &sent),
        }
    }

    pub(super) fn set_mode(&mut self, mode: ResolvedMode) {
        self.is_volatile = mode == ResolvedMode::Memory;
        self.keeping = Keeping::of(Some(mode), &self.shared.settings);
        self.scheduler.set_hold_place(hold_place(Some(mode)));
        self.host.log(Severity::Info, &format!("delivery: {} (chosen by auto at the first flush)", mode.name()));
        if self.is_volatile {
            self.host.log(
                Severity::Warn,
                "delivery = memory: queued items are lost if Fluent Bit is killed; set spool_path to a directory that \
                 survives a restart",
            );
        }
    }

    pub(super) fn log_message(&mut self, id: DestinationId, message: &DestinationMessage, sent: &SendResult) {
        let Some(target) = self.shared.route_table.get(id) else { return };
        let LogLine { severity, kind, text } = messages::line(message, &target.dsn, sent, &self.keeping);
        let server = LogSubject::Server(server(&target));
        let recovered = (LogKind::Recovered, server);
        match message {
            DestinationMessage::Recovered => {
                let line = self.throttle.log_or_defer(recovered, severity, &text, self.shared.now().steady);
                return self.log(severity, line);
            }
            DestinationMessage::Failing | DestinationMessage::Misconfigured => self.throttle.cancel(recovered),
            _ => {}
        }
        let subject = if *message == DestinationMessage::Failing { server } else { LogSubject::Destination(id) };
        self.log_throttled(severity, kind, subject, &text);
    }

    /// Logs a line of this kind about this subject, once a minute at most, with the number of times that it has occurred.
    pub(super) fn log_throttled(&mut self, severity: Severity, kind: LogKind, subject: LogSubject, text: &str) {
        let line = self.throttle.log((kind, subject), text, self.shared.now().steady);
        self.log(severity, line);
    }

    pub(super) fn log(&self, severity: Severity, line: Option<String>) {
        line.iter().for_each(|line| self.host.log(severity, line));
    }
}
