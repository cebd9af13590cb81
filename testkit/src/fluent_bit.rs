//! A real Fluent Bit, with a configuration of the test's own, on loopback.

use super::http::{self, Response};
use super::net::free_port;
use super::process::{self, Group, Launch};
use super::tempdir::TempDir;
use super::wait;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use std::{fs, io};

/// The beginning of a classic configuration: metrics and reload on [`FluentBit::http_port`], and a short flush.
pub const SERVICE: &str = "\
[SERVICE]
    Flush       0.2
    Grace       3
    Log_Level   info
    HTTP_Server On
    HTTP_Listen 127.0.0.1
    HTTP_Port   ${HTTP_PORT}
    Hot_Reload  On
";

/// Text that Fluent Bit logs when its web server's port is taken.
const PORT_TAKEN: &str = "could not bind address";
const READY_WITHIN: Duration = Duration::from_secs(20);
const METRICS_WITHIN: Duration = Duration::from_secs(10);
const RELOADS_WITHIN: Duration = Duration::from_secs(30);

/// Which of its two languages a configuration is written in. The host tells by the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Sections in brackets.
    Classic,
    /// YAML.
    Yaml,
}

/// A host in a directory of its own, which is its working directory too.
#[derive(Debug)]
pub struct FluentBit {
    // Before the directory: what still writes into it must end first.
    running: Option<Group>,
    program: PathBuf,
    config: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    http_port: u16,
    dir: TempDir,
}

impl FluentBit {
    /// The host to test with: `FLUENT_BIT`, else the one on `PATH`; `Err` says why there is none.
    pub fn find() -> Result<PathBuf, String> {
        match std::env::var_os("FLUENT_BIT") {
            Some(path) if Path::new(&path).is_file() => Ok(path.into()),
            Some(path) => Err(format!("FLUENT_BIT={} is no file", path.display())),
            None => process::on_path("fluent-bit").ok_or_else(|| "no fluent-bit on PATH".into()),
        }
    }

    /// A Fluent Bit 1.9 to test with beside it: `FLUENT_BIT_1_9`; `Err` says that there is none.
    pub fn find_1_9() -> Result<PathBuf, String> {
        let path = std::env::var_os("FLUENT_BIT_1_9").map(PathBuf::from).ok_or("FLUENT_BIT_1_9 is not set")?;
        let version = Self::version(&path);
        if version.contains("v1.9.") { Ok(path) } else { Err(format!("FLUENT_BIT_1_9 is {version}")) }
    }

    /// Returns the version as Fluent Bit prints it: `Fluent Bit v5.1.1`.
    pub fn version(program: &Path) -> String {
        let output = Command::new(program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or("Fluent Bit").to_owned()
    }

    /// Starts the host and waits until it works. In the configuration `${HTTP_PORT}` is a free port and `${STATE}` the
    /// host's directory.
    pub fn start(config: &str, format: Format, args: &[&str]) -> Result<Self, String> {
        Self::start_with_env(config, format, args, &[])
    }

    /// [`FluentBit::start`] with variables of the test's own.
    pub fn start_with_env(config: &str, format: Format, args: &[&str], env: &[(&str, &str)]) -> Result<Self, String> {
        Self::prepare(config, format, args, env)?.started()
    }

    /// [`FluentBit::start`] of another Fluent Bit than the one that [`FluentBit::find`] finds.
    pub fn start_program(program: PathBuf, config: &str, format: Format, args: &[&str]) -> Result<Self, String> {
        Self { program, ..Self::prepare(config, format, args, &[])? }.started()
    }

    fn started(self) -> Result<Self, String> {
        let mut host = self;
        // Between choosing a port and binding it somebody else may have taken it.
        for _ in 0..2 {
            match host.launch() {
                Err(_) if host.log().contains(PORT_TAKEN) => host.http_port = port()?,
                launched => return launched.map(|()| host),
            }
        }
        host.launch().map(|()| host)
    }

    /// Runs the host until it ends by itself, for a configuration it should refuse: how it ended, and its log.
    /// `None` when it was still running after `limit`.
    pub fn run(
        config: &str,
        format: Format,
        args: &[&str],
        env: &[(&str, &str)],
        limit: Duration,
    ) -> Result<(Option<ExitStatus>, String), String> {
        let host = Self::prepare(config, format, args, env)?;
        let status = host.spawn().map_err(|error| format!("fluent-bit: {error}"))?.wait(limit);
        Ok((status, host.log()))
    }

    fn prepare(config: &str, format: Format, args: &[&str], env: &[(&str, &str)]) -> Result<Self, String> {
        let program = Self::find()?;
        let dir = TempDir::new("fluent-bit").map_err(|error| format!("fluent-bit's directory: {error}"))?;
        let name = if format == Format::Yaml { "fluent-bit.yaml" } else { "fluent-bit.conf" };
        let host = Self {
            running: None,
            program,
            config: dir.path().join(name),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            http_port: port()?,
            dir,
        };
        host.rewrite(config).map(|()| host)
    }

    /// Replaces the configuration: the next [`FluentBit::reload`] or [`FluentBit::restart`] uses it.
    pub fn rewrite(&self, config: &str) -> Result<(), String> {
        fs::write(&self.config, config).map_err(|error| format!("{}: {error}", self.config.display()))
    }

    fn spawn(&self) -> io::Result<Group> {
        let port = self.http_port.to_string();
        let own = [("HTTP_PORT", OsStr::new(port.as_str())), ("STATE", self.dir.path().as_os_str())];
        let given = self.env.iter().map(|(name, value)| (name.as_str(), OsStr::new(value)));
        let launch = Launch {
            program: self.program.as_os_str(),
            args: [OsStr::new("-c"), self.config.as_os_str()]
                .into_iter()
                .chain(self.args.iter().map(OsStr::new))
                .collect(),
            env: own.into_iter().chain(given).collect(),
            without_env: &[],
            dir: self.dir.path(),
            temporary: Some(self.dir.path()),
            log: self.dir.path().join("log"),
        };
        launch.start()
    }

    fn launch(&mut self) -> Result<(), String> {
        let before = self.log().len();
        let mut group = self.spawn().map_err(|error| format!("fluent-bit: {error}"))?;
        let ready = wait::until(READY_WITHIN, || match group.status() {
            Some(_) => Some(false),
            None => self.works(before).then_some(true),
        });
        if ready == Some(true) && group.status().is_none() {
            self.running = Some(group);
            return Ok(());
        }
        Err(format!("fluent-bit did not start:\n{}", process::tail(&self.dir.path().join("log"), 20)))
    }

    /// Returns true if Fluent Bit has started: its web server answers, or, without one, its log says so.
    fn works(&self, log_before: usize) -> bool {
        let with_http = fs::read_to_string(&self.config).is_ok_and(|config| config.contains("${HTTP_PORT}"));
        match with_http {
            true => http::get(self.http_port, "/api/v1/uptime", &[]).is_ok_and(|answer| answer.status == 200),
            false => self.log().get(log_before..).is_some_and(|log| log.contains("stream processor started")),
        }
    }

    /// The port of its web server, for a configuration that says `HTTP_Port ${HTTP_PORT}`.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Group::id)
    }

    /// Its working directory, `${STATE}` in the configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything it wrote to standard output and standard error since the first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until its log contains `text`.
    pub fn wait_for_log(&self, text: &str, limit: Duration) -> bool {
        wait::until_true(limit, || self.log().contains(text))
    }

    /// Its metrics in Prometheus' format, the plugin's among them. In its first moments a host has none yet: 404.
    pub fn metrics(&self) -> Result<String, String> {
        let read = || http::get(self.http_port, "/api/v2/metrics/prometheus", &[]);
        let answer = wait::until(METRICS_WITHIN, || read().map_or_else(|error| Some(Err(error)), ready)).transpose();
        match answer.map_err(|error| format!("metrics: {error}"))? {
            Some(answer) if answer.status == 200 => Ok(answer.text()),
            other => Err(format!("metrics: expected 200, found {}", other.map_or(404, |answer| answer.status))),
        }
    }

    /// The sum of a metric over all label sets that contain all of `labels`, written as they are exported:
    /// `outcome="accepted"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<Option<f64>, String> {
        let metrics = self.metrics()?;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
        let ours = lines.filter(|line| line.starts_with(['{', ' ']) && labels.iter().all(|label| line.contains(label)));
        let values = ours.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(values.fold(None, |sum, value| Some(sum.unwrap_or_default() + value)))
    }

    /// Asks for a hot reload and waits until it is done.
    pub fn reload(&self) -> Result<(), String> {
        let before = self.reloads().ok_or("reload: no answer from fluent-bit")?;
        let answer = http::post(self.http_port, "/api/v2/reload", &[], b"{}");
        let answer = answer.map_err(|error| format!("reload: {error}"))?;
        // A host without hot reload answers 200 as well, and says only in the body that it did nothing.
        let status = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["status"].as_i64();
        if status != Some(0) {
            return Err(format!("reload: expected status 0, found {} {}", answer.status, answer.text()));
        }
        match wait::until_true(RELOADS_WITHIN, || self.reloads().is_some_and(|count| count > before)) {
            true => Ok(()),
            false => Err(format!("fluent-bit did not reload:\n{}", process::tail(&self.dir.path().join("log"), 20))),
        }
    }

    /// Returns the number of reloads; `None` while nothing listens.
    fn reloads(&self) -> Option<u64> {
        let answer = http::get(self.http_port, "/api/v2/reload", &[]).ok()?;
        serde_json::from_slice::<Value>(&answer.body).ok()?["hot_reload_count"].as_u64()
    }

    /// SIGTERM, as a node that shuts down sends it; `None` when it was still there after `limit` and was killed.
    pub fn sigterm_and_wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.running.take()?.terminate(limit)
    }

    /// Sends a signal by name: `HUP`, `STOP`, `CONT`.
    pub fn signal(&mut self, name: &str) {
        self.running.iter_mut().for_each(|group| group.signal(name));
    }

    /// Returns the exit status if the process has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.running.as_mut()?.status()
    }

    /// SIGKILL. Its directory stays.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again in its directory with the same configuration, after killing it if it still runs.
    pub fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.launch()
    }
}

fn ready(answer: Response) -> Option<io::Result<Response>> {
    (answer.status != 404).then_some(Ok(answer))
}

fn port() -> Result<u16, String> {
    free_port().map_err(|error| format!("no free port: {error}"))
}
