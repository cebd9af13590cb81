//! The host in C of `cmake/`, under every checker that is here, and the example of packaging; as `ctest` runs them.
//!
//! `make conformance` does the same with a release build and every scenario.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use support::artefacts;
use support::process::on_path;
use support::suite::Suite;
use support::tempdir::TempDir;

/// What Valgrind looks at here. All the others of a library without optimisation take it minutes.
const MEMCHECK: &str = "registration;nulls;failing_init;refused_reload";

fn missing(tool: &str) -> Option<String> {
    on_path(tool).is_none().then(|| format!("no {tool} on PATH"))
}

/// Runs a command; its output, if it fails.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
}

/// The C side, configured and built once for all tests.
#[derive(Clone)]
struct Tree(Arc<(TempDir, OnceLock<()>)>);

impl Tree {
    fn new() -> Self {
        Self(Arc::new((TempDir::new("conformance").expect("expected a directory"), OnceLock::new())))
    }

    fn built(&self) -> &Path {
        let (dir, built) = &*self.0;
        built.get_or_init(|| build(dir.path()));
        dir.path()
    }

    /// Runs the tests of a label; there has to be one.
    fn test(&self, label: &str) {
        let mut command = Command::new("ctest");
        command.arg("--test-dir").arg(self.built()).args(["--output-on-failure", "--no-tests=error", "-j2"]);
        run(command.args(["-L", label]));
    }
}

fn build(dir: &Path) {
    let built = artefacts::built();
    let value = |name: &str, path: PathBuf| format!("-D{name}={}", path.display());
    let mut command = Command::new("cmake");
    command.arg("-S").arg(artefacts::workspace().join("cmake")).arg("-B").arg(dir);
    command.arg(value("OUT_SENTRY_LIBRARY", built.join("libout_sentry.so")));
    command.arg(value("OUT_SENTRY_COMPANION", built.join("flb-sentry")));
    // Valgrind may find nothing at all in a library that is not optimised.
    let profile = if built.ends_with("debug") { "dev" } else { "release" };
    run(command.arg(format!("-DOUT_SENTRY_PROFILE={profile}")).arg(format!("-DOUT_SENTRY_MEMCHECK={MEMCHECK}")));
    run(Command::new("cmake").arg("--build").arg(dir));
}

/// Whether the compiler can link programs with sanitizers: on some systems they are packages of their own.
fn no_sanitizers() -> Option<String> {
    let dir = TempDir::new("sanitizers").expect("expected a directory");
    let source = dir.path().join("nothing.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("expected to write a source");
    let mut command = Command::new("cc");
    command.arg("-fsanitize=address,undefined").arg(source).arg("-o").arg(dir.path().join("nothing"));
    let linked = command.output().is_ok_and(|output| output.status.success());
    (!linked).then(|| "the C compiler has no sanitizers".to_owned())
}

fn main() -> ExitCode {
    let tree = Tree::new();
    let lacks = missing("cmake").or_else(|| missing("ctest")).or_else(|| missing("make")).or_else(|| missing("cc"));
    let mut suite = Suite::default();
    for (label, more) in [
        ("plain", None),
        ("sanitizers", lacks.is_none().then(no_sanitizers).flatten()),
        ("memcheck", missing("valgrind")),
        ("package", None),
    ] {
        let part = lacks.clone().or(more).map_or(Ok(tree.clone()), Err);
        suite = suite.needing(&part, &format!("c_host_{label}"), move |tree: Tree| tree.test(label));
    }
    suite.run()
}
