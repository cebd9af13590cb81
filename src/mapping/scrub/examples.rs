//! Holds examples of the rules, which are the tests of the rules and the seeds of the fuzzer, and renders the page that
//! documents the rules.

use super::rules::{AFTER, COMMANDS, HOOKS, Kind, QUALIFIERS, TERMS, TOKENS};
use std::fmt::Write as _;

/// A rule with its examples.
#[derive(Debug)]
pub struct Example {
    /// The kind of data that is filtered.
    pub what: &'static str,
    /// Made-up lines with a secret, and the part of each that must not be sent.
    pub filtered: &'static [(&'static str, &'static str)],
    /// Lines like them that stay as they are.
    pub kept: &'static [&'static str],
}

/// One row a rule.
pub const EXAMPLES: &[Example] = &[
    Example {
        what: "values of sensitive keys",
        filtered: &[
            ("MAIL_PASSWORD=Tr0ub4dor", "Tr0ub4dor"),
            ("dbPassword: Tr0ub4dor", "Tr0ub4dor"),
            ("signing_key=Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3", "Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3"),
            ("api key: 3c6e0b8a9c15224a8228b9a98ca1531d", "3c6e0b8a9c15224a8228b9a98ca1531d"),
        ],
        kept: &[
            "token_type=Bearer expires_in=3600",
            "password_expired=true attempts=3",
            "max_tokens=4096",
            "token: expired",
            "password: must contain a digit",
        ],
    },
    Example {
        what: "header values to the end of the line or of the quotes around them",
        filtered: &[
            ("Authorization: Hawk id=\"a1\", mac=\"Qm4Zt8Lw2Xc6\"", "Qm4Zt8Lw2Xc6"),
            ("Set-Cookie: JSESSIONID=3c6e0b8a9c15224a; Path=/", "3c6e0b8a9c15224a"),
            ("curl -H 'Authorization: token Qm4Zt8Lw2Xc6Vb1N' https://h", "Qm4Zt8Lw2Xc6Vb1N"),
        ],
        kept: &["authorization: granted to role admin", "cookie: missing"],
    },
    Example {
        what: "separators and wrappers",
        filtered: &[
            ("password => Tr0ub4dor", "Tr0ub4dor"),
            ("user%5Bpassword%5D=Tr0ub4dor&x=1", "Tr0ub4dor"),
            ("Config { password: Some(\"Tr0ub4dor\"), port: 1 }", "Tr0ub4dor"),
            ("<add key=\"DbPassword\" value=\"Tr0ub4dor\" />", "Tr0ub4dor"),
            ("<ns:Password Type=\"x\">Tr0ub4dor</ns:Password>", "Tr0ub4dor"),
            ("- name: DB_PASSWORD\n  value: Tr0ub4dor", "Tr0ub4dor"),
            ("{'password': b'Tr0ub4dor', 'n': 1}", "Tr0ub4dor"),
            ("[\"password\"]=>\n  string(9) \"Tr0ub4dor\"", "Tr0ub4dor"),
            ("x \"{\\\\\\\"password\\\\\\\":\\\\\\\"Tr0ub4dor\\\\\\\"}\" y", "Tr0ub4dor"),
        ],
        kept: &["unexpected token: '<' at position 0", "SyntaxError: Unexpected token: u in JSON"],
    },
    Example {
        what: "command lines and SQL",
        filtered: &[
            ("exec: app --password Tr0ub4dor --host h", "Tr0ub4dor"),
            ("mysqldump -u root -pTr0ub4dor shop", "Tr0ub4dor"),
            ("curl -u bob:Tr0ub4dor https://h", "Tr0ub4dor"),
            ("CREATE USER x IDENTIFIED BY 'Tr0ub4dor'", "Tr0ub4dor"),
            ("INSERT INTO u (name, password) VALUES ('b', 'Tr0ub4dor')", "Tr0ub4dor"),
        ],
        kept: &["use --token to authenticate", "mysql -h db -u app started", "grep -p x"],
    },
    Example {
        what: "tokens by their form",
        filtered: &[
            ("token ghp_q7Jd2Kx9Pw4Tn8Ym1Zc6Vb3Ls5Hf0GaRabcd bad", "ghp_q7Jd2Kx9Pw4Tn8Ym1Zc6Vb3Ls5Hf0GaRabcd"),
            ("key AKIAQYLPMN5HHHFPZAM2 bad", "AKIAQYLPMN5HHHFPZAM2"),
            ("hvs.CAESIQm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3 denied", "CAESIQm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.dBjftJeZ4CVPmB92K27u", "dBjftJeZ4CVPmB92K27u"),
        ],
        kept: &["commit 4f2a9c1d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39", "trace 3c6e0b8a9c15224a8228b9a98ca1531d"],
    },
    Example {
        what: "URLs and connection strings",
        filtered: &[
            ("postgresql://app:Tr0ub/4dor@db:5432/shop", "Tr0ub/4dor"),
            ("app:Tr0ub4dor@tcp(db:3306)/shop", "Tr0ub4dor"),
            ("GET /cb?a=1&state=Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3 302", "Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3"),
            ("POST https://hooks.slack.com/services/T0A1/B0A1/Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3", "Qm4Zt8Lw2Xc6Vb1Nn5Ty9Rr3"),
        ],
        kept: &["https://example.com/path/a@b/c not found", "http://host:8080/path", "git@github.com:acme/web.git"],
    },
    Example {
        what: "numbers with check digits",
        filtered: &[
            ("card no. 4012 8888 8888 1881 expired", "4012 8888 8888 1881"),
            ("payment with 5555555555554444 refused", "5555555555554444"),
            ("to FR14 2004 1010 0505 0001 3M02 606", "2004 1010 0505"),
            ("ssn 219-09-9999 invalid", "219-09-9999"),
        ],
        kept: &["elapsed 5105105105105100 ns", "seq=4111111111111111", "order 4111111111111112 not found"],
    },
    Example {
        what: "e-mail addresses, unless `send_pii` is on",
        filtered: &[
            ("user jane.doe@example.com locked", "jane.doe@example.com"),
            ("user jane.doe%40example.com locked", "jane.doe%40example.com"),
        ],
        kept: &["lookup@main.js", "getty@tty1.service", "left-pad@1.3.0"],
    },
];

/// `docs/privacy.md`.
#[must_use]
pub fn to_markdown() -> String {
    let mut out = String::from(
        "# Privacy: what is filtered\n\nWith `scrub on` (the default), the plugin replaces each of these by `[Filtered]` in messages, templates, exceptions, \
         breadcrumbs, fields and tags, before it splits or cuts any text. `scrub_keys` adds names of sensitive fields; a field in `scrub_allow` is \
         never filtered because of its name. The spool and dead letters are not scrubbed. `UPDATE_DOCS=1 cargo test --test docs` generates \
         this page from the rules.\n\n\
         ## Examples\n\n| what | filtered | kept |\n|---|---|---|\n",
    );
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|").replace('\n', "\\n"));
    for example in EXAMPLES {
        let filtered: Vec<String> = example.filtered.iter().map(|(line, _)| code(line)).collect();
        let kept: Vec<String> = example.kept.iter().map(|line| code(line)).collect();
        let _ = writeln!(out, "| {} | {} | {} |", example.what, filtered.join("<br>"), kept.join("<br>"));
    }
    out.push_str("\n## Words of keys\n\nThe value of a key is filtered if the key contains one of these words and no qualifier follows the word. Case does not matter, and a plural counts like the singular. A word with `*` also counts if no separator stands in front of it.\n\n| value | words |\n|---|---|\n");
    for (what, is) in [
        (
            "a password: any value except a truth value, prose or a path",
            (|kind| kind == Kind::Password) as fn(Kind) -> bool,
        ),
        ("a token or key: any value except a short number, prose or a path", |kind| kind == Kind::Secret),
        ("a header: everything to the end of its line", |kind| kind == Kind::Header),
        ("a value with letters and digits, or with mixed case", |kind| kind == Kind::Weak),
        ("a value of at least 16 characters that looks random", |kind| kind == Kind::Random),
        ("a value of at least 16 characters that looks random, in the query of a URL only", |kind| kind == Kind::Query),
        ("a code or number", |kind| matches!(kind, Kind::Code(..) | Kind::Card)),
        ("a member of a JSON Web Key", |kind| kind == Kind::KeyMember),
    ] {
        let star = |glued: bool| if glued { "*" } else { "" };
        let words =
            TERMS.iter().filter(|term| is(term.kind)).map(|term| format!("`{}{}`", star(term.glued), term.word));
        let _ = writeln!(out, "| {what} | {} |", words.collect::<Vec<_>>().join(" "));
    }
    let list = |words: &mut dyn Iterator<Item = String>| words.collect::<Vec<_>>().join(" ");
    let _ = writeln!(out, "\nQualifiers: {}\n", list(&mut QUALIFIERS.iter().map(|word| format!("`{word}`"))));
    let tokens = TOKENS.iter().chain(AFTER).map(|token| format!("`{}`", token.prefix));
    let _ = writeln!(out, "## Beginnings of tokens\n\n{}\n", list(&mut tokens.into_iter()));
    let _ = writeln!(out, "## Webhooks\n\n{}\n", list(&mut HOOKS.iter().map(|hook| format!("`{hook}`"))));
    let commands = COMMANDS
        .iter()
        .map(|command| format!("`{} {}`", command.name.trim(), command.flags.join("|").replace('|', "` `")));
    let _ = writeln!(out, "## Commands with a password\n\n{}", list(&mut commands.into_iter()));
    out
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;
    use serde_json::{Value, json};

    /// Each example alone, in JSON of several levels, and behind heads.
    fn wrapped(line: &str) -> Vec<String> {
        vec![
            line.to_owned(),
            format!("2026-11-30 09:00:00 ERROR [main] c.s.Pay - {line}"),
            json!({"level": "error", "msg": line}).to_string(),
            json!({"body": json!({"msg": line}).to_string()}).to_string(),
            format!("sent {} twice", json!({"msg": line})),
        ]
    }

    #[test]
    fn examples_are_filtered_and_kept() {
        let rules = Rules::new(true, false, &[], &[]);
        for example in EXAMPLES {
            for (line, secret) in example.filtered {
                for text in wrapped(line) {
                    let item = json!({ "body": text }).to_string();
                    let mut out = item.clone().into_bytes();
                    rules.clean(&mut out, 0, &[]);
                    let back: Value = serde_json::from_slice(&out).unwrap();
                    assert!(!back.to_string().contains(secret), "{}: {text}\n{back}", example.what);
                    let cleaned = rules.cleaned(&text).unwrap_or_default();
                    assert_eq!(rules.cleaned(&cleaned), None, "{cleaned} is cleaned twice");
                }
            }
            for line in example.kept {
                assert_eq!(rules.cleaned(line), None, "{}", example.what);
            }
        }
    }
}
