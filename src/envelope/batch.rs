//! One envelope in the making: its items as JSON, and the records that they came from.

use super::chunk_id::{BatchKey, Identified, RecordIndex};
use crate::clock::Monotonic;
use crate::ledger::Category;
use crate::mapping::identity::EventId;
use crate::mapping::json::Object;
use crate::mapping::{DestinationId, SDK_NAME, SDK_VERSION};
use std::sync::Arc;

const LOG_PREFIX: &[u8] =
    br#"{"version":2,"ingest_settings":{"infer_ip":"never","infer_user_agent":"never"},"items":["#;

/// Bytes that end a container of logs, and the line.
const LOG_SUFFIX: &[u8] = b"]}\n";

/// A reading of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The first one, soon after the flush.
    Live,
    /// A later one, out of the backlog.
    Replayed,
}

/// The failures of a batch that are its own: between two of them the destination has accepted another batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Number of these failures.
    pub count: u32,
    /// Batches that the destination had accepted at the last of them.
    pub successes_before: u64,
}

/// Items of one category on their way, and the owners of their records. `T` is the type that tracks the records of an owner.
#[derive(Debug)]
pub struct Batch<T> {
    /// Category of the items.
    pub category: Category,
    /// Destination of its items.
    pub destination: DestinationId,
    /// Steady time when its first item came in.
    pub opened: Monotonic,
    /// Its failures among the successes of others.
    pub failures: Failures,
    /// Number of its destination's encoding in which it was sent, counted from 0.
    pub encoded: u32,
    /// True if it has been answered with a 429: Sentry has then counted its items.
    pub limited: bool,
    /// True if it has been made smaller or cannot be made smaller.
    pub(super) trimmed: bool,
    /// The reading of the chunk that its items come from.
    pub reading: Reading,
    /// Bytes that are accounted for in the memory budget while it lives.
    pub reserved: u64,
    event_id: Option<EventId>,
    /// The items' JSON; logs with commas between them.
    pub(super) payload: Vec<u8>,
    pub(super) items: Vec<Item>,
    owners: Vec<Owner<T>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    record: RecordIndex,
    /// Position in the payload at which its JSON ends.
    pub(super) end: u32,
    bill: Bill,
}

/// Amount that Sentry bills for an item, and its payer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Number of the payer, assigned by the part that counts the costs; 0 stands for nobody.
    pub payer: u32,
    /// Bytes; 0 for events.
    pub bytes: u32,
}

/// From the item at `first` on, all belong to `tracker`.
#[derive(Debug)]
struct Owner<T> {
    tracker: Arc<T>,
    first: u32,
}

impl<T: Identified> Batch<T> {
    /// Returns the key by which the batch is recognised when its records have been read again and are sent anew. `None` if
    /// the batch is empty.
    #[must_use]
    pub fn key(&self) -> Option<BatchKey> {
        let first_log = || Some(BatchKey::Logs(self.owners.first()?.tracker.id(), self.items.first()?.record));
        self.event_id.map(BatchKey::Event).or_else(first_log)
    }
}

impl<T> Batch<T> {
    /// An empty batch that builds in `buffer`, for destination 0 unless that is changed.
    #[must_use]
    pub fn new(category: Category, mut buffer: Vec<u8>, opened: Monotonic, reading: Reading) -> Self {
        buffer.clear();
        let (items, owners) = (Vec::new(), Vec::new());
        Self {
            category,
            destination: DestinationId(0),
            failures: Failures::default(),
            encoded: 0,
            limited: false,
            trimmed: false,
            opened,
            reading,
            reserved: 0,
            event_id: None,
            payload: buffer,
            items,
            owners,
        }
    }

    /// The same for another destination than 0.
    #[must_use]
    pub fn toward(self, destination: DestinationId) -> Self {
        Self { destination, ..self }
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns true if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of JSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The buffer to append the next item's JSON to.
    pub fn open(&mut self) -> &mut Vec<u8> {
        if !self.items.is_empty() {
            self.payload.push(b',');
        }
        &mut self.payload
    }

    /// Returns the buffer that the open item's JSON is appended to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.payload
    }

    /// Ends the item opened last.
    pub fn close(&mut self, tracker: &Arc<T>, record: RecordIndex, event_id: Option<EventId>) {
        self.close_billed(tracker, record, Bill::default());
        self.event_id = event_id;
    }

    /// Ends the log opened last.
    pub fn close_billed(&mut self, tracker: &Arc<T>, record: RecordIndex, bill: Bill) {
        let position = self.items.len() as u32;
        if self.owners.last().is_none_or(|owner| !Arc::ptr_eq(&owner.tracker, tracker)) {
            self.owners.push(Owner { tracker: Arc::clone(tracker), first: position });
        }
        self.items.push(Item { record, end: self.payload.len() as u32, bill });
    }

    /// Returns the payer and the billed bytes of each item.
    pub fn bills(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.items.iter().map(|item| (item.bill.payer, u64::from(item.bill.bytes)))
    }

    /// Removes the bytes that were appended for an item that was never ended.
    pub fn mend(&mut self) {
        self.payload.truncate(self.items.last().map_or(0, |item| item.end as usize));
    }

    /// The records of each owner, in order.
    pub fn owners(&self) -> impl Iterator<Item = (&Arc<T>, impl Iterator<Item = RecordIndex> + '_)> {
        self.owners.iter().enumerate().map(|(at, owner)| {
            let end = self.owners.get(at + 1).map_or(self.items.len(), |next| next.first as usize);
            (&owner.tracker, self.items[owner.first as usize..end].iter().map(|item| item.record))
        })
    }

    /// Splits off the items from `at` on; `at` lies inside.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let cut = self.items[at - 1].end;
        // The comma between the halves belongs to neither.
        let payload = self.payload[cut as usize + 1..].to_vec();
        self.payload.truncate(cut as usize);
        let moved = self.items.split_off(at).into_iter();
        let items = moved.map(|item| Item { end: item.end - cut - 1, ..item }).collect();
        let mut owners: Vec<Owner<T>> = Vec::new();
        for (position, owner) in self.owners.iter().enumerate() {
            let end = self.owners.get(position + 1).map_or(u32::MAX, |next| next.first);
            if end > at as u32 {
                let first = owner.first.saturating_sub(at as u32);
                owners.push(Owner { tracker: Arc::clone(&owner.tracker), first });
            }
        }
        self.owners.retain(|owner| owner.first < at as u32);
        // The budget is freed with the front half.
        let Self { destination, failures, limited, .. } = *self;
        let back = Self::new(self.category, Vec::new(), self.opened, self.reading);
        Self { destination, failures, limited, payload, items, owners, ..back }
    }

    /// Writes the whole envelope.
    pub fn write(&self, out: &mut Vec<u8>, dsn: &str, sent_at: &str) {
        self.parts(dsn, sent_at).all().into_iter().for_each(|part| out.extend_from_slice(part));
    }

    /// The whole envelope around the items, which stay where they are.
    #[must_use]
    pub fn parts(&self, dsn: &str, sent_at: &str) -> Parts<'_> {
        let mut head = Vec::new();
        header(&mut head, self.event_id, dsn, sent_at);
        let tail: &[u8] = match self.category {
            Category::Event => {
                head.extend_from_slice(
                    format!("{{\"type\":\"event\",\"length\":{}}}\n", self.payload.len()).as_bytes(),
                );
                b"\n"
            }
            Category::Log => {
                let length = LOG_PREFIX.len() + self.payload.len() + LOG_SUFFIX.len() - 1;
                let header = format!(
                    "{{\"type\":\"log\",\"item_count\":{},\"content_type\":\"application/vnd.sentry.items.log+json\",\"length\":{length}}}\n",
                    self.items.len(),
                );
                head.extend_from_slice(header.as_bytes());
                head.extend_from_slice(LOG_PREFIX);
                LOG_SUFFIX
            }
        };
        Parts { head, payload: &self.payload, tail }
    }

    /// Goes on in another buffer.
    pub(super) fn move_to(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.payload);
        self.payload = buffer;
    }

    /// Gives the buffer back for reuse.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.payload
    }
}

/// An envelope in pieces: they are sent one after the other, and the large one is copied nowhere.
#[derive(Debug)]
pub struct Parts<'b> {
    head: Vec<u8>,
    payload: &'b [u8],
    tail: &'static [u8],
}

impl Parts<'_> {
    /// An envelope that is in one piece.
    #[must_use]
    pub fn whole(envelope: Vec<u8>) -> Self {
        Self { head: envelope, payload: &[], tail: &[] }
    }

    /// The pieces in order.
    #[must_use]
    pub fn all(&self) -> [&[u8]; 3] {
        [&self.head, self.payload, self.tail]
    }
}

/// The first line of an envelope.
pub(super) fn header(out: &mut Vec<u8>, event_id: Option<EventId>, dsn: &str, sent_at: &str) {
    let mut header = Object::begin(out);
    if let Some(id) = event_id {
        header.text("event_id", &id.hex());
    }
    header.text("dsn", dsn);
    header.text("sent_at", sent_at);
    let mut sdk = Object::begin(header.key("sdk"));
    sdk.text("name", SDK_NAME);
    sdk.text("version", SDK_VERSION);
    sdk.end();
    header.end();
    out.push(b'\n');
}
