//! Secrets of the rules' examples in a line: wherever they stand and whatever surrounds them, no item has them.
//!
//! The first four bytes choose the example, its wrapper and how much stands before it; the rest stands around it.

use super::account::{Account, map_all};
use super::{NOW, settings};
use out_sentry::ledger::Category;
use out_sentry::mapping::{Mapper, SCRUB_EXAMPLES};
use out_sentry::options::Mapping;
use std::sync::LazyLock;

static SETTINGS: LazyLock<Mapping> = LazyLock::new(|| {
    settings::of(&[
        ("event_level", "trace"),
        ("logs_level", "trace"),
        ("storm_burst", "0"),
        ("event_rate", "0"),
        ("tag_keys", "note"),
    ])
});

/// Ways to write a line: alone, between lines, as a field, behind a logger's head, in the message of an exception of Java and of
/// Python, in JSON within JSON, and in logfmt.
pub const WRAPPERS: u8 = 8;

/// Lengths at which messages, breadcrumbs and tags are cut.
const CUTS: [usize; 4] = [0, 460, 180, 8_150];

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let Some((&[example, wrapper, cut, more], rest)) = data.split_first_chunk::<4>() else { return };
    let all: Vec<_> = SCRUB_EXAMPLES.iter().flat_map(|example| example.filtered).collect();
    let (line, secret) = all[usize::from(example) % all.len()];
    let around: String =
        String::from_utf8_lossy(rest).chars().filter(|c| c.is_ascii_lowercase() || *c == ' ').collect();
    let before =
        format!("{}{}", ". ".repeat(CUTS[usize::from(cut) % CUTS.len()] / 2), " .".repeat(usize::from(more % 32)));
    // Words of letters around the line say nothing of it, and a blank ends what stands before.
    let text = match wrapper % WRAPPERS {
        0 => format!("{before} {line}"),
        1 => format!("{around} \n{line}\n {around}"),
        2 => serde_json::json!({"level": "error", "msg": format!("{before} {line}"), "note": line}).to_string(),
        3 => format!("2026-11-20 08:00:00 ERROR [{}] x.Y - {line}", around.replace(' ', "")),
        4 => format!("java.lang.IllegalStateException: {around} {line}\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)"),
        5 => format!("Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: {line}"),
        6 => serde_json::json!({"level": "error", "msg": serde_json::json!({"text": line}).to_string()}).to_string(),
        _ => format!("level=error msg={}", serde_json::json!(format!("{around} {line}"))),
    };
    let lines = [text.as_str(), "ERROR after it"];
    let chunk: Vec<u8> = lines.iter().flat_map(|line| record(line)).collect();
    let account: Account = map_all(&mut Mapper::new(SETTINGS.clone()), &chunk);
    for (_, json, _) in account.items(Category::Event).chain(account.items(Category::Log)) {
        let item = String::from_utf8_lossy(json);
        assert!(!item.contains(secret), "{secret} of {text:?} is in {item}");
    }
}

fn record(line: &str) -> Vec<u8> {
    let mut out = vec![0x92, 0x92, 0xd7, 0];
    out.extend_from_slice(&(NOW as u32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80, 0x81, 0xa3, b'l', b'o', b'g', 0xdb]);
    out.extend_from_slice(&(line.len() as u32).to_be_bytes());
    out.extend_from_slice(line.as_bytes());
    out
}
