//! A set of record numbers.

/// A growing set of record numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSet(Vec<u64>);

impl RecordSet {
    /// Returns the set whose numbers are the set bits of these words, 64 in each.
    pub(in crate::delivery) fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// Returns the set as words, 64 numbers in each.
    pub(in crate::delivery) fn words(&self) -> &[u64] {
        &self.0
    }

    /// Returns true if a number is in the set.
    #[must_use]
    pub fn has(&self, n: u32) -> bool {
        self.0.get(n as usize / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    /// Adds a number. Returns true if it was not in the set.
    pub fn insert(&mut self, n: u32) -> bool {
        let (word, bit) = (n as usize / 64, 1 << (n % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Removes a number. Returns true if it was in the set.
    pub fn remove(&mut self, n: u32) -> bool {
        let had = self.has(n);
        if had {
            self.0[n as usize / 64] &= !(1 << (n % 64));
        }
        had
    }

    /// Returns the numbers in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        self.0.iter().enumerate().flat_map(move |(at, word)| bits(*word).map(move |bit| at as u32 * 64 + bit))
    }

    /// Returns the numbers that are in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    /// Returns the count of numbers in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
