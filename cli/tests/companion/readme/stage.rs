//! Runs command lines of the documents: in the repository, with the commands of this build on `PATH`, and with directories of
//! the test in the place of those of the system that README names.

use super::document::Line;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::artefacts::{built, workspace};
use testkit::tempdir::TempDir;

/// Environment variables that a machine may have set and that a reader need not have.
const FOREIGN: &[&str] =
    &["SENTRY_DSN", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "MAKEFLAGS"];

pub struct Stage {
    dir: TempDir,
    /// Texts of a document, each with the text that is used instead.
    swaps: Vec<(String, String)>,
    dsn: Option<String>,
}

/// The result of a command line.
pub struct Ended {
    pub code: Option<i32>,
    /// The output that a terminal would have shown.
    pub printed: String,
}

impl Stage {
    pub fn new() -> Self {
        Self { dir: TempDir::new("readme").expect("expected a directory"), swaps: Vec::new(), dsn: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The DSN in the environment.
    pub fn dsn(mut self, dsn: &str) -> Self {
        self.dsn = Some(dsn.to_owned());
        self
    }

    /// Puts a directory of ours in the place of this path, and makes what is above it.
    pub fn instead_of(self, shown: &str) -> Self {
        let ours = self.path(shown.trim_start_matches('/'));
        fs::create_dir_all(ours.parent().expect("expected a path")).expect("expected to make a directory");
        let ours = ours.display().to_string();
        self.swap(shown, &ours)
    }

    /// Puts a text in the place of another.
    pub fn swap(mut self, shown: &str, real: &str) -> Self {
        self.swaps.push((shown.to_owned(), real.to_owned()));
        self
    }

    /// As it is run here.
    pub fn real(&self, text: &str) -> String {
        self.swaps.iter().fold(text.to_owned(), |text, (shown, real)| {
            assert!(text.contains(shown.as_str()), "expected {shown:?} in {text:?}");
            text.replace(shown, real)
        })
    }

    /// As a document would show it.
    pub fn shown(&self, text: &str) -> String {
        self.swaps.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(real, shown))
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{}", self.real(line))]).current_dir(workspace()).stdin(Stdio::null());
        FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
        command.envs(self.dsn.iter().map(|dsn| ("SENTRY_DSN", dsn)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(built().to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).expect("expected directories"));
        command
    }

    pub fn run(&self, line: &str) -> Ended {
        let output = self.command(line).output().expect("expected a shell");
        Ended { code: output.status.code(), printed: self.shown(&String::from_utf8_lossy(&output.stdout)) }
    }

    /// Runs it, and it must succeed.
    pub fn succeeds(&self, line: &Line) -> String {
        let ended = self.run(&line.text);
        assert_eq!(ended.code, Some(0), "{}:\n{}", line.text, ended.printed);
        ended.printed
    }
}

/// Returns README.md and the pages of `docs/`, as paths below the root of the repository.
pub fn documents() -> Vec<String> {
    let mut documents = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/install"] {
        for entry in fs::read_dir(workspace().join(folder)).expect("expected a folder") {
            let name = entry.expect("expected an entry").file_name().display().to_string();
            if name.ends_with(".md") {
                documents.push(format!("{folder}/{name}"));
            }
        }
    }
    documents.sort();
    documents
}

/// A file of the repository.
pub fn text(path: &str) -> String {
    let path: &Path = &workspace().join(path);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
