//! The lines of a chunk, kept until its end: only then is it known which of them form one stack trace, and which came
//! before an event.

use super::identity::StreamId;
use super::letter::Letter;
use super::trace;
use crate::chunk::Timestamp;
use crate::level::Level;
use std::collections::{HashMap, VecDeque};

/// Longest line that can be part of a joined trace.
const MAX_LINE: usize = 16 << 10;

/// Most lines looked at for one trace.
const MAX_WINDOW: usize = 2_048;

/// Lines looked at first.
const SMALL_WINDOW: usize = 128;

/// Bytes of one line kept as a breadcrumb.
const MAX_CRUMB: usize = 500;

/// Streams whose last lines are remembered across chunks.
const MAX_STREAMS: usize = 512;

/// One record, as far as events need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Its number in the chunk.
    pub index: u32,
    /// The encoded record, to be read again when it becomes an event.
    pub raw: &'a [u8],
    /// The encoded group marker that it belongs to.
    pub group: Option<&'a [u8]>,
    /// The message, if it stands in the chunk as it is.
    pub text: Option<&'a str>,
    pub time: Timestamp,
    pub level: Level,
    /// Whether the record says its level itself.
    pub explicit: bool,
}

/// The lines of one stream, in order.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    pub id: StreamId,
    /// Lowest level that becomes an event here.
    pub threshold: Option<Level>,
    /// These lines are one event, a dead letter that comes back.
    pub letter: Option<Letter>,
    pub lines: Vec<Line<'a>>,
}

/// How many lines belong together from the one at `at` on: a trace, perhaps with the line that announced it before it,
/// else that line alone.
pub(super) fn span(lines: &[Line<'_>], at: usize, join: bool, announces: impl Fn(&Line<'_>) -> bool) -> usize {
    if !join {
        return 1;
    }
    let len = extent(lines, at);
    if len > 1 {
        return len;
    }
    // A line that could be an event by itself may announce the trace that follows it.
    let following = if announces(&lines[at]) && at + 1 < lines.len() { extent(lines, at + 1) } else { 0 };
    if following > 1 { following + 1 } else { 1 }
}

/// How many lines the trace takes that begins here; 0 or 1 if none does.
fn extent(lines: &[Line<'_>], at: usize) -> usize {
    let (Some(first), Some(second)) = (lines[at].text, lines.get(at + 1).and_then(|line| line.text)) else { return 0 };
    if !may_begin(first, second) {
        return 0;
    }
    // Readers give up soon, so most looks need a small window; only a trace that fills it needs the large one.
    for most in [SMALL_WINDOW, MAX_WINDOW] {
        let window: Vec<&str> =
            lines[at..].iter().take(most).map_while(|line| line.text.filter(|text| text.len() <= MAX_LINE)).collect();
        let len = trace::extent(&window);
        if len < window.len() || window.len() < most {
            return len;
        }
    }
    MAX_WINDOW
}

/// A quick look that refuses nearly all lines: a trace either says so at its head or goes on indented.
fn may_begin(first: &str, second: &str) -> bool {
    const HEADS: [&str; 12] = [
        "Traceback",
        "panic:",
        "fatal error:",
        "thread '",
        "goroutine ",
        "PHP ",
        "Fatal error",
        "Unhandled exception",
        "Error:",
        "Uncaught",
        "Exception",
        "[signal",
    ];
    const NEXT: [&str; 6] = ["at ", "#0 ", "from ", "Stack trace:", "stack backtrace:", "Caused by"];
    let second_trimmed = second.trim_start();
    second_trimmed.len() < second.len()
        || NEXT.iter().any(|next| second_trimmed.starts_with(next))
        || HEADS.iter().any(|head| first.contains(head))
}

/// The last lines of each stream, across chunks.
#[derive(Debug)]
pub(super) struct Crumbs {
    most: usize,
    streams: HashMap<StreamId, Ring>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Crumb>,
    used: u64,
}

/// A line as a breadcrumb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crumb {
    pub time: Timestamp,
    pub level: Level,
    pub text: String,
}

impl Crumb {
    fn of(line: &Line<'_>) -> Option<Self> {
        let text = line.text?.trim();
        let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_CRUMB).last()?;
        let text = if end < text.len() { format!("{}...", &text[..end]) } else { text.to_owned() };
        Some(Self { time: line.time, level: line.level, text })
    }
}

impl Crumbs {
    pub(super) fn new(most: usize) -> Self {
        Self { most, streams: HashMap::new(), turn: 0 }
    }

    /// The lines before the one at `at`, oldest first: those of this chunk, and before them those of earlier ones.
    pub(super) fn before(&self, stream: StreamId, lines: &[Line<'_>], at: usize) -> Vec<Crumb> {
        let from = at.saturating_sub(self.most);
        let mut here: Vec<Crumb> = lines[from..at].iter().filter_map(Crumb::of).collect();
        let missing = self.most - here.len().min(self.most);
        let earlier = self.streams.get(&stream).map(|ring| &ring.lines);
        let start = lines.first().map_or(Timestamp::default(), |line| line.time);
        // A chunk that is read again must not find its own lines before itself.
        let earlier = earlier.into_iter().flatten().filter(|crumb| crumb.time < start);
        let earlier: Vec<Crumb> = earlier.cloned().collect();
        let mut all = earlier[earlier.len() - missing.min(earlier.len())..].to_vec();
        all.append(&mut here);
        all
    }

    /// Remembers the last lines of a stream.
    pub(super) fn remember(&mut self, stream: StreamId, lines: &[Line<'_>]) {
        if self.most == 0 {
            return;
        }
        self.turn += 1;
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&stream) {
            self.forget_half();
        }
        let ring = self.streams.entry(stream).or_default();
        ring.used = self.turn;
        let newest = ring.lines.back().map(|crumb| crumb.time);
        for line in &lines[lines.len() - lines.len().min(self.most)..] {
            if newest.is_none_or(|newest| line.time > newest) {
                ring.lines.extend(Crumb::of(line));
            }
        }
        while ring.lines.len() > self.most {
            ring.lines.pop_front();
        }
    }

    fn forget_half(&mut self) {
        let mut uses: Vec<u64> = self.streams.values().map(|ring| ring.used).collect();
        uses.sort_unstable();
        let middle = uses[uses.len() / 2];
        self.streams.retain(|_, ring| ring.used > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&'static str]) -> Vec<Line<'static>> {
        let line = |(n, text): (usize, &&'static str)| Line {
            index: n as u32,
            raw: b"",
            group: None,
            text: Some(text),
            time: Timestamp { secs: n as u64 + 1, nanos: 0 },
            level: if text.starts_with("ERROR") { Level::Error } else { Level::Info },
            explicit: text.starts_with("ERROR"),
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn spans(texts: &[&'static str]) -> Vec<usize> {
        let lines = lines(texts);
        let (mut at, mut found) = (0, Vec::new());
        while at < lines.len() {
            let len = span(&lines, at, true, |line| line.level >= Level::Error);
            found.push(len);
            at += len;
        }
        found
    }

    #[test]
    fn a_trace_is_joined_with_the_line_that_announces_it_and_nothing_else() {
        let texts = [
            "request 1",
            "ERROR order failed",
            "java.lang.IllegalStateException: declined",
            "\tat com.shop.Pay.run(Pay.java:10)",
            "\tat com.shop.Main.main(Main.java:3)",
            "Caused by: java.io.IOException: reset",
            "\tat com.shop.Net.read(Net.java:7)",
            "\t... 1 more",
            "request 2",
            "ERROR plain",
            "request 3",
        ];
        assert_eq!(spans(&texts), [1, 7, 1, 1, 1]);
    }

    #[test]
    fn a_python_trace_begins_by_itself() {
        let texts = [
            "start",
            "Traceback (most recent call last):",
            "  File \"/app/x.py\", line 3, in f",
            "    g()",
            "ValueError: no",
            "on",
        ];
        assert_eq!(spans(&texts), [1, 4, 1]);
    }

    #[test]
    fn breadcrumbs_reach_across_chunks_and_survive_a_second_reading() {
        let mut crumbs = Crumbs::new(3);
        let stream = StreamId(1);
        let all = lines(&["a", "b", "c", "d", "ERROR e"]);
        let texts = |crumbs: &Crumbs, lines: &[Line<'_>], at| {
            crumbs.before(stream, lines, at).into_iter().map(|crumb| crumb.text).collect::<Vec<_>>()
        };
        crumbs.remember(stream, &all[..3]);
        assert_eq!(texts(&crumbs, &all[3..], 1), ["b", "c", "d"]);
        crumbs.remember(stream, &all[3..]);
        crumbs.remember(stream, &all[3..]);
        assert_eq!(texts(&crumbs, &all[3..], 1), ["c", "d"], "its own lines are not before itself");
    }

    #[test]
    fn streams_are_forgotten_oldest_first() {
        let mut crumbs = Crumbs::new(1);
        let line = lines(&["x"]);
        (0..10_000).for_each(|n| crumbs.remember(StreamId(n), &line));
        assert!(crumbs.streams.len() <= MAX_STREAMS);
        assert!(crumbs.streams.contains_key(&StreamId(9_999)));
    }
}
