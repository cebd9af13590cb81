//! The sender thread: takes an envelope, posts it and reports the result. It holds no reference to Fluent Bit or to the
//! instance.

use crate::clock::Clock;
use crate::delivery::dispatch::dispatcher;
use crate::delivery::report::client_reports;
use crate::delivery::route::table::Target;
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::delivery::transport::client::{Client, SendResult};
use crate::delivery::transport::compressor_pool::CompressorPool;
use crate::envelope::{Batch, Parts, report};
use crate::mapping::DestinationId;
use crate::options::Compress;
use crate::sync::{Receiver, Sender};
use std::sync::Arc;
use std::time::Duration;

/// One request to make.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) load: Load,
    pub(crate) target: Arc<Target>,
    pub(crate) encoding: Compress,
}

/// The content that a request carries.
#[derive(Debug)]
pub(crate) enum Load {
    /// Items.
    Items(Batch<ChunkProgress>),
    /// A client report to a destination.
    Report(DestinationId, client_reports::Report),
    /// A check-in to a destination, its payload.
    CheckIn(DestinationId, Vec<u8>),
}

impl Load {
    /// Returns the destination.
    pub(crate) fn destination(&self) -> DestinationId {
        match self {
            Self::Items(batch) => batch.destination,
            Self::Report(id, _) | Self::CheckIn(id, _) => *id,
        }
    }
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) load: Load,
    pub(crate) target: Arc<Target>,
    pub(crate) sent: SendResult,
    pub(crate) took: Duration,
}

/// Longest wait for the response at the start: the first items wait for this sender, if it is the only one.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Asks once, at the start, whether a destination is there. No item, no quota, and nothing for the ledger.
pub(crate) fn probe(id: DestinationId, target: &Target, client: &Client, done: &Sender<dispatcher::Message>) {
    let answer = client.probe(&target.dsn, PROBE_LIMIT);
    let _ = done.send(dispatcher::Message::Probed(id, answer));
}

/// Sends until the channel closes.
pub(crate) fn run(
    inbox: &Receiver<Job>,
    client: &Client,
    compressors: &CompressorPool,
    clock: &dyn Clock,
    done: &Sender<dispatcher::Message>,
) {
    let mut body = Vec::new();
    while let Ok(job) = inbox.recv() {
        let start = clock.now();
        let (dsn, sent_at) = (job.target.dsn.expose(), start.wall.rfc3339());
        let envelope = match &job.load {
            Load::Items(batch) => batch.parts(&dsn, &sent_at),
            Load::CheckIn(_, payload) => {
                let mut envelope = Vec::new();
                report::write_check_in(&mut envelope, payload, &dsn, &sent_at);
                Parts::whole(envelope)
            }
            Load::Report(_, counts) => {
                let mut envelope = Vec::new();
                report::write(&mut envelope, &counts.lines(), &dsn, &sent_at, start.wall);
                Parts::whole(envelope)
            }
        };
        let sent = match compressors.compressor(job.encoding, &envelope, &mut body) {
            Ok(()) => client.send(&job.target.dsn, job.encoding, &body, start.wall),
            Err(error) => SendResult::not_written(&error),
        };
        let took = clock.now().steady.since(start.steady);
        let report = Done { load: job.load, target: job.target, sent, took };
        if done.send(dispatcher::Message::Done(Box::new(report))).is_err() {
            return;
        }
    }
}
