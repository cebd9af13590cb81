//! Reads Ruby's traces: uncaught errors and `full_message` in both orders, with causes, and exceptions as `Logger` prints
//! them.

use super::find::Find;
use super::frames::ruby::in_file;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, Reading, Relation, Stack, contains_any, indent, is_log_head, joined,
    number,
};
use std::borrow::Cow;
use std::collections::HashSet;

const REVERSED: &str = "Traceback (most recent call last):";

pub(super) fn read<'a>(lines: &[&'a str], _: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    if line.bare() == REVERSED {
        return reversed(lines);
    }
    if raised(line).is_some() {
        return uncaught(lines);
    }
    logged(lines)
}

/// `path:12:in 'function': message (Type)` and `\tfrom path:12:in 'function'`; causes follow in the same form.
fn uncaught<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    let mut chain = Chain::default();
    let mut places = HashSet::new();
    let mut at = 0;
    while let Some((exception, place)) = lines.get(at).and_then(|line| raised(line)) {
        // A failed thread is reported, and once more when it is joined: that is no cause.
        if !places.insert(place.clone()) {
            break;
        }
        at += 1;
        let message = lines[at..].iter().take(LOOKAHEAD).take_while(|line| !is_log_head(line));
        let more = message.take_while(|line| raised(line).is_none()).position(|line| is_from(line)).unwrap_or(0);
        let value = joined_value(exception.value, &lines[at..at + more]);
        at += more;
        let mut stack = Stack::newest_first();
        stack.push(place);
        at += take_froms(&lines[at..], &mut stack);
        let index = chain.add(Exception { value, frames: stack.finish(), ..exception });
        if let Some(holder) = index.checked_sub(1) {
            chain.link(index, holder, Relation::Cause);
        }
    }
    let broken = lines.get(at).is_some_and(|line| is_from(line));
    Some(Reading { platform: "ruby", exceptions: chain.finish(), used: at, broken, ..Reading::default() })
}

/// `Traceback`, the frames with numbers and the oldest first, and the exception below; a cause comes first.
fn reversed<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    let mut chain = Chain::default();
    let mut at = 1;
    is_from(lines.get(1)?).then_some(())?;
    let mut whole = true;
    while whole && lines.get(at).is_some_and(|line| is_from(line)) {
        let mut stack = Stack::oldest_first();
        at += take_froms(&lines[at..], &mut stack);
        let Some((exception, place)) = lines.get(at).and_then(|line| raised(line)) else {
            whole = false;
            break;
        };
        stack.push(place);
        at += 1;
        let message = |line: &&&str| indent(line) > 0 && !is_from(line);
        let more = lines[at..].iter().take(LOOKAHEAD).take_while(message).count();
        let value = joined_value(exception.value, &lines[at..at + more]);
        at += more;
        let index = chain.add(Exception { value, frames: stack.finish(), ..exception });
        if let Some(cause) = index.checked_sub(1) {
            chain.link(cause, index, Relation::Cause);
        }
    }
    Some(Reading { platform: "ruby", exceptions: chain.finish(), used: at, broken: !whole, ..Reading::default() })
}

/// `message (Type)` or Rails's `Type (message):`, and the frames bare below.
fn logged<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
    let blank = lines.get(1).is_some_and(|line| line.bare().is_empty());
    let first = 1 + usize::from(blank);
    bare(lines.get(first)?)?;
    let line = lines[0].bare_end();
    let (ty, before, value) = named_last(line).or_else(|| named_first(line))?;
    if blank && !line.ends_with(':') {
        return None;
    }
    let mut stack = Stack::newest_first();
    let mut at = first;
    while let Some(frame) = lines.get(at).and_then(|line| bare(line)) {
        stack.push(frame);
        at += 1;
    }
    let mut chain = Chain::default();
    chain.add(Exception { value: Cow::Borrowed(value), frames: stack.finish(), ..named(ty) });
    Some(Reading { platform: "ruby", before, exceptions: chain.finish(), used: at, ..Reading::default() })
}

/// `message (Type)`; `Logger`'s own head ends with ` -- program: `.
fn named_last(line: &str) -> Option<(&str, &str, &str)> {
    // Puma: `Rack app ("GET /orders" - (10.0.0.1)): #<NoMethodError: undefined method ...>`.
    if let Some(at) = line.last_place_of("#<").filter(|_| line.ends_with('>'))
        && let Some((ty, value)) = line[at + 2..line.len() - 1].cut_at(": ").filter(|(ty, _)| is_class(ty))
    {
        return Some((ty, line[..at].trim_end_matches([' ', ':']), value));
    }
    let (text, ty) = line.strip_suffix(')')?.cut_at_last(" (")?;
    let head = text.place_of(" -- ").and_then(|dash| Some(dash + text[dash..].place_of(": ")? + 2)).unwrap_or(0);
    is_class(ty).then_some((ty, &text[..head], &text[head..]))
}

/// `Type (message):` or `Type: message`, at the head or the end of a line.
fn named_first(line: &str) -> Option<(&str, &str, &str)> {
    let start = line.match_indices(' ').map(|(at, _)| at + 1).chain([0]).filter(|&at| {
        let word = line[at..].split(' ').next().unwrap_or("");
        let word = word.strip_suffix(':').unwrap_or(word);
        is_class(word) && (word.holds("::") || word.ends_with("Error"))
    });
    let start = start.min()?;
    let (before, text) = line.split_at(start);
    if let Some((ty, value)) = text.strip_suffix("):").and_then(|text| text.cut_at(" (")) {
        return is_class(ty).then_some((ty, before, value));
    }
    let (ty, value) = text.cut_at(": ")?;
    is_class(ty).then_some((ty, before, value))
}

fn is_class(name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let plain = name.starts_with(char::is_uppercase) && name.chars().all(part) && !name.ends_with(':');
    plain || (name.starts_with("#<Class:0x") && name.ends_with('>'))
}

fn named(ty: &str) -> Exception<'_> {
    let module = ty.cut_at_last("::").map(|(module, _)| Cow::Borrowed(module));
    Exception { ty: Cow::Borrowed(ty), module, ..Exception::default() }
}

/// A line with place and message: the exception without its frames, and the frame it was raised in.
fn raised(line: &str) -> Option<(Exception<'_>, Frame<'_>)> {
    let line = line.bare_end();
    if !(line.ends_with(')') || line.ends_with("unhandled exception")) {
        return None;
    }
    let (frame, rest) = frame(line)?;
    let rest = rest.strip_prefix(": ")?;
    let Some((value, ty)) = rest.strip_suffix(')').and_then(|rest| rest.cut_at_last(" (")) else {
        let runtime = (rest == "unhandled exception").then(|| named("RuntimeError"));
        return Some((Exception { value: Cow::Borrowed(rest), ..runtime? }, frame));
    };
    is_class(ty).then(|| (Exception { value: Cow::Borrowed(value), ..named(ty) }, frame))
}

fn joined_value<'a>(first: Cow<'a, str>, rest: &[&'a str]) -> Cow<'a, str> {
    match first {
        Cow::Borrowed(first) => joined(first, rest),
        first => first,
    }
}

/// Takes `from` lines, and the one that stands for the middle of a very deep stack; answers how many.
fn take_froms<'a>(lines: &[&'a str], stack: &mut Stack<'a>) -> usize {
    let mut taken = 0;
    for line in lines {
        match from(line) {
            Some(frame) => stack.push(frame),
            None if is_levels(line) => (),
            None => break,
        }
        taken += 1;
    }
    taken
}

/// `from frame` or, oldest first, `12: from frame`.
fn from(line: &str) -> Option<Frame<'_>> {
    let text = line.bare();
    let text = text
        .cut_at(": from ")
        .filter(|(n, _)| number(n).is_some())
        .map_or(text, |_| &text[text.place_of("from ").unwrap_or(0)..]);
    bare(text.strip_prefix("from ")?)
}

fn is_from(line: &str) -> bool {
    indent(line) > 0 && (from(line).is_some() || line.bare_start().starts_with("from ") || is_levels(line))
}

/// ` ... 10067 levels...`
fn is_levels(line: &str) -> bool {
    line.bare().strip_prefix("... ").and_then(|text| text.strip_suffix(" levels...")).and_then(number).is_some()
}

/// A frame and nothing else on its line.
fn bare(line: &str) -> Option<Frame<'_>> {
    let text = line.bare();
    if let Some((frame, "")) = frame(text) {
        return Some(frame);
    }
    let (path, line) = text.cut_at_last_byte(b':')?;
    (path.ends_with(".rb") && !path.holds_byte(b' ')).then_some(in_file(path, number(line)?, None))
}

/// `path:12:in 'function'`, before 3.4 with a backtick; and the rest of the line.
fn frame(text: &str) -> Option<(Frame<'_>, &str)> {
    let (place, rest) = text.cut_at(":in ")?;
    let (path, line) = place.cut_at_last_byte(b':')?;
    let (function, rest) = rest.strip_prefix(['`', '\''])?.cut_at_byte(b'\'')?;
    let is_path = contains_any(path, &["/", ".rb", "<internal:", "(eval", "(irb"]) || path == "-e";
    (is_path && !path.holds(": ")).then_some((in_file(path, number(line)?, Some(function)), rest))
}
