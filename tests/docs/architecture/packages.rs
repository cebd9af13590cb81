//! The packages of the workspace: the reason for each dependency, and the profiles.

use super::{members, text};
use std::fs;
use std::path::Path;

/// With `abort` the fence around each export does nothing, and a panic of ours ends the host.
#[test]
fn panics_unwind_in_every_profile() {
    for file in ["Cargo.toml", "cli/Cargo.toml", ".cargo/config.toml"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
        let words = text.lines().map(|line| line.split('#').next().unwrap_or_default().replace(' ', ""));
        let aborts = words.filter(|line| line.contains("panic=\"abort\"") || line.contains("panic=abort")).count();
        assert_eq!(aborts, 0, "{file}");
    }
}

/// Returns the name of a manifest's package.
fn package(manifest: &str) -> String {
    let text = text(manifest);
    let mut lines = text.lines().skip_while(|line| *line != "[package]");
    let name = lines.find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.unwrap_or_else(|| panic!("{manifest}: expected a name")).to_owned()
}

/// The names of a manifest's dependencies, those of tests included.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = text(manifest);
    let mut within = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            within = line.trim_end_matches(']').ends_with("dependencies");
        } else if within && line.starts_with(|c: char| c.is_ascii_lowercase()) {
            names.extend(line.split([' ', '.', '=']).next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_dependency_has_its_reason() {
    let text = text("ARCHITECTURE.md");
    let (_, table) = text.split_once("## Packages").expect("a chapter on packages");
    let known: Vec<&str> =
        table.lines().filter_map(|line| line.split('|').nth(1)).flat_map(|cell| cell.split('`')).collect();
    let manifests = members().into_iter().chain(["fuzz/".to_owned()]).map(|folder| format!("{folder}Cargo.toml"));
    let manifests: Vec<_> = manifests.collect();
    let ours: Vec<_> = manifests.iter().map(|manifest| package(manifest)).collect();
    let all: Vec<_> = manifests.iter().flat_map(|manifest| dependencies(manifest)).collect();
    assert!(all.len() > 20, "expected to find them");
    let without: Vec<_> = all.iter().filter(|name| !known.contains(&name.as_str()) && !ours.contains(name)).collect();
    assert!(without.is_empty(), "no reason is given for {without:?}");
}
