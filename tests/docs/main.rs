//! Tests that hold the documents to what the program does. `UPDATE_DOCS=1` rewrites what is generated.

mod architecture;
mod links;
mod messages;
mod monitoring;

use out_sentry::mapping::formats;
use out_sentry::options;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the pages of `docs/` with their paths below the root, sorted.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("expected a folder") {
            let entry = entry.expect("expected an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.display().to_string());
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 25, "expected the pages of docs/, found {pages:?}");
    pages
}

/// Compares what stands between `<!-- mark -->` and `<!-- /mark -->`, or writes it with `UPDATE_DOCS=1`.
fn compare_generated(name: &str, mark: &str, expected: &str) {
    let text = document(name);
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("expected {begin:?} in {name}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("expected {end:?} in {name}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(name), format!("{before}{begin}{expected}{end}{after}")).expect("expected to write");
    } else {
        assert_eq!(found, expected, "{name} is behind; UPDATE_DOCS=1 cargo test --test docs rewrites it");
    }
}

#[test]
fn the_options_are_listed_as_they_are() {
    let expected = format!("\n{}", options::to_markdown());
    compare_generated("docs/configuration.md", "options", &expected);
    let missing = options::rows().find(|row| !expected.contains(&format!("| `{}` |", row.name)));
    assert_eq!(missing.map(|row| row.name), None, "the table is not whole");
}

#[test]
fn the_known_loggers_are_listed_as_they_are() {
    compare_generated("docs/mapping.md", "loggers", &formats::markdown());
}

#[test]
fn pages_are_short() {
    let lines = |name: &str| document(name).lines().count();
    let readme = lines("README.md");
    assert!(readme <= 150, "README.md has {readme} lines, expected at most 150");
    for page in pages() {
        let lines = lines(&page);
        assert!(lines <= 300, "{page} has {lines} lines, expected at most 300");
    }
}

#[test]
fn the_privacy_page_is_the_table_of_rules() {
    let expected = out_sentry::mapping::privacy_to_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join("docs/privacy.md"), &expected).expect("expected to write docs/privacy.md");
    }
    let found = document("docs/privacy.md");
    assert_eq!(found, expected, "docs/privacy.md is behind; UPDATE_DOCS=1 cargo test --test docs rewrites it");
}

/// Keep a Changelog: a version with a date or `Unreleased`, and the groups that it knows.
#[test]
fn changelog_has_the_version_and_known_groups() {
    const GROUPS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let changelog = document("CHANGELOG.md");
    let version = format!("## [{}] - ", env!("CARGO_PKG_VERSION"));
    let released = changelog.lines().find_map(|line| line.strip_prefix(&version)).expect("expected the version");
    let is_date = |text: &str| {
        let parts: Vec<_> = text.split('-').map(|part| part.parse::<u32>().map_or(0, |_| part.len())).collect();
        parts == [4, 2, 2]
    };
    assert!(released == "Unreleased" || is_date(released), "expected a date or Unreleased, found {released}");
    let groups: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(!groups.is_empty(), "expected a group");
    assert!(groups.iter().all(|group| GROUPS.contains(group)), "expected groups of {GROUPS:?}, found {groups:?}");
}

/// What replaces an option of Fluentd exists, and each option of fluent-plugin-sentry is replaced.
#[test]
fn options_of_fluentd_are_replaced_by_options_that_exist() {
    const OLD: [&str; 10] = [
        "endpoint_url",
        "default_level",
        "default_logger",
        "report_levels",
        "tags_key",
        "userid_key",
        "hostname_command",
        "stacktrace_expand_json_escaping",
        "environment",
        "flush_interval",
    ];
    let page = document("docs/migrate-from-fluentd.md");
    let (_, table) = page.split_once("| option of Fluentd | option of this output |\n").expect("expected a table");
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    for old in OLD {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| `{old}` |"))), "nothing replaces {old}");
    }
    let mut named = 0;
    for row in rows {
        let new = row.splitn(3, '|').nth(2).unwrap_or_default();
        for word in new.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').next()) {
            let is_name = word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(!is_name || options::rows().any(|row| row.name == word), "there is no option {word}: {row}");
            named += usize::from(is_name);
        }
    }
    assert!(named > 10, "expected more options than {named}");
}

/// Each claim of SECURITY.md names tests, and those are there.
#[test]
fn security_names_tests_that_exist() {
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
    let documents: Vec<PathBuf> = pages().iter().map(|page| root().join(page)).collect();
    for of in [&configurations(root())[..], &documents, &configurations(&root().join("deploy"))] {
        let sections = of.iter().map(|file| check(file)).sum::<usize>();
        assert!(sections > 1, "expected sample configurations");
    }
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
