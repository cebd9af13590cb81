//! `flb-sentry explain`: shows what the plugin makes of each record, and why.
//!
//! ```text
//! input::* -> pieces -> explainer (out_sentry::mapping::Mapper) -> answers -> lines (JSON) or view (people)
//!                            options --^
//! ```
//!
//! The mapping is the plugin's own, linked as a library. Nothing is sent, and the command uses none of the plugin's threads,
//! spool or network code. Memory does not grow with the input: the input is mapped in parts, and a record is written as soon
//! as it has ended.

mod answers;
pub(crate) mod cost;
mod explainer;
mod lines;
mod options;
mod pieces;
mod reason;
mod summary;
mod view;

use crate::argument::Discreet;
use crate::input::file::{Format, Input};
use crate::ship::key_value;
use crate::terminal::{in_colour, printable};
use answers::{Explained, Output};
use explainer::Explainer;
use options::Settings;
use pieces::Problems;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  flb-sentry explain app.jsonl
  kubectl logs deploy/checkout | flb-sentry explain --format text --pretty
  flb-sentry explain -o event_level=warn -o level_key=sev app.jsonl | jq .reason
  flb-sentry explain --kube-meta meta/ <pod>_<namespace>_<container>-<id>.log

Output for machines, one JSON object per record and category:
  record       number of the record in the input, from 1
  line         the line it ended at
  category     `event` (issue) or `log`; each record has one object of each
  outcome      `accepted` (would be sent), `filtered`, `joined`, `sampled`,
               `suppressed`, `invalid`
  reason       why it is not sent by itself
  into         the record whose event it is part of
  keys         the fields that gave message, level, trace and stack; null: none
               did. Without a message field the whole record is the message;
               without a trace id a stream shares one for ten minutes
  level_from   `key`, `text`, `stack trace` or `default`
  destination  its DSN without the key, where `dsn_dir` or an annotation may
               choose one
  billed       bytes that Sentry would bill for the log
  payload      what Sentry would get. An event's id depends on where it goes:
               `-o dsn=...` makes it the real one

Exit codes:
  0    every record was read
  1    some lines or bytes are no records; the others are explained
  2    the command line or an option is wrong
  4    the input cannot be read, or the output not written";

/// Show what each record would become at Sentry, and why; sends nothing.
///
/// Reads JSON lines, chunk files (.msgpack), log files of a container runtime, and plain text where --format or the name
/// says so (.log, .txt). The whole input counts as one chunk: lines of a stack trace are joined, earlier lines become
/// breadcrumbs, storms are held back, exactly as in the plugin. Needs no DSN and no network.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = Discreet(key_value))]
    options: Vec<(String, String)>,

    /// A view for people, which is the default on a terminal
    #[arg(long, conflicts_with = "json")]
    pretty: bool,

    /// One JSON object a line, which is the default elsewhere
    #[arg(long)]
    json: bool,

    /// Tag of all records, instead of the file's own: `kube.var.log.containers.<name>` or, as for `ship`, `ship.<name>`
    #[arg(long)]
    tag: Option<String>,

    /// Format of the input
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Directory of `<namespace>_<pod>.meta` files, the pods' JSON; adds what Fluent Bit's kubernetes filter would
    #[arg(long, value_name = "DIR")]
    kube_meta: Option<PathBuf>,

    /// File to explain [default: standard input, also `-`]
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    file: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let settings = match options::load(&args.options) {
        Ok(settings) => settings,
        Err(problems) => {
            problems.iter().for_each(|problem| complain(problem));
            return 2.into();
        }
    };
    settings.notes.iter().for_each(|note| complain(note));
    let input = match Input::check(&args.file) {
        Ok(input) => input,
        Err(error) => {
            complain(&format!("{}: {error}", args.file.display()));
            return 4.into();
        }
    };
    explain(&args, settings, &input)
}

fn explain(args: &Args, settings: Settings, input: &Input) -> ExitCode {
    let mut problems = Problems::new(input.name());
    let tag = args.tag.clone().unwrap_or_else(|| input.tag());
    let mut explainer =
        Explainer::new((settings.mapping.clone(), &settings.directory, tag), Writer::new(args, &settings));
    let read = pieces::read(args, input, &mut problems, &mut |piece| {
        let texts = if explainer.output().view.is_some() { view::texts(&piece.bytes) } else { Vec::new() };
        explainer.piece(piece, texts)
    });
    let read = read.and_then(|()| explainer.finish().map_err(pieces::Stop::Output));
    let writer = explainer.output();
    let read = read.and_then(|()| writer.finish().map_err(pieces::Stop::Output));
    let flushed = writer.out.flush();
    problems.sum_up();
    match read.and_then(|()| flushed.map_err(pieces::Stop::Output)) {
        Ok(()) => ExitCode::from(u8::from(problems.any() || writer.undecodable)),
        // Whoever reads us has had enough.
        Err(pieces::Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(pieces::Stop::Output(error)) => {
            complain(&format!("cannot write: {error}"));
            4.into()
        }
        Err(pieces::Stop::Input(error)) => {
            complain(&format!("{}: {error}", input.name()));
            4.into()
        }
    }
}

/// Says it on standard error, if that is still open.
fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "flb-sentry explain: {}", printable(problem));
}

/// Writes explained records.
struct Writer<'s> {
    settings: &'s Settings,
    /// The view for people; `None`: JSON lines.
    view: Option<view::View>,
    out: io::BufWriter<io::StdoutLock<'static>>,
    /// True if there were bytes that are no record.
    undecodable: bool,
    summary: summary::Summary,
}

impl<'s> Writer<'s> {
    fn new(args: &Args, settings: &'s Settings) -> Self {
        let stdout = io::stdout();
        let pretty = args.pretty || (stdout.is_terminal() && !args.json);
        Self {
            settings,
            view: pretty.then(|| view::View::new(in_colour())),
            out: io::BufWriter::new(stdout.lock()),
            undecodable: false,
            summary: summary::Summary::default(),
        }
    }

    /// Ends the view for people with a summary. JSON has no such line: each of its lines is a result.
    fn finish(&mut self) -> io::Result<()> {
        match self.view {
            Some(_) => self.summary.write(&mut self.out),
            None => Ok(()),
        }
    }
}

impl Output for Writer<'_> {
    fn record(&mut self, record: &Explained) -> io::Result<()> {
        self.undecodable |= record.is_undecodable();
        self.summary.add(record);
        match &self.view {
            Some(view) => view.write(&mut self.out, record, self.settings),
            None => lines::write(&mut self.out, record, self.settings),
        }
    }
}
