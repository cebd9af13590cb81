//! Tests that a panic of the plugin costs only the record that caused it. The tests drive the real mapper, spooler and
//! dispatcher with a mapping that panics at chosen records, as a defect would.

use crate::clock::Monotonic;
use crate::delivery::map::carried::Carried;
use crate::delivery::map::injected_panic::ITEMS;
use crate::delivery::map::pass_outcome::PassOutcome;
use crate::delivery::map::sink::RecordSink;
use crate::delivery::property::{Directory, FakeResponse, Instance, Received, Time, ended, line, loaded, record};
use crate::delivery::shared::load::Load;
use crate::delivery::store::record_set::RecordSet;
use crate::delivery::track::chunk_progress::{ChunkProgress, ChunkSource};
use crate::envelope::{LogBatcher, Reading, RecordIndex};
use crate::ledger::{Category, Outcome, Snapshot};
use crate::level::Level;
use crate::mapping::{Bill, DestinationId, Finished, Item, ItemWriter, Route, Sink};
use crate::options;
use std::sync::Arc;

/// Returns the counts and the accepted items of a chunk when the mapping panics at some of its records, as a defect of ours
/// would cause. If the second project is `limited` in a category, its items of that category wait until after the panics.
fn map_with_panics(
    mode: &str,
    chunk: &[u8],
    at: &[(Category, u32)],
    limited: Option<Category>,
) -> (Snapshot, Received) {
    let name = format!("map_with_panics-{mode}-{}-{limited:?}", at.len());
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-{name}-{}", std::process::id())));
    let (loaded, clock) =
        (loaded(mode, &directory.0, if limited.is_some() { 6 } else { 2 }), Arc::new(Time::default()));
    let delivery = loaded.settings.delivery.mode;
    clock.pass(1_000);
    let mut instance = Instance::start(&name, &loaded, &clock);
    let mut received = Received::default();
    let mut first = Vec::new();
    if let Some(limited) = limited {
        let limits = match limited {
            Category::Event => "70:error:key",
            Category::Log => "15:log_item:key",
        };
        record(&mut first, 600);
        instance.flush(&first, delivery);
        let mut has_limited = false;
        for _ in 0..10 {
            clock.pass(1_000);
            instance.work();
            while let Some(request) = instance.in_transit.first().filter(|_| !has_limited) {
                has_limited = matches!(&request.load, Load::Items(batch) if batch.category == limited);
                instance.respond(
                    0,
                    if has_limited { FakeResponse::refusal(429, Some(limits)) } else { FakeResponse::OK },
                    &mut received,
                );
                instance.work();
            }
        }
        assert!(has_limited, "{mode}: {}", instance.ledger.snapshot().summary());
    }
    ITEMS.set(at.iter().map(|(category, record)| (*category, RecordIndex(*record))).collect());
    let mut unflushed = vec![chunk];
    if limited.is_some() && delivery == options::Mode::Ack {
        // It is still the host's, which offers it again.
        unflushed.push(&first);
    }
    let mut actions = 0;
    while !unflushed.is_empty() || instance.pending() > 0 {
        actions += 1;
        assert!(actions < 1_000, "{mode}: {}", instance.ledger.snapshot().summary());
        unflushed.retain(|chunk| !instance.flush(chunk, delivery));
        clock.pass(1_000);
        instance.work();
        while !instance.in_transit.is_empty() {
            instance.respond(0, FakeResponse::OK, &mut received);
        }
    }
    ITEMS.take();
    (instance.ledger.snapshot(), received)
}

#[test]
fn panic_costs_only_its_record() {
    let mut chunk = Vec::new();
    (0..50).for_each(|n| record(&mut chunk, n));
    // Lines that become one event with the one that announces them.
    let trace =
        ["com.shop.Declined: card", "\tat com.shop.Pay.run(Pay.java:10)", "\tat com.shop.Main.main(Main.java:3)"];
    (50..).zip(trace).for_each(|(n, text)| line(&mut chunk, n, (text, "error"), "shop"));
    (53..60).for_each(|n| record(&mut chunk, n));
    // An event, a log that is one too, a log that is none, which is no event then either, and that trace.
    let at = [(Category::Event, 30), (Category::Log, 33), (Category::Log, 44), (Category::Event, 48)];
    for mode in ["memory", "ack", "spool"] {
        let (whole, received_whole) = map_with_panics(mode, &chunk, &[], None);
        let (now, received) = map_with_panics(mode, &chunk, &at, None);
        let of =
            |now: &Snapshot, outcome| [Category::Event, Category::Log].map(|category| now.outcome(category, outcome));
        assert_eq!(of(&now, Outcome::Invalid), [4, 2], "{mode}: {}", now.summary());
        assert_eq!(of(&now, Outcome::Joined), [3, 3], "{mode}: {}", now.summary());
        assert_eq!(of(&whole, Outcome::Joined), [3, 3], "{mode}: {}", whole.summary());
        for category in Category::ALL {
            assert_eq!((ended(&now, *category), now.records), (60, 60), "{mode}: {}", now.summary());
        }
        // Of what else there is all is sent, and once.
        let logs: Vec<_> = received_whole.logs.keys().filter(|n| ![33, 44].contains(*n)).collect();
        assert!(
            logs.iter().all(|n| received.logs[n] == 1) && received.logs.len() == logs.len(),
            "{mode}: {:?}",
            received.logs
        );
        assert!(
            received.events.iter().all(|(id, times)| *times == 1 && received_whole.events.contains_key(id)),
            "{mode}"
        );
        assert_eq!(received.events.len() + 3, received_whole.events.len(), "{mode}: {}", now.summary());
    }
}

/// The decision on a waiting event is not made again when another event of its chunk panics, and a waiting log is not given
/// up with its event.
#[test]
fn panic_keeps_deferred_records() {
    let mut chunk = Vec::new();
    (0..120).for_each(|n| record(&mut chunk, n));
    let cases = [
        ("ack", Category::Event, 33),
        ("spool", Category::Event, 33),
        ("ack", Category::Log, 36),
        ("spool", Category::Log, 36),
    ];
    for (mode, limited, panicked) in cases {
        let (whole, received_whole) = map_with_panics(mode, &chunk, &[], Some(limited));
        let (now, received) = map_with_panics(mode, &chunk, &[(Category::Event, panicked)], Some(limited));
        let of = |now: &Snapshot, outcome| now.outcome(Category::Event, outcome);
        assert_eq!((of(&whole, Outcome::Invalid), of(&now, Outcome::Invalid)), (0, 1), "{mode}: {}", now.summary());
        assert_eq!(of(&now, Outcome::Suppressed), of(&whole, Outcome::Suppressed), "{mode}: {}", now.summary());
        assert_eq!(received.events.len() + 1, received_whole.events.len(), "{mode}: {}", now.summary());
        assert!(received.logs == received_whole.logs, "{mode}: {}", now.summary());
    }
}

/// Storm control does not judge an event again that has ended: it would count it twice.
#[test]
fn does_not_decide_ended_events_again() {
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-ended-{}", std::process::id())));
    let instance = Instance::start("ended", &loaded("memory", &directory.0, 1), &Arc::new(Time::default()));
    let recorder = instance.shared.recorder.clone();
    let chunk_progress =
        Arc::new(ChunkProgress::new(ChunkSource::Memory, Monotonic::START, recorder, Default::default()));
    chunk_progress.end(Category::Event, RecordIndex(5), Outcome::Suppressed);
    let (mut logs, mut pass, panicked) = (LogBatcher::new(1), PassOutcome::default(), RecordSet::default());
    let mut carried = Carried::default();
    let record_sink =
        RecordSink::new(instance.shared, &chunk_progress, &mut logs, Reading::Live, &mut pass, &panicked, &mut carried);
    assert!(record_sink.again(5) && !record_sink.again(6));
}

/// A writer that is dropped leaves none of its bytes, and its record still needs the item.
#[test]
fn takes_back_an_item_that_is_not_finished() {
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-unfinished-{}", std::process::id())));
    let instance = Instance::start("unfinished", &loaded("memory", &directory.0, 1), &Arc::new(Time::default()));
    let recorder = instance.shared.recorder.clone();
    let chunk_progress =
        Arc::new(ChunkProgress::new(ChunkSource::Memory, Monotonic::START, recorder, Default::default()));
    let (mut logs, mut pass, panicked) = (LogBatcher::new(10), PassOutcome::default(), RecordSet::default());
    let mut carried = Carried::default();
    let mut record_sink =
        RecordSink::new(instance.shared, &chunk_progress, &mut logs, Reading::Live, &mut pass, &panicked, &mut carried);
    let route = Route::To(DestinationId(0));
    for item in [Item::log(5), Item::event(5)] {
        let mut writer = record_sink.begin(item, route).expect("expected a new record to need an item");
        writer.json().extend_from_slice(b"{\"half\":");
        assert!(!chunk_progress.is_open(item.category, RecordIndex(5)), "expected {item:?} to be in flight");
        drop(writer);
        assert!(chunk_progress.is_open(item.category, RecordIndex(5)), "expected {item:?} to be open again");
    }
    let mut writer = record_sink.begin(Item::log(5), route).expect("expected the record to need its log still");
    writer.json().extend_from_slice(b"{}");
    writer.finish(Finished::Log(Bill { route, payer: 0, level: Level::Info, bytes: 2 }));
    assert!(record_sink.begin(Item::log(5), route).is_none(), "expected the log to be in flight");
    let sealed: Vec<_> = logs.seal(Monotonic::MAX).iter().map(|batch| (batch.len(), batch.bytes())).collect();
    assert_eq!(sealed, [(1, 2)]);
}

/// Long traces do not use up the number of panics that a chunk is allowed.
#[test]
fn panicking_long_traces_cost_no_other_record() {
    let mut chunk = Vec::new();
    for n in 0..300 {
        let text = match n % 100 {
            0 => format!("com.shop.step{n}.Declined: card"),
            at => format!("\tat com.shop.step{n}.Pay.run(Pay.java:{at})"),
        };
        line(&mut chunk, n, (&text, "error"), if n < 200 { "shop" } else { "other" });
    }
    let (now, _) = map_with_panics("memory", &chunk, &[(Category::Event, 0), (Category::Event, 100)], None);
    let of = |outcome| now.outcome(Category::Event, outcome);
    let ends = (of(Outcome::Invalid), of(Outcome::Joined), of(Outcome::Accepted));
    assert_eq!(ends, (2, 297, 1), "{}", now.summary());
}

#[test]
fn ends_a_chunk_whose_records_all_panic() {
    let everything: Vec<_> = (0..2_000).map(|record| (Category::Log, record)).collect();
    let mut chunk = Vec::new();
    (0..2_000).for_each(|n| record(&mut chunk, n));
    let (now, received) = map_with_panics("memory", &chunk, &everything, None);
    let invalid = now.outcome(Category::Log, Outcome::Invalid);
    // A log that is sampled out is not written, so it cannot panic.
    assert!((1_700..2_000).contains(&invalid) && received.logs.is_empty(), "{}", now.summary());
    for category in Category::ALL {
        assert_eq!(ended(&now, *category), 2_000, "{}", now.summary());
    }
}
