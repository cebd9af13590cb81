//! The plugin alone, driven through its C ABI against a server that answers at once or late: what a record costs, how many
//! there are a second, and how long a flush keeps the host. Prints tables and asserts nothing.
//!
//! `BENCH_RECORDS` (200000), `BENCH_REPEAT` (3), `BENCH_CHUNKS` (a directory of other chunk files), `BENCH_PLUGIN` (another build),
//! `BENCH_FLUSHES_ONLY` (only how long a flush keeps the host).

mod chunks;
mod drive;
mod flushes;
mod instructions;

use drive::{Driven, Job};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use testkit::measure::{machine, page, setting, sink};
use testkit::tempdir::TempDir;

/// Of a run that sends slowly: so much less.
const SLOW_SHARE: u64 = 5;

fn main() -> Result<(), String> {
    if sink::serve_if_asked() || drive::drive_if_asked()? {
        return Ok(());
    }
    let machine = machine::line();
    let dir = TempDir::new("bench").map_err(|error| format!("directory: {error}"))?;
    let chunks = chunks::make(dir.path())?;
    let plugin = std::env::var_os("BENCH_PLUGIN").map_or_else(testkit::plugin, PathBuf::from);
    let job =
        Job { plugin, chunks, records: setting("BENCH_RECORDS", 200_000), pause: Duration::ZERO, options: Vec::new() };
    if std::env::var_os("BENCH_FLUSHES_ONLY").is_some() {
        println!("{machine}\n{}", flushes::section(&job, dir.path())?);
        return Ok(());
    }
    let mut text = format!("{machine}\n\n{}\n", described(&job)?);
    text += &throughput(&job)?;
    text += &instructions::section(&job)?;
    text += &flushes::section(&job, dir.path())?;
    page::publish("abi", &text).map_err(|error| format!("page: {error}"))
}

/// Returns a description of the chunks.
fn described(job: &Job) -> Result<String, String> {
    let all = chunks::read(&job.chunks).map_err(|error| format!("{}: {error}", job.chunks.display()))?;
    let records: u64 = all.iter().map(|chunk| u64::from(out_sentry::chunk::count(chunk))).sum();
    let bytes: usize = all.iter().map(Vec::len).sum();
    if records == 0 {
        return Err(format!("{}: expected chunk files with records", job.chunks.display()));
    }
    let each = bytes as f64 / records as f64;
    Ok(format!(
        "{} chunks, {:.1} MB, {each:.0} bytes a record; logs only, `delivery memory`.\n",
        all.len(),
        bytes as f64 / 1e6
    ))
}

/// Settings in which a run differs from the others.
struct Case {
    compress: &'static str,
    batch: u32,
    delay: Duration,
}

/// Returns the memory that an instance with default options may need, in MiB: `queue_max_size`, 16 MiB, and 3 MiB a sender.
fn bound() -> f64 {
    24e6 / f64::from(1 << 20) + 16.0 + 4.0 * 3.0
}

fn throughput(job: &Job) -> Result<String, String> {
    let mut most = 0.0_f64;
    let mut text = "| compress | batch | answers after | records a second | CPU µs a record | bytes sent a record | peak MiB above the start | threads | connections |\n".to_owned();
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for compress in ["none", "gzip", "zstd"] {
        for (batch, delay) in [(100, 0), (100, 50), (1000, 0), (1000, 50)] {
            let case = Case { compress, batch, delay: Duration::from_millis(delay) };
            let (row, grown) = row(job, &case)?;
            _ = writeln!(text, "{row}");
            most = most.max(grown);
        }
    }
    let bound = bound();
    let what = format!("at most {bound:.1} MiB above the start, with the queue full");
    _ = writeln!(text, "\n{}", page::verdict(&what, most <= bound, &format!("{most:.1} MiB")));
    Ok(text)
}

/// A row, and the MiB that its runs needed.
fn row(job: &Job, case: &Case) -> Result<(String, f64), String> {
    let share = if case.delay.is_zero() { 1 } else { SLOW_SHARE };
    // What is left at the end shall not wait a second to fill a batch: that would be measured, not the plugin.
    let fixed = "batch_timeout=100ms".to_owned();
    let options = vec![format!("compress={}", case.compress), format!("batch_max_items={}", case.batch), fixed];
    let job = Job { records: job.records / share, options, ..job.clone() };
    let runs = (0..setting("BENCH_REPEAT", 3)).map(|_| drive::run(&job, case.delay, &[]));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let per_record = |run: &(Driven, sink::Count, String)| run.0.cpu.as_secs_f64() * 1e6 / run.0.records as f64;
    let rate = |run: &(Driven, sink::Count, String)| run.0.records as f64 / run.0.wall.as_secs_f64();
    let (driven, count, _) = runs.last().ok_or("expected BENCH_REPEAT to be at least 1")?;
    let grown = runs.iter().map(|run| run.0.grown).max().unwrap_or_default() as f64 / 1024.0;
    let row = format!(
        "| {} | {} | {} ms | {:.0} | {:.2} | {:.0} | {:.1} | {} | {} |",
        case.compress,
        case.batch,
        case.delay.as_millis(),
        runs.iter().map(rate).fold(0.0, f64::max),
        runs.iter().map(per_record).fold(f64::MAX, f64::min),
        count.bytes as f64 / count.records as f64,
        grown,
        driven.threads,
        count.connections,
    );
    Ok((row, grown))
}
