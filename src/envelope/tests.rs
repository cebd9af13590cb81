//! Tests that envelopes are full, split and mended without losing an item.

use super::*;
use crate::clock::Monotonic;
use crate::ledger::Category;
use crate::mapping::identity::EventId;
use std::sync::Arc;

const NOW: Monotonic = Monotonic::START;

fn filled(collector: &mut Collector<u8>, tracker: &Arc<u8>, record: u32, json: &[u8]) -> Option<Batch<u8>> {
    collector.open(NOW, Reading::Live, &mut Vec::new()).extend_from_slice(json);
    collector.close(tracker, RecordIndex(record), Bill { payer: 1, bytes: record }, &mut Vec::new())
}

fn records(batch: &Batch<u8>) -> Vec<(u8, Vec<u32>)> {
    batch.owners().map(|(tracker, records)| (**tracker, records.map(|record| record.0).collect())).collect()
}

fn text(batch: &Batch<u8>) -> String {
    let mut out = Vec::new();
    batch.write(&mut out, "http://k@h/1", "2026-11-23T00:00:00Z");
    String::from_utf8(out).unwrap()
}

#[test]
fn envelopes_are_full_by_count() {
    let (mut collector, tracker) = (Collector::new(2), Arc::new(1));
    assert!(filled(&mut collector, &tracker, 0, b"{\"a\":1}").is_none());
    let batch = filled(&mut collector, &tracker, 1, b"{\"a\":2}").unwrap();
    assert!(collector.seal().is_none());
    let text = text(&batch);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let header: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(header["item_count"], 2);
    assert_eq!(header["length"], lines[2].len());
    assert!(lines[2].ends_with("\"items\":[{\"a\":1},{\"a\":2}]}"), "{}", lines[2]);
}

#[test]
fn a_log_that_would_make_an_envelope_too_large_begins_the_next() {
    let (mut collector, tracker) = (Collector::new(100), Arc::new(1));
    let big = vec![b'1'; MAX_LOG_BYTES - 10];
    assert!(filled(&mut collector, &tracker, 0, &big).is_none());
    let first = filled(&mut collector, &tracker, 1, b"22222222222").unwrap();
    assert_eq!((first.len(), first.bytes()), (1, big.len()));
    assert_eq!(records(&collector.seal().unwrap()), [(1, vec![1])]);
}

#[test]
fn an_item_that_is_never_closed_leaves_nothing_behind() {
    let (mut collector, tracker) = (Collector::new(3), Arc::new(1));
    collector.open(NOW, Reading::Live, &mut Vec::new()).extend_from_slice(b"{\"cut\":");
    collector.mend();
    filled(&mut collector, &tracker, 0, b"{\"a\":1}");
    collector.open(NOW, Reading::Live, &mut Vec::new()).extend_from_slice(b"{\"cut\":");
    collector.mend();
    filled(&mut collector, &tracker, 1, b"{\"a\":2}");
    let batch = collector.seal().unwrap();
    assert!(text(&batch).ends_with("\"items\":[{\"a\":1},{\"a\":2}]}\n"), "{}", text(&batch));
}

#[test]
fn splitting_keeps_every_item_with_its_owner() {
    let (mut collector, one, two) = (Collector::new(100), Arc::new(1), Arc::new(2));
    for (tracker, record) in [(&one, 5), (&one, 6), (&two, 0), (&two, 1), (&one, 7)] {
        assert!(filled(&mut collector, tracker, record, record.to_string().as_bytes()).is_none());
    }
    for at in 1..5 {
        let mut front = collector.seal().unwrap();
        let back = front.split_off(at);
        assert_eq!((front.len(), back.len()), (at, 5 - at));
        let all: Vec<u32> = [&front, &back].iter().flat_map(|b| records(b)).flat_map(|(_, r)| r).collect();
        assert_eq!(all, [5, 6, 0, 1, 7], "split at {at}");
        let bills: Vec<u64> = front.bills().chain(back.bills()).map(|(_, bytes)| bytes).collect();
        assert_eq!(bills, [5, 6, 0, 1, 7], "split at {at}");
        let owners: Vec<u8> = [&front, &back]
            .iter()
            .flat_map(|b| records(b))
            .flat_map(|(t, r)| std::iter::repeat_n(t, r.len()))
            .collect();
        assert_eq!(owners, [1, 1, 2, 2, 1], "split at {at}");
        for half in [&front, &back] {
            let text = text(half);
            let payload: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
            assert_eq!(payload["items"].as_array().unwrap().len(), half.len());
        }
        for (tracker, record) in [(&one, 5), (&one, 6), (&two, 0), (&two, 1), (&one, 7)] {
            let _ = filled(&mut collector, tracker, record, record.to_string().as_bytes());
        }
    }
}

#[test]
fn an_event_travels_alone_with_its_id_in_the_header() {
    let mut batch = Batch::new(Category::Event, Vec::new(), NOW, Reading::Live);
    batch.open().extend_from_slice(b"{}");
    batch.close(&Arc::new(1), RecordIndex(0), Some(EventId([7; 16])));
    let text = text(&batch);
    assert!(text.starts_with("{\"event_id\":\"07070707"), "{text}");
    assert!(text.ends_with("\n{\"type\":\"event\",\"length\":2}\n{}\n"), "{text}");
}
