//! Checks a configuration given as text only, for tests that generate random configurations.

use super::config::{Section, of_text};
use super::report::{Report, Weight};
use std::path::Path;

/// The result of reading a configuration's text.
#[derive(Debug)]
pub struct Understood {
    /// The sections, in the order of the text.
    pub sections: Vec<Paragraph>,
    /// The number of problems in the configuration.
    pub problems: usize,
    /// The number of findings that are advice: the configuration works but could be better.
    pub advice: usize,
    /// The report for people.
    pub words: String,
    /// The report for machines.
    pub json: String,
}

/// A section.
#[derive(Debug)]
pub struct Paragraph {
    /// The line at which the section begins.
    pub line: usize,
    /// Line, name and value of each of its keys.
    pub keys: Vec<(usize, String, String)>,
}

/// Reads a text as a file of this name. No other file is looked at but those that it includes.
#[must_use]
pub fn read_text(name: &str, text: &str) -> Understood {
    let mut report = Report::default();
    let sections = of_text(Path::new(name), text, &mut report).sections.iter().map(plain).collect();
    let (mut words, mut json) = (Vec::new(), Vec::new());
    let written = report.write(&mut words, false).and_then(|()| report.write_json(&mut json));
    debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
    let (problems, advice) = (report.count(Weight::Problem), report.count(Weight::Advice));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Understood { sections, problems, advice, words: text(words), json: text(json) }
}

fn plain(section: &Section) -> Paragraph {
    let keys = section.properties.iter().map(|p| (p.place.line, p.key.clone(), p.value.clone()));
    Paragraph { line: section.place.line, keys: keys.collect() }
}
