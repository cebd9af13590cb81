//! Finds a few bytes in a line. The standard library prepares for texts of any length and content, which takes longer than
//! to search through a line.

use memchr::{memchr, memchr_iter, memchr2, memchr3, memrchr, memrchr_iter};

/// Search for short texts in another text.
pub(super) trait Find {
    /// The first place of `part`, which is not empty.
    fn place_of(&self, part: &str) -> Option<usize>;
    /// The last one.
    fn last_place_of(&self, part: &str) -> Option<usize>;
    /// Returns true if it contains `part`.
    fn holds(&self, part: &str) -> bool;
    /// Returns true if it contains any of these ASCII characters.
    fn holds_any(&self, bytes: &[u8]) -> bool;
    /// Returns the text before and the text behind the first place of `part`.
    fn cut_at(&self, part: &str) -> Option<(&str, &str)>;
    /// Returns the text before and the text behind the last place of `part`.
    fn cut_at_last(&self, part: &str) -> Option<(&str, &str)>;
    /// Returns true if it contains this ASCII character.
    fn holds_byte(&self, byte: u8) -> bool;
    /// Returns the text before and the text behind the first place of this ASCII character.
    fn cut_at_byte(&self, byte: u8) -> Option<(&str, &str)>;
    /// Returns the text before and the text behind the last place of this ASCII character.
    fn cut_at_last_byte(&self, byte: u8) -> Option<(&str, &str)>;
    /// As [`str::trim_start`].
    fn bare_start(&self) -> &str;
    /// As [`str::trim_end`].
    fn bare_end(&self) -> &str;
    /// As [`str::trim`].
    fn bare(&self) -> &str;
}

impl Find for str {
    #[inline(always)]
    fn place_of(&self, part: &str) -> Option<usize> {
        let (text, part) = (self.as_bytes(), part.as_bytes());
        let rare = rare(part);
        let mut starts = memchr_iter(part[rare], text).filter_map(|at| at.checked_sub(rare));
        starts.find(|at| text[*at..].starts_with(part))
    }

    #[inline(always)]
    fn last_place_of(&self, part: &str) -> Option<usize> {
        let (text, part) = (self.as_bytes(), part.as_bytes());
        let rare = rare(part);
        let mut starts = memrchr_iter(part[rare], text).filter_map(|at| at.checked_sub(rare));
        starts.find(|at| text[*at..].starts_with(part))
    }

    #[inline(always)]
    fn holds(&self, part: &str) -> bool {
        self.place_of(part).is_some()
    }

    #[inline]
    fn holds_any(&self, bytes: &[u8]) -> bool {
        match bytes {
            [one] => self.holds_byte(*one),
            [one, two] => memchr2(*one, *two, self.as_bytes()).is_some(),
            [one, two, three] => memchr3(*one, *two, *three, self.as_bytes()).is_some(),
            _ => self.bytes().any(|byte| bytes.contains(&byte)),
        }
    }

    #[inline(always)]
    fn cut_at(&self, part: &str) -> Option<(&str, &str)> {
        let at = self.place_of(part)?;
        Some((&self[..at], &self[at + part.len()..]))
    }

    #[inline(always)]
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

    #[inline]
    fn bare_start(&self) -> &str {
        let at = self.bytes().position(|byte| !is_blank(byte)).unwrap_or(self.len());
        match self.as_bytes().get(at) {
            Some(byte) if !byte.is_ascii() => self[at..].trim_start(),
            _ => &self[at..],
        }
    }

    #[inline]
    fn bare_end(&self) -> &str {
        let end = self.bytes().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
        match self.as_bytes()[..end].last() {
            Some(byte) if !byte.is_ascii() => self[..end].trim_end(),
            _ => &self[..end],
        }
    }

    #[inline]
    fn bare(&self) -> &str {
        self.bare_end().bare_start()
    }
}

/// Returns true for a byte of ASCII that [`char::is_whitespace`] tells.
#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Returns the place of the byte that is looked for: one that lines have few of. The compiler works it out for a constant.
#[inline(always)]
fn rare(part: &[u8]) -> usize {
    let is_rare = |byte: &u8| !byte.is_ascii_lowercase() && !matches!(byte, b' ' | b'/' | b'.' | b':');
    let is_rare_letter = |byte: &u8| matches!(byte, b'g' | b'j' | b'k' | b'q' | b'v' | b'w' | b'x' | b'y' | b'z');
    let place = part.iter().position(is_rare).or(part.iter().position(is_rare_letter));
    place.or(part.iter().position(|byte| *byte != b' ')).unwrap_or(0)
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

    #[test]
    fn blanks_are_those_of_the_standard_library() {
        const PARTS: [&str; 10] = [" ", "\t", "\u{b}", "\u{1c}", "\u{85}", "\u{a0}", "\u{3000}", "a", "\u{e9}", "\r\n"];
        for number in 0..10_000_usize {
            let digits = [number % 10, number / 10 % 10, number / 100 % 10, number / 1000];
            let text: String = digits.map(|digit| PARTS[digit]).concat();
            assert_eq!(
                (text.bare(), text.bare_start(), text.bare_end()),
                (text.trim(), text.trim_start(), text.trim_end())
            );
        }
    }
}
