//! Reads JSON inside a text, as loggers nest it, cleans it and writes it again. It also determines, for values of every
//! form, how sensitive a value is by the names around it.

use super::name::{self, Meaning};
use super::rules::Kind;
use super::value::{How, is_secret};
use super::{FILTERED, Rules};
use serde_json::Value;

/// Greatest depth that any of the plugin's readers goes to.
const MAX_DEPTH: usize = 128;

/// Members that name the value that a member beside them holds: `{"name": "Authorization", "value": "..."}`.
pub(super) const NAMES: [&str; 7] = ["name", "key", "header", "field", "Name", "Key", "Header"];

/// Members that hold the value that another one names.
pub(super) const VALUES: [&str; 6] = ["value", "values", "val", "Value", "Values", "content"];

/// Information that the names around a value give about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    pub meaning: Option<Meaning>,
    /// The way in which the value belongs to the name that gives its meaning.
    pub how: Option<How>,
    /// True if its name says that its digits are an id or a time.
    pub id: bool,
}

impl Rules {
    /// The JSON as text again, if something in it had to go.
    pub(super) fn inner(&self, mut value: Value) -> Option<String> {
        self.value(&mut value, Around::default(), 1).then(|| value.to_string())
    }

    /// Cleans a value; returns true if anything changed.
    pub(super) fn value(&self, value: &mut Value, around: Around, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        match value {
            Value::String(text) => match self.text_in(around, text) {
                Some(cleaned) => {
                    *text = cleaned;
                    true
                }
                None => false,
            },
            Value::Array(values) => {
                let (mut changed, mut before) = (false, None);
                for value in values {
                    let next = value.as_str().and_then(|text| self.before(text));
                    changed |= self.value(value, around.element(before), depth + 1);
                    before = next;
                }
                changed
            }
            Value::Object(map) => {
                let named = NAMES.iter().find_map(|name| self.meaning(map.get(*name)?.as_str()?.as_bytes()));
                let member = |changed, (key, value): (&String, &mut Value)| {
                    changed | self.value(value, self.member(around, key, named), depth + 1)
                };
                map.iter_mut().fold(false, member)
            }
            Value::Number(number) if is_hidden_number(around, &number.to_string()) => {
                *value = Value::String(FILTERED.to_owned());
                true
            }
            _ => false,
        }
    }

    /// Returns a text without the secrets that its names or the text itself indicate; `None` if all of it may stay.
    pub(super) fn text_in(&self, around: Around, text: &str) -> Option<String> {
        let how = around.how.unwrap_or(How::Field);
        if around.meaning.is_some_and(|meaning| is_secret(meaning, how, text, true, false)) {
            return Some(FILTERED.to_owned());
        }
        self.cleaned_of(text, !around.id)
    }

    /// Returns the context of a member of an object. A member of the object may name the value of another.
    pub(super) fn member(&self, outer: Around, key: &str, named: Option<Meaning>) -> Around {
        let own = match named {
            Some(meaning) if VALUES.contains(&key) => Some(meaning),
            _ => self.meaning(key.as_bytes()),
        };
        let deep =
            outer.meaning.filter(|meaning| meaning.sure && !matches!(meaning.kind, Kind::KeyMember | Kind::Query));
        let weak = |meaning: &Meaning| !matches!(meaning.kind, Kind::Password | Kind::Secret | Kind::Header);
        let meaning = match own {
            Some(own) if deep.is_none_or(|outer| weak(&outer)) => Some(own),
            _ => deep,
        };
        Around { meaning, how: None, id: name::is_id(key) }
    }

    /// Returns the meaning that an element of a list gives to the next one, if the element is a sensitive name.
    pub(super) fn before(&self, text: &str) -> Option<(Meaning, How)> {
        // A name is short.
        let meaning = if text.len() <= name::LONGEST { self.meaning(text.as_bytes())? } else { return None };
        let how = match meaning.kind {
            _ if text.starts_with('-') => How::Flag,
            Kind::Header => How::Assigned,
            _ => How::Loose,
        };
        Some((meaning, how))
    }
}

impl Around {
    /// Returns the context of an element of a list that follows a name.
    pub(super) fn element(self, before: Option<(Meaning, How)>) -> Self {
        match before {
            Some((meaning, how)) if self.meaning.is_none() => {
                Self { meaning: Some(meaning), how: Some(how), id: false }
            }
            _ => Self { id: false, ..self },
        }
    }
}

/// Returns true if a number has to go by the names around it.
pub(super) fn is_hidden_number(around: Around, number: &str) -> bool {
    around.meaning.is_some_and(|meaning| is_secret(meaning, around.how.unwrap_or(How::Field), number, false, false))
}
