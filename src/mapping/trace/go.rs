//! Reads Go's traces: panics and fatal errors with their goroutines, stacks printed by `debug.Stack`, and errors of
//! `pkg/errors` printed with `%+v`.

use super::find::Find;
use super::frames;
use super::{
    Ahead, Chain, Exception, Frame, Reading, Relation, Sought, Stack, Thread, contains_any, is_log_head, joined,
    number, place, starts_with_any,
};
use std::borrow::Cow;

/// Most lines of a message that `pkg/errors` may print between two stacks.
const WRAP_LINES: usize = 8;

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    const PANICS: [&str; 5] = ["panic: ", "fatal error: ", "runtime: ", "unexpected fault address ", "SIG"];
    let line = *lines.first()?;
    if starts_with_any(line, &PANICS) {
        return panic(lines, ahead);
    }
    if line.holds("[Recovery] ") && line.holds("panic recovered:") {
        return gin(lines, ahead);
    }
    if goroutine(line).is_some() {
        return recovered((lines, ahead), 0, "", "");
    }
    let dumped = lines.get(1).is_some_and(|line| line.starts_with("goroutine "));
    if dumped && let Some((before, served)) = line.cut_at("http: panic serving ") {
        let value = served.cut_at(": ").map_or("", |(_, value)| value);
        let before = if value.is_empty() { before } else { &line[..line.len() - value.len()] };
        return recovered((lines, ahead), 1, before, value);
    }
    wrapped(lines)
}

/// Reads the end of a program: its message, a blank line, and its goroutines.
fn panic<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let dump = ahead.first(Sought::Goroutine, lines, |line| goroutine(line).is_some())?;
    let above = &lines[..dump];
    let is_cause = |line: &str| cause(line).is_some();
    if ahead.within(Sought::LogHead, above, is_log_head).is_some()
        || ahead.within(Sought::GoCause, above, is_cause).is_none()
    {
        return None;
    }
    let mut goroutines = Goroutines::read(lines, dump, ahead)?;
    let mut exceptions = causes(above);
    let (last, first) = (exceptions.last_mut()?, goroutines.threads.first()?);
    last.thread = Some(Cow::Borrowed(first.id));
    last.details.append(&mut goroutines.details);
    last.frames = goroutines.threads.remove(0).frames;
    frames::go::shorten_closures(&mut last.frames);
    let mut chain = Chain::default();
    for exception in exceptions {
        let index = chain.add(exception);
        if let Some(before) = index.checked_sub(1) {
            chain.link(before, index, Relation::Context);
        }
    }
    Some(Reading { fatal: true, ..goroutines.reading(chain) })
}

/// One exception for each `panic:` or `fatal error:` line; a panic while panicking stands below the first.
fn causes<'a>(lines: &[&'a str]) -> Vec<Exception<'a>> {
    let mut found: Vec<Exception> = Vec::new();
    let mut early = Vec::new();
    for line in lines.iter().copied().filter(|line| !line.bare().is_empty()) {
        if let Some((ty, value)) = cause(line) {
            // Two threads may notice the same thing.
            if let Some(last) =
                found.last_mut().filter(|last| last.ty == ty && last.value == value && !line.starts_with('\t'))
            {
                last.details.push(line);
                continue;
            }
            let details = std::mem::take(&mut early);
            found.push(Exception {
                ty: Cow::Borrowed(ty),
                value: Cow::Borrowed(value),
                details,
                ..Exception::default()
            });
            continue;
        }
        match found.last_mut() {
            Some(last) if line.starts_with("[signal ") || line.starts_with("PC=") => last.details.push(line),
            Some(last) => last.value = joined_value(&last.value, line),
            None => early.push(line),
        }
    }
    found
}

fn joined_value<'a>(value: &str, line: &'a str) -> Cow<'a, str> {
    Cow::Owned(format!("{value}\n{}", line.strip_prefix('\t').unwrap_or(line)))
}

/// `panic: value [recovered]`, `fatal error: value`, `SIGQUIT: quit`.
fn cause(line: &str) -> Option<(&str, &str)> {
    let (ty, value) = line.bare_start().cut_at(": ")?;
    let value =
        ["[recovered, repanicked]", "[recovered]"].iter().find_map(|end| value.strip_suffix(end)).unwrap_or(value);
    let value = value.bare_end();
    match ty {
        "panic" => Some((frames::go::type_of_panic(value).unwrap_or(ty), value)),
        "fatal error" => Some((ty, value)),
        _ if line.starts_with("SIG") && ty.bytes().all(|b| b.is_ascii_uppercase()) => Some((ty, value)),
        _ => None,
    }
}

/// A stack printed by `debug.Stack` after a recovery; the program goes on.
fn recovered<'a>(
    (lines, ahead): (&[&'a str], &Ahead),
    dump: usize,
    before: &'a str,
    value: &'a str,
) -> Option<Reading<'a>> {
    goroutine(lines.get(dump)?)?;
    let mut goroutines = Goroutines::read(lines, dump, ahead)?;
    let Thread { id, mut frames, .. } = goroutines.threads.remove(0);
    let is_panic = |frame: &Frame| frame.module.is_none() && frame.function.as_deref() == Some("panic");
    let panic = frames.iter().rposition(is_panic);
    // What ran after the panic is the recovery, not the failure.
    for frame in frames.iter_mut().skip(panic.unwrap_or(usize::MAX)) {
        frame.in_app = Some(false);
    }
    let ty = frames::go::type_of_panic(value).unwrap_or(if panic.is_some() { "panic" } else { "error" });
    frames::go::shorten_closures(&mut frames);
    let details = std::mem::take(&mut goroutines.details);
    let (ty, value, thread) = (Cow::Borrowed(ty), Cow::Borrowed(value), Some(Cow::Borrowed(id)));
    let mut chain = Chain::default();
    chain.add(Exception { ty, value, frames, thread, details, ..Exception::default() });
    Some(Reading { before, ..goroutines.reading(chain) })
}

/// Returns the reading of the output of gin's recovery (`recovery.go`): the request's head unless gin runs in release mode,
/// the error, and for each frame its place with the source below.
fn gin<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let at = ahead.first(Sought::GinPlace, lines, |line| gin_place(line).is_some())?;
    let message = lines[1..at].iter().rev().map(|line| line.bare()).find(|line| !line.is_empty())?;
    let mut stack = Stack::newest_first();
    let mut used = at;
    while let Some((path, line)) = lines.get(used).and_then(|line| gin_place(line)) {
        let Some((function, source)) = lines.get(used + 1).and_then(|line| line.strip_prefix('\t')?.cut_at(": "))
        else {
            break;
        };
        // The package is not printed.
        let frame = frames::go::frame(function, path, line);
        let own = !contains_any(path, &["/pkg/mod/", "/usr/local/go/src/", "/usr/lib/go", "/vendor/"]);
        stack.push(Frame {
            function: Some(Cow::Borrowed(function)),
            module: None,
            context_line: Some(Cow::Borrowed(source.bare())).filter(|_| source != "???"),
            in_app: Some(own),
            ..frame
        });
        used += 2;
    }
    let frames = stack.finish();
    if frames.is_empty() {
        return None;
    }
    let mut chain = Chain::default();
    let ty = Cow::Borrowed(frames::go::type_of_panic(message).unwrap_or("panic"));
    chain.add(Exception { ty, value: Cow::Borrowed(message), frames, ..Exception::default() });
    Some(Reading { platform: "go", exceptions: chain.finish(), used, shown: at, ..Reading::default() })
}

/// `/src/stock/shelf.go:17 (0x7a1c51)`.
fn gin_place(line: &str) -> Option<(&str, u32)> {
    let (at, address) = line.cut_at(" (0x")?;
    let (path, line, column) = place(at)?;
    (address.ends_with(')') && path.ends_with(".go") && column.is_none()).then_some((path, line))
}

/// All goroutines of a dump, the one that failed first.
struct Goroutines<'a> {
    threads: Vec<Thread<'a>>,
    /// Lines that name the place in which the first goroutine was created.
    details: Vec<&'a str>,
    /// The line after the last.
    at: usize,
    broken: bool,
}

impl<'a> Goroutines<'a> {
    /// None: there is no goroutine among them, only the stack of the scheduler.
    fn read(lines: &[&'a str], at: usize, ahead: &Ahead) -> Option<Self> {
        if ahead.is_passed(Sought::Thread, &lines[at..]) {
            return None;
        }
        let mut all = Self { threads: Vec::new(), details: Vec::new(), at, broken: false };
        while let Some((id, state)) = lines.get(all.at).and_then(|line| goroutine(line)) {
            all.at += 1;
            let frames = all.stack(lines);
            // The stack of the scheduler says nothing of the program.
            if !id.is_empty() {
                all.threads.push(Thread { id, state, frames });
            }
            let next = lines.get(all.at + 1).is_some_and(|line| goroutine(line).is_some());
            if next && lines[all.at].is_empty() {
                all.at += 1;
            }
        }
        if all.threads.is_empty() {
            ahead.pass(Sought::Thread, &lines[at..all.at]);
            return None;
        }
        all.epilogue(lines);
        Some(all)
    }

    fn stack(&mut self, lines: &[&'a str]) -> Vec<Frame<'a>> {
        let mut stack = Stack::newest_first();
        while let Some(line) = lines.get(self.at).copied() {
            let below = lines.get(self.at + 1).copied().unwrap_or("");
            if let Some(frame) = frame(line, below) {
                stack.push(frame);
                self.at += 2;
            } else if line.starts_with("created by ") && position(below).is_some() {
                if self.threads.is_empty() {
                    self.details.extend([line, below]);
                }
                self.at += 2;
            } else if is_remark(line) {
                self.at += 1;
            } else {
                self.broken |= line.starts_with("created by ") || position(below).is_some() || is_call(line);
                break;
            }
        }
        stack.finish()
    }

    /// Registers after a signal, and the last word of `go run`.
    fn epilogue(&mut self, lines: &[&str]) {
        let register = |line: &&&str| {
            let mut words = line.split_ascii_whitespace();
            let (name, value, end) = (words.next(), words.next(), words.next());
            name.is_some() && value.is_some_and(|value| value.starts_with("0x")) && end.is_none()
        };
        let rest = &lines[self.at..];
        if rest.first().is_some_and(|line| line.is_empty()) && rest.get(1).iter().any(register) {
            self.at += 1 + rest[1..].iter().take_while(register).count();
        }
        self.at += usize::from(lines.get(self.at).is_some_and(|line| line.starts_with("exit status ")));
    }

    fn reading(self, chain: Chain<'a>) -> Reading<'a> {
        let (exceptions, used) = (chain.finish(), self.at);
        Reading { platform: "go", exceptions, threads: self.threads, used, broken: self.broken, ..Reading::default() }
    }
}

/// `goroutine 7 [chan receive, 5 minutes]:`, in newer ones with addresses before the state; or the scheduler's stack.
fn goroutine(line: &str) -> Option<(&str, &str)> {
    if line == "runtime stack:" {
        return Some(("", ""));
    }
    let (id, rest) = line.strip_prefix("goroutine ")?.cut_at_byte(b' ')?;
    let (_, state) = rest.strip_suffix("]:")?.cut_at_byte(b'[')?;
    number(id).map(|_| (id, state))
}

/// Returns true if a line begins as a frame does.
fn is_call(line: &str) -> bool {
    line.cut_at_byte(b'(').is_some_and(|(name, _)| name.holds_byte(b'.') && !name.holds_byte(b' '))
}

fn is_remark(line: &str) -> bool {
    let elided = line.starts_with("...") && line.ends_with(" frames elided...");
    elided || line.bare_start().starts_with("goroutine running on other thread")
}

/// `package.Function(arguments)` and below it `\t/path/file.go:12 +0x1d`.
fn frame<'a>(line: &'a str, below: &'a str) -> Option<Frame<'a>> {
    let (name, _) = line.strip_suffix(')')?.cut_at_last_byte(b'(')?;
    function(name, position(below)?)
}

/// `\t/path/file.go:12`, with the offset in the function or nothing behind it.
fn position(line: &str) -> Option<(&str, u32)> {
    let text = line.strip_prefix('\t').or(line.strip_prefix("    "))?.bare();
    let end = text.place_of(" +0x").or(text.place_of(" fp=0x")).unwrap_or(text.len());
    let (path, line, column) = place(&text[..end])?;
    let is_source = contains_any(path, &[".go", ".s", ".c", "<autogenerated>", "??", "_cgo_"]);
    (is_source && column.is_none()).then_some((path, line))
}

fn function<'a>(name: &'a str, (path, line): (&'a str, u32)) -> Option<Frame<'a>> {
    (!name.is_empty() && !name.holds_any(b" \t\"")).then(|| frames::go::frame(name, path, line))
}

/// An error of `pkg/errors`: message, stack, the message around it, its stack. The innermost comes first.
fn wrapped<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    let bare = |at: usize| {
        let (line, below) = (lines.get(at)?, lines.get(at + 1)?);
        // With arguments it would be a goroutine's.
        function(line, position(below)?).filter(|_| !line.ends_with(')'))
    };
    let mut chain = Chain::default();
    let mut at = if bare(0).is_some() { 0 } else { 1 };
    bare(at)?;
    let announced = at == 1 && is_log_head(lines[0]);
    let mut value = if at == 0 || announced { Cow::Borrowed("") } else { Cow::Borrowed(lines[0].bare()) };
    loop {
        let mut stack = Stack::newest_first();
        while let Some(frame) = bare(at) {
            stack.push(frame);
            at += 2;
        }
        let mut frames = stack.finish();
        frames::go::shorten_closures(&mut frames);
        let index = chain.add(Exception { ty: Cow::Borrowed("error"), value, frames, ..Exception::default() });
        if let Some(inner) = index.checked_sub(1) {
            chain.link(inner, index, Relation::Cause);
        }
        let near = (at..lines.len().min(at + WRAP_LINES)).take_while(|&line| !is_log_head(lines[line]));
        let Some(next) = near.skip(1).find(|&line| bare(line).is_some()) else { break };
        value = joined(lines[at], &lines[at + 1..next]);
        at = next;
    }
    let before = if announced { lines[0] } else { "" };
    Some(Reading { platform: "go", before, exceptions: chain.finish(), used: at, ..Reading::default() })
}
