//! Tests that no interleaving of append, sync, end, compaction, crash and reopening loses a chunk that was acknowledged.

use super::{Directory, WALL, data, open};
use crate::delivery::property::Chance;
use crate::delivery::store::segment::Descriptor;
use crate::delivery::store::{Extent, WhenFull};
use crate::envelope::RecordIndex;
use crate::ledger::{Category, Outcome};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

/// The state of a chunk of the model. The tag of the chunk is its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Expected {
    is_synced: bool,
    has_ended: bool,
    /// The number of logs noted as accepted.
    finished: u32,
    /// Its segment knows that its records have ended: a compaction may have left it out.
    is_acknowledged: bool,
}

/// The numbers of the chunks of an extent that were not left out.
fn numbers_of(extent: &Extent) -> Vec<u32> {
    let chunks = extent.read().expect("expected the chunks");
    let present = chunks.iter().filter(|chunk| !chunk.data.is_empty());
    present.map(|chunk| std::str::from_utf8(&chunk.tag).unwrap().parse().unwrap()).collect()
}

/// Any interleaving of append, sync, finish, delete, kill, power failure and reopening.
fn any_interleaving(seed: u64) {
    let mut chance = Chance::of_seed(seed);
    let directory = Directory::new(&format!("any-{seed}"));
    let mut all_expected = BTreeMap::<u32, Expected>::new();
    let mut next = 0;
    let (mut spool, _) = open(&directory);
    let mut extents: Vec<(Vec<u32>, Extent)> = Vec::new();
    let mut synced_lengths = BTreeMap::<PathBuf, u64>::new();
    for _ in 0..300 {
        match chance.below(18) {
            0..6 => {
                let records = chance.below(9) as usize + 1;
                let appended =
                    spool.append(next.to_string().as_bytes(), &data(records), records as u32, WALL, WhenFull::Refuse);
                extents.push((vec![next], appended.unwrap().extent));
                all_expected.insert(next, Expected::default());
                next += 1;
            }
            6 => {
                spool.sync().unwrap();
                for segment in spool.live() {
                    synced_lengths.insert(segment.path().to_owned(), segment.length());
                }
                all_expected.values_mut().for_each(|expected| expected.is_synced = true);
            }
            7 => spool.seal(),
            8 => {
                if let Some(segment) = spool.take_finished() {
                    segment.seal(Descriptor::Close);
                }
            }
            9..12 if !extents.is_empty() => {
                let (numbers, extent) = &extents[chance.below(extents.len() as u64) as usize];
                if let [number] = numbers[..] {
                    extent.note_finished(Category::Log, &[RecordIndex(0)], Outcome::Accepted);
                    all_expected.entry(number).and_modify(|expected| expected.finished = 1);
                }
            }
            12..15 if !extents.is_empty() => {
                let (numbers, extent) = extents.swap_remove(chance.below(extents.len() as u64) as usize);
                extent.end();
                for number in numbers {
                    all_expected.entry(number).and_modify(|expected| expected.has_ended = true);
                }
            }
            15 => {
                // A chunk that is read together with others has ended.
                let together: Vec<_> = extents.iter().filter(|(numbers, _)| numbers.len() > 1).collect();
                if let Some((_, extent)) = together.get(chance.below(together.len().max(1) as u64) as usize) {
                    let chunks = extent.read().unwrap();
                    let chosen = chance.below(chunks.len() as u64) as usize;
                    let first: u32 = chunks[..chosen].iter().map(|chunk| chunk.records).sum();
                    let mut ended = crate::delivery::store::record_set::RecordSet::default();
                    (first..first + chunks[chosen].records).for_each(|record| {
                        ended.insert(RecordIndex(record));
                    });
                    extent.report_ended(&ended);
                    if let Ok(number) = std::str::from_utf8(&chunks[chosen].tag).unwrap().parse() {
                        all_expected
                            .entry(number)
                            .and_modify(|expected: &mut Expected| expected.is_acknowledged = true);
                    }
                }
            }
            16 if chance.below(3) == 0 => {
                spool.sync().unwrap();
                all_expected.values_mut().for_each(|expected| expected.is_synced = true);
                spool.compact().unwrap();
                for segment in spool.live() {
                    synced_lengths.insert(segment.path().to_owned(), segment.length());
                }
                for (numbers, extent) in &extents {
                    let remaining = numbers_of(extent);
                    assert!(
                        numbers.iter().all(|number| remaining.contains(number) || all_expected[number].is_acknowledged),
                        "seed {seed}: {numbers:?} {remaining:?}"
                    );
                }
            }
            17 if chance.below(4) == 0 => {
                let power_fails = chance.below(2) == 0;
                drop((std::mem::take(&mut extents), spool));
                if power_fails {
                    cut_back(&directory, &synced_lengths);
                    // Unsynced chunks and the notes about them may be lost.
                    all_expected.retain(|_, expected| expected.is_synced && !expected.has_ended);
                } else {
                    all_expected.retain(|_, expected| !expected.has_ended);
                }
                let recovery;
                (spool, recovery) = open(&directory);
                let mut found: Vec<u32> = Vec::new();
                for recovered in recovery.extents {
                    let numbers = numbers_of(&recovered.extent);
                    if let [number] = numbers[..]
                        && let Some(expected) = all_expected.get(&number)
                    {
                        let finished = recovered.progress.finished.log.len();
                        assert_eq!(finished, expected.finished, "seed {seed}: notes of chunk {number}");
                    }
                    found.extend(&numbers);
                    extents.push((numbers, recovered.extent));
                }
                found.sort_unstable();
                all_expected.retain(|number, expected| !expected.is_acknowledged || found.contains(number));
                let numbers: Vec<u32> = all_expected.keys().copied().collect();
                assert_eq!(found, numbers, "seed {seed}: power failed: {power_fails}");
                all_expected
                    .values_mut()
                    .for_each(|expected| (expected.is_synced, expected.is_acknowledged) = (true, false));
                synced_lengths = spool.live().iter().map(|one| (one.path().to_owned(), one.length())).collect();
            }
            _ => {}
        }
        let on_disk: u64 = spool.live().iter().map(|segment| fs::metadata(segment.path()).unwrap().len()).sum();
        assert_eq!(spool.bytes().load(Relaxed), on_disk, "seed {seed}");
    }
    extents.iter().for_each(|(_, extent)| extent.end());
    spool.seal();
    assert_eq!((directory.files(), spool.bytes().load(Relaxed)), (vec!["lock".to_owned()], 0), "seed {seed}");
}

/// Cuts each segment back to the length that was synced last. Progress files stay: notes about chunks that are gone must not
/// stand for others.
fn cut_back(directory: &Directory, synced: &BTreeMap<PathBuf, u64>) {
    for name in directory.files().iter().filter(|name| name.ends_with(".msgpack")) {
        let path = directory.0.join(name);
        let length = synced.get(&path).copied().unwrap_or(0);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    }
}

#[test]
fn keeps_acknowledged_records_in_any_interleaving() {
    let seeds = std::env::var("STORE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    (0..seeds).for_each(any_interleaving);
}
