//! Builds the contexts of an incident's event: the Kubernetes event as it was received, and the kernel's message.

use super::kernel;
use super::kills::Cgroup;
use crate::chunk::Record;
use crate::chunk::msgpack::{Seq, Value};
use crate::mapping::encode::json::{self, Object};
use crate::mapping::encode::limit;
use crate::mapping::extract::fields::Fields;

/// Levels of a value in the context.
const MAX_DEPTH: usize = 3;

/// Bytes of the context that holds a Kubernetes event; Relay takes 8,192 bytes per context.
const EVENT_CONTEXT: usize = 6_000;

/// Returns the event as it came, without the parts that only the API server needs.
pub(super) fn context_of_event(record: Record<'_>, fields: &Fields<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut context = Object::begin(&mut out);
    let (mut value, mut scratch, mut left) = (Vec::new(), Vec::new(), EVENT_CONTEXT);
    for (key, whole) in json::last_pairs(record.body.map().unwrap_or(Seq::EMPTY)) {
        // What `remove_keys` leaves out is not among the fields.
        let field = fields.all.iter().find(|field| json::same_key(field.key, key)).map(|field| field.value);
        let Some(found) = field.or_else(|| (key.text() == Some(b"message")).then_some(whole)) else { continue };
        value.clear();
        match (key.text(), found) {
            (_, Value::Nil) => continue,
            (Some(b"metadata"), Value::Map(map)) => metadata(&mut value, map),
            (_, Value::Str(text)) => {
                json::string(&mut value, limit::chars(&String::from_utf8_lossy(text), 1_000).as_bytes());
            }
            (_, found) => nested(&mut value, found),
        }
        // `type` is Sentry's own word in a context, for what kind it is.
        let key = if key.text() == Some(b"type") { b"event_type" } else { json::key_text(key, &mut scratch) };
        if let Some(rest) = left.checked_sub(key.len() + value.len() + 4).filter(|_| value != b"{}") {
            left = rest;
            context.raw_key(key).extend_from_slice(&value);
        }
    }
    context.end();
    out
}

/// A value; one with more levels than Sentry shows is JSON text.
fn nested(out: &mut Vec<u8>, value: Value<'_>) {
    let start = out.len();
    json::value(out, value);
    if is_deeper(value, MAX_DEPTH) {
        let text = out.split_off(start);
        json::string(out, limit::chars(&String::from_utf8_lossy(&text), 1_000).as_bytes());
    }
}

/// Returns true if there are more levels in a value; looks no deeper than that.
fn is_deeper(value: Value<'_>, levels: usize) -> bool {
    match value {
        Value::Map(map) => levels == 0 || map.pairs().any(|(_, value)| is_deeper(value, levels - 1)),
        Value::Array(array) => levels == 0 || array.values().any(|value| is_deeper(value, levels - 1)),
        _ => false,
    }
}

fn metadata(out: &mut Vec<u8>, map: Seq<'_>) {
    let mut object = Object::begin(out);
    let mut scratch = Vec::new();
    for (key, value) in json::last_pairs(map) {
        if value != Value::Nil && !matches!(key.text(), Some(b"managedFields" | b"annotations")) {
            nested(object.raw_key(json::key_text(key, &mut scratch)), value);
        }
    }
    object.end();
}

pub(super) fn context_of_kill(killed: &kernel::Killed<'_>, cgroup: Option<&Cgroup>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut context = Object::begin(&mut out);
    context.text("process", killed.task);
    json::integer(context.key("pid"), u64::from(killed.pid));
    if let Some(uid) = killed.uid {
        json::integer(context.key("uid"), u64::from(uid));
    }
    for (name, kib) in [
        ("anon_rss", killed.anon_rss),
        ("file_rss", killed.file_rss),
        ("shmem_rss", killed.shmem_rss),
        ("total_vm", killed.total_vm),
        ("pgtables", killed.pgtables),
    ] {
        context.text_if(name, kib.map(size).as_deref());
    }
    if let Some(score) = killed.oom_score_adj {
        json::signed(context.key("oom_score_adj"), score);
    }
    if let Some(cgroup) = cgroup {
        let reached = match &cgroup.limit {
            None => "the node has no memory left".to_owned(),
            Some(limit) => limit.clone(),
        };
        context.text("limit_reached", &limit::chars(&reached, 1_000));
        context.text("cgroup", &limit::chars(&cgroup.own, 1_000));
    }
    context.end();
    out
}

/// KiB in a unit that people read.
pub(super) fn size(kib: u64) -> String {
    if kib < 1_024 { format!("{kib} KiB") } else { format!("{} MiB", kib.saturating_add(512) / 1_024) }
}
