//! Reading Sentry envelopes, written apart from the plugin's writer so that one checks the other.

use serde_json::Value;

/// An item of an envelope.
#[derive(Debug, Clone)]
pub struct Item {
    /// The item's header.
    pub header: Value,
    /// Its payload, byte for byte.
    pub payload: Vec<u8>,
}

/// An envelope taken apart.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The envelope's header.
    pub header: Value,
    /// Its items in order.
    pub items: Vec<Item>,
}

impl Item {
    /// Its type: `event`, `log`, `client_report`.
    pub fn kind(&self) -> &str {
        self.header["type"].as_str().unwrap_or_default()
    }

    /// Its payload as JSON.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.payload).map_err(|error| format!("{} payload: {error}", self.kind()))
    }

    /// The logs of a log container. Sentry drops one whose `item_count` is wrong without a word: here it is an error.
    pub fn logs(&self) -> Result<Vec<Value>, String> {
        if self.kind() != "log" {
            return Ok(Vec::new());
        }
        let Value::Array(logs) = self.json()?["items"].take() else {
            return Err("log payload: expected an array `items`".into());
        };
        match self.header["item_count"].as_u64() {
            Some(count) if count == logs.len() as u64 => Ok(logs),
            count => Err(format!("expected item_count {}, found {count:?}", logs.len())),
        }
    }
}

impl Envelope {
    /// Takes an uncompressed envelope apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (header, mut rest) = json_line(bytes)?;
        let mut items = Vec::new();
        while !rest.is_empty() && rest != b"\n" {
            let (header, payload) = json_line(rest)?;
            let end = payload_end(&header, payload)?;
            items.push(Item { payload: payload[..end].to_vec(), header });
            rest = after_newline(&payload[end..])?;
        }
        Ok(Self { header, items })
    }

    /// All logs of all its containers.
    pub fn logs(&self) -> Result<Vec<Value>, String> {
        Ok(self.items.iter().map(Item::logs).collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Its event, if it carries one.
    pub fn event(&self) -> Result<Option<Value>, String> {
        self.items.iter().find(|item| item.kind() == "event").map(Item::json).transpose()
    }
}

/// The JSON object of the first line, and what follows the line.
fn json_line(bytes: &[u8]) -> Result<(Value, &[u8]), String> {
    let end = line_end(bytes);
    let header: Value = serde_json::from_slice(&bytes[..end]).map_err(|error| format!("header: {error}"))?;
    if !header.is_object() {
        return Err(format!("header: expected an object, found {header}"));
    }
    Ok((header, after_newline(&bytes[end..])?))
}

fn payload_end(header: &Value, payload: &[u8]) -> Result<usize, String> {
    match header["length"].as_u64() {
        Some(length) if length <= payload.len() as u64 => Ok(length as usize),
        Some(length) => Err(format!("expected {length} bytes of payload, found {}", payload.len())),
        None => Ok(line_end(payload)),
    }
}

fn line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len())
}

fn after_newline(rest: &[u8]) -> Result<&[u8], String> {
    match rest {
        [] => Ok(rest),
        [b'\n', rest @ ..] => Ok(rest),
        [byte, ..] => Err(format!("expected a newline, found byte {byte:#04x}")),
    }
}
