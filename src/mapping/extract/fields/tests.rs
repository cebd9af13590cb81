//! Tests that paths lead to fields, and that taken fields are not sent again.

use super::*;
use crate::chunk::msgpack::Cursor;

fn keys(role: Role, names: &[&str]) -> Keys {
    let mut keys = Keys::default();
    keys.add(role, CHOSEN, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    keys.forget();
    keys
}

/// `{"a": {"b": 1, "c.d": 2}, "x.y": 3, "z": 4, "z": 5}`
const RECORD: &[u8] = &[
    0x84, 0xa1, b'a', 0x82, 0xa1, b'b', 1, 0xa3, b'c', b'.', b'd', 2, 0xa3, b'x', b'.', b'y', 3, 0xa1, b'z', 4, 0xa1,
    b'z', 5,
];

fn first(names: &[&str]) -> Option<Value<'static>> {
    let mut keys = keys(Role::Level, names);
    let mut fields = Fields::default();
    fields.read(&mut keys, Cursor::new(RECORD).read().unwrap().map().unwrap(), Run::default());
    fields.candidates(Role::Level).next().map(|found| found.value)
}

#[test]
fn paths_reach_nested_fields_in_each_notation() {
    for name in ["a.b", "$a['b']", "$a[\"b\"]", "a['b']"] {
        assert_eq!(first(&[name]), Some(Value::UInt(1)), "{name}");
    }
    assert_eq!(first(&["a.c.d"]), Some(Value::UInt(2)));
    assert_eq!(first(&["$a['c.d']"]), Some(Value::UInt(2)));
    assert_eq!(first(&["x.y"]), Some(Value::UInt(3)));
    assert_eq!(first(&["a.none", "x", "b"]), None);
}

#[test]
fn the_first_name_of_the_list_wins_and_the_last_of_duplicate_fields() {
    assert_eq!(first(&["x.y", "z"]), Some(Value::UInt(3)));
    assert_eq!(first(&["z", "x.y"]), Some(Value::UInt(5)));
}

#[test]
fn a_taken_field_is_not_sent_again() {
    let mut keys = keys(Role::Level, &["z"]);
    let mut fields = Fields::default();
    fields.read(&mut keys, Cursor::new(RECORD).read().unwrap().map().unwrap(), Run::default());
    assert_eq!(fields.take(Role::Level, |found| (found.value == Value::UInt(5)).then_some(())), Some(()));
    let rest: Vec<_> = fields.rest().filter_map(|field| field.key.text()).collect();
    assert_eq!(rest, [&b"a"[..], b"x.y"]);
}

#[test]
fn finds_the_metadata_of_each_container() {
    let mut keys = keys(Role::ServerName, &["kubernetes.host"]);
    for host in ["n1", "node-2", "n3", "n1"] {
        let bytes = [b"\x81\xaakubernetes\x81\xa4host", &[0xa0 | host.len() as u8][..], host.as_bytes()].concat();
        let map = Cursor::new(&bytes).read().unwrap().map().unwrap();
        let mut fields = Fields::default();
        fields.read(&mut keys, map, Run::default());
        let found = fields.candidates(Role::ServerName).find_map(|found| found.value.text());
        assert_eq!(found, Some(host.as_bytes()), "expected the host of the record's own container");
    }
}
