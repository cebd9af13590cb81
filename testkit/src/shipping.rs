//! `flb-sentry ship` as a process of its own: with its own environment, and with everything it says in a file.

use super::process::{Group, Launch};
use super::tempdir::TempDir;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Variables of the machine that must not decide how a test ends.
const ENVIRONMENT: &[&str] = &[
    "SENTRY_DSN",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Options that keep every wait short.
const QUICK: &[&str] = &[
    "log_level=info",
    "batch_timeout=50ms",
    "retry_base=50ms",
    "retry_max=200ms",
    "timeout=2s",
    "exit_timeout=500ms",
    "storm_burst=0",
    "event_rate=0",
];

/// A directory with a spool, an input and a log.
pub struct Shipping {
    dir: TempDir,
}

impl Shipping {
    /// A place to ship this chunk from.
    pub fn of(chunk: &[u8]) -> Self {
        let dir = TempDir::new("shipping").expect("expected a directory");
        std::fs::write(dir.path().join("in.msgpack"), chunk).expect("expected to write a chunk");
        Self { dir }
    }

    /// Returns the directory of its spool, input and log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn log_file(&self) -> PathBuf {
        self.dir().join("log")
    }

    /// All that it has said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Starts it with these options (`key=value`) and variables.
    pub fn start(&self, options: &[&str], env: &[(&str, &str)], more: &[&str]) -> Group {
        let (plugin, companion) = (super::plugin(), super::companion());
        let (input, spool) =
            (self.dir().join("in.msgpack"), format!("spool_path={}", self.dir().join("spool").display()));
        let all = options.iter().copied().chain(QUICK.iter().copied()).chain([spool.as_str()]);
        let all = all.flat_map(|option| ["-o", option]);
        let mut args: Vec<&OsStr> = ["ship", "--tag", "kube.app"].iter().chain(more).map(OsStr::new).collect();
        args.extend(["--plugin".as_ref(), plugin.as_os_str()]);
        args.extend(all.map(OsStr::new));
        args.push(input.as_os_str());
        let launch = Launch {
            program: companion.as_os_str(),
            args,
            env: env.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect(),
            without_env: &unset(env),
            dir: self.dir(),
            temporary: None,
            log: self.log_file(),
        };
        launch.start().expect("expected flb-sentry to start")
    }

    /// Runs it to its end.
    pub fn run(&self, options: &[&str], env: &[(&str, &str)]) -> Option<ExitStatus> {
        self.start(options, env, &[]).wait(super::output::PATIENCE)
    }
}

/// Returns the variables that must not be set: all except those of the test.
fn unset(env: &[(&str, &str)]) -> Vec<&'static str> {
    ENVIRONMENT.iter().copied().filter(|name| env.iter().all(|(set, _)| set != name)).collect()
}
