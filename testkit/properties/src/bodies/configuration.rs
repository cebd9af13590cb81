//! A configuration of Fluent Bit as `flb-sentry check` reads it: the first byte says which format.

use flb_sentry::check::read_text;

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let is_yaml = kind % 2 == 1;
    let text = String::from_utf8_lossy(text);
    // Other files are no part of the input.
    let lower = text.to_ascii_lowercase();
    if lower.contains("include") || lower.contains("plugins_file") {
        return;
    }
    let read = read_text(if is_yaml { "a.yaml" } else { "a.conf" }, &text);
    // YAML ends a line at a carriage return too.
    let lines = text.matches(['\n', '\r']).count() + 2;
    for section in &read.sections {
        assert!((1..=lines).contains(&section.line), "a section at {} of {lines}", section.line);
        for (line, key, value) in &section.keys {
            assert!((1..=lines).contains(line), "{key} at {line} of {lines}");
            // What is replaced or escaped is no more what was written.
            let written = is_yaml || text.contains("${") || text.contains(value.as_str());
            assert!(written, "{value:?} of {key} stands nowhere");
        }
    }
    if !is_yaml {
        let headers = text.lines().filter(|line| line.starts_with('[') && line.contains(']')).count();
        assert!(read.sections.len() == headers || read.problems >= 20, "{} of {headers}", read.sections.len());
    }
    assert!(read.words.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", read.words);
    assert!(read.words.ends_with(&format!("problems: {}, advice: {}\n", read.problems, read.advice)));
    let json: serde_json::Value = serde_json::from_str(&read.json).expect("JSON");
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(read.problems));
    assert_eq!(json["advice"].as_array().map(Vec::len), Some(read.advice));
}
