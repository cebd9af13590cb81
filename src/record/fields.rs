//! Finding fields: one pass over a record's keys, one look-up per key, however many options name keys.

use super::json;
use crate::chunk::msgpack::{Seq, Value};
use std::collections::HashMap;

/// What a field is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Holds the message.
    Message,
    /// Holds the severity.
    Level,
    /// Holds the logger's name.
    Logger,
    /// Holds a stack trace.
    Stack,
    /// Holds the environment.
    Environment,
    /// Holds the release.
    Release,
    /// Holds the server's name.
    ServerName,
    /// Holds the trace id.
    TraceId,
    /// Holds the span id.
    SpanId,
    /// Holds the user's id.
    UserId,
    /// Is part of the fingerprint; the number is its place in the template.
    Fingerprint(u8),
    /// Is promoted to a tag.
    Tag,
    /// The map that the kubernetes filter adds.
    Kubernetes,
    /// Known noise of container runtimes and inputs.
    Noise,
}

/// A path to a field: its first key, and the keys below it.
#[derive(Clone, Debug)]
struct Path {
    role: Role,
    rank: u8,
    below: Vec<Box<str>>,
}

/// All configured keys, by first key.
#[derive(Debug, Default)]
pub struct Keys {
    paths: HashMap<Box<[u8]>, Vec<Path>>,
    /// Top-level fields that are treated as if they were not there.
    refused: Vec<Box<[u8]>>,
    /// One bit per length of a first key: most keys of a record are refused without hashing them.
    lengths: u64,
}

/// A field found for a role.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What for.
    pub role: Role,
    /// Its place in the option's list, the first being tried first.
    rank: u8,
    /// Whether the field stands at the top of the record (a nested one stays in its parent when that is sent).
    pub top: bool,
    /// The last key of its path.
    pub key: &'a [u8],
    /// What it holds.
    pub value: Value<'a>,
}

/// A record's top-level fields and what they are good for. Reused from record to record.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// Every field, duplicates removed, the last one kept.
    pub all: Vec<Field<'a>>,
    /// Where each name stands in `all`, by hash; only kept when there are many.
    places: HashMap<u64, usize>,
    found: Vec<Found<'a>>,
}

/// Up to this many fields are compared one by one.
const FEW: usize = 64;

/// A top-level field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name; keys that are no strings are left out of look-ups.
    pub key: Value<'a>,
    /// What it holds.
    pub value: Value<'a>,
    /// Whether some role takes the field away from what is sent as it is.
    pub taken: bool,
}

impl Keys {
    /// Adds an option's list of keys. A dotted name is looked for as it is first, then as a path.
    pub fn add(&mut self, role: Role, names: &[String]) {
        for (rank, name) in names.iter().enumerate() {
            let rank = u8::try_from(rank).unwrap_or(u8::MAX);
            let segments = segments(name);
            self.insert(name.as_bytes(), Path { role, rank, below: Vec::new() });
            if let Some((first, below)) = segments.split_first().filter(|(_, below)| !below.is_empty()) {
                self.insert(first.as_bytes(), Path { role, rank, below: below.to_vec() });
            }
        }
    }

    /// Adds fields that are never sent; those below others are cut out elsewhere.
    pub fn refuse(&mut self, names: &[String]) {
        let top = |name: &String| match segments(name).as_slice() {
            [only] => only.as_bytes().into(),
            _ => name.as_bytes().into(),
        };
        self.refused.extend(names.iter().map(top));
    }

    fn is_refused(&self, key: Value<'_>) -> bool {
        !self.refused.is_empty() && key.text().is_some_and(|key| self.refused.iter().any(|name| **name == *key))
    }

    fn insert(&mut self, key: &[u8], path: Path) {
        self.lengths |= 1 << key.len().min(63);
        self.paths.entry(key.into()).or_default().push(path);
    }

    fn paths(&self, key: &[u8]) -> &[Path] {
        if self.lengths & 1 << key.len().min(63) == 0 {
            return &[];
        }
        self.paths.get(key).map_or(&[], Vec::as_slice)
    }
}

/// `a.b.c`, `$a['b']['c']`, `a['b.c']` as keys.
pub(super) fn segments(name: &str) -> Vec<Box<str>> {
    let name = name.strip_prefix('$').unwrap_or(name);
    let mut segments = Vec::new();
    for (position, part) in name.split('[').enumerate() {
        if position == 0 {
            segments.extend(part.split('.').filter(|key| !key.is_empty()).map(Into::into));
        } else {
            segments.push(part.trim_end_matches(']').trim_matches(['\'', '"']).into());
        }
    }
    segments
}

impl<'a> Fields<'a> {
    /// Forgets the fields and keeps the memory, for a record that lives elsewhere. Collecting in place reuses the
    /// allocation; nothing is left to be converted.
    pub fn recycle<'b>(mut self) -> Fields<'b> {
        self.all.clear();
        self.places.clear();
        self.found.clear();
        let all = self.all.into_iter().map(|field| Field { key: Value::Nil, value: Value::Nil, taken: field.taken });
        let found = self.found.into_iter().map(strip);
        Fields { all: all.collect(), places: self.places, found: found.collect() }
    }

    /// Adds the fields of a map that are not there yet.
    pub fn read_missing(&mut self, keys: &Keys, map: Seq<'a>) {
        for (key, value) in json::last_pairs(map) {
            if self.place(key).is_none() {
                self.add(keys, key, value);
            }
        }
    }

    /// Where a field stands in `all`.
    pub fn place(&self, key: Value<'_>) -> Option<usize> {
        if self.all.len() > FEW {
            return self.places.get(&json::key_hash(key)).copied();
        }
        self.all.iter().position(|field| json::same_key(field.key, key))
    }

    fn append(&mut self, key: Value<'a>, value: Value<'a>) {
        self.all.push(Field { key, value, taken: false });
        match self.all.len() {
            0..=FEW => {}
            len if len == FEW + 1 => self.index(),
            len => drop(self.places.insert(json::key_hash(key), len - 1)),
        }
    }

    fn index(&mut self) {
        let hashes = self.all.iter().enumerate().map(|(place, field)| (json::key_hash(field.key), place));
        self.places = hashes.collect();
    }

    /// Takes a top-level field out, as if it had never been there.
    pub fn remove(&mut self, key: &[u8]) {
        self.all.retain(|field| field.key.text() != Some(key));
        if self.all.len() > FEW {
            self.index();
        }
        self.found.retain(|found| !(found.top && found.key == key));
    }

    /// Adds the fields of a map.
    pub fn read(&mut self, keys: &Keys, map: Seq<'a>) {
        for (key, value) in map.pairs() {
            self.add(keys, key, value);
        }
    }

    /// Adds one field; one of the same name that was there before is replaced.
    pub fn add(&mut self, keys: &Keys, key: Value<'a>, value: Value<'a>) {
        if keys.is_refused(key) {
            return;
        }
        if let Some(place) = self.place(key) {
            self.all[place].value = value;
            let name = key.text().unwrap_or_default();
            self.found.retain(|found| !(found.top && found.key == name));
        } else {
            self.append(key, value);
        }
        let Value::Str(name) = key else { return };
        for path in keys.paths(name) {
            if let Some((key, value)) = follow(name, value, &path.below) {
                let top = path.below.is_empty();
                self.found.push(Found { role: path.role, rank: path.rank, top, key, value });
            }
        }
    }

    /// The candidates for a role, in the order of the option's list.
    pub fn candidates(&self, role: Role) -> impl Iterator<Item = Found<'a>> {
        let mut last = None;
        std::iter::from_fn(move || {
            let ranks = self.found.iter().filter(|found| found.role == role && Some(found.rank) > last);
            let next = ranks.min_by_key(|found| (found.rank, !found.top)).copied()?;
            last = Some(next.rank);
            Some(next)
        })
    }

    /// The first candidate that `accept` makes something of; a top-level field is then no longer sent as it is.
    pub fn take<T>(&mut self, role: Role, accept: impl Fn(Found<'a>) -> Option<T>) -> Option<T> {
        let (found, result) = self.candidates(role).find_map(|found| Some((found, accept(found)?)))?;
        if found.top {
            self.mark(found.key);
        }
        Some(result)
    }

    /// Takes every field of a role.
    pub fn take_all(&mut self, role: Role) {
        for at in 0..self.found.len() {
            let found = self.found[at];
            if found.role == role && found.top {
                self.mark(found.key);
            }
        }
    }

    /// Takes everything that describes a user: without `send_pii` none of it is sent.
    pub fn take_users(&mut self) {
        self.take_all(Role::UserId);
        let describes = |name: &[u8]| name == b"user" || name.starts_with(b"user.");
        for field in self.all.iter_mut().filter(|field| field.key.text().is_some_and(describes)) {
            field.taken = true;
        }
    }

    /// The value of a top-level field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.all.iter().find(|field| field.key == Value::Str(key.as_bytes())).map(|field| field.value)
    }

    /// Takes a top-level field by name.
    pub fn mark(&mut self, key: &[u8]) {
        for field in self.all.iter_mut().filter(|field| field.key.text() == Some(key)) {
            field.taken = true;
        }
    }

    /// Fields that nothing has taken: sent as attributes or extra.
    pub fn rest(&self) -> impl Iterator<Item = &Field<'a>> {
        self.all.iter().filter(|field| !field.taken && field.value != Value::Nil)
    }
}

/// A find without what it borrows.
fn strip<'b>(found: Found<'_>) -> Found<'b> {
    Found { role: found.role, rank: found.rank, top: found.top, key: b"", value: Value::Nil }
}

fn follow<'a>(key: &'a [u8], value: Value<'a>, below: &[Box<str>]) -> Option<(&'a [u8], Value<'a>)> {
    let mut found = (key, value);
    for (depth, segment) in below.iter().enumerate() {
        let map = found.1.map()?;
        // The rest of the path may stand there as one key with its dots: `kubernetes.labels.app.kubernetes.io/name`.
        if let Some(hit) = pair(map, &below[depth..].join(".")) {
            return Some(hit);
        }
        found = pair(map, segment)?;
    }
    Some(found)
}

fn pair<'a>(map: Seq<'a>, key: &str) -> Option<(&'a [u8], Value<'a>)> {
    map.pairs().filter_map(|(k, v)| Some((k.text()?, v))).filter(|(k, _)| *k == key.as_bytes()).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Cursor;

    fn keys(role: Role, names: &[&str]) -> Keys {
        let mut keys = Keys::default();
        keys.add(role, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        keys
    }

    /// `{"a": {"b": 1, "c.d": 2}, "x.y": 3, "z": 4, "z": 5}`
    const RECORD: &[u8] = &[
        0x84, 0xa1, b'a', 0x82, 0xa1, b'b', 1, 0xa3, b'c', b'.', b'd', 2, 0xa3, b'x', b'.', b'y', 3, 0xa1, b'z', 4,
        0xa1, b'z', 5,
    ];

    fn first(names: &[&str]) -> Option<Value<'static>> {
        let keys = keys(Role::Level, names);
        let mut fields = Fields::default();
        fields.read(&keys, Cursor::new(RECORD).read().unwrap().map().unwrap());
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
        let keys = keys(Role::Level, &["z"]);
        let mut fields = Fields::default();
        fields.read(&keys, Cursor::new(RECORD).read().unwrap().map().unwrap());
        assert_eq!(fields.take(Role::Level, |found| (found.value == Value::UInt(5)).then_some(())), Some(()));
        let rest: Vec<_> = fields.rest().filter_map(|field| field.key.text()).collect();
        assert_eq!(rest, [&b"a"[..], b"x.y"]);
    }
}
