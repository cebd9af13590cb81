//! Python packages that are test tools: installed once, into the target directory, by whichever test comes first.

use super::process::{self, Launch};
use super::{artefacts, wait};
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A set of pinned packages.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    /// Name in messages and of its directory.
    pub name: &'static str,
    /// The version of its main package.
    pub version: &'static str,
    /// Packages to install.
    pub pins: &'static [&'static str],
}

/// An environment with the packages in it.
#[derive(Debug, Clone)]
pub struct Environment {
    dir: PathBuf,
}

/// Longest an installation takes before it is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// Time for which a failure is remembered: without it every test program of a run would wait for the same registry again.
const REMEMBERED: Duration = Duration::from_secs(180);

/// The oldest Python that all packages run on.
const OLDEST: (u32, u32) = (3, 10);

/// Variables that would lead Python out of the environment.
pub const FOREIGN: &[&str] = &["PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV"];

impl Packages {
    /// The environment with these packages, made if it is not there yet; `Err` says why there is none.
    pub fn environment(&self) -> Result<Environment, String> {
        let real = artefacts::target_dir().join("real");
        let dir = real.join(format!("{}-{}", self.name, self.version));
        fs::create_dir_all(&real).map_err(|error| format!("{}: {error}", real.display()))?;
        let environment = Environment { dir };
        let _lock = environment.lock()?;
        if !environment.is_complete(self) {
            environment.make(self)?;
        }
        Ok(environment)
    }
}

impl Environment {
    /// Its Python.
    pub fn python(&self) -> PathBuf {
        self.dir.join("bin/python")
    }

    /// Its directory, where what can be made once and used again may be kept too.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps other test processes out of the environment until the file is dropped.
    pub fn lock(&self) -> Result<File, String> {
        let path = self.beside("lock");
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let taken = wait::until(LIMIT * 2, || match file.try_lock() {
            Ok(()) => Some(Ok(())),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => Some(Err(format!("{}: {error}", path.display()))),
        });
        taken.unwrap_or_else(|| Err(format!("{} is locked by another test process", path.display())))?;
        Ok(file)
    }

    /// A file next to the environment: `bugsink-2.6.1.log`.
    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.dir.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }

    /// The marker written last. It names the pins and the place, since an environment that was moved does not work.
    fn marker(&self, packages: &Packages) -> (PathBuf, String) {
        (self.dir.join("complete"), format!("{}\n{}\n", self.dir.display(), packages.pins.join("\n")))
    }

    fn is_complete(&self, packages: &Packages) -> bool {
        let (marker, text) = self.marker(packages);
        // The link to the interpreter dangles after an upgrade of the system's Python.
        fs::read_to_string(marker).is_ok_and(|found| found == text) && self.python().exists()
    }

    fn make(&self, packages: &Packages) -> Result<(), String> {
        let python = python3()?;
        self.recall()?;
        let installed = self.install(&python, packages);
        if let Err(why) = &installed {
            _ = fs::remove_dir_all(&self.dir);
            self.remember(why);
        }
        installed
    }

    fn install(&self, python: &Path, packages: &Packages) -> Result<(), String> {
        _ = fs::remove_dir_all(&self.dir);
        _ = fs::remove_file(self.beside("log"));
        self.run(python, ["-m", "venv"].map(OsStr::new).into_iter().chain([self.dir.as_os_str()]).collect())?;
        let pip = "-m pip install --quiet --disable-pip-version-check --no-input --retries 1 --timeout 15";
        let args = pip.split(' ').chain(packages.pins.iter().copied()).map(OsStr::new).collect();
        self.run(&self.python(), args)?;
        let (marker, text) = self.marker(packages);
        fs::write(&marker, text).map_err(|error| format!("{}: {error}", marker.display()))
    }

    fn run(&self, program: &Path, args: Vec<&OsStr>) -> Result<(), String> {
        let log = self.beside("log");
        let dir = self.dir.parent().unwrap_or(&self.dir);
        let launch = Launch {
            program: program.as_os_str(),
            args,
            env: Vec::new(),
            without_env: FOREIGN,
            dir,
            temporary: None,
            log,
        };
        match launch.run(LIMIT).map_err(|error| format!("{}: {error}", program.display()))? {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(explain(&launch.log)),
            None => Err(format!("Python packages not installed within {} s", LIMIT.as_secs())),
        }
    }

    fn remember(&self, why: &str) {
        _ = fs::write(self.beside("failed"), why);
    }

    /// The failure of a moment ago, if there was one.
    fn recall(&self) -> Result<(), String> {
        let path = self.beside("failed");
        let age = fs::metadata(&path).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        match (age, fs::read_to_string(&path)) {
            (Some(age), Ok(why)) if age < REMEMBERED => Err(format!("{why} (tried {} s ago)", age.as_secs())),
            _ => Ok(()),
        }
    }
}

/// A Python that is new enough: `python3`, else one that has its version in its name.
fn python3() -> Result<PathBuf, String> {
    let first = process::on_path("python3").ok_or("no python3 on PATH")?;
    let found = version(&first).ok_or("python3 does not run")?;
    if found >= OLDEST {
        return Ok(first);
    }
    let named =
        ["python3.13", "python3.12", "python3.11", "python3.10"].iter().filter_map(|name| process::on_path(name));
    named
        .into_iter()
        .find(|path| version(path).is_some_and(|version| version >= OLDEST))
        .ok_or_else(|| format!("python3 is {}.{}, the packages need {}.{}", found.0, found.1, OLDEST.0, OLDEST.1))
}

fn version(python: &Path) -> Option<(u32, u32)> {
    let script = "import sys; print(*sys.version_info[:2])";
    let output = std::process::Command::new(python).args(["-c", script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the meaning of the last words of pip or venv.
fn explain(log: &Path) -> String {
    let words = process::tail(log, 40);
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    if says(&["ensurepip", "No module named venv"]) {
        return "python3 has no venv module (Debian: package python3-venv)".into();
    }
    if says(&[
        "NewConnectionError",
        "ConnectTimeout",
        "ReadTimeout",
        "NameResolutionError",
        "ProxyError",
        "Connection",
        "SSLError",
    ]) {
        return "the Python package index cannot be reached".into();
    }
    let error = words.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("pip failed");
    format!("{} (log: {})", error.trim(), log.display())
}
