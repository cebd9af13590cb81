//! The lines of a chunk, kept until its end: only then is it known which of them form one stack trace, and which came
//! before an event.

use super::identity::StreamId;
use super::letter::Letter;
use super::trace;
use super::triples::Triples;
use crate::chunk::Timestamp;
use crate::level::Level;

/// Longest line that can be part of a joined trace.
const MAX_LINE: usize = 16 << 10;

/// Most lines looked at for one trace.
const MAX_WINDOW: usize = 2_048;

/// Most empty lines between a line and the trace that it announces; Spring Boot's layout has one.
const MAX_GAP: usize = 2;

/// Lines looked at first.
const SMALL_WINDOW: usize = 128;

/// Most bytes of one chunk's messages that are kept aside: beyond it lines are no breadcrumbs.
const MAX_ASIDE: usize = 4 << 20;

/// One record, as far as events need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Its number in the chunk.
    pub index: u32,
    /// The encoded record, to be read again when it becomes an event.
    pub raw: &'a [u8],
    /// The encoded group marker that it belongs to.
    pub group: Option<&'a [u8]>,
    pub text: Text<'a>,
    pub time: Timestamp,
    pub level: Level,
    pub said: Said,
}

/// How a record says its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Not at all.
    Nowhere,
    /// At the head of its text.
    InText,
    /// In a field.
    InField,
}

/// A line's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// It stands in the chunk as it is, or has been found again.
    Here(&'a str),
    /// It was made while the record was read (colours removed, JSON opened) and is kept aside: where.
    Aside(u32, u32),
    /// It is not worth keeping.
    Gone,
}

/// Messages that do not stand in the chunk as they are, one after the other until the chunk's end.
#[derive(Debug, Default)]
pub(super) struct Aside(String);

impl Aside {
    /// The message as a line has it until the end of its chunk: in the record's own bytes where possible.
    pub(super) fn text<'a>(&mut self, message: &[u8], raw: &'a [u8]) -> Text<'a> {
        if let Some(text) = in_chunk(message, raw) {
            return Text::Here(text);
        }
        if message.len() > MAX_LINE || self.0.len() > MAX_ASIDE {
            return Text::Gone;
        }
        let start = self.0.len() as u32;
        message.utf8_chunks().for_each(|part| {
            self.0.push_str(part.valid());
            self.0.push_str(if part.invalid().is_empty() { "" } else { "\u{fffd}" });
        });
        Text::Aside(start, self.0.len() as u32)
    }

    /// Forgets the messages and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(MAX_ASIDE);
    }
}

/// The message as text, if it stands in the record's own bytes and so outlives its reading.
pub(super) fn in_chunk<'a>(message: &[u8], raw: &'a [u8]) -> Option<&'a str> {
    let start = (message.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    std::str::from_utf8(raw.get(start..start + message.len())?).ok()
}

impl<'a> Line<'a> {
    /// The message, if it was kept.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.text {
            Text::Here(text) => Some(text),
            Text::Aside(..) | Text::Gone => None,
        }
    }
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

impl<'a> Stream<'a> {
    /// The stream with the messages that were kept aside, at the end of the chunk.
    pub(super) fn with<'k>(self, aside: &'k Aside) -> Stream<'k>
    where
        'a: 'k,
    {
        let mut stream: Stream<'k> = self;
        for line in &mut stream.lines {
            if let Text::Aside(start, end) = line.text {
                line.text = aside.0.get(start as usize..end as usize).map_or(Text::Gone, Text::Here);
            }
        }
        stream
    }
}

/// Which lines of a stream belong together.
pub(super) struct Spans<'l, 'a> {
    lines: &'l [Line<'a>],
    join: bool,
    /// The line that was looked at last, and how many lines the trace takes that begins there.
    last: Option<(usize, usize)>,
    /// The first lines' texts, as far as one was looked for.
    texts: Vec<&'a str>,
    /// Those of them that can be no part of a trace.
    barred: Vec<usize>,
}

impl<'l, 'a> Spans<'l, 'a> {
    pub(super) fn new(lines: &'l [Line<'a>], join: bool) -> Self {
        Self { lines, join, last: None, texts: Vec::new(), barred: Vec::new() }
    }

    /// How many lines belong together from the one at `at` on: a trace, perhaps with the line that announced it before
    /// it, else that line alone.
    pub(super) fn at(&mut self, at: usize, announces: impl Fn(&Line<'_>) -> bool) -> usize {
        if !self.join {
            return 1;
        }
        let len = self.extent(at);
        if len > 1 {
            return len;
        }
        // A line that could be an event by itself may announce the trace that follows it, perhaps after an empty line.
        if !announces(&self.lines[at]) {
            return 1;
        }
        let is_empty = |line: &&Line<'_>| line.text().is_some_and(|text| text.trim().is_empty());
        let next = at + 1 + self.lines[at + 1..].iter().take(MAX_GAP).take_while(is_empty).count();
        let following = if next < self.lines.len() { self.extent(next) } else { 0 };
        if following > 1 { next - at + following } else { 1 }
    }

    /// How many lines the trace takes that begins here; 0 or 1 if none does.
    fn extent(&mut self, at: usize) -> usize {
        match self.last {
            Some((place, len)) if place == at => len,
            _ => {
                let len = self.looked_for(at);
                self.last = Some((at, len));
                len
            }
        }
    }

    fn looked_for(&mut self, at: usize) -> usize {
        let second = self.lines.get(at + 1).and_then(Line::text);
        let (Some(first), Some(second)) = (self.lines[at].text(), second) else { return 0 };
        if !may_begin(first, second) {
            return 0;
        }
        // Readers give up soon, so most looks need a small window; only a trace that fills it needs the large one.
        for most in [SMALL_WINDOW, MAX_WINDOW] {
            let window = self.window(at, most);
            let len = trace::extent(window);
            if len < window.len() || window.len() < most {
                return len;
            }
        }
        MAX_WINDOW
    }

    /// The texts from a line on, until one that can be no part of a trace.
    fn window(&mut self, at: usize, most: usize) -> &[&'a str] {
        for line in self.lines.iter().take(at + most).skip(self.texts.len()) {
            let text = line.text().filter(|text| text.len() <= MAX_LINE);
            if text.is_none() {
                self.barred.push(self.texts.len());
            }
            self.texts.push(text.unwrap_or_default());
        }
        let next = self.barred.partition_point(|barred| *barred < at);
        let end = self.barred.get(next).copied().unwrap_or(usize::MAX);
        &self.texts[at..end.min(at + most).min(self.texts.len())]
    }
}

/// What a line holds that begins a trace.
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

/// A quick look that refuses nearly all lines: a trace either says so at its head or goes on indented.
fn may_begin(first: &str, second: &str) -> bool {
    const NEXT: [&str; 6] = ["at ", "#0 ", "from ", "Stack trace:", "stack backtrace:", "Caused by"];
    let second_trimmed = second.trim_start();
    second_trimmed.len() < second.len()
        || NEXT.iter().any(|next| second_trimmed.starts_with(next))
        || IN_HEADS.places(first.as_bytes(), 0, |block| IN_HEADS.pairs(block)).next().is_some()
            && HEADS.iter().any(|head| first.contains(head))
}

/// Three bytes that stand in each of the heads and in few other lines.
static IN_HEADS: Triples = Triples::new(
    &[
        // Traceback
        [b"c", b"e", b"b"],
        // panic:, Error:
        [b"io", b"cr", b":"],
        // fatal error:
        [b"l", b" ", b"e"],
        // thread '
        [b"d", b" ", b"'"],
        // goroutine
        [b"o", b"r", b"o"],
        [b"P", b"H", b"P"],
        // exception, Uncaught
        [b"xc", b"ca", b"eu"],
        // [signal
        [b"[", b"s", b"i"],
    ],
    true,
);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn lines(texts: &[&'static str]) -> Vec<Line<'static>> {
        let line = |(n, text): (usize, &&'static str)| Line {
            index: n as u32,
            raw: b"",
            group: None,
            text: Text::Here(text),
            time: Timestamp { secs: n as u64 + 1, nanos: 0 },
            level: if text.starts_with("ERROR") { Level::Error } else { Level::Info },
            said: if text.starts_with("ERROR") { Said::InText } else { Said::Nowhere },
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn spans(texts: &[&'static str]) -> Vec<usize> {
        let lines = lines(texts);
        let (mut at, mut found, mut spans) = (0, Vec::new(), Spans::new(&lines, true));
        while at < lines.len() {
            let len = spans.at(at, |line| line.level >= Level::Error);
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
    fn every_head_has_its_three_bytes() {
        for head in HEADS {
            assert!(IN_HEADS.places(head.as_bytes(), 0, |block| IN_HEADS.pairs(block)).next().is_some(), "{head}");
        }
    }

    #[test]
    fn an_empty_line_may_stand_between_a_trace_and_what_announces_it() {
        let trace = ["java.io.IOException: reset", "\tat com.shop.Net.read(Net.java:7)"];
        assert_eq!(spans(&["ERROR failed", "", trace[0], trace[1]]), [4]);
        assert_eq!(spans(&["ERROR failed", "", "", "", trace[0], trace[1]]), [1, 1, 1, 1, 2]);
        assert_eq!(spans(&["ERROR failed", "", "on"]), [1, 1, 1]);
        assert_eq!(spans(&["ERROR failed", ""]), [1, 1]);
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
    fn a_message_that_does_not_stand_in_the_chunk_is_kept_until_its_end() {
        let raw = b"..hello..".to_vec();
        let mut aside = Aside::default();
        let texts =
            [aside.text(&raw[2..7], &raw), aside.text(b"made \xff", &raw), aside.text(&[b'x'; MAX_LINE + 1], &raw)];
        assert_eq!((texts[0], texts[2]), (Text::Here("hello"), Text::Gone));
        let mut lines = lines(&["a", "b", "c"]);
        lines.iter_mut().zip(texts).for_each(|(line, text)| line.text = text);
        let stream = Stream { id: StreamId(1), threshold: None, letter: None, lines }.with(&aside);
        let found: Vec<_> = stream.lines.iter().map(Line::text).collect();
        assert_eq!(found, [Some("hello"), Some("made \u{fffd}"), None]);
    }
}
