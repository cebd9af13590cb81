//! The keys that options and known loggers name, with the names that records have used.

use super::path::{Path, Role, follow, is_below_kubernetes, is_of_kubernetes, segments, steps};
use super::shapes::Shapes;
use crate::chunk::msgpack::{Seq, Value};
use crate::mapping::extract::interner::{FieldNames, Meaning, NameId, WELL_KNOWN};
use crate::mapping::formats::{self, Formats};
use crate::mapping::scrub;
use std::collections::HashMap;
use std::ops::Range;

/// All paths, by their first key.
type Paths = HashMap<Box<[u8]>, Vec<Path>>;

/// All configured keys, by first key, and the names that records have used so far.
#[derive(Debug)]
pub struct Keys {
    pub(super) paths: Paths,
    /// Top-level fields that are treated as if they were not there.
    pub(super) refused: Vec<Box<[u8]>>,
    /// Rules that tell which names may have a secret as their value.
    pub(super) scrub: scrub::Rules,
    pub(super) names: FieldNames,
    pub(super) formats: Formats,
    pub(super) metadata: Metadata,
    pub(super) shapes: Shapes,
}

/// Places to which paths lead in the metadata of the container whose record came last.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) map: Vec<u8>,
    /// For each path below `kubernetes`.
    pub(super) found: Vec<Place>,
    /// The number of times that metadata has been learnt.
    pub(super) version: u64,
}

/// Place to which a path leads in a map.
#[derive(Debug)]
pub(super) enum Place {
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
    pub(super) fn is_of(&self, map: Seq<'_>) -> bool {
        self.map == map.bytes() && !self.map.is_empty()
    }

    pub(super) fn learn(&mut self, map: Seq<'_>, paths: &[Path]) {
        self.version += 1;
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
            shapes: Shapes::default(),
        };
        keys.forget();
        keys
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

    pub(super) fn insert(&mut self, key: &[u8], path: Path) {
        self.paths.entry(key.into()).or_default().push(path);
    }

    /// Forgets the names that records have used, between two records. Has to be called after keys were added or refused.
    pub(crate) fn forget(&mut self) {
        let Self { paths, refused, scrub, names, formats, metadata, shapes } = self;
        // Other paths may lead elsewhere.
        *metadata = Metadata { version: metadata.version, ..Metadata::default() };
        shapes.forget();
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
    pub(super) fn learn(&mut self, key: Value<'_>, before: NameId) -> Option<NameId> {
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
