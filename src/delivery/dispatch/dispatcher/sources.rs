//! Reads `dsn_file` and `dsn_dir` again, and applies changes to the destinations.

use super::Dispatcher;
use crate::clock::Monotonic;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::report::log_throttle::LogSubject;
use crate::delivery::route::dsn_sources;
use crate::delivery::route::table::{Changes, Retired};
use crate::sync::lock;

impl Dispatcher {
    /// `dsn_file`, `dsn_dir`: a lost or malformed source keeps its last good value.
    pub(super) fn read_sources(&mut self, now: Monotonic) {
        self.read_file(now);
        self.read_dir(now);
        let scheduler = &self.scheduler;
        for id in self.shared.route_table.sweep(now, |id| scheduler.is_idle(id, now)) {
            self.scheduler.forget(id);
            self.share_blocks(id, now);
            self.throttle.forget(id);
        }
    }

    fn read_file(&mut self, now: Monotonic) {
        let Some(file) = self.dsn_file.clone() else { return };
        match dsn_sources::read_dsn(&file) {
            Ok(dsn) => {
                if self.shared.route_table.has_default(&dsn) {
                    return;
                }
                self.host.log(Severity::Info, &format!("dsn: read from file {}: {dsn}", file.display()));
                let changes = self.shared.route_table.set_default(dsn);
                self.apply(&changes, now);
            }
            Err(problem) => self.log_throttled(Severity::Warn, LogKind::DsnFile, LogSubject::Instance, &problem),
        }
    }

    fn read_dir(&mut self, now: Monotonic) {
        const NAMED: usize = 5;
        let Some(dir) = self.dsn_dir.clone() else { return };
        let listing = match dsn_sources::read_dir(&dir) {
            Ok(listing) => listing,
            Err(problem) => return self.log_throttled(Severity::Warn, LogKind::DsnDir, LogSubject::Instance, &problem),
        };
        if let Some(problem) = dsn_sources::problem_line(&dir, &listing) {
            self.log_throttled(Severity::Warn, LogKind::DsnDirFile, LogSubject::Instance, &problem);
        }
        let changes = self.shared.route_table.set_namespaces(listing);
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
        for id in &changes.renewed {
            self.scheduler.replace_endpoint(*id);
            self.set_host(*id);
            self.share_blocks(*id, now);
        }
        for Retired { from, to } in &changes.retired {
            let actions = self.scheduler.redirect(*from, *to, now);
            self.actions(actions);
        }
        lock(&self.shared.backlog).make_due(now);
    }
}
