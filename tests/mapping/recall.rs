//! Lines below `logs_level` that go with an event: `logs_on_error`.

use super::mapped::{Mapping, NOW};
use out_sentry::ledger::{Category, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::chunk;

/// A line of a container, so many milliseconds before now.
fn line(before: u64, container: &str, text: &str) -> Vec<u8> {
    let kubernetes = json!({"namespace_name": "shop", "pod_name": "web-0", "container_name": container});
    let body = json!({"stream": "stdout", "log": text, "kubernetes": kubernetes});
    chunk::record(NOW - Duration::from_millis(before), &body)
}

fn bodies(logs: &[Value]) -> Vec<&str> {
    logs.iter().filter_map(|log| log["body"].as_str()).collect()
}

#[test]
fn an_event_brings_the_filtered_lines_before_it() {
    let mut mapping = Mapping::new(&[("logs_on_error", "2")]);
    let first: Vec<u8> =
        [line(9, "api", "DEBUG one"), line(8, "api", "DEBUG two"), line(7, "db", "DEBUG other")].concat();
    assert!(mapping.map(&first).recalled.is_empty());
    let lines =
        [("DEBUG three", 6), ("INFO sent anyway", 5), ("ERROR boom", 4), ("DEBUG later", 3), ("ERROR again", 2)];
    let second: Vec<u8> = lines.iter().flat_map(|(text, before)| line(*before, "api", text)).collect();
    let mapped = mapping.map(&second);
    assert_eq!(bodies(&mapped.recalled), ["DEBUG two", "DEBUG three", "DEBUG later"]);
    let trace = &mapped.events()[0]["contexts"]["trace"]["trace_id"];
    assert!(mapped.recalled.iter().all(|log| log["trace_id"] == *trace && log["level"] == "debug"), "{mapped:?}");
    assert_eq!(mapped.recalled[0]["attributes"]["k8s.container.name"]["value"], "api");
    // They stay filtered: 0 and 3 are the lines of this chunk.
    assert_eq!(mapped.ended(Category::Log), [(0, Outcome::Filtered), (3, Outcome::Filtered)]);
}

#[test]
fn recalls_nothing_by_default_or_for_an_event_that_is_not_sent() {
    let all: Vec<u8> = [line(3, "api", "DEBUG one"), line(2, "api", "ERROR boom")].concat();
    assert!(Mapping::new(&[]).map(&all).recalled.is_empty());
    assert!(Mapping::new(&[("logs_on_error", "9"), ("sample_rate", "0")]).map(&all).recalled.is_empty());
    assert_eq!(Mapping::new(&[("logs_on_error", "9"), ("logs_level", "off")]).map(&all).recalled.len(), 1);
}

#[test]
fn no_line_of_a_private_key_is_recalled() {
    let key = [
        "DEBUG key: -----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
        "VJTUt9Us8cKjMzEfYyjiWA4R4ypbHqGC0H0+tG3PGQ2MAB5m5Rgn",
        "-----END PRIVATE KEY-----",
        "ERROR boom",
    ];
    let all: Vec<u8> = key.iter().zip((1..9).rev()).flat_map(|(text, before)| line(before, "api", text)).collect();
    let mapped = Mapping::new(&[("logs_on_error", "9"), ("logs_level", "warn")]).map(&all);
    assert_eq!(mapped.events().len(), 1);
    let all = format!("{:?}", mapped.recalled);
    assert!(!all.contains("MIIEvQ") && !all.contains("VJTUt9"), "{all}");
}

#[test]
fn lines_of_a_trace_that_was_sent_are_not_recalled() {
    let texts = [
        "ERROR order failed",
        "java.lang.IllegalStateException: no",
        "\tat com.shop.Pay.run(Pay.java:10)",
        "\tat com.shop.Main.main(Main.java:3)",
        "ERROR plain",
    ];
    let all: Vec<u8> = texts.iter().zip((1..9).rev()).flat_map(|(text, before)| line(before, "api", text)).collect();
    let mapped = Mapping::new(&[("logs_on_error", "9"), ("logs_level", "warn")]).map(&all);
    assert_eq!((mapped.events().len(), bodies(&mapped.recalled).len()), (2, 0), "{mapped:?}");
}

#[test]
fn a_hundred_thousand_debug_lines_and_ten_errors_yield_at_most_ten_times_as_many() {
    const LINES: u64 = 100_000;
    let mut mapping = Mapping::new(&[("logs_on_error", "20"), ("logs_on_error_size", "20K")]);
    let (mut events, mut recalled) = (0, 0);
    for chunk in 0..LINES / 1_000 {
        let lines = (0..1_000).flat_map(|n| {
            let number = chunk * 1_000 + n;
            let text = if number % 10_000 == 5_005 { format!("ERROR {number}") } else { format!("DEBUG {number}") };
            line(LINES - number, "api", &text)
        });
        let mapped = mapping.map(&lines.collect::<Vec<u8>>());
        assert!(mapped.logs().len() <= 1);
        let Some(event) = mapped.events().first().copied() else {
            assert!(mapped.recalled.is_empty());
            continue;
        };
        events += 1;
        recalled += mapped.recalled.len();
        let times = mapped.recalled.iter().map(|log| log["timestamp"].as_f64().unwrap());
        let times: Vec<f64> = times.chain(event["timestamp"].as_f64()).collect();
        assert!(times.is_sorted() && times[0] < times[times.len() - 1], "{times:?}");
    }
    assert_eq!(events, 10);
    assert!((100..=200).contains(&recalled), "{recalled} lines");
}
