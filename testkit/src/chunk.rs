//! Chunks as a host hands them over: runs of records in MessagePack.

use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A chunk of these bodies, a microsecond apart and the last of them now.
pub fn of<'b>(bodies: impl IntoIterator<Item = &'b Value>) -> Vec<u8> {
    in_format(2, bodies)
}

/// A chunk in the record format of a host's generation: 1 for `[time, map]`, 2 for `[[time, metadata], map]`.
pub fn in_format<'b>(format: u8, bodies: impl IntoIterator<Item = &'b Value>) -> Vec<u8> {
    let bodies: Vec<_> = bodies.into_iter().collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = now.saturating_sub(Duration::from_micros(bodies.len() as u64));
    let mut chunk = Vec::new();
    for (number, body) in bodies.into_iter().enumerate() {
        head(&mut chunk, format, first + Duration::from_micros(number as u64));
        write(&mut chunk, body);
    }
    chunk
}

/// A record of this time since 1970.
pub fn record(time: Duration, body: &Value) -> Vec<u8> {
    let mut record = Vec::new();
    head(&mut record, 2, time);
    write(&mut record, body);
    record
}

/// Records that tell each other apart by `n`; every tenth is an error and so becomes an event as well as a log.
pub fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let level = |n: u64| if n.is_multiple_of(10) { "error" } else { "info" };
    let body = |n| json!({"message": format!("order {n} was looked at"), "n": n, "level": level(n)});
    of(&numbers.into_iter().map(body).collect::<Vec<_>>())
}

/// A chunk of about this many bytes.
pub fn large(bytes: usize) -> Vec<u8> {
    let body = json!({"message": "x".repeat(1_400), "level": "info", "service": "checkout"});
    let one = of([&body]).len();
    of(std::iter::repeat_n(&body, bytes / one + 1))
}

/// Everything before the body.
fn head(out: &mut Vec<u8>, format: u8, time: Duration) {
    out.push(0x92);
    if format == 2 {
        out.push(0x92);
    }
    out.extend_from_slice(&[0xd7, 0]);
    out.extend_from_slice(&(time.as_secs() as u32).to_be_bytes());
    out.extend_from_slice(&time.subsec_nanos().to_be_bytes());
    if format == 2 {
        out.push(0x80);
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    use rmp::encode::{write_array_len, write_f64, write_map_len, write_sint, write_str, write_uint};
    const WRITES: &str = "expected to write to memory";
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(on) => out.push(if *on { 0xc3 } else { 0xc2 }),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => drop(write_uint(out, number).expect(WRITES)),
            (None, Some(number)) => drop(write_sint(out, number).expect(WRITES)),
            (None, None) => write_f64(out, number.as_f64().unwrap_or_default()).expect(WRITES),
        },
        Value::String(text) => write_str(out, text).expect(WRITES),
        Value::Array(values) => {
            write_array_len(out, values.len() as u32).expect(WRITES);
            values.iter().for_each(|value| write(out, value));
        }
        Value::Object(fields) => {
            write_map_len(out, fields.len() as u32).expect(WRITES);
            for (key, value) in fields {
                write_str(out, key).expect(WRITES);
                write(out, value);
            }
        }
    }
}

/// One record of this time in seconds, in the oldest format: it alone can say a time behind the year 2106.
pub fn at(seconds: u64, body: &Value) -> Vec<u8> {
    let mut record = vec![0x92, 0xcf];
    record.extend_from_slice(&seconds.to_be_bytes());
    write(&mut record, body);
    record
}
