//! Tests the table of known loggers and the scales of their levels.

use super::*;
use crate::mapping::extract::interner::WELL_KNOWN;

#[test]
fn every_row_can_be_recognised_and_names_its_source() {
    for (at, row) in ROWS.iter().enumerate() {
        assert!(!row.marks.is_empty() && row.source.starts_with("https://"), "{}", row.name);
        assert!(row.fields().next().is_some(), "{} says nothing", row.name);
        assert!(!ROWS[..at].iter().any(|other| other.name == row.name), "{} is there twice", row.name);
        for mark in row.marks {
            assert!(marked(mark.as_bytes()) >> at & 1 == 1, "{}: {mark}", row.name);
        }
    }
    assert_eq!(marked(b"log") | marked(b"time") | marked(b"stream") | marked(b"kubernetes"), 0);
}

#[test]
fn names_of_the_table_have_the_numbers_in_which_they_are_learnt() {
    let formats = Formats::new(NameId::of_well_known, WELL_KNOWN.len());
    let mut names = FieldNames::default();
    names.reset(formats.names(), |_| crate::mapping::extract::interner::Meaning {
        paths: Vec::new(),
        refused: false,
        sensitive: false,
        rows: 0,
    });
    for target in ROWS.iter().enumerate().flat_map(|(row, _)| formats.targets(row)) {
        assert!(target.place.whole != NameId::START, "{target:?}");
    }
    for (at, name) in formats.names().iter().enumerate() {
        assert_eq!(names.find(name.as_bytes()), Some(NameId::at(WELL_KNOWN.len() + at)), "{name}");
    }
}

#[test]
fn numbers_are_read_on_their_own_scale() {
    for (scale, n, level) in [
        (Scale::Bunyan, 50, Some(Level::Error)),
        (Scale::Bunyan, 55, Some(Level::Error)),
        (Scale::Bunyan, 9, None),
        (Scale::Monolog, 250, Some(Level::Info)),
        (Scale::Monolog, 400, Some(Level::Error)),
        (Scale::Python, 40, Some(Level::Error)),
        (Scale::Python, 0, None),
        (Scale::Java, 30_000, Some(Level::Warn)),
        (Scale::Nextcloud, 4, Some(Level::Fatal)),
        (Scale::Nextcloud, 5, None),
        (Scale::Syslog, 4, Some(Level::Warn)),
        (Scale::OpenTelemetry, 17, Some(Level::Error)),
        (Scale::Words, 50, None),
    ] {
        assert_eq!(scale.number(n), level, "{scale:?} {n}");
    }
    assert_eq!(Scale::Letters.word(b"D2"), Some(Level::Debug));
    assert_eq!((Scale::Letters.word(b"X"), Scale::Words.word(b"E")), (None, None));
}
