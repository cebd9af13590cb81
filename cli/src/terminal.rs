//! Prepares text for a terminal: decides about colours and progress, and escapes control characters.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Returns true if standard output takes colours: it is a terminal, and `NO_COLOR` is not set.
pub(crate) fn in_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns a number with its noun: `1 event`, `2 events`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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

/// The level, as wide as the longest one.
pub(crate) fn level(level: &str, colour: bool) -> String {
    let text = format!("{:<7}", printable(level));
    let code = match level {
        "fatal" | "error" => "31",
        "warning" | "warn" => "33",
        "info" => "36",
        _ => "2",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
}

/// On one line, and unable to command the terminal: log lines are anybody's text.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Control characters, and those that turn the direction of text around.
pub(crate) fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
