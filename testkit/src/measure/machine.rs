//! The machine of a run, and a yardstick for it.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// One line: cores, processor, load, and what copying memory does here.
pub fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("processor unknown", |(_, name)| name);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{cores} cores ({model}), load {load} at the start; memory copies at {:.1} GB/s", copy_rate())
}

/// GB a second that one core copies from one buffer to another, both larger than any cache: the best of some rounds.
pub fn copy_rate() -> f64 {
    const BYTES: usize = 128 << 20;
    let (from, mut to) = (vec![1_u8; BYTES], vec![0_u8; BYTES]);
    let round = |_| {
        let start = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        start.elapsed()
    };
    let best = (0..8).map(round).min().unwrap_or(Duration::MAX);
    BYTES as f64 / 1e9 / best.as_secs_f64()
}
