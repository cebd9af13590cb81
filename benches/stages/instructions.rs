//! Counts a stage's instructions: two runs of this program under Valgrind, whose difference is the stage alone.

use super::input::Input;
use super::stages::STAGES;
use std::hint::black_box;
use std::process::{Command, Stdio};

/// Tells this program to do nothing but run a stage so many times.
pub const FLAG: &str = "--counted";

/// Runs the stage of this name; the first run, which fills buffers, is not the one to be counted.
pub fn be_counted(stage: &str, runs: &str) {
    let Some(stage) = STAGES.iter().find(|known| known.name == stage) else { return };
    let input = Input::load(stage.input);
    let mut work = (stage.prepare)(&input);
    for _ in 0..runs.parse().unwrap_or(0_u32) {
        black_box(work());
    }
}

/// Instructions of one run of the stage; none without Valgrind.
pub fn of(stage: &str) -> Option<f64> {
    let [few, many] = [2, 5].map(|runs| counted(stage, runs));
    Some((many? - few?) as f64 / 3.0)
}

fn counted(stage: &str, runs: u32) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe().ok()?).args([FLAG, stage, &runs.to_string()]);
    let output = valgrind.stdout(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse().ok()
}
