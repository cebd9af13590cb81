//! Validates client reports, in which a client reports the items that it could not send, and why.

use super::super::findings::{Findings, join};
use serde_json::Value;

const MAX_REASON_BYTES: usize = 200;

/// Checks one report.
pub(super) fn check(report: &Value, findings: &mut Findings) {
    let Some(fields) = findings.object("client_report", report) else {
        findings.lost = true;
        return;
    };
    findings.known_keys("client_report", fields, &["timestamp", "discarded_events"]);
    if let Some(timestamp) = fields.get("timestamp").filter(|at| super::super::timestamp::of_value(at).is_none()) {
        findings.note("client_report.timestamp", "seconds or RFC 3339", Some(timestamp));
    }
    match fields.get("discarded_events") {
        Some(Value::Array(entries)) => {
            for (index, entry) in entries.iter().enumerate() {
                check_entry(&format!("client_report.discarded_events[{index}]"), entry, findings);
            }
        }
        other => findings.lose("client_report.discarded_events", "an array", other),
    }
}

fn check_entry(path: &str, entry: &Value, findings: &mut Findings) {
    for name in ["reason", "category"] {
        let value = entry.get(name);
        if !value.and_then(Value::as_str).is_some_and(|text| (1..=MAX_REASON_BYTES).contains(&text.len())) {
            findings.lose(&join(path, name), "a short string", value);
        }
    }
    let quantity = entry.get("quantity");
    if quantity.and_then(Value::as_u64).is_none() {
        findings.lose(&join(path, "quantity"), "a count", quantity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table() {
        let entry = json!({"reason": "queue_overflow", "category": "log_item", "quantity": 3});
        let with = |field: &str, value: Value| {
            let mut entry = entry.clone();
            entry[field] = value;
            json!({"discarded_events": [entry]})
        };
        for (report, expected) in [
            (json!({"timestamp": 1.5, "discarded_events": [entry]}), (0, false)),
            (json!({"discarded_events": []}), (0, false)),
            (json!({"timestamp": "now", "discarded_events": []}), (1, false)),
            (json!({"discarded_events": [], "extra": 1}), (1, false)),
            (json!({}), (1, true)),
            (json!([]), (1, true)),
            (with("reason", json!("")), (1, true)),
            (with("reason", json!("r".repeat(201))), (1, true)),
            (with("category", json!(null)), (1, true)),
            (with("quantity", json!(-1)), (1, true)),
            (json!({"discarded_events": [1]}), (3, true)),
        ] {
            let mut findings = Findings::default();
            check(&report, &mut findings);
            assert_eq!((findings.problems.len(), findings.lost), expected, "{report}");
        }
    }
}
