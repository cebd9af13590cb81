//! Splits an envelope into its header line and its items, each of which is a header line and a payload.

use super::http::Refusal;
use crate::text::counted;
use serde_json::{Map, Value};

/// Most items Relay takes in one envelope.
const MAX_ITEMS: usize = 500;

/// One envelope, taken apart and not yet judged.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub header: Header,
    pub items: Vec<Item<'a>>,
}

/// The envelope's first line.
#[derive(Debug)]
pub(super) struct Header {
    pub event_id: Option<String>,
    pub dsn: Option<String>,
    /// The line as it was; a key given twice has its last value.
    pub all: Map<String, Value>,
}

/// One item, its payload borrowed from the body.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub kind: String,
    pub header: Map<String, Value>,
    /// True if `length` gave the end of the payload.
    pub measured: bool,
    pub payload: &'a [u8],
}

/// Takes a body apart. Anything Relay would answer 400 to is an error here.
pub(super) fn parse(body: &[u8]) -> Result<Envelope<'_>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(400, "empty envelope"));
    }
    let (line, mut rest) = split_line(body);
    let header = parse_header(line)?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        if items.len() == MAX_ITEMS {
            return Err(Refusal::new(400, format!("expected at most {MAX_ITEMS} items")));
        }
        let (item, after) = parse_item(rest).map_err(|refusal| at_item(refusal, items.len()))?;
        items.push(item);
        rest = after;
    }
    Ok(Envelope { header, items })
}

fn at_item(refusal: Refusal, index: usize) -> Refusal {
    Refusal { detail: format!("item {index}: {}", refusal.detail), ..refusal }
}

fn parse_header(line: &[u8]) -> Result<Header, Refusal> {
    /// Typed, so that a field given twice is an error as it is at Relay.
    #[derive(serde::Deserialize)]
    struct Known {
        event_id: Option<String>,
        dsn: Option<String>,
        sent_at: Option<String>,
    }
    let invalid = |error: serde_json::Error| Refusal::new(400, "invalid envelope header").because(error.to_string());
    let known: Known = serde_json::from_slice(line).map_err(invalid)?;
    let all = serde_json::from_slice(line).map_err(invalid)?;
    if let Some(sent_at) = known.sent_at.as_deref().filter(|text| super::timestamp::rfc3339(text).is_none()) {
        let cause = format!("expected sent_at as RFC 3339 with a zone, found {sent_at:?}");
        return Err(Refusal::new(400, "invalid envelope header").because(cause));
    }
    let event_id = match known.event_id {
        None => None,
        Some(text) => Some(uuid(&text).ok_or_else(|| {
            let cause = format!("expected event_id as 32 hexadecimal digits, found {text:?}");
            Refusal::new(400, "invalid envelope header").because(cause)
        })?),
    };
    Ok(Header { event_id, dsn: known.dsn, all })
}

fn parse_item(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), Refusal> {
    let (line, rest) = split_line(bytes);
    let header: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|error| Refusal::new(400, "invalid item header").because(error.to_string()))?;
    let kind = match header.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        other => return Err(Refusal::new(400, format!("expected a type in the item header, found {other:?}"))),
    };
    let length = match header.get("length") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_u64().and_then(|length| usize::try_from(length).ok()).ok_or_else(|| {
            Refusal::new(400, format!("expected a byte count as length in the item header, found {value}"))
        })?),
    };
    let (payload, rest) = match length {
        None => split_line(rest),
        Some(length) => split_at_length(rest, length)?,
    };
    Ok((Item { kind, header, measured: length.is_some(), payload }, rest))
}

/// After a payload with a length only a newline or the end may come.
fn split_at_length(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), Refusal> {
    let Some((payload, rest)) = bytes.split_at_checked(length) else {
        return Err(Refusal::new(
            400,
            format!("expected {} of payload, found {}", counted(length as u64, "byte"), bytes.len()),
        ));
    };
    match rest.split_first() {
        None => Ok((payload, rest)),
        Some((b'\n', after)) => Ok((payload, after)),
        Some((byte, _)) => {
            let found = char::from(*byte);
            Err(Refusal::new(
                400,
                format!("expected a newline after {} of payload, found {found:?}", counted(length as u64, "byte")),
            ))
        }
    }
}

/// Returns the part up to the newline, and the part after it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// An identifier of 32 hexadecimal digits, dashed or not (Relay takes both), as lower case without dashes.
pub(super) fn uuid(text: &str) -> Option<String> {
    let dashed = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    let plain = if dashed { text.replace('-', "") } else { text.to_owned() };
    super::dsn::is_key(&plain).then(|| plain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

    fn kinds(body: &str) -> Result<Vec<(String, String)>, u16> {
        let envelope = parse(body.as_bytes()).map_err(|refusal| refusal.status)?;
        let text = |item: &Item<'_>| (item.kind.clone(), String::from_utf8_lossy(item.payload).into_owned());
        Ok(envelope.items.iter().map(text).collect())
    }

    #[test]
    fn framing() {
        let item = |kind: &str, payload: &str| (kind.to_owned(), payload.to_owned());
        for (body, expected) in [
            ("{}", vec![]),
            ("{}\n", vec![]),
            ("{}\n{\"type\":\"a\",\"length\":3}\nx\ny", vec![item("a", "x\ny")]),
            ("{}\n{\"type\":\"a\",\"length\":3}\nx\ny\n", vec![item("a", "x\ny")]),
            ("{}\n{\"type\":\"a\"}\nxy\n{\"type\":\"b\",\"length\":0}\n", vec![item("a", "xy"), item("b", "")]),
            ("{}\n{\"type\":\"a\",\"length\":0}", vec![item("a", "")]),
            ("{}\n{\"type\":\"a\",\"length\":2}\n\r\n", vec![item("a", "\r\n")]),
        ] {
            assert_eq!(kinds(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn refusals() {
        for body in [
            "",
            "\n",
            "[]",
            "nonsense\n",
            "{}\n\n",
            "{}\n{}\nx",
            "{}\n{\"type\":1}\nx",
            "{}\n{\"type\":\"a\",\"length\":3}\nxy",
            "{}\n{\"type\":\"a\",\"length\":1}\nxy",
            "{}\n{\"type\":\"a\",\"length\":-1}\n",
            "{}\n{\"type\":\"a\",\"length\":\"1\"}\nx",
            "{}\n{\"type\":\"a\",\"length\":1}\nx\n\n",
            "{}\n{\"type\":\"a\",\"length\":18446744073709551615}\nx",
            "{\"sent_at\":\"yesterday\"}",
            "{\"sent_at\":\"2026-01-01T00:00:00\"}",
            "{\"sent_at\":\"2026-01-01T00:00:00Z\",\"sent_at\":\"2026-01-01T00:00:00Z\"}",
            "{\"event_id\":\"short\"}",
            "{\"event_id\":7}",
        ] {
            assert_eq!(kinds(body), Err(400), "{body}");
        }
        let many = |count| format!("{{}}\n{}", "{\"type\":\"a\"}\n\n".repeat(count));
        assert_eq!(kinds(&many(500)).map(|items| items.len()), Ok(500));
        assert_eq!(kinds(&many(501)), Err(400));
    }

    #[test]
    fn header_fields() {
        let dashed = "FC6D8C0C-43FC-4630-AD85-0EE518F1B9D0";
        let body = format!("{{\"event_id\":\"{dashed}\",\"sent_at\":\"2026-01-01T00:00:00.5Z\",\"x\":1}}");
        let envelope = parse(body.as_bytes()).unwrap();
        assert_eq!(envelope.header.event_id.as_deref(), Some(ID));
        assert_eq!(envelope.header.all.get("x"), Some(&Value::from(1)));
        assert_eq!(uuid("fc6d8c0c-43fc4630-ad85-0ee518f1b9d0-"), None);
    }
}
