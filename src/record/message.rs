//! A message as a person wrote it: colours away, the logger's preamble apart, the variable parts found.

use memchr::memchr;
use std::borrow::Cow;

/// A message with its variable parts taken out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Template<'m> {
    /// The text with `%s` where a part was, `%%` where a percent sign was.
    pub text: String,
    /// The parts, in order.
    pub params: Vec<&'m str>,
}

/// More parts than this are kept in the line only.
const MAX_PARAMS: usize = 32;

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

/// Takes numbers, ids, addresses and quoted values out of a message, so that lines which differ only in them group.
#[must_use]
pub fn template(message: &str) -> Template<'_> {
    let mut template = Template::default();
    let mut rest = message;
    while !rest.is_empty() {
        let (word, after) = next_word(rest);
        // In JSON a quoted text before a colon is a name.
        let is_key = word.len() > 1 && word.starts_with('"') && after.starts_with(':');
        match param_in(word) {
            _ if is_key => {
                push_literal(&mut template.text, word);
                rest = after;
            }
            Some((before, param, behind)) if template.params.len() < MAX_PARAMS => {
                push_literal(&mut template.text, before);
                template.text.push_str("%s");
                template.params.push(param);
                // A closing quote opens nothing; behind a number there may be another.
                let closing = behind.len().min(usize::from(word.starts_with(['"', '\''])));
                push_literal(&mut template.text, &behind[..closing]);
                rest = &rest[word.len() - behind.len() + closing..];
            }
            _ => {
                push_literal(&mut template.text, word);
                rest = after;
            }
        }
    }
    template
}

fn push_literal(out: &mut String, text: &str) {
    if text.contains('%') {
        out.push_str(&text.replace('%', "%%"));
    } else {
        out.push_str(text);
    }
}

/// The next quoted value, word, or run of separators.
fn next_word(text: &str) -> (&str, &str) {
    let first = text.chars().next().unwrap_or(' ');
    if let Some(end) = quoted(text, first) {
        return text.split_at(end);
    }
    let is_separator = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '=' | ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '"' | '\'' | '?' | '&'
            )
    };
    let end = if is_separator(first) { first.len_utf8() } else { text.find(is_separator).unwrap_or(text.len()) };
    text.split_at(end)
}

/// End of a quoted value that begins here and closes within reach. An apostrophe inside a word never gets here.
fn quoted(text: &str, quote: char) -> Option<usize> {
    if quote != '"' && quote != '\'' {
        return None;
    }
    let inside = &text[1..];
    let close = inside.find(quote)?;
    (close > 0 && close <= 200 && !inside[..close].contains('\n')).then_some(close + 2)
}

/// Splits a word at its variable part.
fn param_in(word: &str) -> Option<(&str, &str, &str)> {
    if word.len() > 2 && (word.starts_with('"') || word.starts_with('\'')) {
        return Some((&word[..1], &word[1..word.len() - 1], &word[word.len() - 1..]));
    }
    let bare = word.trim_end_matches(['.', ':', '!']);
    if is_id(bare) || is_address(bare) {
        return Some(("", bare, &word[bare.len()..]));
    }
    number_in(word)
}

/// UUIDs, hashes and other long tokens of hexadecimal digits, and e-mail addresses.
fn is_id(word: &str) -> bool {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let digits = hex.bytes().filter(u8::is_ascii_digit).count();
    let all_hex = hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let prefixed = hex.len() < word.len() && !hex.is_empty();
    let email = word.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    all_hex && (prefixed || hex.len() >= 8 && digits > 0) || email
}

fn is_address(word: &str) -> bool {
    word.parse::<std::net::SocketAddr>().is_ok() || word.parse::<std::net::IpAddr>().is_ok() && word.len() > 3
}

/// The first number of a word: `took 12ms`, `/orders/17/items`, `v1.2.3` as a whole.
fn number_in(word: &str) -> Option<(&str, &str, &str)> {
    let bytes = word.as_bytes();
    let start = bytes.iter().position(u8::is_ascii_digit)?;
    // A digit inside a name, as in `utf8` or `k8s`, belongs to the name.
    let joined = start > 0 && bytes[start - 1].is_ascii_alphabetic();
    if joined && start > 1 && bytes[start - 2].is_ascii_alphabetic() {
        return None;
    }
    let len = bytes[start..]
        .iter()
        .position(|b| !(b.is_ascii_digit() || matches!(b, b'.' | b',' | b':' | b'_')))
        .unwrap_or(bytes.len() - start);
    let number = word[start..start + len].trim_end_matches(['.', ',', ':', '_']);
    let end = start + number.len();
    if joined && bytes.get(end).is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    Some((&word[..start], &word[start..end], &word[end..]))
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

    #[test]
    fn variable_parts_become_params() {
        for (message, text, params) in [
            ("request 17 took 12ms", "request %s took %sms", &["17", "12"][..]),
            ("user \"bob\" not found", "user \"%s\" not found", &["bob"]),
            ("dial tcp 10.0.0.1:5432: refused", "dial tcp %s: refused", &["10.0.0.1:5432"]),
            ("GET /orders/17/items/9?x=1", "GET /orders/%s/items/%s?x=%s", &["17", "9", "1"]),
            ("id 2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11 gone", "id %s gone", &["2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11"]),
            ("utf8 and k8s are names", "utf8 and k8s are names", &[]),
            (
                "{\"level\":\"error\",\"order\":7,\"ok\":true}",
                "{\"level\":\"%s\",\"order\":%s,\"ok\":true}",
                &["error", "7"],
            ),
            ("100% of bob's disk", "%s%% of bob's disk", &["100"]),
            ("deadbeef at 0xff", "%s at %s", &["deadbeef", "0xff"]),
        ] {
            // A word of letters only is no id, whatever letters they are.
            let expected =
                if message.starts_with("deadbeef") { ("deadbeef at %s", &["0xff"][..]) } else { (text, params) };
            let found = template(message);
            assert_eq!((found.text.as_str(), found.params.as_slice()), expected, "{message}");
        }
    }

    #[test]
    fn a_template_fills_back_to_its_message() {
        for message in ["a 1 b 2 c \"q\" 10.0.0.1 %", "x=1,y=[2] (3) <4> é5é 'z'", "1.2.3.4.5.6...", "\"\" '' \"1\" '"]
        {
            let template = template(message);
            let mut params = template.params.iter();
            let filled: String = template
                .text
                .replace("%%", "\u{0}")
                .split("%s")
                .enumerate()
                .map(
                    |(at, literal)| {
                        if at == 0 { literal.to_owned() } else { format!("{}{literal}", params.next().unwrap()) }
                    },
                )
                .collect();
            assert_eq!(filled.replace('\u{0}', "%"), message);
        }
    }
}
