//! A message that may hold fields: read as `serde_json` reads it, or as logfmt by its obvious rules, or left alone.

use out_sentry::chunk::msgpack::{Cursor, Value as Packed};
use out_sentry::mapping::{json, parse};
use serde_json::{Map, Number, Value};

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let mut out = b"before".to_vec();
    let read = parse::message(data, &mut out);
    let found = out.strip_prefix(b"before").expect("what was there stays there");
    let text = data.trim_ascii();
    let twin = if text.starts_with(b"{") { object(text) } else { logfmt(text) };
    assert_eq!(read, twin.is_some(), "{:?}", String::from_utf8_lossy(text));
    let Some(twin) = twin else { return assert!(found.is_empty()) };
    let mut cursor = Cursor::new(found);
    let value = cursor.read().expect("whole MessagePack");
    assert!(cursor.rest().is_empty() && matches!(value, Packed::Map(_)));
    let mut written = Vec::new();
    json::value(&mut written, value);
    let written: Value = serde_json::from_slice(&written).expect("JSON");
    // What is nested deeper is written as a mark.
    if depth(&twin) <= 15 {
        assert!(same(&written, &twin), "{written} is not {twin}");
    }
}

/// Equal but for the last digits of long decimal numbers, which `serde_json` reads as it can without taking its time.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b || (a - b).abs() <= a.abs() * 1e-15)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn object(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok().filter(Value::is_object)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Two pairs at least, a blank or more between them, and nothing else.
fn logfmt(text: &[u8]) -> Option<Value> {
    let mut rest: Vec<char> = std::str::from_utf8(text).ok()?.chars().rev().collect();
    if !rest.last().is_some_and(|c| c.is_ascii_alphabetic() || *c == '_') {
        return None;
    }
    let (mut fields, mut count) = (Map::new(), 0);
    while !rest.is_empty() {
        let key = until(&mut rest, |c| c == '=')?;
        rest.pop();
        let sound = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
        if key.is_empty() || !key.chars().all(sound) {
            return None;
        }
        let value = if rest.last() == Some(&'"') { quoted(&mut rest)? } else { bare(&mut rest)? };
        fields.insert(key, value);
        count += 1;
        if !rest.is_empty() && rest.last() != Some(&' ') {
            return None;
        }
        while rest.last() == Some(&' ') {
            rest.pop();
        }
    }
    (count >= 2).then_some(Value::Object(fields))
}

/// Takes what stands before the first such character; none if there is none.
fn until(rest: &mut Vec<char>, is_end: impl Fn(char) -> bool) -> Option<String> {
    let mut taken = String::new();
    while !is_end(*rest.last()?) {
        taken.extend(rest.pop());
    }
    Some(taken)
}

fn quoted(rest: &mut Vec<char>) -> Option<Value> {
    rest.pop();
    let mut inside = String::new();
    loop {
        match rest.pop()? {
            '"' => break,
            '\\' => {
                inside.push('\\');
                inside.push(rest.pop()?);
            }
            other => inside.push(other),
        }
    }
    Some(serde_json::from_str(&format!("\"{inside}\"")).unwrap_or(Value::String(inside)))
}

fn bare(rest: &mut Vec<char>) -> Option<Value> {
    let mut word = String::new();
    while rest.last().is_some_and(|c| *c != ' ') {
        word.extend(rest.pop());
    }
    if word.contains(['"', '=']) {
        return None;
    }
    let digits = word.chars().all(|c| c.is_ascii_digit());
    let decimal = word.chars().all(|c| c.is_ascii_digit() || c == '.') && word.matches('.').count() == 1;
    let leads = word == "0" || word.starts_with(|c: char| ('1'..='9').contains(&c));
    Some(match word.as_str() {
        "true" => true.into(),
        "false" => false.into(),
        number if leads && digits && number.len() < 19 => number.parse::<u64>().expect("digits").into(),
        number if leads && decimal && number.len() < 19 => {
            Number::from_f64(number.parse().expect("a decimal number")).map_or(Value::Null, Value::Number)
        }
        _ => word.into(),
    })
}
