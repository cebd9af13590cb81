//! Tests that texts are replaced where they stand and all else stays.

use super::super::reference::cut_again;
use super::*;
use serde_json::{Value, json};

const PARTS: [&str; 26] = [
    "password=x",
    "Token: ",
    "secret",
    "=",
    "bearer Abcdef12",
    "://u:p@h",
    "a.b@example.org",
    "4111 1111 1111 1111",
    " ",
    "\"",
    "\\",
    "\n",
    "{\"token\":\"x\"}",
    "{",
    "}",
    "é",
    "plain",
    "x",
    ":",
    "[",
    "id",
    "key",
    "api_",
    "Key=1",
    ",",
    "pwd=1 ",
];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn text(&mut self) -> String {
        (0..self.below(5)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth > 2 { 4 } else { 6 }) {
            0 => json!(self.below(100)),
            1 => json!(1.5),
            2 | 3 => json!(self.text()),
            4 => (0..self.below(3)).map(|_| self.value(depth + 1)).collect(),
            _ => self.object(depth + 1),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let pairs: Vec<_> = (0..self.below(4)).map(|_| (self.text(), self.value(depth))).collect();
        Value::Object(pairs.into_iter().collect())
    }

    fn item(&mut self) -> Value {
        let long = [1, 1_500][usize::from(self.below(20) == 0)];
        let long = PARTS[self.below(PARTS.len())].repeat(self.below(long + 1));
        json!({
            "event_id": self.text(), "level": self.text(), "logger": self.text().repeat(8), "server_name": self.text().repeat(9),
            "logentry": {"message": self.text(), "formatted": long.clone(), "params": [self.text()]},
            "exception": {"values": [{"type": self.text().repeat(20), "value": long.clone(), "module": self.text(),
                "mechanism": {"type": "log", "handled": true},
                "stacktrace": {"frames": [{"function": self.text(), "lineno": 3, "in_app": false}]}}]},
            "user": {"id": self.text().repeat(9)}, "tags": {"a": self.text(), "password": self.text(), "x_id": self.text().repeat(30)},
            "contexts": {"trace": {"trace_id": self.text()}, "kubernetes": {"pod": self.text()}},
            "extra": {"line": long, "details": self.text(), "some": self.value(0), "token": self.value(0), "order_id": self.text(),
                "list": self.value(0)},
            "attributes": {"a": {"value": self.text(), "type": "string"}, "api_key": {"value": self.text(), "type": "string"}},
            "sdk": {"name": self.text()}, "empty": {}, "none": []
        })
    }
}

/// For any item, the result equals that of scrubbing the tree of its values, and everything that may stay has not moved.
#[test]
fn texts_are_replaced_as_in_a_tree() {
    let rules = Rules::new(true, false, &["shop name".to_owned()], &[]);
    let (mut random, mut changed) = (Random(11), 0);
    for _ in 0..1_000 {
        let mut item = random.item();
        // Written within Relay's limits, as all items are.
        cut_again(&mut item);
        let mut expected = item.clone();
        if expected.as_object_mut().is_some_and(|item| rules.item(item)) {
            cut_again(&mut expected);
        }
        let mut out = b"before".to_vec();
        serde_json::to_writer(&mut out, &item).unwrap();
        let whole = out.clone();
        clean(&rules, &mut out, 6, &[]);
        assert_eq!(serde_json::from_slice::<Value>(&out[6..]).unwrap(), expected, "{item}");
        changed += usize::from(out != whole);
    }
    assert!(changed > 300, "{changed}");
}

#[test]
fn what_is_known_is_passed() {
    let rules = Rules::new(true, false, &[], &[]);
    let text = r#"{"a":"pwd=1","attributes":{"b":{"value":"pwd=2"},"c":{"value":"pwd=3"},"d":{"value":"pwd=4"}},"e":{"f":["pwd=5"]},"g":"pwd=6"}"#;
    let place = |part: &str| text.find(part).map(|at| at..at + part.len()).unwrap();
    let known = [place(r#","c":{"value":"pwd=3"}"#), place(r#"{"f":["pwd=5"]}"#)];
    let mut out = text.as_bytes().to_vec();
    clean(&rules, &mut out, 0, &known);
    let expected = ["1", "2", "4", "6"]
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(&format!("pwd={secret}"), "pwd=[Filtered]"));
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn what_is_not_json_as_we_write_it_is_left_alone() {
    let rules = Rules::new(true, false, &[], &[]);
    for text in [
        "",
        "{",
        "[",
        "{\"a",
        "{\"body\":\"password=x",
        "{\"body\":\"password=x\"",
        "{\"a\":{]}",
        "{,,",
        "{\"a\" \"b\"}",
    ] {
        let mut out = text.as_bytes().to_vec();
        clean(&rules, &mut out, 0, &[]);
        assert_eq!(out, text.as_bytes());
    }
}
