//! Combines the parts of one `[OUTPUT]` section: its settings, its ledger and its delivery.

use crate::clock::SystemClock;
use crate::delivery::{Delivery, Host, Severity, Verdict};
use crate::ledger::Ledger;
use crate::options::{self, FlushThread};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The delivery of every instance in this process.
static LIVE: Mutex<Vec<Weak<Delivery>>> = Mutex::new(Vec::new());

/// A configured output.
#[derive(Debug)]
pub struct Instance {
    delivery: Arc<Delivery>,
    /// The thread that Init ran on: a flush on it blocks Fluent Bit's engine.
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
            host.log(Severity::Warn, "tls_verify = off: anyone on the network path can read and change what is sent");
        }
        let clock = Arc::new(SystemClock::new());
        match Delivery::start(name, &loaded, clock, Arc::new(Ledger::default()), Arc::clone(&host)) {
            Ok(delivery) => {
                let delivery = Arc::new(delivery);
                let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
                live.retain(|other| other.strong_count() > 0);
                live.push(Arc::downgrade(&delivery));
                Some(Self { delivery, engine_thread })
            }
            Err(problem) => {
                host.log(Severity::Error, &problem.to_string());
                None
            }
        }
    }

    /// Takes a chunk or does not.
    pub fn flush(&self, tag: &[u8], data: &[u8], thread: u64) -> Verdict {
        let thread = if thread == self.engine_thread { FlushThread::Engine } else { FlushThread::Worker };
        self.delivery.flush(tag, data, thread)
    }

    /// Drains within `exit_timeout` and joins every thread.
    pub fn close(&self) {
        self.delivery.close();
    }

    /// The same for every instance of the process, all at once: Fluent Bit before 2.0 tells the first output to exit and then
    /// crashes (fluent-bit#6641), so that the others never hear of it.
    pub fn close_all() {
        let live = std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner));
        std::thread::scope(|scope| {
            for delivery in live.iter().filter_map(Weak::upgrade) {
                let closing = Arc::clone(&delivery);
                let closed = std::thread::Builder::new().spawn_scoped(scope, move || closing.close());
                if closed.is_err() {
                    delivery.close();
                }
            }
        });
    }
}
