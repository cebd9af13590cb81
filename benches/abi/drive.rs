//! A process that loads the plugin as a host does and flushes chunks into it, so that all it uses is the plugin's.

use super::chunks;
use plugin_host::{Generation, Instance, Plugin, Verdict};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use testkit::measure::{process, sink};

/// The first argument with which this bench is such a process.
const ARGUMENT: &str = "drive";

/// The job of a process.
#[derive(Debug, Clone)]
pub struct Job {
    /// The plugin.
    pub plugin: PathBuf,
    /// A directory with chunk files, or one of them.
    pub chunks: PathBuf,
    /// Flushes until so many records are taken, at least.
    pub records: u64,
    /// Waits so long after each flush.
    pub pause: Duration,
    /// `key=value`, beside the DSN.
    pub options: Vec<String>,
}

/// The measurements of a job.
#[derive(Debug, Clone, Default)]
pub struct Driven {
    /// Records taken, all of which arrived.
    pub records: u64,
    /// From the first flush to the arrival of the last record.
    pub wall: Duration,
    /// User and system time from the first flush on.
    pub cpu: Duration,
    /// KiB that the process had at most, beyond what it had before the first flush.
    pub grown: u64,
    /// Threads of the plugin.
    pub threads: u64,
    /// The number of flushes that were answered with RETRY or ERROR.
    pub retries: u64,
    /// Durations of the flushes that were answered with OK, shortest first.
    pub flushes: Vec<Duration>,
}

impl Driven {
    /// Of all flushes the one that so many in a thousand are not longer than.
    pub fn flush(&self, per_mille: usize) -> Duration {
        let last = self.flushes.len().saturating_sub(1);
        self.flushes.get((self.flushes.len() * per_mille / 1000).min(last)).copied().unwrap_or_default()
    }

    fn line(&self) -> String {
        let numbers = [self.records, nanos(self.wall), nanos(self.cpu), self.grown, self.threads, self.retries];
        let all = numbers.into_iter().chain(self.flushes.iter().copied().map(nanos));
        all.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    }

    fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let (&[records, wall, cpu, grown, threads, retries], flushes) = numbers.split_first_chunk()?;
        let flushes = flushes.iter().copied().map(Duration::from_nanos).collect();
        let (wall, cpu) = (Duration::from_nanos(wall), Duration::from_nanos(cpu));
        Some(Self { records, wall, cpu, grown, threads, retries, flushes })
    }
}

fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}

/// Does a job in a process of its own, under another program where one is given, against a server of its own; answers with
/// what that program said besides.
///
/// # Errors
/// When something cannot be started, or does not deliver.
pub fn run(job: &Job, delay: Duration, under: &[&str]) -> Result<(Driven, sink::Count, String), String> {
    let sink = sink::Sink::start(delay).map_err(|error| format!("server: {error}"))?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match under {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
        [] => Command::new(own),
    };
    command.args([ARGUMENT, &sink.port().to_string()]).arg(&job.plugin).arg(&job.chunks);
    command.args([job.records.to_string(), job.pause.as_millis().to_string()]).args(&job.options);
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let driven = String::from_utf8_lossy(&output.stdout).lines().next().and_then(Driven::parse);
    let driven = driven.filter(|_| output.status.success()).ok_or_else(|| format!("{command:?}: {said}"))?;
    Ok((driven, sink.count().map_err(|error| format!("server: {error}"))?, said))
}

/// Becomes that process if it was started as one; whether it was.
///
/// # Errors
/// When the job cannot be done.
pub fn drive_if_asked() -> Result<bool, String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [argument, port, plugin, chunks, records, pause, options @ ..] = args.as_slice() else { return Ok(false) };
    if argument != ARGUMENT {
        return Ok(false);
    }
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let job = Job {
        plugin: plugin.into(),
        chunks: chunks.into(),
        records: number(records)?,
        pause: Duration::from_millis(number(pause)?),
        options: options.to_vec(),
    };
    println!("{}", drive(&job, number(port)? as u16)?.line());
    Ok(true)
}

fn drive(job: &Job, port: u16) -> Result<Driven, String> {
    let chunks = chunks::read(&job.chunks).map_err(|error| format!("{}: {error}", job.chunks.display()))?;
    let counted: Vec<_> = chunks.iter().map(|chunk| (chunk, u64::from(out_sentry::chunk::count(chunk)))).collect();
    let instance = instance(job, port)?;
    let own = std::process::id();
    process::forget_peak();
    let (before, cpu, start) = (process::memory(own, "VmRSS").unwrap_or_default(), process::cpu(own), sink::now());
    let mut driven = Driven::default();
    for (chunk, records) in counted.iter().cycle() {
        if driven.records >= job.records {
            break;
        }
        flush(&instance, chunk, &mut driven);
        driven.records += records;
        thread::sleep(job.pause);
    }
    let last =
        arrival(&driven, port).map_err(|count| format!("{count:?} of {driven:?}: {:?}", instance.log_lines()))?;
    driven.wall = Duration::from_nanos(last.saturating_sub(start) as u64);
    driven.cpu = process::cpu(own) - cpu;
    driven.grown = process::memory(own, "VmHWM").unwrap_or_default().saturating_sub(before);
    driven.threads = process::plugin_threads(own) as u64;
    driven.flushes.sort_unstable();
    Ok(driven)
}

fn instance(job: &Job, port: u16) -> Result<Instance, String> {
    let dsn = format!("http://00000000000000000000000000000000@127.0.0.1:{port}/1");
    let given = job.options.iter().filter_map(|option| option.split_once('='));
    let fixed = [("dsn", dsn.as_str()), ("proxy", "none"), ("event_level", "off"), ("logs_level", "trace")];
    let options: Vec<(&str, &str)> = given.chain(fixed).collect();
    let plugin = Plugin::load(Path::new(&job.plugin), Generation::default()).map_err(|error| error.to_string())?;
    plugin.instance("bench", &options).map_err(|error| format!("{error}: {:?}", error.log_lines))
}

/// Until it is taken. It is offered again soon where there is soon room, and rarely where that takes long: each offer costs.
fn flush(instance: &Instance, chunk: &[u8], driven: &mut Driven) {
    for attempt in 0.. {
        let start = Instant::now();
        let verdict = instance.flush("kube.var.log.containers.bench", chunk);
        let took = start.elapsed();
        match verdict {
            Verdict::Ok => return driven.flushes.push(took),
            Verdict::Retry | Verdict::Error => driven.retries += 1,
        }
        thread::sleep(Duration::from_millis(5 << attempt.min(5)));
    }
}

/// Returns the time at which the last record had arrived, in nanoseconds since 1970.
fn arrival(driven: &Driven, port: u16) -> Result<u128, sink::Count> {
    const LONGEST: Duration = Duration::from_secs(120);
    let start = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(50));
        let count = sink::count_at(port).unwrap_or_default();
        if count.records >= driven.records {
            return Ok(count.last);
        }
        if start.elapsed() > LONGEST {
            return Err(count);
        }
    }
}
