//! Reads Swift's traces: fatal errors of the runtime, and the backtraces that it prints on Linux since 5.9.
//!
//! Texts: `stdlib/public/stubs/Stubs.cpp` and `stdlib/public/libexec/swift-backtrace` of Swift.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, Reading, Stack, indent, is_log_head, number, place, starts_with_any,
};
use std::borrow::Cow;

const FATAL: &str = "Fatal error: ";
/// Between the fatal error and the frames stand the registers' names and the thread.
const MAX_TO_FRAMES: usize = 24;

pub(super) fn read<'a>(lines: &[&'a str], _: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    let value = fatal_error(line);
    let crash = crashed(line);
    if value.is_none() && crash.is_none() {
        return None;
    }
    let mut exception = Exception { ty: Cow::Borrowed("Fatal error"), ..Exception::default() };
    exception.value = Cow::Borrowed(value.or(crash).unwrap_or_default());
    let head = lines.iter().take(MAX_TO_FRAMES).skip(1).take_while(|line| !is_log_head(line));
    let found = head.clone().position(|line| frame(line).is_some());
    let backtrace = head.take(found.unwrap_or(0)).any(|line| line.ends_with("crashed:") || crashed(line).is_some());
    let Some(first) = found.filter(|_| backtrace).map(|found| found + 1) else {
        value?;
        let (exceptions, used) = (Some(Vec::new()), 1);
        return Some(Reading { platform: "cocoa", exceptions, fatal: true, used, shown: 1, ..Reading::default() });
    };
    let mut stack = Stack::newest_first();
    let (mut at, mut gap) = (first, 0);
    // Below a frame stand lines of its source.
    while let Some(line) = lines.get(at + gap).filter(|_| gap < LOOKAHEAD) {
        match frame(line) {
            Some(frame) => {
                stack.push(frame);
                (at, gap) = (at + gap + 1, 0);
            }
            None if line.trim().is_empty() || is_source(line) => gap += 1,
            None => break,
        }
    }
    exception.frames = stack.finish();
    let mut chain = Chain::default();
    chain.add(exception);
    Some(Reading {
        platform: "cocoa",
        exceptions: chain.finish(),
        fatal: true,
        used: at,
        shown: 1,
        ..Reading::default()
    })
}

/// `Fatal error: x: file shop.swift, line 7` and, since 5.4, `shop/main.swift:7: Fatal error: x`.
pub(super) fn fatal_error(line: &str) -> Option<&str> {
    if let Some(text) = line.strip_prefix(FATAL) {
        let (value, at) = text.cut_at_last(": file ")?;
        let (_, number_of_line) = at.cut_at_last(", line ")?;
        return number(number_of_line.trim_end()).map(|_| value);
    }
    let (at, value) =
        line.cut_at(": Fatal error: ").or_else(|| line.strip_suffix(": Fatal error").map(|at| (at, "")))?;
    let (path, _, column) = place(at)?;
    (path.ends_with(".swift") && column.is_none()).then_some(value)
}

/// `*** Program crashed: Illegal instruction at 0x0000557e9c2f ***`.
fn crashed(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(['*', ' ', '\u{1f4a3}']);
    Some(text.strip_prefix("Program crashed: ")?.trim_end_matches(['*', ' ']))
}

fn is_source(line: &str) -> bool {
    let text = line.trim_start();
    let numbered = text.split(['\u{2502}', '|']).next().is_some_and(|n| number(n.trim()).is_some());
    indent(line) > 0 && (numbered || text.starts_with(['\u{2502}', '|']))
}

/// `0 [inlined] Shelf.take(_:) + 20 in shop at /src/main.swift:12:9`.
fn frame(line: &str) -> Option<Frame<'_>> {
    let (index, rest) = line.trim_start().cut_at_byte(b' ')?;
    number(index)?;
    let mut rest = rest.trim_start();
    while let Some((_, after)) = rest.cut_at_byte(b' ').filter(|(mark, _)| starts_with_any(mark, &["[", "0x"])) {
        rest = after.trim_start();
    }
    let (head, at) = rest.cut_at_last(" at ").map_or((rest, None), |(head, at)| (head, place(at)));
    let (symbol, image) = head.cut_at_last(" in ")?;
    let offset = symbol.cut_at_last(" + ").filter(|(_, offset)| number(offset).is_some());
    // Without offset and place nothing says where the name ends.
    if offset.is_none() && at.is_none() {
        return None;
    }
    let symbol = offset.map_or(symbol, |(name, _)| name);
    let function = (!symbol.is_empty()).then_some(Cow::Borrowed(symbol));
    let foreign = image.holds(".so") || image.starts_with("lib");
    let (path, line, column) = at.map_or(("", None, None), |(path, line, column)| (path, Some(line), column));
    let in_app = Some(!foreign && !path.is_empty() && !path.holds("/.build/checkouts/"));
    Some(Frame { function, in_app, ..Frame::in_file(path, path, line, column) })
}
