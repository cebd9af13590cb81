//! Tests that a trace that flushes cut at any line becomes one event and one log, whatever happens in between: chunks of
//! other streams, refusals, kills. The tests drive the real mapper, spool and dispatcher step by step.

use crate::delivery::property::{Directory, FakeResponse, Instance, Received, Time, WALL, ended, loaded};
use crate::delivery::shared::load::Load;
use crate::ledger::{Category, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;

const TRACE: [&str; 8] = [
    "ERROR order failed",
    "order: 17",
    "com.shop.Declined: card",
    "\tat com.shop.Pay.run(Pay.java:10)",
    "\tat com.shop.Main.main(Main.java:3)",
    "Caused by: java.io.IOException: reset",
    "\tat com.shop.Net.read(Net.java:7)",
    "\t... 1 more",
];

/// Line `n` of a namespace.
fn line(out: &mut Vec<u8>, n: usize, text: &str, namespace: &str) {
    use rmp::encode::{write_map_len, write_str, write_uint};
    out.extend_from_slice(&[0x92, 0x92, 0xd7, 0]);
    out.extend_from_slice(&((WALL + n as u64) as u32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80]);
    write_map_len(out, 3).unwrap();
    write_str(out, "log").unwrap();
    write_str(out, text).unwrap();
    write_str(out, "n").unwrap();
    write_uint(out, n as u64).unwrap();
    write_str(out, "kubernetes").unwrap();
    write_map_len(out, 1).unwrap();
    write_str(out, "namespace_name").unwrap();
    write_str(out, namespace).unwrap();
}

/// Something that happens between two flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// A chunk of another stream.
    Other,
    /// The process is killed and another one started.
    Kill,
    /// The server is unreachable until the trace is complete.
    Unreachable,
    /// More time than `trace_timeout`, as until the next flush of Fluent Bit.
    Interval,
    /// More time than `trace_timeout` and an interval between flushes.
    Timeout,
}

/// Items that the server has accepted: events by their ids, and the bodies of logs.
#[derive(Default)]
struct Accepted {
    events: BTreeMap<String, String>,
    bodies: Vec<String>,
}

struct Run {
    mode: &'static str,
    /// Name of the instance. The process identifies chunks by it.
    name: String,
    instance: Option<Instance>,
    clock: Arc<Time>,
    directory: Directory,
    accepted: Accepted,
    received: Received,
}

impl Run {
    fn start(mode: &'static str, name: &str) -> Self {
        let name = format!("out_sentry-split-{name}-{}", std::process::id());
        let directory = Directory(std::env::temp_dir().join(&name));
        let clock = Arc::new(Time::default());
        clock.pass(1_000);
        let mut run = Self {
            mode,
            name,
            instance: None,
            clock,
            directory,
            accepted: Accepted::default(),
            received: Received::default(),
        };
        run.restart();
        run
    }

    fn restart(&mut self) {
        let mut loaded = loaded(self.mode, &self.directory.0, 1);
        loaded.settings.mapping.logs_sample_rate = 1.0;
        if let Some(old) = self.instance.take() {
            // A killed process locks nothing.
            drop(old.shared.store.unavailable());
        }
        self.instance = Some(Instance::start(&self.name, &loaded, &self.clock));
    }

    fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().unwrap()
    }

    fn flush(&mut self, chunk: &[u8]) {
        let mode = loaded(self.mode, &self.directory.0, 1).settings.delivery.mode;
        assert!(self.instance().flush(chunk, mode));
    }

    /// Lets time pass, and the server respond.
    fn pass(&mut self, millis: u64, code: u16) {
        self.clock.pass(millis);
        self.instance().work();
        while let Some(request) = self.instance().in_transit.first() {
            if let Load::Items(batch) = &request.load
                && code == 200
            {
                let mut out = Vec::new();
                batch.write(&mut out, "", "");
                let payload = out.split(|byte| *byte == b'\n').nth(2).unwrap();
                let payload: serde_json::Value = serde_json::from_slice(payload).unwrap();
                match batch.category {
                    Category::Event => {
                        let id = payload["event_id"].as_str().unwrap().to_owned();
                        self.accepted.events.insert(id, payload["exception"].to_string());
                    }
                    Category::Log => {
                        let bodies = payload["items"].as_array().unwrap().iter();
                        self.accepted.bodies.extend(bodies.map(|log| log["body"].as_str().unwrap().to_owned()));
                    }
                }
            }
            let instance = self.instance.as_mut().unwrap();
            instance.respond(0, FakeResponse { code, limits: None, accepts: code == 200 }, &mut self.received);
            instance.work();
        }
    }
}

/// Sends a trace in three flushes that end before the lines at `cuts`, and the line behind it.
fn split(mode: &'static str, cuts: [usize; 2], between: [Between; 2]) -> Accepted {
    let name = format!("{mode}-{cuts:?}-{between:?}").replace([' ', '[', ']', ','], "-");
    let mut run = Run::start(mode, &name);
    let mut chunk = Vec::new();
    line(&mut chunk, 1, "INFO before", "shop");
    let mut others = 0;
    for (at, text) in TRACE.iter().enumerate() {
        if let Some(cut) = cuts.iter().position(|cut| *cut == at) {
            run.flush(&std::mem::take(&mut chunk));
            let code = if between.contains(&Between::Unreachable) { 503 } else { 200 };
            match between[cut] {
                Between::Nothing | Between::Unreachable => run.pass(100, code),
                Between::Other => {
                    run.pass(100, code);
                    let mut other = Vec::new();
                    line(&mut other, 100 + cut, "INFO other", "other");
                    others += 1;
                    run.flush(&other);
                    run.pass(100, code);
                }
                Between::Kill => {
                    run.pass(100, code);
                    run.restart();
                }
                Between::Interval => run.pass(1_500, code),
                Between::Timeout => run.pass(3_000, code),
            }
        }
        line(&mut chunk, 2 + at, text, "shop");
    }
    line(&mut chunk, 50, "INFO after", "shop");
    run.flush(&chunk);
    for _ in 0..200 {
        run.pass(1_000, 200);
        if run.instance().pending() == 0 {
            break;
        }
    }
    let now = run.instance().ledger.snapshot();
    assert_eq!(run.instance().pending(), 0, "{name}: {}", now.summary());
    for category in Category::ALL {
        assert_eq!(ended(&now, *category), now.records, "{name}: {}", now.summary());
    }
    if !between.contains(&Between::Kill) {
        assert_eq!(now.records, TRACE.len() as u64 + 2 + others, "{name}: {}", now.summary());
        let joined = now.outcome(Category::Log, Outcome::Joined);
        assert_eq!(joined + now.outcome(Category::Log, Outcome::Accepted), now.records, "{name}: {}", now.summary());
    }
    run.accepted
}

/// A trace that is whole is one event with all its frames, and one log with all its lines.
fn assert_whole(mode: &'static str, cuts: [usize; 2], between: [Between; 2]) {
    let accepted = split(mode, cuts, between);
    let context = format!("{mode} {cuts:?} {between:?}: {:?} {:?}", accepted.events, accepted.bodies);
    assert_eq!(accepted.events.len(), 1, "{context}");
    let exception = accepted.events.values().next().unwrap();
    assert!(exception.contains("Declined") && exception.contains("IOException"), "{context}");
    assert!(accepted.bodies.contains(&TRACE.join("\n")), "{context}");
    let count = |text: &str| accepted.bodies.iter().filter(|body| body.contains(text)).count();
    assert_eq!([count("order failed"), count("... 1 more"), count("INFO before")], [1, 1, 1], "{context}");
}

#[test]
fn trace_cut_anywhere_is_one_event_and_one_log() {
    for mode in ["spool", "memory"] {
        for first in 1..TRACE.len() {
            for second in [first + 1, TRACE.len() - 1] {
                let second = second.min(TRACE.len() - 1);
                if second > first {
                    assert_whole(mode, [first, second], [Between::Nothing, Between::Other]);
                    assert_whole(mode, [first, second], [Between::Unreachable, Between::Nothing]);
                }
            }
        }
    }
}

#[test]
fn kill_within_a_trace_costs_nothing() {
    for first in 1..TRACE.len() {
        for between in [
            [Between::Kill, Between::Nothing],
            [Between::Nothing, Between::Kill],
            [Between::Kill, Between::Kill],
            [Between::Unreachable, Between::Kill],
        ] {
            assert_whole("spool", [first, (first + 2).min(TRACE.len() - 1)], between);
        }
    }
}

#[test]
fn trace_waits_for_the_next_flush() {
    for mode in ["spool", "memory"] {
        for first in 1..TRACE.len() {
            assert_whole(mode, [first, TRACE.len()], [Between::Interval, Between::Nothing]);
        }
    }
}

#[test]
fn unfinished_trace_is_sent_as_it_is_after_the_timeout() {
    for mode in ["spool", "memory"] {
        for first in 1..TRACE.len() {
            let accepted = split(mode, [first, TRACE.len()], [Between::Timeout, Between::Nothing]);
            assert!(!accepted.events.is_empty(), "{mode} {first}");
            let lines: Vec<&str> = accepted.bodies.iter().flat_map(|body| body.split('\n')).collect();
            assert_eq!(lines.len(), TRACE.len() + 2, "{mode} {first}: {lines:?}");
        }
    }
}
