//! The files of the workspace: their length, and that a program includes each test source.

use super::{members, rust_files};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a source file may have. A longer one is split by subject.
const MAX_LINES: usize = 450;

/// Files that may be longer, because each is one table whose order has a meaning.
const TABLES: [&str; 1] = ["src/mapping/formats/rows.rs"];

#[test]
fn no_source_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = members().into_iter().map(|member| root.join(format!("{member}src")));
    let files: Vec<_> = sources.flat_map(|folder| rust_files(&folder)).chain(test_sources()).collect();
    assert!(files.len() > 300, "expected the sources, found {} files", files.len());
    let mut tables = TABLES.to_vec();
    for file in &files {
        let lines = fs::read_to_string(file).expect("expected text").lines().count();
        let name = file.strip_prefix(root).expect("expected a file of the workspace");
        if lines > MAX_LINES && TABLES.iter().any(|table| name == Path::new(table)) {
            tables.retain(|table| name != Path::new(table));
            continue;
        }
        assert!(lines <= MAX_LINES, "{}: expected at most {MAX_LINES} lines, found {lines}", name.display());
    }
    assert_eq!(tables, [""; 0], "expected no exception for files within the limit");
}

/// Folders of programs that the tests build for themselves.
const PROGRAMS: [&str; 2] = ["tests/sdk/", "tests/traces/"];

/// Returns the sources of tests and benchmarks.
fn test_sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = members().into_iter().map(|member| format!("{member}tests")).chain(["benches".into()]);
    let folders = folders.map(|folder| root.join(folder)).filter(|folder| folder.is_dir());
    let is_program = |file: &PathBuf| PROGRAMS.iter().any(|folder| file.starts_with(root.join(folder)));
    folders.flat_map(|folder| rust_files(&folder)).filter(|file| !is_program(file)).collect()
}

/// Returns the file that has to declare a module in this file; none for the root of a program.
fn parent(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().expect("expected a file in a folder");
    let name = file.file_name()?.to_str()?;
    let of_folder = |folder: &Path| {
        let inside = ["mod.rs", "main.rs"].map(|name| folder.join(name));
        inside.into_iter().find(|file| file.is_file()).unwrap_or_else(|| folder.with_extension("rs"))
    };
    match name {
        "main.rs" => None,
        _ if folder.ends_with("tests") => None,
        "mod.rs" => Some(of_folder(folder.parent()?)),
        _ => Some(of_folder(folder)),
    }
}

/// A file that no program includes has tests that nobody runs.
#[test]
fn every_test_source_is_compiled() {
    let files = test_sources();
    assert!(files.len() > 80, "expected the tests, found {} files", files.len());
    for file in &files {
        let Some(parent) = parent(file) else { continue };
        let module = if file.ends_with("mod.rs") { file.parent().and_then(Path::file_stem) } else { file.file_stem() };
        let module = module.and_then(|name| name.to_str()).expect("expected a name");
        let text = fs::read_to_string(&parent).unwrap_or_default();
        let declared = text.lines().any(|line| line.trim_start_matches("pub ") == format!("mod {module};"));
        assert!(declared, "{}: expected `mod {module};` in {}", file.display(), parent.display());
    }
}

/// Programs with a harness of their own list their tests; an attribute would be ignored.
#[test]
fn tests_without_the_harness_have_no_attribute() {
    let own = "testkit::suite";
    let files = test_sources();
    let text = |file: &Path| fs::read_to_string(file).unwrap_or_default();
    let roots = files.iter().filter(|file| parent(file).is_none() && text(file).contains(own));
    let mut found = 0;
    for root in roots {
        found += 1;
        let within =
            |file: &&PathBuf| *file == root || root.ends_with("main.rs") && file.starts_with(root.parent().unwrap());
        for file in files.iter().filter(within) {
            assert!(!text(file).contains("#[test]"), "{}: list the test in its suite", file.display());
        }
    }
    assert!(found > 2, "expected programs with a harness of their own, found {found}");
}

/// A module that is included by its path is compiled once more for each program that does so.
#[test]
fn no_module_is_included_by_its_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        members().into_iter().map(|member| format!("{member}src")).map(|folder| rust_files(&root.join(folder)));
    let sources: Vec<_> =
        folders.flatten().chain(test_sources()).chain(rust_files(&root.join("fuzz/fuzz_targets"))).collect();
    for file in sources {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let included = text.lines().any(|line| line.trim_start().starts_with("#[path"));
        assert!(!included, "{}: put what is shared into testkit", file.display());
    }
}
