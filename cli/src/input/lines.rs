//! Reads lines of bounded length from a file.

use std::io::{self, BufRead, Read};

/// The longest line that is kept whole.
pub(crate) const LONGEST_LINE: usize = 10_000_000;

/// One line without its end.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    /// Bytes of the file it took, its end and the part that was cut off included.
    pub(crate) source_bytes: u64,
    /// True if the line was longer than [`LONGEST_LINE`].
    pub(crate) cut: bool,
}

/// Reads line after line into one buffer.
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), longest: LONGEST_LINE }
    }

    /// The next line; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut source_bytes = self.read(self.longest)?;
        if source_bytes == 0 {
            return Ok(None);
        }
        let mut kept = self.buffer.len();
        let cut = kept == self.longest && self.buffer.last() != Some(&b'\n') && {
            let skipped = self.skip_to_the_end(kept)?;
            source_bytes += skipped;
            skipped > 1
        };
        self.buffer.truncate(kept);
        if !cut && self.buffer.last() == Some(&b'\n') {
            kept -= 1;
        }
        if !cut && kept > 0 && self.buffer[kept - 1] == b'\r' {
            kept -= 1;
        }
        Ok(Some(Line { text: &self.buffer[..kept], source_bytes, cut }))
    }

    fn read(&mut self, most: usize) -> io::Result<u64> {
        let read = (&mut self.reader).take(most as u64).read_until(b'\n', &mut self.buffer)?;
        Ok(read as u64)
    }

    fn skip_to_the_end(&mut self, kept: usize) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            self.buffer.truncate(kept);
            let read = self.read(64 * 1024)?;
            skipped += read;
            if read == 0 || self.buffer.last() == Some(&b'\n') {
                return Ok(skipped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], longest: usize) -> Vec<(Vec<u8>, u64, bool)> {
        let mut lines = Lines { reader: text, buffer: Vec::new(), longest };
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.text.to_vec(), line.source_bytes, line.cut));
        }
        all
    }

    #[test]
    fn ends_are_removed_and_every_byte_is_accounted_for() {
        let text = b"one\ntwo\r\n\nlast";
        let expected = [("one", 4), ("two", 5), ("", 1), ("last", 4)];
        assert_eq!(lines(text, 100), expected.map(|(text, bytes)| (text.into(), bytes, false)));
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let text = [&b"x".repeat(200_000)[..], b"\nshort\n"].concat();
        let all = lines(&text, 1000);
        assert_eq!(all, [(b"x".repeat(1000), 200_001, true), (b"short".to_vec(), 6, false)]);
        assert_eq!(lines(&b"x".repeat(5000), 1000), [(b"x".repeat(1000), 5000, true)]);
    }

    #[test]
    fn a_line_of_just_the_longest_length_is_not_cut() {
        assert_eq!(lines(b"12345\n6\n", 5), [(b"12345".to_vec(), 6, false), (b"6".to_vec(), 2, false)]);
        assert_eq!(lines(b"12345", 5), [(b"12345".to_vec(), 5, false)]);
        assert_eq!(lines(b"1234\n5", 5), [(b"1234".to_vec(), 5, false), (b"5".to_vec(), 1, false)]);
    }
}
