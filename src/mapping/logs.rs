//! Writes the log of each record, and decides which lines are one log.

use super::encode::log;
use super::extract::field_extractor::Buffers;
use super::extract::fields::Fields;
use super::group::runs::{Fate, HeldLog, Step};
use super::group::stream_lines::{Joined, LevelSource, Line, Stream, Text};
use super::group::trace_cache::DetectedTrace;
use super::group::trace_groups;
use super::group::trace_groups::{Grouping, usable};
use super::letter::Letter;
use super::resolve::resolved_record::{Inputs, Known, ResolvedRecord, view};
use super::{
    ChunkState, Discard, Finished, Item, ItemWriter, Logs, Mapper, Origin, Reason, Route, Sink, bill_of, discard_both,
    incident, is_sampled, read_again, route_of, trace,
};
use crate::chunk::Record;
use crate::ledger::Category;
use crate::level::Level;
use memchr::{memchr, memchr_iter, memmem};
use std::borrow::Cow;

impl Mapper {
    /// The record's log, and its line for the events of its stream.
    pub(super) fn log<'a>(
        &mut self,
        origin: Origin<'_>,
        record: Record<'a>,
        group: Option<Record<'a>>,
        index: u32,
        progress: &mut ChunkState<'a>,
        sink: &mut impl Sink,
    ) {
        let mut buffers = self.memory.buffers.take().unwrap_or_default();
        buffers.clear();
        let mut fields: Fields<'_> = std::mem::take(&mut self.memory.fields);
        let message = self.reader.read(record, group, &mut fields, &mut buffers);
        let place = self.pod(&fields, progress.container.as_ref());
        if place.is_none()
            && incident::is_possible(&fields, &self.settings.incidents.kernel_tags, origin.tag)
            && self.incident(origin, (record, group, index), (&fields, &message.1), sink)
        {
            self.memory.fields = fields.recycle();
            self.memory.buffers = Some(buffers);
            return;
        }
        let pod = place.map(|place| self.pods.at(place));
        let mut shown = DetectedTrace::new(record.raw);
        let given = Inputs { message, pod, level: None, shown: &mut shown };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let mut view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let in_key = self.scrub.secrets.then(|| self.keys.line(view.stream, record.time, &view.message)).flatten();
        let is_in_key = in_key.is_some();
        if let Some(cleaned) = in_key {
            view.message = Cow::Owned(cleaned);
        }
        let letter = Letter::of(group);
        sink.found(index, &view.keys);
        let mut place = None;
        if is_our_own(&view.message, &self.settings.output) {
            let routed = route_of(origin, view.pod, letter);
            let route = routed.map_or(Route::Unrouted, |routed| routed.route);
            discard_both(sink, index, Discard::suppressed(Reason::OwnHost, route));
        } else if let Some(routed) = route_of(origin, view.pod, letter) {
            let threshold = view.pod.map_or(self.settings.event_level, |pod| pod.threshold(self.settings.event_level));
            let log = &mut progress.log;
            log.settle();
            log.index = index;
            let sequence = match letter {
                None => self.write_log(&view, routed.route, (&mut progress.logs, log), sink),
                Some(letter) => {
                    let other = if letter.category == Category::Log { Category::Event } else { Category::Log };
                    sink.discard(Item { category: other, record: index }, Discard::filtered(Reason::OtherItem));
                    0
                }
            };
            if letter.is_none() && threshold.is_none() {
                let reason = Reason::Below { level: view.level, threshold };
                sink.discard(Item::event(index), Discard::filtered(reason));
            }
            if letter.is_some() || threshold.is_some() || self.settings.join_traces {
                let text = progress.aside.text(&view.message, record.raw);
                let (level, said) = (view.level, view.said);
                let group = group.map(|group| group.raw);
                let time = record.time;
                // A text that is neither the record's own nor coloured stood in JSON.
                let is_plain = matches!(text, Text::Here(_)) || memchr(0x1b, record.raw).is_some();
                let mut line = Line {
                    index,
                    raw: record.raw,
                    group,
                    text,
                    time,
                    level,
                    said,
                    heads: None,
                    is_plain,
                    sequence,
                    ordinal: None,
                    in_key: is_in_key,
                };
                if letter.is_some() {
                    let text = line.text_in(&progress.aside).filter(|_| self.settings.join_traces);
                    line.judge(text.unwrap_or_default());
                }
                progress.traces.keep(index, shown);
                place = Some(progress.add(view.stream, threshold, letter, line));
            }
        } else {
            discard_both(sink, index, Discard::filtered(Reason::NoDestination));
        }
        self.memory.fields = fields.recycle();
        self.memory.buffers = Some(buffers);
        match place {
            Some(place) if letter.is_none() => self.advance(origin, place, progress, sink),
            _ => {
                let log = std::mem::take(&mut progress.log);
                self.send((log.index, log.fate, &log.json), sink);
                progress.log = log;
                progress.log.settle();
            }
        }
    }

    /// Writes the record's log, or says why there is none; returns which-th log of its microsecond it is.
    pub(super) fn write_log(
        &self,
        view: &ResolvedRecord<'_, '_>,
        route: Route,
        (logs, log): (&mut Logs, &mut HeldLog),
        sink: &mut impl Sink,
    ) -> u32 {
        let threshold = self.settings.logs_level;
        if threshold.is_none_or(|threshold| view.level < threshold) {
            let reason = Reason::Below { level: view.level, threshold };
            log.fate = Fate::End(Discard::filtered(reason));
            return 0;
        }
        if view.message.trim_ascii().is_empty() && view.fields.rest().next().is_none() {
            log.fate = Fate::End(Discard::filtered(Reason::Empty));
            return 0;
        }
        let sequence = logs.sequence(view.time);
        if !is_sampled(self.settings.logs_sample_rate, view, log.index) {
            log.fate = Fate::End(Discard::sampled(route));
        } else if !sink.is_settled(Item::log(log.index)) {
            let mut bill = bill_of(view, route, sink);
            if sink.affords(log.index, &bill) {
                bill.bytes = self.write_billed(&mut log.json, view, sequence, &mut logs.used);
                log.fate = Fate::Send(bill);
            } else {
                log.fate = Fate::End(Discard::over_budget(route));
            }
        }
        sequence
    }

    /// Writes a log without its secrets, and returns the bytes that Sentry bills for it.
    pub(super) fn write_billed(
        &self,
        out: &mut Vec<u8>,
        view: &ResolvedRecord<'_, '_>,
        sequence: u32,
        used: &mut log::Used,
    ) -> u64 {
        let start = out.len();
        let known = log::write(out, view, (&self.constant, &self.settings.log_attributes, &self.scrub), sequence, used);
        let longer = if known.needed { self.scrub.clean_found(out, start, &known.parts) } else { 0 };
        (known.billed as u64).saturating_add_signed(longer).max(1)
    }

    /// Judges the line that came last to its stream: the log before it is sent unless both may be lines of one log.
    pub(super) fn advance(
        &mut self,
        origin: Origin<'_>,
        place: usize,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &mut progress.streams[place];
        let step = match self.settings.join_traces {
            true => stream.step(&progress.log, &progress.aside, &mut progress.run_bytes),
            false => Step::Next,
        };
        match step {
            Step::Kept => return progress.log.settle(),
            Step::Ends => {
                let before = stream.lines.len() - 1;
                self.end_of_run(origin, (place, before), progress, sink);
            }
            Step::Next => self.send((stream.held.index, stream.held.fate, &stream.held.json), sink),
        }
        let held = &mut progress.streams[place].held;
        std::mem::swap(held, &mut progress.log);
        progress.log.settle();
    }

    /// Sends a log that was written, or ends it.
    pub(super) fn send(&mut self, (index, fate, json): (u32, Fate, &[u8]), sink: &mut impl Sink) {
        match fate {
            Fate::Settled => {}
            Fate::Send(bill) => {
                self.works_on([index]);
                if let Some(mut writer) = sink.begin(Item::log(index), bill.route) {
                    writer.json().extend_from_slice(json);
                    writer.finish(Finished::Log(bill));
                }
            }
            Fate::End(discard) => sink.discard(Item::log(index), discard),
        }
    }

    /// Decides about a run of lines that ends before the line at `end`: each group in it is one log, the other lines are a
    /// log each.
    pub(super) fn end_of_run(
        &mut self,
        origin: Origin<'_>,
        (place, end): (usize, usize),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let Some(run) = progress.streams[place].run.take() else { return };
        progress.run_bytes -= run.bytes();
        let stream = &progress.streams[place];
        let lines = &stream.lines[run.first..end];
        self.works_on(lines.iter().map(|line| line.index));
        let texts = lines.iter().map(|line| line.text_in(&progress.aside).and_then(usable).unwrap_or_default());
        let texts: Vec<&str> = texts.collect();
        let groups = Grouping::new(lines, &texts).all();
        let with_text = |group: &trace_groups::Group| {
            let members = lines[group.first + 1..group.first + group.len].iter().map(|line| line.index).collect();
            let joined =
                Joined { first: run.first + group.first, members, level: group.level(lines), text: group.text(&texts) };
            (joined, texts[group.first..group.first + group.len].join("\n"))
        };
        let groups: Vec<(Joined, String)> = groups.iter().map(with_text).collect();
        let mut at = 0;
        for (group, body) in &groups {
            let first = group.first - run.first;
            run.logs(at, first).for_each(|log| self.send(log, sink));
            self.joined_log(origin, (place, group, body), progress, sink);
            at = first + 1 + group.members.len();
        }
        run.logs(at, end - run.first).for_each(|log| self.send(log, sink));
        progress.streams[place].groups.extend(groups.into_iter().map(|(group, _)| group));
    }

    /// The one log of a group: the record of its first line with the text of all of them.
    pub(super) fn joined_log(
        &mut self,
        origin: Origin<'_>,
        (place, group, body): (usize, &Joined, &str),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let stream = &progress.streams[place];
        let (letter, line) = (stream.letter, stream.lines[group.first]);
        self.works_on(std::iter::once(line.index).chain(group.members.iter().copied()));
        let threshold = self.settings.logs_level;
        if letter.is_none() && threshold.is_none_or(|threshold| group.level < threshold) {
            for index in std::iter::once(&line.index).chain(&group.members) {
                let reason = Reason::Below { level: group.level, threshold };
                sink.discard(Item::log(*index), Discard::filtered(reason));
            }
            return;
        }
        self.joined_head(origin, (line, letter), (group.level, body), progress, sink);
        for member in &group.members {
            sink.join(Item::log(*member), line.index);
        }
    }

    pub(super) fn joined_head(
        &mut self,
        origin: Origin<'_>,
        (line, letter): (Line<'_>, Option<Letter>),
        (level, body): (Level, &str),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let Some((record, marker)) = read_again(&line) else { return };
        let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
        let (key, _) = self.reader.read(record, marker, &mut fields, &mut buffers);
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let Some(routed) = route_of(origin, pod, letter) else {
            return sink.discard(Item::log(line.index), Discard::filtered(Reason::NoDestination));
        };
        let mut unasked = DetectedTrace::new(&[]);
        let message = (key, Cow::Borrowed(body.as_bytes()));
        let given = Inputs { message, pod, level: Some(level), shown: &mut unasked };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        if letter.is_none() && !is_sampled(self.settings.logs_sample_rate, &view, line.index) {
            return sink.discard(Item::log(line.index), Discard::sampled(routed.route));
        }
        let mut bill = bill_of(&view, routed.route, sink);
        if let Some(mut writer) = sink.begin(Item::log(line.index), routed.route) {
            bill.bytes = self.write_billed(writer.json(), &view, line.sequence, &mut progress.logs.used);
            writer.finish(Finished::Log(bill));
        }
    }

    /// Maps a dead letter: its lines are one group, whatever they look like.
    pub(super) fn letter(
        &mut self,
        origin: Origin<'_>,
        stream: &mut Stream<'_>,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let texts: Vec<&str> = stream.lines.iter().map(|line| line.text().unwrap_or_default()).collect();
        let found = Grouping::new(&stream.lines, &texts).all().into_iter().next();
        let whole = found.filter(|group| group.first == 0 && group.len == stream.lines.len());
        let head = stream.lines[0];
        let (level, text) = whole.map_or_else(
            || {
                let text = texts.join("\n");
                let trace = trace::parse(&text).map(|trace| if trace.fatal { Level::Fatal } else { Level::Error });
                (trace.filter(|_| head.said == LevelSource::Nowhere).unwrap_or(head.level), text)
            },
            |group| (group.level(&stream.lines), group.text(&texts)),
        );
        let body = texts.join("\n");
        let members: Vec<u32> = stream.lines[1..].iter().map(|line| line.index).collect();
        if stream.letter.is_some_and(|letter| letter.category == Category::Log) {
            let level = if members.is_empty() { head.level } else { level };
            self.works_on(stream.lines.iter().map(|line| line.index));
            self.joined_head(origin, (head, stream.letter), (level, &body), progress, sink);
            for member in &members {
                sink.join(Item::log(*member), head.index);
            }
        } else if !members.is_empty() {
            stream.groups.push(Joined { first: 0, members, level, text });
        }
    }
}

/// Lines of our own host about this output: sending them would make more of them. Either the output speaks itself, or the
/// engine says where a chunk did not go (`flb_engine.c`: `... input=tail.0 > output=sentry.0 (out_id=0)`).
pub(super) fn is_our_own(message: &[u8], output: &str) -> bool {
    if message.first() != Some(&b'[') {
        return false;
    }
    let head = |most: usize| &message[..message.len().min(most)];
    let of_ours = |at: usize| head(80)[at..].starts_with(b"[output:sentry:");
    // `[2026/11/24 10:00:00.000000000] [ warn] [engine] ...`
    let dated = message.get(5) == Some(&b'/') && message[1..5].iter().all(u8::is_ascii_digit);
    let ends = |rest: &[u8]| rest.first().is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'.');
    let names_ours = || {
        const TARGET: &[u8] = b" > output=";
        let target = memmem::find(head(512), TARGET).map(|at| &message[at + TARGET.len()..]);
        let rest = target.and_then(|target| target.strip_prefix(output.as_bytes()));
        !output.is_empty() && rest.is_some_and(ends)
    };
    memchr_iter(b'[', head(80)).any(of_ours) || dated && names_ours()
}
