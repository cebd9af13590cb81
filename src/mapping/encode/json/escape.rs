//! Writes the inside of a JSON string: escapes, and replaces bytes that are not UTF-8.

use super::HEX;
use wide::u8x16;

/// The inside of a string. Returns the bytes that a reader gets as UTF-8.
pub fn escaped(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    const REPLACEMENT: &str = "\u{fffd}";
    let rest = escaped_ascii(out, bytes);
    if rest.is_empty() {
        return bytes.len();
    }
    let mut read = bytes.len();
    for chunk in rest.utf8_chunks() {
        let mut valid = chunk.valid().as_bytes();
        // Bytes beyond ASCII are as they should be here, and need no escape.
        loop {
            valid = escaped_ascii(out, valid);
            let wide = valid.iter().position(u8::is_ascii).unwrap_or(valid.len());
            out.extend_from_slice(&valid[..wide]);
            valid = &valid[wide..];
            if valid.is_empty() {
                break;
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
            read = read - chunk.invalid().len() + REPLACEMENT.len();
        }
    }
    read
}

/// Bytes looked at in one step: a vector.
pub(crate) const BLOCK: usize = 16;

/// Writes up to the first byte that is not ASCII, and returns the rest.
fn escaped_ascii<'b>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    let (blocks, last) = bytes.as_chunks::<BLOCK>();
    // What is before this has been written.
    let mut written = 0;
    for (number, block) in blocks.iter().enumerate() {
        if !mark(out, bytes, &mut written, number * BLOCK, dirty(block)) {
            return &bytes[written..];
        }
    }
    let start = bytes.len() - last.len();
    // The last block of the text, without the bytes that have been looked at.
    let marks = match bytes.last_chunk() {
        Some(block) => dirty(block) >> (BLOCK - last.len()),
        None => {
            let mut padded = [b' '; BLOCK];
            padded[..last.len()].copy_from_slice(last);
            let marks = dirty(&padded);
            if marks == 0 {
                // A whole vector, and back: cheaper than the few bytes that are wanted.
                out.extend_from_slice(&padded);
                out.truncate(out.len() - (BLOCK - last.len()));
                return &[];
            }
            marks
        }
    };
    if mark(out, bytes, &mut written, start, marks) {
        out.extend_from_slice(&bytes[written..]);
        written = bytes.len();
    }
    &bytes[written..]
}

/// Writes up to the last of the marked bytes, each as JSON wants it; stops, and says no, before one that is not ASCII.
#[inline]
fn mark(out: &mut Vec<u8>, bytes: &[u8], written: &mut usize, start: usize, mut marks: u32) -> bool {
    while marks != 0 {
        let at = start + marks.trailing_zeros() as usize;
        out.extend_from_slice(&bytes[*written..at]);
        *written = at;
        if !bytes[at].is_ascii() {
            return false;
        }
        escape(out, bytes[at]);
        *written += 1;
        marks &= marks - 1;
    }
    true
}

pub(super) fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        }
    }
}

/// A bit for each byte that [`special`] tells, or that is not ASCII: the highest bit of those is set as it is.
#[inline]
fn dirty(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    (special(bytes) | bytes).to_bitmask()
}

/// All bits of each byte that no string has as it stands: control characters, quotes, backslashes.
#[inline]
pub(crate) fn special(bytes: u8x16) -> u8x16 {
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let is_control = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
    is_control | is(b'"') | is(b'\\')
}
