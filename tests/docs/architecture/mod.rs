//! The rules of ARCHITECTURE.md, held by reading the sources: who may use whom, where `unsafe` may be, what stays pure.

mod delivery;
mod files;
mod packages;

use std::fs;
use std::path::{Path, PathBuf};

/// Each module with those that it may import, in the order in which data passes them. None imports one that stands below it.
const ARROW: &[(&str, &[&str])] = &[
    ("level", &[]),
    ("sync", &[]),
    ("clock", &["sync"]),
    ("ledger", &["sync"]),
    ("chunk", &[]),
    ("options", &["level"]),
    ("mapping", &["level", "clock", "ledger", "chunk", "options"]),
    ("envelope", &["clock", "ledger", "mapping"]),
    ("delivery", &["level", "clock", "sync", "ledger", "chunk", "options", "mapping", "envelope"]),
    ("instance", &["clock", "ledger", "options", "delivery"]),
    ("host", &["clock", "ledger", "delivery"]),
    ("abi", &["delivery", "instance", "host", "options"]),
];

/// The only files that may say `unsafe`.
const UNSAFE: &[&str] = &["src/abi.rs", "src/host.rs", "cli/host/src/library.rs"];

/// Modules that are told the time and handed the bytes, and so can be tested without waiting or a disk.
const PURE: &[&str] = &[
    "src/level.rs",
    "src/chunk/",
    "src/mapping/",
    "src/envelope/",
    "src/delivery/transport/response.rs",
    "src/delivery/dispatch/backoff.rs",
    "src/delivery/dispatch/destination.rs",
    "src/delivery/dispatch/endpoint.rs",
    "src/delivery/dispatch/health.rs",
    "src/delivery/dispatch/negotiation.rs",
    "src/delivery/dispatch/rate_limits.rs",
    "src/delivery/dispatch/retry_history.rs",
    "src/delivery/shared/blocks.rs",
    "src/delivery/dispatch/queue.rs",
    "src/delivery/report/messages.rs",
    "src/delivery/report/log_throttle.rs",
    "src/delivery/dispatch/scheduler.rs",
    "src/delivery/route/table.rs",
];
const IMPURE: &[&str] = &[
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "Instant::now",
    "SystemTime::now",
    "ureq::",
    "crossbeam",
];

/// A line of code without its comment, and where it stands.
struct Line {
    file: String,
    number: usize,
    code: String,
}

fn lines_of(dir: &str) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = rust_files(&root.join(dir));
    assert!(!files.is_empty(), "expected sources in {dir}");
    files.iter().flat_map(|file| read(root, file)).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries.map(|entry| entry.expect("expected a directory entry").path());
    paths
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn read(root: &Path, path: &Path) -> Vec<Line> {
    let file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines = text.lines().enumerate();
    lines.map(|(at, line)| Line { file: file.clone(), number: at + 1, code: without_comment(line).into() }).collect()
}

/// Good enough for our own sources: a `//` inside a string follows a colon (`https://`) or a quote.
fn without_comment(line: &str) -> &str {
    let starts = line.match_indices("//").map(|(at, _)| at);
    let end = starts.into_iter().find(|&at| !line[..at].ends_with([':', '"', '\'', '/']));
    &line[..end.unwrap_or(line.len())]
}

/// The module directly below the crate that a file belongs to: `delivery` of `src/delivery/dispatch/dispatcher.rs`.
fn module(file: &str) -> &str {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or(path)
}

/// Returns the number of `super` steps from a file's top level to the crate.
fn depth(file: &str) -> usize {
    file.trim_start_matches("src/").trim_end_matches("/mod.rs").split('/').count()
}

/// The modules that a line names, by `crate::` or by enough `super::`.
fn used(line: &Line) -> Vec<String> {
    let code = &line.code;
    // Tests inside a file are one module deeper.
    let steps = depth(&line.file) + usize::from(code.starts_with(' '));
    let root = "super::".repeat(steps);
    let rests = ["crate::", root.as_str()].into_iter().flat_map(|prefix| {
        let places = code.match_indices(prefix).map(move |(at, _)| (at, at + prefix.len()));
        places.filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$'))
    });
    rests.flat_map(|(_, end)| names(&code[end..])).collect()
}

/// The first name of a path, or those in its braces.
fn names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
    };
    match rest.strip_prefix('{') {
        Some(list) => list.split([',', '}']).map(name).filter(|name| !name.is_empty()).collect(),
        None => Some(name(rest)).filter(|name| !name.is_empty()).into_iter().collect(),
    }
}

#[test]
fn imports_follow_the_arrow() {
    let rule = |module: &str| ARROW.iter().find(|(name, _)| *name == module).map(|(_, uses)| *uses);
    let mut offences = Vec::new();
    for line in lines_of("src").iter().filter(|line| line.file != "src/lib.rs") {
        let from = module(&line.file);
        let allowed = rule(from).unwrap_or_else(|| panic!("{}: expected a row in ARROW for {from}", line.file));
        let known = used(line).into_iter().filter(|to| rule(to).is_some() && to != from);
        offences.extend(
            known
                .filter(|to| !allowed.contains(&to.as_str()))
                .map(|to| format!("{}:{}: {from} must not use {to}, only {allowed:?}", line.file, line.number)),
        );
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_arrow_never_turns_back() {
    for (at, (module, uses)) in ARROW.iter().enumerate() {
        let above = &ARROW[..at];
        let back = uses.iter().find(|used| !above.iter().any(|(name, _)| name == *used));
        assert_eq!(back, None, "{module} uses what does not stand above it");
    }
}

#[test]
fn every_module_is_in_the_arrow() {
    let lines = lines_of("src");
    let modules = lines.iter().filter(|line| line.file == "src/lib.rs");
    let modules: Vec<_> = modules.filter_map(|line| line.code.trim_end_matches(';').split("mod ").nth(1)).collect();
    let mut rows: Vec<_> = ARROW.iter().map(|(name, _)| *name).collect();
    rows.sort_unstable();
    assert_eq!(modules, rows);
}

#[test]
fn unsafe_is_at_the_edge_only() {
    const FORMS: &[&str] = &["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe("];
    for line in members().iter().flat_map(|member| lines_of(&format!("{member}src"))) {
        let says = FORMS.iter().any(|form| line.code.contains(form));
        assert!(!says || UNSAFE.contains(&line.file.as_str()), "{}:{}: unsafe", line.file, line.number);
    }
}

#[test]
fn the_core_is_pure() {
    let lines = lines_of("src");
    // Tests stand at the end of their file, and may read goldens.
    let in_tests = |line: &Line| {
        lines.iter().any(|other| other.file == line.file && other.number < line.number && other.code == "#[cfg(test)]")
    };
    let pure = lines.iter().filter(|line| PURE.iter().any(|path| line.file.starts_with(path)));
    for line in pure.filter(|line| IMPURE.iter().any(|word| line.code.contains(word)) && !in_tests(line)) {
        let found = IMPURE.iter().find(|word| line.code.contains(*word));
        assert_eq!(found, None, "{}:{}: {}", line.file, line.number, line.code);
    }
}

/// The files that may ask what time it is: the clock, and the model's time, which replaces it in unit tests.
const CLOCKS: &[&str] = &["src/clock.rs", "src/sync/scheduled.rs"];

#[test]
fn the_clock_module_alone_reads_the_time() {
    const READS: &[&str] = &["Instant::now", "SystemTime::now", "clock_gettime", "gettimeofday"];
    let lines = lines_of("src");
    // Tests stand at the end of their file.
    let begins_tests = |pair: &[Line]| pair[0].code == "#[cfg(test)]" && pair[1].code.ends_with('{');
    let in_tests = |line: &Line| {
        let mut before = lines.windows(2).filter(|pair| pair[0].file == line.file && pair[0].number < line.number);
        line.file.ends_with("tests.rs") || before.any(begins_tests)
    };
    let found: Vec<_> = lines
        .iter()
        .filter(|line| READS.iter().any(|read| line.code.contains(read)))
        .filter(|line| !CLOCKS.contains(&line.file.as_str()) && !in_tests(line))
        .map(|line| format!("{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(found.is_empty(), "expected src/clock.rs to be asked:\n{}", found.join("\n"));
}

/// Commands that ask the library itself, so that their answers are the plugin's. The others meet the plugin as a host or a
/// server does, so that their tests are tests of the plugin.
const LINKING: &[&str] = &["cli/src/check/", "cli/src/explain/"];

#[test]
fn check_and_explain_alone_link_the_library() {
    let lines = lines_of("cli/src");
    let using: Vec<_> = lines.iter().filter(|line| line.code.contains("out_sentry::")).collect();
    let idle = LINKING.iter().find(|path| !using.iter().any(|line| line.file.starts_with(*path)));
    assert_eq!(idle, None, "expected it to use the library");
    let other = using.iter().find(|line| !LINKING.iter().any(|path| line.file.starts_with(path)));
    assert!(other.is_none_or(|line| panic!("{}:{}: {}", line.file, line.number, line.code)));
}

/// Returns the text of a file of the sources.
fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns the folders of the workspace's packages, each with a slash at its end; that of the plugin is empty.
fn members() -> Vec<String> {
    let manifest = text("Cargo.toml");
    let list = manifest.lines().find_map(|line| line.strip_prefix("members = [")?.strip_suffix(']'));
    let names = list.expect("expected the members on one line").split(", ").map(|name| name.trim_matches('"'));
    names.map(|name| if name == "." { String::new() } else { format!("{name}/") }).collect()
}
