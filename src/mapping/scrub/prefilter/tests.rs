//! Tests that the prefilter sees each secret, and ordinary text as such.

use super::super::Rules;
use super::*;
use serde_json::Value;

fn rules() -> Rules {
    Rules::new(true, false, &[], &[])
}

fn has_secret(json: &[u8]) -> bool {
    let seen = Seen::of(json);
    seen.digits || seen.run || seen.word.is_some_and(|at| has_announcement(&rules(), json, at))
}

#[test]
fn every_term_has_a_fragment() {
    use super::super::rules::{Kind, TERMS};
    for term in TERMS {
        // These are found by their values.
        let by_value = matches!(term.kind, Kind::Card | Kind::KeyMember | Kind::Query);
        assert!(
            by_value
                || words(term.word.as_bytes(), 0).next().is_some()
                || words(format!("{}=", term.word).as_bytes(), 0).next().is_some(),
            "{}",
            term.word
        );
    }
}

/// Each kind of vector sees the same signs.
#[test]
fn all_processors_see_the_same() {
    const SOME: &[u8] = b"kekKeyPwpassIDsid_co -p --a@%40\\\"\n 0123456789 4111-1111.AbCdEf_\xc3\xa9";
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..4_000 {
        let (few, from) = (1 + random.usize(..8), random.usize(..SOME.len()));
        let byte = |random: &mut fastrand::Rng| SOME[(from + random.usize(..few)) % SOME.len()];
        let text: Vec<u8> = (0..random.usize(..140)).map(|_| byte(&mut random)).collect();
        let seen = |level| {
            let mut look = Look { json: &text, read: (0, 0), tokens: Tokens::new(&text), seen: Seen::default() };
            simd::run_at(level, &mut look);
            format!("{:?}", look.seen)
        };
        let begin = |level| simd::run_at(level, Begin { rest: &text });
        let [first, others @ ..] = &simd::levels()[..] else { panic!("expected a kind of vectors") };
        for level in others {
            assert_eq!(seen(*level), seen(*first), "{level:?}: {:?}", String::from_utf8_lossy(&text));
            assert!(text.is_empty() || begin(*level) == begin(*first), "{level:?}: {text:?}");
        }
    }
}

#[test]
fn each_fragment_is_found_by_its_first_two_bytes() {
    for (one, two) in (0..=u8::MAX).flat_map(|one| (0..=u8::MAX).map(move |two| (one, two))) {
        // Flags have a letter behind two dashes.
        let is_begun = (0..=u8::MAX).any(|three| is_fragment(&[one, two, three, b'x'], 0));
        let is_printed = [one, two].iter().all(|byte| matches!(byte, b' '..=b'~'));
        let found = simd::run(Begin { rest: &[one, two, b'.', b'.'] }) & 1 == 1;
        assert!(found || !is_begun || !is_printed, "{:?}", [char::from(one), char::from(two)]);
    }
}

#[test]
fn words_that_only_look_sensitive_cost_no_second_look() {
    for text in [
        "the token was refreshed, the key is new",
        "monkey business, hockey: 3",
        "basically broken",
        "created at 2026-11-20 08:00:00.123, id 1795161600123",
        "-----BEGIN CERTIFICATE-----",
        "GET /tokens HTTP/1.1",
        "path=/var/log pattern: x session closed for 4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert!(!has_secret(text.as_bytes()), "{text}");
    }
}

#[test]
fn at_every_place_of_a_block_a_secret_is_seen() {
    for secret in [
        "password=x",
        "Api_Key: x",
        "basic x",
        "bearer y",
        "4111 1111 1111 1111",
        "PWD_x=1",
        "ghp_Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0Ii",
        "078-05-1120",
        "DE89 3704 0044 0532 0130 00",
        "mysql -uroot -px",
        "hvs.CAESIZk3Qw9Lm2Xc7Vb5Nn8Tt4",
        "PDO->__construct('a', 'b', 'c')",
    ] {
        for before in 0..70 {
            for behind in [0, 1, 5, 40] {
                let text = format!("{} {secret} {}", "-x".repeat(before), ".y".repeat(behind));
                assert!(has_secret(text.as_bytes()), "{text}");
            }
        }
    }
}

#[test]
fn a_text_of_nothing_but_sensitive_words_is_looked_at_once() {
    // What is behind a word is not looked for again for the next: this would take minutes.
    for text in ["key ", "key", "bea", "1 1-", "BEGIN ", "@", "a@", "eyJ.", " -p", "_co", "AA00", "9."]
        .map(|text| text.repeat(50_000))
    {
        let json = serde_json::json!({ "body": text }).to_string();
        let _ = rules().may_need(json.as_bytes());
    }
    for text in ["\\\"", "\\\\", "\\\" ", "\\n", "'"] {
        let json = format!("{{\"body\":\"key {}.\"}}", text.repeat(100_000));
        assert!(!has_secret(json.as_bytes()), "{text}");
    }
}

/// Words, signs and noise in any mixture: the prefilter detects everything that cleaning would change.
#[test]
fn nothing_that_cleaning_changes_is_overlooked() {
    const PARTS: [&str; 78] = [
        "password",
        "PassWd",
        "pwd",
        "passphrase",
        "secret",
        "Token",
        "authorization",
        "cookie",
        "credentials",
        "api",
        "Key",
        "_",
        "-",
        ".",
        "=",
        ":",
        " ",
        "\"",
        "'",
        "\\",
        "\n",
        "{",
        "}",
        ",",
        "bearer ",
        "Basic ",
        "abcDEF12",
        "4111",
        "1111",
        "4242424242424242",
        "5",
        "://",
        "user",
        "@",
        "host.example",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "é",
        "access",
        "x",
        "\u{dc}berweisung",
        "\u{fc}ber",
        "weisung",
        "\u{212a}ey",
        "\\u0070wd",
        "\\/",
        "=>",
        "->",
        ":=",
        "|",
        "\t",
        "[",
        "]",
        "%5B",
        "%5D",
        "%3D",
        "--",
        " -p",
        "mysql",
        "(",
        ")",
        "Some(\"",
        "string(3) \"",
        "<",
        ">",
        "</",
        "value",
        "name",
        "Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0Ii",
        "ghp_",
        "?",
        "&",
        "sid",
        "\u{1b}[36m",
        "\u{ff1d}",
        "%40",
        "auth",
        "VALUES ('",
    ];
    let mut state = 7_u64;
    let mut next = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let rules = [(true, false), (false, false), (true, true)]
        .map(|(secrets, send_pii)| Rules::new(secrets, send_pii, &["\u{fc}berweisung".to_owned()], &[]));
    let mut changed = 0;
    for round in 0..60_000 {
        let rules = &rules[round % rules.len()];
        let mut text: String = (0..1 + next(9)).map(|_| PARTS[next(PARTS.len())]).collect();
        let key: String = (0..1 + next(3)).map(|_| PARTS[next(PARTS.len())]).collect();
        if next(3) == 0 {
            let (from, to) = [("/", "\\/"), ("=", "\\u003d"), ("@", "\\u0040"), ("p", "\\u0070")][next(4)];
            text = serde_json::json!({ &key: text }).to_string().replace(from, to);
        }
        let cleaned = rules.cleaned(&text);
        assert!(cleaned.is_none() || rules.look(text.as_bytes()).needed, "{text}");
        assert_eq!(rules.scrubbed(&text), cleaned.unwrap_or_else(|| text.clone()), "{text}");
        let item = match next(3) {
            0 => serde_json::json!({ "body": text }),
            1 => serde_json::json!({ "attributes": { key: { "value": text, "type": "string" } } }),
            _ => serde_json::json!({ "extra": { key: [text] } }),
        };
        let mut cleaned: Value = item.clone();
        let is_changed = cleaned.as_object_mut().is_some_and(|item| rules.item(item));
        let json = item.to_string();
        if is_changed && cleaned != item {
            changed += 1;
            assert!(rules.may_need(json.as_bytes()), "{json}\n{cleaned}");
        }
    }
    assert!(changed > 5_000, "{changed} of the items had to be cleaned");
}
