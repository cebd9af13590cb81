//! Reads Python tracebacks as the library `rich` prints them: a box for each exception, frames with their source, and the
//! message below.
//!
//! Text: `rich/traceback.py`.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, Reading, Relation, Sought, Stack, frames, number, place, starts_with_any,
};
use std::borrow::Cow;

const TITLE: &str = "Traceback (most recent call last)";
/// Characters at the left of a box: of its lines, and of its lower edge.
const SIDES: [char; 2] = ['\u{2502}', '|'];
const CORNERS: [char; 3] = ['\u{2570}', '\u{2514}', '+'];
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    let before = top(line)?;
    let mut chain = Chain::default();
    let (mut at, mut last) = (0, None);
    let whole = loop {
        let Some((exception, used)) = boxed(&lines[at..], ahead) else { break false };
        at += used;
        let index = chain.add(exception);
        if let Some((held, relation)) = last {
            chain.link(held, index, relation);
        }
        let blank = |at: usize| lines.get(at).is_some_and(|line| line.trim().is_empty());
        let relation = match lines.get(at + 1).map(|line| line.trim()) {
            Some(CAUSE) => Relation::Cause,
            Some(CONTEXT) => Relation::Context,
            _ => break true,
        };
        let next = at + 2 + usize::from(blank(at + 2));
        if !blank(at) || lines.get(next).is_none_or(|line| top(line).is_none()) {
            break true;
        }
        (at, last) = (next, Some((index, relation)));
    };
    let mut exceptions = chain.finish();
    frames::python::complete(exceptions.as_deref_mut().unwrap_or_default());
    Some(Reading { platform: "python", before, exceptions, used: at.max(1), broken: !whole, ..Reading::default() })
}

/// Returns the text before the upper edge of a box with the title, in Unicode or plain characters.
fn top(line: &str) -> Option<&str> {
    let at = line.place_of(TITLE)?;
    let edge = line[..at].find(['\u{256d}', '\u{250c}', '+'])?;
    let drawn = |text: &str| {
        !text.is_empty() && text.chars().all(|c| matches!(c, '\u{2500}' | '-' | ' ' | '\u{256d}' | '\u{250c}' | '+'))
    };
    drawn(line[edge..at].trim()).then_some(&line[..edge])
}

/// One box with the message below it, and the number of their lines.
fn boxed<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<(Exception<'a>, usize)> {
    top(lines.first()?)?;
    let edge = 1 + ahead.within(Sought::RichEdge, &lines[1..], |line| !line.trim().starts_with(SIDES))?;
    lines[edge].trim().starts_with(CORNERS).then_some(())?;
    let (ty, value) = super::python::typed(lines.get(edge + 1)?)?;
    let mut stack = Stack::oldest_first();
    let mut open: Option<Frame<'a>> = None;
    for line in &lines[1..edge] {
        let inner = line.trim().strip_prefix(SIDES).unwrap_or_default();
        let inner = inner.strip_suffix(['\u{2502}', '|']).unwrap_or(inner).trim();
        if let Some(frame) = frame(inner) {
            open.replace(frame).into_iter().for_each(|frame| stack.push(frame));
        } else if let (Some(frame), Some(code)) = (&mut open, inner.strip_prefix(['\u{2771}', '>']))
            && let Some((_, code)) = code.trim_start().cut_at_byte(b' ').filter(|(n, _)| number(n) == frame.lineno)
        {
            frame.context_line = Some(Cow::Borrowed(code.trim_start_matches(['\u{2502}', ' ']).trim_end()));
        }
    }
    open.into_iter().for_each(|frame| stack.push(frame));
    let at = edge + 1;
    let more = lines[at + 1..].iter().take(LOOKAHEAD).take_while(|line| starts_with_any(line, &["  ", "\t"])).count();
    let value = super::joined(value, &lines[at + 1..=at + more]);
    Some((Exception { value, frames: stack.finish(), ..super::python::named(ty) }, at + 1 + more))
}

/// `/app/shop.py:12 in take`.
fn frame(text: &str) -> Option<Frame<'_>> {
    let (at, function) = text.cut_at(" in ")?;
    let (path, line, None) = place(at)? else { return None };
    let named = !function.is_empty() && !function.holds_byte(b' ');
    let is_path = path.ends_with(".py") || path.starts_with(['/', '<']) || path.holds(":\\");
    (named && is_path && !path.holds_byte(b' '))
        .then(|| Frame { function: Some(Cow::Borrowed(function)), ..Frame::in_file(path, path, Some(line), None) })
}
