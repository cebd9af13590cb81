//! Writes one JSON object per record and category.

use super::answers::{Explained, Keys};
use super::options::Settings;
use super::reason;
use out_sentry::ledger::Category;
use out_sentry::mapping::Reason;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    record: u32,
    category: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level_from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Named<'a> {
    message: Option<&'a str>,
    level: Option<&'a str>,
    trace: Option<&'a str>,
    stack: Option<&'a str>,
}

/// Writes the results of a record. `file` is the name of its file, where there are several.
pub(super) fn write(
    out: &mut impl Write,
    record: &Explained,
    file: Option<&str>,
    settings: &Settings,
) -> io::Result<()> {
    for category in Category::ALL {
        let keys = record.keys(*category);
        let line = Line { file, ..line(*category, record, &keys, settings)? };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn line<'a>(category: Category, record: &'a Explained, keys: &'a Keys, settings: &Settings) -> io::Result<Line<'a>> {
    let end = record.end(category);
    let into = match end.reason {
        Some(Reason::Joined { into }) => Some(record.in_file(into)),
        _ => None,
    };
    let decoded = !matches!(end.reason, Some(Reason::Undecodable(_)));
    let named = Named {
        message: keys.message.as_deref(),
        level: keys.level.as_deref(),
        trace: keys.trace.as_deref(),
        stack: keys.stack.as_deref(),
    };
    Ok(Line {
        file: None,
        record: record.in_file(record.number),
        category: category.name(),
        outcome: end.outcome.map_or("pending", |outcome| outcome.name()),
        reason: reason::text(category, record, keys, &settings.mapping),
        into,
        line: record.line,
        keys: decoded.then_some(named),
        level_from: decoded.then(|| keys.level_from.name()),
        destination: settings.destination(end.destination),
        billed: Some(end.billed).filter(|billed| *billed > 0),
        payload: record.payload(category).map(serde_json::from_slice).transpose()?,
    })
}
