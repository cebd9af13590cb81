//! Checks exceptions, stack traces and threads of an event.

use super::super::findings::{Findings, join};
use super::values;
use serde_json::Value;

const MAX_FRAMES: usize = 250;

pub(super) fn check_exceptions(path: &str, value: &Value, findings: &mut Findings) {
    let Some(exceptions) = values(path, value, findings) else { return };
    if exceptions.is_empty() {
        findings.note(path, "at least one exception", Some(value));
    }
    for (index, exception) in exceptions.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(fields) = findings.object(&path, exception) else { continue };
        const KEYS: &[&str] = &["type", "value", "module", "thread_id", "mechanism", "stacktrace", "raw_stacktrace"];
        findings.known_keys(&path, fields, KEYS);
        findings.texts(&path, fields, &[("type", 276), ("value", 8392), ("module", 276)]);
        let filled = |name: &str| fields.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !filled("type") && !filled("value") {
            findings.note(&path, "a type or a value", Some(exception));
        }
        if let Some(stacktrace) = fields.get("stacktrace").filter(|value| !value.is_null()) {
            check_stacktrace(&join(&path, "stacktrace"), stacktrace, findings);
        }
        if let Some(mechanism) = fields.get("mechanism").filter(|value| !value.is_null()) {
            check_mechanism(&join(&path, "mechanism"), mechanism, findings);
        }
    }
    check_tree(path, exceptions, findings);
}

fn check_mechanism(path: &str, value: &Value, findings: &mut Findings) {
    let Some(fields) = findings.object(path, value) else { return };
    const KEYS: &[&str] = &[
        "type",
        "description",
        "help_link",
        "synthetic",
        "handled",
        "source",
        "is_exception_group",
        "exception_id",
        "parent_id",
        "data",
        "meta",
    ];
    findings.known_keys(path, fields, KEYS);
    findings.texts(path, fields, &[("type", 128), ("source", 128)]);
    for name in ["handled", "is_exception_group", "synthetic"] {
        if let Some(value) = fields.get(name).filter(|value| !(value.is_boolean() || value.is_null())) {
            findings.note(&join(path, name), "true or false", Some(value));
        }
    }
    for name in ["exception_id", "parent_id"] {
        if let Some(value) = fields.get(name).filter(|value| !(value.is_u64() || value.is_null())) {
            findings.note(&join(path, name), "a number from 0 up", Some(value));
        }
    }
}

/// Sentry takes the ids for a tree only if each exception has one of its own, one is 0 and the others name their holder.
fn check_tree(path: &str, exceptions: &[Value], findings: &mut Findings) {
    let field = |exception: &Value, name: &str| exception.get("mechanism")?.get(name)?.as_u64();
    let ids: Vec<Option<u64>> = exceptions.iter().map(|exception| field(exception, "exception_id")).collect();
    if ids.iter().all(Option::is_none) {
        return;
    }
    for (index, exception) in exceptions.iter().enumerate() {
        let path = format!("{path}[{index}].mechanism");
        let (id, parent) = (ids[index], field(exception, "parent_id"));
        if id.is_none() || ids[..index].contains(&id) {
            findings.note(&join(&path, "exception_id"), "an id of its own, as the other exceptions have", None);
        }
        let known = match parent {
            None => id == Some(0),
            parent => parent != id && ids.contains(&parent),
        };
        if !known && id.is_some() {
            findings.note(&join(&path, "parent_id"), "the id of another exception; none for the one with id 0", None);
        }
    }
}

pub(super) fn check_stacktrace(path: &str, value: &Value, findings: &mut Findings) {
    let path = join(path, "frames");
    match value.get("frames").and_then(Value::as_array) {
        Some(frames) if !frames.is_empty() => {
            if frames.len() > MAX_FRAMES {
                findings.say(format!("{path}: expected at most {MAX_FRAMES} frames, found {}", frames.len()));
            }
            for (index, frame) in frames.iter().enumerate() {
                check_frame(&format!("{path}[{index}]"), frame, findings);
            }
        }
        _ => findings.note(&path, "at least one frame", value.get("frames")),
    }
}

fn check_frame(path: &str, frame: &Value, findings: &mut Findings) {
    const LIMITS: &[(&str, usize)] =
        &[("function", 532), ("module", 276), ("filename", 296), ("abs_path", 296), ("package", 276)];
    let Some(fields) = findings.object(path, frame) else { return };
    findings.texts(path, fields, LIMITS);
    for name in ["lineno", "colno"] {
        if let Some(number) = fields.get(name).filter(|value| !value.is_u64()) {
            findings.note(&join(path, name), "a number from 0", Some(number));
        }
    }
    if let Some(in_app) = fields.get("in_app").filter(|value| !value.is_boolean()) {
        findings.note(&join(path, "in_app"), "true or false", Some(in_app));
    }
    if let Some(vars) = fields.get("vars") {
        findings.size(&join(path, "vars"), vars, 2048, 5);
    }
}

pub(super) fn check_threads(path: &str, value: &Value, findings: &mut Findings) {
    for (index, thread) in values(path, value, findings).unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(fields) = findings.object(&path, thread) else { continue };
        findings.texts(&path, fields, &[("name", 1124)]);
        if let Some(stacktrace) = fields.get("stacktrace").filter(|value| !value.is_null()) {
            check_stacktrace(&join(&path, "stacktrace"), stacktrace, findings);
        }
    }
}
