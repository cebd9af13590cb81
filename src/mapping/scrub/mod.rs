//! Removes secrets and personal data before anything is sent.
//!
//! Each text of a log is checked once, when it is written ([`Rules::look`]); an event is checked once as finished JSON
//! ([`look`]). Only if something may have to be removed are the item's texts read ([`item`]), and the texts in which
//! something is found are replaced ([`text`]). So the usual line costs one pass over its bytes, and no field can be
//! forgotten. Texts that are split, cut or made into a template are scrubbed before that ([`Rules::scrubbed`]). The rules
//! are in [`rules`].

#[cfg(test)]
mod differential;
pub(super) mod examples;
mod extent;
mod inner;
mod name;
mod numbers;
pub(super) mod pem;
mod prefilter;
#[cfg(test)]
mod reference;
mod rewrite;
mod rules;
mod steps;
mod text;
mod tokens;
mod urls;
mod value;

use crate::mapping::encode::json;
use memchr::memmem;
use prefilter::Seen;
use std::borrow::Cow;
use std::ops::Range;

/// The replacement for removed text.
const FILTERED: &str = "[Filtered]";

/// `}}` closes a log's attributes and the log.
const CLOSING: usize = 2;

/// Most JSON objects in a text that are read.
const MOST_OBJECTS: usize = 16;

/// Bytes of a text that are read in vain in search of objects, beside those of a text's length.
const SHORT: usize = 16 << 10;

/// The result of a look at a text.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Something in it may have to go.
    pub needed: bool,
    /// False if the text is a JSON string as it stands: all of it is ASCII, and no byte needs an escape.
    pub special: bool,
}

/// Rules for the data to remove.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// `scrub`: sensitive keys and patterns.
    pub secrets: bool,
    /// Not `send_pii`: e-mail addresses.
    pub addresses: bool,
    /// `scrub_keys`, each as words.
    pub keys: Vec<Vec<String>>,
    /// `scrub_allow`, each as words.
    pub allowed: Vec<Vec<String>>,
}

impl Rules {
    /// Rules as configured.
    #[must_use]
    pub fn new(secrets: bool, send_pii: bool, keys: &[String], allowed: &[String]) -> Self {
        let words = |names: &[String]| names.iter().map(|name| name::words(name)).collect();
        Self { secrets, addresses: !send_pii, keys: words(keys), allowed: words(allowed) }
    }

    /// Returns the text without its secrets.
    #[must_use]
    pub fn scrubbed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.look(text.as_bytes()).needed {
            return Cow::Borrowed(text);
        }
        self.cleaned(text).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Cleans the item that begins at `start` of the buffer, of which some parts, in order, need no look.
    pub fn clean(&self, out: &mut Vec<u8>, start: usize, known: &[Range<usize>]) {
        if self.may_need_beside(out, start, known) {
            self.clean_found(out, start, known);
        }
    }

    /// The same for an item in which a look has found something. Returns by how many bytes its strings and numbers have become
    /// longer, as Sentry bills those of a log.
    pub fn clean_found(&self, out: &mut Vec<u8>, start: usize, known: &[Range<usize>]) -> i64 {
        rewrite::clean(self, out, start, known)
    }

    /// Looks at a text that is about to be written into an item.
    #[must_use]
    pub fn look(&self, text: &[u8]) -> Look {
        let seen = self.signs(text);
        let needed = self.is_found(&seen, text) || seen.special && self.may_be_hidden(&seen, text);
        Look { needed, special: seen.special }
    }

    /// Returns true if a name says that any value under it may be secret.
    #[must_use]
    pub fn is_sensitive(&self, name: &[u8]) -> bool {
        self.meaning(name).is_some()
    }

    /// The same for the name with which a member of an item's JSON begins, `,"name":`. It may say yes where the name says
    /// nothing, and says no where only the value's own form tells that it has to go.
    #[must_use]
    pub fn may_be_sensitive(&self, member: &[u8]) -> bool {
        !self.keys.is_empty() || self.secrets && prefilter::words(member, 0).next().is_some()
    }

    /// Returns true if a text has to go, or a number (not `quoted`), because of the name that it stands under.
    #[must_use]
    pub fn hides(&self, name: &[u8], text: &str, quoted: bool) -> bool {
        self.meaning(name).is_some_and(|meaning| value::is_secret(meaning, value::How::Field, text, quoted, false))
    }

    /// Cleans the one JSON string with which the buffer ends.
    pub fn clean_text(&self, out: &mut Vec<u8>, start: usize) {
        if self.may_need(&out[start..])
            && let Some(cleaned) = rewrite::plain(&out[start..]).and_then(|text| self.cleaned(&text))
        {
            out.truncate(start);
            json::string(out, cleaned.as_bytes());
        }
    }

    fn may_need_beside(&self, out: &[u8], mut from: usize, known: &[Range<usize>]) -> bool {
        for part in known.iter().filter(|part| !part.is_empty()) {
            // A bracket holds nothing.
            if part.start > from + 1 && self.may_need(&out[from..part.start]) {
                return true;
            }
            from = part.end;
        }
        // What is shorter than any member only closes the item.
        out.len() - from > CLOSING && self.may_need(&out[from..])
    }

    /// Returns a value of an application as JSON without its secrets; `None` if all of it may stay.
    pub fn cleaned_json(&self, json: &[u8]) -> Option<Vec<u8>> {
        let mut value = serde_json::from_slice(json).ok()?;
        self.value(&mut value, inner::Around::default(), 0).then(|| value.to_string().into_bytes())
    }

    /// Returns true if anything in these bytes of an item could have to go.
    pub fn may_need(&self, json: &[u8]) -> bool {
        let seen = self.signs(json);
        let is_hidden =
            || (self.secrets || self.addresses || !self.keys.is_empty()) && prefilter::has_inner_escape(json);
        self.is_found(&seen, json) || seen.backslash && is_hidden()
    }

    /// Returns true if anything in a text or JSON of which this was seen could have to go, as it stands there. Most texts have
    /// no sign of it.
    #[inline]
    fn is_found(&self, seen: &Seen, text: &[u8]) -> bool {
        seen.has_sign() && self.is_found_near(seen, text) || self.is_asked_for(text)
    }

    /// Returns true if a text has one of the words of `scrub_keys`.
    fn is_asked_for(&self, text: &[u8]) -> bool {
        self.keys.iter().any(|key| key.last().is_some_and(|word| contains_word(text, word)))
    }

    fn is_found_near(&self, seen: &Seen, text: &[u8]) -> bool {
        let around_at = || {
            self.addresses && urls::may_have_address(text, seen.percent)
                || self.secrets && urls::may_have_credentials(text)
        };
        let is_secret =
            || seen.digits || seen.run || seen.word.is_some_and(|at| prefilter::has_announcement(self, text, at));
        (seen.at_sign || seen.percent) && around_at() || self.secrets && is_secret()
    }

    /// Returns true if something in a text is seen only once an escape in it is read, or a colour is taken out of it.
    fn may_be_hidden(&self, seen: &Seen, text: &[u8]) -> bool {
        (self.secrets || self.addresses || !self.keys.is_empty())
            && (seen.backslash && prefilter::has_escape(text) || memchr::memchr(0x1b, text).is_some())
    }

    fn signs(&self, json: &[u8]) -> Seen {
        if self.secrets { Seen::of(json) } else { Seen::of_signs(json) }
    }

    /// Returns the text without its secrets; `None` if all of it may stay.
    pub fn cleaned(&self, text: &str) -> Option<String> {
        self.cleaned_of(text, true)
    }

    /// The same; without `numbers` its digits are an id or a time.
    fn cleaned_of(&self, text: &str, numbers: bool) -> Option<String> {
        // JSON inside a text: its keys count too.
        let whole = text.starts_with('{') && text.ends_with('}') || text.starts_with('[') && text.ends_with(']');
        if whole && let Ok(value) = serde_json::from_str(text) {
            return self.inner(value);
        }
        let cleaned = text::cleaned(self, text, numbers);
        let within = self.with_json(cleaned.as_deref().unwrap_or(text));
        within.or(cleaned)
    }

    /// A text in which the JSON objects that stand in it are cleaned; `None` without one, or if all of it may stay.
    fn with_json(&self, text: &str) -> Option<String> {
        let (mut out, mut done, mut from) = (String::new(), 0, 0);
        let mut left = text.len() + SHORT;
        for _ in 0..MOST_OBJECTS {
            let Some(start) = memmem::find(&text.as_bytes()[from..], b"{\"").map(|at| from + at) else { break };
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter();
            let value = match values.next() {
                Some(Ok(value)) => value,
                error => {
                    from = start + 1;
                    // What was read in vain is read once more at most.
                    let read = error.and_then(Result::err).map_or(0, |error| error_place(&text[start..], &error));
                    steps::count(read);
                    let Some(more) = left.checked_sub(read) else { break };
                    left = more;
                    continue;
                }
            };
            from = start + values.byte_offset();
            if let Some(cleaned) = self.inner(value) {
                out.push_str(&text[done..start]);
                out.push_str(&cleaned);
                done = from;
            }
        }
        (done > 0).then(|| out + &text[done..])
    }
}

/// Returns the number of bytes of a text that were read before this error.
fn error_place(text: &str, error: &serde_json::Error) -> usize {
    match error.line() {
        _ if error.is_eof() => text.len(),
        0 | 1 => error.column(),
        line => {
            memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2).map_or(text.len(), |end| end + error.column())
        }
    }
}

fn contains_word(haystack: &[u8], word: &str) -> bool {
    // Letters beyond ASCII have other bytes in the other case.
    !word.is_ascii() && !haystack.is_ascii()
        || haystack.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn cleaned(json: &str) -> String {
        let rules = Rules::new(true, false, &["iban".to_owned()], &[]);
        let mut out = json.as_bytes().to_vec();
        rules.clean(&mut out, 0, &[]);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_of_secret_goes_and_its_surroundings_stay() {
        for (text, expected) in [
            ("login password=hunter2 ok", "login password=[Filtered] ok"),
            ("Authorization: Bearer abc.DEF.123 sent", "Authorization: [Filtered]"),
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
            ("api_key: k1a2b3c4, apiKey=k2&x=1", "api_key: [Filtered], apiKey=[Filtered]&x=1"),
            ("tokens=5 secretary=x", "tokens=5 secretary=x"),
            ("password \"hunter2\" was set", "password \"[Filtered]\" was set"),
            ("password\u{ff1d}hunter2 ok", "password\u{ff1d}[Filtered] ok"),
            ("password=\"two words, or more\" user=bob", "password=\"[Filtered]\" user=bob"),
            ("pwd='it is' ok", "pwd='[Filtered]' ok"),
            ("password=\"with \\\"quotes\\\" in it\" ok", "password=\"[Filtered]\" ok"),
            ("password=\"C:\\\\\" user=\"bob\"", "password=\"[Filtered]\" user=\"bob\""),
            (
                "sent {\\\"secret\\\": \\\"a \\\\\\\"b\\\\\\\" c\\\", \\\"n\\\": 1}",
                "sent {\\\"secret\\\": \\\"[Filtered]\\\", \\\"n\\\": 1}",
            ),
            ("password=\"cut in the middle", "password=\"[Filtered]"),
            ("password=\"cut in the\nnext line", "password=\"[Filtered]\nnext line"),
            (
                "ctx={\"tokens\": 2, \"secret\": [\"a]b\", {\"c\": \"d\"}], \"n\": 1}",
                "ctx={\"tokens\": 2, \"secret\": [Filtered], \"n\": 1}",
            ),
            ("credentials: {user: bob, pin: 'x}y'} ok", "credentials: [Filtered] ok"),
            ("secret=[cut, in", "secret=[Filtered]"),
            ("{\\\"secret\\\": [\\\"a]b\\\", \\\"c\\\"]} \\\"ok\\\"", "{\\\"secret\\\": [Filtered]} \\\"ok\\\""),
            ("password=\"\",secret=\"hunter2\"", "password=\"\",secret=\"[Filtered]\""),
            ("password='';secret='hunter2'", "password='';secret='[Filtered]'"),
            ("password=\"\" secret=\"hunter2\"", "password=\"\" secret=\"[Filtered]\""),
            ("resp {\"token\":\"\"} status=500", "resp {\"token\":\"\"} status=500"),
            ("req {\"token\":\"\",\"id\":5}", "req {\"token\":\"\",\"id\":5}"),
            ("password=\"cut in the\nsecret=\"hunter2\"", "password=\"[Filtered]\nsecret=\"[Filtered]\""),
            ("token: 'tis, password='hunter2' ok", "token: '[Filtered]' ok"),
            ("password=''hunter2'' ok", "password='[Filtered]'' ok"),
            ("secret=\"two words==\" user=\"bob\"", "secret=\"[Filtered]\" user=\"bob\""),
            ("userPassword: {SSHA}W6ph5Mm5Pz8Ggi ok", "userPassword: [Filtered] ok"),
            ("password=\"{SSHA}W6ph, x\" ok", "password=\"[Filtered]\" ok"),
            ("password=\"[a] two words\" ok", "password=\"[Filtered]\" ok"),
            ("password=\" two words\" ok", "password=\"[Filtered]\" ok"),
            ("ctx \"secret\": [\n  \"a\",\n  \"b\"\n], \"n\": 1", "ctx \"secret\": [Filtered], \"n\": 1"),
            ("token: [Filtered] ok", "token: [Filtered] ok"),
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
        assert_eq!(back["extra"]["user"]["passwords"], "[Filtered]");
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
        let rules = Rules::new(true, false, &keys, &[]);
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
    fn what_was_taken_out_of_a_line_goes_with_the_secret_that_it_may_be() {
        let entry = |line: &str, params: &[&str]| {
            let json = serde_json::json!({"logentry": {"message": "%s", "formatted": line, "params": params}});
            let back: Value = serde_json::from_str(&cleaned(&json.to_string())).unwrap();
            back["logentry"]["params"].clone()
        };
        assert_eq!(
            entry("password=\"hunter2\" in 5 ms", &["hunter2", "5"]),
            serde_json::json!(["[Filtered]", "[Filtered]"])
        );
        assert_eq!(
            entry("card 4111 1111 1111 1111", &["4111", "1111"]),
            serde_json::json!(["[Filtered]", "[Filtered]"])
        );
        assert_eq!(entry("order 17 took 5 ms", &["17", "5"]), serde_json::json!(["17", "5"]));
    }

    #[test]
    fn json_inside_a_text_hides_nothing_behind_its_escapes() {
        for (text, expected) in [
            (r#"{"\u0070assword":"x"}"#, r#"{"password":"[Filtered]"}"#),
            (r#"{"q":"token\u003dx"}"#, r#"{"q":"token=[Filtered]"}"#),
            (r#"{"u":"mysql:\/\/root:pw@db\/shop"}"#, r#"{"u":"mysql://[Filtered]@db/shop"}"#),
            (r#"{"m":"jane.doe\u0040example.com"}"#, r#"{"m":"[Filtered]"}"#),
        ] {
            let back: Value = serde_json::from_str(&cleaned(&serde_json::json!({ "body": text }).to_string())).unwrap();
            assert_eq!(back["body"], expected, "{text}");
        }
    }

    #[test]
    fn keys_of_ones_own_are_found_in_any_case_of_any_alphabet() {
        let rules = Rules::new(true, false, &["überweisung".to_owned()], &[]);
        for text in ["Überweisung=x", "ÜBERWEISUNG=x", "überweisung=x"] {
            let mut out = serde_json::json!({ "body": text }).to_string().into_bytes();
            rules.clean(&mut out, 0, &[]);
            assert!(String::from_utf8(out).unwrap().contains("=[Filtered]"), "{text}");
        }
    }

    #[test]
    fn what_needs_nothing_is_left_byte_for_byte() {
        let json = r#"{"z":1.50,"a":"plain \u00e9 text 2026-11-20T08:00:00.001376970Z","b":"x@y"}"#;
        assert_eq!(cleaned(json), json);
    }

    #[test]
    fn the_quick_look_never_misses_what_the_careful_one_would_filter() {
        let rules = Rules::new(true, false, &[], &[]);
        for text in [
            "password=x",
            "PASSWD: x",
            "my_secret=1a",
            "https://k@h/1",
            "a@b.cd",
            "4111-1111-1111-1111",
            "bearer Abc1defgh",
        ] {
            assert!(rules.cleaned(text).is_some(), "{text}");
            assert!(rules.may_need(serde_json::json!({ "body": text }).to_string().as_bytes()), "{text}");
        }
    }
}
