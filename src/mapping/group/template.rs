//! Finds the variable parts of a message. Sentry shows messages that differ only in these parts as one issue.
//!
//! Variable parts are numbers, ids, UUIDs, ULIDs, hashes, addresses, times, durations and generated names of Kubernetes, at
//! any place in a word, and quoted values. Names stay: `utf8`, `k8s`, `v1beta1`, a key of JSON, structured klog's message.

use crate::mapping::resolve::severity::timestamp;
use memchr::memchr;

/// A message with its variable parts taken out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Template<'m> {
    /// The text with `%s` where a part was, `%%` where a percent sign was.
    pub text: String,
    /// The parts, in order.
    pub params: Vec<&'m str>,
}

/// More parts than this are kept in the line only.
const MAX_PARAMS: usize = 32;

/// Bytes of a message that are looked at: Sentry shows no more.
const MAX_SCANNED: usize = 16 << 10;

/// Bytes of a quoted value.
const MAX_QUOTED: usize = 1000;

/// Takes the variable parts out of a message, so that lines which differ only in them group. Filled in again they give the
/// message.
#[must_use]
pub fn template(message: &str) -> Template<'_> {
    let mut scan = Scan {
        message,
        bytes: message.as_bytes(),
        has_address: memchr(b'@', message.as_bytes()).is_some(),
        written: 0,
        braces: 0,
        out: Template::default(),
    };
    match structured(scan.bytes) {
        Some(end) => scan.pairs(end),
        None => scan.words(0, message.floor_char_boundary(MAX_SCANNED)),
    }
    scan.literal(message.len());
    scan.out
}

/// The end of the message of structured klog (`"message" key=value`) or TiDB (`["message"] [key=value]`), which stays as
/// it is.
fn structured(bytes: &[u8]) -> Option<usize> {
    let open = bytes.iter().take(2).position(|b| *b == b'"').filter(|at| *at == 0 || bytes[0] == b'[')?;
    let end = close_of_quoted(bytes, open)? + 1;
    let rest = &bytes[end..];
    let key = |text: &[u8]| text.iter().position(|b| !is_in_key(*b)).is_some_and(|len| len > 0 && text[len] == b'=');
    let is_it = if open == 0 {
        rest.is_empty() || rest.strip_prefix(b" ").is_some_and(key)
    } else {
        rest == b"]" || rest.strip_prefix(b"] [").is_some_and(key)
    };
    is_it.then_some(end)
}

fn is_in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

struct Scan<'m> {
    message: &'m str,
    bytes: &'m [u8],
    has_address: bool,
    /// The position before which all text is in the template.
    written: usize,
    braces: u32,
    out: Template<'m>,
}

impl<'m> Scan<'m> {
    fn literal(&mut self, to: usize) {
        let text = &self.message[self.written..to];
        if text.contains('%') {
            self.out.text.push_str(&text.replace('%', "%%"));
        } else {
            self.out.text.push_str(text);
        }
        self.written = to;
    }

    fn param(&mut self, from: usize, to: usize) {
        if from == to || self.out.params.len() >= MAX_PARAMS {
            return;
        }
        self.literal(from);
        self.out.text.push_str("%s");
        self.out.params.push(&self.message[from..to]);
        self.written = to;
    }

    /// The pairs behind a structured message: each value is a part.
    fn pairs(&mut self, mut at: usize) {
        while let Some(sign) = memchr(b'=', &self.bytes[at..]) {
            let value = at + sign + 1;
            let end = match self.bytes.get(value) {
                Some(b'"') => close_of_quoted(self.bytes, value).map(|close| (value + 1, close)),
                _ => None,
            };
            let rest = &self.bytes[value..];
            let blank = || value + rest.iter().position(|b| matches!(b, b' ' | b'\n' | b']')).unwrap_or(rest.len());
            let (from, to) = end.unwrap_or_else(|| (value, blank()));
            self.param(from, to);
            at = to;
            if self.out.params.len() == MAX_PARAMS {
                break;
            }
        }
    }

    fn words(&mut self, mut at: usize, end: usize) {
        while at < end && self.out.params.len() < MAX_PARAMS {
            let byte = self.bytes[at];
            at = match byte {
                b'"' | b'\'' => self.quoted(at, end),
                b'{' | b'}' => {
                    self.braces = if byte == b'{' { self.braces + 1 } else { self.braces.saturating_sub(1) };
                    at + 1
                }
                b':' if self.bytes.get(at + 1) == Some(&b':') && !self.is_behind_word(at) => self.whole(at, end, ipv6),
                b'?' | b'&' => self.query(at, end),
                byte if byte.is_ascii_alphanumeric() => self.run(at, end),
                _ => at + 1,
            };
        }
    }

    /// The value of a URL's parameter: `?user=bob&page=2`.
    fn query(&mut self, at: usize, end: usize) -> usize {
        let key = self.bytes[at + 1..end].iter().position(|b| !is_in_key(*b)).unwrap_or(0);
        let value = at + key + 2;
        if key == 0 || at == 0 || self.bytes[at - 1].is_ascii_whitespace() || self.bytes[value - 1] != b'=' {
            return at + 1;
        }
        let ends = |b: &u8| b.is_ascii_whitespace() || b"&\"'),;>|}".contains(b);
        let to = self.bytes[value..end].iter().position(ends).map_or(end, |len| value + len);
        self.param(value, to);
        to
    }

    fn is_behind_word(&self, at: usize) -> bool {
        at > 0 && self.bytes[at - 1].is_ascii_alphanumeric()
    }

    /// A part whose end a reader tells, or else one byte.
    fn whole(&mut self, at: usize, end: usize, read: fn(&[u8]) -> Option<usize>) -> usize {
        match read(&self.bytes[at..end]) {
            Some(len) => {
                self.param(at, at + len);
                at + len
            }
            None => at + 1,
        }
    }

    /// A quoted value; a quoted key is a name, and the message of logfmt is read as any other.
    fn quoted(&mut self, at: usize, end: usize) -> usize {
        let close = if self.bytes[at] == b'"' {
            close_of_quoted(&self.bytes[..end], at)
        } else {
            Some(at).filter(|_| !self.is_behind_word(at)).and_then(|at| close_of_apostrophe(&self.bytes[..end], at))
        };
        let Some(close) = close else { return at + 1 };
        let (before, behind) = (self.bytes[..at].trim_ascii_end(), self.bytes[close + 1..end].trim_ascii_start());
        let is_key = self.braces > 0 && matches!(before.last(), Some(b'{' | b',')) && behind.first() == Some(&b':');
        if is_key || self.bytes.get(close + 1) == Some(&b'=') {
            return close + 1;
        }
        if is_message_key(before) {
            self.words(at + 1, close);
            return close + 1;
        }
        self.param(at + 1, close);
        close + 1
    }

    /// Reads letters and digits, and the signs that belong to them. Returns the place where to go on.
    fn run(&mut self, at: usize, end: usize) -> usize {
        let rest = &self.bytes[at..end];
        let known = address(rest, self.has_address)
            .or_else(|| uuid(rest))
            .or_else(|| timestamp::len(rest))
            .or_else(|| ipv6(rest))
            .or_else(|| duration(rest));
        if let Some(len) = known {
            self.param(at, at + len);
            return at + len;
        }
        let len = run_len(rest);
        let before = at.checked_sub(1).map_or(b' ', |before| self.bytes[before]);
        if let Some(len) = generated(rest, len, before) {
            self.param(at, at + len);
            return at + len;
        }
        let digits = timestamp::digits(rest);
        if digits == 0 {
            // `v1.2.3`: behind one letter the number is a part; `utf8` and `k8s` are names.
            let number = timestamp::digits(&rest[1..]);
            if number == 0 || number + 1 < len {
                return at + len;
            }
            let number = number_len(&rest[1..]);
            self.param(at + 1, at + 1 + number);
            return at + 1 + number;
        }
        let number = number_len(rest);
        self.param(at, at + number);
        // What stands behind a number is its unit.
        at + number + run_len(&rest[number..])
    }
}

/// Returns true if a value follows that is the message of a line of logfmt, or of klog's old structured form.
fn is_message_key(before: &[u8]) -> bool {
    let key = before.strip_suffix(b"=").map(|key| key.strip_suffix(b"\"").unwrap_or(key));
    key.is_some_and(|key| {
        [&b"msg"[..], b"message"].iter().any(|name| {
            key.strip_suffix(*name).is_some_and(|rest| rest.last().is_none_or(|b| matches!(b, b' ' | b'"')))
        })
    })
}

/// The closing quote of a value that opens here: on the same line and within reach, and something stands in it.
fn close_of_quoted(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < bytes.len().min(open + 2 + MAX_QUOTED) {
        match bytes[at] {
            b'\\' => at += 1,
            b'\n' => return None,
            b'"' => return (at > open + 1).then_some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The same for `'`, which is an apostrophe before a letter.
fn close_of_apostrophe(bytes: &[u8], open: usize) -> Option<usize> {
    let inside = &bytes[open + 1..bytes.len().min(open + 2 + MAX_QUOTED)];
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            b'\n' => return None,
            b'\'' if !inside.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => {
                return (at > 0).then_some(open + 1 + at);
            }
            _ => {}
        }
    }
    None
}

fn run_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(bytes.len())
}

fn ends_run(bytes: &[u8], at: usize) -> bool {
    !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// An e-mail address.
fn address(bytes: &[u8], possible: bool) -> Option<usize> {
    if !possible {
        return None;
    }
    let is_user = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-');
    let at = bytes.iter().take(65).position(|b| !is_user(b)).filter(|at| bytes[*at] == b'@')?;
    let host = &bytes[at + 1..];
    let len = host.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))).unwrap_or(host.len());
    let len = host[..len].iter().rposition(u8::is_ascii_alphanumeric)? + 1;
    memchr(b'.', &host[..len]).map(|_| at + 1 + len)
}

fn uuid(bytes: &[u8]) -> Option<usize> {
    let text = bytes.get(..36)?;
    let is_uuid = text.iter().enumerate().all(|(at, b)| match at {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    });
    (is_uuid && ends_run(bytes, 36)).then_some(36)
}

/// An address of version 6 with a digit in it, or of a network card.
fn ipv6(bytes: &[u8]) -> Option<usize> {
    let len = bytes.iter().take(46).position(|b| !(b.is_ascii_hexdigit() || matches!(b, b':' | b'.')));
    let len = len.unwrap_or(bytes.len().min(46));
    let text = &bytes[..bytes[..len].iter().rposition(u8::is_ascii_hexdigit)? + 1];
    let colons = text.iter().filter(|b| **b == b':').count();
    if colons < 2 || !ends_run(bytes, text.len()) || !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let is_mac = text.len() == 17 && colons == 5 && text.split(|b| *b == b':').all(|part| part.len() == 2);
    let is_address = || std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    (is_mac || is_address()).then_some(text.len())
}

/// Numbers with units of time: `12ms`, `1h2m3.5s`, `5m0s`, and ISO 8601's `PT1M30S`.
fn duration(bytes: &[u8]) -> Option<usize> {
    let iso = bytes.starts_with(b"PT") && bytes.get(2).is_some_and(u8::is_ascii_digit);
    let mut at = if iso { 2 } else { 0 };
    loop {
        let digits = timestamp::digits(&bytes[at..]);
        if digits == 0 {
            break;
        }
        at += digits;
        if bytes.get(at) == Some(&b'.') {
            at += match timestamp::digits(&bytes[at + 1..]) {
                0 => return None,
                digits => digits + 1,
            };
        }
        let rest = &bytes[at..];
        const UNITS: [&[u8]; 8] = [b"ms", "\u{b5}s".as_bytes(), b"us", b"ns", b"s", b"m", b"h", b"d"];
        at += match rest.first() {
            Some(b'H' | b'M' | b'S') if iso => 1,
            _ if iso => return None,
            _ => UNITS.iter().find(|unit| rest.starts_with(unit))?.len(),
        };
    }
    (at > 2 * usize::from(iso) && ends_run(bytes, at)).then_some(at)
}

/// The length of an id, a hash or a generated name that the text begins with; `len` is that of its first run.
fn generated(bytes: &[u8], len: usize, before: u8) -> Option<usize> {
    let run = &bytes[..len];
    let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == len {
        return None;
    }
    let is_hex = |run: &[u8]| run.iter().all(u8::is_ascii_hexdigit);
    let hash = run.strip_prefix(b"0x").is_some_and(|rest| !rest.is_empty() && is_hex(rest));
    if hash || before == b'@' && len >= 4 && is_hex(run) {
        return Some(len);
    }
    if digits == 0 {
        return None;
    }
    // A pod of a Deployment or Job: `-7c9d8f6b5d-x2k4q`.
    if before == b'-' && (8..=10).contains(&len) && changes(run) >= 2 && run.iter().all(is_lower_or_digit) {
        let suffix = bytes[len..]
            .strip_prefix(b"-")
            .filter(|rest| run_len(rest) == 5 && rest[..5].iter().all(is_lower_or_digit));
        if suffix.is_some() {
            return Some(len + 6);
        }
    }
    // Kubernetes' random suffixes have no vowels and nothing that is easily mistaken: `-x2k4q`.
    let safe = |b: &u8| b"bcdfghjklmnpqrstvwxz2456789".contains(b);
    let suffix = before == b'-' && len == 5 && run.iter().all(safe) && !run.starts_with(b"http");
    (suffix || is_id(run)).then_some(len)
}

/// Hashes of seven and more hexadecimal digits, and runs in which letters and digits change too often for a name.
fn is_id(run: &[u8]) -> bool {
    let hex = run.len() >= 7 && run.iter().all(u8::is_ascii_hexdigit);
    let version =
        || run[0] == b'v' && [&b"alpha"[..], b"beta"].iter().any(|name| memchr::memmem::find(run, name).is_some());
    let short = run[0].is_ascii_digit() && run.len() >= 4 && changes(run) >= 2;
    run.iter().any(u8::is_ascii_digit) && (hex || short || run.len() >= 8 && changes(run) >= 3 && !version())
}

/// Returns the number of times that a letter follows a digit or a digit follows a letter.
fn changes(run: &[u8]) -> usize {
    run.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count()
}

fn is_lower_or_digit(byte: &u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// The length of the number that the text begins with: `1.2.3`, `10,000`, `10.0.0.1:5432`. An id behind a dot is another
/// part.
fn number_len(bytes: &[u8]) -> usize {
    let mut at = timestamp::digits(bytes);
    while matches!(bytes.get(at), Some(b'.' | b',' | b':' | b'_')) {
        let rest = &bytes[at + 1..];
        let digits = timestamp::digits(rest);
        let run = &rest[..run_len(rest)];
        if digits == 0 || digits < run.len() && is_id(run) {
            break;
        }
        at += 1 + digits;
    }
    at
}

#[cfg(test)]
mod tests;
