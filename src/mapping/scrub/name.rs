//! Reads a key's name: its words, and how sensitive they make the value.

use super::Rules;
use super::rules::{COUNTED, Kind, QUALIFIERS, SUFFIXES, TERMS, Term};

/// Bytes of a name that are read; of a longer one the last.
pub(super) const LONGEST: usize = 96;

/// Most words of a name that are told apart.
const MOST_WORDS: usize = 24;

/// The meaning that a name gives to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub kind: Kind,
    /// True if nothing behind the term makes it doubtful.
    pub sure: bool,
    /// True for the plural of a term, with which a number is an amount.
    pub plural: bool,
    /// True if a word before the term says that a number is an amount: `max_tokens`.
    pub counted: bool,
}

/// The words of a name in small letters, without the signs between them.
pub(super) struct Words {
    text: [u8; LONGEST],
    /// The position at which each word ends.
    ends: [u8; MOST_WORDS],
    count: usize,
}

impl Words {
    /// Splits at everything that is no letter or digit, where a capital follows a small letter, and before the last of
    /// several capitals that a small letter follows: `AWSSecretKey` has three words.
    pub(super) fn of(name: &[u8]) -> Self {
        let name = &name[name.len().saturating_sub(LONGEST)..];
        let mut words = Self { text: [0; LONGEST], ends: [0; MOST_WORDS], count: 0 };
        let mut length = 0;
        for (at, byte) in name.iter().enumerate() {
            if !is_letter(*byte) {
                words.end(length);
                continue;
            }
            let before = at.checked_sub(1).map(|before| name[before]);
            let small_before = before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit());
            let small_behind = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            let capital_before = before.is_some_and(|before| before.is_ascii_uppercase());
            if byte.is_ascii_uppercase() && (small_before || capital_before && small_behind) {
                words.end(length);
            }
            words.text[length] = byte.to_ascii_lowercase();
            length += 1;
        }
        words.end(length);
        words
    }

    fn end(&mut self, length: usize) {
        let last = self.count.checked_sub(1).map_or(0, |last| usize::from(self.ends[last]));
        if length == last {
            return;
        }
        // A name of more words goes on in its last one.
        if self.count < MOST_WORDS {
            self.count += 1;
        }
        self.ends[self.count - 1] = length as u8;
    }

    fn start(&self, word: usize) -> usize {
        word.checked_sub(1).map_or(0, |before| usize::from(self.ends[before]))
    }

    fn end_of(&self, word: usize) -> usize {
        usize::from(self.ends[word])
    }

    fn word(&self, word: usize) -> &[u8] {
        &self.text[self.start(word)..self.end_of(word)]
    }

    /// All words as one.
    pub(super) fn joined(&self) -> &[u8] {
        &self.text[..self.count.checked_sub(1).map_or(0, |last| self.end_of(last))]
    }

    /// The term with which a word ends, whether it is a plural, and where it begins.
    fn term(&self, word: usize) -> Option<(Kind, bool, usize)> {
        let whole = &self.text[..self.end_of(word)];
        let digits = whole.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let bare = &whole[..whole.len() - digits];
        let single = [Some((whole, false)), (digits > 0).then_some((bare, false))];
        let ends = single.into_iter().chain([bare.strip_suffix(b"s").map(|text| (text, true))]).flatten();
        for (text, plural) in ends {
            let fits = |word: &str, glued: bool| {
                let start = text.len().checked_sub(word.len())?;
                let at_word = || (0..self.count).any(|word| self.start(word) == start);
                (text.ends_with(word.as_bytes()) && (at_word() || glued && !is_ordinary(text))).then_some(start)
            };
            let found = terms_ending(text).find_map(|term| Some((term.kind, fits(term.word, term.glued)?)));
            if let Some((kind, start)) = found {
                return Some((kind, plural, start));
            }
        }
        None
    }

    fn is_in(&self, word: usize, list: &[&str]) -> bool {
        let word = self.word(word);
        list.iter().any(|known| known.as_bytes() == word)
    }
}

/// Bytes at the end of a term by which it is found.
const LAST_BYTES: usize = 3;

/// For each of the last bytes of a text and each value that it may have, a bit for each term that has this byte there or is
/// shorter; 128 stands for no byte, and for one beyond ASCII.
static BY_LAST: [[u128; 129]; LAST_BYTES] = by_last();

const fn by_last() -> [[u128; 129]; LAST_BYTES] {
    let mut terms = [[0; 129]; LAST_BYTES];
    assert!(TERMS.len() <= 128, "a term has a bit of its own");
    let mut at = 0;
    while at < TERMS.len() {
        let word = TERMS[at].word.as_bytes();
        let mut back = 0;
        while back < LAST_BYTES {
            if back < word.len() {
                terms[back][word[word.len() - 1 - back] as usize] |= 1 << at;
            } else {
                let mut byte = 0;
                while byte <= 128 {
                    terms[back][byte] |= 1 << at;
                    byte += 1;
                }
            }
            back += 1;
        }
        at += 1;
    }
    terms
}

/// The terms that end with the last bytes of a text, in the order of the table.
fn terms_ending(text: &[u8]) -> impl Iterator<Item = &'static Term> {
    let byte = |back: usize| text.len().checked_sub(1 + back).map_or(128, |at| usize::from(text[at]).min(128));
    let mut left = BY_LAST.iter().enumerate().fold(u128::MAX, |left, (back, terms)| left & terms[byte(back)]);
    std::iter::from_fn(move || {
        let at = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        TERMS.get(at)
    })
}

/// Words that end like a term and are none.
fn is_ordinary(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"compass", b"bypass", b"trespass", b"surpass", b"encompass", b"overpass", b"underpass", b"impass"];
    WORDS.iter().any(|word| text.ends_with(word))
}

/// Returns true for a byte of a name's words; those beyond ASCII are letters.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// Returns the meaning that a name gives to its value; `None` if it gives none.
pub(super) fn meaning(name: &[u8]) -> Option<Meaning> {
    let words = Words::of(name);
    let (word, (kind, plural, start)) = (0..words.count).rev().find_map(|word| Some((word, words.term(word)?)))?;
    let behind = word + 1..words.count;
    if behind.clone().any(|word| words.is_in(word, QUALIFIERS)) {
        return None;
    }
    let is_suffix = |word: usize| {
        let text = words.word(word);
        words.is_in(word, SUFFIXES) || text.len() == 1 || text.iter().all(u8::is_ascii_digit)
    };
    let sure = behind.clone().all(is_suffix);
    // A word with many meanings says nothing unless it is the last.
    let last_only =
        matches!(kind, Kind::Weak | Kind::Random | Kind::Query | Kind::KeyMember | Kind::Code(..) | Kind::Card);
    if last_only && !behind.clone().all(|word| words.word(word).iter().all(u8::is_ascii_digit)) && !is_header(&words) {
        return None;
    }
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    if kind == Kind::KeyMember && last != words.word(word) {
        return None;
    }
    // Of a name that is a sentence only the end counts.
    if !behind.is_empty() && name.contains(&b' ') {
        return None;
    }
    let kind = if kind == Kind::Header && !behind.is_empty() && !sure { Kind::Secret } else { kind };
    // `pass` alone is a word of tests: `pass=3`.
    let counted = words.joined() == b"pass"
        || (0..=word).any(|word| words.is_in(word, COUNTED) && words.start(word) < start.max(1));
    Some(Meaning { kind, sure, plural, counted })
}

/// `X-Auth-...` and `...-Signature-...`.
fn is_header(words: &Words) -> bool {
    words.joined().starts_with(b"xauth") || words.joined().starts_with(b"xhubsignature")
}

impl Rules {
    /// Returns the meaning that a name gives to its value, by the table and the user's own options.
    pub(super) fn meaning(&self, name: &[u8]) -> Option<Meaning> {
        if !self.allowed.is_empty() && self.is_allowed(name) {
            return None;
        }
        if !self.keys.is_empty() && self.is_own(name) {
            return Some(Meaning { kind: Kind::Password, sure: true, plural: false, counted: false });
        }
        if self.secrets { meaning(name) } else { None }
    }

    /// Returns true if `scrub_allow` lists the whole name, or the part after its last dot.
    fn is_allowed(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name);
        let last = name.rsplit('.').next().unwrap_or_default();
        [&*name, last].into_iter().any(|name| {
            let words = words(name);
            self.allowed.contains(&words)
        })
    }

    /// `scrub_keys`: its words in a row anywhere in the name.
    fn is_own(&self, name: &[u8]) -> bool {
        let words = words(&String::from_utf8_lossy(name));
        self.keys.iter().any(|row| !row.is_empty() && words.windows(row.len()).any(|some| some == row.as_slice()))
    }
}

/// A name's words in small letters, of any alphabet.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        let starts = small && c.is_uppercase();
        if !c.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            // Neither is the Kelvin sign a k, nor does the prefilter take it for one.
            match c {
                '\u{212a}' => word.push(c),
                _ => word.extend(c.to_lowercase()),
            }
        }
        small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Last words of keys whose values are ids or times.
const IDS: [&str; 14] = [
    "id",
    "uid",
    "uuid",
    "time",
    "timestamp",
    "ts",
    "date",
    "hash",
    "digest",
    "sha",
    "version",
    "ip",
    "address",
    "port",
];

/// Returns true if the digits of a value are an id or a time by its key's name, and no card number.
pub(super) fn is_id(name: &str) -> bool {
    let words = Words::of(name.as_bytes());
    let Some(last) = words.count.checked_sub(1) else { return false };
    let of_card = (0..words.count).any(|word| words.is_in(word, &["card", "pan", "cc"]));
    words.is_in(last, &IDS) && !of_card
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<Kind> {
        meaning(name.as_bytes()).map(|meaning| meaning.kind)
    }

    #[test]
    fn names_are_split_into_words() {
        for (name, expected) in [
            ("AWSSecretKey", vec!["aws", "secret", "key"]),
            ("userPWD", vec!["user", "pwd"]),
            ("X-Amz-Security-Token", vec!["x", "amz", "security", "token"]),
            ("auth0_client_secret", vec!["auth0", "client", "secret"]),
            ("__", vec![]),
        ] {
            let words = Words::of(name.as_bytes());
            let found: Vec<_> =
                (0..words.count).map(|word| String::from_utf8_lossy(words.word(word)).into_owned()).collect();
            assert_eq!(found, expected, "{name}");
        }
        let words = Words::of("a-".repeat(200).as_bytes());
        assert_eq!(words.count, MOST_WORDS);
    }

    #[test]
    fn names_of_secrets_are_known_in_each_form() {
        for name in [
            "password",
            "PGPASSWORD",
            "dbPassword",
            "DBPassword",
            "db.pass",
            "user_passwords",
            "csrfmiddlewaretoken",
            "X-Auth-Token",
            "apiKey",
            "APIKey",
            "x-apikey",
            "SECRET_KEY_BASE",
            "client-key-data",
            "password_confirmation",
            "PHPSESSID",
            "JWT_SECRET_V2",
            "AWSSecretKey",
            "clientsecret",
            "mot_de_passe",
            "Ocp-Apim-Subscription-Key",
            "X-Hub-Signature-256",
            "RAILS_MASTER_KEY",
            "sessionid",
            "connect.sid",
            "REDIS_AUTH",
            "GITHUB_PAT",
            "token2",
            "my_password1",
        ] {
            assert!(kind(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_about_secrets_are_no_secrets() {
        for name in [
            "token_type",
            "token_count",
            "api_key_id",
            "password_expired",
            "secretName",
            "secretKeyRef",
            "password_length",
            "tokenizer",
            "primary_key_name",
            "keyboard",
            "compass",
            "author",
            "path",
            "pattern",
            "signal",
            "passing",
            "cookie_name",
            "password_reset_url",
            "user_id",
            "spin",
            "mapping",
            "session_timeout",
            "authority",
            "cardinality",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
    }

    #[test]
    fn keys_of_the_user_extend_and_shorten_the_table() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rules = Rules::new(
            true,
            false,
            &list(&["bank account", "\u{fc}berweisung"]),
            &list(&["csrf_token", "connect.sid"]),
        );
        for (name, known) in [
            ("BankAccount", true),
            ("my_bank_account_2", true),
            ("bank", false),
            ("\u{dc}BERWEISUNG", true),
            ("csrfToken", false),
            ("form.csrf_token", false),
            ("connect.sid", false),
            ("token", true),
        ] {
            assert_eq!(rules.meaning(name.as_bytes()).is_some(), known, "{name}");
        }
    }
}
