//! Makes the events of a stream at the end of its chunk.

use super::encode::event;
use super::encode::event::EventContext;
use super::extract::field_extractor::Buffers;
use super::extract::fields::{Fields, Role};
use super::extract::stack;
use super::group::recall::Recalled;
use super::group::storm::{Decision, Storms};
use super::group::stream_lines::Stream;
use super::group::trace_cache::DetectedTrace;
use super::group::{trace_cache, trace_groups};
use super::letter::Letter;
use super::resolve::identity::TraceId;
use super::resolve::resolved_record;
use super::resolve::resolved_record::{Inputs, Known, ResolvedRecord, view};
use super::trace::Trace;
use super::{
    ChunkState, Discard, Finished, Item, ItemWriter, Logs, Mapper, Origin, Reason, RecalledLog, Route, Routed, Sink,
    StormSummary, bill_of, is_sampled, read_again, record_and_marker, route_of, scrub, trace,
};
use crate::clock::WallTime;
use crate::ledger::Category;
use crate::level::Level;
use std::borrow::Cow;

impl Mapper {
    /// The events of a stream: single lines at or above the level, and groups.
    pub(super) fn events(
        &mut self,
        origin: Origin<'_>,
        stream: &Stream<'_>,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let is_letter = stream.letter.is_some();
        if !Letter::allows(stream.letter, Category::Event) || !is_letter && stream.threshold.is_none() {
            return;
        }
        let is_event = |level: Level| is_letter || stream.threshold.is_some_and(|threshold| level >= threshold);
        let mut groups = stream.groups.iter().peekable();
        for (at, line) in stream.lines.iter().enumerate() {
            let group = groups.next_if(|group| group.first == at);
            let members = group.map_or(&[][..], |group| &group.members);
            if !is_event(line.level) {
                let below = Reason::Below { level: line.level, threshold: stream.threshold };
                for record in std::iter::once(&line.index).chain(members) {
                    sink.discard(Item::event(*record), Discard::filtered(below));
                }
                continue;
            }
            self.works_on(std::iter::once(line.index).chain(members.iter().copied()));
            let text = group.map(|group| (group.text.as_str(), trace::parse(&group.text)));
            self.event(origin, stream, at, (text, line.level), progress, sink);
            for member in members {
                sink.join(Item::event(*member), line.index);
            }
        }
    }

    /// The event of the line at `first`, or of the lines from there on whose text this is, and the trace in it.
    pub(super) fn event(
        &mut self,
        origin: Origin<'_>,
        stream: &Stream<'_>,
        first: usize,
        (text, level): (Option<(&str, Option<Trace<'_>>)>, Level),
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let line = &stream.lines[first];
        let Some((record, group)) = read_again(line) else { return };
        let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
        let own = self.reader.read(record, group, &mut fields, &mut buffers);
        let (text, trace) = text.unzip();
        let text = text.or_else(|| line.text().filter(|_| line.in_key));
        let mut message = (own.0, text.map_or(own.1, |text| Cow::Borrowed(text.as_bytes())));
        let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
        let Some(routed) = route_of(origin, pod, stream.letter) else {
            return sink.discard(Item::event(line.index), Discard::filtered(Reason::NoDestination));
        };
        let id = progress.event_id(routed.identity, stream, (record, line.ordinal));
        let text = message.1.clone();
        let text = trace_cache::text(&text);
        let text = self.scrub.scrubbed(&text);
        // What was read of the text as it came would bring back what was taken out of it.
        let trace = if let Cow::Owned(scrubbed) = &text {
            message.1 = Cow::Owned(scrubbed.clone().into_bytes());
            None
        } else {
            // JSON is judged by its fields: a part of it is no JSON.
            if line.text() == Some(&*text) && !text.trim_start().starts_with(['{', '[']) {
                self.crumbs.mark_clean(first);
            }
            trace
        };
        let (stack, in_stack) = stack_of(&mut fields, &text, &self.scrub).unzip();
        let mut unasked = DetectedTrace::new(&[]);
        let given = Inputs { message, pod, level: Some(level), shown: &mut unasked };
        let known =
            Known { names: self.reader.names(), tag: (origin.tag, &progress.of_tag), trace: &mut self.memory.trace };
        let view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
        let known = trace.or_else(|| progress.traces.take(line.index, &text));
        let in_message = known.unwrap_or_else(|| trace::parse(&text));
        let bare = in_message.is_none().then(|| trace_groups::without_prefix(&text)).flatten();
        let (text, in_message) = match &bare {
            Some(bare) => (bare.as_str(), trace::parse(bare)),
            None => (&*text, in_message),
        };
        let in_stack =
            stack.as_deref().and_then(|stack| Some((stack, in_stack.flatten().or_else(|| trace::parse(stack))?)));
        let (trace, around) = read_trace(text, in_message, in_stack);
        let mut about = EventContext::new(&self.rules, &view, routed, trace, &around);
        if stream.letter.is_none() && !is_sampled(self.settings.sample_rate, &view, line.index) {
            return sink.discard(Item::event(line.index), Discard::sampled(routed.route));
        }
        let decision = if sink.again(line.index) || stream.letter.is_some() {
            Decision::Send(0)
        } else {
            decide(&mut self.storms, (routed, origin.now), &view, &mut about)
        };
        if let Decision::Send(held_back) = decision {
            about.held_back = held_back;
        }
        if !matches!(decision, Decision::Suppress(_)) {
            about.crumbs = self.crumbs.before(stream, first, &self.scrub);
        }
        let write = |out: &mut Vec<u8>| {
            let start = out.len();
            let scrubbed = event::write(out, &view, id, (&self.settings, &self.scrub), &about);
            self.scrub.clean(out, start, &scrubbed);
        };
        match decision {
            Decision::Suppress(reason) => {
                sink.discard(Item::event(line.index), Discard::suppressed(reason, routed.route));
            }
            Decision::Keep(reason) => {
                let mut payload = Vec::new();
                write(&mut payload);
                let closing = StormSummary { routed, event_id: id, payload, others: 0 };
                self.storms.keep(about.fingerprint, closing);
                sink.discard(Item::event(line.index), Discard::suppressed(reason, routed.route));
            }
            Decision::Send(_) => {
                let Some(mut writer) = sink.begin(Item::event(line.index), routed.route) else { return };
                write(writer.json());
                writer.finish(Finished::Event(id));
                let trace_id = view.trace_id;
                if stream.letter.is_none() && !sink.again(line.index) {
                    let lines = self.recall.take(stream, first);
                    self.send_recalled(origin, (routed.route, trace_id), lines, progress, sink);
                }
            }
        }
    }

    /// Sends lines that `logs_level` has filtered out as logs of an event's trace.
    pub(super) fn send_recalled(
        &mut self,
        origin: Origin<'_>,
        (route, trace_id): (Route, TraceId),
        lines: Vec<Recalled<'_>>,
        progress: &mut ChunkState<'_>,
        sink: &mut impl Sink,
    ) {
        let (mut logs, mut order) = (Vec::with_capacity(lines.len()), Logs::default());
        for line in &lines {
            let Some((record, marker)) = record_and_marker(&line.raw, line.group.as_deref()) else { continue };
            let (mut buffers, mut fields) = (Buffers::default(), Fields::default());
            let (key, own) = self.reader.read(record, marker, &mut fields, &mut buffers);
            let message = (key, line.text.as_ref().map_or(own, |text| Cow::Borrowed(text.as_bytes())));
            let pod = self.pod(&fields, progress.container.as_ref()).map(|place| self.pods.at(place));
            let mut unasked = DetectedTrace::new(&[]);
            let given = Inputs { message, pod, level: Some(line.level), shown: &mut unasked };
            let known = Known {
                names: self.reader.names(),
                tag: (origin.tag, &progress.of_tag),
                trace: &mut self.memory.trace,
            };
            let mut view = view((&self.settings, &self.rules), origin.now, record, given, &mut fields, known);
            (view.trace_id, view.span_id) = (trace_id, None);
            let mut bill = bill_of(&view, route, sink);
            let (mut json, sequence) = (Vec::new(), order.sequence(view.time));
            bill.bytes = self.write_billed(&mut json, &view, sequence, &mut order.used);
            logs.push(RecalledLog { json, bill });
        }
        if !logs.is_empty() {
            sink.recalled(logs);
        }
    }
}

/// Returns the stack trace that stands in a field of its own, if it can be read, alone or below the message; and the parsed
/// trace, if that can outlive the lookup. A trace that cannot be read stays a field like any other.
pub(super) fn stack_of<'a>(
    fields: &mut Fields<'a>,
    message: &str,
    scrub: &scrub::Rules,
) -> Option<(Cow<'a, str>, Option<Trace<'a>>)> {
    let about = resolved_record::about_stack(fields);
    fields.take(Role::Stack, |found| {
        let stack = match stack::text(found.value, about)? {
            Cow::Borrowed(stack) => trace_cache::text(stack),
            Cow::Owned(stack) => Cow::Owned(trace_cache::text(&stack).into_owned()),
        };
        let scrubbed = match scrub.scrubbed(&stack) {
            Cow::Owned(scrubbed) => Some(scrubbed),
            Cow::Borrowed(_) => None,
        };
        let stack = scrubbed.map_or(stack, Cow::Owned);
        let trace = match stack {
            Cow::Borrowed(stack) => Some(trace::parse(stack)).filter(Option::is_some),
            Cow::Owned(ref stack) => trace::parse(stack).map(|_| None),
        };
        if let Some(trace) = trace {
            return Some((stack, trace));
        }
        let below = Some(format!("{message}\n{stack}")).filter(|_| stack.contains('\n'))?;
        trace::parse(&below).is_some().then_some((Cow::Owned(below), None))
    })
}

/// Returns the trace of an event, from its stack or its message, and the rest of the message.
pub(super) fn read_trace<'t>(
    message: &'t str,
    in_message: Option<Trace<'t>>,
    in_stack: Option<(&'t str, Trace<'t>)>,
) -> (Option<Trace<'t>>, Cow<'t, str>) {
    let around = in_message.as_ref().map_or(Cow::Borrowed(message), |trace| trace.message.clone());
    match in_stack {
        // It took the message's lines for its own head: what is left of them stands around it.
        Some((stack, trace)) if stack.starts_with(message) => {
            let around = trace.message.clone();
            (Some(trace), around)
        }
        Some((_, trace)) if trace.message.is_empty() || around.contains(&*trace.message) => (Some(trace), around),
        // The logger's line stands above the trace, its message in a field.
        Some((_, trace)) if !around.is_empty() && trace.message.ends_with(&*around) => (Some(trace), around),
        Some((_, trace)) => {
            let both = format!("{around}\n{}", trace.message);
            (Some(trace), Cow::Owned(both))
        }
        None => (in_message, around),
    }
}

/// Storm control: repeats, too many messages of a workload, bursts and rates.
pub(super) fn decide(
    storms: &mut Storms,
    (routed, now): (Routed, WallTime),
    view: &ResolvedRecord<'_, '_>,
    about: &mut EventContext<'_>,
) -> Decision {
    // A time to come is somebody's mistake, and must forbid nothing until then.
    let time = view.record_time.min(now.into());
    if let Some(chain) = about.chain {
        if storms.is_repeat(view.stream, chain, time) {
            return Decision::Suppress(Reason::Repeat);
        }
    } else if storms.is_one_too_many(about.workload, about.fingerprint, time, now) {
        about.share_an_issue();
    }
    storms.decide(about.fingerprint, routed.identity, time, now)
}
