//! `include/out_sentry.h` against the mirrors in Rust: a compiler works out sizes and offsets of the one, and they are
//! compared with those of the others. Both sides also assert their own when they are compiled.

use plugin_host::Generation;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::artefacts;
use testkit::process::on_path;
use testkit::suite::Suite;
use testkit::tempdir::TempDir;

/// Returns the facts about every mirrored struct, as expressions of C.
fn mirrored() -> Vec<(&'static str, usize)> {
    let generations = [
        ("sizeof(struct out_sentry_definition)", Generation::V4_0.definition_size()),
        ("sizeof(struct out_sentry_definition_4_2)", Generation::V4_2.definition_size()),
        ("sizeof(struct out_sentry_definition_5_1)", Generation::V5_1.definition_size()),
        ("sizeof(struct out_sentry_api_1_9)/sizeof(void *)", Generation::V1_9.api_functions()),
        ("sizeof(struct out_sentry_api_2_0)/sizeof(void *)", Generation::V2_0.api_functions()),
        ("sizeof(struct out_sentry_api)/sizeof(void *)", Generation::V4_0.api_functions()),
    ];
    let plugin = out_sentry::abi::LAYOUT.iter().chain(out_sentry::host::LAYOUT);
    plugin.chain(plugin_host::LAYOUT).copied().chain(generations).collect()
}

fn header() -> PathBuf {
    artefacts::workspace().join("include/out_sentry.h")
}

/// Compiles C with our header; the program, or what the compiler says.
fn compile(compiler: &Path, dir: &Path, flags: &[&str], source: &str) -> Result<PathBuf, String> {
    let (file, program) = (dir.join("layout.c"), dir.join("layout"));
    std::fs::write(&file, source).expect("expected to write a source");
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Werror", "-pedantic"]).args(flags);
    command.arg("-I").arg(artefacts::workspace().join("include")).arg(&file).arg("-o").arg(&program);
    let output = command.output().expect("expected to run the compiler");
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Returns the values that the C compiler computes for these expressions.
fn worked_out(compiler: &Path, expressions: &[(&str, usize)]) -> Vec<usize> {
    let dir = TempDir::new("header").expect("expected a directory");
    let prints = expressions.iter().map(|(text, _)| format!("    printf(\"%zu\\n\", (size_t)({text}));\n"));
    let body: String = prints.collect();
    let source = format!("#include <out_sentry.h>\n#include <stdio.h>\nint main(void) {{\n{body}    return 0;\n}}\n");
    let program = compile(compiler, dir.path(), &["-std=c11"], &source).unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(program).output().expect("expected to run it");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().expect("expected a number")).collect()
}

fn both_sides_agree(compiler: PathBuf) {
    let mirrored = mirrored();
    let worked_out = worked_out(&compiler, &mirrored);
    assert_eq!(mirrored.len(), worked_out.len());
    for ((expression, rust), c) in mirrored.iter().zip(worked_out) {
        assert_eq!(*rust, c, "{expression}: Rust says {rust}, C says {c}");
    }
}

/// A host written in C++ may include it as well.
fn header_compiles_as_cpp(compiler: PathBuf) {
    let dir = TempDir::new("header").expect("expected a directory");
    let source = "#include <out_sentry.h>\nint main() { return 0; }\n";
    compile(&compiler, dir.path(), &["-x", "c++", "-std=c++11"], source).unwrap_or_else(|error| panic!("{error}"));
}

/// Its assertions can fail: a field more, and it does not compile.
fn its_assertions_hold_something(compiler: PathBuf) {
    let dir = TempDir::new("header").expect("expected a directory");
    let text = std::fs::read_to_string(header()).expect("expected a header");
    let changed = text.replace("    int flags; ", "    int flags, more, fields; ");
    assert_ne!(changed, text);
    let error = compile(&compiler, dir.path(), &["-std=c11"], &changed).expect_err("expected a refusal");
    assert!(error.contains("offset of out_sentry_definition.name"), "{error}");
}

/// Every field that the header asserts is a field that Rust knows of, and the other way round for whole structures.
fn every_structure_is_mirrored() {
    let text = std::fs::read_to_string(header()).expect("expected a header");
    let declared = text.lines().filter_map(|line| line.strip_prefix("struct ")?.strip_suffix(" {"));
    let mirrored = mirrored();
    let known = |name: &str| mirrored.iter().any(|(text, _)| text.starts_with(&format!("sizeof(struct {name})")));
    let unknown: BTreeSet<_> = declared.filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "no mirror in Rust compares its size with {unknown:?}");
}

pub fn add(suite: Suite) -> Suite {
    let compiler = on_path("cc").ok_or_else(|| "no C compiler (cc) on PATH".to_owned());
    let cpp = on_path("c++").ok_or_else(|| "no C++ compiler (c++) on PATH".to_owned());
    suite
        .needing(&compiler, "header::both_sides_agree", both_sides_agree)
        .needing(&compiler, "header::its_assertions_hold_something", its_assertions_hold_something)
        .needing(&cpp, "header::header_compiles_as_cpp", header_compiles_as_cpp)
        .test("header::every_structure_is_mirrored", every_structure_is_mirrored)
}
