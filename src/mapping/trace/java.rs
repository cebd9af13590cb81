//! Reads traces of Java, Kotlin, Scala and every other language on the JVM that prints `\tat
//! package.Class.method(File.java:12)`.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, Header, MAX_EXCEPTIONS, NEWEST_FRAMES, OLDEST_FRAMES, Reading, Relation, Sought,
    USUAL_FRAMES, frames, header_within, indent, is_log_head, joined, number, place, starts_with_any,
};
use std::borrow::Cow;

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let Some(opening) = opening(lines, ahead) else {
        crash(lines.first()?)?;
        let exceptions = Some(Vec::new());
        return Some(Reading { platform: "java", exceptions, fatal: true, used: 1, shown: 1, ..Reading::default() });
    };
    let mut tree = Tree::default();
    tree.begin(0, opening.header, opening.value);
    let mut at = opening.used;
    while at < lines.len() {
        match part(lines, at, ahead) {
            Some((part, used)) => {
                tree.take(part);
                at += used;
            }
            None => break,
        }
    }
    let broken = lines.get(at).is_some_and(|line| looks_like_more(line));
    Some(Reading {
        platform: "java",
        before: opening.before,
        exceptions: tree.finish(opening.thread),
        fatal: opening.thread.is_some(),
        used: at,
        broken,
        ..Reading::default()
    })
}

/// A line by which the virtual machine says that a thread, or itself, has ended, though it prints no stack: out of memory
/// it often has none.
pub(super) fn crash(line: &str) -> Option<()> {
    let named = |rest: &str| header(rest).filter(|header| is_type(header) && header.is_telling()).map(|_| ());
    if let Some(rest) = line.strip_prefix("Exception in thread \"") {
        return named(rest.cut_at("\" ")?.1);
    }
    if let Some(rest) = line.strip_prefix("Exception: ") {
        return named(rest.cut_at(" thrown from the UncaughtExceptionHandler in thread ")?.0);
    }
    ["Terminating due to ", "Aborting due to "].iter().find_map(|label| line.strip_prefix(label)).and_then(named)
}

/// The line that Spark prints between the two stacks of a failed job.
const DRIVER: &str = "Driver stacktrace:";

struct Opening<'a> {
    before: &'a str,
    thread: Option<&'a str>,
    header: Header<'a>,
    value: Cow<'a, str>,
    used: usize,
}

/// The header of the outermost exception: alone on its line, after a thread's name, or at the end of a log line.
fn opening<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Opening<'a>> {
    let line = *lines.first()?;
    let mut rest = line.bare_start();
    let mut thread = None;
    if let Some(named) = rest.strip_prefix("Exception in thread \"") {
        let (name, header) = named.cut_at("\" ")?;
        (thread, rest) = (Some(name), header);
    }
    let found = header(rest).filter(is_type).map(|header| ("", header)).filter(|(_, header)| header.is_telling());
    let next = lines.get(1).is_some_and(|line| goes_on(line));
    let within = |line| if next { header_within(line, header) } else { None };
    let weak = || header(rest).filter(is_type).map(|header| ("", header));
    let (before, header) = found.or_else(|| within(line)).or_else(weak)?;
    let used = 1 + message_lines(&lines[1..], ahead)?;
    Some(Opening { before, thread, header, value: joined(header.value, &lines[1..used]), used })
}

/// Lines below a header until its first frame; none if there is no frame, or another header comes first.
fn message_lines(lines: &[&str], ahead: &Ahead) -> Option<usize> {
    let another = |line: &str| header(line).is_some_and(|header| is_type(&header) && !line.is_empty());
    let ends =
        |line: &str| goes_on(line) || is_log_head(line) || another(line) || line.starts_with("Exception in thread");
    ahead.first(Sought::Java, lines, ends).filter(|end| goes_on(lines[*end]))
}

/// A line of a trace below its header.
enum Part<'a> {
    Frame(Frame<'a>),
    /// `... n more`: as many frames as the enclosing trace ends with.
    Common(usize),
    /// Frames that the printer left out.
    Cut,
    /// Spark: the frames above are the executor's and belong to the message, those below are the driver's.
    Driver,
    Section {
        relation: Relation,
        indent: usize,
        header: Header<'a>,
        value: Cow<'a, str>,
    },
    /// logback's root cause first: an exception that wraps the one before.
    Wrapper {
        header: Header<'a>,
        value: Cow<'a, str>,
    },
    /// The same exception again.
    Circle,
}

/// The part that begins at a line, and its number of lines.
fn part<'a>(lines: &[&'a str], at: usize, ahead: &Ahead) -> Option<(Part<'a>, usize)> {
    let line = lines[at];
    if let Some(frame) = frame(line) {
        return Some((Part::Frame(frame), 1));
    }
    if let Some(elided) = elided(line) {
        return Some((elided, 1));
    }
    if line.is_empty()
        && lines.get(at + 1) == Some(&DRIVER)
        && lines.get(at + 2).is_some_and(|line| frame(line).is_some())
    {
        return Some((Part::Driver, 2));
    }
    let (label, rest) = label(line)?;
    let rest = rest.bare_start();
    if rest.starts_with("[CIRCULAR REFERENCE") || label == "[CIRCULAR REFERENCE" {
        return Some((Part::Circle, 1));
    }
    let header = header(rest).filter(is_type)?;
    let more = message_lines(&lines[at + 1..], ahead).unwrap_or(0);
    let value = joined(header.value, &lines[at + 1..=at + more]);
    let part = match label {
        "Wrapped by:" => Part::Wrapper { header, value },
        "Suppressed:" => Part::Section { relation: Relation::Suppressed, indent: indent(line), header, value },
        _ => Part::Section { relation: Relation::Cause, indent: indent(line), header, value },
    };
    Some((part, 1 + more))
}

fn label(line: &str) -> Option<(&'static str, &str)> {
    const LABELS: [&str; 4] = ["Caused by:", "Suppressed:", "Wrapped by:", "[CIRCULAR REFERENCE"];
    let text = line.bare_start();
    LABELS.iter().find_map(|label| Some((*label, text.strip_prefix(label)?)))
}

/// `... 12 more`, `... 12 common frames omitted`, `... 3 frames truncated`, `... 3 frames excluded`.
fn elided<'a>(line: &str) -> Option<Part<'a>> {
    let text = line.bare().strip_prefix("... ")?;
    // log4j2's filters leave frames out of the middle.
    if let Some(filtered) = text.strip_prefix("suppressed ") {
        let (count, what) = filtered.cut_at_byte(b' ')?;
        return number(count).filter(|_| matches!(what, "lines" | "line")).map(|_| Part::Cut);
    }
    let (count, what) = text.cut_at_byte(b' ')?;
    let count = number(count)? as usize;
    match what {
        "more" | "common frames omitted" => Some(Part::Common(count)),
        _ if what.starts_with("frames ") || what.starts_with("frame ") => Some(Part::Cut),
        _ => None,
    }
}

/// Returns true if a header's message ends at this line.
fn goes_on(line: &str) -> bool {
    let labelled = || label(line).is_some_and(|(_, rest)| header(rest.bare_start()).is_some());
    frame(line).is_some() || elided(line).is_some() || labelled()
}

/// Returns true if a line that was not understood would have belonged to the trace.
fn looks_like_more(line: &str) -> bool {
    let text = line.bare_start();
    label(line).is_some() || text.starts_with("... ") || (text.len() < line.len() && text.starts_with("at "))
}

fn header(text: &str) -> Option<Header<'_>> {
    super::text::header(text, &[], ['\0', '\0'])
}

/// Returns true if this can be a class: `State: RUNNABLE` in thread dumps is none, though a stack follows.
fn is_type(header: &Header) -> bool {
    let qualified = header.ty.cut_at_last_byte(b'.').is_some_and(|(_, name)| name.starts_with(char::is_uppercase));
    header.ty != "java.lang.Thread.State" && (qualified || header.is_telling())
}

/// `at [loader/][module@version/]package.Class.method(Place) [jar]`.
fn frame(line: &str) -> Option<Frame<'_>> {
    let text = line.bare_start().strip_prefix("at ")?;
    let (name, rest) = text.cut_at_byte(b'(')?;
    let (place, jar) = rest.cut_at_byte(b')')?;
    let jar = jar.bare();
    if !(jar.is_empty() || jar.ends_with(']') && starts_with_any(jar, &["[", "~["])) {
        return None;
    }
    let (class, method) = without_loader(name).cut_at_last_byte(b'.')?;
    if class.is_empty() || method.is_empty() || class.holds_any(b" @:") || method.holds_any(b" ") {
        return None;
    }
    let (file, lineno) = source(place)?;
    Some(Frame {
        function: Some(Cow::Borrowed(method)),
        module: Some(Cow::Borrowed(class)),
        filename: file.map(Cow::Borrowed),
        lineno,
        in_app: Some(frames::java::in_app(class)),
        ..Frame::default()
    })
}

/// Without class loader and module. The slash of a hidden class (`Lambda$14/0x0800c030`) stays: an address follows it.
fn without_loader(name: &str) -> &str {
    if !name.holds_byte(b'/') {
        return name;
    }
    let prefix = |(at, _): &(usize, &str)| !name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    name.rmatch_indices('/').find(prefix).map_or(name, |(at, _)| &name[at + 1..])
}

/// Returns the content of the parentheses: file and line, a file, or neither if a word stands for them.
fn source(text: &str) -> Option<(Option<&str>, Option<u32>)> {
    let (file, line) = match place(text) {
        Some((file, line, None)) => (file, Some(line)),
        Some(_) => return None,
        None => (text, None),
    };
    match file {
        "Native Method" | "Unknown Source" => Some((None, None)),
        _ if file.starts_with('<') && file.ends_with('>') => Some((None, None)),
        _ if file.is_empty() || file.holds_any(b" ,<[") => None,
        _ if line.is_some() || file.holds_byte(b'.') || file == "SourceFile" => Some((Some(file), line)),
        _ => None,
    }
}

/// Exceptions as printed; frames that they share are filled in at the end.
#[derive(Default)]
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// Indentation and index of the nodes to which the following lines can belong.
    open: Vec<(usize, usize)>,
    /// The node that no other one holds: the first, or the last wrapper.
    root: usize,
}

struct Node<'a> {
    exception: Exception<'a>,
    parent: Option<usize>,
    /// Newest first, as printed.
    own: Vec<Frame<'a>>,
    /// The number of frames that follow and with which the parent's trace ends.
    common: usize,
    /// Frames were left out for good.
    cut: bool,
}

impl<'a> Tree<'a> {
    /// A new exception, below the last open one unless that is none.
    fn begin(&mut self, indent: usize, header: Header<'a>, value: Cow<'a, str>) -> usize {
        let (module, ty) = match header.ty.cut_at_last_byte(b'.') {
            Some((module, ty)) => (Some(Cow::Borrowed(module)), ty),
            None => (None, header.ty),
        };
        let exception = Exception { ty: Cow::Borrowed(ty), module, value, ..Exception::default() };
        let parent = self.open.last().map(|&(_, node)| node);
        self.nodes.push(Node { exception, parent, own: Vec::new(), common: 0, cut: false });
        self.open.push((indent, self.nodes.len() - 1));
        self.nodes.len() - 1
    }

    fn take(&mut self, part: Part<'a>) {
        let Some(node) = self.nodes.last_mut() else { return };
        match part {
            Part::Frame(frame) => {
                if node.own.is_empty() {
                    node.own.reserve(USUAL_FRAMES);
                }
                node.own.push(frame);
            }
            Part::Common(count) => node.common = count,
            Part::Cut => node.cut = true,
            Part::Driver => node.own.clear(),
            Part::Circle => (),
            Part::Section { relation, indent, header, value } => {
                let inner = usize::from(relation == Relation::Cause);
                while self.open.len() > 1 && self.open.last().is_some_and(|&(open, _)| open >= indent + inner) {
                    self.open.pop();
                }
                let new = self.begin(indent, header, value);
                self.nodes[new].exception.relation = relation;
            }
            Part::Wrapper { header, value } => self.wrap(header, value),
        }
    }

    fn wrap(&mut self, header: Header<'a>, value: Cow<'a, str>) {
        self.open.clear();
        let wrapper = self.begin(0, header, value);
        let root = &mut self.nodes[std::mem::replace(&mut self.root, wrapper)];
        root.parent = Some(wrapper);
        root.exception.relation = Relation::Cause;
    }

    /// With all frames restored, or none if that cannot be done.
    fn finish(mut self, thread: Option<&'a str>) -> Option<Vec<Exception<'a>>> {
        if self.nodes.len() > MAX_EXCEPTIONS {
            return None;
        }
        self.settle()?;
        let frames: Vec<_> = (0..self.nodes.len()).map(|index| self.frames(index)).collect();
        let mut chain = Chain::default();
        for (node, frames) in self.nodes.into_iter().zip(frames) {
            let thread = thread.filter(|_| node.parent.is_none()).map(Cow::Borrowed);
            chain.add(Exception { frames, thread, parent: node.parent, ..node.exception });
        }
        chain.finish()
    }

    /// Checks that the holders have the frames that are said to be common; where one of them is itself cut, or there
    /// is none, nothing can be restored.
    fn settle(&mut self) -> Option<()> {
        // More frames than the holder has: its own were shortened by the printer, or its common part stands above.
        let has_frames = self.nodes.iter().any(|node| !node.own.is_empty());
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let unknown = node.parent.is_none_or(|parent| has_frames && node.common > self.total(parent));
            self.nodes[index].cut |= unknown && node.common > 0;
        }
        for index in 0..self.nodes.len() {
            let mut holders = std::iter::successors(Some(index), |&node| self.nodes[node].parent);
            if holders.any(|node| self.nodes[node].cut) {
                self.nodes[index].common = 0;
            }
        }
        let known = |node: &Node| node.parent.is_none_or(|parent| node.common <= self.total(parent));
        self.nodes.iter().all(known).then_some(())
    }

    fn total(&self, index: usize) -> usize {
        self.nodes[index].own.len() + self.nodes[index].common
    }

    /// All frames of one exception, oldest first, without the middle of too many.
    fn frames(&self, index: usize) -> Vec<Frame<'a>> {
        let total = self.total(index);
        let oldest = total.saturating_sub(OLDEST_FRAMES).max(NEWEST_FRAMES)..total;
        let mut frames = Vec::with_capacity(total.min(NEWEST_FRAMES + OLDEST_FRAMES));
        frames.extend((0..total.min(NEWEST_FRAMES)).chain(oldest).rev().filter_map(|frame| self.frame(index, frame)));
        frames
    }

    /// The frame at a place of the text, which may stand in the trace of a holder.
    fn frame(&self, mut index: usize, mut frame: usize) -> Option<Frame<'a>> {
        while frame >= self.nodes[index].own.len() {
            let node = &self.nodes[index];
            let parent = node.parent?;
            frame = self.total(parent) - node.common + (frame - node.own.len());
            index = parent;
        }
        Some(self.nodes[index].own[frame].clone())
    }
}
