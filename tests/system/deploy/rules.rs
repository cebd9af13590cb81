//! Alerts and the dashboard's queries, judged by Prometheus' own tool.

use super::{dashboard, file, text};
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::tempdir::TempDir;

/// The file that the operator makes of a PrometheusRule: what stands below its `spec`.
pub fn alerting() -> String {
    let manifest = text("deploy/monitoring/prometheus-rule.yaml");
    let (_, spec) = manifest.split_once("\nspec:\n").expect("expected a spec");
    spec.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

/// Runs the tool in a directory with these files.
fn run(promtool: &Path, args: &[&str], files: &[(&str, &str)]) -> Result<(), String> {
    let dir = TempDir::new("promtool").expect("expected a directory");
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).expect("expected to write rules"));
    let output = Command::new(promtool).args(args).current_dir(dir.path()).output().expect("expected to run promtool");
    let said = [output.stdout, output.stderr].concat();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}

pub fn alerts(promtool: &Path) {
    let (rules, tests) =
        (alerting(), fs::read_to_string(file("tests/system/deploy/rules_test.yaml")).expect("expected tests"));
    let check = |rules: &str| {
        run(promtool, &["test", "rules", "rules_test.yaml"], &[("rules.yaml", rules), ("rules_test.yaml", &tests)])
    };
    run(promtool, &["check", "rules", "rules.yaml"], &[("rules.yaml", &rules)]).unwrap_or_else(|said| panic!("{said}"));
    check(&rules).unwrap_or_else(|said| panic!("{said}"));
    let named: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in named {
        assert!(tests.contains(alert), "no test of {alert}");
        // One that can never fire must be found out.
        let mute = rules.replacen(&format!("- alert: {alert}\n"), &format!("- alert: Not{alert}\n"), 1);
        assert!(check(&mute).is_err(), "the tests pass without {alert}");
    }
}

pub fn queries(promtool: &Path) {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (number, query) in dashboard::queries().iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
        rules += &format!(
            "      - record: query_{number}\n        expr: {}\n",
            serde_json::to_string(&query).expect("a string")
        );
    }
    run(promtool, &["check", "rules", "rules.yaml"], &[("rules.yaml", &rules)])
        .unwrap_or_else(|said| panic!("{said}\n{rules}"));
}
