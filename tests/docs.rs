//! What the documents say is what the program does. `UPDATE_DOCS=1` rewrites what is rendered.

use out_sentry::options;
use out_sentry::record::formats;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn readme_lists_the_options_as_they_are() {
    let readme = document("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("expected a line <!-- options --> in README.md");
    let (table, after) = rest.split_once(END).expect("expected a line <!-- /options --> in README.md");
    let expected = options::to_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{before}{BEGIN}{expected}{END}{after}");
        fs::write(root().join("README.md"), updated).expect("expected to write README.md");
    } else {
        assert_eq!(table, expected, "README.md is behind; UPDATE_DOCS=1 cargo test --test docs rewrites it");
    }
    let missing = options::rows().find(|row| !expected.contains(&format!("| `{}` |", row.name)));
    assert_eq!(missing.map(|row| row.name), None, "the table is not whole");
}

#[test]
fn the_documents_list_the_known_loggers_as_they_are() {
    const MARKS: [&str; 2] = ["<!-- loggers -->\n", "<!-- /loggers -->\n"];
    let text = document("docs/mapping.md");
    let (before, rest) = text.split_once(MARKS[0]).expect("expected a line <!-- loggers --> in docs/mapping.md");
    let (table, after) = rest.split_once(MARKS[1]).expect("expected a line <!-- /loggers --> in docs/mapping.md");
    let expected = formats::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{before}{}{expected}{}{after}", MARKS[0], MARKS[1]);
        fs::write(root().join("docs/mapping.md"), updated).expect("expected to write docs/mapping.md");
    } else {
        assert_eq!(table, expected, "docs/mapping.md is behind; UPDATE_DOCS=1 cargo test --test docs rewrites it");
    }
}

#[test]
fn the_privacy_page_is_the_table_of_rules() {
    let expected = out_sentry::record::privacy_to_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join("docs/privacy.md"), &expected).expect("expected to write docs/privacy.md");
    }
    let found = document("docs/privacy.md");
    assert_eq!(found, expected, "docs/privacy.md is behind; UPDATE_DOCS=1 cargo test --test docs rewrites it");
}

#[test]
fn the_changelog_names_the_version() {
    let changelog = document("CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.lines().any(|line| line.starts_with('#') && line.contains(version)), "expected {version}");
}

/// Each claim of SECURITY.md names tests, and those are there.
#[test]
fn what_security_claims_is_shown_by_tests_that_exist() {
    let document = document("SECURITY.md");
    let mut claims = 0;
    let tables = document.split("\n\n").filter(|part| part.starts_with('|') && part.contains("| shown by |"));
    for row in tables.flat_map(|table| table.lines().skip(2)) {
        let named = row.trim_end_matches([' ', '|']).rsplit(" | ").next().expect("a cell");
        let mut source = None;
        let mut tests = 0;
        for name in named.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                source = Some((name, self::document(name)));
                continue;
            }
            let (file, text) = source.as_ref().unwrap_or_else(|| panic!("{name} of which file? {row}"));
            let forms = [format!("fn {name}("), format!("\"{name}\""), format!("::{name}\"")];
            assert!(forms.iter().any(|form| text.contains(form)), "there is no test {name} in {file}");
            tests += 1;
        }
        assert!(tests > 0, "nothing shows: {row}");
        claims += 1;
    }
    assert!(claims > 30, "expected more claims than {claims}");
}

/// A mistyped option is not seen by the host, so the ones people copy had better be right.
#[test]
fn samples_use_options_that_exist() {
    let documents = ["README.md", "deploy/README.md"].map(|name| root().join(name));
    for of in [&configurations(root())[..], &documents[..1], &configurations(&root().join("deploy"))] {
        let sections = of.iter().map(|file| check(file)).sum::<usize>();
        assert!(sections > 0, "expected a sample configuration");
    }
    check(&documents[1]);
}

/// Each key of each output of ours in a file is an option; how many such outputs there are.
fn check(file: &Path) -> usize {
    let sections = outputs(&fs::read_to_string(file).unwrap_or_default());
    for key in sections.iter().flatten() {
        let known = options::rows().any(|row| row.name == key) || options::is_of_the_host(key);
        assert!(known, "{}: {key} is no option", file.display());
    }
    sections.len()
}

/// Configurations of Fluent Bit in this repository, without those that a build or a test made, and those that are there to
/// be found wrong.
fn configurations(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let wrong = |path: &Path| path.ends_with("cli/tests/check") || path.ends_with("mistakes.conf");
    let ours = entries.filter(|path| !hidden(path) && !path.ends_with("target") && !wrong(path));
    ours.flat_map(|path| match path.extension().and_then(|extension| extension.to_str()) {
        _ if path.is_dir() => configurations(&path),
        Some("conf" | "yaml" | "yml") => vec![path],
        _ => Vec::new(),
    })
    .collect()
}

/// The keys of each section or list item that is an output of ours, in lower case.
fn outputs(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let is_ours = |line: &&str| {
        let words = line.trim().trim_start_matches("- ").replace(':', " ").to_ascii_lowercase();
        words.split_whitespace().collect::<Vec<_>>() == ["name", "sentry"]
    };
    // An object of Kubernetes may have the name as well.
    let is_object = |at: usize| at > 0 && lines[at - 1].trim() == "metadata:";
    let at = lines.iter().enumerate().filter(|(at, line)| is_ours(line) && !is_object(*at)).map(|(at, _)| at);
    at.map(|at| siblings(&lines, at)).collect()
}

/// The keys beside the one at `at`: as far as lines are indented as deep, those that are deeper left out.
fn siblings(lines: &[&str], at: usize) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let own = indent(lines[at]);
    let belongs = |line: &&&str| !line.trim().is_empty() && indent(line) >= own;
    let starts_item = |line: &str| line.trim_start().starts_with("- ") && indent(line) == own;
    let mut first = at;
    while first > 0 && !starts_item(lines[first]) && belongs(&&lines[first - 1]) {
        first -= 1;
    }
    let item = lines[first..].iter().enumerate();
    let item = item.take_while(|(number, line)| belongs(line) && (*number == 0 || !starts_item(line)));
    let same = item.map(|(_, line)| *line).filter(|line| indent(line) == own);
    same.filter_map(|line| line.trim_start_matches([' ', '-']).split([' ', ':']).next())
        .map(str::to_ascii_lowercase)
        .collect()
}
