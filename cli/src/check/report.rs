//! Reports the findings, for people and for programs.

use crate::terminal::printable;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It cannot work so.
    Problem,
    /// It works, but has a drawback.
    Advice,
    /// It was tried and works.
    Sound,
}

impl Weight {
    fn name(self) -> &'static str {
        match self {
            Weight::Problem => "problem",
            Weight::Advice => "advice",
            Weight::Sound => "ok",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    pub(super) place: Option<Place>,
    pub(super) text: String,
}

/// The findings about one output, or about the settings around all outputs.
#[derive(Debug)]
pub(super) struct Chapter {
    /// The output's name; none: the configuration as a whole.
    pub(super) output: Option<String>,
    pub(super) place: Option<Place>,
    /// The destination that the output sends to.
    pub(super) about: String,
    pub(super) findings: Vec<Finding>,
}

impl Chapter {
    /// Returns the findings by weight: those that must be dealt with first come first.
    fn by_weight(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.weight as u8);
        findings
    }
}

/// All findings.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The first chapter is about the configuration as a whole.
    chapters: Vec<Chapter>,
}

impl Report {
    /// Opens the chapter of an output; later findings belong to it.
    pub(super) fn output(&mut self, name: &str, place: Option<Place>) {
        let output = Some(name.to_owned());
        self.chapters.push(Chapter { output, place, about: String::new(), findings: Vec::new() });
    }

    /// Opens the chapter of the whole.
    pub(super) fn whole(&mut self) {
        self.chapters.push(Chapter { output: None, place: None, about: String::new(), findings: Vec::new() });
    }

    pub(super) fn about(&mut self, text: &str) {
        self.chapter().about = text.to_owned();
    }

    pub(super) fn problem(&mut self, place: Option<Place>, text: &str) {
        self.add(Weight::Problem, place, text);
    }

    pub(super) fn advice(&mut self, place: Option<Place>, text: &str) {
        self.add(Weight::Advice, place, text);
    }

    pub(super) fn sound(&mut self, text: &str) {
        self.add(Weight::Sound, None, text);
    }

    pub(super) fn add(&mut self, weight: Weight, place: Option<Place>, text: &str) {
        self.chapter().findings.push(Finding { weight, place, text: text.to_owned() });
    }

    fn chapter(&mut self) -> &mut Chapter {
        if self.chapters.is_empty() {
            self.whole();
        }
        let last = self.chapters.len() - 1;
        &mut self.chapters[last]
    }

    pub(super) fn count(&self, weight: Weight) -> usize {
        let findings = self.chapters.iter().flat_map(|chapter| &chapter.findings);
        findings.filter(|finding| finding.weight == weight).count()
    }

    /// Writes it for people.
    pub(super) fn write(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        for chapter in self.chapters.iter().filter(|chapter| chapter.output.is_some() || !chapter.findings.is_empty()) {
            let name = chapter.output.as_deref().map_or("configuration".to_owned(), |name| format!("output {name}"));
            let place = chapter.place.as_ref().map_or(String::new(), |place| format!("  {place}"));
            writeln!(out, "{}", printable(format!("{name}{place}  {}", chapter.about).trim_end()))?;
            for finding in chapter.by_weight() {
                let place = finding.place.as_ref().map_or(String::new(), |place| format!("{place}  "));
                let text = printable(&format!("{place}{}", finding.text));
                writeln!(out, "  {}  {text}", label(finding.weight, colour))?;
            }
        }
        let (problems, advice) = (self.count(Weight::Problem), self.count(Weight::Advice));
        writeln!(out, "problems: {problems}, advice: {advice}")
    }

    /// Writes it as one JSON object.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let of = |weight: Weight| -> Vec<Value> {
            let found = self.chapters.iter().flat_map(|chapter| chapter.findings.iter().map(move |f| (chapter, f)));
            found
                .filter(|(_, finding)| finding.weight == weight)
                .map(|(chapter, finding)| entry(chapter, finding))
                .collect()
        };
        let outputs = self.chapters.iter().filter(|chapter| chapter.output.is_some());
        let outputs: Vec<Value> = outputs
            .map(|chapter| {
                let (file, line) = place(chapter.place.as_ref());
                json!({"name": chapter.output, "file": file, "line": line, "about": chapter.about})
            })
            .collect();
        let report = json!({
            "outputs": outputs, "problems": of(Weight::Problem), "advice": of(Weight::Advice), "ok": of(Weight::Sound),
        });
        writeln!(out, "{report}")
    }
}

fn entry(chapter: &Chapter, finding: &Finding) -> Value {
    let (file, line) = place(finding.place.as_ref());
    json!({"output": chapter.output, "file": file, "line": line, "text": finding.text})
}

fn place(place: Option<&Place>) -> (Option<String>, Option<usize>) {
    (place.map(|place| place.file.display().to_string()), place.map(|place| place.line))
}

fn label(weight: Weight, colour: bool) -> String {
    let text = format!("{:<7}", weight.name());
    let code = match weight {
        Weight::Problem => "31",
        Weight::Advice => "33",
        Weight::Sound => "32",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
}
