//! Validates check-ins, which report whether a monitored job or service runs.
//!
//! The rules follow the fields that Relay reads (`relay-monitors`). Relay silently drops a check-in that it cannot read.

use super::super::findings::{Findings, join};
use super::is_trace_id;
use serde_json::Value;

/// Characters of a slug that are kept.
const MAX_SLUG: usize = 50;
/// Characters of an environment.
const MAX_ENVIRONMENT: usize = 64;

/// Checks one check-in.
pub(super) fn check(check_in: &Value, findings: &mut Findings) {
    let Some(fields) = findings.object("check_in", check_in) else {
        findings.lost = true;
        return;
    };
    let known = ["check_in_id", "monitor_slug", "status", "duration", "environment", "contexts", "monitor_config"];
    findings.known_keys("check_in", fields, &known);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let is_id = |id: &str| id.len() == 32 && super::super::dsn::is_hex(id);
    if !text("check_in_id").is_some_and(is_id) {
        findings.lose("check_in.check_in_id", "32 hexadecimal digits", fields.get("check_in_id"));
    }
    let is_slug = |slug: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        !slug.is_empty() && slug.len() <= MAX_SLUG && slug.bytes().all(fits)
    };
    if !text("monitor_slug").is_some_and(is_slug) {
        findings.lose("check_in.monitor_slug", "a slug of at most 50 characters", fields.get("monitor_slug"));
    }
    if !matches!(text("status"), Some("in_progress" | "ok" | "error")) {
        findings.lose("check_in.status", "in_progress, ok or error", fields.get("status"));
    }
    if let Some(duration) = fields.get("duration")
        && !duration.as_f64().is_some_and(|seconds| seconds >= 0.0)
    {
        findings.lose("check_in.duration", "seconds", Some(duration));
    }
    if let Some(environment) = fields.get("environment")
        && !environment.as_str().is_some_and(|name| (1..=MAX_ENVIRONMENT).contains(&name.chars().count()))
    {
        findings.lose("check_in.environment", "at most 64 characters", Some(environment));
    }
    if let Some(trace_id) = check_in.pointer("/contexts/trace/trace_id")
        && !trace_id.as_str().is_some_and(is_trace_id)
    {
        findings.lose("check_in.contexts.trace.trace_id", "32 hexadecimal digits", Some(trace_id));
    }
    if let Some(config) = fields.get("monitor_config") {
        check_config("check_in.monitor_config", config, findings);
    }
}

fn check_config(path: &str, config: &Value, findings: &mut Findings) {
    let Some(fields) = findings.object(path, config) else {
        findings.lost = true;
        return;
    };
    let known = [
        "schedule",
        "checkin_margin",
        "max_runtime",
        "timezone",
        "failure_issue_threshold",
        "recovery_threshold",
        "owner",
    ];
    findings.known_keys(path, fields, &known);
    let schedule = fields.get("schedule");
    let part = |name: &str| schedule.and_then(|schedule| schedule.get(name));
    let is_unit = |unit: &str| matches!(unit, "minute" | "hour" | "day" | "week" | "month" | "year");
    let sound = match part("type").and_then(Value::as_str) {
        Some("crontab") => part("value").is_some_and(Value::is_string),
        Some("interval") => {
            part("value").and_then(Value::as_u64).is_some_and(|value| value > 0)
                && part("unit").and_then(Value::as_str).is_some_and(is_unit)
        }
        _ => false,
    };
    if !sound {
        findings.lose(&join(path, "schedule"), "a crontab, or an interval with value and unit", schedule);
    }
    for name in ["checkin_margin", "max_runtime", "failure_issue_threshold", "recovery_threshold"] {
        if let Some(number) = fields.get(name).filter(|number| number.as_u64().is_none_or(|number| number == 0)) {
            findings.lose(&join(path, name), "a number above zero", Some(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table() {
        let sound = json!({
            "check_in_id": "0123456789abcdef0123456789abcdef", "monitor_slug": "nightly", "status": "ok", "duration": 1.5,
            "environment": "production",
            "monitor_config": {"schedule": {"type": "interval", "value": 5, "unit": "minute"}, "checkin_margin": 5},
        });
        let with = |field: &str, value: Value| {
            let mut changed = sound.clone();
            changed[field] = value;
            changed
        };
        let interval =
            |value: Value, unit: &str| json!({"schedule": {"type": "interval", "value": value, "unit": unit}});
        for (check_in, expected) in [
            (sound.clone(), (0, false)),
            (with("monitor_config", json!({"schedule": {"type": "crontab", "value": "5 * * * *"}})), (0, false)),
            (with("extra", json!(1)), (1, false)),
            (with("check_in_id", json!("1")), (1, true)),
            (with("monitor_slug", json!("Nightly Report")), (1, true)),
            (with("monitor_slug", json!("n".repeat(51))), (1, true)),
            (with("status", json!("missed")), (1, true)),
            (with("duration", json!(-1)), (1, true)),
            (with("environment", json!("")), (1, true)),
            (with("monitor_config", interval(json!(0), "minute")), (1, true)),
            (with("monitor_config", interval(json!(5), "second")), (1, true)),
            (with("monitor_config", json!({})), (1, true)),
            (json!({"status": "ok"}), (2, true)),
            (json!([]), (1, true)),
        ] {
            let mut findings = Findings::default();
            check(&check_in, &mut findings);
            assert_eq!((findings.problems.len(), findings.lost), expected, "{check_in}");
        }
    }
}
