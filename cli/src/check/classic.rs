//! Reads the classic format: `[SECTION]`, then lines of one indentation with a key, a blank and a value.

use super::config::{Kind, Property, Reader, Section};
use super::report::Place;
use std::path::Path;
use std::sync::Arc;

/// After so many problems the file is something else, and nobody reads on.
const ENOUGH: usize = 20;

/// Reads a text as Fluent Bit does, and reports the parts that it would refuse.
pub(super) fn parse(text: &str, file: &Arc<Path>, reader: &mut Reader<'_>) {
    let mut parser = Parser { file, reader, section: None, indent: None, in_group: false, problems: 0 };
    for (number, line) in text.lines().enumerate() {
        if parser.problems == ENOUGH {
            let place = Place { file: Arc::clone(file), line: number + 1 };
            return parser.problem(place, "too many errors; the rest of the file was not read");
        }
        parser.line(line.strip_suffix('\r').unwrap_or(line), number + 1);
    }
}

struct Parser<'p, 'r> {
    file: &'p Arc<Path>,
    reader: &'p mut Reader<'r>,
    /// The number of the section that the lines belong to.
    section: Option<usize>,
    /// The indentation of the first indented line of the file. All others have to begin with the same.
    indent: Option<String>,
    in_group: bool,
    problems: usize,
}

/// The depth of a line under its section.
enum Depth<'l> {
    Key(&'l str),
    /// As deep as the keys of a group of the section, such as a processor.
    Deeper(&'l str),
    Wrong(&'static str),
}

impl Parser<'_, '_> {
    fn problem(&mut self, place: Place, text: &str) {
        self.problems += 1;
        self.reader.problem(place, text);
    }

    fn line(&mut self, line: &str, number: usize) {
        let place = Place { file: Arc::clone(self.file), line: number };
        match line.as_bytes().first() {
            None | Some(b'#') => {}
            Some(b'@') => self.command(line, &place),
            Some(b'[') => self.header(line, place),
            Some(_) => self.property(line, place),
        }
    }

    fn command(&mut self, line: &str, place: &Place) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (command.to_ascii_uppercase().as_str(), rest.split_once('=')) {
            ("@INCLUDE", _) => self.reader.include(rest, place),
            ("@SET", Some((name, value))) => self.reader.variable(name.trim(), value.trim()),
            _ => self.problem(place.clone(), "expected @INCLUDE FILE or @SET NAME=VALUE"),
        }
    }

    fn header(&mut self, line: &str, place: Place) {
        let Some((name, _)) = line[1..].split_once(']') else {
            return self.problem(place, "expected a ] at the end of the section's name");
        };
        let kind = match name.trim().to_ascii_uppercase().as_str() {
            "SERVICE" => Kind::Service,
            "INPUT" => Kind::Input,
            "FILTER" => Kind::Filter,
            "OUTPUT" => Kind::Output,
            "PLUGINS" => Kind::Plugins,
            _ => Kind::Other,
        };
        self.in_group = false;
        self.section = Some(self.reader.section(Section { kind, place, properties: Vec::new() }));
    }

    fn property(&mut self, line: &str, place: Place) {
        let text = match self.depth(line) {
            Depth::Key(text) => {
                self.in_group = text.starts_with('[');
                text
            }
            Depth::Deeper(text) => text,
            Depth::Wrong(problem) => return self.problem(place, problem),
        };
        if self.in_group || text.is_empty() || text.starts_with('#') {
            return;
        }
        // The line may be a DSN alone: what stands in it is not repeated.
        match text.split_once(' ').map(|(key, value)| (key, value.trim())) {
            Some((key, value)) if !value.is_empty() => {
                let property = Property { key: key.to_ascii_lowercase(), value: value.to_owned(), place };
                match self.section {
                    Some(section) => self.reader.property(section, property),
                    None => self.problem(property.place, "expected a [SECTION] before the first key"),
                }
            }
            _ if text.contains('\t') => self.problem(place, "expected a space, not a tab, after the key"),
            _ => self.problem(place, "expected a value after the key"),
        }
    }

    /// Takes the indentation off, after Fluent Bit's rules.
    fn depth<'l>(&mut self, line: &'l str) -> Depth<'l> {
        let blank = |c: char| c == ' ' || c == '\t';
        let indent = match &self.indent {
            Some(indent) => indent.clone(),
            None => {
                let first = line.chars().next().map_or(0, char::len_utf8);
                let more = line[first..].len() - line[first..].trim_start_matches(blank).len();
                let indent = line[..first + more].to_owned();
                self.indent = Some(indent.clone());
                indent
            }
        };
        let Some(rest) = line.strip_prefix(indent.as_str()) else {
            // The host is as strict with a line of blanks.
            return Depth::Wrong(if line.starts_with(blank) {
                "expected the same indentation as the lines before, found less, or tabs mixed with spaces"
            } else {
                "expected the same indentation as the lines before, found none"
            });
        };
        let text = rest.trim_start_matches(blank);
        match rest.len() - text.len() {
            0 => Depth::Key(text),
            more if more == indent.len() => Depth::Deeper(text),
            _ => Depth::Wrong("expected the same indentation as the lines before, found more"),
        }
    }
}
