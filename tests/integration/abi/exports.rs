//! Tests the symbols that the library exports and those that it requires.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::process::on_path;
use testkit::suite::Suite;
use testkit::{artefacts, plugin};

/// The symbols of `include/out_sentry.h`.
const EXPORTED: [&str; 10] = [
    "FLBPluginExit",
    "FLBPluginExitCtx",
    "FLBPluginFlush",
    "FLBPluginFlushCtx",
    "FLBPluginInit",
    "FLBPluginOutputPreExit",
    "FLBPluginOutputPreRun",
    "FLBPluginPreRegister",
    "FLBPluginRegister",
    "FLBPluginUnregister",
];

/// glibc's own libraries, without their numbers; and the unwinder, which every image that can run the host has.
const NEEDED: [&str; 7] = ["libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux-", "libgcc_s.so"];

fn output(tool: &Path, arguments: &[&str], library: &Path) -> String {
    let output = Command::new(tool).args(arguments).arg(library).output().expect("expected to run the tool");
    assert!(output.status.success(), "{}: {}", tool.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn exports_only_what_hosts_look_up((nm, library): (PathBuf, PathBuf)) {
    let text = output(&nm, &["-D", "--defined-only"], &library);
    let found: BTreeSet<_> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(found, BTreeSet::from(EXPORTED));
}

fn needs_only_the_c_library((readelf, library): (PathBuf, PathBuf)) {
    let text = output(&readelf, &["--dynamic", "--wide"], &library);
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    let names: Vec<_> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert!(names.iter().any(|name| name.starts_with("libc.so")), "{names:?}");
    for name in &names {
        assert!(NEEDED.iter().any(|known| name.starts_with(known)), "expected glibc and libgcc_s, found {name}");
    }
    assert!(text.contains("NODELETE"), "expected a library that dlclose leaves where it is");
}

/// A program and a library, or why one of them is not there.
fn with(tool: &str, library: &Result<PathBuf, String>) -> Result<(PathBuf, PathBuf), String> {
    let tool = on_path(tool).ok_or_else(|| format!("no {tool} on PATH"))?;
    Ok((tool, library.clone()?))
}

pub fn add(mut suite: Suite) -> Suite {
    let under_test = plugin();
    let release = artefacts::fresh_release().filter(|release| *release != under_test).ok_or_else(|| {
        "no other release build as new as its sources (cargo build --release), the profile under test was read"
            .to_owned()
    });
    for (name, library) in [("", Ok(under_test)), ("_release", release)] {
        let exports = format!("exports::only_what_hosts_look_up{name}");
        suite = suite.needing(&with("nm", &library), &exports, exports_only_what_hosts_look_up);
        let needs = format!("exports::needs_only_the_c_library{name}");
        suite = suite.needing(&with("readelf", &library), &needs, needs_only_the_c_library);
    }
    suite
}
