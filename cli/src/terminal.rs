//! What may be written to a terminal, and how.

use std::io::{self, IsTerminal};

/// Whether standard output takes colours: a terminal, and nobody said NO_COLOR.
pub(crate) fn in_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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
