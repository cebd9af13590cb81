//! Reads Rust's traces: panics of all formats, with and without backtrace, and `anyhow` errors that carry a backtrace.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, Reading, Relation, Sought, Stack, after_any, contains_any, indent,
    is_log_head, joined, number, place, starts_with_any, starts_with_sorted,
};
use std::borrow::Cow;

/// Sorted. Symbols of the standard library, the C library, and the runtimes below most services.
pub(super) const LIBRARIES: [&str; 22] = [
    "<&dyn core::",
    "<&mut ",
    "<E as anyhow::",
    "<F as core::",
    "<T as core::",
    "<alloc::",
    "<core::",
    "<std::",
    "<tokio::",
    "<unknown>",
    "__",
    "_start",
    "alloc::",
    "anyhow::",
    "backtrace::",
    "core::",
    "futures",
    "hyper::",
    "rayon",
    "rust_begin_unwind",
    "std::",
    "tokio::",
];

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    match line.strip_prefix("thread '") {
        Some(rest) => panic(lines, rest, ahead),
        None => error(lines, line.strip_prefix("Error: ")?, ahead),
    }
}

/// `thread 'main' panicked at src/main.rs:1:2:` with the message below; until 1.72 `panicked at 'message', src/main.rs:1:2`.
fn panic<'a>(lines: &[&'a str], rest: &'a str, ahead: &Ahead) -> Option<Reading<'a>> {
    let (name, rest) = rest.cut_at("' ")?;
    let rest = match rest.strip_prefix('(').and_then(|rest| rest.cut_at(") ")) {
        Some((id, rest)) if number(id).is_some() => rest,
        _ => rest,
    };
    let text = rest.strip_prefix("panicked at ")?;
    let (value, at, mut used) = new_message(lines, text).or_else(|| old_message(lines, text, ahead))?;
    let mut frames = Stack::newest_first();
    let mut broken = false;
    used += notes(&lines[used..]);
    if lines.get(used) == Some(&"stack backtrace:") {
        used += 1;
        used += backtrace(&lines[used..], &mut frames);
        broken = frames.frames.is_empty() || lines.get(used).is_some_and(|line| looks_like_more(line));
        used += notes(&lines[used..]);
    }
    if frames.frames.is_empty() {
        frames.push(at);
    }
    let mut chain = Chain::default();
    let (ty, thread) = (Cow::Borrowed("panic"), Some(Cow::Borrowed(name)));
    chain.add(Exception { ty, value, thread, frames: frames.finish(), ..Exception::default() });
    Some(Reading { platform: "native", fatal: true, exceptions: chain.finish(), used, broken, ..Reading::default() })
}

/// Message and place, and the number of lines they take.
type Message<'a> = (Cow<'a, str>, Frame<'a>, usize);

fn new_message<'a>(lines: &[&'a str], text: &'a str) -> Option<Message<'a>> {
    let at = located(text.strip_suffix(':')?)?;
    let near = lines[1..].iter().take(LOOKAHEAD).take_while(|line| !is_log_head(line) && !line.starts_with("thread '"));
    let end = near.clone().position(|line| is_note(line) || *line == "stack backtrace:");
    // Only the first panic of a process has a note below; without it, nothing but its looks tells what is message.
    let looks = || near.clone().count().min(1) + near.skip(1).take_while(|line| indent(line) > 0).count();
    let count = end.unwrap_or_else(looks);
    let value = match &lines[1..=count] {
        [] => Cow::Borrowed(""),
        [first, rest @ ..] => joined(first, rest),
    };
    Some((value, at, 1 + count))
}

fn old_message<'a>(lines: &[&'a str], text: &'a str, ahead: &Ahead) -> Option<Message<'a>> {
    let text = text.strip_prefix('\'')?;
    fn end(line: &str) -> Option<(&str, Frame<'_>)> {
        line.cut_at_last("', ").and_then(|(value, at)| Some((value, located(at)?)))
    }
    if let Some((value, at)) = end(text) {
        return Some((Cow::Borrowed(value), at, 1));
    }
    let below = &lines[1..lines.len().min(LOOKAHEAD)];
    let more = ahead.within(Sought::RustPlace, below, |line| end(line).is_some())?;
    let (last, at) = end(below[more])?;
    let middle: Vec<_> = below[..more].iter().copied().chain([last]).collect();
    Some((joined(text, &middle), at, more + 2))
}

/// The place of a panic, which is all there is when no backtrace was asked for.
fn located(text: &str) -> Option<Frame<'_>> {
    let (path, line, column) = place(text)?;
    (column.is_some() && !path.holds_byte(b'\'')).then(|| in_file(None, path, line, column))
}

fn is_note(line: &str) -> bool {
    line.starts_with("note: ")
}

/// Lines of advice below a panic, and the last word of a process that could not unwind.
fn notes(lines: &[&str]) -> usize {
    let last = |line: &str| line.starts_with("thread ") && line.ends_with("aborting.");
    lines.iter().take_while(|line| is_note(line) || last(line)).count()
}

/// An `anyhow` error that left `main`: causes by number, and a backtrace, without which this could be anybody's text.
fn error<'a>(lines: &[&'a str], text: &'a str, ahead: &Ahead) -> Option<Reading<'a>> {
    let is_stack = |line: &str| line == "Stack backtrace:";
    let stack = ahead.first(Sought::RustStack, lines, |line| is_stack(line) || is_log_head(line))?;
    is_stack(lines[stack]).then_some(())?;
    let head = lines[..stack].iter().position(|line| *line == "Caused by:").unwrap_or(stack);
    let mut chain = Chain::default();
    let value = joined(text, &lines[1..head]);
    let value = match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.bare_end()),
        value => value,
    };
    let mut used = stack + 1;
    let mut frames = Stack::newest_first();
    used += backtrace(&lines[used..], &mut frames);
    let broken = frames.frames.is_empty() || lines.get(used).is_some_and(|line| looks_like_more(line));
    let ty = || Cow::Borrowed("Error");
    let mut last = chain.add(Exception { ty: ty(), value, frames: frames.finish(), ..Exception::default() });
    for value in causes(lines.get(head + 1..stack).unwrap_or(&[])) {
        let cause = chain.add(Exception { ty: ty(), value, ..Exception::default() });
        chain.link(cause, last, Relation::Cause);
        last = cause;
    }
    Some(Reading { platform: "native", exceptions: chain.finish(), used, broken, ..Reading::default() })
}

/// `    0: message` each, or a single one without number; further lines of a message are indented.
fn causes<'a>(lines: &[&'a str]) -> Vec<Cow<'a, str>> {
    let mut causes: Vec<Cow<str>> = Vec::new();
    for line in lines.iter().map(|line| line.bare()).filter(|line| !line.is_empty()) {
        let numbered = line.cut_at(": ").filter(|(n, _)| number(n) == Some(causes.len() as u32));
        match (numbered, causes.last_mut()) {
            (Some((_, value)), _) => causes.push(Cow::Borrowed(value)),
            (None, Some(last)) => *last = Cow::Owned(format!("{last}\n{line}")),
            (None, None) => causes.push(Cow::Borrowed(line)),
        }
    }
    causes
}

/// Takes the frames of a backtrace; answers how many lines.
fn backtrace<'a>(lines: &[&'a str], stack: &mut Stack<'a>) -> usize {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if line.bare_start().starts_with("[... omitted ") {
            at += 1;
            continue;
        }
        let Some(symbol) = symbol(line) else { break };
        let below = lines.get(at + 1).and_then(|line| line.bare_start().strip_prefix("at ")).and_then(place);
        match below {
            Some((path, line, column)) => stack.push(in_file(Some(symbol), path, line, column)),
            None => {
                let function = plain(symbol);
                stack.push(Frame {
                    in_app: Some(is_app(&function, None)),
                    function: Some(function),
                    ..Frame::default()
                });
            }
        }
        at += 1 + usize::from(below.is_some());
    }
    at
}

/// `12: symbol` or, in full, `12:     0x55c5fb21952a - symbol`.
fn symbol(line: &str) -> Option<&str> {
    let (index, symbol) = line.bare_end().trim_start_matches(' ').cut_at(": ")?;
    number(index)?;
    let symbol = symbol.bare_start();
    let symbol = match symbol.strip_prefix("0x") {
        Some(addressed) => addressed.cut_at(" - ")?.1,
        None => symbol,
    };
    (indent(line) > 0 && !symbol.is_empty() && is_whole(symbol)).then_some(symbol)
}

/// Returns true if all brackets are closed: a symbol that was cut off is not whole.
fn is_whole(symbol: &str) -> bool {
    let (mut square, mut curly, mut angle, mut before) = (0_i32, 0_i32, 0_i32, 0);
    for byte in symbol.bytes() {
        match byte {
            b'[' => square += 1,
            b']' => square -= 1,
            b'{' => curly += 1,
            b'}' => curly -= 1,
            b'<' => angle += 1,
            b'>' if before != b'-' => angle -= 1,
            _ => {}
        }
        before = byte;
    }
    square == 0 && curly == 0 && angle == 0
}

fn looks_like_more(line: &str) -> bool {
    let text = line.bare_start();
    let numbered = text.cut_at_byte(b':').is_some_and(|(index, _)| number(index).is_some());
    text.len() < line.len() && (text.starts_with("at ") || numbered)
}

fn in_file<'a>(symbol: Option<&'a str>, path: &'a str, line: u32, column: Option<u32>) -> Frame<'a> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let short = match path.cut_at("/registry/src/") {
        Some((_, rest)) => rest.cut_at_byte(b'/').map_or(rest, |(_, rest)| rest),
        None => after_any(path, &["/git/checkouts/"]),
    };
    let short = path.strip_prefix("/rustc/").and_then(|rest| rest.cut_at_byte(b'/')).map_or(short, |(_, rest)| rest);
    let function = symbol.map(plain);
    Frame {
        in_app: Some(is_app(function.as_deref().unwrap_or(""), Some(path))),
        function,
        ..Frame::in_file(path, short, Some(line), column)
    }
}

fn is_app(symbol: &str, path: Option<&str>) -> bool {
    const ELSEWHERE: [&str; 7] =
        ["/rustc/", "/registry/src/", "/git/checkouts/", "/rustlib/src/", "/vendor/", "library/std/", "./csu/"];
    // Without a path, `main` is the C library's way in.
    let foreign =
        path.map_or(symbol == "main", |path| contains_any(path, &ELSEWHERE) || starts_with_any(path, &["../"]));
    !foreign && !starts_with_sorted(symbol, &LIBRARIES)
}

/// Returns a symbol without the parts that change with each build: the hash at its end, the numbers of its crates.
fn plain(symbol: &str) -> Cow<'_, str> {
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let symbol = symbol.cut_at_last("::h").filter(|(_, hash)| is_hex(hash, 16)).map_or(symbol, |(symbol, _)| symbol);
    // A crate is followed by what it is the crate of.
    let is_number = |hash: &str, rest: &str| {
        (8..=16).contains(&hash.len()) && is_hex(hash, hash.len()) && (rest.is_empty() || rest.starts_with("::"))
    };
    let mut parts = symbol.split('[');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.cut_at_byte(b']') {
            Some((hash, rest)) if is_number(hash, rest) => text.push_str(rest),
            _ => text.extend(["[", part]),
        }
    }
    if text.len() == symbol.len() { Cow::Borrowed(symbol) } else { Cow::Owned(text) }
}
