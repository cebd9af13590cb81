//! Validates the `log` container and each log in it.

use super::super::envelope::{Item, uuid};
use super::super::findings::{Findings, join};
use super::{MAX_LOG_BYTES, check_time, is_span_id, is_trace_id};
use serde_json::{Map, Value};

const CONTENT_TYPE: &str = "application/vnd.sentry.items.log+json";
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "fatal"];
/// `severity_number` is in the specification, though nobody stores it.
const KEYS: &[&str] = &["timestamp", "trace_id", "span_id", "level", "body", "attributes", "severity_number"];

/// The item header: all three fields, or the container is discarded.
pub(super) fn check_header(item: &Item<'_>, findings: &mut Findings) {
    let content_type = item.header.get("content_type");
    if !content_type.and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case(CONTENT_TYPE)) {
        findings.lose("log header.content_type", CONTENT_TYPE, content_type);
    }
    let count = item.header.get("item_count");
    if count.and_then(Value::as_u64).is_none() {
        findings.lose("log header.item_count", "a count", count);
    }
    if !item.measured {
        findings.note("log header.length", "a byte count", None);
    }
}

/// The logs of a container.
pub(super) fn open(item: &Item<'_>, payload: Value, findings: &mut Findings) -> Vec<Value> {
    let Value::Object(mut container) = payload else {
        findings.lose("log", "an object", Some(&payload));
        return Vec::new();
    };
    findings.known_keys("log", &container, &["version", "ingest_settings", "items"]);
    if let Some(version) = container.get("version").filter(|value| !matches!(value.as_u64(), Some(1 | 2))) {
        findings.note("log.version", "1 or 2", Some(version));
    }
    if let Some(settings) = container.get("ingest_settings") {
        check_settings(settings, findings);
    }
    let Some(Value::Array(items)) = container.remove("items") else {
        findings.lose("log.items", "an array", None);
        return Vec::new();
    };
    if let Some(count) = item.header.get("item_count").filter(|count| count.as_u64() != Some(items.len() as u64)) {
        findings.lose("log header.item_count", &items.len().to_string(), Some(count));
    }
    items
}

fn check_settings(settings: &Value, findings: &mut Findings) {
    const PATH: &str = "log.ingest_settings";
    let Some(settings) = findings.object(PATH, settings) else { return };
    findings.known_keys(PATH, settings, &["infer_ip", "infer_user_agent"]);
    for name in ["infer_ip", "infer_user_agent"] {
        findings.word(&join(PATH, name), settings.get(name), &["never", "auto"]);
    }
}

/// One log.
pub(super) fn check(path: &str, log: &Value, now: f64, findings: &mut Findings) {
    let Some(fields) = findings.object(path, log) else {
        findings.lost = true;
        return;
    };
    findings.known_keys(path, fields, KEYS);
    check_required(path, fields, findings);
    let timestamp = fields.get("timestamp");
    check_time(&join(path, "timestamp"), timestamp, now, findings);
    findings.lost |= timestamp.and_then(super::super::timestamp::of_value).is_none_or(|at| at < now - 90.0 * 86_400.0);
    if let Some(span_id) = fields.get("span_id").filter(|value| !value.as_str().is_some_and(is_span_id)) {
        findings.note(&join(path, "span_id"), "16 hexadecimal digits, not all zero", Some(span_id));
    }
    if let Some(attributes) = fields.get("attributes") {
        check_attributes(&join(path, "attributes"), attributes, findings);
    }
    if billed_size(fields) > MAX_LOG_BYTES {
        findings.say(format!("{path}: expected at most {MAX_LOG_BYTES} bytes of body and attributes"));
        findings.lost = true;
    }
}

fn check_required(path: &str, fields: &Map<String, Value>, findings: &mut Findings) {
    let trace_id = fields.get("trace_id");
    let text = trace_id.and_then(Value::as_str);
    if !text.is_some_and(is_trace_id) {
        findings.note(&join(path, "trace_id"), "32 hexadecimal digits, not all zero", trace_id);
        // Relay replaces an id that is all zero, and drops a log without one.
        findings.lost |= text.and_then(uuid).is_none();
    }
    match fields.get("level") {
        Some(level @ Value::String(_)) => findings.word(&join(path, "level"), Some(level), LEVELS),
        other => findings.lose(&join(path, "level"), &format!("one of {}", LEVELS.join(" ")), other),
    }
    match fields.get("body") {
        Some(Value::String(_)) => {}
        other => findings.lose(&join(path, "body"), "a string", other),
    }
}

fn check_attributes(path: &str, attributes: &Value, findings: &mut Findings) {
    let Some(attributes) = findings.object(path, attributes) else { return };
    for (name, attribute) in attributes {
        let path = format!("{path}[{name:?}]");
        let kind = attribute.get("type").and_then(Value::as_str);
        match (kind, attribute.get("value")) {
            (Some(kind), Some(value)) if is_of_type(kind, value) => {}
            (Some(kind), value) if TYPES.contains(&kind) => {
                findings.note(&path, &format!("a value of type {kind}"), value)
            }
            _ => findings.note(&path, &format!("a value and a type of {}", TYPES.join(" ")), Some(attribute)),
        }
    }
}

const TYPES: &[&str] = &["string", "boolean", "integer", "double", "array"];

fn is_of_type(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "double" => value.is_number(),
        "array" => value.as_array().is_some_and(|values| is_homogeneous(values)),
        _ => false,
    }
}

/// Strings only, booleans only, or numbers only.
fn is_homogeneous(values: &[Value]) -> bool {
    [Value::is_string, Value::is_boolean, Value::is_number].iter().any(|is| values.iter().all(is))
}

/// The size Sentry bills: body, and name and value of each attribute.
fn billed_size(log: &Map<String, Value>) -> usize {
    fn size(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Number(_) => 8,
            Value::Bool(_) => 1,
            Value::Array(values) => values.iter().map(size).sum(),
            _ => 0,
        }
    }
    let attributes = log.get("attributes").and_then(Value::as_object);
    let attribute = |(name, attribute): (&String, &Value)| name.len() + attribute.get("value").map_or(0, size);
    log.get("body").map_or(0, size) + attributes.map_or(0, |attributes| attributes.iter().map(attribute).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: f64 = 1_800_000_000.0;
    const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

    /// A good log with one field set, or taken out where the value is `null` and `out` says so.
    fn with(field: &str, value: Value) -> Value {
        let mut log =
            json!({"timestamp": NOW, "trace_id": ID, "level": "warn", "body": "", "span_id": "00f067aa0ba902b7"});
        log[field] = value;
        log
    }

    fn without(field: &str) -> Value {
        let mut log = with("body", json!("x"));
        log.as_object_mut().unwrap().remove(field);
        log
    }

    /// Number of problems, and whether the log is lost.
    fn check_one(log: &Value) -> (usize, bool) {
        let mut findings = Findings::default();
        check("log", log, NOW, &mut findings);
        (findings.problems.len(), findings.lost)
    }

    #[test]
    fn fields() {
        for (log, expected) in [
            (with("body", json!("text")), (0, false)),
            (with("timestamp", json!("2027-01-15T08:00:00.123456Z")), (0, false)),
            (with("severity_number", json!(13)), (0, false)),
            (without("span_id"), (0, false)),
            (without("timestamp"), (1, true)),
            (without("trace_id"), (1, true)),
            (without("level"), (1, true)),
            (without("body"), (1, true)),
            (with("timestamp", json!("soon")), (1, true)),
            (with("timestamp", json!(NOW + 61.0)), (1, false)),
            (with("timestamp", json!(NOW - 31.0 * 86_400.0)), (1, false)),
            (with("timestamp", json!(NOW - 91.0 * 86_400.0)), (1, true)),
            (with("trace_id", json!("0".repeat(32))), (1, false)),
            (with("trace_id", json!("abc")), (1, true)),
            (with("span_id", json!("0000000000000000")), (1, false)),
            (with("span_id", json!("abc")), (1, false)),
            (with("level", json!("warning")), (1, false)),
            (with("level", json!(3)), (1, true)),
            (with("body", json!({"a": 1})), (1, true)),
            (with("body", json!("x".repeat(MAX_LOG_BYTES + 1))), (1, true)),
            (with("message", json!("x")), (1, false)),
            (json!("text"), (1, true)),
        ] {
            assert_eq!(check_one(&log), expected, "{:.200}", log.to_string());
        }
    }

    #[test]
    fn attributes() {
        for (attribute, good) in [
            (json!({"value": "x", "type": "string"}), true),
            (json!({"value": true, "type": "boolean"}), true),
            (json!({"value": -5, "type": "integer"}), true),
            (json!({"value": 5, "type": "double"}), true),
            (json!({"value": [1, 2.5], "type": "array"}), true),
            (json!({"value": [], "type": "array"}), true),
            (json!({"value": u64::MAX, "type": "integer"}), false),
            (json!({"value": 1.5, "type": "integer"}), false),
            (json!({"value": "1", "type": "integer"}), false),
            (json!({"value": "true", "type": "boolean"}), false),
            (json!({"value": null, "type": "string"}), false),
            (json!({"value": [1, "a"], "type": "array"}), false),
            (json!({"value": [[1]], "type": "array"}), false),
            (json!({"value": ["x"], "type": "string[]"}), false),
            (json!({"value": "x"}), false),
            (json!({"type": "string"}), false),
            (json!("x"), false),
        ] {
            let expected = if good { 0 } else { 1 };
            assert_eq!(check_one(&with("attributes", json!({"a.b": attribute}))), (expected, false), "{attribute}");
        }
        assert_eq!(check_one(&with("attributes", json!([]))), (1, false));
    }

    #[test]
    fn containers() {
        let good = json!({"item_count": 1, "content_type": "Application/vnd.sentry.items.log+json"});
        let container = json!({"version": 2, "ingest_settings": {"infer_ip": "never"}, "items": [{}]});
        for (header, measured, payload, expected) in [
            (good.clone(), true, container.clone(), (0, false, 1)),
            (good.clone(), false, container.clone(), (1, false, 1)),
            (json!({"item_count": 2, "content_type": CONTENT_TYPE}), true, container.clone(), (1, true, 1)),
            (json!({"item_count": 1}), true, container.clone(), (1, true, 1)),
            (json!({"content_type": CONTENT_TYPE}), true, container, (1, true, 1)),
            (good.clone(), true, json!({"version": 3, "items": [{}]}), (1, false, 1)),
            (good.clone(), true, json!({"ingest_settings": {"infer_ip": true}, "items": [{}]}), (1, false, 1)),
            (good.clone(), true, json!({"logs": [], "items": [{}]}), (1, false, 1)),
            (good.clone(), true, json!({"items": {}}), (1, true, 0)),
            (good, true, json!([]), (1, true, 0)),
        ] {
            let header = header.as_object().unwrap().clone();
            let item = Item { kind: "log".into(), header, measured, payload: b"" };
            let mut findings = Findings::default();
            check_header(&item, &mut findings);
            let logs = open(&item, payload.clone(), &mut findings);
            assert_eq!(
                (findings.problems.len(), findings.lost, logs.len()),
                expected,
                "{payload} {:?}",
                findings.problems
            );
        }
    }
}
