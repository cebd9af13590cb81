//! Keeps the streams of a chunk and the order of its logs while its records are read.

use super::group::runs::Run;
use super::group::stream_lines::{Line, Stream};
use super::group::waiting::Tail;
use super::letter::Letter;
use super::resolve::identity::{EventId, StreamId};
use super::{ChunkState, Logs};
use crate::chunk::{Record, Timestamp};
use crate::level::Level;

impl<'a> ChunkState<'a> {
    /// Begins a stream with its lines that have waited.
    pub(super) fn resume(&mut self, id: StreamId, tail: &'a Tail) {
        let stream = tail.stream(id);
        self.run_bytes += stream.run.as_ref().map_or(0, Run::bytes);
        self.streams.push(stream);
    }

    /// Adds a line to its stream and returns the stream's place.
    #[inline]
    pub(super) fn add(
        &mut self,
        id: StreamId,
        threshold: Option<Level>,
        letter: Option<Letter>,
        line: Line<'a>,
    ) -> usize {
        let same_marker = |other: &Line<'_>| other.group.map(<[u8]>::as_ptr) == line.group.map(<[u8]>::as_ptr);
        let known = match letter {
            Some(_) => {
                let is_same = |last: &Stream<'_>| last.letter.is_some() && same_marker(&last.lines[0]);
                self.streams.len().checked_sub(1).filter(|last| is_same(&self.streams[*last]))
            }
            None => self.streams.iter().rposition(|stream| stream.id == id && stream.letter.is_none()),
        };
        let place = known.unwrap_or_else(|| {
            match self.waiting.and_then(|waiting| waiting.get(&id)).filter(|_| letter.is_none()) {
                Some(tail) => self.resume(id, tail),
                None => self.streams.push(Stream::new(id, threshold, letter)),
            }
            self.streams.len() - 1
        });
        self.streams[place].lines.push(line);
        place
    }

    pub(super) fn event_id(
        &mut self,
        destination: u128,
        stream: &Stream<'_>,
        (record, waited): (Record<'_>, Option<u32>),
    ) -> EventId {
        let ordinal = waited.filter(|_| !self.is_part).unwrap_or_else(|| {
            let first = EventId::new(destination, stream.id, record.time, record.raw, 0);
            *self.duplicate_ordinals.entry(first).and_modify(|n| *n += 1).or_insert(0)
        });
        let own = stream.letter.and_then(|letter| letter.event_id);
        own.unwrap_or_else(|| EventId::new(destination, stream.id, record.time, record.raw, ordinal))
    }
}

impl Logs {
    /// Number of this log among those of the same microsecond, by which Sentry sorts them.
    pub(super) fn sequence(&mut self, time: Timestamp) -> u32 {
        let micros = time.micros();
        self.sequence = if micros == self.last_micros { self.sequence.saturating_add(1) } else { 0 };
        self.last_micros = micros;
        self.sequence
    }
}
