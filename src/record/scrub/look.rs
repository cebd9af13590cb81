//! The quick look: whether a finished item could hold anything that has to go. Says yes now and then where nothing has to,
//! never no where something has; most items pay only this, so it looks at wide blocks and at few bytes closely.

use super::super::triples::{BLOCK, Block, Triples, last_block, vectors};
use super::patterns::{LABEL, is_card, looks_like_address};
use memchr::{memchr, memchr_iter, memmem};
use wide::u8x16;

/// Digits of a card number.
const FEWEST_DIGITS: usize = 13;
const MOST_DIGITS: usize = 19;

/// Longest of [`ENDINGS`] behind its three rare letters.
const LONGEST_END: usize = 12;

/// What may belong to a private key's label: of a control character JSON makes six.
const LONGEST_LABEL: usize = b"BEGIN ".len() + LABEL * 6;

/// What one pass over an item's bytes has seen: whatever has to go shows one of these.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// An @, without which there is neither an address nor a URL's credentials.
    pub at_sign: bool,
    /// A backslash.
    pub backslash: bool,
    /// A card number.
    pub card: bool,
    /// Where the first of the rare letters stand that sensitive words have.
    pub word: Option<usize>,
}

impl Seen {
    /// Looks at all of it where no secrets have to go.
    pub(super) fn of_signs(json: &[u8]) -> Self {
        let has = |sign| memchr(sign, json).is_some();
        Self { at_sign: has(b'@'), backslash: has(b'\\'), ..Self::default() }
    }

    /// Looks at all of it.
    pub(super) fn of(json: &[u8]) -> Self {
        let mut look = Look { json, at_signs: NONE, backslashes: NONE, before: 0, read: 0, seen: Self::default() };
        let mut at = 0;
        while let Some(block) = json[at..].first_chunk() {
            look.at(at, block);
            at += BLOCK;
        }
        if at < json.len() {
            look.at(at, &last_block(&json[at..]));
        }
        Self { at_sign: look.at_signs.any(), backslash: look.backslashes.any(), ..look.seen }
    }
}

const NONE: u8x16 = u8x16::new([0; BLOCK]);

/// A pass over an item's bytes.
struct Look<'j> {
    json: &'j [u8],
    at_signs: u8x16,
    backslashes: u8x16,
    /// A bit for each byte of the block before that a card number may have.
    before: u32,
    /// How far such bytes have been read closely.
    read: usize,
    seen: Seen,
}

impl Look<'_> {
    #[inline]
    fn at(&mut self, at: usize, block: &Block) {
        let (bytes, behind) = vectors(block);
        self.at_signs |= is(bytes, b'@');
        self.backslashes |= is(bytes, b'\\');
        let digits = digits(bytes);
        let runs = runs(self.before | digits << BLOCK);
        self.before = digits;
        if runs != 0 {
            self.card(at, runs);
        }
        let words = begin(bytes, behind);
        if words != 0 {
            self.word(at, words);
        }
    }

    #[cold]
    #[inline(never)]
    fn card(&mut self, at: usize, mut runs: u32) {
        while runs != 0 {
            let place = at + runs.trailing_zeros() as usize - BLOCK;
            if place >= self.read {
                let card;
                (card, self.read) = card_around(self.json, place);
                self.seen.card |= card;
            }
            runs &= runs - 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn word(&mut self, at: usize, mut words: u32) {
        while words != 0 && self.seen.word.is_none() {
            let place = at + words.trailing_zeros() as usize;
            self.seen.word = RARE.is_wanted(self.json, place).then_some(place);
            words &= words - 1;
        }
    }
}

#[inline]
fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// A bit for each byte that a card number may have: digits, and what stands between them.
#[inline]
fn digits(bytes: u8x16) -> u32 {
    let value = bytes - u8x16::splat(b'0');
    (value.min(u8x16::splat(9)).simd_eq(value) | is(bytes, b' ') | is(bytes, b'-')).to_bitmask()
}

/// A bit wherever as many in a row are set as a card number has digits at least, of those rows that end in the upper half.
#[inline]
fn runs(bits: u32) -> u32 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let all = eight & eight >> (FEWEST_DIGITS - 8);
    all & u32::MAX << (BLOCK - FEWEST_DIGITS + 1)
}

/// Whether there is a card number among the digits, and what stands between them, around a place, and where these end.
fn card_around(json: &[u8], place: usize) -> (bool, usize) {
    let in_run = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
    let start = json[..place].iter().rposition(|byte| !in_run(byte)).map_or(0, |before| before + 1);
    let end = place + json[place..].iter().position(|byte| !in_run(byte)).unwrap_or(json.len() - place);
    (holds_card(&json[start..end]), end)
}

/// Whether an e-mail address stands in it.
pub(super) fn has_address(json: &[u8]) -> bool {
    at_signs(json).any(|at| looks_like_address(json, at))
}

/// Whether a text in it has an escape of its own, as JSON inside JSON may: what that stands for is seen only once it is read.
pub(super) fn has_inner_escape(json: &[u8]) -> bool {
    memchr_iter(b'\\', json).any(|at| match json[at + 1..] {
        [b'\\', b'/', ..] => true,
        [b'\\', b'u', a, b, c, d, ..] => [a, b, c, d].iter().all(u8::is_ascii_hexdigit),
        _ => false,
    })
}

fn at_signs(json: &[u8]) -> impl Iterator<Item = usize> {
    memchr_iter(b'@', json)
}

/// `://user:secret@` or `://key@`.
pub(super) fn has_credentials(mut rest: &[u8]) -> bool {
    while let Some(scheme) = memmem::find(rest, b"://") {
        rest = &rest[scheme + 3..];
        let end =
            rest.iter().position(|byte| matches!(byte, b'/' | b' ' | b'"' | b'?' | b'#' | b'\'')).unwrap_or(rest.len());
        if rest[..end].iter().skip(1).any(|byte| *byte == b'@') {
            return true;
        }
    }
    false
}

/// Whether a card number ends where the digits of a run do; it may begin behind any blank in it.
fn holds_card(run: &[u8]) -> bool {
    // Mostly it is a time.
    if run.iter().filter(|byte| byte.is_ascii_digit()).count() < FEWEST_DIGITS {
        return false;
    }
    let is_end = |at: &usize| run[*at].is_ascii_digit() && !is_digit_or_joins(run, at + 1);
    (FEWEST_DIGITS - 1..run.len()).filter(is_end).any(|at| ends_card(run, at))
}

/// Whether the digits before this place go on: with one, or with one behind a blank or dash.
fn is_digit_or_joins(run: &[u8], at: usize) -> bool {
    match run[at..] {
        [] => false,
        [byte, ..] if byte.is_ascii_digit() => true,
        [_, next, ..] => next.is_ascii_digit(),
        [_] => false,
    }
}

/// Whether the digits up to this one, joined by single blanks or dashes, end with a card number.
fn ends_card(run: &[u8], last: usize) -> bool {
    let (mut digits, mut count, mut at) = ([0; MOST_DIGITS], 0, last + 1);
    while count < MOST_DIGITS && at > 0 && (run[at - 1].is_ascii_digit() || is_joint(run, at - 1)) {
        at -= 1;
        if run[at].is_ascii_digit() {
            count += 1;
            digits[MOST_DIGITS - count] = run[at] - b'0';
        }
    }
    (FEWEST_DIGITS..=count).any(|length| is_card(&digits[MOST_DIGITS - length..]))
}

/// Whether a blank or dash here, before a digit, stands behind one.
fn is_joint(run: &[u8], at: usize) -> bool {
    at > 0 && run[at - 1].is_ascii_digit()
}

/// Whether a sensitive word stands where it would be a key, a scheme before its credentials, or the head of a private key,
/// from a place on.
pub(super) fn has_announcement(json: &[u8], from: usize) -> bool {
    let mut words = Words { json, name: (0, false), text: (0, false) };
    let look = |block: &Block| {
        let (bytes, behind) = vectors(block);
        begin(bytes, behind)
    };
    RARE.places(json, from, look).any(|at| words.announces(at))
}

/// Three letters that stand in each of the words and in few others.
static RARE: Triples = Triples::new(
    &[
        // key, token
        [b"k", b"e", b"yn"],
        // cookie
        [b"k", b"i", b"e"],
        // password, passwd
        [b"s", b"w", b"od"],
        // pwd
        [b"p", b"w", b"d"],
        // secret, credentials
        [b"c", b"r", b"e"],
        // passphrase
        [b"p", b"h", b"r"],
        // authorization
        [b"z", b"a", b"t"],
        // bearer, basic, BEGIN
        [b"b", b"ea", b"asg"],
    ],
    false,
);

/// A bit for each place where the first two of the rare letters stand, in any case.
#[inline]
fn begin(bytes: u8x16, behind: u8x16) -> u32 {
    let small = u8x16::splat(0x20);
    let (first, second) = (bytes | small, behind | small);
    let p = is(first, b'p');
    let pairs = is(first, b'k') & (is(second, b'e') | is(second, b'i'))
        | (is(first, b's') | p) & is(second, b'w')
        | is(first, b'c') & is(second, b'r')
        | p & is(second, b'h')
        | is(first, b'z') & is(second, b'a')
        | is(first, b'b') & (is(second, b'e') | is(second, b'a'));
    pairs.to_bitmask()
}

/// The words, each from its rare letters on and what stands before them.
const ENDINGS: &[(&[u8], &[u8])] = &[
    (b"", b"key"),
    (b"to", b"ken"),
    (b"coo", b"kie"),
    (b"pas", b"sword"),
    (b"pas", b"swd"),
    (b"", b"pwd"),
    (b"se", b"cret"),
    (b"", b"credentials"),
    (b"pass", b"phrase"),
    (b"authori", b"zation"),
];

const SCHEMES: &[&[u8]] = &[b"bearer ", b"basic "];

/// Sensitive words, and what was found behind the last one, so that a text of nothing else stays linear.
struct Words<'j> {
    json: &'j [u8],
    /// Where the name ends that a word was part of, and whether it is a key.
    name: (usize, bool),
    /// Where the text ends that a word was part of, and whether it is a key.
    text: (usize, bool),
}

impl Words<'_> {
    fn announces(&mut self, at: usize) -> bool {
        let json = self.json;
        let rest = &json[at..json.len().min(at + LONGEST_END)];
        let begins = |word: &[u8]| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        let before = |word: &[u8]| {
            word.is_empty() || at.checked_sub(word.len()).is_some_and(|from| json[from..at].eq_ignore_ascii_case(word))
        };
        if rest.starts_with(b"BEGIN ") {
            let label = &json[at..json.len().min(at + LONGEST_LABEL)];
            return memmem::find(label, b"PRIVATE KEY").is_some();
        }
        let mut words = ENDINGS.iter().filter(|(head, end)| begins(end) && before(head));
        SCHEMES.iter().any(|scheme| begins(scheme)) || words.any(|(_, end)| self.is_in_key(at + end.len()))
    }

    /// Whether the word that ends here is part of a key: in a line more of its name, quotes and blanks, and then a sign;
    /// in JSON whatever stands before a quote and a colon.
    fn is_in_key(&mut self, end: usize) -> bool {
        if end > self.name.0 {
            let in_name =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || !byte.is_ascii();
            let name = end + self.json[end..].iter().position(|byte| !in_name(byte)).unwrap_or(self.json.len() - end);
            self.name = (name, sign(&self.json[name..]).0);
        }
        if end > self.text.0 {
            self.text = self.end_of_text(end);
        }
        self.name.1 || self.text.1
    }

    /// The end of the JSON string that goes on here, and whether it is a key or has one in it.
    fn end_of_text(&self, from: usize) -> (usize, bool) {
        let (mut at, mut is_key, mut known) = (from, false, from);
        while let Some(step) = self.json[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            at += step;
            let is_end = self.json[at] == b'"';
            let quote = at + usize::from(!is_end);
            // All quotes before the same sign have the same answer.
            if quote >= known && self.json.get(quote) == Some(&b'"') {
                let (found, skipped) = sign(&self.json[quote..]);
                (is_key, known) = (is_key | found, quote + skipped);
            }
            if is_end {
                return (at, is_key);
            }
            at = self.json.len().min(at + 2);
        }
        (self.json.len(), is_key)
    }
}

/// Whether an equals sign or a colon comes next, behind quotes and blanks, and how many bytes of those there are.
fn sign(text: &[u8]) -> (bool, usize) {
    let mut rest = text;
    loop {
        rest = match rest {
            // Inside JSON they come with a backslash.
            [b'\\', b'n' | b't' | b'r', after @ ..] | [b'"' | b'\'' | b' ' | b'\\', after @ ..] => after,
            _ => return (matches!(rest.first(), Some(b'=' | b':')), text.len() - rest.len()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;
    use serde_json::Value;

    fn has_secret(json: &[u8]) -> bool {
        let seen = Seen::of(json);
        seen.card || seen.word.is_some_and(|at| has_announcement(json, at))
    }

    /// Of every run of digits with single blanks or dashes between them, one byte after the other.
    fn has_card_number(text: &[u8]) -> bool {
        let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
        let in_run = |at: usize| {
            is_digit(at) || matches!(text[at], b' ' | b'-') && at > 0 && is_digit(at - 1) && is_digit(at + 1)
        };
        let runs = (0..text.len()).collect::<Vec<_>>();
        runs.split(|at| !in_run(*at)).any(|run| match run {
            [first, .., last] => holds_card(&text[*first..=*last]),
            _ => false,
        })
    }

    #[test]
    fn card_numbers_are_seen_wherever_blocks_begin() {
        const PARTS: [&str; 11] = [
            "4111 1111 1111 1111",
            "4111111111111111",
            "4222222222222",
            "4111-1111",
            "-1111-",
            "12",
            " ",
            "-",
            "x",
            "  ",
            "00",
        ];
        let mut state = 3_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let mut found = 0;
        for _ in 0..20_000 {
            let parts = 1 + next(3);
            let text: String = (0..next(12)).map(|_| PARTS[next(PARTS.len() / parts)]).collect();
            let text = "y".repeat(next(17)) + &text;
            let expected = has_card_number(text.as_bytes());
            assert_eq!(Seen::of(text.as_bytes()).card, expected, "{text}");
            found += usize::from(expected);
        }
        assert!((2_000..18_000).contains(&found), "{found}");
    }

    #[test]
    fn words_that_only_look_sensitive_cost_no_second_look() {
        for text in [
            "the token was refreshed, the key is new",
            "monkey business, hockey: 3",
            "basically broken",
            "created at 2026-11-20 08:00:00.123, id 1795161600123",
            "-----BEGIN CERTIFICATE-----",
            "GET /tokens HTTP/1.1",
        ] {
            let needed = has_secret(text.as_bytes());
            assert_eq!(needed, text.contains("hockey: "), "{text}");
        }
    }

    #[test]
    fn at_every_place_of_a_block_a_secret_is_seen() {
        for secret in ["password=x", "Api_Key: x", "basic x", "bearer y", "4111 1111 1111 1111", "://a:b@c", "PWD_x=1"]
        {
            for before in 0..70 {
                for behind in [0, 1, 5, 40] {
                    let text = format!("{}.{secret}.{}", "-x".repeat(before), "y".repeat(behind));
                    assert!(has_secret(text.as_bytes()) || has_credentials(text.as_bytes()), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_text_of_nothing_but_sensitive_words_is_looked_at_once() {
        // What is behind a word is not looked for again for the next: this would take minutes.
        for text in ["key ", "key", "bea", "1 1-", "BEGIN "].map(|text| text.repeat(500_000)) {
            assert!(!has_secret(text.as_bytes()));
        }
        // Nor is what is behind a quote, for the next.
        for text in ["\\\"", "\\\\", "\\\" ", "\\n", "'"] {
            let json = format!("{{\"body\":\"key {}.\"}}", text.repeat(500_000));
            assert!(!has_secret(json.as_bytes()), "{text}");
        }
    }

    #[test]
    fn as_much_of_a_label_is_looked_at_as_is_removed() {
        let rules = Rules::new(true, false, &[]);
        for before in 0..70 {
            for filler in ["x", "\u{1}"] {
                let text = format!("-----BEGIN {}PRIVATE KEY-----x", filler.repeat(before));
                let json = serde_json::json!({ "body": text }).to_string();
                assert!(rules.cleaned(&text).is_none() || rules.may_need(json.as_bytes()), "{text}");
            }
        }
    }

    /// Words, signs and noise in any mixture: whatever cleaning would change, the look has seen.
    #[test]
    fn nothing_that_cleaning_changes_is_overlooked() {
        const PARTS: [&str; 46] = [
            "password",
            "PassWd",
            "pwd",
            "passphrase",
            "secret",
            "Token",
            "authorization",
            "cookie",
            "credentials",
            "api",
            "Key",
            "_",
            "-",
            ".",
            "=",
            ":",
            " ",
            "\"",
            "'",
            "\\",
            "\n",
            "{",
            "}",
            ",",
            "bearer ",
            "Basic ",
            "abcDEF12",
            "4111",
            "1111",
            "4242424242424242",
            "5",
            "://",
            "user",
            "@",
            "host.example",
            "-----BEGIN ",
            "PRIVATE KEY-----",
            "é",
            "access",
            "x",
            "\u{dc}berweisung",
            "\u{fc}ber",
            "weisung",
            "\u{212a}ey",
            "\\u0070wd",
            "\\/",
        ];
        let mut state = 7_u64;
        let mut next = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let rules = [(true, false), (false, false), (true, true)]
            .map(|(secrets, send_pii)| Rules::new(secrets, send_pii, &["\u{fc}berweisung".to_owned()]));
        let mut changed = 0;
        for round in 0..60_000 {
            let rules = &rules[round % rules.len()];
            let mut text: String = (0..1 + next(9)).map(|_| PARTS[next(PARTS.len())]).collect();
            let key: String = (0..1 + next(3)).map(|_| PARTS[next(PARTS.len())]).collect();
            if next(3) == 0 {
                let (from, to) = [("/", "\\/"), ("=", "\\u003d"), ("@", "\\u0040"), ("p", "\\u0070")][next(4)];
                text = serde_json::json!({ &key: text }).to_string().replace(from, to);
            }
            let item = match next(3) {
                0 => serde_json::json!({ "body": text }),
                1 => serde_json::json!({ "attributes": { key: { "value": text, "type": "string" } } }),
                _ => serde_json::json!({ "extra": { key: [text] } }),
            };
            let mut cleaned: Value = item.clone();
            let is_changed = cleaned.as_object_mut().is_some_and(|item| rules.item(item));
            let json = item.to_string();
            if is_changed && cleaned != item {
                changed += 1;
                assert!(rules.may_need(json.as_bytes()), "{json}\n{cleaned}");
            }
        }
        assert!(changed > 5_000, "{changed} of the items had to be cleaned");
    }
}
