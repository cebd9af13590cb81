//! The prefilter: one pass over the bytes of a text or of an item's JSON that reports whether anything in it may have to be
//! removed.
//!
//! It has false positives but no false negatives. Most items cost this pass and nothing else, so it reads a block of bytes at a
//! time and examines few of them closely.

use super::tokens::Tokens;
use super::{Rules, numbers, text};
use crate::mapping::simd::{
    self, ALL, BLOCK, Bytes, Mask, Pairs, Part, Simd, bits, is, last_vectors, special, vectors,
};
use fearless_simd::prelude::*;
use memchr::{memchr, memchr_iter, memmem};

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
        simd::run(&mut look);
        look.seen
    }
}

/// A bit for each byte of two blocks.
type Window = u64;

/// The part of a pass over the bytes that goes from block to block.
struct Pass<S: Simd> {
    at_signs: Mask<S>,
    percents: Mask<S>,
    /// A bit for each place of a block where a byte was that JSON escapes, or that is not ASCII.
    specials: u32,
    /// A bit for each byte of the block before that may be part of a number, and of a token.
    before: (Window, Window),
    /// A bit for each of its digits.
    digits: Window,
}

/// A pass over the bytes.
struct Look<'j> {
    json: &'j [u8],
    /// The places up to which bytes of numbers and of tokens have been read closely.
    read: (usize, usize),
    tokens: Tokens<'j>,
    seen: Seen,
}

impl simd::Work for &mut Look<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let json = self.json;
        let none = Mask::splat(simd, false);
        let mut pass = Pass { at_signs: none, percents: none, specials: 0, before: (0, 0), digits: 0 };
        let mut at = 0;
        while let Some(block) = json[at..].first_chunk() {
            self.at((simd, at), (vectors(simd, block), ALL), &mut pass);
            at += BLOCK;
        }
        if at < json.len() {
            self.at((simd, at), last_vectors(simd, json, at), &mut pass);
        }
        let seen = &mut self.seen;
        seen.special = pass.specials != 0;
        seen.backslash = seen.special && memchr(b'\\', json).is_some();
        seen.percent = pass.percents.any_true() && memmem::find(json, b"%40").is_some();
        seen.at_sign = pass.at_signs.any_true();
    }
}

impl Look<'_> {
    #[inline(always)]
    fn at<S: Simd>(
        &mut self,
        (simd, at): (S, usize),
        ((bytes, behind), part): ((Bytes<S>, Bytes<S>), Part),
        pass: &mut Pass<S>,
    ) {
        let beyond_ascii = bytes.simd_ge(0x80);
        pass.at_signs |= is(bytes, b'@');
        pass.percents |= is(bytes, b'%');
        pass.specials |= part.of(bits(special(bytes) | beyond_ascii));
        let digit = (bytes - b'0').simd_lt(10);
        let letter = ((bytes | 0x20) - b'a').simd_lt(26);
        let both = digit | is(bytes, b'-') | is(bytes, b'_');
        // Blanks that do not break are beyond ASCII.
        let number = Window::from(part.of(bits(both | is(bytes, b' ') | is(bytes, b'.') | beyond_ascii)));
        let token = Window::from(part.of(bits(both | letter)));
        let digits = pass.digits | Window::from(part.of(bits(digit))) << BLOCK;
        let window = pass.before.0 | number << BLOCK;
        let numbers = runs(window, numbers::SSN);
        let tokens = runs(pass.before.1 | token << BLOCK, RUN);
        pass.before = (number, token);
        pass.digits = digits >> BLOCK;
        if numbers != 0 {
            self.number(at, numbers, (window, digits));
        }
        if tokens != 0 {
            self.token(at, tokens);
        }
        if self.seen.word.is_none() {
            let words = part.of(FRAGMENTS.places(simd, (bytes, behind)));
            if words != 0 {
                self.word(at, words);
            }
        }
    }

    /// Looks at each run of bytes that may be a number; of this block and the one before `window` tells such bytes, and
    /// `digits` the digits among them.
    #[cold]
    #[inline(never)]
    fn number(&mut self, at: usize, mut runs: Window, (window, digits): (Window, Window)) {
        while runs != 0 {
            let first = runs.trailing_zeros();
            let place = at + first as usize - BLOCK;
            if place >= self.read.0 {
                let behind = (window >> first).trailing_ones();
                let before = (window << (Window::BITS - 1 - first)).leading_ones() - 1;
                let run = Window::MAX >> (Window::BITS - behind - before) << (first - before);
                // A run that goes on in the next block is looked at there.
                if first + behind == Window::BITS && self.json.get(at + BLOCK).is_some_and(numbers::is_in_run) {
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
    fn token(&mut self, at: usize, mut runs: Window) {
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
fn may_be_number(json: &[u8], digits: Window, start: usize) -> bool {
    match digits.count_ones() {
        0..numbers::FEWEST => false,
        // Too few for a card.
        numbers::FEWEST..numbers::FEWEST_OF_CARD => has_ssn_form(digits) || numbers::may_have_country(json, start),
        _ => true,
    }
}

/// Returns true if somewhere among these bits three, two and four are set with one between them that is not.
fn has_ssn_form(bits: Window) -> bool {
    let two = bits & bits >> 1;
    let three = two & bits >> 2;
    let four = two & two >> 2;
    three & two >> 4 & four >> 7 & !(bits >> 3) & !(bits >> 6) != 0
}

/// Returns true for a byte that a token has.
#[inline]
pub(super) fn is_run_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A bit wherever so many in a row are set, 11 or 16, of those rows that end in the upper half.
#[inline]
fn runs(bits: Window, least: usize) -> Window {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let all = eight & eight >> (least - 8);
    all & Window::MAX << (BLOCK - least + 1)
}

/// The first two bytes of the fragments.
static FRAGMENTS: Pairs = Pairs::new(&[
    (b"cs", b"rsv"),
    (b"kb", b"aei"),
    (b"ko", b"t"),
    (b"pst", b"i"),
    (b"pj", b"aws"),
    (b"u", b"t"),
    (b"_", b"c"),
    (b" \"'", b"-"),
]);

/// The places of the first block of a text where the first two bytes of a fragment stand.
struct Begin<'j> {
    rest: &'j [u8],
}

impl simd::Work for Begin<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u32 {
        let Self { rest } = self;
        let (vectors, part) = match rest.first_chunk() {
            Some(block) => (vectors(simd, block), ALL),
            None => last_vectors(simd, rest, 0),
        };
        part.of(FRAGMENTS.places(simd, vectors))
    }
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
            marks = simd::run(Begin { rest: &json[at..] });
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
