//! Writes the view for people: a record, and below it the items that Sentry would get.

use super::answers::{Explained, Keys, LevelFrom};
use super::options::Settings;
use super::reason;
use crate::receive::{issues, timestamp};
use crate::terminal::{level, printable};
use out_sentry::chunk::msgpack::Value as Packed;
use out_sentry::chunk::{Entry, Record, entries};
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::{Reason, json};
use serde_json::Value;
use std::io::{self, Write};

/// Characters of a line, and of one value.
const WIDEST: usize = 400;
/// Columns before pairs go on in the next line.
const WRAP: usize = 110;
/// Frames of an exception, from the innermost on.
const FRAMES: usize = 30;

/// Writes for people.
pub(super) struct View {
    colour: bool,
}

impl View {
    pub(super) fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Writes a record and the items that it becomes.
    pub(super) fn write(&self, out: &mut impl Write, record: &Explained, settings: &Settings) -> io::Result<()> {
        let line = record.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let head = self.paint("1", &format!("record {}{line}", record.number + 1));
        writeln!(out, "{head}  {}", record.text)?;
        for category in Category::ALL {
            self.item(out, *category, record, settings)?;
        }
        writeln!(out)
    }

    fn item(
        &self,
        out: &mut impl Write,
        category: Category,
        record: &Explained,
        settings: &Settings,
    ) -> io::Result<()> {
        let (end, keys) = (record.end(category), record.keys(category));
        let outcome = end.outcome.map_or("pending", Outcome::name);
        let outcome = self.paint(if outcome == "accepted" { "32" } else { "2" }, &format!("{outcome:<10}"));
        write!(out, "  {:<6} {outcome} ", category.name())?;
        let Some(payload) = record.payload(category) else {
            let reason = reason::text(category, record, &keys, &settings.mapping).unwrap_or_default();
            writeln!(out, "{}", cut(&reason))?;
            let by_level = matches!(end.reason, Some(Reason::Below { .. }));
            return if by_level { from(out, &keys, 0) } else { Ok(()) };
        };
        let payload: Value = serde_json::from_slice(payload)?;
        let to = settings.destination(end.destination).into_iter().map(|dsn| ("dsn".to_owned(), dsn));
        let said = payload["level"].as_str().unwrap_or_default();
        match category {
            Category::Event => {
                writeln!(out, "{} {}", level(said, self.colour), cut(&issues::title(&payload)))?;
                from(out, &keys, record.members(category))?;
                pairs(out, "destination", to)?;
                self.event(out, &payload)
            }
            Category::Log => {
                let body = payload["body"].as_str().unwrap_or_default();
                let first = body.lines().next().unwrap_or_default();
                writeln!(out, "{} {}", level(said, self.colour), cut(first))?;
                from(out, &keys, record.members(category))?;
                pairs(out, "destination", to)?;
                log(out, &payload, end.billed)
            }
        }
    }

    fn event(&self, out: &mut impl Write, event: &Value) -> io::Result<()> {
        let exceptions = issues::exceptions(event);
        for (at, exception) in exceptions.iter().rev().enumerate() {
            let caused = if at > 0 { "caused by " } else { "" };
            writeln!(out, "{INDENT}{caused}{}", cut(&issues::exception_title(exception)))?;
            self.frames(out, issues::frames(exception))?;
        }
        let crumbs = issues::breadcrumbs(event);
        if !crumbs.is_empty() {
            writeln!(out, "{INDENT}breadcrumbs")?;
        }
        for crumb in crumbs {
            let at = crumb.get("timestamp").and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
            let text = |name: &str| crumb[name].as_str().unwrap_or_default();
            writeln!(out, "{INDENT}  {at}  {} {}", level(text("level"), self.colour), cut(text("message")))?;
        }
        let named = ["event_id", "platform", "logger", "release", "environment", "server_name", "fingerprint"];
        let about = named.iter().filter_map(|name| Some(((*name).to_owned(), plain(event.get(*name)?))));
        let trace = event.pointer("/contexts/trace/trace_id").map(|id| ("trace_id".to_owned(), plain(id)));
        pairs(out, "event", about.chain(trace))?;
        pairs(out, "tags", issues::tags(event).into_iter())?;
        let contexts = event["contexts"].as_object().into_iter().flatten().filter(|(name, _)| *name != "trace");
        for (name, context) in contexts {
            pairs(out, name, members(context))?;
        }
        pairs(out, "user", members(&event["user"]))?;
        pairs(out, "extra", members(&event["extra"]))
    }

    fn frames(&self, out: &mut impl Write, frames: &[Value]) -> io::Result<()> {
        for frame in frames.iter().rev().take(FRAMES) {
            let text = |name: &str| frame.get(name).map(plain).unwrap_or_default();
            let file = if text("filename").is_empty() { text("abs_path") } else { text("filename") };
            let number = |name: &str| frame.get(name).map(|n| format!(":{}", plain(n))).unwrap_or_default();
            let place = format!("{file}{}{}", number("lineno"), number("colno"));
            let name = [text("module"), text("function")].into_iter().filter(|part| !part.is_empty());
            let in_app = frame["in_app"] == Value::Bool(true);
            let line = cut(&format!("{}  {place}", name.collect::<Vec<_>>().join(" in ")));
            let line = if in_app { format!("{line}  [in app]") } else { self.paint("2", &line) };
            writeln!(out, "{INDENT}  {line}")?;
        }
        match frames.len().saturating_sub(FRAMES) {
            0 => Ok(()),
            more => writeln!(out, "{INDENT}  ... {more} more frames"),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const INDENT: &str = "         ";

/// Writes the fields that gave the record its meaning.
fn from(out: &mut impl Write, keys: &Keys, members: u32) -> io::Result<()> {
    let key = |key: &Option<String>, none: &str| key.as_deref().map_or(none.to_owned(), |key| format!("`{key}`"));
    let level = match keys.level_from {
        LevelFrom::Key => key(&keys.level, ""),
        LevelFrom::Text => "the text".to_owned(),
        LevelFrom::Trace => "the stack trace".to_owned(),
        LevelFrom::Default => "default_level".to_owned(),
    };
    let message = key(&keys.message, "the whole record");
    let trace = key(&keys.trace, "stream and time");
    let stack = keys.stack.as_ref().map(|stack| format!(", stack `{stack}`")).unwrap_or_default();
    let lines = if members > 0 { format!("; of {} lines", members + 1) } else { String::new() };
    let line = format!("from: message {message}, level {level}, trace {trace}{stack}{lines}");
    writeln!(out, "{INDENT}{}", cut(&line))
}

fn log(out: &mut impl Write, log: &Value, billed: u64) -> io::Result<()> {
    let about = ["trace_id", "span_id"].into_iter().filter_map(|name| Some((name.to_owned(), plain(log.get(name)?))));
    pairs(out, "log", about.chain([("billed".to_owned(), format!("{billed} bytes"))]))?;
    // What is the same in every log tells nobody anything.
    let ours = |name: &str| name.starts_with("sentry.sdk.") || name == "sentry.origin";
    let attributes = log["attributes"].as_object().into_iter().flatten().filter(|(name, _)| !ours(name));
    pairs(out, "attributes", attributes.map(|(name, attribute)| (name.clone(), plain(&attribute["value"]))))
}

/// `label  a=b  c=d`, in as many lines as it takes; nothing without pairs.
fn pairs(out: &mut impl Write, label: &str, pairs: impl Iterator<Item = (String, String)>) -> io::Result<()> {
    let mut line = String::new();
    let mut label = format!("{INDENT}{:<12}", cut(label));
    for (name, value) in pairs {
        let pair = cut(&format!("{name}={value}"));
        if !line.is_empty() && line.len() + pair.len() > WRAP {
            writeln!(out, "{label}{line}")?;
            label = format!("{INDENT}{:<12}", "");
            line.clear();
        }
        line.push_str(if line.is_empty() { "" } else { "  " });
        line.push_str(&pair);
    }
    if line.is_empty() { Ok(()) } else { writeln!(out, "{label}{line}") }
}

fn members(value: &Value) -> impl Iterator<Item = (String, String)> + use<'_> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), plain(value)))
}

/// A value without the quotes of a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Harmless on a terminal, and not endless.
fn cut(text: &str) -> String {
    let kept: String = text.chars().take(WIDEST).collect();
    let mark = if kept.len() < text.len() { "..." } else { "" };
    format!("{}{mark}", printable(&kept))
}

/// The records of a chunk as people know them, in order.
pub(super) fn texts(chunk: &[u8]) -> Vec<String> {
    let read = entries(chunk).filter(|entry| matches!(entry, Entry::Record(_) | Entry::Invalid(..)));
    read.map(|entry| cut(&shown(entry))).collect()
}

/// The record as its author would know it again: the line of a log file, else its fields.
fn shown(entry: Entry<'_>) -> String {
    let Entry::Record(Record { body, .. }) = entry else { return "bytes that are no record".to_owned() };
    let log = body.map().and_then(|map| map.get("log")).and_then(|log| log.text());
    if let (Some(log), false) = (log, is_json_line(body)) {
        return String::from_utf8_lossy(log).into_owned();
    }
    let mut text = Vec::new();
    json::value(&mut text, body);
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns true if a record has fields besides those that a container runtime and the kubernetes filter add.
fn is_json_line(body: Packed<'_>) -> bool {
    const OF_THE_HOST: [&[u8]; 7] =
        [b"log", b"time", b"stream", b"_p", b"logtag", b"kubernetes", b"kubernetes_namespace"];
    let fields = body.map().into_iter().flat_map(|map| map.pairs());
    fields.filter_map(|(key, _)| key.text()).any(|key| !OF_THE_HOST.contains(&key))
}
