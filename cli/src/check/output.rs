//! Checks the names and values of one output against the plugin's own table of options.

use super::config::{Kind, Section};
use super::report::{Place, Report};
use out_sentry::options::{self, Loaded};
use std::sync::Arc;

/// An output to check.
#[derive(Debug)]
pub(super) struct Output {
    /// The name by which Fluent Bit's log speaks of it.
    pub(super) name: String,
    /// The keys of the command line first, then those of the file.
    pub(super) section: Section,
    /// True if the output is a section of a file, so that the settings around it can be judged.
    pub(super) in_file: bool,
    /// The settings that the plugin would load from the section. `None` if the plugin would refuse it.
    pub(super) loaded: Option<Loaded>,
}

impl Output {
    /// `number` is its place among the outputs of this kind.
    pub(super) fn new(number: usize, given: &[(String, String)], section: Option<&Section>) -> Self {
        let file: Arc<std::path::Path> = Arc::from(std::path::Path::new("-o"));
        let place = Place { file, line: 1 };
        let mut merged = Section { kind: Kind::Output, place, properties: Vec::new() };
        for (line, (key, value)) in given.iter().enumerate() {
            let place = Place { line: line + 1, ..merged.place.clone() };
            merged.properties.push(super::config::Property { key: key.clone(), value: value.clone(), place });
        }
        if let Some(section) = section {
            merged.place = section.place.clone();
            // What the command line replaces is not set twice.
            let kept =
                section.properties.iter().filter(|p| !given.iter().any(|(key, _)| key.eq_ignore_ascii_case(&p.key)));
            merged.properties.extend(kept.cloned());
        }
        let name = merged.value("alias").map_or_else(|| format!("sentry.{number}"), str::to_owned);
        Self { name, section: merged, in_file: section.is_some(), loaded: None }
    }

    /// Returns the place of the output in the file.
    pub(super) fn place(&self) -> Option<Place> {
        self.in_file.then(|| self.section.place.clone())
    }

    /// The place of a key, else that of the section.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.section.find(key).map(|property| property.place.clone()).or_else(|| self.place())
    }

    /// Judges names and values.
    pub(super) fn load(&mut self, report: &mut Report) {
        self.names(report);
        // Other names have been judged; the plugin would ask for some of them again.
        let known = |name: &str| options::rows().any(|row| row.name == name);
        let lookup = |name: &str| self.section.value(name).filter(|_| known(name)).map(str::to_owned);
        match options::load(lookup, |variable| std::env::var(variable).ok()) {
            Ok(loaded) => {
                report.about(&loaded.dsn_source);
                self.loaded = Some(loaded);
            }
            Err(problems) => {
                for problem in problems {
                    report.problem(self.place_of(&problem.option), &problem.to_string());
                }
            }
        }
    }

    fn names(&self, report: &mut Report) {
        for (at, property) in self.section.properties.iter().enumerate() {
            if let Err(problem) = options::judge(&property.key, &property.value) {
                report.problem(Some(property.place.clone()), &problem.to_string());
            }
            let mut before = self.section.properties[..at].iter();
            if let Some(first) = before.find(|other| other.key.eq_ignore_ascii_case(&property.key)) {
                let text = format!(
                    "{} is set twice: Fluent Bit 5.1.1 and later do not start; earlier versions use the value at {}",
                    property.key, first.place
                );
                report.advice(Some(property.place.clone()), &text);
            }
        }
    }
}
