//! Starts the threads of an instance, and joins its senders at the end.

use crate::clock::Stopwatch;
use crate::delivery::report::host::Host;
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::load::Load;
use crate::delivery::shared::state::Shared;
use crate::delivery::{dispatch, map, report, store, transport};
use crate::ledger::Ledger;
use crate::mapping::Mapper;
use crate::options::{Loaded, Mapping, ResolvedMode};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Receiver, Sender};
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the stack of each of the plugin's threads: enough for TLS and JSON.
pub(in crate::delivery) const STACK_BYTES: usize = 2 << 20;

/// Time after `exit_timeout` for which senders that have not ended are waited for.
const JOIN_GRACE: Duration = Duration::from_millis(700);

/// The reason why an instance cannot start.
#[derive(Debug)]
pub enum StartError {
    /// Certificates or proxy are unusable. The text names the problem.
    Network(String),
    /// The operating system does not start a thread: it has no memory, or the process has too many threads.
    Thread {
        /// The thread's name.
        name: String,
        /// The system's error.
        error: io::Error,
    },
}

impl Display for StartError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(problem) => f.write_str(problem),
            Self::Thread { name, error } => write!(f, "cannot start thread {name}: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Network(_) => None,
            Self::Thread { error, .. } => Some(error),
        }
    }
}

/// Values that are needed to start the threads.
pub(in crate::delivery) struct Start<'s> {
    pub(in crate::delivery) name: &'s str,
    /// True if no other output of the process has this name.
    pub(in crate::delivery) has_unique_names: bool,
    pub(in crate::delivery) loaded: &'s Loaded,
    pub(in crate::delivery) shared: &'s Arc<Shared>,
    pub(in crate::delivery) client: &'s transport::client::Client,
    /// The function that each thread runs first.
    pub(in crate::delivery) first: fn(),
}

impl Start<'_> {
    pub(in crate::delivery) fn mapper(&self, inbox: Receiver<Job>) -> Result<JoinHandle<()>, StartError> {
        let mapping = Mapping { output: self.name.to_owned(), ..self.loaded.settings.mapping.clone() };
        let (shared, records) = (Arc::clone(self.shared), Mapper::new(mapping));
        self.spawn("sentry-mapper", move || map::worker::run(&shared, records, &inbox))
    }

    pub(in crate::delivery) fn spooler(
        &self,
        to_mapper: Sender<Job>,
    ) -> Result<Option<JoinHandle<Vec<store::Spool>>>, StartError> {
        let (name, path) = (self.name.to_owned(), self.spool_path());
        let former =
            if self.has_unique_names { store::worker::former::begin(&name, path.as_deref()) } else { Vec::new() };
        if path.is_none() && former.is_empty() {
            return Ok(None);
        }
        let (shared, settings) = (Arc::clone(self.shared), store::settings(&self.loaded.mapping_options));
        let work = move || store::worker::Worker::new(&shared, &to_mapper, &name, path, former, settings).run();
        self.spawn("sentry-spooler", work).map(Some)
    }

    fn spool_path(&self) -> Option<PathBuf> {
        let delivery = &self.loaded.settings.delivery;
        delivery.spool_path.clone().filter(|_| ResolvedMode::of(delivery) == Some(ResolvedMode::Spool))
    }

    pub(in crate::delivery) fn dispatcher(
        &self,
        inbox: Receiver<Message>,
        to_senders: Sender<transport::sender::Job<Load>>,
        ledger: Arc<Ledger>,
        reports: report::client_reports::Reader,
        host: Arc<dyn Host>,
    ) -> Result<JoinHandle<()>, StartError> {
        let (shared, client) = (Arc::clone(self.shared), self.client.clone());
        let dispatcher =
            dispatch::dispatcher::Dispatcher::new(shared, self.loaded, to_senders, ledger, reports, host, client);
        self.spawn("sentry-dispatch", move || dispatcher.run(&inbox))
    }

    pub(in crate::delivery) fn senders(
        &self,
        inbox: &Receiver<transport::sender::Job<Load>>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let count = self.loaded.settings.delivery.senders;
        // The default destination, or the first of several. One whose source is missing is not probed.
        let route_table = &self.shared.route_table;
        let probed = route_table.destinations().first().and_then(|id| Some((*id, route_table.get(*id)?)));
        let compressors = transport::compressor_pool::CompressorPool::new();
        let start = |number| {
            let (inbox, client, compressors) = (inbox.clone(), self.client.clone(), compressors.clone());
            let (done, clock) = (self.shared.to_dispatcher.clone(), Arc::clone(&self.shared.clock));
            let first = probed.clone().filter(|_| number == 0);
            self.spawn(&format!("sentry-send-{number}"), move || {
                if let Some((id, target)) = first {
                    let _ = done.send(Message::Probed(id, transport::sender::probe(&target, &client)));
                }
                let report = |result| done.send(Message::Done(Box::new(result))).is_ok();
                transport::sender::run(&inbox, &client, &compressors, &*clock, report);
            })
        };
        (0..count).map(start).collect()
    }

    pub(in crate::delivery) fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, StartError> {
        let (first, builder) = (self.first, thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES));
        let thread = builder.spawn(move || {
            first();
            work()
        });
        thread.map_err(|error| StartError::Thread { name: name.to_owned(), error })
    }
}

/// Joins the threads that end in time. Any other is stuck in name resolution, which cannot be interrupted; it has no
/// reference to Fluent Bit, and the library is never unloaded.
pub(in crate::delivery) fn join_or_leave(threads: Vec<JoinHandle<()>>) {
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
