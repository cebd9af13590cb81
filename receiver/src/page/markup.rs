//! Writes untrusted text as HTML: no part of it is markup, characters that control a terminal or the direction of text are
//! escaped, and its length is bounded.

use crate::text::{counted, steers};

/// Characters of any one text.
const MAX_TEXT: usize = 2000;

/// Text made safe to stand in an element or in an attribute.
pub(super) struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
            f.write_str(&rest[..at])?;
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                steers => write!(f, "{}", steers.escape_default())?,
            }
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Returns true if the character would be markup, or would be invisible, or would change the direction of the text around
/// it.
fn is_special(c: char) -> bool {
    let steers = steers(c) && !matches!(c, '\n' | '\t');
    steers || matches!(c, '&' | '<' | '>' | '"' | '\'')
}

/// Escaped, and cut where nobody would read on.
pub(super) struct Text<'a>(pub &'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((end, _)) = self.0.char_indices().nth(MAX_TEXT) else { return write!(f, "{}", Escaped(self.0)) };
        let (kept, left) = self.0.split_at(end);
        let more = counted(left.chars().count() as u64, "more character");
        write!(f, "{}<span class=dim>... and {more}, in JSON</span>", Escaped(kept))
    }
}

/// A level in its colour; only known words may be a class.
pub(super) struct Level<'a>(pub &'a str);

impl std::fmt::Display for Level<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const KNOWN: &[&str] = &["fatal", "error", "warning", "warn", "info", "debug", "trace"];
        let class = KNOWN.iter().find(|known| **known == self.0).unwrap_or(&"dim");
        write!(f, "<span class=\"level {class}\">{}</span>", Escaped(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown_and_what_is_long_is_cut() {
        let shown = |text: &str| Escaped(text).to_string();
        assert_eq!(shown("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
        assert_eq!(shown("a\n\tb\u{1b}[2J\0\u{202e}\u{e9}"), "a\n\tb\\u{1b}[2J\\u{0}\\u{202e}\u{e9}");
        assert_eq!(Text(&"\u{e9}".repeat(MAX_TEXT)).to_string().chars().count(), MAX_TEXT);
        let cut = Text(&"<".repeat(MAX_TEXT + 3)).to_string();
        assert!(cut.starts_with("&lt;&lt;") && cut.contains("... and 3 more characters"), "{cut}");
        assert_eq!(Level("<").to_string(), "<span class=\"level dim\">&lt;</span>");
    }
}
