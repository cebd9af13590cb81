//! Rewrites the texts of an item's finished JSON: replaces the texts that have to change in place and leaves all other bytes
//! unchanged.

use super::inner::{Around, NAMES, is_hidden_number};
use super::name::Meaning;
use super::{FILTERED, Rules};
use crate::mapping::encode::billed::NUMBER;
use crate::mapping::encode::{json, limit};
use memchr::memchr2;
use std::borrow::Cow;
use std::ops::Range;

/// Texts by their name, and their most characters. A text that `[Filtered]` may make longer than Relay takes is cut once
/// more.
type Limits = &'static [(&'static str, usize)];

const LOG_ENTRY: Limits = &[("message", limit::MESSAGE), ("formatted", limit::MESSAGE)];
const USER: Limits = &[("id", limit::USER_ID)];
const EXCEPTION: Limits = &[("value", limit::MESSAGE), ("type", limit::NAME)];
const EXTRA: Limits = &[("line", limit::MESSAGE), ("details", limit::MESSAGE)];
const OF_ITEM: Limits = &[("logger", limit::LOGGER), ("server_name", limit::SERVER_NAME)];

/// Deeper than this nothing is nested that we write ourselves.
const MAX_DEPTH: usize = 64;

/// Cleans the item from `start` on; `known` are parts of it that need no look. Returns by how many bytes its strings and
/// numbers have become longer, as Sentry bills those of a log.
pub(super) fn clean(rules: &Rules, out: &mut Vec<u8>, start: usize, known: &[Range<usize>]) -> i64 {
    let mut item = Item { rules, json: out, at: start, known, changes: Vec::new(), longer: 0 };
    if item.all().is_none() || item.changes.is_empty() {
        return 0;
    }
    let (changes, longer) = (item.changes, item.longer);
    let from = changes[0].0.start;
    let before = out.split_off(from);
    let mut at = 0;
    for (place, text) in changes {
        out.extend_from_slice(&before[at..place.start - from]);
        json::string(out, text.as_bytes());
        at = place.end - from;
    }
    out.extend_from_slice(&before[at..]);
    longer
}

/// Information that the names above a text give about it.
#[derive(Clone, Copy)]
enum Above {
    /// Names are Sentry's own.
    Ours(Limits),
    /// Names are the application's.
    Theirs(Around),
    /// It was taken out of a line in which something had to go.
    Suspect,
}

/// An item while it is read. Nothing is answered where it is not JSON as we write it.
struct Item<'r, 'j> {
    rules: &'r Rules,
    json: &'j [u8],
    at: usize,
    known: &'r [Range<usize>],
    /// Strings to replace, in order, and their replacements.
    changes: Vec<(Range<usize>, String)>,
    /// By how many bytes the changes make strings and numbers longer.
    longer: i64,
}

impl<'j> Item<'_, 'j> {
    /// Scrubs an item. Only below a few names are keys that an application has chosen; all others are Sentry's, and say
    /// nothing about the values under them.
    fn all(&mut self) -> Option<()> {
        self.members(|item, name| match name {
            "attributes" => item.members(Self::attribute),
            "extra" => item.members(Self::extra),
            "tags" => item.members(|item, name| item.field(name, 0, Some(limit::TAG_VALUE))),
            "contexts" => item.members(|item, name| match name {
                "trace" => item.skip(),
                _ => item.value(Above::Ours(&[]), 0, None),
            }),
            "event_id" | "trace_id" | "span_id" | "level" | "platform" | "sdk" => item.skip(),
            "logentry" => item.log_entry(),
            "user" => item.value(Above::Ours(USER), 0, None),
            "exception" => item.value(Above::Ours(EXCEPTION), 0, None),
            _ => item.value(Above::Ours(&[]), 0, most(OF_ITEM, name)),
        })
    }

    /// Scrubs the line, and the parameters that were taken out of it to have its template: if something in the line has to
    /// be scrubbed, a parameter may be that secret, without the word that marks it.
    fn log_entry(&mut self) -> Option<()> {
        let before = self.changes.len();
        self.members(|item, name| match name {
            "params" if item.changes.len() > before => item.value(Above::Suspect, 0, None),
            _ => item.value(Above::Ours(LOG_ENTRY), 0, most(LOG_ENTRY, name)),
        })
    }

    /// `{"value":...,"type":...}`; the type stays, unless a number has become a text.
    fn attribute(&mut self, name: &str) -> Option<()> {
        let mut was_number = false;
        self.members(|item, part| match part {
            "value" => {
                let (is_text, before) = (item.peek()? == b'"', item.changes.len());
                item.field(name, 0, None)?;
                was_number = !is_text && item.changes.len() > before;
                Some(())
            }
            "type" if was_number => {
                let start = item.at;
                item.skip()?;
                item.changes.push((start..item.at, "string".to_owned()));
                Some(())
            }
            _ => item.skip(),
        })
    }

    /// One value of `extra`, cut once more as a whole.
    fn extra(&mut self, name: &str) -> Option<()> {
        let (start, first) = (self.at, self.changes.len());
        self.field(name, 0, most(EXTRA, name))?;
        let place = start..self.at;
        let changes = &mut self.changes[first..];
        match changes {
            [] => {}
            [(only, text)] if *only == place => {
                if text.len() > limit::EXTRA_VALUE {
                    *text = cut_extra(text);
                }
            }
            _ => {
                let longer: usize = changes.iter().map(|(_, text)| text.len()).sum();
                // Nearly always there is room, whatever escapes take.
                if place.len() + longer * 6 > limit::EXTRA_VALUE {
                    let text = changed(&self.json[place.clone()], place.start, changes);
                    if text.len() > limit::EXTRA_VALUE {
                        self.changes.truncate(first);
                        self.changes.push((place, cut_extra(&text)));
                    }
                }
            }
        }
        Some(())
    }

    /// A value below a name of the application's choice.
    fn field(&mut self, name: &str, depth: usize, most: Option<usize>) -> Option<()> {
        let around = self.rules.member(Around::default(), name, None);
        self.value(Above::Theirs(around), depth, most)
    }

    fn value(&mut self, above: Above, depth: usize, most_chars: Option<usize>) -> Option<()> {
        if self.is_known() {
            return Some(());
        }
        if depth > MAX_DEPTH {
            return None;
        }
        match (self.peek()?, above) {
            (b'"', _) => self.text(above, most_chars),
            (b'[', Above::Theirs(around)) => {
                let mut before = None;
                self.elements(|item| {
                    let start = item.at;
                    item.value(Above::Theirs(around.element(before)), depth + 1, None)?;
                    let part = &item.json[start..item.at];
                    before = if part.first() == Some(&b'"') { item.rules.before(&plain(part)?) } else { None };
                    Some(())
                })
            }
            (b'[', _) => self.elements(|item| item.value(above, depth + 1, None)),
            (b'{', Above::Theirs(around)) => {
                let named = self.named();
                self.members(|item, name| {
                    let around = item.rules.member(around, name, named);
                    item.value(Above::Theirs(around), depth + 1, None)
                })
            }
            (b'{', Above::Ours(limits)) => self.members(|item, name| item.value(above, depth + 1, most(limits, name))),
            (b'{', Above::Suspect) => self.members(|item, _| item.value(above, depth + 1, None)),
            (b'-' | b'0'..=b'9', Above::Theirs(around)) => {
                let start = self.at;
                self.skip()?;
                let number = std::str::from_utf8(&self.json[start..self.at]).ok()?;
                if is_hidden_number(around, number) {
                    self.longer += FILTERED.len() as i64 - NUMBER as i64;
                    self.changes.push((start..self.at, FILTERED.to_owned()));
                }
                Some(())
            }
            _ => self.skip(),
        }
    }

    /// Returns the meaning that a member of the object that begins here gives to the value beside it.
    fn named(&mut self) -> Option<Meaning> {
        let (start, mut named) = (self.at, None);
        let read = self.members(|item, name| {
            let from = item.at;
            item.skip()?;
            if NAMES.contains(&name) && named.is_none() && item.json.get(from) == Some(&b'"') {
                named = item.rules.meaning(plain(&item.json[from..item.at])?.as_bytes());
            }
            Some(())
        });
        self.at = start;
        read.and(named)
    }

    fn text(&mut self, above: Above, most: Option<usize>) -> Option<()> {
        let start = self.at;
        self.skip()?;
        let json = &self.json[start..self.at];
        let inside = &json[1..json.len() - 1];
        let needs = |around: Around| around.meaning.is_some() || self.rules.may_need(json);
        let cleaned = match above {
            Above::Suspect => (!inside.is_empty() && inside != FILTERED.as_bytes()).then(|| FILTERED.to_owned()),
            Above::Theirs(around) if needs(around) => self.rules.text_in(around, &plain(json)?),
            Above::Ours(_) if self.rules.may_need(json) => self.rules.cleaned(&plain(json)?),
            Above::Theirs(_) | Above::Ours(_) => None,
        };
        if let Some(cleaned) = cleaned {
            let cut = most.map(|most| limit::chars(&cleaned, most)).and_then(|text| match text {
                Cow::Owned(cut) => Some(cut),
                Cow::Borrowed(_) => None,
            });
            let text = cut.unwrap_or(cleaned);
            self.longer += text.len() as i64 - plain(json)?.len() as i64;
            self.changes.push((start..self.at, text));
        }
        Some(())
    }

    /// Passes a part that need not be looked at, if one is here.
    fn is_known(&mut self) -> bool {
        let part = self.known.iter().find(|part| part.start == self.at && !part.is_empty());
        if let Some(part) = part {
            self.at = part.end;
        }
        part.is_some()
    }

    /// Reads an object; anything else is passed.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        if self.is_known() {
            return Some(());
        }
        if self.peek()? != b'{' {
            return self.skip();
        }
        self.at += 1;
        loop {
            // Known members come with the comma before them.
            while self.is_known() {}
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let start = self.at;
                    self.skip()?;
                    let name = plain(&self.json[start..self.at])?;
                    (self.peek()? == b':').then(|| self.at += 1)?;
                    self.peek()?;
                    member(self, &name)?;
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => element(self)?,
            }
        }
        self.at += 1;
        Some(())
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.json.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Passes a value.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.at = end_of_string(self.json, self.at)?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                    self.at += self.json[self.at..].iter().position(ends)?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// Behind the closing quote of the string that begins here.
fn end_of_string(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// A JSON string as plain text.
pub(super) fn plain(json: &[u8]) -> Option<Cow<'_, str>> {
    let inside = &json[1..json.len() - 1];
    match memchr::memchr(b'\\', inside) {
        None => std::str::from_utf8(inside).ok().map(Cow::Borrowed),
        Some(_) => serde_json::from_slice(json).ok().map(Cow::Owned),
    }
}

fn most(limits: Limits, name: &str) -> Option<usize> {
    limits.iter().find(|(known, _)| *known == name).map(|(_, most)| *most)
}

/// A nested value with its changes, as JSON.
fn changed(json: &[u8], start: usize, changes: &[(Range<usize>, String)]) -> String {
    let (mut out, mut at) = (Vec::new(), 0);
    for (place, text) in changes {
        out.extend_from_slice(&json[at..place.start - start]);
        json::string(&mut out, text.as_bytes());
        at = place.end - start;
    }
    out.extend_from_slice(&json[at..]);
    String::from_utf8_lossy(&out).into_owned()
}

fn cut_extra(text: &str) -> String {
    let (kept, cut) = limit::bytes(text.as_bytes(), limit::EXTRA_VALUE / 2);
    format!("{} [cut {cut} bytes]", String::from_utf8_lossy(kept))
}

#[cfg(test)]
mod tests;
