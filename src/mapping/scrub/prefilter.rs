//! The prefilter: one pass over the bytes of a text or of an item's JSON that reports whether anything in it may have to be
//! removed.
//!
//! It has false positives but no false negatives. Most items cost this pass and nothing else, so it reads 16 bytes at a time
//! and examines few of them closely.

use super::super::trigram_scan::{BLOCK, last_block, vectors};
use super::tokens::Tokens;
use super::{Rules, numbers, text};
use crate::mapping::encode::json::special;
use memchr::{memchr, memchr_iter, memmem};
use wide::u8x16;

/// Letters, digits, `_` and `-` in a row that the shortest token has.
pub(super) const RUN: usize = 16;

/// Flags of commands in a text that are looked at.
pub(super) const MOST_FLAGS: usize = 64;

/// Signs that one pass has seen. Everything that must be removed shows one of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// An @, without which there are neither addresses nor a URL's credentials.
    pub at_sign: bool,
    /// A backslash.
    pub backslash: bool,
    /// `%40`, an @ in a URL.
    pub percent: bool,
    /// A number with check digits.
    pub digits: bool,
    /// A token known by its form.
    pub run: bool,
    /// The position of the first of the fragments that sensitive names, schemes and flags have.
    pub word: Option<usize>,
    /// A byte that JSON escapes, or that is not ASCII.
    pub special: bool,
}

impl Seen {
    /// Returns true if any sign was seen but a backslash.
    #[inline]
    pub(super) fn has_sign(&self) -> bool {
        self.at_sign | self.percent | self.digits | self.run | self.word.is_some()
    }

    /// Looks for signs alone, where no secrets have to go.
    pub(super) fn of_signs(json: &[u8]) -> Self {
        let has = |sign| memchr(sign, json).is_some();
        Self { at_sign: has(b'@'), backslash: has(b'\\'), percent: has(b'%'), special: true, ..Self::default() }
    }

    /// Looks at everything.
    pub(super) fn of(json: &[u8]) -> Self {
        let mut look = Look { json, read: (0, 0), tokens: Tokens::new(json), seen: Self::default() };
        let mut pass = Pass::default();
        let mut at = 0;
        while let Some(block) = json[at..].first_chunk() {
            look.at(at, vectors(block), ALL, &mut pass);
            at += BLOCK;
        }
        if at < json.len() {
            let valid = !(u32::MAX << (json.len() - at));
            look.at(at, last_vectors(json, at), valid, &mut pass);
        }
        let special = pass.specials != 0;
        let backslash = special && memchr(b'\\', json).is_some();
        let percent = pass.percents.any() && memmem::find(json, b"%40").is_some();
        Self { at_sign: pass.at_signs.any(), backslash, percent, special, ..look.seen }
    }
}

/// A bit for each place of a block.
const ALL: u32 = (1 << BLOCK) - 1;

/// The vectors of the block that begins at a place and is the last one: behind the text stand zeros, which are none of its
/// bytes.
#[inline]
fn last_vectors(json: &[u8], at: usize) -> (u8x16, u8x16) {
    let bytes = match json.last_chunk() {
        // The last sixteen bytes without those before the place.
        Some(bytes) => u128::from_le_bytes(*bytes) >> (8 * (BLOCK - (json.len() - at))),
        None => short(json),
    };
    (u8x16::new(bytes.to_le_bytes()), u8x16::new((bytes >> 8).to_le_bytes()))
}

/// Less than sixteen bytes, the first of them lowest.
fn short(bytes: &[u8]) -> u128 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u64::from_le_bytes(*last).checked_shr(8 * (16 - bytes.len() as u32)).unwrap_or_default();
        return u128::from(u64::from_le_bytes(*first)) | u128::from(last) << 64;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u32::from_le_bytes(*last).checked_shr(8 * (8 - bytes.len() as u32)).unwrap_or_default();
        return u128::from(u32::from_le_bytes(*first)) | u128::from(last) << 32;
    }
    bytes.iter().rev().fold(0, |all, byte| all << 8 | u128::from(*byte))
}

/// The part of a pass over the bytes that goes from block to block.
#[derive(Default)]
struct Pass {
    at_signs: u8x16,
    percents: u8x16,
    /// A bit for each place of a block where a byte was that JSON escapes, or that is not ASCII.
    specials: u32,
    /// A bit for each byte of the block before that may be part of a number, and of a token.
    before: (u32, u32),
    /// A bit for each of its digits.
    digits: u32,
}

/// A pass over the bytes.
struct Look<'j> {
    json: &'j [u8],
    /// The places up to which bytes of numbers and of tokens have been read closely.
    read: (usize, usize),
    tokens: Tokens<'j>,
    seen: Seen,
}

impl Look<'_> {
    #[inline(always)]
    fn at(&mut self, at: usize, (bytes, behind): (u8x16, u8x16), valid: u32, pass: &mut Pass) {
        pass.at_signs |= is(bytes, b'@');
        pass.percents |= is(bytes, b'%');
        pass.specials |= (special(bytes) | bytes).to_bitmask() & valid;
        let value = bytes - u8x16::splat(b'0');
        let digit = value.min(u8x16::splat(9)).simd_eq(value);
        let small = bytes | u8x16::splat(0x20);
        let letter = small - u8x16::splat(b'a');
        let letter = letter.min(u8x16::splat(25)).simd_eq(letter);
        let both = digit | is(bytes, b'-') | is(bytes, b'_');
        // Blanks that do not break are beyond ASCII.
        let number = (both | is(bytes, b' ') | is(bytes, b'.') | bytes).to_bitmask();
        let token = (both | letter).to_bitmask();
        let digits = pass.digits | digit.to_bitmask() << BLOCK;
        let window = pass.before.0 | number << BLOCK;
        let numbers = runs(window, numbers::SSN);
        // A run of a whole block either is this one or goes on from the one before.
        let long = token == 0xffff || token & 1 != 0 && pass.before.1 & 0x8000 != 0;
        let tokens = if long { runs(pass.before.1 | token << BLOCK, RUN) } else { 0 };
        pass.before = (number, token);
        pass.digits = digits >> BLOCK;
        if numbers != 0 {
            self.number(at, numbers, (window, digits));
        }
        if tokens != 0 {
            self.token(at, tokens);
        }
        let words = begin(bytes, small, behind | u8x16::splat(0x20));
        if words != 0 && self.seen.word.is_none() {
            self.word(at, words);
        }
    }

    /// Looks at each run of bytes that may be a number; of this block and the one before `window` tells such bytes, and
    /// `digits` the digits among them.
    #[cold]
    #[inline(never)]
    fn number(&mut self, at: usize, mut runs: u32, (window, digits): (u32, u32)) {
        while runs != 0 {
            let first = runs.trailing_zeros();
            let place = at + first as usize - BLOCK;
            if place >= self.read.0 {
                let behind = (window >> first).trailing_ones();
                let before = (window << (u32::BITS - 1 - first)).leading_ones() - 1;
                let run = u32::MAX >> (u32::BITS - behind - before) << (first - before);
                // A run that goes on in the next block is looked at there.
                if first + behind == u32::BITS && self.json.get(at + BLOCK).is_some_and(numbers::is_in_run) {
                    return;
                }
                if before < first && !may_be_number(self.json, digits & run, place - before as usize) {
                    self.read.0 = place + behind as usize;
                } else {
                    let found;
                    (found, self.read.0) = numbers::may_have_number(self.json, place);
                    self.seen.digits |= found;
                }
            }
            runs &= runs - 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn token(&mut self, at: usize, mut runs: u32) {
        while runs != 0 && !self.seen.run {
            let place = at + runs.trailing_zeros() as usize - BLOCK;
            if place >= self.read.1 {
                let in_run = |byte: &u8| is_run_byte(*byte);
                let start = self.json[..place].iter().rposition(|byte| !in_run(byte)).map_or(0, |before| before + 1);
                let end =
                    place + self.json[place..].iter().position(|byte| !in_run(byte)).unwrap_or(self.json.len() - place);
                self.read.1 = end;
                self.seen.run = self.tokens.token(start, end).is_some();
            }
            runs &= runs - 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn word(&mut self, at: usize, mut words: u32) {
        while words != 0 && self.seen.word.is_none() {
            let place = at + words.trailing_zeros() as usize;
            self.seen.word = is_fragment(self.json, place).then_some(place);
            words &= words - 1;
        }
    }
}

/// Returns true if the digits of a run, a bit for each, may be a number that is looked for. The run begins at `start`.
fn may_be_number(json: &[u8], digits: u32, start: usize) -> bool {
    match digits.count_ones() {
        0..numbers::FEWEST => false,
        // Too few for a card.
        numbers::FEWEST..numbers::FEWEST_OF_CARD => has_ssn_form(digits) || numbers::may_have_country(json, start),
        _ => true,
    }
}

/// Returns true if somewhere among these bits three, two and four are set with one between them that is not.
fn has_ssn_form(bits: u32) -> bool {
    let two = bits & bits >> 1;
    let three = two & bits >> 2;
    let four = two & two >> 2;
    three & two >> 4 & four >> 7 & !(bits >> 3) & !(bits >> 6) != 0
}

#[inline]
fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Returns true for a byte that a token has.
#[inline]
pub(super) fn is_run_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A bit wherever so many in a row are set, 11 or 16, of those rows that end in the upper half.
#[inline]
fn runs(bits: u32, least: usize) -> u32 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let all = eight & eight >> (least - 8);
    all & u32::MAX << (BLOCK - least + 1)
}

/// A bit for each place where the first two bytes of a fragment stand, in any case.
#[inline]
fn begin(bytes: u8x16, first: u8x16, second: u8x16) -> u32 {
    let [b, c, j, k, o, p, s, t, u] =
        [b'b', b'c', b'j', b'k', b'o', b'p', b's', b't', b'u'].map(|byte| is(first, byte));
    let open = is(bytes, b' ') | is(bytes, b'"') | is(bytes, b'\'');
    let pairs = is(second, b'e') & (k | b)
        | is(second, b'i') & (k | p | s | t)
        | is(second, b't') & (k | u | o)
        | is(second, b'a') & (p | b)
        | is(second, b'w') & (p | j)
        | is(second, b's') & (p | c | s)
        | is(second, b'r') & (c | s)
        | is(second, b'v') & c
        | is(second, b'c') & is(bytes, b'_')
        | is(second, b'-') & open;
    pairs.to_bitmask()
}

/// The fragments: three bytes that stand in each sensitive word and in few others.
fn is_fragment(json: &[u8], place: usize) -> bool {
    let Some([one, two, three]) = json.get(place..place + 3) else { return false };
    let [one, two, three] = [one, two, three].map(|byte| byte | 0x20);
    match (one, two) {
        // key, token; cookie; kty
        (b'k', b'e') => matches!(three, b'y' | b'n'),
        (b'k', b'i') => three == b'e',
        (b'k', b't') => three == b'y',
        // pass, pan, pat; pwd, pw=; pin; pswd, psk
        (b'p', b'a') => matches!(three, b's' | b'n' | b't'),
        (b'p', b'w') => !three.is_ascii_lowercase() || three == b'd',
        (b'p', b'i') => three == b'n',
        (b'p', b's') => matches!(three, b'w' | b'k'),
        // secret, credential; cvv, cvc; csc
        (b'c', b'r') => three == b'e',
        (b'c', b'v') => matches!(three, b'v' | b'c'),
        (b'c', b's') => three == b'c',
        // auth; otp
        (b'u', b't') => three == b'h',
        (b'o', b't') => three == b'p',
        // jwt, jwk
        (b'j', b'w') => matches!(three, b't' | b'k'),
        // session, ssn; sid, sig; csrf
        (b's', b's') => matches!(three, b'i' | b'n'),
        (b's', b'i') => matches!(three, b'd' | b'g'),
        (b's', b'r') => three == b'f',
        // basic, iban; bearer, BEGIN
        (b'b', b'a') => matches!(three, b's' | b'n'),
        (b'b', b'e') => matches!(three, b'a' | b'g'),
        // identified
        (b't', b'i') => three == b'f',
        // _construct(, _connect(
        (0x7f, b'c') => json[place] == b'_' && three == b'o',
        // Flags, of which a long one begins with two dashes and a letter.
        (b' ' | b'"' | b'\'', b'-') if three == b'-' => json.get(place + 3).is_some_and(u8::is_ascii_alphabetic),
        (b' ' | b'"' | b'\'', b'-') => matches!(three, b'a' | b'p' | b'u' | b'w' | b'k'),
        _ => false,
    }
}

/// The places of all fragments from a place on.
pub(super) fn words(json: &[u8], from: usize) -> impl Iterator<Item = usize> + '_ {
    let (mut at, mut marks, mut next) = (from, 0_u32, from);
    std::iter::from_fn(move || {
        loop {
            while marks != 0 {
                let place = at + marks.trailing_zeros() as usize;
                marks &= marks - 1;
                if is_fragment(json, place) {
                    return Some(place);
                }
            }
            if next >= json.len() {
                return None;
            }
            (at, next) = (next, next + BLOCK);
            let rest = &json[at..];
            let block = rest.first_chunk().map_or_else(|| last_block(rest), |block| *block);
            let (bytes, behind) = vectors(&block);
            let small = u8x16::splat(0x20);
            marks = begin(bytes, bytes | small, behind | small);
        }
    })
}

/// Returns true if a sensitive name stands where it may have a value, a scheme before its credentials, or the head of a
/// private key, from a place of an item's JSON on.
pub(super) fn has_announcement(rules: &Rules, json: &[u8], from: usize) -> bool {
    let (mut passed, mut flags) = (0, 0);
    words(json, from).any(|place| match json[place] {
        b'_' => text::is_call(json, place),
        b' ' | b'"' | b'\'' => {
            // Lines of nothing but flags are read closely at once.
            flags += 1;
            flags > MOST_FLAGS || text::command_flag(json, place + 1).is_some()
        }
        // A name is judged once, however many fragments it has.
        _ if place < passed => false,
        _ => {
            let name = super::extent::name_around(json, place);
            passed = name.end;
            text::announces(rules, json, name)
        }
    })
}

/// Returns true if a text in an item's JSON has an escape of its own, as JSON inside JSON may, or of a colour: the text
/// behind the escape is seen only once it is read.
pub(super) fn has_inner_escape(json: &[u8]) -> bool {
    memchr_iter(b'\\', json).any(|at| match json[at + 1..] {
        [b'\\', b'/', ..] => true,
        [b'\\', b'u', a, b, c, d, ..] => [a, b, c, d].iter().all(u8::is_ascii_hexdigit),
        [b'u', b'0', b'0', b'1', b'b' | b'B', ..] => true,
        _ => false,
    })
}

/// Returns true if a text has an escape, as JSON inside it may: the text behind the escape is seen only once it is read.
pub(super) fn has_escape(text: &[u8]) -> bool {
    memchr_iter(b'\\', text).any(|at| match text[at + 1..] {
        [b'/', ..] => true,
        [b'u', a, b, c, d, ..] => [a, b, c, d].iter().all(u8::is_ascii_hexdigit),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
