//! The names of attributes that a log has, and what is remembered from one log to the next.

use crate::mapping::encode::json;
use crate::mapping::scrub;
use xxhash_rust::xxh3::xxh3_64;

/// Hashes of the attributes' names that are written, and a look that mostly says at once that one is not among them.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(super) hashes: Vec<u64>,
    bits: [u64; 4],
    /// The environment, release, address and logger of the log before, and the prefilter's result for each.
    pub(super) lasting: [(Vec<u8>, Option<scrub::Look>); LASTING],
    /// Names of nested fields in the order of the log that had the most of them.
    pub(super) nested: Vec<Nested>,
    /// The number of nested fields that the log has so far.
    nested_here: usize,
}

/// The name of a nested field, which is no learnt name: the logs of a program have the same ones in the same order.
#[derive(Debug, Default)]
pub(super) struct Nested {
    name: Vec<u8>,
    pub(super) hash: u64,
    /// `,"name":{"value":`, and the bytes of the name that Sentry bills.
    pub(super) attribute: Vec<u8>,
    pub(super) billed: usize,
    /// True if the name may say that the values under it are secret.
    pub(super) is_sensitive: bool,
}

/// Most names of nested fields that are remembered, and the longest of them.
const MOST_NESTED: usize = 64;
const LONGEST_NESTED: usize = 128;

/// Attributes of the plugin's own that mostly have the value that they had in the log before.
pub(super) const LASTING: usize = 4;

impl Used {
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.bits = [0; 4];
        self.nested_here = 0;
    }

    /// The place of a nested field's name among those that are remembered, if it may be.
    pub(super) fn nested(&mut self, name: &[u8], scrub: &scrub::Rules) -> Option<usize> {
        let place = self.nested_here;
        self.nested_here += 1;
        if self.nested.get(place).is_some_and(|known| known.name == name) {
            return Some(place);
        }
        // A name that is too long to be remembered leaves its place to none.
        if place >= MOST_NESTED || name.len() > LONGEST_NESTED || place > self.nested.len() {
            return None;
        }
        if place == self.nested.len() {
            self.nested.push(Nested::default());
        }
        let known = &mut self.nested[place];
        name.clone_into(&mut known.name);
        known.hash = xxh3_64(name);
        known.attribute.clear();
        known.billed = json::head_of_attribute(&mut known.attribute, name);
        known.is_sensitive = scrub.may_be_sensitive(&known.attribute);
        Some(place)
    }

    pub(super) fn add(&mut self, hash: u64) {
        self.hashes.push(hash);
        self.bits[(hash >> 62) as usize] |= 1 << (hash & 63);
    }

    pub(super) fn add_all(&mut self, others: &Self) {
        self.hashes.extend_from_slice(&others.hashes);
        self.bits.iter_mut().zip(others.bits).for_each(|(bits, others)| *bits |= others);
    }

    pub(super) fn has(&self, hash: u64) -> bool {
        self.bits[(hash >> 62) as usize] >> (hash & 63) & 1 == 1 && self.hashes.contains(&hash)
    }
}
