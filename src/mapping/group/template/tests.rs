//! Tests one text of each kind that is read, and texts that are not.

use super::*;

fn filled(template: &Template<'_>) -> String {
    let mut params = template.params.iter();
    let mut out = String::new();
    let mut rest = template.text.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        match &rest[at..at + 2] {
            "%s" => out.push_str(params.next().expect("expected a param for each %s")),
            _ => out.push('%'),
        }
        rest = &rest[at + 2..];
    }
    assert_eq!(params.next(), None, "expected a %s for each param");
    out + rest
}

const PARTS: &[(&str, &str, &[&str])] = &[
    ("request 17 took 12ms", "request %s took %s", &["17", "12ms"]),
    ("user \"bob\" not found", "user \"%s\" not found", &["bob"]),
    ("user 'alice' denied", "user '%s' denied", &["alice"]),
    ("can't open bob's file", "can't open bob's file", &[]),
    ("dial tcp 10.0.0.1:5432: refused", "dial tcp %s: refused", &["10.0.0.1:5432"]),
    ("dial tcp [fd00::1]:5432: refused", "dial tcp [%s]:%s: refused", &["fd00::1", "5432"]),
    ("listen ::1 on aa:bb:cc:dd:ee:0f", "listen %s on %s", &["::1", "aa:bb:cc:dd:ee:0f"]),
    ("std::io and abc::def", "std::io and abc::def", &[]),
    ("GET /orders/17/items/9?x=1", "GET /orders/%s/items/%s?x=%s", &["17", "9", "1"]),
    (
        "GET /orders/2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11/items",
        "GET /orders/%s/items",
        &["2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11"],
    ),
    ("utf8, k8s, v1beta1 and log4j2 are names", "utf8, k8s, v1beta1 and log4j2 are names", &[]),
    ("api v1.2.3 of order_17", "api v%s of order_%s", &["1.2.3", "17"]),
    ("{\"level\":\"error\",\"order\":7,\"ok\":true}", "{\"level\":\"%s\",\"order\":%s,\"ok\":true}", &["error", "7"]),
    ("Reconciler error {\"name\": \"x\", \"n\": 1}", "Reconciler error {\"name\": \"%s\", \"n\": %s}", &["x", "1"]),
    (
        "Get \"https://10.96.0.1:443/api?x=1\": dial tcp: refused",
        "Get \"%s\": dial tcp: refused",
        &["https://10.96.0.1:443/api?x=1"],
    ),
    ("100% of bob's disk", "%s%% of bob's disk", &["100"]),
    ("deadbeef at 0xff", "deadbeef at %s", &["0xff"]),
    ("commit 4be1c09 not found", "commit %s not found", &["4be1c09"]),
    ("object 507f1f77bcf86cd799439011", "object %s", &["507f1f77bcf86cd799439011"]),
    (
        "key user:session:01HV3M5Z8K3Q2W4E5R6T7Y8U9P expired",
        "key user:session:%s expired",
        &["01HV3M5Z8K3Q2W4E5R6T7Y8U9P"],
    ),
    ("pod api-7c9d8f6b5d-x2k4q is not ready", "pod api-%s is not ready", &["7c9d8f6b5d-x2k4q"]),
    ("pod api-5b6c7d8e9f-qq7aa_shop", "pod api-%s_shop", &["5b6c7d8e9f-qq7aa"]),
    ("pod fluent-bit-bx7vk gone", "pod fluent-bit-%s gone", &["bx7vk"]),
    ("name my-database-https and a-http2", "name my-database-https and a-http2", &[]),
    (
        "key /events/giasmine-job-29379440-97582.18769ab3ebbd44a0: no",
        "key /events/giasmine-job-%s-%s.%s: no",
        &["29379440", "97582", "18769ab3ebbd44a0"],
    ),
    ("took 1h2m3.5s for job", "took %s for job", &["1h2m3.5s"]),
    ("back-off 5m0s, 950ms, 3d, PT1M30S", "back-off %s, %s, %s, %s", &["5m0s", "950ms", "3d", "PT1M30S"]),
    ("10 meters, 12.5GiB and 4xx", "%s meters, %sGiB and %sxx", &["10", "12.5", "4"]),
    ("at 2024-03-10T09:00:00Z sync failed", "at %s sync failed", &["2024-03-10T09:00:00Z"]),
    ("date 10/Mar/2024 and Mar 10 09:00:00 bad", "date %s and %s bad", &["10/Mar/2024", "Mar 10 09:00:00"]),
    (
        "image registry.local/api:1.2.3 and api:main-4be1c09",
        "image registry.local/api:%s and api:main-%s",
        &["1.2.3", "4be1c09"],
    ),
    ("user alice@example.com denied.", "user %s denied.", &["alice@example.com"]),
    ("https://api.example.com/v1/users/42?token=x", "https://api.example.com/v%s/users/%s?token=%s", &["1", "42", "x"]),
    ("GET /x?user=bob&page=a%20b, really? a=b", "GET /x?user=%s&page=%s, really? a=b", &["bob", "a%20b"]),
    ("Lambda$512/0x0000000840c5a440 Foo@1a2b3c", "Lambda$%s/%s Foo@%s", &["512", "0x0000000840c5a440", "1a2b3c"]),
    ("[req-5b8efff7] 5b8e failed", "[req-%s] %s failed", &["5b8efff7", "5b8e"]),
    ("\"Exec failed\" err=\"x \\\"1\\\"\" n=3", "\"Exec failed\" err=\"%s\" n=%s", &["x \\\"1\\\"", "3"]),
    ("\"Pod 17 failed\"", "\"Pod 17 failed\"", &[]),
    ("\"sync\" failed", "\"%s\" failed", &["sync"]),
    ("[\"no route\"] [conn=1]", "[\"no route\"] [conn=%s]", &["1"]),
    ("c \"msg\"=\"load x\" \"cluster\"=\"bmo\"", "c \"msg\"=\"load x\" \"cluster\"=\"%s\"", &["bmo"]),
    ("level=error msg=\"order 17 failed\" n=\"x\"", "level=error msg=\"order %s failed\" n=\"%s\"", &["17", "x"]),
];

#[test]
fn takes_variable_parts_out() {
    let mut wrong = Vec::new();
    for (message, text, params) in PARTS {
        let found = template(message);
        if (found.text.as_str(), found.params.as_slice()) != (*text, *params) {
            wrong.push(format!("expected {text} {params:?}, found {found:?}"));
        }
        assert_eq!(filled(&found), *message);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_template_fills_back_to_its_message() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut next = |end: usize| random.usize(..end);
    const PIECES: &[&str] = &[
        "a",
        "1",
        "\"",
        "'",
        " ",
        "%",
        "%s",
        "\u{e9}",
        "\u{b5}s",
        ":",
        "::",
        ".",
        ",",
        "-",
        "{",
        "}",
        "=",
        "\\",
        "\n",
        "msg=",
        "0x",
        "v1",
        "12ms",
        "10.0.0.1",
        "4be1c09",
        "-7c9d8f6b5d-x2k4q",
        "a@b.c",
        "@",
        "2024-03-10",
        "T09:00:00Z",
        "Mar 10",
        "2d1a3a0e-7a5c-4d63-9a55-0d3c9c1b7a11",
        "[",
        "]",
        "fd00::1",
        "PT1M",
        "\"a b\"",
        "e+09",
        "1h2m",
        "_",
    ];
    for _ in 0..50_000 {
        let message: String = (0..next(14)).map(|_| PIECES[next(PIECES.len())]).collect();
        assert_eq!(filled(&template(&message)), message);
    }
}

#[test]
fn parts_are_counted() {
    let many = "1 ".repeat(100);
    let found = template(&many);
    assert_eq!((found.params.len(), filled(&found)), (MAX_PARAMS, many));
}

/// Of a long message only the beginning is looked at: a line of nothing but opening quotes would take minutes.
#[test]
fn long_messages_fill_back() {
    for piece in ["('a", "\"a\n", "'a", "\u{e9}\"", "a@", "1:", "msg=\"", "?a=\u{e9}"] {
        let message = piece.repeat((1 << 20) / piece.len());
        assert_eq!(filled(&template(&message)), message);
        assert!(template(&message).text.len() <= message.len());
    }
}
