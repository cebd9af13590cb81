//! One `[OUTPUT]` section: its settings, its ledger, its delivery.

use crate::clock::SystemClock;
use crate::delivery::{Delivery, Host, Severity, Verdict};
use crate::ledger::Ledger;
use crate::options;
use std::sync::Arc;

/// A configured output.
#[derive(Debug)]
pub struct Instance {
    delivery: Delivery,
    /// The thread that Init ran on: a flush on it blocks the host's engine.
    engine_thread: u64,
}

impl Instance {
    /// Reads the options and starts delivery. Everything that is wrong has been logged when this returns `None`.
    pub fn open(
        name: &str,
        lookup: impl Fn(&str) -> Option<String>,
        host: Arc<dyn Host>,
        engine_thread: u64,
    ) -> Option<Self> {
        let mut loaded = match options::load(lookup, |variable| std::env::var(variable).ok()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                problems.iter().for_each(|problem| host.log(Severity::Error, &problem.to_string()));
                return None;
            }
        };
        loaded.settings.mapping.machine = options::machine_name();
        host.log(Severity::Info, &format!("{}; version {}", loaded.dsn_source, env!("CARGO_PKG_VERSION")));
        host.log(Severity::Info, &format!("settings:{}", loaded.effective));
        if !loaded.settings.network.tls_verify {
            host.log(Severity::Warn, "tls_verify = off: anybody on the way can read and change what is sent");
        }
        let clock = Arc::new(SystemClock::new());
        match Delivery::start(name, &loaded, clock, Arc::new(Ledger::default()), Arc::clone(&host)) {
            Ok(delivery) => Some(Self { delivery, engine_thread }),
            Err(problem) => {
                host.log(Severity::Error, &problem);
                None
            }
        }
    }

    /// Takes a chunk or does not.
    pub fn flush(&self, tag: &[u8], data: &[u8], thread: u64) -> Verdict {
        self.delivery.flush(tag, data, thread == self.engine_thread)
    }

    /// Drains within `exit_timeout` and joins every thread.
    pub fn close(&self) {
        self.delivery.close();
    }
}
