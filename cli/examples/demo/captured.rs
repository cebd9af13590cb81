//! Chunks captured from a real host, one of each kind of input, and what the plugin makes of them by `flb-sentry explain`.

use serde_json::Value;
use std::fmt;
use std::process::Command;

/// Input and chunk: `tests/data/chunks/<name>.msgpack`.
const CHUNKS: [&str; 4] = ["otlp", "forward", "syslog", "kubernetes"];

/// Widest title and lines, and how many of an item's tags or attributes are shown.
const TITLE: usize = 90;
const WIDTH: usize = 100;
const FACTS: usize = 4;

/// The events and logs that the chunks become.
pub struct Captured(Vec<Chunk>);

struct Chunk {
    name: &'static str,
    records: usize,
    events: Vec<Value>,
    logs: Vec<Value>,
}

impl Captured {
    /// Explains each of them.
    pub fn explain() -> Result<Self, String> {
        CHUNKS.into_iter().map(Chunk::explain).collect::<Result<_, _>>().map(Self)
    }
}

impl Chunk {
    fn explain(name: &'static str) -> Result<Self, String> {
        let path = testkit::artefacts::workspace().join(format!("tests/data/chunks/{name}.msgpack"));
        let output = Command::new(testkit::companion()).arg("explain").arg("--json").arg(&path).output();
        let output = output.map_err(|error| format!("flb-sentry explain: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", path.display(), String::from_utf8_lossy(&output.stderr)));
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        let results: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
        let results = results.map_err(|error| format!("flb-sentry explain {}: {error}", path.display()))?;
        let items = |category: &str| {
            let of = results.iter().filter(|result| result["category"] == category && result["payload"].is_object());
            of.map(|result| result["payload"].clone()).collect::<Vec<_>>()
        };
        Ok(Self { name, records: results.len() / 2, events: items("event"), logs: items("log") })
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Captured chunks, explained (flb-sentry explain tests/data/chunks/...)")?;
        self.0.iter().try_for_each(|chunk| write!(f, "{chunk}"))
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, logs) = (self.events.len(), self.logs.len());
        writeln!(f, "  {:11} records {}, events {events}, logs {logs}", self.name, self.records)?;
        if let Some(event) = self.events.first() {
            item(f, "event", event, &title(event), about_event(event))?;
        }
        // The last log is one that the event does not say already.
        if let Some(log) = self.logs.last() {
            item(f, "log", log, &text(&log["body"]), about_log(log))?;
        }
        Ok(())
    }
}

fn item(f: &mut fmt::Formatter<'_>, kind: &str, item: &Value, title: &str, facts: Vec<String>) -> fmt::Result {
    writeln!(f, "    {kind:6} {:8} {}", text(&item["level"]), harmless(title))?;
    let mut line = String::new();
    for fact in facts.iter().map(|fact| harmless(fact)) {
        if !line.is_empty() && line.len() + fact.len() > WIDTH {
            writeln!(f, "           {}", std::mem::take(&mut line).trim_end())?;
        }
        line += &format!("{fact}  ");
    }
    writeln!(f, "           {}", line.trim_end())
}

/// The outermost exception, else the message.
fn title(event: &Value) -> String {
    match event["exception"]["values"].as_array().and_then(|values| values.last()) {
        Some(exception) => format!("{}: {}", text(&exception["type"]), text(&exception["value"])),
        None => text(&event["logentry"]["formatted"]),
    }
}

fn about_event(event: &Value) -> Vec<String> {
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    let exceptions = event["exception"]["values"].as_array().into_iter().flatten();
    let frames: usize = exceptions.map(|exception| count(&exception["stacktrace"]["frames"])).sum();
    let crumbs = count(&event["breadcrumbs"]["values"]);
    let mut facts = vec![format!("trace {}", text(&event["contexts"]["trace"]["trace_id"]))];
    facts.extend((frames > 0).then(|| format!("frames {frames}")));
    facts.extend((crumbs > 0).then(|| format!("breadcrumbs {crumbs}")));
    let named = ["logger", "release", "environment", "server_name"].iter();
    facts.extend(named.filter(|name| event[**name].is_string()).map(|name| format!("{name}={}", text(&event[*name]))));
    let tags = event["tags"].as_object().or(event["extra"].as_object()).into_iter().flatten();
    facts.extend(tags.take(FACTS).map(|(name, value)| format!("{name}={}", text(value))));
    facts
}

fn about_log(log: &Value) -> Vec<String> {
    let ours = |name: &str| name.starts_with("sentry.");
    let attributes = log["attributes"].as_object().into_iter().flatten().filter(|(name, _)| !ours(name));
    let attributes = attributes.take(FACTS).map(|(name, value)| format!("{name}={}", text(&value["value"])));
    std::iter::once(format!("trace {}", text(&log["trace_id"]))).chain(attributes).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A log line is anybody's text: it must not steer the terminal, nor fill it.
fn harmless(text: &str) -> String {
    let cut = if text.chars().count() > TITLE { "..." } else { "" };
    let kept = text.chars().take(TITLE).map(|c| if c.is_control() { ' ' } else { c });
    kept.collect::<String>() + cut
}
