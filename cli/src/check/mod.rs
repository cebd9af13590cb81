//! `flb-sentry check`: reports what is wrong with a configuration before Fluent Bit starts with it.
//!
//! ```text
//! file -> classic | yaml -> config -> output (out_sentry::options) -> surroundings, files, network -> report
//! -o ----------------------------------^
//! ```
//!
//! Names and values are judged by the plugin's own table, and its own client asks the destinations, linked as a library.

mod certificate;
mod classic;
mod config;
mod files;
mod host_settings;
mod host_version;
mod network;
mod output;
mod report;
mod understood;
mod yaml;

use crate::argument::Discreet;
use crate::explain;
use crate::ship::key_value;
use crate::terminal::counted;
use crate::terminal::{Waiting, in_colour, printable};
use config::{Configuration, Kind};
use host_version::HostVersion;
use out_sentry::clock::WallTime;
use out_sentry::options::Settings;
/// Opens and reads files that another program wrote, for the other commands too.
pub(crate) use out_sentry::options::{open_plain, read_plain};
use output::Output;
use report::{Report, Weight};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
pub use understood::{Paragraph, Understood, read_text};

const EXAMPLES: &str = "\
Examples:
  flb-sentry check fluent-bit.conf
  flb-sentry check --send fluent-bit.yaml
  flb-sentry check -o dsn_file=/run/secrets/dsn -o spool_path=/var/lib/sentry
  flb-sentry check --offline --json fluent-bit.conf | jq '.problems[]'
  flb-sentry check --offline --sample app.log fluent-bit.conf

With a file, the command checks each output named sentry; -o overrides the file.
Without a file, it checks one output: that of the -o options and the environment
variable SENTRY_DSN.
It looks for files and directories on this machine and as this user: run it on
the machine where Fluent Bit runs, and as the user that runs Fluent Bit.

Output for programs (--json), one object:
  outputs   name, file, line, about (where it sends to)
  problems, advice, ok
            lists of output, file, line, text

Exit codes:
  0    no problem, but perhaps advice
  1    problems: the configuration cannot work; with --strict, also advice
  2    the command line is wrong
  4    the file cannot be read, or the output cannot be written";

/// Check a configuration: names, values, DSN, files, certificates, spool, and whether destinations answer.
///
/// A problem prevents an output from working. Advice names settings that work but have a drawback. No secret is printed.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = Discreet(key_value))]
    options: Vec<(String, String)>,

    /// Send a test event to each destination, twice, five seconds apart; only this verifies the key
    #[arg(long, conflicts_with = "offline")]
    send: bool,

    /// Connect to no destination
    #[arg(long)]
    offline: bool,

    /// Exit with 1 also if there is only advice
    #[arg(long)]
    strict: bool,

    /// Longest wait for a destination, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,

    /// Version of the Fluent Bit that will use the configuration [default: that of `fluent-bit` on PATH]
    #[arg(long, value_name = "VERSION")]
    fluent_bit: Option<HostVersion>,

    /// Estimate what the logs in this file cost at Sentry with these settings; formats as for `explain`
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,

    /// Directory of `<namespace>_<pod>.meta` files for the sample, as for `explain`
    #[arg(long, value_name = "DIR", requires = "sample")]
    kube_meta: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Configuration of Fluent Bit, classic or (.yaml, .yml) YAML
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let mut report = Report::default();
    let configuration = match args.file.as_deref().map(|file| config::read(file, &mut report)).transpose() {
        Ok(configuration) => configuration,
        Err(error) => {
            let file = args.file.unwrap_or_default();
            let _ = writeln!(io::stderr(), "flb-sentry check: {}: {error}", printable(&file.display().to_string()));
            return 4.into();
        }
    };
    check(&args, configuration.as_ref(), &mut report);
    let mut out = io::stdout().lock();
    let written = if args.json { report.write_json(&mut out) } else { report.write(&mut out, in_colour()) };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "flb-sentry check: cannot write: {error}");
            4.into()
        }
        _ => {
            let advice = if args.strict { report.count(Weight::Advice) } else { 0 };
            u8::from(report.count(Weight::Problem) + advice > 0).into()
        }
    }
}

fn check(args: &Args, configuration: Option<&Configuration>, report: &mut Report) {
    let sections: Vec<_> = match configuration {
        None => vec![None],
        Some(configuration) => {
            configuration.of(Kind::Output).filter(|s| s.is_plugin(Kind::Output, "sentry")).map(Some).collect()
        }
    };
    if sections.is_empty() {
        report.problem(None, "there is no output named sentry");
    }
    let host = args.fluent_bit.or_else(HostVersion::installed);
    let mut outputs = Vec::new();
    for (number, section) in sections.into_iter().enumerate() {
        let mut output = Output::new(number, &args.options, section);
        report.output(&output.name, output.place());
        output.load(report);
        if let Some(configuration) = configuration {
            host_settings::of_output(&output, configuration, host, report);
        }
        world(args, &output, report);
        outputs.push(output);
    }
    if let Some(configuration) = configuration.filter(|_| !outputs.is_empty()) {
        report.whole();
        host_settings::of_whole(&outputs, configuration, host, report);
    }
}

/// Reports the cost of the logs of a sample.
fn cost(args: &Args, sample: &Path, settings: &Settings, report: &mut Report) {
    const DEAREST: usize = 3;
    let shown = sample.display();
    match explain::cost::of_sample(sample, args.kube_meta.clone(), settings.mapping.clone(), &settings.destination) {
        Ok(cost) if cost.logs == 0 => report.advice(None, &format!("sample {shown}: no logs, nothing to bill")),
        Ok(cost) => {
            // A million logs of so many bytes are so many megabytes.
            let gigabytes = cost.bytes as f64 / cost.logs as f64 / 1_000.0;
            report.sound(&format!(
                "sample {shown}: Sentry bills {} per log, {gigabytes:.2} GB per million logs; {}",
                counted(cost.each(), "byte"),
                cost.dearest(DEAREST)
            ));
        }
        Err(error) => report.problem(None, &format!("sample {shown}: {error}")),
    }
}

/// Checks the files and servers that an output needs outside of the configuration.
fn world(args: &Args, output: &Output, report: &mut Report) {
    let Some(settings) = output.loaded.as_ref().map(|loaded| &loaded.settings) else { return };
    let now = WallTime::from(SystemTime::now());
    files::check(output, settings, now, report);
    if let Some(sample) = &args.sample {
        cost(args, sample, settings, report);
    }
    let destinations = files::destinations(output, settings, report);
    if args.offline {
        return;
    }
    let name = &output.name;
    let waiting = Waiting::for_what(&format!("{name}: asking whether destinations answer ({})", destinations.len()));
    let longest = Duration::from_secs(args.timeout);
    network::reach(output, settings, &destinations, longest, args.send, report);
    drop(waiting);
    if args.send {
        let _waiting = Waiting::for_what(&format!("{name}: sending a test event twice, five seconds apart"));
        network::send(output, settings, &destinations, report);
    }
}
