//! Tests of the positions at which names, separators and values begin and end.

use super::super::FILTERED;
use super::*;

#[test]
fn names_go_around_a_place() {
    for (text, place, name) in [
        ("a db.password=x", 5, "db.password"),
        ("x password->y", 3, "password"),
        ("\u{e9}token\u{ff1d}x", 3, "\u{e9}token"),
        ("--api-key x", 3, "--api-key"),
        ("= x", 0, ""),
    ] {
        assert_eq!(&text[name_around(text.as_bytes(), place)], name, "{text}");
    }
}

#[test]
fn filtered_values_are_values_too() {
    let mut extents = Extents::new(FILTERED);
    assert_eq!(extents.at(0, How::Assigned, Kind::Password).part, 0..FILTERED.len());
}
