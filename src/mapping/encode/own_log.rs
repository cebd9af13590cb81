//! Writes a log item that stands for no record: a message of the plugin itself about logs.

use super::billed;
use super::json;
use crate::clock::WallTime;
use crate::level::Level;
use crate::mapping::resolve::identity::TraceId;
use xxhash_rust::xxh3::xxh3_128;

/// Name of the logger of such items.
const LOGGER: &str = "out_sentry";

/// Appends the item's JSON and returns the bytes that Sentry bills for it. `wall` is its time.
pub fn write(out: &mut Vec<u8>, wall: WallTime, level: Level, body: &str, namespace: Option<&str>) -> u64 {
    let start = out.len();
    out.extend_from_slice(b"{\"timestamp\":");
    json::seconds(out, wall.as_micros());
    out.extend_from_slice(b",\"trace_id\":");
    // Sentry drops a log whose trace id is zero.
    json::id(out, &TraceId((xxh3_128(body.as_bytes()) | 1).to_be_bytes()).0);
    out.extend_from_slice(b",\"level\":\"");
    out.extend_from_slice(level.log_name().as_bytes());
    out.extend_from_slice(b"\",\"body\":");
    json::string(out, body.as_bytes());
    out.extend_from_slice(b",\"attributes\":{");
    let logger = [("logger.name", LOGGER)];
    let attributes = namespace.map(|name| ("k8s.namespace.name", name)).into_iter().chain(logger);
    for (number, (name, value)) in attributes.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        json::string(out, name.as_bytes());
        out.extend_from_slice(b":{\"value\":");
        json::string(out, value.as_bytes());
        out.extend_from_slice(b",\"type\":\"string\"}");
    }
    out.extend_from_slice(b"}}");
    billed::of(&out[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_log_is_a_whole_item() {
        let mut out = b"[".to_vec();
        let billed = write(&mut out, WallTime::from_micros(1_500_000), Level::Warn, "spent: \"a\"", Some("shop"));
        let log: serde_json::Value = serde_json::from_slice(&out[1..]).unwrap();
        assert_eq!((&log["level"], &log["body"]), (&"warn".into(), &"spent: \"a\"".into()));
        assert_eq!(log["attributes"]["k8s.namespace.name"]["value"], "shop");
        assert_eq!(log["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(billed, 10 + 18 + 4 + 11 + 10);
    }
}
