//! Tests that Sentry accepts the plugin's items: every event goes through Relay's own normaliser, every envelope through
//! another project's parser, and every well-known attribute is compared with Sentry's conventions.
//!
//! The corpus: chunks that a real Fluent Bit handed over, the sample containers, and every golden stack trace, whole and
//! line by line; and records that nobody would write but an attacker, or a fuzzer.

mod hostile;

use receiver::{Options, Receiver};
use sentry_types::protocol::v7::{Envelope, EnvelopeItem, ItemContainer};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use testkit::relay::Relay;
use testkit::samples::{self, Incident};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;

/// Storms are no matter here: every event of the corpus is to be seen. Ages neither: the captured chunks grow old.
const OPTIONS: [&str; 4] = ["storm_burst=0", "event_rate=0", "proxy=none", "logs_level=trace"];

pub fn add(suite: Suite) -> Suite {
    // One process of Relay's for all events; without it only the tests that need it are skipped.
    let relay = Relay::start().map(|_| ());
    suite
        .test("the_corpus_has_every_kind_of_event", || has_every_kind(&CORPUS.events))
        .test("each_incident_of_the_samples_is_shown_as_often_as_it_was", || {
            are_shown(&CORPUS.incidents, &CORPUS.events);
        })
        .test("every_envelope_is_read_by_sentrys_own_types", || are_read_by_sentry_types(&CORPUS.envelopes))
        .needing(&relay, "relay_finds_nothing_to_trim_or_refuse_in_any_event", |()| are_clean(&CORPUS.events))
        .needing(&relay, "attributes_have_the_types_of_the_conventions", |()| follow_conventions(&CORPUS.logs))
}

/// Made by the first test that asks for it.
static CORPUS: LazyLock<Corpus> = LazyLock::new(corpus);

struct Corpus {
    incidents: Vec<Incident>,
    events: Vec<Value>,
    logs: Vec<Value>,
    envelopes: Vec<Vec<u8>>,
}

/// Everything there is.
fn corpus() -> Corpus {
    let directory = TempDir::new("oracle").expect("a directory");
    let samples = samples::fresh(directory.path()).expect("the samples");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = samples.files.clone();
    files.extend(in_directory(&root.join("tests/data/chunks"), "msgpack"));
    files.extend(in_directory(&root.join("tests/data/incidents"), "jsonl"));
    files.extend(goldens(root, directory.path(), &time_of(&samples.files[0])));
    let mut corpus = ship(&OPTIONS, Some(&samples.kube_meta), &files);
    corpus.incidents = samples.incidents;
    for (number, options) in hostile::OPTIONS.iter().enumerate() {
        let more = ship(options, None, &hostile::files(directory.path(), number == 0));
        assert!(more.events.len() > 1_000 && more.logs.len() > 1_000, "{} hostile events", more.events.len());
        corpus.events.extend(more.events);
        corpus.logs.extend(more.logs);
        corpus.envelopes.extend(more.envelopes);
    }
    corpus
}

/// Ships files to a strict receiver.
fn ship(options: &[&str], kube_meta: Option<&PathBuf>, files: &[PathBuf]) -> Corpus {
    let receiver = Receiver::start(Options::default()).expect("a receiver");
    let mut ship = Command::new(testkit::companion());
    ship.args(["ship", "--json", "-o", &format!("dsn={}", receiver.dsn())]);
    for option in options {
        ship.args(["-o", option]);
    }
    if let Some(kube_meta) = kube_meta {
        ship.arg("--kube-meta").arg(kube_meta);
    }
    let output = ship.args(files).env_remove("SENTRY_DSN").output().expect("the companion runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(receiver.problems(), Vec::<String>::new());
    Corpus {
        incidents: Vec::new(),
        events: receiver.events().iter().map(|event| event.payload.clone()).collect(),
        logs: receiver.logs().iter().map(|log| log.payload.clone()).collect(),
        envelopes: receiver.requests().iter().map(|request| request.body.clone()).collect(),
    }
}

/// When the last line of a container's log was written, as its runtime says it.
fn time_of(log: &Path) -> String {
    let text = fs::read_to_string(log).expect("a sample");
    text.lines().last().and_then(|line| line.split(' ').next()).expect("a line with its time").to_owned()
}

/// Every golden trace as one record, as a record per line, and line by line as a container runtime would write it.
fn goldens(root: &Path, directory: &Path, time: &str) -> [PathBuf; 3] {
    let (mut whole, mut lines, mut cri) = (String::new(), String::new(), String::new());
    for language in fs::read_dir(root.join("tests/traces")).expect("the goldens").flatten() {
        for file in in_directory(&language.path(), "txt") {
            let text = fs::read_to_string(file).expect("a golden");
            whole += &format!("{}\n", json!({ "log": text, "level": "error" }));
            for line in text.lines().chain(["done"]) {
                lines += &format!("{}\n", json!({ "log": line }));
                cri += &format!("{time} stderr F {line}\n");
            }
        }
    }
    [("whole.jsonl", whole), ("lines.jsonl", lines), ("cri.log", cri)].map(|(name, text)| {
        let path = directory.join(name);
        fs::write(&path, text).expect("a file");
        path
    })
}

fn in_directory(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// Guards the others against an empty corpus.
fn has_every_kind(events: &[Value]) {
    for platform in ["java", "python", "node", "go", "ruby", "php", "csharp", "native", "other"] {
        let count = events.iter().filter(|event| event["platform"] == platform).count();
        assert!(count >= 5, "{count} events of {platform}");
    }
    for kind in ["kubernetes_event", "oom_kill"] {
        let count = events.iter().filter(|event| event["contexts"].get(kind).is_some()).count();
        assert!(count >= 2, "{count} events with {kind}");
    }
    for part in ["exception", "breadcrumbs", "fingerprint", "logentry", "threads"] {
        assert!(events.iter().any(|event| event.get(part).is_some()), "no event with {part}");
    }
}

/// Checks that each incident of a sample is an event with its level and exception, and that there are no others.
fn are_shown(incidents: &[Incident], events: &[Value]) {
    let of_pod = |event: &&Value, name: &str, value: &str| event["tags"][name] == value;
    for incident in incidents {
        let shows = |event: &&Value| {
            of_pod(event, "k8s.namespace.name", &incident.namespace)
                && of_pod(event, "k8s.pod.name", &incident.pod)
                && event["level"] == incident.level.as_str()
                && outermost(event) == incident.exception
                && says(event).contains(&incident.text)
        };
        let count = events.iter().filter(shows).count() as u64;
        assert_eq!(count, incident.count, "{incident:?}");
    }
    let pods: Vec<&str> = incidents.iter().map(|incident| incident.pod.as_str()).collect();
    let others = events.iter().filter(|event| pods.iter().any(|pod| of_pod(event, "k8s.pod.name", pod)));
    assert_eq!(others.count() as u64, incidents.iter().map(|incident| incident.count).sum::<u64>());
}

/// Returns the part of an event that a person reads first.
fn says(event: &Value) -> String {
    let values = event["exception"]["values"].as_array().into_iter().flatten().map(|exception| &exception["value"]);
    let texts = values.chain([&event["logentry"]["formatted"]]).filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join("\n")
}

/// Type of the outermost exception, with its module.
fn outermost(event: &Value) -> Option<String> {
    let exception = event["exception"]["values"].as_array()?.last()?;
    let (name, module) = (exception["type"].as_str()?, exception["module"].as_str());
    // Ruby's own client, and so we, repeat the module in the type.
    let module = module.filter(|module| !name.starts_with(module));
    Some(module.map_or(name.to_owned(), |module| format!("{module}.{name}")))
}

fn are_clean(events: &[Value]) {
    let relay = Relay::start().expect("Relay's normaliser");
    let verdicts = events.iter().map(|event| (event, relay.check(event))).filter(|(_, verdict)| !verdict.is_clean());
    let problems: Vec<_> =
        verdicts.map(|(event, verdict)| format!("{verdict:.400}\n{:.1500}", event.to_string())).collect();
    assert!(
        problems.is_empty(),
        "{} of {} events:\n{}",
        problems.len(),
        events.len(),
        problems[..problems.len().min(12)].join("\n")
    );
}

fn are_read_by_sentry_types(envelopes: &[Vec<u8>]) {
    let mut logs = 0;
    for bytes in envelopes {
        if is_sound_report(bytes) {
            continue;
        }
        let envelope =
            Envelope::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)));
        for item in envelope.items() {
            match item {
                EnvelopeItem::Event(_) => {}
                EnvelopeItem::ItemContainer(ItemContainer::Logs(items)) => {
                    logs += items.len();
                    let text = String::from_utf8_lossy(bytes);
                    assert!(text.contains(
                        "{\"version\":2,\"ingest_settings\":{\"infer_ip\":\"never\",\"infer_user_agent\":\"never\"}"
                    ));
                }
                other => panic!("an item that we never send: {other:?}"),
            }
        }
    }
    assert!(logs > 1_000, "{logs} logs");
}

/// Returns true if the envelope is a client report as Sentry's documents describe it: its own types know only some of the
/// reasons.
fn is_sound_report(envelope: &[u8]) -> bool {
    let mut lines = envelope.split(|byte| *byte == b'\n').skip(1);
    let mut next = || lines.next().unwrap_or_default();
    let (header, payload) = (next(), next());
    let header: Value = serde_json::from_slice(header).expect("an item's header");
    if header["type"] != "client_report" {
        return false;
    }
    assert_eq!(header["length"], payload.len());
    let report: Value = serde_json::from_slice(payload).expect("a client report");
    assert!(report["timestamp"].is_u64(), "{report}");
    let discarded = report["discarded_events"].as_array().expect("what was discarded");
    let reasons = ["sample_rate", "backpressure", "ratelimit_backoff", "send_error", "buffer_overflow"];
    let is_sound = |line: &Value| {
        let reason = reasons.iter().any(|reason| line["reason"] == *reason);
        let category = ["error", "log_item", "log_byte"].iter().any(|category| line["category"] == *category);
        reason && category && line["quantity"].as_u64().is_some_and(|quantity| quantity > 0)
    };
    assert!(!discarded.is_empty() && discarded.iter().all(is_sound), "{report}");
    true
}

fn follow_conventions(logs: &[Value]) {
    let relay = Relay::start().expect("Sentry's conventions");
    let mut problems: Vec<String> = logs.iter().flat_map(|log| relay.check_attributes(&log["attributes"])).collect();
    problems.sort();
    problems.dedup();
    // Names that an application gave its own fields are its own.
    let ours = |problem: &&String| {
        ["sentry.", "k8s.", "container.", "server.", "logger.", "log.", "user."]
            .iter()
            .any(|name| problem.starts_with(name))
    };
    assert_eq!(problems.iter().filter(ours).collect::<Vec<_>>(), Vec::<&String>::new());
}
