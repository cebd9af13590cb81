//! Instructions a record, counted by Valgrind: the same on a busy machine as on a quiet one.

use super::drive::{self, Job};
use std::time::Duration;
use testkit::process::on_path;

/// Records of the two runs whose difference is counted: what the start costs is in both.
const FEW: u64 = 5_000;
const MANY: u64 = 25_000;

/// A paragraph, or why there is none.
pub fn section(job: &Job) -> Result<String, String> {
    if on_path("valgrind").is_none() {
        return Ok("\nInstructions a record: skipped: no valgrind\n".to_owned());
    }
    let mut each = Vec::new();
    for compress in ["none", "gzip", "zstd"] {
        each.push(format!("{:.0} with {compress}", a_record(job, compress)?));
    }
    Ok(format!("\nInstructions a record, in batches of 1000: {}.\n", each.join(", ")))
}

fn a_record(job: &Job, compress: &str) -> Result<f64, String> {
    // A queue that takes all: a chunk that is refused would be counted as often as it is offered.
    let fixed = ["batch_max_items=1000", "timeout=5m", "queue_max_size=500M"].map(String::from);
    let options: Vec<String> = fixed.into_iter().chain([format!("compress={compress}")]).collect();
    let counted = |records| {
        let job = Job { records, options: options.clone(), ..job.clone() };
        let under = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let (driven, _, said) = drive::run(&job, Duration::ZERO, &under)?;
        instructions(&said).map(|count| (count, driven.records)).ok_or(said)
    };
    let (few, many) = (counted(FEW)?, counted(MANY)?);
    Ok((many.0 as f64 - few.0 as f64) / (many.1 as f64 - few.1 as f64))
}

/// Returns the number of instructions that the tool reports at its end.
fn instructions(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
