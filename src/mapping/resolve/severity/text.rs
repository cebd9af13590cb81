//! Small byte readers that the tables share: kinds of bytes, brackets, quotes, names and letters.

use crate::level::Level;

/// Bytes of one bracket.
const MAX_BRACKET: usize = 120;

pub(super) const UPPER: u16 = 1;
pub(super) const LOWER: u16 = 2;
pub(super) const DIGIT: u16 = 4;
/// Characters that join the parts of names.
pub(super) const JOINT: u16 = 8;
pub(super) const COLON: u16 = 16;
pub(super) const EQUAL: u16 = 32;
/// Characters that prose and values have, and names do not have.
pub(super) const PROSE: u16 = 64;
pub(super) const BRACKET: u16 = 128;
pub(super) const BLANK: u16 = 256;
pub(super) const PIPE: u16 = 512;
pub(super) const HIGH: u16 = 1024;

// What is true of a whole column, beside the kinds of its bytes.

/// It begins with three capitals.
pub(super) const CAPITALS: u16 = 1 << 11;
/// It has one or two bytes.
pub(super) const SHORT: u16 = 1 << 12;
/// A time stands before it.
pub(super) const TIMED: u16 = 1 << 13;
/// A tab or pipe stands before it.
pub(super) const CELL: u16 = 1 << 14;
/// It begins as one of PHP's errors.
pub(super) const ERRORS: u16 = 1 << 15;

/// The kind of each byte.
const KINDS: [u16; 256] = kinds();

const fn kinds() -> [u16; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            b'0'..=b'9' => DIGIT,
            b'.' | b'_' | b'-' | b'/' | b'#' | b'@' | b'$' | b'+' | b'~' | b'\\' | b'*' => JOINT,
            b':' => COLON,
            b'=' => EQUAL,
            b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'<' | b'>' => BRACKET,
            b' ' | b'\t' | b'\n' | b'\r' => BLANK,
            b'|' => PIPE,
            0x80.. => HIGH,
            _ => PROSE,
        };
        byte += 1;
    }
    kinds
}

pub(super) fn kind(byte: u8) -> u16 {
    KINDS[usize::from(byte)]
}

/// Returns the position at which the bracket closes that opens at `at`, on the same line.
pub(super) fn close(head: &[u8], at: usize) -> Option<usize> {
    close_and_kinds(head, at).map(|(end, _)| end)
}

/// The same, and the kinds of the bytes within.
pub(super) fn close_and_kinds(head: &[u8], at: usize) -> Option<(usize, u16)> {
    let (open, close) = match head[at] {
        b'[' => (b'[', b']'),
        b'(' => (b'(', b')'),
        b'<' => (b'<', b'>'),
        _ => (b'{', b'}'),
    };
    let (mut depth, mut kinds) = (0_u32, 0);
    let text = &head[at + 1..head.len().min(at + MAX_BRACKET)];
    for (place, byte) in text.iter().enumerate() {
        let kind = kind(*byte);
        if kind & (BRACKET | BLANK) != 0 {
            if *byte == close {
                if depth == 0 {
                    return Some((at + 1 + place, kinds));
                }
                depth -= 1;
            } else if *byte == open {
                depth += 1;
            } else if *byte == b'\n' {
                return None;
            }
        }
        kinds |= kind;
    }
    None
}

/// Behind the closing quote of the text that opens at `at`.
pub(super) fn end_of_quoted(head: &[u8], at: usize) -> Option<usize> {
    let mut escaped = false;
    for (place, byte) in head.iter().enumerate().skip(at + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

/// The end of a word of at least three capitals; PostgreSQL's `DEBUG1` has a digit.
pub(super) fn end_of_capitals(head: &[u8], at: usize) -> Option<usize> {
    let len = head[at..].iter().position(|b| !b.is_ascii_uppercase()).unwrap_or(head.len() - at);
    if len < 3 {
        return None;
    }
    let digit = &head[at..at + len] == b"DEBUG" && matches!(head.get(at + len), Some(b'1'..=b'5'));
    Some(at + len + usize::from(digit))
}

/// The letters of glog, MongoDB, capnslog, TensorFlow, Tornado.
pub(super) fn of_letter(letter: u8) -> Option<Level> {
    Some(match letter {
        b'T' => Level::Trace,
        b'D' | b'V' => Level::Debug,
        b'I' | b'N' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' | b'C' => Level::Fatal,
        _ => return None,
    })
}

/// Returns true for a place in the source: `server/node.go:10`, `reflector.go:199`.
pub(super) fn is_place(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|b| *b == b':') else { return false };
    let (file, line) = (&text[..colon], &text[colon + 1..]);
    let line = line.split(|b| *b == b':').next().unwrap_or_default();
    let dot = file.iter().rposition(|b| *b == b'.').unwrap_or(0);
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b'@' | b'\\' | b'+');
    dot > 0
        && !line.is_empty()
        && line.iter().all(u8::is_ascii_digit)
        && file.iter().all(is_name)
        && (1..=5).contains(&(file.len() - dot - 1))
        && file[dot + 1].is_ascii_alphabetic()
}
