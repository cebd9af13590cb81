//! Finds the parts of a text that have to be removed, in whatever field the text is: values after sensitive names, and texts
//! that look like a secret by themselves. Every rule reads the original text; their findings are then removed together.

use super::extent::{Extents, is_flag_start, name_around};
use super::name::Meaning;
use super::prefilter::{self, Seen};
use super::rules::{COMMANDS, Flag, Kind};
use super::value::{How, is_pair, is_secret, looks_drawn, looks_random};
use super::{FILTERED, Rules, numbers, pem, tokens, urls};
use std::borrow::Cow;
use std::ops::Range;

/// Returns the text without its secrets; `None` if all of it may stay.
pub(super) fn cleaned(rules: &Rules, text: &str, numbers: bool) -> Option<String> {
    let plain = match text.contains('\u{1b}') {
        // Colours may stand between a name and its value.
        true => Cow::Owned(
            String::from_utf8_lossy(&crate::mapping::resolve::message::without_colours(text.as_bytes())).into_owned(),
        ),
        false => Cow::Borrowed(text),
    };
    let found = found(rules, &plain, numbers);
    (!found.is_empty()).then(|| without(&plain, found))
}

/// The parts of a text that have to go, in any order.
fn found(rules: &Rules, text: &str, numbers: bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let seen = Seen::of(bytes);
    let mut found = Vec::new();
    if rules.secrets {
        if seen.word.is_some() {
            pem::private_keys(text, &mut found);
        }
        if seen.at_sign {
            urls::credentials(text, &mut found);
        }
        if seen.digits && numbers {
            numbers::numbers(text, &mut found);
        }
        if seen.run {
            tokens::tokens(text, &mut found);
        }
    }
    if seen.word.is_some() || !rules.keys.is_empty() {
        Finder { rules, text, extents: Extents::new(text), found: &mut found, passed: 0 }.names(seen.word);
    }
    if rules.addresses && (seen.at_sign || seen.percent) {
        let mut addresses = Vec::new();
        urls::addresses(text, &mut addresses);
        // `://key@host.example` is no address.
        addresses.retain(|address| {
            !found.iter().any(|part| bytes.get(part.end) == Some(&b'@') && address.contains(&part.end))
        });
        found.append(&mut addresses);
    }
    // What has been taken out stays so.
    let is_filtered = |text: &str| text == FILTERED || text == FILTERED.trim_end_matches(']');
    found.retain(|part| !part.is_empty() && !is_filtered(text[part.clone()].trim_matches(['\'', '"', ' '])));
    found
}

/// The text with one `[Filtered]` for each part, overlapping ones together.
fn without(text: &str, mut parts: Vec<Range<usize>>) -> String {
    parts.sort_unstable_by_key(|part| part.start);
    let (mut out, mut at, mut open): (String, usize, Option<usize>) = (String::with_capacity(text.len()), 0, None);
    for part in parts {
        match open {
            Some(end) if part.start < end => open = Some(end.max(part.end)),
            _ => {
                at = open.take().unwrap_or(at);
                out.push_str(&text[at..part.start]);
                out.push_str(FILTERED);
                open = Some(part.end);
            }
        }
    }
    out.push_str(&text[open.unwrap_or(at)..]);
    out
}

/// Values behind names.
struct Finder<'r, 't, 'f> {
    rules: &'r Rules,
    text: &'t str,
    extents: Extents<'t>,
    found: &'f mut Vec<Range<usize>>,
    /// The position up to which names and values have been processed.
    passed: usize,
}

impl Finder<'_, '_, '_> {
    fn names(&mut self, first: Option<usize>) {
        let bytes = self.text.as_bytes();
        if !self.rules.keys.is_empty() {
            // Names of the user's choice may be any word.
            let mut at = 0;
            while at < bytes.len() {
                let name = name_around(bytes, at);
                if name.is_empty() {
                    at += 1;
                    continue;
                }
                at = name.end.max(at + 1);
                if name.start >= self.passed {
                    self.name(name);
                }
            }
        }
        if let Some(first) = first {
            self.passed = 0;
            let mut flags = 0;
            for place in prefilter::words(bytes, first) {
                match bytes[place] {
                    b' ' | b'"' | b'\'' if self.rules.secrets && flags < prefilter::MOST_FLAGS => {
                        flags += 1;
                        self.command_flag(place + 1);
                    }
                    b' ' | b'"' | b'\'' => {}
                    b'_' if self.rules.secrets && is_call(bytes, place) => self.call(place),
                    _ if place >= self.passed => self.place(place),
                    _ => {}
                }
            }
        }
    }

    /// One of the fragments that names, schemes and flags have.
    fn place(&mut self, place: usize) {
        let bytes = self.text.as_bytes();
        let name = name_around(bytes, place);
        if name.is_empty() {
            return;
        }
        self.passed = self.passed.max(name.end);
        if self.rules.secrets {
            let word = &self.text[name.clone()];
            if ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme) || ends_word(word, scheme)) {
                return self.scheme(name.end);
            }
            if word.eq_ignore_ascii_case("identified") {
                return self.identified(name.end);
            }
        }
        self.name(name);
    }

    fn name(&mut self, name: Range<usize>) {
        let Some(meaning) = name_meaning(self.rules, self.text.as_bytes(), &name) else { return };
        if let Some(rest) = self.extents.unread(&name) {
            self.passed = self.passed.max(rest.end);
            return self.found.push(rest);
        }
        let is_flag = is_flag_start(self.text.as_bytes(), name.start);
        let Some(value) = self.extents.value(&name, meaning, is_flag) else { return };
        self.take(meaning, value.how, value.part, value.quoted, value.more);
    }

    fn take(&mut self, meaning: Meaning, how: How, part: Range<usize>, quoted: bool, more: bool) {
        if !part.is_empty() && is_secret(meaning, how, &self.text[part.clone()], quoted, more) {
            self.passed = self.passed.max(part.end);
            self.found.push(part);
        }
    }

    /// `Bearer xyz`, `Basic xyz`.
    fn scheme(&mut self, end: usize) {
        let part = self.extents.next_word(end);
        if !part.is_empty() && part.start > end {
            let value = &self.text[part.clone()];
            if value.len() >= 8
                && !value.starts_with(FILTERED)
                && !is_pair(value)
                && (looks_drawn(value, 8) || looks_random(value))
            {
                self.passed = self.passed.max(part.end);
                self.found.push(part);
            }
        }
    }

    /// `IDENTIFIED BY 'x'` of SQL.
    fn identified(&mut self, end: usize) {
        let head = &self.text[end..self.text.floor_char_boundary(end + 60)];
        let lower = head.to_ascii_lowercase();
        let Some(by) = lower.find(" by ") else { return };
        let Some(quote) = lower[by + 4..].find(['\'', '"']) else { return };
        if lower[by + 4..by + 4 + quote].trim().is_empty() || lower[by + 4..by + 4 + quote].trim() == "password" {
            let part = self.extents.quoted_at(end + by + 4 + quote);
            if !part.is_empty() {
                self.found.push(part);
            }
        }
    }

    /// `PDO->__construct('mysql:host=db', 'root', 'x')` of a PHP trace: the third argument.
    fn call(&mut self, place: usize) {
        let rest = &self.text[place..];
        let Some(open) = ["_construct(", "_connect(", "_real_connect("].iter().find_map(|call| rest.strip_prefix(call))
        else {
            return;
        };
        let mut at = self.text.len() - open.len();
        for argument in 0..3 {
            at += self.text[at..].bytes().take_while(|byte| matches!(byte, b' ' | b',')).count();
            let part = self.extents.quoted_at(at);
            if part.is_empty() && self.text[at..].chars().next().is_none_or(|c| c != '\'' && c != '"') {
                return;
            }
            if argument == 2 && !part.is_empty() {
                self.found.push(part);
                return;
            }
            at = self.text.ceil_char_boundary(part.end + 1);
        }
    }

    /// A flag of a command that has its password.
    fn command_flag(&mut self, at: usize) {
        let Some(part) = command_flag(self.text.as_bytes(), at) else { return };
        let part = self.extents.argument(part);
        let value = &self.text[part.clone()];
        // A word ends before a bracket that it has not opened.
        let open = FILTERED.trim_end_matches(']');
        if !part.is_empty() && !value.starts_with(open) && !value.starts_with('-') {
            self.found.push(part);
        }
    }
}

fn ends_word(word: &str, scheme: &str) -> bool {
    // Behind an escaped line feed: `\nBearer`.
    word.len() == scheme.len() + 1 && word.get(1..).is_some_and(|rest| rest.eq_ignore_ascii_case(scheme))
}

/// Returns the meaning that a name in a text gives to its value. Characters that an escape has left before the name are not
/// part of it: `\nauth`, `%5Bauth`.
pub(super) fn name_meaning(rules: &Rules, bytes: &[u8], name: &Range<usize>) -> Option<Meaning> {
    let text = &bytes[name.clone()];
    let escaped = match name.start.checked_sub(1).map(|before| bytes[before]) {
        Some(b'\\') => text.get(1..),
        Some(b'%') => text.get(2..),
        _ => None,
    };
    let spoken = || spoken_name(bytes, name).and_then(|name| rules.meaning(&bytes[name]));
    let is_key = text.eq_ignore_ascii_case(b"key") || text.eq_ignore_ascii_case(b"keys");
    let spoken = if is_key { spoken() } else { None };
    let meaning = spoken.or_else(|| rules.meaning(text)).or_else(|| rules.meaning(escaped?))?;
    let in_query = || {
        let start = bytes[..name.start].iter().rposition(|byte| !matches!(byte, b'[' | b'%' | b'5' | b'B' | b'b'));
        start.is_some_and(|at| matches!(bytes[at], b'?' | b'&' | b';')) && bytes.get(name.end) != Some(&b' ')
    };
    // `key` and the like say something in a URL's query only; shouted they are variables: `STRIPE_KEY=`.
    let shouted =
        text.len() > 4 && text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
    let is_variable = || shouted && text.ends_with(b"_KEY") && bytes.get(name.end) == Some(&b'=');
    (meaning.kind != Kind::Query || in_query() || is_variable()).then_some(meaning)
}

/// A name of two words, of which this is the second: `api key`, `Private Key`.
fn spoken_name(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let blank = name.start.checked_sub(1).filter(|blank| bytes[*blank] == b' ')?;
    let first = name_around(bytes, blank.checked_sub(1)?);
    (!first.is_empty() && first.end == blank).then_some(first.start..name.end)
}

/// Returns the position at which the password begins of the command whose flag is here. From there on the text is an
/// argument, or `user:password` if the returned boolean is true.
pub(super) fn command_flag(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let end = bytes[at..]
        .iter()
        .position(|byte| matches!(byte, b' ' | b'=' | b'"' | b'\'' | b'\\'))
        .map_or(bytes.len(), |end| at + end);
    let flag = &bytes[at..end];
    let line = &bytes[at.saturating_sub(256)..at];
    let line = &line[line.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)..];
    let names = |name: &str| memchr::memmem::find(line, name.as_bytes()).is_some();
    COMMANDS.iter().find_map(|command| {
        let given = command.flags.iter().find(|known| flag.starts_with(known.as_bytes()))?;
        let whole = flag.len() == given.len();
        let value = if whole {
            end + usize::from(bytes.get(end).is_some_and(|byte| matches!(byte, b' ' | b'=')))
        } else {
            at + given.len()
        };
        let fits = match command.how {
            Flag::Apart => whole,
            Flag::Glued => !whole,
            Flag::Either => true,
            Flag::User => whole,
        };
        (fits && value < bytes.len() && names(command.name)).then_some((value, command.how == Flag::User))
    })
}

/// Returns true if a call that takes a password begins at this underscore.
pub(super) fn is_call(bytes: &[u8], place: usize) -> bool {
    [&b"_construct("[..], b"_connect(", b"_real_connect("].iter().any(|call| bytes[place..].starts_with(call))
}

/// Returns true if a name in an item's JSON may announce something that has to go. It is never wrong in saying no.
pub(super) fn announces(rules: &Rules, json: &[u8], name: Range<usize>) -> bool {
    if name.is_empty() {
        return false;
    }
    let word = &json[name.clone()];
    let is = |known: &[u8]| {
        word.eq_ignore_ascii_case(known) || word.get(1..).is_some_and(|word| word.eq_ignore_ascii_case(known))
    };
    if is(b"identified") || is(b"jwk") || is(b"kty") {
        return true;
    }
    if is(b"bearer") || is(b"basic") {
        return json.get(name.end).is_some_and(|byte| *byte == b' ');
    }
    if word.ends_with(b"BEGIN") && pem::begins_near(json, name.end) {
        return true;
    }
    // Most names that say something have no value: that is seen at once.
    if super::extent::may_have_value(json, &name) && name_meaning(rules, json, &name).is_some() {
        return true;
    }
    // A field's name may be several words, or have other signs: `"db password"`, `"token?"`.
    let window = &json[name.end..json.len().min(name.end + super::name::LONGEST)];
    let Some(quote) = memchr::memchr(b'"', window) else { return false };
    let behind = &json[name.end + quote..];
    let quotes = behind.iter().take(16).take_while(|byte| matches!(byte, b'"' | b'\\')).count();
    let is_key = behind[quotes..].trim_ascii_start().first() == Some(&b':');
    let end = name.end + window[..quote].iter().rposition(|byte| *byte != b'\\').map_or(0, |last| last + 1);
    let from = name.start.saturating_sub(super::name::LONGEST);
    let open = || json[from..name.start].iter().rposition(|byte| *byte == b'"').map_or(from, |open| from + open + 1);
    // A name with escapes is read only once its text is.
    is_key && (window[..quote].contains(&b'\\') || rules.meaning(&json[open()..end]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_parts_are_removed_together() {
        assert_eq!(without("abcdefgh", vec![4..6, 1..3, 2..5]), "a[Filtered]gh");
        assert_eq!(without("abcd", vec![0..1, 1..2]), "[Filtered][Filtered]cd");
        assert_eq!(without("abcd", vec![0..3, 1..4]), "[Filtered]");
    }
}
