//! Every configuration that people are told to copy, run as it is but for its paths, delivers.

use super::place::{self, Place};
use super::{node, text};
use out_sentry::options;
use receiver::Receiver;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use testkit::companion;
use testkit::fluent_bit::{FluentBit, Format};

/// One of them.
#[derive(Clone)]
struct Sample {
    name: String,
    format: Format,
    text: String,
}

const HELM: &str = "deploy/helm/values.yaml";
const TASK: &str = "deploy/aws/task-definition.json";

/// An input for those that show an output alone.
const INPUT: &str = "[INPUT]\n    Name tail\n    Tag kube.app\n    Path /var/log/app/*.log\n    Refresh_Interval 1\n";
const INPUTS: &str =
    "  inputs:\n    - name: tail\n      tag: app\n      path: /var/log/app/*.log\n      refresh_interval: 1\n";
const WEB: &str = "[SERVICE]\n    HTTP_Server On\n    HTTP_Listen 127.0.0.1\n    HTTP_Port 2020\n";

/// Those that tail plain files.
fn plain() -> Vec<Sample> {
    let shipped = |name: &str, format| Sample { name: name.to_owned(), format, text: text(name) };
    let mut samples = vec![
        shipped("deploy/plain/fluent-bit.conf", Format::Classic),
        shipped("deploy/plain/fluent-bit.yaml", Format::Yaml),
        Sample { name: TASK.to_owned(), format: Format::Classic, text: firelens() },
    ];
    for page in pages() {
        samples.extend(blocks(&page));
    }
    samples
}

/// The pages of `docs/` and of its folder for installations.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["docs", "docs/install"] {
        let entries = super::file(folder).read_dir().expect("expected a folder");
        let names = entries.map(|entry| entry.expect("expected an entry").file_name().display().to_string());
        pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")));
    }
    pages.sort();
    pages
}

/// Returns the configuration that FireLens generates from the task definition: its own input, the included file, and an
/// output with a container's options.
fn firelens() -> String {
    let options = of_task().into_iter().map(|(name, value)| format!("    {name} {value}\n")).collect::<String>();
    format!("{}\n{INPUT}\n[OUTPUT]\n    Match *\n{options}", text("deploy/aws/service.conf"))
}

/// The output that the task definition asks for.
fn of_task() -> Vec<(String, String)> {
    let task: Value = serde_json::from_str(&text(TASK)).expect("expected JSON");
    let containers = task["containerDefinitions"].as_array().expect("expected containers");
    let log = containers.iter().map(|one| &one["logConfiguration"]).find(|log| log["logDriver"] == "awsfirelens");
    let log = log.expect("expected a container that logs to FireLens");
    let plain = log["options"].as_object().expect("expected options").iter();
    let plain = plain.map(|(name, value)| (name.clone(), value.as_str().expect("a string").to_owned()));
    let secrets = log["secretOptions"].as_array().into_iter().flatten();
    let secrets = secrets.map(|one| (one["name"].as_str().expect("a name").to_owned(), "${SENTRY_DSN}".to_owned()));
    plain.chain(secrets).collect()
}

/// The blocks of a document that have an output of ours, made whole.
fn blocks(document: &str) -> impl Iterator<Item = Sample> {
    let document = document.to_owned();
    let all = text(&document);
    let blocks: Vec<String> = all.split("\n```").skip(1).step_by(2).map(str::to_owned).collect();
    blocks.into_iter().enumerate().filter_map(move |(number, block)| {
        let (_, block) = block.split_once('\n')?;
        let words: Vec<&str> = block.split_whitespace().collect();
        let has = |name: &str| words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case(name) && pair[1] == "sentry");
        let lacks = |section: &str, text: &'static str| if block.contains(section) { "" } else { text };
        let (format, text) = if has("name:") {
            let inputs = format!("pipeline:\n{}", lacks("  inputs:", INPUTS));
            (Format::Yaml, block.replace("pipeline:\n", &inputs))
        } else if has("name") && block.contains("[OUTPUT]") {
            let input = lacks("[INPUT]", INPUT);
            (Format::Classic, format!("{WEB}    Plugins_File /plugins.conf\n{input}\n{block}"))
        } else {
            return None;
        };
        Some(Sample { name: format!("{document}, block {}", number + 1), format, text })
    })
}

/// The pieces of the chart's configuration, put together as the chart does.
fn helm() -> String {
    let values = text(HELM);
    let mut config = String::new();
    let (_, pieces) = values.split_once("\nconfig:\n").expect("expected a configuration in the values");
    for line in pieces.lines().filter(|line| line.starts_with("    ")) {
        config += &line[4..];
        config.push('\n');
    }
    config
}

pub fn deliver() {
    let samples = plain();
    assert!(samples.len() >= 6, "expected the blocks of docs/ among the samples");
    std::thread::scope(|scope| {
        let running: Vec<_> = samples.iter().map(|sample| scope.spawn(|| delivers(sample))).collect();
        let with_pods = scope.spawn(chart_delivers);
        let ended = running.into_iter().chain([with_pods]).map(|run| run.join());
        let failed: Vec<_> = ended.filter_map(Result::err).collect();
        if let Some(panic) = failed.into_iter().next() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn delivers(sample: &Sample) {
    let (receiver, place) = place::sentry();
    let host = place.start(&sample.text, sample.format, &[("SENTRY_DSN", &receiver.dsn())]);
    arrive(&place, &receiver, &host, &sample.name);
}

/// Three lines of an application, one of them an error.
fn arrive(place: &Place, receiver: &Receiver, host: &FluentBit, name: &str) {
    let line = |level: &str, n: u32| format!("{{\"level\":\"{level}\",\"message\":\"order {n}\"}}\n");
    place.write("var/log/app/app.log", &[line("info", 1), line("error", 2), line("info", 3)].concat());
    let came = receiver.wait_until(Duration::from_secs(30), |seen| (seen.totals.logs, seen.totals.events) == (3, 1));
    assert!(came, "{name}: {:?}\n{}", receiver.totals(), host.log());
    assert_eq!(receiver.problems(), [""; 0], "{name}");
    let spool = |path: &str| place.path(path).read_dir().is_ok_and(|mut files| files.next().is_some());
    assert!(spool("var/lib/fluent-bit/sentry"), "{name}: expected a spool");
}

fn chart_delivers() {
    let (receiver, place) = place::sentry();
    place::with_pods(&place);
    let host = place.start(&helm(), Format::Classic, &[]);
    let samples = place.add_containers();
    node::wait_for_all(&host, &receiver, &samples);
}

/// All that have an output of ours.
fn all() -> Vec<Sample> {
    let mut all = plain();
    for name in [
        "deploy/kube-logging/direct/fluent-bit.conf",
        "deploy/kube-logging/aggregator/base/aggregator.conf",
        "deploy/kube-logging/incidents/node.conf",
        "deploy/kube-logging/incidents/aggregator.conf",
    ] {
        all.push(Sample { name: name.to_owned(), format: Format::Classic, text: text(name) });
    }
    all.push(Sample { name: HELM.to_owned(), format: Format::Classic, text: helm() });
    all
}

/// The companion has nothing to say about any of them, once its files are there; it is what runs before a host that would
/// end with its whole node's logs.
pub fn checked() {
    let place = Place::new(DSN);
    for sample in &all() {
        let (problems, advice) = check(&place, sample);
        assert_eq!(problems, [""; 0], "{}", sample.name);
        // A block that shows an output alone leaves out what the service and a filter are for.
        assert!(advice.is_empty() || sample.name.contains("block"), "{}: {advice:#?}", sample.name);
        let spoiled = Sample { text: sample.text.replace("spool_path", "spool_paht"), ..sample.clone() };
        assert!(!check(&place, &spoiled).0.is_empty(), "{}: a misspelt option passed", sample.name);
    }
}

const DSN: &str = "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/1";

/// The problems and the advice about it.
fn check(place: &Place, sample: &Sample) -> (Vec<String>, Vec<String>) {
    let name = if matches!(sample.format, Format::Yaml) { "checked.yaml" } else { "checked.conf" };
    place.write(name, &place.moved(&sample.text));
    let mut command = Command::new(companion());
    command.args(["check", "--offline", "--json"]).arg(place.path(name));
    command.env("SENTRY_DSN", DSN).env("HTTP_PORT", "2020");
    ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"].iter().for_each(|name| _ = command.env_remove(name));
    let output = command.output().expect("expected to run flb-sentry");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{}: {error}: {said}", sample.name));
    let all = |kind: &str| {
        let found = report[kind].as_array().unwrap_or_else(|| panic!("no {kind}: {said}")).iter();
        found.map(|one| one["text"].as_str().expect("expected a text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(output.status.success(), all("problems").is_empty(), "{said}");
    (all("problems"), all("advice"))
}

/// The names and values of the delivery that every sample is to have.
pub fn recommended() {
    for sample in &all() {
        let pairs: Vec<(String, &str)> = sample.text.lines().filter_map(pair).collect();
        let has = |key: &str, value: Option<&str>| {
            pairs.iter().any(|(name, found)| name == key && value.is_none_or(|value| value == *found))
        };
        assert!(has("spool_path", None), "{}: expected a spool_path", sample.name);
        assert!(has("retry_limit", Some("no_limits")), "{}: expected retry_limit no_limits", sample.name);
        assert!(!has("workers", None), "{}: expected no workers", sample.name);
        // A block that shows an output alone has no service of its own.
        if sample.text.contains("scheduler") || !sample.name.contains("block") {
            assert!(has("scheduler.base", Some("2")), "{}: expected scheduler.base 2", sample.name);
            assert!(has("scheduler.cap", Some("60")), "{}: expected scheduler.cap 60", sample.name);
        }
    }
}

/// A key and its value, in either language.
fn pair(line: &str) -> Option<(String, &str)> {
    let line = line.trim().trim_start_matches("- ");
    let (key, value) = line.split_once([' ', ':'])?;
    (!line.starts_with('#')).then(|| (key.to_ascii_lowercase(), value.trim()))
}

pub fn task_definition() {
    let options = of_task();
    assert!(options.iter().any(|(name, _)| name == "dsn"), "expected the DSN among the secrets");
    for (name, _) in options {
        let name = name.to_ascii_lowercase();
        let known = options::rows().any(|row| row.name == name) || ["name", "retry_limit"].contains(&name.as_str());
        assert!(known, "{TASK}: {name} is no option");
    }
}
