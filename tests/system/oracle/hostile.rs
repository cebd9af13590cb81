//! Records at and beyond every limit, and several hundred that chance made.

use out_sentry::chunk::{Entry, entries};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::chunk::at;
use testkit::generate::random::Random;
use testkit::generate::records::{self, POD};

/// Two ways to ask for as much as possible.
pub const OPTIONS: [&[&str]; 2] = [
    &[
        "exit_timeout=60s",
        "storm_burst=0",
        "event_rate=0",
        "proxy=none",
        "event_level=trace",
        "logs_level=trace",
        "send_pii=on",
        "label_keys=*",
        "tag_keys=service,a,a.b,level,environment",
        "breadcrumbs=100",
        "scrub=off",
    ],
    &[
        "exit_timeout=60s",
        "storm_burst=0",
        "event_rate=0",
        "proxy=none",
        "event_level=trace",
        "logs_level=trace",
        "join_traces=off",
        "tags=region=eu",
        "parse_message=off",
        "fingerprint={{ default }},$service,$log",
        "stack_key=log",
    ],
];

/// Chunk files of hostile records, with the long ones or without.
pub fn files(directory: &Path, with_long: bool) -> Vec<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let long = if with_long { lengths() } else { Vec::new() };
    let bodies = [long, odd_values(), structures(), pods(), traces()].concat();
    let mut made: Vec<u8> = bodies.iter().flat_map(|body| at(now, body)).collect();
    for time in [0, 1, 86_400, now - 40 * 86_400, now + 7_200, 4_294_967_296, 9_214_646_400, 1 << 40, u64::MAX] {
        made.extend(at(time, &json!({"log": "out of time", "level": "error"})));
    }
    made.extend(broken_text(now));
    [("hostile.msgpack", made), ("chance.msgpack", chance())]
        .map(|(name, bytes)| {
            let path = directory.join(name);
            fs::write(&path, bytes).expect("a file");
            path
        })
        .into()
}

/// Returns a chunk of the property tests' generator, as far as it can be decoded.
fn chance() -> Vec<u8> {
    let mut out = Vec::new();
    for seed in 1..300 {
        let records = records::chunk(&mut Random::new(seed));
        let sound = records.iter().filter(|record| {
            let mut entries = entries(record);
            record.len() < 100_000 && matches!(entries.next(), Some(Entry::Record(_))) && entries.next().is_none()
        });
        sound.for_each(|record| out.extend_from_slice(record));
    }
    out
}

/// Records whose text is no UTF-8: in the message, in a key, under a tag.
fn broken_text(now: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for body in
        [json!({"log": "x @@@@ y"}), json!({"log": "x", "@@@@": "@@@@"}), json!({"log": "x", "service": "@@@@"})]
    {
        for broken in [b"\xff\xfe\xc3\x28", b"\xed\xa0\x80\xf0", b"\xf0\x9f\x91(", b"\x00\x01\x7f\x80"] {
            let mut record = at(now, &body);
            while let Some(place) = record.windows(4).position(|window| window == b"@@@@") {
                record[place..place + 4].copy_from_slice(broken);
            }
            out.extend(record);
        }
    }
    out
}

/// Every text field around its limit, in characters of one to many bytes.
fn lengths() -> Vec<Value> {
    let mut bodies = Vec::new();
    let fields = ["log", "service", "logger", "hostname", "user_id", "environment", "release", "field"];
    for length in [64, 65, 129, 200, 201, 256, 257, 512, 8_191, 8_192, 8_193, 15_001, 70_000] {
        for filler in ["x", "👩‍👩‍👧‍👦", "\u{1}", "7 "] {
            let text: String = filler.chars().cycle().take(length).collect();
            bodies.extend(fields.map(|field| {
                let mut body = json!({"log": format!("{field} of {length}"), "level": "error"});
                body[field] = text.as_str().into();
                body
            }));
        }
    }
    for (filler, bytes) in [("é", 10 << 20), ("error in line\n", 1 << 20), ("\u{0}", 1 << 20), ("a=1 ", 1 << 20)] {
        bodies.push(json!({"log": filler.repeat(bytes / filler.len()), "level": "error"}));
    }
    bodies.push(json!({"log": "large", "level": "error", "field": "x".repeat(2 << 20), "more": vec!["é"; 20_000]}));
    bodies
}

/// Values that Relay refuses in some place or other.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "\n",
        "a\nb",
        "a\r\nb",
        "\u{0}",
        "a\tb",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "a/b",
        "a\\b",
        ".",
        "..",
        "latest",
        "None",
        "none",
        "a@",
        "@1",
        "a@b@c",
        "é",
        "👩‍👩‍👧‍👦",
        "\u{feff}x",
        "\u{a0}x",
        "-",
        "%",
        "%s",
        "%%",
        "{{ default }}",
        "[Filtered]",
        "a@example.com",
        "password=x",
        "00000000000000000000000000000000",
        "0",
    ];
    let fields =
        ["log", "service", "logger", "hostname", "user_id", "environment", "release", "level", "stream", "trace_id"];
    let mut bodies = Vec::new();
    for text in texts {
        for field in fields {
            let mut body = json!({"log": "odd", "level": "error"});
            body[field] = text.into();
            bodies.push(body);
        }
        bodies.push(json!({"log": "odd key", "level": "error", text: text}));
        bodies.push(json!({"log": "odd inside", "level": "error", "field": {text: {text: text}}}));
    }
    for number in [json!(u64::MAX), json!(i64::MIN), json!(1e300), json!(-0.0), json!(5e-324), json!(1_u64 << 53)] {
        bodies
            .extend(fields.map(|field| json!({"log": "number", field: number.clone(), "n": {"n": [number.clone()]}})));
    }
    bodies
}

/// Too many, too deep, empty.
fn structures() -> Vec<Value> {
    let many: Map<_, _> = (0..1_000).map(|n| (format!("field{n}"), json!("value"))).collect();
    let large: Map<_, _> = (0..1_000).map(|n| (format!("field{n}"), json!("v".repeat(1_000)))).collect();
    let keys: Map<_, _> = (0..100).map(|n| (format!("{n}{}", "k".repeat(5_000)), json!(n))).collect();
    let mut deep = json!(1);
    let mut bodies =
        vec![json!({}), json!({"log": {}}), json!({"log": []}), json!({"log": null}), json!({"a": {}, "b": []})];
    for level in 0..200 {
        deep = if level % 2 == 0 { json!({ "d": deep }) } else { json!([deep]) };
        if level < 12 || level == 199 {
            bodies.push(json!({"log": "deep", "level": "error", "field": deep, "user": deep}));
        }
    }
    for mut fields in [many, large, keys] {
        bodies.push(json!({"log": "nested", "level": "error", "field": fields}));
        fields.insert("level".to_owned(), json!("error"));
        bodies.push(Value::Object(fields));
    }
    bodies
}

/// Kubernetes as no API server would have it.
fn pods() -> Vec<Value> {
    let body = |pod: Value| json!({"log": "from a pod", "level": "error", "stream": "stderr", "kubernetes": pod});
    let mut bodies =
        vec![body(json!({})), body(json!([])), body(json!("pod")), body(json!({"labels": [], "pod_name": {}}))];
    for text in ["", "\n", "a/b:c", "é\u{0}", &"n".repeat(253), &"é".repeat(9_000)] {
        let mut pod: Map<_, _> = POD.iter().map(|name| ((*name).to_owned(), json!(text))).collect();
        pod.insert("labels".to_owned(), json!({"app": text, text: text, "app.kubernetes.io/name": text}));
        pod.insert("ownerReferences".to_owned(), json!([{"name": text}]));
        bodies.push(body(pod.into()));
    }
    let labels: Map<_, _> = (0..1_000).map(|n| (format!("label/é {n}"), json!("value\n".repeat(50)))).collect();
    bodies.push(body(json!({"namespace_name": "shop", "pod_name": "pay-0", "labels": labels})));
    bodies
}

/// Traces larger than any program has a right to.
fn traces() -> Vec<Value> {
    let java = |causes: usize, frames: usize, value: &str, name: &str| {
        let frames: String = (0..frames).map(|n| format!("\tat com.shop.{name}{n}.run({name}.java:{n})\n")).collect();
        let chain: Vec<_> = (0..causes).map(|n| format!("com.shop.Exc{n}: {value}\n{frames}")).collect();
        chain.join("Caused by: ")
    };
    let mut bodies: Vec<_> = [
        java(1, 300, "x", "A"),
        java(50, 300, "x", "A"),
        java(50, 5, &"é".repeat(9_000), "A"),
        java(40, 5, &"\u{1}".repeat(9_000), "A"),
        java(2, 3, &"👩‍👩‍👧‍👦".repeat(2_000), &"N".repeat(600)),
        java(3, 100, &"x".repeat(100_000), "A"),
    ]
    .iter()
    .flat_map(|trace| {
        let message = format!("{}\n{trace}", "é".repeat(300_000));
        [
            json!({"log": trace, "level": "error"}),
            json!({"log": "failed", "stack_trace": trace}),
            json!({ "log": message }),
        ]
    })
    .collect();
    let threads: String =
        (0..200).map(|n| format!("\ngoroutine {n} [running]:\nmain.f{n}()\n\t/app/main.go:{n} +0x1\n")).collect();
    bodies.push(json!({ "log": format!("panic: {}\n{threads}", "x".repeat(9_000)) }));
    // Streams of their own: the same exception in the same one would be a repeat.
    bodies.iter_mut().enumerate().for_each(|(n, body)| body["_SYSTEMD_UNIT"] = json!(format!("unit{n}")));
    bodies
}
