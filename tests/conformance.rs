//! The host in C of `cmake/`, under every checker that is here, and the example of packaging; as `ctest` runs them.
//!
//! `make conformance` does the same with a release build and every scenario.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use testkit::artefacts;
use testkit::process::on_path;
use testkit::suite::Suite;
use testkit::tempdir::TempDir;

/// Calls that Valgrind checks in this test. Without optimisation of the library all others would take minutes.
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

/// Returns the reason why the compiler cannot link programs with sanitizers; on some systems they are separate packages.
fn no_sanitizers() -> Option<String> {
    let dir = TempDir::new("sanitizers").expect("expected a directory");
    let source = dir.path().join("nothing.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("expected to write a source");
    let mut command = Command::new("cc");
    command.arg("-fsanitize=address,undefined").arg(source).arg("-o").arg(dir.path().join("nothing"));
    let linked = command.output().is_ok_and(|output| output.status.success());
    (!linked).then(|| "the C compiler has no sanitizers".to_owned())
}

/// The example as a packager builds it: cargo is asked for both files, in the directory where it has them already.
fn packaged_through_cargo((profile, target): (&'static str, PathBuf)) {
    let (dir, example) =
        (TempDir::new("package").expect("expected a directory"), artefacts::workspace().join("cmake/example"));
    let target = format!("-DOUT_SENTRY_TARGET_DIR={}", target.display());
    // No registry is needed for what is built.
    let arguments = format!("{target};-DOUT_SENTRY_PROFILE={profile};-DOUT_SENTRY_CARGO_FLAGS=--offline --workspace");
    let mut command = Command::new("cmake");
    artefacts::without_package(&mut command);
    command.arg(format!("-DSOURCE={}", example.display())).arg(format!("-DBINARY={}", dir.path().display()));
    run(command.arg(format!("-DARGUMENTS={arguments}")).arg("-P").arg(example.join("check.cmake")));
}

/// The profile of this program by cargo's name and the directory it belongs to, where a plain build of it comes to lie.
fn plain_profile() -> Result<(&'static str, PathBuf), String> {
    let (dir, target) = (artefacts::profile_dir(), artefacts::target_dir());
    let profile = if dir.ends_with("debug") { "dev" } else { "release" };
    let plain = target.join("CACHEDIR.TAG").is_file() && (dir.ends_with("debug") || dir.ends_with("release"));
    if plain { Ok((profile, target)) } else { Err("built for a target or profile of its own".to_owned()) }
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
    let plain = lacks.map_or_else(plain_profile, Err);
    suite.needing(&plain, "packaged_through_cargo", packaged_through_cargo).run()
}
