//! Judges values: decides whether the value after a sensitive name is a secret, and whether a text looks like a secret by
//! itself.

use super::FILTERED;
use super::name::Meaning;
use super::numbers::is_card;
use super::rules::{Kind, NOTHING, PROSE};
use super::steps;

/// The way in which a value belongs to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As a field's value.
    Field,
    /// Behind an equals sign, a quoted name or the like.
    Assigned,
    /// Behind a colon, where prose may stand.
    Colon,
    /// Behind an arrow, a bar, a tab or a comma.
    Loose,
    /// Behind a flag of a command.
    Flag,
}

/// Returns true if a value behind a sensitive name has to go. `quoted`: it stood in quotes; `more`: more words follow it.
pub(super) fn is_secret(meaning: Meaning, how: How, value: &str, quoted: bool, more: bool) -> bool {
    steps::count(value.len());
    let value = value.trim();
    if value.is_empty() || value.starts_with(FILTERED) || is_nothing(value) {
        return false;
    }
    // What has been taken out says nothing of the rest.
    if value.contains(FILTERED) {
        return is_secret(meaning, how, &value.replace(FILTERED, ""), quoted, more);
    }
    let Meaning { kind, sure, plural, counted } = meaning;
    if let Kind::Code(least, most) = kind {
        let count = value.chars().filter(|c| c.is_alphanumeric()).count();
        let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'));
        let code = plain && value.bytes().any(|byte| byte.is_ascii_digit()) && (least..=most).contains(&count);
        return code && (how != How::Colon || !more || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
    }
    if kind == Kind::Card {
        let digits: Vec<u8> = value.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
        return digits.len() <= 19 && is_card(&digits) && value.bytes().all(|byte| !byte.is_ascii_alphabetic());
    }
    if is_number(value) {
        let digits = value.bytes().filter(u8::is_ascii_digit).count();
        let most_amounts = if kind == Kind::Password && how != How::Colon { 0 } else { 5 };
        return matches!(kind, Kind::Password | Kind::Secret) && !plural && !counted && digits > most_amounts;
    }
    match kind {
        Kind::Password => is_password(how, value, sure, quoted, more),
        Kind::Secret => match how {
            Field | Assigned if is_path(value) => false,
            Field => sure || looks_secret(value),
            Assigned if quoted => sure || looks_secret(value),
            Assigned => !is_pair(value) && (looks_secret(value) || sure && !(more && is_prose(value, true))),
            How::Colon if value.starts_with(['{', '[']) => value.contains([':', '=']) || has_drawn(value),
            _ => value.len() >= 6 && !is_path(value) && !is_pair(value) && looks_drawn(value, 6),
        },
        Kind::Header => match how {
            Field => sure || looks_secret(value),
            _ => has_drawn(value),
        },
        Kind::Weak => value.len() >= 6 && !is_path(value) && !is_pair(value) && looks_drawn(value, 6),
        Kind::Random => looks_random(value),
        Kind::Query => how == Assigned && looks_random(value),
        Kind::KeyMember => {
            let base64 = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='));
            how == Field && base64 && value.len() >= 24 && looks_random(value)
        }
        Kind::Code(..) | Kind::Card => false,
    }
}

use How::{Assigned, Field};

fn is_password(how: How, value: &str, sure: bool, quoted: bool, more: bool) -> bool {
    match how {
        How::Field => true,
        How::Assigned if quoted => true,
        How::Assigned | How::Colon if !quoted && is_path(value) => false,
        How::Assigned => sure && !(more && is_prose(value, false)) || looks_secret(value),
        How::Flag => !PROSE.contains(&value) && !value.starts_with('-'),
        How::Colon if quoted => value.len() >= 3 || !more,
        How::Colon => !is_pair(value) && !is_prose(value, more),
        How::Loose => looks_secret(value),
    }
}

/// `true`, `none`, `***`.
pub(super) fn is_nothing(value: &str) -> bool {
    let same = |known: &&str| known.eq_ignore_ascii_case(value);
    let masked = value.len() > 2 && value.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'#' | b'-'));
    NOTHING.iter().any(same) || masked || value.starts_with("${") || value.starts_with("{{")
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `name=`, the next pair of a line.
pub(super) fn is_pair(value: &str) -> bool {
    let name = value.bytes().take_while(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.')).count();
    name > 0
        && value.as_bytes().get(name) == Some(&b'=')
        && value.len() > name + 1
        && value.as_bytes()[name + 1] != b'='
}

/// A file's name or a URL, which says where a secret is.
fn is_path(value: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "file:", "http://", "https://", "arn:", "projects/", "vault:"];
    let begins = begins.iter().any(|begin| value.starts_with(begin)) || value.get(1..3) == Some(":\\");
    let plain = |part: &str| part.len() < 16 || !looks_random(part);
    begins && value.split(['/', '\\', ':']).all(plain) && !value.ends_with('=')
}

/// Returns true for a word of prose: one of the list, or one of small letters before another word. With `more` unknown the
/// list alone decides.
fn is_prose(value: &str, more: bool) -> bool {
    let word = value.trim_end_matches([',', '.', ';', ':', '!', '?', ')']);
    let letters = word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-'));
    if !letters || word.is_empty() {
        return false;
    }
    let lower = word.to_ascii_lowercase();
    let inside = word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase);
    let ends =
        ["Error", "Exception", "Expired", "Invalid", "Required", "Missing", "Denied", "Failed", "Mismatch", "Found"];
    PROSE.contains(&&*lower)
        || more && !inside
        || inside && ends.iter().any(|end| word.ends_with(end))
        || is_title(word)
}

/// `Invalid`, but not `invalid` and not `INVALID`.
fn is_title(word: &str) -> bool {
    word.starts_with(|c: char| c.is_uppercase()) && word.chars().skip(1).all(char::is_lowercase) && word.len() > 1
}

/// Letters and digits, or letters of both cases within, or signs: a value that is no word and no name.
fn looks_secret(value: &str) -> bool {
    let has = |what: fn(&u8) -> bool| value.as_bytes().iter().any(what);
    let letters = has(u8::is_ascii_alphabetic);
    let inside = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) && has(u8::is_ascii_lowercase);
    let signs = value.bytes().any(|byte| b"!@#$%^&*+=~?".contains(&byte));
    !is_path(value) && (letters && has(u8::is_ascii_digit) || inside || signs && letters)
}

/// The same without words that end with a number (`oauth2`, `Certificate2026`) and without names in two cases (`NotFound`).
pub(super) fn looks_drawn(value: &str, least: usize) -> bool {
    let bytes = value.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let tail = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let head = &bytes[..bytes.len() - tail];
    let is_word =
        head.iter().skip(1).all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.' | b'/'));
    // Only digits, and only letters: both may be a number or a word, unless they are many.
    let long = bytes.len() >= 24 && looks_random(value);
    let padded = bytes.len() >= 8 && bytes.ends_with(b"=") && letters > 4;
    bytes.len() >= least && !is_path(value) && (digits > 0 && letters > 0 && !is_word || long || padded)
}

/// Returns true if some part of a header's value looks drawn.
pub(super) fn has_drawn(value: &str) -> bool {
    let part = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'' | '[' | ']' | '{' | '}');
    value.split(part).any(|part| {
        // Base64 ends with signs of its own.
        let pair = part.trim_end_matches('=').split_once('=');
        let value = pair.map_or(part, |(_, value)| value);
        looks_drawn(value, 6) || is_long_hex(value)
    }) || value.contains('=') && value.split(part).any(is_cookie)
}

/// `sid=abc`, with a value that is no prose.
fn is_cookie(part: &str) -> bool {
    part.split_once('=').is_some_and(|(name, value)| !name.is_empty() && value.len() >= 3 && !is_nothing(value))
}

fn is_long_hex(value: &str) -> bool {
    value.len() >= 16
        && value.bytes().all(|byte| byte.is_ascii_hexdigit())
        && value.bytes().any(|byte| byte.is_ascii_digit())
}

/// Returns true for a text of 16 characters at least in which letters and digits change often enough for it to be drawn at
/// random: hexadecimal digits, base64, a UUID.
pub(super) fn looks_random(value: &str) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 16 || bytes.iter().any(|byte| byte.is_ascii_whitespace()) {
        return false;
    }
    let class = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    let has = |wanted: u8| bytes.iter().any(|byte| class(*byte) == wanted);
    let changes = bytes.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let mixed = has(1) && has(2);
    digits > 0 && (has(1) || has(2)) && changes * 8 >= bytes.len() || mixed && changes * 4 >= bytes.len() && !has(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_are_told_from_names() {
        for text in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6",
            "78fa095d-3f4c-48b1-ad50-e24c31d5cf35",
            "aBcDeFgHiJkLmNoPqRsT",
        ] {
            assert!(looks_random(text), "{text}");
        }
        for text in
            ["internalServerErrorHandler", "kube-controller-manager", "com.example.shop.PaymentService", "short1"]
        {
            assert!(!looks_random(text), "{text}");
        }
    }

    #[test]
    fn words_with_a_number_are_not_drawn() {
        for text in [
            "Authentication1",
            "Certificate2026",
            "oauth2",
            "NotFound",
            "permissions",
            "v2",
            "web-12",
            "/etc/ssl/tls.key",
        ] {
            assert!(!looks_drawn(text, 6), "{text}");
        }
        for text in ["Sup3rS3cret", "U3VwM3JTM2NyZXRWYWx1ZUhlcmU=", "abc123def", "Zk3Qw9Lm2"] {
            assert!(looks_drawn(text, 6), "{text}");
        }
    }
}
