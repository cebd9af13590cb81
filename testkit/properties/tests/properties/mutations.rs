//! A reader must see that something is missing: whatever was shortened says so where it ends, whatever was left out is
//! counted.

use out_sentry::ledger::Category;
use out_sentry::mapping::Mapper;
use properties::account::map_all;
use properties::validate::assert_sound;
use properties::{NOW, settings};
use serde_json::{Value, json};
use testkit::generate::encode;
use testkit::generate::random::Random;

/// Every value under test begins and ends with a word of its own.
const FIRST: &str = "alpha";
const LAST: &str = "omega";

const OPTIONS: &[(&str, &str)] = &[
    ("send_pii", "on"),
    ("event_level", "trace"),
    ("logs_level", "trace"),
    ("tag_keys", "service"),
    ("label_keys", "*"),
    ("storm_burst", "0"),
    ("event_rate", "0"),
];

fn filled(filler: &str, bytes: usize) -> String {
    format!("{FIRST} {} {LAST}", filler.repeat(bytes / filler.len()))
}

/// The places of a record that hold a value.
fn places(value: &str) -> Vec<(&'static str, Value)> {
    let pod = |key: &str, value: Value| {
        let mut pod = json!({"namespace_name": "shop", "pod_name": "pay-0", "container_name": "pay"});
        pod[key] = value;
        json!({"log": "x", "kubernetes": pod})
    };
    let trace =
        |head: &str, frame: &str| format!("{head}\n\tat {frame}(A.java:1)\n\tat com.shop.Main.main(Main.java:2)");
    vec![
        ("message", json!({ "log": value })),
        ("message with a trace", json!({"log": format!("{value}\n{}", trace("a.b.Exc: x", "com.shop.A.b"))})),
        ("exception's value", json!({"log": trace(&format!("a.b.Exc: {value}"), "com.shop.A.b")})),
        ("function", json!({"log": trace("a.b.Exc: x", &format!("com.shop.A.{}", value.replace(' ', "")))})),
        ("field", json!({"log": "x", "field": value})),
        ("list", json!({"log": "x", "field": [value]})),
        ("map", json!({"log": "x", "field": {"a": {"b": value}}})),
        ("deep", json!({"log": "x", "field": {"a": {"b": {"c": {"d": {"e": {"f": [value]}}}}}}})),
        ("logger", json!({"log": "x", "logger": value})),
        ("hostname", json!({"log": "x", "hostname": value})),
        ("user", json!({"log": "x", "user_id": value})),
        ("environment", json!({"log": "x", "environment": value})),
        ("release", json!({"log": "x", "release": value})),
        ("tag", json!({"log": "x", "service": value})),
        ("namespace", pod("namespace_name", json!(value))),
        ("pod", pod("pod_name", json!(value))),
        ("image", pod("container_image", json!(value))),
        ("docker id", pod("docker_id", json!(value))),
        ("label", pod("labels", json!({"app": value}))),
        ("owner", pod("ownerReferences", json!([{"name": value}]))),
    ]
}

fn record(random: &mut Random, body: &Value) -> Vec<u8> {
    let mut out = vec![0x92, 0x92, 0xd7, 0];
    out.extend_from_slice(&(NOW as u32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80]);
    write(random, &mut out, body);
    out
}

/// A body as MessagePack.
fn write(random: &mut Random, out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(on) => out.push(0xc2 + u8::from(*on)),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => encode::uint(random, out, n),
            (None, Some(n)) => encode::int(random, out, n),
            (None, None) => encode::float(random, out, n.as_f64().unwrap_or_default()),
        },
        Value::String(text) => encode::str(random, out, text.as_bytes()),
        Value::Array(values) => {
            encode::array(random, out, values.len());
            values.iter().for_each(|value| write(random, out, value));
        }
        Value::Object(fields) => {
            encode::map(random, out, fields.len());
            for (key, value) in fields {
                encode::str(random, out, key.as_bytes());
                write(random, out, value);
            }
        }
    }
}

/// Every text of an item.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn is_marked(text: &str) -> bool {
    let counted = text.rsplit_once(" [cut ").is_some_and(|(_, rest)| rest.ends_with(" bytes]"));
    counted || text.ends_with("...")
}

/// Returns true if the item says that it lacks something.
fn admits(item: &Value) -> bool {
    item["extra"].get("_cut").is_some() || item["attributes"].get("log.record.attributes_left_out").is_some()
}

/// The texts of a record's item that hold the value under test, and whether the item says that it lacks something.
fn holding(random: &mut Random, body: &Value, category: Category) -> (Vec<String>, bool) {
    let account = map_all(&mut Mapper::new(settings::of(OPTIONS)), &record(random, body));
    assert_sound(&account);
    let (_, item, _) = account.items(category).next().expect("an item of each category");
    let item: Value = serde_json::from_slice(item).expect("JSON");
    let mut found = Vec::new();
    texts(&item, &mut found);
    (found.into_iter().filter(|text| text.contains(FIRST)).map(str::to_owned).collect(), admits(&item))
}

/// Holds a value of each place and this length to the rule.
fn assert_marked(random: &mut Random, filler: &str, bytes: usize) {
    let short = places(&format!("{FIRST} {LAST}"));
    for ((place, body), (_, short)) in places(&filled(filler, bytes)).into_iter().zip(short) {
        for category in Category::ALL {
            let what = format!("{} of {place}, {bytes} bytes of {filler:?}", category.name());
            let (found, admits) = holding(random, &body, *category);
            let silent = found.iter().find(|text| !text.contains(LAST) && !is_marked(text));
            assert_eq!(silent.map(|text| text.len()), None, "{what} is cut without a mark");
            // What is not sent at all when it is short is no matter here.
            let is_there = !found.is_empty() || admits || holding(random, &short, *category).0.is_empty();
            assert!(is_there, "{what} is left out without a word");
        }
    }
}

#[test]
fn shortened_items_have_a_marker() {
    let random = &mut Random::new(1);
    for bytes in [190, 199, 255, 512, 2_000, 8_190, 15_000] {
        ["x", "é", "👩‍👩‍👧‍👦", "\u{1}", "a b "].iter().for_each(|filler| assert_marked(random, filler, bytes));
    }
    assert_marked(random, "\u{1}", 70_000);
    assert_marked(random, "é", 600_000);
}
