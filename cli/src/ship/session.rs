//! Runs the plugin once: owns the threads around it, from making the instance to its last log lines. A [`Source`] decides
//! which chunks are fed to it, and where they come from.

use super::console::Console;
use super::ledger::Ledger;
use super::queue::{Backoff, Queue};
use super::report::Report;
use super::{engine, locate};
use crate::host::{Generation, Level, Plugin, format_line};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Feeds a queue.
pub(crate) trait Source: Send + Sync + 'static {
    /// Offers all there is and then says that no more will come. Nobody waits for it: it may hang in a pipe.
    fn run(&self);
    /// There is no thread to run on.
    fn cannot_run(&self, error: &io::Error);
    /// Called now and then from a thread of its own; may wait.
    fn tick(&self);
    /// Returns the number of inputs that could not be read to their end, as reported to the user.
    fn problems(&self) -> usize;
}

/// Why nothing was sent.
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) problem: String,
}

/// The plugin is not there or will not work.
pub(crate) fn plugin_refusal(problem: impl ToString) -> Refusal {
    Refusal { code: 3, problem: problem.to_string() }
}

/// Everything that the threads of one run share.
pub(crate) struct Session {
    plugin: Plugin,
    options: Options,
    workers: usize,
    pub(crate) queue: Arc<Queue>,
    pub(crate) console: Arc<Console>,
}

impl Session {
    /// Loads the plugin. `total` is the input's size in bytes, if it has one.
    pub(crate) fn open(
        plugin: Option<&Path>,
        options: &[(String, String)],
        workers: usize,
        retry_limit: Option<u32>,
        total: Option<u64>,
    ) -> Result<Self, Refusal> {
        let path = locate::plugin(plugin).map_err(plugin_refusal)?;
        let plugin = Plugin::load(path, Generation::default()).map_err(plugin_refusal)?;
        let console = Arc::new(Console::new(total));
        let options = Options::new(options).map_err(plugin_refusal)?;
        plugin.on_log(options.echo(&console));
        let queue = Arc::new(Queue::new(Backoff::default(), retry_limit));
        Ok(Self { plugin, options, workers, queue, console })
    }

    /// Sends it all, or until it is interrupted.
    pub(crate) fn run(self, command: &'static str, source: &Arc<impl Source>) -> Result<Report, Refusal> {
        let start = Instant::now();
        let ended = self.threads(source);
        self.console.finish();
        let (interrupted, log_lines) = ended?;
        self.plugin.close();
        Ok(Report {
            command,
            tally: self.queue.watch(Duration::ZERO).0,
            ledger: Ledger::find(&log_lines),
            unreadable: source.problems(),
            interrupted,
            spool: self.options.spool(),
            took: start.elapsed(),
        })
    }

    /// Returns true if the run was interrupted, and the lines that the instance logged.
    fn threads(&self, source: &Arc<impl Source>) -> Result<(bool, Vec<(Level, String)>), Refusal> {
        let failed = |error: io::Error| plugin_refusal(format!("cannot start: {error}"));
        let signals = signals().map_err(failed)?;
        let ready = |unasked: &[String]| {
            unasked.iter().for_each(|key| self.console.say(&unknown(key)));
            spawn_reader(source);
        };
        let linger = || self.linger();
        let engine = || engine::run(&self.plugin, &self.options.pairs(), self.workers, &self.queue, ready, linger);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        thread::scope(|scope| {
            let engine = named("flb-pipeline").spawn_scoped(scope, engine).map_err(failed)?;
            // Without this one, slow lines only wait longer.
            let _ = named("ticker").spawn_scoped(scope, || self.tick(&**source));
            let mut interrupted = self.watch(&signals);
            while !interrupted && !engine.is_finished() {
                interrupted = signals.load(Ordering::Relaxed);
                thread::sleep(LOOK);
            }
            if interrupted {
                self.queue.stop();
            }
            let ended = engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((interrupted, ended.map_err(plugin_refusal)?))
        })
    }

    /// An instance with a spool sends nothing any more once it exits: waits until the spool is empty, for as long as the exit
    /// of an instance without one may take.
    fn linger(&self) {
        let Some(spool) = self.options.spool() else { return };
        let until = Instant::now() + self.options.exit_timeout();
        while has_segments(&spool) && Instant::now() < until && self.queue.pause_until(Instant::now() + LOOK) {}
    }

    fn tick(&self, source: &impl Source) {
        while !self.queue.watch(TICK).1 {
            source.tick();
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

fn has_segments(spool: &Path) -> bool {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|path| path.extension().is_some_and(|extension| extension == "msgpack"))
}

/// Interval between two looks at a spool.
const LOOK: Duration = Duration::from_millis(20);

/// Returns the message for an option that the plugin does not ask for: as in Fluent Bit it has no effect, but here it is
/// reported.
fn unknown(key: &str) -> String {
    format!(
        "option {key}: the plugin does not ask for it and goes on without; `flb-sentry check` knows the nearest name"
    )
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

fn spawn_reader(source: &Arc<impl Source>) {
    let reader = Arc::clone(source);
    let spawned = thread::Builder::new().name("reader".to_owned()).spawn(move || reader.run());
    if let Err(error) = spawned {
        source.cannot_run(&error);
    }
}

/// Interval between checks for slow input and for signals.
const TICK: Duration = Duration::from_millis(100);

/// The options for the plugin, and the level of its log lines that are shown.
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

    /// Returns the directory where chunks wait, if they wait on disk; Fluent Bit takes the first of several with this name.
    fn spool(&self) -> Option<PathBuf> {
        let mut paths = self.pairs.iter().filter(|(key, _)| key.eq_ignore_ascii_case("spool_path"));
        paths.next().map(|(_, path)| PathBuf::from(path))
    }

    /// Returns the option `exit_timeout`, or its default. The plugin refuses a value that is no time.
    fn exit_timeout(&self) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(4);
        let given = self.pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case("exit_timeout"));
        given.and_then(|(_, text)| time(text)).unwrap_or(DEFAULT)
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

/// A time as Fluent Bit's options have it; a bare number is seconds.
fn time(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_plugin_reads_them() {
        for (text, millis) in [("0", 0), ("5", 5_000), ("500ms", 500), ("1.5s", 1_500), ("2H", 7_200_000)] {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(["", "s", "-5s", "5 s"].map(time), [None; 4]);
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
