//! Replays the inputs that `make fuzz` began with and those that it has found: each file of `fuzz/corpus` through the body of
//! its target.
//!
//! In `fuzz/` the same bodies are built for libFuzzer.

use out_sentry::mapping::SCRUB_EXAMPLES;
use properties::bodies;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    files.sort();
    files
}

/// Says which input it was when one fails.
struct Input(PathBuf);

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: {}", self.0.display());
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let inputs = files(&root().join("fuzz/corpus").join(target));
    assert!(!inputs.is_empty(), "expected seeds of {target}");
    for path in inputs {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let _input = Input(path);
        run(&bytes);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];
        mod replayed {
            $(#[test] fn $name() { super::replay(stringify!($name), properties::bodies::$name::run); })*
        }
    };
}

targets! { chunk configuration dsn join limits message options record request scrub spool trace }

/// Each example of the rules in each wrapper, and at the places where messages, breadcrumbs and tags are cut.
#[test]
fn no_example_leaves_in_any_wrapper_at_any_limit() {
    let examples: usize = SCRUB_EXAMPLES.iter().map(|example| example.filtered.len()).sum();
    for example in 0..examples as u8 {
        for wrapper in 0..bodies::scrub::WRAPPERS {
            (0..4).for_each(|cut| bodies::scrub::run(&[example, wrapper, cut, example.wrapping_mul(7), b'a', b'b']));
        }
    }
}

/// A target that is not replayed here would be forgotten, and one that is not built there never run.
#[test]
fn targets_are_replayed_and_replayed_ones_are_targets() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let of = |directory: &str| files(&root().join(directory)).into_iter().filter_map(stem).collect::<BTreeSet<_>>();
    assert_eq!(of("fuzz/fuzz_targets"), expected);
    assert_eq!(of("fuzz/corpus"), expected);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("a manifest");
    let named = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    assert_eq!(named.skip(1).map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}
