//! Tests of `.github`: workflows run targets of the Makefile, actions are pinned, and the minimum Rust version is a supported one.

use super::{file, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets that must be run for each change, besides those of `.ci/run`.
const FOR_EACH_CHANGE: [&str; 3] = ["test", "docs", "audit"];

/// Returns the workflow files, sorted.
fn workflows() -> Vec<PathBuf> {
    let entries = fs::read_dir(file(".github/workflows")).expect("expected workflows").flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    assert!(files.len() >= 2, "expected workflows, found {files:?}");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns what follows a key in the lines of a file, without comments.
fn values<'a>(workflow: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    workflow.lines().filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(key).map(str::trim))
}

/// Returns the targets of `make` in a workflow: words without `=` behind `make`.
fn targets(workflow: &str) -> Vec<&str> {
    let commands = workflow.lines().filter_map(|line| line.trim_start().split_once("run: make ").map(|(_, rest)| rest));
    commands.flat_map(|rest| rest.split_whitespace().take_while(|word| !word.contains('='))).collect()
}

/// Returns true for `owner/name@<commit> # v1.2.3`, where the commit has 40 hexadecimal digits.
fn is_pinned(action: &str) -> bool {
    let Some((reference, version)) = action.split_once(" # v") else { return false };
    let Some((name, commit)) = reference.split_once('@') else { return false };
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name.contains('/') && is_commit && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

/// Checks that each action is pinned by a full commit hash, and that each target exists.
pub fn pinned() {
    let makefile = text("Makefile");
    let mut actions = 0;
    for path in workflows() {
        let workflow = read(&path);
        let name = path.display();
        for action in values(&workflow, "uses:") {
            assert!(is_pinned(action), "{name}: {action}: expected a full commit hash and its version");
            actions += 1;
        }
        for target in targets(&workflow) {
            assert!(makefile.contains(&format!("\n{target}:")), "{name}: the Makefile has no target {target}");
        }
        assert!(workflow.contains("\npermissions:\n  contents: read\n"), "{name}: expected read permissions");
        let checkouts = workflow.matches("uses: actions/checkout@").count();
        assert_eq!(workflow.matches("persist-credentials: false").count(), checkouts, "{name}: credentials persist");
    }
    assert!(actions > 5, "expected actions, found {actions}");
    assert!(!is_pinned("actions/checkout@v7"), "a tag passed");
    assert!(!is_pinned("actions/checkout@3d3c42e # v7.0.1"), "a short hash passed");
}

/// Checks that a change is tested by the gate and by the other targets, on both architectures.
pub fn complete() {
    let check = text(".github/workflows/check.yml");
    assert!(check.contains("run: .ci/run\n"), "expected the gate");
    let found = targets(&check);
    for target in FOR_EACH_CHANGE {
        assert!(found.contains(&target), "check.yml does not run make {target}, only {found:?}");
    }
    assert!(check.contains("rust: [stable, minimum]"), "expected both versions of Rust");
    assert_eq!(check.matches("runner: [ubuntu-24.04, ubuntu-24.04-arm]").count(), 2, "expected both architectures");
}

/// Checks that the minimum Rust version is older than the pinned one, and that the documents name it.
pub fn minimum_rust() {
    let number = |text: &str| text.split('.').take(2).map(|part| part.parse().expect("a number")).collect::<Vec<u32>>();
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    let toolchain = text("rust-toolchain.toml");
    let pinned = toolchain.split('"').nth(1).expect("expected a channel");
    assert!(number(minimum) < number(pinned), "expected {minimum} to be older than {pinned}");
    assert!(
        text("docs/development.md").contains(&format!("supported is {minimum}")),
        "expected {minimum} in development.md"
    );
}

/// Runs actionlint on all workflows.
pub fn lint(actionlint: &Path) {
    let output = Command::new(actionlint).args(workflows()).output().expect("expected to run actionlint");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
