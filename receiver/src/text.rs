//! Texts for people: numbers with their nouns, and lines that cannot control a terminal.

/// Returns a number with its noun: `1 event`, `2 events`, `2 retries`.
pub fn counted(number: u64, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("{number} {noun}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {noun}s"),
    }
}

/// The level, as wide as the longest one.
pub fn level(level: &str, colour: bool) -> String {
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
pub fn printable(text: &str) -> String {
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
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "event")), ["0 events", "1 event", "2 events"]);
        assert_eq!([1, 2].map(|number| counted(number, "retry")), ["1 retry", "2 retries"]);
    }
}
