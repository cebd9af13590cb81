//! Finds tokens that are recognised by their form at any place in a text: prefixes of vendors, JSON Web Tokens, webhooks,
//! and long values in the query of a URL.

use super::prefilter::{RUN, is_run_byte};
use super::rules::{AFTER, Body, HOOKS, Kind, TERMS, TOKENS, Token};
use super::steps;
use super::value::looks_random;
use memchr::memchr_iter;
use std::ops::Range;

/// Most bytes back in which the beginning of a URL or value is looked for.
const FAR: usize = 512;

/// For each first byte, the index in the table at which its tokens begin.
static BY_BYTE: [u8; 129] = by_byte();

const fn by_byte() -> [u8; 129] {
    let mut starts = [0; 129];
    let (mut row, mut byte) = (0, 0);
    while byte < 128 {
        starts[byte] = row as u8;
        while row < TOKENS.len() && TOKENS[row].prefix.as_bytes()[0] as usize == byte {
            row += 1;
        }
        byte += 1;
    }
    assert!(row == TOKENS.len(), "the tokens stand in the order of their first bytes");
    starts[128] = row as u8;
    starts
}

/// Bytes behind a run that are read for its token, for each byte of the text. Once they are used up a token ends with its run.
const WORK: usize = 4;

/// Longest part of a webhook behind the first slash.
const HOOK_PATH: usize = 48;

/// Finds all tokens.
pub(super) fn tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut tokens = Tokens::new(bytes);
    let mut at = 0;
    while at < bytes.len() {
        if !is_run_byte(bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_run_byte(**byte)).count();
        let mut next = end;
        if end - at >= RUN
            && let Some(part) = tokens.token(at, end)
        {
            next = end.max(part.end);
            found.push(part);
        }
        at = next;
    }
}

/// Reads tokens of a text in order, each byte a bounded number of times.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    bytes: &'t [u8],
    /// Bytes behind runs that may still be read.
    left: usize,
    hooks: Hooks,
    /// The start of the last value in a query that was judged, and the place up to which it was read.
    query: (usize, usize),
}

/// The webhook in the URL at hand.
#[derive(Debug, Default)]
struct Hooks {
    /// The place up to which it was looked for, and the start of the URL.
    passed: usize,
    url: usize,
    /// The start of the webhook's host and the end of its path.
    found: Option<(usize, usize)>,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        Self { bytes, left: bytes.len() * WORK + FAR, hooks: Hooks::default(), query: (usize::MAX, 0) }
    }

    /// The token that a run of letters, digits, `_` and `-` is or belongs to. Runs come in order.
    pub(super) fn token(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        steps::count(end - start);
        let bytes = self.bytes;
        let before = start.checked_sub(1).map(|before| bytes[before]);
        // What an escape leaves before a token is no part of it.
        let escape = match before {
            Some(b'\\') => 1,
            Some(b'%') => 2,
            _ => 0,
        };
        let starts = [Some(start), (escape > 0).then_some(start + escape)];
        for start in starts.into_iter().flatten() {
            let run = &bytes[start.min(end)..end];
            let dashes = run.iter().take_while(|byte| matches!(byte, b'-' | b'_')).count();
            let found = self.by_prefix(start + dashes, end).or_else(|| self.web_token(start + dashes, end));
            if found.is_some() {
                return found;
            }
        }
        match before? {
            b'.' | b'~' => self.behind_sign(start, end),
            b':' => of_telegram(bytes, start, end),
            b'/' | b'=' | b'%' | b'@' | b'+' => self.hooks.hook(bytes, start).or_else(|| self.in_query(start)),
            _ => None,
        }
        .or_else(|| in_base64(bytes, start, end))
    }

    /// The text up to where a token that begins in a run may be read.
    fn window(&self, end: usize) -> &'t [u8] {
        &self.bytes[..self.bytes.len().min(end.saturating_add(self.left))]
    }

    fn used(&mut self, bytes: usize) {
        steps::count(bytes);
        self.left = self.left.saturating_sub(bytes);
    }

    fn by_prefix(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        let run = self.bytes.get(start..end)?;
        let [first, second, ..] = run else { return None };
        let first = usize::from(*first);
        let rows = BY_BYTE.get(first..first + 2)?;
        for token in &TOKENS[usize::from(rows[0])..usize::from(rows[1])] {
            // Nearly always the second byte says no.
            let prefix = token.prefix.as_bytes();
            if prefix.get(1).is_some_and(|byte| byte != second) || !run.starts_with(prefix) {
                continue;
            }
            let bytes = self.window(end);
            let body = start + prefix.len();
            let read = body_length(token, &bytes[body..]);
            self.used((body + read).saturating_sub(end));
            if let Some(length) = length(token, &bytes[body..], read) {
                return Some(start..with_secret(bytes, token, body + length));
            }
        }
        None
    }

    /// `eyJ...`, with two to five parts.
    fn web_token(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        if !self.bytes.get(start..end)?.starts_with(b"eyJ") {
            return None;
        }
        let in_token = |byte: &u8| is_run_byte(*byte) || matches!(byte, b'.' | b'=');
        let bytes = self.window(end);
        let length = bytes[start..].iter().take_while(|byte| in_token(byte)).count();
        self.used((start + length).saturating_sub(end));
        let part = &bytes[start..start + length];
        let part = part.strip_suffix(b".").unwrap_or(part);
        let first = part.iter().position(|byte| *byte == b'.')?;
        (part.len() - first > 8).then_some(start..start + part.len())
    }

    /// `SG.xxx`, `hvs.xxx`, `xxx.atlasv1.xxx`, Discord's three parts.
    fn behind_sign(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        let bytes = self.window(end);
        let before = start.checked_sub(2).map(|before| usize::from(bytes[before]));
        let mut rows = before.map_or(u64::MAX, |before| BEFORE_SIGN[before.min(128)]) & OF_AFTER;
        while rows != 0 {
            let token = &AFTER[rows.trailing_zeros() as usize];
            rows &= rows - 1;
            let prefix = token.prefix.as_bytes();
            let sign = sign(prefix);
            let Some(from) = start.checked_sub(sign).filter(|from| bytes[*from..].starts_with(prefix)) else {
                continue;
            };
            let alone = prefix[0] == b'.'
                || prefix[0].is_ascii_digit()
                || from
                    .checked_sub(1)
                    .is_none_or(|before| !bytes[before].is_ascii_alphanumeric() || bytes[..before].ends_with(b"\\"));
            if !alone {
                continue;
            }
            let body = from + prefix.len();
            let read = body_length(token, &bytes[body..]);
            self.used((body + read).saturating_sub(end));
            if let Some(length) = length(token, &bytes[body..], read) {
                let back = bytes[..from].iter().rev().take(FAR).take_while(|byte| is_run_byte(**byte)).count();
                let from = if prefix[0] == b'.' || prefix[0].is_ascii_digit() { from - back } else { from };
                return Some(from..from.max(start - sign) + prefix.len() + length);
            }
        }
        of_discord(bytes, start, end)
    }

    /// A value drawn at random behind a name that says something in a query only: `&state=`. Each value is judged once.
    fn in_query(&mut self, at: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let (known, read) = self.query;
        let from = at.saturating_sub(FAR).max(read.min(at));
        let back = bytes[from..at].iter().rev().take_while(|byte| is_value_byte(**byte)).count();
        steps::count(back);
        if known < at && from == read && back == at - from {
            self.query.1 = at;
            return None;
        }
        let start = at - back;
        self.query = (start, at);
        let sign = start.checked_sub(1).filter(|sign| bytes[*sign] == b'=')?;
        let name = bytes[..sign].iter().rev().take(64).take_while(|byte| is_run_byte(**byte)).count();
        let name = &bytes[sign - name..sign];
        let mark = sign.checked_sub(name.len() + 1).map(|mark| bytes[mark])?;
        let known =
            |term: &&super::rules::Term| matches!(term.kind, Kind::Query) && ends_with(name, term.word.as_bytes());
        if !matches!(mark, b'?' | b'&' | b';') && mark != b'6' || !TERMS.iter().any(|term| known(&term)) {
            return None;
        }
        let end =
            at + bytes[at..].iter().take(FAR * 16).take_while(|byte| is_value_byte(**byte) || **byte == b'=').count();
        steps::count(end - start);
        let value = std::str::from_utf8(&bytes[start..end]).ok()?;
        looks_random(value).then_some(start..end)
    }
}

/// Returns the end of a token, with the secret of `AKIA...:secret`.
fn with_secret(bytes: &[u8], token: &Token, end: usize) -> usize {
    if !matches!(token.prefix, "AKIA" | "ASIA") || !matches!(bytes.get(end), Some(b':' | b'/')) {
        return end;
    }
    let in_secret = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let secret = bytes[end + 1..].iter().take_while(in_secret).count();
    end + if secret >= 40 { secret + 1 } else { 0 }
}

/// The number of bytes here that a token's body may have.
fn body_length(token: &Token, rest: &[u8]) -> usize {
    let fits = |byte: &&u8| match token.body {
        Body::Word => is_run_byte(**byte),
        Body::Dotted => is_run_byte(**byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'='),
        Body::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        Body::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        Body::Alnum => byte.is_ascii_alphanumeric(),
    };
    rest.iter().take_while(fits).count()
}

/// The length of a token's body that begins here, if it is one.
fn length(token: &Token, rest: &[u8], length: usize) -> Option<usize> {
    let alone = token.most > MOST_OPEN || !rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
    // A word is no token: `sk-learn-contrib-something`, `secret_manager_configuration`.
    let drawn = rest[..length].iter().any(u8::is_ascii_digit) && rest[..length].iter().any(u8::is_ascii_alphabetic)
        || rest[..length].iter().filter(|byte| byte.is_ascii_uppercase()).count() > 4;
    (length >= token.least && length <= token.most && alone && drawn).then_some(length)
}

/// Tokens with a most are of one length.
const MOST_OPEN: usize = 1 << 10;

/// A bit for each row of [`AFTER`].
const OF_AFTER: u64 = u64::MAX >> (64 - AFTER.len());

/// A bit for each row of [`AFTER`] in whose prefix a byte stands before the last sign, or nothing does; 128 stands for all bytes
/// beyond ASCII.
static BEFORE_SIGN: [u64; 129] = before_sign();

const fn before_sign() -> [u64; 129] {
    let mut rows = [0; 129];
    let mut row = 0;
    while row < AFTER.len() {
        let prefix = AFTER[row].prefix.as_bytes();
        match sign(prefix).checked_sub(2) {
            Some(at) => rows[prefix[at] as usize] |= 1 << row,
            None => {
                let mut byte = 0;
                while byte <= 128 {
                    rows[byte] |= 1 << row;
                    byte += 1;
                }
            }
        }
        row += 1;
    }
    rows
}

/// Returns the position at which a prefix continues behind its last sign, as `sk.eyJ` does; its length if it ends with the
/// sign, or has none.
const fn sign(prefix: &[u8]) -> usize {
    let mut at = prefix.len();
    while at > 0 {
        if matches!(prefix[at - 1], b'.' | b'~') {
            return at;
        }
        at -= 1;
    }
    prefix.len()
}

/// A bot's token at Discord: its id in base64, a time and a signature.
fn of_discord(bytes: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if !(25..=40).contains(&(end - start)) {
        return None;
    }
    let back = |to: usize| bytes[..to].iter().rev().take(FAR).take_while(|byte| is_run_byte(**byte)).count();
    let time = start.checked_sub(1)? - back(start - 1);
    let id = time.checked_sub(1).filter(|dot| bytes[*dot] == b'.')?;
    let first = id - back(id);
    let fits = (5..=7).contains(&(start - 1 - time)) && (17..=28).contains(&(id - first));
    (fits && matches!(bytes[first], b'M' | b'N' | b'O')).then_some(first..end)
}

/// `123456789:AA...`, a bot's token at Telegram.
fn of_telegram(bytes: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let digits = bytes[..start - 1].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    ((8..=10).contains(&digits) && (34..=36).contains(&(end - start)) && bytes[start..].starts_with(b"AA"))
        .then(|| start - 1 - digits..end)
}

/// Returns true for a byte of a URL.
fn is_url_byte(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & URL != 0
}

/// Returns true for a byte of a value in a URL's query.
fn is_value_byte(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & VALUE != 0
}

const URL: u8 = 1;
const VALUE: u8 = 2;

/// For each byte, the classes of text that it may be part of.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\') {
            classes[at] |= URL;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'.' | b'_' | b'~' | b'+' | b'/' | b'-' | b'@') {
            classes[at] |= VALUE;
        }
        at += 1;
    }
    classes
}

/// Ends of the hosts of webhooks. One of them is in each of [`HOOKS`] and in few paths.
const HOSTS: [&str; 3] = [".com", ".org", ".cn"];

impl Hooks {
    /// Returns the part behind the host and path of a webhook's URL, if a run that begins here belongs to one. Runs come in order.
    fn hook(&mut self, bytes: &[u8], at: usize) -> Option<Range<usize>> {
        let far = at.saturating_sub(FAR);
        let from = far.max(self.passed.min(at));
        let back = bytes[from..at].iter().rev().take_while(|byte| is_url_byte(**byte)).count();
        if at - back > from || from > self.passed {
            self.url = at - back;
            self.found = None;
        }
        steps::count(back);
        let look = self.url.max(from.saturating_sub(HOOK_PATH)).min(at);
        self.passed = at;
        if self.found.is_none() {
            self.found =
                memchr_iter(b'/', &bytes[look..at]).find_map(|slash| hook_at(bytes, self.url, look + slash, at));
        }
        let (_, path) = self.found.filter(|(host, _)| *host >= far)?;
        let end = at + bytes[at..].iter().take(FAR * 4).take_while(|byte| is_url_byte(**byte)).count();
        steps::count(end - at);
        let end = end
            - bytes[at..end].iter().rev().take_while(|byte| matches!(byte, b'.' | b',' | b')' | b';' | b':')).count();
        Some(path..end)
    }
}

/// Returns the start and end of the webhook whose host ends with the slash here, in the URL from `url` to `end`.
fn hook_at(bytes: &[u8], url: usize, slash: usize, end: usize) -> Option<(usize, usize)> {
    let host = &bytes[url..slash];
    if !HOSTS.iter().any(|end| host.ends_with(end.as_bytes())) {
        return None;
    }
    HOOKS.iter().find_map(|hook| {
        let (name, path) = hook.split_once('/')?;
        let fits = host.ends_with(name.as_bytes()) && bytes[slash + 1..end].starts_with(path.as_bytes());
        fits.then(|| (slash - name.len(), slash + 1 + path.len()))
    })
}

/// Returns true if a name ends with `samlresponse` or `oauth_verifier`, say, without the signs between words.
fn ends_with(name: &[u8], word: &[u8]) -> bool {
    let whole =
        name.len() == word.len() || name.len() > word.len() && matches!(name[name.len() - word.len() - 1], b'_' | b'-');
    whole && name[name.len() - word.len()..].eq_ignore_ascii_case(word)
}

/// A private key in PEM, in base64 once more: of `-----BEGIN` all but certificates and public keys.
fn in_base64(bytes: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?.strip_prefix(b"LS0tLS1CRUdJTi")?;
    if [&b"BDRVJU"[..], b"BQVUJM", b"BYNTA5", b"BORVcg"].iter().any(|public| rest.starts_with(public)) {
        return None;
    }
    let in_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    Some(start..end + bytes[end..].iter().take_while(in_base64).count())
}

#[cfg(test)]
mod tests;
