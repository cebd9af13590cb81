//! Finds fields in a record: one pass over the record's keys with one look-up per key, however many options name keys.

mod keys;
mod path;
mod roles;
mod shapes;
#[cfg(test)]
mod tests;

use super::interner::{FieldNames, Name, NameId};
use crate::chunk::msgpack::{Cursor, Run, Seq, Value};
use crate::level::Level;
use crate::mapping::encode::json;
use crate::mapping::formats::{self, RowSet, Scale};
pub use keys::Keys;
use keys::{Metadata, Place};
use path::RECOGNISED;
pub(crate) use path::{CHOSEN, DEFAULT, LAST, Step, follow, segments, steps};
pub use path::{Path, Role};
use std::collections::HashMap;

/// A field found for a role.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The role that the field was found for.
    pub role: Role,
    /// Its place among all that is found: by role, then as in the option's list; a field at the top before a nested one.
    order: u32,
    /// Position of the field, if it is one at the top of the record (a nested one stays in its parent when that is sent).
    top: Option<u32>,
    /// The last key of its path.
    pub key: &'a [u8],
    /// The field's value.
    pub value: Value<'a>,
    /// Scale by which the value is read, if the field holds a level.
    pub scale: Scale,
    /// True if it was found as a field of a known logger.
    recognised: bool,
}

/// A record's top-level fields and the roles that they have. Reused from record to record.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// Every field, duplicates removed, the last one kept.
    pub all: Vec<Field<'a>>,
    found: Vec<Found<'a>>,
    /// A bit for each role that something was found for.
    roles: u32,
    /// For each learnt name the record in which it was met last, and its place in `all` there.
    seen: Vec<(u64, u32)>,
    /// This record.
    record: u64,
    /// The name met last.
    last: Option<NameId>,
    /// True if some key here is no learnt name, so that keys have to be compared.
    odd: bool,
    /// Position of each name in `all`, by hash; only kept if some keys are odd and there are many.
    places: HashMap<u64, usize>,
    /// True if something here describes a user.
    has_user: bool,
    /// True if something here may be the name of a pod in lifted metadata.
    has_pod_name: bool,
    /// True while fields are read that the application chose: they never say which pod wrote the record.
    from_application: bool,
    /// The number of fields that were there before those of the message joined them.
    before_message: Option<usize>,
    /// The address of the metadata that was read last, and its version.
    metadata: (usize, u64),
    /// The known loggers that some field here is a mark of.
    rows: RowSet,
    /// The known logger that wrote the record, as a row of the table.
    format: Option<usize>,
}

/// Up to this many fields are compared one by one.
const FEW: usize = 64;

/// A top-level field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name; keys that are no strings are left out of look-ups.
    pub key: Value<'a>,
    /// The field's value.
    pub value: Value<'a>,
    /// True if some role removes the field from those that are sent unchanged.
    pub taken: bool,
    /// Its name, where it is a learnt one.
    pub name: Option<NameId>,
}

impl Found<'_> {
    /// Returns true if the user has set the key.
    pub(crate) fn is_chosen(&self) -> bool {
        ((self.order >> 1) as u8) < RECOGNISED
    }
}

impl<'a> Fields<'a> {
    /// Forgets the fields and keeps the memory, for a record that lives elsewhere. Collecting in place reuses the
    /// allocation; nothing is left to be converted.
    pub fn recycle<'b>(mut self) -> Fields<'b> {
        self.all.clear();
        self.places.clear();
        self.found.clear();
        let nothing =
            |field: Field<'_>| Field { key: Value::Nil, value: Value::Nil, taken: field.taken, name: field.name };
        Fields {
            all: self.all.into_iter().map(nothing).collect(),
            found: self.found.into_iter().map(strip).collect(),
            roles: 0,
            seen: self.seen,
            record: self.record + 1,
            last: None,
            odd: false,
            places: self.places,
            has_user: false,
            has_pod_name: false,
            from_application: false,
            before_message: None,
            metadata: (0, 0),
            rows: 0,
            format: None,
        }
    }

    /// Adds the fields of an opened message that are not there yet; of duplicates in it the last one, at the place of the
    /// first. A `kubernetes` among them is a field like any other.
    pub fn read_missing(&mut self, keys: &mut Keys, map: Seq<'a>) {
        let own = self.all.len();
        self.before_message = self.before_message.or(Some(own));
        self.from_application = true;
        let mut cursor = Cursor::new(map.bytes());
        for _ in 0..map.len() {
            let (Ok(key), Ok(value)) = (cursor.read(), cursor.read()) else { break };
            let name = keys.learn(key, self.last.unwrap_or(NameId::START));
            let place = match name {
                Some(id) if !self.odd => self.seen(id),
                _ => self.place(keys, key),
            };
            if place.is_none_or(|place| place >= own) {
                self.add_as(name, keys, key, value);
            } else if let Some(id) = name {
                self.find_times(&keys.names.get(id).paths, key, value);
            }
        }
        self.from_application = false;
    }

    /// The times of the message in a field that the record itself has too, which is the runtime's time of the line.
    fn find_times(&mut self, paths: &[Path], key: Value<'a>, value: Value<'a>) {
        for path in paths.iter().filter(|path| path.role == Role::Time) {
            let here = (key.text().unwrap_or_default(), value);
            if let Some((key, value)) = follow(here, &path.below) {
                self.insert(Role::Time, path.rank, None, (key, value), Scale::Words, false);
            }
        }
    }

    /// Adds the attributes of an OpenTelemetry resource, scope or record, which the application chose.
    pub fn read_attributes(&mut self, keys: &mut Keys, map: Seq<'a>) {
        self.from_application = true;
        map.pairs().for_each(|(key, value)| self.add(keys, key, value));
        self.from_application = false;
    }

    /// Returns the position of a field in `all`.
    pub fn place(&self, keys: &Keys, key: Value<'_>) -> Option<usize> {
        match key {
            Value::Str(text) if !self.odd => self.seen(keys.names.find(text)?),
            _ => self.compared(key),
        }
    }

    fn seen(&self, name: NameId) -> Option<usize> {
        let (record, place) = *self.seen.get(name.place())?;
        (record == self.record + 1).then_some(place as usize)
    }

    fn compared(&self, key: Value<'_>) -> Option<usize> {
        if self.all.len() > FEW && self.odd {
            return self.places.get(&json::key_hash(key)).copied();
        }
        self.all.iter().position(|field| json::same_key(field.key, key))
    }

    fn append(&mut self, key: Value<'a>, value: Value<'a>, name: Option<NameId>) {
        let place = self.all.len();
        self.all.push(Field { key, value, taken: false, name });
        if let Some(name) = name {
            self.note(name, place);
        }
        match self.all.len() {
            len if !self.odd || len <= FEW => {}
            len if len == FEW + 1 => self.index(),
            _ => drop(self.places.insert(json::key_hash(key), place)),
        }
    }

    /// Notes where a name stands. Records are counted from one here, so that nothing was seen at first.
    #[inline]
    fn note(&mut self, name: NameId, place: usize) {
        if name.place() >= self.seen.len() {
            self.seen.resize(name.place() + 1, (0, 0));
        }
        self.seen[name.place()] = (self.record + 1, place as u32);
    }

    fn index(&mut self) {
        let hashes = self.all.iter().enumerate().map(|(place, field)| (json::key_hash(field.key), place));
        self.places = hashes.collect();
    }

    /// Takes a top-level field out, as if it had never been there.
    pub fn remove(&mut self, key: &[u8]) {
        let Some(gone) = self.all.iter().position(|field| field.key.text() == Some(key)) else { return };
        let field = self.all.remove(gone);
        if let Some(name) = field.name {
            self.seen[name.place()] = (0, 0);
        }
        for place in gone..self.all.len() {
            if let Some(name) = self.all[place].name {
                self.note(name, place);
            }
        }
        if self.odd && self.all.len() > FEW {
            self.index();
        }
        let gone = gone as u32;
        self.found.retain(|found| found.top != Some(gone));
        for found in &mut self.found {
            found.top = found.top.map(|top| top - u32::from(top > gone));
        }
    }

    /// Adds the fields of a record's own map, in which a run of values may stand that has been met before.
    pub fn read(&mut self, keys: &mut Keys, map: Seq<'a>, run: Run<'a>) {
        let is_first = self.all.is_empty();
        let mut cursor = Cursor::knowing(map.bytes(), run);
        let known = if is_first { self.read_known(keys, map.len(), &mut cursor) } else { 0 };
        if known == map.len() {
            return;
        }
        for _ in known..map.len() {
            let (Ok(key), Ok(value)) = (cursor.read(), cursor.read()) else { break };
            self.add(keys, key, value);
        }
        if is_first {
            self.learn_shape(keys, map);
        }
    }

    /// Adds one field; one of the same name that was there before is replaced.
    pub fn add(&mut self, keys: &mut Keys, key: Value<'a>, value: Value<'a>) {
        let name = keys.learn(key, self.last.unwrap_or(NameId::START));
        self.add_as(name, keys, key, value);
    }

    #[inline]
    fn add_as(&mut self, name: Option<NameId>, keys: &mut Keys, key: Value<'a>, value: Value<'a>) {
        let Some(id) = name else { return self.add_odd(keys, key, value) };
        self.last = name;
        let name = keys.names.get(id);
        if name.refused {
            return;
        }
        let known = if self.odd { self.compared(key) } else { self.seen(id) };
        let place = self.put(known, key, value, Some(id));
        self.apply_name((id, name), place, &mut keys.metadata);
    }

    /// Sets the flags that the name of a field stands for, and finds the targets of the paths that begin with it.
    #[inline]
    fn apply_name(&mut self, (id, name): (NameId, &Name), place: usize, metadata: &mut Metadata) {
        if !name.has_meaning {
            return;
        }
        let Field { key, value, .. } = self.all[place];
        self.has_user |= name.of_user;
        self.rows |= name.rows;
        self.has_pod_name |= name.of_pod && !self.from_application;
        match value {
            Value::Map(map) if id == NameId::KUBERNETES => {
                self.find_in_metadata((&name.paths, 0), map, place, metadata);
            }
            _ => self.find((&name.paths, 0), key, value, place),
        }
    }

    /// Applies the names of all fields, which have only been put into their places so far.
    fn catch_up(&mut self, names: &FieldNames, metadata: &mut Metadata) {
        for place in 0..self.all.len() {
            if let Some(id) = self.all[place].name {
                self.apply_name((id, names.get(id)), place, metadata);
            }
        }
    }

    /// Adds one whose name is not learnt.
    fn add_odd(&mut self, keys: &Keys, key: Value<'a>, value: Value<'a>) {
        let name = key.text().unwrap_or_default();
        if key.text().is_some() && keys.refused.iter().any(|refused| **refused == *name) {
            return;
        }
        if !std::mem::replace(&mut self.odd, true) && self.all.len() > FEW {
            self.index();
        }
        let place = self.put(self.compared(key), key, value, None);
        self.has_user = true;
        if let (Value::Str(_), Some(paths)) = (key, keys.paths.get(name)) {
            self.find((paths, 0), key, value, place);
        }
    }

    fn put(&mut self, known: Option<usize>, key: Value<'a>, value: Value<'a>, name: Option<NameId>) -> usize {
        let Some(place) = known else {
            self.append(key, value, name);
            return self.all.len() - 1;
        };
        self.all[place].value = value;
        self.found.retain(|found| found.top != Some(place as u32));
        place
    }

    #[inline]
    fn find(&mut self, paths: (&[Path], usize), key: Value<'a>, value: Value<'a>, place: usize) {
        let here = (key.text().unwrap_or_default(), value);
        self.find_by(paths, here, place, |path, _| follow(here, &path.below));
    }

    /// Finds the targets of paths that lead below the field at a place, and not of those that end there.
    fn find_below(&mut self, place: usize, names: &FieldNames, metadata: &mut Metadata) {
        let Field { key, value, name: Some(id), .. } = self.all[place] else { return };
        let Value::Map(map) = value else { return };
        let name = names.get(id);
        let paths = (&*name.paths, name.first_below);
        if id == NameId::KUBERNETES {
            return self.find_in_metadata(paths, map, place, metadata);
        }
        self.find(paths, key, value, place);
    }

    /// Finds the targets of paths in the kubernetes filter's metadata, which is the same for all records of a container.
    fn find_in_metadata(&mut self, paths: (&[Path], usize), map: Seq<'a>, place: usize, known: &mut Metadata) {
        let here = (&b"kubernetes"[..], Value::Map(map));
        if !known.is_of(map) {
            known.learn(map, paths.0);
        }
        self.metadata = (map.bytes().as_ptr().addr(), known.version);
        self.find_by(paths, here, place, |path, at| match known.found.get(at)? {
            Place::Text { key, text } => Some((&map.bytes()[key.clone()], Value::Str(&map.bytes()[text.clone()]))),
            Place::Nowhere => None,
            Place::Elsewhere => follow(here, &path.below),
        });
    }

    #[inline]
    fn find_by(
        &mut self,
        (paths, from): (&[Path], usize),
        here: (&'a [u8], Value<'a>),
        place: usize,
        below: impl Fn(&Path, usize) -> Option<(&'a [u8], Value<'a>)>,
    ) {
        let (from_application, opened) = (self.from_application, self.has_opened());
        for (at, path) in paths.iter().enumerate().skip(from) {
            // The record's own time is not in its fields.
            if from_application && path.host_only || path.role == Role::Time && !opened {
                continue;
            }
            let found = if path.below.is_empty() { Some(here) } else { below(path, at) };
            let Some(found) = found else { continue };
            let top = path.below.is_empty().then_some(place as u32);
            self.insert(path.role, path.rank, top, found, Scale::Words, false);
        }
    }

    fn insert(
        &mut self,
        role: Role,
        rank: u8,
        top: Option<u32>,
        (key, value): (&'a [u8], Value<'a>),
        scale: Scale,
        recognised: bool,
    ) {
        let order = role.number() << 16 | u32::from(rank) << 1 | u32::from(top.is_none());
        self.roles |= role.bit();
        let found = Found { role, order, top, key, value, scale, recognised };
        // Most come in order.
        if self.found.last().is_none_or(|last| last.order <= order) {
            return self.found.push(found);
        }
        let at = self.found.iter().rposition(|found| found.order <= order).map_or(0, |before| before + 1);
        self.found.insert(at, found);
    }

    /// Returns the version of the metadata in this map of the record: maps of the same version are equal. `None` if it is not known.
    #[inline]
    pub fn version_of(&self, map: Seq<'_>) -> Option<u64> {
        let (address, version) = self.metadata;
        (address == map.bytes().as_ptr().addr() && version > 0).then_some(version)
    }

    /// Returns true if metadata of the kubernetes filter may have been lifted to the top of the record.
    pub fn may_be_lifted(&self) -> bool {
        self.has_pod_name && self.candidates(Role::Kubernetes).next().is_none()
    }

    /// Finds out which known logger wrote the record, from the fields that have been read so far, and where its parts are.
    #[inline]
    pub fn recognise(&mut self, keys: &Keys) {
        if self.rows != 0 {
            self.recognise_marked(keys);
        }
    }

    fn recognise_marked(&mut self, keys: &Keys) {
        self.found.retain(|found| !found.recognised);
        self.format = keys.formats.recognise(self.rows, |name| self.top(name));
        let Some(row) = self.format else { return };
        for target in keys.formats.targets(row) {
            let not_taken = |(place, _, _): &(usize, &[u8], Value<'_>)| !self.all[*place].taken;
            let found = target.place.find(|name| self.top(name).filter(not_taken));
            let Some((place, key, value)) = found else { continue };
            // The node's name, if there is one, says more than the name that a container has for itself.
            let first = if target.role == Role::ServerName { LAST } else { RECOGNISED };
            let rank = first + target.rank.min(49) as u8;
            self.insert(target.role, rank, place.map(|place| place as u32), (key, value), target.scale, true);
        }
    }

    /// A top-level field with its place.
    fn top(&self, name: NameId) -> Option<(usize, &'a [u8], Value<'a>)> {
        let place = self.seen(name)?;
        let field = self.all.get(place)?;
        Some((place, field.key.text()?, field.value))
    }

    /// The level of a record of the recognised logger that has no field for it, and the field that is missing.
    pub fn level_of_format(&self) -> Option<(Level, &'static [u8])> {
        formats::ROWS.get(self.format?)?.absent()
    }
}

/// Returns a find without the data that it borrows.
fn strip<'b>(found: Found<'_>) -> Found<'b> {
    let Found { role, order, top, scale, recognised, .. } = found;
    Found { role, order, top, key: b"", value: Value::Nil, scale, recognised }
}
