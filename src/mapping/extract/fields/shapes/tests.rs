//! Tests that fields read by a known shape are those that are read in the ordinary way.

use super::super::path::{CHOSEN, DEFAULT, LAST};
use super::*;
use crate::chunk::msgpack::Run;
use crate::mapping::scrub;

fn keys(with_shapes: bool) -> Keys {
    let mut keys = Keys::default();
    for (role, first, names) in [
        (Role::Message, CHOSEN, &["a", "n.m", "b.c"][..]),
        (Role::Message, DEFAULT, &["log", "msg"]),
        (Role::Level, CHOSEN, &["level", "n.level", "$n['a.b']"]),
        (Role::Time, DEFAULT, &["time", "n.time"]),
        (Role::ServerName, CHOSEN, &["kubernetes.host", "host"]),
        (Role::Tag, LAST, &["kubernetes.pod_name", "a", "n"]),
        (Role::Kubernetes, LAST, &["kubernetes"]),
        (Role::UserId, DEFAULT, &["user.id"]),
    ] {
        keys.add(role, first, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    }
    keys.refuse(&["refused".to_owned()]);
    keys.scrub(&scrub::Rules::new(true, false, &[], &[]));
    keys.forget();
    keys.shapes.is_off = !with_shapes;
    keys
}

/// All that has been read, but for numbers of records.
fn state(fields: &Fields<'_>, keys: &Keys) -> String {
    let seen = fields.all.iter().map(|field| field.name.and_then(|name| fields.seen(name)));
    let found = fields.found.iter().map(|found| format!("{found:?}")).collect::<Vec<_>>();
    let flags = (fields.odd, fields.has_user, fields.has_pod_name, fields.may_be_lifted());
    let last = fields.last.map(|last| keys.names.get(last).text().to_owned());
    format!(
        "{:?} {found:#?} {:?} {:?} {flags:?} {last:?}",
        fields.all,
        seen.collect::<Vec<_>>(),
        (fields.roles, fields.rows)
    )
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(0xa0 | text.len() as u8);
    out.extend_from_slice(text);
}

fn pair(out: &mut Vec<u8>, (key, value): (&[u8], u8)) {
    // One key has the longer form that MessagePack allows for it.
    if key == b"level" && value == 7 {
        out.extend_from_slice(b"\xd9\x05level");
    } else {
        text(out, key);
    }
    match value % 8 {
        0 => text(out, b"text"),
        1 => out.extend_from_slice(b"\x82\xa1m\xa1x\xa5level\x03"),
        2 => out.extend_from_slice(b"\x82\xa4host\xa2n1\xa8pod_name\xa1p"),
        3 => out.extend_from_slice(b"\x82\xa4host\xa2n2\xa4time\xa21s"),
        4 => out.push(0xc0),
        5 => out.extend_from_slice(b"\xcb\x3f\xf0\0\0\0\0\0\0"),
        6 => out.extend_from_slice(b"\x92\xa1a\xa1b"),
        _ => out.push(value),
    }
}

fn map(pairs: &[(&[u8], u8)]) -> Vec<u8> {
    let mut out = vec![0xde, (pairs.len() >> 8) as u8, pairs.len() as u8];
    pairs.iter().for_each(|one| pair(&mut out, *one));
    out
}

/// Reads records with both and compares; returns the numbers of records that had a known shape.
fn compare(records: &[Vec<u8>]) -> Vec<usize> {
    let (mut with, mut without) = (keys(true), keys(false));
    let (mut one, mut other) = (Fields::default(), Fields::default());
    let mut known = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let map = Cursor::new(record).read().unwrap().map().unwrap();
        let since = with.shapes.since;
        let before = with.shapes.known.len();
        one.read(&mut with, map, Run::default());
        other.read(&mut without, map, Run::default());
        let is_known = with.shapes.since == since && with.shapes.known.len() == before && !one.odd;
        known.extend(is_known.then_some(number));
        assert_eq!(state(&one, &with), state(&other, &without), "record {number}: {record:x?}");
        (one, other) = (one.recycle(), other.recycle());
    }
    assert!(without.shapes.known.is_empty());
    known
}

const NAMES: [&[u8]; 16] = [
    b"time",
    b"stream",
    b"_p",
    b"log",
    b"kubernetes",
    b"level",
    b"n",
    b"a",
    b"b.c",
    b"user.id",
    b"refused",
    b"msg",
    b"x.pod_name",
    b"MessageTemplate",
    b"short_message",
    b"\xff",
];

#[test]
fn reads_the_same_fields_with_known_shapes() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..60 {
        let mut shapes: Vec<Vec<&[u8]>> = Vec::new();
        for _ in 0..random.usize(1..14) {
            // Few shapes have the name that is not learnt.
            let names = NAMES.len() - usize::from(random.u8(..4) > 0);
            let other = NAMES[random.usize(..names)];
            // Half of them are another one with another key.
            match shapes.last().filter(|shape| !shape.is_empty() && random.bool()).cloned() {
                Some(mut alike) => {
                    let at = random.usize(..alike.len());
                    alike[at] = other;
                    shapes.push(alike);
                }
                None => shapes.push((0..random.usize(..9)).map(|_| NAMES[random.usize(..names)]).collect()),
            }
        }
        let records: Vec<Vec<u8>> = (0..300)
            .map(|_| {
                let shape = &shapes[random.usize(..shapes.len())];
                map(&shape.iter().map(|key| (*key, random.u8(..16))).collect::<Vec<_>>())
            })
            .collect();
        compare(&records);
    }
}

#[test]
fn knows_a_shape_the_second_time() {
    let one: &[(&[u8], u8)] = &[(b"time", 0), (b"log", 0), (b"kubernetes", 2)];
    let other: &[(&[u8], u8)] = &[(b"time", 0), (b"msg", 0), (b"kubernetes", 3), (b"refused", 0)];
    assert_eq!(compare(&[one, one, other, one, other].map(map)), [1, 3, 4], "records of known shapes");
}

#[test]
fn goes_on_with_another_shape_that_begins_alike() {
    let keys: [&[(&[u8], u8)]; 3] = [
        &[(b"time", 0), (b"log", 0), (b"a", 0)],
        &[(b"time", 0), (b"log", 0), (b"n", 1)],
        &[(b"msg", 0), (b"log", 0), (b"n", 1)],
    ];
    assert_eq!(compare(&[2, 0, 1, 1, 0, 2, 0].map(|at| map(keys[at]))), [3, 4, 5, 6], "records of known shapes");
}

#[test]
fn learns_no_shape_that_it_cannot_copy() {
    let long = [b"k".as_slice(); 2];
    let many: Vec<Vec<u8>> = (0..=MOST_KEYS).map(|n| format!("k{n}").into_bytes()).collect();
    let many: Vec<(&[u8], u8)> = many.iter().map(|name| (name.as_slice(), 0)).collect();
    for record in [map(&[(long[0], 0), (long[1], 5)]), map(&[(b"a", 0), (b"\xff", 0)]), map(&many), map(&[])] {
        let mut with = keys(true);
        let read = Cursor::new(&record).read().unwrap().map().unwrap();
        let mut fields = Fields::default();
        fields.read(&mut with, read, Run::default());
        assert!(with.shapes.known.is_empty(), "learnt {record:x?}");
    }
}

#[test]
fn remembers_few_shapes_and_replaces_them_slowly() {
    let names: Vec<String> = (0..3 * PAUSE).map(|n| format!("k{n}")).collect();
    let records: Vec<Vec<u8>> = names.iter().map(|name| map(&[(name.as_bytes(), 0)])).collect();
    let mut with = keys(true);
    let mut replaced = 0;
    for record in &records {
        let before: Vec<_> = with.shapes.known.iter().map(|shape| shape.encoded.clone()).collect();
        let mut fields = Fields::default();
        fields.read(&mut with, Cursor::new(record).read().unwrap().map().unwrap(), Run::default());
        let now = with.shapes.known.iter().map(|shape| shape.encoded.clone());
        replaced += usize::from(before.len() == MOST && !now.eq(before));
        assert!(with.shapes.known.len() <= MOST);
    }
    assert_eq!(replaced, 2, "shapes that replaced others");
    with.forget();
    assert!(with.shapes.known.is_empty(), "shapes hold numbers of names that are forgotten");
}
