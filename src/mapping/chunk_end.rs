//! The end of a chunk: ends its streams, lets lines wait for the next chunk, and makes the events.

use super::group::runs::Run;
use super::group::waiting::Tail;
use super::resolve::container::Container;
use super::resolve::identity::StreamIds;
use super::{ChunkState, Logs, Mapper, Origin, Parts, Sink};
use crate::clock::Monotonic;

impl Mapper {
    pub(super) fn progress<'a>(&mut self, origin: Origin<'_>) -> ChunkState<'a> {
        let aside = std::mem::take(&mut self.memory.aside);
        let (of_tag, container) = (StreamIds::of_tag(origin.tag), Container::of_tag(origin.tag));
        let mut progress = ChunkState { aside, of_tag, container, ..ChunkState::default() };
        if let Some(parts) = &mut self.parts {
            let Parts { duplicate_ordinals, last_micros, sequence } = std::mem::take(parts);
            progress.is_part = true;
            progress.duplicate_ordinals = duplicate_ordinals;
            (progress.logs.last_micros, progress.logs.sequence) = (last_micros, sequence);
        }
        progress
    }

    pub(super) fn end_of_chunk(&mut self, origin: Origin<'_>, progress: &mut ChunkState<'_>, sink: &mut impl Sink) {
        for place in 0..progress.streams.len() {
            self.end_of_stream(origin, place, progress, sink);
        }
        let mut aside = std::mem::take(&mut progress.aside);
        for stream in std::mem::take(&mut progress.streams) {
            let mut stream = stream.with(&aside);
            if stream.letter.is_some() {
                self.letter(origin, &mut stream, progress, sink);
            }
            stream.leave_heads();
            self.crumbs.begin();
            self.recall.begin();
            self.events(origin, &stream, progress, sink);
            self.crumbs.remember(&stream, &self.scrub);
            self.recall.remember(&stream);
        }
        aside.clear();
        self.memory.aside = aside;
        if let Some(parts) = &mut self.parts {
            let Logs { last_micros, sequence, .. } = progress.logs;
            *parts =
                Parts { duplicate_ordinals: std::mem::take(&mut progress.duplicate_ordinals), last_micros, sequence };
        }
        // Not before: after a panic all of it is read again.
        for (id, tail) in std::mem::take(&mut progress.kept) {
            self.waiting.set(id, tail);
        }
    }

    /// Sends the waiting logs of a stream.
    pub(super) fn end_of_stream(
        &mut self,
        origin: Origin<'_>,
        place: usize,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &mut progress.streams[place];
        if let Some(until) = sink.waits_until().filter(|_| self.settings.join_traces && stream.letter.is_none())
            && let from = stream.unfinished(&progress.aside)
            && from < stream.lines.len()
            && self.waiting.has_room(stream, from)
        {
            return self.wait(origin, (place, from), until, progress, sink);
        }
        self.end_of_last(origin, place, progress, sink);
    }

    /// Lets the lines of a stream wait from a place on, and sends the lines before them.
    pub(super) fn wait(
        &mut self,
        origin: Origin<'_>,
        (place, from): (usize, usize),
        until: Monotonic,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &mut progress.streams[place];
        let numbers: Option<Vec<u32>> = stream.lines[from..].iter().map(|line| sink.wait(line.index)).collect();
        let Some(numbers) = numbers else { return self.end_of_last(origin, place, progress, sink) };
        // What is before them in the run is decided now.
        if let Some(mut rest) = stream.run.clone().filter(|run| run.first < from) {
            rest.renumber(&numbers);
            self.end_of_run(origin, (place, from), progress, sink);
            progress.run_bytes += rest.bytes();
            progress.streams[place].run = Some(rest);
        }
        let stream = &mut progress.streams[place];
        progress.run_bytes -= stream.run.as_ref().map_or(0, Run::bytes);
        let tail = Tail::take(stream, origin.tag, &progress.aside, &numbers, until);
        progress.kept.push((stream.id, Some(tail)));
    }

    /// Sends all that is left of a stream.
    pub(super) fn end_of_last(
        &mut self,
        origin: Origin<'_>,
        place: usize,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &progress.streams[place];
        let end = stream.lines.len();
        if stream.has_waited {
            progress.kept.push((stream.id, None));
        }
        self.end_of_run(origin, (place, end), progress, sink);
        let held = &mut progress.streams[place].held;
        self.send((held.index, held.fate, &held.json), sink);
        held.settle();
    }
}
