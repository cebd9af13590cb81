//! Derives identifiers that stay the same however often a record is read: streams, event ids, trace ids.
//!
//! Sentry keeps one event per id for about an hour, so an id that is a function of the record makes every resend harmless.
//! Source: <https://develop.sentry.dev/sdk/foundations/data-model/event-payloads/>

use crate::chunk::Timestamp;
use crate::chunk::msgpack::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// A synthetic trace lasts this long: long enough to see an event's neighbours, short enough to stay one story.
const TRACE_WINDOW_SECS: u64 = 600;

/// 128 bits that stand for one stream of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub u128);

/// An event's id, 32 hexadecimal digits in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId(pub [u8; 16]);

/// A trace id, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// A span id, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl StreamId {
    /// From the parts of a stream's name. Parts are kept apart, so `a`,`bc` and `ab`,`c` differ.
    #[must_use]
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut hash = Xxh3::new();
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.digest128())
    }

    /// The trace shared by the stream's records of the same ten minutes that name none of their own.
    #[must_use]
    pub fn trace_id(self, time: Timestamp) -> TraceId {
        let mut seed = [0; 24];
        seed[..16].copy_from_slice(&self.0.to_le_bytes());
        seed[16..].copy_from_slice(&(time.secs / TRACE_WINDOW_SECS).to_le_bytes());
        TraceId(uuid_like(xxh3_128(&seed)))
    }
}

/// The streams of one source: its output on stdout, on stderr, and without a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamIds([StreamId; 3]);

impl StreamIds {
    const NAMES: [&[u8]; 3] = [b"", b"stdout", b"stderr"];

    /// From the parts of the source's name.
    #[must_use]
    pub fn new<const N: usize>(source: [&[u8]; N]) -> Self {
        Self(Self::NAMES.map(|stream| StreamId::new(&[source.as_slice(), &[stream]].concat())))
    }

    /// Returns the streams of records that come from no pod.
    #[must_use]
    pub fn of_tag(tag: &[u8]) -> Self {
        Self::new([b"tag", tag])
    }

    /// All three.
    #[must_use]
    pub fn all(&self) -> [StreamId; 3] {
        self.0
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, stream: Option<&[u8]>) -> StreamId {
        let stream = stream.unwrap_or_default();
        let place = Self::NAMES.iter().position(|name| *name == stream);
        self.0[place.unwrap_or_default()]
    }
}

impl Default for StreamIds {
    fn default() -> Self {
        Self([StreamId(0); 3])
    }
}

/// The synthetic trace asked for last: most records want the same.
#[derive(Debug, Default)]
pub struct LastTrace(Option<(StreamId, u64, TraceId)>);

impl LastTrace {
    /// [`StreamId::trace_id`]
    #[inline]
    pub fn get(&mut self, stream: StreamId, time: Timestamp) -> TraceId {
        let window = time.secs / TRACE_WINDOW_SECS;
        match self.0 {
            Some((known, in_window, trace)) if known == stream && in_window == window => trace,
            _ => {
                let trace = stream.trace_id(time);
                self.0 = Some((stream, window, trace));
                trace
            }
        }
    }
}

impl EventId {
    /// From where the event goes (host and project, not the key), its stream, time and bytes, and which-th of
    /// identical records in its chunk it is.
    #[must_use]
    pub fn new(destination: u128, stream: StreamId, time: Timestamp, raw: &[u8], ordinal: u32) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&destination.to_le_bytes());
        hash.update(&stream.0.to_le_bytes());
        hash.update(&time.secs.to_le_bytes());
        hash.update(&time.nanos.to_le_bytes());
        hash.update(&ordinal.to_le_bytes());
        hash.update(raw);
        Self(uuid_like(hash.digest128()))
    }

    /// From a hash of all that tells the event from others.
    #[must_use]
    pub fn of_hash(hash: u128) -> Self {
        Self(uuid_like(hash))
    }

    /// Reads the text that [`EventId::hex`] writes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        unhex(text).and_then(non_zero).map(Self)
    }

    /// As text.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut out = Vec::with_capacity(32);
        crate::mapping::encode::json::hex(&mut out, &self.0);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Hash of a destination's identity.
#[must_use]
pub fn destination(identity: &str) -> u128 {
    xxh3_128(identity.as_bytes())
}

/// Sets the version and variant bits of a random UUID (RFC 9562), which also keeps the id from being zero.
fn uuid_like(hash: u128) -> [u8; 16] {
    let mut bytes = hash.to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// Reads a trace id: 32 hexadecimal digits with or without dashes, a W3C `traceparent`, 16 raw bytes, Datadog's decimal 64
/// bits, or the forms of AWS X-Ray and Google Cloud. The second part is the span of a `traceparent`.
#[must_use]
pub fn trace_id(value: Value<'_>) -> Option<(TraceId, Option<SpanId>)> {
    match value {
        Value::Bin(bytes) => Some((TraceId(non_zero(bytes.try_into().ok()?)?), None)),
        Value::Str(text) => trace_text(text.trim_ascii()),
        Value::UInt(n) => Some((TraceId(non_zero(u128::from(n).to_be_bytes())?), None)),
        _ => None,
    }
}

fn trace_text(text: &[u8]) -> Option<(TraceId, Option<SpanId>)> {
    if let Some(traceparent) = text.strip_prefix(b"00-").filter(|rest| rest.len() == 52) {
        let span = traceparent.get(33..49).and_then(unhex).and_then(non_zero).map(SpanId);
        return Some((TraceId(non_zero(unhex(&traceparent[..32])?)?), span));
    }
    // Most ids are digits alone.
    if let Some(id) = unhex(text) {
        return Some((TraceId(non_zero(id)?), None));
    }
    // Google Cloud: `projects/<project>/traces/<id>`.
    let text = text.iter().rposition(|byte| *byte == b'/').map_or(text, |slash| &text[slash + 1..]);
    let id = match text.len() {
        32 => unhex(text)?,
        // AWS X-Ray: `1-<8 digits of the time>-<24 digits>`.
        35 if text.starts_with(b"1-") && text[10] == b'-' => unhex(&[&text[2..10], &text[11..]].concat())?,
        36 => {
            let digits: Vec<u8> = text.iter().copied().filter(|b| *b != b'-').collect();
            unhex(&digits)?
        }
        1..=20 => u128::from(std::str::from_utf8(text).ok()?.parse::<u64>().ok()?).to_be_bytes(),
        _ => return None,
    };
    Some((TraceId(non_zero(id)?), None))
}

/// Reads a span id: 16 hexadecimal digits, 8 raw bytes, or decimal 64 bits.
#[must_use]
pub fn span_id(value: Value<'_>) -> Option<SpanId> {
    let id = match value {
        Value::Bin(bytes) => bytes.try_into().ok()?,
        Value::UInt(n) => n.to_be_bytes(),
        Value::Str(text) if text.len() == 16 => unhex(text)?,
        Value::Str(text) => std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok()?.to_be_bytes(),
        _ => return None,
    };
    non_zero(id).map(SpanId)
}

fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_chunks();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let (mut bytes, mut all) = ([0; N], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let [high, low] = [DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]];
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    (all <= 15).then_some(bytes)
}

/// The value of each hexadecimal digit, and for other bytes one that no digit has.
const DIGITS: [u8; 256] = {
    let (mut digits, mut value) = ([u8::MAX; 256], 0);
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        digits[digit as usize] = value as u8;
        digits[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    digits
};

fn non_zero<const N: usize>(id: [u8; N]) -> Option<[u8; N]> {
    id.iter().any(|byte| *byte != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5b8efff798038103d269b633813fc60c";

    fn id(text: &str) -> Option<([u8; 16], bool)> {
        trace_id(Value::Str(text.as_bytes())).map(|(id, span)| (id.0, span.is_some()))
    }

    #[test]
    fn each_form_of_trace_id_is_read() {
        let bytes: [u8; 16] = unhex(HEX.as_bytes()).unwrap();
        assert_eq!(id(HEX), Some((bytes, false)));
        assert_eq!(id("5b8efff7-9803-8103-d269-b633813fc60c"), Some((bytes, false)));
        assert_eq!(id(&format!("00-{HEX}-eee19b7ec3c1b174-01")), Some((bytes, true)));
        assert_eq!(trace_id(Value::Bin(&bytes)).map(|(id, _)| id.0), Some(bytes));
        assert_eq!(id("1234567890"), Some((1_234_567_890_u128.to_be_bytes(), false)));
        assert_eq!(id(&format!("1-{}-{}", &HEX[..8], &HEX[8..])), Some((bytes, false)));
        assert_eq!(id(&format!("projects/shop/traces/{HEX}")), Some((bytes, false)));
        for bad in ["/", "1-5b8efff7-9803", "", "0", "00000000000000000000000000000000", "xyz", "5b8e", "-", &HEX[1..]]
        {
            assert_eq!(id(bad), None, "{bad}");
        }
        assert_eq!(span_id(Value::Str(b"eee19b7ec3c1b174")), Some(SpanId(0xeee1_9b7e_c3c1_b174_u64.to_be_bytes())));
        assert_eq!(span_id(Value::Str(b"0000000000000000")), None);
    }

    #[test]
    fn an_event_id_depends_on_each_of_its_parts() {
        let time = Timestamp { secs: 1, nanos: 2 };
        let stream = StreamId::new(&[b"shop", b"pod"]);
        let base = EventId::new(1, stream, time, b"raw", 0);
        assert_eq!(base, EventId::new(1, stream, time, b"raw", 0));
        let others = [
            EventId::new(2, stream, time, b"raw", 0),
            EventId::new(1, StreamId::new(&[b"shopp", b"od"]), time, b"raw", 0),
            EventId::new(1, stream, Timestamp { secs: 1, nanos: 3 }, b"raw", 0),
            EventId::new(1, stream, time, b"rax", 0),
            EventId::new(1, stream, time, b"raw", 1),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(base.hex().len(), 32);
    }

    #[test]
    fn a_synthetic_trace_is_shared_within_ten_minutes_only() {
        let stream = StreamId::new(&[b"x"]);
        let at = |secs| stream.trace_id(Timestamp { secs, nanos: 0 });
        assert_eq!(at(600), at(1199));
        assert_ne!(at(600), at(1200));
    }
}
