//! Tests of the packages: what the metadata installs exists, and a Debian package works in a root of its own.

use super::{file, program, text};
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::artefacts::profile_dir;
use testkit::process::on_path;
use testkit::tempdir::TempDir;

/// The exit code of `packaging/test-deb` if something that it needs is missing.
const SKIPPED: i32 = 77;

/// Checks that the program can build packages here and install one in a root.
///
/// # Errors
/// What is missing.
pub fn tools() -> Result<(), String> {
    for name in ["cargo-deb", "cargo-generate-rpm", "debootstrap"] {
        program(name)?;
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if is_root { Ok(()) } else { Err("only root can change the root directory".to_owned()) }
}

/// Checks that both formats install the same files, and that those of this repository exist.
pub fn same_files() {
    let manifest = text("Cargo.toml");
    let table = |name: &str| {
        let (_, rest) = manifest.split_once(&format!("[package.metadata.{name}]\n")).expect("expected metadata");
        let (_, rest) = rest.split_once("\nassets = [\n").expect("expected assets");
        rest.split("\n]\n").next().unwrap_or_default().to_owned()
    };
    let sources = |table: &str| -> Vec<String> {
        table.lines().filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
    };
    let (deb, rpm) = (sources(&table("deb")), sources(&table("generate-rpm")));
    // packaging/packages copies what is in this repository, so that all files have the same time.
    let copied = deb.iter().chain(&rpm).filter_map(|source| source.strip_prefix("target/package-root/source/"));
    let script = text("packaging/packages");
    for source in copied.map(|source| source.trim_end_matches("/*")) {
        assert!(file(source).exists() && script.contains(&format!(" {source} ")), "{source} is not copied");
    }
    assert!(deb.iter().chain(&rpm).all(|source| source.starts_with("target/package-root/")), "{deb:?} {rpm:?}");
    // The license and the changelog are where each distribution looks for them.
    let of_one = |source: &&String| !source.ends_with("changelog.gz") && !source.ends_with("/LICENSE");
    assert_eq!(deb.iter().filter(of_one).collect::<Vec<_>>(), rpm.iter().filter(of_one).collect::<Vec<_>>());
    assert!(deb.len() > 8, "expected more than {deb:?}");
    assert!(
        !manifest.contains("conf-files") && !manifest.contains("dest = \"/etc"),
        "a package overwrites nothing in /etc"
    );
}

/// Checks that a release with another version than the sources is refused before anything is built, with all reasons.
pub fn other_versions() {
    let release = |version: &str| {
        let mut command = Command::new(file("packaging/release"));
        let output = command.arg(version).env_remove("MAINTAINER").output().expect("expected to run it");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout),
        )
    };
    let version = env!("CARGO_PKG_VERSION");
    let (code, printed) = release("99.0.0");
    assert_eq!(code, Some(1), "{printed}");
    for part in [
        format!("Cargo.toml: expected version 99.0.0, found {version}"),
        format!("Dockerfile: expected ARG VERSION=99.0.0, found {version}"),
        "CHANGELOG.md: expected a heading '## [99.0.0] - YYYY-MM-DD'".to_owned(),
        "CHANGELOG.md: nothing is said about 99.0.0".to_owned(),
        "MAINTAINER is not set".to_owned(),
    ] {
        assert!(printed.contains(&part), "expected {part}:\n{printed}");
    }
    let (code, printed) = release("1.0");
    assert!(code == Some(1) && printed.contains("expected a version as in VERSION=0.1.0"), "{printed}");
}

/// Checks that a maintainer without a name or an address is refused before anything is built.
pub fn wrong_maintainers() {
    for maintainer in
        ["Jane Doe", "jane@example.com", "<jane@example.com>", "Jane <jane>", "Jane\nDoe <jane@example.com>"]
    {
        let mut command = Command::new(file("packaging/packages"));
        let output = command.env("MAINTAINER", maintainer).output().expect("expected to run it");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{maintainer}: {printed}");
        assert!(printed.contains("expected 'Name <address>'"), "{maintainer}: {printed}");
    }
}

/// Builds both packages from this build, and installs, runs, upgrades and purges the Debian one.
pub fn works_in_a_root() {
    let dir = TempDir::new("packages").expect("expected a directory");
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("built")).expect("expected a directory");
    for (from, to) in [(testkit::plugin(), "out_sentry.so"), (profile_dir().join("flb-sentry"), "flb-sentry")] {
        fs::copy(&from, path("built").join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        // A release is built stripped, and lintian reports symbols as an error. It needs binutils itself.
        if let Some(strip) = on_path("strip") {
            run(Command::new(strip).arg(path("built").join(to)));
        }
    }
    let maintainer = "Jane O'Doe <jane@example.com>";
    let mut packages = Command::new(file("packaging/packages"));
    run(packages.env("BUILT", path("built")).env("DIST", path("dist")).env("MAINTAINER", maintainer));
    let found = |end: &str| {
        let mut files = fs::read_dir(path("dist")).expect("expected packages").flatten().map(|entry| entry.path());
        files.find(|file| file.to_string_lossy().ends_with(end)).unwrap_or_else(|| panic!("expected a package {end}"))
    };
    let rpm = found(".rpm");
    if let Some(program) = on_path("rpm") {
        let listed = run(Command::new(&program).args(["--query", "--package", "--list"]).arg(&rpm));
        assert!(listed.contains("/usr/lib/fluent-bit/out_sentry.so\n"), "{listed}");
        let vendor = run(Command::new(program).args(["--query", "--package", "--queryformat", "%{VENDOR}"]).arg(&rpm));
        assert_eq!(vendor, maintainer);
    }
    let deb = found(".deb");
    let field = run(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Maintainer"));
    assert_eq!(field.trim_end(), maintainer);
    test_deb(&deb);
}

fn test_deb(deb: &Path) {
    let mut command = Command::new(file("packaging/test-deb"));
    command.arg(deb);
    if let Some(root) = std::env::var_os("DEBIAN_ROOT") {
        command.arg(root);
    }
    let output = command.output().expect("expected to run packaging/test-deb");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(SKIPPED) {
        eprintln!("{printed}");
        return;
    }
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a command and returns what it prints.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}
