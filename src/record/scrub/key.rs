//! What a key's name says of its value: that it is a secret, or an id.

use super::Rules;

/// Words that make a key sensitive; of several words, all must stand in a row.
const WORDS: &[&[&str]] = &[
    &["password"],
    &["passwd"],
    &["pwd"],
    &["passphrase"],
    &["secret"],
    &["token"],
    &["authorization"],
    &["cookie"],
    &["credentials"],
    &["api", "key"],
    &["apikey"],
    &["private", "key"],
    &["access", "key"],
];

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

impl Rules {
    /// Whether the strings below this key have to go.
    pub(super) fn is_sensitive(&self, key: &str) -> bool {
        if key.is_ascii() {
            return self.is_row_of(Words(key.as_bytes()));
        }
        let words = words(key);
        self.is_row_of(words.iter().map(String::as_bytes))
    }

    fn is_row_of<'k>(&self, words: impl Iterator<Item = &'k [u8]> + Clone) -> bool {
        self.secrets && WORDS.iter().any(|row| has_row(words.clone(), row))
            || self.keys.iter().any(|row| has_row(words.clone(), row))
    }
}

/// Whether a text can be left alone since it is an id or a time by its key's name. They are full of digits that are no
/// card numbers, and nothing else is in them.
pub(super) fn is_sound_id(key: &str, text: &str) -> bool {
    let is_id = |word: &[u8]| IDS.iter().any(|id| id.as_bytes().eq_ignore_ascii_case(word));
    let by_key = match key.is_ascii() {
        true => Words(key.as_bytes()).last().is_some_and(is_id),
        false => words(key).last().is_some_and(|word| is_id(word.as_bytes())),
    };
    by_key && !text.contains(['@', '=', ' '])
}

/// Whether the words of a row follow each other somewhere.
fn has_row<'k, W: AsRef<str>>(mut words: impl Iterator<Item = &'k [u8]> + Clone, row: &[W]) -> bool {
    let Some((first, more)) = row.split_first() else { return false };
    let same = |word: &W, other: &[u8]| word.as_ref().as_bytes().eq_ignore_ascii_case(other);
    while let Some(word) = words.next() {
        if same(first, word) {
            let mut behind = words.clone();
            if more.iter().all(|word| behind.next().is_some_and(|other| same(word, other))) {
                return true;
            }
        }
    }
    false
}

/// A key's words in lower case: split at everything that is no letter or digit, and where a capital follows a small letter.
pub(super) fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in key.chars() {
        let starts = small && c.is_uppercase();
        if !c.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            // Neither is the Kelvin sign a k, nor does the quick look take it for one.
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

/// The same of a key that is ASCII, in the case they have.
#[derive(Clone)]
struct Words<'k>(&'k [u8]);

impl<'k> Iterator for Words<'k> {
    type Item = &'k [u8];

    fn next(&mut self) -> Option<&'k [u8]> {
        let start = self.0.iter().position(u8::is_ascii_alphanumeric)?;
        let rest = &self.0[start..];
        let ends = |pair: &[u8]| {
            !pair[1].is_ascii_alphanumeric() || pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()
        };
        let end = rest.windows(2).position(ends).map_or(rest.len(), |at| at + 1);
        self.0 = &rest[end..];
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_ascii_are_the_words_of_any_text() {
        let mut state = 3_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key: String =
                (0..state >> 60).map(|at| char::from(b"aBcD1_-. zZ"[(state >> (at * 3)) as usize % 11])).collect();
            let quick: Vec<String> =
                Words(key.as_bytes()).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
            assert_eq!(quick, words(&key), "{key}");
        }
    }

    #[test]
    fn a_row_of_words_is_found_wherever_it_stands() {
        let rules = Rules::new(true, false, &["bank account".to_owned()]);
        for (key, sensitive) in [
            ("apiKey", true),
            ("x_api_api_key", true),
            ("API-KEY", true),
            ("key_api", false),
            ("api_x_key", false),
            ("BankAccount", true),
            ("bank", false),
            ("pa\u{df}word", false),
            ("\u{e9}_access_KEY", true),
            ("access_\u{212a}EY", false),
            ("", false),
        ] {
            assert_eq!(rules.is_sensitive(key), sensitive, "{key}");
        }
    }
}
