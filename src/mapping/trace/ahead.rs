//! Remembers how far the readers have looked ahead. Of many lines that may each begin a trace, every one would else make a
//! reader look at the same lines below it.

use super::LOOKAHEAD;
use std::cell::Cell;

/// Sorts of lines that readers look for below a head. Each has a test of its own, and must always be given the same.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sought {
    /// The end of a message of Java, as for the next two.
    Java,
    Node,
    Dotnet,
    /// A frame or the head of a log line, as for the next one.
    Dart,
    Elixir,
    /// A frame in a term of Erlang.
    ErlangFrame,
    /// A line that is not of the inside of a box of `rich`.
    RichEdge,
    /// A stack of PHP's own form, or the head of a log line.
    Php,
    Monolog,
    /// The place of an old panic of Rust.
    RustPlace,
    /// The backtrace of `anyhow`.
    RustStack,
    Goroutine,
    /// A goroutine with a number; the scheduler's stack has none.
    Thread,
    /// `panic:` and its like.
    GoCause,
    GinPlace,
    LogHead,
}

const SORTS: usize = Sought::LogHead as usize + 1;

/// For each sort of line, the last stretch of lines in which none was found. Belongs to one vector of lines: it knows a line
/// by its address, which is the same in all slices of it.
#[derive(Debug)]
pub(in super::super) struct Ahead([Cell<Stretch>; SORTS]);

/// Addresses of the first line and of the line after the last.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    from: usize,
    to: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self([const { Cell::new(Stretch { from: 0, to: 0 }) }; SORTS])
    }
}

impl Ahead {
    /// Returns the place of the first of `lines`, within [`LOOKAHEAD`], that passes the test. Looks at no line twice as long as
    /// the places from which it looks do not go back.
    pub(super) fn first(&self, sought: Sought, lines: &[&str], test: impl Fn(&str) -> bool) -> Option<usize> {
        let near = &lines[..lines.len().min(LOOKAHEAD)];
        self.within(sought, near, test)
    }

    /// The same within all of `lines`.
    pub(super) fn within(&self, sought: Sought, lines: &[&str], test: impl Fn(&str) -> bool) -> Option<usize> {
        let cell = &self.0[sought as usize];
        let start = lines.as_ptr() as usize;
        let known = Some(cell.get()).filter(|known| (known.from..=known.to).contains(&start));
        let known = known.unwrap_or(Stretch { from: start, to: start });
        let passed = (known.to - start) / size_of::<&str>();
        let found = lines.iter().skip(passed).position(|line| test(line)).map(|more| passed + more);
        let to = start + found.unwrap_or(lines.len()) * size_of::<&str>();
        cell.set(Stretch { from: known.from, to: to.max(known.to) });
        found
    }
}

impl Ahead {
    /// Remembers that none of `lines` is one of the sort.
    pub(super) fn pass(&self, sought: Sought, lines: &[&str]) {
        self.within(sought, lines, |_| false);
    }

    /// Returns true if the first of `lines` is known to be none of the sort.
    pub(super) fn is_passed(&self, sought: Sought, lines: &[&str]) -> bool {
        let known = self.0[sought as usize].get();
        (known.from..known.to).contains(&(lines.as_ptr() as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn finds_the_first_line_from_any_place() {
        let texts: Vec<String> = (0..500).map(|n| if n % 97 == 13 { "hit".into() } else { n.to_string() }).collect();
        let lines: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ahead = Ahead::default();
        let mut state = 5_u64;
        for round in 0..5_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // In order at first, then from anywhere.
            let from = if round < 500 { round } else { (state >> 33) as usize % 501 };
            let right = lines[from..].iter().take(LOOKAHEAD).position(|line| *line == "hit");
            assert_eq!(ahead.first(Sought::Java, &lines[from..], |line| line == "hit"), right, "from {from}");
        }
    }

    #[test]
    fn looks_at_each_line_twice_at_most() {
        let lines = vec!["x"; 10_000];
        let (ahead, looked) = (Ahead::default(), Cell::new(0));
        let test = |_: &str| {
            looked.set(looked.get() + 1);
            false
        };
        for from in 0..lines.len() {
            assert_eq!(ahead.first(Sought::Php, &lines[from..], test), None);
        }
        assert!(looked.get() <= 2 * lines.len(), "looked at {} lines of {}", looked.get(), lines.len());
    }

    #[test]
    fn sharing_changes_no_reading() {
        const LINES: [&str; 58] = [
            "Error: x",
            "key: x",
            "panic: x",
            "runtime: x",
            "Suppressed: x",
            "** (E) x",
            "\tat x",
            "",
            "x",
            "    x",
            "a.B: x",
            "A.BError: x ---> C.D: y",
            "Caused by: a.B: x",
            "\tat a.b(C.java:1)",
            "... 1 more",
            "thread 'a' panicked at a:1:1:",
            "thread 'a' panicked at 'x",
            "y', src/main.rs:1:2",
            "Unhandled exception. A.B: x",
            "Unhandled exception: x",
            "#0      a.b (package:a/b.dart:1:2)",
            "   at A.B() in a.cs:line 1",
            " ---> A.B: x",
            "   --- End of inner exception stack trace ---",
            "Uncaught Error: x",
            "[Error: x] {",
            "    at a (b.js:1:1)",
            "  [cause]: Error: x {",
            "}",
            "goroutine 1 [running]:",
            "runtime stack:",
            "a.b()",
            "\t/a.go:1",
            "a.b",
            "x [Recovery] panic recovered:",
            "/a.go:1 (0x1)",
            "\ta: b()",
            "Traceback (most recent call last):",
            "  File \"a\", line 1, in a",
            "+ Traceback (most recent call last) +",
            "| a.py:1 in x |",
            "| + Traceback (most recent call last) |",
            "+----+",
            "a.rb:1:in 'a': x (A)",
            "\tfrom a.rb:1:in 'a'",
            "PHP Fatal error:  Uncaught A: x in /a:1",
            "A: x in /a:1",
            "[object] (A(code: 0): x at /a:1)",
            "Stack trace:",
            "[stacktrace]",
            "#0 {main}",
            "Error in process <0.1.0> with exit value:",
            " {x,[{a,b,1,[{file,\"a.erl\"},{line,7}]}]}",
            "    (app 0.1.0) lib/a.ex:8: A.b/1",
            "Stack backtrace:",
            "   0: a::b",
            "Caused by:",
            "2026-11-24 10:50:46 ERROR x",
        ];
        let mut state = 3_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let mut read_something = 0;
        for _ in 0..300 {
            // A few sorts of lines, in runs, so that stretches are long.
            let few: Vec<&str> = (0..2 + next(5)).map(|_| LINES[next(LINES.len())]).collect();
            let mut lines = Vec::new();
            while lines.len() < 150 {
                let line = few[next(few.len())];
                lines.extend(std::iter::repeat_n(line, [1, 1, 2, 20, 90][next(5)]));
            }
            let shared = Ahead::default();
            for at in 0..lines.len() {
                let expected = read(&lines[at..], &Ahead::default());
                let found = read(&lines[at..], &shared);
                read_something += usize::from(expected.is_some());
                assert_eq!(format!("{found:?}"), format!("{expected:?}"), "at {at} of {lines:#?}");
            }
        }
        assert!(read_something > 1_000, "only {read_something} of the places begin a trace");
    }
}
