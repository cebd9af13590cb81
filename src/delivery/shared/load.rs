//! The contents of requests: items, client reports and check-ins.

use crate::clock::WallTime;
use crate::delivery::report::client_reports;
use crate::delivery::track::chunk_progress::ChunkProgress;
use crate::delivery::transport::sender::Payload;
use crate::envelope::{Batch, Parts, report};
use crate::mapping::DestinationId;

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

impl Payload for Load {
    fn envelope(&self, dsn: &str, sent_at: &str, now: WallTime) -> Parts<'_> {
        let mut envelope = Vec::new();
        match self {
            Self::Items(batch) => return batch.parts(dsn, sent_at),
            Self::CheckIn(_, payload) => report::write_check_in(&mut envelope, payload, dsn, sent_at),
            Self::Report(_, counts) => report::write(&mut envelope, &counts.lines(), dsn, sent_at, now),
        }
        Parts::whole(envelope)
    }
}
