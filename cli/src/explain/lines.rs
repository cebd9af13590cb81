//! One JSON object per record and category.

use super::answers::{Answers, Keys};
use super::options::Settings;
use super::pieces::Piece;
use super::reason;
use out_sentry::ledger::Category;
use out_sentry::record::Reason;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};

#[derive(Serialize)]
struct Line<'a> {
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

/// Writes the answers in the order of the records.
pub(super) fn write(out: &mut impl Write, piece: &Piece, answers: &Answers, settings: &Settings) -> io::Result<()> {
    for (at, record) in answers.numbers().enumerate() {
        for category in Category::ALL {
            let keys = answers.keys(*category, record);
            let line = line(*category, record, piece.lines.get(at).copied(), &keys, answers, settings)?;
            serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

fn line<'a>(
    category: Category,
    record: u32,
    line: Option<u64>,
    keys: &'a Keys,
    answers: &'a Answers,
    settings: &Settings,
) -> io::Result<Line<'a>> {
    let end = answers.end(category, record);
    let into = match end.reason {
        Some(Reason::Joined { into }) => Some(into + 1),
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
        record: record + 1,
        category: category.name(),
        outcome: end.outcome.map_or("pending", |outcome| outcome.name()),
        reason: reason::text(category, end, keys, answers, &settings.mapping),
        into,
        line,
        keys: decoded.then_some(named),
        level_from: decoded.then(|| keys.level_from.name()),
        destination: settings.destination(end.destination),
        billed: Some(end.billed).filter(|billed| *billed > 0),
        payload: answers.payload(end).map(serde_json::from_slice).transpose()?,
    })
}
