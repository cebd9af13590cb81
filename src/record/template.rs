//! The variable parts of a message: Sentry shows messages that differ only in them as one issue.
//!
//! Parts are numbers, ids, UUIDs, ULIDs, hashes, addresses, times, durations and generated names of Kubernetes, wherever in
//! a word they stand, and quoted values. What is a name stays: `utf8`, `k8s`, `v1beta1`, a key of JSON, structured klog's
//! message.

use super::severity::timestamp;
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
        None => scan.words(0, message.len()),
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
    /// What stands before this is in the template.
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
            close_of_apostrophe(&self.bytes[..end], at).filter(|_| !self.is_behind_word(at))
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

    /// Letters and digits, and what belongs to them. Returns where to go on.
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

/// How often letters and digits follow each other.
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
mod tests {
    use super::*;

    fn filled(template: &Template<'_>) -> String {
        let mut params = template.params.iter();
        let mut out = String::new();
        let mut rest = template.text.as_str();
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            match &rest[at..at + 2] {
                "%s" => out.push_str(params.next().expect("expected a param for each %s")),
                _ => out.push('%'),
            }
            rest = &rest[at + 2..];
        }
        assert_eq!(params.next(), None, "expected a %s for each param");
        out + rest
    }

    const PARTS: &[(&str, &str, &[&str])] = &[
        ("request 17 took 12ms", "request %s took %s", &["17", "12ms"]),
        ("user \"bob\" not found", "user \"%s\" not found", &["bob"]),
        ("user 'alice' denied", "user '%s' denied", &["alice"]),
        ("can't open bob's file", "can't open bob's file", &[]),
        ("dial tcp 10.0.0.1:5432: refused", "dial tcp %s: refused", &["10.0.0.1:5432"]),
        ("dial tcp [fd00::1]:5432: refused", "dial tcp [%s]:%s: refused", &["fd00::1", "5432"]),
        ("listen ::1 on aa:bb:cc:dd:ee:0f", "listen %s on %s", &["::1", "aa:bb:cc:dd:ee:0f"]),
        ("std::io and abc::def", "std::io and abc::def", &[]),
        ("GET /orders/17/items/9?x=1", "GET /orders/%s/items/%s?x=%s", &["17", "9", "1"]),
        (
            "GET /orders/2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11/items",
            "GET /orders/%s/items",
            &["2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11"],
        ),
        ("utf8, k8s, v1beta1 and log4j2 are names", "utf8, k8s, v1beta1 and log4j2 are names", &[]),
        ("api v1.2.3 of order_17", "api v%s of order_%s", &["1.2.3", "17"]),
        (
            "{\"level\":\"error\",\"order\":7,\"ok\":true}",
            "{\"level\":\"%s\",\"order\":%s,\"ok\":true}",
            &["error", "7"],
        ),
        ("Reconciler error {\"name\": \"x\", \"n\": 1}", "Reconciler error {\"name\": \"%s\", \"n\": %s}", &["x", "1"]),
        (
            "Get \"https://10.96.0.1:443/api?x=1\": dial tcp: refused",
            "Get \"%s\": dial tcp: refused",
            &["https://10.96.0.1:443/api?x=1"],
        ),
        ("100% of bob's disk", "%s%% of bob's disk", &["100"]),
        ("deadbeef at 0xff", "deadbeef at %s", &["0xff"]),
        ("commit 4be1c09 not found", "commit %s not found", &["4be1c09"]),
        ("object 507f1f77bcf86cd799439011", "object %s", &["507f1f77bcf86cd799439011"]),
        (
            "key user:session:01HV3M5Z8K3Q2W4E5R6T7Y8U9P expired",
            "key user:session:%s expired",
            &["01HV3M5Z8K3Q2W4E5R6T7Y8U9P"],
        ),
        ("pod api-7c9d8f6b5d-x2k4q is not ready", "pod api-%s is not ready", &["7c9d8f6b5d-x2k4q"]),
        ("pod api-5b6c7d8e9f-qq7aa_shop", "pod api-%s_shop", &["5b6c7d8e9f-qq7aa"]),
        ("pod fluent-bit-bx7vk gone", "pod fluent-bit-%s gone", &["bx7vk"]),
        ("name my-database-https and a-http2", "name my-database-https and a-http2", &[]),
        (
            "key /events/giasmine-job-29379440-97582.18769ab3ebbd44a0: no",
            "key /events/giasmine-job-%s-%s.%s: no",
            &["29379440", "97582", "18769ab3ebbd44a0"],
        ),
        ("took 1h2m3.5s for job", "took %s for job", &["1h2m3.5s"]),
        ("back-off 5m0s, 950ms, 3d, PT1M30S", "back-off %s, %s, %s, %s", &["5m0s", "950ms", "3d", "PT1M30S"]),
        ("10 meters, 12.5GiB and 4xx", "%s meters, %sGiB and %sxx", &["10", "12.5", "4"]),
        ("at 2024-03-10T09:00:00Z sync failed", "at %s sync failed", &["2024-03-10T09:00:00Z"]),
        ("date 10/Mar/2024 and Mar 10 09:00:00 bad", "date %s and %s bad", &["10/Mar/2024", "Mar 10 09:00:00"]),
        (
            "image registry.local/api:1.2.3 and api:main-4be1c09",
            "image registry.local/api:%s and api:main-%s",
            &["1.2.3", "4be1c09"],
        ),
        ("user alice@example.com denied.", "user %s denied.", &["alice@example.com"]),
        (
            "https://api.example.com/v1/users/42?token=x",
            "https://api.example.com/v%s/users/%s?token=%s",
            &["1", "42", "x"],
        ),
        ("GET /x?user=bob&page=a%20b, really? a=b", "GET /x?user=%s&page=%s, really? a=b", &["bob", "a%20b"]),
        ("Lambda$512/0x0000000840c5a440 Foo@1a2b3c", "Lambda$%s/%s Foo@%s", &["512", "0x0000000840c5a440", "1a2b3c"]),
        ("[req-5b8efff7] 5b8e failed", "[req-%s] %s failed", &["5b8efff7", "5b8e"]),
        ("\"Exec failed\" err=\"x \\\"1\\\"\" n=3", "\"Exec failed\" err=\"%s\" n=%s", &["x \\\"1\\\"", "3"]),
        ("\"Pod 17 failed\"", "\"Pod 17 failed\"", &[]),
        ("\"sync\" failed", "\"%s\" failed", &["sync"]),
        ("[\"no route\"] [conn=1]", "[\"no route\"] [conn=%s]", &["1"]),
        ("c \"msg\"=\"load x\" \"cluster\"=\"bmo\"", "c \"msg\"=\"load x\" \"cluster\"=\"%s\"", &["bmo"]),
        ("level=error msg=\"order 17 failed\" n=\"x\"", "level=error msg=\"order %s failed\" n=\"%s\"", &["17", "x"]),
    ];

    #[test]
    fn takes_variable_parts_out() {
        let mut wrong = Vec::new();
        for (message, text, params) in PARTS {
            let found = template(message);
            if (found.text.as_str(), found.params.as_slice()) != (*text, *params) {
                wrong.push(format!("expected {text} {params:?}, found {found:?}"));
            }
            assert_eq!(filled(&found), *message);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_template_fills_back_to_its_message() {
        let mut state = 7_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        const PIECES: &[&str] = &[
            "a",
            "1",
            "\"",
            "'",
            " ",
            "%",
            "%s",
            "\u{e9}",
            "\u{b5}s",
            ":",
            "::",
            ".",
            ",",
            "-",
            "{",
            "}",
            "=",
            "\\",
            "\n",
            "msg=",
            "0x",
            "v1",
            "12ms",
            "10.0.0.1",
            "4be1c09",
            "-7c9d8f6b5d-x2k4q",
            "a@b.c",
            "@",
            "2024-03-10",
            "T09:00:00Z",
            "Mar 10",
            "2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11",
            "[",
            "]",
            "fd00::1",
            "PT1M",
            "\"a b\"",
            "e+09",
            "1h2m",
            "_",
        ];
        for _ in 0..50_000 {
            let message: String = (0..next(14)).map(|_| PIECES[next(PIECES.len())]).collect();
            assert_eq!(filled(&template(&message)), message);
        }
    }

    #[test]
    fn parts_are_counted() {
        let many = "1 ".repeat(100);
        let found = template(&many);
        assert_eq!((found.params.len(), filled(&found)), (MAX_PARAMS, many));
    }
}
