//! A set of records of a chunk, as bits.

use crate::envelope::RecordIndex;

/// A growing set of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSet(Vec<u64>);

/// Returns the position of a record's word, and its bit in the word.
fn place(record: RecordIndex) -> (usize, u64) {
    (record.0 as usize / 64, 1 << (record.0 % 64))
}

impl RecordSet {
    /// Returns the set whose records are the set bits of these words, 64 in each.
    pub(in crate::delivery) fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// Returns the set as words, 64 records in each.
    pub(in crate::delivery) fn words(&self) -> &[u64] {
        &self.0
    }

    /// Returns true if a record is in the set.
    #[must_use]
    pub fn has(&self, record: RecordIndex) -> bool {
        let (word, bit) = place(record);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds a record. Returns true if it was not in the set.
    pub fn insert(&mut self, record: RecordIndex) -> bool {
        let (word, bit) = place(record);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Removes a record. Returns true if it was in the set.
    pub fn remove(&mut self, record: RecordIndex) -> bool {
        let had = self.has(record);
        if had {
            let (word, bit) = place(record);
            self.0[word] &= !bit;
        }
        had
    }

    /// Returns the records in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RecordIndex> {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        let words = self.0.iter().enumerate();
        words.flat_map(move |(at, word)| bits(*word).map(move |bit| RecordIndex(at as u32 * 64 + bit)))
    }

    /// Returns the records that are in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    /// Returns the number of records in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
