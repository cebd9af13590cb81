//! Secrets and personal data go before anything is sent.
//!
//! Works on an item's finished JSON: a quick look decides whether anything in it could need filtering, and only then is
//! it read, cleaned and written again. So the usual line pays one pass over its bytes, and no field can be forgotten.

mod look;
mod patterns;

use super::limit;
use patterns::{addresses, card_numbers, private_keys, schemes, url_credentials};
use serde_json::{Map, Value};
use std::ops::Range;

/// What stands in place of what was removed.
const FILTERED: &str = "[Filtered]";

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

/// What to remove.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// `scrub`: sensitive keys and patterns.
    pub secrets: bool,
    /// Not `send_pii`: e-mail addresses.
    pub addresses: bool,
    /// `scrub_keys`, each as words.
    pub keys: Vec<Vec<String>>,
}

impl Rules {
    /// Rules as configured.
    #[must_use]
    pub fn new(secrets: bool, send_pii: bool, keys: &[String]) -> Self {
        Self { secrets, addresses: !send_pii, keys: keys.iter().map(|key| words(key)).collect() }
    }

    /// Cleans the item that begins at `start` of the buffer, of which some parts, in order, need no look.
    pub fn clean(&self, out: &mut Vec<u8>, start: usize, known: &[Range<usize>]) {
        if !self.may_need_beside(out, start, known) {
            return;
        }
        let Ok(mut item) = serde_json::from_slice::<Value>(&out[start..]) else { return };
        if item.as_object_mut().is_some_and(|item| self.item(item)) {
            cut_again(&mut item);
            out.truncate(start);
            // Writing to a Vec cannot fail.
            let _ = serde_json::to_writer(out, &item);
        }
    }

    fn may_need_beside(&self, out: &[u8], start: usize, known: &[Range<usize>]) -> bool {
        let mut from = start;
        for part in known.iter().filter(|part| !part.is_empty()) {
            if self.may_need(&out[from..part.start]) {
                return true;
            }
            from = part.end;
        }
        self.may_need(&out[from..])
    }

    /// Cleans an item. Only below these names are keys that an application has chosen; all others are Sentry's, and say
    /// nothing about what stands under them.
    fn item(&self, item: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for (name, value) in item {
            changed |= match (name.as_str(), value) {
                ("attributes", Value::Object(attributes)) => self.attributes(attributes),
                ("extra" | "tags", value) => self.value(value, 0),
                ("contexts", Value::Object(contexts)) => {
                    let others = contexts.iter_mut().filter(|(name, _)| *name != "trace");
                    others.fold(false, |changed, (_, context)| changed | self.texts(context))
                }
                ("event_id" | "trace_id" | "span_id" | "level" | "platform" | "sdk", _) => false,
                (_, value) => self.texts(value),
            };
        }
        changed
    }

    /// The values of a log's attributes; their types stay.
    fn attributes(&self, attributes: &mut Map<String, Value>) -> bool {
        let mut changed = false;
        for (name, attribute) in attributes {
            if let Some(value) = attribute.get_mut("value") {
                changed |= self.field(name, value, 0);
            }
        }
        changed
    }

    /// The texts below Sentry's own names.
    fn texts(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(values) => values.iter_mut().fold(false, |changed, value| changed | self.texts(value)),
            Value::Object(map) => map.iter_mut().fold(false, |changed, (_, value)| changed | self.texts(value)),
            _ => false,
        }
    }

    /// Whether anything in these bytes of an item could have to go.
    pub fn may_need(&self, json: &[u8]) -> bool {
        let asked_for = || self.keys.iter().any(|key| key.last().is_some_and(|word| contains_word(json, word)));
        let around_at = || self.addresses && look::has_address(json) || self.secrets && look::has_credentials(json);
        look::has_at_sign(json) && around_at() || self.secrets && look::has_secret(json) || asked_for()
    }

    /// Cleans a value; whether anything changed.
    fn value(&self, value: &mut Value, depth: usize) -> bool {
        if depth > 64 {
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

    fn field(&self, key: &str, value: &mut Value, depth: usize) -> bool {
        if self.is_sensitive(key) {
            return filter_all(value);
        }
        // Times and ids are full of digits that are no card numbers, and nothing else is in them.
        if is_id(key) && value.as_str().is_some_and(|text| !text.contains(['@', '=', ' '])) {
            return false;
        }
        self.value(value, depth + 1)
    }

    fn is_sensitive(&self, key: &str) -> bool {
        let words = words(key);
        let row = |pattern: &[&str]| words.windows(pattern.len()).any(|window| window.iter().eq(pattern.iter()));
        self.secrets && WORDS.iter().any(|pattern| row(pattern))
            || self.keys.iter().any(|key| row(&key.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    fn string(&self, text: &mut String) -> bool {
        // JSON inside a string: its keys count too.
        if text.starts_with('{')
            && text.ends_with('}')
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            let changed = self.value(&mut inner, 1);
            if changed {
                *text = inner.to_string();
            }
            return changed;
        }
        let cleaned = self.text(text);
        let changed = cleaned != *text;
        *text = cleaned;
        changed
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.secrets {
            text = private_keys(&text);
            text = url_credentials(&text);
            text = self.pairs(&text);
            text = schemes(&text);
            text = card_numbers(&text);
        }
        if self.addresses { addresses(&text) } else { text }
    }

    /// `password=hunter2`, `"token": "x"`, `secret: x` inside a line.
    fn pairs(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['=', ':']) {
            let (before, behind) = (&rest[..at], &rest[at + 1..]);
            let key = before.trim_end_matches(['"', '\'', ' ', '\\']);
            let word = key
                .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
                .map_or(key, |end| &key[end + key[end..].chars().next().map_or(1, char::len_utf8)..]);
            out.push_str(&rest[..=at]);
            rest = behind;
            if !word.is_empty() && self.is_sensitive(word) {
                let (kept, value) = secret_value(behind);
                if !value.is_empty() && value != FILTERED {
                    out.push_str(kept);
                    out.push_str(FILTERED);
                    rest = &behind[kept.len() + value.len()..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// `[Filtered]` may be longer than what it stands for, so the texts whose characters Relay counts are cut once more.
fn cut_again(item: &mut Value) {
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

/// Splits what follows a sensitive key into quotes and blanks to keep, and the value.
fn secret_value(text: &str) -> (&str, &str) {
    let start = text.len() - text.trim_start_matches(['"', '\'', ' ', '\\']).len();
    let value = &text[start..];
    // An authorization scheme belongs to the value.
    let from = ["Bearer ", "bearer ", "Basic ", "basic "]
        .iter()
        .find(|scheme| value.starts_with(**scheme))
        .map_or(0, |s| s.len());
    let end = value[from..]
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | ')' | '}' | ']' | '\\'));
    (&text[..start], &value[..end.map_or(value.len(), |end| end + from)])
}

/// A key's words: split at everything that is no letter or digit, and where a capital follows a small letter.
fn words(key: &str) -> Vec<String> {
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
            word.extend(c.to_lowercase());
        }
        small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Filters the strings of a sensitive field; numbers and switches say nothing.
fn filter_all(value: &mut Value) -> bool {
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

fn is_id(key: &str) -> bool {
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
    words(key).last().is_some_and(|word| IDS.contains(&word.as_str()))
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack[..haystack.len().min(64)].windows(needle.len()).any(|window| window == needle)
}

fn contains_word(haystack: &[u8], word: &str) -> bool {
    haystack.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(json: &str) -> String {
        let rules = Rules::new(true, false, &["iban".to_owned()]);
        let mut out = json.as_bytes().to_vec();
        rules.clean(&mut out, 0, &[]);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_of_secret_goes_and_its_surroundings_stay() {
        for (text, expected) in [
            ("login password=hunter2 ok", "login password=[Filtered] ok"),
            ("Authorization: Bearer abc.DEF.123 sent", "Authorization: [Filtered] sent"),
            ("curl -H bearer eyJhbGciOi9", "curl -H bearer [Filtered]"),
            ("basic auth failed", "basic auth failed"),
            ("see https://user:pw@host/x", "see https://[Filtered]@host/x"),
            (
                "dsn https://0123456789abcdef0123456789abcdef@o1.example.invalid/1",
                "dsn https://[Filtered]@o1.example.invalid/1",
            ),
            ("card 4111 1111 1111 1111.", "card [Filtered]."),
            ("order 4111111111111112", "order 4111111111111112"),
            ("mail jane.doe+x@example.com.", "mail [Filtered]."),
            ("image checkout@2.14.3 and a@b", "image checkout@2.14.3 and a@b"),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----!", "[Filtered]!"),
            ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
            ("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----x", "-----BEGIN CERTIFICATE-----\n[Filtered]"),
            (
                "password=x -----BEGIN CERTIFICATE----- abcdefghijklmnopqrstuvwxyzabcdefghi\u{e9}",
                "password=[Filtered] -----BEGIN CERTIFICATE----- abcdefghijklmnopqrstuvwxyzabcdefghi\u{e9}",
            ),
            ("api_key: k1, apiKey=k2&x=1", "api_key: [Filtered], apiKey=[Filtered]&x=1"),
            ("tokens=5 secretary=x", "tokens=5 secretary=x"),
            ("iban=DE89 rest", "iban=[Filtered] rest"),
            ("{\"password\":\"x\",\"n\":1}", "{\"n\":1,\"password\":\"[Filtered]\"}"),
        ] {
            let json = serde_json::json!({ "body": text }).to_string();
            let back: Value = serde_json::from_str(&cleaned(&json)).unwrap();
            assert_eq!(back["body"], expected, "{text}");
        }
    }

    #[test]
    fn sensitive_keys_lose_their_strings_and_keep_their_types() {
        let json = r#"{"attributes":{"http.cookie":{"value":"a=b","type":"string"},"token_count":{"value":5,"type":"integer"}},"extra":{"user":{"apiKey":"k","secret":["a",{"b":"c"}],"passwords":"plural"}}}"#;
        let back: Value = serde_json::from_str(&cleaned(json)).unwrap();
        assert_eq!(back["attributes"]["http.cookie"], serde_json::json!({"value": "[Filtered]", "type": "string"}));
        assert_eq!(back["attributes"]["token_count"]["value"], 5);
        assert_eq!(back["extra"]["user"]["apiKey"], "[Filtered]");
        assert_eq!(back["extra"]["user"]["secret"], serde_json::json!(["[Filtered]", {"b": "[Filtered]"}]));
        assert_eq!(back["extra"]["user"]["passwords"], "plural");
    }

    #[test]
    fn ids_and_times_are_no_card_numbers() {
        let json = r#"{"timestamp":1795161600.001376,"span_id":"4111111111111111","contexts":{"trace":{"span_id":"4111111111111111"}},
            "extra":{"order_id":"4111111111111111","n":"4111111111111111"},
            "attributes":{"order.id":{"value":"4111111111111111","type":"string"}}}"#;
        let back: Value = serde_json::from_str(&cleaned(json)).unwrap();
        for id in ["/span_id", "/contexts/trace/span_id", "/extra/order_id", "/attributes/order.id/value"] {
            assert_eq!(back.pointer(id).unwrap(), "4111111111111111", "{id}");
        }
        assert_eq!(back["extra"]["n"], "[Filtered]");
        assert_eq!(back["timestamp"].to_string(), "1795161600.001376");
    }

    #[test]
    fn keys_of_ones_own_are_looked_for_where_applications_choose_keys() {
        let keys = ["id", "type", "level", "values"].map(str::to_owned);
        let rules = Rules::new(true, false, &keys);
        let json = r#"{"event_id":"a1","level":"error","exception":{"values":[{"type":"E","value":"x id=5"}]},
            "contexts":{"trace":{"trace_id":"b2"}},"extra":{"id":"c3","type":["d4"]},"tags":{"level":"e5"},
            "attributes":{"id":{"value":"f6","type":"string"},"n":{"value":1,"type":"integer"}}}"#;
        let mut out = json.as_bytes().to_vec();
        rules.clean(&mut out, 0, &[]);
        let back: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&back["event_id"], &back["level"]), (&"a1".into(), &"error".into()));
        assert_eq!(back["contexts"]["trace"]["trace_id"], "b2");
        assert_eq!(back["exception"]["values"][0], serde_json::json!({"type": "E", "value": "x id=[Filtered]"}));
        assert_eq!((&back["extra"]["id"], &back["extra"]["type"][0]), (&"[Filtered]".into(), &"[Filtered]".into()));
        assert_eq!(back["tags"]["level"], "[Filtered]");
        assert_eq!(back["attributes"]["id"], serde_json::json!({"value": "[Filtered]", "type": "string"}));
        assert_eq!(back["attributes"]["n"]["type"], "integer");
    }

    #[test]
    fn what_needs_nothing_is_left_byte_for_byte() {
        let json = r#"{"z":1.50,"a":"plain \u00e9 text 2026-11-20T08:00:00.001376970Z","b":"x@y"}"#;
        assert_eq!(cleaned(json), json);
    }

    #[test]
    fn the_quick_look_never_misses_what_the_careful_one_would_filter() {
        let rules = Rules::new(true, false, &[]);
        for text in [
            "password=x",
            "PASSWD: x",
            "my_secret=1a",
            "https://k@h/1",
            "a@b.cd",
            "4111-1111-1111-1111",
            "bearer Abcdefgh1",
        ] {
            assert_ne!(rules.text(text), text);
            assert!(rules.may_need(serde_json::json!({ "body": text }).to_string().as_bytes()), "{text}");
        }
    }
}
