//! Interns the names of fields: for each name, its meaning under the settings and its text in a log are worked out once.
//!
//! The records of a container have the same fields in the same order, so each name remembers which name followed it last
//! time. A name then usually costs one comparison. Chunks choose the names, so the number and length of the remembered names
//! are bounded.

use super::fields::Path;
use super::lifted;
use crate::mapping::encode::json;
use crate::mapping::formats::RowSet;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64;

/// Stands for a name; the same as long as [`FieldNames`] are not forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameId(u16);

impl NameId {
    /// Before the first field.
    pub const START: Self = Self(0);
    /// The runtime's `stdout` or `stderr`.
    pub const STREAM: Self = Self(1);
    /// The runtime's time of a line.
    pub const TIME: Self = Self(2);
    /// A container's line.
    pub const LOG: Self = Self(3);
    /// journald's unit.
    pub const UNIT: Self = Self(4);
    /// Syslog's host.
    pub const HOST: Self = Self(5);
    /// Syslog's program.
    pub const IDENT: Self = Self(6);
    /// OpenTelemetry's service.
    pub const SERVICE: Self = Self(7);
    /// The environment as a log has it.
    pub const ENVIRONMENT: Self = Self(8);
    /// The release as a log has it.
    pub const RELEASE: Self = Self(9);
    /// The server's name as a log has it.
    pub const ADDRESS: Self = Self(10);
    /// The logger as a log has it.
    pub const LOGGER: Self = Self(11);
    /// The user as a log has it.
    pub const USER: Self = Self(12);
    /// The record's own time where a log cannot have it.
    pub const RECORD_TIME: Self = Self(13);
    /// The runtime's `stdout` or `stderr` as a log has it.
    pub const IO_STREAM: Self = Self(14);
    /// The order of logs within a microsecond.
    pub const SEQUENCE: Self = Self(15);
    /// The name that a program gives itself in journald.
    pub const IDENTIFIER: Self = Self(16);
    /// The file that a line was read from as a log has it.
    pub const FILE_PATH: Self = Self(17);
    /// The object that a Kubernetes event is about.
    pub const INVOLVED_OBJECT: Self = Self(18);
    /// The number of a message of the kernel's, from the `kmsg` input.
    pub const KERNEL_SEQUENCE: Self = Self(19);
    /// The transport by which a line came to journald.
    pub const TRANSPORT: Self = Self(20);
    /// The same with the `Lowercase` of the `systemd` input.
    pub const TRANSPORT_LOWER: Self = Self(21);
    /// The container whose output Docker's or Podman's journald driver wrote.
    pub const JOURNAL_CONTAINER: Self = Self(22);
    /// The same with the `Lowercase` of the `systemd` input.
    pub const JOURNAL_CONTAINER_LOWER: Self = Self(23);
    /// The map that the kubernetes filter adds.
    pub const KUBERNETES: Self = Self(24);

    /// The text of a well-known one, else nothing.
    pub fn well_known(self) -> &'static [u8] {
        WELL_KNOWN.get(self.place()).map_or(&[], |text| text.as_bytes())
    }

    /// The number of the name at a place; names of the table of known loggers follow the well-known ones.
    pub(crate) fn at(place: usize) -> Self {
        Self(place as u16)
    }

    /// The number of a name that is always known.
    pub(crate) fn of_well_known(text: &str) -> Option<Self> {
        WELL_KNOWN.iter().position(|known| *known == text).map(Self::at)
    }

    /// Its place among all.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// In the order of their numbers.
pub(crate) const WELL_KNOWN: [&str; 25] = [
    "",
    "stream",
    "time",
    "log",
    "_SYSTEMD_UNIT",
    "host",
    "ident",
    "service.name",
    "sentry.environment",
    "sentry.release",
    "server.address",
    "logger.name",
    "user.id",
    "log.record.time",
    "log.iostream",
    "sentry.timestamp.sequence",
    "SYSLOG_IDENTIFIER",
    "log.file.path",
    "involvedObject",
    "sequence",
    "_TRANSPORT",
    "_transport",
    "CONTAINER_NAME",
    "container_name",
    "kubernetes",
];

/// A longer name is not learnt.
const LONGEST: usize = 128;

/// Most names that are remembered.
const MOST: usize = 2_048;

/// A name that records use.
#[derive(Debug)]
pub struct Name {
    text: Box<[u8]>,
    /// The name that followed this one last time.
    next: NameId,
    /// Paths that the settings look for: those that end here, then those that lead below.
    pub paths: Box<[Path]>,
    /// The place of the first path that leads below.
    pub first_below: usize,
    /// True if it is treated as if it did not exist.
    pub refused: bool,
    /// True if the name says that the values under it may be secret.
    pub sensitive: bool,
    /// True if its value describes a user.
    pub of_user: bool,
    /// The known loggers whose records this name marks.
    pub rows: RowSet,
    /// False if it has no path, marks no logger and is of neither a user nor a pod.
    pub has_meaning: bool,
    /// True if it may be the key of a pod's name in lifted metadata.
    pub of_pod: bool,
    /// The beginning of an attribute of this name: `,"name":{"value":`.
    pub attribute: Box<[u8]>,
    /// [`xxh3_64`] of the name.
    pub hash: u64,
}

impl Name {
    /// The name itself.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// The meaning that the settings give to a new name.
pub struct Meaning {
    /// Paths that the settings look for there or below.
    pub paths: Vec<Path>,
    /// True if the settings remove it.
    pub refused: bool,
    /// True if the name says that the values under it may be secret.
    pub sensitive: bool,
    /// The known loggers whose records it marks.
    pub rows: RowSet,
}

/// All names learnt so far.
#[derive(Debug, Default)]
pub struct FieldNames {
    all: Vec<Name>,
    places: HashMap<u64, NameId, BuildHasherDefault<Hashed>>,
}

impl FieldNames {
    /// The name of this text that came behind another; `None` for one that is not to be learnt.
    #[inline]
    pub fn learn(&mut self, text: &[u8], before: NameId, meaning: impl FnOnce(&[u8]) -> Meaning) -> Option<NameId> {
        let guess = self.all.get(before.place())?.next;
        if guess != NameId::START && *self.all[guess.place()].text == *text {
            return Some(guess);
        }
        let found = self.find(text).or_else(|| self.add(text, meaning))?;
        self.all[before.place()].next = found;
        Some(found)
    }

    /// The name of this text, if it is known.
    pub fn find(&self, text: &[u8]) -> Option<NameId> {
        let found = self.places.get(&xxh3_64(text)).copied()?;
        (*self.all[found.place()].text == *text).then_some(found)
    }

    /// The name that this stands for.
    #[inline]
    pub fn get(&self, name: NameId) -> &Name {
        &self.all[name.place()]
    }

    fn add(&mut self, text: &[u8], meaning: impl FnOnce(&[u8]) -> Meaning) -> Option<NameId> {
        let hash = xxh3_64(text);
        // What is not UTF-8 is compared as it will be written, elsewhere.
        let fits = self.all.len() < MOST && text.len() <= LONGEST && std::str::from_utf8(text).is_ok();
        if !fits || self.places.contains_key(&hash) {
            return None;
        }
        let id = NameId(u16::try_from(self.all.len()).ok()?);
        self.places.insert(hash, id);
        let Meaning { paths, refused, sensitive, rows } = meaning(text);
        let (mut paths, below): (Vec<Path>, Vec<Path>) = paths.into_iter().partition(Path::ends);
        let first_below = paths.len();
        paths.extend(below);
        let mut attribute = Vec::new();
        json::head_of_attribute(&mut attribute, text);
        let (of_user, of_pod) = (text == b"user" || text.starts_with(b"user."), text.ends_with(lifted::POD_NAME));
        let has_meaning = !paths.is_empty() || of_user || rows != 0 || of_pod;
        self.all.push(Name {
            text: text.into(),
            next: NameId::START,
            paths: paths.into(),
            first_below,
            refused,
            sensitive,
            of_user,
            rows,
            has_meaning,
            of_pod,
            attribute: attribute.into(),
            hash,
        });
        Some(id)
    }

    /// Forgets all names, then learns the well-known ones and these again, in this order, so that their numbers stay.
    pub fn reset(&mut self, also: &[&str], meaning: impl Fn(&[u8]) -> Meaning) {
        self.all.clear();
        self.places.clear();
        for name in WELL_KNOWN.iter().chain(also) {
            self.add(name.as_bytes(), &meaning);
        }
    }

    /// Returns true if there is no room for more names.
    pub fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }
}

/// A hasher for values that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &[u8]) -> Meaning {
        Meaning { paths: Vec::new(), refused: false, sensitive: false, rows: 0 }
    }

    fn names() -> FieldNames {
        let mut names = FieldNames::default();
        names.reset(&[], nothing);
        names
    }

    #[test]
    fn the_well_known_ones_have_their_numbers() {
        let names = names();
        for (id, text) in [
            (NameId::STREAM, "stream"),
            (NameId::UNIT, "_SYSTEMD_UNIT"),
            (NameId::SERVICE, "service.name"),
            (NameId::SEQUENCE, "sentry.timestamp.sequence"),
            (NameId::INVOLVED_OBJECT, "involvedObject"),
            (NameId::TRANSPORT_LOWER, "_transport"),
            (NameId::JOURNAL_CONTAINER_LOWER, "container_name"),
            (NameId::KUBERNETES, "kubernetes"),
        ] {
            assert_eq!(names.find(text.as_bytes()), Some(id));
            assert_eq!(names.get(id).text(), text.as_bytes());
        }
    }

    #[test]
    fn a_name_is_the_same_whatever_came_before_it() {
        let mut names = names();
        let mut of = |text: &[u8], before| names.learn(text, before, nothing).unwrap();
        let (a, b) = (of(b"a", NameId::START), of(b"b", NameId::START));
        assert_ne!(a, b);
        assert_eq!([of(b"a", b), of(b"b", a), of(b"a", NameId::START)], [a, b, a]);
    }

    #[test]
    fn an_empty_name_and_those_that_are_not_learnt() {
        let mut names = names();
        assert_eq!(names.learn(b"", NameId::START, nothing), Some(NameId::START));
        assert_eq!(names.learn(b"\xff", NameId::START, nothing), None);
        assert_eq!(names.learn(&[b'n'; LONGEST + 1], NameId::START, nothing), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut names = names();
        for n in 0..10_000 {
            names.learn(format!("n{n}").as_bytes(), NameId::START, nothing);
        }
        assert!(names.is_full() && names.all.len() == MOST);
        assert_eq!(names.find(b"n9999"), None);
        names.reset(&[], nothing);
        assert_eq!((names.all.len(), names.find(b"n1")), (WELL_KNOWN.len(), None));
    }
}
