//! Tests that docs/troubleshooting.md has an entry for every message of the plugin, and none that it does not print.

use super::{document, root};
use std::fs;
use std::path::Path;

/// Texts of at least this many words count as messages.
const WORDS: usize = 4;

/// Texts that are no messages of their own.
const PARTS: &[&str] = &[
    // Followed by a message in docs/troubleshooting.md, or part of one.
    "written to the dead letters in {}",
    "dropped and only counted",
    "expected a file of this version",
    ", items are kept in {}",
    ", Fluent Bit keeps the chunks",
    ", items are held in memory and lost if Fluent Bit stops",
    "; set spool_path to keep items when Fluent Bit stops",
    "{text} [and {again} more times since this was last logged]",
    // Compared with an error of the system, or a header.
    "failed to lookup address information",
    "Sentry sentry_version=7, sentry_client={}, sentry_key={}",
    // A part of a list of names.
    "{} and {} more",
    "no name at all",
];

/// Files whose texts are read; those of tests, models and helpers of them are not.
fn sources() -> Vec<String> {
    let mut files = vec!["src/instance.rs".to_owned()];
    let mut folders = vec!["src/delivery".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("expected a folder") {
            let path = format!("{folder}/{}", entry.expect("expected an entry").file_name().display());
            let is_test =
                ["tests", "/model/", "/property/", "/injected_panic.rs"].iter().any(|part| path.contains(part));
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") && !is_test {
                files.push(path);
            }
        }
    }
    files
}

/// Returns the texts of a source that people may read: not those of comments, tests, attributes and assertions.
fn texts(source: &str) -> Vec<String> {
    let is_module = |(at, mark): &(usize, &str)| {
        let line = source[at + mark.len()..].lines().next().unwrap_or_default();
        line.contains("mod ") && line.ends_with('{')
    };
    let tests = source.match_indices("\n#[cfg(test)]\n").find(is_module);
    let source = tests.map_or(source, |(at, _)| &source[..at]);
    let bytes = source.as_bytes();
    let (mut texts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match &source.as_bytes()[at..] {
            [b'/', b'/', ..] => at += source[at..].find('\n').unwrap_or(bytes.len() - at),
            [b'\'', b'\\', ..] => at += 4,
            [b'\'', _, b'\'', ..] => at += 3,
            [b'"', ..] => {
                let before = source[..at].trim_end();
                let (text, length) = literal(&source[at + 1..]);
                at += length + 2;
                let unseen = ["expect(", "panic!(", "reason =", "unreachable!(", "assert!("];
                let line = before.rsplit('\n').next().unwrap_or_default();
                if !unseen.iter().any(|call| before.ends_with(call)) && !line.contains("debug_assert!(") {
                    texts.push(text);
                }
            }
            _ => at += 1,
        }
    }
    texts
}

/// Returns a literal from behind its first quote, and its length in the source.
fn literal(source: &str) -> (String, usize) {
    let (mut text, mut characters) = (String::new(), source.char_indices());
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (text, at),
            '\\' => match characters.next() {
                // A line that goes on.
                Some((_, '\n')) => {
                    let rest = characters.clone().take_while(|(_, c)| c.is_whitespace()).count();
                    (0..rest).for_each(|_| _ = characters.next());
                }
                Some((_, c)) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    panic!("expected the end of a text");
}

/// Replaces what stands in braces by `...`.
fn without_values(text: &str) -> String {
    let mut parts = text.split('{');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += "...";
        plain += part.split_once('}').map_or(part, |(_, rest)| rest);
    }
    plain
}

/// Returns true if the pieces between the `...` of an entry are in the message, in this order.
fn matches(entry: &str, message: &str) -> bool {
    let mut rest = message;
    entry.split("...").filter(|piece| !piece.is_empty()).all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The entries of the page: what is between backquotes in the first column of its tables of messages.
fn entries() -> Vec<String> {
    let page = document("docs/troubleshooting.md");
    let (_, part) = page.split_once("<!-- messages -->").expect("expected the messages");
    let (part, _) = part.split_once("<!-- /messages -->").expect("expected their end");
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

fn messages() -> Vec<(String, String)> {
    let mut messages = vec![("src/options".to_owned(), "... = ...: expected ...".to_owned())];
    let no_dsn = fs::read_to_string(root().join("src/options/load.rs")).expect("expected src/options/load.rs");
    messages.extend(texts(&no_dsn).into_iter().filter(|text| text.starts_with("no DSN: ")).map(|t| ("dsn".into(), t)));
    for file in sources() {
        let source = fs::read_to_string(root().join(Path::new(&file))).expect("expected a source");
        for text in texts(&source) {
            let is_part = text.starts_with(' ') || PARTS.contains(&text.as_str());
            if text.split_whitespace().count() >= WORDS && !is_part {
                messages.push((file.clone(), without_values(&text)));
            }
        }
    }
    assert!(messages.len() > 90, "expected more messages than {}", messages.len());
    messages
}

#[test]
fn each_message_has_an_entry() {
    let entries = entries();
    // An entry has to say more than `... = ...`.
    let useful = |entry: &&String| entry.split("...").any(|piece| piece.trim().len() > 5);
    let useful: Vec<&String> = entries.iter().filter(useful).collect();
    let missing: Vec<String> = messages()
        .into_iter()
        .filter(|(_, message)| !useful.iter().any(|entry| matches(entry, message)))
        .map(|(file, message)| format!("{file}: {message}"))
        .collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md has no entry for\n{}", missing.join("\n"));
}

#[test]
fn each_entry_is_a_message() {
    let messages = messages();
    for entry in entries() {
        let is_message = messages.iter().any(|(_, message)| matches(&entry, message));
        assert!(is_message, "docs/troubleshooting.md: `{entry}` is no message");
    }
}

#[test]
fn texts_are_found() {
    let source = "let a = \"one {b} \\\n  two\"; // \"c\"\nlet d = '\"'; x.expect(\"e\"); f(\"g\\\"h\");";
    assert_eq!(texts(source), ["one {b} two", "g\"h"]);
    assert_eq!(without_values("a {b} c {} d"), "a ... c ... d");
    assert!(matches("... cannot be ...: why", "... cannot be reached (...): why"));
    assert!(!matches("why ... cannot", "... cannot be reached: why"));
}
