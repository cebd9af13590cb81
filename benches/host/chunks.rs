//! Chunks of 1 KB that a host hands to an output in a second: what a flush costs the host's engine.

use super::outputs::Output;
use super::run::start_with;
use std::fmt::Write as _;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::fluent_bit::SERVICE;
use testkit::measure::sink;
use testkit::{net, wait};

/// Chunks, each of a tag of its own, so that the host puts no two together.
const CHUNKS: u64 = 6_000;

/// Bytes of the line in each.
const LINE: usize = 1_000;

/// Longest wait for an output to take the chunks. The rate of a slower output is that of the chunks taken by then.
const LONGEST: Duration = Duration::from_secs(60);

/// The outputs, by what the table calls them.
pub fn outputs() -> [(&'static str, Output); 4] {
    [
        ("`null`", Output::null()),
        ("`sentry`, `memory`", Output::sentry("gzip", "delivery memory\nqueue_max_size 64M\n")),
        ("`sentry`, `spool`", Output::spooling("gzip", "")),
        ("`sentry`, `spool`, `spool_sync full`", Output::spooling("gzip", "spool_sync full\n")),
    ]
}

/// Chunks a second.
///
/// # Errors
/// When something cannot be started, or no chunk is taken.
pub fn a_second(output: &Output) -> Result<f64, String> {
    let sink = sink::Sink::start(Duration::ZERO).map_err(|error| format!("server: {error}"))?;
    let port = net::free_port().map_err(|error| format!("port: {error}"))?;
    let input = format!("[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n");
    let config = format!("{SERVICE}\n{input}\n{}", output.section(sink.port()));
    let host = start_with(output, &config)?;
    let records = records();
    let start = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("forward: {error}"))?;
    stream.write_all(&records).map_err(|error| format!("forward: {error}"))?;
    let taken = || host.metric("fluentbit_output_proc_records_total", &[]).ok().flatten().unwrap_or_default();
    wait::until_true(LONGEST, || taken() >= CHUNKS as f64);
    let (taken, elapsed) = (taken(), start.elapsed());
    if taken > 0.0 { Ok(taken / elapsed.as_secs_f64()) } else { Err(format!("no chunk taken\n{}", host.log())) }
}

/// The rows of all outputs, the median of so many rounds.
///
/// # Errors
/// See [`a_second`].
pub fn table(rounds: usize) -> Result<String, String> {
    let outputs = outputs();
    let mut found = vec![Vec::new(); outputs.len()];
    for _ in 0..rounds.max(1) {
        for ((label, output), found) in outputs.iter().zip(&mut found) {
            eprintln!("chunks of 1 KB: {label}");
            found.push(a_second(output)?);
        }
    }
    let medians = found.iter_mut().map(|found| {
        found.sort_by(f64::total_cmp);
        found[found.len() / 2]
    });
    let medians: Vec<f64> = medians.collect();
    let mut text = String::from("\n| output | chunks of 1 KB a second | of `null` |\n|---|---:|---:|\n");
    for ((label, _), median) in outputs.iter().zip(&medians) {
        let _ = writeln!(text, "| {label} | {median:.0} | {:.2} |", median / medians[0]);
    }
    let (spool, null) = (medians[2], medians[0]);
    let met = if spool * 2.0 >= null { "met" } else { "not met" };
    let _ = writeln!(text, "\n- {met}: `spool` takes at least half of what `null` does; found {:.2}", spool / null);
    Ok(text)
}

/// `[tag, time, {"log": ...}]` for each chunk.
fn records() -> Vec<u8> {
    use rmp::encode::{write_array_len, write_map_len, write_str, write_uint};
    let (mut out, line) = (Vec::new(), "x".repeat(LINE));
    for number in 0..CHUNKS {
        // Writing to a Vec cannot fail.
        let _ = write_array_len(&mut out, 3);
        let _ = write_str(&mut out, &format!("stream.{number}"));
        let _ = write_uint(&mut out, 1_795_161_600 + number);
        let _ = write_map_len(&mut out, 1);
        let _ = write_str(&mut out, "log");
        let _ = write_str(&mut out, &line);
    }
    out
}
