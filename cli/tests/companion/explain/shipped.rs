//! Tests that `explain` shows exactly the items that `ship` sends.

use super::{chunk, command, json_lines, results, stderr};
use receiver::{Options, Receiver};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::samples;
use testkit::tempdir::TempDir;

/// The items that an input becomes: events by id, and logs as text.
#[derive(Debug, Default, PartialEq)]
struct Items {
    events: HashMap<String, Value>,
    logs: Vec<String>,
}

impl Items {
    fn event(&mut self, payload: &Value) {
        let id = payload["event_id"].as_str().unwrap_or_default().to_owned();
        assert!(self.events.insert(id, payload.clone()).is_none(), "an event came twice: {payload}");
    }

    fn log(&mut self, payload: &Value) {
        self.logs.push(payload.to_string());
        self.logs.sort_unstable();
    }
}

fn as_explained(dsn: &str, args: &[&str], file: &Path) -> Items {
    let output = command(args).args(["-o", &format!("dsn={dsn}")]).arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut items = Items::default();
    for result in results(&output) {
        match (result["outcome"].as_str(), result["category"].as_str()) {
            (Some("accepted"), Some("event")) => items.event(&result["payload"]),
            (Some("accepted"), Some("log")) => items.log(&result["payload"]),
            _ => assert!(result["payload"].is_null()),
        }
    }
    items
}

fn as_shipped(receiver: &Receiver, args: &[&str], file: &Path) -> Items {
    let mut ship = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    ship.arg("ship").arg("--plugin").arg(testkit::plugin()).args(args).arg(file).env_remove("SENTRY_DSN");
    let dsn = format!("dsn={}", receiver.dsn());
    let output = ship.args(["-o", &dsn, "-o", "exit_timeout=60s", "-o", "batch_timeout=50ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut items = Items::default();
    receiver.events().iter().for_each(|event| items.event(&event.payload));
    receiver.logs().iter().for_each(|log| items.log(&log.payload));
    assert_eq!(receiver.problems(), [""; 0]);
    items
}

pub(super) fn what_is_explained_is_what_is_shipped() {
    let directory = TempDir::new("explain").unwrap();
    let samples = samples::fresh(directory.path()).unwrap();
    let mut inputs = samples.files.clone();
    for name in ["otlp", "forward", "syslog", "kubernetes"] {
        let path = directory.path().join(format!("{name}.msgpack"));
        std::fs::write(&path, of_now(std::fs::read(chunk(name)).unwrap())).unwrap();
        inputs.push(path);
    }
    let path = directory.path().join("storm.jsonl");
    std::fs::write(&path, storm()).unwrap();
    inputs.push(path);
    let meta = samples.kube_meta.to_str().unwrap();
    let options = ["logs_sample_rate=0.8", "tags=team=shop", "storm_burst=3"];
    let args = ["--kube-meta", meta, "-o", options[0], "-o", options[1], "-o", options[2]];
    let (mut events, mut logs) = (0, 0);
    for input in &inputs {
        let receiver = Receiver::start(Options::default()).unwrap();
        let explained = as_explained(&receiver.dsn(), &args, input);
        let shipped = as_shipped(&receiver, &args, input);
        assert_eq!(explained, shipped, "{}", input.display());
        events += shipped.events.len();
        logs += shipped.logs.len();
    }
    assert!(events > 30 && logs > 400, "{events} events, {logs} logs: too few to mean anything");
}

/// The captured chunk as if it had been captured just now; items that Sentry would not keep have the time of reading.
fn of_now(mut chunk: Vec<u8>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(60);
    let now = (now.as_secs() as u32).to_be_bytes();
    // An event time, but not a group's mark.
    let times: Vec<_> =
        (0..chunk.len() - 6).filter(|at| matches!(chunk[*at..*at + 3], [0xd7, 0, 0x60..0x7f])).collect();
    assert!(!times.is_empty());
    times.into_iter().for_each(|at| chunk[at + 2..at + 6].copy_from_slice(&now));
    chunk
}

/// Lines of every outcome, with times of now.
fn storm() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 30;
    let texts = [
        "INFO start",
        "ERROR order failed for bob@example.com",
        "java.lang.IllegalStateException: declined",
        "\tat com.shop.Pay.run(Pay.java:10)",
        "ERROR connection refused",
        "DEBUG noise",
    ];
    let record = |n: usize| json!({"time": now + n as u64 / 20, "log": texts[n % texts.len()], "n": n});
    json_lines(&(0..120).map(record).collect::<Vec<_>>())
}
