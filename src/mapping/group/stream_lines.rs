//! Keeps the lines of a chunk until its end. Only then does the mapper know which lines form one stack trace and which lines
//! came before an event.

use super::runs::{HeldLog, Run};
use super::trace_groups::{self, MAX_LINE};
use crate::chunk::Timestamp;
use crate::level::Level;
use crate::mapping::letter::Letter;
use crate::mapping::resolve::identity::StreamId;

/// Most bytes of one chunk's messages that are kept aside: beyond it lines are no breadcrumbs.
const MAX_ASIDE: usize = 4 << 20;

/// One record, as far as events need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Its number in the chunk.
    pub index: u32,
    /// The encoded record, to be read again when it becomes an event.
    pub raw: &'a [u8],
    /// The encoded group marker that it belongs to.
    pub group: Option<&'a [u8]>,
    pub text: Text<'a>,
    pub time: Timestamp,
    pub level: Level,
    pub said: LevelSource,
    /// True if it contains a word that begins a trace. Most lines never have to know: [`Line::judge`] finds out.
    pub heads: Option<bool>,
    /// True if it is the text of a record as it was, and not a part of a structured message.
    pub is_plain: bool,
    /// Number of the log among those of the same microsecond.
    pub sequence: u32,
    /// Of a line that has waited for this chunk: which-th of the equal records of its stream it was in its own one.
    pub ordinal: Option<u32>,
    /// True if a part of a private key was taken out of the text: the record's own has it still.
    pub in_key: bool,
}

/// Place in a record that states its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LevelSource {
    /// Not at all.
    Nowhere,
    /// At the head of its text.
    InText,
    /// In a field.
    InField,
}

/// A line's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// It stands in the chunk as it is, or has been found again.
    Here(&'a str),
    /// It was made while the record was read (colours removed, JSON opened) and is kept aside: where.
    SideBuffer(u32, u32),
    /// It is not worth keeping.
    Gone,
}

impl Text<'_> {
    /// Returns true if there is no text.
    pub(crate) fn is_gone(self) -> bool {
        self == Self::Gone
    }
}

/// Messages that do not stand in the chunk as they are, one after the other until the chunk's end.
#[derive(Debug, Default)]
pub(crate) struct SideBuffer(String);

impl SideBuffer {
    /// The message as a line has it until the end of its chunk: in the record's own bytes where possible.
    pub(crate) fn text<'a>(&mut self, message: &[u8], raw: &'a [u8]) -> Text<'a> {
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
        Text::SideBuffer(start, self.0.len() as u32)
    }

    /// Forgets the messages and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(MAX_ASIDE);
    }
}

/// The message as text, if it stands in the record's own bytes and so outlives its reading.
pub(crate) fn in_chunk<'a>(message: &[u8], raw: &'a [u8]) -> Option<&'a str> {
    let start = (message.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    std::str::from_utf8(raw.get(start..start + message.len())?).ok()
}

impl<'a> Line<'a> {
    /// Looks for a word that begins a trace in the line, of which this is the text.
    pub(crate) fn judge(&mut self, text: &str) {
        self.heads = self.heads.or_else(|| Some(self.is_plain && trace_groups::heads(text.as_bytes())));
    }

    /// Returns true if it is known to contain a word that begins a trace.
    pub(crate) fn heads(&self) -> bool {
        debug_assert!(self.heads.is_some(), "line {} was not judged", self.index);
        self.heads == Some(true)
    }

    /// The message, if it was kept.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.text {
            Text::Here(text) => Some(text),
            Text::SideBuffer(..) | Text::Gone => None,
        }
    }

    /// The same while its chunk is read.
    pub(crate) fn text_in<'k>(&self, aside: &'k SideBuffer) -> Option<&'k str>
    where
        'a: 'k,
    {
        match self.text {
            Text::Here(text) => Some(text),
            Text::SideBuffer(start, end) => aside.0.get(start as usize..end as usize),
            Text::Gone => None,
        }
    }
}

/// The lines of one stream, in order.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub id: StreamId,
    /// Lowest level that becomes an event here.
    pub threshold: Option<Level>,
    /// These lines are one item, a dead letter that comes back.
    pub letter: Option<Letter>,
    pub lines: Vec<Line<'a>>,
    /// The log of the last line.
    pub held: HeldLog,
    /// The last lines, if they may be a group.
    pub run: Option<Run>,
    /// The groups found so far, in order.
    pub groups: Vec<Joined>,
    /// Its first lines are of an earlier chunk.
    pub has_waited: bool,
}

/// Lines that are one log call and so one event, one log and one breadcrumb.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The place of its first line.
    pub first: usize,
    /// The numbers of its other lines' records.
    pub members: Vec<u32>,
    pub level: Level,
    /// Its text as its event shows it.
    pub text: String,
}

impl<'a> Stream<'a> {
    /// A stream without lines.
    pub(crate) fn new(id: StreamId, threshold: Option<Level>, letter: Option<Letter>) -> Self {
        Self {
            id,
            threshold,
            letter,
            lines: Vec::new(),
            held: HeldLog::default(),
            run: None,
            groups: Vec::new(),
            has_waited: false,
        }
    }

    /// The stream with the messages that were kept aside, at the end of the chunk.
    pub(crate) fn with<'k>(self, aside: &'k SideBuffer) -> Stream<'k>
    where
        'a: 'k,
    {
        let mut stream: Stream<'k> = self;
        for line in &mut stream.lines {
            if let Text::SideBuffer(start, end) = line.text {
                line.text = aside.0.get(start as usize..end as usize).map_or(Text::Gone, Text::Here);
            }
        }
        stream
    }

    /// Keeps one line of each group, its first with the group's level, and moves the groups to their places among the
    /// remaining lines.
    pub(crate) fn leave_heads(&mut self) {
        let mut to = 0;
        let mut from = 0;
        for group in &mut self.groups {
            self.lines.copy_within(from..=group.first, to);
            to += group.first - from;
            from = group.first + 1 + group.members.len();
            group.first = to;
            self.lines[to].level = group.level;
            to += 1;
        }
        if from > to {
            self.lines.copy_within(from.., to);
            let end = self.lines.len() - (from - to);
            self.lines.truncate(end);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn lines(texts: &[&'static str]) -> Vec<Line<'static>> {
        let line = |(n, text): (usize, &&'static str)| Line {
            index: n as u32,
            raw: b"",
            group: None,
            text: Text::Here(text),
            time: Timestamp { secs: n as u64 + 1, nanos: 0 },
            level: if text.starts_with("ERROR") { Level::Error } else { Level::Info },
            said: if text.starts_with("ERROR") { LevelSource::InText } else { LevelSource::Nowhere },
            heads: Some(trace_groups::heads(text.as_bytes())),
            is_plain: true,
            sequence: 0,
            ordinal: None,
            in_key: false,
        };
        texts.iter().enumerate().map(line).collect()
    }

    #[test]
    fn a_message_that_does_not_stand_in_the_chunk_is_kept_until_its_end() {
        let raw = b"..hello..".to_vec();
        let mut aside = SideBuffer::default();
        let texts =
            [aside.text(&raw[2..7], &raw), aside.text(b"made \xff", &raw), aside.text(&[b'x'; MAX_LINE + 1], &raw)];
        assert_eq!((texts[0], texts[2]), (Text::Here("hello"), Text::Gone));
        let mut lines = lines(&["a", "b", "c"]);
        lines.iter_mut().zip(texts).for_each(|(line, text)| line.text = text);
        let stream = Stream { lines, ..Stream::new(StreamId(1), None, None) }.with(&aside);
        let found: Vec<_> = stream.lines.iter().map(Line::text).collect();
        assert_eq!(found, [Some("hello"), Some("made \u{fffd}"), None]);
    }
}
