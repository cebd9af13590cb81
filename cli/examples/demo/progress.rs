//! What happens, as it happens: each step a line with the time since the start.

use std::time::{Duration, Instant};

/// Returns a number with its noun: `1 event`, `2 events`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The time the demo began.
pub struct Progress {
    start: Instant,
}

impl Progress {
    /// Begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// One step.
    pub fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.start.elapsed().as_secs_f64());
    }
}

/// Says where a count has got to, at most once a second and only when it has moved.
pub struct Pulse<'p> {
    progress: &'p Progress,
    last: Option<(Instant, String)>,
}

impl<'p> Pulse<'p> {
    /// Begins with silence.
    pub fn new(progress: &'p Progress) -> Self {
        Self { progress, last: None }
    }

    /// Offers a line.
    pub fn offer(&mut self, line: String) {
        let due = self.last.as_ref().is_none_or(|(at, said)| at.elapsed() >= Duration::from_secs(1) && *said != line);
        if due {
            self.progress.say(&line);
            self.last = Some((Instant::now(), line));
        }
    }
}
