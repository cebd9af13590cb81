//! Reads the parts of a Fluent Bit configuration that concern this output: sections with their keys, each with its place in
//! the file.

use super::report::{Place, Report};
use super::{classic, yaml};
use out_sentry::options::machine_name;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read of a file; configurations are far shorter.
const MAX_BYTES: u64 = 8 << 20;

/// The kind of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Service,
    Input,
    Filter,
    Output,
    /// Its keys `path` are the files of plugins.
    Plugins,
    Other,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Property {
    /// The key as Fluent Bit knows it.
    pub(super) key: String,
    /// With variables replaced.
    pub(super) value: String,
    pub(super) place: Place,
}

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) properties: Vec<Property>,
}

impl Section {
    /// Returns the property that counts: of several, Fluent Bit takes the first.
    pub(super) fn find(&self, key: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.key.eq_ignore_ascii_case(key))
    }

    /// Its value, trimmed; an empty one is none.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.find(key).map(|property| property.value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn is_plugin(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && self.value("name").is_some_and(|value| value.eq_ignore_ascii_case(name))
    }
}

/// The sections that were read from a file and from those that it includes.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) sections: Vec<Section>,
}

impl Configuration {
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// A value of the `[SERVICE]` section.
    pub(super) fn service(&self, key: &str) -> Option<&str> {
        self.of(Kind::Service).find_map(|section| section.value(key))
    }
}

/// Reads a configuration. What is wrong with its form is told to the report.
///
/// # Errors
/// The file itself cannot be read.
pub(super) fn read(path: &Path, report: &mut Report) -> io::Result<Configuration> {
    Ok(of_text(path, &text(path)?, report))
}

/// The same of a text that was read from there.
pub(super) fn of_text(path: &Path, text: &str, report: &mut Report) -> Configuration {
    let mut reader = Reader { report, sections: Vec::new(), variables: HashMap::new(), seen: HashSet::new() };
    reader.parse(path, text);
    reader.plugins_files();
    reader.replace_variables();
    Configuration { sections: reader.sections }
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Collects the findings of the parsers of both formats.
pub(super) struct Reader<'r> {
    report: &'r mut Report,
    sections: Vec<Section>,
    /// `@SET` and `env:`; they go before the process's own.
    variables: HashMap<String, String>,
    seen: HashSet<PathBuf>,
}

impl Reader<'_> {
    fn parse(&mut self, path: &Path, text: &str) {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let file: Arc<Path> = path.into();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => yaml::parse(text, &file, self),
            _ => classic::parse(text, &file, self),
        }
    }

    /// Takes a section, and returns its number.
    pub(super) fn section(&mut self, section: Section) -> usize {
        self.sections.push(section);
        self.sections.len() - 1
    }

    /// Adds to a section taken before.
    pub(super) fn property(&mut self, section: usize, property: Property) {
        self.sections[section].properties.push(property);
    }

    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Something that Fluent Bit refuses.
    pub(super) fn problem(&mut self, place: Place, text: &str) {
        self.report.problem(Some(place), text);
    }

    /// Reads the files of an `@INCLUDE` or of `includes:`, looked for beside the file that names them.
    pub(super) fn include(&mut self, pattern: &str, place: &Place) {
        let base = place.file.parent().unwrap_or(Path::new(""));
        let files = matching(&base.join(pattern.trim()));
        if files.is_empty() {
            self.problem(place.clone(), &format!("there is no file {} to include", pattern.trim()));
        }
        for file in files {
            if self.seen.contains(&file.canonicalize().unwrap_or_else(|_| file.clone())) {
                self.problem(place.clone(), &format!("{} is included twice", file.display()));
                continue;
            }
            match text(&file) {
                Ok(text) => self.parse(&file, &text),
                Err(error) => self.problem(place.clone(), &format!("{}: {error}", file.display())),
            }
        }
    }

    /// `plugins_file` of the service, itself a file with sections.
    fn plugins_files(&mut self) {
        let services = self.sections.iter().filter(|section| section.kind == Kind::Service);
        let named: Vec<Property> = services.filter_map(|section| section.find("plugins_file").cloned()).collect();
        for property in named {
            let (path, _) = self.replaced(&property.value);
            let file = property.place.file.parent().unwrap_or(Path::new("")).join(path.trim());
            match text(&file) {
                Ok(text) => self.parse(&file, &text),
                Err(error) => {
                    let what = format!("plugins_file {}: {error} (on this machine)", file.display());
                    self.report.advice(Some(property.place), &what);
                }
            }
        }
    }

    fn replace_variables(&mut self) {
        let mut sections = std::mem::take(&mut self.sections);
        for section in &mut sections {
            let mut unset = Vec::new();
            for property in &mut section.properties {
                let (value, missing) = self.replaced(&property.value);
                property.value = value;
                unset.extend(missing.into_iter().map(|name| (property.place.clone(), name)));
            }
            // Other sections' variables are their owners' business.
            if section.kind == Kind::Service || section.is_plugin(Kind::Output, "sentry") {
                for (place, name) in unset {
                    self.report.advice(
                        Some(place),
                        &format!("${{{name}}} is not set here: Fluent Bit would replace it with an empty text"),
                    );
                }
            }
        }
        self.sections = sections;
    }

    /// The text with each `${NAME}` replaced, and the names that are not set.
    fn replaced(&self, text: &str) -> (String, Vec<String>) {
        // Fluent Bit sets it at the start where the environment does not.
        const OWN: &str = "HOSTNAME";
        let (mut out, mut unset, mut rest) = (String::new(), Vec::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            match self.variables.get(name).cloned().or_else(|| std::env::var(name).ok()) {
                Some(value) => out.push_str(&value),
                None if name == OWN => out.push_str(&machine_name().unwrap_or_default()),
                None => unset.push(name.to_owned()),
            }
            rest = after;
        }
        out.push_str(rest);
        (out, unset)
    }
}

/// The files that a path with stars in its last part stands for, sorted; without a star the path itself, if it is there.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return if pattern.is_file() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let directory = pattern.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| path.is_file() && path.file_name().is_some_and(|n| fits(&name, &n.to_string_lossy()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    files.sort();
    files
}

/// Returns true if a name matches a pattern in which each star stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        // The first place leaves the most for what follows.
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, name, expected) in [
            ("a.conf", "a.conf", true),
            ("*.conf", "a.conf", true),
            ("in*.co*", "input.conf", true),
            ("*.conf", "a.yaml", false),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("a*b*", "axbx", true),
            ("*b*b", "ab", false),
            ("a**é*c", "aéc", true),
            (&"a*".repeat(40), &"a".repeat(39), false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn variables() {
        let mut report = Report::default();
        let mut reader =
            Reader { report: &mut report, sections: Vec::new(), variables: HashMap::new(), seen: HashSet::new() };
        reader.variable("FLB_CHECK_A", "1");
        let (text, unset) = reader.replaced("x${FLB_CHECK_A}/${FLB_CHECK_UNSET}/${FLB_CHECK_A}y ${open");
        assert_eq!(text, "x1//1y ${open");
        assert_eq!(unset, ["FLB_CHECK_UNSET"]);
    }
}
