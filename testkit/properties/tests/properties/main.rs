//! Tests that every record ends as sound items or as a counted outcome, and the same record always as the same event.
//!
//! Thousands of hostile chunks a run, each made from a seed. `PROPERTY_SEED=<seed>` plays one again.

mod billed;
mod mutations;
mod replay;

use out_sentry::chunk::{Entry, entries};
use out_sentry::ledger::Category;
use out_sentry::mapping::Mapper;
use out_sentry::mapping::identity::EventId;
use properties::account::{Account, End, FIRST, map, map_all};
use properties::settings;
use properties::validate::assert_sound;
use std::collections::HashMap;
use testkit::generate::random::Random;
use testkit::generate::records;
use testkit::generate::rounds::rounds;

#[test]
fn any_chunk_becomes_sound_items_or_counted_outcomes() {
    rounds(1_000, |random| {
        let mut mapper = Mapper::new(settings::any(random, &[]));
        for _ in 0..2 {
            let chunk = records::chunk(random).concat();
            let settled: fn(u32) -> bool = if random.once_in(5) { |record| record % 3 == 0 } else { |_| false };
            assert_sound(&map(&mut mapper, &chunk, false, settled));
        }
    });
}

#[test]
fn damaged_chunks_are_accounted_for_to_the_last_byte() {
    rounds(800, |random| {
        let mut chunk = records::chunk(random).concat();
        for _ in 0..1 + random.below(6) {
            let at = random.below(chunk.len());
            match random.below(4) {
                0 => chunk.truncate(at.max(1)),
                1 => chunk.insert(at, random.number() as u8),
                _ => chunk[at] = random.number() as u8,
            }
        }
        let mut mapper = Mapper::new(settings::any(random, &[]));
        assert_sound(&map_all(&mut mapper, &chunk));
        let known: usize = entries(&chunk)
            .map(|entry| match entry {
                Entry::Record(record) | Entry::GroupStart(record) => record.raw.len(),
                Entry::Invalid(_, skipped) => skipped.len(),
                Entry::GroupEnd => 0,
            })
            .sum();
        let has_end = entries(&chunk).any(|entry| entry == Entry::GroupEnd);
        assert!(known == chunk.len() || has_end && known < chunk.len(), "{known} of {} bytes", chunk.len());
    });
}

/// The ids of an account's events by record.
fn ids(account: &Account) -> HashMap<u32, EventId> {
    account.items(Category::Event).filter_map(|(record, _, id)| Some((record, id?))).collect()
}

#[test]
fn the_same_chunk_gives_the_same_items_to_a_fresh_mapper_and_the_same_ids_to_the_same() {
    rounds(450, |random| {
        let settings = settings::any(random, &[]);
        let chunk = records::chunk(random).concat();
        let mut mapper = Mapper::new(settings.clone());
        let first = map_all(&mut mapper, &chunk);
        let fresh = map_all(&mut Mapper::new(settings), &chunk);
        assert_eq!(first.ends, fresh.ends);
        let again = ids(&map(&mut mapper, &chunk, true, |_| false));
        for (record, id) in ids(&first) {
            assert_eq!(again.get(&record), Some(&id), "record {record}");
        }
    });
}

#[test]
fn a_record_keeps_its_event_id_wherever_it_stands() {
    let fixed = [
        ("join_traces", "off"),
        ("event_level", "trace"),
        ("storm_burst", "0"),
        ("event_rate", "0"),
        ("sample_rate", "1"),
    ];
    rounds(450, |random| {
        let settings = settings::any(random, &fixed);
        let record = records::record(random);
        let alone = only(&map_all(&mut Mapper::new(settings.clone()), &record));
        let mut mapper = Mapper::new(settings);
        let before = map_all(&mut mapper, &loose(random, &record)).ends.len() / 2;
        assert!(before < 100, "a few records");
        let others = loose(random, &record);
        let place = FIRST + out_sentry::chunk::count(&others);
        let moved = map_all(&mut mapper, &[others, record.clone(), loose(random, &record)].concat());
        let Some(End::Item(_, id)) = moved.ends.get(&(place, "event")) else { return };
        assert!(alone.is_none() || alone == *id, "{alone:?} {id:?}");
    });
}

fn only(account: &Account) -> Option<EventId> {
    account.items(Category::Event).next().and_then(|(_, _, id)| id)
}

/// Whole records outside of groups, none of them this one.
fn loose(random: &mut Random, other: &[u8]) -> Vec<u8> {
    let count = random.below(4);
    let records = (0..count).map(|_| records::record(random)).filter(|record| record != other);
    records.filter(|record| entries(record).all(|entry| matches!(entry, Entry::Record(_)))).collect::<Vec<_>>().concat()
}

#[test]
fn identical_twins_in_a_chunk_are_told_apart() {
    rounds(300, |random| {
        let fixed = [("join_traces", "off"), ("event_level", "trace"), ("storm_burst", "0"), ("event_rate", "0")];
        let settings = settings::any(random, &fixed);
        let record = records::record(random);
        let found = ids(&map_all(&mut Mapper::new(settings), &record.repeat(3)));
        let distinct: std::collections::HashSet<_> = found.values().map(|id| id.0).collect();
        assert_eq!(distinct.len(), found.len());
    });
}
