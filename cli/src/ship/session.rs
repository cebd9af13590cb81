//! Runs the plugin once: owns the threads around it, from making the instance to its last log lines. A [`Source`] decides
//! which chunks are fed to it, and where they come from.

use super::console::Console;
use super::ledger::Ledger;
use super::queue::{Backoff, Queue};
use super::report::Report;
use super::{engine, locate};
use plugin_host::{Generation, Level, Plugin, format_line};
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
    /// Returns the number of records with a time that Sentry would not keep, and that the plugin therefore replaces.
    fn moved(&self) -> u64;
}

/// Limits of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Retries of a chunk; none for no limit.
    pub(crate) retries: Option<u32>,
    /// Longest wait for the server after the last line; none for the option `exit_timeout`, and no limit for chunks that are
    /// not yet answered OK.
    pub(crate) wait: Option<Duration>,
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
    wait: Option<Duration>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) console: Arc<Console>,
}

impl Session {
    /// Loads the plugin. `total` is the input's size in bytes, if it has one.
    pub(crate) fn open(
        plugin: Option<&Path>,
        options: &[(String, String)],
        workers: usize,
        limits: Limits,
        total: Option<u64>,
    ) -> Result<Self, Refusal> {
        let path = locate::plugin(plugin).map_err(plugin_refusal)?;
        let plugin = Plugin::load(path, Generation::default()).map_err(plugin_refusal)?;
        let console = Arc::new(Console::new(total));
        let options = Options::new(options, limits.wait).map_err(plugin_refusal)?;
        plugin.on_log(options.echo(&console));
        let queue = Arc::new(Queue::new(Backoff::default(), limits.retries));
        Ok(Self { plugin, options, workers, wait: limits.wait, queue, console })
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
            reasons: refusals(&log_lines),
            moved: source.moved(),
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
            if self.has_waited() {
                self.console.say("the time of --wait is over: shutting down");
                self.queue.stop();
                return false;
            }
            if interrupted.load(Ordering::Relaxed) {
                self.console.say("interrupted: shutting down; interrupt once more to end at once");
                self.queue.stop();
                return true;
            }
        }
    }
}

impl Session {
    /// Returns true if the server has had all its time after the last line.
    fn has_waited(&self) -> bool {
        let fed_at = self.queue.fed_at();
        self.wait.zip(fed_at).is_some_and(|(wait, fed_at)| fed_at.elapsed() >= wait)
    }
}

/// Most reasons of refusals that are kept.
const MOST_REASONS: usize = 5;

/// Returns the answers with which the server refused items, each once, as the plugin's log has them.
fn refusals(lines: &[(Level, String)]) -> Vec<String> {
    let mut reasons = Vec::new();
    for (_, line) in lines.iter().filter(|(_, line)| line.contains(" rejects ")) {
        let detail = line.split_once(" (").and_then(|(_, rest)| rest.rsplit_once(')'));
        let detail = detail.map(|(detail, _)| detail.to_owned());
        if let Some(detail) = detail.filter(|detail| reasons.len() < MOST_REASONS && !reasons.contains(detail)) {
            reasons.push(detail);
        }
    }
    reasons
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
        "option {key}: the plugin does not know this option and ignores it; `flb-sentry check` suggests the nearest name"
    )
}

/// Raised by Ctrl-C and `kill`; the second one ends the process at once.
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
    fn new(given: &[(String, String)], wait: Option<Duration>) -> Result<Self, String> {
        let (levels, mut pairs): (Vec<_>, Vec<_>) =
            given.iter().cloned().partition(|(key, _)| key.eq_ignore_ascii_case("log_level"));
        let shown = levels.last().map_or(Ok(Some(Level::Warn)), |(_, word)| Level::threshold(word))?;
        if let Some(wait) = wait {
            pairs.retain(|(key, _)| !key.eq_ignore_ascii_case("exit_timeout"));
            pairs.push(("exit_timeout".to_owned(), format!("{}ms", wait.as_millis())));
        }
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

    fn echo(&self, console: &Arc<Console>) -> plugin_host::Sink {
        let (shown, console) = (self.shown, Arc::clone(console));
        Arc::new(move |level, message| {
            if shown.is_some_and(|shown| level <= shown) {
                console.say(&format_line(level, message));
            }
        })
    }
}

/// A time as Fluent Bit's options have it; a bare number is seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
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
        let given = |word: &str| Options::new(&[("Log_Level".into(), word.into()), ("dsn".into(), "x".into())], None);
        let level = |word: &str| given(word).unwrap().pairs().last().unwrap().1.to_owned();
        assert_eq!(["off", "error", "info", "trace"].map(level), ["info", "info", "info", "trace"]);
        assert_eq!(given("error").unwrap().shown, Some(Level::Error));
        assert_eq!(given("off").unwrap().shown, None);
        assert!(given("loud").is_err());
        assert_eq!(Options::new(&[], None).unwrap().shown, Some(Level::Warn));
    }

    #[test]
    fn a_wait_replaces_the_exit_timeout() {
        let given = [("Exit_Timeout".to_owned(), "9s".to_owned())];
        assert_eq!(Options::new(&given, None).unwrap().exit_timeout(), Duration::from_secs(9));
        let waiting = Options::new(&given, Some(Duration::from_millis(1_500))).unwrap();
        assert_eq!(waiting.exit_timeout(), Duration::from_millis(1_500));
        assert_eq!(waiting.pairs.iter().filter(|(key, _)| key.eq_ignore_ascii_case("exit_timeout")).count(), 1);
    }

    #[test]
    fn reasons_are_those_of_the_server_and_each_is_said_once() {
        let line = |text: &str| (Level::Error, format!("[output:sentry:sentry] http://***@h/1 {text}"));
        let lines = [
            line("rejects a single event as rejected (400: bad (very)); it is dropped and only counted"),
            line("rejects a single event as rejected (400: bad (very)); it is dropped and only counted"),
            line("is unreachable (connection refused); retrying with backoff"),
            line("rejects a single log as too_large (413); it is dropped and only counted"),
        ];
        assert_eq!(refusals(&lines), ["400: bad (very)", "413"]);
        let many = (0..9).map(|n| line(&format!("rejects a single log as rejected ({n}); x"))).collect::<Vec<_>>();
        assert_eq!(refusals(&many).len(), MOST_REASONS);
    }
}
