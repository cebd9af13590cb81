//! Lines of one container, joined or not: a text, each line of it a record of one stream.

use super::account::{Account, End, FIRST, map_all};
use super::{NOW, settings};
use out_sentry::ledger::{Category, Outcome};
use out_sentry::mapping::Mapper;
use out_sentry::options::Mapping;
use std::sync::LazyLock;

/// Joined at all levels, not joined, and joined for errors.
static SETTINGS: LazyLock<[Mapping; 3]> = LazyLock::new(|| {
    [("on", "trace"), ("off", "trace"), ("on", "error")].map(|(join, event_level)| {
        settings::of(&[
            ("join_traces", join),
            ("event_level", event_level),
            ("logs_level", "trace"),
            ("storm_burst", "0"),
            ("event_rate", "0"),
            ("breadcrumbs", "0"),
        ])
    })
});

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let chunk: Vec<u8> = lines.iter().flat_map(|line| record(line)).collect();
    let [all, apart, errors] = SETTINGS.each_ref();
    let joined = account(all, &chunk);
    let apart = account(apart, &chunk);
    logs(&lines, &joined, &apart);
    assert!(ends(&apart).iter().all(|end| **end != End::Outcome(Outcome::Joined)), "nothing is joined");
    assert_heads(&joined);
    // What is an event at all levels is one at this level, or not bad enough: nothing is joined to what is no event.
    assert_heads(&account(errors, &chunk));
    texts(&lines, &joined);
}

fn record(line: &[u8]) -> Vec<u8> {
    let mut out = vec![0x92, 0x92, 0xd7, 0];
    out.extend_from_slice(&(NOW as u32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80, 0x81, 0xa3, b'l', b'o', b'g', 0xdb]);
    out.extend_from_slice(&(line.len() as u32).to_be_bytes());
    out.extend_from_slice(line);
    out
}

fn account(settings: &Mapping, chunk: &[u8]) -> Account {
    map_all(&mut Mapper::new(settings.clone()), chunk)
}

/// The events' ends, in the order of the lines.
fn ends(account: &Account) -> Vec<&End> {
    ends_of(account, Category::Event)
}

/// The ends in a category, in the order of the lines.
fn ends_of(account: &Account, wanted: Category) -> Vec<&End> {
    account.ends.iter().filter(|((_, category), _)| *category == wanted.name()).map(|(_, end)| end).collect()
}

/// Without joining every line that is not blank is a log. With it a line is a log, or belongs to the log before it; a log that no
/// line was joined to has the text and the level that it has without joining.
fn logs(lines: &[&[u8]], joined: &Account, apart: &Account) {
    for (at, (line, end)) in lines.iter().zip(ends_of(apart, Category::Log)).enumerate() {
        let is_blank = *end == End::Outcome(Outcome::Filtered) && line.trim_ascii().is_empty();
        assert!(matches!(end, End::Item(..)) || is_blank, "line {at} is no log: {end:?}");
    }
    let ends = ends_of(joined, Category::Log);
    let mut head = false;
    for (at, end) in ends.iter().enumerate() {
        match end {
            End::Item(..) => head = true,
            End::Outcome(Outcome::Joined) => assert!(head, "log line {at} is joined to nothing"),
            End::Outcome(Outcome::Filtered) => head = false,
            other => panic!("log line {at} ends as {other:?}"),
        }
    }
    let said = |json: &[u8]| {
        let log: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        (log["level"].clone(), log["body"].clone())
    };
    let alone: std::collections::HashMap<u32, _> =
        apart.items(Category::Log).map(|(record, json, _)| (record, said(json))).collect();
    for (record, json, _) in joined.items(Category::Log) {
        let at = (record - FIRST) as usize;
        if ends.get(at + 1).is_none_or(|next| **next != End::Outcome(Outcome::Joined)) {
            assert_eq!(Some(&said(json)), alone.get(&record), "line {at} is alone and reads differently");
        }
    }
}

/// Checks that lines are joined to a record that became an event, or was held back as a repeat of one.
fn assert_heads(account: &Account) {
    let mut head = false;
    for (at, end) in ends(account).into_iter().enumerate() {
        match end {
            End::Item(..) | End::Outcome(Outcome::Suppressed) => head = true,
            End::Outcome(Outcome::Joined) => assert!(head, "line {at} is joined to nothing"),
            End::Outcome(Outcome::Filtered) => head = false,
            other => panic!("line {at} ends as {other:?}"),
        }
    }
}

/// An event shows text of its own lines only: every longer word of its title and exceptions stands in one of them.
fn texts(lines: &[&[u8]], account: &Account) {
    let ends = ends(account);
    for (record, json, _) in account.items(Category::Event) {
        let at = (record - FIRST) as usize;
        let more = ends[at + 1..].iter().take_while(|end| ***end == End::Outcome(Outcome::Joined)).count();
        let event: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        let shown = event["exception"]["values"].as_array().into_iter().flatten().map(|exception| &exception["value"]);
        let own = String::from_utf8_lossy(&lines[at..=at + more].join(&b'\n')).into_owned();
        for text in shown.chain([&event["logentry"]["formatted"]]).filter_map(|text| text.as_str()) {
            for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 9) {
                // What is filtered or cut says so; what the line itself says of its fields is read before it is shown.
                let known = own.contains(word) || own.contains('\\') || own.contains('\u{1b}') || word == "password";
                assert!(known, "{word:?} of event {record} is in none of its lines: {own:?}");
            }
        }
    }
}
