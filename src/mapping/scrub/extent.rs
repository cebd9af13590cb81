//! Finds the positions at which names, separators and values begin and end in a text.

mod ends;
mod names;

use super::name::Meaning;
use super::rules::Kind;
use super::steps;
use super::value::How;
use memchr::{memchr, memchr2_iter};
pub(super) use names::name_around;
use std::ops::Range;

/// Bytes of a text that are read in search of the ends of values and to judge them, for each byte of the text. Once they are used
/// up, what stands behind a name goes to the end of its line unread.
const WORK: usize = 3;

/// Bytes in which other ends are looked for then.
const NEARBY: usize = 32;

/// Most bytes in which the rest of a tag or of an SQL statement is looked for.
const STATEMENT: usize = 256;

/// Most bytes in which the end of a list or map is looked for.
const FARTHEST: usize = 1 << 11;

/// Blanks between a name, its separator and its value.
const MOST_BLANKS: usize = 64;

/// Signs that a name and its value may have between them beyond ASCII: a full-width equals sign and colon, an arrow.
const WIDE_EQUALS: &[u8] = "\u{ff1d}".as_bytes();
const WIDE_COLON: &[u8] = "\u{ff1a}".as_bytes();
const ARROW: &[u8] = "\u{2192}".as_bytes();

/// Quotes beyond ASCII, opening and closing.
const QUOTES: [(&str, &str); 6] = [
    ("\u{201c}", "\u{201d}"),
    ("\u{2018}", "\u{2019}"),
    ("\u{ab}", "\u{bb}"),
    ("\u{201e}", "\u{201c}"),
    ("\u{300c}", "\u{300d}"),
    ("&quot;", "&quot;"),
];

/// Words before credentials in an `Authorization` header.
const SCHEMES: [&str; 20] = [
    "basic",
    "bearer",
    "token",
    "apikey",
    "api-key",
    "digest",
    "negotiate",
    "ntlm",
    "aws4-hmac-sha256",
    "hawk",
    "oauth",
    "sharedkey",
    "sharedkeylite",
    "jwt",
    "ssws",
    "key",
    "dpop",
    "mac",
    "splunk",
    "signature",
];

/// A value behind a name.
#[derive(Debug)]
pub(super) struct Value {
    pub how: How,
    pub part: Range<usize>,
    pub quoted: bool,
    /// True if prose may go on behind it.
    pub more: bool,
}

/// Returns true if the name is a flag: dashes before it, and before them the end of a word.
pub(super) fn is_flag_start(bytes: &[u8], start: usize) -> bool {
    let before = start.checked_sub(1).map(|before| bytes[before]);
    bytes.get(start) == Some(&b'-')
        && before.is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'[' | b'(' | b'`' | b','))
}

/// Passes quotes and brackets that close behind a name; whether there was a quote.
fn closing(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut quoted = false;
    for _ in 0..16 {
        let rest = &bytes[at..];
        let wide = || QUOTES.iter().find(|(_, close)| rest.starts_with(close.as_bytes())).map(|(_, close)| close.len());
        let length = match rest {
            [b'"' | b'\'' | b'`', ..] => 1,
            [b'\\', b'"' | b'\'' | b'`' | b'\\', ..] => 2,
            [b']', ..] => {
                at += 1;
                continue;
            }
            [b'%', b'5', b'D' | b'd', ..] => {
                at += 3;
                continue;
            }
            [b'%', b'2', b'2' | b'7', ..] => 3,
            _ => match wide() {
                Some(length) => length,
                None => break,
            },
        };
        quoted = true;
        at += length;
    }
    (at, quoted)
}

/// Returns true if the text after a name in an item's JSON may make it a key. A false is never wrong.
pub(super) fn may_have_value(json: &[u8], name: &Range<usize>) -> bool {
    if json.get(name.end) == Some(&b'\\') {
        return true;
    }
    let (at, quoted) = closing(json, name.end);
    let rest = &json[at.min(json.len())..];
    let blanks = rest.iter().take(MOST_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let is_flag = is_flag_start(json, name.start) || json[..name.start].ends_with(b"\\n") || json[name.start] == b'-';
    match &rest[blanks..] {
        _ if rest[..blanks].contains(&b'\t') => true,
        [b'=' | b':' | b'|' | b'>' | b'\\' | b'%' | b'(' | b'&' | b'\n' | b'\r', ..] => true,
        [b'-', b'>', ..] => true,
        [b',' | b')', ..] => true,
        [b'"' | b'\'' | b'`', ..] => blanks > 0 && !quoted,
        [byte, ..] if !byte.is_ascii() => true,
        // `<password type="x">`, `{name: X value: Y}`, `--password x`
        [_, ..] => {
            blanks > 0
                && (is_flag
                    || is_tag(json, name.start)
                    || rest[blanks..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"val")))
        }
        [] => false,
    }
}

/// Returns true if a name begins a tag of XML, perhaps behind a prefix: `<wsse:Password`.
fn is_tag(bytes: &[u8], start: usize) -> bool {
    let before = &bytes[start.saturating_sub(40)..start];
    let before = match before.strip_suffix(b":") {
        Some(prefix) => {
            let name = prefix.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            &prefix[..prefix.len() - name]
        }
        None => before,
    };
    before.ends_with(b"<") || before.ends_with(b"&lt;")
}

/// Reads values in a text, with a bound for the bytes that are read in all.
pub(super) struct Extents<'t> {
    text: &'t str,
    bytes: &'t [u8],
    left: usize,
}

impl<'t> Extents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, bytes: text.as_bytes(), left: text.len() * WORK + FARTHEST }
    }

    /// The text from a place on, as far as there is work left.
    fn window(&self, at: usize) -> &'t [u8] {
        let rest = &self.bytes[at.min(self.bytes.len())..];
        if self.left > 0 { rest } else { &rest[..rest.len().min(NEARBY)] }
    }

    fn used(&mut self, bytes: usize) {
        steps::count(bytes + 1);
        self.left = self.left.saturating_sub(bytes + 1);
    }

    /// The value that belongs to a name, if it has one.
    pub(super) fn value(&mut self, name: &Range<usize>, meaning: Meaning, is_flag: bool) -> Option<Value> {
        let value = self.read_value(name, meaning, is_flag)?;
        // It is judged, too.
        self.used(value.part.len());
        Some(value)
    }

    /// The rest of the line behind a name and its separator, once the work is used up.
    pub(super) fn unread(&self, name: &Range<usize>) -> Option<Range<usize>> {
        if self.left > 0 {
            return None;
        }
        let (closed, quoted) = closing(self.bytes, name.end);
        let (_, at) = self.separator(closed, quoted)?;
        let length = memchr(b'\n', &self.bytes[at..]).unwrap_or(self.bytes.len() - at);
        steps::count(length);
        Some(self.chars(at..at + length))
    }

    fn read_value(&mut self, name: &Range<usize>, meaning: Meaning, is_flag: bool) -> Option<Value> {
        if is_tag(self.bytes, name.start) {
            return self.in_tags(name.end);
        }
        let (closed, quoted) = closing(self.bytes, name.end);
        let (how, at) = match self.separator(closed, quoted) {
            Some(found) => found,
            None => return self.without_separator(name, closed, quoted, meaning, is_flag),
        };
        if how == How::Loose && self.bytes[closed..].starts_with(b",") {
            if let Some(at) = self.value_member(closed) {
                return Some(self.member(name, at, meaning));
            }
            return self.of_tuple(at, is_flag, meaning);
        }
        let how = if is_flag && how == How::Colon { How::Assigned } else { how };
        let at = self.without_type(at, how);
        if meaning.kind == Kind::Header {
            return Some(self.header(name.start, at, how));
        }
        let mut value = self.at(at, how, meaning.kind);
        // `Password:x` without a blank is a pair, not prose.
        if how == How::Colon && at == closed + 1 && meaning.kind == Kind::Password && !value.more {
            value.how = How::Assigned;
        }
        Some(value)
    }

    /// Returns the kind of separator between a name and its value, and the position at which the value begins.
    fn separator(&self, closed: usize, quoted: bool) -> Option<(How, usize)> {
        let rest = &self.bytes[closed..];
        let blanks = blanks(rest);
        let tab = rest[..blanks].contains(&b'\t');
        let sign = &rest[blanks..];
        let starts = |with: &[u8]| sign.starts_with(with);
        let (how, length) = match sign {
            [b'=', b'>', ..] | [b':', b'=', ..] => (How::Assigned, 2),
            [b'=', b'=', ..] => (How::Assigned, 2 + usize::from(sign.get(2) == Some(&b'='))),
            [b'=', ..] => (How::Assigned, 1),
            [b':', b':', ..] | [b':', b'/', b'/', ..] => return None,
            [b':', ..] => (if quoted { How::Assigned } else { How::Colon }, 1),
            [b'-', b'>', ..] => (How::Loose, 2),
            [b'|', b'|', ..] => return None,
            [b'|', ..] => (How::Loose, 1),
            [b',', ..] if quoted => (How::Loose, 1),
            [b'%', b'3', b'D' | b'd', ..] => (How::Assigned, 3),
            [b'%', b'3', b'A' | b'a', ..] => (How::Assigned, 3),
            _ if starts(WIDE_EQUALS) => (How::Assigned, WIDE_EQUALS.len()),
            _ if starts(WIDE_COLON) => (How::Colon, WIDE_COLON.len()),
            _ if starts(ARROW) => (How::Loose, ARROW.len()),
            _ if starts(b"=&gt;") => (How::Assigned, 5),
            _ if tab => (How::Loose, 0),
            _ => return None,
        };
        let at = closed + blanks + length;
        Some((how, at + self::blanks(&self.bytes[at..])))
    }

    /// `string(11) "x"` of PHP's `var_dump`, which also begins a line.
    fn without_type(&self, at: usize, how: How) -> usize {
        if how != How::Assigned {
            return at;
        }
        let rest = &self.bytes[at..];
        let blank = rest.iter().take(MOST_BLANKS).take_while(|byte| byte.is_ascii_whitespace()).count();
        let Some(size) = rest[blank..].strip_prefix(b"string(") else { return at };
        let digits = size.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if size[digits..].starts_with(b") ") { at + blank + b"string(".len() + digits + 2 } else { at }
    }

    /// A value that stands behind a name with a blank, or in the next field.
    fn without_separator(
        &mut self,
        name: &Range<usize>,
        closed: usize,
        quoted: bool,
        meaning: Meaning,
        is_flag: bool,
    ) -> Option<Value> {
        let rest = &self.bytes[closed..];
        let blanks = blanks(rest);
        let next = rest.get(blanks);
        if is_flag && blanks > 0 && next.is_some() {
            return Some(Value { how: How::Flag, ..self.at(closed + blanks, How::Flag, meaning.kind) });
        }
        if let Some(at) = self.value_member(closed) {
            return Some(self.member(name, at, meaning));
        }
        if meaning.kind == Kind::Password {
            // SQL: `PASSWORD 'x'`, `password('x')`, and columns of which the values follow.
            let open = usize::from(blanks == 0 && next == Some(&b'('));
            if !quoted && matches!(rest.get(blanks + open), Some(b'\'' | b'"')) && (blanks > 0 || open > 0) {
                return Some(self.at(closed + blanks + open, How::Assigned, meaning.kind));
            }
            if matches!(next, Some(b',' | b')')) {
                return self.of_insert(closed + blanks);
            }
            // A part of a form: its name, an empty line, its value.
            if quoted && (rest.starts_with(b"\r\n\r\n") || rest.starts_with(b"\n\n")) {
                let at = closed + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                return Some(self.at(at, How::Assigned, meaning.kind));
            }
        }
        None
    }

    fn member(&mut self, name: &Range<usize>, at: usize, meaning: Meaning) -> Value {
        match meaning.kind {
            Kind::Header => self.header(name.start, at, How::Assigned),
            kind => self.at(at, How::Assigned, kind),
        }
    }

    /// `value` behind a name that is a value itself: `name: DB_PASSWORD, value: x`. Where that value begins.
    fn value_member(&self, closed: usize) -> Option<usize> {
        let rest = &self.bytes[closed..];
        let between = |byte: &u8| {
            byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b'"' | b'\'' | b'\\' | b'{' | b'-' | b'<' | b'>')
        };
        let skipped = rest.iter().take(48).take_while(|byte| between(byte)).count();
        if skipped == 0 {
            return None;
        }
        // An escaped line feed leaves its letter.
        let rest = &rest[skipped..];
        let escaped = usize::from(self.bytes[..closed + skipped].ends_with(b"\\") && rest.first() == Some(&b'n'));
        let indent = rest[escaped..].iter().take_while(|byte| **byte == b' ').count() * escaped;
        let word = &rest[escaped + indent..];
        let length = [&b"values"[..], b"value", b"val"]
            .iter()
            .find(|name| word.get(..name.len()).is_some_and(|w| w.eq_ignore_ascii_case(name)))?
            .len();
        let (at, _) = closing(self.bytes, closed + skipped + escaped + indent + length);
        let blanks = blanks(&self.bytes[at..]);
        let sign = self.bytes.get(at + blanks).filter(|byte| matches!(byte, b'=' | b':' | b'>'))?;
        let arrow = usize::from(*sign == b'=' && self.bytes.get(at + blanks + 1) == Some(&b'>'));
        let at = at + blanks + 1 + arrow;
        Some(at + self::blanks(&self.bytes[at..]))
    }
}

/// Brackets and quotes.
static SPECIAL: [bool; 256] = special();

const fn special() -> [bool; 256] {
    let mut bytes = [false; 256];
    let signs = b"[]{}()\"'";
    let mut at = 0;
    while at < signs.len() {
        bytes[signs[at] as usize] = true;
        at += 1;
    }
    bytes
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take(MOST_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// `Some("x")`, `SecretStr('x')`: an identifier before a bracket in which something stands in quotes, or of a known name.
fn is_wrapper(name: &[u8], rest: &[u8]) -> bool {
    let identifier = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'));
    identifier
        && (matches!(rest.get(1), Some(b'"' | b'\'' | b'b' | b'u')) || name.first().is_some_and(u8::is_ascii_uppercase))
}

/// Returns the position at which a text ends that begins behind a quote, with which `before` ends, and the position at which
/// the input continues behind the closing quote. Inside JSON, quotes have backslashes: the closing quote has as many as the
/// opening one, or those of backslashes before it as well. A text that a cut has left open ends with the line.
fn quoted(before: &[u8], text: &[u8]) -> (usize, usize) {
    let Some((quote, before)) = before.split_last() else { return (0, 0) };
    let backslashes = |text: &[u8]| text.iter().rev().take_while(|byte| **byte == b'\\').count();
    let own = backslashes(before);
    let is_one = |at: usize| backslashes(&text[..at]) % (2 * (own + 1)) == own;
    for at in memchr2_iter(*quote, b'\n', text) {
        if text[at] == b'\n' {
            return (at, at);
        }
        if is_one(at) && closes(&text[..at - own], text.get(at + 1).copied()) {
            return (at - own, at + 1);
        }
    }
    (text.len(), text.len())
}

/// Returns true if a quote between these closes a text and does not open another. Behind a sign (`=` or `:`), the byte that
/// follows the quote decides.
fn closes(before: &[u8], next: Option<u8>) -> bool {
    let is_end = |more: &[u8]| next.is_none_or(|next| b" \t\r\n,;&)}]>|.\\".contains(&next) || more.contains(&next));
    match before.trim_ascii_end() {
        // Nothing is in it, or it has two quotes on each side.
        [] => is_end(b""),
        [.., b'=' | b':'] => is_end(b"\"'"),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
