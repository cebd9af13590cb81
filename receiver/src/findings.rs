//! Collects the problems of an item, each with the path to its place.

use crate::text::counted;
use serde_json::{Map, Value};

/// Problems listed for one envelope; a container of thousands of bad logs needs no more to be understood.
const MAX_LISTED: usize = 100;

/// Collects problems. `lost`: Relay would drop the whole item, without a word.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub problems: Vec<String>,
    pub lost: bool,
    unlisted: usize,
}

impl Findings {
    /// Something Relay would cut, remove, replace or store differently.
    pub fn note(&mut self, path: &str, expected: &str, found: Option<&Value>) {
        self.say(format!("{path}: expected {expected}, found {}", excerpt(found)));
    }

    /// Something for which Relay drops the item.
    pub fn lose(&mut self, path: &str, expected: &str, found: Option<&Value>) {
        self.note(path, expected, found);
        self.lost = true;
    }

    /// A problem in words of its own.
    pub fn say(&mut self, problem: String) {
        if self.problems.len() < MAX_LISTED {
            self.problems.push(problem);
        } else {
            self.unlisted += 1;
        }
    }

    /// Takes over the findings of another collector, except the mark that the item is lost.
    pub fn absorb(&mut self, other: Findings) {
        self.unlisted += other.unlisted;
        other.problems.into_iter().for_each(|problem| self.say(problem));
    }

    /// Returns the list, with a last line about the problems that are not on it.
    pub fn into_problems(mut self) -> Vec<String> {
        if self.unlisted > 0 {
            self.problems.push(format!("and {}", counted(self.unlisted as u64, "more problem")));
        }
        self.problems
    }

    /// An optional text of at most `max` characters.
    pub fn text(&mut self, path: &str, value: Option<&Value>, max: usize) {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.chars().count() <= max => {}
            Some(Value::String(_)) => self.note(path, &format!("at most {}", counted(max as u64, "character")), value),
            _ => self.note(path, "a string", value),
        }
    }

    /// Texts of an object, each with its own limit.
    pub fn texts(&mut self, path: &str, object: &Map<String, Value>, limits: &[(&str, usize)]) {
        for (name, max) in limits {
            if let Some(value) = object.get(*name) {
                self.text(&join(path, name), Some(value), *max);
            }
        }
    }

    /// A text out of a vocabulary, if it is there at all.
    pub fn word(&mut self, path: &str, value: Option<&Value>, words: &[&str]) {
        match value {
            None => {}
            Some(Value::String(text)) if words.contains(&text.as_str()) => {}
            _ => self.note(path, &format!("one of {}", words.join(" ")), value),
        }
    }

    /// JSON of at most `bytes` when written, nested at most `levels` deep.
    pub fn size(&mut self, path: &str, value: &Value, bytes: usize, levels: usize) {
        if value.to_string().len() > bytes {
            self.note(path, &format!("at most {}", counted(bytes as u64, "byte")), Some(value));
        }
        if depth(value) > levels {
            self.note(path, &format!("at most {}", counted(levels as u64, "level")), Some(value));
        }
    }

    /// An object, or `None` with a problem said.
    pub fn object<'a>(&mut self, path: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.note(path, "an object", Some(value));
        }
        object
    }

    /// Keys that nobody would store.
    pub fn known_keys(&mut self, path: &str, object: &Map<String, Value>, known: &[&str]) {
        for (key, value) in object.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.note(&join(path, key), "no such key", Some(value));
        }
    }
}

/// A path one step deeper.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Levels of nesting: a plain value has none.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The value as JSON, cut for people.
fn excerpt(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(60) {
        None => text,
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_what_was_expected_and_found() {
        let mut findings = Findings::default();
        findings.text("a", Some(&json!("xyz")), 2);
        findings.word("b", Some(&json!("warn")), &["warning", "error"]);
        findings.size("c", &json!([[[1]]]), 100, 2);
        findings.lose("d", "a string", None);
        findings.text("e", Some(&json!("xy")), 2);
        findings.word("f", None, &[]);
        assert_eq!(
            findings.problems,
            [
                "a: expected at most 2 characters, found \"xyz\"",
                "b: expected one of warning error, found \"warn\"",
                "c: expected at most 2 levels, found [[[1]]]",
                "d: expected a string, found nothing",
            ]
        );
        assert!(findings.lost);
    }

    #[test]
    fn long_lists_and_long_values_are_cut() {
        let mut findings = Findings::default();
        for _ in 0..250 {
            findings.note("x", "nothing", Some(&json!("\u{e9}".repeat(1000))));
        }
        let problems = findings.into_problems();
        assert_eq!((problems.len(), problems[100].as_str()), (101, "and 150 more problems"));
        assert!(problems[0].ends_with("... (2002 bytes)") && problems[0].len() < 200, "{}", problems[0]);
    }
}
