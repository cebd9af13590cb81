//! Keeps lines that `logs_level` filtered out, for the events of their stream: `logs_on_error`.
//!
//! The last lines of every stream of a chunk are copied; lines of the current chunk are read in place. Each line is taken at
//! most once.

use super::stream_lines::{Line, Stream};
use crate::chunk::Timestamp;
use crate::level::Level;
use crate::mapping::resolve::identity::StreamId;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// Bytes that a kept line takes beside those of its record: its place in the lists.
const OVERHEAD: usize = 160;

/// Filtered lines of earlier chunks, by stream.
#[derive(Debug)]
pub(crate) struct Recall {
    /// Most lines for an event; 0 keeps nothing.
    most: usize,
    /// Most bytes of all lines.
    max_bytes: usize,
    /// Lowest level of logs: only lines below it are kept.
    threshold: Option<Level>,
    streams: HashMap<StreamId, VecDeque<Kept>>,
    /// All lines by age; those that have been taken stay until they are met.
    order: VecDeque<(u64, StreamId)>,
    next: u64,
    bytes: usize,
    /// The first line of the stream and chunk at hand that no event has taken.
    from: usize,
}

/// A line of an earlier chunk.
#[derive(Debug)]
struct Kept {
    number: u64,
    line: Recalled<'static>,
}

/// A line that is to be sent after all.
#[derive(Clone, Debug)]
pub(crate) struct Recalled<'a> {
    /// The encoded record.
    pub raw: Cow<'a, [u8]>,
    /// The encoded group marker that it belongs to.
    pub group: Option<Cow<'a, [u8]>>,
    /// The text of all lines of its trace, if it is the first line of one.
    pub text: Option<Cow<'a, str>>,
    pub level: Level,
    pub time: Timestamp,
}

impl Recalled<'_> {
    fn bytes(&self) -> usize {
        let group = self.group.as_ref().map_or(0, |group| group.len());
        self.raw.len() + group + self.text.as_ref().map_or(0, |text| text.len()) + OVERHEAD
    }

    fn into_owned(self) -> Recalled<'static> {
        Recalled {
            raw: Cow::Owned(self.raw.into_owned()),
            group: self.group.map(|group| Cow::Owned(group.into_owned())),
            text: self.text.map(|text| Cow::Owned(text.into_owned())),
            level: self.level,
            time: self.time,
        }
    }
}

impl Recall {
    pub(crate) fn new(most: usize, max_bytes: usize, threshold: Option<Level>) -> Self {
        Self { most, max_bytes, threshold, streams: HashMap::new(), order: VecDeque::new(), next: 0, bytes: 0, from: 0 }
    }

    /// Before the events of a stream are made.
    pub(crate) fn begin(&mut self) {
        self.from = 0;
    }

    /// Takes the lines for the event of the line at `first`, in order: at most so many as are asked for, the last ones before it,
    /// and none that says to be later than the event.
    pub(crate) fn take<'l>(&mut self, stream: &'l Stream<'_>, first: usize) -> Vec<Recalled<'l>> {
        if self.most == 0 {
            return Vec::new();
        }
        let until = stream.lines[first].time;
        let places = (self.from..first).rev().filter(|place| self.is_filtered(stream, *place));
        let here = places.map(|place| recalled(stream, place)).filter(|line| line.time <= until);
        let mut lines: Vec<Recalled<'l>> = here.take(self.most).collect();
        self.from = first + 1;
        // What is older than the lines taken is for no later event either.
        let earlier = self.streams.remove(&stream.id).unwrap_or_default();
        self.bytes -= earlier.iter().map(|kept| kept.line.bytes()).sum::<usize>();
        let earlier = earlier.into_iter().rev().map(|kept| kept.line).filter(|line| line.time <= until);
        lines.extend(earlier.take(self.most - lines.len()));
        lines.reverse();
        lines
    }

    /// Keeps the last filtered lines of a stream for the events of later chunks.
    pub(crate) fn remember(&mut self, stream: &Stream<'_>) {
        if self.most == 0 || stream.letter.is_some() {
            return;
        }
        let places = (self.from..stream.lines.len()).rev().filter(|place| self.is_filtered(stream, *place));
        let last: Vec<usize> = places.take(self.most).collect();
        for place in last.into_iter().rev() {
            self.keep(stream.id, recalled(stream, place));
        }
    }

    fn keep(&mut self, stream: StreamId, line: Recalled<'_>) {
        if line.bytes() > self.max_bytes {
            return;
        }
        self.bytes += line.bytes();
        let (number, line) = (self.next, line.into_owned());
        self.next += 1;
        self.order.push_back((number, stream));
        let lines = self.streams.entry(stream).or_default();
        lines.push_back(Kept { number, line });
        if lines.len() > self.most {
            self.bytes -= lines.pop_front().map_or(0, |oldest| oldest.line.bytes());
        }
        while self.bytes > self.max_bytes && self.drop_oldest() {}
        if self.order.len() > 64 + 2 * self.streams.values().map(VecDeque::len).sum::<usize>() {
            let Self { order, streams, .. } = self;
            let oldest = |stream: &StreamId| streams.get(stream)?.front().map(|kept| kept.number);
            order.retain(|(number, stream)| oldest(stream).is_some_and(|oldest| oldest <= *number));
        }
    }

    /// Drops the oldest line of all, if there is any.
    fn drop_oldest(&mut self) -> bool {
        let Some((number, stream)) = self.order.pop_front() else { return false };
        let Some(lines) = self.streams.get_mut(&stream) else { return true };
        if let Some(oldest) = lines.pop_front_if(|kept| kept.number == number) {
            self.bytes -= oldest.line.bytes();
        }
        if lines.is_empty() {
            self.streams.remove(&stream);
        }
        true
    }

    fn is_filtered(&self, stream: &Stream<'_>, place: usize) -> bool {
        let line = &stream.lines[place];
        let below = self.threshold.is_none_or(|threshold| line.level < threshold);
        // A line of a private key is only known as one in its stream's order, so it is not read again.
        below && !line.in_key && line.text().is_none_or(|text| !text.trim().is_empty())
    }
}

fn recalled<'l>(stream: &'l Stream<'_>, place: usize) -> Recalled<'l> {
    let Line { raw, group, level, time, .. } = stream.lines[place];
    let joined = stream.groups.binary_search_by_key(&place, |group| group.first).ok();
    let text = joined.map(|at| Cow::Borrowed(stream.groups[at].text.as_str()));
    Recalled { raw: Cow::Borrowed(raw), group: group.map(Cow::Borrowed), text, level, time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::group::stream_lines::tests::lines;

    /// Lines a second apart from this one on.
    fn stream(id: u128, from: u64, texts: &[&'static str]) -> Stream<'static> {
        let mut stream = Stream::new(StreamId(id), Some(Level::Error), None);
        stream.lines = lines(texts);
        for (line, text) in stream.lines.iter_mut().zip(texts) {
            line.raw = text.as_bytes();
            line.time.secs += from;
        }
        stream
    }

    fn texts(lines: &[Recalled<'_>]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.raw).into_owned()).collect()
    }

    fn recall(most: usize, max_bytes: usize) -> Recall {
        Recall::new(most, max_bytes, Some(Level::Warn))
    }

    #[test]
    fn takes_the_last_lines_before_an_event_once_and_in_order() {
        let mut recall = recall(3, 1 << 20);
        recall.begin();
        recall.remember(&stream(1, 0, &["a", "b", "c", "d"]));
        let next = stream(1, 4, &["e", "ERROR", "f", " ", "ERROR", "g"]);
        recall.begin();
        assert_eq!(texts(&recall.take(&next, 1)), ["c", "d", "e"]);
        assert_eq!(texts(&recall.take(&next, 4)), ["f"]);
        recall.remember(&next);
        recall.begin();
        assert_eq!(
            texts(&recall.take(&stream(1, 0, &["ERROR"]), 0)),
            [""; 0],
            "what is later than the event is not taken"
        );
        assert_eq!((recall.bytes, recall.streams.len()), (0, 0));
    }

    #[test]
    fn drops_the_oldest_line_of_all_streams_beyond_its_bytes() {
        let mut recall = recall(100, 10 * (OVERHEAD + 1));
        for id in 0..1_000 {
            recall.begin();
            recall.remember(&stream(id % 7, 0, &["x", "y"]));
            let kept: usize = recall.streams.values().map(VecDeque::len).sum();
            let bytes: usize = recall.streams.values().flatten().map(|kept| kept.line.bytes()).sum();
            assert!(kept <= 10 && recall.bytes == bytes && recall.order.len() <= 100, "{kept} lines");
        }
        let numbers: Vec<u64> = recall.streams.values().flatten().map(|kept| kept.number).collect();
        assert_eq!(numbers.iter().min(), Some(&1_990));
    }

    #[test]
    fn keeps_nothing_when_it_is_off() {
        let mut recall = recall(0, 1 << 20);
        recall.remember(&stream(1, 0, &["a"]));
        assert!(recall.streams.is_empty() && recall.take(&stream(1, 0, &["b", "ERROR"]), 1).is_empty());
    }
}
