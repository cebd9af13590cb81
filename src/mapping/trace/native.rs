//! Reads crash reports of C and C++: the message of `std::terminate`, and the reports of the sanitizers.
//!
//! Texts: `libsupc++/vterminate.cc` of GCC, `cxa_default_handlers.cpp` of LLVM's libc++abi, and `sanitizer_common` of
//! compiler-rt.

use super::find::Find;
use super::{Ahead, Chain, Exception, Frame, Reading, Stack, contains_any, indent, number, place, starts_with_any};
use std::borrow::Cow;

/// Longest report of a sanitizer, in lines; the shadow bytes at its end are some forty.
const MAX_REPORT: usize = 512;
/// Most lines below `terminate called` in which the shell's last word may stand: a message has lines of its own.
const MAX_WHAT: usize = 8;
const TERMINATE: [&str; 4] = [
    "terminate called after throwing an instance of ",
    "terminate called without an active exception",
    "terminate called recursively",
    "libc++abi: terminating ",
];

pub(super) fn read<'a>(lines: &[&'a str], _: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    if starts_with_any(line, &TERMINATE) || line.starts_with("libc++abi.dylib: terminating ") {
        return Some(terminated(lines));
    }
    let ruled = line.len() >= 20 && line.bytes().all(|byte| byte == b'=');
    let head = usize::from(ruled);
    sanitizer(lines.get(head)?).and_then(|(name, value)| report(lines, head, name, value))
}

/// Returns true if a line alone tells of a program's end.
pub(super) fn is_end(line: &str) -> bool {
    starts_with_any(line, &TERMINATE)
}

fn terminated<'a>(lines: &[&'a str]) -> Reading<'a> {
    let is_last = |line: &&str| line.starts_with("Aborted");
    let what = usize::from(lines.get(1).is_some_and(|line| line.starts_with("  what():")));
    let last = lines.iter().take(MAX_WHAT).skip(1 + what).position(is_last);
    let used = match last {
        // What a message has besides its first line.
        Some(more) if what == 1 => 2 + what + more,
        Some(0) => 2,
        _ => 1 + what,
    };
    Reading { platform: "native", exceptions: Some(Vec::new()), fatal: true, used, shown: used, ..Reading::default() }
}

/// Reads `==239649==ERROR: AddressSanitizer: heap-use-after-free on address ...`: the sanitizer's name and its finding.
fn sanitizer(line: &str) -> Option<(&str, &str)> {
    let (pid, rest) = line.strip_prefix("==")?.cut_at("==")?;
    number(pid)?;
    let text = rest.strip_prefix("ERROR: ").or_else(|| rest.strip_prefix("WARNING: "))?;
    let (name, value) = text.cut_at(": ")?;
    (name.ends_with("Sanitizer") && !name.holds_byte(b' ')).then_some((name, value))
}

fn report<'a>(lines: &[&'a str], head: usize, name: &'a str, value: &'a str) -> Option<Reading<'a>> {
    let mut stack = Stack::newest_first();
    let near = &lines[..lines.len().min(MAX_REPORT)];
    let first = near.iter().skip(head + 1).take(8).position(|line| frame(line).is_some())? + head + 1;
    let mut at = first;
    while let Some(frame) = near.get(at).and_then(|line| frame(line)) {
        stack.push(frame);
        at += 1;
    }
    let mut chain = Chain::default();
    let (ty, value) = (Cow::Borrowed(name), Cow::Borrowed(value));
    chain.add(Exception { ty, value, frames: stack.finish(), ..Exception::default() });
    // Without the summary the report was cut, or something else stands in between: then only the stack is sure.
    let summary = near[at..].iter().position(|line| line.starts_with("SUMMARY: "));
    let used = summary.map_or(at, |summary| after_shadow(near, at + summary + 1));
    let exceptions = chain.finish();
    Some(Reading { platform: "native", exceptions, fatal: true, used, shown: head + 1, ..Reading::default() })
}

/// The line after the shadow bytes that may follow the summary.
fn after_shadow(lines: &[&str], mut at: usize) -> usize {
    let is_shadow = |line: &str| {
        starts_with_any(line, &["Shadow ", "  ", "=>", "==", "HINT: ", "This frame has "]) && !line.is_empty()
    };
    while lines.get(at).is_some_and(|line| is_shadow(line)) {
        at += 1;
    }
    at
}

/// `#0 0x62079ba41327 in main /src/uaf.c:9:5`, with or without address, place and module.
fn frame(line: &str) -> Option<Frame<'_>> {
    let (index, rest) = line.trim().strip_prefix('#').filter(|_| indent(line) > 0)?.cut_at_byte(b' ')?;
    number(index)?;
    let rest = rest.trim_start();
    let rest = if rest.starts_with("0x") { rest.cut_at_byte(b' ')?.1.trim_start() } else { rest };
    let rest = rest.strip_prefix("in ").unwrap_or(rest);
    let rest = rest.cut_at(" (BuildId: ").map_or(rest, |(rest, _)| rest);
    let module = rest.strip_suffix(')').and_then(|text| text.cut_at_last_byte(b'('));
    let (rest, in_module) = match module {
        Some((rest, module)) if module.holds("+0x") => (rest.trim_end(), true),
        _ => (rest, false),
    };
    let file = rest.last_place_of(" /").or(rest.last_place_of(" ../")).or_else(|| rest.last_place_of(" "));
    let file = file.filter(|at| {
        let text = &rest[at + 1..];
        text.starts_with(['/', '.']) || place(text).is_some_and(|(path, ..)| path.holds_byte(b'.'))
    });
    let (function, path) = file.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    let function = (!function.is_empty()).then_some(Cow::Borrowed(function));
    let (path, line, column) = match path {
        Some(path) => place(path).map_or((path, None, None), |(path, line, column)| (path, Some(line), column)),
        None if function.is_none() && !in_module => return None,
        None => return Some(Frame { function, in_app: Some(false), ..Frame::default() }),
    };
    const FOREIGN: [&str; 6] = ["../", "sanitizer", "compiler-rt", "/usr/include/", "/usr/lib/", "/build/glibc"];
    const RUNTIME: [&str; 5] = ["__", "_start", "std::", "operator new", "operator delete"];
    let own = !contains_any(path, &FOREIGN) && !function.as_deref().is_some_and(|name| starts_with_any(name, &RUNTIME));
    Some(Frame { function, in_app: Some(own), ..Frame::in_file(path, path, line, column) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_form() {
        for (line, function, file, lineno, in_app) in [
            ("    #0 0x62079ba41327 in main /src/uaf.c:9", Some("main"), Some("/src/uaf.c"), Some(9), true),
            (
                "    #1 0x7f6f in __libc_start_main ../csu/libc-start.c:308",
                Some("__libc_start_main"),
                Some("../csu/libc-start.c"),
                Some(308),
                false,
            ),
            (
                "    #2 0x4f in shop::take(int, std::vector<int>) /src/a b/shelf.cc:7:3",
                Some("shop::take(int, std::vector<int>)"),
                Some("/src/a b/shelf.cc"),
                Some(7),
                true,
            ),
            ("    #3 0x7f (/lib/x86_64-linux-gnu/libc.so.6+0x29d8f) (BuildId: 09)", None, None, None, false),
            ("    #4 reserve /src/shelf.cc:12:5 (shop+0x4c1)", Some("reserve"), Some("/src/shelf.cc"), Some(12), true),
        ] {
            let found = frame(line).unwrap();
            assert_eq!(
                (found.function.as_deref(), found.filename.as_deref(), found.lineno, found.in_app),
                (function, file, lineno, Some(in_app)),
                "{line}"
            );
        }
        assert_eq!(frame("#0 0x1 in main /src/uaf.c:9"), None);
    }
}
