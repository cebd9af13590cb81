//! What secrets and personal data look like inside a text, whatever field it stands in.

use super::{FILTERED, has};

/// How a key or certificate begins (RFC 7468).
const KEY_BEGINS: &str = "-----BEGIN ";

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
pub(super) fn url_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find("://") {
        let (before, behind) = rest.split_at(from + 3);
        out.push_str(before);
        rest = behind;
        let end = behind
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'))
            .unwrap_or(behind.len());
        if let Some(at) = behind[..end].rfind('@').filter(|at| *at > 0) {
            out.push_str(FILTERED);
            rest = &behind[at..];
        }
    }
    out.push_str(rest);
    out
}

/// `Bearer xyz`, `Basic xyz`.
pub(super) fn schemes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let lower = text.to_ascii_lowercase();
    // Each scheme's next place is looked for again only once it is passed, so that a text of nothing else stays linear.
    let mut next = ["bearer ", "basic "].map(|scheme| (scheme, lower.find(scheme)));
    loop {
        let offset = text.len() - rest.len();
        for (scheme, place) in &mut next {
            if place.is_some_and(|place| place < offset) {
                *place = lower[offset..].find(*scheme).map(|at| at + offset);
            }
        }
        let found = next.iter().filter_map(|(scheme, place)| Some(((*place)? - offset, scheme.len()))).min();
        let Some((at, length)) = found else { break };
        let value = &rest[at + length..];
        let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')).unwrap_or(value.len());
        // Credentials are long and have no blanks; `basic auth` is prose.
        let credential =
            end >= 8 && value[..end].bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'=');
        let starts = at == 0 || !rest.as_bytes()[at - 1].is_ascii_alphanumeric();
        out.push_str(&rest[..at + length]);
        rest = value;
        if credential && starts {
            out.push_str(FILTERED);
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

pub(super) fn private_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(KEY_BEGINS) {
        let (before, key) = rest.split_at(start);
        out.push_str(before);
        let label = key[KEY_BEGINS.len()..].split("-----").next().unwrap_or_default();
        if has(label.as_bytes(), b"PRIVATE KEY") {
            out.push_str(FILTERED);
            let end = key.find("-----END ").and_then(|end| Some(end + 9 + key[end + 9..].find("-----")? + 5));
            rest = &key[end.unwrap_or(key.len())..];
        } else {
            out.push_str(KEY_BEGINS);
            rest = &key[KEY_BEGINS.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// Card numbers: 13 to 19 digits with single blanks or dashes between them, of a known issuer, with Luhn's check digit.
pub(super) fn card_numbers(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
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
            out.push_str(&text[copied..at]);
            out.push_str(FILTERED);
            copied = end;
        }
        at = end;
    }
    out.push_str(&text[copied..]);
    out
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

pub(super) fn addresses(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for at in bytes.iter().enumerate().filter(|(_, b)| **b == b'@').map(|(at, _)| at) {
        if at < copied || !looks_like_address(bytes, at) {
            continue;
        }
        let start = bytes[copied..at].iter().rposition(|b| !is_address_byte(*b)).map_or(copied, |p| copied + p + 1);
        let host = bytes[at + 1..].iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')));
        out.push_str(&text[copied..start]);
        out.push_str(FILTERED);
        copied = host.map_or(bytes.len(), |end| at + 1 + end);
        // A full stop behind an address ends the sentence.
        if bytes[copied - 1] == b'.' {
            copied -= 1;
        }
    }
    out.push_str(&text[copied..]);
    out
}
