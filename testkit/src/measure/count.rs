//! How many records a request carries, in each of the formats that the outputs send.

use flate2::read::GzDecoder;
use std::io::{self, Read};

/// Records in a body that came to this path with this content encoding.
///
/// # Errors
/// When it cannot be unpacked.
pub fn records(path: &str, encoding: &str, body: &[u8]) -> io::Result<u64> {
    if path.contains("/envelope") {
        // The count is in the second line, and the rest need not be unpacked.
        return Ok(in_envelope(&unpacked(encoding, body, 4 << 10)?));
    }
    let body = unpacked(encoding, body, u64::MAX)?;
    Ok(if path.contains("/v1/logs") { in_otlp(&body, &[1, 2, 2]) } else { in_json(&body) })
}

fn unpacked(encoding: &str, body: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match encoding {
        "gzip" => GzDecoder::new(body).take(most).read_to_end(&mut bytes)?,
        "zstd" => zstd::Decoder::new(body)?.take(most).read_to_end(&mut bytes)?,
        _ => body.take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// An envelope with one item: a container of logs, or anything else.
fn in_envelope(body: &[u8]) -> u64 {
    let header = body.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    let header: serde_json::Value = serde_json::from_slice(header).unwrap_or_default();
    if header["type"] == "log" { header["item_count"].as_u64().unwrap_or_default() } else { 0 }
}

/// Each record begins with its time; a quote inside a message is escaped.
fn in_json(body: &[u8]) -> u64 {
    let start = b"{\"date\":";
    body.windows(start.len()).filter(|window| window == start).count() as u64
}

/// Counts the fields at the end of this path of field numbers in protobuf.
fn in_otlp(mut body: &[u8], path: &[u64]) -> u64 {
    let mut found = 0;
    while let Some((field, value, rest)) = field(body) {
        match path {
            [last] if field == *last => found += 1,
            [first, below @ ..] if field == *first => found += in_otlp(value, below),
            _ => {}
        }
        body = rest;
    }
    found
}

/// Number and content of the next field, and what follows it. Only fields with a length have content.
fn field(body: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (key, rest) = varint(body)?;
    let (length, rest) = match key & 7 {
        0 => (0, varint(rest)?.1),
        1 => (8, rest),
        2 => varint(rest).map(|(length, rest)| (length as usize, rest))?,
        5 => (4, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((key >> 3, value, rest))
}

fn varint(body: &[u8]) -> Option<(u64, &[u8])> {
    let length = body.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let digits = body[..length].iter().rev();
    Some((digits.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)), &body[length..]))
}
