//! How long a flush keeps the host, beside what the machine itself takes to copy such a chunk and to put it on its disk.

use super::chunks;
use super::drive::{self, Driven, Job};
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::measure::{page, setting};

/// Enough for the plugin to be done with a chunk before the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A table with a row for each delivery and each yardstick.
pub fn section(job: &Job, dir: &Path) -> Result<String, String> {
    let times: u64 = setting("BENCH_FLUSHES", 300);
    let chunk = std::fs::read(chunks::large(dir)).map_err(|error| format!("large chunk: {error}"))?;
    let small = std::fs::read(chunks::small(dir)).map_err(|error| format!("small chunk: {error}"))?;
    let flush = |path, bytes: &[u8], option: String| {
        let records = u64::from(out_sentry::chunk::count(bytes)) * times;
        let job = Job { chunks: path, records, pause: PAUSE, options: vec![option], ..job.clone() };
        drive::run(&job, Duration::ZERO, &[]).map(|found| found.0)
    };
    let spool_in = |name| format!("spool_path={}", dir.join(name).display());
    let memory = flush(chunks::large(dir), &chunk, "delivery=memory".into())?;
    let copy = yardstick(times, || drop(black_box(black_box(&chunk).clone())));
    let spool = flush(chunks::large(dir), &chunk, spool_in("spool"))?;
    let little = flush(chunks::small(dir), &small, spool_in("little"))?;
    let file = dir.join("yardstick");
    let write = written(times, &file, &chunk)?;
    let little_write = written(times, &file, &small)?;
    let sync = yardstick(times, || _ = synced(&file, &chunk));
    let mut text = format!("\nA flush of {:.1} MB, {times} times:\n\n", chunk.len() as f64 / 1e6);
    text += "| what | median ms | 90 in 100 | 99 in 100 | longest | RETRY |\n|---|---|---|---|---|---|\n";
    let rows = [
        ("flush, `memory`", memory),
        ("a copy", copy),
        ("flush, `spool`", spool),
        ("the writes, syncs and deletions of the spool alone", write),
        ("flush of 1 KB, `spool`", little),
        ("the same of 1 KB", little_write),
        ("a file, written and synced", sync),
    ];
    rows.iter().for_each(|(what, driven)| _ = writeln!(text, "{}", row(what, driven)));
    text.push('\n');
    for (row, what, most) in [
        (0, "99 in 100 flushes in `memory` within 1 ms", 1.0),
        (2, "99 in 100 flushes in `spool` within 1.5 ms", 1.5),
        (4, "99 in 100 flushes of 1 KB in `spool` within 0.1 ms", 0.1),
    ] {
        let late = rows[row].1.flush(990).as_secs_f64() * 1e3;
        _ = writeln!(text, "{}", page::verdict(what, late < most, &format!("{late:.3} ms")));
    }
    Ok(text)
}

fn row(what: &str, driven: &Driven) -> String {
    let ms = |per_mille| driven.flush(per_mille).as_secs_f64() * 1e3;
    format!("| {what} | {:.2} | {:.2} | {:.2} | {:.2} | {} |", ms(500), ms(900), ms(990), ms(1000), driven.retries)
}

/// The same as often, and as rarely.
fn yardstick(times: u64, mut what: impl FnMut()) -> Driven {
    let mut one = |_| {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        what();
        start.elapsed()
    };
    let mut flushes: Vec<Duration> = (0..times).map(&mut one).collect();
    flushes.sort_unstable();
    Driven { flushes, ..Driven::default() }
}

/// Does with a file what the spool does with its segments, and nothing else: appends the bytes as often, and another thread
/// syncs and deletes the file after every second write. Returns the durations of the writes.
fn written(times: u64, path: &Path, bytes: &[u8]) -> Result<Driven, String> {
    let shown = |error| format!("{}: {error}", path.display());
    let (to_worker, full) = std::sync::mpsc::channel::<File>();
    let worker = std::thread::spawn(move || full.iter().try_for_each(|file| file.sync_data()));
    let mut flushes = Vec::new();
    for number in 0..times {
        let mut file = File::options().append(true).create(true).open(path).map_err(shown)?;
        let start = Instant::now();
        file.write_all(bytes).map_err(shown)?;
        flushes.push(start.elapsed());
        if number % 2 == 1 {
            // The file goes when the worker closes it.
            std::fs::remove_file(path).map_err(shown)?;
            to_worker.send(file).map_err(|error| error.to_string())?;
        }
        std::thread::sleep(PAUSE);
    }
    drop(to_worker);
    worker.join().map_err(|_| "worker: panic".to_owned())?.map_err(shown)?;
    flushes.sort_unstable();
    Ok(Driven { flushes, ..Driven::default() })
}

fn synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}
