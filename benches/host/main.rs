//! The plugin inside a real Fluent Bit, beside the host's own outputs, in one run: processor time, time to complete
//! delivery, memory. Prints a table and asserts nothing.
//!
//! `BENCH_LINES` (300000), `BENCH_REPEAT` (3), `BENCH_SENDERS` (32, for slow answers), `BENCH_FILE` (other lines),
//! `BENCH_PLUGIN` (another build of the plugin, measured beside this one), `BENCH_CHUNKS_ONLY` (only how many small chunks
//! a second each delivery takes).

mod chunks;
mod outputs;
mod run;
mod table;

use outputs::{COMPRESSIONS, Output};
use run::Run;
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Measured;
use testkit::fluent_bit::FluentBit;
use testkit::measure::{lines, machine, page, setting, sink};
use testkit::tempdir::TempDir;

/// Lines a second while memory is watched, and for how long.
const STEADY_RATE: usize = 10_000;
const STEADY_SPAN: Duration = Duration::from_secs(12);

/// Delay of the slow server's answers, which simulates its distance.
const SLOW: Duration = Duration::from_millis(50);

fn main() -> Result<(), String> {
    if sink::serve_if_asked() {
        return Ok(());
    }
    let program = match FluentBit::find() {
        Ok(program) => program,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    let machine = format!("{}; {}", machine::line(), FluentBit::version(&program));
    let dir = TempDir::new("bench").map_err(|error| format!("directory: {error}"))?;
    let input = Input::make(dir.path()).map_err(|error| format!("lines: {error}"))?;
    let chunks = chunks::table(setting("BENCH_REPEAT", 3))?;
    if std::env::var_os("BENCH_CHUNKS_ONLY").is_some() {
        println!("{machine}\n{chunks}");
        return Ok(());
    }
    let measured = measure_all(&input)?;
    let text = table::render(&machine, &input, &measured) + &chunks;
    page::publish("host", &text).map_err(|error| format!("page: {error}"))
}

/// The input that Fluent Bit reads.
pub struct Input {
    file: PathBuf,
    growing: PathBuf,
    text: Vec<u8>,
    lines: u64,
}

impl Input {
    fn make(dir: &Path) -> std::io::Result<Self> {
        let text = match std::env::var_os("BENCH_FILE") {
            Some(path) => std::fs::read(path)?,
            None => lines::of(lines::PODS, setting("BENCH_LINES", 300_000)),
        };
        // As the host opens it, which is where its descriptors lead.
        let dir = dir.canonicalize()?;
        let file = dir.join("lines.log");
        std::fs::write(&file, &text)?;
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(Self { file, growing: dir.join("growing.log"), text, lines })
    }
}

/// Each output in turn, and all of it again: what disturbs the machine disturbs them all.
fn measure_all(input: &Input) -> Result<Vec<Measured>, String> {
    let senders = format!("senders {}\n", setting("BENCH_SENDERS", 32));
    let mut all =
        vec![Measured::new(Output::null(), Output::null()), Measured::new(Output::http("gzip"), Output::http("gzip"))];
    for compress in COMPRESSIONS {
        all.push(Measured::new(Output::opentelemetry(compress), Output::opentelemetry(compress)));
        all.push(Measured::new(Output::sentry(compress, ""), Output::sentry(compress, &senders)));
        if let Some(other) = std::env::var_os("BENCH_PLUGIN").map(PathBuf::from) {
            let [fast, slow] = ["", &senders].map(|more| Output::other_build(other.clone(), compress, more));
            all.push(Measured::new(fast, slow));
        }
    }
    all.push(Measured::new(Output::spooling("gzip", ""), Output::spooling("gzip", &senders)));
    for round in 0..setting("BENCH_REPEAT", 3) {
        for measured in &mut all {
            eprintln!("round {round}: {} {}", measured.output.label, measured.output.compress);
            measured.fast.push(one(&measured.output, input, Duration::ZERO)?);
            if measured.output.sends() {
                measured.slow.push(one(&measured.output_when_slow, input, SLOW)?);
            }
        }
    }
    for measured in &mut all {
        let text = &input.text;
        measured.steady = run::steady(&measured.output, &input.growing, text, STEADY_RATE, STEADY_SPAN)?;
    }
    Ok(all)
}

fn one(output: &Output, input: &Input, delay: Duration) -> Result<Run, String> {
    let run = run::once(output, &input.file, input.lines, delay)?;
    eprintln!("{run:?}");
    Ok(run)
}
