//! Reads JSON as loggers write it, in one pass. Unusual JSON, above all with escapes, is left to the general reader, which
//! handles all of JSON. If both return a result, the results are equal.

use crate::mapping::extract::remove_keys::{close, open};
use crate::mapping::simd::{SHORT as BLOCK, special_places};
use rmp::encode::{write_bool, write_f64, write_nil, write_sint, write_str_len, write_uint};

/// More nested is unusual.
const MAX_DEPTH: usize = 8;

/// Most digits of an integer that always fits 64 bits.
const INTEGER: u32 = 18;

/// Most digits of a decimal number of which a float holds each (2^53), so that one division rounds it right.
const DECIMAL: u32 = 15;

const TENS: [f64; DECIMAL as usize + 1] = {
    let (mut tens, mut at) = ([1.0; DECIMAL as usize + 1], 1);
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10.0;
        at += 1;
    }
    tens
};

/// Appends the object that the text is, as MessagePack; nothing where it is unusual or no JSON, and then a part of it may
/// have been written.
pub(super) fn object(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader { text: text.as_bytes(), at: 0, out };
    let begins = reader.token()? == b'{';
    begins.then(|| reader.object(0)).flatten()?;
    reader.token().is_none().then_some(())
}

struct Reader<'t, 'o> {
    text: &'t [u8],
    at: usize,
    out: &'o mut Vec<u8>,
}

impl Reader<'_, '_> {
    /// The next byte that is no blank.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let (length, mut count) = (open(self.out, 0xdf), 0);
        let mut token = self.token()?;
        while token != b'}' || count > 0 {
            if token != b'"' {
                return None;
            }
            self.string()?;
            if self.token()? != b':' {
                return None;
            }
            let first = self.token()?;
            self.value(first, depth)?;
            count += 1;
            match self.token()? {
                b',' => token = self.token()?,
                b'}' => break,
                _ => return None,
            }
        }
        close(self.out, length, count);
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        let (length, mut count) = (open(self.out, 0xdd), 0);
        let mut token = self.token()?;
        while token != b']' || count > 0 {
            self.value(token, depth)?;
            count += 1;
            match self.token()? {
                b',' => token = self.token()?,
                b']' => break,
                _ => return None,
            }
        }
        close(self.out, length, count);
        Some(())
    }

    /// Writing to a Vec cannot fail.
    fn value(&mut self, first: u8, depth: usize) -> Option<()> {
        match first {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(first),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.list(depth + 1),
            b't' => self.word(b"rue").map(|()| drop(write_bool(self.out, true))),
            b'f' => self.word(b"alse").map(|()| drop(write_bool(self.out, false))),
            b'n' => self.word(b"ull").map(|()| drop(write_nil(self.out))),
            _ => None,
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let begins = self.text[self.at..].starts_with(rest);
        self.at += rest.len();
        begins.then_some(())
    }

    /// The rest of a string without escapes.
    #[inline]
    fn string(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            let rest = &self.text[self.at..];
            let Some(block) = rest.first_chunk() else {
                self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
                break;
            };
            match special_places(block) {
                0 => self.at += BLOCK,
                marks => {
                    self.at += marks.trailing_zeros() as usize;
                    break;
                }
            }
        }
        let length = self.at - start;
        if self.text[self.at] != b'"' {
            return None;
        }
        self.at += 1;
        match self.text[start..].first_chunk::<BLOCK>() {
            // A whole vector, and back: cheaper than the few bytes that are wanted.
            Some(block) if length <= BLOCK => {
                self.out.push(0xa0 | length as u8);
                self.out.extend_from_slice(block);
                self.out.truncate(self.out.len() - (BLOCK - length));
            }
            _ => {
                drop(write_str_len(self.out, length as u32));
                self.out.extend_from_slice(&self.text[start..start + length]);
            }
        }
        Some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let is_negative = first == b'-';
        let start = if is_negative { self.at } else { self.at - 1 };
        self.at = start;
        let (whole, digits) = self.digits(0)?;
        if digits > INTEGER || digits > 1 && self.text[start] == b'0' {
            return None;
        }
        match self.text.get(self.at) {
            Some(b'.') => {
                self.at += 1;
                let (all, behind) = self.digits(whole)?;
                if digits + behind > DECIMAL || matches!(self.text.get(self.at), Some(b'e' | b'E')) {
                    return None;
                }
                let number = all as f64 / TENS[behind as usize];
                drop(write_f64(self.out, if is_negative { -number } else { number }));
            }
            Some(b'e' | b'E') => return None,
            _ if !is_negative => drop(write_uint(self.out, whole)),
            // Zero below zero is a float.
            _ if whole == 0 => return None,
            _ => drop(write_sint(self.out, -(whole as i64))),
        }
        Some(())
    }

    /// Adds digits, at least one, to a number; and how many there are. Beyond [`INTEGER`] it means nothing.
    #[inline]
    fn digits(&mut self, mut number: u64) -> Option<(u64, u32)> {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start).then(|| (number, u32::try_from(self.at - start).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::general;
    use super::object;

    struct Random(fastrand::Rng);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0.usize(..end)
        }

        fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
            from[self.below(from.len())]
        }

        fn string(&mut self) -> String {
            let inside: String = match self.below(8) {
                0 => self.pick(&["a\\n", "\\u00e9", "\u{1}", "é", "\u{7f}", "\\", ""]).to_owned(),
                1 => "x".repeat(self.below(60)),
                2 => "é".repeat(self.below(20)),
                _ => "level message ts 12345678".get(..self.below(26)).unwrap_or_default().to_owned(),
            };
            format!("\"{inside}\"")
        }

        fn number(&mut self) -> String {
            let mut text = self.pick(&["", "", "-"]).to_owned();
            let mut digits = |most: usize| {
                (0..self.below(most)).map(|_| char::from(b'0' + self.below(10) as u8)).collect::<String>()
            };
            text += &digits(20);
            let behind = digits(12);
            text + &match self.below(4) {
                0 => format!(".{behind}"),
                1 => self.pick(&[".", "e3", ".5E-2", ""]).to_owned(),
                _ => String::new(),
            }
        }

        fn value(&mut self, depth: usize) -> String {
            match self.below(if depth > 9 { 4 } else { 6 }) {
                0 => self.string(),
                1 | 2 => self.number(),
                3 => self.pick(&["true", "false", "null", "nul", "0", "-0", "-0.0", "1.50"]).to_owned(),
                4 => format!(
                    "[{}]",
                    (0..self.below(3))
                        .map(|_| self.value(depth + 1))
                        .collect::<Vec<_>>()
                        .join(self.pick(&[",", " , ", ",,"]))
                ),
                _ => self.object(depth + 1),
            }
        }

        fn object(&mut self, depth: usize) -> String {
            let blank = self.pick(&["", "", " ", "\n\t"]);
            let pairs: Vec<_> =
                (0..self.below(5)).map(|_| format!("{}{blank}:{blank}{}", self.string(), self.value(depth))).collect();
            format!("{{{blank}{}{blank}}}", pairs.join(","))
        }
    }

    #[test]
    fn fast_reader_agrees_with_the_general_one() {
        let (mut random, mut read, mut refused) = (Random(fastrand::Rng::with_seed(1)), 0, 0);
        for round in 0..60_000 {
            let mut text = random.object(0);
            if round % 3 == 0 {
                let at = random.below(text.len() + 1);
                if text.is_char_boundary(at) {
                    text.insert_str(at, random.pick(&["\"", "{", "}", ",", ":", "0", "-", ".", " ", "[", "\\", "e"]));
                }
            }
            let (mut quick, mut other) = (b"before".to_vec(), b"before".to_vec());
            let is_json = general(&text, &mut other).is_some();
            if object(&text, &mut quick).is_some() {
                read += 1;
                assert!(is_json && quick == other, "{text}");
            } else {
                refused += usize::from(is_json);
            }
        }
        assert!(read > 10_000 && refused < read, "{read} were read quickly, {refused} by the other alone");
    }
}
