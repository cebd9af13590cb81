//! Runs the quick start of a document with a real Fluent Bit, with another port, another directory and the files of this build.

use super::document::{Line, Place};
use super::stage::Stage;
use receiver::{Options, Receiver};
use std::process::{Child, Command};
use std::time::Duration;
use testkit::artefacts::built;
use testkit::wait;

/// The documents that have it.
pub const DOCUMENTS: [&str; 2] = ["README.md", "docs/getting-started.md"];

const DIRECTORY: &str = "/tmp/sentry-quickstart";
const SOON: Duration = Duration::from_secs(30);

/// Ends a process as Ctrl-C does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// The line of the document that begins so, as it is run here.
fn line(lines: &[Line], beginning: &str, stage: &Stage, port: u16) -> String {
    let found = lines.iter().find(|line| line.place == Place::Script && line.text.starts_with(beginning));
    let line = found.unwrap_or_else(|| panic!("expected a line that begins with {beginning:?}"));
    let text = line.text.replace(DIRECTORY, &stage.path("quickstart").display().to_string());
    let text = text.replace("target/release", &built().display().to_string());
    text.replace("127.0.0.1:9000", &format!("127.0.0.1:{port}"))
}

/// The receiver prints the issue and the log that the document shows.
pub fn works_as_printed(document: &str) {
    testkit::plugin();
    let (lines, stage) = (super::of(document), Stage::new());
    let receiver = Receiver::start(Options::default()).expect("expected a receiver");
    let port = receiver.addr().port();
    let help = stage.run(&format!("{} --help", line(&lines, "target/release/flb-sentry receive", &stage, port)));
    assert_eq!(help.code, Some(0), "{}", help.printed);
    let made = stage.run(&line(&lines, "mkdir ", &stage, port));
    assert_eq!(made.code, Some(0), "{}", made.printed);
    let start = format!("exec {}", line(&lines, "fluent-bit -e ", &stage, port));
    let log = stage.path("log");
    let file = std::fs::File::create(&log).expect("expected a file");
    let host = Running(stage.command(&start).stdout(file).spawn().expect("expected a shell"));
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let started = wait::until(SOON, || said().contains("project are verified when the first items").then_some(()));
    assert!(started.is_some(), "expected Fluent Bit to start the output:\n{}", said());
    let written = stage.run(&line(&lines, "echo '{", &stage, port));
    assert_eq!(written.code, Some(0), "{}", written.printed);
    let came = receiver.wait_until(SOON, |seen| (seen.totals.events, seen.totals.logs) == (1, 1));
    assert!(came, "{:?}\n{}", receiver.totals(), said());
    drop(host);
    let summary = said();
    let counts = "records=1 event.accepted=1 event.pending=0 log.accepted=1 log.pending=0 requests.2xx=2";
    assert!(summary.contains(counts), "{summary}");
    for shown in ["issue  error    payment declined", "payment declined"] {
        assert!(super::stage::text(document).contains(shown), "expected {shown:?} in {document}");
    }
    let title = receiver.events()[0].payload["logentry"]["formatted"].clone();
    assert_eq!(title, "payment declined", "{:?}", receiver.events()[0].payload);
}
