//! The reference implementation for tests: cleans an item in the straightforward way, as a tree of values.

use super::inner::Around;
use super::{FILTERED, Rules};
use crate::mapping::encode::limit;
use serde_json::{Map, Value};

impl Rules {
    /// Cleans an item. Only below these names are keys that an application has chosen; all others are Sentry's, and say
    /// nothing about the values under them.
    pub(super) fn item(&self, item: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for (name, value) in item {
            changed |= match (name.as_str(), value) {
                ("attributes", Value::Object(attributes)) => self.attributes(attributes),
                ("extra" | "tags", Value::Object(map)) => map.iter_mut().fold(false, |changed, (name, value)| {
                    changed | self.value(value, self.member(Around::default(), name, None), 0)
                }),
                ("contexts", Value::Object(contexts)) => {
                    let others = contexts.iter_mut().filter(|(name, _)| *name != "trace");
                    others.fold(false, |changed, (_, context)| changed | self.texts(context))
                }
                ("logentry", Value::Object(entry)) => self.log_entry(entry),
                ("event_id" | "trace_id" | "span_id" | "level" | "platform" | "sdk", _) => false,
                (_, value) => self.texts(value),
            };
        }
        changed
    }

    /// A line in which something has to go takes all with it that was taken out of it.
    fn log_entry(&self, entry: &mut Map<String, Value>) -> bool {
        let line = entry.iter_mut().filter(|(name, _)| *name != "params");
        let changed = line.fold(false, |changed, (_, value)| changed | self.texts(value));
        match entry.get_mut("params") {
            Some(params) if changed => filter_all(params) | changed,
            Some(params) => self.texts(params),
            None => changed,
        }
    }

    /// The values of a log's attributes; their types stay.
    fn attributes(&self, attributes: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for (name, attribute) in attributes {
            let Some(value) = attribute.get_mut("value") else { continue };
            let is_text = value.is_string();
            if self.value(value, self.member(Around::default(), name, None), 0) {
                changed = true;
                if !is_text {
                    attribute["type"] = "string".into();
                }
            }
        }
        changed
    }

    /// The texts below Sentry's own names.
    fn texts(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.cleaned(text) {
                Some(cleaned) => {
                    *text = cleaned;
                    true
                }
                None => false,
            },
            Value::Array(values) => values.iter_mut().fold(false, |changed, value| changed | self.texts(value)),
            Value::Object(map) => map.iter_mut().fold(false, |changed, (_, value)| changed | self.texts(value)),
            _ => false,
        }
    }
}

/// Filters all strings.
fn filter_all(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text != FILTERED && !text.is_empty() => {
            FILTERED.clone_into(text);
            true
        }
        Value::Array(values) => values.iter_mut().fold(false, |changed, value| changed | filter_all(value)),
        Value::Object(map) => map.iter_mut().fold(false, |changed, (_, value)| changed | filter_all(value)),
        _ => false,
    }
}

/// Cuts the texts whose characters Relay counts once more, since `[Filtered]` may be longer than the secret that it
/// replaces.
pub(super) fn cut_again(item: &mut Value) {
    for (path, most) in [
        ("/logentry/message", limit::MESSAGE),
        ("/logentry/formatted", limit::MESSAGE),
        ("/logger", limit::LOGGER),
        ("/server_name", limit::SERVER_NAME),
        ("/user/id", limit::USER_ID),
    ] {
        cut(item.pointer_mut(path), most);
    }
    let tags = item.get_mut("tags").and_then(Value::as_object_mut);
    tags.into_iter().flatten().for_each(|(_, value)| cut(Some(value), limit::TAG_VALUE));
    let exceptions = item.pointer_mut("/exception/values").and_then(Value::as_array_mut);
    for exception in exceptions.into_iter().flatten() {
        cut(exception.get_mut("value"), limit::MESSAGE);
        cut(exception.get_mut("type"), limit::NAME);
    }
    for name in ["line", "details"] {
        cut(item.get_mut("extra").and_then(|extra| extra.get_mut(name)), limit::MESSAGE);
    }
    let extra = item.get_mut("extra").and_then(Value::as_object_mut);
    extra.into_iter().flatten().for_each(|(_, value)| cut_extra(value));
}

fn cut_extra(value: &mut Value) {
    let text = if let Value::String(text) = value { text.clone() } else { value.to_string() };
    if text.len() > limit::EXTRA_VALUE {
        let (kept, cut) = limit::bytes(text.as_bytes(), limit::EXTRA_VALUE / 2);
        *value = Value::String(format!("{} [cut {cut} bytes]", String::from_utf8_lossy(kept)));
    }
}

fn cut(value: Option<&mut Value>, most: usize) {
    if let Some(Value::String(text)) = value
        && text.len() > most
    {
        *text = limit::chars(text, most).into_owned();
    }
}
