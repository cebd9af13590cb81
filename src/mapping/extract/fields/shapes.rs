//! Remembers the shapes of records: which keys they have, in which order, and which roles those have.
//!
//! The records of an input have a few shapes. A record whose keys are those of a known shape, byte for byte, costs one comparison a
//! key; the names, roles and flags of its fields are copied from the shape. Only what depends on values is looked for again:
//! targets of paths below a field.
//!
//! A record that turns out to have another shape is read on from that key in the ordinary way, so nothing is read twice. Its shape is
//! learnt; once all places are taken, only one of [`PAUSE`] such records replaces a shape, so that inputs without shapes pay next to
//! nothing. Shapes hold names by number, and are forgotten together with the names.

use super::keys::Keys;
use super::path::Role;
use super::{Field, Fields, Found, Scale};
use crate::chunk::msgpack::{Cursor, Seq, Value};
use crate::mapping::extract::interner::{FieldNames, NameId};
use crate::mapping::formats::RowSet;
use std::ops::Range;

/// Most shapes that are remembered.
const MOST: usize = 8;

/// Most keys of a shape.
const MOST_KEYS: usize = 64;

/// Records of unknown shapes for each shape that replaces another one. Learning a shape costs as much as reading a few records.
const PAUSE: u32 = 256;

/// The shapes of the records that came last.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: Vec<Shape>,
    /// The place of the shape of the last record.
    last: usize,
    /// The place of the shape that is replaced next.
    oldest: usize,
    /// Records of unknown shapes since one was replaced.
    since: u32,
    /// Nothing is learnt, so that each record is read in the ordinary way.
    #[cfg(test)]
    pub is_off: bool,
}

/// The keys of a record and all that follows from them.
#[derive(Debug)]
struct Shape {
    keys: Vec<Key>,
    /// All keys as MessagePack.
    encoded: Vec<u8>,
    /// The fields at the top that have a role, as [`Fields::found`] has them.
    found: Vec<Top>,
    roles: u32,
    rows: RowSet,
    has_user: bool,
    has_pod_name: bool,
    /// The places of fields below which paths lead.
    nested: Vec<u32>,
}

/// A key of a shape.
#[derive(Debug)]
struct Key {
    name: NameId,
    /// Its place among the encoded keys.
    encoded: Range<u16>,
    /// Bytes before its text.
    head: u8,
    /// True if the settings remove the field.
    refused: bool,
}

/// A field at the top that has a role.
#[derive(Clone, Copy, Debug)]
struct Top {
    role: Role,
    order: u32,
    place: u32,
}

impl Shape {
    /// Returns the shape of a map whose fields have been read; `None` if a name came twice or is not learnt, or there are
    /// too many.
    fn learn(map: Seq<'_>, fields: &Fields<'_>, names: &FieldNames) -> Option<Self> {
        let mut shape = Self {
            keys: Vec::with_capacity(map.len()),
            encoded: Vec::new(),
            found: Vec::new(),
            roles: 0,
            rows: fields.rows,
            has_user: fields.has_user,
            has_pod_name: fields.has_pod_name,
            nested: Vec::new(),
        };
        let mut cursor = Cursor::new(map.bytes());
        let mut place = 0;
        for _ in 0..map.len() {
            let before = cursor.rest();
            let Value::Str(text) = cursor.read().ok()? else { return None };
            let encoded = &before[..before.len() - cursor.rest().len()];
            cursor.read().ok()?;
            let id = names.find(text)?;
            let name = names.get(id);
            if !name.refused {
                if fields.all.get(place)?.name != Some(id) {
                    return None;
                }
                shape.nested.extend((name.first_below < name.paths.len()).then_some(place as u32));
                place += 1;
            }
            let start = u16::try_from(shape.encoded.len()).ok()?;
            shape.encoded.extend_from_slice(encoded);
            let end = u16::try_from(shape.encoded.len()).ok()?;
            let head = u8::try_from(encoded.len() - text.len()).ok()?;
            shape.keys.push(Key { name: id, encoded: start..end, head, refused: name.refused });
        }
        let top = |found: &Found<'_>| Some(Top { role: found.role, order: found.order, place: found.top? });
        shape.found = fields.found.iter().filter_map(top).collect();
        shape.roles = shape.found.iter().fold(0, |roles, found| roles | found.role.bit());
        (place == fields.all.len()).then_some(shape)
    }

    /// The key at a place as MessagePack.
    #[inline]
    fn encoded(&self, key: &Key) -> &[u8] {
        self.encoded.get(usize::from(key.encoded.start)..usize::from(key.encoded.end)).unwrap_or_default()
    }

    /// Returns true if the shape has the same keys before a place as another one of as many keys, and this key there.
    fn goes_on_like(&self, other: &Self, place: usize, rest: &[u8]) -> bool {
        let same = |(one, two): (&Key, &Key)| one.name == two.name;
        self.keys.len() == other.keys.len()
            && self.keys.get(place).is_some_and(|key| rest.starts_with(self.encoded(key)))
            && self.keys.iter().zip(&other.keys).take(place).all(same)
    }
}

impl Shapes {
    /// Forgets all shapes.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The place of a shape of so many keys: that of the last record, else the first one.
    #[inline]
    fn of_len(&self, len: usize) -> Option<usize> {
        let fits = |shape: &Shape| shape.keys.len() == len;
        if self.known.get(self.last).is_some_and(fits) {
            return Some(self.last);
        }
        self.known.iter().position(fits)
    }

    /// The place of a shape that has the same keys before this one as the shape at `of`, and this key next.
    fn other(&self, of: usize, place: usize, rest: &[u8]) -> Option<usize> {
        let shape = self.known.get(of)?;
        self.known.iter().position(|other| other.goes_on_like(shape, place, rest))
    }

    /// Returns true if the shape of a record that was read in the ordinary way is to be learnt.
    fn is_to_be_learnt(&mut self, fields: &Fields<'_>) -> bool {
        #[cfg(test)]
        if self.is_off {
            return false;
        }
        if fields.odd || fields.all.len() > MOST_KEYS {
            return false;
        }
        self.since = self.since.saturating_add(1);
        self.known.len() < MOST || self.since >= PAUSE
    }

    fn add(&mut self, shape: Shape) {
        self.since = 0;
        if self.known.len() < MOST {
            self.last = self.known.len();
            return self.known.push(shape);
        }
        if let Some(replaced) = self.known.get_mut(self.oldest) {
            *replaced = shape;
            self.last = self.oldest;
            self.oldest = (self.oldest + 1) % MOST;
        }
    }
}

impl<'a> Fields<'a> {
    /// Reads the fields of a map into nothing, as far as they have a known shape, and returns the number of pairs read. The cursor
    /// stands behind them.
    #[inline]
    pub(super) fn read_known(&mut self, keys: &mut Keys, len: usize, cursor: &mut Cursor<'a>) -> usize {
        let Keys { shapes, names, metadata, .. } = keys;
        let Some(mut at) = shapes.of_len(len) else { return 0 };
        let mut shape = &shapes.known[at];
        let mut read = 0;
        while let Some(key) = shape.keys.get(read) {
            let before = cursor.rest();
            let encoded = shape.encoded(key);
            if !cursor.pass(encoded) {
                let Some(other) = shapes.other(at, read, before) else { break };
                (at, shape) = (other, &shapes.known[other]);
                continue;
            }
            let Ok(value) = cursor.read() else {
                *cursor = Cursor::knowing(before, cursor.run());
                break;
            };
            if !key.refused {
                self.note(key.name, self.all.len());
                let text = before.get(usize::from(key.head)..encoded.len()).unwrap_or_default();
                self.all.push(Field { key: Value::Str(text), value, taken: false, name: Some(key.name) });
            }
            self.last = Some(key.name);
            read += 1;
        }
        if read < len {
            self.catch_up(names, metadata);
            return read;
        }
        let found = shape.found.iter().filter_map(|top| {
            let Field { key, value, .. } = *self.all.get(top.place as usize)?;
            let (role, order, top) = (top.role, top.order, Some(top.place));
            Some(Found { role, order, top, key: key.text()?, value, scale: Scale::Words, recognised: false })
        });
        self.found.extend(found);
        self.roles |= shape.roles;
        self.rows |= shape.rows;
        self.has_user |= shape.has_user;
        self.has_pod_name |= shape.has_pod_name;
        for place in &shape.nested {
            self.find_below(*place as usize, names, metadata);
        }
        shapes.last = at;
        read
    }

    /// Learns the shape of a map that has been read in the ordinary way, if it may come again.
    pub(super) fn learn_shape(&self, keys: &mut Keys, map: Seq<'a>) {
        if keys.shapes.is_to_be_learnt(self)
            && let Some(shape) = Shape::learn(map, self, &keys.names)
        {
            keys.shapes.add(shape);
        }
    }
}

#[cfg(test)]
mod tests;
