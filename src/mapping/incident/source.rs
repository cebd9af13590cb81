//! Recognises the records that the kernel itself wrote.

use super::kernel;
use super::kube_event::OF_CONTAINERS;
use crate::chunk::Record;
use crate::chunk::msgpack::Value;
use crate::level::Level;

pub(super) fn is_kernel_tag(kernel_tags: &[String], tag: &[u8]) -> bool {
    kernel_tags.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => tag.starts_with(prefix.as_bytes()),
        None => tag == known.as_bytes(),
    })
}

/// A message of the kernel's, if that is who wrote the record.
pub(super) fn kernel_line<'a>(
    record: Record<'a>,
    tag: &[u8],
    kernel_tags: &[String],
    message: &'a [u8],
) -> Option<&'a str> {
    let text = |value: Value<'a>| std::str::from_utf8(value.text()?).ok();
    let of_tag = !kernel_tags.is_empty() && is_kernel_tag(kernel_tags, tag);
    let Some(body) = record.body.map() else {
        return kernel::message_of_line(std::str::from_utf8(message).ok().filter(|_| of_tag)?);
    };
    let is_container = |names: &[&str]| names.iter().any(|name| body.get(name).is_some());
    if is_container(&OF_CONTAINERS[..4]) {
        return None;
    }
    if of_tag {
        // Syslog's program, where a parser has taken it from the line, must be the kernel.
        let program = ["ident", "program", "appname", "SYSLOG_IDENTIFIER"].iter().find_map(|name| body.get(name));
        let line = ["log", "message", "msg", "MESSAGE"].iter().find_map(|name| text(body.get(name)?))?;
        return match program.map(|program| program.text()) {
            Some(Some(b"kernel")) => Some(line),
            Some(_) => None,
            None => kernel::message_of_line(line),
        };
    }
    if is_container(&OF_CONTAINERS[4..]) {
        return None;
    }
    // plugins/in_kmsg/in_kmsg.c
    let is_number = |name| matches!(body.get(name), Some(Value::UInt(_) | Value::Int(_)));
    if ["priority", "sequence", "sec", "usec"].into_iter().all(is_number) && body.get("_TRANSPORT").is_none() {
        return text(body.get("msg")?);
    }
    // journald sets the fields that begin with a line itself. What writes to /dev/kmsg has another facility than the kernel.
    let either = |upper: &str, lower: &str| body.get(upper).or_else(|| body.get(lower));
    let is_kernel = either("_TRANSPORT", "_transport").and_then(|value| value.text()) == Some(b"kernel".as_slice());
    let is_or_absent = |upper, lower, expected: &[u8]| {
        either(upper, lower).is_none_or(|value| value.text() == Some(expected) || value == Value::UInt(0))
    };
    let sound = is_or_absent("SYSLOG_FACILITY", "syslog_facility", b"0")
        && is_or_absent("SYSLOG_IDENTIFIER", "syslog_identifier", b"kernel");
    text(either("MESSAGE", "message").filter(|_| is_kernel && sound)?)
}

/// The severity that the kernel gave to a message.
pub(super) fn priority(record: Record<'_>) -> Option<Level> {
    let body = record.body.map()?;
    let number = ["priority", "PRIORITY"].iter().find_map(|name| match body.get(name)? {
        Value::UInt(number) => Some(number),
        Value::Str(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    })?;
    Level::from_syslog(number)
}
