//! Tests that each option takes its good values and rejects its bad ones, and no row without a case.

use super::cases::{CASES, DSN, KEY, PEM};
use super::{Kind, Row, mask_credentials, rows};
use crate::options::{Settings, load};

/// Returns another option, and the value that it must have so that this option can be judged alone.
fn companion(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "dsn" => None,
        "tls_crt_file" => Some(("tls_key_file", KEY)),
        "tls_key_file" => Some(("tls_crt_file", PEM)),
        _ => None,
    }
}

fn given(name: &str, value: &str) -> Result<Settings, Vec<String>> {
    let companion = companion(name);
    let lookup = |asked: &str| match companion {
        _ if asked == name => Some(value.to_owned()),
        Some((option, value)) if asked == option => Some(value.to_owned()),
        _ => None,
    };
    let environment = |variable: &str| (variable == "SENTRY_DSN" && name != "dsn").then(|| DSN.to_owned());
    let loaded = load(lookup, environment).map(|loaded| loaded.settings);
    loaded.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_option_has_a_case_and_every_case_is_an_option() {
    let options: Vec<_> = rows().map(|row| row.name).collect();
    let cases: Vec<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(cases, options);
    let untried = CASES.iter().find(|case| case.good.is_empty());
    assert_eq!(untried.map(|case| case.name), None);
}

#[test]
fn defaults() {
    let lookup = |_: &str| None;
    let settings = load(lookup, |variable| (variable == "SENTRY_DSN").then(|| DSN.to_owned())).unwrap().settings;
    for case in CASES.iter().filter(|case| case.name != "dsn") {
        assert_eq!((case.read)(&settings), case.default, "{}", case.name);
    }
}

#[test]
fn good_values_in_all_spellings() {
    for case in CASES {
        for (value, meaning) in case.good {
            let settings = given(case.name, value).unwrap_or_else(|problems| panic!("{}: {problems:?}", case.name));
            assert_eq!((case.read)(&settings), *meaning, "{} = {value}", case.name);
            assert!(given(case.name, &format!(" {value}\t")).is_ok(), "{} = {value} with blanks", case.name);
        }
    }
}

#[test]
fn rejects_bad_values_with_the_expected_text() {
    for case in CASES {
        for (value, expected) in case.bad {
            let Err(problems) = given(case.name, value) else { panic!("{} took {value}", case.name) };
            let shown = if case.name == "dsn" { "***" } else { value };
            let said = format!("{} = {shown}: expected {expected}", case.name);
            // The list of hosts has more to say than fits here.
            let said_it =
                |problem: &String| *problem == said || case.name == "dsn_allow_hosts" && problem.starts_with(&said);
            assert!(problems.len() == 1 && said_it(&problems[0]), "expected {said}, found {problems:?}");
        }
    }
}

/// A row whose setter takes anything is free text or a list of names; all others must have been seen to refuse.
#[test]
fn options_that_can_be_invalid_have_an_invalid_case() {
    for (row, case) in rows().zip(CASES) {
        let refuses = (row.set)(&mut Settings::default(), "\u{1}/").is_err();
        assert_eq!(refuses, !case.bad.is_empty(), "{}", row.name);
    }
}

/// The kind is told from the default; here each setter says whether it takes values of that kind, and only those.
#[test]
fn kinds_are_those_that_the_setters_take() {
    let takes = |row: &Row, text| (row.set)(&mut Settings::default(), text).is_ok();
    for row in rows() {
        let (good, bad): (&[&str], &[&str]) = match row.kind() {
            Kind::Switch => (&["yes", "no", "true", "false"], &["2", "x"]),
            Kind::Size => (&["64K", "3G"], &["5h", "x"]),
            Kind::Time => (&["3m", "2h"], &["5G", "x"]),
            Kind::Fraction => (&["0.25"], &["x"]),
            Kind::Number => (&["7"], &["0.25", "x"]),
            Kind::List => (&["a,b"], &[]),
            Kind::Text => (&[], &[]),
        };
        let (name, kind) = (row.name, row.kind());
        for text in good {
            assert!(takes(row, text), "{name} has the default of a {kind:?}: expected it to take {text}");
        }
        for text in bad {
            assert!(!takes(row, text), "{name} has the default of a {kind:?}: expected it to refuse {text}");
        }
    }
    let kind = |name| rows().find(|row| row.name == name).unwrap().kind();
    let known = ["dsn", "scrub", "senders", "sample_rate", "queue_max_size", "timeout", "message_key", "tag_keys"];
    let kinds = known.map(kind);
    use Kind::{Fraction, List, Number, Size, Switch, Text, Time};
    assert_eq!(kinds, [Text, Switch, Number, Fraction, Size, Time, List, List]);
}

/// Fluent Bit reads `${...}` in a default as a variable of its own, and shows a default to everybody.
#[test]
fn defaults_are_plain_and_secrets_have_none() {
    for row in rows() {
        assert!(!row.secret || row.default.is_none(), "{}", row.name);
        assert!(!row.default.unwrap_or_default().contains("${"), "{}", row.name);
        assert!(!row.name.contains('\0') && !row.doc.contains('\0'), "{}", row.name);
    }
}

#[test]
fn a_password_is_masked_with_and_without_a_scheme() {
    for (text, shown) in [
        ("http://user:hunter2@proxy:3128", "http://***@proxy:3128"),
        ("user:hunter2@proxy", "***@proxy"),
        ("http://u:p@ss@proxy", "http://***@proxy"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("plain", "plain"),
    ] {
        assert_eq!(mask_credentials(text), shown);
    }
}
