//! A chunk to its items: the first byte chooses options, the rest is the chunk. Every record ends once in each category,
//! every item is sound by rules of its own, and what depends on nothing but the chunk is the same again.

use super::account::{Account, map, map_all};
use super::{NOW, settings};
use crate::validate::{self, assert_sound};
use out_sentry::clock::WallTime;
use out_sentry::ledger::Category;
use out_sentry::mapping::Mapper;
use out_sentry::options::Mapping;
use std::sync::LazyLock;

/// Options that the lowest bits of the first byte select.
const OPTIONS: &[&[(&str, &str)]] = &[
    &[],
    &[("event_level", "trace"), ("logs_level", "trace"), ("storm_burst", "0"), ("event_rate", "0")],
    &[
        ("event_level", "trace"),
        ("storm_burst", "0"),
        ("event_rate", "0"),
        ("send_pii", "on"),
        ("label_keys", "*"),
        ("tag_keys", "service,a,a.b,level,environment,msg"),
        ("breadcrumbs", "100"),
        ("scrub", "off"),
    ],
    &[
        ("event_level", "trace"),
        ("logs_level", "trace"),
        ("join_traces", "off"),
        ("parse_message", "off"),
        ("tags", "region=eu,level=x"),
        ("fingerprint", "{{ default }},$service,$log,$a.b"),
        ("stack_key", "log"),
    ],
    &[
        ("message_key", "msg,$a['b'],log"),
        ("remove_keys", "a.b,password,$kubernetes['labels']['app']"),
        ("scrub_keys", "a,iban"),
    ],
    &[
        ("level_map", "notice=warning,audit=fatal,error=info"),
        ("event_level", "debug"),
        ("sample_rate", "0.5"),
        ("logs_sample_rate", "0.5"),
    ],
];

static SETTINGS: LazyLock<Vec<Mapping>> =
    LazyLock::new(|| OPTIONS.iter().map(|options| settings::of(options)).collect());

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let Some((choice, chunk)) = data.split_first() else { return };
    let settings = &SETTINGS[usize::from(*choice) % OPTIONS.len()];
    let mut mapper = Mapper::new(settings.clone());
    let first = map_all(&mut mapper, chunk);
    assert_sound(&first);
    same_again(settings, chunk, &first);
    let again = map(&mut mapper, chunk, true, |_| false);
    assert_sound(&again);
    // A chunk that is read again has the ids that it had.
    for (record, _, id) in first.items(Category::Event) {
        let found = again.items(Category::Event).find(|(other, ..)| *other == record);
        assert_eq!(found.map(|(.., id)| id), Some(id), "event {record}");
    }
    assert_sound(&map(&mut mapper, chunk, false, |record| record % 2 == 0));
    for closing in mapper.closed_storms(WallTime::from_secs(NOW + 7_200)) {
        let faults = validate::event(&closing.payload, Some(closing.event_id), NOW);
        assert!(faults.0.is_empty(), "storm: {:#?}\n{:.4000}", faults.0, String::from_utf8_lossy(&closing.payload));
    }
}

/// A mapper that remembers nothing makes the same of it.
fn same_again(settings: &Mapping, chunk: &[u8], first: &Account) {
    assert_eq!(map_all(&mut Mapper::new(settings.clone()), chunk).ends, first.ends);
}
