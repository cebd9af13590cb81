//! Validates the `event` payload: reports everything that Relay's normaliser would cut, remove or replace.
//!
//! Lengths are Relay's limits with the allowance that it grants before it cuts.

use super::super::envelope::uuid;
use super::super::findings::{Findings, join};
use super::exception::{check_exceptions, check_stacktrace, check_threads};
use super::{check_time, is_span_id, is_trace_id, values};
use serde_json::{Map, Value};

/// Keys that a client may send at the top level of an error event.
const KEYS: &[&str] = &[
    "event_id",
    "timestamp",
    "platform",
    "level",
    "logger",
    "logentry",
    "message",
    "transaction",
    "transaction_info",
    "culprit",
    "server_name",
    "release",
    "dist",
    "environment",
    "tags",
    "extra",
    "contexts",
    "fingerprint",
    "exception",
    "stacktrace",
    "threads",
    "breadcrumbs",
    "user",
    "request",
    "modules",
    "sdk",
    "debug_meta",
    "_meta",
];
const PLATFORMS: &[&str] = &[
    "as3",
    "c",
    "cfml",
    "cocoa",
    "csharp",
    "elixir",
    "go",
    "groovy",
    "haskell",
    "java",
    "javascript",
    "native",
    "node",
    "objc",
    "other",
    "perl",
    "php",
    "python",
    "ruby",
];
const LEVELS: &[&str] = &["debug", "info", "warning", "error", "fatal"];
/// Tags that Relay removes, or moves elsewhere.
const TAKEN_TAGS: &[&str] = &["release", "dist", "user", "filename", "function", "environment"];

/// Checks one part of an event, its path given.
type Check = fn(&str, &Value, &mut Findings);

/// Checks an event; `named` is the id in the envelope's header.
pub(super) fn check(event: &Value, named: Option<&str>, now: f64, findings: &mut Findings) {
    let Some(fields) = findings.object("event", event) else {
        findings.lost = true;
        return;
    };
    findings.known_keys("", fields, KEYS);
    check_id(fields, named, findings);
    if let Some(timestamp) = fields.get("timestamp") {
        check_time("timestamp", Some(timestamp), now, findings);
    }
    findings.word("platform", fields.get("platform"), PLATFORMS);
    findings.word("level", fields.get("level"), LEVELS);
    check_texts(fields, findings);
    let sections: &[(&str, Check)] = &[
        ("logentry", check_logentry),
        ("tags", check_tags),
        ("extra", check_extra),
        ("contexts", check_contexts),
        ("fingerprint", check_fingerprint),
        ("exception", check_exceptions),
        ("stacktrace", check_stacktrace),
        ("threads", check_threads),
        ("breadcrumbs", check_breadcrumbs),
        ("user", check_user),
        ("request", check_request),
        ("modules", |path, value, findings| findings.size(path, value, 8192, 7)),
        ("sdk", check_sdk),
    ];
    for (name, check) in sections {
        if let Some(value) = fields.get(*name) {
            check(name, value, findings);
        }
    }
}

/// The id must be there, in the header, and the same in both places.
fn check_id(fields: &Map<String, Value>, named: Option<&str>, findings: &mut Findings) {
    let own = fields.get("event_id");
    let normal = own.and_then(Value::as_str).and_then(uuid);
    if own.is_some() && normal.is_none() {
        findings.note("event_id", "32 hexadecimal digits", own);
    }
    match (named, normal) {
        (None, _) => findings.note("envelope header.event_id", "32 hexadecimal digits when there is an event", None),
        (Some(named), Some(own)) if named != own => {
            findings.say(format!("event_id: expected {named} as in the envelope header, found {own}"));
        }
        _ => {}
    }
}

fn check_texts(fields: &Map<String, Value>, findings: &mut Findings) {
    const LIMITS: &[(&str, usize)] =
        &[("logger", 64), ("transaction", 200), ("culprit", 200), ("server_name", 276), ("dist", 64)];
    findings.texts("", fields, LIMITS);
    if let Some(logger) = fields.get("logger").filter(|value| has(value, |c| matches!(c, '\r' | '\n'))) {
        findings.note("logger", "no line breaks", Some(logger));
    }
    if let Some(dist) = fields.get("dist").filter(|value| has(value, |c| !is_name_char(c) || c == ':')) {
        findings.note("dist", "letters, digits and _.-", Some(dist));
    }
    check_name("release", fields.get("release"), 200, &[".", "..", "latest"], findings);
    check_name("environment", fields.get("environment"), 64, &[".", "..", "none"], findings);
}

fn has(value: &Value, bad: impl Fn(char) -> bool) -> bool {
    value.as_str().is_some_and(|text| text.contains(bad))
}

/// `release` and `environment`: a few bytes without slashes and control characters.
fn check_name(path: &str, value: Option<&Value>, max: usize, refused: &[&str], findings: &mut Findings) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            let bad = |c: char| c.is_ascii_control() || matches!(c, '/' | '\\');
            let lower = text.to_ascii_lowercase();
            if text.is_empty() || text.len() > max || text.contains(bad) || refused.contains(&lower.as_str()) {
                let expected = format!("1 to {max} bytes without slashes, and none of {}", refused.join(" "));
                findings.note(path, &expected, value);
            }
        }
        _ => findings.note(path, "a string", value),
    }
}

fn check_logentry(path: &str, value: &Value, findings: &mut Findings) {
    let Some(entry) = findings.object(path, value) else { return };
    findings.known_keys(path, entry, &["message", "formatted", "params"]);
    findings.texts(path, entry, &[("message", 8392), ("formatted", 8392)]);
    if !entry.contains_key("message") && !entry.contains_key("formatted") {
        findings.note(path, "message or formatted", Some(value));
    }
    match entry.get("params") {
        None => {}
        Some(params @ (Value::Array(_) | Value::Object(_))) => findings.size(&join(path, "params"), params, 2048, 5),
        other => findings.note(&join(path, "params"), "an array or an object", other),
    }
}

fn check_tags(path: &str, value: &Value, findings: &mut Findings) {
    let pairs: Vec<(&Value, &Value)>;
    let keys: Vec<Value>;
    match value {
        Value::Object(tags) => {
            keys = tags.keys().map(|key| Value::from(key.as_str())).collect();
            pairs = keys.iter().zip(tags.values()).collect();
        }
        Value::Array(tags) => {
            let pair = |tag: &'_ Value| tag.as_array().is_some_and(|pair| pair.len() == 2);
            if let Some(odd) = tags.iter().find(|tag| !pair(tag)) {
                return findings.note(path, "pairs", Some(odd));
            }
            pairs = tags.iter().filter_map(|tag| Some((tag.get(0)?, tag.get(1)?))).collect();
        }
        _ => return findings.note(path, "an object or pairs", Some(value)),
    }
    let mut seen = std::collections::HashSet::new();
    for (key, value) in pairs {
        check_tag(path, key, value, findings);
        if !seen.insert(key.to_string()) {
            findings.note(path, "each key once", Some(key));
        }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:-".contains(c)
}

fn check_tag(path: &str, key: &Value, value: &Value, findings: &mut Findings) {
    let name = key.as_str().unwrap_or_default();
    if name.is_empty() || name.len() > 200 || !name.chars().all(is_name_char) {
        findings.note(path, "a key of 1 to 200 letters, digits and _.:-", Some(key));
    }
    if TAKEN_TAGS.contains(&name) {
        findings.note(path, "no key that Sentry sets itself", Some(key));
    }
    let good = match value {
        Value::String(text) => {
            !text.trim().is_empty() && text.trim() == text && text.chars().count() <= 200 && !text.contains('\n')
        }
        Value::Bool(_) | Value::Number(_) => true,
        _ => false,
    };
    if !good {
        let expected = "1 to 200 characters on one line, without spaces at the ends";
        findings.note(&join(path, name), expected, Some(value));
    }
}

fn check_extra(path: &str, value: &Value, findings: &mut Findings) {
    let Some(extra) = findings.object(path, value) else { return };
    findings.size(path, value, 262_144, usize::MAX);
    for (name, value) in extra {
        findings.size(&join(path, name), value, 16_384, 7);
    }
}

fn check_contexts(path: &str, value: &Value, findings: &mut Findings) {
    let Some(contexts) = findings.object(path, value) else { return };
    for (name, context) in contexts {
        let path = join(path, name);
        let limit = if name == "flags" { 131_072 } else { 8192 };
        let Some(fields) = findings.object(&path, context) else { continue };
        findings.size(&path, context, limit, 7);
        if name == "trace" {
            check_trace(&path, fields, findings);
        }
    }
}

fn check_trace(path: &str, trace: &Map<String, Value>, findings: &mut Findings) {
    let good = |name: &str, is: fn(&str) -> bool| trace.get(name).and_then(Value::as_str).is_some_and(is);
    if !good("trace_id", is_trace_id) {
        findings.note(&join(path, "trace_id"), "32 hexadecimal digits, not all zero", trace.get("trace_id"));
    }
    if !good("span_id", is_span_id) {
        findings.note(&join(path, "span_id"), "16 hexadecimal digits, not all zero", trace.get("span_id"));
    }
}

fn check_fingerprint(path: &str, value: &Value, findings: &mut Findings) {
    let plain = |part: &Value| part.is_string() || part.is_number() || part.is_boolean();
    if !value.as_array().is_some_and(|parts| !parts.is_empty() && parts.iter().all(plain)) {
        findings.note(path, "an array of strings", Some(value));
    }
}

fn check_breadcrumbs(path: &str, value: &Value, findings: &mut Findings) {
    for (index, crumb) in values(path, value, findings).unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(fields) = findings.object(&path, crumb) else { continue };
        findings.known_keys(&path, fields, &["timestamp", "type", "category", "level", "message", "data", "event_id"]);
        findings.texts(&path, fields, &[("type", 128), ("category", 128), ("message", 8392)]);
        findings.word(&join(&path, "level"), fields.get("level"), LEVELS);
        if let Some(at) = fields.get("timestamp").filter(|at| super::super::timestamp::of_value(at).is_none()) {
            findings.note(&join(&path, "timestamp"), "seconds or RFC 3339", Some(at));
        }
        if let Some(data) =
            fields.get("data").and_then(|data| findings.object(&join(&path, "data"), data).and(Some(data)))
        {
            findings.size(&join(&path, "data"), data, 2048, 5);
        }
    }
}

fn check_user(path: &str, value: &Value, findings: &mut Findings) {
    let Some(user) = findings.object(path, value) else { return };
    findings.texts(path, user, &[("username", 128), ("name", 128), ("email", 75), ("ip_address", 128)]);
    if let Some(id) = user.get("id").filter(|id| !id.is_number()) {
        findings.text(&join(path, "id"), Some(id), 128);
    }
}

fn check_request(path: &str, value: &Value, findings: &mut Findings) {
    let Some(request) = findings.object(path, value) else { return };
    findings.texts(path, request, &[("url", 296), ("method", 64)]);
    for (name, limit) in [("query_string", 1024), ("cookies", 2048), ("headers", 8192), ("data", 8192), ("env", 8192)] {
        if let Some(value) = request.get(name) {
            findings.size(&join(path, name), value, limit, 7);
        }
    }
}

fn check_sdk(path: &str, value: &Value, findings: &mut Findings) {
    let Some(sdk) = findings.object(path, value) else { return };
    findings.texts(path, sdk, &[("name", 276), ("version", 276)]);
    for name in ["name", "version"] {
        if !sdk.contains_key(name) {
            findings.note(&join(path, name), "a string", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: f64 = 1_800_000_000.0;
    const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

    fn problems(event: &Value) -> Vec<String> {
        let mut findings = Findings::default();
        check(event, Some(ID), NOW, &mut findings);
        findings.problems
    }

    #[test]
    fn a_full_event_is_clean() {
        let frame = json!({"function": "f", "filename": "a.py", "lineno": 3, "in_app": true, "vars": {"x": 1}});
        let event = json!({
            "event_id": ID, "timestamp": NOW, "platform": "python", "level": "warning", "logger": "a.b",
            "logentry": {"message": "n %s", "params": ["1"], "formatted": "n 1"}, "server_name": "h",
            "release": "web@1.0", "environment": "prod", "tags": {"k8s.pod": "a", "n": 1}, "extra": {"a": {"b": [1]}},
            "contexts": {"trace": {"trace_id": ID, "span_id": "00f067aa0ba902b7"}}, "fingerprint": ["{{ default }}"],
            "exception": {"values": [
                {"type": "F", "mechanism": {"type": "chained", "source": "errors[0]", "exception_id": 1, "parent_id": 0}},
                {"type": "E", "value": "v", "stacktrace": {"frames": [frame]},
                 "mechanism": {"type": "log", "handled": false, "exception_id": 0, "is_exception_group": true}},
            ]},
            "breadcrumbs": {"values": [{"timestamp": "2027-01-01T00:00:00Z", "message": "m", "level": "info"}]},
            "user": {"id": 7, "email": "a@b.c"}, "sdk": {"name": "n", "version": "1"},
            "request": {"url": "http://h/", "headers": [["a", "b"]]},
            "threads": {"values": [{"id": 1, "name": "main", "stacktrace": {"frames": [frame]}}]},
        });
        assert_eq!(problems(&event), Vec::<String>::new());
        assert_eq!(problems(&json!({"tags": [["a", "b"]], "message": "m"})), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_one_problem_at_its_path() {
        let frames = |count: usize| json!({"frames": vec![json!({"function": "f"}); count]});
        let exception = |value: Value| json!({"exception": {"values": [value]}});
        let linked = |ids: &[(u64, Option<u64>)]| {
            let value = |(id, parent): &(u64, Option<u64>)| json!({"type": "E", "mechanism": {"type": "chained", "exception_id": id, "parent_id": parent}});
            json!({"exception": {"values": ids.iter().map(value).collect::<Vec<_>>()}})
        };
        for (event, path) in [
            (json!({"nonsense": 1}), "nonsense"),
            (json!({"type": "error"}), "type"),
            (json!({"event_id": "x"}), "event_id"),
            (json!({"event_id": ID.replace('f', "0")}), "event_id"),
            (json!({"timestamp": NOW + 61.0}), "timestamp"),
            (json!({"timestamp": 0}), "timestamp"),
            (json!({"timestamp": "soon"}), "timestamp"),
            (json!({"platform": "rust"}), "platform"),
            (json!({"level": "warn"}), "level"),
            (json!({"level": 40}), "level"),
            (json!({"logger": "a\nb"}), "logger"),
            (json!({"logger": "x".repeat(65)}), "logger"),
            (json!({"server_name": "x".repeat(277)}), "server_name"),
            (json!({"dist": "a b"}), "dist"),
            (json!({"release": "a/b"}), "release"),
            (json!({"release": "latest"}), "release"),
            (json!({"release": ""}), "release"),
            (json!({"release": "x".repeat(201)}), "release"),
            (json!({"environment": "None"}), "environment"),
            (json!({"environment": "a\tb"}), "environment"),
            (json!({"environment": 1}), "environment"),
            (json!({"logentry": "x"}), "logentry"),
            (json!({"logentry": {}}), "logentry"),
            (json!({"logentry": {"message": "x".repeat(8393)}}), "logentry.message"),
            (json!({"logentry": {"message": "x", "params": "y"}}), "logentry.params"),
            (json!({"logentry": {"message": "x", "params": ["y".repeat(2048)]}}), "logentry.params"),
            (json!({"tags": {"a b": "x"}}), "tags"),
            (json!({"tags": {"": "x"}}), "tags"),
            (json!({"tags": {"release": "x"}}), "tags"),
            (json!({"tags": {"a": ""}}), "tags.a"),
            (json!({"tags": {"a": " x"}}), "tags.a"),
            (json!({"tags": {"a": "x\ny"}}), "tags.a"),
            (json!({"tags": {"a": "x".repeat(201)}}), "tags.a"),
            (json!({"tags": {"a": null}}), "tags.a"),
            (json!({"tags": [["a", "b"], ["a", "c"]]}), "tags"),
            (json!({"tags": [["a"]]}), "tags"),
            (json!({"tags": "a"}), "tags"),
            (json!({"extra": []}), "extra"),
            (json!({"extra": {"a": "x".repeat(16_384)}}), "extra.a"),
            (json!({"extra": {"a": [[[[[[[[1]]]]]]]]}}), "extra.a"),
            (json!({"contexts": {"a": "x"}}), "contexts.a"),
            (json!({"contexts": {"a": {"b": "x".repeat(8192)}}}), "contexts.a"),
            (json!({"contexts": {"trace": {"trace_id": ID}}}), "contexts.trace.span_id"),
            (
                json!({"contexts": {"trace": {"trace_id": "0", "span_id": "00f067aa0ba902b7"}}}),
                "contexts.trace.trace_id",
            ),
            (json!({"fingerprint": "x"}), "fingerprint"),
            (json!({"fingerprint": [["x"]]}), "fingerprint"),
            (json!({"exception": {"values": []}}), "exception"),
            (json!({"exception": "x"}), "exception"),
            (exception(json!({"module": "m"})), "exception[0]"),
            (exception(json!({"type": "x", "mechanism": {"handled": 1}})), "exception[0].mechanism.handled"),
            (exception(json!({"type": "x", "mechanism": {"id": 1}})), "exception[0].mechanism.id"),
            (linked(&[(2, Some(0)), (1, Some(7)), (0, None)]), "exception[1].mechanism.parent_id"),
            (linked(&[(1, Some(0)), (1, Some(0)), (0, None)]), "exception[1].mechanism.exception_id"),
            (linked(&[(1, None), (0, None)]), "exception[0].mechanism.parent_id"),
            (exception(json!({"type": "x".repeat(277)})), "exception[0].type"),
            (exception(json!({"type": "x", "stacktrace": {"frames": []}})), "exception[0].stacktrace.frames"),
            (exception(json!({"type": "x", "stacktrace": frames(251)})), "exception[0].stacktrace.frames"),
            (json!({"stacktrace": {"frames": [{"lineno": -1}]}}), "stacktrace.frames[0].lineno"),
            (json!({"stacktrace": {"frames": [{"in_app": "x"}]}}), "stacktrace.frames[0].in_app"),
            (json!({"stacktrace": {"frames": [{"function": 1}]}}), "stacktrace.frames[0].function"),
            (json!({"threads": {"values": [{"stacktrace": {}}]}}), "threads[0].stacktrace.frames"),
            (json!({"breadcrumbs": [{"level": "warn"}]}), "breadcrumbs[0].level"),
            (json!({"breadcrumbs": [{"timestamp": "x"}]}), "breadcrumbs[0].timestamp"),
            (json!({"breadcrumbs": [{"data": "x"}]}), "breadcrumbs[0].data"),
            (json!({"breadcrumbs": [{"data": {"a": "x".repeat(2048)}}]}), "breadcrumbs[0].data"),
            (json!({"user": {"email": "x".repeat(76)}}), "user.email"),
            (json!({"user": {"id": []}}), "user.id"),
            (json!({"request": {"data": "x".repeat(8192)}}), "request.data"),
            (json!({"modules": {"a": "x".repeat(8192)}}), "modules"),
            (json!({"sdk": {"name": "x"}}), "sdk.version"),
        ] {
            let problems = problems(&event);
            let starts = problems.first().is_some_and(|problem| problem.starts_with(&format!("{path}: expected")));
            let shown = event.to_string();
            assert!(problems.len() == 1 && starts, "{shown:.200}: {path}: {problems:?}");
        }
    }

    #[test]
    fn an_event_needs_a_named_envelope() {
        let mut findings = Findings::default();
        check(&json!({"event_id": ID}), None, NOW, &mut findings);
        assert_eq!(findings.problems.len(), 1);
        assert!(!findings.lost);
        check(&json!([]), Some(ID), NOW, &mut findings);
        assert!(findings.lost);
    }
}
