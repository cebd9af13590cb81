//! Tests that each item keeps its own drop reason in its dead letter, in every delivery mode.

use crate::chunk::msgpack::{Seq, Value};
use crate::chunk::{Entry, entries};
use crate::delivery::property::{Directory, FakeResponse, Instance, Received, Time, loaded, record};
use crate::delivery::shared::load::Load;
use crate::ledger::Category;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The fields of a dead letter that name the reason: category, outcome, HTTP status (0: none) and text.
#[derive(Debug, PartialEq, Eq)]
struct Reason {
    category: String,
    outcome: String,
    status: u64,
    detail: String,
}

impl Reason {
    fn of(metadata: Seq<'_>) -> Self {
        let fields = metadata.get("out_sentry").and_then(|fields| fields.map()).expect("expected fields");
        let text = |name| {
            let text = fields.get(name).and_then(|value| value.text()).unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        let status = match fields.get("status") {
            Some(Value::UInt(status)) => status,
            _ => 0,
        };
        Self { category: text("category"), outcome: text("outcome"), status, detail: text("detail") }
    }
}

/// Returns the reasons of all dead letters of a directory, sorted by category.
fn reasons(directory: &Path) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let bytes = fs::read(file.path()).unwrap();
        reasons.extend(entries(&bytes).filter_map(|entry| match entry {
            Entry::GroupStart(record) => Some(Reason::of(record.metadata)),
            _ => None,
        }));
    }
    reasons.sort_by(|one, other| one.category.cmp(&other.category));
    reasons
}

/// The log of a record is held by a rate limit of 70 s, and expires after 20 s (`hold_logs`). The event of the same record is
/// too large.
fn item_that_expired_keeps_its_reason(mode: &str) {
    let directory = Directory(std::env::temp_dir().join(format!("out_sentry-reasons-{mode}-{}", std::process::id())));
    // An even seed writes dead letters below the spool.
    let loaded = loaded(mode, &directory.0, 2);
    let (clock, delivery) = (Arc::new(Time::default()), loaded.settings.delivery.mode);
    clock.pass(1_000);
    let mut instance = Instance::start(&format!("reasons-{mode}"), &loaded, &clock);
    let mut chunk = Vec::new();
    record(&mut chunk, 3);
    let mut is_taken = instance.flush(&chunk, delivery);
    let mut received = Received::default();
    let mut limits = 0;
    for _ in 0..60 {
        instance.work();
        while let Some(request) = instance.in_transit.first() {
            let Load::Items(batch) = &request.load else { panic!("expected items, found {:?}", request.load) };
            let response = match batch.category {
                Category::Event => FakeResponse::refusal(413, None),
                Category::Log => FakeResponse::refusal(429, Some("70:log_item:key")),
            };
            limits += u32::from(response.code == 429);
            instance.respond(0, response, &mut received);
        }
        clock.pass(500);
        // Fluent Bit offers a chunk again that was not taken.
        is_taken = is_taken || instance.flush(&chunk, delivery);
    }
    assert_eq!((instance.pending(), limits), (0, 1), "{mode}: {}", instance.ledger.snapshot().summary());
    let dead = loaded.settings.delivery.dead_letter_path.expect("expected dead letters");
    let reason = |category: &str, outcome: &str, status, detail: &str| Reason {
        category: category.to_owned(),
        outcome: outcome.to_owned(),
        status,
        detail: detail.to_owned(),
    };
    let expired = "waited for a rate limit or a misconfigured destination longer than hold_events or hold_logs";
    let expected = [reason("event", "too_large", 413, "413"), reason("log", "rate_limited", 0, expired)];
    assert_eq!(reasons(&dead), expected, "{mode}");
}

#[test]
fn item_that_expired_keeps_its_reason_in_a_spool() {
    item_that_expired_keeps_its_reason("spool");
}

#[test]
fn item_that_expired_keeps_its_reason_with_ack() {
    item_that_expired_keeps_its_reason("ack");
}

#[test]
fn item_that_expired_keeps_its_reason_in_memory() {
    item_that_expired_keeps_its_reason("memory");
}
