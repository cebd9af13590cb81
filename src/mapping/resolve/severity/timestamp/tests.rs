//! Tests one text of each kind that is read, and texts that are not.

use super::*;

/// A timestamp that is read whole, for each row of the tables.
const WHOLE: &[&str] = &[
    "2024-03-10T09:00:00.123456Z",
    "2024-03-10 09:00:00,123",
    "2024-03-10 09:00:00.123 UTC",
    "2024-03-10 09:00:00 -0400",
    "2024-03-10T09:00:00+01:00",
    "2024-03-10T09:00:00.123+0000",
    "2024-03-10 09:00:00 +0000 UTC",
    "2024-03-10_09:00:00.12345",
    "2024-03-10 9:00:00",
    "2024-03-10 09:00:00.123 +08",
    "2024-03-10 09:00:00 CET",
    "2024-03-10",
    "2024/03/10 09:00:00",
    "2024/03/10 09:00:00.123456",
    "2024/03/10",
    "2024.03.10 09:25:02.027633",
    "24/03/10 09:00:00",
    "03/10/2024, 9:00:03 AM",
    "11/11/2025, 10:40:43 AM",
    "3/10/24, 9:00:00:123 UTC",
    "10/3/2024 -- 09:00:00",
    "10/Mar/2024:09:00:00 +0000",
    "10/Mar/2024",
    "18-Feb-2017 16:39:33.802",
    "10-Mar-2024::09:00:00",
    "10-Mar-2024",
    "10-MAR-2024 09:00:00",
    "20 Sep 2026 09:53:02.641",
    "10-03-2024 09:00:00",
    "10.03.2024 09:00:00",
    "03-10 09:00:00",
    "10-22 22:19",
    "20240310 09:00:00.123456",
    "20240310T090000",
    "240310  9:00:00",
    "Sun, 10 Mar 2024 09:00:00 GMT",
    "Mar 10, 2024 9:00:00 AM",
    "March 10, 2024 09:00:00",
    "Sun Mar 10 09:00:00 2024",
    "Fri Feb 10 14:03:51.563880 2017",
    "Sun Mar 10 09:00:00 UTC 2024",
    "Mar 10 09:00:00",
    "Mar  1 09:00:00",
    "09:00:00.123",
    "09:00:00,123",
    "3:37PM",
    "9:00:00 AM",
    "1710061203",
    "1710061203.348",
    "1710061203348",
    "1.710061203e+09",
    "071/085241",
];

#[test]
fn reads_each_layout_whole() {
    for text in WHOLE {
        assert_eq!(len(text.as_bytes()), Some(text.len()), "{text}");
        for behind in [" x", ": x", "] x", "|x", "\tx"] {
            let line = format!("{text}{behind}");
            assert_eq!(len(line.as_bytes()), Some(text.len()), "{line}");
        }
        assert_ne!(len(format!("{text}x").as_bytes()), Some(text.len()), "{text}x");
    }
}

#[test]
fn stops_before_a_level_that_looks_like_a_zone() {
    for (line, time) in [
        ("2024-03-10 09:00:00 ERR x", "2024-03-10 09:00:00"),
        ("2024-03-10 09:00:00 LOG x", "2024-03-10 09:00:00"),
        ("2024-03-10 09:00:00 INF x", "2024-03-10 09:00:00"),
        ("2024-03-10 09:00:00 -1 x", "2024-03-10 09:00:00"),
        ("2024-03-10 09:00:00 [1]", "2024-03-10 09:00:00"),
        ("2024-03-10 1 x", "2024-03-10"),
        ("3:37PM ERR x", "3:37PM"),
    ] {
        assert_eq!(len(line.as_bytes()), Some(time.len()), "{line}");
    }
}

#[test]
fn refuses_numbers_addresses_and_names() {
    for text in [
        "",
        "1",
        "17",
        "10.0.0.1",
        "10.0.0.1:80",
        "2024",
        "1.2.3",
        "12:30",
        "24/03/10",
        "03-10",
        "240310",
        "8080",
        "20240310",
        "4711-17",
        "1/2",
        "2024-03",
        "2024-03-1x",
        "Mar",
        "Mar 10",
        "March on",
        "Monday",
        "May be",
        "Sunny 1",
        "Decide",
        "1:M",
        "7#7:",
        "99999999999",
        "5b8e",
        "1st",
        "071/08",
        "x",
        "12ms",
        "1234567890123456",
        "-1",
        "+1",
    ] {
        assert_eq!(len(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn each_row_of_the_tables_has_an_example() {
    for date in DATES {
        let is_of = |text: &&&str| {
            let (text, lead) = (text.as_bytes(), digits(text.as_bytes()));
            usize::from(date.lead.0) <= lead
                && lead <= usize::from(date.lead.1)
                && layout(date.rest, text, lead).is_some()
        };
        assert!(WHOLE.iter().find(is_of).is_some(), "{}", String::from_utf8_lossy(date.rest));
    }
    for pattern in NAMED_DATES {
        let is_of = |text: &&&str| layout(pattern, text.as_bytes(), 0).is_some();
        assert!(WHOLE.iter().find(is_of).is_some(), "{}", String::from_utf8_lossy(pattern));
    }
}

#[test]
fn no_text_panics() {
    for text in WHOLE {
        for end in 0..text.len() {
            let _ = len(&text.as_bytes()[..end]);
        }
    }
}
