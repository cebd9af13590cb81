//! `flb-sentry ship`: feeds files to the plugin through its C ABI, as the host would.
//!
//! ```text
//! input::* -> feed -> chunk ==queue==> engine -> host::Instance
//!                            retries, tally        | exit
//!                                    report <- ledger
//! ```
//!
//! One thread reads, the engine thread makes the instance, flushes and ends it (with `--workers`, they flush), and the main
//! thread watches for the end and for signals.

mod chunk;
mod console;
mod engine;
mod feed;
mod ledger;
pub(crate) mod locate;
mod queue;
mod report;

pub use crate::input::file::Format;

use crate::host::{Generation, Level, Plugin, format_line};
use crate::input::file::Input;
use console::Console;
use feed::{Feeder, Reading};
use ledger::Ledger;
use queue::{Backoff, Queue};
use report::Report;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ship files through the plugin as Fluent Bit would, and say what became of every record.
///
/// Reads chunk files (.msgpack), JSON lines, log files of a container runtime and plain text, each told by its first line.
/// A container's log named `<pod>_<namespace>_<container>-<id>.log` gets its tag and its `kubernetes` fields.
#[derive(clap::Args, Debug)]
#[command(after_help = report::EXIT_CODES)]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section; without `dsn` the environment's SENTRY_DSN counts
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,

    /// The plugin file [default: beside this program, then ../lib]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

    /// Tag of all records, instead of each file's own: `kube.var.log.containers.<name>` or `ship.<name>`
    #[arg(long)]
    tag: Option<String>,

    /// What the files hold
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Threads that flush at the same time; 0 is the host's default, one flush at a time on the engine's own thread
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    workers: u16,

    /// Records a second, at most
    #[arg(long, value_name = "RECORDS/s", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// Size of a flush, at most, in bytes, K or M; longer records go alone
    #[arg(long, value_name = "SIZE", default_value = "2M", value_parser = size)]
    chunk_size: usize,

    /// Retries of a chunk before it is given up [default: no limit]
    #[arg(long, value_name = "N")]
    retry_limit: Option<u32>,

    /// Directory of `<namespace>_<pod>.meta` files, the pods' JSON; adds what Fluent Bit's kubernetes filter would
    #[arg(long, value_name = "DIR")]
    kube_meta: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Files to ship, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Reads `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.trim().is_empty() {
        Err("expected a key before the `=`".into())
    } else {
        Ok((key.trim().into(), value.into()))
    }
}

/// A size as Fluent Bit reads it: `2M` is two million.
fn size(text: &str) -> Result<usize, String> {
    let plain = text.trim_end_matches(['b', 'B']);
    let (digits, unit) = match plain.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&plain[..at], 1000),
        Some((at, 'm' | 'M')) => (&plain[..at], 1_000_000),
        _ => (plain, 1),
    };
    let size = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| (1..=MOST_CHUNK_BYTES).contains(size))
        .ok_or_else(|| "expected a size up to 64M, like 512K or 2M".into())
}

const MOST_CHUNK_BYTES: usize = 64_000_000;

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match ship(&args) {
        Ok(report) => {
            report.print(args.json);
            report.exit_code().into()
        }
        Err(refusal) => {
            complain(&refusal.problem);
            refusal.code.into()
        }
    }
}

/// Says it on standard error, if that is still open.
fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "flb-sentry ship: {problem}");
}

/// Why nothing was shipped.
struct Refusal {
    code: u8,
    problem: String,
}

fn plugin_refusal(problem: impl ToString) -> Refusal {
    Refusal { code: 3, problem: problem.to_string() }
}

fn ship(args: &Args) -> Result<Report, Refusal> {
    let inputs = check(&args.files)?;
    let path = locate::plugin(args.plugin.as_deref()).map_err(plugin_refusal)?;
    let plugin = Plugin::load(path, Generation::default()).map_err(plugin_refusal)?;
    let console = Arc::new(Console::new(inputs.iter().map(|input| input.size).sum()));
    let options = Options::new(&args.options).map_err(plugin_refusal)?;
    plugin.on_log(options.echo(&console));
    let queue = Arc::new(Queue::new(Backoff::default(), args.retry_limit));
    let feeder = Arc::new(Feeder::new(args.reading(), Arc::clone(&queue), Arc::clone(&console)));
    let session = Session { plugin, options, workers: args.workers.into(), queue, feeder, console };

    let start = Instant::now();
    let ended = session.run(inputs);
    session.console.finish();
    let (interrupted, log_lines) = ended?;
    session.plugin.close();
    Ok(Report {
        tally: session.queue.watch(Duration::ZERO).0,
        ledger: Ledger::find(&log_lines),
        unreadable: session.feeder.problems(),
        interrupted,
        took: start.elapsed(),
    })
}

/// Everything that the threads of one run share.
struct Session {
    plugin: Plugin,
    options: Options,
    workers: usize,
    queue: Arc<Queue>,
    feeder: Arc<Feeder>,
    console: Arc<Console>,
}

impl Session {
    /// Ships it all, or until it is interrupted: then true. Returns what the instance logged.
    fn run(&self, inputs: Vec<Input>) -> Result<(bool, Vec<(Level, String)>), Refusal> {
        let failed = |error: io::Error| plugin_refusal(format!("cannot start: {error}"));
        let signals = signals().map_err(failed)?;
        let engine = || {
            engine::run(&self.plugin, &self.options.pairs(), self.workers, &self.queue, || read(&self.feeder, inputs))
        };
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        thread::scope(|scope| {
            let engine = named("flb-pipeline").spawn_scoped(scope, engine).map_err(failed)?;
            // Without this one, slow lines only wait longer.
            let _ = named("ticker").spawn_scoped(scope, || self.tick());
            let interrupted = self.watch(&signals);
            let ended = engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((interrupted, ended.map_err(plugin_refusal)?))
        })
    }

    fn tick(&self) {
        while !self.queue.watch(TICK).1 {
            self.feeder.tick();
        }
    }

    /// Until all is done, or somebody wants it to end: then true.
    fn watch(&self, interrupted: &AtomicBool) -> bool {
        loop {
            let (tally, finished) = self.queue.watch(TICK);
            self.console.progress(&tally);
            if finished {
                return false;
            }
            if interrupted.load(Ordering::Relaxed) {
                self.console.say("interrupted: ending the instance; once more to end at once");
                self.queue.stop();
                return true;
            }
        }
    }
}

fn check(files: &[PathBuf]) -> Result<Vec<Input>, Refusal> {
    let inputs = files.iter().map(|path| Input::check(path).map_err(|error| format!("{}: {error}", path.display())));
    let (inputs, problems): (Vec<_>, Vec<_>) = inputs.partition(Result::is_ok);
    let problems: Vec<_> = problems.into_iter().filter_map(Result::err).collect();
    if !problems.is_empty() {
        return Err(Refusal { code: 4, problem: format!("{}; nothing was sent", problems.join("; ")) });
    }
    Ok(inputs.into_iter().flatten().collect())
}

/// Raised by Ctrl-C and `kill`; the second one ends the process there and then.
fn signals() -> io::Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&raised))?;
        signal_hook::flag::register(signal, Arc::clone(&raised))?;
    }
    Ok(raised)
}

/// Starts to read. Nobody waits for this thread: it may hang in a pipe that nobody writes to.
fn read(feeder: &Arc<Feeder>, inputs: Vec<Input>) {
    let reader = Arc::clone(feeder);
    let spawned = thread::Builder::new().name("reader".to_owned()).spawn(move || reader.run(&inputs));
    if let Err(error) = spawned {
        feeder.cannot_read(&error);
    }
}

/// How often slow input is looked after, and signals are.
const TICK: Duration = Duration::from_millis(100);

impl Args {
    fn reading(&self) -> Reading {
        Reading {
            format: self.format,
            tag: self.tag.clone(),
            kube_meta: self.kube_meta.clone(),
            chunk_bytes: self.chunk_size,
            rate: self.rate,
        }
    }
}

/// The options for the plugin, and what of its log is shown.
struct Options {
    pairs: Vec<(String, String)>,
    shown: Option<Level>,
}

impl Options {
    /// The instance logs its summary at `info`, and we need it: a lower `log_level` only keeps lines from being shown.
    fn new(given: &[(String, String)]) -> Result<Self, String> {
        let (levels, mut pairs): (Vec<_>, Vec<_>) =
            given.iter().cloned().partition(|(key, _)| key.eq_ignore_ascii_case("log_level"));
        let shown = levels.last().map_or(Ok(Some(Level::Info)), |(_, word)| Level::threshold(word))?;
        pairs.push(("log_level".to_owned(), shown.map_or(Level::Info, |level| level.max(Level::Info)).to_string()));
        Ok(Self { pairs, shown })
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn echo(&self, console: &Arc<Console>) -> crate::host::Sink {
        let (shown, console) = (self.shown, Arc::clone(console));
        Arc::new(move |level, message| {
            if shown.is_some_and(|shown| level <= shown) {
                console.say(&format_line(level, message));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_hosts() {
        assert_eq!(["2M", "512k", "100", "1MB"].map(size), [Ok(2_000_000), Ok(512_000), Ok(100), Ok(1_000_000)]);
        for wrong in ["", "M", "-1", "0", "1G", "65M", "2 M", "é", "99999999999999999999M"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_keys_and_values() {
        assert_eq!(key_value("dsn=http://a@b/1?x=y"), Ok(("dsn".into(), "http://a@b/1?x=y".into())));
        assert_eq!(key_value("tags="), Ok(("tags".into(), String::new())));
        assert!(key_value("dsn").is_err() && key_value("=x").is_err());
    }

    #[test]
    fn the_summary_is_logged_whatever_is_shown() {
        let given = |word: &str| Options::new(&[("Log_Level".into(), word.into()), ("dsn".into(), "x".into())]);
        let level = |word: &str| given(word).unwrap().pairs().last().unwrap().1.to_owned();
        assert_eq!(["off", "error", "info", "trace"].map(level), ["info", "info", "info", "trace"]);
        assert_eq!(given("error").unwrap().shown, Some(Level::Error));
        assert_eq!(given("off").unwrap().shown, None);
        assert!(given("loud").is_err());
        assert_eq!(Options::new(&[]).unwrap().shown, Some(Level::Info));
    }
}
