//! Finding a few bytes in a line. The standard library prepares for texts of any length and content, which takes longer
//! than to look through a line.

use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

/// Where short texts stand in another.
pub(super) trait Find {
    /// The first place of `part`, which is not empty.
    fn place_of(&self, part: &str) -> Option<usize>;
    /// The last one.
    fn last_place_of(&self, part: &str) -> Option<usize>;
    /// Whether `part` stands in it.
    fn holds(&self, part: &str) -> bool;
    /// Whether any of these ASCII characters stands in it.
    fn holds_any(&self, bytes: &[u8]) -> bool;
    /// What stands before and behind the first place of `part`.
    fn cut_at(&self, part: &str) -> Option<(&str, &str)>;
    /// What stands before and behind the last one.
    fn cut_at_last(&self, part: &str) -> Option<(&str, &str)>;
    /// Whether this ASCII character stands in it.
    fn holds_byte(&self, byte: u8) -> bool;
    /// What stands before and behind the first one of this ASCII character.
    fn cut_at_byte(&self, byte: u8) -> Option<(&str, &str)>;
    /// What stands before and behind the last one.
    fn cut_at_last_byte(&self, byte: u8) -> Option<(&str, &str)>;
}

impl Find for str {
    #[inline]
    fn place_of(&self, part: &str) -> Option<usize> {
        let (text, part) = (self.as_bytes(), part.as_bytes());
        let rare = rare(part);
        let mut starts = memchr_iter(part[rare], text).filter_map(|at| at.checked_sub(rare));
        starts.find(|at| text[*at..].starts_with(part))
    }

    #[inline]
    fn last_place_of(&self, part: &str) -> Option<usize> {
        let (text, part) = (self.as_bytes(), part.as_bytes());
        let rare = rare(part);
        let mut starts = memrchr_iter(part[rare], text).filter_map(|at| at.checked_sub(rare));
        starts.find(|at| text[*at..].starts_with(part))
    }

    #[inline]
    fn holds(&self, part: &str) -> bool {
        self.place_of(part).is_some()
    }

    #[inline]
    fn holds_any(&self, bytes: &[u8]) -> bool {
        self.bytes().any(|byte| bytes.contains(&byte))
    }

    #[inline]
    fn cut_at(&self, part: &str) -> Option<(&str, &str)> {
        let at = self.place_of(part)?;
        Some((&self[..at], &self[at + part.len()..]))
    }

    #[inline]
    fn cut_at_last(&self, part: &str) -> Option<(&str, &str)> {
        let at = self.last_place_of(part)?;
        Some((&self[..at], &self[at + part.len()..]))
    }

    #[inline]
    fn holds_byte(&self, byte: u8) -> bool {
        memchr(byte, self.as_bytes()).is_some()
    }

    #[inline]
    fn cut_at_byte(&self, byte: u8) -> Option<(&str, &str)> {
        let at = memchr(byte, self.as_bytes())?;
        Some((&self[..at], &self[at + 1..]))
    }

    #[inline]
    fn cut_at_last_byte(&self, byte: u8) -> Option<(&str, &str)> {
        let at = memrchr(byte, self.as_bytes())?;
        Some((&self[..at], &self[at + 1..]))
    }
}

/// Where the byte stands that is looked for: one that lines have few of.
#[inline]
fn rare(part: &[u8]) -> usize {
    let is_rare = |byte: &u8| !byte.is_ascii_lowercase() && !matches!(byte, b' ' | b'/' | b'.' | b':');
    part.iter().position(is_rare).or(part.iter().position(|byte| *byte != b' ')).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_found_as_the_standard_library_finds_it() {
        const PARTS: [&str; 12] =
            [": ", " in ", "/vendor/", "'\" ", ".rb", "((", "é", "\", line ", "a", " ", "::h", " ("];
        const TEXTS: [&str; 14] =
            [": ", ":", " ", " i", "n ", "/vendor/", "'\" ", ".r", "b", "((", "\u{e9}", "\", line ", "a", "::h"];
        let mut state = 9_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        for _ in 0..20_000 {
            let text: String = (0..next(12)).map(|_| TEXTS[next(TEXTS.len())]).collect();
            let part = PARTS[next(PARTS.len())];
            assert_eq!(text.place_of(part), text.find(part), "{part} in {text}");
            assert_eq!(text.last_place_of(part), text.rfind(part), "{part} in {text}");
            assert_eq!(text.cut_at(part), text.split_once(part), "{part} in {text}");
            assert_eq!(text.cut_at_last(part), text.rsplit_once(part), "{part} in {text}");
            assert_eq!(text.holds_byte(b':'), text.contains(':'), "{text}");
            assert_eq!(text.cut_at_byte(b' '), text.split_once(' '), "{text}");
            assert_eq!(text.cut_at_last_byte(b'('), text.rsplit_once('('), "{text}");
        }
    }
}
