//! Counts the bytes that scrubbing reads more than once, for the test that bounds them. Nothing outside of tests.

/// Counts bytes that were read to find or to judge something.
#[inline]
pub(super) fn count(bytes: usize) {
    #[cfg(test)]
    COUNTED.with(|counted| counted.set(counted.get() + bytes as u64));
    #[cfg(not(test))]
    let _ = bytes;
}

#[cfg(test)]
thread_local! {
    static COUNTED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::super::{Rules, examples::EXAMPLES};
    use super::*;

    /// Beginnings of what a rule reads to its end, and what is between them.
    const OPENINGS: &[&str] = &[
        "secret={",
        "secret=[",
        "secret=(",
        "secret={'",
        "secret={\"a",
        "secret='",
        "secret=\"",
        "secret=`",
        "secret=\\\"",
        "secret=\u{201c}",
        "secret=<",
        "secret=A(",
        "secret=Some(\"",
        "secret=[[",
        "secret: {",
        "secret: {a",
        "secret->(",
        "secret | {",
        "secret\t[a",
        "secret, (",
        "'secret', [",
        "sid={",
        "sid='a",
        "auth=(",
        "card={",
        "otp={",
        "pin=[",
        "cookie={",
        "cookie: [",
        "cookie=a; b=",
        "Cookie: a=",
        "authorization=( ",
        "Authorization=abc1",
        "password=,a",
        "password=&a",
        "password;",
        "password (",
        "password('",
        "password, ",
        "\"password\"\n\n",
        "\"password\"\n\n(",
        "<password ",
        "<password>",
        "<ns:password a=\"",
        "name: password, ",
        "{\"name\":\"password\",",
        "--password ",
        "--password {",
        "(password) values (",
        "(password) values ('",
        "IDENTIFIED BY '",
        "IDENTIFIED BY=\u{201c}",
        "_construct('a', 'b', '",
        "_connect(\"",
        "mysql -p ",
        " -p",
        " -u a:",
        "curl -u {",
        "Bearer ",
        "Basic (",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "BEGIN PRIVATE KEY- ",
        "END ",
        "api key ",
        "key key=",
        "token_",
        "?state=",
        "?state=/abcdefghijklmnopq",
        "&code=a",
        "/abcdefghijklmnopq",
        "=abcdefghijklmnopq",
        "abcdefghijklmnopq.",
        "hooks.slack.com/services/",
        "hooks.slack.com/services/abcdefghijklmnopq/",
        "x.com/abcdefghijklmnopq/",
        "glpat-aaaaaaaaaaaaaaaa/",
        "xoxd-aaaaaaaaaaaaaaaa=",
        "eyJaaaaaaaaaaaaaaaa=",
        "eyJaaaaaaaaaaaaaaaa.",
        "ghp_a",
        "SG.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/",
        "hvs.aaaaaaaaaaaaaaaaaaaaa.",
        "AKIAQYLPMN5HHHFPZAM2/a",
        "LS0tLS1CRUdJTiBQVUJMa/",
        "1234567890:AAaaaaaaaaaaaaaaaaa",
        "@",
        "a@",
        "a:b@",
        "a/b@ ",
        "sqlplus a/b@ ",
        "://",
        "://a:b@",
        "://a:b/@ ",
        "%40",
        "%40a.bc",
        "a%40a.bc",
        "x@a.bc",
        "\"x\"@",
        "\"@a.bc",
        "1 ",
        "1-",
        "1\u{a0}",
        "4111 ",
        "41111111111111 ",
        "078-05-",
        "DE89 ",
        "DE89 3704 0044 ",
        "AA00",
        "A",
        "{",
        "[",
        "(",
        "{\"a\":",
        "{\"a\":[",
        "{\"a\":\"",
        "{\"a\":1} ",
        "{\"secret\":\"a\"} ",
        "'",
        "\"",
        "`",
        "\\",
        "\\\"",
        "''",
        "=",
        ":",
        ",",
        ";",
        "|",
        "<",
        ">",
        "&lt;",
        "%5B",
        "%",
        "\u{1b}[31m",
        "\u{e9}",
        "-",
        "_",
        ".",
        "[Filtered]",
        "[Filtered",
    ];

    /// Most bytes that are read for each byte of a text, in two looks and one cleaning.
    const MOST: u64 = 24;

    fn counted(text: &str) -> u64 {
        let rules = Rules::new(true, false, &[], &[]);
        COUNTED.set(0);
        let _ = rules.cleaned(text);
        let _ = rules.may_need(serde_json::json!({ "body": text }).to_string().as_bytes());
        COUNTED.get()
    }

    /// Each rule's examples and openings, over and over: what is read grows with the length of the text and not faster.
    #[test]
    fn worst_cases_are_read_a_bounded_number_of_times() {
        let examples = EXAMPLES.iter().flat_map(|example| example.filtered.iter().map(|(line, _)| *line));
        let units: Vec<&str> = examples.chain(OPENINGS.iter().copied()).collect();
        for unit in units {
            for end in ["", " ", "\n"] {
                let text = format!("{unit}{end}").repeat(1 + (16 << 10) / (unit.len() + end.len()));
                let read = counted(&text);
                assert!(read < MOST * text.len() as u64, "{unit:?} and {end:?}: {read} bytes read of {}", text.len());
            }
        }
        // What no text of one unit has: many beginnings, and then something long.
        for (unit, rest) in
            [("{\"a\":[", "1,"), ("secret={", "a "), ("?state=", "/abcdefghijklmnopq"), ("\"secret\":[", "'a',")]
        {
            let text = format!("x {}{}", unit.repeat(40), rest.repeat((16 << 10) / rest.len()));
            let read = counted(&text);
            assert!(read < MOST * text.len() as u64, "{unit:?} and {rest:?}: {read} bytes read of {}", text.len());
        }
    }
}
