//! Bugsink: a real, Sentry-compatible server with a page of its own, for end-to-end tests and the demo.
//!
//! It stores events as issues and takes logs without showing them, so every request body is kept too
//! (`bugsink_wsgi.py`): logs are counted there.

use super::envelope::Envelope;
use super::http::{self, Response};
use super::net::free_port;
use super::process::{self, Group, Launch};
use super::python::{Environment, FOREIGN, Packages};
use super::tempdir::TempDir;
use super::wait;
use serde_json::Value;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// The user who may look at the page.
pub const USER: &str = "admin";
/// The user's password.
pub const PASSWORD: &str = "admin";
/// Number of projects, numbered from 1.
pub const PROJECTS: u8 = 3;

const TOKEN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PACKAGES: Packages = Packages { name: "bugsink", version: "2.6.1", pins: &["bugsink==2.6.1"] };
const CONF: &str = include_str!("bugsink_conf.py");
const SEED: &str = include_str!("bugsink_seed.py");
const WSGI: &str = include_str!("bugsink_wsgi.py");

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Behaviour of the server.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events a project takes within five minutes; then 429 for everything, logs included. `None`: no limit.
    pub quota_5min: Option<u32>,
    /// True if the server leaves out events that violate the schema. The answer is 200 in either case.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { quota_5min: None, strict: true }
    }
}

/// A server on a free loopback port, with a state of its own.
#[derive(Debug)]
pub struct Bugsink {
    // Before the directory: what still writes into it must end first.
    running: Option<Group>,
    python: PathBuf,
    options: Options,
    port: u16,
    state: TempDir,
}

/// An issue that the server made of events that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its id: the argument of [`Bugsink::events`].
    pub id: String,
    /// Type and value, as the page shows them: `ValueError: bad input`.
    pub title: String,
    /// The level of its newest event.
    pub level: String,
    /// Number of events of the issue.
    pub count: u64,
}

/// A POST that reached the server.
#[derive(Debug, Clone)]
pub struct Post {
    /// The project of its path.
    pub project: u8,
    /// The status it was answered with; 0 when the server ended before it answered.
    pub status: u16,
    /// The `Content-Encoding` it came with, or `identity`.
    pub encoding: String,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

impl Bugsink {
    /// Starts a server and waits until it answers; `Err` says why there is none.
    pub fn start(options: Options) -> Result<Self, String> {
        let environment = PACKAGES.environment()?;
        let seed = seed(&environment)?;
        let state = prepare(&seed).map_err(|error| format!("Bugsink's state: {error}"))?;
        let mut server = Self { running: None, python: environment.python(), options, port: 0, state };
        // Between choosing a port and binding it somebody else may have taken it.
        let mut launched = Err(String::new());
        for _ in 0..3 {
            server.port = free_port().map_err(|error| format!("no free port: {error}"))?;
            launched = server.launch();
            if launched.is_ok() || !server.log().contains("in use") {
                break;
            }
        }
        launched.map(|()| server)
    }

    /// The DSN of project 1.
    pub fn dsn(&self) -> String {
        self.project_dsn(1)
    }

    /// The DSN of a project.
    pub fn project_dsn(&self, project: u8) -> String {
        format!("http://{}@127.0.0.1:{}/{project}", key(project), self.port)
    }

    /// The port it listens on, also while it is stopped.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The page with the issues of project 1. Log in there as [`USER`] with [`PASSWORD`].
    pub fn login_url(&self) -> String {
        format!("http://127.0.0.1:{}/accounts/login/?next=/issues/1/", self.port)
    }

    /// The issues of project 1, the most frequent first.
    pub fn issues(&self) -> Result<Vec<Issue>, String> {
        self.project_issues(1)
    }

    /// The issues of a project, the most frequent first.
    pub fn project_issues(&self, project: u8) -> Result<Vec<Issue>, String> {
        let listed = self.list(&format!("issues/?project={project}"))?;
        let mut issues = listed.iter().map(|row| self.issue(row)).collect::<Result<Vec<_>, _>>()?;
        issues.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.title.cmp(&b.title)));
        Ok(issues)
    }

    /// All events of an issue as they were sent, the oldest first.
    pub fn events(&self, issue: &str) -> Result<Vec<Value>, String> {
        let listed = self.list(&format!("events/?issue={issue}"))?;
        listed.iter().rev().map(|row| self.event(row)).collect()
    }

    /// Every POST that arrived, in order, whatever its answer.
    pub fn posts(&self) -> Result<Vec<Post>, String> {
        self.read_posts().map_err(|error| format!("posts to Bugsink: {error}"))
    }

    /// The unpacked body of every POST that arrived, in order, whatever its answer.
    pub fn envelopes(&self) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.posts()?.into_iter().map(|post| post.body).collect())
    }

    /// The envelopes that were answered 200, taken apart.
    pub fn accepted(&self) -> Result<Vec<Envelope>, String> {
        self.posts()?.iter().filter(|post| post.status == 200).map(|post| Envelope::parse(&post.body)).collect()
    }

    /// Every log item in the envelopes that were answered 200, in order.
    pub fn log_items(&self) -> Result<Vec<Value>, String> {
        Ok(self.accepted()?.iter().map(Envelope::logs).collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Returns the number of logs that the server accepted.
    pub fn logs(&self) -> Result<usize, String> {
        Ok(self.log_items()?.len())
    }

    /// Ends it in good order; its port and its data stay.
    pub fn stop(&mut self) {
        if let Some(mut group) = self.running.take() {
            _ = group.terminate(STOPS_WITHIN);
        }
    }

    /// Ends it in the middle of whatever it does; its port and its data stay.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again with its data, after ending it if it still runs.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        self.launch()
    }

    /// [`Bugsink::restart`] with other options: a larger quota ends a limit at once.
    pub fn restart_with(&mut self, options: Options) -> Result<(), String> {
        self.options = options;
        self.restart()
    }

    /// Returns the server's log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.state.path().join("log")
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut group = self.spawn().map_err(|error| format!("Bugsink: {error}"))?;
        let answers = || http::get(self.port, "/health/ready", &[]).is_ok_and(|answer| answer.status == 200);
        // It is ours that answers only while our process is there: the port may be somebody else's.
        let ready = wait::until(READY_WITHIN, || match group.status() {
            Some(_) => Some(false),
            None => answers().then_some(true),
        });
        if ready == Some(true) && group.status().is_none() {
            self.running = Some(group);
            return Ok(());
        }
        Err(format!("Bugsink did not start:\n{}", process::tail(&self.log_file(), 20)))
    }

    fn spawn(&self) -> io::Result<Group> {
        let port = self.port.to_string();
        let quota = self.options.quota_5min.unwrap_or(1_000_000).to_string();
        let validate = if self.options.strict { "strict" } else { "none" };
        let bind = format!("127.0.0.1:{port}");
        let args = ["-m", "gunicorn", "--no-control-socket", "--workers", "1", "--threads", "4", "--bind"];
        let env = [("BUGSINK_PORT", port.as_str()), ("BUGSINK_QUOTA", &quota), ("BUGSINK_VALIDATE", validate)];
        let launch = Launch {
            program: self.python.as_os_str(),
            args: args.into_iter().chain([bind.as_str(), "bugsink_wsgi"]).map(OsStr::new).collect(),
            env: env.map(|(name, value)| (name, OsStr::new(value))).to_vec(),
            without_env: FOREIGN,
            dir: self.state.path(),
            temporary: Some(self.state.path()),
            log: self.log_file(),
        };
        launch.start()
    }

    fn issue(&self, row: &Value) -> Result<Issue, String> {
        let id = text(row, "id");
        let newest = self.list(&format!("events/?issue={id}"))?;
        let newest = newest.first().map(|event| self.event(event)).transpose()?.unwrap_or_default();
        let title = match (text(row, "calculated_type"), text(row, "calculated_value")) {
            (kind, value) if value.is_empty() => kind,
            (kind, value) => format!("{kind}: {value}"),
        };
        let count = row["digested_event_count"].as_u64().unwrap_or_default();
        Ok(Issue { id, title, level: text(&newest, "level"), count })
    }

    fn event(&self, row: &Value) -> Result<Value, String> {
        Ok(self.read(&format!("{API}events/{}/", text(row, "id")))?["data"].take())
    }

    /// All rows of a list, page by page.
    fn list(&self, what: &str) -> Result<Vec<Value>, String> {
        let mut rows = Vec::new();
        let mut next = Some(format!("{API}{what}"));
        while let Some(path) = next {
            let mut page = self.read(&path)?;
            rows.extend(page["results"].as_array_mut().map(std::mem::take).unwrap_or_default());
            next = page["next"].as_str().map(|url| url[url.find(API).unwrap_or_default()..].to_owned());
        }
        Ok(rows)
    }

    fn read(&self, path: &str) -> Result<Value, String> {
        let answer = http::get(self.port, path, &[("Authorization", &format!("Bearer {TOKEN}"))]);
        let answer: Response = answer.map_err(|error| format!("GET {path}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("GET {path}: expected 200, found {}: {}", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("GET {path}: {error}"))
    }

    fn read_posts(&self) -> io::Result<Vec<Post>> {
        let dir = self.state.path().join("posts");
        loop {
            match read_dir(&dir) {
                // An answer was given, and the file renamed, while we looked: what we have seen so far is no snapshot.
                Err(error) if error.kind() == io::ErrorKind::NotFound && dir.exists() => continue,
                read => return read,
            }
        }
    }
}

impl Drop for Bugsink {
    fn drop(&mut self) {
        // Nothing is worth waiting for here, and the directory goes as soon as this returns.
        self.kill();
    }
}

/// Path of the interface for reading back.
const API: &str = "/api/canonical/0/";

/// The public key of a project: 32 hexadecimal digits, plain to see in a log.
pub fn key(project: u8) -> String {
    project.to_string().repeat(32)
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

/// All kept POSTs in the order of their arrival, which their names begin with.
fn read_dir(dir: &Path) -> io::Result<Vec<Post>> {
    let mut paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().filter_map(|path| read_post(path).transpose()).collect()
}

/// A kept POST; `None` for one that is still arriving.
fn read_post(path: &Path) -> io::Result<Option<Post>> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some((stem, encoding)) = name.split_once('.') else { return Ok(None) };
    let mut parts = stem.split('-').skip(1);
    let (Some(project), Some(status)) = (number(parts.next()), number(parts.next())) else { return Ok(None) };
    let body = fs::read(path)?;
    Ok(Some(Post { project: project as u8, status, encoding: encoding.to_owned(), body }))
}

fn number(part: Option<&str>) -> Option<u16> {
    part?.parse().ok()
}

/// A fresh state directory: a copy of the seed.
fn prepare(seed: &Path) -> io::Result<TempDir> {
    let state = TempDir::new("bugsink")?;
    for file in ["db.sqlite3", "snappea.sqlite3"] {
        fs::copy(seed.join(file), state.path().join(file))?;
    }
    write_conf(state.path())?;
    fs::create_dir(state.path().join("posts"))?;
    Ok(state)
}

fn write_conf(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("bugsink_conf.py"), CONF)?;
    fs::write(dir.join("bugsink_wsgi.py"), WSGI)
}

/// The databases as they are before the first event. Making them takes seconds, so it is done once for all servers.
fn seed(environment: &Environment) -> Result<PathBuf, String> {
    let mut hash = DefaultHasher::new();
    (CONF, SEED, PROJECTS).hash(&mut hash);
    let dir = environment.dir().join(format!("seed-{:016x}", hash.finish()));
    let _lock = environment.lock()?;
    if !dir.join("complete").exists() {
        _ = fs::remove_dir_all(&dir);
        make_seed(environment, &dir)?;
    }
    Ok(dir)
}

fn make_seed(environment: &Environment, dir: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("Bugsink's databases: {error}");
    fs::create_dir(dir).and_then(|()| write_conf(dir)).map_err(failed)?;
    let python = environment.python();
    let projects: Vec<String> = (1..=PROJECTS).map(|number| format!("project-{number}={}", key(number))).collect();
    let fixed = ["-c", SEED, USER, PASSWORD, TOKEN];
    let launch = Launch {
        program: python.as_os_str(),
        args: fixed.into_iter().chain(projects.iter().map(String::as_str)).map(OsStr::new).collect(),
        env: Vec::new(),
        without_env: FOREIGN,
        dir,
        temporary: None,
        log: dir.join("log"),
    };
    match launch.run(READY_WITHIN * 2).map_err(failed)? {
        Some(status) if status.success() => fs::write(dir.join("complete"), "").map_err(failed),
        _ => Err(format!("Bugsink's databases could not be made:\n{}", process::tail(&launch.log, 20))),
    }
}
