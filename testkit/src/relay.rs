//! Sentry's own event normaliser, the code its servers run: the judge of what we emit.
//!
//! One Python process answers for the life of the value, about a millisecond a question.

use super::python::{FOREIGN, Packages};
use serde_json::{Value, json};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SOURCE: &str = include_str!("relay_check.py");
const PACKAGES: Packages =
    Packages { name: "sentry-relay", version: "0.10.1", pins: &["sentry-relay==0.10.1", "sentry-conventions==0.29.0"] };
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The running normaliser.
#[derive(Debug)]
pub struct Relay {
    talk: Mutex<Talk>,
}

#[derive(Debug)]
struct Talk {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
    complaints: Receiver<String>,
}

/// Result of the normaliser for an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Path of a value and what was done to it: trimmed (`rem`, `len`) or found invalid (`err`).
    pub meta: Vec<(String, Value)>,
    /// Problems that would show in Sentry on the issue.
    pub errors: Vec<Value>,
    /// Top-level keys that did not survive. `server_name` becomes a tag and is not among them.
    pub dropped: Vec<String>,
    /// Why the event as a whole was refused.
    pub rejected: Option<String>,
}

impl Verdict {
    /// Returns true if the event arrives as it was sent.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.iter().try_for_each(|why| writeln!(f, "rejected: {why}"))?;
        self.meta.iter().try_for_each(|(path, remark)| writeln!(f, "{path}: {remark}"))?;
        self.errors.iter().try_for_each(|error| writeln!(f, "error: {error}"))?;
        self.dropped.iter().try_for_each(|key| writeln!(f, "dropped: {key}"))
    }
}

impl Relay {
    /// Starts the normaliser; `Err` says why there is none.
    pub fn start() -> Result<Self, String> {
        let environment = PACKAGES.environment()?;
        let mut command = Command::new(environment.python());
        command
            .args(["-c", SOURCE])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
        let child = command.spawn().map_err(|error| format!("Relay: {error}"))?;
        let relay = Self { talk: Mutex::new(Talk::with(child)) };
        // A process that cannot import the packages ends at once: say so here, not at the first event.
        relay.ask(&json!({"attributes": {}})).map(|_| relay)
    }

    /// Returns the result of an event.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn check(&self, event: &Value) -> Verdict {
        let answer = self.ask(&json!({ "event": event })).expect("expected an answer from Relay");
        let rows = |field: &str| answer[field].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Verdict {
            meta: rows("meta").iter().map(|row| (text(&row[0]), row[1].clone())).collect(),
            errors: rows("errors"),
            dropped: rows("dropped").iter().map(text).collect(),
            rejected: answer["rejected"].as_str().map(str::to_owned),
        }
    }

    /// Returns the attributes of a log that violate Sentry's conventions: a type that differs, a deprecated name.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn check_attributes(&self, attributes: &Value) -> Vec<String> {
        let answer = self.ask(&json!({ "attributes": attributes })).expect("expected an answer from Relay");
        let problems = answer["problems"].as_array().into_iter().flatten();
        problems.filter_map(|problem| problem.as_str().map(str::to_owned)).collect()
    }

    fn ask(&self, question: &Value) -> Result<Value, String> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner).ask(question)
    }
}

impl Talk {
    fn with(mut child: Child) -> Self {
        let answers = lines(child.stdout.take());
        let complaints = lines(child.stderr.take());
        Self { questions: child.stdin.take(), child, answers, complaints }
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let line = format!("{question}\n");
        let sent = self.questions.as_mut().map(|pipe| pipe.write_all(line.as_bytes()));
        let answer = self.answers.recv_timeout(ANSWERS_WITHIN).ok().filter(|_| matches!(sent, Some(Ok(()))));
        let complaints = || self.complaints.try_iter().collect::<Vec<_>>().join("\n");
        let answer = answer.ok_or_else(|| format!("Relay did not answer:\n{}", complaints()))?;
        serde_json::from_str(&answer).map_err(|error| format!("Relay answered {answer:?}: {error}"))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // The end of its input ends it, as it does when this process is killed.
        self.questions = None;
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The lines of a pipe, read by a thread of its own since reading a pipe has no deadline. It ends with the process.
fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
    }
    receiver
}
