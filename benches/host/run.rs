//! One host with one output, from its start until all has arrived and nothing moves any more.

use super::outputs::Output;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use testkit::fluent_bit::{FluentBit, Format};
use testkit::measure::{process, sink};

/// A host that uses no more than [`IDLE`] for so long has nothing to do: longer than its flush interval and than the age at
/// which a batch goes.
const QUIET: Duration = Duration::from_millis(1_500);
const IDLE: Duration = Duration::from_millis(15);
/// Longest wait for an output to deliver the records. After that the measurement of the output fails.
const LONGEST: Duration = Duration::from_secs(120);

/// The measurements of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// Of the whole host.
    pub cpu: Duration,
    /// From the start of the host to the arrival of the last record.
    pub wall: Duration,
    /// Counts of the data that arrived.
    pub count: sink::Count,
    /// Resident at most, in KiB.
    pub peak: u64,
    /// Chunks that the host was asked to keep and offer again.
    pub retries: usize,
}

/// Has a host read a file of so many lines and waits for the server to have them all, answering after `delay`.
///
/// # Errors
/// When something cannot be started, or the records do not arrive.
pub fn once(output: &Output, file: &Path, lines: u64, delay: Duration) -> Result<Run, String> {
    let sink = sink::Sink::start(delay).map_err(|error| format!("server: {error}"))?;
    let start = sink::now();
    let host = start_host(output, file, sink.port())?;
    let id = host.id().ok_or("fluent-bit has ended")?;
    let deadline = Instant::now() + LONGEST;
    let size = file.metadata().map_or(0, |meta| meta.len());
    loop {
        wait_until_quiet(id, deadline);
        let count = sink.count().map_err(|error| format!("server: {error}"))?;
        let read = process::read_so_far(id, file).unwrap_or_default();
        if read == size && (count.records >= lines || !output.sends()) {
            return Ok(Run {
                cpu: process::cpu(id),
                wall: Duration::from_nanos(count.last.saturating_sub(start) as u64),
                count,
                peak: process::memory(id, "VmHWM").unwrap_or_default(),
                retries: retries(&host),
            });
        }
        if Instant::now() > deadline {
            return Err(format!("{output:?}: {count:?} of {lines}, {read} bytes read of {size}\n{}", host.log()));
        }
    }
}

/// The memory of a host that gets lines at a steady rate: the median of what is resident in the second half, in KiB.
///
/// # Errors
/// When something cannot be started.
pub fn steady(output: &Output, file: &Path, lines: &[u8], rate: usize, span: Duration) -> Result<u64, String> {
    const STEP: Duration = Duration::from_millis(50);
    let sink = sink::Sink::start(Duration::ZERO).map_err(|error| format!("server: {error}"))?;
    let mut growing = File::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let host = start_host(output, file, sink.port())?;
    let id = host.id().ok_or("fluent-bit has ended")?;
    let a_step = (rate as f64 * STEP.as_secs_f64()) as usize;
    let mut rest = lines.split_inclusive(|byte| *byte == b'\n');
    let (start, mut resident) = (Instant::now(), Vec::new());
    for step in 1.. {
        let piece: Vec<u8> = rest.by_ref().take(a_step).flatten().copied().collect();
        growing.write_all(&piece).map_err(|error| format!("{}: {error}", file.display()))?;
        thread::sleep((STEP * step).saturating_sub(start.elapsed()));
        if start.elapsed() > span / 2 {
            resident.extend(process::memory(id, "VmRSS"));
        }
        if start.elapsed() > span || piece.is_empty() {
            break;
        }
    }
    resident.sort_unstable();
    resident.get(resident.len() / 2).copied().ok_or_else(|| "fluent-bit has ended".to_owned())
}

fn start_host(output: &Output, file: &Path, port: u16) -> Result<FluentBit, String> {
    start_with(output, &output.configuration(file, port))
}

/// Starts a host with this configuration and the output's build of the plugin.
///
/// # Errors
/// Fluent Bit does not start.
pub fn start_with(output: &Output, configuration: &str) -> Result<FluentBit, String> {
    let library = output.library.as_ref().map(|path| path.display().to_string());
    let args: Vec<&str> = library.iter().flat_map(|path| ["-e", path.as_str()]).collect();
    FluentBit::start(configuration, Format::Classic, &args)
}

fn wait_until_quiet(id: u32, deadline: Instant) {
    let (mut since, mut before) = (Instant::now(), process::cpu(id));
    while since.elapsed() < QUIET && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
        let now = process::cpu(id);
        if now > before + IDLE {
            (since, before) = (Instant::now(), now);
        }
    }
}

fn retries(host: &FluentBit) -> usize {
    host.log().lines().filter(|line| line.contains("failed to flush chunk")).count()
}
