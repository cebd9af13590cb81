//! Finds where values end: in quotes, in brackets, in tags, in SQL, in a header, or as a word.

use super::names::LONGEST_NAME;
use super::{Extents, FARTHEST, QUOTES, SCHEMES, SPECIAL, STATEMENT, Value, blanks, is_wrapper, quoted};
use crate::mapping::scrub::name::Meaning;
use crate::mapping::scrub::rules::Kind;
use crate::mapping::scrub::value::How;
use memchr::memchr;
use std::ops::Range;

impl Extents<'_> {
    /// `INSERT INTO t (user, password) VALUES ('b', 'x')`: all values.
    pub(super) fn of_insert(&mut self, at: usize) -> Option<Value> {
        let head = self.window(at);
        let head = &head[..head.len().min(STATEMENT)];
        self.used(head.len());
        let close = memchr(b')', head)?;
        let columns =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b' ' | b'"' | b'`' | b'\n');
        let values = &head[close + 1..];
        let blank = values.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let word = values.get(blank..blank + 6)?;
        if !head[..close].iter().all(columns) || !word.eq_ignore_ascii_case(b"values") {
            return None;
        }
        let open = memchr(b'(', &values[blank..])? + at + close + 1 + blank;
        let end = open + self.end_of_brackets(open);
        let part = open + 1..end.saturating_sub(1).max(open + 1);
        Some(Value { how: How::Assigned, part, quoted: true, more: false })
    }

    /// `<password>x</password>`, or with a prefix, attributes or escaped brackets.
    pub(super) fn in_tags(&mut self, end: usize) -> Option<Value> {
        let head = self.window(end);
        let head = &head[..head.len().min(STATEMENT)];
        self.used(head.len());
        let escaped = memchr::memmem::find(head, b"&gt;").map(|at| (at, at + 4));
        let (close, start) = [memchr(b'>', head).map(|at| (at, at + 1)), escaped].into_iter().flatten().min()?;
        if head[..close].ends_with(b"/") {
            return None;
        }
        let start = end + start;
        let rest = self.window(start);
        let length =
            (0..rest.len()).find(|at| rest[*at] == b'<' || rest[*at..].starts_with(b"&lt;")).unwrap_or(rest.len());
        self.used(length);
        Some(Value { how: How::Assigned, part: self.chars(start..start + length), quoted: true, more: false })
    }

    /// Finds the value in `('authorization', 'Bearer x')`, `["--password", "x"]`: only quoted text counts.
    pub(super) fn of_tuple(&mut self, at: usize, is_flag: bool, meaning: Meaning) -> Option<Value> {
        let value = self.at(at, How::Loose, meaning.kind);
        (value.quoted && !value.part.is_empty())
            .then_some(Value { how: if is_flag { How::Flag } else { How::Loose }, ..value })
    }

    /// Returns a header's value: the text in quotes or brackets, else all to the end of the line or of the quotes around the
    /// header.
    pub(super) fn header(&mut self, name: usize, at: usize, how: How) -> Value {
        let first = self.bytes.get(at);
        let escaped = self.bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
        let quote = self.bytes.get(at + escaped).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        if quote || matches!(first, Some(b'[' | b'{' | b'(')) || self.wide_quote(at).is_some() {
            return self.at(at, how, Kind::Header);
        }
        if how == How::Assigned {
            return self.assigned_header(at);
        }
        let around =
            name.checked_sub(1).map(|before| self.bytes[before]).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        let rest = self.window(at);
        let ends = |at: &usize| match rest[*at] {
            b'\n' | b'\r' => true,
            // Line ends that are written out.
            b'\\' => matches!(rest.get(at + 1), Some(b'r' | b'n')),
            byte => Some(byte) == around,
        };
        let length = (0..rest.len()).find(ends).unwrap_or(rest.len());
        self.used(length);
        let mut part = self.chars(at..at + length);
        while part.end > part.start && matches!(self.bytes[part.end - 1], b'\\' | b' ') {
            part.end -= 1;
        }
        Value { how, part, quoted: false, more: false }
    }

    /// `authorization=Bearer x`, `cookie=a=b; c=d`.
    pub(super) fn assigned_header(&mut self, at: usize) -> Value {
        let mut value = self.at(at, How::Assigned, Kind::Header);
        // More pairs of a cookie.
        for _ in 0..64 {
            let rest = &self.bytes[value.part.end..];
            let Some(next) = rest.strip_prefix(b"; ") else { break };
            let name = next
                .iter()
                .take(LONGEST_NAME)
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
                .count();
            if name == 0 || next.get(name) != Some(&b'=') {
                break;
            }
            value.part.end = self.at(value.part.end + 2, How::Assigned, Kind::Header).part.end;
        }
        value
    }

    /// The value that begins here: in quotes, in brackets, or a word.
    pub(super) fn at(&mut self, at: usize, how: How, kind: Kind) -> Value {
        let rest = &self.bytes[at.min(self.bytes.len())..];
        // `b'x'`, `u"x"`, `rb'x'`.
        let prefix = match rest {
            [b'b' | b'u' | b'r' | b'f' | b'B' | b'U' | b'R' | b'F' | b'N' | b'E', b'"' | b'\'', ..] => 1,
            [b'%', b'2', b'2' | b'7', ..] => 3,
            [b'b' | b'r' | b'u' | b'f', b'b' | b'r' | b'u' | b'f', b'"' | b'\'', ..] => 2,
            _ => 0,
        };
        let at = at + prefix;
        let escapes = self.bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
        if self.bytes.get(at + escapes).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`')) {
            return self.in_quotes(at + escapes, how);
        }
        if let Some((open, close)) = self.wide_quote(at) {
            let start = at + open;
            let rest = self.window(start);
            let line = memchr(b'\n', rest).unwrap_or(rest.len());
            let length = memchr::memmem::find(&rest[..line], close).unwrap_or(line);
            self.used(length);
            return Value { how, part: self.chars(start..start + length), quoted: true, more: false };
        }
        match self.bytes.get(at) {
            Some(b'[' | b'{' | b'(') => {
                let end = at + self.end_of_brackets(at);
                // `{SSHA}...` is a word all the same.
                let part = at..end + self.end_of_word(end, kind);
                Value { how, part: self.chars(part), quoted: true, more: false }
            }
            Some(b'<') => {
                let rest = self.window(at);
                let end = rest.iter().take(STATEMENT).position(|byte| matches!(byte, b'>' | b'\n'));
                self.used(end.unwrap_or(STATEMENT));
                let end = end.unwrap_or(0);
                Value { how, part: self.chars(at + 1..(at + end).max(at + 1)), quoted: true, more: false }
            }
            Some(_) => self.word(at, how, kind),
            None => Value { how, part: at..at, quoted: false, more: false },
        }
    }

    pub(super) fn in_quotes(&mut self, quote: usize, how: How) -> Value {
        let rest = self.window(quote + 1);
        let (mut length, mut next) = quoted(&self.bytes[..=quote], rest);
        // A doubled quote stands for one: `"a""b"`.
        let doubled = |length: usize, next: usize| {
            let again = rest.get(next) == Some(&self.bytes[quote]) && next == length + 1;
            length > 0 && again && rest.get(next + 1).is_some_and(u8::is_ascii_alphanumeric)
        };
        while doubled(length, next) {
            let (more, after) = quoted(&self.bytes[..=quote], &rest[next + 1..]);
            (length, next) = (next + 1 + more, next + 1 + after);
        }
        self.used(next);
        let start = quote + 1;
        Value { how, part: self.chars(start..start + length.min(rest.len())), quoted: true, more: false }
    }

    pub(super) fn wide_quote(&self, at: usize) -> Option<(usize, &'static [u8])> {
        let rest = &self.bytes[at.min(self.bytes.len())..];
        QUOTES
            .iter()
            .find(|(open, _)| rest.starts_with(open.as_bytes()))
            .map(|(open, close)| (open.len(), close.as_bytes()))
    }

    /// A word, with the credentials behind a scheme.
    pub(super) fn word(&mut self, at: usize, how: How, kind: Kind) -> Value {
        let mut end = at + self.end_of_word(at, kind);
        let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        if matches!(kind, Kind::Header | Kind::Secret | Kind::Weak)
            && self.bytes.get(end) == Some(&b' ')
            && is_scheme(&self.text[at..end])
        {
            let start = end + blanks(&self.bytes[end..]);
            end = start + self.end_of_word(start, kind);
        }
        let behind = &self.bytes[end..];
        let blanks = blanks(behind);
        let next = &behind[blanks..];
        let name = next
            .iter()
            .take(LONGEST_NAME)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            .count();
        // The next word is prose unless it is the name of a pair.
        let more = blanks > 0 && name > 0 && !matches!(next.get(name), Some(b'=' | b':'));
        let more = more || matches!(behind, [b',' | b';', b' ', b'a'..=b'z', ..]) && name == 0;
        Value { how, part: self.chars(at..end), quoted: false, more }
    }

    /// Returns the length of the word that begins here. A wrapper's brackets belong to it: `Some("x")`.
    pub(super) fn end_of_word(&mut self, at: usize, kind: Kind) -> usize {
        let rest = self.window(at);
        let any_sign = kind == Kind::Password;
        let pair = |at: usize| {
            let blank = usize::from(rest.get(at) == Some(&b' '));
            let name = rest[at + blank..]
                .iter()
                .take(LONGEST_NAME)
                .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.[]%\"'".contains(byte))
                .count();
            name > 0 && matches!(rest.get(at + blank + name), Some(b'=' | b':'))
        };
        let ends_item = |at: usize| {
            rest.get(at).is_none_or(|next| next.is_ascii_whitespace() || b"\"'\\)]}".contains(next)) || pair(at)
        };
        let (mut i, mut depth) = (0, 0_usize);
        while let Some(byte) = rest.get(i) {
            let is_end = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => true,
                b'(' if depth > 0
                    || i > 0 && rest[i - 1].is_ascii_alphabetic() && is_wrapper(&rest[..i], &rest[i..]) =>
                {
                    depth += 1;
                    false
                }
                b')' if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        self.used(i);
                        return i + 1;
                    }
                    false
                }
                b'"' | b'\'' if depth > 0 => {
                    i += quoted(&rest[..=i], &rest[i + 1..]).1;
                    false
                }
                b')' | b']' | b'}' | b'"' | b'\'' | b'`' | b'<' | b'>' => depth == 0,
                b',' | b';' if depth == 0 => !any_sign || ends_item(i + 1),
                b'&' => !any_sign || pair(i + 1),
                b'%' => rest[i..].starts_with(b"%26") || rest[i..].starts_with(b"%22"),
                b'\\' if depth > 0 => false,
                b'\\' => matches!(rest.get(i + 1), Some(b'"' | b'\'' | b'n' | b'r' | b't' | b'\\' | b'u')),
                0xe2 => rest[i..].starts_with("\u{201d}".as_bytes()),
                _ => false,
            };
            if is_end {
                break;
            }
            i += 1;
        }
        let i = i.min(rest.len());
        self.used(i);
        i
    }

    /// Returns the length of the list or map that begins here, with all its content. One that a cut has left open ends with
    /// the line.
    pub(super) fn end_of_brackets(&mut self, at: usize) -> usize {
        let value = self.window(at);
        let (mut depth, mut i) = (0_usize, 0);
        // Nearly all bytes are none of these.
        let is_special = |byte: &u8| SPECIAL[usize::from(*byte)];
        let farthest = FARTHEST.min(value.len());
        while i < farthest {
            let rest = &value[i..farthest];
            i += rest.iter().position(is_special).unwrap_or(rest.len());
            let Some(byte) = value[..farthest].get(i) else { break };
            match byte {
                b'[' | b'{' | b'(' => depth += 1,
                b']' | b'}' | b')' if depth == 1 => {
                    self.used(i);
                    return i + 1;
                }
                b']' | b'}' | b')' => depth -= 1,
                b'"' | b'\'' => i += quoted(&value[..=i], &value[i + 1..]).1,
                _ => {}
            }
            i += 1;
        }
        let line = memchr(b'\n', value).unwrap_or(value.len());
        self.used(i.max(line));
        line
    }

    /// Returns the range inside the quotes that begin here; empty without quotes.
    pub(in crate::mapping::scrub) fn quoted_at(&mut self, quote: usize) -> Range<usize> {
        match self.bytes.get(quote) {
            Some(b'"' | b'\'') => self.in_quotes(quote, How::Assigned).part,
            _ => quote..quote,
        }
    }

    /// The next word behind blanks.
    pub(in crate::mapping::scrub) fn next_word(&mut self, end: usize) -> Range<usize> {
        let at = end + blanks(&self.bytes[end..]);
        if at == end {
            return end..end;
        }
        let length = self.end_of_word(at, Kind::Secret);
        self.chars(at..at + length)
    }

    /// Returns an argument of a command, or the part after its first colon.
    pub(in crate::mapping::scrub) fn argument(&mut self, (at, of_user): (usize, bool)) -> Range<usize> {
        let part = self.at(at, How::Flag, Kind::Password).part;
        if !of_user {
            return part;
        }
        let sign = self.text[part.clone()].find([':', '%']);
        sign.map_or(part.start..part.start, |colon| part.start + colon + 1..part.end)
    }

    /// A part that begins and ends between characters.
    pub(super) fn chars(&self, part: Range<usize>) -> Range<usize> {
        let end = self.text.ceil_char_boundary(part.end.min(self.text.len()));
        self.text.floor_char_boundary(part.start.min(end))..end
    }
}
