//! Keeps the lines before an event as its breadcrumbs: lines of its chunk, and of earlier chunks.

use super::stream_lines::{Line, Stream};
use super::waiting::Waiting;
use crate::chunk::Timestamp;
use crate::level::Level;
use crate::mapping::encode::json::{self, Object};
use crate::mapping::encode::limit;
use crate::mapping::resolve::identity::StreamId;
use crate::mapping::scrub;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// Bytes of one line kept as a breadcrumb.
const MAX_CRUMB: usize = 500;

/// Bytes of a longer line that are scrubbed before it is cut: a secret that the cut goes through ends within them, or with them.
const MAX_READ: usize = 4 * MAX_CRUMB;

/// Streams whose last lines are remembered across chunks.
const MAX_STREAMS: usize = 512;

/// Bytes of a chunk's breadcrumbs that are kept for the next event.
const MAX_TRAIL: usize = 256 << 10;

/// The last lines of each stream, across chunks.
#[derive(Debug)]
pub(crate) struct Breadcrumbs {
    most: usize,
    streams: HashMap<StreamId, Ring>,
    turn: u64,
    trail: StreamHistory,
    /// True if no chunk is read again.
    once: bool,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Breadcrumb>,
    used: u64,
}

/// A line as a breadcrumb.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Breadcrumb {
    time: Timestamp,
    level: Level,
    text: String,
}

/// Returns the part of a line that is a breadcrumb, and true if the line goes on after it. A line that is cut is scrubbed
/// before the cut, because the cut may remove the part that shows that the rest is a secret; a clean line, in which nothing
/// has to be removed, is not scrubbed.
fn crumb<'a>(line: &Line<'a>, is_clean: bool, rules: &scrub::Rules) -> Option<(Cow<'a, str>, bool)> {
    let whole = line.text()?.trim();
    let head = &whole[..whole.floor_char_boundary(MAX_READ)];
    let text = if whole.len() > MAX_CRUMB && !is_clean { rules.scrubbed(head) } else { Cow::Borrowed(head) };
    let end = text.floor_char_boundary(MAX_CRUMB);
    let goes_on = end < text.len() || head.len() < whole.len();
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    };
    (end > 0).then_some((text, goes_on))
}

impl Breadcrumb {
    fn of(line: &Line<'_>, rules: &scrub::Rules) -> Option<Self> {
        let (text, goes_on) = crumb(line, false, rules)?;
        let text = if goes_on { format!("{text}...") } else { text.into_owned() };
        Some(Self { time: line.time, level: line.level, text })
    }

    /// Returns true if it came before the lines of a stream, of which it is none: a chunk that is read again must not find its
    /// own lines before itself. Lines that have waited may have the time of the line before them, which did not wait.
    fn is_before(&self, stream: &Stream<'_>, rules: &scrub::Rules) -> bool {
        let start = stream.lines.first().map_or(Timestamp::default(), |line| line.time);
        let at_start = || stream.lines.iter().take_while(|line| line.time == start);
        self.time < start
            || stream.has_waited
                && self.time == start
                && !at_start().any(|line| Self::of(line, rules).is_some_and(|own| own.text == self.text))
    }
}

/// Breadcrumbs as JSON, each with a comma before it.
#[derive(Debug, Default)]
struct Written {
    json: Vec<u8>,
    /// Position at which each breadcrumb ends.
    ends: Vec<usize>,
}

impl Written {
    /// Adds a breadcrumb; without `rules` nothing in its text has to go.
    fn push(&mut self, (time, level): (Timestamp, Level), (text, goes_on): (&str, bool), rules: Option<&scrub::Rules>) {
        let out = &mut self.json;
        out.push(b',');
        let mut value = Object::begin(out);
        json::seconds(value.key("timestamp"), time.micros().min(limit::LAST_MICROS));
        value.text("category", "log");
        value.text("level", level.event_name());
        let out = value.key("message");
        let start = out.len();
        out.push(b'"');
        json::escaped(out, text.as_bytes());
        out.extend_from_slice(if goes_on { b"...\"" } else { b"\"" });
        if let Some(rules) = rules {
            rules.clean_text(out, start);
        }
        value.end();
        self.ends.push(self.json.len());
    }

    /// Those from one to before another.
    fn part(&self, from: usize, to: usize) -> &[u8] {
        let end = |count: usize| count.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.json[end(from)..end(to)]
    }

    fn clear(&mut self) {
        self.json.clear();
        self.json.shrink_to(MAX_TRAIL);
        self.ends.clear();
    }
}

/// Breadcrumbs of the stream and chunk at hand. One event's are nearly all the next one's, so each is written once.
#[derive(Debug, Default)]
struct StreamHistory {
    /// Of earlier chunks, once they were asked for.
    earlier: Option<Written>,
    /// Of the chunk's lines; one that is no breadcrumb takes no bytes.
    here: Written,
    /// The line that `here` begins with.
    first: usize,
    /// Places of lines in whose texts nothing has to go, in order.
    clean: Vec<usize>,
}

impl StreamHistory {
    fn clear(&mut self) {
        self.earlier = None;
        self.here.clear();
        self.first = 0;
        self.clean.clear();
    }

    /// Returns the number of breadcrumbs among these lines, all of which the trail covers.
    fn count(&self, from: usize, to: usize) -> usize {
        (from - self.first..to - self.first).filter(|line| !self.here.part(*line, line + 1).is_empty()).count()
    }

    /// Writes the breadcrumbs of these lines that are missing.
    fn cover(&mut self, lines: &[Line<'_>], from: usize, to: usize, rules: &scrub::Rules) {
        let known = self.first + self.here.ends.len();
        if from < self.first || from > known || self.here.json.len() > MAX_TRAIL {
            self.here.clear();
            self.first = from;
        }
        let known = self.first + self.here.ends.len();
        for (place, line) in (known..).zip(lines.get(known..to).unwrap_or_default()) {
            let is_clean = self.clean.binary_search(&place).is_ok();
            let rules_of_text = (!is_clean).then_some(rules);
            match crumb(line, is_clean, rules) {
                Some((text, goes_on)) => self.here.push((line.time, line.level), (&text, goes_on), rules_of_text),
                None => self.here.ends.push(self.here.json.len()),
            }
        }
    }
}

impl Breadcrumbs {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, streams: HashMap::new(), turn: 0, trail: StreamHistory::default(), once: false }
    }

    /// Expects that no chunk is read again, so that lines of earlier chunks count whatever their time.
    pub(crate) fn read_once(&mut self) {
        self.once = true;
    }

    /// Another stream's lines come next.
    pub(crate) fn begin(&mut self) {
        self.trail.clear();
    }

    /// Marks a line of the stream at hand as one from whose text nothing has to go. Lines come in order.
    pub(crate) fn mark_clean(&mut self, place: usize) {
        self.trail.clean.push(place);
    }

    /// The lines before the one at `at`, oldest first, as JSON with a comma before each: those of earlier chunks, and
    /// those of this one. Nothing in them has to go.
    pub(crate) fn before(&mut self, stream: &Stream<'_>, at: usize, rules: &scrub::Rules) -> [&[u8]; 2] {
        let lines = &stream.lines;
        let from = at.saturating_sub(self.most);
        self.trail.cover(lines, from, at, rules);
        let missing = self.most - self.trail.count(from, at);
        if missing > 0 && self.trail.earlier.is_none() {
            let ring = self.streams.get(&stream.id).map(|ring| &ring.lines);
            let mut earlier = Written::default();
            for crumb in ring.into_iter().flatten().filter(|crumb| self.once || crumb.is_before(stream, rules)) {
                earlier.push((crumb.time, crumb.level), (&crumb.text, false), Some(rules));
            }
            self.trail.earlier = Some(earlier);
        }
        let StreamHistory { earlier, here, first, .. } = &self.trail;
        let earlier = earlier.as_ref().map_or(&[][..], |earlier| {
            let count = earlier.ends.len();
            earlier.part(count - missing.min(count), count)
        });
        [earlier, here.part(from - first, at - first)]
    }

    /// Returns the time when the last line of a stream was written, of the lines that wait if any do.
    pub(crate) fn latest(&self, stream: StreamId, waiting: &Waiting) -> Option<Timestamp> {
        let waiting = waiting.lines(stream).last().map(|line| line.time);
        waiting.or_else(|| self.streams.get(&stream)?.lines.back().map(|crumb| crumb.time))
    }

    /// Returns the last lines of all these streams up to a time, oldest first, as JSON with a comma before each. Nothing in
    /// them has to go. Lines that wait for more of a stack trace belong to them: they may be the last words of a container.
    pub(crate) fn of(
        &self,
        streams: &[StreamId],
        waiting: &Waiting,
        until: Timestamp,
        rules: &scrub::Rules,
    ) -> Vec<u8> {
        let known = |stream: &StreamId| self.streams.get(stream).map(|ring| &ring.lines).into_iter().flatten();
        let waiting = |stream: &StreamId| waiting.lines(*stream).filter_map(|line| Breadcrumb::of(&line, rules));
        let mut lines: Vec<Cow<'_, Breadcrumb>> = streams
            .iter()
            .flat_map(|stream| known(stream).map(Cow::Borrowed).chain(waiting(stream).map(Cow::Owned)))
            .filter(|crumb| crumb.time <= until)
            .collect();
        // Lines of one stream keep their order.
        lines.sort_by_key(|crumb| crumb.time);
        let mut written = Written::default();
        for crumb in &lines[lines.len() - lines.len().min(self.most)..] {
            written.push((crumb.time, crumb.level), (&crumb.text, false), Some(rules));
        }
        written.json
    }

    /// Remembers the last lines of a stream.
    pub(crate) fn remember(&mut self, stream: &Stream<'_>, rules: &scrub::Rules) {
        if self.most == 0 {
            return;
        }
        self.turn += 1;
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&stream.id) {
            self.forget_half();
        }
        let ring = self.streams.entry(stream.id).or_default();
        ring.used = self.turn;
        let lines = &stream.lines;
        let newest = ring.lines.back().map(|crumb| crumb.time);
        // A chunk that is read again must not be remembered twice.
        let known = ring.lines.iter().rev().take_while(|crumb| stream.has_waited && Some(crumb.time) == newest);
        let known: Vec<String> = known.map(|crumb| crumb.text.clone()).collect();
        for line in &lines[lines.len() - lines.len().min(self.most)..] {
            let is_later = self.once || newest.is_none_or(|newest| line.time > newest);
            if is_later || stream.has_waited && Some(line.time) == newest {
                let crumb = Breadcrumb::of(line, rules).filter(|crumb| is_later || !known.contains(&crumb.text));
                ring.lines.extend(crumb);
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
    use crate::mapping::group::stream_lines::tests::lines;

    fn stream(lines: Vec<Line<'static>>) -> Stream<'static> {
        Stream { lines, ..Stream::new(StreamId(1), None, None) }
    }

    fn texts(json: &[&[u8]; 2]) -> Vec<String> {
        let list = [b"[0", json[0], json[1], b"]"].concat();
        let values: Vec<serde_json::Value> = serde_json::from_slice(&list).unwrap();
        values[1..].iter().map(|crumb| crumb["message"].as_str().unwrap().to_owned()).collect()
    }

    /// An event's breadcrumbs are the same if they are written once or anew, at whatever distance events come, and whether
    /// or not clean lines are marked.
    #[test]
    fn reuses_crumbs_written_for_another_event() {
        let rules = scrub::Rules::new(true, false, &[], &[]);
        let long = "x".repeat(MAX_CRUMB - 1) + "\u{e9}\u{e9}";
        let long: &'static str = long.leak();
        let mut some: Vec<&'static str> = vec!["one", "", "password=x", long, "  ", "\"two\"", "three"];
        some.extend_from_slice(&some.clone().repeat(40));
        let (earlier, all) = (lines(&["e0", "e1", "e2"]), lines(&some));
        let late = |mut line: Line<'static>| {
            line.time.secs += 100;
            line
        };
        let (earlier, all) = (stream(earlier), stream(all.into_iter().map(late).collect()));
        for most in [1, 3, 4, 20] {
            let mut kept = Breadcrumbs::new(most);
            kept.remember(&earlier, &rules);
            let mut at = 0;
            for step in [0, 1, 1, 2, 0, 5, 30, 1, 1, 100, 0, 7, 60] {
                let clean = (at..at + step).filter(|place| place % 3 > 0 && !some[*place].contains("password"));
                clean.for_each(|place| kept.mark_clean(place));
                at += step;
                let mut fresh = Breadcrumbs::new(most);
                fresh.remember(&earlier, &rules);
                let found = texts(&kept.before(&all, at, &rules));
                assert_eq!(found, texts(&fresh.before(&all, at, &rules)), "{most} before {at}");
                let here = all.lines[at.saturating_sub(most)..at]
                    .iter()
                    .filter_map(|line| Breadcrumb::of(line, &rules))
                    .map(|crumb| crumb.text);
                let here: Vec<_> = here.map(|text| text.replace("=x", "=[Filtered]")).collect();
                assert!(found.ends_with(&here) && found.len() == most.min(here.len() + 3), "{found:?} before {at}");
            }
        }
    }

    #[test]
    fn breadcrumbs_reach_across_chunks_and_survive_a_second_reading() {
        let mut crumbs = Breadcrumbs::new(3);
        let all = lines(&["a", "b", "c", "d", "ERROR e"]);
        let (first, second) = (stream(all[..3].to_vec()), stream(all[3..].to_vec()));
        let texts = |crumbs: &mut Breadcrumbs| {
            crumbs.begin();
            texts(&crumbs.before(&second, 1, &scrub::Rules::default()))
        };
        crumbs.remember(&first, &scrub::Rules::default());
        assert_eq!(texts(&mut crumbs), ["b", "c", "d"]);
        crumbs.remember(&second, &scrub::Rules::default());
        crumbs.remember(&second, &scrub::Rules::default());
        assert_eq!(texts(&mut crumbs), ["c", "d"], "its own lines are not before itself");
    }

    /// Lines of one time, of which the last ones waited for the next chunk: those before them are before their events.
    #[test]
    fn lines_of_the_same_time_are_before_those_that_waited() {
        let rules = scrub::Rules::default();
        let mut all = lines(&["a", "b", "ERROR c", "ERROR d"]);
        all.iter_mut().for_each(|line| line.time.secs = 7);
        let (first, rest) = (stream(all[..2].to_vec()), stream(all[2..].to_vec()));
        let waited = Stream { has_waited: true, ..rest };
        let mut crumbs = Breadcrumbs::new(5);
        crumbs.remember(&first, &rules);
        // After a panic the same lines are read again.
        for _ in 0..2 {
            crumbs.begin();
            assert_eq!(texts(&crumbs.before(&waited, 0, &rules)), ["a", "b"]);
            assert_eq!(texts(&crumbs.before(&waited, 1, &rules)), ["a", "b", "ERROR c"]);
            crumbs.remember(&waited, &rules);
        }
        let mut next = lines(&["ERROR e"]);
        next[0].time.secs = 8;
        crumbs.begin();
        let next = stream(next);
        assert_eq!(texts(&crumbs.before(&next, 0, &rules)), ["a", "b", "ERROR c", "ERROR d"]);
    }

    #[test]
    fn streams_are_forgotten_oldest_first() {
        let mut crumbs = Breadcrumbs::new(1);
        let mut line = stream(lines(&["x"]));
        for n in 0..10_000 {
            line.id = StreamId(n);
            crumbs.remember(&line, &scrub::Rules::default());
        }
        assert!(crumbs.streams.len() <= MAX_STREAMS);
        assert!(crumbs.streams.contains_key(&StreamId(9_999)));
    }
}
