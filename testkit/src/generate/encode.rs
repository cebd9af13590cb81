//! MessagePack in every encoding that means the same: hosts write the shortest, nobody promises it.

use super::random::Random;

/// Widths, in bytes, of lengths and whole numbers.
const WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// Appends a number big-endian in so many bytes.
fn number(out: &mut Vec<u8>, n: u64, width: usize) {
    out.extend_from_slice(&n.to_be_bytes()[8 - width..]);
}

/// One of the widths that hold the number, the shortest more often than not; an index of [`WIDTHS`].
fn width(random: &mut Random, n: u64) -> usize {
    let least = WIDTHS.iter().position(|width| n.checked_shr(*width as u32 * 8).unwrap_or(0) == 0).unwrap_or(3);
    if random.once_in(4) { least + random.below(4 - least) } else { least }
}

/// A length under one of the markers for 8, 16 and 32 bits.
fn length(random: &mut Random, out: &mut Vec<u8>, len: usize, markers: &[u8]) {
    let skipped = 3 - markers.len();
    let width = width(random, len as u64).clamp(skipped, 2);
    out.push(markers[width - skipped]);
    number(out, len as u64, WIDTHS[width]);
}

/// Returns true if the form with the length inside its marker is used.
fn is_fixed(random: &mut Random, len: usize, below: usize) -> bool {
    len < below && !random.once_in(5)
}

/// Appends a string in one of the forms that fit its length.
pub fn str(random: &mut Random, out: &mut Vec<u8>, text: &[u8]) {
    if is_fixed(random, text.len(), 32) {
        out.push(0xa0 | text.len() as u8);
    } else {
        length(random, out, text.len(), &[0xd9, 0xda, 0xdb]);
    }
    out.extend_from_slice(text);
}

/// Appends bytes in one of the forms that fit their length.
pub fn bin(random: &mut Random, out: &mut Vec<u8>, bytes: &[u8]) {
    length(random, out, bytes.len(), &[0xc4, 0xc5, 0xc6]);
    out.extend_from_slice(bytes);
}

/// Appends an extension of this type in one of the forms that fit its length.
pub fn ext(random: &mut Random, out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    match [1, 2, 4, 8, 16].iter().position(|len| *len == bytes.len()).filter(|_| !random.once_in(3)) {
        Some(fixed) => out.push(0xd4 + fixed as u8),
        None => length(random, out, bytes.len(), &[0xc7, 0xc8, 0xc9]),
    }
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// Appends the head of an array of `len` elements.
pub fn array(random: &mut Random, out: &mut Vec<u8>, len: usize) {
    if is_fixed(random, len, 16) {
        out.push(0x90 | len as u8);
    } else {
        length(random, out, len, &[0xdc, 0xdd]);
    }
}

/// Appends the head of a map of `len` pairs.
pub fn map(random: &mut Random, out: &mut Vec<u8>, len: usize) {
    if is_fixed(random, len, 16) {
        out.push(0x80 | len as u8);
    } else {
        length(random, out, len, &[0xde, 0xdf]);
    }
}

/// Appends a number in one of the forms that can hold it.
pub fn uint(random: &mut Random, out: &mut Vec<u8>, n: u64) {
    if n < 128 && !random.once_in(5) {
        return out.push(n as u8);
    }
    let width = width(random, n);
    out.push(0xcc + width as u8);
    number(out, n, WIDTHS[width]);
}

/// Appends a number in one of the forms that can hold it.
pub fn int(random: &mut Random, out: &mut Vec<u8>, n: i64) {
    if (-32..0).contains(&n) && !random.once_in(5) {
        return out.push(n as u8);
    }
    let least = [i64::from(i8::MIN), i64::from(i16::MIN), i64::from(i32::MIN)].iter().position(|least| n >= *least);
    let (least, big) = (least.unwrap_or(3), n > i64::from(i8::MAX));
    let width = if big { 3 } else { least + random.below(4 - least) };
    out.push(0xd0 + width as u8);
    number(out, n as u64, WIDTHS[width]);
}

/// Appends a floating-point number of 4 or 8 bytes.
pub fn float(random: &mut Random, out: &mut Vec<u8>, n: f64) {
    if random.once_in(3) {
        out.push(0xca);
        out.extend_from_slice(&(n as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&n.to_be_bytes());
    }
}
