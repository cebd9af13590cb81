//! `flb-sentry explain`: what the plugin makes of each record, and why.
//!
//! ```text
//! input::* -> pieces -> out_sentry::record::Mapper -> answers -> lines (JSON) or view (people)
//!                            options --^
//! ```
//!
//! The mapping is the plugin's own, linked as a library: nothing is sent, and no thread, spool or network is there to do it.

mod answers;
pub(crate) mod cost;
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
use answers::Answers;
use options::Settings;
use out_sentry::record::{Mapper, Origin};
use pieces::{Piece, Problems};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

    /// What the input holds
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
    let mut explainer = Explainer::new(args, settings, input);
    let read = pieces::read(args, input, &mut problems, &mut |piece| explainer.piece(piece));
    let read = read.and_then(|()| explainer.finish().map_err(pieces::Stop::Output));
    let flushed = explainer.out.flush();
    problems.sum_up();
    match read.and_then(|()| flushed.map_err(pieces::Stop::Output)) {
        Ok(()) => ExitCode::from(u8::from(problems.any() || explainer.undecodable)),
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

/// Asks the plugin's mapping, piece by piece.
struct Explainer {
    mapper: Mapper,
    settings: Settings,
    tag: String,
    now: Duration,
    /// Number of the next record, from 0.
    next: u32,
    /// The view for people, and whether it is in colour; `None`: JSON lines.
    view: Option<view::View>,
    out: io::BufWriter<io::StdoutLock<'static>>,
    /// Whether there were bytes that are no record.
    undecodable: bool,
    summary: summary::Summary,
}

impl Explainer {
    fn new(args: &Args, settings: Settings, input: &Input) -> Self {
        let stdout = io::stdout();
        let pretty = args.pretty || (stdout.is_terminal() && !args.json);
        Self {
            mapper: Mapper::new(settings.mapping.clone()),
            settings,
            tag: args.tag.clone().unwrap_or_else(|| input.tag()),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            next: 0,
            view: pretty.then(|| view::View::new(in_colour())),
            out: io::BufWriter::new(stdout.lock()),
            undecodable: false,
            summary: summary::Summary::default(),
        }
    }

    fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        let origin = Origin { tag: self.tag.as_bytes(), router: &self.settings.directory, now: self.now };
        let mut answers = Answers::new(self.next, piece.offset);
        self.next = self.mapper.map(origin, &piece.bytes, self.next, &mut answers);
        self.undecodable |= answers.undecodable();
        self.summary.add(&answers);
        match &self.view {
            Some(view) => view.write(&mut self.out, piece, &answers, &self.settings),
            None => lines::write(&mut self.out, piece, &answers, &self.settings),
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
