//! Collects metadata of the kubernetes filter that a `nest` filter has lifted to the top of the record, with or without a
//! prefix.
//!
//! It is turned back into the map that the kubernetes filter made, so that no other module has to handle lifted metadata.
//! Layout of the map: Fluent Bit's `plugins/filter_kubernetes/kube_meta.c`.

use super::fields::Fields;
use super::remove_keys::{close, open};
use crate::chunk::msgpack::{Seq, Value};
use rmp::encode::{write_bin, write_bool, write_f64, write_nil, write_sint, write_str, write_uint};

/// The field that metadata always has; the part of the field's name before it is the prefix.
pub(crate) const POD_NAME: &[u8] = b"pod_name";

/// The other fields of the map.
const NAMES: [&[u8]; 11] = [
    b"namespace_name",
    b"pod_id",
    b"labels",
    b"annotations",
    b"ownerReferences",
    b"host",
    b"pod_ip",
    b"container_name",
    b"docker_id",
    b"container_hash",
    b"container_image",
];

/// Finds lifted metadata among the fields, takes it from them, and appends it as a map. Says whether there was any: the
/// names of a pod and of its namespace under one prefix.
pub(crate) fn gather(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> bool {
    let is_text = |value: Value<'_>| value.text().is_some_and(|text| !text.is_empty());
    let prefix = fields.all.iter().filter(|field| is_text(field.value)).find_map(|field| {
        let prefix = field.key.text()?.strip_suffix(POD_NAME)?;
        let namespace = [prefix, NAMES[0]].concat();
        fields
            .all
            .iter()
            .any(|other| other.key.text() == Some(&namespace[..]) && is_text(other.value))
            .then_some(prefix)
    });
    let Some(prefix) = prefix.map(<[u8]>::to_vec) else { return false };
    let start = open(out, 0xdf);
    let mut count = 0;
    for field in &mut fields.all {
        let Some(whole) = field.key.text() else { continue };
        let Some(key) = whole.strip_prefix(&prefix[..]) else {
            field.taken |= is_annotation(whole);
            continue;
        };
        if key == POD_NAME || NAMES.contains(&key) {
            text(out, key);
            value(out, field.value);
            count += 1;
            field.taken = true;
        } else if is_annotation(key) {
            field.taken = true;
        }
    }
    close(out, start, count);
    true
}

/// Returns true if this is the name of an annotation that was lifted too: below the prefix of its map, or with a domain of
/// its own, as annotations of tools have (`prometheus.io/scrape`). Labels of applications have domains as well; those that
/// are sent by default are no annotations.
fn is_annotation(key: &[u8]) -> bool {
    let below = key.strip_prefix(b"annotations").is_some_and(|rest| !rest.is_empty());
    let slash = key.iter().position(|byte| *byte == b'/');
    let has_domain = slash.is_some_and(|slash| key[..slash].contains(&b'.'));
    below || has_domain && !key.starts_with(b"app.kubernetes.io/")
}

/// Writing to a Vec cannot fail.
fn text(out: &mut Vec<u8>, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(text) => drop(write_str(out, text)),
        Err(_) => drop(write_str(out, &String::from_utf8_lossy(text))),
    }
}

fn value(out: &mut Vec<u8>, value: Value<'_>) {
    let container = |out: &mut Vec<u8>, marker: u8, contents: Seq<'_>| {
        let start = open(out, marker);
        out.extend_from_slice(contents.bytes());
        close(out, start, contents.len() as u32);
    };
    match value {
        Value::Str(text) => self::text(out, text),
        Value::Bin(bytes) => drop(write_bin(out, bytes)),
        Value::Bool(b) => drop(write_bool(out, b)),
        Value::UInt(n) => drop(write_uint(out, n)),
        Value::Int(n) => drop(write_sint(out, n)),
        Value::Float(n) => drop(write_f64(out, n)),
        Value::Map(map) => container(out, 0xdf, map),
        Value::Array(list) => container(out, 0xdd, list),
        Value::Nil | Value::Ext(..) => drop(write_nil(out)),
    }
}
