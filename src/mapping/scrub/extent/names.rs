//! Finds the name that goes around a place of a text.

use super::steps;
use std::ops::Range;

/// Bytes of a name that are looked at.
pub(super) const LONGEST_NAME: usize = 128;

/// The name that goes around a place: letters, digits, `_`, `-` and `.`, without a dash or dot at its end.
pub(in crate::mapping::scrub) fn name_around(bytes: &[u8], place: usize) -> Range<usize> {
    let mut start = place;
    let floor = place.saturating_sub(LONGEST_NAME);
    while start > floor && (is_name_byte(bytes[start - 1]) || is_in_name_before(bytes, start)) {
        start -= 1;
    }
    // A character is in a name as a whole.
    while start < place && bytes[start] & 0xc0 == 0x80 {
        start += 1;
    }
    let mut end = place;
    loop {
        end += bytes[end..].iter().take_while(|byte| is_name_byte(**byte)).count();
        let Some(length) = name_character(bytes, end) else { break };
        end += length;
    }
    while end > start && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    steps::count(end.max(start) - start + 1);
    start..end.max(start)
}

/// Returns true for a byte of ASCII that can be part of a name.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

static NAME_BYTES: [bool; 256] = name_bytes();

const fn name_bytes() -> [bool; 256] {
    let mut bytes = [false; 256];
    let mut at = 0;
    while at < 128 {
        bytes[at] = (at as u8).is_ascii_alphanumeric() || matches!(at as u8, b'_' | b'-' | b'.');
        at += 1;
    }
    bytes
}

/// The length of the character here if it can be part of a name.
fn name_character(bytes: &[u8], at: usize) -> Option<usize> {
    let byte = *bytes.get(at)?;
    if byte.is_ascii() {
        return is_name_byte(byte).then_some(1);
    }
    let length = match byte {
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
        _ => 1,
    };
    let character = bytes.get(at..at + length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    character.is_some_and(char::is_alphanumeric).then_some(length)
}

/// Returns true if the byte before this place is part of a name's character.
fn is_in_name_before(bytes: &[u8], at: usize) -> bool {
    let byte = bytes[at - 1];
    if byte.is_ascii() {
        return is_name_byte(byte);
    }
    let start = (at.saturating_sub(4)..at).rev().find(|start| bytes[*start] & 0xc0 != 0x80);
    start.is_some_and(|start| name_character(bytes, start).is_some())
}
