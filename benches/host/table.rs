//! The measurements as a table, and what is wanted beside what was found.

use super::outputs::Output;
use super::run::Run;
use super::{Input, SLOW};
use std::fmt::Write as _;
use std::time::Duration;
use testkit::measure::page;

/// One output and all its runs.
pub struct Measured {
    /// With a server that answers at once.
    pub output: Output,
    /// With a slow one.
    pub output_when_slow: Output,
    /// Runs of the first.
    pub fast: Vec<Run>,
    /// Runs of the second.
    pub slow: Vec<Run>,
    /// Resident memory under a steady load, in KiB.
    pub steady: u64,
}

impl Measured {
    /// Nothing measured yet.
    pub fn new(output: Output, output_when_slow: Output) -> Self {
        Self { output, output_when_slow, fast: Vec::new(), slow: Vec::new(), steady: 0 }
    }

    /// Other people's work can only add to it.
    fn cpu(&self) -> Duration {
        self.fast.iter().map(|run| run.cpu).min().unwrap_or_default()
    }

    fn is(&self, plugin: &str, compress: &str) -> bool {
        self.output.label == format!("`{plugin}`") && self.output.compress == compress
    }
}

/// The median: the host flushes once a second, so that a moment more or less of reading decides about a whole one.
fn wall(runs: &[Run]) -> Duration {
    let mut walls: Vec<_> = runs.iter().map(|run| run.wall).collect();
    walls.sort_unstable();
    walls.get(walls.len() / 2).copied().unwrap_or_default()
}

/// Shared by all rows.
struct Table<'m> {
    all: &'m [Measured],
    lines: u64,
}

impl Table<'_> {
    fn find(&self, plugin: &str, compress: &str) -> Option<&Measured> {
        self.all.iter().find(|measured| measured.is(plugin, compress))
    }

    fn null(&self) -> &Measured {
        &self.all[0]
    }

    /// Seconds above `null`.
    fn above(&self, measured: &Measured) -> f64 {
        measured.cpu().as_secs_f64() - self.null().cpu().as_secs_f64()
    }

    /// Of processor time above `null` to that of `opentelemetry` with the same compression.
    fn ratio(&self, measured: &Measured) -> Option<f64> {
        let peer = self.find("opentelemetry", measured.output.compress)?;
        Some(self.above(measured) / self.above(peer))
    }

    /// MiB above `null`.
    fn memory(&self, measured: &Measured) -> f64 {
        (measured.steady as f64 - self.null().steady as f64) / 1024.0
    }

    fn row(&self, measured: &Measured) -> String {
        let Output { label, compress, .. } = measured.output;
        let (above, count) = (self.above(measured), measured.fast.first().map(|run| run.count).unwrap_or_default());
        let ratio = self.ratio(measured).map_or("".to_owned(), |ratio| format!("{ratio:.2}"));
        let peak = measured.fast.iter().map(|run| run.peak).min().unwrap_or_default() >> 10;
        let retries = measured.fast.iter().chain(&measured.slow).map(|run| run.retries).max().unwrap_or_default();
        format!(
            "| {label} | {compress} | {above:.2} | {:.2} | {ratio} | {:.1} | {:.1} | {:.1} | {} | {retries} | {:.1} | {peak} |",
            above * 1e6 / self.lines as f64,
            count.bytes as f64 / 1e6,
            wall(&measured.fast).as_secs_f64(),
            wall(&measured.slow).as_secs_f64(),
            count.connections,
            self.memory(measured),
        )
    }

    /// Each demand, and what was found.
    fn verdicts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (compress, most) in [("gzip", 0.5), ("zstd", 1.3), ("none", 1.5)] {
            let ratio = self.find("sentry", compress).and_then(|measured| self.ratio(measured));
            let ratio = ratio.unwrap_or(f64::NAN);
            let what = format!("processor time with {compress}, of `opentelemetry`'s: at most {most}");
            lines.push(page::verdict(&what, ratio <= most, &format!("{ratio:.2}")));
        }
        for (compress, ours) in ["none", "gzip", "zstd"].map(|compress| (compress, self.find("sentry", compress))) {
            let walls = [ours, self.find("opentelemetry", compress)]
                .map(|one| one.map_or(Duration::MAX, |one| wall(&one.slow)));
            let [ours, theirs] = walls.map(|wall| wall.as_secs_f64());
            let what =
                format!("with answers after {} ms and {compress} no longer than `opentelemetry`", SLOW.as_millis());
            lines.push(page::verdict(&what, ours <= theirs, &format!("{ours:.1} s and {theirs:.1} s")));
        }
        let sentry = self.all.iter().filter(|measured| measured.output.library == Some(testkit::plugin()));
        let most = sentry.map(|measured| self.memory(measured)).fold(f64::MIN, f64::max);
        lines.push(page::verdict(
            "resident above `null` in steady state: at most 16 MiB",
            most <= 16.0,
            &format!("{most:.1} MiB"),
        ));
        lines
    }
}

/// The section of the page.
pub fn render(machine: &str, input: &Input, all: &[Measured]) -> String {
    let table = Table { all, lines: input.lines };
    let mut text = format!(
        "{machine}\n\n{} lines, {:.0} MB, read by `tail`; {} runs, the outputs in turn: of processor time the least, of times to deliver the median. `null` alone: {:.2} s of processor time.\n\n",
        input.lines,
        input.text.len() as f64 / 1e6,
        all[0].fast.len(),
        table.null().cpu().as_secs_f64(),
    );
    text += "| output | compress | CPU s above `null` | µs a record | of `opentelemetry` | MB sent | s to deliver | with 50 ms answers | connections | retries | steady MiB above `null` | peak MiB |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    all.iter().skip(1).for_each(|measured| _ = writeln!(text, "{}", table.row(measured)));
    text.push('\n');
    table.verdicts().iter().for_each(|line| _ = writeln!(text, "{line}"));
    text
}
