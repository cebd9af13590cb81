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
use crate::input::time::Time;
use crate::ship::key_value;
use crate::terminal::{in_colour, printable, width};
use answers::{Explained, Output};
use explainer::Explainer;
use options::Settings;
use out_sentry::clock::WallTime;
use out_sentry::ledger::{Category, Outcome};
use pieces::{Problems, Reading, Stop};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  flb-sentry explain --events app.jsonl
  kubectl logs deploy/checkout | flb-sentry explain --pretty -
  flb-sentry explain -o event_level=warn -o level_key=sev app.jsonl | jq .reason
  flb-sentry explain --kube-meta meta/ <pod>_<namespace>_<container>-<id>.log

Output for programs, one JSON object per record and category:
  file         the file, if there are several
  record       number of the record in the file, from 1
  line         the last line of the record
  category     `event` (issue) or `log`; each record has one object of each
  outcome      `accepted` (would be sent), `filtered`, `joined`, `sampled`,
               `suppressed`, `invalid`
  reason       why it is not sent by itself
  into         the record whose item it is part of
  keys         the fields that gave message, level, trace and stack; null: none
               did. Without a message field the whole record is the message;
               without a trace id a stream shares one for ten minutes
  level_from   `key`, `text`, `stack trace` or `default`
  destination  its DSN without the key, where `dsn_dir` or an annotation may
               choose it
  billed       bytes that Sentry would bill for the log
  payload      what Sentry would get. The id of an event depends on its
               destination: set `-o dsn=...` for the id that would be sent

Exit codes:
  0    every record was read
  1    some lines or bytes are not records; the others are explained
  2    the command line or an option is wrong
  4    the input cannot be read, or the output cannot be written";

/// Show what each record would become in Sentry, and why; sends nothing.
///
/// Reads JSON lines, chunk files, log files of a container runtime or of Docker, what `kubectl logs` prints, and plain text.
/// The first line of a file determines its format. Each file counts as one chunk: lines of a stack trace are joined,
/// earlier lines become breadcrumbs, and storm control applies, exactly as in the plugin. Needs no DSN and no network.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = Discreet(key_value))]
    options: Vec<(String, String)>,

    /// Print a view for people [default on a terminal]
    #[arg(long, conflicts_with = "json")]
    pretty: bool,

    /// Print one JSON object per line [default if the output is not a terminal]
    #[arg(long)]
    json: bool,

    /// Tag of all records, instead of the file's own: `kube.var.log.containers.<name>` or, as for `ship`, `ship.<name>`
    #[arg(long)]
    tag: Option<String>,

    /// Format of the files
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Only records that become events; the others still count in the summary
    #[arg(long)]
    events: bool,

    /// The time of the mapping, as RFC 3339 [default: now]. Records that are then older than 29 days are sent with this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<WallTime>,

    /// Directory of `<namespace>_<pod>.meta` files, the pods' JSON; adds what Fluent Bit's kubernetes filter would add
    #[arg(long, value_name = "DIR")]
    kube_meta: Option<PathBuf>,

    /// Files to explain [default: standard input, also `-`]
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
}

fn time(text: &str) -> Result<WallTime, String> {
    let time = Time::parse(text).ok_or("expected a time like 2026-11-20T08:00:00Z")?;
    Ok(WallTime::EPOCH + Duration::new(time.seconds.into(), time.nanos))
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
    let inputs: Vec<_> = args.files.iter().map(|path| Input::check(path)).collect();
    let unreadable = args.files.iter().zip(&inputs).filter_map(|(path, input)| Some((path, input.as_ref().err()?)));
    let unreadable = unreadable.map(|(path, error)| complain(&format!("{}: {error}", path.display()))).count();
    if unreadable > 0 {
        return 4.into();
    }
    explain(&args, &settings, &inputs.into_iter().flatten().collect::<Vec<_>>())
}

fn explain(args: &Args, settings: &Settings, inputs: &[Input]) -> ExitCode {
    let tag = |input: &Input| args.tag.clone().unwrap_or_else(|| input.tag());
    let mapping = (settings.mapping.clone(), &settings.resolver, inputs.first().map(tag).unwrap_or_default());
    let mut explainer = Explainer::new(mapping, args.now, Writer::new(args, settings));
    match files(args, inputs, tag, &mut explainer) {
        Ok(Ended { unreadable: true, .. }) => 4.into(),
        Ok(Ended { problems, .. }) => ExitCode::from(u8::from(problems || explainer.output().undecodable)),
        // Nobody reads the output any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot write: {error}"));
            4.into()
        }
    }
}

/// The end of reading the inputs.
#[derive(Default)]
struct Ended {
    /// At least one line is no record.
    problems: bool,
    /// At least one input could not be read to its end.
    unreadable: bool,
}

/// Explains one input after the other. One that cannot be read does not keep the next from being explained.
///
/// # Errors
/// The output cannot be written.
fn files(
    args: &Args,
    inputs: &[Input],
    tag: impl Fn(&Input) -> String,
    explainer: &mut Explainer<'_, Writer<'_>>,
) -> io::Result<Ended> {
    let reading = Reading { format: args.format, kube_meta: args.kube_meta.as_deref() };
    let mut ended = Ended::default();
    for (at, input) in inputs.iter().enumerate() {
        if at > 0 {
            explainer.next_file(tag(input))?;
        }
        if inputs.len() > 1 {
            explainer.output().file = Some((input.name(), false));
        }
        let mut problems = Problems::new(input.name());
        let read = pieces::read(reading, input, &mut problems, &mut |piece| {
            let shown = if explainer.output().view.is_some() { view::records(&piece.bytes) } else { Vec::new() };
            explainer.piece(piece, shown)
        });
        problems.sum_up();
        ended.problems |= problems.any();
        match read {
            Ok(()) => {}
            Err(Stop::Output(error)) => return Err(error),
            Err(Stop::Input(error)) => {
                complain(&format!("{}: {error}", input.name()));
                ended.unreadable = true;
            }
        }
    }
    explainer.finish()?;
    let writer = explainer.output();
    writer.finish()?;
    writer.out.flush()?;
    Ok(ended)
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
    /// True if only records are written that become events.
    events: bool,
    /// If there are several files, the name of this one, and true if the view has named it.
    file: Option<(String, bool)>,
    out: io::BufWriter<io::StdoutLock<'static>>,
    /// True if there were bytes that are not a record.
    undecodable: bool,
    summary: summary::Summary,
}

impl<'s> Writer<'s> {
    fn new(args: &Args, settings: &'s Settings) -> Self {
        let stdout = io::stdout();
        let pretty = args.pretty || (stdout.is_terminal() && !args.json);
        Self {
            settings,
            view: pretty.then(|| view::View::new(in_colour(), width())),
            events: args.events,
            file: None,
            out: io::BufWriter::new(stdout.lock()),
            undecodable: false,
            summary: summary::Summary::default(),
        }
    }

    /// Ends the view for people with a summary. JSON has no such line: each of its lines is a result.
    fn finish(&mut self) -> io::Result<()> {
        match &self.view {
            Some(view) => self.summary.write(&mut self.out, view.width()),
            None => Ok(()),
        }
    }
}

impl Output for Writer<'_> {
    fn record(&mut self, record: &Explained) -> io::Result<()> {
        self.undecodable |= record.is_undecodable();
        self.summary.add(record);
        if self.events && record.end(Category::Event).outcome != Some(Outcome::Accepted) {
            return Ok(());
        }
        match &self.view {
            Some(view) => {
                if let Some((name, named @ false)) = &mut self.file {
                    view.file(&mut self.out, name)?;
                    *named = true;
                }
                view.write(&mut self.out, record, self.settings)
            }
            None => {
                lines::write(&mut self.out, record, self.file.as_ref().map(|(name, _)| name.as_str()), self.settings)
            }
        }
    }
}
