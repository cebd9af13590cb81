//! Validates items by Sentry's rules, written a second time and independently of the code that follows them.

use crate::NOW;
use crate::account::Account;
use out_sentry::ledger::Category;
use out_sentry::mapping::identity::EventId;
use out_sentry::mapping::limit;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Bytes of a log that Sentry takes: its own envelope of one would hold no more.
const LOG_BYTES: usize = 1_000_000;
/// Bytes of an event that Sentry takes.
const EVENT_BYTES: usize = 1 << 20;

/// Relay takes a breadcrumb of any age, but none of the year 10,000.
const LAST_SECOND: f64 = 253_402_300_800.0;

/// Faults of an item, in words.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<String>);

impl Faults {
    fn unless(&mut self, sound: bool, fault: impl FnOnce() -> String) {
        if !sound {
            self.0.push(fault());
        }
    }

    /// A text of at most so many characters, where there is one.
    fn text(&mut self, value: &Value, path: &str, most: usize) {
        let Some(text) = value.as_str() else {
            return self.unless(value.is_null(), || format!("{path} is {value}"));
        };
        let length = text.chars().count();
        self.unless(length <= most, || format!("{path} has {length} characters, {most} are taken"));
    }

    /// So many hexadecimal digits that are not all zero.
    fn id(&mut self, value: &Value, path: &str, digits: usize) {
        let sound = value.as_str().is_some_and(|id| {
            id.len() == digits
                && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                && id.bytes().any(|b| b != b'0')
        });
        self.unless(sound, || format!("{path} is {value}"));
    }

    fn one_of(&mut self, value: &Value, path: &str, words: &[&str]) {
        self.unless(value.as_str().is_some_and(|word| words.contains(&word)), || format!("{path} is {value}"));
    }

    fn time(&mut self, value: &Value, now: u64, path: &str) {
        let kept = now.saturating_sub(30 * 86_400)..=now + 60;
        let sound = value.as_f64().is_some_and(|time| kept.contains(&(time as u64)));
        self.unless(sound, || format!("{path} is {value}"));
    }
}

/// Judges a log.
pub fn log(json: &[u8], now: u64) -> Faults {
    let mut faults = Faults::default();
    faults.unless(json.len() <= LOG_BYTES, || format!("log of {} bytes", json.len()));
    let Some(log) = object(json, &mut faults) else { return faults };
    faults.time(&log["timestamp"], now, "timestamp");
    faults.id(&log["trace_id"], "trace_id", 32);
    if let Some(span) = log.get("span_id") {
        faults.id(span, "span_id", 16);
    }
    faults.one_of(&log["level"], "level", &["trace", "debug", "info", "warn", "error", "fatal"]);
    faults.unless(log["body"].is_string(), || "body is no text".to_owned());
    let attributes = log["attributes"].as_object().cloned().unwrap_or_default();
    for (name, attribute) in &attributes {
        faults.unless(is_typed(attribute), || format!("attribute {name:.60} is {attribute:.200}"));
    }
    faults
}

/// Returns true if an attribute's value is of its type and it has no other parts.
fn is_typed(attribute: &Value) -> bool {
    let value = &attribute["value"];
    let sound = match attribute["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("double") => value.is_number(),
        _ => false,
    };
    sound && attribute.as_object().is_some_and(|parts| parts.len() == 2)
}

/// Judges an event.
pub fn event(json: &[u8], id: Option<EventId>, now: u64) -> Faults {
    let mut faults = Faults::default();
    faults.unless(json.len() <= EVENT_BYTES, || format!("event of {} bytes", json.len()));
    let Some(event) = object(json, &mut faults) else { return faults };
    let event = Value::Object(event);
    faults.id(&event["event_id"], "event_id", 32);
    faults.unless(event["event_id"].as_str().map(str::to_owned) == id.map(|id| id.hex()), || "another event_id".into());
    faults.time(&event["timestamp"], now, "timestamp");
    let levels = ["debug", "info", "warning", "error", "fatal"];
    faults.one_of(&event["level"], "level", &levels);
    faults.id(&event["contexts"]["trace"]["trace_id"], "contexts.trace.trace_id", 32);
    faults.id(&event["contexts"]["trace"]["span_id"], "contexts.trace.span_id", 16);
    for (name, most) in [("logger", limit::LOGGER), ("environment", 64), ("release", 200), ("platform", 64)] {
        faults.text(&event[name], name, most);
    }
    faults.text(&event["server_name"], "server_name", limit::TAG_VALUE);
    faults.text(&event["user"]["id"], "user.id", limit::USER_ID);
    for part in ["message", "formatted"] {
        faults.text(&event["logentry"][part], part, limit::MESSAGE);
    }
    faults.unless(event.get("logentry").is_some() || event.get("exception").is_some(), || "nothing to show".into());
    for part in ["tags", "extra", "fingerprint", "breadcrumbs", "logentry"] {
        let is_empty = match &event[part] {
            Value::Array(values) => values.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        faults.unless(!is_empty, || format!("{part} is empty: Relay drops it"));
    }
    tags(&event, &mut faults);
    exceptions(&event, &mut faults);
    contexts(&event, &mut faults);
    extra(&event, &mut faults);
    for crumb in event["breadcrumbs"]["values"].as_array().into_iter().flatten() {
        let time = &crumb["timestamp"];
        faults.unless(time.as_f64().is_some_and(|time| time < LAST_SECOND), || format!("a breadcrumb of {time}"));
        faults.one_of(&crumb["level"], "breadcrumb's level", &levels);
        faults.text(&crumb["message"], "breadcrumb's message", 600);
    }
    faults
}

fn tags(event: &Value, faults: &mut Faults) {
    const MOVED: [&str; 8] = ["release", "dist", "user", "filename", "function", "environment", "server_name", "level"];
    for (key, value) in event["tags"].as_object().into_iter().flatten() {
        let fine = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        let sound = !key.is_empty() && key.len() <= 200 && key.chars().all(fine) && !MOVED.contains(&key.as_str());
        faults.unless(sound, || format!("tag {key:?}"));
        let text = value.as_str().unwrap_or_default();
        faults.unless(!text.is_empty() && !text.contains(['\n', '\r']), || format!("tag {key} is {value}"));
        faults.text(value, "tag", limit::TAG_VALUE);
    }
}

fn exceptions(event: &Value, faults: &mut Faults) {
    let values = |part: &str| event[part]["values"].as_array().cloned().unwrap_or_default();
    for exception in values("exception").iter().chain(&values("threads")) {
        for (name, most) in [("type", limit::NAME), ("value", limit::MESSAGE), ("module", limit::NAME)] {
            faults.text(&exception[name], name, most);
        }
        let named =
            ["type", "value", "id"].iter().any(|name| exception[name].as_str().is_some_and(|text| !text.is_empty()));
        faults.unless(named, || "an exception without type and value".to_owned());
        for frame in exception["stacktrace"]["frames"].as_array().into_iter().flatten() {
            faults.text(&frame["function"], "function", limit::FUNCTION);
            for name in ["module", "filename", "abs_path", "context_line"] {
                faults.text(&frame[name], name, limit::NAME);
            }
            let located = |name: &str| frame.get(name).is_none_or(Value::is_u64);
            faults.unless(located("lineno") && located("colno"), || format!("a frame at {frame}"));
        }
    }
}

/// Relay counts the characters of a context, keys and values together.
fn contexts(event: &Value, faults: &mut Faults) {
    for (name, context) in event["contexts"].as_object().into_iter().flatten() {
        let length = context.to_string().len();
        faults.unless(length <= 8_192, || format!("context {name} has {length} bytes"));
    }
}

fn extra(event: &Value, faults: &mut Faults) {
    let Some(extra) = event["extra"].as_object() else { return };
    let total = event["extra"].to_string().len();
    faults.unless(total <= 262_144, || format!("extra has {total} bytes"));
    for (key, value) in extra {
        let length = value.to_string().len();
        faults.unless(length <= 16_384, || format!("extra.{key:.60} has {length} bytes"));
        faults.unless(depth(value) <= 7, || format!("extra.{key:.60} is {} levels deep", depth(value)));
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// One object and nothing behind it, no key twice.
fn object(json: &[u8], faults: &mut Faults) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Unique>(json) {
        Ok(Unique(Value::Object(fields))) => return Some(fields),
        Ok(Unique(other)) => faults.0.push(format!("no object: {other:.100}")),
        Err(error) => faults.0.push(error.to_string()),
    }
    None
}

/// JSON in which no object has a key twice: parsers disagree about which of them counts.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Unique)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Unique(value))) = map.next_entry::<String, Unique>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:.60?} twice")));
            }
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

/// Panics unless every item of the account is one that Sentry takes; the message has the faults and the item.
pub fn assert_sound(account: &Account) {
    for (record, json, _) in account.items(Category::Log) {
        let faults = log(json, NOW);
        assert!(faults.0.is_empty(), "log {record}: {:#?}\n{:.4000}", faults.0, String::from_utf8_lossy(json));
    }
    for (record, json, id) in account.items(Category::Event) {
        let faults = event(json, id, NOW);
        assert!(faults.0.is_empty(), "event {record}: {:#?}\n{:.4000}", faults.0, String::from_utf8_lossy(json));
    }
}
