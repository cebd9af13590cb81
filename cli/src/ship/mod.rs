//! `flb-sentry ship`: feeds files to the plugin through its C ABI, as Fluent Bit would.
//!
//! ```text
//! input::* -> feed -> chunk ==queue==> engine -> plugin_host::Instance
//!                            retries, tally        | exit
//!                                    report <- ledger
//! ```
//!
//! One thread reads. The engine thread makes the instance, flushes and ends it (with `--workers`, the workers flush). The
//! main thread watches for the end and for signals.

pub(crate) mod chunk;
pub(crate) mod console;
mod engine;
mod ledger;
pub(crate) mod locate;
pub(crate) mod queue;
mod reader;
pub(crate) mod report;
pub(crate) mod session;

pub use crate::input::file::Format;

use crate::argument::Discreet;
use crate::input::file::Input;
use reader::{Feeder, Reading};
use report::Report;
use session::{Limits, Refusal, Session};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  flb-sentry ship -o dsn=$SENTRY_DSN /var/log/containers/*.log
  kubectl logs deploy/checkout | flb-sentry ship -o dsn=$SENTRY_DSN -
  flb-sentry ship -o dsn_file=dsn -o spool_path=/tmp/spool --rate 500 large.log
  flb-sentry ship --wait 60s -o dsn=$SENTRY_DSN app.jsonl
  flb-sentry ship --json -o log_level=off app.jsonl | jq .server

Without `spool_path`, records that are not sent at the end are lost. With it,
they wait there for `flb-sentry replay` or the next run.";

/// Ship files through the plugin as Fluent Bit would, and report the result for every record.
///
/// Reads chunk files (.msgpack), JSON lines, log files of a container runtime and plain text. The first line of a file
/// determines its format. A container's log named `<pod>_<namespace>_<container>-<id>.log` gets its tag and its
/// `kubernetes` fields.
#[derive(clap::Args, Debug)]
#[command(after_long_help = report::help(EXAMPLES))]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section; without `dsn`, the environment variable SENTRY_DSN applies.
    /// `log_level` (off, error, warn, info, debug, trace; by default warn) decides which lines of the plugin's log are shown
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = Discreet(key_value))]
    options: Vec<(String, String)>,

    /// The plugin file [default: beside this program, then ../lib]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

    /// Tag of all records, instead of each file's own: `kube.var.log.containers.<name>` or `ship.<name>`
    #[arg(long)]
    tag: Option<String>,

    /// Format of the files
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Threads that flush at the same time; 0 is Fluent Bit's default, one flush at a time on the engine's own thread
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    workers: u16,

    /// Maximum number of records per second
    #[arg(long, value_name = "RECORDS/s", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// Maximum size of a flush in bytes, K or M; a longer record is flushed alone
    #[arg(long, value_name = "SIZE", default_value = "2M", value_parser = size)]
    chunk_size: usize,

    /// Retries of a chunk before it is given up [default: no limit]
    #[arg(long, value_name = "N")]
    retry_limit: Option<u32>,

    /// Longest wait for the server after the last line, like 500ms, 60s or 5m; sets exit_timeout [default: the option exit_timeout]
    #[arg(long, value_name = "TIME", value_parser = wait)]
    wait: Option<Duration>,

    /// Directory of `<namespace>_<pod>.meta` files, the pods' JSON; adds what Fluent Bit's kubernetes filter would add
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

/// Reads the time of `--wait`.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    let time = session::time(text).filter(|time| *time <= LONGEST_WAIT);
    time.ok_or_else(|| "expected a time up to 24h, like 500ms, 60s or 5m".into())
}

const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match ship(&args) {
        Ok(report) => report.print(args.json).into(),
        Err(refusal) => {
            complain("ship", &refusal.problem);
            refusal.code.into()
        }
    }
}

/// Says it on standard error, if that is still open.
pub(crate) fn complain(command: &str, problem: &str) {
    let _ = writeln!(io::stderr(), "flb-sentry {command}: {problem}");
}

fn ship(args: &Args) -> Result<Report, Refusal> {
    let inputs = check(&args.files)?;
    let total = inputs.iter().map(|input| input.size).sum();
    let limits = Limits { retries: args.retry_limit, wait: args.wait };
    let session = Session::open(args.plugin.as_deref(), &args.options, args.workers.into(), limits, total)?;
    let feeder = Feeder::new(args.reading(), inputs, Arc::clone(&session.queue), Arc::clone(&session.console));
    session.run("ship", &Arc::new(feeder))
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
    fn waits_are_times_of_at_most_a_day() {
        assert_eq!(["60s", "500ms", "2"].map(wait), [60_000, 500, 2_000].map(|ms| Ok(Duration::from_millis(ms))));
        for wrong in ["", "soon", "-1s", "25h", "1e99s"] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_keys_and_values() {
        assert_eq!(key_value("dsn=http://a@b/1?x=y"), Ok(("dsn".into(), "http://a@b/1?x=y".into())));
        assert_eq!(key_value("tags="), Ok(("tags".into(), String::new())));
        assert!(key_value("dsn").is_err() && key_value("=x").is_err());
    }
}
