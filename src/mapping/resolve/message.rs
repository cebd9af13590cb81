//! Removes colours from a message.

use memchr::memchr;
use std::borrow::Cow;

/// Removes ANSI escape sequences (ECMA-48 CSI and OSC).
#[must_use]
pub fn without_colours(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(0x1b, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == 0x1b) {
        out.extend_from_slice(&rest[..at]);
        rest = after_escape(&rest[at + 1..]);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn after_escape(rest: &[u8]) -> &[u8] {
    let end = match rest.first() {
        Some(b'[') => rest.iter().skip(1).position(|b| (0x40..=0x7e).contains(b)).map(|at| at + 2),
        Some(b']') => rest.iter().position(|b| *b == 0x07 || *b == 0x1b).map(|at| at + 1),
        Some(_) => Some(1),
        None => None,
    };
    &rest[end.unwrap_or(rest.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        assert_eq!(without_colours(b"\x1b[31mERROR\x1b[0m x \x1b]0;t\x07y"), b"ERROR x y".as_slice());
        assert!(matches!(without_colours(b"plain"), Cow::Borrowed(_)));
        assert_eq!(without_colours(b"cut \x1b["), b"cut ".as_slice());
    }
}
