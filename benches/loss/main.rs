//! What faults cost the host's own `opentelemetry` output and this one: the same lines, the same server, side by side.
//!
//! `make bench-loss` prints a table; it needs a real Fluent Bit and asserts nothing.

mod server;

use server::{Fault, Server};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use testkit::fluent_bit::{FluentBit, Format};
use testkit::tempdir::TempDir;

const LINES: usize = 6_000;

/// A host without a request for so long has given up; with everything delivered it gets less.
const QUIET: Duration = Duration::from_secs(15);
const QUIET_WHEN_ALL_CAME: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(180);

/// Faults that are injected: each this number of times, at the first requests.
const FAULTS: &[(&str, usize, Fault)] = &[
    ("nothing", 0, Fault::Cut),
    ("two answers 429 with `Retry-After: 2`", 2, Fault::Answer(429)),
    ("three answers 503", 3, Fault::Answer(503)),
    ("five connections cut", 5, Fault::Cut),
    ("twelve answers 500", 12, Fault::Answer(500)),
    ("two answers 413", 2, Fault::Answer(413)),
    ("four answers lost after acceptance", 4, Fault::Lost),
];

/// The two outputs, as their documents recommend them; both in batches of a thousand, with at most two seconds between
/// attempts.
const OUTPUTS: [fn(u16) -> String; 2] = [opentelemetry, sentry];

fn opentelemetry(port: u16) -> String {
    format!(
        "    Name          opentelemetry\n    Host          127.0.0.1\n    Port          {port}\n    \
         logs_uri      /api/1/integration/otlp/v1/logs\n    \
         header        x-sentry-auth sentry sentry_key=00000000000000000000000000000000\n    \
         logs_body_key log\n    batch_size    1000\n"
    )
}

fn sentry(port: u16) -> String {
    format!(
        "    Name            sentry\n    dsn             http://00000000000000000000000000000000@127.0.0.1:{port}/1\n    \
         proxy           none\n    spool_path      ${{STATE}}/spool\n    batch_max_items 1000\n    compress        none\n    retry_max       2s\n"
    )
}

fn config(file: &Path, output: &str) -> String {
    format!(
        "[SERVICE]\n    Flush          1\n    Grace          1\n    storage.path   ${{STATE}}/buffers\n    \
         scheduler.base 1\n    scheduler.cap  2\n    HTTP_Server    On\n    HTTP_Listen    127.0.0.1\n    \
         HTTP_Port      ${{HTTP_PORT}}\n\n\
         [INPUT]\n    Name           tail\n    Tag            lines\n    Path           {}\n    \
         Read_from_Head On\n    storage.type   filesystem\n\n\
         [OUTPUT]\n    Match           *\n    Retry_Limit     no_limits\n{output}",
        file.display()
    )
}

/// Of the lines: how many never came, and how many came once too often.
struct Loss {
    missing: usize,
    repeated: usize,
}

impl Loss {
    fn of(came: &BTreeMap<usize, usize>) -> Self {
        let missing = (0..LINES).filter(|line| !came.contains_key(line)).count();
        Self { missing, repeated: came.values().map(|times| times - 1).sum() }
    }
}

/// Runs a host with one output against a server with one fault, until nothing happens any more.
fn measure(fault: &(&str, usize, Fault), output: fn(u16) -> String) -> Result<Loss, String> {
    let (_, times, fault) = *fault;
    let server = Server::start(fault, times).map_err(|error| format!("server: {error}"))?;
    let dir = TempDir::new("loss").map_err(|error| format!("directory: {error}"))?;
    let file = dir.path().join("lines.log");
    std::fs::write(&file, lines()).map_err(|error| format!("{}: {error}", file.display()))?;
    let plugin = testkit::plugin().display().to_string();
    let host = FluentBit::start(&config(&file, &output(server.port())), Format::Classic, &["-e", &plugin])?;
    let started = Instant::now();
    while started.elapsed() < LONGEST {
        let quiet = server.quiet_since().elapsed();
        let all = server.came().len() == LINES;
        if quiet > QUIET || all && quiet > QUIET_WHEN_ALL_CAME {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    drop(host);
    Ok(Loss::of(&server.came()))
}

fn lines() -> String {
    (0..LINES).fold(String::new(), |mut lines, number| {
        _ = writeln!(lines, "an ordinary line of a log, {}{number:06}{}", server::BEFORE, server::AFTER);
        lines
    })
}

fn cell(number: usize) -> String {
    let digits = number.to_string();
    let (head, tail) = digits.split_at(digits.len().saturating_sub(3));
    if head.is_empty() { digits } else { format!("{head},{tail}") }
}

fn row(fault: &(&str, usize, Fault)) -> Result<String, String> {
    let mut row = format!("| {} |", fault.0);
    for loss in OUTPUTS.map(|output| measure(fault, output)) {
        let loss = loss?;
        row += &format!(" {} | {} |", cell(loss.missing), cell(loss.repeated));
    }
    Ok(row)
}

fn main() -> Result<(), String> {
    let program = match FluentBit::find() {
        Ok(program) => program,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    println!(
        "{}, {} lines, filesystem storage, Retry_Limit no_limits, batches of 1,000\n",
        FluentBit::version(&program),
        cell(LINES)
    );
    println!("| fault | `opentelemetry`: missing | repeated | `sentry`: missing | repeated |");
    println!("|---|---|---|---|---|");
    let rows: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = FAULTS.iter().map(|fault| scope.spawn(move || row(fault))).collect();
        running.into_iter().map(|row| row.join().expect("a measurement does not panic")).collect()
    });
    rows.into_iter().try_for_each(|row| row.map(|row| println!("{row}")))
}
