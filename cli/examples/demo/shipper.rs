//! What runs the plugin: a real Fluent Bit, or the companion as its host.

use crate::books::Ledger;
use crate::progress::{Progress, Pulse, counted};
use crate::server::Server;
use clap::ValueEnum;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};
use testkit::fluent_bit::{FluentBit, Format};
use testkit::process::{self, Group, Launch};
use testkit::samples::Samples;
use testkit::{self, wait};

/// The program that hosts the plugin.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A real Fluent Bit: `FLUENT_BIT`, else the one on `PATH`.
    FluentBit,
    /// `flb-sentry ship`.
    Ship,
}

/// A host that is there.
pub enum Shipper {
    FluentBit,
    Ship,
}

/// The samples to ship.
pub struct Load<'s> {
    samples: &'s Samples,
    /// The number of records in the lines: the container runtime splits long lines.
    pub records: u64,
}

/// The plugin's account of the shipped records.
pub struct Shipped {
    /// From its last summary line.
    pub ledger: Ledger,
    /// The same cells as the host's metrics had them a moment before, where the host has metrics.
    pub metrics: Option<Ledger>,
}

/// Longest that shipping may take.
const LIMIT: Duration = Duration::from_secs(90);

/// Longest that a host may take to end.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

impl<'s> Load<'s> {
    /// Counts the records: every line of the runtime that is not to be continued (`P`) ends one.
    pub fn of(samples: &'s Samples) -> io::Result<Self> {
        let whole = |line: &&str| line.split(' ').nth(2) != Some("P");
        let count = |file| Ok(fs::read_to_string(file)?.lines().filter(whole).count() as u64);
        let records = samples.files.iter().map(count).sum::<io::Result<u64>>()?;
        Ok(Self { samples, records })
    }
}

impl Shipper {
    /// The one asked for, else Fluent Bit, else, saying why, the companion.
    pub fn choose(kind: Option<Kind>, progress: &Progress) -> Result<Self, String> {
        if kind == Some(Kind::Ship) {
            progress.say("shipper: flb-sentry ship (as asked for)");
            return Ok(Self::Ship);
        }
        match FluentBit::find() {
            Ok(program) => {
                progress.say(&format!("fluent-bit: {} ({})", version(&program), program.display()));
                Ok(Self::FluentBit)
            }
            Err(why) if kind == Some(Kind::FluentBit) => Err(why),
            Err(why) => {
                progress.say(&format!("shipper: flb-sentry ship ({why})"));
                Ok(Self::Ship)
            }
        }
    }

    /// Ships it all and ends the host.
    pub fn ship(&self, load: &Load, server: &Server, progress: &Progress) -> Result<Shipped, String> {
        match self {
            Self::FluentBit => by_fluent_bit(load, server, progress),
            Self::Ship => by_companion(load, server, progress),
        }
    }
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("Fluent Bit").to_owned()
}

fn by_fluent_bit(load: &Load, server: &Server, progress: &Progress) -> Result<Shipped, String> {
    let config = fs::read_to_string(&load.samples.config).map_err(|error| format!("configuration: {error}"))?;
    let plugin = testkit::plugin();
    let (plugin, dir, dsn) = (plugin.to_string_lossy(), load.samples.dir.to_string_lossy(), server.dsn());
    let env = [("SAMPLES", &*dir), ("SENTRY_DSN", &dsn)];
    let mut host = FluentBit::start_with_env(&config, Format::Classic, &["-e", &plugin], &env)?;
    progress.say("fluent-bit: started, tailing the samples with the kubernetes filter");
    let metrics = follow(&mut host, load, server, progress);
    let ended = host.sigterm_and_wait(STOPS_WITHIN);
    let log = host.dir().join("log");
    match ended {
        Some(status) if status.success() => progress.say("fluent-bit: stopped with SIGTERM"),
        ended => return Err(format!("fluent-bit did not end well ({ended:?}):\n{}", process::tail(&log, 20))),
    }
    Ok(Shipped { ledger: ledger(&log)?, metrics: Some(metrics?) })
}

/// Waits until the plugin has taken every record and none is pending, by its own metrics; what they say then.
fn follow(host: &mut FluentBit, load: &Load, server: &Server, progress: &Progress) -> Result<Ledger, String> {
    let (deadline, mut pulse) = (Instant::now() + LIMIT, Pulse::new(progress));
    loop {
        let metrics = Ledger::from_metrics(&host.metrics()?);
        pulse.offer(standing(server)?);
        let done = metrics.get("records") >= load.records && metrics.get("pending") == 0;
        // Time over: what is missing shows when the books are compared.
        if done || Instant::now() > deadline {
            return Ok(metrics);
        }
        if let Some(status) = host.status() {
            let log = process::tail(&host.dir().join("log"), 20);
            return Err(format!("fluent-bit ended before all was shipped: {status}\n{log}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn standing(server: &Server) -> Result<String, String> {
    let arrived = server.arrived()?;
    let (events, logs) = (counted(arrived.events, "event"), counted(arrived.logs, "log"));
    Ok(format!("shipping: {} has {events}, {logs}", server.name()))
}

fn by_companion(load: &Load, server: &Server, progress: &Progress) -> Result<Shipped, String> {
    let log = load.samples.dir.join("ship.log");
    let mut host = start_companion(load, server, &log).map_err(|error| format!("flb-sentry ship: {error}"))?;
    let mut pulse = Pulse::new(progress);
    let ended = wait::until(LIMIT, || {
        standing(server).into_iter().for_each(|line| pulse.offer(line));
        host.status()
    });
    match ended {
        Some(status) if status.success() => progress.say("shipper: ended, exit 0: nothing pending, lost or rejected"),
        Some(status) => progress.say(&format!("shipper: ended, {status}:\n{}", process::tail(&log, 20))),
        None => return Err(format!("not shipped within {} s:\n{}", LIMIT.as_secs(), process::tail(&log, 20))),
    }
    Ok(Shipped { ledger: ledger(&log)?, metrics: None })
}

fn start_companion(load: &Load, server: &Server, log: &Path) -> io::Result<Group> {
    let (program, plugin, dsn) = (testkit::companion(), testkit::plugin(), server.dsn());
    let spool = format!("spool_path={}", load.samples.dir.join("spool").display());
    let fixed = ["ship", "-o", &spool, "--wait", "30s", "-o", "log_level=info", "--kube-meta"].map(OsStr::new);
    let rest = [load.samples.kube_meta.as_os_str(), OsStr::new("--plugin"), plugin.as_os_str()];
    let files = load.samples.files.iter().map(|file| file.as_os_str());
    let launch = Launch {
        program: program.as_os_str(),
        args: fixed.into_iter().chain(rest).chain(files).collect(),
        env: vec![("SENTRY_DSN", OsStr::new(&dsn))],
        without_env: &[],
        dir: &load.samples.dir,
        temporary: None,
        log: log.to_owned(),
    };
    launch.start()
}

/// The plugin's last summary in a log that it shares with its host.
fn ledger(log: &Path) -> Result<Ledger, String> {
    let text = fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let ledger = Ledger::from_log(&String::from_utf8_lossy(&text));
    ledger.ok_or_else(|| format!("the plugin logged no summary:\n{}", process::tail(log, 20)))
}
