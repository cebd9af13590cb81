//! MessagePack values of any kind: hostile values under the names that mean something, deep nesting, edge numbers.

use super::encode::{array, bin, ext, float, int, map, str, uint};
use super::random::Random;
use super::text;

/// The wall time of every round: 2026-11-20.
pub const NOW: u64 = 1_795_161_600;

const KEYS: &[&str] = &[
    "message",
    "msg",
    "log",
    "body",
    "level",
    "severity",
    "severity_number",
    "PRIORITY",
    "pri",
    "lvl",
    "trace_id",
    "traceId",
    "traceparent",
    "dd.trace_id",
    "span_id",
    "dd.span_id",
    "stack_trace",
    "stack",
    "exception",
    "error",
    "stream",
    "time",
    "user",
    "user.id",
    "user_id",
    "environment",
    "env",
    "release",
    "service.version",
    "logger",
    "ident",
    "tags",
    "host",
    "hostname",
    "_SYSTEMD_UNIT",
    "_p",
    "logtag",
    "service",
    "a",
    "a.b",
    "a.b.c",
    "1",
    "original_time",
    "held_back",
    "details",
    "_cut",
    "sentry.environment",
    "sentry.sdk.name",
    "server.address",
    "logger.name",
    "k8s.pod.name",
    "container.id",
    "log.iostream",
    "sentry.timestamp.sequence",
    "timestamp",
    "event_id",
    "password",
    "token",
    "region",
    "",
    "otel.scope.name",
    "type",
    "value",
    "id",
    "ip",
    "address",
];

pub(super) const LEVELS: &[&str] =
    &["error", "ERROR", "Fatal", "warn", "WARNING", "notice", "audit", "trace", "bogus", "info", "3"];

const NUMBERS: &[u64] = &[
    0,
    1,
    7,
    8,
    10,
    17,
    24,
    25,
    30,
    60,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    NOW,
    u32::MAX as u64,
    1 << 53,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX,
];

pub(super) const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    0.5,
    -1.5,
    3.0,
    17.0,
    1e15,
    1e16,
    1e300,
    -1e300,
    5e-324,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Any value at all.
pub(super) fn value(random: &mut Random, out: &mut Vec<u8>, depth: usize) {
    match random.below(if depth > 5 { 9 } else { 12 }) {
        0 => out.push(*random.pick(&[0xc0, 0xc2, 0xc3])),
        1 => {
            let n = *random.pick(NUMBERS);
            uint(random, out, n);
        }
        2 => {
            let n = *random.pick(&[-1, -5, -32, -33, -128, -129, -40_000, i64::from(i32::MIN), i64::MIN, 7]);
            int(random, out, n);
        }
        3 => {
            let n = *random.pick(FLOATS);
            float(random, out, n);
        }
        4 => {
            let bytes = text::any(random);
            bin(random, out, &bytes);
        }
        5 => {
            let len = *random.pick(&[0, 1, 2, 4, 7, 8, 16, 20]);
            let (kind, byte) = (random.number() as u8, random.number() as u8);
            ext(random, out, kind, &vec![byte; len]);
        }
        6 if random.once_in(40) => deep(random, out),
        6..9 => {
            let text = text::any(random);
            str(random, out, &text);
        }
        9 | 10 => fields(random, out, depth + 1, key),
        _ => {
            let len = random.below(5);
            array(random, out, len);
            (0..len).for_each(|_| value(random, out, depth + 1));
        }
    }
}

/// Deeper than any stack of ours would bear, were it recursion.
fn deep(random: &mut Random, out: &mut Vec<u8>) {
    let levels = *random.pick(&[5, 6, 7, 16, 17, 200, 20_000]);
    for _ in 0..levels {
        if random.once_in(2) {
            out.push(0x91);
        } else {
            out.extend_from_slice(&[0x81, 0xa1, b'd']);
        }
    }
    out.push(0xc0);
}

/// A map with keys of this making, duplicates included.
pub(super) fn fields(random: &mut Random, out: &mut Vec<u8>, depth: usize, key: fn(&mut Random, &mut Vec<u8>)) {
    let len = if random.once_in(300) { 70 + random.below(60) } else { random.below(7) };
    map(random, out, len);
    for _ in 0..len {
        key(random, out);
        value(random, out, depth);
    }
}

pub(super) fn key(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(12) {
        0 => value(random, out, 6),
        1 => uint(random, out, 1),
        4 if random.once_in(2) => {
            let odd = *random.pick(&[&b"\xff"[..], b"\xfe", b"\xe2\x82", b"a.\xff"]);
            str(random, out, odd);
        }
        2 => {
            let key = *random.pick(KEYS);
            bin(random, out, key.as_bytes());
        }
        3 => {
            let text = text::any(random);
            str(random, out, &text);
        }
        _ => {
            let key = *random.pick(KEYS);
            str(random, out, key.as_bytes());
        }
    }
}
