//! A small C plugin that writes down how it is called, compiled for each test on its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The compiled plugin and the directory it traces to.
pub struct Probe {
    pub directory: TempDir,
    pub library: PathBuf,
}

impl Probe {
    /// Compiles it with these switches; `None`, and a word on why, without a C compiler.
    pub fn build(switches: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let library = directory.path().join("out_probe.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/plugin/plugin.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-pthread", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        compiler.arg(format!("-DTRACE=\"{}\"", directory.path().join("trace").display()));
        compiler.args(switches.iter().map(|switch| format!("-D{switch}")));
        match compiler.status() {
            Ok(status) => assert!(status.success(), "the probe does not compile"),
            Err(error) => {
                // Past the test harness, which keeps what passing tests print to itself.
                let _ = writeln!(std::io::stderr(), "skipped: no C compiler to build a plugin with: {error}");
                return None;
            }
        }
        Some(Self { directory, library })
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        let trace = std::fs::read_to_string(self.directory.path().join("trace")).unwrap_or_default();
        trace.lines().map(str::to_owned).collect()
    }
}
