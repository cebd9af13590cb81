//! Holds logs back until the mapper knows whether their lines are one log call. Each log waits for the next line of its
//! stream; the logs of a possible group wait for the end of the group.

use super::stream_lines::{SideBuffer, Stream};
use super::trace_groups::{MAX_WINDOW, may_be_joined, may_begin, may_continue, usable};
use crate::mapping::sink::{Bill, Discard};

/// Most bytes of JSON of one run: a larger one is no trace that anybody reads.
const MAX_RUN: usize = 1 << 20;

/// Most bytes of JSON of all runs of a chunk together.
const MAX_RUNS: usize = 4 << 20;

/// The fate of a line's log if the line is part of no group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Fate {
    /// Nothing: it has ended, or there is none.
    #[default]
    Settled,
    /// It is sent.
    Send(Bill),
    /// It ends without an item.
    End(Discard),
}

/// A log that waits for its stream's next line.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldLog {
    /// The record's number.
    pub index: u32,
    pub fate: Fate,
    /// Its JSON, if it is to be sent.
    pub json: Vec<u8>,
}

impl HeldLog {
    /// Takes it out and keeps the memory.
    pub(crate) fn settle(&mut self) {
        self.fate = Fate::Settled;
        self.json.clear();
    }
}

/// Lines that may be a group, and their logs.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Place of the first line in its stream.
    pub first: usize,
    logs: Vec<(u32, Fate, usize)>,
    json: Vec<u8>,
}

impl Run {
    fn push(&mut self, log: &HeldLog) -> usize {
        self.json.extend_from_slice(&log.json);
        self.logs.push((log.index, log.fate, self.json.len()));
        log.json.len()
    }

    /// The logs of the lines from a place of the run to before another.
    pub(crate) fn logs(&self, from: usize, to: usize) -> impl Iterator<Item = (u32, Fate, &[u8])> {
        let start = |place: usize| place.checked_sub(1).map_or(0, |before| self.logs[before].2);
        (from..to).map(move |place| {
            let (index, fate, end) = self.logs[place];
            (index, fate, &self.json[start(place)..end])
        })
    }

    /// Gives its last lines, which are all that stay, these numbers.
    pub(crate) fn renumber(&mut self, numbers: &[u32]) {
        let from = self.logs.len() - numbers.len().min(self.logs.len());
        let start = from.checked_sub(1).map_or(0, |before| self.logs[before].2);
        self.json.drain(..start);
        self.logs.drain(..from);
        for ((index, _, end), number) in self.logs.iter_mut().zip(numbers) {
            (*index, *end) = (*number, *end - start);
        }
        self.first = 0;
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.json.len()
    }
}

/// The effect of a new line on the lines of its stream before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The line before it is no part of a group.
    Next,
    /// It is kept with lines that may be a group.
    Kept,
    /// A run of lines ends before it.
    Ends,
}

impl Stream<'_> {
    /// Judges the line that came last, whose log this is. `bytes` are those of all runs of the chunk.
    pub(crate) fn step(&mut self, log: &HeldLog, aside: &SideBuffer, bytes: &mut usize) -> Step {
        let [.., before, line] = &mut self.lines[..] else { return Step::Next };
        let (Some(above), Some(text)) = (before.text_in(aside), line.text_in(aside)) else {
            return if self.run.is_some() { Step::Ends } else { Step::Next };
        };
        if let Some(run) = &mut self.run {
            line.judge(text);
            let has_room = run.logs.len() < MAX_WINDOW && run.json.len() < MAX_RUN && *bytes < MAX_RUNS;
            if has_room && usable(text).is_some() && may_continue(before, line, [above, text]) {
                *bytes += run.push(log);
                return Step::Kept;
            }
            return Step::Ends;
        }
        if !may_be_joined(before, line, text) {
            return Step::Next;
        }
        before.judge(above);
        line.judge(text);
        if !may_begin(before, line, [above, text]) || usable(above).is_none() || usable(text).is_none() {
            return Step::Next;
        }
        let mut run = Run { first: self.lines.len() - 2, logs: Vec::new(), json: Vec::new() };
        *bytes += run.push(&self.held) + run.push(log);
        self.held.settle();
        self.run = Some(run);
        Step::Kept
    }
}
