//! Texts that take longest: lines that may each begin a stack trace or hold a secret, repeated through a record or a chunk.
//!
//! `make bench-hostile` measures every pair of [`LINES`] in each [`ARRANGEMENTS`] and prints the slowest, in milliseconds per
//! megabyte of messages.

use super::input;
use super::stages::{EVENTS, map_chunk};
use std::fs;
use std::hint::black_box;

/// Tells this program to print the slowest texts.
pub const FLAG: &str = "--hostile";

/// Bytes of messages of one measurement, of all pairs and then of the slowest ones.
const SAMPLE: usize = 1 << 14;
const WHOLE: usize = 1_000_000;

/// Number of texts that are printed.
const SLOWEST: usize = 12;

/// Lines that readers of traces or rules of scrubbing look at twice: heads of traces, lines below them, secrets cut short.
const LINES: &[&str] = &[
    "Error: x",
    "key: x",
    "panic: x",
    "Suppressed: x",
    "** (E) x",
    "a@b.cc",
    "\tat x",
    "",
    "x",
    " x",
    "a.B: x",
    "XError: x",
    "Caused by: a.B: x",
    "\tat a.b(C.java:1)",
    "... 1 more",
    "thread 'a' panicked at a:1:1:",
    "thread 'a' panicked at 'x",
    "Unhandled exception. A.B: x",
    "Unhandled exception: x",
    "   at A.B()",
    " ---> A.B: x",
    "Uncaught Error: x",
    "[Error: x] {",
    "    at a (b.js:1:1)",
    "  [cause]: Error: x {",
    "caused by: Error: x",
    "/a.js:1",
    "^",
    "goroutine 1 [a]:",
    "runtime stack:",
    "a.b()",
    "\t/a.go:1",
    "a.b",
    "x [Recovery] panic recovered:",
    "/a.go:1 (0x1)",
    "Traceback (most recent call last):",
    "  File \"a\", line 1, in a",
    "    x",
    "The above exception was the direct cause of the following exception:",
    "SyntaxError: x",
    "+ Traceback (most recent call last) +",
    "| x |",
    "a.rb:1:in 'a': x (A)",
    "\tfrom a.rb:1:in 'a'",
    "x (A)",
    "PHP Fatal error:  Uncaught A: x in /a:1",
    "A: x in /a:1",
    "A(code: 0): x at /a:1)",
    "Stack trace:",
    "[stacktrace]",
    "#0 /a(1): a()",
    "terminate called recursively",
    "==1==ERROR: ASanitizer: x",
    "    #0 0x1 in a /a.c:1",
    "Error in process <0.1.0> with exit value:",
    "Fatal error: x: file a.swift, line 1",
    "*** Program crashed: x",
    "0 a + 1 in b at /c:1",
    "x at /a line 1.",
    "\ta called at /a line 1",
    "Stack backtrace:",
    "Caused by:",
    "note: x",
    "secret={",
    "password=\"",
    "https://a:b@",
    "-----BEGIN PRIVATE KEY-----",
    "Bearer ",
    "4111 1111 1111 1111",
    "2026-11-24 10:50:46 ERROR x",
    "ERROR x",
    "ERROR [4b0f2c9e-2b51] Error: x",
    "[rank1]: a.B: x",
    "[A] x: y",
];

/// Numbers of the first and of the second line of a pair in one repetition.
const ARRANGEMENTS: &[(usize, usize)] = &[(1, 0), (1, 1), (1, 3), (1, 62), (3, 1)];

struct Text {
    pair: [&'static str; 2],
    counts: (usize, usize),
    /// A record of its own for each line.
    by_line: bool,
}

impl Text {
    fn message(&self, bytes: usize) -> String {
        let [one, two] = self.pair;
        let mut text = String::with_capacity(bytes + 4096);
        while text.len() < bytes {
            (0..self.counts.0).for_each(|_| text.extend([one, "\n"]));
            (0..self.counts.1).for_each(|_| text.extend([two, "\n"]));
        }
        text.truncate(bytes);
        text
    }

    fn chunk(&self, bytes: usize) -> Vec<u8> {
        let message = self.message(bytes);
        if self.by_line { input::of_lines(message.lines()) } else { input::of_lines([message.as_str()]) }
    }

    /// Milliseconds per megabyte of messages.
    fn cost(&self, bytes: usize, runs: u32) -> f64 {
        let chunk = self.chunk(bytes);
        let run = || {
            let mut map = map_chunk(EVENTS);
            let start = cpu_time();
            black_box(map(&chunk));
            cpu_time() - start
        };
        let nanos = (0..runs).map(|_| run()).min().unwrap_or_default();
        nanos as f64 / bytes as f64
    }
}

/// Prints the slowest texts, once as one record and once with a record for each line.
pub fn print() {
    for by_line in [false, true] {
        let mut found: Vec<(f64, Text)> = all(by_line).map(|text| (text.cost(SAMPLE, 2), text)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ordinary = Text { pair: ["order 17 of customer 4 is paid", ""], counts: (1, 0), by_line };
        println!(
            "\n{}\n\n| first | second | arrangement | ms per MB |\n|---|---|---|---:|",
            if by_line { "A record for each line" } else { "One record" }
        );
        for text in found.into_iter().take(SLOWEST).map(|(_, text)| text).chain([ordinary]) {
            println!(
                "| `{:?}` | `{:?}` | {:?} | {:.1} |",
                text.pair[0],
                text.pair[1],
                text.counts,
                text.cost(WHOLE, 3)
            );
        }
    }
}

fn all(by_line: bool) -> impl Iterator<Item = Text> {
    let pairs = LINES.iter().flat_map(|one| LINES.iter().map(move |two| [*one, *two]));
    pairs.flat_map(move |pair| {
        let alone = pair[0] == pair[1];
        // Of lines of a stream few arrangements tell the others, and each takes long.
        let is_measured = move |counts: &&(usize, usize)| !by_line || matches!(counts, (1, 0 | 1 | 62));
        let counts = ARRANGEMENTS.iter().filter(move |counts| (counts.1 == 0) == alone).filter(is_measured);
        counts.map(move |counts| Text { pair, counts: *counts, by_line })
    })
}

/// Nanoseconds that this thread has run: others run on the machine as well.
fn cpu_time() -> u64 {
    // The kernel brings the figure up to date when a thread yields.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}
