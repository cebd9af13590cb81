//! Finds private keys in PEM (RFC 7468), within a text and across the records of a stream, because containers write a key
//! line by line.

use super::{FILTERED, steps};
use crate::chunk::Timestamp;
use crate::mapping::resolve::identity::StreamId;
use memchr::{memchr, memmem};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// Bytes of a label before the words that make it a private key's.
const LABEL: usize = 64;

/// The number of bytes that such a label may have in JSON, where a control character takes six bytes.
const LABEL_IN_JSON: usize = LABEL * 6;

const WORDS: &[u8] = b"PRIVATE KEY";

static FIND_WORDS: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(WORDS));

/// Lines of one key at most: one of 16,384 bits has about 215.
const MOST_LINES: u16 = 400;

/// Lines in a row that are none of a key's, after which the key is believed to be over.
const MOST_OTHERS: u8 = 16;

/// Streams with a key that are remembered.
const MOST_STREAMS: usize = 256;

/// Bytes from which on a word of base64 in a key is a line of it.
const LONG: usize = 40;

/// Finds each private key, to its end or, without one, to the end of the text.
pub(super) fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = memmem::find(&bytes[from..], b"BEGIN ") {
        let at = from + at;
        from = at + b"BEGIN ".len();
        let label = &bytes[from..bytes.len().min(from + LABEL)];
        let label = &label[..memmem::find(label, b"-----").unwrap_or(label.len())];
        let dashes = bytes[..at].iter().rev().take_while(|byte| matches!(byte, b'-' | b' ')).count();
        let marked = bytes[at - dashes..at].contains(&b'-') || bytes.get(from + label.len()) == Some(&b'-');
        if !marked || FIND_WORDS.find(label).is_none() {
            continue;
        }
        let start = at - bytes[..at].iter().rev().take_while(|byte| **byte == b'-').count();
        let end = memmem::find(&bytes[from..], b"END ").map(|end| {
            let end = from + end + b"END ".len();
            let label = memmem::find(&bytes[end..], b"--").map_or(bytes.len(), |label| end + label);
            label + bytes[label..].iter().take_while(|byte| **byte == b'-').count()
        });
        let before = from;
        from = end.unwrap_or(bytes.len());
        steps::count(from - before);
        found.push(start..text.ceil_char_boundary(from));
    }
}

/// Returns true if the label behind a `BEGIN` that ends here may be a private key's, in JSON.
pub(super) fn begins_near(json: &[u8], end: usize) -> bool {
    FIND_WORDS.find(&json[end..json.len().min(end + LABEL_IN_JSON)]).is_some()
}

/// The private keys that streams are in the middle of, across records and chunks.
#[derive(Debug)]
pub(crate) struct Keys {
    streams: HashMap<StreamId, Key>,
    words: memmem::Finder<'static>,
}

/// A key that a stream has begun to write.
#[derive(Debug)]
struct Key {
    from: Timestamp,
    /// The time at which the key ended. By it, a chunk that is read again finds its own lines inside the key.
    until: Option<Timestamp>,
    lines: u16,
    others: u8,
    /// True if the line before was a whole one, so that a short one may follow.
    after_line: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self { streams: HashMap::new(), words: memmem::Finder::new(WORDS) }
    }
}

impl Keys {
    /// The line without the part of a private key that it has, where the key begins in a line before; `None` if there is
    /// no such part.
    #[inline]
    pub(crate) fn line(&mut self, stream: StreamId, time: Timestamp, text: &[u8]) -> Option<Vec<u8>> {
        // Few lines have a capital V, and it is found sooner than words.
        if self.streams.is_empty() && (memchr(b'V', text).is_none() || self.words.find(text).is_none()) {
            return None;
        }
        self.line_near_key(stream, time, text)
    }

    #[cold]
    fn line_near_key(&mut self, stream: StreamId, time: Timestamp, text: &[u8]) -> Option<Vec<u8>> {
        let cleaned = self.streams.get_mut(&stream).and_then(|key| key.line(time, text));
        if is_open(text) {
            self.open(stream, time);
        }
        cleaned
    }

    fn open(&mut self, stream: StreamId, time: Timestamp) {
        if self.streams.len() >= MOST_STREAMS && !self.streams.contains_key(&stream) {
            let oldest =
                self.streams.iter().min_by_key(|(_, key)| (key.until.is_none(), key.from)).map(|(stream, _)| *stream);
            oldest.map(|oldest| self.streams.remove(&oldest));
        }
        let key = Key { from: time, until: None, lines: MOST_LINES, others: MOST_OTHERS, after_line: true };
        self.streams.insert(stream, key);
    }
}

impl Key {
    fn line(&mut self, time: Timestamp, text: &[u8]) -> Option<Vec<u8>> {
        if time < self.from || self.until.is_some_and(|until| time > until) {
            return None;
        }
        let open = self.until.is_none();
        let end = memmem::find(text, b"END ").filter(|end| begins_near(text, end + 4) && text[..*end].ends_with(b"-"));
        let part = &text[..end.unwrap_or(text.len())];
        let words = base64_words(part, open && self.after_line);
        if open {
            self.follow(time, end.is_some(), part, &words);
        }
        if words.is_empty() {
            return None;
        }
        let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
        for word in words {
            out.extend_from_slice(&text[at..word.start]);
            out.extend_from_slice(FILTERED.as_bytes());
            at = word.end;
        }
        out.extend_from_slice(&text[at..]);
        Some(out)
    }

    fn follow(&mut self, time: Timestamp, ended: bool, part: &[u8], words: &[Range<usize>]) {
        self.lines = self.lines.saturating_sub(1);
        self.after_line = match words.last() {
            Some(word) => word.len() >= LONG,
            // Headers of an encrypted key and empty lines come before its lines.
            None => {
                self.after_line
                    && (part.trim_ascii().is_empty()
                        || memmem::find(part, b"-Info:").is_some()
                        || memmem::find(part, b"Proc-Type:").is_some())
            }
        };
        self.others = if words.is_empty() { self.others.saturating_sub(1) } else { MOST_OTHERS };
        if ended || self.lines == 0 || self.others == 0 {
            self.until = Some(time);
        }
    }
}

/// Returns true if a private key begins in a text and does not end there.
fn is_open(text: &[u8]) -> bool {
    let Some(begin) = memmem::rfind(text, b"BEGIN ") else { return false };
    begins_near(text, begin + b"BEGIN ".len()) && memmem::find(&text[begin..], b"END ").is_none()
}

/// The runs of base64 in a line: long ones, and at its end a short one that is random, or any one behind a whole line. A logger's
/// head may stand before them without a blank: `ERROR:root:MIIE...`.
fn base64_words(text: &[u8], after_line: bool) -> Vec<Range<usize>> {
    let in_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    // A short run within a word is a part of a name.
    let is_apart =
        |before: Option<u8>| before.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"',\\{}[]():|>".contains(&byte));
    let (mut words, mut at) = (Vec::new(), 0);
    let last = text.iter().rposition(|byte| in_base64(*byte)).map_or(0, |last| last + 1);
    while at < text.len() {
        let start = at;
        while at < text.len() && in_base64(text[at]) {
            at += 1;
        }
        // An escaped line feed within a line leaves its letter.
        let word = &text[start..at];
        let is_end =
            || at >= last && is_apart(start.checked_sub(1).map(|before| text[before])) && is_last(word, after_line);
        if word.len() >= LONG || !word.is_empty() && is_end() {
            words.push(start..at);
        }
        at = at.max(start + 1);
    }
    words
}

fn is_last(word: &[u8], after_line: bool) -> bool {
    let random =
        || word.iter().any(|byte| byte.is_ascii_digit() || *byte == b'=') && word.iter().any(u8::is_ascii_alphabetic);
    word.len().is_multiple_of(4) && (after_line || word.len() >= 8 && random())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "MIIEpAIBAAKCAQEAZk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0IiZk3Qw9Lm2Xc7Vb5N";

    fn at(secs: u64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    fn through(keys: &mut Keys, lines: &[&str], from: u64) -> Vec<String> {
        let mut line = |(n, text): (usize, &&str)| {
            let found = keys.line(StreamId(1), at(from + n as u64), text.as_bytes());
            found.map_or((*text).to_owned(), |found| String::from_utf8(found).unwrap())
        };
        lines.iter().enumerate().map(&mut line).collect()
    }

    #[test]
    fn keys_are_found_whole_cut_and_without_their_first_dashes() {
        for (text, left) in [
            ("a -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----!", "a !"),
            ("-----BEGIN PRIVATE KEY-----\nabc", ""),
            ("BEGIN PRIVATE KEY-----\nabc", ""),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc", ""),
            ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nabc", "---- "),
            ("-----BEGIN CERTIFICATE-----\nabc", "-----BEGIN CERTIFICATE-----\nabc"),
            ("BEGIN reading the PRIVATE KEY", "BEGIN reading the PRIVATE KEY"),
        ] {
            let mut found = Vec::new();
            private_keys(text, &mut found);
            let part = found.pop().unwrap_or(0..0);
            assert_eq!(format!("{}{}", &text[..part.start], &text[part.end..]), left, "{text}");
        }
    }

    #[test]
    fn lines_of_a_key_go_over_records_behind_any_head() {
        for head in
            ["", "2026-11-30 09:00:00 ERROR [main] c.s.Pay - ", "E1130 09:00:00.1 7 a.go:1] ", "app | ", "ERROR:root:"]
        {
            let lines: Vec<String> =
                ["-----BEGIN PRIVATE KEY-----", LINE, LINE, "Zk3Q", "-----END PRIVATE KEY-----", "request done"]
                    .map(|line| format!("{head}{line}"))
                    .to_vec();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let mut keys = Keys::default();
            let found = through(&mut keys, &lines, 1);
            assert!(found[1..4].iter().all(|line| *line == format!("{head}[Filtered]")), "{found:?}");
            assert_eq!(found[5], lines[5]);
            // The same lines once more, as after a flush that failed.
            assert!(through(&mut keys, &lines[1..3], 2).iter().all(|line| line.ends_with("[Filtered]")));
        }
    }

    #[test]
    fn lines_of_others_between_stay() {
        let lines = ["-----BEGIN PRIVATE KEY-----", LINE, "GET /health 200 OK", LINE, "-----END PRIVATE KEY-----"];
        let found = through(&mut Keys::default(), &lines, 1);
        assert_eq!(found[2], lines[2]);
        assert_eq!(found[3], "[Filtered]");
    }

    #[test]
    fn a_key_without_an_end_ends_by_itself() {
        let mut lines = vec!["-----BEGIN PRIVATE KEY-----", LINE];
        lines.resize(30, "an ordinary line about something");
        lines.push(LINE);
        let found = through(&mut Keys::default(), &lines, 1);
        assert_eq!(found[2..], lines[2..]);
        let many = vec![LINE; 1_000];
        let mut keys = Keys::default();
        keys.line(StreamId(1), at(0), b"-----BEGIN PRIVATE KEY-----");
        assert_eq!(
            through(&mut keys, &many, 1).iter().filter(|line| *line == "[Filtered]").count(),
            usize::from(MOST_LINES)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut keys = Keys::default();
        (0..10_000).for_each(|n| drop(keys.line(StreamId(n), at(1), b"-----BEGIN PRIVATE KEY-----")));
        assert_eq!(keys.streams.len(), MOST_STREAMS);
    }
}
