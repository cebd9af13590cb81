//! Lines of other chunks that are part of the items of a chunk.
//!
//! A trace may begin in one chunk and go on in later ones. Its event is an item of the first chunk. The lines of the later
//! chunks are attached to the record that the event belongs to, and end or wait together with it.

use crate::envelope::RecordIndex;
use crate::ledger::{Category, PerCategory};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The end of the item of a record whose attached lines are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// It has ended.
    Finished,
    /// It was taken back and is mapped again later.
    Deferred,
}

/// A line of another chunk: the chunk, and the record in it.
pub(super) type Line<C> = (Arc<C>, RecordIndex);

/// The attached lines of a chunk. `C` is the progress of a chunk.
#[derive(Debug)]
pub(super) struct Attachments<C> {
    /// Lines by category and by the number of the record that the item belongs to.
    lines: PerCategory<BTreeMap<RecordIndex, Vec<Line<C>>>>,
    /// Chunks that are to be read right after this one, because lines of them continue its last ones.
    followers: Vec<Arc<C>>,
}

impl<C> Default for Attachments<C> {
    fn default() -> Self {
        Self { lines: Default::default(), followers: Vec::new() }
    }
}

impl<C> Attachments<C> {
    /// Attaches a line to a record.
    pub(super) fn attach(&mut self, category: Category, record: RecordIndex, line: Line<C>) {
        self.lines[category].entry(record).or_default().push(line);
    }

    /// Returns true if lines are attached to any record.
    pub(super) fn has_lines(&self, category: Category) -> bool {
        !self.lines[category].is_empty()
    }

    /// Takes the lines that are attached to a record. The chunks of deferred lines become followers.
    pub(super) fn take(&mut self, category: Category, record: RecordIndex, end: ItemEnd) -> Vec<Line<C>> {
        let lines = self.lines[category].remove(&record).unwrap_or_default();
        if end == ItemEnd::Deferred {
            lines.iter().for_each(|(chunk, _)| self.follow(chunk));
        }
        lines
    }

    /// Adds a chunk that is to be read right after this one, once.
    pub(super) fn follow(&mut self, chunk: &Arc<C>) {
        if !self.followers.iter().any(|known| Arc::ptr_eq(known, chunk)) {
            self.followers.push(Arc::clone(chunk));
        }
    }

    /// Takes the chunks that are to be read right after this one.
    pub(super) fn take_followers(&mut self) -> Vec<Arc<C>> {
        std::mem::take(&mut self.followers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_deferred_lines_follow_once() {
        let [one, two] = [1, 2].map(Arc::new);
        let mut attachments = Attachments::default();
        for (record, line) in [
            (0, (Arc::clone(&one), RecordIndex(5))),
            (0, (Arc::clone(&one), RecordIndex(6))),
            (1, (Arc::clone(&two), RecordIndex(7))),
        ] {
            attachments.attach(Category::Event, RecordIndex(record), line);
        }
        assert!(attachments.has_lines(Category::Event) && !attachments.has_lines(Category::Log));
        assert_eq!(
            attachments.take(Category::Event, RecordIndex(0), ItemEnd::Deferred),
            [(Arc::clone(&one), RecordIndex(5)), (Arc::clone(&one), RecordIndex(6))]
        );
        assert_eq!(attachments.take(Category::Event, RecordIndex(0), ItemEnd::Deferred), []);
        assert_eq!(attachments.take(Category::Event, RecordIndex(1), ItemEnd::Finished), [(two, RecordIndex(7))]);
        assert!(!attachments.has_lines(Category::Event));
        assert_eq!(attachments.take_followers(), [one]);
        assert_eq!(attachments.take_followers(), []);
    }
}
