//! Writes `extra`: the fields that no other part of an event has taken.

use super::Detail;
use super::context::EventContext;
use crate::chunk::msgpack::Value;
use crate::mapping::encode::json::{self, Object};
use crate::mapping::encode::limit;
use crate::mapping::{ResolvedRecord, scrub};

/// Names under `extra` that the plugin uses itself; a field of the same name gets a prefix.
const OWN_EXTRA: [&[u8]; 6] = [b"stream", b"original_time", b"held_back", b"line", b"details", b"_cut"];

/// Writes everything that no other part of the event has taken.
pub(super) fn write_extra(
    out: &mut Vec<u8>,
    view: &ResolvedRecord<'_, '_>,
    (about, scrub): (&EventContext<'_>, &scrub::Rules),
    detail: Detail,
    mut left_out: Vec<&'static str>,
) {
    let mut extra = Object::begin(out);
    if let Some(stream) = view.io_stream {
        json::string(extra.key("stream"), stream);
    }
    extra.text_if("original_time", view.original_time.as_deref());
    if about.held_back > 0 {
        json::integer(extra.key("held_back"), about.held_back);
    }
    if detail == Detail::Full {
        write_rest(&mut extra, view, (about, scrub), &mut left_out);
    } else {
        left_out.extend(["breadcrumbs", "fields"]);
    }
    if !left_out.is_empty() {
        extra.text("_cut", &format!("more than Sentry takes, left out: {}", left_out.join(", ")));
    }
    extra.end();
}

fn write_rest(
    extra: &mut Object<'_>,
    view: &ResolvedRecord<'_, '_>,
    (about, scrub): (&EventContext<'_>, &scrub::Rules),
    left_out: &mut Vec<&'static str>,
) {
    if about.title.len() < about.line.trim().len() {
        extra.text("line", &limit::chars(about.line.trim(), limit::MESSAGE));
    }
    let details: Vec<&str> = about.trace.iter().flat_map(|t| &t.exceptions).flat_map(|e| &e.details).copied().collect();
    if !details.is_empty() {
        extra.text("details", &limit::chars(&details.join("\n"), limit::MESSAGE));
    }
    if !write_fields(extra, view, scrub) {
        left_out.push("fields");
    }
}

/// Writes the fields and returns true if all of them had room.
fn write_fields(extra: &mut Object<'_>, view: &ResolvedRecord<'_, '_>, scrub: &scrub::Rules) -> bool {
    let (mut value, mut scratch) = (Vec::new(), Vec::new());
    let mut left = limit::EXTRA_TOTAL;
    for field in view.fields.rest() {
        value.clear();
        extra_value(&mut value, field.value, scrub);
        let key = json::key_text(field.key, &mut scratch);
        let size = value.len() + key.len();
        if size > left {
            return false;
        }
        left -= size;
        let own = OWN_EXTRA.contains(&key).then(|| [b"record.", key].concat());
        extra.raw_key(own.as_deref().unwrap_or(key)).extend_from_slice(&value);
    }
    true
}

/// One value, as it is when it fits and as cut JSON text when it does not. Sentry cuts below seven levels itself.
fn extra_value(out: &mut Vec<u8>, value: Value<'_>, scrub: &scrub::Rules) {
    json::value(out, value);
    let too_deep = depth(value, 0) > 5;
    if out.len() > limit::EXTRA_VALUE || too_deep {
        let mut text = std::mem::take(out);
        if text.len() > limit::EXTRA_VALUE / 2
            && let Some(cleaned) = scrub.cleaned_json(&text)
        {
            text = cleaned;
        }
        let (kept, cut) = limit::bytes(&text, limit::EXTRA_VALUE / 2);
        let mark = if cut > 0 { format!(" [cut {cut} bytes]") } else { String::new() };
        json::string(out, &[kept, mark.as_bytes()].concat());
    }
}

fn depth(value: Value<'_>, above: usize) -> usize {
    if above > 6 {
        return above;
    }
    match value {
        Value::Map(map) => map.pairs().map(|(_, v)| depth(v, above + 1)).max().unwrap_or(above + 1),
        Value::Array(array) => array.values().map(|v| depth(v, above + 1)).max().unwrap_or(above + 1),
        _ => above,
    }
}
