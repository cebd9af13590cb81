//! The sender thread: takes a request, posts its envelope and reports the result. It has no reference to Fluent Bit or to
//! the instance.

use crate::clock::{Clock, WallTime};
use crate::delivery::route::table::Target;
use crate::delivery::transport::client::{Client, SendResult};
use crate::delivery::transport::compressor_pool::CompressorPool;
use crate::envelope::Parts;
use crate::options::Compress;
use crate::sync::Receiver;
use std::sync::Arc;
use std::time::Duration;

/// The content of a request.
pub(crate) trait Payload {
    /// Returns the envelope. `sent_at` is `now` as text.
    fn envelope(&self, dsn: &str, sent_at: &str, now: WallTime) -> Parts<'_>;
}

/// One request to make.
#[derive(Debug)]
pub(crate) struct Job<P> {
    pub(crate) load: P,
    pub(crate) target: Arc<Target>,
    pub(crate) encoding: Compress,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Done<P> {
    pub(crate) load: P,
    pub(crate) target: Arc<Target>,
    pub(crate) result: SendResult,
    pub(crate) took: Duration,
}

/// Longest wait for the response at the start: the first items wait for this sender, if it is the only one.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Checks at the start that a destination is reachable, without an item or a quota. Returns the status of the response.
///
/// # Errors
/// The destination did not respond, or a proxy did in its place.
pub(crate) fn probe(target: &Target, client: &Client) -> Result<u16, Box<SendResult>> {
    client.probe(&target.dsn, PROBE_LIMIT)
}

/// Makes requests until the channel closes. `report` takes each result, and returns false once the receiver of results is gone.
pub(crate) fn run<P: Payload>(
    inbox: &Receiver<Job<P>>,
    client: &Client,
    compressors: &CompressorPool,
    clock: &dyn Clock,
    report: impl Fn(Done<P>) -> bool,
) {
    let mut body = Vec::new();
    while let Ok(job) = inbox.recv() {
        let start = clock.now();
        let (dsn, sent_at) = (job.target.dsn.expose(), start.wall.rfc3339());
        let envelope = job.load.envelope(&dsn, &sent_at, start.wall);
        let result = match compressors.compress(job.encoding, &envelope, &mut body) {
            Ok(()) => client.send(&job.target.dsn, job.encoding, &body, start.wall),
            Err(error) => SendResult::not_written(&error),
        };
        let took = clock.now().steady.since(start.steady);
        if !report(Done { load: job.load, target: job.target, result, took }) {
            return;
        }
    }
}
