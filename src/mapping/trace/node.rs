//! Reads JavaScript's traces: V8's `at function (file:line:column)` as Node prints it, with the properties and causes that
//! Node's console adds, and SpiderMonkey's `function@file:line:column`.

use super::find::Find;
use super::frames;
use super::{
    Ahead, Chain, Exception, Frame, Header, LOOKAHEAD, MAX_EXCEPTIONS, Reading, Relation, Sought, Stack, header_within,
    indent, is_log_head, joined, number, place, starts_with_any,
};
use std::borrow::Cow;

/// Most lines of source that Node shows above an uncaught exception, the caret's included.
const SOURCE_LINES: usize = 8;
/// Longest stack in which frames are restored from the cause's; V8 stops at ten unless told otherwise.
const MAX_RESTORED: usize = 500;
/// The name that the SDK gives to a function without a name.
const UNNAMED: &str = "?";
/// The beginning of Deno's output.
const DENO: &str = "error: Uncaught ";

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let skipped = uncaught(lines);
    let (before, opening) = opening(lines, skipped, ahead)?;
    let fatal = skipped > 0 || opening.uncaught;
    let mut text =
        Text { lines, ahead, at: skipped, chain: Chain::default(), open: Vec::new(), stacks: Vec::new(), web: false };
    text.error(opening, None);
    let mut whole = text.blocks().is_some();
    while whole && text.caused() {
        whole = text.blocks().is_some();
    }
    if text.is_mere_text() {
        // Each line of it may begin such a text again.
        return (text.at > LOOKAHEAD).then(|| Reading {
            platform: "node",
            used: text.at,
            broken: true,
            ..Reading::default()
        });
    }
    if fatal {
        text.epilogue();
    }
    let (used, web) = (text.at, text.web);
    let mut exceptions = text.finish();
    if let Some(exceptions) = &mut exceptions {
        if !web {
            frames::node::complete(exceptions);
        }
        if skipped > 0
            && let Some(outermost) = exceptions.last_mut()
        {
            show_source(outermost, &lines[..skipped]);
        }
    }
    Some(Reading {
        platform: if web { "javascript" } else { "node" },
        before,
        used,
        broken: !whole,
        exceptions,
        fatal,
        ..Reading::default()
    })
}

/// Lines of `file.js:12`, source, caret and blank that Node prints above an uncaught exception; 0 if there are none.
fn uncaught(lines: &[&str]) -> usize {
    let line = lines.first().copied().unwrap_or("");
    let numbered = line.ends_with(|c: char| c.is_ascii_digit());
    let is_file = |path: &str| is_path(path) || is_virtual(path);
    if !numbered || !place(line).is_some_and(|(path, _, column)| column.is_none() && is_file(path) && indent(line) == 0)
    {
        return 0;
    }
    let caret = lines.iter().take(SOURCE_LINES).position(|line| is_caret(line));
    caret.map_or(0, |at| at + 1 + usize::from(lines.get(at + 1).is_some_and(|line| line.is_empty())))
}

fn is_caret(line: &str) -> bool {
    line.ends_with('^') && line.bare_start().bytes().all(|b| b == b'^')
}

/// Makes the source line that Node prints above the error the `context_line` of its frame. Only a line of a file: the SDK
/// reads the lines from the disk.
fn show_source<'a>(exception: &mut Exception<'a>, above: &[&'a str]) {
    let Some((path, line, _)) = above.first().and_then(|line| place(line)) else { return };
    let Some(source) = above.iter().position(|line| is_caret(line)).filter(|caret| *caret > 1) else { return };
    let path = frames::node::path(path);
    let here = |frame: &&mut Frame<'_>| frame.lineno == Some(line) && frame.filename.as_deref() == Some(&*path);
    if let Some(frame) = exception.frames.iter_mut().rev().find(here).filter(|frame| frame.abs_path.is_some()) {
        frame.context_line = Some(Cow::Borrowed(above[source - 1].bare_end()));
    }
}

/// The head of one error, and how many lines it and the message take.
struct Opening<'a> {
    header: Header<'a>,
    value: Cow<'a, str>,
    used: usize,
    /// `[Error: message] {`: no stack, the properties begin at once.
    bare: bool,
    uncaught: bool,
}

/// Returns the head of the outermost error: alone on its line, or after the prefix of a logger or of `console.error`.
fn opening<'a>(lines: &[&'a str], skipped: usize, ahead: &Ahead) -> Option<(&'a str, Opening<'a>)> {
    let line = *lines.get(skipped)?;
    let next_is_frame = || lines.get(skipped + 1).is_some_and(|line| is_frame(line));
    let head = if line.starts_with(DENO) { &line["error: ".len()..] } else { line };
    let (text, uncaught) = match head.bare_start().strip_prefix("Uncaught ") {
        Some(rest) => (rest.strip_prefix("(in promise) ").unwrap_or(rest), true),
        None => (line.bare_start(), false),
    };
    let telling = skipped > 0 || text.starts_with('[') || header(text).is_some_and(|header| header.is_telling());
    if telling
        && let Some(opening) = error_at(text, &lines[skipped + 1..], ahead)
        && (skipped > 0 || opening.header.is_telling())
    {
        return Some((&line[..0], Opening { uncaught, ..opening }));
    }
    next_is_frame().then_some(())?;
    let (before, header) = header_within(line, header).or_else(|| class_within(line))?;
    let before = if before.bare().is_empty() { &line[..0] } else { before };
    Some((before, Opening { header, value: Cow::Borrowed(header.value), used: 1, bare: false, uncaught }))
}

/// A class of any name with a message, at the head of a line or of a word in it. Nothing in the line says that this is
/// an error: the caller knows it from the frame below.
fn class_within(line: &str) -> Option<(&str, Header<'_>)> {
    let class = |header: &Header| {
        let shouts = header.ty.chars().all(|c| !c.is_lowercase());
        header.ty.starts_with(char::is_uppercase) && !shouts && header.ty != "Trace"
    };
    let line = line.bare_end();
    let starts = std::iter::once(0).chain(line.match_indices(' ').map(|(at, _)| at + 1));
    starts.filter_map(|at| Some((&line[..at], header(&line[at..])?))).find(|(_, header)| class(header))
}

/// An error whose header is `text`, with its message and stack in the lines `below`, or bare in brackets.
fn error_at<'a>(text: &'a str, below: &[&'a str], ahead: &Ahead) -> Option<Opening<'a>> {
    let text = text.bare_end();
    if let Some((inner, tail)) = text.strip_prefix('[').and_then(|text| text.cut_at_last_byte(b']')) {
        let header = header(inner).filter(|_| matches!(tail, "" | "," | " {"))?;
        let bare = tail == " {";
        return Some(Opening { header, value: Cow::Borrowed(header.value), used: 1, bare, uncaught: false });
    }
    let header = header(text)?;
    let used = 1 + message_lines(below, ahead)?;
    Some(Opening { header, value: joined(header.value, &below[..used - 1]), used, bare: false, uncaught: false })
}

/// Lines between a header and its first frame; none if there is no frame, or something else comes first.
fn message_lines(lines: &[&str], ahead: &Ahead) -> Option<usize> {
    let another = |line: &str| header(line).is_some_and(|header| header.is_telling());
    let ends = |line: &str| is_frame(line) || is_log_head(line) || is_anyhow(line) || another(line);
    ahead.first(Sought::Node, lines, ends).filter(|end| is_frame(lines[*end]))
}

/// Below `Error: message`, Rust's `anyhow` goes on with these; its frames have places that look like V8's.
fn is_anyhow(line: &str) -> bool {
    matches!(line, "Caused by:" | "Stack backtrace:")
}

fn header(text: &str) -> Option<Header<'_>> {
    super::text::header(text, &[], ['[', ']'])
}

fn is_frame(line: &str) -> bool {
    v8_frame(line).is_some() || spidermonkey_frame(line).is_some()
}

struct Text<'l, 'a> {
    lines: &'l [&'a str],
    ahead: &'l Ahead,
    at: usize,
    chain: Chain<'a>,
    /// For each exception its stack as printed, and where how many frames of it were left out.
    stacks: Vec<(Stack<'a>, Option<(usize, usize)>)>,
    open: Vec<Block>,
    /// Some frame is a browser's.
    web: bool,
}

/// Braces or brackets that are still open.
#[derive(Clone, Copy)]
struct Block {
    indent: usize,
    owner: usize,
    array: bool,
}

impl<'a> Text<'_, 'a> {
    /// Reads an error with its stack; the text after ` {` is left to `blocks`.
    fn error(&mut self, opening: Opening<'a>, parent: Option<(usize, Relation)>) {
        let Opening { header, value, used, bare, .. } = opening;
        let ty = Cow::Borrowed(header.ty);
        let details = if header.code.is_empty() { Vec::new() } else { vec![header.code] };
        let owner = self.chain.add(Exception { ty, value, details, ..Exception::default() });
        if let Some((parent, relation)) = parent {
            self.chain.link(owner, parent, relation);
        }
        let indent = indent(self.lines[self.at]);
        self.at += used;
        let braced = self.stack();
        if bare || braced {
            self.open.push(Block { indent, owner, array: false });
        }
    }

    /// Takes frames; answers whether properties follow them.
    fn stack(&mut self) -> bool {
        let (mut stack, mut gap) = (Stack::newest_first(), None);
        let mut braced = false;
        while let Some(line) = self.lines.get(self.at).filter(|_| !braced) {
            if let Some((frame, tail)) = v8_frame(line) {
                self.web |= frame.filename.as_deref().is_some_and(is_web);
                stack.push(frame);
                braced = tail == " {";
            } else if let Some(frame) = spidermonkey_frame(line) {
                self.web = true;
                stack.push(frame);
            } else if let Some(count) = lines_left_out(line).filter(|_| gap.is_none()) {
                gap = Some((stack.frames.len(), count));
            } else {
                break;
            }
            self.at += 1;
        }
        self.stacks.push((stack, gap));
        braced
    }

    /// Takes the properties and errors in open braces and brackets; none if they are not closed.
    fn blocks(&mut self) -> Option<()> {
        while let Some(block) = self.open.last().copied() {
            let line = *self.lines.get(self.at)?;
            let (depth, text) = (indent(line), line.bare());
            let closer = if block.array { ["]", "],"] } else { ["}", "},"] };
            if depth == block.indent && closer.contains(&text) {
                self.open.pop();
                self.at += 1;
            } else if depth <= block.indent && !text.is_empty() {
                return None;
            } else if !self.inner(block, depth, line.bare_start()) {
                self.chain.0[block.owner].details.push(line);
                self.at += 1;
            }
        }
        Some(())
    }

    /// Takes a cause, or a member of an aggregate.
    fn inner(&mut self, block: Block, depth: usize, text: &'a str) -> bool {
        let below = &self.lines[self.at + 1..];
        let (text, relation) = match text.strip_prefix("[cause]: ") {
            _ if depth != block.indent + 2 => return false,
            Some(text) if !block.array => (text, Relation::Cause),
            _ if block.array => (text, Relation::Member),
            _ if text == "[errors]: [" => {
                self.open.push(Block { indent: depth, array: true, ..block });
                self.at += 1;
                return true;
            }
            _ => return false,
        };
        let Some(opening) = error_at(text, below, self.ahead) else { return false };
        self.error(opening, Some((block.owner, relation)));
        true
    }

    /// Takes a cause below the stack of the last error, as pino and VError write it: `caused by: Error: timeout`.
    fn caused(&mut self) -> bool {
        let Some(line) = self.lines.get(self.at) else { return false };
        let Some(text) = ["caused by: ", "Caused by: "].iter().find_map(|label| line.strip_prefix(label)) else {
            return false;
        };
        let below = &self.lines[self.at + 1..];
        let Some(opening) = error_at(text, below, self.ahead).filter(|opening| opening.header.is_telling()) else {
            return false;
        };
        let holder = self.chain.0.len() - 1;
        self.error(opening, Some((holder, Relation::Cause)));
        true
    }

    /// Skips the lines that Node prints at its end.
    fn epilogue(&mut self) {
        if let [blank, version, ..] = self.lines[self.at.min(self.lines.len())..]
            && blank.is_empty()
            && version.starts_with("Node.js v")
        {
            self.at += 2;
        }
    }

    /// An error that came out of the runtime itself may have no stack, but then its properties tell that it is one.
    fn is_mere_text(&self) -> bool {
        let frameless = self.stacks.iter().all(|(stack, _)| stack.frames.is_empty());
        frameless && self.chain.0[0].details.is_empty()
    }

    fn finish(mut self) -> Option<Vec<Exception<'a>>> {
        if self.stacks.len() > MAX_EXCEPTIONS {
            return None;
        }
        // A cause comes after its holder, so that its own frames are whole when the holder's are restored.
        for index in (0..self.stacks.len()).rev() {
            self.restore(index)?;
        }
        for (exception, (stack, _)) in self.chain.0.iter_mut().zip(self.stacks) {
            exception.frames = stack.finish();
        }
        self.chain.finish()
    }

    /// `... 5 lines matching cause stack trace ...` stands between two frames that the cause has as well.
    fn restore(&mut self, index: usize) -> Option<()> {
        let Some((at, count)) = self.stacks[index].1 else { return Some(()) };
        let is_cause = |e: &Exception| e.parent == Some(index) && e.relation == Relation::Cause;
        let cause = &self.stacks[self.chain.0.iter().position(is_cause)?].0.frames;
        let own = &self.stacks[index].0.frames;
        let (before, after) = (own.get(at.checked_sub(1)?)?, own.get(at)?);
        let matches = |window: &&[Frame]| window.first() == Some(before) && window.last() == Some(after);
        if count > MAX_RESTORED || own.len() > MAX_RESTORED {
            return None;
        }
        let missing = cause.windows(count + 2).find(matches)?[1..=count].to_vec();
        self.stacks[index].0.frames.splice(at..at, missing);
        Some(())
    }
}

fn lines_left_out(line: &str) -> Option<usize> {
    let (count, rest) = line.bare().strip_prefix("... ")?.cut_at_byte(b' ')?;
    (rest == "lines matching cause stack trace ...").then_some(number(count)? as usize)
}

/// Reads `at [async ]function [as name] (place)` or `at [async ]place`, and returns the frame with the text after it: ` {`,
/// `,` or nothing.
fn v8_frame(line: &str) -> Option<(Frame<'_>, &str)> {
    if indent(line) == 0 {
        return None;
    }
    let text = line.bare().strip_prefix("at ")?;
    let end = text.strip_suffix(" {").or(text.strip_suffix(',')).unwrap_or(text).len();
    let (text, tail) = text.split_at(end);
    let text = text.strip_prefix("async ").unwrap_or(text);
    let Some((function, inner)) = text.strip_suffix(')').and_then(|text| text.cut_at(" (")) else {
        return Some((place_of_frame(text, false)?, tail));
    };
    Some((Frame { function: Some(Cow::Borrowed(function)), ..place_of_frame(inner, true)? }, tail))
}

/// Returns a frame at a place: of a file, of a script without one, of `eval`, or inside of V8.
///
/// After a function any name will do, as `vm.Script` can be given; alone on its line only a text that can be nothing else.
fn place_of_frame(text: &str, named: bool) -> Option<Frame<'_>> {
    let unnamed = Frame { function: Some(UNNAMED.into()), in_app: Some(false), ..Frame::default() };
    if text == "native" {
        return Some(unnamed);
    }
    if text == "<anonymous>" || text.strip_prefix("index ").and_then(number).is_some() || text.starts_with("wasm://") {
        let in_app = Some(text.starts_with("wasm://"));
        return Some(Frame { filename: Some(Cow::Borrowed(text)), in_app, ..unnamed });
    }
    if let Some((kind, _)) = text.strip_prefix("data:").filter(|_| named).and_then(|data| data.cut_at_byte(b',')) {
        return Some(Frame { filename: Some(Cow::Owned(format!("<data:{kind}>"))), ..unnamed });
    }
    let (path, line, column) = place(text)?;
    // `eval at run (/app/a.js:1:2), <anonymous>`: the name that the SDK takes is all of it.
    if path.starts_with("eval at ") {
        let count = |byte: u8| path.bytes().filter(|b| *b == byte).count();
        let whole = count(b'(') > 0 && count(b'(') == count(b')');
        let frame = Frame { filename: Some(Cow::Borrowed(path)), lineno: Some(line), colno: column, ..unnamed };
        return whole.then_some(frame);
    }
    let known = is_path(path) || is_virtual(path) || (named && !path.holds_byte(b' '));
    column.filter(|_| known)?;
    Some(Frame { function: Some(UNNAMED.into()), ..in_file(path, line, column) })
}

/// `function@place`, with `async*` before a function that was awaited and ` line 8 > eval` after a file that evaluates.
fn spidermonkey_frame(line: &str) -> Option<Frame<'_>> {
    let (function, text) = line.bare().cut_at_byte(b'@')?;
    if function.holds_byte(b' ') {
        return None;
    }
    let function = function.strip_prefix("async*").unwrap_or(function);
    let function = (!function.is_empty()).then_some(Cow::Borrowed(function));
    if text == "[native code]" {
        return Some(Frame { function, filename: Some(Cow::Borrowed(text)), in_app: Some(false), ..Frame::default() });
    }
    let (path, line, column) = place(text)?;
    column?;
    let frame = match path.cut_at(" line ") {
        Some((path, rest)) => in_file(path, number(rest.cut_at(" > ")?.0)?, None),
        None => in_file(path, line, column),
    };
    is_path(path).then_some(Frame { function, ..frame })
}

fn in_file(text: &str, line: u32, column: Option<u32>) -> Frame<'_> {
    let in_app = Some(frames::node::in_app(text));
    match frames::node::path(text) {
        Cow::Borrowed(path) => Frame { in_app, ..Frame::in_file(path, path, Some(line), column) },
        Cow::Owned(path) => {
            let abs_path = Some(Cow::Owned(path.clone()));
            Frame {
                filename: Some(Cow::Owned(path)),
                abs_path,
                lineno: Some(line),
                colno: column,
                in_app,
                ..Frame::default()
            }
        }
    }
}

fn is_path(path: &str) -> bool {
    const KINDS: [&str; 7] = [".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".html"];
    path.holds_any(b"/\\") || path.starts_with("node:") || KINDS.iter().any(|kind| path.ends_with(kind))
}

/// Scripts without a file: of the command line, of the console, of `vm`, of Bun and Deno.
fn is_virtual(path: &str) -> bool {
    const NAMES: [&str; 8] =
        ["[eval", "[stdin]", "[worker eval]", "evalmachine.<anonymous>", "<anonymous>", "bun:", "ext:", "eval at "];
    starts_with_any(path, &NAMES) || path.strip_prefix("REPL").and_then(number).is_some() || path.starts_with("data:")
}

fn is_web(path: &str) -> bool {
    starts_with_any(path, &["http://", "https://", "webpack", "blob:", "app://", "capacitor://"])
}
