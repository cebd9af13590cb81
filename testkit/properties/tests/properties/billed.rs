//! Computes the billed size of a log a second time in the simplest way.

use out_sentry::ledger::Category;
use out_sentry::mapping::{Mapper, billed};
use properties::account::map_all;
use properties::settings;
use serde_json::Value;
use std::cell::Cell;
use testkit::generate::{records, rounds};

/// Relay's rule (`relay-ourlogs`, `calculate_size`) on a tree of values: body, names and values; at least 1.
fn size(log: &Value) -> u64 {
    let attributes = log["attributes"].as_object().into_iter().flatten();
    let attributes: u64 = attributes.map(|(name, attribute)| name.len() as u64 + value_size(&attribute["value"])).sum();
    (value_size(&log["body"]) + attributes).max(1)
}

fn value_size(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(value_size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + value_size(value)).sum(),
    }
}

#[test]
fn the_billed_size_is_that_of_relays_rule_for_ten_thousand_logs() {
    let logs = Cell::new(0);
    rounds::rounds(2_500, |random| {
        if logs.get() >= 10_000 {
            return;
        }
        let mut mapper = Mapper::new(settings::any(random, &[("logs_level", "trace"), ("logs_sample_rate", "1")]));
        let account = map_all(&mut mapper, &records::chunk(random).concat());
        for (record, json, _) in account.items(Category::Log) {
            let log = serde_json::from_slice(json).expect("expected a log");
            let shown = String::from_utf8_lossy(json);
            assert_eq!(account.billed.get(&record), Some(&size(&log)), "record {record}: {shown:.4000}");
            assert_eq!(billed::of(json), size(&log), "record {record}, measured: {shown:.4000}");
            logs.set(logs.get() + 1);
        }
    });
    assert!(
        std::env::var("PROPERTY_SEED").is_ok() || logs.get() >= 10_000,
        "expected 10000 logs, found {}",
        logs.get()
    );
}
