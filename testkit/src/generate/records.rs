//! Records that no test would think of: any MessagePack, hostile values under the names that mean something, odd times.

use super::encode::{array, ext, float, int, map, str, uint};
use super::random::Random;
use super::text;
pub use super::values::NOW;
use super::values::{FLOATS, LEVELS, fields, key, value};

/// A record's body: most often a map with a message, a level and surprises; sometimes anything.
fn body(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(25) {
        0 => return value(random, out, 0),
        1 => return kube_event(random, out),
        2 => return kernel(random, out),
        _ => {}
    }
    let (message, level, pod) = (!random.once_in(4), random.once_in(2), random.once_in(3));
    let rest = if random.once_in(200) { 1_000 } else { random.below(8) };
    map(random, out, usize::from(message) + usize::from(level) + usize::from(pod) * 2 + rest);
    if pod {
        str(random, out, b"kubernetes");
        kubernetes(random, out);
        str(random, out, b"stream");
        let stream = *random.pick(&["stdout", "stderr", "other"]);
        str(random, out, stream.as_bytes());
    }
    if message {
        let name = *random.pick(&["log", "message"]);
        str(random, out, name.as_bytes());
        let text = text::message(random);
        str(random, out, &text);
    }
    for _ in 0..rest {
        key(random, out);
        value(random, out, 1);
    }
    if level {
        str(random, out, b"level");
        let word = *random.pick(LEVELS);
        str(random, out, word.as_bytes());
    }
}

/// An event of Kubernetes' with surprises in it.
fn kube_event(random: &mut Random, out: &mut Vec<u8>) {
    const TIMES: [&str; 4] =
        ["2026-11-20T08:00:00Z", "2026-11-20T08:00:00.123456Z", "1969-01-01T00:00:00Z", "9999-99-99T99:99:99Z"];
    const WORDS: [(&str, &[&str]); 3] = [
        ("type", &["Warning", "Normal", "Warning", "?"]),
        ("reason", &["BackOff", "Started", "SuccessfulCreate", "Completed"]),
        ("message", &["", "Created job nightly-29400001", "{\"a\":1}", "password=hunter2"]),
    ];
    map(random, out, 11);
    for name in ["metadata", "involvedObject", "source", "series"] {
        str(random, out, name.as_bytes());
        map(random, out, 6);
        for (name, text) in [
            ("uid", "5a3c1f0e"),
            ("kind", "Pod"),
            ("name", "nightly-29400001-x2k4q"),
            ("namespace", "shop"),
            ("host", "node-1"),
            ("fieldPath", "spec.containers{app}"),
        ] {
            str(random, out, name.as_bytes());
            if random.once_in(20) { value(random, out, 3) } else { str(random, out, text.as_bytes()) }
        }
    }
    for (name, words) in WORDS {
        str(random, out, name.as_bytes());
        let word = *random.pick(words);
        if random.once_in(9) { value(random, out, 3) } else { str(random, out, word.as_bytes()) }
    }
    for name in ["lastTimestamp", "eventTime", "firstTimestamp", "count"] {
        str(random, out, name.as_bytes());
        let time = *random.pick(&TIMES);
        if random.once_in(4) { value(random, out, 3) } else { str(random, out, time.as_bytes()) }
    }
}

/// A line of the kernel's, whole or cut.
fn kernel(random: &mut Random, out: &mut Vec<u8>) {
    const LINES: [&str; 5] = [
        "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a,task_memcg=/kubepods/pod1/x,task=java,pid=7,uid=0",
        "Memory cgroup out of memory: Killed process 7 (java) total-vm:1kB, anon-rss:18446744073709551615kB, pgtables:x",
        "Task in /a killed as a result of limit of /b",
        "Memory cgroup out of memory: Kill process 7 (java) score 1 or sacrifice child",
        "Tasks in /a are going to be killed due to memory.oom.group set",
    ];
    map(random, out, 5);
    for name in ["priority", "sequence", "sec", "usec"] {
        str(random, out, name.as_bytes());
        if random.once_in(20) { value(random, out, 3) } else { uint(random, out, 3) }
    }
    str(random, out, b"msg");
    let line = random.pick(&LINES).as_bytes();
    let end = if random.once_in(2) { line.len() } else { random.below(line.len()) };
    str(random, out, &line[..end]);
}

/// Names of the fields that the kubernetes filter adds.
pub const POD: &[&str] = &[
    "namespace_name",
    "pod_name",
    "container_name",
    "container_image",
    "host",
    "pod_id",
    "pod_ip",
    "docker_id",
    "container_hash",
];

/// Writes metadata that the filter adds, and metadata that it never would.
fn kubernetes(random: &mut Random, out: &mut Vec<u8>) {
    if random.once_in(12) {
        return value(random, out, 1);
    }
    map(random, out, POD.len() + 3);
    for name in POD {
        str(random, out, name.as_bytes());
        match random.below(12) {
            0 => value(random, out, 2),
            1 => {
                let text = text::any(random);
                str(random, out, &text);
            }
            _ => {
                let known =
                    *random.pick(&["shop", "pay-7d9f8b6c5-x2x7k", "r/shop/pay:1.2", "r/pay:latest", "10.0.0.1"]);
                str(random, out, known.as_bytes());
            }
        }
    }
    str(random, out, b"labels");
    fields(random, out, 3, |random, out| {
        let key = *random.pick(&["app", "app.kubernetes.io/name", "app.kubernetes.io/é", "pod-template-hash", "x"]);
        str(random, out, key.as_bytes());
    });
    str(random, out, b"annotations");
    fields(random, out, 3, |random, out| {
        let key = *random.pick(&["k8s.sentry.io/event-level", "k8s.sentry.io/dsn", "fluentbit.io/parser"]);
        str(random, out, key.as_bytes());
    });
    str(random, out, b"ownerReferences");
    if random.once_in(2) {
        return value(random, out, 3);
    }
    array(random, out, 1);
    fields(random, out, 3, |random, out| {
        let key = *random.pick(&["name", "kind"]);
        str(random, out, key.as_bytes());
    });
}

/// A time in any form, among them those that Sentry does not keep and some that are none.
fn time(random: &mut Random, out: &mut Vec<u8>) {
    let ages = [0, 1, 59, 600, 29 * 86_400 - 1, 29 * 86_400 + 1, 30 * 86_400 + 1];
    let seconds = match random.below(10) {
        0 => {
            *random.pick(&[0, 1, NOW + 59, NOW + 61, 4_294_967_293, 9_214_646_400, 1 << 40, i64::MAX as u64, u64::MAX])
        }
        1 => NOW - random.pick(&ages),
        _ => NOW - random.below(5) as u64,
    };
    match random.below(12) {
        0 => uint(random, out, seconds),
        1 => float(random, out, seconds as f64 + 0.25),
        2 if random.once_in(8) => int(random, out, -5),
        3 if random.once_in(8) => {
            let odd = *random.pick(FLOATS);
            float(random, out, odd);
        }
        4 if random.once_in(8) => value(random, out, 6),
        _ => event_time(random, out, seconds as u32),
    }
}

fn event_time(random: &mut Random, out: &mut Vec<u8>, seconds: u32) {
    let nanos = *random.pick(&[0, 1, 999, 123_456_789, 999_999_999, 1_000_000_000, u32::MAX]);
    ext(random, out, 0, &[seconds.to_be_bytes(), nanos.to_be_bytes()].concat());
}

/// Metadata as the OTLP input writes it, or of another shape.
fn metadata(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(6) {
        0 => fields(random, out, 2, key),
        1 => {
            map(random, out, 1);
            str(random, out, b"otlp");
            fields(random, out, 2, |random, out| {
                let names = ["severity_number", "severity_text", "trace_id", "span_id", "attributes", "timestamp"];
                let key = *random.pick(&names);
                str(random, out, key.as_bytes());
            });
        }
        2 if random.once_in(10) => value(random, out, 2),
        _ => map(random, out, 0),
    }
}

/// One record in either format.
pub fn record(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    array(random, &mut out, 2);
    if !random.once_in(5) {
        array(random, &mut out, 2);
        time(random, &mut out);
        metadata(random, &mut out);
    } else {
        time(random, &mut out);
    }
    body(random, &mut out);
    out
}

fn group_marker(random: &mut Random, seconds: u32) -> Vec<u8> {
    let mut out = vec![0x92, 0x92, 0xd7, 0];
    out.extend_from_slice(&seconds.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    metadata(random, &mut out);
    map(random, &mut out, 2);
    for part in [&b"resource"[..], b"scope"] {
        str(random, &mut out, part);
        map(random, &mut out, 1);
        str(random, &mut out, b"attributes");
        fields(random, &mut out, 2, key);
    }
    out
}

/// Records as a host would hand them over: some twice, some lines of one stack trace, some within a group.
pub fn chunk(random: &mut Random) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for _ in 0..1 + random.below(4) {
        match random.below(12) {
            0 => records.extend(trace_by_line(random)),
            1 => {
                records.push(group_marker(random, u32::MAX));
                records.push(record(random));
                records.push(group_marker(random, u32::MAX - 1));
            }
            _ => records.push(record(random)),
        }
        if random.once_in(6) {
            records.extend(records.last().cloned());
        }
    }
    records
}

fn trace_by_line(random: &mut Random) -> Vec<Vec<u8>> {
    let trace = text::trace(random);
    let mut line = |text: &str| {
        let mut out = vec![0x92, 0x92];
        event_time(random, &mut out, NOW as u32);
        out.extend_from_slice(&[0x80, 0x81]);
        str(random, &mut out, b"log");
        str(random, &mut out, text.as_bytes());
        out
    };
    trace.lines().take(60).map(&mut line).collect()
}
