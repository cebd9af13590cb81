//! What each stage costs a record: nanoseconds, counted instructions, allocations; and how much MessagePack a core takes in
//! a second, beside what it copies.
//!
//! `make bench` prints a table. `BENCH_CHUNKS=DIR` takes the chunk files (`*.msgpack`) of a directory instead of the
//! project's own. Instructions are counted by Valgrind, where there is one, from the difference of two runs.

mod allocations;
mod hostile;
mod input;
mod instructions;
mod stages;

use input::Input;
use stages::{STAGES, Stage};
use std::fmt::Write as _;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};
use testkit::measure::{machine, page};

/// A stage runs at least so long in each of the rounds, of which the fastest counts: the machine is never quiet.
const ROUND: Duration = Duration::from_millis(200);
const ROUNDS: u32 = 7;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, stage, runs] = arguments.as_slice()
        && flag == instructions::FLAG
    {
        instructions::be_counted(stage, runs);
        return Ok(());
    }
    if arguments.iter().any(|argument| argument == hostile::FLAG) {
        hostile::print();
        return Ok(());
    }
    let mut text = format!("{}\n\n", machine::line());
    text.push_str("| stage | input | ns | instructions | allocations | MB/s in | MB/s out |\n|---|---|---:|---:|---:|---:|---:|\n");
    for stage in STAGES {
        let _ = writeln!(text, "{}", row(stage));
    }
    text.push_str("\nPer record but for the throughput; MB/s in are megabytes of MessagePack, for one core.\n");
    page::publish("stages", &text)
}

fn row(stage: &Stage) -> String {
    let input = Input::load(stage.input);
    let mut work = (stage.prepare)(&input);
    let out = work();
    let allocations = allocations::during(|| black_box(work()));
    let seconds = fastest(&mut *work);
    let per = |n: f64| n / f64::from(input.records);
    let mega = |bytes: usize| bytes as f64 / seconds / 1e6;
    let instructions = instructions::of(stage.name).map_or("-".to_owned(), |n| format!("{:.0}", per(n)));
    format!(
        "| {} | {} | {:.0} | {instructions} | {:.2} | {:.0} | {:.0} |",
        stage.name,
        stage.input.name(),
        per(seconds * 1e9),
        per(allocations as f64),
        mega(input.bytes),
        mega(out),
    )
}

/// Seconds of one run, in the fastest round.
fn fastest(work: &mut dyn FnMut() -> usize) -> f64 {
    let round = |work: &mut dyn FnMut() -> usize| {
        let (start, mut runs) = (Instant::now(), 0);
        while start.elapsed() < ROUND {
            black_box(work());
            runs += 1;
        }
        start.elapsed().as_secs_f64() / f64::from(runs)
    };
    (0..ROUNDS).map(|_| round(work)).fold(f64::MAX, f64::min)
}
