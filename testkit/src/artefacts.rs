//! Finds the plugin and the companion, built with the profile of the program that asks.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{fs, io};

/// The directory of this program's profile: `target/debug`, `target/release`.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("expected a path to this program");
    let dir = exe.parent().expect("expected a program in a directory");
    match dir.file_name().and_then(OsStr::to_str) {
        // Tests are in `deps`, examples in `examples`, commands in the directory itself.
        Some("deps" | "examples") => dir.parent().expect("expected a profile directory").to_owned(),
        _ => dir.to_owned(),
    }
}

/// Returns the target directory, which both profiles share.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("expected a target directory").to_owned()
}

/// The profile directory with both artefacts in it, as new as their sources: `cargo test --test x` builds neither the
/// companion nor, for a test of the companion, the plugin, and what an older build left must not pass for ours.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = profile_dir();
        let root = workspace();
        let plugin = is_fresh(&dir.join("libout_sentry.so"), &root.join("src"));
        let command = dir.join("flb-sentry");
        if !plugin
            || ["cli/src", "receiver/src", "cli/host/src"]
                .iter()
                .any(|sources| !is_fresh(&command, &root.join(sources)))
        {
            build(&root, &dir);
        }
        dir
    })
}

/// The workspace's root: the package that includes us, or the directory above it.
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let holds_lock = |dir: &&Path| dir.join("Cargo.lock").is_file();
    package.ancestors().find(holds_lock).unwrap_or(package).to_owned()
}

/// The plugin of the release profile, if there is one as new as its sources.
pub fn fresh_release() -> Option<PathBuf> {
    let plugin = target_dir().join("release/libout_sentry.so");
    is_fresh(&plugin, &workspace().join("src")).then_some(plugin)
}

fn is_fresh(artefact: &Path, sources: &Path) -> bool {
    match fs::metadata(artefact).and_then(|meta| meta.modified()) {
        Ok(built) => newest(sources).is_none_or(|changed| changed <= built),
        Err(_) => false,
    }
}

/// When a file below `path` last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let below =
        |dir: &Path| -> io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect() };
    match below(path) {
        Ok(paths) => paths.iter().filter_map(|path| newest(path)).max(),
        Err(_) => fs::metadata(path).and_then(|meta| meta.modified()).ok(),
    }
}

fn build(root: &Path, profile_dir: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace"]).current_dir(root);
    match profile_dir.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => &mut command,
        Some(profile) => command.args(["--profile", profile]),
    };
    add_target(&mut command, profile_dir);
    without_package(&mut command);
    let status = command.status().expect("expected to run cargo");
    assert!(status.success(), "cargo build --workspace: {status}");
}

/// Keeps from a command what cargo says to this program about its package: build scripts that ask for it would take it for
/// a change, and cargo would build what is built already.
pub fn without_package(command: &mut Command) {
    let told = |name: &str| name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
}

/// Directs the build into the directory we are in, which for `--target` has the triple's name in between.
fn add_target(command: &mut Command, profile_dir: &Path) {
    let Some(above) = profile_dir.parent() else { return };
    let triple = above.file_name().and_then(OsStr::to_str).filter(|name| name.matches('-').count() >= 2);
    match (triple, above.parent()) {
        (Some(triple), Some(target)) if target.join("CACHEDIR.TAG").is_file() => {
            command.args(["--target", triple, "--target-dir"]).arg(target)
        }
        _ => command.arg("--target-dir").arg(above),
    };
}
