//! Finds numbers that are recognised by their check digits (cards, ISO/IEC 7812, and IBAN, ISO 13616) and US social security
//! numbers.

use super::rules::{COUNTERS, UNITS};
use super::steps;
use std::ops::Range;

/// Digits of a card number.
const FEWEST_DIGITS: usize = 13;
const MOST_DIGITS: usize = 19;

/// Digits, with the separators that may stand between them, of the shortest number that is looked for.
pub(super) const FEWEST: u32 = 9;

/// Digits of the shortest card number.
pub(super) const FEWEST_OF_CARD: u32 = FEWEST_DIGITS as u32;

/// Digits of a social security number, with its dashes.
pub(super) const SSN: usize = 11;

/// Bytes before the digits of an IBAN in which its country and letters stand.
const COUNTRY: usize = 16;

/// Characters of an IBAN without blanks.
const IBAN: std::ops::RangeInclusive<usize> = 15..=34;

/// Words near a number that make a card of it.
const CARD_WORDS: [&str; 14] = [
    "card",
    "cards",
    "pan",
    "visa",
    "mastercard",
    "amex",
    "charge",
    "charged",
    "payment",
    "credit",
    "debit",
    "cc",
    "cardholder",
    "maestro",
];

/// Returns the length of the separator that may stand between the groups of a number.
fn joint(bytes: &[u8]) -> usize {
    match bytes {
        [b' ', b' ', ..] => 2,
        [b' ' | b'-' | b'.' | b'_', ..] => 1,
        // A blank that does not break, also a narrow one.
        [0xc2, 0xa0, ..] => 2,
        [0xe2, 0x80, 0xaf | 0x89 | 0x93 | 0x91, ..] => 3,
        _ => 0,
    }
}

/// Digits and their separators, from a digit on.
struct Run {
    digits: [u8; MOST_DIGITS],
    /// The position of each digit.
    places: [usize; MOST_DIGITS],
    count: usize,
    /// Digits before each joint.
    groups: [u8; MOST_DIGITS],
    joints: usize,
    /// True if more digits follow.
    longer: bool,
}

impl Run {
    fn at(bytes: &[u8], start: usize) -> Self {
        let mut run = Self {
            digits: [0; MOST_DIGITS],
            places: [0; MOST_DIGITS],
            count: 0,
            groups: [0; MOST_DIGITS],
            joints: 0,
            longer: false,
        };
        steps::count(MOST_DIGITS);
        let (mut at, mut group) = (start, 0);
        loop {
            match bytes.get(at) {
                Some(byte) if byte.is_ascii_digit() => {
                    if run.count == MOST_DIGITS {
                        run.longer = true;
                        return run;
                    }
                    run.digits[run.count] = byte - b'0';
                    run.places[run.count] = at;
                    run.count += 1;
                    group += 1;
                    at += 1;
                }
                Some(_) => {
                    let length = joint(&bytes[at..]);
                    if length == 0
                        || !bytes.get(at + length).is_some_and(u8::is_ascii_digit)
                        || run.joints == MOST_DIGITS
                    {
                        return run;
                    }
                    run.groups[run.joints] = group;
                    run.joints += 1;
                    group = 0;
                    at += length;
                }
                None => return run,
            }
        }
    }

    /// Groups as cards have them: of four, or of four, six and five.
    fn is_grouped(&self) -> bool {
        let groups = &self.groups[..self.joints];
        self.joints > 0 && (groups.iter().all(|group| *group == 4) || groups == [4, 6])
    }

    /// The digits of this many at the front, where a group ends behind them.
    fn ends_group(&self, bytes: &[u8], count: usize) -> bool {
        let last = self.places[count - 1];
        !bytes.get(last + 1).is_some_and(u8::is_ascii_digit)
    }
}

/// Finds all numbers that have to go.
pub(super) fn numbers(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_uppercase()
            && let Some(end) = iban(bytes, at)
        {
            found.push(at..end);
            at = end;
            continue;
        }
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let group = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        match card(text, at).or_else(|| ssn(bytes, at)) {
            Some(part) => {
                at = part.end;
                found.push(part);
            }
            // A number may begin with any group.
            None => at += group,
        }
    }
}

/// The card number that begins here.
fn card(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let run = Run::at(bytes, at);
    let count = run.count;
    if run.longer || count < FEWEST_DIGITS || !is_card(&run.digits[..count]) {
        return grouped_prefix(bytes, at, &run);
    }
    let end = run.places[count - 1] + 1;
    let before = &text[text.floor_char_boundary(at.saturating_sub(48))..at];
    let behind = &text[end..text.ceil_char_boundary((end + 16).min(text.len()))];
    if behind.starts_with(|c: char| c.is_alphanumeric() || c == '_') || !may_begin(before) {
        return None;
    }
    // Dots and blanks also stand between numbers of their own.
    if run.joints > 0 && !run.is_grouped() {
        return None;
    }
    (run.joints > 0 || has_reason(before, behind)).then_some(at..end)
}

/// A card in groups of four with other digits behind it: `4111 1111 1111 1111 12/30`.
fn grouped_prefix(bytes: &[u8], at: usize, run: &Run) -> Option<Range<usize>> {
    let groups = &run.groups[..run.joints];
    let fits = run.count >= 16
        && groups.len() >= 3
        && groups[..3] == [4, 4, 4]
        && run.ends_group(bytes, 16)
        && is_card(&run.digits[..16]);
    let alone = at.checked_sub(1).is_none_or(|before| {
        !bytes[before].is_ascii_alphanumeric() && joint(&bytes[before..]) == 0 || bytes[before] == b' '
    });
    (fits && alone).then(|| at..run.places[15] + 1)
}

/// Returns true if a card number may stand behind this: not within a word, unless that is about cards.
fn may_begin(before: &str) -> bool {
    let word: String = before.chars().rev().take_while(|c| c.is_ascii_alphanumeric()).collect();
    let word: String = word.chars().rev().collect::<String>().to_ascii_lowercase();
    if !word.is_empty() {
        return CARD_WORDS.iter().any(|known| word.ends_with(known)) || word.ends_with("number") || word == "no";
    }
    let digit = |rest: &str| rest.ends_with(|c: char| c.is_ascii_digit());
    !["-", "_", "."].iter().any(|sign| before.strip_suffix(sign).is_some_and(|rest| digit(rest) || sign == &"."))
}

/// Returns true unless the words around a number say that it counts or names something else.
fn has_reason(before: &str, behind: &str) -> bool {
    let word_of = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    let unit = word_of(behind.split([' ', ',', ';', ')', ']']).find(|part| !part.is_empty()).unwrap_or_default());
    let words: Vec<String> = before
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let last = words.iter().rev().take(2);
    let of_card = words.iter().rev().take(4).any(|word| CARD_WORDS.contains(&word.as_str()) || word.ends_with("card"));
    let counts = last.clone().take(1).any(|word| COUNTERS.contains(&word.as_str()))
        || last.clone().any(|word| COUNTERS.contains(&word.as_str())) && before.ends_with(['=', ':', '#', '"', ' ']);
    let counts = counts || before.ends_with(['#', '/', '+']) || before.ends_with("0x");
    of_card || !counts && !UNITS.contains(&unit.as_str())
}

/// `078-05-1120`: no area 000, 666 or from 900 on, no group 00, no serial 0000.
fn ssn(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let number = bytes.get(at..at + SSN)?;
    let digits = |part: Range<usize>| number[part].iter().all(u8::is_ascii_digit);
    let form = digits(0..3) && digits(4..6) && digits(7..11) && number[3] == b'-' && number[6] == b'-';
    let alone =
        |byte: Option<&u8>| !byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let sound =
        !matches!(&number[..3], b"000" | b"666" | [b'9', ..]) && &number[4..6] != b"00" && &number[7..] != b"0000";
    let before = at.checked_sub(1).map(|before| &bytes[before]);
    (form && sound && alone(before) && alone(bytes.get(at + SSN))).then_some(at..at + SSN)
}

/// Returns the position at which the IBAN ends that begins here: country, check digits and account, with single blanks
/// between groups.
fn iban(bytes: &[u8], at: usize) -> Option<usize> {
    let [first, second, a, b, ..] = *bytes.get(at..)? else { return None };
    let before = at.checked_sub(1).is_none_or(|before| !bytes[before].is_ascii_alphanumeric());
    if !(before
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && a.is_ascii_digit()
        && b.is_ascii_digit())
    {
        return None;
    }
    let length = iban_length([first, second])?;
    let (mut text, mut end) = (Vec::with_capacity(length), at);
    while text.len() < length {
        match bytes.get(end)? {
            byte if byte.is_ascii_digit() || byte.is_ascii_uppercase() => text.push(*byte),
            b' ' | b'-' if !text.is_empty() && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric) => {}
            _ => return None,
        }
        end += 1;
    }
    let alone = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let remainder = text[4..].iter().chain(&text[..4]).fold(0_u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (alone && IBAN.contains(&text.len()) && remainder == 1).then_some(end)
}

/// The length of a country's IBAN (SWIFT's registry).
fn iban_length(country: [u8; 2]) -> Option<usize> {
    Some(match &country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FK" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"MN" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

/// Returns true if the digits are of a known issuer's length and range and end with Luhn's check digit.
pub(super) fn is_card(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0_u32, |n, d| n * 10 + u32::from(*d));
    let issuer = match digits.len() {
        15 => matches!(prefix(2), 34 | 37),
        13 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38 | 39) || (300..=305).contains(&prefix(3)),
        16..=19 => {
            prefix(1) == 4
                || digits.len() == 16 && ((51..=55).contains(&prefix(2)) || (2_221..=2_720).contains(&prefix(4)))
                || prefix(4) == 6_011
                || prefix(2) == 65
                || (644..=649).contains(&prefix(3))
                || (3_528..=3_589).contains(&prefix(4))
                || prefix(2) == 62
                || prefix(2) == 81 && digits.len() == 16
                || (2_200..=2_204).contains(&prefix(4)) && digits.len() == 16
        }
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, d)| if at % 2 == 0 { u32::from(*d) } else { u32::from(*d) * 2 / 10 + u32::from(*d) * 2 % 10 })
        .sum();
    issuer && sum.is_multiple_of(10)
}

/// Returns true if something among the digits around a place of an item's JSON may have to go, and where they end. It is
/// never wrong in saying no.
pub(super) fn may_have_number(json: &[u8], place: usize) -> (bool, usize) {
    let start = json[..place].iter().rposition(|byte| !is_in_run(byte)).map_or(0, |before| before + 1);
    let end = place + json[place..].iter().position(|byte| !is_in_run(byte)).unwrap_or(json.len() - place);
    let run = &json[start..end];
    let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
    let found = match digits {
        _ if digits < FEWEST as usize => false,
        // Too few for a card.
        _ if digits < FEWEST_DIGITS => has_ssn(json, start, end) || has_iban(json, start, end),
        _ => has_card(json, start, end) || has_ssn(json, start, end) || has_iban(json, start, end),
    };
    (found, end)
}

/// Returns true for a byte that a digit is or that may stand between the groups of a number.
pub(super) fn is_in_run(byte: &u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'.' | b'_') || !byte.is_ascii()
}

/// The positions of a run of digits and separators at which its groups of digits begin.
fn groups(json: &[u8], start: usize, end: usize) -> impl Iterator<Item = usize> + '_ {
    let begins = move |at: &usize| json[*at].is_ascii_digit() && (*at == start || !json[*at - 1].is_ascii_digit());
    (start..end).filter(begins)
}

fn has_card(json: &[u8], start: usize, end: usize) -> bool {
    groups(json, start, end).any(|at| {
        let run = Run::at(json, at);
        let any = |length: usize| run.ends_group(json, length) && is_card(&run.digits[..length]);
        (FEWEST_DIGITS..=run.count).any(any)
    })
}

fn has_ssn(json: &[u8], start: usize, end: usize) -> bool {
    groups(json, start, end).any(|at| ssn(json, at).is_some() || is_ssn_behind_escape(json, at))
}

/// Returns true if an IBAN begins in a run of digits and separators or up to [`COUNTRY`] bytes before it, because its country
/// and letters stand before its digits.
fn has_iban(json: &[u8], start: usize, end: usize) -> bool {
    (start.saturating_sub(COUNTRY)..end).any(|at| {
        json[at].is_ascii_uppercase()
            && (iban(json, at).is_some() || at > 1 && json[at - 2] == b'\\' && iban(&json[at..], 0).is_some())
    })
}

/// Returns true if two capitals and two digits, with which an IBAN begins, stand so near before a run of digits that the IBAN may
/// be there.
pub(super) fn may_have_country(json: &[u8], start: usize) -> bool {
    let near = &json[start.saturating_sub(COUNTRY)..json.len().min(start + 2)];
    let begins = |four: &[u8]| {
        four[0].is_ascii_uppercase()
            && four[1].is_ascii_uppercase()
            && four[2].is_ascii_digit()
            && four[3].is_ascii_digit()
    };
    near.windows(4).any(begins)
}

/// A number behind the letter of an escape: `\n078-05-1120`.
fn is_ssn_behind_escape(json: &[u8], at: usize) -> bool {
    at > 1 && json[at - 2] == b'\\' && ssn(&json[at..], 0).is_some()
}

#[cfg(test)]
mod tests;
