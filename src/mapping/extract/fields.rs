//! Finds fields in a record: one pass over the record's keys with one look-up per key, however many options name keys.

use super::interner::{FieldNames, Meaning, NameId, WELL_KNOWN};
use crate::chunk::msgpack::{Run, Seq, Value};
use crate::level::Level;
use crate::mapping::encode::json;
use crate::mapping::formats::{self, Formats, RowSet, Scale};
use crate::mapping::scrub;
use std::collections::HashMap;
use std::ops::Range;

/// Purpose of a field.
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
    /// The path of the file that a line came from (`Path_Key` of the tail input).
    FilePath,
    /// Holds the time that the logger itself gives.
    Time,
    /// Holds the type of the exception whose stack trace is in the record.
    ErrorType,
    /// Holds the message of that exception.
    ErrorMessage,
}

/// A path to a field: its first key, and the keys below it.
#[derive(Clone, Debug)]
pub struct Path {
    role: Role,
    rank: u8,
    /// True if only a field that Fluent Bit added may be found here, because it says which pod wrote the record.
    host_only: bool,
    /// The rest of the path from each of its keys on, as one key with dots: it may stand there in that form.
    below: Box<[Step]>,
}

/// All paths, by their first key.
type Paths = HashMap<Box<[u8]>, Vec<Path>>;

/// One key below the first of a path.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    key: Box<str>,
    rest: Box<str>,
}

/// Ranks of the keys that the user has set; a list is no longer than this.
pub(crate) const CHOSEN: u8 = 0;
/// Ranks of the fields of a known logger.
const RECOGNISED: u8 = 100;
/// Ranks of the defaults of the options.
pub(crate) const DEFAULT: u8 = 150;
/// Ranks of the keys that no option names.
pub(crate) const LAST: u8 = 200;

/// All configured keys, by first key, and the names that records have used so far.
#[derive(Debug)]
pub struct Keys {
    paths: Paths,
    /// Top-level fields that are treated as if they were not there.
    refused: Vec<Box<[u8]>>,
    /// Rules that tell which names may have a secret as their value.
    scrub: scrub::Rules,
    names: FieldNames,
    formats: Formats,
    metadata: Metadata,
}

/// Places to which paths lead in the metadata of the container whose record came last.
#[derive(Debug, Default)]
struct Metadata {
    map: Vec<u8>,
    /// For each path below `kubernetes`.
    found: Vec<Place>,
}

/// Place to which a path leads in a map.
#[derive(Debug)]
enum Place {
    /// To a text: its key and the text itself, in the map's bytes.
    Text {
        key: Range<usize>,
        text: Range<usize>,
    },
    Nowhere,
    /// To something else, which is looked for again.
    Elsewhere,
}

impl Metadata {
    fn is_of(&self, map: Seq<'_>) -> bool {
        self.map == map.bytes() && !self.map.is_empty()
    }

    fn learn(&mut self, map: Seq<'_>, paths: &[Path]) {
        self.map.clear();
        self.map.extend_from_slice(map.bytes());
        let start = map.bytes().as_ptr().addr();
        let place = |part: &[u8]| part.as_ptr().addr() - start..part.as_ptr().addr() - start + part.len();
        let found = |path: &Path| match follow((b"kubernetes", Value::Map(map)), &path.below) {
            Some((key, Value::Str(text))) if !path.below.is_empty() => {
                Place::Text { key: place(key), text: place(text) }
            }
            Some(_) => Place::Elsewhere,
            None => Place::Nowhere,
        };
        self.found = paths.iter().map(found).collect();
    }
}

impl Default for Keys {
    fn default() -> Self {
        let formats = Formats::new(NameId::of_well_known, WELL_KNOWN.len());
        let mut keys = Self {
            paths: HashMap::new(),
            refused: Vec::new(),
            scrub: scrub::Rules::default(),
            names: FieldNames::default(),
            formats,
            metadata: Metadata::default(),
        };
        keys.forget();
        keys
    }
}

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

impl Role {
    fn bit(self) -> u32 {
        1 << self.number().min(31)
    }

    fn number(self) -> u32 {
        match self {
            Self::Message => 0,
            Self::Level => 1,
            Self::Logger => 2,
            Self::Stack => 3,
            Self::Environment => 4,
            Self::Release => 5,
            Self::ServerName => 6,
            Self::TraceId => 7,
            Self::SpanId => 8,
            Self::UserId => 9,
            Self::Tag => 10,
            Self::Kubernetes => 11,
            Self::Noise => 12,
            Self::FilePath => 13,
            Self::Time => 14,
            Self::ErrorType => 15,
            Self::ErrorMessage => 16,
            Self::Fingerprint(place) => 31 + u32::from(place),
        }
    }
}

impl Keys {
    /// Adds a list of keys, the first of which has rank `first`. A dotted name is looked for as it is first, then as a path.
    pub fn add(&mut self, role: Role, first: u8, names: &[String]) {
        for (rank, name) in names.iter().enumerate() {
            let rank = first.saturating_add(u8::try_from(rank).unwrap_or(u8::MAX));
            let segments = segments(name);
            let host_only =
                role == Role::FilePath || is_of_kubernetes(name.as_bytes()) || is_below_kubernetes(&segments);
            self.insert(name.as_bytes(), Path { role, rank, host_only, below: [].into() });
            if let Some((first, below)) = segments.split_first().filter(|(_, below)| !below.is_empty()) {
                self.insert(first.as_bytes(), Path { role, rank, host_only, below: steps(below) });
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

    /// Sets the rules that say which texts are secrets.
    pub fn scrub(&mut self, scrub: &scrub::Rules) {
        self.scrub = scrub.clone();
    }

    fn insert(&mut self, key: &[u8], path: Path) {
        self.paths.entry(key.into()).or_default().push(path);
    }

    /// Forgets the names that records have used, between two records. Has to be called after keys were added or refused.
    pub(crate) fn forget(&mut self) {
        let Self { paths, refused, scrub, names, formats, metadata } = self;
        // Other paths may lead elsewhere.
        *metadata = Metadata::default();
        names.reset(formats.names(), |text| meaning((paths, refused, scrub), text));
    }

    /// Makes room for new names, between two records.
    pub fn renew(&mut self) {
        if self.names.is_full() {
            self.forget();
        }
    }

    /// Returns true if some field of a map has a role by its name. Paths to nested fields do not count, nor does `body`,
    /// which is the name of many fields that hold no message.
    pub(crate) fn has(&self, map: Seq<'_>, role: Role) -> bool {
        let is_it = |path: &Path| path.role == role && path.below.is_empty();
        let texts = map.pairs().filter(|(_, value)| *value != Value::Nil).filter_map(|(key, _)| key.text());
        texts
            .filter(|text| *text != b"body")
            .any(|text| self.paths.get(text).is_some_and(|paths| paths.iter().any(is_it)))
    }

    /// Returns true if a map is a record of a known logger and has a message.
    pub(crate) fn is_of_logger(&self, map: Seq<'_>) -> bool {
        let rows = map.pairs().fold(0, |rows, (key, _)| rows | key.text().map_or(0, formats::marked));
        rows != 0 && self.formats.has_message(rows, map, &self.names)
    }

    /// The names learnt so far.
    #[must_use]
    pub fn names(&self) -> &FieldNames {
        &self.names
    }

    #[inline]
    fn learn(&mut self, key: Value<'_>, before: NameId) -> Option<NameId> {
        let Self { paths, refused, scrub, names, .. } = self;
        let Value::Str(text) = key else { return None };
        names.learn(text, before, |text| meaning((paths, refused, scrub), text))
    }
}

fn meaning((paths, refused, scrub): (&Paths, &[Box<[u8]>], &scrub::Rules), text: &[u8]) -> Meaning {
    Meaning {
        paths: paths.get(text).cloned().unwrap_or_default(),
        refused: refused.iter().any(|name| **name == *text),
        sensitive: scrub.is_sensitive(text),
        rows: formats::marked(text),
    }
}

/// Returns true for `kubernetes` and for one of its fields written with dots.
fn is_of_kubernetes(name: &[u8]) -> bool {
    name.strip_prefix(b"kubernetes").is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

fn is_below_kubernetes(segments: &[Box<str>]) -> bool {
    segments.first().is_some_and(|first| &**first == "kubernetes")
}

pub(crate) fn steps(below: &[Box<str>]) -> Box<[Step]> {
    let step = |depth: usize| Step { key: below[depth].clone(), rest: below[depth..].join(".").into() };
    (0..below.len()).map(step).collect()
}

/// `a.b.c`, `$a['b']['c']`, `a['b.c']` as keys.
pub(crate) fn segments(name: &str) -> Vec<Box<str>> {
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
        for (key, value) in map.pairs() {
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
    }

    /// The times of the message in a field that the record itself has too, which is the runtime's time of the line.
    fn find_times(&mut self, paths: &[Path], key: Value<'a>, value: Value<'a>) {
        for path in paths.iter().filter(|path| path.role == Role::Time) {
            let here = (key.text().unwrap_or_default(), value);
            if let Some((key, value)) = follow(here, &path.below) {
                self.insert(Role::Time, path.rank, None, (key, value), Scale::Words, false);
            }
        }
        self.from_application = false;
    }

    /// Adds the attributes of an OpenTelemetry resource, scope or record, which the application chose.
    pub fn read_attributes(&mut self, keys: &mut Keys, map: Seq<'a>) {
        self.from_application = true;
        self.read(keys, map, Run::default());
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

    /// Adds the fields of a map, in which a run of values may stand that has been met before.
    pub fn read(&mut self, keys: &mut Keys, map: Seq<'a>, run: Run<'a>) {
        map.pairs_knowing(run).for_each(|(key, value)| self.add(keys, key, value));
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
        self.has_user |= name.of_user;
        self.rows |= name.rows;
        self.has_pod_name |= name.of_pod && !self.from_application;
        match value {
            Value::Map(map) if id == NameId::KUBERNETES => {
                self.find_in_metadata(&name.paths, map, place, &mut keys.metadata);
            }
            _ => self.find(&name.paths, key, value, place),
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
            self.find(paths, key, value, place);
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
    fn find(&mut self, paths: &[Path], key: Value<'a>, value: Value<'a>, place: usize) {
        let here = (key.text().unwrap_or_default(), value);
        self.find_by(paths, here, place, |path, _| follow(here, &path.below));
    }

    /// Finds the targets of paths in the kubernetes filter's metadata, which is the same for all records of a container.
    fn find_in_metadata(&mut self, paths: &[Path], map: Seq<'a>, place: usize, known: &mut Metadata) {
        let here = (&b"kubernetes"[..], Value::Map(map));
        if !known.is_of(map) {
            known.learn(map, paths);
        }
        self.find_by(paths, here, place, |path, at| match known.found.get(at)? {
            Place::Text { key, text } => Some((&map.bytes()[key.clone()], Value::Str(&map.bytes()[text.clone()]))),
            Place::Nowhere => None,
            Place::Elsewhere => follow(here, &path.below),
        });
    }

    #[inline]
    fn find_by(
        &mut self,
        paths: &[Path],
        here: (&'a [u8], Value<'a>),
        place: usize,
        below: impl Fn(&Path, usize) -> Option<(&'a [u8], Value<'a>)>,
    ) {
        let (from_application, opened) = (self.from_application, self.has_opened());
        for (at, path) in paths.iter().enumerate() {
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
        let at = self.found.iter().rposition(|found| found.order <= order).map_or(0, |before| before + 1);
        self.found.insert(at, Found { role, order, top, key, value, scale, recognised });
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

    /// Returns true if the application chose some of the fields: those of a message, or those of a container's record, which
    /// may have been merged.
    pub fn of_application(&self) -> bool {
        let container = self.seen(NameId::STREAM).is_some() || self.roles & Role::Kubernetes.bit() != 0;
        self.has_opened() || container
    }

    /// Returns true if a message was opened and its fields joined the record's.
    pub fn has_opened(&self) -> bool {
        self.before_message.is_some()
    }

    /// Returns true if a field found came from the message, or is a nested one.
    pub fn is_opened(&self, found: &Found<'_>) -> bool {
        self.before_message.is_some_and(|count| found.top.is_none_or(|top| top as usize >= count))
    }

    /// The candidates for a role, in the order of the option's list.
    pub fn candidates(&self, role: Role) -> impl Iterator<Item = Found<'a>> {
        let found = if self.roles & role.bit() == 0 { &[] } else { self.found.as_slice() };
        let start = found.iter().position(|found| found.role == role).unwrap_or(found.len());
        let mut last = None;
        // Of the fields that one name of the list leads to, the first counts.
        found[start..].iter().take_while(move |found| found.role == role).copied().filter(move |found| {
            let rank = Some(found.order >> 1);
            std::mem::replace(&mut last, rank) != rank
        })
    }

    /// The first candidate that `accept` makes something of; a top-level field is then no longer sent as it is.
    #[inline]
    pub fn take<T>(&mut self, role: Role, accept: impl Fn(Found<'a>) -> Option<T>) -> Option<T> {
        if self.roles & role.bit() == 0 {
            return None;
        }
        let (found, result) = self.candidates(role).find_map(|found| Some((found, accept(found)?)))?;
        if let Some(place) = found.top {
            self.all[place as usize].taken = true;
        }
        Some(result)
    }

    /// Takes a field that was found, if it is not nested.
    pub fn mark_found(&mut self, found: &Found<'_>) {
        if let Some(field) = found.top.and_then(|place| self.all.get_mut(place as usize)) {
            field.taken = true;
        }
    }

    /// Takes every field of a role.
    pub fn take_all(&mut self, role: Role) {
        for found in self.found.iter().filter(|found| found.role == role) {
            if let Some(place) = found.top {
                self.all[place as usize].taken = true;
            }
        }
    }

    /// Takes everything that describes a user: without `send_pii` none of it is sent.
    pub fn take_users(&mut self) {
        self.take_all(Role::UserId);
        if !self.has_user {
            return;
        }
        let describes = |name: &[u8]| name == b"user" || name.starts_with(b"user.");
        for field in self.all.iter_mut().filter(|field| field.key.text().is_some_and(describes)) {
            field.taken = true;
        }
    }

    /// The value of a top-level field.
    #[must_use]
    pub fn get(&self, name: NameId) -> Option<Value<'a>> {
        self.seen(name).map(|place| self.all[place].value)
    }

    /// The value of a top-level field that was there before the message was opened.
    #[must_use]
    pub fn get_before_message(&self, name: NameId) -> Option<Value<'a>> {
        let place = self.seen(name)?;
        self.before_message.is_none_or(|count| place < count).then(|| self.all[place].value)
    }

    /// Takes a top-level field.
    pub fn mark(&mut self, name: NameId) {
        let place = match self.seen(name) {
            None if self.odd => self.all.iter().position(|field| field.key.text() == Some(name.well_known())),
            seen => seen,
        };
        if let Some(place) = place {
            self.all[place].taken = true;
        }
    }

    /// Fields that nothing has taken: sent as attributes or extra.
    pub fn rest(&self) -> impl Iterator<Item = &Field<'a>> {
        self.all.iter().filter(|field| !field.taken && field.value != Value::Nil)
    }
}

/// Returns a find without the data that it borrows.
fn strip<'b>(found: Found<'_>) -> Found<'b> {
    let Found { role, order, top, scale, recognised, .. } = found;
    Found { role, order, top, key: b"", value: Value::Nil, scale, recognised }
}

pub(crate) fn follow<'a>(mut found: (&'a [u8], Value<'a>), below: &[Step]) -> Option<(&'a [u8], Value<'a>)> {
    for (depth, step) in below.iter().enumerate() {
        let map = found.1.map()?;
        // The rest of the path may stand there as one key with its dots: `kubernetes.labels.app.kubernetes.io/name`.
        if let Some(hit) = map.pair(&step.rest) {
            return Some(hit);
        }
        if depth + 1 == below.len() {
            return None;
        }
        found = map.pair(&step.key)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
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
        0x84, 0xa1, b'a', 0x82, 0xa1, b'b', 1, 0xa3, b'c', b'.', b'd', 2, 0xa3, b'x', b'.', b'y', 3, 0xa1, b'z', 4,
        0xa1, b'z', 5,
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
}
