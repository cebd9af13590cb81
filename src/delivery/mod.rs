//! Delivers chunks to Sentry, from the flush to Sentry's response: start, flush, close, and the threads.
//!
//! ```text
//! flush --slot--> mapper --batch--> dispatcher --job--> sender ... sender --done--> dispatcher
//!        \--chunk--> spool's worker --extent--^
//! ```
//!
//! Every arrow is a crossbeam channel. Only the dispatcher decides what is sent and when, only the mapper interprets
//! records, and only the spool's worker waits for the disk. Only the dispatcher calls Fluent Bit, so a sender that is stuck
//! in name resolution can be abandoned at exit.
//!
//! | folder | part |
//! |---|---|
//! | `admission` | takes or refuses the chunk of a flush |
//! | `accept` | the slots of flushes, and the chunks that Fluent Bit flushes again |
//! | `shared` | state that several threads share, and the order of the end (`lifecycle`) |
//! | `track` | the progress of each chunk and the state of each of its records |
//! | `route` | the destinations, and the route of a record |
//! | `store` | spool and dead letters |
//! | `map` | the mapper: turns chunks into items |
//! | `dispatch` | the dispatcher: decides what is sent and when |
//! | `transport` | the senders: requests and responses |
//! | `costs` | the cost of logs and the budgets that cap it |
//! | `report` | log lines, metrics, client reports and check-ins |
//!
//! ARCHITECTURE.md follows two questions through these folders: "How does a 429 on logs affect the spool?" (`transport/response`,
//! `dispatch/endpoint`, `dispatch/rate_limits`, `shared/blocks`, `map/disposition`, `shared/backlog`) and "What happens to a chunk
//! whose flush timed out?" (`admission`, `accept/chunk_slot`, `accept/retry_registry`; with a spool, `store/offer`).

mod accept;
mod admission;
mod costs;
pub mod dispatch;
mod map;
#[cfg(test)]
mod model;
#[cfg(test)]
mod property;
mod report;
mod route;
mod shared;
mod start;
pub mod store;
mod track;
pub mod transport;

use crate::clock::Clock;
pub use crate::delivery::accept::chunk_slot::{SlotPool, Verdict};
pub use crate::delivery::report::destination_state::DestinationState;
pub use crate::delivery::report::host::{Gauges, Host, Report, Severity};
pub use crate::delivery::route::resolver::DestinationResolver;
use crate::delivery::shared::inbox::{Job, Message};
use crate::delivery::shared::load::Load;
use crate::delivery::shared::state::Shared;
use crate::delivery::start::Start;
pub use crate::delivery::start::StartError;
use crate::ledger::Ledger;
use crate::options::Loaded;
use crate::sync::thread::JoinHandle;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Receiver, Sender, bounded, lock, unbounded};
use std::sync::Arc;
pub use store::split as split_spool;
pub(crate) use store::{begin_reload, end_reload};

/// Most chunks in the mapper's queue.
const MAPPER_QUEUE: usize = 512;

/// The running delivery of one instance.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    to_mapper: Sender<Job>,
    /// The mode that `auto` chose for the last flush, as a number from 1; 0 before the first flush. Written and read by
    /// flushes.
    chosen: AtomicU64,
    /// True if the hint about `workers` has been logged. Written and read by flushes.
    has_told_workers: AtomicBool,
    /// Taken when the instance closes.
    threads: Mutex<Option<Threads>>,
    client: transport::client::Client,
}

#[derive(Debug)]
struct Threads {
    mapper: JoinHandle<()>,
    spooler: Option<JoinHandle<Vec<store::Spool>>>,
    dispatcher: JoinHandle<()>,
    senders: Vec<JoinHandle<()>>,
}

impl Delivery {
    /// Starts the threads.
    ///
    /// # Errors
    /// Certificates or proxy are unusable, or a thread cannot be started.
    pub fn start(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: Arc<Ledger>,
        host: Arc<dyn Host>,
    ) -> Result<Self, StartError> {
        let settings = &loaded.settings;
        let client = transport::client::Client::new(&settings.network, settings.delivery.senders);
        let client = client.map_err(StartError::Network)?;
        Self::start_with(name, loaded, clock, ledger, host, client, |start, inbox| start.senders(inbox))
    }

    /// Starts an instance like the above, with a given function that starts its senders.
    fn start_with(
        name: &str,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ledger: Arc<Ledger>,
        host: Arc<dyn Host>,
        client: transport::client::Client,
        senders: impl FnOnce(&Start<'_>, &Receiver<transport::sender::Job<Load>>) -> Result<Vec<JoinHandle<()>>, StartError>,
    ) -> Result<Self, StartError> {
        let settings = &loaded.settings;
        let (to_dispatcher, dispatcher_inbox) = unbounded();
        let (to_mapper, mapper_inbox) = bounded(MAPPER_QUEUE);
        let (reports, report_reader) = match settings.delivery.client_reports {
            true => report::client_reports::enabled(),
            false => report::client_reports::disabled(),
        };
        let shared = Arc::new(Shared::new(name, loaded, clock, &ledger, reports, to_dispatcher));
        let (to_senders, sender_inbox) = bounded(settings.delivery.senders);
        let (first, has_unique_names) = (host.thread_start(), host.has_unique_names());
        let start = Start { name, has_unique_names, loaded, shared: &shared, client: &client, first };
        let threads = Threads {
            mapper: start.mapper(mapper_inbox)?,
            spooler: start.spooler(to_mapper.clone())?,
            dispatcher: start.dispatcher(dispatcher_inbox, to_senders, ledger, report_reader, host)?,
            senders: senders(&start, &sender_inbox)?,
        };
        let (threads, chosen, has_told_workers) =
            (Mutex::new(Some(threads)), AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self { shared, to_mapper, chosen, has_told_workers, threads, client })
    }

    /// Drains for at most `exit_timeout`, joins the threads, and leaves nothing running that could touch Fluent Bit. The order of
    /// the steps is explained in `shared/lifecycle.rs`.
    pub fn close(&self) {
        let Some(threads) = lock(&self.threads).take() else { return };
        let now = self.shared.now().steady;
        let deadline = now + self.shared.settings.exit_timeout;
        // Chunks of an earlier process that are still delayed are read now: there will be no later time.
        lock(&self.shared.backlog).end_delay(now);
        self.shared.lifecycle.begin_closing(deadline);
        self.shared.lifecycle.wait_for_flushes();
        let _ = self.shared.to_dispatcher.send(Message::Close(deadline));
        self.shared.store.close();
        let former = threads.spooler.map(JoinHandle::join);
        let _ = self.to_mapper.send_timeout(Job::Close, self.shared.settings.exit_timeout);
        let _ = threads.dispatcher.join();
        self.client.shutdown();
        self.shared.budget.close();
        let _ = threads.mapper.join();
        self.shared.retry_registry.release_all();
        // The directory stays locked until no thread of this instance reads, writes or removes its files any more: another
        // process may wait for it.
        self.shared.store.release();
        drop(former);
        start::join_or_leave(threads.senders);
    }
}
