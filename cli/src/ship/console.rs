//! Writes to standard error, which the progress bar, the plugin's log lines and the command's own messages share.

use super::queue::Tally;
use crate::terminal::counted;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// Writes lines above a progress bar, if there is one. A closed standard error is nobody's problem.
pub(crate) struct Console {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Console {
    /// With a bar on a terminal only. `total` is the input's size, if it has one.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = stderr().is_terminal().then(|| bar(total));
        Self { bar, start: Instant::now() }
    }

    /// Writes one line.
    pub(crate) fn say(&self, line: &str) {
        let write = || drop(writeln!(stderr(), "{line}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Moves the bar.
    pub(super) fn progress(&self, tally: &Tally) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(tally.source_ok);
        let rate = tally.records_ok as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        let retries = if tally.retries > 0 { format!(", {}", counted(tally.retries, "retry")) } else { String::new() };
        bar.set_message(format!("{}, {rate:.0}/s{retries}", counted(tally.records_ok, "record")));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}  {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
