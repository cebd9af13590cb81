//! Writes the inside of a JSON string: escapes, and replaces bytes that are not UTF-8.

use super::HEX;
use crate::mapping::simd::{self, Bytes, SHORT as BLOCK, Simd, Work, escaped_bits, escaped_places, last_vectors};
use fearless_simd::prelude::*;

/// The inside of a string. Returns the bytes that a reader gets as UTF-8.
pub fn escaped(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    const REPLACEMENT: &str = "\u{fffd}";
    let rest = escaped_ascii(out, bytes);
    if rest.is_empty() {
        return bytes.len();
    }
    if std::str::from_utf8(rest).is_ok() {
        escaped_valid(out, rest);
        return bytes.len();
    }
    let mut read = bytes.len();
    for chunk in rest.utf8_chunks() {
        escaped_valid(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
            read = read - chunk.invalid().len() + REPLACEMENT.len();
        }
    }
    read
}

/// Writes a text that is UTF-8: bytes beyond ASCII need no escape.
fn escaped_valid(out: &mut Vec<u8>, mut valid: &[u8]) {
    while !valid.is_empty() {
        valid = escaped_ascii(out, valid);
        let wide = valid.iter().position(u8::is_ascii).unwrap_or(valid.len());
        out.extend_from_slice(&valid[..wide]);
        valid = &valid[wide..];
    }
}

/// Writes up to the first byte that is not ASCII, and returns the rest.
fn escaped_ascii<'b>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    if bytes.len() < simd::BLOCK {
        return escaped_short(out, bytes);
    }
    let mut written = 0;
    let goes_on = simd::run(Escape { out, bytes, written: &mut written });
    if goes_on {
        out.extend_from_slice(&bytes[written..]);
        return &[];
    }
    &bytes[written..]
}

/// Writes a text up to the last byte that JSON escapes, or to the first that is not ASCII.
struct Escape<'o, 'b> {
    out: &'o mut Vec<u8>,
    bytes: &'b [u8],
    /// The bytes that have been written.
    written: &'o mut usize,
}

impl Work for Escape<'_, '_> {
    /// False if it stops before a byte that is not ASCII.
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Self { out, bytes, written } = self;
        let mut at = 0;
        while let Some(block) = bytes[at..].first_chunk() {
            let marks = escaped_bits(Bytes::load_array_ref(simd, block));
            if marks != 0 && !mark(out, bytes, written, at, marks) {
                return false;
            }
            at += simd::BLOCK;
        }
        if at == bytes.len() {
            return true;
        }
        let ((last, _), part) = last_vectors(simd, bytes, at);
        let marks = part.of(escaped_bits(last));
        marks == 0 || mark(out, bytes, written, at, marks)
    }
}

/// The same for a text that is shorter than a block.
fn escaped_short<'b>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    let (blocks, last) = bytes.as_chunks::<BLOCK>();
    // What is before this has been written.
    let mut written = 0;
    for (number, block) in blocks.iter().enumerate() {
        let marks = escaped_places(block);
        if marks != 0 && !mark(out, bytes, &mut written, number * BLOCK, marks) {
            return &bytes[written..];
        }
    }
    let start = bytes.len() - last.len();
    // The last block of the text, without the bytes that have been looked at.
    let marks = match bytes.last_chunk() {
        Some(block) => escaped_places(block) >> (BLOCK - last.len()),
        None => {
            let mut padded = [b' '; BLOCK];
            padded[..last.len()].copy_from_slice(last);
            let marks = escaped_places(&padded);
            if marks == 0 {
                // A whole vector, and back: cheaper than the few bytes that are wanted.
                out.extend_from_slice(&padded);
                out.truncate(out.len() - (BLOCK - last.len()));
                return &[];
            }
            marks
        }
    };
    if marks == 0 || mark(out, bytes, &mut written, start, marks) {
        out.extend_from_slice(&bytes[written..]);
        written = bytes.len();
    }
    &bytes[written..]
}

/// Writes up to the last of the marked bytes, each as JSON wants it; stops, and says no, before one that is not ASCII.
#[inline(never)]
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
