//! A dead letter that comes back: a group whose marker says which item its records are.
//!
//! Format: `delivery/store/dead_letters.rs`. Levels, sampling and storms were decided when the item was first made, so they are not
//! asked again; and only that item is made, because the record's other one has had an end of its own.

use crate::chunk::Record;
use crate::ledger::Category;
use crate::mapping::resolve::identity::EventId;

/// Content of a dead letter's marker about the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// The kind of item.
    pub category: Category,
    /// The event's id, which must not change although its neighbours, by which twins are told apart, are gone.
    pub event_id: Option<EventId>,
}

impl Letter {
    /// Returns the content of the marker of a record's group, if it is a dead letter's marker.
    pub(super) fn of(group: Option<Record<'_>>) -> Option<Self> {
        let about = group?.metadata.get("out_sentry")?.map()?;
        let category = about.get("category")?.text()?;
        let category = *Category::ALL.iter().find(|known| known.name().as_bytes() == category)?;
        let event_id = about.get("event_id").and_then(|id| EventId::parse(id.text()?));
        Some(Self { category, event_id })
    }

    /// Returns true if the record may become an item of this category.
    pub(super) fn allows(letter: Option<Self>, category: Category) -> bool {
        letter.is_none_or(|letter| letter.category == category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Entry, entries};

    /// A group marker whose metadata has these two words under `out_sentry`.
    fn marker(words: &[(&str, &str)]) -> Vec<u8> {
        let mut out = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x81\xaaout_sentry".to_vec();
        out.push(0x80 | words.len() as u8);
        for (key, value) in words {
            rmp::encode::write_str(&mut out, key).unwrap();
            rmp::encode::write_str(&mut out, value).unwrap();
        }
        out.push(0x80);
        out
    }

    fn letter(words: &[(&str, &str)]) -> Option<Letter> {
        let marker = marker(words);
        let Some(Entry::GroupStart(group)) = entries(&marker).next() else { panic!("a group") };
        Letter::of(Some(group))
    }

    #[test]
    fn only_a_known_category_makes_a_letter() {
        let id = "0102030405060708090a0b0c0d0e0f10";
        let read = letter(&[("category", "event"), ("event_id", id)]).unwrap();
        assert_eq!((read.category, read.event_id.map(|id| id.hex())), (Category::Event, Some(id.to_owned())));
        assert_eq!(letter(&[("category", "log"), ("event_id", "x")]).unwrap().event_id, None);
        assert_eq!(letter(&[("category", "span")]), None);
        assert_eq!(letter(&[("tag", "a")]), None);
        assert_eq!(Letter::of(None), None);
    }
}
