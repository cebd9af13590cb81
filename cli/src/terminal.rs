//! Prepares text for a terminal: decides about colours and progress, and escapes control characters.

use indicatif::{ProgressBar, ProgressStyle};
pub(crate) use receiver::text::{counted, level, printable};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Returns true if standard output takes colours: it is a terminal, and `NO_COLOR` is not set.
pub(crate) fn in_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the columns of the terminal that standard output is; none if it is no terminal or does not tell them.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Splits a text into lines, the first of at most `first` characters and the others of at most `rest`; both are at least 1.
/// A line ends at a space if there is one in its second half.
pub(crate) fn fold(text: &str, first: usize, rest: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut left = text;
    loop {
        let most = if lines.is_empty() { first } else { rest };
        let Some((end, _)) = left.char_indices().nth(most) else {
            lines.push(left);
            return lines;
        };
        let space = if left[end..].starts_with(' ') { Some(end) } else { left[..end].rfind(' ') };
        let (line, behind) = left.split_at(space.filter(|at| *at >= end / 2).unwrap_or(end));
        lines.push(line);
        left = behind.strip_prefix(' ').unwrap_or(behind);
    }
}

/// Shows on standard error the reason for a wait, and its duration so far, while it lives; only if that is a terminal.
pub(crate) struct Waiting(Option<ProgressBar>);

impl Waiting {
    pub(crate) fn for_what(text: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
            let bar = ProgressBar::new_spinner().with_message(printable(text));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_folded_at_spaces_and_lose_nothing() {
        assert_eq!(fold("one two three", 7, 5), ["one two", "three"]);
        assert_eq!(fold("one two three", 6, 20), ["one", "two three"]);
        assert_eq!(fold("x".repeat(25).as_str(), 10, 10), ["x".repeat(10), "x".repeat(10), "x".repeat(5)]);
        assert_eq!(fold("\u{e9}\u{e9}\u{e9}", 1, 1), ["\u{e9}"; 3]);
        assert_eq!(fold("", 1, 1), [""]);
        assert_eq!(fold("a      b", 4, 4).concat().replace(' ', ""), "ab");
    }

    /// Finds a number before a plural, such as `{} events`, in the texts of a source.
    fn plurals(source: &str) -> Vec<&str> {
        const NOUNS: [&str; 22] = [
            "advices",
            "breadcrumbs",
            "bytes",
            "characters",
            "chunks",
            "events",
            "files",
            "frames",
            "inputs",
            "issues",
            "items",
            "letters",
            "levels",
            "lines",
            "logs",
            "options",
            "outputs",
            "problems",
            "records",
            "reports",
            "requests",
            "retries",
        ];
        let of_line = |line: &&str| {
            line.match_indices("} ").any(|(at, _)| {
                let name = line[..at].rsplit('{').next().unwrap_or_default();
                let is_limit = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                let mut words = line[at + 2..].trim_start_matches("more ").split(' ');
                let noun = words.next().filter(|word| !word.starts_with('{')).unwrap_or_default();
                !is_limit && NOUNS.contains(&noun.trim_matches(|c: char| !c.is_alphabetic()))
            })
        };
        source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//") && line.contains('"'))
            .filter(of_line)
            .collect()
    }

    /// Numbers that cannot be 1, and those of a limit.
    const NEVER_ONE: [&str; 5] =
        ["; of {} lines", "... ({} bytes)", "of {all} logs", "1 to {max} bytes without slashes", "has {} bytes here"];

    #[test]
    fn numbers_are_counted_with_their_nouns() {
        assert_eq!(plurals("a(\"{} events\")\n// {} events\nb(\"{n} more lines\")\nc(\"{n}, {MAX} events\")").len(), 2);
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = ["src", "host/src", "../receiver/src"].map(|folder| here.join(folder)).to_vec();
        let (mut read, mut known) = (0, 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap();
                let code = source.split("#[cfg(test)]").next().unwrap();
                let (never, wrong): (Vec<_>, Vec<_>) =
                    plurals(code).into_iter().partition(|line| NEVER_ONE.iter().any(|known| line.contains(known)));
                assert!(wrong.is_empty(), "{}: write it with `counted`: {wrong:#?}", path.display());
                known += never.len();
                read += 1;
            }
        }
        assert!(read > 60, "expected the sources, found {read} files");
        assert_eq!(known, NEVER_ONE.len(), "expected each exception to be needed");
    }
}
