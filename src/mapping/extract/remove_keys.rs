//! Implements `remove_keys`: removes fields before any other code looks at a record.
//!
//! [`super::fields`] refuses fields at the top level. A nested field has to be cut out of its parent wherever the parent is
//! sent, so this module writes the map again without the field.

use super::fields::segments;
use crate::chunk::msgpack::{Cursor, Seq, Value};

/// Paths to nested fields that are never sent.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    paths: Vec<Vec<Box<str>>>,
}

impl Removal {
    /// The nested ones among these names.
    pub(crate) fn new(names: &[String]) -> Self {
        let paths = names.iter().map(|name| segments(name)).filter(|path| path.len() > 1);
        Self { paths: paths.collect() }
    }

    /// Returns true if nothing nested is to be removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Writes a map without the fields to be removed. Returns false, and writes nothing, if there is nothing to remove in
    /// it.
    pub(crate) fn copy(&self, map: Seq<'_>, out: &mut Vec<u8>) -> bool {
        let paths: Vec<&[Box<str>]> = self.paths.iter().map(Vec::as_slice).collect();
        let start = out.len();
        let removed = copy_map(map, &paths, out);
        if !removed {
            out.truncate(start);
        }
        removed
    }
}

/// Copies a map; whether anything was left out.
fn copy_map(map: Seq<'_>, paths: &[&[Box<str>]], out: &mut Vec<u8>) -> bool {
    let length = open(out, 0xdf);
    let (mut count, mut removed) = (0, false);
    let mut cursor = Cursor::new(map.bytes());
    for _ in 0..map.len() {
        let start = cursor.rest();
        let Ok(key) = cursor.read() else { break };
        let behind_key = start.len() - cursor.rest().len();
        let Ok(value) = cursor.read() else { break };
        let pair = &start[..start.len() - cursor.rest().len()];
        let name = key.text().unwrap_or_default();
        if paths.iter().any(|path| is_joined(path, name)) {
            removed = true;
            continue;
        }
        count += 1;
        out.extend_from_slice(&pair[..behind_key]);
        removed |= copy_value(value, &pair[behind_key..], &below(paths, name), out);
    }
    close(out, length, count);
    removed
}

/// Copies a value; the elements of a list are each looked into.
fn copy_value(value: Value<'_>, raw: &[u8], paths: &[&[Box<str>]], out: &mut Vec<u8>) -> bool {
    match value {
        Value::Map(map) if !paths.is_empty() => copy_map(map, paths, out),
        Value::Array(list) if !paths.is_empty() => copy_list(list, paths, out),
        _ => {
            out.extend_from_slice(raw);
            false
        }
    }
}

fn copy_list(list: Seq<'_>, paths: &[&[Box<str>]], out: &mut Vec<u8>) -> bool {
    let length = open(out, 0xdd);
    let (mut count, mut removed) = (0, false);
    let mut cursor = Cursor::new(list.bytes());
    for _ in 0..list.len() {
        let start = cursor.rest();
        let Ok(value) = cursor.read() else { break };
        // A list inside a list is left as it is: a path names no places in lists.
        let inside = if matches!(value, Value::Map(_)) { paths } else { &[] };
        removed |= copy_value(value, &start[..start.len() - cursor.rest().len()], inside, out);
        count += 1;
    }
    close(out, length, count);
    removed
}

/// Returns the rest of each path that begins with this name: the paths to remove from the value inside.
fn below<'p>(paths: &[&'p [Box<str>]], name: &[u8]) -> Vec<&'p [Box<str>]> {
    let begins = |path: &&&[Box<str>]| path.len() > 1 && path[0].as_bytes() == name;
    paths.iter().filter(begins).map(|path| &path[1..]).collect()
}

/// Returns true if a name is a whole path, with dots between the path's steps.
fn is_joined(path: &[Box<str>], name: &[u8]) -> bool {
    let mut rest = name;
    for (at, step) in path.iter().enumerate() {
        let after = rest.strip_prefix(step.as_bytes());
        let after = if at + 1 < path.len() { after.and_then(|rest| rest.strip_prefix(b".")) } else { after };
        let Some(after) = after else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// Opens a container whose length is not known yet.
pub(crate) fn open(out: &mut Vec<u8>, marker: u8) -> usize {
    out.push(marker);
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Closes it.
pub(crate) fn close(out: &mut [u8], length: usize, count: u32) {
    out[length..length + 4].copy_from_slice(&count.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::encode::json;
    use crate::mapping::extract::parse;

    fn without(names: &[&str], text: &str) -> Option<String> {
        let removal = Removal::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let (mut packed, mut out) = (Vec::new(), Vec::new());
        assert!(parse::message(text.as_bytes(), &mut packed));
        let map = Cursor::new(&packed).read().unwrap().map().unwrap();
        removal.copy(map, &mut out).then(|| {
            let mut back = Vec::new();
            json::value(&mut back, Cursor::new(&out).read().unwrap());
            String::from_utf8(back).unwrap()
        })
    }

    #[test]
    fn nested_fields_go_and_their_neighbours_stay() {
        let text = r#"{"a":{"b":1,"c":{"d":2,"e":3}},"l":[{"b":1,"x":2},5,[{"b":1}]],"a.b":4,"b":5}"#;
        for (names, expected) in [
            (&["a.b"][..], r#"{"a":{"c":{"d":2,"e":3}},"l":[{"b":1,"x":2},5,[{"b":1}]],"b":5}"#),
            (&["$a['c']['d']"], r#"{"a":{"b":1,"c":{"e":3}},"l":[{"b":1,"x":2},5,[{"b":1}]],"a.b":4,"b":5}"#),
            (&["l.b"], r#"{"a":{"b":1,"c":{"d":2,"e":3}},"l":[{"x":2},5,[{"b":1}]],"a.b":4,"b":5}"#),
            (&["a.b", "a.c"], r#"{"a":{},"l":[{"b":1,"x":2},5,[{"b":1}]],"b":5}"#),
        ] {
            assert_eq!(without(names, text).as_deref(), Some(expected), "{names:?}");
        }
        for names in [&["a.x"][..], &["b.b"], &["a"], &[]] {
            assert_eq!(without(names, text), None, "{names:?}");
        }
    }

    #[test]
    fn a_key_with_dots_is_a_path_in_one_piece() {
        let text = r#"{"kubernetes":{"labels":{"app.kubernetes.io/name":"x","app":"y"}}}"#;
        let left = r#"{"kubernetes":{"labels":{"app":"y"}}}"#;
        assert_eq!(without(&["kubernetes.labels.app.kubernetes.io/name"], text).as_deref(), Some(left));
        assert_eq!(without(&["$kubernetes['labels']['app.kubernetes.io/name']"], text).as_deref(), Some(left));
    }
}
