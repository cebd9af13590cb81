//! What the sample logs cost at Sentry, with each set of attributes, by `flb-sentry explain`.

use crate::progress::counted;
use serde_json::Value;
use std::fmt;
use std::process::Command;
use testkit::samples::Samples;

/// Billed bytes of all logs, and how many there are.
#[derive(Clone, Copy, Default)]
struct Billed {
    bytes: u64,
    logs: u64,
}

/// The cost of the samples with `log_attributes` `lean` and `full`.
pub struct Cost {
    lean: Billed,
    full: Billed,
}

impl Cost {
    /// Explains the samples with both.
    pub fn explain(samples: &Samples) -> Result<Self, String> {
        Ok(Self { lean: billed(samples, "lean")?, full: billed(samples, "full")? })
    }
}

fn billed(samples: &Samples, attributes: &str) -> Result<Billed, String> {
    let mut all = Billed::default();
    for file in &samples.files {
        let mut command = Command::new(testkit::companion());
        command.args(["explain", "--json", "-o", &format!("log_attributes={attributes}"), "--kube-meta"]);
        let output = command.arg(&samples.kube_meta).arg(file).output();
        let output = output.map_err(|error| format!("flb-sentry explain: {error}"))?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let result: Value = serde_json::from_str(line).map_err(|error| format!("flb-sentry explain: {error}"))?;
            if let Some(bytes) = result["billed"].as_u64() {
                all = Billed { bytes: all.bytes + bytes, logs: all.logs + 1 };
            }
        }
    }
    Ok(all)
}

impl fmt::Display for Billed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.bytes.checked_div(self.logs).unwrap_or(0);
        write!(f, "{} ({each} for each of {})", counted(self.bytes, "byte"), counted(self.logs, "log"))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.lean.bytes * 100).checked_div(self.full.bytes).unwrap_or(0);
        writeln!(f, "What Sentry bills for the samples: log_attributes lean {}, full {}", self.lean, self.full)?;
        writeln!(f, "  lean needs {percent} % of full")
    }
}
