//! JSON inside of a text, as loggers nest it: read, cleaned and written again.

use super::{FILTERED, Rules};
use serde_json::Value;

/// Deeper than this nobody looks.
const MAX_DEPTH: usize = 64;

impl Rules {
    /// The JSON as text again, if something in it had to go.
    pub(super) fn inner(&self, mut value: Value) -> Option<String> {
        self.value(&mut value, 1).then(|| value.to_string())
    }

    /// Cleans a value; whether anything changed.
    pub(super) fn value(&self, value: &mut Value, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        let mut changed = false;
        match value {
            Value::String(text) => changed = self.string(text),
            Value::Array(values) => values.iter_mut().for_each(|value| changed |= self.value(value, depth + 1)),
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| changed |= self.field(key, value, depth)),
            _ => {}
        }
        changed
    }

    pub(super) fn field(&self, key: &str, value: &mut Value, depth: usize) -> bool {
        if self.is_sensitive(key) {
            return filter_all(value);
        }
        if value.as_str().is_some_and(|text| super::key::is_sound_id(key, text)) {
            return false;
        }
        self.value(value, depth + 1)
    }

    pub(super) fn string(&self, text: &mut String) -> bool {
        let cleaned = self.cleaned(text);
        let changed = cleaned.is_some();
        if let Some(cleaned) = cleaned {
            *text = cleaned;
        }
        changed
    }
}

/// Filters the strings of a sensitive field; numbers and switches say nothing.
pub(super) fn filter_all(value: &mut Value) -> bool {
    let mut changed = false;
    match value {
        Value::String(text) if text != FILTERED && !text.is_empty() => {
            *text = FILTERED.to_owned();
            changed = true;
        }
        Value::Array(values) => values.iter_mut().for_each(|value| changed |= filter_all(value)),
        Value::Object(map) => map.iter_mut().for_each(|(_, value)| changed |= filter_all(value)),
        _ => {}
    }
    changed
}
