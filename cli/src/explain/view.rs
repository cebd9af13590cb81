//! Writes the view for people: a record, and below it the items that Sentry would get.

use super::answers::{Explained, Keys, LevelFrom, Shown, ShownLetter};
use super::options::Settings;
use super::reason;
use crate::terminal::{counted, fold, level, printable};
use out_sentry::chunk::msgpack::Value as Packed;
use out_sentry::chunk::{Entry, Record, entries};
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::{Reason, json};
use receiver::{issues, timestamp};
use serde_json::Value;
use std::io::{self, Write};

/// Most characters of one value.
const WIDEST: usize = 400;
/// Columns before pairs go on in the next line, where the output is no terminal.
const WRAP: usize = 131;
/// Columns that are used at least, however narrow the terminal is.
const NARROWEST: usize = 40;
/// Frames of an exception, from the innermost on.
const FRAMES: usize = 30;

/// Writes for people.
pub(super) struct View {
    colour: bool,
    /// Columns of the terminal; none for another output, where only pairs are put into lines.
    width: Option<usize>,
}

impl View {
    pub(super) fn new(colour: bool, width: Option<usize>) -> Self {
        Self { colour, width: width.map(|width| width.max(NARROWEST)) }
    }

    /// Returns the columns of the terminal; none for another output.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a line that begins with `head`, which takes so many columns. What does not fit goes on in the next lines,
    /// `indent` columns from the left.
    fn line(
        &self,
        out: &mut impl Write,
        (head, taken): (&str, usize),
        (text, code): (&str, &str),
        indent: usize,
    ) -> io::Result<()> {
        let parts = match self.width {
            Some(width) => fold(text, width.saturating_sub(taken).max(1), width.saturating_sub(indent).max(1)),
            None => vec![text],
        };
        for (at, part) in parts.into_iter().map(str::trim_end).enumerate() {
            let part = if code.is_empty() { part.to_owned() } else { self.paint(code, part) };
            match at {
                0 => writeln!(out, "{head}{part}")?,
                _ => writeln!(out, "{:indent$}{part}", "")?,
            }
        }
        Ok(())
    }

    /// Writes the name of a file above its records.
    pub(super) fn file(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        writeln!(out, "{}\n", self.paint("1", &format!("==> {} <==", cut(name))))
    }

    /// Writes a record and the items that it becomes.
    pub(super) fn write(&self, out: &mut impl Write, record: &Explained, settings: &Settings) -> io::Result<()> {
        let line = record.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let head = format!("record {}{line}", record.in_file(record.number));
        let taken = head.len() + 2;
        let Shown { time, text, letter } = &record.shown;
        let text = if time.is_empty() { text } else { &format!("{time}  {text}") };
        self.line(out, (&format!("{}  ", self.paint("1", &head)), taken), (text, ""), 2)?;
        if let Some(ShownLetter { outcome, text }) = letter {
            let outcome = self.paint("2", &format!("{outcome:<10}"));
            self.line(out, (&format!("  letter {outcome} "), 20), (text, ""), INDENT)?;
        }
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
        let head = format!("  {:<6} {outcome} ", category.name());
        let Some(payload) = record.payload(category) else {
            let reason = reason::text(category, record, &keys, &settings.mapping).unwrap_or_default();
            self.line(out, (&head, 20), (&cut(&reason), ""), INDENT)?;
            let by_level = matches!(end.reason, Some(Reason::Below { .. }));
            return if by_level { self.from(out, &keys, 0) } else { Ok(()) };
        };
        let payload: Value = serde_json::from_slice(payload)?;
        let to = settings.destination(end.destination).into_iter().map(|dsn| ("dsn".to_owned(), dsn));
        let said = payload["level"].as_str().unwrap_or_default();
        let text = match category {
            Category::Event => issues::title(&payload),
            Category::Log => {
                payload["body"].as_str().and_then(|body| body.lines().next()).unwrap_or_default().to_owned()
            }
        };
        let head = format!("{head}{} ", level(said, self.colour));
        self.line(out, (&head, 28), (&cut(&text), ""), INDENT)?;
        self.from(out, &keys, record.members(category))?;
        self.pairs(out, "destination", to)?;
        // The record's own time is above.
        let time = payload.get("timestamp").and_then(timestamp::of_value).map(timestamp::display);
        let time = time.filter(|time| *time != record.shown.time).map(|time| ("time".to_owned(), time));
        match category {
            Category::Event => self.event(out, &payload, time),
            Category::Log => self.log(out, &payload, time, end.billed),
        }
    }

    fn event(&self, out: &mut impl Write, event: &Value, time: Option<(String, String)>) -> io::Result<()> {
        let exceptions = issues::exceptions(event);
        for (at, exception) in exceptions.iter().rev().enumerate() {
            let caused = if at > 0 { "caused by " } else { "" };
            let title = format!("{caused}{}", cut(&issues::exception_title(exception)));
            self.line(out, indented(INDENT), (&title, ""), INDENT + 2)?;
            self.frames(out, issues::frames(exception))?;
        }
        let crumbs = issues::breadcrumbs(event);
        if !crumbs.is_empty() {
            writeln!(out, "{:INDENT$}breadcrumbs", "")?;
        }
        for crumb in crumbs {
            let at = crumb.get("timestamp").and_then(timestamp::of_value).map(timestamp::display).unwrap_or_default();
            let text = |name: &str| crumb[name].as_str().unwrap_or_default();
            let head = format!("{:INDENT$}  {at}  {} ", "", level(text("level"), self.colour));
            let taken = INDENT + 2 + at.len() + 2 + 8;
            self.line(out, (&head, taken), (&cut(text("message")), ""), INDENT + 4)?;
        }
        let named = ["event_id", "platform", "logger", "release", "environment", "server_name", "fingerprint"];
        let about = named.iter().filter_map(|name| Some(((*name).to_owned(), plain(event.get(*name)?))));
        let trace = event.pointer("/contexts/trace/trace_id").map(|id| ("trace_id".to_owned(), plain(id)));
        self.pairs(out, "event", time.into_iter().chain(about).chain(trace))?;
        self.pairs(out, "tags", issues::tags(event).into_iter())?;
        let contexts = event["contexts"].as_object().into_iter().flatten().filter(|(name, _)| *name != "trace");
        for (name, context) in contexts {
            self.pairs(out, name, members(context))?;
        }
        self.pairs(out, "user", members(&event["user"]))?;
        self.pairs(out, "extra", members(&event["extra"]))
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
            let line = if in_app { format!("{line}  [in app]") } else { line };
            self.line(out, indented(INDENT + 2), (&line, if in_app { "" } else { "2" }), INDENT + 6)?;
        }
        match frames.len().saturating_sub(FRAMES) {
            0 => Ok(()),
            more => writeln!(out, "{:INDENT$}  ... and {more} more", ""),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns left of what stands below an item.
const INDENT: usize = 9;

/// Columns of a label before pairs.
const LABEL: usize = 12;

/// Returns the head of a line that begins so many columns from the left.
fn indented(columns: usize) -> (&'static str, usize) {
    const SPACES: &str = "                ";
    let columns = columns.min(SPACES.len());
    (&SPACES[..columns], columns)
}

impl View {
    /// Writes the fields that gave the record its meaning.
    fn from(&self, out: &mut impl Write, keys: &Keys, members: u32) -> io::Result<()> {
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
        self.line(out, indented(INDENT), (&cut(&line), ""), INDENT + 2)
    }

    fn log(&self, out: &mut impl Write, log: &Value, time: Option<(String, String)>, billed: u64) -> io::Result<()> {
        let ids = ["trace_id", "span_id"].into_iter();
        let ids = ids.filter_map(|name| Some((name.to_owned(), plain(log.get(name)?))));
        let about = time.into_iter().chain(ids).chain([("billed".to_owned(), counted(billed, "byte"))]);
        self.pairs(out, "log", about)?;
        // What is the same in every log tells nobody anything.
        let ours = |name: &str| name.starts_with("sentry.sdk.") || name == "sentry.origin";
        let attributes = log["attributes"].as_object().into_iter().flatten().filter(|(name, _)| !ours(name));
        self.pairs(out, "attributes", attributes.map(|(name, value)| (name.clone(), readable(name, &value["value"]))))
    }

    /// Writes `label  a=b  c=d`, in as many lines as it takes; nothing without pairs.
    fn pairs(
        &self,
        out: &mut impl Write,
        label: &str,
        pairs: impl Iterator<Item = (String, String)>,
    ) -> io::Result<()> {
        let start = INDENT + LABEL;
        let most = self.width.unwrap_or(WRAP).saturating_sub(start);
        let mut line = String::new();
        let mut label = format!("{:INDENT$}{:<LABEL$}", "", cut(label));
        for (name, value) in pairs {
            let pair = cut(&format!("{name}={value}"));
            if !line.is_empty() && line.chars().count() + 2 + pair.chars().count() > most {
                self.line(out, (&label, start), (&line, ""), start + 2)?;
                label = format!("{:start$}", "");
                line.clear();
            }
            line.push_str(if line.is_empty() { "" } else { "  " });
            line.push_str(&pair);
        }
        if line.is_empty() { Ok(()) } else { self.line(out, (&label, start), (&line, ""), start + 2) }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (String, String)> + use<'_> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), readable(name, value)))
}

/// Returns a value for people. A record's time that Sentry would not keep is sent as seconds since 1970: people get a date.
fn readable(name: &str, value: &Value) -> String {
    let is_time = matches!(name, "original_time" | "log.record.time");
    let seconds = value.as_str().filter(|_| is_time).and_then(|text| text.parse::<f64>().ok());
    seconds.map_or_else(|| plain(value), timestamp::display)
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
pub(super) fn records(chunk: &[u8]) -> Vec<Shown> {
    let mut letter = None;
    let mut shown = Vec::new();
    for entry in entries(chunk) {
        match entry {
            Entry::GroupStart(group) => letter = letter_of(&group),
            Entry::GroupEnd => letter = None,
            Entry::Record(_) | Entry::Invalid(..) => {
                shown.push(Shown { time: time_of(&entry), text: cut(&text_of(entry)), letter: letter.clone() });
            }
        }
    }
    shown
}

/// Returns the end of the item that a group holds, if the group is a dead letter (`docs/formats.md`).
fn letter_of(group: &Record<'_>) -> Option<ShownLetter> {
    let about = group.metadata.get("out_sentry")?.map()?;
    let field = |name: &str| Some(String::from_utf8_lossy(about.get(name)?.text()?).into_owned());
    let outcome = cut(&field("outcome")?);
    let item = field("category").unwrap_or_else(|| "bytes that are not a record".to_owned());
    let reason = field("detail").unwrap_or_default();
    let time = field("time").unwrap_or_default();
    Some(ShownLetter { outcome, text: cut(&format!("{item}, given up at {time}: {reason}")) })
}

fn time_of(entry: &Entry<'_>) -> String {
    match entry {
        Entry::Record(Record { time, .. }) => {
            timestamp::display(time.secs as f64 + f64::from(time.nanos / 1_000_000) / 1e3)
        }
        _ => String::new(),
    }
}

/// The record as its author would know it again: the line of a log file, else its fields.
fn text_of(entry: Entry<'_>) -> String {
    let Entry::Record(Record { body, .. }) = entry else { return "bytes that are not a record".to_owned() };
    let log = body.map().and_then(|map| map.get("log")).and_then(|log| log.text());
    if let (Some(log), false) = (log, is_json_line(body)) {
        return String::from_utf8_lossy(log).trim_end().to_owned();
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
