//! Random schedules of flushes, responses, kills and waits, after each of which the ledger must close.

use super::{Chance, Directory, FakeResponse, Instance, Received, TAG, Time, ended, loaded, record};
use crate::delivery::shared::inbox::Job;
use crate::delivery::store::compressed_chunk::Effort;
use crate::ledger::{Category, Outcome};
use crate::options;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Schedules for each delivery: with dead letters and without, with a small limit for them and a large one, for one
/// destination and for two, by a clock that is right and by one that jumps.
const SEEDS: [u64; 4] = [3, 4, 7, 10];
/// Records of a chunk, every third of which is an event too.
const CHUNK: u64 = 7;

/// Returns any response.
fn any_response(chance: &mut Chance) -> FakeResponse {
    const LIMITS: [&str; 4] = ["5:log_item:key", "70:error:key", "9::organization", "3:log_byte;error:key"];
    match chance.below(16) {
        0 => FakeResponse { code: 0, limits: None, accepts: chance.below(3) == 0 },
        1 => FakeResponse::refusal(503, None),
        2 => FakeResponse::refusal(429, Some(LIMITS[chance.below(4) as usize])),
        3 => FakeResponse::refusal(429, None),
        4 => FakeResponse::refusal(413, None),
        5 => FakeResponse::refusal(400, None),
        6 => FakeResponse::refusal(403, None),
        7 => FakeResponse { limits: Some(LIMITS[chance.below(4) as usize]), ..FakeResponse::OK },
        8 => FakeResponse::refusal(415, None),
        _ => FakeResponse::OK,
    }
}

/// Runs one schedule and returns how many records ended in each way, over all processes.
fn run(mode: &str, seed: u64) -> HashMap<&'static str, u64> {
    let mut chance = Chance::of_seed(seed);
    let name = format!("schedule-{mode}-{seed}-{}", std::process::id());
    // A directory in memory is quicker, and the disk is not under test.
    let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let directory = Directory(memory.unwrap_or_else(std::env::temp_dir).join(format!("out_sentry-{name}")));
    let loaded = loaded(mode, &directory.0, seed);
    let delivery = loaded.settings.delivery.mode;
    let clock = Arc::new(Time { millis: AtomicU64::new(0), jumps: seed.is_multiple_of(3) || seed.is_multiple_of(7) });
    clock.pass(1_000);
    let mut instance = Instance::start(&name, &loaded, &clock);
    let (mut unflushed, mut received, mut repeats) = (Vec::new(), Received::default(), false);
    // Records, and stretches of bytes that are none and count as one.
    let (mut next, mut broken) = (0, 0);
    // Records that were done with before the last restart.
    let mut done = 0;
    let mut totals: [HashMap<&'static str, u64>; 2] = Default::default();
    let close = |instance: &Instance, totals: &mut [HashMap<&'static str, u64>; 2]| {
        let now = instance.ledger.snapshot();
        for (category, totals) in Category::ALL.iter().zip(totals) {
            for outcome in Outcome::ALL {
                *totals.entry(outcome.name()).or_default() += now.outcome(*category, *outcome);
            }
        }
    };
    for _ in 0..400 {
        match chance.below(12) {
            0 | 1 => {
                let mut chunk = Vec::new();
                (next..next + CHUNK).for_each(|n| record(&mut chunk, n));
                if chance.below(5) == 0 {
                    chunk.push(0xc1);
                    broken += 1;
                }
                next += CHUNK;
                if !instance.flush(&chunk, delivery) {
                    unflushed.push(chunk);
                }
            }
            2 | 3 if !unflushed.is_empty() => {
                let chunk = unflushed.swap_remove(chance.below(unflushed.len() as u64) as usize);
                if !instance.flush(&chunk, delivery) {
                    unflushed.push(chunk);
                }
            }
            4 => clock.pass(chance.below(3_000)),
            5 if chance.below(4) == 0 => clock.pass(chance.below(60_000)),
            6 if delivery == options::Mode::Spool && chance.below(6) == 0 => {
                close(&instance, &mut totals);
                let before = instance.ledger.snapshot().records;
                // A killed process locks nothing.
                drop(instance.shared.store.unavailable());
                drop(instance);
                instance = Instance::start(&name, &loaded, &clock);
                // Replayed records count in this process, too, with the outcomes that the last one noted.
                let carried = instance.ledger.snapshot();
                done += before - carried.records;
                for (category, totals) in Category::ALL.iter().zip(&mut totals) {
                    for outcome in Outcome::ALL {
                        *totals.entry(outcome.name()).or_default() -= carried.outcome(*category, *outcome);
                    }
                }
            }
            _ if !instance.in_transit.is_empty() => {
                let at = chance.below(instance.in_transit.len() as u64) as usize;
                let response = any_response(&mut chance);
                repeats |= response.code == 0 && response.accepts;
                instance.respond(at, response, &mut received);
            }
            _ => {}
        }
        instance.work();
    }
    for _ in 0..500 {
        while !instance.in_transit.is_empty() {
            instance.respond(0, FakeResponse::OK, &mut received);
            instance.work();
        }
        unflushed.retain(|chunk| !instance.flush(chunk, delivery));
        clock.pass(5_000);
        instance.work();
        if instance.pending() == 0 && unflushed.is_empty() {
            break;
        }
    }
    assert_eq!(
        (instance.pending(), unflushed.len()),
        (0, 0),
        "{mode} {seed}: {}",
        instance.ledger.snapshot().summary()
    );
    close(&instance, &mut totals);
    let [events, logs] = &totals;
    let last = instance.ledger.snapshot();
    assert_eq!(done + last.records, next + broken, "{mode} {seed}: {}", last.summary());
    for category in Category::ALL {
        assert_eq!(ended(&last, *category), last.records, "{mode} {seed} {category:?}: {}", last.summary());
    }
    if !repeats {
        assert!(received.logs.values().all(|times| *times == 1), "{mode} {seed}: a log came twice");
        assert_eq!(received.logs.len() as u64, logs["accepted"], "{mode} {seed}");
        assert_eq!(received.events.len() as u64, events["accepted"], "{mode} {seed}");
    }
    assert!(received.logs.len() as u64 >= logs["accepted"] && received.events.len() as u64 >= events["accepted"]);
    let mut all = events.clone();
    logs.iter().for_each(|(outcome, count)| *all.entry(outcome).or_default() += count);
    all
}

#[test]
fn damaged_compressed_chunk_ends_in_the_ledger() {
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-broken-{}", std::process::id())));
    let clock = Arc::new(Time::default());
    clock.pass(1_000);
    let mut instance = Instance::start("broken", &loaded("memory", &directory.0, 1), &clock);
    let mut chunk = Vec::new();
    (0..10_000).for_each(|n| record(&mut chunk, n));
    let mut compressed = instance.shared.chunk_compressor.compress(&chunk, u64::MAX, Effort::Light).unwrap();
    compressed.spoil();
    let chunk_slot = instance.shared.slot_pool.fill_compressed(TAG, compressed).unwrap();
    instance.shared.mapper_queue_bytes.fetch_add(chunk_slot.bytes() as u64, Relaxed);
    instance.worker.take(Job::Memory(chunk_slot));
    let mut received = Received::default();
    while instance.pending() > 0 {
        clock.pass(1_000);
        instance.work();
        while !instance.in_transit.is_empty() {
            instance.respond(0, FakeResponse::OK, &mut received);
        }
    }
    // The records before the damage, and one that stands for the rest.
    let now = instance.ledger.snapshot();
    assert!((1_000..10_000).contains(&now.records), "{}", now.summary());
    for category in Category::ALL {
        assert_eq!(now.outcome(*category, Outcome::Invalid), 1, "{}", now.summary());
        assert_eq!(ended(&now, *category), now.records, "{}", now.summary());
    }
    assert_eq!(received.logs.len() as u64, now.outcome(Category::Log, Outcome::Accepted), "{}", now.summary());
}

/// Many schedules, which between them must have met every way for a record to end that they could.
fn any_schedule_closes(mode: &str, more: &[&str]) {
    let mut met: HashMap<&str, u64> = HashMap::new();
    for seed in SEEDS {
        for (outcome, count) in run(mode, seed) {
            *met.entry(outcome).or_default() += count;
        }
    }
    let usual = ["accepted", "filtered", "sampled", "suppressed", "too_large", "rejected", "invalid"];
    for outcome in usual.iter().chain(more) {
        assert!(met[outcome] > 0, "{mode}: no record was {outcome}: {met:?}");
    }
}

#[test]
fn any_schedule_closes_the_ledger_of_a_spool() {
    any_schedule_closes("spool", &["rate_limited", "overflow"]);
}

#[test]
fn any_schedule_closes_the_ledger_of_ack() {
    any_schedule_closes("ack", &["rate_limited"]);
}

#[test]
fn any_schedule_closes_the_ledger_of_memory() {
    any_schedule_closes("memory", &["rate_limited"]);
}
