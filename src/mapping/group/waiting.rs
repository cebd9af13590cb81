//! Keeps lines at the end of a chunk that may begin a stack trace, until the next chunk of their stream arrives.

use super::runs::{HeldLog, Run};
use super::stream_lines::{LevelSource, Line, SideBuffer, Stream, Text};
use super::trace_groups;
use crate::chunk::Timestamp;
use crate::clock::Monotonic;
use crate::level::Level;
use crate::mapping::resolve::identity::StreamId;
use std::collections::HashMap;
use std::sync::Arc;

/// Most bytes of records and logs that wait of one stream.
const MAX_STREAM: usize = 64 << 10;

/// The same of all streams.
const MAX_ALL: usize = 4 << 20;

/// The same for a mapper that reads a chunk in parts: the longest trace with its logs fits.
const MAX_STREAM_IN_PARTS: usize = 4 << 20;
const MAX_ALL_IN_PARTS: usize = 16 << 20;

/// Lines of all streams.
#[derive(Debug)]
pub(crate) struct Waiting {
    streams: HashMap<StreamId, Arc<Tail>>,
    bytes: usize,
    /// Most bytes of one stream, and of all.
    most: (usize, usize),
}

impl Default for Waiting {
    fn default() -> Self {
        Self { streams: HashMap::new(), bytes: 0, most: (MAX_STREAM, MAX_ALL) }
    }
}

/// The last lines of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The tag of their chunk.
    pub tag: Vec<u8>,
    pub threshold: Option<Level>,
    /// Steady time at which they are sent as they are.
    pub until: Monotonic,
    lines: Vec<Kept>,
    held: HeldLog,
    run: Option<Run>,
    bytes: usize,
}

/// A line with its record.
#[derive(Debug)]
struct Kept {
    index: u32,
    raw: Vec<u8>,
    group: Option<Vec<u8>>,
    text: Option<String>,
    time: Timestamp,
    level: Level,
    said: LevelSource,
    heads: Option<bool>,
    sequence: u32,
    ordinal: u32,
    in_key: bool,
}

impl Kept {
    fn of(line: &Line<'_>, aside: &SideBuffer, (index, ordinal): (u32, u32)) -> Self {
        let Line { raw, group, time, level, said, heads, sequence, in_key, .. } = *line;
        let text = line.text_in(aside).map(str::to_owned);
        Self {
            index,
            raw: raw.to_vec(),
            group: group.map(<[u8]>::to_vec),
            text,
            time,
            level,
            said,
            heads,
            sequence,
            ordinal,
            in_key,
        }
    }

    fn line(&self) -> Line<'_> {
        Line {
            index: self.index,
            raw: &self.raw,
            group: self.group.as_deref(),
            text: self.text.as_deref().map_or(Text::Gone, Text::Here),
            time: self.time,
            level: self.level,
            said: self.said,
            heads: self.heads,
            is_plain: true,
            sequence: self.sequence,
            ordinal: Some(self.ordinal),
            in_key: self.in_key,
        }
    }
}

impl Tail {
    /// Takes the lines of a stream from a place on, and their logs, which the stream has. They have new numbers.
    pub(crate) fn take(
        stream: &mut Stream<'_>,
        tag: &[u8],
        aside: &SideBuffer,
        numbers: &[u32],
        until: Monotonic,
    ) -> Self {
        let from = stream.lines.len() - numbers.len();
        let lines = (from..).zip(numbers).map(|(at, number)| {
            let line = &stream.lines[at];
            let is_same = |other: &&Line<'_>| other.time == line.time && other.raw == line.raw;
            let mut before = stream.lines[..at].iter().filter(is_same).peekable();
            let first = before.peek().and_then(|first| first.ordinal).unwrap_or_default();
            let ordinal = line.ordinal.unwrap_or(first + before.count() as u32);
            Kept::of(line, aside, (*number, ordinal))
        });
        let lines: Vec<Kept> = lines.collect();
        let mut held = std::mem::take(&mut stream.held);
        let mut run = stream.run.take();
        if let Some(run) = &mut run {
            run.renumber(numbers);
        } else if let Some(number) = numbers.last() {
            held.index = *number;
        }
        let bytes = size(stream, from) + held.json.len() + run.as_ref().map_or(0, Run::bytes);
        stream.lines.truncate(from);
        Self { tag: tag.to_vec(), threshold: stream.threshold, until, lines, held, run, bytes }
    }

    /// The stream that begins with these lines.
    pub(crate) fn stream(&self, id: StreamId) -> Stream<'_> {
        let mut stream = Stream::new(id, self.threshold, None);
        stream.lines = self.lines.iter().map(Kept::line).collect();
        stream.held = self.held.clone();
        stream.run = self.run.clone();
        stream.has_waited = true;
        stream
    }
}

impl Waiting {
    /// Lets more bytes wait, for a mapper that reads a chunk in parts.
    pub(crate) fn give_room(&mut self) {
        self.most = (MAX_STREAM_IN_PARTS, MAX_ALL_IN_PARTS);
    }

    /// Returns true if no line waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The lines of each stream.
    pub(crate) fn streams(&self) -> HashMap<StreamId, Arc<Tail>> {
        self.streams.clone()
    }

    /// Returns the lines of one stream.
    pub(crate) fn lines(&self, id: StreamId) -> impl Iterator<Item = Line<'_>> {
        self.streams.get(&id).into_iter().flat_map(|tail| tail.lines.iter().map(Kept::line))
    }

    /// Forgets the lines of a stream.
    pub(crate) fn remove(&mut self, id: StreamId) {
        if let Some(tail) = self.streams.remove(&id) {
            self.bytes -= tail.bytes;
        }
    }

    /// Forgets the lines of the stream that has this record; returns their numbers.
    pub(crate) fn remove_with(&mut self, index: u32) -> Vec<u32> {
        let has = |tail: &Arc<Tail>| tail.lines.iter().any(|line| line.index == index);
        let Some((id, tail)) = self.streams.iter().find(|(_, tail)| has(tail)) else { return Vec::new() };
        let (id, numbers) = (*id, tail.lines.iter().map(|line| line.index).collect());
        self.remove(id);
        numbers
    }

    /// Returns the time at which the first waiting lines are sent as they are.
    pub(crate) fn next(&self) -> Option<Monotonic> {
        self.streams.values().map(|tail| tail.until).min()
    }

    /// The records that wait.
    pub(crate) fn records(&self) -> impl Iterator<Item = u32> {
        self.streams.values().flat_map(|tail| tail.lines.iter().map(|line| line.index))
    }

    /// Keeps the lines of a stream, or forgets those that it had.
    pub(crate) fn set(&mut self, id: StreamId, tail: Option<Tail>) {
        self.remove(id);
        if let Some(tail) = tail {
            self.bytes += tail.bytes;
            self.streams.insert(id, Arc::new(tail));
        }
    }

    /// Returns true if there is room for the lines of a stream from a place on.
    pub(crate) fn has_room(&self, stream: &Stream<'_>, from: usize) -> bool {
        let logs = stream.held.json.len() + stream.run.as_ref().map_or(0, Run::bytes);
        let bytes = size(stream, from) + logs;
        bytes <= self.most.0 && self.bytes + bytes <= self.most.1
    }
}

/// Bytes of the records of a stream's lines from a place on.
fn size(stream: &Stream<'_>, from: usize) -> usize {
    let size = |line: &Line<'_>| 2 * line.raw.len() + line.group.map_or(0, <[u8]>::len);
    stream.lines[from..].iter().map(size).sum()
}

impl Stream<'_> {
    /// The place of the first line at the stream's end that may belong to a group with the lines to come.
    pub(crate) fn unfinished(&self, aside: &SideBuffer) -> usize {
        let len = self.lines.len();
        let text = |line: &Line<'_>| line.text_in(aside).and_then(trace_groups::usable).map(str::to_owned);
        match &self.run {
            Some(run) => {
                let lines = &self.lines[run.first..];
                let texts: Vec<String> = lines.iter().map(|line| text(line).unwrap_or_default()).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                run.first + trace_groups::unfinished(lines, &texts)
            }
            None => {
                let leads = self.lines.last().copied().is_some_and(|mut line| {
                    let text = line.text_in(aside).and_then(trace_groups::usable);
                    text.is_some_and(|text| {
                        line.judge(text);
                        trace_groups::may_lead(&line, text)
                    })
                });
                len - usize::from(leads)
            }
        }
    }
}
