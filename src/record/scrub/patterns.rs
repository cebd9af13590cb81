//! What secrets and personal data look like inside a text, whatever field it stands in. Each function says what is left of
//! a text, or nothing where all of it may stay.

use super::FILTERED;
use super::look::{Seen, has_address};
use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memmem};
use std::ops::Range;

/// How a key or certificate begins (RFC 7468).
const KEY_BEGINS: &str = "-----BEGIN ";

/// How much of a label may come before the words that make it a private key's, and they.
pub(super) const LABEL: usize = 64;

/// A text some parts of which are filtered, from the front to the end.
struct Filter<'t> {
    text: &'t str,
    out: String,
    /// How much of the text has been dealt with.
    at: usize,
}

impl<'t> Filter<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, out: String::new(), at: 0 }
    }

    fn remove(&mut self, part: Range<usize>) {
        if self.out.is_empty() {
            self.out.reserve(self.text.len() + FILTERED.len());
        }
        self.out.push_str(&self.text[self.at..part.start]);
        self.out.push_str(FILTERED);
        self.at = part.end;
    }

    fn finish(mut self) -> Option<String> {
        if self.out.is_empty() {
            return None;
        }
        self.out.push_str(&self.text[self.at..]);
        Some(self.out)
    }
}

/// `user@host.tld` around an @.
pub(super) fn looks_like_address(text: &[u8], at: usize) -> bool {
    let before = at > 0 && is_address_byte(text[at - 1]);
    let host: &[u8] = &text[at + 1..];
    let end = host.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))).unwrap_or(host.len());
    let host = host[..end].trim_ascii_end();
    let host = host.strip_suffix(b".").unwrap_or(host);
    let top = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
    before && host.contains(&b'.') && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic)
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// `://user:secret@` or `://key@`.
pub(super) fn url_credentials(text: &str) -> Option<String> {
    let mut filter = Filter::new(text);
    let mut from = 0;
    while let Some(scheme) = memmem::find(&text.as_bytes()[from..], b"://") {
        from += scheme + 3;
        let behind = &text[from..];
        let end = behind
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'))
            .unwrap_or(behind.len());
        if let Some(at) = behind[..end].rfind('@').filter(|at| *at > 0) {
            filter.remove(from..from + at);
            from += at;
        }
    }
    filter.finish()
}

/// `password=hunter2`, `"token": "x"`, `secret: x` inside a line.
pub(super) fn pairs(text: &str, is_sensitive: impl Fn(&str) -> bool) -> Option<String> {
    let mut filter = Filter::new(text);
    let mut from = 0;
    while let Some(sign) = memchr2(b'=', b':', &text.as_bytes()[from..]) {
        let before = &text[from..from + sign];
        from += sign + 1;
        let key = before.trim_end_matches(['"', '\'', ' ', '\\']);
        let word = key
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(key, |end| &key[end + key[end..].chars().next().map_or(1, char::len_utf8)..]);
        if !word.is_empty() && is_sensitive(word) {
            let (kept, value) = secret_value(&text[from..]);
            if !value.is_empty() && value != FILTERED {
                let start = from + kept.len();
                from = start + value.len();
                filter.remove(start..from);
            }
        }
    }
    filter.finish()
}

/// Splits what follows a sensitive key into what is kept and the value: all that is in quotes or brackets, else a word.
fn secret_value(text: &str) -> (&str, &str) {
    let start = text.len() - text.trim_start_matches([' ', '\\']).len();
    let (kept, value) = text.split_at(start);
    match value.as_bytes().first() {
        Some(b'"' | b'\'') => {
            let (kept, value) = text.split_at(start + 1);
            (kept, &value[..quoted(kept.as_bytes(), value.as_bytes()).0])
        }
        Some(b'[' | b'{') => {
            let end = end_of_brackets(value.as_bytes());
            // `{SSHA}...` is a word all the same.
            (kept, &value[..end + end_of_word(&value[end..])])
        }
        _ => (kept, &value[..end_of_word(value)]),
    }
}

fn end_of_word(value: &str) -> usize {
    // An authorization scheme belongs to the value.
    let from = ["Bearer ", "bearer ", "Basic ", "basic "]
        .iter()
        .find(|scheme| value.starts_with(**scheme))
        .map_or(0, |s| s.len());
    let end = value[from..]
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | ')' | '}' | ']' | '\\'));
    end.map_or(value.len(), |end| end + from)
}

/// Where a text ends that begins behind a quote, with which `before` ends, and where it goes on behind the other quote.
/// Inside JSON quotes have backslashes, the last as many as the first, or those of backslashes before it as well. What a cut
/// has left open ends with the line.
fn quoted(before: &[u8], text: &[u8]) -> (usize, usize) {
    let Some((quote, before)) = before.split_last() else { return (0, 0) };
    let backslashes = |text: &[u8]| text.iter().rev().take_while(|byte| **byte == b'\\').count();
    let own = backslashes(before);
    let is_one = |at: usize| backslashes(&text[..at]) % (2 * (own + 1)) == own;
    for at in memchr2_iter(*quote, b'\n', text) {
        if text[at] == b'\n' {
            return (at, at);
        }
        if is_one(at) && closes(&text[..at - own], text.get(at + 1).copied()) {
            return (at - own, at + 1);
        }
    }
    (text.len(), text.len())
}

/// Whether a quote between these closes a text, and does not open another: behind a sign that is told by what follows.
fn closes(before: &[u8], next: Option<u8>) -> bool {
    let is_end = |more: &[u8]| next.is_none_or(|next| b" \t\r\n,;&)}]>|.\\".contains(&next) || more.contains(&next));
    match before.trim_ascii_end() {
        // Nothing is in it, or it has two quotes on each side.
        [] => is_end(b""),
        [.., b'=' | b':'] => is_end(b"\"'"),
        _ => true,
    }
}

/// How far the end of a list or map is looked for.
const FARTHEST: usize = 1 << 10;

/// Where a list or map ends, with all that is in it. What a cut has left open ends with the line.
fn end_of_brackets(value: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = value.get(at).filter(|_| at < FARTHEST) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return at + 1,
            b']' | b'}' => depth -= 1,
            b'"' | b'\'' => at += quoted(&value[..=at], &value[at + 1..]).1,
            _ => {}
        }
        at += 1;
    }
    memchr(b'\n', value).unwrap_or(value.len())
}

/// `Bearer xyz`, `Basic xyz`.
pub(super) fn schemes(text: &str) -> Option<String> {
    const SCHEMES: [&[u8]; 2] = [b"bearer ", b"basic "];
    let bytes = text.as_bytes();
    let mut filter = Filter::new(text);
    let mut from = 0;
    for at in memchr2_iter(b'b', b'B', bytes) {
        let begins =
            |scheme: &&[u8]| bytes.get(at..at + scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
        let Some(scheme) = SCHEMES.iter().find(|scheme| at >= from && begins(scheme)) else { continue };
        from = at + scheme.len();
        let value = &text[from..];
        let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')).unwrap_or(value.len());
        // Credentials are long and have no blanks; `basic auth` is prose.
        let credential =
            end >= 8 && value[..end].bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'=');
        let starts = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if credential && starts {
            filter.remove(from..from + end);
            from += end;
        }
    }
    filter.finish()
}

pub(super) fn private_keys(text: &str) -> Option<String> {
    let mut filter = Filter::new(text);
    let mut from = 0;
    while let Some(start) = memmem::find(&text.as_bytes()[from..], KEY_BEGINS.as_bytes()) {
        let start = from + start;
        let key = &text[start..];
        let label = key[KEY_BEGINS.len()..].split("-----").next().unwrap_or_default();
        from = start + KEY_BEGINS.len();
        if memmem::find(&label.as_bytes()[..label.len().min(LABEL)], b"PRIVATE KEY").is_some() {
            let end = key.find("-----END ").and_then(|end| Some(end + 9 + key[end + 9..].find("-----")? + 5));
            from = start + end.unwrap_or(key.len());
            filter.remove(start..from);
        }
    }
    filter.finish()
}

/// Card numbers: 13 to 19 digits with single blanks or dashes between them, of a known issuer, with Luhn's check digit.
pub(super) fn card_numbers(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !Seen::of(bytes).card {
        return None;
    }
    let mut filter = Filter::new(text);
    let mut at = 0;
    while at < bytes.len() {
        let joined = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'.' | b'_' | b'-'));
        if !bytes[at].is_ascii_digit() || joined {
            at += 1;
            continue;
        }
        let end = digits_end(bytes, at);
        let digits: Vec<u8> = bytes[at..end].iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
        let followed = bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if !followed && is_card(&digits) {
            filter.remove(at..end);
        }
        at = end;
    }
    filter.finish()
}

fn digits_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < bytes.len() {
        let separated = matches!(bytes[end], b' ' | b'-') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !bytes[end].is_ascii_digit() && !separated {
            break;
        }
        end += 1;
    }
    end
}

pub(super) fn is_card(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0_u32, |n, d| n * 10 + u32::from(*d));
    let issuer = match digits.len() {
        15 => matches!(prefix(2), 34 | 37),
        13 | 19 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38 | 39) || (300..=305).contains(&prefix(3)),
        16 => {
            prefix(1) == 4
                || (51..=55).contains(&prefix(2))
                || (2_221..=2_720).contains(&prefix(4))
                || matches!(prefix(4), 6_011)
                || prefix(2) == 65
                || (3_528..=3_589).contains(&prefix(4))
        }
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, d)| if at % 2 == 0 { u32::from(*d) } else { u32::from(*d) * 2 / 10 + u32::from(*d) * 2 % 10 })
        .sum();
    issuer && sum.is_multiple_of(10)
}

pub(super) fn addresses(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !has_address(bytes) {
        return None;
    }
    let mut filter = Filter::new(text);
    for at in memchr_iter(b'@', bytes) {
        let from = filter.at;
        if at < from || !looks_like_address(bytes, at) {
            continue;
        }
        let start = bytes[from..at].iter().rposition(|b| !is_address_byte(*b)).map_or(from, |p| from + p + 1);
        let host = bytes[at + 1..].iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')));
        let end = host.map_or(bytes.len(), |end| at + 1 + end);
        // A full stop behind an address ends the sentence.
        filter.remove(start..if bytes[end - 1] == b'.' { end - 1 } else { end });
    }
    filter.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_read_more_than_a_few_times() {
        const PARTS: [&str; 12] = [
            "secret=[",
            "secret=\"",
            "secret='\"",
            "secret=\\\"",
            "secret={\n",
            "secret=\"\" ",
            "secret:[Filtered] ",
            "secret=['",
            "secret=\"\\",
            "secret:",
            "secret=\"[Filtered]\" ",
            "'\"",
        ];
        for text in PARTS.map(|part| format!("secret=x{}", part.repeat(200_000))) {
            assert!(pairs(&text, |word| word == "secret").is_some());
        }
    }
}
